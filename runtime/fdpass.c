/* See fdpass.h. */
#include "fdpass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(FDPASS_MAX * sizeof(int))];
};

int fdpass_send(int socket, const void *message, size_t size, const int *fds, size_t count,
		struct error *err)
{
	union control control = { 0 };
	struct iovec body = { .iov_base = (void *)message, .iov_len = size };
	struct msghdr header = { .msg_iov = &body, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t sent;

	if (count > FDPASS_MAX)
		return error_set(err, EMSGSIZE, "send %zu file descriptors", count);
	if (count) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	do {
		sent = sendmsg(socket, &header, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return error_set(err, errno, "send a message");
	return 0;
}

/* Takes the descriptors out of the message; what is beyond count is closed. */
static size_t take_fds(struct msghdr *header, int *fds, size_t count)
{
	size_t total = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++, total++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (total < count)
				fds[total] = fd;
			else
				close(fd);
		}
	}
	return total;
}

static void close_fds(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

int fdpass_receive(int socket, void *message, size_t size, int *fds, size_t count,
		   struct error *err)
{
	union control control;
	struct iovec body = { .iov_base = message, .iov_len = size };
	struct msghdr header = {
		.msg_iov = &body,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t received;
	size_t came;

	for (size_t i = 0; i < count; i++)
		fds[i] = -1;
	do {
		received = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	} while (received < 0 && errno == EINTR);
	/* reset: the other side ended without having read all that was sent to it */
	if (received < 0 && errno == ECONNRESET)
		return 0;
	if (received < 0)
		return error_set(err, errno, "receive a message");
	came = take_fds(&header, fds, count);
	if (received == 0 && came == 0)
		return 0;
	if ((size_t)received == size && came <= count &&
	    !(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return 1;
	close_fds(fds, count);
	return error_set(err, EPROTO, "receive a message of %zd bytes with %zu descriptors",
			 received, came);
}
