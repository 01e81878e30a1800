/*
 * Between the verbs and the monitor: SEQPACKET on ROOT/ID/monitor.sock; create
 * talks on the socketpair that it starts the monitor with. One request, one
 * reply; a connection may carry several.
 */
#ifndef VXN_MONITOR_PROTOCOL_H
#define VXN_MONITOR_PROTOCOL_H

#include <stdint.h>

#define MONITOR_MESSAGE_MAX 900

enum monitor_op {
	/*
	 * Only on create's socketpair. fds: stand-in's socket, stdin, stdout,
	 * stderr (with a terminal: pty slave as stdin, no more).
	 * Answered when the process is ready to be started inside;
	 * before that, end of file on the socketpair undoes everything.
	 */
	MONITOR_CREATE = 1,
	MONITOR_START,
	/* fds: process.json (readable), stand-in's socket, then stdio as above. */
	MONITOR_EXEC,
	MONITOR_KILL, /* signal; all */
	/*
	 * Ends the VM in any state, answers when the monitor has released all
	 * shared files and the VM is gone; then the monitor exits.
	 */
	MONITOR_DESTROY,
};

#define MONITOR_TERMINAL 0x1 /* flags: the stdio fd is a pty slave */
#define MONITOR_ALL	 0x2

struct monitor_request {
	uint32_t op;
	uint32_t flags;
	int32_t signal;
};

struct monitor_reply {
	uint32_t failed; /* 0 or 1 */
	int32_t errnum;
	char message[MONITOR_MESSAGE_MAX];
};

/*
 * vxn-monitor is run by create as
 *
 *	vxn-monitor run --root ROOT --bundle BUNDLE [--log F --log-format X --debug] ID
 *
 * with its end of the socketpair as fd 3, in its own session. It takes the lock,
 * boots the VM and serves. And by delete, when the monitor is gone, as
 *
 *	vxn-monitor cleanup --root ROOT ID
 *
 * which destroys what the hypervisor still has under the container's uuid.
 * Prints errors on stderr, exit status 0 or 1.
 */

#endif
