/*
 * vxn-io: the one process on the host that talks with the guest. It opens the
 * channel and the shared trees, gives up everything else (io_confine), and then
 * carries stdio, serves files and hands the monitor fixed-size records. What a
 * hostile guest can say ends here.
 *
 * One thread with epoll; files are served by the workers of share.c. When the
 * monitor goes away, so does this process, and with it every shared file.
 */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cleanup.h"
#include "config_file.h"
#include "fdpass.h"
#include "io_confine.h"
#include "log.h"
#include "share_watch.h"

/* epoll data of the fds that are no streams; a stream's address is none of them. */
enum { EVENT_MONITOR = 2, EVENT_WAKE = 4, EVENT_SOCKETS = 6, EVENT_PORT = 8 };
#define EVENT_PORT_STEP 2

static int watch(struct io *io, int fd, uint32_t events, uint64_t data, struct error *err)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	if (epoll_ctl(io->epoll, EPOLL_CTL_ADD, fd, &event))
		return error_set(err, errno, "epoll_ctl");
	return 0;
}

static int prepare(struct io *io, const char *config_path, struct error *err)
{
	struct error why = { 0 };

	if (config_file_load(config_path, &io->config_text, &io->config_size, &io->config, err))
		return -1;
	if (gethostname(io->hostname, sizeof(io->hostname) - 1))
		return error_set(err, errno, "gethostname");
	io->epoll = epoll_create1(EPOLL_CLOEXEC);
	io->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (io->epoll < 0 || io->wake < 0)
		return error_set(err, errno, "create epoll and eventfd");
	pthread_mutex_init(&io->lock, NULL);
	pthread_cond_init(&io->space, NULL);
	if (io_volumes_open(io, err))
		return -1;
	if (io->sockets && watch(io, io->sockets_timer, EPOLLIN, EVENT_SOCKETS, err))
		return -1;
	io->watch = share_watch_open(&why);
	if (!io->watch)
		log_debug("changes on the host are seen after a second only: %s", why.message);
	return watch(io, io->wake, EPOLLIN, EVENT_WAKE, err);
}

int io_watch_port(struct io *io, unsigned int port, int op, struct error *err)
{
	const struct channel *channel = io->ports[port].channel;
	struct epoll_event event = { .events = channel_events(channel),
				     .data.u64 = EVENT_PORT + port * EVENT_PORT_STEP };

	if (epoll_ctl(io->epoll, op, channel_fd(channel), &event))
		return error_set(err, errno, "epoll_ctl of port %u", port);
	return 0;
}

/* The shares' streams are those that there are. */
static int serve_shares(struct io *io, struct error *err)
{
	io->pool = share_pool_start(io->share_threads, &io_channel_share_callbacks, io->watch, err);
	if (!io->pool)
		return -1;
	for (struct io_stream *s = io->streams; s; s = s->next) {
		io_stream_share_place(s);
		io->shares[s->share_index].stream = s->id;
		if (share_serve(io->pool, s->share, s, err))
			return -1;
	}
	return 0;
}

/* From here on the process can do nothing but its work. */
static int begin(struct io *io, const char *spec, int *fds, size_t count, struct error *err)
{
	const struct io_needs needs = { .slaves = io->slaves,
					.slaves_count = io->slaves_count,
					.sockets = io->sockets };

	if (io->ports_count)
		return error_set(err, 0, "the channel is open already");
	if (io_channel_open(io, spec, fds, count, err) || io_confine(&needs, err) ||
	    serve_shares(io, err))
		return -1;
	io_sockets_place(io);
	for (unsigned int i = 0; i < io->ports_count; i++)
		if (io_watch_port(io, i, EPOLL_CTL_ADD, err))
			return -1;
	return io_channel_hello(io, err);
}

static void close_fds(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* A request that cannot be carried out is answered; only the guest's words end the VM. */
static int refuse(struct io *io, const struct io_message *message, const struct error *why,
		  struct error *err)
{
	struct io_message reply = { .op = IO_REPLY, .seq = message->seq, .value = 1 };

	if (!message->seq)
		return 0;
	snprintf(reply.text, sizeof(reply.text), "%.*s", IO_TEXT_MAX - 1, why->message);
	return io_tell_monitor(io, &reply, err);
}

/* Returns 1 when the monitor has gone. */
static int receive_from_monitor(struct io *io, struct error *err)
{
	struct io_message message;
	struct error why = { 0 };
	int fds[WIRE_PORTS_MAX];
	int result =
		fdpass_receive(io->monitor, &message, sizeof(message), fds, WIRE_PORTS_MAX, err);
	size_t count = 0;

	if (result <= 0)
		return result == 0 ? 1 : -1;
	while (count < WIRE_PORTS_MAX && fds[count] >= 0)
		count++;
	message.text[IO_TEXT_MAX - 1] = '\0';
	if (message.op == IO_OPEN_CHANNEL && message.flags & IO_MEMORY && count) {
		io->memory = steal_fd(&fds[--count]);
		io->memory_below_4g = (uint64_t)message.memory_below_4g;
	}
	if (message.op == IO_OPEN_CHANNEL)
		result = begin(io, message.text, fds, count, err);
	else if (io_control_request(io, &message, fds, &why))
		result = refuse(io, &message, &why, err);
	else
		result = 0;
	close_fds(fds, WIRE_PORTS_MAX);
	return result;
}

static int stream_event(struct io *io, const struct epoll_event *event, struct error *err)
{
	bool source = event->data.u64 & IO_EVENT_SOURCE;
	struct io_stream *stream =
		(void *)(uintptr_t)(event->data.u64 & ~(uint64_t)IO_EVENT_SOURCE);
	struct io_stream *s = io->streams;

	/* an earlier event of this round may have removed it */
	while (s && s != stream)
		s = s->next;
	if (!s)
		return 0;
	if (s->kind == IO_STREAM_SOCKET) {
		io_socket_event(s, event->events);
		return 0;
	}
	if (source)
		return io_stream_source_ready(stream, err);
	if (event->events & EPOLLOUT)
		return io_stream_sink_ready(stream, err);
	if (event->events & (EPOLLERR | EPOLLHUP))
		return io_stream_sink_hangup(stream, err);
	return 0;
}

static int handle_event(struct io *io, const struct epoll_event *event, struct error *err)
{
	eventfd_t ignored;

	switch (event->data.u64) {
	case EVENT_MONITOR:
		return receive_from_monitor(io, err);
	case EVENT_WAKE:
		eventfd_read(io->wake, &ignored);
		return 0;
	case EVENT_SOCKETS:
		return io_sockets_timer(io, err);
	default:
		break;
	}
	if (event->data.u64 >= EVENT_PORT + WIRE_PORTS_MAX * EVENT_PORT_STEP)
		return stream_event(io, event, err);
	channel_event(io->ports[(event->data.u64 - EVENT_PORT) / EVENT_PORT_STEP].channel);
	return 0;
}

/* All that can be done without waiting; *again = there is more. */
static int work(struct io *io, bool *again, struct error *err)
{
	*again = false;
	if (!io->ports_count)
		return 0;
	if (io_channel_receive(io, err) || io_stream_update_all(io, again, err) ||
	    io_sockets_update(io, again, err) || io_control_report_exits(io, err))
		return -1;
	return io_channel_flush(io, err);
}

/* Until the monitor (1) or the guest (0) is gone, or something failed (-1). */
static int serve(struct io *io, struct error *err)
{
	bool again = false;

	for (;;) {
		struct epoll_event events[32];
		int count = epoll_wait(io->epoll, events, 32, again ? 0 : -1);

		if (count < 0 && errno != EINTR)
			return error_set(err, errno, "epoll_wait");
		for (int i = 0; i < count; i++) {
			int result = handle_event(io, &events[i], err);

			if (result)
				return result;
		}
		if (work(io, &again, err))
			return -1;
		if (io->closing)
			return 0;
	}
}

static int parse_arguments(struct io *io, int argc, char **argv, const char **config_path,
			   struct error *err)
{
	static const struct option options[] = {
		{ "bundle", required_argument, NULL, 'b' },
		{ "config", required_argument, NULL, 'c' },
		{ "threads", required_argument, NULL, 't' },
		{ "cache", required_argument, NULL, 'a' },
		{ "log", required_argument, NULL, 'l' },
		{ "log-format", required_argument, NULL, 'f' },
		{ "debug", no_argument, NULL, 'd' },
		{ 0 },
	};
	const char *log = NULL, *format = "text";
	bool debug = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'b':
			io->bundle = optarg;
			break;
		case 'c':
			*config_path = optarg;
			break;
		case 't':
			io->share_threads = (unsigned int)atoi(optarg);
			break;
		case 'a':
			if (cache_parse(optarg, "--cache", &io->cache, err))
				return -1;
			break;
		case 'l':
			log = optarg;
			break;
		case 'f':
			format = optarg;
			break;
		case 'd':
			debug = true;
			break;
		default:
			return error_set(err, 0, "vxn-io is run by vxn-monitor");
		}
	}
	if (!io->bundle || !*config_path || !io->share_threads)
		return error_set(err, 0, "vxn-io is run by vxn-monitor");
	return log_open(log, format, debug, err);
}

/* The channel stays open until the monitor has ended the VM (channel_vchan.c). */
static void wait_for_release(const struct io *io)
{
	struct pollfd monitor = { .fd = io->monitor };

	while (io->ports_count && poll(&monitor, 1, -1) < 0 && errno == EINTR)
		;
}

int main(int argc, char **argv)
{
	struct io_message last = { .op = IO_CLOSED };
	struct io io = { .monitor = IO_SOCKET_FD, .memory = -1 };
	const char *config_path = NULL;
	struct error err = { 0 };
	int result;

	signal(SIGPIPE, SIG_IGN);
	result = parse_arguments(&io, argc, argv, &config_path, &err);
	if (!result)
		result = prepare(&io, config_path, &err);
	if (!result)
		result = watch(&io, io.monitor, EPOLLIN, EVENT_MONITOR, &err);
	if (!result)
		result = serve(&io, &err);
	if (result == 1)
		_exit(0);
	if (result < 0) {
		last.op = IO_FAILED;
		snprintf(last.text, sizeof(last.text), "%.*s", IO_TEXT_MAX - 1, err.message);
		error_sanitize(last.text);
	}
	io_tell_monitor(&io, &last, NULL);
	wait_for_release(&io);
	_exit(result < 0);
}
