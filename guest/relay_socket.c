/*
 * Sockets of the host: a listener in this VM stands for each. Who connects to it
 * is accepted here, and the host asked for a connection of its own; the stream
 * that it answers with carries both ways (socket_pump.h). More connections than
 * the host grants wait where they would without us, in the listener's backlog.
 *
 * Datagrams have no connections: the bound socket itself is the end of one stream,
 * which is asked for when the first of them comes.
 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "kmsg.h"

/* Less room than this in the output is not worth a frame. */
#define READ_MIN 4096u

/* Takes fd. */
static int ask_host(struct relay *relay, struct stream *listener, int fd, struct error *err)
{
	struct connecting *connecting = calloc(1, sizeof(*connecting));
	const struct control_message request = { .op = CONTROL_CONNECT,
						 .token = ++relay->last_token,
						 .stream = listener->id };
	CLEANUP_FREE char *text = control_print(&request, err);

	if (!connecting || !text ||
	    text_queue_add(&relay->ports[WIRE_PORT_CONTROL].texts, text, strlen(text), err) < 0) {
		close(fd);
		free(connecting);
		return error_set(err, ENOMEM, "connection");
	}
	connecting->token = relay->last_token;
	connecting->listener = listener->id;
	connecting->type = listener->socket_type;
	connecting->fd = fd;
	connecting->next = relay->connecting;
	relay->connecting = connecting;
	relay->sockets++;
	return 0;
}

static int next_connection(struct stream *listener)
{
	if (listener->socket_type != SOCK_DGRAM)
		return accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	listener->datagrams_asked = true;
	return fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);
}

bool socket_accept(struct relay *relay, struct stream *listener)
{
	struct error err = { 0 };
	int fd;

	if (listener->fd < 0 || !listener->readable || listener->datagrams_asked ||
	    relay->sockets >= WIRE_SOCKETS_MAX)
		return false;
	fd = next_connection(listener);
	if (fd < 0) {
		listener->readable = errno == EINTR || errno == ECONNABORTED;
		return listener->readable;
	}
	if (ask_host(relay, listener, fd, &err) < 0)
		kmsg_error("socket %u: %s", listener->id, err.message);
	return true;
}

static struct connecting *take_connecting(struct relay *relay, uint32_t token)
{
	struct connecting **at = &relay->connecting, *found;

	while (*at && (*at)->token != token)
		at = &(*at)->next;
	found = *at;
	if (found)
		*at = found->next;
	return found;
}

/* The next datagram asks again; those that are here are lost, as their server is. */
static void datagrams_refused(struct relay *relay, const struct connecting *connecting)
{
	struct stream *listener = relay_find(relay, connecting->listener);
	char byte;

	if (!listener || connecting->type != SOCK_DGRAM)
		return;
	while (recv(connecting->fd, &byte, 1, MSG_DONTWAIT) >= 0)
		;
	listener->datagrams_asked = listener->readable = false;
}

static int open_stream(struct relay *relay, const struct connecting *connecting, uint32_t id,
		       struct error *err)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	struct stream *stream = relay_announce(relay, id, STREAM_SOCKET, err);

	if (!stream)
		return -1;
	stream->attached = true;
	stream->epoll = relay->epoll;
	stream->listener = connecting->listener;
	stream->socket_type = connecting->type;
	/* all that the host may send is owed, so that it hears of a stream that is ready */
	stream->pump = socket_pump_new(connecting->fd, connecting->type, WIRE_SOCKET_WINDOW,
				       WIRE_SOCKET_WINDOW);
	event.data.ptr = stream;
	if (!stream->pump || epoll_ctl(relay->epoll, EPOLL_CTL_ADD, connecting->fd, &event) < 0)
		return error_set(err, errno, "stream %u", id);
	return 0;
}

int socket_connected(struct relay *relay, const struct control_message *message, struct error *err)
{
	CLEANUP_FREE struct connecting *connecting = take_connecting(relay, message->token);

	if (!connecting)
		return error_set(err, 0, "an answer to connection %u, which was not asked for",
				 message->token);
	if (message->stream)
		return open_stream(relay, connecting, message->stream, err);
	datagrams_refused(relay, connecting);
	close(connecting->fd);
	relay->sockets--;
	return 0;
}

void socket_gone(struct relay *relay, uint32_t id)
{
	struct stream *listener = relay_find(relay, id);

	for (struct stream *s = relay->streams; s; s = s->next)
		if (s->kind == STREAM_SOCKET && s->listener == id && s->socket_type == SOCK_DGRAM)
			socket_pump_break(s->pump);
	if (!listener)
		return;
	listener->host_reset = true;
	if (!listener->attached)
		return;
	stream_close_fd(listener);
	listener->finished = true;
}

int socket_receive(struct stream *stream, const struct wire_frame *frame, struct error *err)
{
	if (socket_pump_receive(stream->pump, frame->type, frame->flags, frame->body, frame->length,
				err) < 0)
		return error_prefix(err, "channel: stream %u", stream->id);
	return 0;
}

static bool read_some(struct stream *stream)
{
	struct output *output = &stream->port->output;
	size_t room = output_room(output), n;

	if (room < (stream->socket_type == SOCK_STREAM ? READ_MIN : WIRE_BODY_MAX) ||
	    !socket_pump_wants_read(stream->pump))
		return false;
	n = socket_pump_read(stream->pump, output_body(output, room), room);
	if (n)
		output_commit(output, WIRE_DATA, 0, stream->id, n);
	return n || socket_pump_wants_read(stream->pump);
}

bool socket_serve(struct stream *stream)
{
	bool progress = socket_pump_write(stream->pump);
	uint8_t body[4], type;
	size_t size;

	progress |= read_some(stream);
	while ((type = socket_pump_owes(stream->pump, body, &size))) {
		if (!output_frame(&stream->port->output, type, 0, stream->id, body, size))
			return progress;
		socket_pump_sent(stream->pump, type);
		progress = true;
	}
	stream->finished = socket_pump_finished(stream->pump);
	return progress;
}
