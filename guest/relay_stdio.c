/*
 * Stdio streams: stdin's data into a pipe, a process's output from one, both on
 * the master of a pseudo terminal. And the order at a process's end: its exit is
 * reported after what it had written before.
 */
#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Less room than this in the output is not worth a frame. */
#define READ_MIN 4096u
/* More than a pseudo terminal holds between its two ends. */
#define TERMINAL_DRAIN (64u << 10)
/* More than a pipe holds, unless it was made larger. */
#define PIPE_DRAIN (1u << 20)
/* Credit is given back in portions of at least this, or when all is written. */
#define CREDIT_MIN (WIRE_STDIO_WINDOW / 8)

void stdio_close(struct stream *stream)
{
	stream_close_fd(stream);
	stream->drain = 0;
	stream->input_size = 0;
	if (!stream->owe_end && !stream->owe_reset)
		stream->finished = true;
}

/* The process reads no more, or whatever else its end says. */
static void input_broken(struct stream *stream)
{
	if (stream->kind == STREAM_TERMINAL) {
		stream->owe_credit += stream->input_size;
		stream->input_size = 0;
		return;
	}
	stream->owe_reset = true;
	stdio_close(stream);
}

/* Writes to fd. Returns the bytes taken; 0 when it takes none now or none any more. */
static size_t write_some(struct stream *stream, const uint8_t *data, size_t size)
{
	ssize_t n = write(stream->fd, data, size);

	if (n >= 0) {
		stream->owe_credit += n;
		return n;
	}
	if (errno == EBUSY)
		stream->busy = true;
	else if (errno == EAGAIN)
		stream->writable = false;
	else if (errno != EINTR)
		input_broken(stream);
	return 0;
}

static void queue_input(struct stream *stream, const uint8_t *data, size_t size)
{
	size_t end = (stream->input_begin + stream->input_size) % WIRE_STDIO_WINDOW;
	size_t first = size < WIRE_STDIO_WINDOW - end ? size : WIRE_STDIO_WINDOW - end;

	memcpy(stream->input + end, data, first);
	memcpy(stream->input, data + first, size - first);
	stream->input_size += size;
}

int stdio_receive(struct stream *stream, const uint8_t *data, size_t size, struct error *err)
{
	size_t written = 0;

	if (stream->host_end)
		return error_set(err, 0, "channel: data after the end of stream %u", stream->id);
	if (stream->input_size + stream->owe_credit + size > WIRE_STDIO_WINDOW)
		return error_set(err, 0, "channel: data without credit on stream %u", stream->id);
	if (stream->attached && stream->fd < 0)
		return 0;
	if (!stream->input_size && stream->attached && stream->writable)
		written = write_some(stream, data, size);
	if (written == size || (stream->attached && stream->fd < 0))
		return 0;
	if (!stream->input) {
		stream->input = mmap(NULL, WIRE_STDIO_WINDOW, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (stream->input == MAP_FAILED) {
			stream->input = NULL;
			return error_set(err, errno, "buffer of stream %u", stream->id);
		}
	}
	queue_input(stream, data + written, size - written);
	return 0;
}

bool stdio_write(struct stream *stream)
{
	bool progress = false;

	while (stream->fd >= 0 && stream->writable && stream->input_size) {
		size_t contiguous = WIRE_STDIO_WINDOW - stream->input_begin;
		size_t size = stream->input_size < contiguous ? stream->input_size : contiguous;
		size_t n = write_some(stream, stream->input + stream->input_begin, size);

		if (!n)
			break;
		progress = true;
		stream->input_size -= n;
		stream->input_begin = (stream->input_begin + n) % WIRE_STDIO_WINDOW;
	}
	if (!stream->input_size)
		stream->input_begin = 0; /* small inputs touch one page of the ring */
	if (stream->kind == STREAM_STDIN && stream->host_end && !stream->input_size &&
	    stream->attached && stream->fd >= 0) {
		stdio_close(stream);
		progress = true;
	}
	return progress;
}

static void output_ended(struct stream *stream)
{
	stream->owe_end = true;
	stdio_close(stream);
}

void stdio_reset(struct stream *stream)
{
	if (stream->fd >= 0)
		output_ended(stream);
}

/* A failed read: nothing now, or the end. */
static bool read_failed(struct stream *stream)
{
	if (errno == EINTR)
		return true;
	if (errno == EBUSY) {
		stream->busy = true;
		return false;
	}
	/*
	 * EIO: no process has the terminal open. While its process runs, that
	 * can change (it may open /dev/tty again).
	 */
	if (errno == EAGAIN || (errno == EIO && !stream->exited)) {
		stream->readable = false;
		stream->drain = 0;
		return false;
	}
	output_ended(stream);
	return true;
}

bool stdio_read(struct stream *stream)
{
	struct output *output = &stream->port->output;
	size_t size = output_room(output);
	ssize_t n;

	if (stream->fd < 0 || !stream->readable || !stream->credit || size < READ_MIN)
		return false;
	if (size > stream->credit)
		size = stream->credit;
	n = read(stream->fd, output_body(output, size), size);
	if (n < 0)
		return read_failed(stream);
	if (n == 0) {
		output_ended(stream);
		return true;
	}
	output_commit(output, WIRE_DATA, 0, stream->id, n);
	stream->credit -= n;
	stream->drain -= (size_t)n < stream->drain ? (size_t)n : stream->drain;
	return true;
}

/* Small frames that the stream has to send: credit, and its end. */
bool stdio_send_owed(struct stream *stream)
{
	struct output *output = &stream->port->output;
	bool progress = false;
	uint8_t credit[4];

	if (stream->owe_credit && (stream->owe_credit >= CREDIT_MIN || !stream->input_size)) {
		wire_encode_credit(credit, stream->owe_credit);
		if (!output_frame(output, WIRE_CREDIT, 0, stream->id, credit, sizeof(credit)))
			return progress;
		stream->owe_credit = 0;
		progress = true;
	}
	if (!stream->owe_end && !stream->owe_reset)
		return progress;
	if (!output_frame(output, stream->owe_end ? WIRE_END : WIRE_RESET, 0, stream->id, NULL, 0))
		return progress;
	stream->finished = true;
	return true;
}

/*
 * A process has ended. What is in its streams now was written before; a child
 * that outlives it may go on writing, so an end of file is not waited for.
 */
static void begin_drain(struct stream *stream)
{
	int size = 0;

	stream->exited = true;
	if (stream->fd < 0)
		return;
	stream->readable = true;
	if (stream->kind == STREAM_TERMINAL)
		stream->drain = TERMINAL_DRAIN; /* or until it has no more */
	else if (ioctl(stream->fd, FIONREAD, &size) == 0)
		stream->drain = size;
	else if (errno == EBUSY)
		stream->drain = PIPE_DRAIN; /* the same */
}

int stdio_exit(struct relay *relay, const struct message *message, const void *text, size_t size,
	       struct error *err)
{
	struct pending_exit *pending = malloc(sizeof(*pending) + size), **last = &relay->exits;

	if (!pending)
		return error_set(err, ENOMEM, "exit of a process");
	pending->next = NULL;
	pending->size = size;
	memcpy(pending->text, text, size);
	for (int i = 0; i < EXIT_STREAMS_MAX; i++) {
		struct stream *stream = relay_find(relay, message->exit_streams[i]);

		pending->streams[i] = message->exit_streams[i];
		if (stream)
			begin_drain(stream);
	}
	while (*last)
		last = &(*last)->next;
	*last = pending;
	return 0;
}

static bool drained(struct relay *relay, const struct pending_exit *pending)
{
	for (int i = 0; i < EXIT_STREAMS_MAX; i++) {
		struct stream *stream = relay_find(relay, pending->streams[i]);

		if (stream && stream->drain)
			return false;
	}
	return true;
}

bool stdio_report_exits(struct relay *relay)
{
	struct text_queue *texts = &relay->ports[wire_port_of_stdio(relay->ports_count)].texts;
	bool progress = false;

	for (struct pending_exit **link = &relay->exits; *link;) {
		struct pending_exit *pending = *link;

		if (!drained(relay, pending) ||
		    text_queue_add(texts, pending->text, pending->size, NULL) < 0) {
			link = &pending->next;
			continue;
		}
		*link = pending->next;
		free(pending);
		progress = true;
	}
	return progress;
}
