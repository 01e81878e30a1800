/* A channel (channel.h) in memory of the guest; see channel_ring.c. */
#ifndef VXN_CHANNEL_RING_H
#define VXN_CHANNEL_RING_H

#include "channel.h"
#include "ring.h"

/*
 * bell: the port, which is polled as before; it is kept. `read` and `write` fail
 * with EPROTO when the guest has broken the rings. One thread at a time may read, one
 * write.
 */
struct channel *channel_ring_new(struct channel *bell, const struct ring_pair *rings,
				 struct error *err);

#endif
