/*
 * See socket_pump.h. The ring takes exactly the credit that was given: a message
 * stands in it behind its length, which is what WIRE_MESSAGE_COST pays for.
 */
#include "socket_pump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

/* Credit is given back in portions of at least this, or when all is written. */
#define CREDIT_MIN (WIRE_SOCKET_WINDOW / 8)

struct socket_pump *socket_pump_new(int fd, int type, uint32_t credit, uint32_t owed)
{
	struct socket_pump *pump = calloc(1, sizeof(*pump));

	if (!pump)
		return NULL;
	pump->fd = fd;
	pump->type = type;
	pump->readable = pump->writable = true;
	pump->credit = credit;
	pump->owe_credit = owed;
	return pump;
}

void socket_pump_free(struct socket_pump *pump)
{
	if (!pump)
		return;
	close(pump->fd);
	free(pump->ring);
	free(pump);
}

static bool has_messages(const struct socket_pump *pump)
{
	return pump->type != SOCK_STREAM;
}

static size_t cost_of(const struct socket_pump *pump, size_t size)
{
	return size + (has_messages(pump) ? WIRE_MESSAGE_COST : 0);
}

static void drop_ring(struct socket_pump *pump)
{
	free(pump->ring);
	pump->ring = NULL;
	pump->begin = pump->used = 0;
}

static void end_read(struct socket_pump *pump)
{
	pump->owe_end |= !pump->read_over;
	pump->read_over = true;
}

/* Nobody reads there any more: what is still to be written is lost, as it would be without us. */
static void break_write(struct socket_pump *pump)
{
	if (pump->write_over)
		return;
	pump->write_over = pump->owe_reset = true;
	pump->owe_credit = 0;
	drop_ring(pump);
	/* a datagram socket has one way only */
	if (pump->type == SOCK_DGRAM)
		end_read(pump);
}

void socket_pump_break(struct socket_pump *pump)
{
	break_write(pump);
	end_read(pump);
}

void socket_pump_event(struct socket_pump *pump, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		pump->readable = true;
	if (events & (EPOLLOUT | EPOLLERR))
		pump->writable = true;
	/* both ways: the other end is closed, or was told by our own shutdown */
	if (events & EPOLLHUP)
		break_write(pump);
}

/* --- to the socket --- */

/* Bytes taken; 0: none now, or none any more. */
static size_t send_some(struct socket_pump *pump, const uint8_t *data, size_t size)
{
	ssize_t n;

	do {
		n = send(pump->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n;
	if (errno == EAGAIN)
		pump->writable = false;
	else if (errno == EMSGSIZE && pump->type == SOCK_DGRAM)
		return size; /* a datagram that is not taken is lost */
	else
		break_write(pump);
	return 0;
}

static void ring_put(struct socket_pump *pump, const void *data, size_t size)
{
	size_t end = (pump->begin + pump->used) % WIRE_SOCKET_WINDOW;
	size_t first = size < WIRE_SOCKET_WINDOW - end ? size : WIRE_SOCKET_WINDOW - end;

	memcpy(pump->ring + end, data, first);
	memcpy(pump->ring, (const uint8_t *)data + first, size - first);
	pump->used += size;
}

/* Copies from the ring, without taking. */
static void ring_peek(const struct socket_pump *pump, size_t skip, void *data, size_t size)
{
	size_t begin = (pump->begin + skip) % WIRE_SOCKET_WINDOW;
	size_t first = size < WIRE_SOCKET_WINDOW - begin ? size : WIRE_SOCKET_WINDOW - begin;

	memcpy(data, pump->ring + begin, first);
	memcpy((uint8_t *)data + first, pump->ring, size - first);
}

static void ring_take(struct socket_pump *pump, size_t size)
{
	pump->begin = (pump->begin + size) % WIRE_SOCKET_WINDOW;
	pump->used -= size;
	pump->owe_credit += (uint32_t)size;
}

static int queue(struct socket_pump *pump, const uint8_t *data, size_t size, struct error *err)
{
	uint32_t length = (uint32_t)size;

	if (!pump->ring)
		pump->ring = malloc(WIRE_SOCKET_WINDOW);
	if (!pump->ring)
		return error_set(err, ENOMEM, "buffer of a socket");
	if (has_messages(pump))
		ring_put(pump, &length, sizeof(length));
	ring_put(pump, data, size);
	return 0;
}

static size_t write_message(struct socket_pump *pump)
{
	uint8_t message[WIRE_BODY_MAX];
	uint32_t length;

	ring_peek(pump, 0, &length, sizeof(length));
	ring_peek(pump, sizeof(length), message, length);
	return send_some(pump, message, length) ? sizeof(length) + length : 0;
}

static size_t write_bytes(struct socket_pump *pump)
{
	size_t size = WIRE_SOCKET_WINDOW - pump->begin;

	return send_some(pump, pump->ring + pump->begin, size < pump->used ? size : pump->used);
}

static void finish_writing(struct socket_pump *pump)
{
	if (!pump->peer_ended || pump->used || pump->write_over)
		return;
	shutdown(pump->fd, SHUT_WR);
	pump->write_over = true;
}

bool socket_pump_write(struct socket_pump *pump)
{
	bool progress = false;

	while (pump->used && pump->writable) {
		size_t n = has_messages(pump) ? write_message(pump) : write_bytes(pump);

		if (!n)
			break;
		ring_take(pump, n);
		progress = true;
	}
	if (pump->ring && !pump->used)
		drop_ring(pump);
	finish_writing(pump);
	return progress;
}

static int receive_data(struct socket_pump *pump, const uint8_t *body, size_t size,
			struct error *err)
{
	size_t cost = cost_of(pump, size), written = 0;

	if (pump->peer_ended)
		return error_set(err, 0, "data after the end of a socket's stream");
	if (pump->write_over)
		return 0; /* crossed our RESET */
	if (pump->used + pump->owe_credit + cost > WIRE_SOCKET_WINDOW)
		return error_set(err, 0, "data without credit on a socket's stream");
	if (!pump->used && pump->writable)
		written = send_some(pump, body, size);
	if (pump->write_over)
		return 0;
	if (written < size)
		pump->owe_credit += (uint32_t)written;
	else
		pump->owe_credit += (uint32_t)cost;
	return written < size ? queue(pump, body + written, size - written, err) : 0;
}

static int receive_credit(struct socket_pump *pump, const uint8_t *body, struct error *err)
{
	uint32_t bytes = wire_decode_credit(body);

	if (bytes > WIRE_SOCKET_WINDOW - pump->credit)
		return error_set(err, 0, "too much credit for a socket's stream");
	pump->credit += bytes;
	return 0;
}

int socket_pump_receive(struct socket_pump *pump, uint8_t type, uint8_t flags, const uint8_t *body,
			size_t size, struct error *err)
{
	if (flags)
		return error_set(err, 0, "a part of a message on a socket's stream");
	switch (type) {
	case WIRE_DATA:
		return receive_data(pump, body, size, err);
	case WIRE_END:
		pump->peer_ended = true;
		finish_writing(pump);
		return 0;
	case WIRE_RESET:
		if (!pump->read_over)
			shutdown(pump->fd, SHUT_RD);
		end_read(pump);
		if (pump->type == SOCK_DGRAM)
			break_write(pump);
		return 0;
	case WIRE_CREDIT:
		return receive_credit(pump, body, err);
	default:
		return error_set(err, 0, "a frame of type %u on a socket's stream", type);
	}
}

/* --- from the socket --- */

bool socket_pump_wants_read(const struct socket_pump *pump)
{
	if (pump->read_over || !pump->readable)
		return false;
	/* a message is taken as a whole, so there is room for the largest */
	return pump->credit >= (has_messages(pump) ? cost_of(pump, WIRE_BODY_MAX) : 1);
}

size_t socket_pump_read(struct socket_pump *pump, uint8_t *body, size_t size)
{
	ssize_t n;

	if (!socket_pump_wants_read(pump))
		return 0;
	if (size > pump->credit)
		size = pump->credit;
	/* no control message is asked for: descriptors that come along are closed by the kernel */
	n = recv(pump->fd, body, size, MSG_DONTWAIT | (has_messages(pump) ? MSG_TRUNC : 0));
	if (n < 0 && errno == EINTR)
		return 0;
	if (n < 0 && errno == EAGAIN) {
		pump->readable = false;
		return 0;
	}
	if (n == 0 && pump->type == SOCK_DGRAM)
		return 0; /* an empty datagram: no frame can say it */
	if (n > 0 && (size_t)n > size) {
		socket_pump_break(pump); /* larger than a frame: better an end than a part */
		return 0;
	}
	if (n <= 0) {
		end_read(pump);
		return 0;
	}
	pump->credit -= (uint32_t)cost_of(pump, (size_t)n);
	return (size_t)n;
}

/* --- what is owed --- */

static bool owes_credit(const struct socket_pump *pump)
{
	return pump->owe_credit && !pump->peer_ended && !pump->write_over &&
	       (pump->owe_credit >= CREDIT_MIN || !pump->used);
}

uint8_t socket_pump_owes(const struct socket_pump *pump, uint8_t body[4], size_t *size)
{
	*size = 0;
	if (pump->owe_reset)
		return WIRE_RESET;
	if (pump->owe_end)
		return WIRE_END;
	if (!owes_credit(pump))
		return 0;
	wire_encode_credit(body, pump->owe_credit);
	*size = 4;
	return WIRE_CREDIT;
}

void socket_pump_sent(struct socket_pump *pump, uint8_t type)
{
	if (type == WIRE_RESET)
		pump->owe_reset = false;
	else if (type == WIRE_END)
		pump->owe_end = false;
	else
		pump->owe_credit = 0;
}

bool socket_pump_finished(const struct socket_pump *pump)
{
	return pump->read_over && !pump->owe_end && pump->write_over && !pump->owe_reset;
}
