/*
 * What waits to be written to the channel: whole frames in a buffer of fixed
 * size, and control texts that come first as soon as there is room. Pure memory.
 */
#ifndef VXN_GUEST_RELAY_OUTPUT_H
#define VXN_GUEST_RELAY_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "wire.h"

#define OUTPUT_SIZE (2u * (WIRE_HEADER_SIZE + WIRE_BODY_MAX))

struct output {
	size_t begin, end;
	uint8_t data[OUTPUT_SIZE];
};

/* Room for one frame's body, at most WIRE_BODY_MAX; 0 when not even one byte fits. */
size_t output_room(const struct output *output);

/*
 * Where the body of the next frame goes; room for `size` bytes, at most
 * output_room. output_commit puts the header before it and makes it part of the
 * output.
 */
uint8_t *output_body(struct output *output, size_t size);
void output_commit(struct output *output, uint8_t type, uint8_t flags, uint32_t stream,
		   size_t size);

/* Copies a frame in. Returns whether there was room. */
bool output_frame(struct output *output, uint8_t type, uint8_t flags, uint32_t stream,
		  const void *body, size_t size);

/* Control texts, first in, first out. */
struct text {
	struct text *next;
	size_t size, sent;
	char data[];
};

struct text_queue {
	struct text *first, **last;
};

void text_queue_init(struct text_queue *queue);
int text_queue_add(struct text_queue *queue, const void *data, size_t size, struct error *err);

/* Moves texts into the output. Returns whether something moved. */
bool text_queue_send(struct text_queue *queue, struct output *output);

#endif
