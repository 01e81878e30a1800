/*
 * One direction of a byte stream through memory that two sides share which do not
 * trust each other: the io process and the guest's kernel (wire.h, MEMORY), whose
 * half is in guest/kernel-rings.patch. Pure memory; who calls tells the other side
 * when these functions say so.
 *
 * Each side keeps its own position to itself and only tells it; of the other's it
 * takes one copy, checks that, and goes by it. Positions are bytes since the
 * beginning and never wrap. What is read from a ring is the other side's until it
 * is copied out, and may change meanwhile.
 */
#ifndef VXN_RING_H
#define VXN_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In the shared memory, zero at first. Positions of two sides are not in one cache line. */
struct ring_shared {
	_Alignas(64) _Atomic uint64_t produced;
	_Atomic uint32_t consumer_waits; /* to be told when there is more */
	_Alignas(64) _Atomic uint64_t consumed;
	_Atomic uint32_t producer_waits; /* to be told when there is room */
};

/* A side's view. A producer's position is `produced`, a consumer's `consumed`. */
struct ring {
	struct ring_shared *shared;
	uint8_t *data;
	size_t size;
	uint64_t position;
};

/*
 * Bytes that may be written, or read: at most ring->size, -1 when what the other
 * side tells of itself cannot be. When it is less than `wanted`, the other side has
 * been asked to tell of a change.
 */
ssize_t ring_room(const struct ring *ring, size_t wanted);
ssize_t ring_filled(const struct ring *ring, size_t wanted);

/* Copies what begins `offset` behind the position, without moving that. */
void ring_put(const struct ring *ring, size_t offset, const void *bytes, size_t size);
void ring_get(const struct ring *ring, size_t offset, void *bytes, size_t size);

/* Moves the position. True: the other side has to be told. */
bool ring_produce(struct ring *ring, size_t size);
bool ring_consume(struct ring *ring, size_t size);

/*
 * Of the memory that the guest offers in two parts of WIRE_MEMORY_PART: the first
 * begins with a page for what is shared of both rings, the rest of it leads to the
 * host, the second to the guest.
 */
#define RING_SHARED_SIZE 4096u

struct ring_pair {
	struct ring to_host, to_guest;
};

void ring_pair_lay_out(struct ring_pair *pair, uint8_t *first, uint8_t *second);

#endif
