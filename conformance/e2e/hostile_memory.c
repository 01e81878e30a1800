/*
 * What a hostile guest (init_hostile.c) says of the memory that it offers to the
 * host, and puts into it.
 */
#include <linux/fuse.h>
#include <string.h>

#include "guest/relay.h"
#include "hostile.h"
#include "wire.h"

static void offer(uint64_t first, uint64_t second)
{
	uint8_t body[WIRE_MEMORY_SIZE];

	wire_encode_memory(body, (const uint64_t[]){ first, second });
	send_frame(WIRE_MEMORY, 0, 0, body, sizeof(body));
}

void offer_unaligned(void)
{
	offer(64 * WIRE_MEMORY_PART, 65 * WIRE_MEMORY_PART + 4096);
}

void offer_beyond(void)
{
	offer(64 * WIRE_MEMORY_PART, 1ull << 40);
}

void offer_wrapping(void)
{
	offer(UINT64_MAX - WIRE_MEMORY_PART + 1, 64 * WIRE_MEMORY_PART);
}

void offer_twice(void)
{
	offer(64 * WIRE_MEMORY_PART, 65 * WIRE_MEMORY_PART);
	offer(66 * WIRE_MEMORY_PART, 67 * WIRE_MEMORY_PART);
}

/* As vxn-init does it. The host then looks into the rings at each byte through the port. */
static struct relay *share_memory(void)
{
	static _Alignas(struct relay) uint8_t space[sizeof(struct relay)];
	struct relay *relay = (void *)space;

	relay_prepare_memory(relay);
	offer(relay->offer[0], relay->offer[1]);
	return relay;
}

static void look_at_rings(void)
{
	send_bytes(last_port() >= WIRE_PORT_MEMORY ? WIRE_PORT_MEMORY : WIRE_PORT_CONTROL, "", 1);
}

void claim_too_much(void)
{
	struct relay *relay = share_memory();

	if (relay->offers)
		atomic_store(&relay->rings.to_host.shared->produced, WIRE_MEMORY_PART);
	look_at_rings();
}

/* What has been read already is offered again. */
void go_back(void)
{
	struct relay *relay = share_memory();

	if (relay->offers)
		atomic_store(&relay->rings.to_host.shared->produced, UINT64_MAX);
	look_at_rings();
}

/* More consumed than there ever was shows when the host writes: the answer to INIT. */
void consume_too_much(void)
{
	struct relay *relay = share_memory();
	const struct fuse_in_header header = {
		.len = sizeof(header) + sizeof(struct fuse_init_in),
		.opcode = FUSE_INIT,
		.unique = 2,
		.nodeid = FUSE_ROOT_ID,
	};
	const struct fuse_init_in init = { .major = FUSE_KERNEL_VERSION, .minor = 36 };
	uint8_t frame[WIRE_HEADER_SIZE];

	if (relay->offers) {
		wire_encode_header(frame, WIRE_DATA, 0, share(), header.len);
		ring_put(&relay->rings.to_host, 0, frame, sizeof(frame));
		ring_put(&relay->rings.to_host, sizeof(frame), &header, sizeof(header));
		ring_put(&relay->rings.to_host, sizeof(frame) + sizeof(header), &init,
			 sizeof(init));
		atomic_store(&relay->rings.to_guest.shared->consumed, 1);
		ring_produce(&relay->rings.to_host, sizeof(frame) + header.len);
	}
	look_at_rings();
}

void put_no_frame(void)
{
	struct relay *relay = share_memory();

	if (relay->offers) {
		ring_put(&relay->rings.to_host, 0, "these are no frames of rings", 28);
		ring_produce(&relay->rings.to_host, 28);
	}
	look_at_rings();
}
