/* See monitor_client.h. */
#include "monitor_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdpass.h"

#define MONITOR_PROGRAM VXN_LIBEXECDIR "/vxn-monitor"
#define MONITOR_FD	3
#define REPORT_FD	4
#define ASIDE_FD	16
#define END_POLL_MS	5

/* The engine's environment may be empty; what the hypervisor's library may run needs a PATH. */
static char *const monitor_environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };

/*
 * Becomes the monitor: nothing of the caller's is kept but standard error, where
 * wanted, and the descriptors given (-1 = none). report gets the errno of a
 * failed exec.
 */
static _Noreturn void exec_monitor(char *const argv[], int socket, int report, bool keep_stderr)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	socket = socket < 0 ? -1 : fcntl(socket, F_DUPFD_CLOEXEC, ASIDE_FD);
	report = fcntl(report, F_DUPFD_CLOEXEC, ASIDE_FD);
	for (int fd = 0; fd < (keep_stderr ? 2 : 3); fd++)
		dup2(null, fd);
	if (socket >= 0)
		dup2(socket, MONITOR_FD);
	else
		close(MONITOR_FD);
	dup3(report, REPORT_FD, O_CLOEXEC);
	syscall(SYS_close_range, REPORT_FD + 1, ~0u, 0);
	if (chdir("/"))
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(MONITOR_PROGRAM, argv, monitor_environment);
	if (write(REPORT_FD, &errno, sizeof(errno)) < 0)
		_exit(126);
	_exit(127);
}

/* Forks twice, so that the monitor is nobody's child and no engine waits for it. */
static pid_t fork_monitor(char *const argv[], int socket, int report)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	pid = fork();
	if (pid == 0)
		exec_monitor(argv, socket, report, false);
	_exit(pid < 0 ? 1 : 0);
}

static int wait_for(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* The report pipe is at its end when the exec has succeeded. */
static int read_report(int report, struct error *err)
{
	int errnum;

	if (read(report, &errnum, sizeof(errnum)) == sizeof(errnum))
		return error_set(err, errnum, "run %s", MONITOR_PROGRAM);
	return 0;
}

int monitor_start(const struct container *container, const char *bundle,
		  const struct log_options *log, struct error *err)
{
	const char *argv[16] = { "vxn-monitor", "run",	"--root",	container->root,
				 "--bundle",	bundle, "--log-format", log->format };
	CLEANUP_CLOSE int ours = -1, theirs = -1, report = -1, report_end = -1;
	int pair[2], n = 8;
	pid_t pid;

	if (log->path) {
		argv[n++] = "--log";
		argv[n++] = log->path;
	}
	if (log->debug)
		argv[n++] = "--debug";
	argv[n++] = "--";
	argv[n] = container->id;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return error_set(err, errno, "make a socket for the monitor");
	ours = pair[0];
	theirs = pair[1];
	if (pipe2(pair, O_CLOEXEC))
		return error_set(err, errno, "make a pipe for the monitor");
	report = pair[0];
	report_end = pair[1];
	pid = fork_monitor((char *const *)argv, theirs, report_end);
	close(steal_fd(&theirs));
	close(steal_fd(&report_end));
	if (pid < 0 || wait_for(pid))
		return error_set(err, pid < 0 ? errno : 0, "start the monitor");
	return read_report(report, err) ? -1 : steal_fd(&ours);
}

/* The words of the cleanup, one line. */
static void read_words(int from, char *words, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while (used + 1 < size && (n = read(from, words + used, size - used - 1)) > 0)
		used += (size_t)n;
	while (used && words[used - 1] == '\n')
		used--;
	words[used] = '\0';
	error_sanitize(words);
}

int monitor_cleanup(const struct container *container, struct error *err)
{
	char *const argv[] = { "vxn-monitor", "cleanup",     "--root", container->root,
			       "--",	      container->id, NULL };
	CLEANUP_CLOSE int words = -1, words_end = -1, report = -1, report_end = -1;
	char said[ERROR_MESSAGE_MAX / 2];
	int pair[2];
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC))
		return error_set(err, errno, "make a pipe for the cleanup");
	words = pair[0];
	words_end = pair[1];
	if (pipe2(pair, O_CLOEXEC))
		return error_set(err, errno, "make a pipe for the cleanup");
	report = pair[0];
	report_end = pair[1];
	pid = fork();
	if (pid == 0) {
		dup2(words_end, STDERR_FILENO);
		exec_monitor(argv, -1, report_end, true);
	}
	close(steal_fd(&words_end));
	close(steal_fd(&report_end));
	if (pid < 0)
		return error_set(err, errno, "start the cleanup");
	read_words(words, said, sizeof(said));
	if (!wait_for(pid))
		return 0;
	if (read_report(report, err))
		return -1;
	return error_set(err, 0, "clean up after the monitor: %s", said[0] ? said : "it failed");
}

int monitor_connect(const struct container *container, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	CLEANUP_CLOSE int directory = open(container->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (directory < 0)
		return error_set(err, errno, "open %s", container->directory);
	if (fd < 0)
		return error_set(err, errno, "make a socket");
	/* the path may be longer than a socket's address can be */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/monitor.sock",
		 directory);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return error_set(err, errno, "connect to the monitor of container %s",
				 container->id);
	return steal_fd(&fd);
}

static int silent(struct error *err, int errnum, const char *what)
{
	error_set(err, 0, "%s", what);
	if (err)
		err->errnum = errnum;
	return MONITOR_SILENT;
}

static int wait_reply(int socket, int timeout_ms, int cancel_fd, struct error *err)
{
	struct pollfd polled[] = {
		{ .fd = socket, .events = POLLIN },
		{ .fd = cancel_fd, .events = POLLIN },
	};
	int n;

	do {
		n = poll(polled, 2, timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return silent(err, ETIMEDOUT, "the monitor does not answer");
	if (polled[1].revents)
		return silent(err, ECANCELED, "interrupted");
	return 0;
}

int monitor_ask(int socket, const struct monitor_request *request, const int *fds, size_t count,
		int timeout_ms, int cancel_fd, struct error *err)
{
	struct monitor_reply reply;
	struct error why = { 0 };
	int result;

	result = fdpass_send(socket, request, sizeof(*request), fds, count, &why);
	/* a monitor that has ended may have left its reason there */
	if (result && why.errnum != EPIPE && why.errnum != ECONNRESET)
		return silent(err, why.errnum, why.message);
	if (!result && wait_reply(socket, timeout_ms, cancel_fd, err))
		return MONITOR_SILENT;
	result = fdpass_receive(socket, &reply, sizeof(reply), NULL, 0, err);
	if (result <= 0)
		return silent(err, 0, "the monitor has ended");
	if (!reply.failed)
		return 0;
	reply.message[MONITOR_MESSAGE_MAX - 1] = '\0';
	error_sanitize(reply.message);
	error_set(err, 0, "%s", reply.message);
	if (err)
		err->errnum = reply.errnum;
	return MONITOR_REFUSED;
}

bool monitor_wait_end(const struct container *container, int timeout_ms)
{
	for (int waited = 0; container_monitor_alive(container); waited += END_POLL_MS) {
		if (waited >= timeout_ms)
			return false;
		poll(NULL, 0, END_POLL_MS);
	}
	return true;
}
