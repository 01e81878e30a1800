/*
 * A client of unix sockets for use inside a container, where there is busybox and
 * nothing else: static, no library of ours.
 *
 *   inside_socket echo TYPE PATH TEXT...     sends each TEXT as one message, then says that it
 *                                            sends no more; prints what comes until the end
 *   inside_socket send TYPE PATH TEXT...     sends and ends
 *   inside_socket hold TYPE PATH COUNT SIGN  opens COUNT connections, makes the file SIGN, stays
 *                                            until one of them has ended; prints "ended"
 *   inside_socket bulk TYPE PATH BYTES       sends a pattern and checks that it comes back
 *
 * TYPE is stream, seqpacket or dgram. An error is printed as its name in errno's
 * words, with status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int type;
static const char *path;

static _Noreturn void fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_connection(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("connect");
	return fd;
}

static void send_all(int fd, char **texts)
{
	for (; *texts; texts++)
		if (send(fd, *texts, strlen(*texts), MSG_NOSIGNAL) < 0)
			fail("send");
}

/* One line for each message; of a stream, as it comes. */
static void print_until_end(int fd)
{
	static char buffer[70000];
	ssize_t n;

	while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0)
		printf("%.*s%s", (int)n, buffer, type == SOCK_STREAM ? "" : "\n");
	if (n < 0)
		fail("recv");
}

static void echo(char **texts)
{
	int fd = open_connection();

	send_all(fd, texts);
	if (shutdown(fd, SHUT_WR) < 0)
		fail("shutdown");
	print_until_end(fd);
}

static void hold(int count, const char *sign)
{
	struct pollfd *fds = calloc((size_t)count, sizeof(*fds));
	char byte;

	for (int i = 0; i < count; i++)
		fds[i] = (struct pollfd){ .fd = open_connection(), .events = POLLIN };
	close(open(sign, O_CREAT | O_WRONLY, 0600));
	if (poll(fds, (nfds_t)count, -1) < 0)
		fail("poll");
	for (int i = 0; i < count; i++)
		if (fds[i].revents && recv(fds[i].fd, &byte, 1, 0) <= 0) {
			printf("ended\n");
			return;
		}
	printf("data\n");
}

static void bulk(size_t bytes)
{
	static unsigned char out[50000], in[50000];
	int fd = open_connection();
	size_t sent = 0, received = 0;

	while (received < bytes) {
		struct pollfd ready = { .fd = fd, .events = POLLIN | (sent < bytes ? POLLOUT : 0) };
		ssize_t n;

		if (poll(&ready, 1, -1) < 0)
			fail("poll");
		if (sent < bytes && ready.revents & POLLOUT) {
			size_t size = bytes - sent < sizeof(out) ? bytes - sent : sizeof(out);

			for (size_t i = 0; i < size; i++)
				out[i] = (unsigned char)((sent + i) * 31 >> 3);
			n = send(fd, out, size, MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n < 0 && errno != EAGAIN)
				fail("send");
			sent += n > 0 ? (size_t)n : 0;
		}
		if (!(ready.revents & (POLLIN | POLLHUP)))
			continue;
		n = recv(fd, in, sizeof(in), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			fail("recv");
		for (ssize_t i = 0; i < n; i++)
			if (in[i] != (unsigned char)((received + (size_t)i) * 31 >> 3)) {
				printf("wrong at %zu\n", received + (size_t)i);
				exit(1);
			}
		received += n > 0 ? (size_t)n : 0;
	}
	printf("%zu\n", received);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	type = !strcmp(argv[2], "stream")  ? SOCK_STREAM
	       : !strcmp(argv[2], "dgram") ? SOCK_DGRAM
					   : SOCK_SEQPACKET;
	path = argv[3];
	if (!strcmp(argv[1], "echo"))
		echo(argv + 4);
	else if (!strcmp(argv[1], "send"))
		send_all(open_connection(), argv + 4);
	else if (!strcmp(argv[1], "hold") && argc == 6)
		hold(atoi(argv[4]), argv[5]);
	else if (!strcmp(argv[1], "bulk") && argc == 5)
		bulk((size_t)atol(argv[4]));
	else
		return 2;
	return 0;
}
