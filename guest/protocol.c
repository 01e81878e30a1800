/*
 * See protocol.h: struct message and its text as one packet, the descriptor by
 * SCM_RIGHTS.
 */
#include "protocol.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control_buffer {
	char space[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

int message_send(int socket, const struct message *message, int fd, const void *text, size_t size,
		 int flags)
{
	union control_buffer control = { 0 };
	struct iovec iov[2] = { { (void *)message, sizeof(*message) }, { (void *)text, size } };
	struct msghdr header = { .msg_iov = iov, .msg_iovlen = text ? 2 : 1 };

	if (fd >= 0) {
		struct cmsghdr *cmsg;

		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	for (;;) {
		if (sendmsg(socket, &header, flags | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -1;
	}
}

static int received_fd(struct msghdr *header)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

int message_receive(int socket, struct message *message, int *fd, void *text, size_t *size,
		    int flags)
{
	union control_buffer control = { 0 };
	struct iovec iov[2] = { { message, sizeof(*message) }, { text, *size } };
	struct msghdr header = { .msg_iov = iov,
				 .msg_iovlen = 2,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control) };
	ssize_t received;

	*fd = -1;
	do
		received = recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received <= 0)
		return (int)received;
	*fd = received_fd(&header);
	if ((size_t)received < sizeof(*message) || header.msg_flags & MSG_TRUNC) {
		if (*fd >= 0)
			close(*fd);
		errno = EBADMSG;
		return -1;
	}
	*size = received - sizeof(*message);
	return 1;
}
