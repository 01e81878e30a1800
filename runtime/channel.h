/*
 * A byte stream of the channel, one of its ports (wire.h), as the io process sees
 * it: non-blocking, ordered, reliable until it closes. Implementations: channel_vchan.c (Xen) and
 * channel_socket.c (a unix socket, which is a virtio-serial port to the guest).
 */
#ifndef VXN_CHANNEL_H
#define VXN_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

struct channel_ops;

/* The implementations' own begin with this. */
struct channel {
	const struct channel_ops *ops;
};

struct channel_ops {
	const char *name; /* what a spec begins with, before its ':' */
	/* argument: what follows the ':'. fd is taken when this succeeds. */
	int (*open)(const char *argument, int fd, struct channel **channel, struct error *err);
	int (*fd)(const struct channel *channel);
	/*
	 * What epoll is to wait for, edge-triggered where writing needs it. After an
	 * event, or when `read` and `write` have moved less than they could, they may
	 * move again.
	 */
	uint32_t events;
	void (*event)(struct channel *channel);
	ssize_t (*read)(struct channel *channel, void *buffer, size_t size);
	ssize_t (*write)(struct channel *channel, const void *buffer, size_t size);
};

extern const struct channel_ops channel_vchan, channel_socket;

/*
 * spec and fd come from vm_backend.channel: "vchan:7" with -1, "socket:" with a
 * port's socket. On failure fd is still the caller's.
 */
int channel_open(const char *spec, int fd, struct channel **channel, struct error *err);

/* To be polled for channel_events; then channel_event, and read and write may progress. */
int channel_fd(const struct channel *channel);
uint32_t channel_events(const struct channel *channel);
void channel_event(struct channel *channel);

/*
 * Number of bytes moved, 0 when nothing can be moved now (there will be an event
 * when something can), -1 when the guest's end is closed.
 */
ssize_t channel_read(struct channel *channel, void *buffer, size_t size);
ssize_t channel_write(struct channel *channel, const void *buffer, size_t size);

#endif
