/*
 * What a hostile guest (init_hostile.c) says of the memory that it offers to the
 * host, and puts into it.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hostile.h"
#include "ring.h"
#include "wire.h"

#define PAGE_SIZE 4096u
/* Of an entry of /proc/PID/pagemap. */
#define PAGE_NUMBER ((1ull << 55) - 1)

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

static uint64_t physical_address(const uint8_t *page)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)page / PAGE_SIZE * sizeof(entry))) <
	    0)
		entry = 0;
	close(fd);
	return (entry & PAGE_NUMBER) * PAGE_SIZE;
}

/* Two huge pages. The host then looks into the rings at each byte through the port. */
static bool share_memory(struct ring_pair *rings)
{
	int fd = open("/proc/sys/vm/nr_hugepages", O_WRONLY);
	bool some = write(fd, "2", 1) > 0;
	uint8_t *parts = some ? mmap(NULL, 2 * (size_t)WIRE_MEMORY_PART, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0)
			      : MAP_FAILED;

	close(fd);
	if (parts == MAP_FAILED) {
		/* a PV domain, whose host has not asked for any */
		offer(0, WIRE_MEMORY_PART);
		return false;
	}
	ring_pair_lay_out(rings, parts, parts + WIRE_MEMORY_PART);
	offer(physical_address(parts), physical_address(parts + WIRE_MEMORY_PART));
	return true;
}

static void look_at_rings(void)
{
	send_bytes(last_port() >= WIRE_PORT_MEMORY ? WIRE_PORT_MEMORY : WIRE_PORT_CONTROL, "", 1);
}

void claim_too_much(void)
{
	struct ring_pair rings;

	if (share_memory(&rings))
		atomic_store(&rings.to_host.shared->produced, WIRE_MEMORY_PART);
	look_at_rings();
}

/* What has been read already is offered again. */
void go_back(void)
{
	struct ring_pair rings;

	if (share_memory(&rings))
		atomic_store(&rings.to_host.shared->produced, UINT64_MAX);
	look_at_rings();
}

/* More consumed than there ever was shows when the host writes: the answer to INIT. */
void consume_too_much(void)
{
	struct ring_pair rings;
	const struct fuse_in_header header = {
		.len = sizeof(header) + sizeof(struct fuse_init_in),
		.opcode = FUSE_INIT,
		.unique = 2,
		.nodeid = FUSE_ROOT_ID,
	};
	const struct fuse_init_in init = { .major = FUSE_KERNEL_VERSION, .minor = 36 };
	uint8_t frame[WIRE_HEADER_SIZE];

	if (share_memory(&rings)) {
		wire_encode_header(frame, WIRE_DATA, 0, share(), header.len);
		ring_put(&rings.to_host, 0, frame, sizeof(frame));
		ring_put(&rings.to_host, sizeof(frame), &header, sizeof(header));
		ring_put(&rings.to_host, sizeof(frame) + sizeof(header), &init, sizeof(init));
		atomic_store(&rings.to_guest.shared->consumed, 1);
		ring_produce(&rings.to_host, sizeof(frame) + header.len);
	}
	look_at_rings();
}

void put_no_frame(void)
{
	struct ring_pair rings;

	if (share_memory(&rings)) {
		ring_put(&rings.to_host, 0, "these are no frames of rings", 28);
		ring_produce(&rings.to_host, 28);
	}
	look_at_rings();
}

/* A request with `count` pieces of memory for its data, as a PAGES frame's body. */
static uint32_t name_pages(uint8_t body[WIRE_BODY_MAX], uint32_t opcode, uint64_t address,
			   uint32_t length, unsigned int count)
{
	const struct fuse_in_header header = {
		.len = WIRE_PAGES_REQUEST,
		.opcode = opcode,
		.unique = 2,
		.nodeid = FUSE_ROOT_ID,
	};
	const struct fuse_read_in in = { .fh = 1, .size = length * count };
	uint8_t *extent = body + WIRE_PAGES_REQUEST;

	memcpy(body, &header, sizeof(header));
	memcpy(body + sizeof(header), &in, sizeof(in));
	for (unsigned int i = 0; i < count; i++, extent += WIRE_EXTENT_SIZE) {
		memset(extent, 0, WIRE_EXTENT_SIZE);
		memcpy(extent, &address, sizeof(address));
		memcpy(extent + sizeof(address), &length, sizeof(length));
	}
	return (uint32_t)(extent - body);
}

static void put_pages(uint32_t opcode, uint64_t address, uint32_t length, unsigned int count)
{
	static uint8_t body[WIRE_BODY_MAX];
	uint32_t size = name_pages(body, opcode, address, length, count);
	uint8_t frame[WIRE_HEADER_SIZE];
	struct ring_pair rings;

	if (share_memory(&rings)) {
		wire_encode_header(frame, WIRE_PAGES, 0, share(), size);
		ring_put(&rings.to_host, 0, frame, sizeof(frame));
		ring_put(&rings.to_host, sizeof(frame), body, size);
		ring_produce(&rings.to_host, sizeof(frame) + size);
	}
	look_at_rings();
}

void name_pages_without_rings(void)
{
	static uint8_t body[WIRE_BODY_MAX];

	send_frame(WIRE_PAGES, 0, share(), body, name_pages(body, FUSE_READ, 0, PAGE_SIZE, 1));
}

void name_pages_beyond(void)
{
	put_pages(FUSE_READ, 1ull << 40, PAGE_SIZE, 1);
}

void name_too_many_pages(void)
{
	put_pages(FUSE_READ, 0, 2 * PAGE_SIZE, WIRE_EXTENTS_MAX);
}

void name_pages_for_lookup(void)
{
	put_pages(FUSE_LOOKUP, 0, PAGE_SIZE, 1);
}
