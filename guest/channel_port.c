/*
 * The channel on QEMU: virtio-serial ports, found by their names. Opened once and
 * kept open: what the host sends while nobody has it open is lost.
 */
#include "channel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "wire.h"

#define PORT_NAME	 "vxn.%u"
#define PORTS_DIR	 "/sys/class/virtio-ports"
#define OPEN_TRIES	 500
#define OPEN_INTERVAL_MS 10

struct channel {
	int fd;
	bool talked; /* something was read: from now on, an end of file is one */
};

static bool has_name(const char *device, const char *wanted)
{
	char path[300], name[64];
	CLEANUP_CLOSE int fd = -1;
	ssize_t size;

	snprintf(path, sizeof(path), PORTS_DIR "/%s/name", device);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size = read(fd, name, sizeof(name) - 1);
	if (size <= 0)
		return false;
	name[size] = '\0';
	name[strcspn(name, "\n")] = '\0';
	return strcmp(name, wanted) == 0;
}

static int find_and_open(const char *name)
{
	DIR *dir = opendir(PORTS_DIR);
	struct dirent *entry;
	int fd = -1;

	if (!dir)
		return -1;
	errno = ENOENT;
	while (fd < 0 && (entry = readdir(dir))) {
		char path[300];

		if (entry->d_name[0] == '.' || !has_name(entry->d_name, name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			break;
	}
	closedir(dir);
	return fd;
}

static struct channel *port_open(unsigned int port, struct error *err)
{
	static struct channel channels[WIRE_PORTS_MAX];
	const struct timespec interval = { 0, OPEN_INTERVAL_MS * 1000000L };
	struct channel *channel = &channels[port];
	char name[16];

	snprintf(name, sizeof(name), PORT_NAME, port);
	for (int i = 0; i < OPEN_TRIES; i++) {
		channel->fd = find_and_open(name);
		if (channel->fd >= 0)
			return channel;
		nanosleep(&interval, NULL);
	}
	error_set(err, errno, "open virtio-serial port %s", name);
	return NULL;
}

/* Before the host's end is open, a read gives an end of file as well. */
static ssize_t port_read(struct channel *channel, void *buf, size_t size)
{
	ssize_t n = read(channel->fd, buf, size);

	if (n > 0) {
		channel->talked = true;
		return n;
	}
	if (n == 0)
		return channel->talked ? -1 : 0;
	return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

static ssize_t port_write(struct channel *channel, const void *buf, size_t size)
{
	ssize_t n = write(channel->fd, buf, size);

	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

static int port_fd(const struct channel *channel)
{
	return channel->fd;
}

static int port_acknowledge(struct channel *channel)
{
	(void)channel;
	return 0;
}

const struct channel_ops channel_port = {
	.name = "port",
	.open = port_open,
	.read = port_read,
	.write = port_write,
	.fd = port_fd,
	.events = EPOLLIN | EPOLLOUT | EPOLLET,
	.acknowledge = port_acknowledge,
};
