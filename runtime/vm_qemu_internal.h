/*
 * What the files of the QEMU back end know of each other.
 *
 *	vm_qemu.c		the back end: create, unpause, end
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

/*
 * The next message, which is to be freed with json_free. Returns 0 when none has
 * come within timeout_ms, -1 when QEMU has closed or sent what is none.
 */
int qmp_receive(struct qmp *qmp, int timeout_ms, struct json **message, struct error *err);

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
enum { QEMU_QMP_FD = 3, QEMU_KERNEL_FD, QEMU_INITRAMFS_FD, QEMU_PORTS_FD };

#define QEMU_QMP       "socket,id=qmp,fd=3"
#define QEMU_KERNEL    "/proc/self/fd/4"
#define QEMU_INITRAMFS "/proc/self/fd/5"

struct qemu_request {
	const struct settings *settings;
	const char *const *arguments; /* NULL-terminated, with its name */
	const char *cgroup;	      /* NULL = ours */
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
