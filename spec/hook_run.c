/*
 * The running of one hook, see hooks.h. stdin is a file in memory, so that a hook
 * that does not read it holds nobody up; what it writes is read all along, and
 * only the end is kept.
 */
#include "hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "monotonic.h"
#include "signals.h"

#define OUTPUT_KEPT 512

struct running {
	pid_t pid;
	int pidfd;
	int output;  /* our end */
	int failure; /* our end: a struct error, if it could not be executed */
	char kept[OUTPUT_KEPT + 1];
	size_t kept_size;
};

static int state_file(const char *state, struct error *err)
{
	CLEANUP_CLOSE int fd = memfd_create("state", MFD_CLOEXEC);
	size_t size = strlen(state);

	if (fd < 0 || write(fd, state, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
		return error_set(err, errno, "hold the state for a hook");
	return steal_fd(&fd);
}

static int become_hook(const struct oci_hook *hook, const struct hook_run *run, int input,
		       int output, struct error *err)
{
	char *path_alone[] = { hook->path, NULL };

	signals_reset();
	setsid();
	if (run->prepare && run->prepare(run->context, err) < 0)
		return -1;
	if (run->directory && chdir(run->directory) < 0)
		return error_set(err, errno, "chdir to %s", run->directory);
	if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		return error_set(err, errno, "place stdio");
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	execve(hook->path, hook->args[0] ? hook->args : path_alone, hook->env);
	return error_set(err, errno, "exec %s", hook->path);
}

static int start(const struct oci_hook *hook, const struct hook_run *run, struct running *running,
		 struct error *err)
{
	CLEANUP_CLOSE int input = state_file(run->state, err);
	int output[2], failure[2];

	if (input < 0)
		return -1;
	if (pipe2(output, O_CLOEXEC) < 0)
		return error_set(err, errno, "make a pipe");
	running->output = output[0];
	if (pipe2(failure, O_CLOEXEC) < 0) {
		close(output[1]);
		return error_set(err, errno, "make a pipe");
	}
	running->failure = failure[0];
	fcntl(running->output, F_SETFL, O_NONBLOCK);
	running->pid = fork();
	if (running->pid == 0) {
		struct error why = { 0 };

		become_hook(hook, run, input, output[1], &why);
		_exit(write(failure[1], &why, sizeof(why)) < 0 ? 2 : 1);
	}
	close(output[1]);
	close(failure[1]);
	if (running->pid < 0)
		return error_set(err, errno, "fork");
	running->pidfd = (int)syscall(SYS_pidfd_open, running->pid, 0);
	return running->pidfd < 0 ? error_set(err, errno, "watch a process") : 0;
}

/* Returns false at its end. */
static bool read_output(struct running *running)
{
	char bytes[4096];
	ssize_t got;

	while ((got = read(running->output, bytes, sizeof(bytes))) > 0) {
		size_t fresh = (size_t)got < OUTPUT_KEPT ? (size_t)got : OUTPUT_KEPT;
		size_t room = OUTPUT_KEPT - fresh;
		size_t old = running->kept_size < room ? running->kept_size : room;

		memmove(running->kept, running->kept + running->kept_size - old, old);
		memcpy(running->kept + old, bytes + got - fresh, fresh);
		running->kept_size = old + fresh;
	}
	return got < 0 && errno == EAGAIN;
}

static void kill_all(const struct running *running)
{
	kill(running->pid, SIGKILL);
	kill(-running->pid, SIGKILL);
}

/* Until it has ended, or has to be. */
static int follow(const struct oci_hook *hook, const struct hook_run *run, struct running *running,
		  struct error *err)
{
	const int64_t until = hook->timeout ? monotonic_ms() + hook->timeout * 1000LL : INT64_MAX;
	struct pollfd fds[] = {
		{ .fd = running->pidfd, .events = POLLIN },
		{ .fd = running->output, .events = POLLIN },
		{ .fd = run->cancel_fd, .events = POLLIN },
	};

	for (;;) {
		int64_t left = until - monotonic_ms();

		if (left <= 0)
			return error_set(err, 0, "hook ran past its timeout of %d s",
					 hook->timeout);
		if (poll(fds, 3, until == INT64_MAX ? -1 : (int)left) < 0 && errno != EINTR)
			return error_set(err, errno, "wait for a hook");
		/* a process that it left behind may hold the pipe for long */
		if (fds[1].revents && !read_output(running))
			fds[1].fd = -1;
		if (fds[0].revents)
			return 0;
		if (fds[2].revents)
			return error_set(err, ECANCELED, "hook was ended");
	}
}

static void add_output(const struct running *running, struct error *err)
{
	size_t used = strlen(err->message);

	if (running->kept_size && used < sizeof(err->message) - 20)
		snprintf(err->message + used, sizeof(err->message) - used, ", output: %s",
			 running->kept);
	error_sanitize(err->message);
}

/* What its end says. */
static int judge(struct running *running, int status, struct error *err)
{
	struct error why;

	if (read(running->failure, &why, sizeof(why)) == sizeof(why)) {
		if (err)
			*err = why;
		return -1;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	read_output(running);
	while (running->kept_size && running->kept[running->kept_size - 1] == '\n')
		running->kept_size--;
	running->kept[running->kept_size] = '\0';
	if (WIFSIGNALED(status))
		error_set(err, 0, "signal: %s", strsignal(WTERMSIG(status)));
	else
		error_set(err, 0, "exit status %d", WEXITSTATUS(status));
	if (err)
		add_output(running, err);
	return -1;
}

int hook_run(const struct oci_hook *hook, const struct hook_run *run, struct error *err)
{
	struct running running = { .pid = -1, .pidfd = -1, .output = -1, .failure = -1 };
	int result = start(hook, run, &running, err), status = 0;

	if (result == 0)
		result = follow(hook, run, &running, err);
	if (running.pid > 0) {
		if (result < 0)
			kill_all(&running);
		while (waitpid(running.pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	if (result == 0)
		result = judge(&running, status, err);
	cleanup_close_(&running.pidfd);
	cleanup_close_(&running.output);
	cleanup_close_(&running.failure);
	return result;
}
