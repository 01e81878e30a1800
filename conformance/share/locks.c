/* See locks.h. */
#include "locks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

int posix_lock(int fd, int command, int type, off_t start, off_t length)
{
	struct flock lock = { .l_type = (short)type, .l_start = start, .l_len = length };

	return fcntl(fd, command, &lock) ? errno : 0;
}

int ofd_lock(int fd, int command, int type, off_t start, off_t length)
{
	return posix_lock(fd, command, type, start, length);
}

int lock(int fd, enum kind kind, int type, off_t start, off_t length, bool wait)
{
	static const int operations[] = {
		[F_RDLCK] = LOCK_SH, [F_WRLCK] = LOCK_EX, [F_UNLCK] = LOCK_UN
	};

	if (kind == FLOCK)
		return flock(fd, operations[type] | (wait ? 0 : LOCK_NB)) ? errno : 0;
	if (kind == POSIX)
		return posix_lock(fd, wait ? F_SETLKW : F_SETLK, type, start, length);
	return ofd_lock(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, type, start, length);
}

int try_elsewhere(const char *path, enum kind kind, int type, off_t start, off_t length)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		int fd = open(path, O_RDWR);

		_exit(fd < 0 ? errno : lock(fd, kind, type, start, length, false));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool comes_free(const char *path, enum kind kind, int type, off_t start, off_t length)
{
	double end = now() + 1;
	bool free;

	while (!(free = try_elsewhere(path, kind, type, start, length) == 0) && now() < end)
		usleep(1000);
	return free;
}

static void on_signal(int signal)
{
	(void)signal;
}

struct waiter start_waiter(const char *path, enum kind kind, int type, off_t start, off_t length)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct waiter waiter = { 0 };

	waiter.result =
		mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*waiter.result = WAITER_PENDING;
	fflush(NULL);
	waiter.pid = fork();
	if (waiter.pid == 0) {
		int fd = open(path, O_RDWR);

		sigaction(SIGUSR1, &action, NULL);
		*waiter.result = lock(fd, kind, type, start, length, true);
		for (;;)
			pause();
	}
	return waiter;
}

bool waiter_waits(const struct waiter *waiter)
{
	usleep(100000);
	return *(volatile int *)waiter->result == WAITER_PENDING;
}

int waiter_result(const struct waiter *waiter)
{
	double end = now() + 5;
	int result;

	while ((result = *(volatile int *)waiter->result) == WAITER_PENDING && now() < end)
		usleep(1000);
	return result == WAITER_PENDING ? ETIME : result;
}

int end_waiter(struct waiter *waiter)
{
	double end = now() + 5;
	int status;
	pid_t pid;

	kill(waiter->pid, SIGKILL);
	while ((pid = waitpid(waiter->pid, &status, WNOHANG)) == 0 && now() < end)
		usleep(1000);
	munmap(waiter->result, sizeof(int));
	return pid == waiter->pid;
}
