/*
 * The stand-in: takes the place of a process in the VM in the host's process
 * table. vxn-launch puts it into the namespaces, mounts, cgroup and credentials
 * of config.json and executes it with the container process's argv, all signals
 * blocked and its socket to the monitor in place (spec/standin.h).
 *
 * It passes on what is done to it (signals, window size) and ends as the process
 * in the VM ended. It never sees a byte of the guest. It often is pid 1 of a pid
 * namespace, where signals without a handler are dropped and where even
 * kill(getpid(), SIGKILL) does nothing: hence the exit codes of 128+n.
 *
 * No C library (raw_syscall.h), no heap, no data: one page of code, one of stack.
 */
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "raw_syscall.h"
#include "standin.h"

#define MONITOR_GONE 137

struct standin {
	int signals;  /* signalfd */
	int terminal; /* 1 if there is one at STANDIN_TERMINAL_FD */
	int unsent;   /* the message below waits for room in the socket */
	struct standin_message message;
};

static _Noreturn void finish(int status)
{
	for (;;)
		raw_syscall(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

/* As the kernel would have named the container's own process: basename of argv[0]. */
static void set_name(const char *path)
{
	const char *name = path;

	for (const char *p = path; *p; p++)
		if (p[0] == '/' && p[1])
			name = p + 1;
	raw_syscall(SYS_prctl, PR_SET_NAME, (long)name, 0, 0, 0, 0);
}

static void send_message(struct standin *standin)
{
	long sent = raw_syscall(SYS_sendto, STANDIN_SOCKET_FD, (long)&standin->message,
				sizeof(standin->message), MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);

	standin->unsent = sent == -EAGAIN || sent == -EINTR || sent == -ENOBUFS;
	if (sent < 0 && !standin->unsent)
		finish(MONITOR_GONE);
}

static void send_signal(struct standin *standin, int number)
{
	standin->message.type = STANDIN_SIGNAL;
	standin->message.value = number;
	standin->message.width = 0;
	standin->message.height = 0;
	standin->message.reserved = 0;
	send_message(standin);
}

static void send_window_size(struct standin *standin)
{
	struct winsize size = { 0 };

	if (raw_syscall(SYS_ioctl, STANDIN_TERMINAL_FD, TIOCGWINSZ, (long)&size, 0, 0, 0) < 0)
		return;
	standin->message.type = STANDIN_RESIZE;
	standin->message.value = 0;
	standin->message.width = size.ws_col;
	standin->message.height = size.ws_row;
	standin->message.reserved = 0;
	send_message(standin);
}

/* As pid 1 of its pid namespace it inherits what others leave behind there. */
static void reap(void)
{
	while (raw_syscall(SYS_wait4, -1, 0, WNOHANG, 0, 0, 0) > 0)
		;
}

static void read_signal(struct standin *standin)
{
	struct signalfd_siginfo info;
	long size;

	info.ssi_signo = 0;
	size = raw_syscall(SYS_read, standin->signals, (long)&info, sizeof(info), 0, 0, 0);

	if (size != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		reap();
	else if (info.ssi_signo == SIGWINCH && standin->terminal)
		send_window_size(standin);
	else
		send_signal(standin, info.ssi_signo);
}

static void read_monitor(void)
{
	struct standin_message message;
	long size;

	message.type = 0;
	size = raw_syscall(SYS_recvfrom, STANDIN_SOCKET_FD, (long)&message, sizeof(message),
			   MSG_DONTWAIT, 0, 0);

	if (size == -EAGAIN || size == -EINTR)
		return;
	if (size != sizeof(message) || message.type != STANDIN_EXIT)
		finish(MONITOR_GONE);
	finish(message.value & 0xff);
}

static int poll_fds(struct pollfd *fds, int count)
{
#ifdef SYS_poll
	return raw_syscall(SYS_poll, (long)fds, count, -1, 0, 0, 0);
#else
	return raw_syscall(SYS_ppoll, (long)fds, count, 0, 0, 0, 0);
#endif
}

/* Called by the entry code, never by C: hence no prototype anywhere else. */
_Noreturn void standin_main(long argc, char **argv);

_Noreturn void standin_main(long argc, char **argv)
{
	uint64_t all = ~UINT64_C(0); /* the kernel leaves SIGKILL and SIGSTOP out itself */
	struct standin standin;

	if (argc > 0)
		set_name(argv[0]);
	raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, sizeof(all), 0, 0);
	standin.terminal = raw_syscall(SYS_fcntl, STANDIN_TERMINAL_FD, F_GETFD, 0, 0, 0, 0) >= 0;
	standin.signals = raw_syscall(SYS_signalfd4, -1, (long)&all, sizeof(all),
				      SFD_CLOEXEC | SFD_NONBLOCK, 0, 0);
	if (standin.signals < 0)
		finish(MONITOR_GONE);
	standin.unsent = 0;
	raw_syscall(SYS_close, STANDIN_READY_FD, 0, 0, 0, 0, 0);
	if (standin.terminal)
		send_window_size(&standin);
	for (;;) {
		/* While a message is unsent the signals stay pending in the kernel. */
		struct pollfd fds[] = {
			{ STANDIN_SOCKET_FD, standin.unsent ? POLLIN | POLLOUT : POLLIN, 0 },
			{ standin.unsent ? -1 : standin.signals, POLLIN, 0 },
		};

		if (poll_fds(fds, 2) < 0)
			continue;
		if (fds[0].revents & ~POLLOUT)
			read_monitor();
		if (standin.unsent)
			send_message(&standin);
		else if (fds[1].revents)
			read_signal(&standin);
	}
}

RAW_ENTRY(standin_main);
