/*
 * Confinement of the io process: what it keeps when everything that a hostile
 * guest can say is about to reach it.
 */
#ifndef VXN_IO_CONFINE_H
#define VXN_IO_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

/* What this VM's shares need beyond what all need. */
struct io_needs {
	/*
	 * fds of detached mounts that are slaves of the host's: only a mount that is
	 * attached somewhere is told of what the host mounts below it.
	 */
	const int *slaves;
	size_t slaves_count;
	bool sockets; /* to connect to sockets of the host, by /proc/self/fd */
};

/*
 * Gives up, for good: the file system (an empty read-only root that holds
 * /proc/self/fd, which xattr calls and reopening need, and the slaves), the
 * network, IPC, UTS and cgroup namespaces of the host, every capability but
 * CHOWN DAC_OVERRIDE FOWNER FSETID SETFCAP SETGID SETUID, every system call that
 * serving does not need (the process is killed at another one), new privileges
 * and core dumps. File descriptors that are open stay.
 *
 * needs NULL: nothing. Call as root with CAP_SYS_ADMIN and CAP_SETPCAP, from the only thread, with
 * channel and shares open; threads come after it (share_pool_start). Allowed
 * afterwards: files below open directories, reading and writing of open fds,
 * epoll, eventfd, timerfd, signalfd, memory, threads; not: sockets that are not
 * needed, other
 * processes, mounts, further opening of devices (/dev is not there).
 *
 * A killed process leaves "type=1326 ... comm=... syscall=N" in the audit log or
 * the kernel's (dmesg), and its parent sees SIGSYS: `scmp_sys_resolver N` names
 * the call. It belongs into the table in io_confine.c, with a reason, if it is
 * ours.
 */
int io_confine(const struct io_needs *needs, struct error *err);

#endif
