/*
 * What the files of the QEMU back end know of each other.
 *
 *	vm_qemu.c		the back end: create, unpause, end
 *	vm_qemu_command.c	its command line
 *	vm_qemu_template.c	machines that have booted, kept on the host
 *	vm_qemu_process.c	QEMU's process: its privileges, its root, finding it again
 *	vm_qemu_qmp.c		its control socket (QMP)
 *	vm_qemu_host.c		what this host can do: KVM, the processor's clock
 */
#ifndef VXN_VM_QEMU_INTERNAL_H
#define VXN_VM_QEMU_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "settings.h"
#include "vm.h"

/* Long enough for a busy host; QEMU answers in some 20 ms. */
#define QEMU_TIMEOUT_MS 20000

/* --- QMP --- */

#define QMP_SIZE 16384

struct json;

/* QEMU's messages are one JSON object a line. */
struct qmp {
	int fd; /* non-blocking, owned by who has the struct */
	size_t used;
	char buffer[QMP_SIZE];
};

/* Greeting and capabilities: when it returns, QEMU has built the machine. */
int qmp_start(struct qmp *qmp, struct error *err);

/*
 * A command and its answer; events that come before it are dropped. arguments:
 * JSON members, NULL for none. result: the whole answer, whose member "return" is
 * there, to be freed with json_free; NULL = of no use.
 */
int qmp_execute(struct qmp *qmp, const char *command, const char *arguments, struct json **result,
		struct error *err);

/* Gives QEMU a copy of fd, under a name for other commands: "fd:NAME". */
int qmp_give_fd(struct qmp *qmp, const char *name, int fd, struct error *err);

/*
 * The next message, which is to be freed with json_free. Returns 0 when none has
 * come within timeout_ms, -1 when QEMU has closed or sent what is none.
 */
int qmp_receive(struct qmp *qmp, int timeout_ms, struct json **message, struct error *err);

/* --- the command line --- */

#define QEMU_ARGUMENTS_MAX 96
#define QEMU_MACHINES	   2

struct qemu_machine {
	const char *type, *serial, *balloon;
	uint64_t below_4g; /* memory beyond that has addresses from 4 GiB on */
};

/* In the order in which they are tried. */
extern const struct qemu_machine qemu_machines[QEMU_MACHINES];

struct qemu_command {
	const char *words[QEMU_ARGUMENTS_MAX]; /* ends with NULL */
	size_t count;
	bool shares_memory; /* to be set before: the guest is to offer some of its memory (wire.h) */
	size_t described;   /* the words from here on say what the machine is, not whose */
	char memory[24], vcpus[40], uuid[37], append[2048], serial[64], object[128];
	struct {
		char chardev[96], device[160];
	} ports[VM_PORTS_MAX];
};

/*
 * Fills command, which keeps pointers into config. ports: how many the channel has.
 * restored: it does not boot, but waits for a state (vm_qemu_template.c).
 */
void qemu_command_make(struct qemu_command *command, const struct vm_config *config,
		       const struct qemu_machine *machine, size_t ports, bool kvm, bool restored);

/* --- templates --- */

struct qemu_template {
	char name[37]; /* of what is made from the same description; "" = none */
	int memory, state;
};

#define QEMU_TEMPLATE_NONE                \
	{                                 \
		.memory = -1, .state = -1 \
	}

struct qemu_process;

/*
 * Names the template for a machine that is to boot by this command. Its name
 * changes with whatever the guest could see of the command, and with QEMU, kernel
 * and initramfs.
 */
int qemu_template_name(struct qemu_template *template, const struct settings *settings,
		       const struct qemu_command *command, struct error *err);

/* Opens its files. False: there is none. */
bool qemu_template_open(struct qemu_template *template);
void qemu_template_close(struct qemu_template *template);
void qemu_template_remove(const struct qemu_template *template);

/*
 * Lets a paused machine boot until its guest has opened all ports, the last thing
 * that it does before it waits for the host, and keeps what it is then. It is
 * paused again afterwards, whatever the result, unless it has ended. memory: the
 * guest's.
 */
int qemu_template_keep(const struct qemu_template *template, struct qemu_process *process,
		       size_t ports, int memory, struct error *err);

/* Continues from the state, in a machine that has got a copy of the memory; paused. */
int qemu_template_restore(const struct qemu_template *template, struct qemu_process *process,
			  struct error *err);

/* Copies what is not zero; holes stay holes. */
int qemu_template_copy(int from, int to, struct error *err);

/* --- the process --- */

struct qemu_process {
	pid_t pid; /* 0 = none */
	int pidfd;
	int console; /* what QEMU and the guest's serial port print; non-blocking */
	struct qmp qmp;
};

#define QEMU_PROCESS_NONE                                      \
	{                                                      \
		.pidfd = -1, .console = -1, .qmp = {.fd = -1 } \
	}

/* Descriptors of the new QEMU. Its user need not be able to reach kernel and initramfs by path. */
enum {
	QEMU_QMP_FD = 3,
	QEMU_KERNEL_FD,
	QEMU_INITRAMFS_FD,
	QEMU_MEMORY_FD,
	QEMU_CONTENT_FD, /* not QEMU's: closed before it runs */
	QEMU_PORTS_FD,
};

#define QEMU_QMP       "socket,id=qmp,fd=3"
#define QEMU_KERNEL    "/proc/self/fd/4"
#define QEMU_INITRAMFS "/proc/self/fd/5"
#define QEMU_MEMORY    "/proc/self/fd/6"

struct qemu_request {
	const struct settings *settings;
	const char *const *arguments; /* NULL-terminated, with its name */
	const char *cgroup;	      /* NULL = ours */
	int memory;		      /* the guest's, a file; -1 = QEMU has it in itself */
	int content;		      /* copied into it before QEMU runs; -1 = nothing */
	const int *ports;	      /* the channel's, at most VM_PORTS_MAX */
	size_t ports_count;
	bool kvm; /* it gets a /dev/kvm */
};

/*
 * Starts QEMU as settings->qemu_user, in namespaces of its own. It is killed when
 * the calling process ends. What fails before QEMU runs is written to the console.
 */
int qemu_process_start(struct qemu_process *process, const struct qemu_request *request,
		       struct error *err);

/* Takes all paths away from it: to be called when the machine is built, before the guest runs. */
int qemu_process_empty_root(const struct qemu_process *process, struct error *err);

/*
 * Has it ended? status then holds its exit status, or 128+n when signal n killed it.
 */
bool qemu_process_ended(const struct qemu_process *process, int *status);

/* What is on the console, as one harmless line, cut if too long; "" if there is nothing. */
void qemu_process_words(const struct qemu_process *process, char *words, size_t size);

/* Kills and reaps it, closes all. */
void qemu_process_end(struct qemu_process *process);

/* "7.2.22", or "unknown version": asked of the program itself. */
void qemu_version(const char *qemu, char *version, size_t size);

/* Kills each QEMU of ours with this uuid and waits for its end. */
int qemu_kill_by_uuid(const char *uuid, struct error *err);

/* --- the host --- */

#define QEMU_FACTS_DIRECTORY "/run/vxn/qemu"

/* Makes it. That it cannot be made shows in its use. */
void qemu_make_facts_directory(void);

/*
 * May /dev/kvm be used? When it is there a guest is run to find out, as some open
 * and then fail in the guest. reason: why not.
 */
bool qemu_kvm_works(const struct settings *settings, const char *cgroup, struct error *reason);

/*
 * Keeps that it does not, until the host's next boot: when the same guest has
 * started without KVM, so that the fault was not the guest's.
 */
void qemu_kvm_remember_failure(const struct error *reason);

/* Frequency of the time stamp counter in kHz, measured once; 0 where there is no constant one. */
unsigned long qemu_tsc_khz(void);

#endif
