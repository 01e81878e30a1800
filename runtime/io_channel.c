/*
 * Frames between the io process and the guest: a queue of whole frames to it,
 * decoding and dispatch of what comes from it. Everything received is hostile:
 * any violation is an error that ends the VM.
 *
 * The share workers write to the channel as well: what waits for a port, and
 * writing to it, is under a lock. Their replies are bounded: a guest that asks for
 * much and reads nothing makes its own workers wait, and nothing else.
 */
#include "io.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "io_memory.h"

#define INPUT_SIZE (WIRE_HEADER_SIZE + WIRE_BODY_MAX + (128u << 10))

static struct io_chunk *chunk_new(unsigned int port, size_t size)
{
	struct io_chunk *chunk = malloc(sizeof(*chunk) + size);

	if (chunk) {
		chunk->next = NULL;
		chunk->port = port;
		chunk->size = size;
		chunk->done = 0;
		chunk->reply = false;
	}
	return chunk;
}

/* Replies stay counted until they are on the channel, or the bound would be none. */
static void chunk_sent(struct io *io, struct io_port *port, struct io_chunk *chunk)
{
	port->queue_head = chunk->next;
	if (!port->queue_head)
		port->queue_tail = NULL;
	atomic_fetch_sub(&port->queue_bytes, chunk->size);
	if (chunk->reply) {
		pthread_mutex_lock(&io->lock);
		io->replies_bytes -= chunk->size;
		if (io->replies_bytes <= IO_REPLIES_HIGH)
			pthread_cond_broadcast(&io->space);
		pthread_mutex_unlock(&io->lock);
	}
	free(chunk);
}

/* As far as the channel takes it, under the port's lock. */
static int flush(struct io *io, struct io_port *port)
{
	while (port->queue_head) {
		struct io_chunk *chunk = port->queue_head;
		ssize_t n = channel_write(port->channel, chunk->bytes + chunk->done,
					  chunk->size - chunk->done);

		if (n <= 0)
			return (int)n;
		chunk->done += (size_t)n;
		if (chunk->done == chunk->size)
			chunk_sent(io, port, chunk);
	}
	return 0;
}

/* at_once: else with what else the caller has, by io_channel_flush. */
static void queue_push(struct io *io, struct io_chunk *chunk, bool at_once)
{
	struct io_port *port = &io->ports[chunk->port];
	bool failed;

	pthread_mutex_lock(&port->lock);
	if (port->queue_tail)
		port->queue_tail->next = chunk;
	else
		port->queue_head = chunk;
	port->queue_tail = chunk;
	atomic_fetch_add(&port->queue_bytes, chunk->size);
	failed = at_once && flush(io, port);
	pthread_mutex_unlock(&port->lock);
	/* what follows from it is the loop's */
	if (failed)
		eventfd_write(io->wake, 1);
}

int io_channel_send(struct io *io, uint8_t type, uint32_t stream, const void *body, size_t size,
		    struct error *err)
{
	const uint8_t *from = body;

	do {
		size_t part = size < WIRE_BODY_MAX ? size : WIRE_BODY_MAX;
		struct io_chunk *chunk = chunk_new(wire_port(stream), WIRE_HEADER_SIZE + part);

		if (!chunk)
			return error_set(err, ENOMEM, "queue a frame for the guest");
		size -= part;
		wire_encode_header(chunk->bytes, type, size ? WIRE_MORE : 0, stream,
				   (uint32_t)part);
		if (part)
			memcpy(chunk->bytes + WIRE_HEADER_SIZE, from, part);
		from += part;
		queue_push(io, chunk, false);
	} while (size);
	return 0;
}

int io_channel_hello(struct io *io, struct error *err)
{
	struct wire_hello hello = { .version = WIRE_VERSION };
	uint8_t body[WIRE_HELLO_SIZE];
	struct timespec now;

	if (getrandom(hello.entropy, sizeof(hello.entropy), 0) != sizeof(hello.entropy))
		return error_set(err, errno, "getrandom");
	clock_gettime(CLOCK_REALTIME, &now);
	hello.realtime_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	wire_encode_hello(body, &hello);
	return io_channel_send(io, WIRE_HELLO, 0, body, sizeof(body), err);
}

/* Cuts a message into frames. */
static struct io_chunk *chunk_of_message(const struct io_stream *stream, const struct iovec *iov,
					 int count)
{
	size_t size = 0, frames, at = 0, left;
	struct io_chunk *chunk;

	for (int i = 0; i < count; i++)
		size += iov[i].iov_len;
	frames = (size + WIRE_BODY_MAX - 1) / WIRE_BODY_MAX;
	chunk = chunk_new(wire_port(stream->id), size + frames * WIRE_HEADER_SIZE);
	if (!chunk)
		return NULL;
	left = size;
	for (int i = 0; i < count; i++) {
		const uint8_t *from = iov[i].iov_base;
		size_t n = iov[i].iov_len;

		while (n) {
			size_t in_frame = (size - left) % WIRE_BODY_MAX;
			size_t part = WIRE_BODY_MAX - in_frame;

			if (in_frame == 0) {
				size_t body = left < WIRE_BODY_MAX ? left : WIRE_BODY_MAX;

				wire_encode_header(chunk->bytes + at, WIRE_DATA,
						   body < left ? WIRE_MORE : 0, stream->id,
						   (uint32_t)body);
				at += WIRE_HEADER_SIZE;
			}
			if (part > n)
				part = n;
			memcpy(chunk->bytes + at, from, part);
			at += part;
			from += part;
			n -= part;
			left -= part;
		}
	}
	chunk->reply = true;
	return chunk;
}

/*
 * Called by the workers, and by the thread that watches the host, which write to the
 * channel themselves: a thread less to be woken.
 */
static void pass_on(struct io_stream *stream, const struct iovec *iov, int count, bool wait)
{
	struct io_chunk *chunk = chunk_of_message(stream, iov, count);
	struct io *io = stream->io;

	if (!chunk)
		abort(); /* the guest would wait for this reply, or believe what is not true, for ever */
	pthread_mutex_lock(&io->lock);
	while (wait && io->replies_bytes > IO_REPLIES_HIGH)
		pthread_cond_wait(&io->space, &io->lock);
	io->replies_bytes += chunk->size;
	pthread_mutex_unlock(&io->lock);
	queue_push(io, chunk, true);
}

static void reply_from_share(void *cookie, const struct iovec *iov, int count)
{
	pass_on(cookie, iov, count, true);
}

static void notify_from_share(void *cookie, const struct iovec *iov, int count)
{
	pass_on(cookie, iov, count, false);
}

/*
 * Credit goes back a quarter of the window at a time: a frame for each request
 * would wake the guest twice for it.
 */
static void request_done(void *cookie, size_t size)
{
	struct io_stream *stream = cookie;
	uint32_t bytes = atomic_fetch_add(&stream->share_done, (uint32_t)size) + (uint32_t)size;
	struct io_chunk *chunk;

	if (bytes < WIRE_SHARE_WINDOW / 4)
		return;
	bytes = atomic_exchange(&stream->share_done, 0);
	if (!bytes)
		return; /* another worker has seen as much */
	atomic_fetch_sub(&stream->share_used, bytes);
	chunk = chunk_new(wire_port(stream->id), WIRE_HEADER_SIZE + 4);
	if (!chunk)
		abort();
	wire_encode_header(chunk->bytes, WIRE_CREDIT, 0, stream->id, 4);
	wire_encode_credit(chunk->bytes + WIRE_HEADER_SIZE, bytes);
	queue_push(stream->io, chunk, true);
}

const struct share_callbacks io_channel_share_callbacks = {
	.reply = reply_from_share,
	.notify = notify_from_share,
	.request_done = request_done,
};

/* read and write of a channel tell by EPROTO that the guest has broken it. */
static int channel_failed(struct io *io, unsigned int port, int errnum, struct error *err)
{
	if (errnum == EPROTO)
		return error_set(err, 0, "the guest broke the rings of port %u", port);
	io->closing = true;
	return 0;
}

int io_channel_flush(struct io *io, struct error *err)
{
	for (unsigned int i = 0; i < io->ports_count; i++) {
		int failed, errnum;

		pthread_mutex_lock(&io->ports[i].lock);
		failed = flush(io, &io->ports[i]);
		errnum = errno;
		pthread_mutex_unlock(&io->ports[i].lock);
		if (failed && channel_failed(io, i, errnum, err))
			return -1;
	}
	return 0;
}

static int receive_hello(struct io *io, const struct wire_frame *frame, struct error *err)
{
	struct io_message connected = { .op = IO_CONNECTED };
	struct wire_hello hello;

	if (io->connected)
		return error_set(err, 0, "the guest sent a second HELLO");
	if (wire_decode_hello(frame->body, frame->length, &hello, err))
		return -1;
	io->connected = true;
	return io_tell_monitor(io, &connected, err);
}

static int receive_memory(struct io *io, const struct wire_frame *frame, struct error *err)
{
	if (io_memory_offered(io, frame->body, err))
		return -1;
	return io_watch_port(io, WIRE_PORT_MEMORY, EPOLL_CTL_MOD, err);
}

static int receive_control(struct io *io, const struct wire_frame *frame, struct error *err)
{
	int result;

	if (io->control_used + frame->length > WIRE_CONTROL_MAX_TO_HOST)
		return error_set(err, 0, "the guest sent a control message of more than %u bytes",
				 WIRE_CONTROL_MAX_TO_HOST);
	memcpy(io->control + io->control_used, frame->body, frame->length);
	io->control_used += frame->length;
	if (frame->flags & WIRE_MORE)
		return 0;
	result = io_control_receive(io, io->control, io->control_used, err);
	io->control_used = 0;
	return result;
}

/* On the port of stdio: an exit. */
static int receive_exit(struct io *io, const struct wire_frame *frame, struct error *err)
{
	if (frame->flags & WIRE_MORE)
		return error_set(err, 0, "the guest sent a part of a control message on port %u",
				 WIRE_PORT_STDIO);
	return io_control_receive(io, (const char *)frame->body, frame->length, err);
}

static int dispatch(struct io *io, unsigned int port, const struct wire_frame *frame,
		    struct error *err)
{
	bool control = port == WIRE_PORT_CONTROL;
	struct io_stream *stream;

	if (control && frame->type == WIRE_HELLO)
		return receive_hello(io, frame, err);
	if (!io->connected)
		return error_set(err, 0, "the guest sent a frame of type %u before HELLO",
				 frame->type);
	if (control && frame->type == WIRE_MEMORY)
		return receive_memory(io, frame, err);
	if (control && frame->type == WIRE_CONTROL)
		return receive_control(io, frame, err);
	if (port == WIRE_PORT_STDIO && frame->type == WIRE_CONTROL)
		return receive_exit(io, frame, err);
	if (wire_port(frame->stream) != port || !frame->stream)
		return error_set(err, 0,
				 "the guest sent a frame of type %u for stream %u on port %u",
				 frame->type, frame->stream, port);
	stream = io_stream_find(io, frame->stream);
	if (!stream && io_stream_known(io, frame->stream))
		return 0;
	if (!stream)
		return error_set(err, 0, "the guest sent a frame for the unknown stream %u",
				 frame->stream);
	return io_stream_receive(stream, frame, err);
}

static int decode_input(struct io *io, struct io_port *port, struct error *err)
{
	size_t at = 0;

	for (;;) {
		struct wire_frame frame;
		long n = wire_decode(port->input + at, port->input_used - at, &frame, err);

		if (n < 0)
			return error_prefix(err, "from the guest");
		if (n == 0)
			break;
		at += (size_t)n;
		if (dispatch(io, (unsigned int)(port - io->ports), &frame, err))
			return -1;
	}
	port->input_used -= at;
	memmove(port->input, port->input + at, port->input_used);
	return 0;
}

static int receive(struct io *io, struct io_port *port, struct error *err)
{
	/* bounded, so that a busy guest cannot keep the loop from the host's side */
	for (int round = 0; round < 16; round++) {
		ssize_t n = channel_read(port->channel, port->input + port->input_used,
					 INPUT_SIZE - port->input_used);

		if (n < 0)
			return channel_failed(io, (unsigned int)(port - io->ports), errno, err);
		if (n == 0)
			return 0;
		port->input_used += (size_t)n;
		if (decode_input(io, port, err))
			return -1;
	}
	eventfd_write(io->wake, 1);
	return 0;
}

int io_channel_receive(struct io *io, struct error *err)
{
	for (unsigned int i = 0; i < io->ports_count; i++)
		if (receive(io, &io->ports[i], err))
			return -1;
	return 0;
}

int io_channel_open(struct io *io, const char *spec, int *fds, size_t count, struct error *err)
{
	unsigned int ports = count ? (unsigned int)count : 1;

	io->control = malloc(WIRE_CONTROL_MAX_TO_HOST);
	for (unsigned int i = 0; i < ports; i++) {
		struct io_port *port = &io->ports[i];

		pthread_mutex_init(&port->lock, NULL);
		port->input = malloc(INPUT_SIZE);
		if (!port->input || !io->control)
			return error_set(err, ENOMEM, "allocate the channel's buffers");
		if (channel_open(spec, count ? fds[i] : -1, &port->channel, err))
			return -1;
		if (count)
			steal_fd(&fds[i]);
	}
	io->ports_count = ports;
	return 0;
}
