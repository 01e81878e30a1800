/*
 * What pid 1 knows of the containers in this VM and of their processes, and what
 * it does with them. One `struct init` for all, owned by the main loop (init.c).
 */
#ifndef VXN_GUEST_CONTAINER_H
#define VXN_GUEST_CONTAINER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "boot.h"
#include "child.h"
#include "config.h"
#include "control.h"
#include "error.h"

struct process;

struct container {
	struct container *next;
	char *id;
	struct oci_config *config;
	struct seccomp_filter filter; /* of all its processes */
	int cgroup;
	char *warning;		/* for the reply to its create; NULL = none */
	struct process *init;	/* NULL = it has ended */
	unsigned int processes; /* of it, not reaped yet */
};

enum process_state {
	PROCESS_SETUP,	  /* sets itself up; the request waits for it */
	PROCESS_CREATED,  /* a container's first process, waiting for start */
	PROCESS_STARTING, /* about to exec; the request waits for it */
	PROCESS_RUNNING,
	PROCESS_FAILED, /* was never seen by the host, or as an error; to be reaped */
};

struct process {
	struct process *next;
	struct container *container;
	uint32_t number;
	enum process_state state;
	bool first; /* of its container */
	bool terminal;
	pid_t pid;
	int pidfd;
	int socket;	     /* to it while it sets itself up, else -1 */
	uint64_t seq;	     /* of the request that waits, 0 = none */
	uint32_t streams[3]; /* stdin, stdout, stderr; 0 = none */
	int ends[3];	     /* the relay's, until they are handed over; of a terminal: [1] */
};

struct init {
	struct boot_options options;
	int epoll, signals;
	int relay_socket;
	pid_t relay;
	int pid_namespace; /* pid 1's own */
	struct container *containers;
	struct process *processes;
};

/* container.c: the host's requests. */
int container_create(struct init *init, const struct control_message *request, struct error *err);
int container_start(struct init *init, const struct control_message *request, struct error *err);
int container_exec(struct init *init, const struct control_message *request, struct error *err);
int container_signal(struct init *init, const struct control_message *request, struct error *err);
void container_resize(struct init *init, const struct control_message *request);
void container_release(struct init *init, struct container *container);

/*
 * process.c: starts a process of the container, for which request waits. plan
 * has all but stdio and socket. Its events come from process->socket by epoll.
 */
struct process *process_spawn(struct init *init, struct container *container,
			      const struct control_message *request, struct child_plan *plan,
			      struct error *err);
/* Takes one message of it. Returns whether there was one. */
bool process_event(struct init *init, struct process *process);
void process_reap(struct init *init, pid_t pid, int status);
struct process *process_find(struct init *init, uint32_t number);

/* report.c: to the host. error NULL = success; warning NULL = none. A failure to send ends the VM. */
void report_reply(struct init *init, uint64_t seq, const char *error, const char *warning);
void report_exit(struct init *init, const struct process *process, int status);
void relay_attach(struct init *init, uint32_t stream, uint32_t kind, int *fd);
void relay_drop(struct init *init, uint32_t stream);
void relay_resize(struct init *init, uint32_t stream, uint16_t width, uint16_t height);

#endif
