/*
 * Between the monitor and the io process: fixed-size messages on a SEQPACKET
 * socketpair (fdpass.h). The io process meets the guest; what it tells the
 * monitor is these records and nothing of the guest's making but a sanitized
 * text of bounded length.
 *
 * The monitor runs it as
 *
 *	vxn-io --bundle BUNDLE --config FILE --threads N [--log F --log-format X --debug]
 *
 * with its end of the socketpair as fd 3.
 */
#ifndef VXN_IO_PROTOCOL_H
#define VXN_IO_PROTOCOL_H

#include <stdint.h>

#define IO_SOCKET_FD 3
#define IO_TEXT_MAX  900

enum io_op {
	/* monitor to io */
	/*
	 * text: channel spec; fds: its ports, or none, and with IO_MEMORY the guest's memory
	 * (vm.h, vm_memory). The guest may be booting already.
	 */
	IO_OPEN_CHANNEL = 1,
	IO_CREATE, /* seq, process, flags, text: container id; fds: stdin, stdout, stderr, or pty */
	IO_START,  /* seq, process: the container's first, text: container id */
	IO_EXEC,   /* seq, process, text: container id; fds: process.json, then stdio */
	IO_SIGNAL, /* seq, process (0 with all), value: signal, flags, text: container id */
	IO_RESIZE, /* process, width, height */
	/* io to monitor */
	IO_CONNECTED, /* the guest has answered */
	IO_REPLY,     /* seq; value: 0 or 1 = failed, text */
	IO_EXIT,      /* process; value: 0-255, 128+n when killed by signal n. Output is out. */
	IO_FAILED,    /* text: cannot go on (a share, the channel, what the guest sent); io ends */
	IO_CLOSED,    /* the guest has closed the channel; io ends */
};

#define IO_TERMINAL	  0x1
#define IO_ALL		  0x2
#define IO_MEMORY	  0x4
#define IO_REFUSE_DEVICES 0x8

struct io_message {
	uint32_t op;
	uint32_t process;
	uint64_t seq;
	uint64_t memory_below_4g;
	int32_t value;
	uint32_t flags;
	uint16_t width, height;
	char text[IO_TEXT_MAX];
};

#endif
