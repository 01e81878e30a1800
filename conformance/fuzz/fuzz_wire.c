/*
 * Fuzzes the decoder of frames with a byte stream, as a guest may send it: it goes
 * on over whole frames, never beyond the bytes that are there, and what it accepts
 * is what the encoder would have written.
 */
#include "fuzz.h"

#include "wire.h"

static void check_frame(const uint8_t *data, size_t size, const struct wire_frame *frame,
			size_t used)
{
	uint8_t header[WIRE_HEADER_SIZE];
	struct wire_hello hello;
	struct error err = { 0 };

	FUZZ_CHECK(used <= size && used == WIRE_HEADER_SIZE + (size_t)frame->length);
	FUZZ_CHECK(frame->length <= WIRE_BODY_MAX);
	FUZZ_CHECK(frame->body == data + WIRE_HEADER_SIZE);
	wire_encode_header(header, frame->type, frame->flags, frame->stream, frame->length);
	FUZZ_CHECK(memcmp(header, data, sizeof(header)) == 0);
	if (frame->type == WIRE_HELLO)
		wire_decode_hello(frame->body, frame->length, &hello, &err);
	if (frame->type == WIRE_CREDIT)
		wire_decode_credit(frame->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_frame frame;
	struct error err = { 0 };
	long used;

	while ((used = wire_decode(data, size, &frame, &err)) > 0) {
		check_frame(data, size, &frame, (size_t)used);
		data += used;
		size -= (size_t)used;
	}
	FUZZ_CHECK(used == 0 || err.message[0]);
	return 0;
}
