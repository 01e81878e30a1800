/*
 * The io process, inside: what its files share. One thread runs everything here;
 * the share workers (share.h) only write replies to the channel (io_channel.c).
 *
 *	io.c		start, the event loop, the monitor's messages
 *	io_volumes.c	what config.json mounts of the host: shares, sockets, devices
 *	io_sockets.c	connections to sockets of the host
 *	io_channel.c	frames: output queue, decoding, dispatch
 *	io_memory.c	the memory that the guest offers for shares
 *	io_stream.c	stdio: credit, buffers, the fds of the container
 *	io_control.c	control messages, replies, exits
 *	io_confine.c	what the process gives up before it meets the guest
 */
#ifndef VXN_IO_H
#define VXN_IO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "channel.h"
#include "config.h"
#include "control.h"
#include "error.h"
#include "io_protocol.h"
#include "share.h"
#include "socket_pump.h"
#include "wire.h"

struct io;
struct io_process;

/* A whole frame, or several, on their way to the guest. */
struct io_chunk {
	struct io_chunk *next;
	unsigned int port;
	size_t size, done;
	bool reply; /* counted in replies_bytes until it is sent */
	uint8_t bytes[];
};

/* A byte stream of the channel, with what waits for it and what came in part. */
struct io_port {
	struct channel *channel;
	pthread_mutex_t lock; /* of the queue, and of writing to the channel */
	struct io_chunk *queue_head, *queue_tail;
	atomic_size_t queue_bytes;
	uint8_t *input;
	size_t input_used;
};

enum io_stream_kind { IO_STREAM_STDIO, IO_STREAM_SHARE, IO_STREAM_SOCKET };

struct io_stream {
	struct io_stream *next;
	uint32_t id;
	enum io_stream_kind kind;
	struct io *io;

	/*
	 * share: a request in reassembly; bytes of credit the guest has used, and of
	 * those, what is to be given back
	 */
	struct share *share;
	size_t share_index; /* in io->shares */
	uint8_t *request;
	size_t request_size, request_capacity;
	_Atomic uint32_t share_used, share_done;

	struct socket_pump *pump; /* socket: a connection */

	/* stdio; a terminal has both a source and a sink */
	struct io_process *process;
	int source; /* host fd we read, -1 = none */
	bool source_polled, source_always_ready, source_socket;
	uint32_t credit; /* bytes we may send */
	int sink;	 /* host fd we write, -1 = none */
	bool for_output; /* there was a sink at the beginning: the guest may send data */
	bool sink_polled, sink_always_ready, sink_socket, sink_may_block, sink_ended;
	uint32_t sink_events;
	bool guest_ended; /* END came: it will send no more */
	uint8_t *buffer;  /* ring of WIRE_STDIO_WINDOW bytes for the sink */
	size_t buffer_start, buffer_used;
	uint64_t received, written; /* bytes for the sink, since the beginning */
	uint32_t credit_owed;	    /* written, not yet given back to the guest */
};

struct io_process {
	struct io_process *next;
	uint32_t number;
	struct io_stream *input, *output, *errors; /* one and the same for a terminal */
	bool made;    /* the guest has answered: its streams are known there */
	bool refused; /* the guest did not make it: nobody will hear of it again */
	bool exited, exit_reported;
	int32_t exit_code;
	uint64_t output_end, errors_end; /* `received` when the exit arrived */
};

/* A control request that the guest has not answered yet. */
struct io_pending {
	struct io_pending *next;
	uint64_t seq;
	uint32_t process; /* that it is about, 0 = all */
	bool makes;	  /* it is to make that process */
};

struct io {
	const char *bundle;
	char *config_text;
	size_t config_size;
	struct oci_config *config;
	unsigned int share_threads;
	enum share_cache cache;	      /* where no annotation says else */
	struct share_watch *watch;    /* NULL: the host's changes are not seen */
	struct control_share *shares; /* for the guest: of sockets and devices, too */
	size_t shares_count;
	int *slaves; /* mounts that follow what the host mounts (io_confine.h) */
	size_t slaves_count;
	struct io_socket *sockets;
	struct io_connect *connects; /* the guest asked for them, and was not answered */
	unsigned int connections;    /* asked for or open */
	int sockets_timer;	     /* -1 = there are no sockets */
	char hostname[65];	     /* the host's */
	uint64_t shm_size;	     /* of the engine's /dev/shm, 0 = unknown */

	int monitor;
	int epoll;
	struct io_port ports[WIRE_PORTS_MAX];
	unsigned int ports_count; /* 0 = the channel is not open yet */
	int memory;		  /* the guest's, until it has offered some; -1 = none */
	uint64_t memory_below_4g;
	uint8_t *memory_start; /* all of it, mapped since then; NULL = not */
	uint64_t memory_size;
	bool connected; /* HELLO received */
	bool closing;	/* the channel has ended or must end */

	struct share_pool *pool;
	struct io_stream *streams;
	uint32_t next_stream;
	struct io_process *processes;
	struct io_pending *pending;

	/* replies of the workers that are not on the channel yet; under lock */
	pthread_mutex_t lock;
	pthread_cond_t space;
	size_t replies_bytes;
	int wake; /* eventfd: there is more to do */

	/* from the guest: a control message in parts */
	char *control;
	size_t control_used;
};

/* No stdio is read from the host while this much waits for the guest. */
#define IO_QUEUE_HIGH (512u << 10)
/* Workers wait while this much of their replies does. */
#define IO_REPLIES_HIGH (8u << 20)

/* io.c */
/* op: of epoll_ctl, when what the port's channel is to be watched for is new, or other. */
int io_watch_port(struct io *io, unsigned int port, int op, struct error *err);

/* io_volumes.c */
/* Opens all that config.json mounts of the host, and the root. Before confinement. */
int io_volumes_open(struct io *io, struct error *err);

/* io_sockets.c */
/* Takes fd, an O_PATH one of the socket's inode, and fills in the guest's share. */
int io_socket_add(struct io *io, int fd, const struct stat *st, struct control_share *share,
		  struct error *err);
/* The ids, once the channel is open; the timer is then to be watched. */
void io_sockets_place(struct io *io);
int io_sockets_timer(struct io *io, struct error *err);
/* The guest asks for a connection. */
int io_socket_connect(struct io *io, uint32_t stream, uint32_t token, struct error *err);
int io_socket_receive(struct io_stream *stream, const struct wire_frame *frame, struct error *err);
void io_socket_event(struct io_stream *stream, uint32_t events);
/* Moves what can be moved, on all connections. */
int io_sockets_update(struct io *io, bool *again, struct error *err);

/* io_channel.c */
/* fds: those of the ports, or none; each taken is set to -1. */
int io_channel_open(struct io *io, const char *spec, int *fds, size_t count, struct error *err);
int io_channel_send(struct io *io, uint8_t type, uint32_t stream, const void *body, size_t size,
		    struct error *err); /* cuts bodies of CONTROL into frames */
int io_channel_hello(struct io *io, struct error *err);
int io_channel_flush(struct io *io, struct error *err);
int io_channel_receive(struct io *io, struct error *err);
extern const struct share_callbacks io_channel_share_callbacks;

/* io_stream.c */
struct io_stream *io_stream_find(struct io *io, uint32_t id);
/* index: in io->shares */
struct io_stream *io_stream_share(struct io *io, struct share *share, size_t index,
				  struct error *err);
/* Gives it its port and id. */
void io_stream_share_place(struct io_stream *stream);
/* A connection of a socket; takes the pump when it succeeds. */
struct io_stream *io_stream_socket(struct io *io, struct socket_pump *pump, struct error *err);
/* An id for what has no frames of its own. */
uint32_t io_stream_reserve_id(struct io *io);
struct io_stream *io_stream_stdio(struct io *io, struct io_process *process, int source, int sink,
				  struct error *err);
int io_stream_receive(struct io_stream *stream, const struct wire_frame *frame, struct error *err);
/* epoll says that the stream's source or sink is ready, or that its other end hung up. */
int io_stream_source_ready(struct io_stream *stream, struct error *err);
int io_stream_sink_ready(struct io_stream *stream, struct error *err);
int io_stream_sink_hangup(struct io_stream *stream, struct error *err);
void io_stream_close_source(struct io_stream *stream);
/* Was the id ever given to a stream? Frames of streams that are gone are ignored. */
bool io_stream_known(const struct io *io, uint32_t id);
/*
 * Polls the fds whose state allows it, and moves what can be moved on fds that
 * cannot be polled (regular files): *again when there is more to move.
 */
int io_stream_update_all(struct io *io, bool *again, struct error *err);
void io_stream_remove(struct io_stream *stream);
/* What epoll hands back: the stream, with bit 0 set for its source. */
#define IO_EVENT_SOURCE 1u

/* io_control.c */
int io_control_send(struct io *io, const struct control_message *message, struct error *err);
int io_control_receive(struct io *io, const char *text, size_t size, struct error *err);
int io_control_request(struct io *io, const struct io_message *message, int *fds,
		       struct error *err);
/* Reports the exits whose output has been written. */
int io_control_report_exits(struct io *io, struct error *err);
int io_tell_monitor(struct io *io, const struct io_message *message, struct error *err);

#endif
