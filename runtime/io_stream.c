/*
 * Stdio streams: from the container's fds on the host to the guest and back,
 * each with its own credit, so that one that stalls stops only itself.
 *
 * The fds belong to the caller too, so their flags are never changed. Pipes and
 * terminals arrive reopened with O_NONBLOCK (stdio_fds.h), sockets are used with
 * MSG_DONTWAIT, regular files do not block; for what is left, at most PIPE_BUF
 * bytes are written after poll has said that there is room.
 */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "io_memory.h"

struct io_stream *io_stream_find(struct io *io, uint32_t id)
{
	for (struct io_stream *s = io->streams; s; s = s->next)
		if (s->id == id)
			return s;
	return NULL;
}

bool io_stream_known(const struct io *io, uint32_t id)
{
	id &= WIRE_STREAM_NUMBER;
	return id != 0 && id <= io->next_stream;
}

static void set_id(struct io_stream *stream, unsigned int port)
{
	stream->id = port << WIRE_PORT_SHIFT | ++stream->io->next_stream;
}

static struct io_stream *stream_new(struct io *io, enum io_stream_kind kind, struct error *err)
{
	struct io_stream *stream = calloc(1, sizeof(*stream));

	if (!stream) {
		error_set(err, ENOMEM, "make a stream");
		return NULL;
	}
	stream->kind = kind;
	stream->io = io;
	stream->source = stream->sink = -1;
	stream->next = io->streams;
	io->streams = stream;
	return stream;
}

struct io_stream *io_stream_share(struct io *io, struct share *share, size_t index,
				  struct error *err)
{
	struct io_stream *stream = stream_new(io, IO_STREAM_SHARE, err);

	if (!stream)
		return NULL;
	stream->share = share;
	stream->share_index = index;
	return stream;
}

void io_stream_share_place(struct io_stream *stream)
{
	set_id(stream, wire_port_of_share(stream->io->ports_count, stream->share_index));
}

struct io_stream *io_stream_socket(struct io *io, struct socket_pump *pump, struct error *err)
{
	struct io_stream *stream;

	if (io->next_stream >= WIRE_STREAM_NUMBER) {
		error_set(err, 0, "too many connections were made in this VM");
		return NULL;
	}
	stream = stream_new(io, IO_STREAM_SOCKET, err);
	if (!stream)
		return NULL;
	set_id(stream, wire_port_of_stdio(io->ports_count));
	stream->pump = pump;
	return stream;
}

uint32_t io_stream_reserve_id(struct io *io)
{
	return wire_port_of_stdio(io->ports_count) << WIRE_PORT_SHIFT | ++io->next_stream;
}

/* A regular file (or /dev/null) cannot be added to epoll: it is always ready. */
static bool can_poll(struct io *io, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (epoll_ctl(io->epoll, EPOLL_CTL_ADD, fd, &event))
		return errno != EPERM;
	epoll_ctl(io->epoll, EPOLL_CTL_DEL, fd, NULL);
	return true;
}

static bool is_socket(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISSOCK(st.st_mode);
}

struct io_stream *io_stream_stdio(struct io *io, struct io_process *process, int source, int sink,
				  struct error *err)
{
	struct io_stream *stream = stream_new(io, IO_STREAM_STDIO, err);

	if (!stream)
		return NULL;
	if (io->next_stream >= WIRE_STREAM_NUMBER) {
		error_set(err, 0, "too many processes were run in this VM");
		return NULL;
	}
	set_id(stream, wire_port_of_stdio(io->ports_count));
	stream->process = process;
	stream->source = source;
	stream->sink = sink;
	stream->credit = WIRE_STDIO_WINDOW;
	if (source >= 0) {
		stream->source_always_ready = !can_poll(io, source);
		stream->source_socket = is_socket(source);
	}
	if (sink >= 0) {
		stream->for_output = true;
		stream->sink_always_ready = !can_poll(io, sink);
		stream->sink_socket = is_socket(sink);
		stream->sink_may_block = !stream->sink_always_ready && !stream->sink_socket &&
					 !(fcntl(sink, F_GETFL) & O_NONBLOCK);
		stream->buffer = malloc(WIRE_STDIO_WINDOW);
		if (!stream->buffer) {
			error_set(err, ENOMEM, "make a stream");
			return NULL;
		}
	}
	return stream;
}

static void poll_source(struct io_stream *stream, bool on)
{
	struct epoll_event event = { .events = EPOLLIN,
				     .data.u64 = (uintptr_t)stream | IO_EVENT_SOURCE };

	if (stream->source_polled == on || stream->source_always_ready)
		return;
	epoll_ctl(stream->io->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, stream->source, &event);
	stream->source_polled = on;
}

static void poll_sink(struct io_stream *stream, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = (uintptr_t)stream };
	int op = stream->sink_polled ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (stream->sink_always_ready || (stream->sink_polled && stream->sink_events == events))
		return;
	epoll_ctl(stream->io->epoll, op, stream->sink, &event);
	stream->sink_polled = true;
	stream->sink_events = events;
}

void io_stream_close_source(struct io_stream *stream)
{
	if (stream->source < 0)
		return;
	poll_source(stream, false);
	close(stream->source);
	stream->source = -1;
}

static void close_sink(struct io_stream *stream)
{
	if (stream->sink < 0)
		return;
	if (stream->sink_polled)
		epoll_ctl(stream->io->epoll, EPOLL_CTL_DEL, stream->sink, NULL);
	stream->sink_polled = false;
	close(stream->sink);
	stream->sink = -1;
	stream->buffer_used = 0;
	free(stream->buffer);
	stream->buffer = NULL;
}

void io_stream_remove(struct io_stream *stream)
{
	struct io_stream **at = &stream->io->streams;

	while (*at != stream)
		at = &(*at)->next;
	*at = stream->next;
	io_stream_close_source(stream);
	close_sink(stream);
	socket_pump_free(stream->pump);
	free(stream);
}

/* The host's reader has gone: what the guest still writes there is lost, as it would be here. */
static int sink_broken(struct io_stream *stream, struct error *err)
{
	close_sink(stream);
	stream->written = stream->received;
	return io_channel_send(stream->io, WIRE_RESET, stream->id, NULL, 0, err);
}

int io_stream_sink_hangup(struct io_stream *stream, struct error *err)
{
	if (stream->sink < 0)
		return 0;
	return sink_broken(stream, err);
}

static int give_credit(struct io_stream *stream, struct error *err)
{
	uint8_t body[4];

	if (!stream->credit_owed || stream->guest_ended ||
	    (stream->credit_owed < WIRE_STDIO_WINDOW / 4 && stream->buffer_used))
		return 0;
	wire_encode_credit(body, stream->credit_owed);
	stream->credit_owed = 0;
	return io_channel_send(stream->io, WIRE_CREDIT, stream->id, body, sizeof(body), err);
}

static ssize_t write_some(struct io_stream *stream, const uint8_t *from, size_t size)
{
	if (stream->sink_socket)
		return send(stream->sink, from, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (stream->sink_may_block && size > PIPE_BUF)
		size = PIPE_BUF;
	return write(stream->sink, from, size);
}

int io_stream_sink_ready(struct io_stream *stream, struct error *err)
{
	while (stream->sink >= 0 && stream->buffer_used) {
		size_t part = WIRE_STDIO_WINDOW - stream->buffer_start;
		ssize_t n;

		if (part > stream->buffer_used)
			part = stream->buffer_used;
		n = write_some(stream, stream->buffer + stream->buffer_start, part);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0)
			return sink_broken(stream, err);
		stream->buffer_start = (stream->buffer_start + (size_t)n) % WIRE_STDIO_WINDOW;
		stream->buffer_used -= (size_t)n;
		stream->written += (uint64_t)n;
		stream->credit_owed += (uint32_t)n;
		if (stream->sink_may_block)
			break;
	}
	if (stream->sink_ended && !stream->buffer_used)
		close_sink(stream);
	return give_credit(stream, err);
}

static int receive_data(struct io_stream *stream, const struct wire_frame *frame, struct error *err)
{
	size_t at, part;

	if (!stream->for_output)
		return error_set(err, 0, "the guest sent data on stream %u, which is an input",
				 stream->id);
	if (stream->guest_ended)
		return error_set(err, 0, "the guest sent data on stream %u after its END",
				 stream->id);
	if (stream->sink < 0)
		return 0; /* crossed our RESET */
	if (frame->length > WIRE_STDIO_WINDOW - stream->buffer_used - stream->credit_owed)
		return error_set(err, 0, "the guest sent more on stream %u than it had credit for",
				 stream->id);
	at = (stream->buffer_start + stream->buffer_used) % WIRE_STDIO_WINDOW;
	part = WIRE_STDIO_WINDOW - at;
	if (part > frame->length)
		part = frame->length;
	memcpy(stream->buffer + at, frame->body, part);
	memcpy(stream->buffer, frame->body + part, frame->length - part);
	stream->buffer_used += frame->length;
	stream->received += frame->length;
	/* one that may block is written to when poll says so */
	return stream->sink_may_block ? 0 : io_stream_sink_ready(stream, err);
}

static int use_share_credit(struct io_stream *stream, const struct wire_frame *frame,
			    struct error *err)
{
	stream->share_used += frame->length;
	if (stream->share_used > WIRE_SHARE_WINDOW)
		return error_set(err, 0,
				 "the guest sent more file requests than it had credit for");
	return 0;
}

static int receive_request(struct io_stream *stream, const struct wire_frame *frame,
			   struct error *err)
{
	size_t size = stream->request_size + frame->length;
	uint8_t *request;

	if (size > SHARE_MAX_REQUEST)
		return error_set(err, 0, "the guest sent a file request of more than %u bytes",
				 SHARE_MAX_REQUEST);
	if (use_share_credit(stream, frame, err))
		return -1;
	if (size > stream->request_capacity) {
		size_t capacity = frame->flags & WIRE_MORE ? SHARE_MAX_REQUEST : size;

		request = realloc(stream->request, capacity);
		if (!request)
			return error_set(err, ENOMEM, "receive a file request");
		stream->request = request;
		stream->request_capacity = capacity;
	}
	memcpy(stream->request + stream->request_size, frame->body, frame->length);
	stream->request_size = size;
	if (frame->flags & WIRE_MORE)
		return 0;
	request = steal_pointer(&stream->request);
	stream->request_size = stream->request_capacity = 0;
	return share_submit(stream->io->pool, stream->share, request, size, err);
}

/* A READ or WRITE without its data. */
static int receive_pages(struct io_stream *stream, const struct wire_frame *frame,
			 struct error *err)
{
	struct share_data *data;
	uint8_t *request;

	if (stream->request_size)
		return error_set(err, 0, "the guest sent a file request amid another");
	if (use_share_credit(stream, frame, err))
		return -1;
	data = io_memory_data(stream->io, frame, err);
	if (!data)
		return -1;
	/* whole, as this is its credit */
	request = malloc(frame->length);
	if (!request) {
		free(data);
		return error_set(err, ENOMEM, "receive a file request");
	}
	memcpy(request, frame->body, frame->length);
	return share_submit_placed(stream->io->pool, stream->share, request, frame->length, data,
				   err);
}

static int receive_credit(struct io_stream *stream, const struct wire_frame *frame,
			  struct error *err)
{
	uint32_t bytes = wire_decode_credit(frame->body);

	if (bytes > WIRE_STDIO_WINDOW - stream->credit)
		return error_set(err, 0, "the guest gave back more credit on stream %u than it got",
				 stream->id);
	stream->credit += bytes;
	return 0;
}

int io_stream_receive(struct io_stream *stream, const struct wire_frame *frame, struct error *err)
{
	if (stream->kind == IO_STREAM_SOCKET)
		return io_socket_receive(stream, frame, err);
	if (stream->kind == IO_STREAM_SHARE) {
		if (frame->type == WIRE_DATA)
			return receive_request(stream, frame, err);
		if (frame->type == WIRE_PAGES)
			return receive_pages(stream, frame, err);
		if (frame->type == WIRE_CREDIT)
			return share_notify_credit(stream->share, wire_decode_credit(frame->body),
						   err);
		return error_set(err, 0, "the guest sent a frame of type %u on a share",
				 frame->type);
	}
	switch (frame->type) {
	case WIRE_DATA:
		return receive_data(stream, frame, err);
	case WIRE_END:
		stream->sink_ended = stream->guest_ended = true;
		if (!stream->buffer_used)
			close_sink(stream);
		return 0;
	case WIRE_RESET:
		io_stream_close_source(stream);
		return 0;
	default:
		return receive_credit(stream, frame, err);
	}
}

int io_stream_source_ready(struct io_stream *stream, struct error *err)
{
	uint8_t buffer[WIRE_BODY_MAX];
	size_t size = stream->credit < sizeof(buffer) ? stream->credit : sizeof(buffer);
	ssize_t n;

	if (stream->source < 0 || !size)
		return 0;
	if (stream->source_socket)
		n = recv(stream->source, buffer, size, MSG_DONTWAIT);
	else
		n = read(stream->source, buffer, size);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) { /* an error is an end too: EIO of a terminal that was hung up */
		io_stream_close_source(stream);
		return io_channel_send(stream->io, WIRE_END, stream->id, NULL, 0, err);
	}
	stream->credit -= (uint32_t)n;
	return io_channel_send(stream->io, WIRE_DATA, stream->id, buffer, (size_t)n, err);
}

static int update(struct io_stream *stream, bool *again, struct error *err)
{
	const struct io_port *port = &stream->io->ports[wire_port(stream->id)];
	bool want_read =
		stream->source >= 0 && stream->credit > 0 && port->queue_bytes < IO_QUEUE_HIGH;

	if (!stream->process->made)
		return 0;
	if (stream->source >= 0)
		poll_source(stream, want_read);
	if (want_read && stream->source_always_ready) {
		*again = true;
		if (io_stream_source_ready(stream, err))
			return -1;
	}
	/* without events to wait for, poll still tells of a reader that has gone */
	if (stream->sink >= 0)
		poll_sink(stream, stream->buffer_used ? EPOLLOUT : 0);
	if (stream->sink >= 0 && stream->sink_always_ready && stream->buffer_used)
		return io_stream_sink_ready(stream, err);
	return 0;
}

int io_stream_update_all(struct io *io, bool *again, struct error *err)
{
	for (struct io_stream *s = io->streams; s; s = s->next)
		if (s->kind == IO_STREAM_STDIO && update(s, again, err))
			return -1;
	return 0;
}
