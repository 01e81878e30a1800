/* See stdio_fds.h. */
#include "stdio_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int stdio_fds_ensure(struct error *err)
{
	for (int fd = 0; fd < STDIO_COUNT; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* the lowest free one is fd */
		if (open("/dev/null", O_RDWR) < 0)
			return error_set(err, errno, "open /dev/null");
	}
	return 0;
}

static bool can_be_reopened(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	return S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(fd));
}

int stdio_fd_open(int fd, int writing, struct error *err)
{
	char path[32];
	int copy = -1, mode = fcntl(fd, F_GETFL) & O_ACCMODE;

	/* of a pipe that is open both ways only the end that is needed, for an end of file */
	if (mode == O_RDWR)
		mode = writing ? O_WRONLY : O_RDONLY;
	if (can_be_reopened(fd)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		copy = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	/* a pipe that nobody reads any more (ENXIO), or a terminal that has hung up (EIO) */
	if (copy < 0)
		copy = fcntl(fd, F_DUPFD_CLOEXEC, STDIO_COUNT);
	return copy < 0 ? error_set(err, errno, "duplicate file descriptor %d", fd) : copy;
}

int stdio_fds_open(int fds[STDIO_COUNT], struct error *err)
{
	for (int fd = 0; fd < STDIO_COUNT; fd++)
		fds[fd] = -1;
	for (int fd = 0; fd < STDIO_COUNT; fd++) {
		fds[fd] = stdio_fd_open(fd, fd != STDIN_FILENO, err);
		if (fds[fd] < 0) {
			stdio_fds_close(fds);
			return -1;
		}
	}
	return 0;
}

void stdio_fds_close(int fds[STDIO_COUNT])
{
	for (int fd = 0; fd < STDIO_COUNT; fd++) {
		if (fds[fd] >= 0)
			close(fds[fd]);
		fds[fd] = -1;
	}
}
