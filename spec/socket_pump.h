/*
 * One end of a socket stream of the channel (wire.h): moves what comes on a unix
 * socket into DATA frames and what DATA frames bring to the socket, each way with
 * its own credit and its own end. The same on the host, for a connection to the
 * host's server, and in the guest, for the container's client. Of both sides the
 * other one may be hostile.
 *
 * Does no framing and no waiting: the owner watches the fd (edge-triggered, with
 * EPOLLRDHUP), hands events and frames in, and sends what is owed.
 */
#ifndef VXN_SOCKET_PUMP_H
#define VXN_SOCKET_PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct socket_pump {
	int fd;
	int type; /* SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM */
	bool readable, writable;
	/* from the socket to the channel */
	uint32_t credit; /* bytes that may be sent */
	bool read_over, owe_end;
	/* from the channel to the socket */
	uint8_t *ring; /* of WIRE_SOCKET_WINDOW bytes; NULL while there is nothing in it */
	size_t begin, used;
	uint32_t owe_credit;
	bool peer_ended; /* END came */
	bool write_over, owe_reset;
};

/* Takes fd, which does not block. credit: what may be sent; owed: what may be received. */
struct socket_pump *socket_pump_new(int fd, int type, uint32_t credit, uint32_t owed);
void socket_pump_free(struct socket_pump *pump); /* closes fd; NULL is allowed */

/* epoll's word on fd. */
void socket_pump_event(struct socket_pump *pump, uint32_t events);

/*
 * A frame of the stream: enum wire_type, WIRE_* flags and body. Returns -1 with
 * err set when it breaks the protocol, or memory is short.
 */
int socket_pump_receive(struct socket_pump *pump, uint8_t type, uint8_t flags, const uint8_t *body,
			size_t size, struct error *err);

/* To the socket. Returns whether something moved. */
bool socket_pump_write(struct socket_pump *pump);

/*
 * From the socket: the body of a DATA frame, at most size bytes (size is at least
 * WIRE_BODY_MAX where there are messages). Returns its length, 0 = nothing now.
 */
size_t socket_pump_read(struct socket_pump *pump, uint8_t *body, size_t size);

/* Would socket_pump_read have something to try? */
bool socket_pump_wants_read(const struct socket_pump *pump);

/*
 * The next frame that is owed to the other side: its type, 0 = none, and its body
 * of *size bytes. socket_pump_sent says that it is on its way.
 */
uint8_t socket_pump_owes(const struct socket_pump *pump, uint8_t body[4], size_t *size);
void socket_pump_sent(struct socket_pump *pump, uint8_t type);

/* Ends both ways; the other side is told by what is owed. */
void socket_pump_break(struct socket_pump *pump);

/* Both ways are over, and the other side has been told. */
bool socket_pump_finished(const struct socket_pump *pump);

#endif
