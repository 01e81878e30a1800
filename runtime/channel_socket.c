/*
 * A port of the channel as a unix stream socket, spec "socket:". The other end is the
 * virtual machine monitor's, which copies between it and a virtio-serial port of
 * the guest; when that ends, so does the socket. It is one of a pair that nobody
 * else has, so there is no path that somebody could open.
 */
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct channel_of_socket {
	struct channel channel;
	int fd;
};

static int number(const struct channel *channel)
{
	return ((const struct channel_of_socket *)channel)->fd;
}

static int socket_open(const char *argument, int fd, struct channel **channel, struct error *err)
{
	struct channel_of_socket *opened;

	(void)argument;
	if (fd < 0 || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK))
		return error_set(err, fd < 0 ? EBADF : errno, "open the socket of a port");
	opened = malloc(sizeof(*opened));
	if (!opened)
		return error_set(err, ENOMEM, "open the socket of a port");
	*opened = (struct channel_of_socket){ .channel.ops = &channel_socket, .fd = fd };
	*channel = &opened->channel;
	return 0;
}

static void socket_event(struct channel *channel)
{
	(void)channel;
}

static ssize_t socket_read(struct channel *channel, void *buffer, size_t size)
{
	ssize_t n = read(number(channel), buffer, size);

	if (n > 0)
		return n;
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static ssize_t socket_write(struct channel *channel, const void *buffer, size_t size)
{
	ssize_t n = write(number(channel), buffer, size);

	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

const struct channel_ops channel_socket = {
	.name = "socket",
	.open = socket_open,
	.fd = number,
	.events = EPOLLIN | EPOLLOUT | EPOLLET,
	.event = socket_event,
	.read = socket_read,
	.write = socket_write,
};
