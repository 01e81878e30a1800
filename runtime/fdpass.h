/*
 * Fixed-size messages with file descriptors on SEQPACKET unix sockets, between
 * our own processes on the host.
 */
#ifndef VXN_FDPASS_H
#define VXN_FDPASS_H

#include <stddef.h>
#include <sys/types.h>

#include "error.h"

#define FDPASS_MAX 8

/* Sends size bytes with count fds (not closed here). EPIPE is an error, no signal. */
int fdpass_send(int socket, const void *message, size_t size, const int *fds, size_t count,
		struct error *err);

/*
 * Receives one message of exactly size bytes; fds beyond those that came are
 * set to -1 (they are CLOEXEC). Returns 1, 0 at the end of file, -1 on an error
 * (a wrong size or too many fds is one, and then nothing is left open).
 * EAGAIN of a non-blocking socket: -1 with err->errnum == EAGAIN.
 */
int fdpass_receive(int socket, void *message, size_t size, int *fds, size_t count,
		   struct error *err);

#endif
