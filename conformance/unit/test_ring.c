/*
 * The rings in memory that is shared with a guest: bytes across the end, who has to
 * be told when, and a side that tells lies; and where a guest may say that it has
 * such memory.
 */
#include "unit.h"

#include "io_memory.h"
#include "ring.h"
#include "wire.h"

#define SIZE 1000u /* no power of two, as the one to the host */

struct two_sides {
	struct ring_shared shared;
	uint8_t data[SIZE];
	struct ring producer, consumer;
};

static void set_up(struct two_sides *sides)
{
	memset(sides, 0, sizeof(*sides));
	sides->producer = (struct ring){ &sides->shared, sides->data, SIZE, 0 };
	sides->consumer = sides->producer;
}

static void bytes_come_through(void **state)
{
	struct two_sides sides;
	uint8_t out[SIZE], in[SIZE];
	size_t sent = 0, received = 0;

	(void)state;
	set_up(&sides);
	for (unsigned int round = 1; round < 200; round++) {
		size_t size = round * 37 % 700 + 1;

		for (size_t i = 0; i < size; i++)
			out[i] = (uint8_t)(sent + i);
		assert_int_equal(ring_room(&sides.producer, 1), SIZE);
		ring_put(&sides.producer, 0, out, size);
		ring_produce(&sides.producer, size);
		sent += size;
		assert_int_equal(ring_filled(&sides.consumer, 1), size);
		ring_get(&sides.consumer, 0, in, size);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(in[i], (uint8_t)(received + i));
		ring_consume(&sides.consumer, size);
		received += size;
	}
}

static void bytes_go_on_at_the_beginning(void **state)
{
	struct two_sides sides;
	char in[7] = "";

	(void)state;
	set_up(&sides);
	sides.producer.position = sides.consumer.position = 5 * SIZE + 900;
	ring_put(&sides.producer, 97, "abcdef", 6);
	assert_memory_equal(sides.data + 997, "abc", 3);
	assert_memory_equal(sides.data, "def", 3);
	ring_get(&sides.consumer, 97, in, 6);
	assert_string_equal(in, "abcdef");
}

/* A side is told of a change when it has asked, and once. */
static void who_waits_is_told(void **state)
{
	struct two_sides sides;

	(void)state;
	set_up(&sides);
	assert_false(ring_produce(&sides.producer, 10));
	assert_int_equal(ring_filled(&sides.consumer, 10), 10);
	assert_false(ring_produce(&sides.producer, 1));
	assert_int_equal(ring_filled(&sides.consumer, 12), 11);
	assert_true(ring_produce(&sides.producer, 1));
	assert_false(ring_produce(&sides.producer, SIZE - 12));
	assert_int_equal(ring_room(&sides.producer, 1), 0);
	assert_true(ring_consume(&sides.consumer, 12));
	assert_false(ring_consume(&sides.consumer, 1));
	assert_int_equal(ring_room(&sides.producer, 13), 13);
	assert_false(ring_consume(&sides.consumer, 1));
}

static void lies_are_seen(void **state)
{
	static const uint64_t lies[] = { SIZE + 3, UINT64_MAX - SIZE, 1ull << 63,
					 (1ull << 32) + SIZE };
	struct two_sides sides;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		set_up(&sides);
		sides.shared.produced = lies[i];
		assert_int_equal(ring_filled(&sides.consumer, 1), -1);
		sides.shared.consumed = lies[i] - 2;
		assert_int_equal(ring_room(&sides.producer, 1), -1);
	}
	/* back behind what was consumed, and in front of what was produced */
	set_up(&sides);
	sides.consumer.position = 500;
	sides.shared.produced = 499;
	assert_int_equal(ring_filled(&sides.consumer, 1), -1);
	sides.producer.position = 500;
	sides.shared.consumed = 501;
	assert_int_equal(ring_room(&sides.producer, 1), -1);
}

/* Both sides have the same idea of the two parts, and stay in them. */
static void parts_are_not_left(void **state)
{
	static _Alignas(64) uint8_t first[WIRE_MEMORY_PART], second[WIRE_MEMORY_PART];
	struct ring_pair pair;

	(void)state;
	ring_pair_lay_out(&pair, first, second);
	assert_true(pair.to_host.data >= first + 2 * sizeof(struct ring_shared));
	assert_ptr_equal(pair.to_host.data + pair.to_host.size, first + WIRE_MEMORY_PART);
	assert_ptr_equal(pair.to_guest.data, second);
	assert_int_equal(pair.to_guest.size, WIRE_MEMORY_PART);
	assert_ptr_equal(pair.to_host.shared, first);
	assert_ptr_equal(pair.to_guest.shared, first + sizeof(struct ring_shared));
}

#define MIB 1048576ull
#define GIB (1024 * MIB)

static const struct address_case {
	uint64_t address;
	uint32_t length;
	uint64_t below_4g, size;
	int64_t offset; /* -1: refused */
} addresses[] = {
	{ 0, 2 * MIB, 3 * GIB, 512 * MIB, 0 },
	{ 510 * MIB, 2 * MIB, 3 * GIB, 512 * MIB, 510 * MIB },
	{ 512 * MIB, 2 * MIB, 3 * GIB, 512 * MIB, -1 },
	{ 510 * MIB, 2 * MIB, 3 * GIB, 511 * MIB, -1 },
	{ 3 * GIB - 2 * MIB, 2 * MIB, 3 * GIB, 8 * GIB, 3 * GIB - 2 * MIB },
	{ 3 * GIB, 2 * MIB, 3 * GIB, 8 * GIB, -1 },
	{ 4 * GIB - 2 * MIB, 2 * MIB, 3 * GIB, 8 * GIB, -1 },
	{ 4 * GIB, 2 * MIB, 3 * GIB, 8 * GIB, 3 * GIB },
	{ 9 * GIB - 2 * MIB, 2 * MIB, 3 * GIB, 8 * GIB, 8 * GIB - 2 * MIB },
	{ 9 * GIB, 2 * MIB, 3 * GIB, 8 * GIB, -1 },
	{ 4 * GIB, 2 * MIB, 3 * GIB, 512 * MIB, -1 },
	{ UINT64_MAX - 2 * MIB + 1, 2 * MIB, 3 * GIB, 8 * GIB, -1 },
	{ 4096, 4096, 3 * GIB, 512 * MIB, 4096 },
	{ 511, 2, 3 * GIB, 512 * MIB, 511 },
	{ 512 * MIB - 1, 1, 3 * GIB, 512 * MIB, 512 * MIB - 1 },
	{ 512 * MIB - 1, 2, 3 * GIB, 512 * MIB, -1 },
	{ 3 * GIB - 1, 2, 3 * GIB, 8 * GIB, -1 },
	{ 4 * GIB - 1, 2, 3 * GIB, 8 * GIB, -1 },
	{ 0, UINT32_MAX, 3 * GIB, 512 * MIB, -1 },
	{ UINT64_MAX, UINT32_MAX, 3 * GIB, 8 * GIB, -1 },
	{ 1ull << 63, 2 * MIB, 3 * GIB, 8 * GIB, -1 },
};

static void addresses_are_checked(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		const struct address_case *c = &addresses[i];
		struct error err = { 0 };
		uint64_t offset = 0;
		const struct wire_extent extent = { c->address, c->length };
		int result = io_memory_offset(&extent, c->below_4g, c->size, &offset, &err);

		assert_int_equal(result, c->offset < 0 ? -1 : 0);
		if (c->offset >= 0)
			assert_int_equal(offset, c->offset);
		else
			assert_non_null(strstr(err.message, "of the guest's memory at 0x"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_through),
		cmocka_unit_test(bytes_go_on_at_the_beginning),
		cmocka_unit_test(who_waits_is_told),
		cmocka_unit_test(lies_are_seen),
		cmocka_unit_test(parts_are_not_left),
		cmocka_unit_test(addresses_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
