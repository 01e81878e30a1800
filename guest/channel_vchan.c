/*
 * The channel on Xen: a vchan whose server is in Dom0, found at a xenstore path
 * relative to this domain. Streams bytes; the rings are as large as the server
 * made them.
 */
#include "channel.h"

#include <errno.h>
#include <libxenvchan.h>
#include <sys/epoll.h>
#include <time.h>
#include <xentoollog.h>

#define XENSTORE_PATH "vxn/ctl"
/* The host opens its end while this kernel boots, and may be busy: half a minute. */
#define OPEN_TRIES	 3000
#define OPEN_INTERVAL_MS 10

struct channel {
	struct libxenvchan *vchan;
};

/* libxenvchan wants a logger; what it says is in errno too. */
static void log_nothing(struct xentoollog_logger *logger, xentoollog_level level, int errnoval,
			const char *context, const char *format, va_list al)
{
	(void)logger, (void)level, (void)errnoval, (void)context, (void)format, (void)al;
}

static void log_no_progress(struct xentoollog_logger *logger, const char *context,
			    const char *doing_what, int percent, unsigned long done,
			    unsigned long total)
{
	(void)logger, (void)context, (void)doing_what, (void)percent, (void)done, (void)total;
}

static void log_destroy(struct xentoollog_logger *logger)
{
	(void)logger;
}

static struct xentoollog_logger silent = { log_nothing, log_no_progress, log_destroy };

static struct channel *vchan_open(unsigned int port, struct error *err)
{
	static struct channel channel;
	const struct timespec interval = { 0, OPEN_INTERVAL_MS * 1000000L };

	if (port > 0) {
		error_set(err, 0, "a vchan has no port %u", port);
		return NULL;
	}
	for (int i = 0; i < OPEN_TRIES; i++) {
		channel.vchan = libxenvchan_client_init(&silent, 0, XENSTORE_PATH);
		if (channel.vchan) {
			channel.vchan->blocking = 0;
			return &channel;
		}
		nanosleep(&interval, NULL);
	}
	error_set(err, errno, "open vchan %s", XENSTORE_PATH);
	return NULL;
}

static ssize_t vchan_read(struct channel *channel, void *buf, size_t size)
{
	return libxenvchan_read(channel->vchan, buf, size);
}

static ssize_t vchan_write(struct channel *channel, const void *buf, size_t size)
{
	return libxenvchan_write(channel->vchan, buf, size);
}

static int vchan_fd(const struct channel *channel)
{
	return libxenvchan_fd_for_select(channel->vchan);
}

/*
 * Takes the event, without which the descriptor stays readable. That the other
 * side has closed shows in read, after the last of its bytes.
 */
static int vchan_acknowledge(struct channel *channel)
{
	return libxenvchan_wait(channel->vchan);
}

const struct channel_ops channel_vchan = {
	.name = "vchan",
	.open = vchan_open,
	.read = vchan_read,
	.write = vchan_write,
	.fd = vchan_fd,
	/*
	 * Not edge-triggered: libxenvchan takes one event at a time, and there may be
	 * two at first (it unmasks the port once more when it opens it). The kernel
	 * announces an event only when it has none that was not taken.
	 */
	.events = EPOLLIN,
	.acknowledge = vchan_acknowledge,
};
