/*
 * filesem: what a directory's file system answers to a fixed list of file
 * operations, one line each. Run on a host's directory and again in a container
 * on a share of the same file system, it has to print the same: so a line has
 * what a program could see, and never a time, an inode number or the number of
 * a descriptor. One static program, that needs nothing but the directory and
 * all capabilities.
 *
 * A subject is a list of steps in an empty directory of its own (the working
 * directory); each file subject_*.c has some.
 *
 *   filesem.c          the table of subjects, and their children
 *   step.c             how a line is written
 *   person.c           steps as somebody else, steps of two processes
 *   subject_*.c        the steps
 *   fsx.c              random operations beside a model in memory
 *   act.c              single operations, for the tests of what disks do
 */
#ifndef VXN_FILESEM_H
#define VXN_FILESEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* --- step.c --- */

/* The line "CALL = RESULT", or the name of errno in its place. Returns the result. */
#define DID(call) did_((long)(call), #call)
/* The same for what returns a descriptor, whose number is not told. */
#define FD(call) did_fd_((int)(call), #call)

long did_(long result, const char *call);
int did_fd_(int fd, const char *call);

/* A line of one's own. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "= RESULT" or errno's name, for a line of one's own; good until the next call. */
const char *outcome(long result);

/* Type, mode, owner, links, size, content or target, names of attributes. */
void show(const char *path);
void show_fd(int fd, const char *name);
/* The content of a short file, its other bytes as \xx. */
void show_text(const char *path);
/* The sorted names of a directory. */
void show_names(const char *path);

/* A preparation, which has to succeed: ends the subject with a line if it does not. */
#define MUST(call) must_((long)(call), #call)
long must_(long result, const char *call);

/* Makes a file with this text, mode 0644. */
void make_file(const char *path, const char *text);

uint64_t hash_bytes(uint64_t hash, const void *data, size_t size);
#define HASH_START 0xcbf29ce484222325u

/* Sizes for the steps that a sampled run keeps small. */
extern bool full_run;
extern uint64_t seed;
extern unsigned int crowd; /* names in one directory */

/* --- person.c --- */

/* Runs steps in a child that is this user, with these further groups (ending in 0) or NULL. */
void as_user(uid_t uid, gid_t gid, const gid_t *groups, void (*steps)(void));
/* Runs steps in a child that is root without one capability. */
void without_capability(int capability, void (*steps)(void));
/* Runs steps in a child, and says how it ended. */
void in_child(void (*steps)(void));

/* Two processes in turn: wait until the other one has called turn_give. */
struct turn {
	int mine[2];
	int other[2];
};

/* Runs first and second at once, the second in a child; each may use its turn. */
void together(void (*first)(const struct turn *), void (*second)(const struct turn *));
void turn_wait(const struct turn *turn);
void turn_give(const struct turn *turn);

/* --- subjects --- */

void subject_open(void);
void subject_tmpfile(void);
void subject_direct(void);
void subject_io(void);
void subject_copy(void);
void subject_allocate(void);
void subject_holes(void);
void subject_truncate(void);
void subject_big(void);
void subject_rename(void);
void subject_link(void);
void subject_unlink(void);
void subject_names(void);
void subject_deep(void);
void subject_crowd(void);
void subject_nodes(void);
void subject_owner(void);
void subject_setid(void);
void subject_times(void);
void subject_access(void);
void subject_stat(void);
void subject_xattr(void);
void subject_acl(void);
void subject_capability(void);
void subject_mmap(void);
void subject_watch(void);
void subject_exec(void);
void subject_overlay(void);
void subject_fsx(void);

/* --- act.c --- */

int act_all(char **actions); /* ends with NULL; returns the exit status */

/* argv of the copies of this program that subject_exec makes. */
int exec_helper(int argc, char **argv);

#endif
