/*
 * Fuzzes the decoder of frames with a byte stream, as a guest may send it: it goes
 * on over whole frames, never beyond the bytes that are there, and what it accepts
 * is what the encoder would have written.
 */
#include "driver.h"

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

static void add_frame(struct fuzz_input *input, uint8_t type, uint8_t flags, uint32_t stream,
		      uint32_t length)
{
	static const uint8_t body[256];
	uint8_t header[WIRE_HEADER_SIZE];

	wire_encode_header(header, type, flags, stream, length);
	fuzz_add(input, header, sizeof(header));
	fuzz_add(input, body, length);
}

static bool fuzz_seeds(size_t index, struct fuzz_input *input)
{
	struct wire_hello hello = { .version = WIRE_VERSION };
	uint8_t body[WIRE_HELLO_SIZE];

	if (index > 1)
		return false;
	add_frame(input, WIRE_HELLO, 0, 0, WIRE_HELLO_SIZE);
	wire_encode_hello(body, &hello);
	memcpy(input->data + WIRE_HEADER_SIZE, body, sizeof(body));
	if (index == 0)
		return true;
	add_frame(input, WIRE_CONTROL, WIRE_MORE, 0, 100);
	add_frame(input, WIRE_DATA, WIRE_MORE, 3, 200);
	add_frame(input, WIRE_CREDIT, 0, 3, 4);
	add_frame(input, WIRE_END, 0, 3, 0);
	add_frame(input, WIRE_RESET, 0, 4, 0);
	return true;
}
