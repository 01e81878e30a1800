/*
 * The frame decoder: round trips, streams that arrive in pieces, and every field
 * of a header broken.
 */
#include "unit.h"

#include "wire.h"

static const struct frame_case {
	uint8_t type, flags;
	uint32_t stream, length;
	bool valid;
} cases[] = {
	{ WIRE_HELLO, 0, 0, WIRE_HELLO_SIZE, true },
	{ WIRE_HELLO, 0, 0, WIRE_HELLO_SIZE - 1, false },
	{ WIRE_HELLO, 0, 0, WIRE_HELLO_SIZE + 1, false },
	{ WIRE_HELLO, 0, 0, 0, false },
	{ WIRE_HELLO, 0, 1, WIRE_HELLO_SIZE, false },
	{ WIRE_HELLO, WIRE_MORE, 0, WIRE_HELLO_SIZE, false },
	{ WIRE_CONTROL, 0, 0, 1, true },
	{ WIRE_CONTROL, WIRE_MORE, 0, WIRE_BODY_MAX, true },
	{ WIRE_CONTROL, 0, 0, 0, false },
	{ WIRE_CONTROL, 0, 0, WIRE_BODY_MAX + 1, false },
	{ WIRE_CONTROL, 0, 7, 1, false },
	{ WIRE_CONTROL, 2, 0, 1, false },
	{ WIRE_DATA, 0, 1, 1, true },
	{ WIRE_DATA, WIRE_MORE, UINT32_MAX, WIRE_BODY_MAX, true },
	{ WIRE_DATA, 0, 1, 0, false },
	{ WIRE_DATA, 0, 0, 1, false },
	{ WIRE_DATA, 0, 1, WIRE_BODY_MAX + 1, false },
	{ WIRE_DATA, 0, 1, UINT32_MAX, false },
	{ WIRE_DATA, 0x80, 1, 1, false },
	{ WIRE_END, 0, 1, 0, true },
	{ WIRE_END, 0, 1, 1, false },
	{ WIRE_END, 0, 0, 0, false },
	{ WIRE_END, WIRE_MORE, 1, 0, false },
	{ WIRE_RESET, 0, 3, 0, true },
	{ WIRE_RESET, 0, 3, 4, false },
	{ WIRE_RESET, 0, 0, 0, false },
	{ WIRE_CREDIT, 0, 3, 4, true },
	{ WIRE_CREDIT, 0, 3, 3, false },
	{ WIRE_CREDIT, 0, 3, 5, false },
	{ WIRE_CREDIT, 0, 0, 4, false },
	{ WIRE_CREDIT, WIRE_MORE, 3, 4, false },
	{ 0, 0, 0, 0, false },
	{ WIRE_MEMORY, 0, 0, WIRE_MEMORY_SIZE, true },
	{ WIRE_MEMORY, 0, 0, WIRE_MEMORY_SIZE - 1, false },
	{ WIRE_MEMORY, 0, 1, WIRE_MEMORY_SIZE, false },
	{ WIRE_MEMORY, WIRE_MORE, 0, WIRE_MEMORY_SIZE, false },
	{ WIRE_PAGES, 0, 1, WIRE_PAGES_REQUEST + WIRE_EXTENT_SIZE, true },
	{ WIRE_PAGES, 0, 1, WIRE_PAGES_REQUEST + WIRE_EXTENTS_MAX *WIRE_EXTENT_SIZE, true },
	{ WIRE_PAGES, 0, 1, WIRE_PAGES_REQUEST + WIRE_EXTENTS_MAX *WIRE_EXTENT_SIZE + 1, false },
	{ WIRE_PAGES, 0, 1, WIRE_PAGES_REQUEST, false },
	{ WIRE_PAGES, 0, 0, WIRE_PAGES_REQUEST + WIRE_EXTENT_SIZE, false },
	{ WIRE_PAGES, WIRE_MORE, 1, WIRE_PAGES_REQUEST + WIRE_EXTENT_SIZE, false },
	{ 8, 0, 1, 0, false },
	{ 255, 0, 1, 0, false },
};

static void headers(void **state)
{
	static uint8_t buf[WIRE_HEADER_SIZE + WIRE_BODY_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct frame_case *c = &cases[i];
		struct wire_frame frame;
		struct error err = { 0 };
		long used;

		wire_encode_header(buf, c->type, c->flags, c->stream, c->length);
		used = wire_decode(buf, sizeof(buf), &frame, &err);
		if (!c->valid) {
			if (used != -1 || !err.message[0])
				fail_msg("case %zu accepted", i);
			/* Known by the header alone: nobody waits for the rest. */
			assert_int_equal(wire_decode(buf, WIRE_HEADER_SIZE, &frame, &err), -1);
			continue;
		}
		assert_int_equal(used, WIRE_HEADER_SIZE + c->length);
		assert_int_equal(frame.type, c->type);
		assert_int_equal(frame.flags, c->flags);
		assert_int_equal(frame.stream, c->stream);
		assert_int_equal(frame.length, c->length);
		assert_ptr_equal(frame.body, buf + WIRE_HEADER_SIZE);
	}
}

static void reserved_bits(void **state)
{
	uint8_t buf[WIRE_HEADER_SIZE];
	struct wire_frame frame;
	struct error err = { 0 };

	(void)state;
	for (int bit = 0; bit < 16; bit++) {
		wire_encode_header(buf, WIRE_END, 0, 1, 0);
		buf[6 + bit / 8] = (uint8_t)(1 << bit % 8);
		assert_int_equal(wire_decode(buf, sizeof(buf), &frame, &err), -1);
	}
}

static void byte_order(void **state)
{
	static const uint8_t expected[] = { 0x04, 0x03, 0, 0, 3, 1, 0, 0, 0x88, 0x77, 0x66, 0x55 };
	uint8_t buf[WIRE_HEADER_SIZE];
	uint8_t credit[4];

	(void)state;
	wire_encode_header(buf, WIRE_DATA, WIRE_MORE, 0x55667788, 0x0304);
	assert_memory_equal(buf, expected, sizeof(expected));
	wire_encode_credit(credit, 0xfedcba98);
	assert_int_equal(credit[0], 0x98);
	assert_int_equal(wire_decode_credit(credit), 0xfedcba98);
}

/* Cut at every byte: 0 until the frame is whole, and never a read beyond the cut. */
static void cut(void **state)
{
	uint8_t whole[WIRE_HEADER_SIZE + 40];

	(void)state;
	memset(whole, 'x', sizeof(whole));
	wire_encode_header(whole, WIRE_DATA, 0, 9, 40);
	for (size_t size = 0; size <= sizeof(whole); size++) {
		CLEANUP_FREE uint8_t *part = malloc(size ? size : 1);
		struct wire_frame frame;
		long expected = size == sizeof(whole) ? (long)size : 0;

		memcpy(part, whole, size);
		assert_int_equal(wire_decode(part, size, &frame, NULL), expected);
	}
}

static void hello(void **state)
{
	struct wire_hello in = { WIRE_VERSION, 0x1122334455667788, { 1, 2, 3 } }, out;
	uint8_t body[WIRE_HELLO_SIZE];
	struct error err = { 0 };

	(void)state;
	in.entropy[WIRE_ENTROPY_SIZE - 1] = 0xff;
	wire_encode_hello(body, &in);
	assert_ok(wire_decode_hello(body, sizeof(body), &out, &err), err);
	assert_int_equal(out.version, in.version);
	assert_true(out.realtime_ns == in.realtime_ns);
	assert_memory_equal(out.entropy, in.entropy, WIRE_ENTROPY_SIZE);
	assert_int_equal(wire_decode_hello(body, sizeof(body) - 1, &out, &err), -1);
	in.version = 77;
	wire_encode_hello(body, &in);
	assert_int_equal(wire_decode_hello(body, sizeof(body), &out, &err), -1);
	assert_string_equal(err.message, "channel: the other side speaks version 77, this one 1");
}

static void ports(void **state)
{
	(void)state;
	assert_int_equal(wire_port(5), 0);
	assert_int_equal(wire_port(3u << WIRE_PORT_SHIFT | 5), 3);
	assert_int_equal(wire_port(UINT32_MAX), 255);
	assert_int_equal(wire_port_of_stdio(1), 0);
	assert_int_equal(wire_port_of_stdio(2), 1);
	assert_int_equal(wire_port_of_stdio(WIRE_PORTS_MAX), 1);
	for (size_t share = 0; share < 20; share++) {
		assert_int_equal(wire_port_of_share(1, share), 0);
		assert_int_equal(wire_port_of_share(2, share), 1);
		assert_int_equal(wire_port_of_share(3, share), 2);
		assert_int_equal(wire_port_of_share(5, share), 2 + share % 3);
	}
}

static void extents(void **state)
{
	static const uint8_t good[WIRE_EXTENT_SIZE] = { 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 1 };
	static const uint8_t reserved[WIRE_EXTENT_SIZE] = { [8] = 1, [15] = 1 };
	static const uint8_t empty[WIRE_EXTENT_SIZE] = { 1 };
	struct wire_extent extent;
	struct error err = { 0 };

	(void)state;
	assert_ok(wire_decode_extent(good, &extent, &err), err);
	assert_true(extent.address == 0x0102030405060708 && extent.length == 65536);
	assert_int_equal(wire_decode_extent(reserved, &extent, &err), -1);
	assert_string_equal(err.message,
			    "channel: extent of 1 bytes, with reserved bits 0x1000000");
	assert_int_equal(wire_decode_extent(empty, &extent, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers),    cmocka_unit_test(reserved_bits),
		cmocka_unit_test(byte_order), cmocka_unit_test(cut),
		cmocka_unit_test(hello),      cmocka_unit_test(ports),
		cmocka_unit_test(extents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
