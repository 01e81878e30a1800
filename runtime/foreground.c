/*
 * See foreground.h. One poll loop over signals, the stand-in's pidfd and, with a
 * terminal, a pump each way with a buffer of its own, so that neither direction
 * waits for the other. The mode of our own terminal is restored on every way out:
 * all signals that end a process are blocked meanwhile.
 */
#include "foreground.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "stdio_fds.h"
#include "terminal.h"

#define PUMP_SIZE 16384

struct pump {
	int from, to; /* -1 = at its end */
	size_t start, end;
	char buffer[PUMP_SIZE];
};

struct foreground {
	int signals;
	int pidfd;
	int master; /* -1 without a terminal */
	struct pump input, output;
};

enum polled { POLL_SIGNALS, POLL_ENDED, POLL_INPUT, POLL_OUTPUT, POLL_COUNT };

/* Not blocked: what the kernel sends for our own faults, and what tells nothing. */
static const int not_passed_on[] = { SIGSEGV, SIGBUS, SIGFPE,  SIGILL,	SIGTRAP, SIGSYS,
				     SIGCHLD, SIGURG, SIGPIPE, SIGTTIN, SIGTTOU };

static void signals_passed_on(sigset_t *signals)
{
	sigfillset(signals);
	for (size_t i = 0; i < sizeof(not_passed_on) / sizeof(not_passed_on[0]); i++)
		sigdelset(signals, not_passed_on[i]);
}

void foreground_prepare(void)
{
	sigset_t signals;

	signals_passed_on(&signals);
	/* the terminal of a process in the background must still be readable for us */
	sigaddset(&signals, SIGTTIN);
	sigaddset(&signals, SIGTTOU);
	sigprocmask(SIG_BLOCK, &signals, NULL);
}

static void pass_signal(struct foreground *foreground)
{
	struct signalfd_siginfo info;

	if (read(foreground->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH && foreground->master >= 0)
		terminal_copy_size(STDIN_FILENO, foreground->master);
	else
		syscall(SYS_pidfd_send_signal, foreground->pidfd, info.ssi_signo, NULL, 0);
}

static bool pump_is_empty(const struct pump *pump)
{
	return pump->start == pump->end;
}

static void pump_read(struct pump *pump)
{
	ssize_t n = read(pump->from, pump->buffer, PUMP_SIZE);

	if (n > 0) {
		pump->start = 0;
		pump->end = (size_t)n;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		pump->from = -1; /* a pty says EIO when its last slave is closed */
	}
}

static void pump_write(struct pump *pump)
{
	ssize_t n = write(pump->to, pump->buffer + pump->start, pump->end - pump->start);

	if (n > 0)
		pump->start += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		pump->start = pump->end = 0; /* nobody takes it; the process is not held up */
}

/* What it waits for: bytes to read, or room to write. */
static struct pollfd pump_poll(const struct pump *pump)
{
	if (!pump_is_empty(pump))
		return (struct pollfd){ .fd = pump->to, .events = POLLOUT };
	return (struct pollfd){ .fd = pump->from, .events = POLLIN };
}

static void pump_move(struct pump *pump)
{
	if (pump_is_empty(pump))
		pump_read(pump);
	if (!pump_is_empty(pump))
		pump_write(pump);
}

/* The process has ended and all that it has written is in the pty. */
static void pump_drain(struct pump *pump)
{
	while (pump->from >= 0 || !pump_is_empty(pump)) {
		struct pollfd room = { .fd = pump->to, .events = POLLOUT };

		if (pump_is_empty(pump)) {
			pump_read(pump);
			if (pump_is_empty(pump))
				return;
		}
		poll(&room, 1, -1);
		pump_write(pump);
	}
}

static void serve(struct foreground *foreground)
{
	for (;;) {
		struct pollfd polled[POLL_COUNT] = {
			[POLL_SIGNALS] = { .fd = foreground->signals, .events = POLLIN },
			[POLL_ENDED] = { .fd = foreground->pidfd, .events = POLLIN },
			[POLL_INPUT] = pump_poll(&foreground->input),
			[POLL_OUTPUT] = pump_poll(&foreground->output),
		};

		if (poll(polled, POLL_COUNT, -1) < 0)
			continue;
		if (polled[POLL_SIGNALS].revents)
			pass_signal(foreground);
		if (polled[POLL_INPUT].revents)
			pump_move(&foreground->input);
		if (polled[POLL_OUTPUT].revents)
			pump_move(&foreground->output);
		if (polled[POLL_ENDED].revents)
			return;
	}
}

static int attach_terminal(struct foreground *foreground, int master, struct error *err)
{
	int flags = fcntl(master, F_GETFL);

	if (flags < 0 || fcntl(master, F_SETFL, flags | O_NONBLOCK))
		return error_set(err, errno, "make the pty non-blocking");
	foreground->input.from = stdio_fd_open(STDIN_FILENO, 0, err);
	if (foreground->input.from < 0)
		return -1;
	foreground->output.to = stdio_fd_open(STDOUT_FILENO, 1, err);
	if (foreground->output.to < 0)
		return -1;
	foreground->input.to = foreground->output.from = foreground->master = master;
	terminal_copy_size(STDIN_FILENO, master);
	return 0;
}

static int reap(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int foreground_wait(pid_t standin, int master, struct error *err)
{
	CLEANUP_RAW_TERMINAL struct raw_terminal raw = { .fd = -1 };
	struct foreground foreground = { .signals = -1,
					 .pidfd = -1,
					 .master = -1,
					 .input = { .from = -1, .to = -1 },
					 .output = { .from = -1, .to = -1 } };
	CLEANUP_CLOSE int signals = -1, pidfd = -1;
	sigset_t passed_on;

	signals_passed_on(&passed_on);
	signals = foreground.signals = signalfd(-1, &passed_on, SFD_CLOEXEC | SFD_NONBLOCK);
	pidfd = foreground.pidfd = (int)syscall(SYS_pidfd_open, standin, 0);
	if (signals < 0 || pidfd < 0)
		return error_set(err, errno, "wait for the container's process");
	if (master >= 0) {
		if (attach_terminal(&foreground, master, err))
			return -1;
		terminal_make_raw(&raw, STDIN_FILENO);
	}
	serve(&foreground);
	pump_drain(&foreground.output);
	return reap(standin);
}
