/* See relay.h: the loop, events, and what pid 1 says. */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "cleanup.h"

/* Rounds without a look at new events. */
#define ROUNDS_MAX 16
#define EVENTS_MAX 32
/* Until what was busy is tried again. */
#define BUSY_MS 1

static int watch(struct relay *relay, int fd, uint32_t events, void *who, struct error *err)
{
	struct epoll_event event = { .events = events, .data.ptr = who };

	if (epoll_ctl(relay->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return error_set(err, errno, "epoll_ctl");
	return 0;
}

/*
 * A copy of fd that some process still has would keep it watched, and events
 * coming for a stream that is freed: it is taken out first.
 */
void stream_close_fd(struct stream *stream)
{
	if (stream->fd < 0)
		return;
	epoll_ctl(stream->epoll, EPOLL_CTL_DEL, stream->fd, NULL);
	if (stream->kind == STREAM_STDIN || stream->kind == STREAM_OUTPUT)
		pipe_close(steal_fd(&stream->fd));
	else
		close(steal_fd(&stream->fd));
}

/* Fails only when there is nobody to see it. */
static void set_size(const struct stream *stream)
{
	const struct winsize size = { .ws_col = stream->width, .ws_row = stream->height };

	if (stream->kind == STREAM_TERMINAL && stream->fd >= 0 && stream->width)
		ioctl(stream->fd, TIOCSWINSZ, &size);
}

static int attach(struct relay *relay, const struct message *message, int *fd, struct error *err)
{
	struct stream *stream = relay_find(relay, message->stream);

	if (!stream || stream->attached || message->kind >= STREAM_KINDS || *fd < 0)
		return error_set(err, 0, "pid 1 attached stream %u wrongly", message->stream);
	stream->kind = message->kind;
	stream->attached = true;
	stream->fd = steal_fd(fd);
	stream->epoll = relay->epoll;
	stream->readable = stream->writable = true;
	if (fcntl(stream->fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return error_set(err, errno, "make stream %u non-blocking", stream->id);
	set_size(stream);
	if (stream->kind == STREAM_LISTENER && stream->host_reset) {
		stream_close_fd(stream);
		stream->finished = true;
		return 0;
	}
	if (stream->host_reset) {
		stdio_reset(stream);
		return 0;
	}
	if (stream->port->carried)
		return memory_carry(stream, err);
	return watch(relay, stream->fd, EPOLLIN | EPOLLOUT | EPOLLET, stream, err);
}

static void drop(struct relay *relay, uint32_t id)
{
	struct stream *stream = relay_find(relay, id);

	if (stream && !stream->attached)
		stream->finished = true;
}

static void resize(struct relay *relay, const struct message *message)
{
	struct stream *stream = relay_find(relay, message->stream);

	if (!stream)
		return;
	stream->width = message->width;
	stream->height = message->height;
	set_size(stream);
}

/* Returns 1 when pid 1 has closed, which ends the relay. */
static int receive_message(struct relay *relay, bool *progress, struct error *err)
{
	static char text[WIRE_CONTROL_MAX_TO_HOST];
	size_t size = sizeof(text);
	struct message message = { 0 };
	CLEANUP_CLOSE int fd = -1;
	int result = message_receive(relay->socket, &message, &fd, text, &size, MSG_DONTWAIT);

	if (result < 0 && errno == EAGAIN) {
		relay->socket_moves = false;
		return 0;
	}
	if (result < 0)
		return error_set(err, errno, "receive from pid 1");
	if (result == 0)
		return 1;
	*progress = true;
	switch (message.type) {
	case MESSAGE_ATTACH:
		return attach(relay, &message, &fd, err);
	case MESSAGE_DROP:
		drop(relay, message.stream);
		return 0;
	case MESSAGE_RESIZE:
		resize(relay, &message);
		return 0;
	case MESSAGE_EXIT:
		return stdio_exit(relay, &message, text, size, err);
	case MESSAGE_CONTROL:
		return text_queue_add(&relay->ports[WIRE_PORT_CONTROL].texts, text, size, err);
	default:
		return error_set(err, 0, "unknown message %u from pid 1", message.type);
	}
}

static void free_stream(struct relay *relay, struct stream *stream)
{
	notify_end(relay, stream);
	stream_close_fd(stream);
	if (stream->input)
		munmap(stream->input, WIRE_STDIO_WINDOW);
	if (stream->reply)
		munmap(stream->reply, SHARE_REPLY_MAX);
	if (stream->pump) {
		/* of datagrams the listener has a copy */
		epoll_ctl(stream->epoll, EPOLL_CTL_DEL, stream->pump->fd, NULL);
		socket_pump_free(stream->pump);
	}
	free(stream);
}

static void free_finished(struct relay *relay)
{
	for (struct stream **link = &relay->streams; *link;) {
		struct stream *stream = *link;

		/* The request on its way out is of this stream: its last frame must come. */
		if (!stream->finished || relay->request_stream == stream) {
			link = &stream->next;
			continue;
		}
		*link = stream->next;
		relay->sockets -= stream->kind == STREAM_SOCKET;
		free_stream(relay, stream);
	}
}

/* The first becomes the last, so that no stream is always served first. */
static void rotate(struct relay *relay)
{
	struct stream *first = relay->streams, **last = &relay->streams;

	if (!first || !first->next)
		return;
	relay->streams = first->next;
	first->next = NULL;
	while (*last)
		last = &(*last)->next;
	*last = first;
}

/* Each stream moves at most one frame. */
static bool serve_streams(struct relay *relay)
{
	bool progress = share_send_request(relay);

	relay->busy = false;
	rotate(relay);
	for (struct stream *s = relay->streams; s; s = s->next) {
		if (s->finished)
			continue;
		if (s->kind == STREAM_SHARE) {
			progress |= share_read(relay, s);
			progress |= notify_give_credit(relay, s);
			continue;
		}
		if (s->kind == STREAM_LISTENER) {
			progress |= socket_accept(relay, s);
			continue;
		}
		if (s->kind == STREAM_SOCKET) {
			progress |= socket_serve(s);
			continue;
		}
		if (s->kind != STREAM_OUTPUT)
			progress |= stdio_write(s);
		if (s->kind != STREAM_STDIN)
			progress |= stdio_read(s);
		progress |= stdio_send_owed(s);
		relay->busy |= s->busy;
		s->busy = false;
	}
	free_finished(relay);
	return progress;
}

/* Returns 1 when the host is gone. */
static int flush(struct relay *relay, struct port *port, bool *progress)
{
	struct output *output = &port->output;

	*progress |= text_queue_send(&port->texts, output);
	while (output->begin < output->end) {
		const uint8_t *bytes = output->data + output->begin;
		size_t size = output->end - output->begin;
		ssize_t n = relay->ops->write(port->channel, bytes, size);

		if (n < 0)
			return 1;
		if (n == 0)
			return 0;
		output->begin += n;
		*progress = true;
	}
	output->begin = output->end = 0;
	return 0;
}

/* Moves what can be moved. Returns 1 when the relay has to end. */
static int serve_round(struct relay *relay, bool *progress, struct error *err)
{
	int result = 0;

	for (unsigned int i = 0; !result && i < relay->ports_count; i++)
		result = relay_receive(relay, &relay->ports[i], progress, err);
	if (result)
		return result;
	result = relay_forward_control(relay, progress, err);
	while (!result && relay->socket_moves)
		result = receive_message(relay, progress, err);
	if (result)
		return result;
	*progress |= serve_streams(relay);
	*progress |= stdio_report_exits(relay);
	for (unsigned int i = 0; !result && i < relay->ports_count; i++)
		result = flush(relay, &relay->ports[i], progress);
	return result;
}

static struct port *port_of_event(struct relay *relay, const void *who)
{
	for (unsigned int i = 0; i < relay->ports_count; i++)
		if (who == &relay->ports[i])
			return &relay->ports[i];
	return NULL;
}

static void stream_event(struct stream *stream, uint32_t events)
{
	if (stream->kind == STREAM_SOCKET) {
		socket_pump_event(stream->pump, events);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		stream->readable = true;
	if (events & (EPOLLOUT | EPOLLERR))
		stream->writable = true;
	if (stream->kind == STREAM_STDIN && events & EPOLLERR && stream->fd >= 0) {
		stream->owe_reset = true;
		stdio_close(stream);
	}
}

/* Returns 1 when the host is gone. */
static int take_events(struct relay *relay, int timeout, struct error *err)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(relay->epoll, events, EVENTS_MAX, timeout);
	eventfd_t done;

	if (count < 0 && errno != EINTR)
		return error_set(err, errno, "epoll_wait");
	for (int i = 0; i < count; i++) {
		struct port *port = port_of_event(relay, events[i].data.ptr);

		if (port)
			port->readable = true;
		if (events[i].data.ptr == &relay->socket)
			relay->socket_moves = true;
		else if (events[i].data.ptr == &relay->notify_event)
			eventfd_read(relay->notify_event, &done);
		else if (!port)
			stream_event(events[i].data.ptr, events[i].events);
		else if (events[i].events & EPOLLIN && relay->ops->acknowledge(port->channel) < 0)
			return 1;
	}
	return 0;
}

static int open_port(struct relay *relay, unsigned int number, struct error *err)
{
	struct port *port = &relay->ports[number];

	text_queue_init(&port->texts);
	port->readable = true;
	port->channel = relay->ops->open(number, err);
	if (!port->channel)
		return -1;
	return watch(relay, relay->ops->fd(port->channel), relay->ops->events, port, err);
}

static int set_up(struct relay *relay, const struct channel_ops *ops, int socket, struct error *err)
{
	relay->ops = ops;
	relay->socket = socket;
	relay->control = -1;
	relay->socket_moves = true;
	relay->epoll = epoll_create1(EPOLL_CLOEXEC);
	relay->notify_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (relay->epoll < 0 || relay->notify_event < 0)
		return error_set(err, errno, "epoll_create1 and eventfd");
	if (watch(relay, relay->notify_event, EPOLLIN, &relay->notify_event, err))
		return -1;
	for (unsigned int i = 0; i < relay->ports_count; i++)
		if (open_port(relay, i, err) < 0)
			return -1;
	return watch(relay, socket, EPOLLIN | EPOLLOUT | EPOLLET, &relay->socket, err);
}

int relay_run(const struct boot_options *options, int socket, struct error *err)
{
	const unsigned int ports = options->ports;
	struct relay *relay = mmap(NULL, sizeof(*relay) + ports * sizeof(relay->ports[0]),
				   PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int result;

	if (relay == MAP_FAILED)
		return error_set(err, errno, "memory for the relay");
	relay->ports_count = ports;
	relay_protect_self();
	result = set_up(relay, options->channel, socket, err);
	if (!result && options->memory && ports > WIRE_PORT_MEMORY)
		relay_prepare_memory(relay);
	while (!result) {
		bool progress = true;

		for (int i = 0; i < ROUNDS_MAX && progress && !result; i++) {
			progress = false;
			result = serve_round(relay, &progress, err);
		}
		if (!result)
			result = take_events(relay, progress ? 0 : relay->busy ? BUSY_MS : -1, err);
	}
	return result < 0 ? -1 : 0;
}
