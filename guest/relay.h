/*
 * The relay: the process that moves bytes between the channel and stdio pipes,
 * pseudo terminals and /dev/fuse, and control texts between the channel and
 * pid 1. All of vxn-init's other work waits for file systems that this process
 * serves, so it never touches a path, never blocks but in epoll_wait (threads
 * for notifications and for closing pipes may), and has its memory locked. If it ends, pid 1 powers the VM off.
 * Shares whose port goes through memory are the kernel's to carry (relay_memory.c).
 *
 * A pipe is locked by a splice for as long as that waits for its file, perhaps
 * for this process: EBUSY instead (guest/kernel-fuse.patch), which no event ends,
 * and a close has to wait elsewhere.
 *
 * Descriptors (but a vchan's) are watched edge-triggered: an event sets a flag of the stream, an
 * EAGAIN clears it. What has no credit or no room is simply left alone until it
 * has.
 */
#ifndef VXN_GUEST_RELAY_H
#define VXN_GUEST_RELAY_H

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "boot.h"
#include "control.h"
#include "error.h"
#include "protocol.h"
#include "relay_output.h"
#include "socket_pump.h"
#include "wire.h"

/* The largest request the kernel makes: 1 MiB of a WRITE and what goes with it. */
#define SHARE_REQUEST_MAX ((1u << 20) + 4096u)
#define SHARE_REPLY_MAX	  SHARE_REQUEST_MAX

#define RELAY_INPUT_SIZE (2u * (WIRE_HEADER_SIZE + WIRE_BODY_MAX))

/* A byte stream of the channel, what came on it and what waits for it. */
struct port {
	struct channel *channel;
	bool readable;		 /* since its last event */
	bool carried;		 /* by the kernel, through memory */
	struct text_queue texts; /* for the host */
	size_t input_size;
	struct output output;
	uint8_t input[RELAY_INPUT_SIZE];
};

struct stream {
	struct stream *next;
	uint32_t id;
	struct port *port;
	enum stream_kind kind;
	int fd;	   /* -1 = not attached yet, or closed */
	int epoll; /* that watches fd */
	bool attached;
	bool readable, writable; /* fd, since its last event */
	bool busy;		 /* a pipe that another process holds: to be tried again soon */
	bool finished;		 /* to be freed */
	bool host_reset;	 /* the host reads no more */
	bool host_end;		 /* the host sends no more */
	bool owe_end, owe_reset; /* frames to be sent, and then the stream is finished */
	uint32_t credit;	 /* bytes that may be sent to the host */
	uint32_t owe_credit;	 /* bytes to be given back to it */
	/* the host's data on its way to fd: a ring of WIRE_STDIO_WINDOW, mapped when needed */
	uint8_t *input;
	size_t input_begin, input_size;
	uint16_t width, height; /* of a terminal; 0 = not told yet */
	bool exited;		/* of a stdio stream: its process has ended */
	size_t drain;		/* bytes still to be sent before the process's exit */
	/* a reply on its way to /dev/fuse, mapped when needed */
	uint8_t *reply;
	size_t reply_size;
	struct notifier *notifier; /* of a share, when the first came */
	/* of a listener and its connections */
	int socket_type;
	uint32_t listener;	  /* its id */
	bool datagrams_asked;	  /* of a listener for datagrams: they have their stream, or will */
	struct socket_pump *pump; /* of a connection */
};

/* A connection of which the host has been told, and which it has not answered yet. */
struct connecting {
	struct connecting *next;
	uint32_t token, listener;
	int fd, type;
};

/* A process's exit, waiting for its output to be sent. */
struct pending_exit {
	struct pending_exit *next;
	uint32_t streams[EXIT_STREAMS_MAX];
	size_t size;
	char text[];
};

struct relay {
	const struct channel_ops *ops;
	int epoll;
	int notify_event;		     /* eventfd: notifications have been handed over */
	struct notifications *notifications; /* NULL until the first comes */
	int socket;			     /* to pid 1 */
	bool socket_moves;		     /* since its last event */
	bool busy;			     /* a stream is */
	bool greeted;
	struct stream *streams;
	struct pending_exit *exits;
	struct connecting *connecting;
	unsigned int sockets; /* connections, asked for or open */
	uint32_t last_token;
	int control; /* memfd of the control text that is being received, -1 = none */
	size_t control_size;
	int *to_init; /* memfds waiting for pid 1 */
	size_t to_init_count;
	/* a request of a share on its way to the host, one at a time */
	struct stream *request_stream;
	size_t request_size, request_sent;
	uint8_t request[SHARE_REQUEST_MAX];
	uint64_t memory[2]; /* for the host: its two parts' physical addresses */
	unsigned int ports_count;
	struct port ports[];
};

/*
 * Runs the relay in the calling process over the channel that the options name, until
 * it closes (returns 0) or fails (-1).
 */
int relay_run(const struct boot_options *options, int socket, struct error *err);

/* Stops watching fd and closes it. */
void stream_close_fd(struct stream *stream);

/* relay_close.c: at once, or as soon as the pipe's lock is free. */
void pipe_close(int fd);

/* relay_frames.c: what comes from the host, and control texts both ways. */
int relay_receive(struct relay *relay, struct port *port, bool *progress, struct error *err);
int relay_receive_frame(struct relay *relay, const struct port *port,
			const struct wire_frame *frame, struct error *err);
int relay_forward_control(struct relay *relay, bool *progress, struct error *err);
struct stream *relay_find(struct relay *relay, uint32_t id);
struct stream *relay_announce(struct relay *relay, uint32_t id, enum stream_kind kind,
			      struct error *err);

/* relay_stdio.c. Each returns whether something moved. */
int stdio_receive(struct stream *stream, const uint8_t *data, size_t size, struct error *err);
bool stdio_write(struct stream *stream);
bool stdio_read(struct stream *stream);
void stdio_close(struct stream *stream);
/* The host reads no more: closes, so that a writer gets SIGPIPE, and says END. */
void stdio_reset(struct stream *stream);
bool stdio_send_owed(struct stream *stream);
int stdio_exit(struct relay *relay, const struct message *message, const void *text, size_t size,
	       struct error *err);
bool stdio_report_exits(struct relay *relay);

/* relay_memory.c. Without memory that can be offered the port stays as it is. */
void relay_prepare_memory(struct relay *relay);
/* Behind the HELLO. */
void relay_offer_memory(struct relay *relay);
/* Of a port that is `carried`: the share is the kernel's from now on. */
int memory_carry(struct stream *stream, struct error *err);

/* relay_share.c. */
int share_receive(struct relay *relay, struct stream *stream, const struct wire_frame *frame,
		  struct error *err);
bool share_read(struct relay *relay, struct stream *stream);
bool share_send_request(struct relay *relay);

/* relay_notify.c. */
int notify_put(struct relay *relay, struct stream *stream, const uint8_t *message, size_t size,
	       struct error *err);
bool notify_give_credit(struct relay *relay, struct stream *stream);
/* The stream ends; what waits for its kernel does not matter any more. */
void notify_end(struct relay *relay, struct stream *stream);

/* relay_socket.c. Each returns whether something moved. */
bool socket_accept(struct relay *relay, struct stream *listener);
bool socket_serve(struct stream *stream);
int socket_receive(struct stream *stream, const struct wire_frame *frame, struct error *err);
/* The host's words: what became of a connection; nobody listens there any more. */
int socket_connected(struct relay *relay, const struct control_message *message, struct error *err);
void socket_gone(struct relay *relay, uint32_t listener);

/* relay_host.c: hello, entropy, clock, and the process's own safety. */
void relay_protect_self(void);
void relay_apply_hello(const struct wire_hello *hello);

#endif
