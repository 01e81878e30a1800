/* See relay_output.h. */
#include "relay_output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t output_room(const struct output *output)
{
	size_t room = OUTPUT_SIZE - (output->end - output->begin);

	if (room <= WIRE_HEADER_SIZE)
		return 0;
	room -= WIRE_HEADER_SIZE;
	return room < WIRE_BODY_MAX ? room : WIRE_BODY_MAX;
}

uint8_t *output_body(struct output *output, size_t size)
{
	if (output->end + WIRE_HEADER_SIZE + size > OUTPUT_SIZE) {
		memmove(output->data, output->data + output->begin, output->end - output->begin);
		output->end -= output->begin;
		output->begin = 0;
	}
	return output->data + output->end + WIRE_HEADER_SIZE;
}

void output_commit(struct output *output, uint8_t type, uint8_t flags, uint32_t stream, size_t size)
{
	wire_encode_header(output->data + output->end, type, flags, stream, (uint32_t)size);
	output->end += WIRE_HEADER_SIZE + size;
}

bool output_frame(struct output *output, uint8_t type, uint8_t flags, uint32_t stream,
		  const void *body, size_t size)
{
	if (OUTPUT_SIZE - (output->end - output->begin) < WIRE_HEADER_SIZE + size)
		return false;
	if (size)
		memcpy(output_body(output, size), body, size);
	else
		output_body(output, 0);
	output_commit(output, type, flags, stream, size);
	return true;
}

void text_queue_init(struct text_queue *queue)
{
	queue->first = NULL;
	queue->last = &queue->first;
}

int text_queue_add(struct text_queue *queue, const void *data, size_t size, struct error *err)
{
	struct text *text = malloc(sizeof(*text) + size);

	if (!text)
		return error_set(err, ENOMEM, "control message of %zu bytes", size);
	text->next = NULL;
	text->size = size;
	text->sent = 0;
	memcpy(text->data, data, size);
	*queue->last = text;
	queue->last = &text->next;
	return 0;
}

static void drop_first(struct text_queue *queue)
{
	struct text *text = queue->first;

	queue->first = text->next;
	if (!queue->first)
		queue->last = &queue->first;
	free(text);
}

bool text_queue_send(struct text_queue *queue, struct output *output)
{
	bool progress = false;

	while (queue->first) {
		struct text *text = queue->first;
		size_t left = text->size - text->sent;
		size_t size = left < WIRE_BODY_MAX ? left : WIRE_BODY_MAX;

		if (!output_frame(output, WIRE_CONTROL, size < left ? WIRE_MORE : 0, 0,
				  text->data + text->sent, size))
			break;
		progress = true;
		text->sent += size;
		if (text->sent == text->size)
			drop_first(queue);
	}
	return progress;
}
