/* See process_identity.h. */
#include "process_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "textfile.h"

#define STAT_SIZE_MAX 4096

static bool read_stat(pid_t pid, char *state, uint64_t *start_time)
{
	CLEANUP_FREE char *text = NULL;
	char path[32];
	const char *fields;
	size_t size;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	text = textfile_read(AT_FDCWD, path, STAT_SIZE_MAX, &size, NULL);
	/* the name in parentheses may hold anything, other parentheses too */
	fields = text ? strrchr(text, ')') : NULL;
	return fields && sscanf(fields,
				") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d"
				" %*d %*d %*d %" SCNu64,
				state, start_time) == 2;
}

uint64_t process_start_time(pid_t pid)
{
	uint64_t start_time;
	char state;

	return pid > 0 && read_stat(pid, &state, &start_time) ? start_time : 0;
}

bool process_is_alive(pid_t pid, uint64_t start_time)
{
	uint64_t now;
	char state;

	return pid > 0 && read_stat(pid, &state, &now) && now == start_time && state != 'Z' &&
	       state != 'X';
}

int process_kill(pid_t pid, uint64_t start_time, int timeout_ms, struct error *err)
{
	CLEANUP_CLOSE int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };

	/* asked after the pidfd was opened: that one can't become another process */
	if (pidfd < 0 || !process_is_alive(pid, start_time))
		return 0;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) && errno != ESRCH)
		return error_set(err, errno, "kill process %d", pid);
	if (poll(&ended, 1, timeout_ms) == 0)
		return error_set(err, 0, "process %d was killed but does not end", pid);
	return 0;
}
