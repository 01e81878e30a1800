/* See ring.h. */
#include "ring.h"

#include <string.h>
#include <sys/uio.h>

#include "wire.h"

/* The one look at what the other side says. */
static ssize_t room(const struct ring *ring)
{
	uint64_t consumed = atomic_load(&ring->shared->consumed);

	if (ring->position - consumed > ring->size)
		return -1;
	return (ssize_t)(ring->size - (ring->position - consumed));
}

static ssize_t filled(const struct ring *ring)
{
	uint64_t produced = atomic_load(&ring->shared->produced);

	if (produced - ring->position > ring->size)
		return -1;
	return (ssize_t)(produced - ring->position);
}

/* It is asked first and looked at again: a change in between is not missed. */
ssize_t ring_room(const struct ring *ring, size_t wanted)
{
	ssize_t bytes = room(ring);

	if (bytes < 0 || (size_t)bytes >= wanted)
		return bytes;
	atomic_store(&ring->shared->producer_waits, 1);
	return room(ring);
}

ssize_t ring_filled(const struct ring *ring, size_t wanted)
{
	ssize_t bytes = filled(ring);

	if (bytes < 0 || (size_t)bytes >= wanted)
		return bytes;
	atomic_store(&ring->shared->consumer_waits, 1);
	return filled(ring);
}

/* Where `size` bytes lie that begin `offset` behind the position; returns how many pieces. */
static int ring_pieces(const struct ring *ring, size_t offset, size_t size, struct iovec pieces[2])
{
	size_t begin = (size_t)((ring->position + offset) % ring->size);
	size_t first = ring->size - begin;

	pieces[0] = (struct iovec){ ring->data + begin, size < first ? size : first };
	if (size <= first)
		return 1;
	pieces[1] = (struct iovec){ ring->data, size - first };
	return 2;
}

void ring_put(const struct ring *ring, size_t offset, const void *bytes, size_t size)
{
	struct iovec pieces[2];
	const uint8_t *from = bytes;
	int count = ring_pieces(ring, offset, size, pieces);

	for (int i = 0; i < count; i++) {
		memcpy(pieces[i].iov_base, from, pieces[i].iov_len);
		from += pieces[i].iov_len;
	}
}

void ring_get(const struct ring *ring, size_t offset, void *bytes, size_t size)
{
	struct iovec pieces[2];
	uint8_t *to = bytes;
	int count = ring_pieces(ring, offset, size, pieces);

	for (int i = 0; i < count; i++) {
		memcpy(to, pieces[i].iov_base, pieces[i].iov_len);
		to += pieces[i].iov_len;
	}
}

bool ring_produce(struct ring *ring, size_t size)
{
	ring->position += size;
	atomic_store(&ring->shared->produced, ring->position);
	return atomic_load(&ring->shared->consumer_waits) &&
	       atomic_exchange(&ring->shared->consumer_waits, 0);
}

bool ring_consume(struct ring *ring, size_t size)
{
	ring->position += size;
	atomic_store(&ring->shared->consumed, ring->position);
	return atomic_load(&ring->shared->producer_waits) &&
	       atomic_exchange(&ring->shared->producer_waits, 0);
}

void ring_pair_lay_out(struct ring_pair *pair, uint8_t *first, uint8_t *second)
{
	struct ring_shared *shared = (void *)first;

	pair->to_host = (struct ring){
		.shared = &shared[0],
		.data = first + RING_SHARED_SIZE,
		.size = WIRE_MEMORY_PART - RING_SHARED_SIZE,
	};
	pair->to_guest = (struct ring){
		.shared = &shared[1],
		.data = second,
		.size = WIRE_MEMORY_PART,
	};
}
