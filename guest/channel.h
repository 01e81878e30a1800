/*
 * A byte stream of the channel to the host, one of its ports (wire.h), seen from
 * the relay: non-blocking reads and writes and one descriptor to wait on.
 * Implementations: channel_vchan.c (Xen, one port), channel_port.c
 * (virtio-serial). Each is opened once, in the process that uses it: a vchan does
 * not survive a fork.
 */
#ifndef VXN_GUEST_CHANNEL_H
#define VXN_GUEST_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

struct channel;

struct channel_ops {
	const char *name; /* as in vxn.channel= on the kernel's command line */
	/* NULL with err set. Waits until the host's end is there, some seconds. */
	struct channel *(*open)(unsigned int port, struct error *err);
	/* Bytes moved, 0 = none now, -1 = the other side is gone. */
	ssize_t (*read)(struct channel *channel, void *buf, size_t size);
	ssize_t (*write)(struct channel *channel, const void *buf, size_t size);
	/* Has one of these epoll events when read or write may move again. */
	int (*fd)(const struct channel *channel);
	uint32_t events;
	/* To be called after EPOLLIN there. -1 = the other side is gone. */
	int (*acknowledge)(struct channel *channel);
};

extern const struct channel_ops channel_vchan;
extern const struct channel_ops channel_port;

#endif
