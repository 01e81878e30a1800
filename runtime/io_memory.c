/*
 * The memory that the guest offers for the traffic of shares (wire.h, MEMORY). Of the
 * guest's memory, a file that the monitor has handed over, these two parts are mapped
 * and no more, and the file is closed.
 */
#include "io_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "channel_ring.h"
#include "cleanup.h"

#define ABOVE_4G (4ull << 30)

int io_memory_offset(uint64_t address, uint64_t below_4g, uint64_t size, uint64_t *offset,
		     struct error *err)
{
	/* the file goes on above 4 GiB with what has no place below */
	uint64_t at = address < below_4g ? address : address - ABOVE_4G + below_4g;
	uint64_t end = address < below_4g && below_4g < size ? below_4g : size;

	if (address % WIRE_MEMORY_PART)
		return error_set(err, 0, "the guest offered memory at 0x%llx, which is not aligned",
				 (unsigned long long)address);
	if ((address >= below_4g && address < ABOVE_4G) || at > end || end - at < WIRE_MEMORY_PART)
		return error_set(err, 0, "the guest offered memory at 0x%llx, where it has none",
				 (unsigned long long)address);
	*offset = at;
	return 0;
}

/* NULL with err set. */
static uint8_t *map(const struct io *io, uint64_t address, struct error *err)
{
	uint64_t offset = 0;
	struct stat st;
	void *part;

	if (fstat(io->memory, &st)) {
		error_set(err, errno, "fstat of the guest's memory");
		return NULL;
	}
	if (io_memory_offset(address, io->memory_below_4g, (uint64_t)st.st_size, &offset, err))
		return NULL;
	part = mmap(NULL, WIRE_MEMORY_PART, PROT_READ | PROT_WRITE, MAP_SHARED, io->memory,
		    (off_t)offset);
	if (part == MAP_FAILED) {
		error_set(err, errno, "map the guest's memory");
		return NULL;
	}
	return part;
}

/* Nothing may be under way on the port as it was. */
static int replace_channel(struct io_port *port, const struct ring_pair *rings, struct error *err)
{
	struct channel *channel = NULL;

	pthread_mutex_lock(&port->lock);
	if (port->input_used || port->queue_head)
		error_set(err, 0, "the guest offered memory after it had used port %u",
			  WIRE_PORT_MEMORY);
	else
		channel = channel_ring_new(port->channel, rings, err);
	if (channel)
		port->channel = channel;
	pthread_mutex_unlock(&port->lock);
	return channel ? 0 : -1;
}

int io_memory_offered(struct io *io, const uint8_t body[WIRE_MEMORY_SIZE], struct error *err)
{
	CLEANUP_CLOSE int memory = io->memory;
	uint64_t addresses[2];
	uint8_t *parts[2];
	struct ring_pair rings;

	if (memory < 0 || io->ports_count <= WIRE_PORT_MEMORY)
		return error_set(err, 0,
				 "the guest offered memory for rings that nobody has asked for");
	wire_decode_memory(body, addresses);
	if (addresses[0] == addresses[1])
		return error_set(err, 0, "the guest offered the same memory twice");
	for (int i = 0; i < 2; i++) {
		parts[i] = map(io, addresses[i], err);
		if (!parts[i])
			return -1;
	}
	io->memory = -1;
	ring_pair_lay_out(&rings, parts[0], parts[1]);
	return replace_channel(&io->ports[WIRE_PORT_MEMORY], &rings, err);
}
