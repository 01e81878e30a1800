/*
 * The port whose bytes go through memory that this VM shares with the host (wire.h,
 * MEMORY): two huge pages, because what the host is told of are physical
 * addresses, and the kernel moves no huge page.
 *
 * Messages of shares are not copied here: /dev/fuse is read into the ring, and
 * written from it.
 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "kmsg.h"

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif

#define PAGE_SIZE 4096u
/* Of an entry of /proc/PID/pagemap. */
#define PAGE_PRESENT (1ull << 63)
#define PAGE_NUMBER  ((1ull << 55) - 1)

/* Frames that the largest request is cut into. */
#define FRAMES_MAX  ((SHARE_REQUEST_MAX + WIRE_BODY_MAX - 1) / WIRE_BODY_MAX)
#define FRAME_SIZE  (WIRE_HEADER_SIZE + WIRE_BODY_MAX)
#define REQUEST_MAX (SHARE_REQUEST_MAX + FRAMES_MAX * WIRE_HEADER_SIZE)

static int physical_address(int pagemap, const uint8_t *page, uint64_t *address)
{
	uint64_t entry;

	if (pread(pagemap, &entry, sizeof(entry),
		  (off_t)((uintptr_t)page / PAGE_SIZE * sizeof(entry))) != sizeof(entry))
		return -1;
	*address = (entry & PAGE_NUMBER) * PAGE_SIZE;
	return entry & PAGE_PRESENT && *address ? 0 : -1;
}

void relay_prepare_memory(struct relay *relay)
{
	CLEANUP_CLOSE int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint8_t *parts =
		mmap(NULL, 2 * (size_t)WIRE_MEMORY_PART, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB | MAP_POPULATE, -1, 0);

	if (parts == MAP_FAILED || pagemap < 0) {
		kmsg_error("relay: memory to share with the host: %s", strerror(errno));
		return;
	}
	for (int i = 0; i < 2; i++)
		if (physical_address(pagemap, parts + i * (size_t)WIRE_MEMORY_PART,
				     &relay->offer[i]) < 0) {
			kmsg_error("relay: no address of memory to share with the host");
			return;
		}
	ring_pair_lay_out(&relay->rings, parts, parts + WIRE_MEMORY_PART);
	relay->offers = true;
}

/* Behind the HELLO. From here on the port is one of memory. */
void relay_offer_memory(struct relay *relay)
{
	struct port *port = &relay->ports[WIRE_PORT_MEMORY];
	uint8_t body[WIRE_MEMORY_SIZE];

	if (!relay->offers)
		return;
	wire_encode_memory(body, relay->offer);
	output_frame(&relay->ports[WIRE_PORT_CONTROL].output, WIRE_MEMORY, 0, 0, body,
		     sizeof(body));
	port->memory = port->readable = true;
}

/* A bell that takes no more has been rung often enough. */
static void ring_bell(const struct relay *relay)
{
	relay->ops->write(relay->ports[WIRE_PORT_MEMORY].channel, "", 1);
}

/* All of it: each ring occupies one of the port's few buffers until it is read. */
int memory_acknowledge(const struct relay *relay)
{
	char rung[64];
	ssize_t n;

	do {
		n = relay->ops->read(relay->ports[WIRE_PORT_MEMORY].channel, rung, sizeof(rung));
	} while (n > 0);
	return n < 0 ? -1 : 0;
}

ssize_t memory_write(struct relay *relay, const void *bytes, size_t size)
{
	struct ring *ring = &relay->rings.to_host;
	ssize_t n = ring_room(ring, size);

	if (n > (ssize_t)size)
		n = (ssize_t)size;
	if (n <= 0)
		return n;
	ring_put(ring, 0, bytes, (size_t)n);
	if (ring_produce(ring, (size_t)n))
		ring_bell(relay);
	return n;
}

/* --- from the host --- */

/* The frame that begins there. Returns its size, 0 if not all of it is there, -1 if it is none. */
static long frame_at(const struct ring *ring, size_t offset, size_t filled,
		     struct wire_frame *frame, struct error *err)
{
	uint8_t header[WIRE_HEADER_SIZE];
	size_t size;

	if (filled - offset < sizeof(header))
		return 0;
	ring_get(ring, offset, header, sizeof(header));
	if (wire_decode(header, sizeof(header), frame, err) < 0)
		return -1;
	size = WIRE_HEADER_SIZE + frame->length;
	return filled - offset < size ? 0 : (long)size;
}

/* A whole message of a share, which the host writes without others between its frames. */
static long receive_message(struct relay *relay, struct stream *stream, size_t filled,
			    struct error *err)
{
	const struct ring *ring = &relay->rings.to_guest;
	struct iovec pieces[2 * FRAMES_MAX];
	struct fuse_out_header header;
	struct wire_frame frame = { .flags = WIRE_MORE };
	size_t at = 0, size = 0;
	int count = 0;

	for (unsigned int i = 0; frame.flags & WIRE_MORE; i++) {
		long n = frame_at(ring, at, filled, &frame, err);

		if (n <= 0)
			return n;
		if (i == FRAMES_MAX || frame.type != WIRE_DATA || frame.stream != stream->id ||
		    (i == 0 && frame.length < sizeof(header)))
			return error_set(err, 0, "channel: message on share stream %u is none",
					 stream->id);
		count += ring_pieces(ring, at + WIRE_HEADER_SIZE, frame.length, pieces + count);
		at += (size_t)n;
		size += frame.length;
	}
	ring_get(ring, WIRE_HEADER_SIZE, &header, sizeof(header));
	return share_deliver(relay, stream, &header, pieces, count, size, err) < 0 ? -1 : (long)at;
}

/* What the ring begins with. Returns its size, 0 if not all of it is there. */
static long receive_one(struct relay *relay, struct port *port, size_t filled, struct error *err)
{
	const struct ring *ring = &relay->rings.to_guest;
	const struct stream *stream;
	struct wire_frame frame;
	long size = frame_at(ring, 0, filled, &frame, err);

	if (size <= 0)
		return size;
	stream = frame.type == WIRE_DATA ? relay_find(relay, frame.stream) : NULL;
	if (stream && stream->kind == STREAM_SHARE)
		return receive_message(relay, relay_find(relay, frame.stream), filled, err);
	ring_get(ring, 0, port->input, (size_t)size);
	frame.body = port->input + WIRE_HEADER_SIZE;
	return relay_receive_frame(relay, port, &frame, err) < 0 ? -1 : size;
}

int memory_receive(struct relay *relay, struct port *port, bool *progress, struct error *err)
{
	struct ring *ring = &relay->rings.to_guest;
	size_t seen = 0;

	while (port->readable) {
		ssize_t filled = ring_filled(ring, seen + 1);
		long used;

		if (filled < 0 || (seen && seen == ring->size))
			return error_set(err, 0, "channel: the host broke the rings");
		port->readable = (size_t)filled > seen;
		if (!port->readable)
			break;
		used = receive_one(relay, port, (size_t)filled, err);
		if (used < 0)
			return -1;
		seen = used ? 0 : (size_t)filled;
		if (!used)
			continue;
		*progress = true;
		if (ring_consume(ring, (size_t)used))
			ring_bell(relay);
	}
	return 0;
}

/* --- to the host --- */

/* Reads a request to where its frames' bodies are to be. */
static ssize_t read_request(int fuse, const struct ring *ring)
{
	struct iovec pieces[2 * FRAMES_MAX];
	size_t left = SHARE_REQUEST_MAX;
	int count = 0;

	for (unsigned int i = 0; i < FRAMES_MAX; i++) {
		size_t part = left < WIRE_BODY_MAX ? left : WIRE_BODY_MAX;

		count += ring_pieces(ring, i * FRAME_SIZE + WIRE_HEADER_SIZE, part, pieces + count);
		left -= part;
	}
	return readv(fuse, pieces, count);
}

/* Puts the headers before the bodies. Returns the size of all. */
static size_t put_headers(const struct ring *ring, uint32_t stream, size_t size)
{
	uint8_t header[WIRE_HEADER_SIZE];
	size_t left = size, frames = 0;

	while (left) {
		uint32_t part = left < WIRE_BODY_MAX ? (uint32_t)left : WIRE_BODY_MAX;

		wire_encode_header(header, WIRE_DATA, part < left ? WIRE_MORE : 0, stream, part);
		ring_put(ring, frames++ * FRAME_SIZE, header, sizeof(header));
		left -= part;
	}
	return size + frames * WIRE_HEADER_SIZE;
}

ssize_t memory_read_request(struct relay *relay, const struct stream *stream)
{
	const struct output *output = &stream->port->output;
	struct ring *ring = &relay->rings.to_host;
	ssize_t n;

	/* the host rings when there is room again */
	if (output->begin < output->end || ring_room(ring, REQUEST_MAX) < (ssize_t)REQUEST_MAX) {
		errno = EBUSY;
		return -1;
	}
	n = read_request(stream->fd, ring);
	if (n > 0 && ring_produce(ring, put_headers(ring, stream->id, (size_t)n)))
		ring_bell(relay);
	return n;
}
