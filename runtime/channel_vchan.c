/*
 * The channel on Xen: a libxenvchan server in the host's domain for the domain
 * DOMID of the spec "vchan:DOMID". The guest opens the relative xenstore path
 * "vxn/ctl". No event comes when the domain is destroyed: the monitor watches
 * for that and ends this process.
 *
 * Throughput follows the ring size. The kernel limits the pages that all
 * servers of this host share out; the limit is raised when it is in the way,
 * and smaller rings are tried before giving up.
 *
 * Whoever closes the channel while the guest has its pages mapped leaves them to
 * the kernel, which by default takes back ten a second: the guest's domain has to
 * go first, or a few dozen VMs later the host has no grants left.
 */
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <libxenvchan.h>
#include <xen/sys/gntalloc.h>
#include <xentoollog.h>

#include "cleanup.h"
#include "log.h"

/*
 * Pages. A host's domain has 32,768 grants unless Xen is told otherwise. Asked for
 * more than there are, gntalloc (Linux 6.1) counts wrongly from then on and refuses
 * everything: so the limit stays below.
 */
#define GNTALLOC_LIMIT_PATH "/sys/module/xen_gntalloc/parameters/limit"
#define GNTALLOC_LIMIT	    30000
/* Grants that the kernel takes back a second, of those that a guest had mapped to the last. */
#define RECLAIM_PATH "/sys/module/grant_table/parameters/free_per_iteration"
#define RECLAIM	     1000
#define PAGE	     4096

struct channel_of_vchan {
	struct channel channel;
	struct libxenvchan *vchan;
};

static struct libxenvchan *vchan_of(const struct channel *channel)
{
	return ((const struct channel_of_vchan *)channel)->vchan;
}

static void raise_parameter(const char *path, unsigned long value)
{
	CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
	char text[24] = "";

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return;
	if (strtoul(text, NULL, 10) >= value)
		return;
	snprintf(text, sizeof(text), "%lu", value);
	if (pwrite(fd, text, strlen(text), 0) < 0)
		log_warning("raise %s to %lu: %s", path, value, strerror(errno));
}

/*
 * Can the two rings and the page that describes them be shared out? To be asked
 * before libxenvchan_server_init, which crashes when they cannot (4.17 frees what
 * it has not set).
 */
static bool grants_suffice(int domid, size_t ring_size)
{
	CLEANUP_CLOSE int fd = open("/dev/xen/gntalloc", O_RDWR | O_CLOEXEC);
	size_t pages = 2 * (ring_size / PAGE) + 1;
	CLEANUP_FREE struct ioctl_gntalloc_alloc_gref *request =
		calloc(1, sizeof(*request) + pages * sizeof(request->gref_ids[0]));

	if (fd < 0 || !request)
		return false;
	request->domid = (uint16_t)domid;
	request->flags = GNTALLOC_FLAG_WRITABLE;
	request->count = (uint32_t)pages;
	/* given back by the close */
	return ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, request) == 0;
}

static int vchan_open(const char *argument, int fd, struct channel **channel, struct error *err)
{
	static const size_t ring_sizes[] = { 1u << 20, 256u << 10, 64u << 10 };
	struct channel_of_vchan *opened;
	struct libxenvchan *vchan = NULL;
	xentoollog_logger *logger;
	int domid = atoi(argument);
	char path[64];

	(void)fd;
	snprintf(path, sizeof(path), "/local/domain/%d/vxn/ctl", domid);
	logger = (xentoollog_logger *)xtl_createlogger_stdiostream(stderr, XTL_CRITICAL, 0);
	raise_parameter(GNTALLOC_LIMIT_PATH, GNTALLOC_LIMIT);
	raise_parameter(RECLAIM_PATH, RECLAIM);
	for (size_t i = 0; !vchan && i < sizeof(ring_sizes) / sizeof(ring_sizes[0]); i++)
		if (grants_suffice(domid, ring_sizes[i]))
			vchan = libxenvchan_server_init(logger, domid, path, ring_sizes[i],
							ring_sizes[i]);
	if (!vchan)
		return error_set(err, errno,
				 "open the vchan of domain %d (grant pages are limited "
				 "by " GNTALLOC_LIMIT_PATH ")",
				 domid);
	vchan->blocking = 0;
	opened = malloc(sizeof(*opened));
	if (!opened) {
		libxenvchan_close(vchan);
		return error_set(err, ENOMEM, "open the vchan");
	}
	*opened = (struct channel_of_vchan){ .channel.ops = &channel_vchan, .vchan = vchan };
	*channel = &opened->channel;
	return 0;
}

static int vchan_fd(const struct channel *channel)
{
	return libxenvchan_fd_for_select(vchan_of(channel));
}

static void vchan_event(struct channel *channel)
{
	libxenvchan_wait(vchan_of(channel));
}

static ssize_t vchan_read(struct channel *channel, void *buffer, size_t size)
{
	return libxenvchan_read(vchan_of(channel), buffer, size);
}

static ssize_t vchan_write(struct channel *channel, const void *buffer, size_t size)
{
	return libxenvchan_write(vchan_of(channel), buffer, size);
}

const struct channel_ops channel_vchan = {
	.name = "vchan",
	.open = vchan_open,
	.fd = vchan_fd,
	.events = EPOLLIN,
	.event = vchan_event,
	.read = vchan_read,
	.write = vchan_write,
};
