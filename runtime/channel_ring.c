/*
 * A port of the channel whose bytes are in memory of the guest (ring.h). The port
 * itself only tells either side to look there. The other end is hostile: bytes are
 * copied out before anybody looks at them.
 */
#include "channel_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct channel_of_ring {
	struct channel channel;
	struct channel *bell;
	struct ring_pair rings;
	bool closed; /* the bell's other end */
};

static struct channel_of_ring *ring_channel(struct channel *channel)
{
	return (struct channel_of_ring *)channel;
}

static int bell_fd(const struct channel *channel)
{
	return channel_fd(((const struct channel_of_ring *)channel)->bell);
}

/* A bell that takes no more has been rung often enough. */
static void ring_bell(const struct channel_of_ring *ring)
{
	channel_write(ring->bell, "", 1);
}

static void ring_event(struct channel *channel)
{
	struct channel_of_ring *ring = ring_channel(channel);
	char rung[64];
	ssize_t n;

	do {
		n = channel_read(ring->bell, rung, sizeof(rung));
	} while (n == sizeof(rung));
	ring->closed |= n < 0;
}

static ssize_t ring_read(struct channel *channel, void *buffer, size_t size)
{
	struct channel_of_ring *ring = ring_channel(channel);
	struct ring *from = &ring->rings.to_host;
	ssize_t n = ring_filled(from, 1);

	if (n < 0 || (n == 0 && ring->closed)) {
		errno = n < 0 ? EPROTO : EPIPE;
		return -1;
	}
	if ((size_t)n > size)
		n = (ssize_t)size;
	if (n == 0)
		return 0;
	ring_get(from, 0, buffer, (size_t)n);
	if (ring_consume(from, (size_t)n))
		ring_bell(ring);
	return n;
}

static ssize_t ring_write(struct channel *channel, const void *buffer, size_t size)
{
	struct channel_of_ring *ring = ring_channel(channel);
	struct ring *to = &ring->rings.to_guest;
	ssize_t n = ring_room(to, size);

	if (n < 0) {
		errno = EPROTO;
		return -1;
	}
	if ((size_t)n > size)
		n = (ssize_t)size;
	if (n == 0)
		return 0;
	ring_put(to, 0, buffer, (size_t)n);
	if (ring_produce(to, (size_t)n))
		ring_bell(ring);
	return n;
}

static const struct channel_ops channel_ring = {
	.name = "ring",
	.fd = bell_fd,
	/* not of room: it would come with each byte that is taken out at the other end */
	.events = EPOLLIN | EPOLLET,
	.event = ring_event,
	.read = ring_read,
	.write = ring_write,
};

struct channel *channel_ring_new(struct channel *bell, const struct ring_pair *rings,
				 struct error *err)
{
	struct channel_of_ring *ring = malloc(sizeof(*ring));

	if (!ring) {
		error_set(err, ENOMEM, "open the rings");
		return NULL;
	}
	*ring = (struct channel_of_ring){
		.channel.ops = &channel_ring,
		.bell = bell,
		.rings = *rings,
	};
	return &ring->channel;
}
