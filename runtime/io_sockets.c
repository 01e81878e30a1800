/*
 * Sockets of the host that config.json binds. In the guest a listener stands for
 * each; what connects there is connected, here, to the server that has the very
 * inode that was bound. A unix socket's inode lives once: when its server closes
 * it, nobody will ever listen there again, and the guest is told, so that a
 * connect() inside fails as one on the host does. There is no event for that, so
 * each socket is looked at once a second, in a way that no server notices.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"

#define LOOK_MS	 1000
#define RETRY_MS 20
/* Answers that a guest does not take would otherwise pile up without end. */
#define ANSWERS_HIGH (2u * IO_REPLIES_HIGH)

struct io_socket {
	struct io_socket *next;
	int fd; /* O_PATH, of the inode */
	int type;
	bool gone;
	uint32_t stream; /* its name */
	size_t share;	 /* index in io->shares */
};

/* A connection for which the server's backlog has no room yet. */
struct io_connect {
	struct io_connect *next;
	struct io_socket *socket;
	uint32_t token;
};

static int open_socket(int type)
{
	return socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Returns 0 or an errno. */
static int connect_to(int fd, int inode)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", inode);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) ? errno : 0;
}

static int try_type(int inode, int type)
{
	CLEANUP_CLOSE int fd = open_socket(type);

	return fd < 0 ? errno : connect_to(fd, inode);
}

/* A socket of another type is refused by a word of its own, before the server hears of it. */
static bool is_gone(const struct io_socket *socket)
{
	return try_type(socket->fd, socket->type == SOCK_DGRAM ? SOCK_STREAM : SOCK_DGRAM) ==
	       ECONNREFUSED;
}

/* EPERM: a datagram socket that listens to one sender only. */
static int find_type(int inode, int *type, struct error *err)
{
	int errnum = try_type(inode, SOCK_DGRAM);

	switch (errnum) {
	case 0:
	case EPERM:
		*type = SOCK_DGRAM;
		return 0;
	case ECONNREFUSED:
		*type = 0;
		return 0;
	case EPROTOTYPE:
		*type = try_type(inode, SOCK_SEQPACKET) == EPROTOTYPE ? SOCK_STREAM
								      : SOCK_SEQPACKET;
		return 0;
	default:
		return error_set(err, errnum, "connect to the socket");
	}
}

int io_socket_add(struct io *io, int fd, const struct stat *st, struct control_share *share,
		  struct error *err)
{
	CLEANUP_CLOSE int owned = fd;
	struct io_socket *socket = calloc(1, sizeof(*socket));

	if (!socket)
		return error_set(err, ENOMEM, "bind a socket");
	if (find_type(fd, &socket->type, err)) {
		free(socket);
		return -1;
	}
	share->kind = CONTROL_SHARE_SOCKET;
	share->socket_type = (uint32_t)socket->type;
	share->mode = st->st_mode & 07777;
	share->uid = st->st_uid;
	share->gid = st->st_gid;
	socket->fd = steal_fd(&owned);
	socket->gone = !socket->type;
	socket->share = (size_t)(share - io->shares);
	socket->next = io->sockets;
	if (!io->sockets)
		io->sockets_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	io->sockets = socket;
	return io->sockets_timer < 0 ? error_set(err, errno, "timerfd_create") : 0;
}

static void set_timer(const struct io *io)
{
	const struct io_socket *s = io->sockets;
	struct itimerspec timer = { 0 };

	while (s && s->gone)
		s = s->next;
	if (io->connects)
		timer.it_value.tv_nsec = RETRY_MS * 1000000L;
	else if (s)
		timer.it_value.tv_sec = LOOK_MS / 1000;
	timerfd_settime(io->sockets_timer, 0, &timer, NULL);
}

void io_sockets_place(struct io *io)
{
	for (struct io_socket *s = io->sockets; s; s = s->next) {
		s->stream = io_stream_reserve_id(io);
		io->shares[s->share].stream = s->stream;
	}
	if (io->sockets)
		set_timer(io);
}

static int tell_gone(struct io *io, struct io_socket *socket, struct error *err)
{
	const struct control_message gone = { .op = CONTROL_GONE, .stream = socket->stream };

	if (socket->gone)
		return 0;
	socket->gone = true;
	return io_control_send(io, &gone, err);
}

static int answer(struct io *io, uint32_t token, uint32_t stream, int errnum, struct error *err)
{
	const struct control_message connected = {
		.op = CONTROL_CONNECTED,
		.token = token,
		.stream = stream,
		.error = errnum ? strerror(errnum) : NULL,
	};

	if (errnum)
		io->connections--;
	return io_control_send(io, &connected, err);
}

static int begin_stream(struct io *io, const struct io_socket *socket, int fd, uint32_t token,
			struct error *err)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	/* without credit: the guest gives it when it knows the stream */
	struct socket_pump *pump = socket_pump_new(fd, socket->type, 0, 0);
	struct io_stream *stream;

	if (!pump) {
		close(fd);
		return answer(io, token, 0, ENOMEM, err);
	}
	stream = io_stream_socket(io, pump, err);
	if (!stream) {
		socket_pump_free(pump);
		return -1;
	}
	event.data.u64 = (uintptr_t)stream;
	if (epoll_ctl(io->epoll, EPOLL_CTL_ADD, fd, &event))
		return error_set(err, errno, "epoll_ctl");
	return answer(io, token, stream->id, 0, err);
}

/* *later: there is no room for one more in the server's backlog. */
static int try_connect(struct io *io, struct io_socket *socket, uint32_t token, bool *later,
		       struct error *err)
{
	int fd = open_socket(socket->type);
	int errnum = fd < 0 ? errno : connect_to(fd, socket->fd);

	*later = errnum == EAGAIN;
	if (!errnum)
		return begin_stream(io, socket, fd, token, err);
	if (fd >= 0)
		close(fd);
	if (*later)
		return 0;
	/* the word that no one listens goes first: who is told of a refusal may try again */
	if (errnum == ECONNREFUSED && is_gone(socket) && tell_gone(io, socket, err))
		return -1;
	return answer(io, token, 0, errnum, err);
}

static int wait_for_room(struct io *io, struct io_socket *socket, uint32_t token, struct error *err)
{
	struct io_connect *connect = calloc(1, sizeof(*connect)), **last = &io->connects;

	if (!connect)
		return answer(io, token, 0, ENOMEM, err);
	connect->socket = socket;
	connect->token = token;
	while (*last)
		last = &(*last)->next;
	*last = connect;
	set_timer(io);
	return 0;
}

int io_socket_connect(struct io *io, uint32_t stream, uint32_t token, struct error *err)
{
	struct io_socket *socket = io->sockets;
	bool later = false;

	while (socket && socket->stream != stream)
		socket = socket->next;
	if (!socket)
		return error_set(err, 0,
				 "the guest asked for a connection to %u, which is no socket",
				 stream);
	if (io->connections >= WIRE_SOCKETS_MAX)
		return error_set(err, 0, "the guest asked for more than %u connections to sockets",
				 WIRE_SOCKETS_MAX);
	if (io->ports[WIRE_PORT_CONTROL].queue_bytes > ANSWERS_HIGH ||
	    io->ports[wire_port_of_stdio(io->ports_count)].queue_bytes > ANSWERS_HIGH)
		return error_set(err, 0, "the guest asks for connections and takes no answers");
	io->connections++;
	if (socket->gone)
		return answer(io, token, 0, ECONNREFUSED, err);
	if (try_connect(io, socket, token, &later, err))
		return -1;
	return later ? wait_for_room(io, socket, token, err) : 0;
}

static int retry(struct io *io, struct error *err)
{
	struct io_connect **at = &io->connects;

	while (*at) {
		struct io_connect *connect = *at;
		bool later;

		if (try_connect(io, connect->socket, connect->token, &later, err))
			return -1;
		if (later) {
			at = &connect->next;
			continue;
		}
		*at = connect->next;
		free(connect);
	}
	return 0;
}

int io_sockets_timer(struct io *io, struct error *err)
{
	uint64_t expired;

	if (read(io->sockets_timer, &expired, sizeof(expired)) < 0)
		return 0;
	if (retry(io, err))
		return -1;
	for (struct io_socket *s = io->sockets; s; s = s->next)
		if (!s->gone && is_gone(s) && tell_gone(io, s, err))
			return -1;
	set_timer(io);
	return 0;
}

int io_socket_receive(struct io_stream *stream, const struct wire_frame *frame, struct error *err)
{
	if (socket_pump_receive(stream->pump, frame->type, frame->flags, frame->body, frame->length,
				err))
		return error_prefix(err, "the guest sent");
	return 0;
}

void io_socket_event(struct io_stream *stream, uint32_t events)
{
	socket_pump_event(stream->pump, events);
}

static int send_owed(struct io_stream *stream, struct error *err)
{
	uint8_t body[4], type;
	size_t size;

	while ((type = socket_pump_owes(stream->pump, body, &size))) {
		if (io_channel_send(stream->io, type, stream->id, body, size, err))
			return -1;
		socket_pump_sent(stream->pump, type);
	}
	return 0;
}

static int update(struct io_stream *stream, bool *again, struct error *err)
{
	const struct io_port *port = &stream->io->ports[wire_port(stream->id)];
	uint8_t body[WIRE_BODY_MAX];
	size_t size;

	socket_pump_write(stream->pump);
	if (port->queue_bytes < IO_QUEUE_HIGH) {
		size = socket_pump_read(stream->pump, body, sizeof(body));
		if (size && io_channel_send(stream->io, WIRE_DATA, stream->id, body, size, err))
			return -1;
		*again |= socket_pump_wants_read(stream->pump);
	}
	return send_owed(stream, err);
}

int io_sockets_update(struct io *io, bool *again, struct error *err)
{
	struct io_stream *next;

	for (struct io_stream *s = io->streams; s; s = next) {
		next = s->next;
		if (s->kind != IO_STREAM_SOCKET)
			continue;
		if (update(s, again, err))
			return -1;
		if (!socket_pump_finished(s->pump))
			continue;
		io_stream_remove(s);
		io->connections--;
	}
	return 0;
}
