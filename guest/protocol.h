/*
 * What pid 1 says to the relay, and to a process that is being set up, and they
 * to it: on SOCK_SEQPACKET socket pairs, one struct message each, at most one
 * descriptor and a short text with it. The relay never blocks on its socket; pid
 * 1 may, because the relay always reads.
 *
 * relay to pid 1
 *   CONTROL  a control text of the host, as a memfd
 * pid 1 to relay
 *   CONTROL  text for the host
 *   ATTACH   stream: descriptor to relay, of the given kind
 *   DROP     stream: announced by the host, but will never be attached
 *   RESIZE   stream (a terminal), width, height
 *   EXIT     text for the host, to be sent after what is now in the streams
 * a process that is being set up to pid 1
 *   TERMINAL the master of its pseudo terminal
 *   READY    only the exec is left (and START is waited for, if it is a
 *            container's first). The socket's end after it: the exec has worked.
 *   FAILED   text: what went wrong. The process ends.
 * pid 1 to that process
 *   MAPPED   its user namespace has its ids, if it is in one of its own
 *   START
 */
#ifndef VXN_GUEST_PROTOCOL_H
#define VXN_GUEST_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "wire.h"

enum message_type {
	MESSAGE_CONTROL,
	MESSAGE_ATTACH,
	MESSAGE_DROP,
	MESSAGE_RESIZE,
	MESSAGE_EXIT,
	MESSAGE_TERMINAL,
	MESSAGE_READY,
	MESSAGE_FAILED,
	MESSAGE_MAPPED,
	MESSAGE_START,
};

enum stream_kind {
	STREAM_STDIN,	 /* write end of a pipe */
	STREAM_OUTPUT,	 /* read end of a pipe */
	STREAM_TERMINAL, /* master of a pty */
	STREAM_SHARE,	 /* /dev/fuse */
	STREAM_LISTENER, /* stands for a socket of the host; has no frames */
	STREAM_SOCKET,	 /* a connection to one; made by the relay itself */
	STREAM_KINDS,
};

#define EXIT_STREAMS_MAX 2

struct message {
	uint32_t type;
	uint32_t stream;
	uint32_t kind;
	uint32_t exit_streams[EXIT_STREAMS_MAX]; /* 0 = none */
	uint16_t width, height;
};

/*
 * Sends; fd -1 = none, text NULL = none. flags as of sendmsg(2). Returns -1 with
 * errno set.
 */
int message_send(int socket, const struct message *message, int fd, const void *text, size_t size,
		 int flags);

/*
 * Receives one message. *fd is -1 or a descriptor that the caller has to close;
 * text is filled with *size bytes, at most its old value. Returns 1, 0 at the end
 * of the conversation, -1 with errno set.
 */
int message_receive(int socket, struct message *message, int *fd, void *text, size_t *size,
		    int flags);

#endif
