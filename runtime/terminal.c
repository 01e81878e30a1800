/* See terminal.h. */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"

static int open_slaves(struct pty *pty, struct error *err)
{
	int off = 0;

	if (ioctl(pty->master, TIOCSPTLCK, &off) ||
	    ptsname_r(pty->master, pty->name, sizeof(pty->name)))
		return error_set(err, errno, "unlock a pty");
	/* by the master, not by name: /dev/pts may be another instance */
	pty->slave = ioctl(pty->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	pty->io = ioctl(pty->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (pty->slave < 0 || pty->io < 0)
		return error_set(err, errno, "open the slave of a pty");
	return 0;
}

static int set_up(struct pty *pty, uint16_t width, uint16_t height, struct error *err)
{
	struct winsize size = { .ws_col = width, .ws_row = height };
	struct termios raw;

	if (open_slaves(pty, err))
		return -1;
	if (tcgetattr(pty->slave, &raw))
		return error_set(err, errno, "read the mode of a pty");
	cfmakeraw(&raw);
	if (tcsetattr(pty->slave, TCSANOW, &raw))
		return error_set(err, errno, "set the mode of a pty");
	if (width && height && ioctl(pty->master, TIOCSWINSZ, &size))
		return error_set(err, errno, "set the window size of a pty");
	return 0;
}

int pty_open(struct pty *pty, uint16_t width, uint16_t height, struct error *err)
{
	*pty = (struct pty)PTY_NONE;
	pty->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (pty->master < 0)
		return error_set(err, errno, "open /dev/ptmx");
	if (!set_up(pty, width, height, err))
		return 0;
	pty_close(pty);
	return -1;
}

void pty_close(struct pty *pty)
{
	cleanup_close_(&pty->master);
	cleanup_close_(&pty->slave);
	cleanup_close_(&pty->io);
}

static int connect_console(const char *path, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	CLEANUP_CLOSE int file = open(path, O_PATH | O_CLOEXEC);
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (file < 0)
		return error_set(err, errno, "console socket %s", path);
	if (fd < 0)
		return error_set(err, errno, "make a socket");
	/* the path may be longer than a socket's address can be */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", file);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return error_set(err, errno, "connect to the console socket %s", path);
	return steal_fd(&fd);
}

int pty_send(const struct pty *pty, const char *console_socket, struct error *err)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	CLEANUP_CLOSE int fd = connect_console(console_socket, err);
	struct iovec body = { .iov_base = (void *)pty->name, .iov_len = strlen(pty->name) };
	struct msghdr header = {
		.msg_iov = &body,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&header);

	if (fd < 0)
		return -1;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pty->master, sizeof(int));
	if (sendmsg(fd, &header, MSG_NOSIGNAL) < 0)
		return error_set(err, errno, "send the terminal to the console socket %s",
				 console_socket);
	return 0;
}

int terminal_check(bool terminal, bool detached, const char *console_socket, struct error *err)
{
	if (detached && terminal && !console_socket)
		return error_set(err, 0,
				 "cannot allocate tty if vxn-runc will detach without setting "
				 "console socket");
	if (console_socket && (!detached || !terminal))
		return error_set(err, 0,
				 "cannot use console socket if vxn-runc will not detach or "
				 "allocate tty");
	return 0;
}

void terminal_make_raw(struct raw_terminal *raw, int fd)
{
	struct termios mode;

	raw->fd = -1;
	if (tcgetattr(fd, &raw->saved))
		return;
	mode = raw->saved;
	cfmakeraw(&mode);
	if (!tcsetattr(fd, TCSANOW, &mode))
		raw->fd = fd;
}

void terminal_restore(struct raw_terminal *raw)
{
	if (raw->fd >= 0)
		tcsetattr(raw->fd, TCSADRAIN, &raw->saved);
	raw->fd = -1;
}

void terminal_copy_size(int fd, int master)
{
	struct winsize size;

	if (!ioctl(fd, TIOCGWINSZ, &size))
		ioctl(master, TIOCSWINSZ, &size);
}
