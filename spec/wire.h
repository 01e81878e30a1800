/*
 * The wire format of the channel between the io process on the host and the
 * relay in the guest: frames on one or more ports, each an ordered byte stream in
 * both directions (one vchan on Xen, several virtio-serial ports on QEMU). Pure
 * functions, no I/O; the decoder is what a hostile guest meets first and is
 * fuzzed.
 *
 * A frame is a header of 12 bytes, little-endian, and a body:
 *
 *	u32 length    bytes of body, at most WIRE_BODY_MAX
 *	u8  type      enum wire_type
 *	u8  flags     WIRE_MORE or 0
 *	u16 reserved  0
 *	u32 stream    0 for HELLO, CONTROL and MEMORY
 *
 * Conversation: the host sends HELLO, the guest answers HELLO; nothing else may
 * come first. CONTROL carries the JSON texts of control.h. Every other stream
 * id is chosen by the host, announced in a control message and never used twice
 * in the life of a VM.
 *
 * Ports: an id's upper eight bits are the port that all of the stream's frames
 * take, so that bulk on one does not delay what is on another. HELLO, MEMORY and
 * CONTROL take port 0, but for exits, which take the port of the process's stdio, in one
 * frame each, behind its output. Between ports there is no order: for a stream of
 * stdio the host sends nothing before the guest has answered the request that
 * announced it, and it takes a process's exit to come after the answers to all
 * requests about that process.
 *
 * MEMORY: where the hypervisor lets the host reach the guest's memory, the guest may
 * offer two parts of it, each of WIRE_MEMORY_PART bytes, behind its HELLO. What it
 * sends on WIRE_PORT_MEMORY from then on, and what it is sent there, are frames as
 * before, but in the rings of that memory (ring.h); a byte through the port itself,
 * of any value, tells the other side to look at them. The port is then for shares
 * alone: it is the guest's kernel that reads and writes the rings. There it may name
 * the memory that the data of a READ or WRITE is in, or is to be in, by PAGES, which is
 * a request without that data; a READ's answer then ends behind its header, which tells
 * of the length that it would have.
 *
 * Kinds of streams:
 *  - stdio: DATA one way (stdin to the guest; stdout, stderr from it), or both
 *    ways with one id (terminal). The sender may have WIRE_STDIO_WINDOW bytes of
 *    body under way; the receiver returns them by CREDIT when it has passed them
 *    on. END: the sender will send no more on this stream. RESET: the receiver
 *    reads no more; the sender drops what it has and closes its source, so that
 *    a writing process gets SIGPIPE. DATA that crosses a RESET is ignored.
 *  - share: FUSE messages, cut into DATA frames; all but the last of a message
 *    have WIRE_MORE. Requests (guest to host) use credit of WIRE_SHARE_WINDOW,
 *    returned when the host has finished the request, or has put it aside to wait
 *    for a lock: waits are bounded in number. Replies use none: the
 *    relay passes them to /dev/fuse at once. Notifications (messages that answer
 *    nothing) use credit of WIRE_NOTIFY_WINDOW, which the relay returns when its
 *    kernel has done with them: that may have to wait for a reply.
 *  - socket: one connection to a bound socket of the host, DATA both ways with
 *    credit of WIRE_SOCKET_WINDOW each. The host sends nothing before the guest's
 *    first CREDIT, which says that it knows the stream. Where the socket has
 *    messages each DATA frame is one, and costs WIRE_MESSAGE_COST of credit more
 *    than its bytes. After END in one direction the other goes on.
 */
#ifndef VXN_WIRE_H
#define VXN_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define WIRE_VERSION	  1
#define WIRE_HEADER_SIZE  12
#define WIRE_BODY_MAX	  (64u << 10)
#define WIRE_ENTROPY_SIZE 64

/* The control port and that of stdio; shares take those after them in turn. */
#define WIRE_PORTS_MAX	   8u
#define WIRE_PORT_CONTROL  0u
#define WIRE_PORT_STDIO	   1u
#define WIRE_PORT_SHIFT	   24
#define WIRE_STREAM_NUMBER ((1u << WIRE_PORT_SHIFT) - 1)

/* The port whose stream goes through memory of the guest once it has offered that. */
#define WIRE_PORT_MEMORY (WIRE_PORT_STDIO + 1)
#define WIRE_MEMORY_PART (2u << 20)

#define WIRE_STDIO_WINDOW (256u << 10)
#define WIRE_SHARE_WINDOW (4u << 20)
/* At least a few of the largest: a name of 255 bytes. */
#define WIRE_NOTIFY_WINDOW (16u << 10)

#define WIRE_SOCKET_WINDOW (128u << 10)
#define WIRE_MESSAGE_COST  4u
#define WIRE_SOCKETS_MAX   256u /* connections of a VM, asked for or open */

/*
 * Limits of a whole CONTROL text, all its frames together. To the guest it holds a config
 * of CONFIG_SIZE_MAX (config.h) and what is said of its mounts.
 */
#define WIRE_CONTROL_MAX_TO_GUEST (4u << 20)
#define WIRE_CONTROL_MAX_TO_HOST  (16u << 10)

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_CONTROL = 2,
	WIRE_DATA = 3,
	WIRE_END = 4,
	WIRE_RESET = 5,
	WIRE_CREDIT = 6, /* body: u32, bytes given back */
	WIRE_MEMORY = 7, /* from the guest, once: two u64, physical addresses */
	WIRE_PAGES = 8,	 /* from the guest: a FUSE request without its data, and extents */
};

#define WIRE_MORE 0x01 /* the message goes on in the next frame of this stream */

struct wire_frame {
	uint8_t type;
	uint8_t flags;
	uint32_t stream;
	uint32_t length;
	const uint8_t *body; /* points into the decoded buffer */
};

/*
 * Decodes the frame at the start of buf. Returns the number of bytes it takes
 * (header and body), 0 if more bytes are needed, -1 with err set if this is no
 * frame: unknown type or flag, reserved bits, a length over WIRE_BODY_MAX or
 * wrong for the type, a stream id that does not fit the type.
 */
long wire_decode(const uint8_t *buf, size_t size, struct wire_frame *frame, struct error *err);

/* Writes the header for a body of length bytes. */
void wire_encode_header(uint8_t out[WIRE_HEADER_SIZE], uint8_t type, uint8_t flags, uint32_t stream,
			uint32_t length);

/* The port of a stream's frames, which need not exist. */
unsigned int wire_port(uint32_t stream);

/*
 * The port for stdio, and for the share of this index, of a channel that has
 * `ports` of them (1 to WIRE_PORTS_MAX): with one it carries everything.
 */
unsigned int wire_port_of_stdio(unsigned int ports);
unsigned int wire_port_of_share(unsigned int ports, size_t share);

/* Body of a HELLO. The guest's has entropy and time zero. */
struct wire_hello {
	uint32_t version;
	uint64_t realtime_ns;		    /* CLOCK_REALTIME of the host */
	uint8_t entropy[WIRE_ENTROPY_SIZE]; /* for RNDADDENTROPY */
};

#define WIRE_HELLO_SIZE (4 + 8 + WIRE_ENTROPY_SIZE)

void wire_encode_hello(uint8_t out[WIRE_HELLO_SIZE], const struct wire_hello *hello);

/* Fails when the size is wrong; names both versions when they differ. */
int wire_decode_hello(const uint8_t *body, size_t size, struct wire_hello *hello,
		      struct error *err);

/* Of a PAGES frame: the header and arguments of a FUSE READ or WRITE, and what follows those. */
#define WIRE_PAGES_REQUEST 80u
#define WIRE_EXTENT_SIZE   16u
/* A megabyte of pages, which may begin in the midst of one. */
#define WIRE_EXTENTS_MAX 257u

/* A piece of the guest's memory. */
struct wire_extent {
	uint64_t address; /* physical */
	uint32_t length;
};

/* Fails where it is empty, or has reserved bits. */
int wire_decode_extent(const uint8_t body[WIRE_EXTENT_SIZE], struct wire_extent *extent,
		       struct error *err);

#define WIRE_MEMORY_SIZE 16

void wire_encode_memory(uint8_t out[WIRE_MEMORY_SIZE], const uint64_t parts[2]);
void wire_decode_memory(const uint8_t body[WIRE_MEMORY_SIZE], uint64_t parts[2]);

void wire_encode_credit(uint8_t out[4], uint32_t bytes);
uint32_t wire_decode_credit(const uint8_t body[4]);

#endif
