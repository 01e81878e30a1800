/*
 * Frames from the host: decodes what the channel brought and hands it to the
 * stream that it is for. Control texts go to pid 1 in a memfd, because they are
 * large at times; the streams that they announce are entered here first, since
 * data for them may be right behind.
 */
#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"

struct stream *relay_find(struct relay *relay, uint32_t id)
{
	for (struct stream *s = relay->streams; s; s = s->next)
		if (s->id == id && !s->finished)
			return s;
	return NULL;
}

struct stream *relay_announce(struct relay *relay, uint32_t id, enum stream_kind kind,
			      struct error *err)
{
	struct stream *stream = relay_find(relay, id);

	if (stream || wire_port(id) >= relay->ports_count) {
		error_set(err, stream ? EEXIST : ENODEV, "stream %u", id);
		return NULL;
	}
	stream = calloc(1, sizeof(*stream));
	if (!stream) {
		error_set(err, ENOMEM, "stream %u", id);
		return NULL;
	}
	stream->id = id;
	stream->port = &relay->ports[wire_port(id)];
	stream->kind = kind;
	stream->fd = -1;
	stream->credit = kind == STREAM_SHARE ? WIRE_SHARE_WINDOW : WIRE_STDIO_WINDOW;
	stream->next = relay->streams;
	relay->streams = stream;
	return stream;
}

static int announce_share(struct relay *relay, const struct control_share *share, struct error *err)
{
	bool tree = share->kind == CONTROL_SHARE_TREE;
	struct stream *stream;

	/* a device has no stream, nor has a socket at which nobody listens */
	if (!tree && !share->socket_type)
		return 0;
	stream = relay_announce(relay, share->stream, tree ? STREAM_SHARE : STREAM_LISTENER, err);
	if (!stream)
		return -1;
	stream->socket_type = (int)share->socket_type;
	return 0;
}

static int announce_streams(struct relay *relay, const struct control_message *message,
			    struct error *err)
{
	uint32_t in = message->stdin_stream;
	uint32_t outputs[2] = { message->stdout_stream, message->stderr_stream };

	for (int i = 0; i < 2; i++) {
		bool terminal = outputs[i] == in;

		if (!outputs[i] || (i == 1 && outputs[1] == outputs[0]))
			continue;
		if (!relay_announce(relay, outputs[i], terminal ? STREAM_TERMINAL : STREAM_OUTPUT,
				    err))
			return -1;
	}
	if (in && in != outputs[0] && in != outputs[1] &&
	    !relay_announce(relay, in, STREAM_STDIN, err))
		return -1;
	for (size_t i = 0; i < message->shares_count; i++)
		if (announce_share(relay, &message->shares[i], err) < 0)
			return -1;
	return 0;
}

/* The rest is pid 1's. */
static bool message_for_relay(const struct control_message *message)
{
	return message->op == CONTROL_CONNECTED || message->op == CONTROL_GONE;
}

static int obey(struct relay *relay, const struct control_message *message, struct error *err)
{
	if (message->op == CONTROL_CONNECTED)
		return socket_connected(relay, message, err);
	socket_gone(relay, message->stream);
	return 0;
}

static int finish_control(struct relay *relay, struct error *err)
{
	CLEANUP(control_free) struct control_message message = { 0 };
	size_t size = relay->control_size;
	char *text = mmap(NULL, size, PROT_READ, MAP_SHARED, relay->control, 0);
	int result = -1;
	int *list;

	if (text == MAP_FAILED)
		return error_set(err, errno, "map a control message");
	if (control_parse(text, size, &message, err) == 0)
		result = message_for_relay(&message) ? obey(relay, &message, err)
						     : announce_streams(relay, &message, err);
	munmap(text, size);
	if (result < 0)
		return -1;
	if (message_for_relay(&message)) {
		close(steal_fd(&relay->control));
		return 0;
	}
	list = realloc(relay->to_init, (relay->to_init_count + 1) * sizeof(*list));
	if (!list)
		return error_set(err, ENOMEM, "control message");
	relay->to_init = list;
	relay->to_init[relay->to_init_count++] = steal_fd(&relay->control);
	return 0;
}

static int receive_control(struct relay *relay, const struct wire_frame *frame, struct error *err)
{
	if (relay->control < 0) {
		relay->control = memfd_create("control", MFD_CLOEXEC);
		relay->control_size = 0;
		if (relay->control < 0)
			return error_set(err, errno, "memory for a control message");
	}
	if (relay->control_size + frame->length > WIRE_CONTROL_MAX_TO_GUEST)
		return error_set(err, 0, "channel: control message of more than %u bytes",
				 WIRE_CONTROL_MAX_TO_GUEST);
	if (write(relay->control, frame->body, frame->length) != (ssize_t)frame->length)
		return error_set(err, errno, "memory for a control message");
	relay->control_size += frame->length;
	return frame->flags & WIRE_MORE ? 0 : finish_control(relay, err);
}

/* Hands complete control texts to pid 1, as far as its socket takes them. */
int relay_forward_control(struct relay *relay, bool *progress, struct error *err)
{
	const struct message message = { .type = MESSAGE_CONTROL };
	size_t sent = 0;

	while (sent < relay->to_init_count) {
		if (message_send(relay->socket, &message, relay->to_init[sent], NULL, 0,
				 MSG_DONTWAIT) < 0) {
			if (errno == EAGAIN)
				break;
			return error_set(err, errno, "send to pid 1");
		}
		close(relay->to_init[sent++]);
		*progress = true;
	}
	relay->to_init_count -= sent;
	if (sent)
		memmove(relay->to_init, relay->to_init + sent,
			relay->to_init_count * sizeof(relay->to_init[0]));
	return 0;
}

/*
 * The first frame. The answer goes out even when the versions differ, so that
 * the host can name both.
 */
static int receive_hello(struct relay *relay, const struct wire_frame *frame, struct error *err)
{
	struct port *port = &relay->ports[WIRE_PORT_CONTROL];
	struct wire_hello hello = { 0 }, ours = { .version = WIRE_VERSION };
	uint8_t body[WIRE_HELLO_SIZE];

	if (frame->type != WIRE_HELLO)
		return error_set(err, 0, "channel: frame of type %u instead of HELLO", frame->type);
	wire_encode_hello(body, &ours);
	output_frame(&port->output, WIRE_HELLO, 0, 0, body, sizeof(body));
	relay_offer_memory(relay);
	if (wire_decode_hello(frame->body, frame->length, &hello, err) < 0) {
		relay->ops->write(port->channel, port->output.data, port->output.end);
		return -1;
	}
	relay_apply_hello(&hello);
	relay->greeted = true;
	return 0;
}

static int receive_credit(struct stream *stream, uint32_t bytes, struct error *err)
{
	uint32_t window = stream->kind == STREAM_SHARE ? WIRE_SHARE_WINDOW : WIRE_STDIO_WINDOW;

	if (bytes > window - stream->credit)
		return error_set(err, 0, "channel: too much credit for stream %u", stream->id);
	stream->credit += bytes;
	return 0;
}

static int receive_data(struct relay *relay, struct stream *stream, const struct wire_frame *frame,
			struct error *err)
{
	switch (stream->kind) {
	case STREAM_SHARE:
		return share_receive(relay, stream, frame, err);
	case STREAM_STDIN:
	case STREAM_TERMINAL:
		return stdio_receive(stream, frame->body, frame->length, err);
	default:
		return error_set(err, 0, "channel: data for output stream %u", stream->id);
	}
}

/* Frames for a stream that has ended here crossed its end: they are ignored. */
static int receive_stream_frame(struct relay *relay, const struct wire_frame *frame,
				struct error *err)
{
	struct stream *stream = relay_find(relay, frame->stream);

	if (!stream)
		return 0;
	if (stream->kind == STREAM_SOCKET)
		return socket_receive(stream, frame, err);
	switch (frame->type) {
	case WIRE_DATA:
		return receive_data(relay, stream, frame, err);
	case WIRE_END:
		stream->host_end = true;
		return 0;
	case WIRE_RESET:
		stream->host_reset = true;
		if (stream->attached)
			stdio_reset(stream);
		return 0;
	default:
		return receive_credit(stream, wire_decode_credit(frame->body), err);
	}
}

int relay_receive_frame(struct relay *relay, const struct port *port,
			const struct wire_frame *frame, struct error *err)
{
	if (wire_port(frame->stream) != port - relay->ports)
		return error_set(err, 0, "channel: frame of type %u for stream %u on port %td",
				 frame->type, frame->stream, port - relay->ports);
	if (!relay->greeted)
		return receive_hello(relay, frame, err);
	if (frame->type == WIRE_HELLO)
		return error_set(err, 0, "channel: a second HELLO");
	if (frame->type == WIRE_CONTROL)
		return receive_control(relay, frame, err);
	return receive_stream_frame(relay, frame, err);
}

static int decode_input(struct relay *relay, struct port *port, struct error *err)
{
	size_t used = 0;

	for (;;) {
		struct wire_frame frame;
		long size = wire_decode(port->input + used, port->input_size - used, &frame, err);

		if (size < 0)
			return -1;
		if (size == 0)
			break;
		if (relay_receive_frame(relay, port, &frame, err) < 0)
			return -1;
		used += size;
	}
	port->input_size -= used;
	if (used && port->input_size)
		memmove(port->input, port->input + used, port->input_size);
	return 0;
}

/*
 * Fills the input from the channel, which may give it in small pieces, and
 * handles what is complete. Returns 1 when the host is gone.
 */
int relay_receive(struct relay *relay, struct port *port, bool *progress, struct error *err)
{
	size_t before = port->input_size;

	if (port->carried)
		return 0;
	while (port->readable && port->input_size < sizeof(port->input)) {
		ssize_t n = relay->ops->read(port->channel, port->input + port->input_size,
					     sizeof(port->input) - port->input_size);

		if (n < 0)
			return 1;
		port->readable = n > 0;
		port->input_size += n;
	}
	if (port->input_size == before)
		return 0;
	*progress = true;
	return decode_input(relay, port, err);
}
