/*
 * What a stand-in and the monitor say to each other, on a SEQPACKET socketpair
 * made by the verb that creates the process: one fixed-size message each way,
 * no fds. End of file means that the other side is gone: a stand-in whose
 * monitor is gone ends with 137; a monitor whose stand-in is gone kills the
 * process in the VM.
 */
#ifndef VXN_STANDIN_H
#define VXN_STANDIN_H

#include <stdint.h>

enum standin_message_type {
	STANDIN_SIGNAL = 1, /* to the monitor: value = signal number that the stand-in caught */
	STANDIN_RESIZE = 2, /* to the monitor: width, height in characters (terminal) */
	STANDIN_EXIT = 3,   /* to the stand-in: value = exit status 0-255 (128+n: signal n) */
};

struct standin_message {
	uint32_t type;
	int32_t value;
	uint16_t width, height;
	uint32_t reserved; /* 0 */
};

/* The stand-in finds its socket here, and with a terminal the pty slave too. */
#define STANDIN_SOCKET_FD   3
#define STANDIN_TERMINAL_FD 4
/* Whoever starts it sees the end of file here when it is complete; it closes this. */
#define STANDIN_READY_FD 5

#endif
