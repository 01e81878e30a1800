/*
 * Share streams: FUSE requests of this kernel to the host, its replies back.
 * A request has to be read from /dev/fuse in one piece, so it has one buffer,
 * common to all shares, from which it goes out in frames beside other traffic.
 */
#include "relay.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The file system is gone: nothing more to carry. The host is not told; it knows. */
static void share_ended(struct stream *stream)
{
	stream_close_fd(stream);
	stream->finished = true;
}

/*
 * Hands it to the kernel. ENOENT: the request was interrupted and nobody waits any
 * more. EINVAL: the host's mistake, seen by who waits for it.
 */
static int deliver(struct relay *relay, struct stream *stream, const uint8_t *reply, size_t size,
		   struct error *err)
{
	struct fuse_out_header header;

	if (!reply || size < sizeof(header))
		return error_set(err, 0, "channel: reply of %zu bytes on share stream %u", size,
				 stream->id);
	memcpy(&header, reply, sizeof(header));
	if (header.len != size)
		return error_set(err, 0, "channel: reply of %zu bytes says %u on share stream %u",
				 size, header.len, stream->id);
	if (stream->fd < 0)
		return 0;
	if (header.unique == 0)
		return notify_put(relay, stream, reply, size, err);
	if (write(stream->fd, reply, size) < 0 && errno == ENODEV)
		share_ended(stream);
	return 0;
}

static int collect(struct stream *stream, const struct wire_frame *frame, struct error *err)
{
	if (!stream->reply) {
		stream->reply = mmap(NULL, SHARE_REPLY_MAX, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (stream->reply == MAP_FAILED) {
			stream->reply = NULL;
			return error_set(err, errno, "buffer of share stream %u", stream->id);
		}
	}
	if (stream->reply_size + frame->length > SHARE_REPLY_MAX)
		return error_set(err, 0, "channel: reply over %u bytes on share stream %u",
				 SHARE_REPLY_MAX, stream->id);
	memcpy(stream->reply + stream->reply_size, frame->body, frame->length);
	stream->reply_size += frame->length;
	return 0;
}

int share_receive(struct relay *relay, struct stream *stream, const struct wire_frame *frame,
		  struct error *err)
{
	size_t size;

	if (!stream->reply_size && !(frame->flags & WIRE_MORE))
		return deliver(relay, stream, frame->body, frame->length, err);
	if (collect(stream, frame, err) < 0)
		return -1;
	if (frame->flags & WIRE_MORE)
		return 0;
	size = stream->reply_size;
	stream->reply_size = 0;
	return deliver(relay, stream, stream->reply, size, err);
}

/* Takes the next request, when the buffer is free and credit covers the largest. */
bool share_read(struct relay *relay, struct stream *stream)
{
	ssize_t n;

	if (relay->request_stream || stream->fd < 0 || !stream->readable ||
	    stream->credit < SHARE_REQUEST_MAX)
		return false;
	n = read(stream->fd, relay->request, sizeof(relay->request));
	if (n > 0) {
		relay->request_stream = stream;
		relay->request_size = n;
		relay->request_sent = 0;
		stream->credit -= n;
		share_send_request(relay);
		return true;
	}
	if (n < 0 && (errno == EINTR || errno == ENOENT))
		return true; /* a request that was given up meanwhile */
	stream->readable = false;
	if (n == 0 || errno != EAGAIN)
		share_ended(stream);
	return false;
}

bool share_send_request(struct relay *relay)
{
	bool progress = false;

	while (relay->request_stream) {
		size_t left = relay->request_size - relay->request_sent;
		size_t size = left < WIRE_BODY_MAX ? left : WIRE_BODY_MAX;

		if (!output_frame(&relay->request_stream->port->output, WIRE_DATA,
				  size < left ? WIRE_MORE : 0, relay->request_stream->id,
				  relay->request + relay->request_sent, size))
			break;
		progress = true;
		relay->request_sent += size;
		if (relay->request_sent == relay->request_size)
			relay->request_stream = NULL;
	}
	return progress;
}
