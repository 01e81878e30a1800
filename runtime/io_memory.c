/*
 * The guest's memory, a file that the monitor has handed over: mapped when the guest
 * offers two parts of it for the traffic of shares (wire.h, MEMORY), for those and for
 * the data that it names (PAGES). The file is closed then.
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

_Static_assert(WIRE_PAGES_REQUEST == FUSE_REQUEST_PLACED_SIZE, "request before the extents");

int io_memory_offset(const struct wire_extent *extent, uint64_t below_4g, uint64_t size,
		     uint64_t *offset, struct error *err)
{
	const uint64_t address = extent->address;
	/* the file goes on above 4 GiB with what has no place below */
	uint64_t at = address < below_4g ? address : address - ABOVE_4G + below_4g;
	uint64_t end = address < below_4g && below_4g < size ? below_4g : size;

	if ((address >= below_4g && address < ABOVE_4G) || at > end || end - at < extent->length)
		return error_set(err, 0, "there are not %u bytes of the guest's memory at 0x%llx",
				 extent->length, (unsigned long long)address);
	*offset = at;
	return 0;
}

static int map(struct io *io, struct error *err)
{
	CLEANUP_CLOSE int memory = steal_fd(&io->memory);
	struct stat st;
	void *start;

	if (fstat(memory, &st))
		return error_set(err, errno, "fstat of the guest's memory");
	start = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (start == MAP_FAILED)
		return error_set(err, errno, "map the guest's memory");
	io->memory_start = start;
	io->memory_size = (uint64_t)st.st_size;
	return 0;
}

/* NULL with err set. */
static uint8_t *find(const struct io *io, const struct wire_extent *extent, struct error *err)
{
	uint64_t offset = 0;

	if (io_memory_offset(extent, io->memory_below_4g, io->memory_size, &offset, err))
		return NULL;
	return io->memory_start + offset;
}

/* NULL with err set. */
static uint8_t *find_part(const struct io *io, uint64_t address, struct error *err)
{
	const struct wire_extent part = { .address = address, .length = WIRE_MEMORY_PART };
	uint8_t *start;

	if (address % WIRE_MEMORY_PART) {
		error_set(err, 0, "the guest offered memory at 0x%llx, which is not aligned",
			  (unsigned long long)address);
		return NULL;
	}
	start = find(io, &part, err);
	if (!start)
		error_prefix(err, "the guest offered memory");
	return start;
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
	uint64_t addresses[2];
	uint8_t *parts[2];
	struct ring_pair rings;

	if (io->memory < 0 || io->ports_count <= WIRE_PORT_MEMORY)
		return error_set(err, 0,
				 "the guest offered memory for rings that nobody has asked for");
	wire_decode_memory(body, addresses);
	if (addresses[0] == addresses[1])
		return error_set(err, 0, "the guest offered the same memory twice");
	if (map(io, err))
		return -1;
	for (int i = 0; i < 2; i++) {
		parts[i] = find_part(io, addresses[i], err);
		if (!parts[i])
			return -1;
	}
	ring_pair_lay_out(&rings, parts[0], parts[1]);
	return replace_channel(&io->ports[WIRE_PORT_MEMORY], &rings, err);
}

/* Returns -1 with err set. */
static int add_piece(const struct io *io, const uint8_t *body, struct share_data *data,
		     struct error *err)
{
	struct wire_extent extent;
	uint8_t *start;

	if (wire_decode_extent(body, &extent, err))
		return -1;
	start = find(io, &extent, err);
	if (!start)
		return error_prefix(err, "the guest named memory for a file request");
	if (extent.length > SHARE_MAX_IO - data->size)
		return error_set(err, 0,
				 "the guest named more than %u bytes of memory for a file request",
				 SHARE_MAX_IO);
	data->pieces[data->count++] = (struct iovec){
		.iov_base = start,
		.iov_len = extent.length,
	};
	data->size += extent.length;
	return 0;
}

struct share_data *io_memory_data(const struct io *io, const struct wire_frame *frame,
				  struct error *err)
{
	const size_t size = frame->length - WIRE_PAGES_REQUEST;
	CLEANUP_FREE struct share_data *data = NULL;

	if (!io->memory_start || size % WIRE_EXTENT_SIZE) {
		error_set(err, 0, "the guest named memory for a file request, %s",
			  io->memory_start ? "and half of a piece" : "but offered none");
		return NULL;
	}
	data = calloc(1, sizeof(*data) + size / WIRE_EXTENT_SIZE * sizeof(data->pieces[0]));
	if (!data) {
		error_set(err, ENOMEM, "receive a file request");
		return NULL;
	}
	for (size_t at = 0; at < size; at += WIRE_EXTENT_SIZE)
		if (add_piece(io, frame->body + WIRE_PAGES_REQUEST + at, data, err))
			return NULL;
	return steal_pointer(&data);
}
