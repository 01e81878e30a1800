/*
 * The monitor, inside: what its files share. One thread, one poll loop.
 *
 *	monitor.c		start, lock, the loop, the end
 *	monitor_vm.c		the VM and the io process: boot, console, end
 *	monitor_process.c	stand-ins and the processes they stand for
 *	monitor_request.c	what the verbs ask
 */
#ifndef VXN_MONITOR_H
#define VXN_MONITOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "container.h"
#include "error.h"
#include "io_protocol.h"
#include "monitor_protocol.h"
#include "settings.h"
#include "state.h"
#include "vm.h"

#define MONITOR_STDIO_MAX   3
#define MONITOR_CONSOLE_MAX 4096

/* A process in the VM. Number 1 is the container's own. */
struct monitor_process {
	struct monitor_process *next;
	uint32_t number;
	int standin;		/* socket (spec/standin.h), -1 = gone */
	bool active;		/* the guest has made it */
	uint16_t width, height; /* window size told before it was active */
};

/* A verb that is connected. */
struct monitor_client {
	struct monitor_client *next;
	int fd;
	bool creator; /* create's socketpair */
	bool destroy; /* waits for the end */
};

/* A request to the guest that is not answered yet. */
struct monitor_pending {
	struct monitor_pending *next;
	uint64_t seq;
	uint32_t op;		       /* enum monitor_op, 0 = for a stand-in: nobody waits */
	struct monitor_client *client; /* NULL = nobody waits, or it has gone */
	uint32_t process;
};

enum monitor_phase {
	MONITOR_BOOTING,
	MONITOR_CONNECTED, /* the guest has answered */
	MONITOR_CREATING,  /* the guest prepares the container */
	MONITOR_CREATED,
	MONITOR_RUNNING,
	MONITOR_ENDING,
};

struct monitor {
	struct container container;
	const char *bundle;
	const char *log_path, *log_format;
	bool debug;
	struct settings settings;
	struct oci_config *config;
	struct container_state state;
	enum monitor_phase phase;
	int64_t started_ms; /* CLOCK_MONOTONIC */

	const struct vm_backend *backend;
	struct vm *vm;
	char *cgroup; /* of what the VM takes on this host, below the container's; NULL = none */
	int io;	      /* socket, -1 = gone */
	pid_t io_pid;
	int io_pidfd;
	char console[MONITOR_CONSOLE_MAX + 1]; /* the last of the kernel's words */
	size_t console_used;
	int64_t deadline_ms; /* CLOCK_MONOTONIC; of the boot, or of a kill; 0 = none */
	const char *deadline_reason;

	int listener;
	struct monitor_client *clients;
	struct monitor_process *processes;
	struct monitor_pending *pending;
	uint64_t next_seq;
	uint32_t next_process;

	/* MONITOR_CREATE, kept until the guest has answered */
	bool create_waiting;
	uint32_t create_flags;
	int create_stdio[MONITOR_STDIO_MAX];

	bool abandoned;	  /* create died: nobody else will remove the record */
	struct error end; /* why it ends, when that is an error */
};

/* A line of the debug log, with the time since the monitor's start: conformance/bench reads it. */
void monitor_stage(const struct monitor *monitor, const char *name);
void monitor_set_status(struct monitor *monitor, enum container_status status);
/* Begins the end; message NULL when the container ended by itself. Only the first call counts. */
void monitor_end(struct monitor *monitor, const struct error *why);

/* monitor_vm.c */
int monitor_boot(struct monitor *monitor, struct error *err);
/* From now on it has boot_timeout for the next answer: the first one, or that to create. */
void monitor_expect_guest(struct monitor *monitor);
void monitor_io_receive(struct monitor *monitor);
int monitor_io_send(struct monitor *monitor, const struct io_message *message, const int *fds,
		    size_t count, struct error *err);
void monitor_console_read(struct monitor *monitor);
/* Asks the hypervisor; ends the monitor when the VM has ended. */
void monitor_vm_check(struct monitor *monitor);
/* Ends VM and io process; when it returns no shared file is held. */
int monitor_vm_release(struct monitor *monitor, struct error *err);

/* monitor_process.c */
struct monitor_process *monitor_process_add(struct monitor *monitor, int standin);
struct monitor_process *monitor_process_find(struct monitor *monitor, uint32_t number);
void monitor_process_activate(struct monitor *monitor, struct monitor_process *process);
void monitor_process_exit(struct monitor *monitor, struct monitor_process *process, int code);
void monitor_process_remove(struct monitor *monitor, struct monitor_process *process);
/* The stand-in's socket is readable. Removes the process when the stand-in has gone. */
void monitor_process_receive(struct monitor *monitor, struct monitor_process *process);
/* Sends a signal; client NULL = nobody waits for the answer. */
int monitor_process_signal(struct monitor *monitor, uint32_t number, int signal, bool all,
			   struct monitor_client *client, struct error *err);

/* monitor_request.c */
int monitor_listen(struct monitor *monitor, struct error *err);
struct monitor_client *monitor_client_add(struct monitor *monitor, int fd, bool creator);
void monitor_client_accept(struct monitor *monitor);
/* Removes the client when it has gone. */
void monitor_client_receive(struct monitor *monitor, struct monitor_client *client);
void monitor_client_reply(struct monitor_client *client, const struct error *failure);
uint64_t monitor_pending_add(struct monitor *monitor, uint32_t op, struct monitor_client *client,
			     uint32_t process);
void monitor_reply_received(struct monitor *monitor, const struct io_message *message);
/* Gives the guest the waiting MONITOR_CREATE, when both are there. */
void monitor_create_forward(struct monitor *monitor);
/* At the very end: no new clients; answers those that wait. */
void monitor_clients_finish(struct monitor *monitor);

#endif
