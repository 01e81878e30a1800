/*
 * Shares whose messages take rings in memory that this VM has in common with the host
 * (wire.h, MEMORY): their requests and replies do not come through this process.
 * Its kernel puts them into the rings itself and takes them from there
 * (guest/kernel-rings.patch); the relay only tells the host where the rings are, and
 * the kernel which connection is which stream.
 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "kmsg.h"

/* As in <linux/fuse.h> of that kernel. */
struct fuse_rings_open {
	uint32_t bell, unused;
	uint64_t parts[2];
};

struct fuse_rings_carry {
	uint32_t stream, credit;
};

#define FUSE_DEV_IOC_RINGS	 _IOWR(FUSE_DEV_IOC_MAGIC, 32, struct fuse_rings_open)
#define FUSE_DEV_IOC_RINGS_CARRY _IOW(FUSE_DEV_IOC_MAGIC, 33, struct fuse_rings_carry)

/* Early: later there may be no two pieces of memory of that size. */
void relay_prepare_memory(struct relay *relay)
{
	struct port *port = &relay->ports[WIRE_PORT_MEMORY];
	CLEANUP_CLOSE int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	struct fuse_rings_open rings = { .bell = (uint32_t)relay->ops->fd(port->channel) };

	if (fuse < 0 || ioctl(fuse, FUSE_DEV_IOC_RINGS, &rings) < 0) {
		kmsg_error("relay: memory to share with the host: %s", strerror(errno));
		return;
	}
	epoll_ctl(relay->epoll, EPOLL_CTL_DEL, relay->ops->fd(port->channel), NULL);
	port->carried = true;
	memcpy(relay->memory, rings.parts, sizeof(relay->memory));
}

void relay_offer_memory(struct relay *relay)
{
	uint8_t body[WIRE_MEMORY_SIZE];

	if (relay->ports_count <= WIRE_PORT_MEMORY || !relay->ports[WIRE_PORT_MEMORY].carried)
		return;
	wire_encode_memory(body, relay->memory);
	output_frame(&relay->ports[WIRE_PORT_CONTROL].output, WIRE_MEMORY, 0, 0, body,
		     sizeof(body));
}

int memory_carry(struct stream *stream, struct error *err)
{
	const struct fuse_rings_carry carry = { .stream = stream->id, .credit = stream->credit };

	if (ioctl(stream->fd, FUSE_DEV_IOC_RINGS_CARRY, &carry) < 0)
		return error_set(err, errno, "hand share stream %u to the kernel", stream->id);
	close(steal_fd(&stream->fd));
	stream->finished = true;
	return 0;
}
