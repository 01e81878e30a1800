/*
 * See wire.h. The rules of each frame type stand in one table; the decoder only
 * compares. Pure: no I/O, no allocation, no state.
 */
#include "wire.h"

#include <stdbool.h>
#include <string.h>

struct frame_rule {
	const char *name;
	uint32_t length_min, length_max;
	uint8_t flags; /* allowed */
	bool stream;   /* true = a stream id other than 0, false = 0 */
};

/*
 * An empty DATA or CONTROL is refused: it moves nothing, so a peer could keep
 * the other side busy with it outside of the flow control.
 */
static const struct frame_rule frame_rules[] = {
	[WIRE_HELLO] = { "HELLO", WIRE_HELLO_SIZE, WIRE_HELLO_SIZE, 0, false },
	[WIRE_CONTROL] = { "CONTROL", 1, WIRE_BODY_MAX, WIRE_MORE, false },
	[WIRE_DATA] = { "DATA", 1, WIRE_BODY_MAX, WIRE_MORE, true },
	[WIRE_END] = { "END", 0, 0, 0, true },
	[WIRE_RESET] = { "RESET", 0, 0, 0, true },
	[WIRE_CREDIT] = { "CREDIT", 4, 4, 0, true },
	[WIRE_MEMORY] = { "MEMORY", WIRE_MEMORY_SIZE, WIRE_MEMORY_SIZE, 0, false },
	[WIRE_PAGES] = { "PAGES", WIRE_PAGES_REQUEST + WIRE_EXTENT_SIZE,
			 WIRE_PAGES_REQUEST + WIRE_EXTENTS_MAX *WIRE_EXTENT_SIZE, 0, true },
};

static uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)get_u16(p) | (uint32_t)get_u16(p + 2) << 16;
}

static uint64_t get_u64(const uint8_t *p)
{
	return (uint64_t)get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

static void put_u32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

static void put_u64(uint8_t *p, uint64_t value)
{
	put_u32(p, (uint32_t)value);
	put_u32(p + 4, (uint32_t)(value >> 32));
}

static int check_header(const struct wire_frame *frame, uint16_t reserved, struct error *err)
{
	const struct frame_rule *rule = NULL;

	if (frame->type < sizeof(frame_rules) / sizeof(frame_rules[0]))
		rule = &frame_rules[frame->type];
	if (!rule || !rule->name)
		return error_set(err, 0, "channel: frame of unknown type %u", frame->type);
	if (reserved)
		return error_set(err, 0, "channel: %s frame with reserved bits 0x%x", rule->name,
				 reserved);
	if (frame->flags & ~rule->flags)
		return error_set(err, 0, "channel: %s frame with flags 0x%x", rule->name,
				 frame->flags);
	if (frame->length < rule->length_min || frame->length > rule->length_max)
		return error_set(err, 0, "channel: %s frame with a body of %u bytes", rule->name,
				 frame->length);
	if (rule->stream != (frame->stream != 0))
		return error_set(err, 0, "channel: %s frame on stream %u", rule->name,
				 frame->stream);
	return 0;
}

long wire_decode(const uint8_t *buf, size_t size, struct wire_frame *frame, struct error *err)
{
	if (size < WIRE_HEADER_SIZE)
		return 0;
	frame->length = get_u32(buf);
	frame->type = buf[4];
	frame->flags = buf[5];
	frame->stream = get_u32(buf + 8);
	frame->body = buf + WIRE_HEADER_SIZE;
	if (check_header(frame, get_u16(buf + 6), err) < 0)
		return -1;
	if (size - WIRE_HEADER_SIZE < frame->length)
		return 0;
	return (long)(WIRE_HEADER_SIZE + frame->length);
}

void wire_encode_header(uint8_t out[WIRE_HEADER_SIZE], uint8_t type, uint8_t flags, uint32_t stream,
			uint32_t length)
{
	put_u32(out, length);
	out[4] = type;
	out[5] = flags;
	out[6] = 0;
	out[7] = 0;
	put_u32(out + 8, stream);
}

unsigned int wire_port(uint32_t stream)
{
	return stream >> WIRE_PORT_SHIFT;
}

unsigned int wire_port_of_stdio(unsigned int ports)
{
	return ports > WIRE_PORT_STDIO ? WIRE_PORT_STDIO : WIRE_PORT_CONTROL;
}

unsigned int wire_port_of_share(unsigned int ports, size_t share)
{
	const unsigned int first = WIRE_PORT_STDIO + 1;

	return ports > first ? first + (unsigned int)(share % (ports - first))
			     : wire_port_of_stdio(ports);
}

void wire_encode_hello(uint8_t out[WIRE_HELLO_SIZE], const struct wire_hello *hello)
{
	put_u32(out, hello->version);
	put_u64(out + 4, hello->realtime_ns);
	memcpy(out + 12, hello->entropy, WIRE_ENTROPY_SIZE);
}

int wire_decode_hello(const uint8_t *body, size_t size, struct wire_hello *hello, struct error *err)
{
	if (size != WIRE_HELLO_SIZE)
		return error_set(err, 0, "channel: HELLO of %zu bytes, expected %d", size,
				 WIRE_HELLO_SIZE);
	hello->version = get_u32(body);
	hello->realtime_ns = get_u64(body + 4);
	memcpy(hello->entropy, body + 12, WIRE_ENTROPY_SIZE);
	if (hello->version != WIRE_VERSION)
		return error_set(err, 0, "channel: the other side speaks version %u, this one %u",
				 hello->version, WIRE_VERSION);
	return 0;
}

void wire_encode_memory(uint8_t out[WIRE_MEMORY_SIZE], const uint64_t parts[2])
{
	put_u64(out, parts[0]);
	put_u64(out + 8, parts[1]);
}

void wire_decode_memory(const uint8_t body[WIRE_MEMORY_SIZE], uint64_t parts[2])
{
	parts[0] = get_u64(body);
	parts[1] = get_u64(body + 8);
}

int wire_decode_extent(const uint8_t body[WIRE_EXTENT_SIZE], struct wire_extent *extent,
		       struct error *err)
{
	extent->address = get_u64(body);
	extent->length = get_u32(body + 8);
	if (!extent->length || get_u32(body + 12))
		return error_set(err, 0, "channel: extent of %u bytes, with reserved bits 0x%x",
				 extent->length, get_u32(body + 12));
	return 0;
}

void wire_encode_credit(uint8_t out[4], uint32_t bytes)
{
	put_u32(out, bytes);
}

uint32_t wire_decode_credit(const uint8_t body[4])
{
	return get_u32(body);
}
