/*
 * Shares tested against the kernel of this machine: a child serves a directory
 * as the io process would, this process mounts it by /dev/fuse in a mount
 * namespace of its own and looks at both sides. Output is TAP.
 */
#ifndef SHARE_HARNESS_H
#define SHARE_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mounted {
	char source[128];
	char mount[128];
	pid_t server;
};

/* Options of the server, one run of the program has one set. */
extern bool option_confined;
extern bool option_full;
extern unsigned int option_nofile; /* limit of open files of the next server, 0 = as it is */

/* Base directory of this run, empty, removed by harness_end. */
extern char base[64];

void harness_begin(const char *parent);
int harness_end(void); /* prints the plan; exit status */

/* One TAP line. Says errno when it fails. Returns the condition. */
bool check(bool condition, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Serves source at a new mount point; exits if that is impossible. */
struct mounted serve_at(const char *source, bool readonly);
/* A new, empty source directory below base, served. */
struct mounted serve_new(const char *name);
/* Unmounts and looks how the server ended. */
void unserve(struct mounted *m);

/* Path below a directory, in one of 16 static buffers. */
const char *at(const char *directory, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Runs function as uid and gid without other groups, in a child. Its result, or -1. */
int as_user(uid_t uid, gid_t gid, int (*function)(const char *), const char *argument);

int write_file(const char *path, const void *data, size_t size); /* 0 or -1 */
ssize_t read_file(const char *path, void *data, size_t size);
bool file_is(const char *path, const char *text);
double now(void);
int count_fds(pid_t pid);
long memory(pid_t pid); /* resident, KiB; 0: unknown */

/* The sanitizers keep what was freed: only without them it says how much is needed. */
#ifdef __SANITIZE_ADDRESS__
#define MEMORY_IS_OURS false
#else
#define MEMORY_IS_OURS true
#endif

void checks_files(void);
void checks_names(void);
void checks_owners(void);
void checks_limits(void);
void checks_nodes(void);
void checks_many(void);
void checks_counts(void);
void checks_locks(void);
void checks_confinement(void);
void checks_protocol(void);
void hostile(const char *parent, double seconds, unsigned int seed);
void bench(void);

#endif
