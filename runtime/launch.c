/*
 * See launch.h. Runs vxn-launch with the descriptors of spec/launch_protocol.h
 * and nothing else of the caller's: no other descriptor, no environment (what an
 * engine's has, such as LD_PRELOAD, is not for a privileged helper), /dev/null as
 * stdio. The container's stdio in particular must not reach a process that could
 * hold it open.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "launch_protocol.h"

#define ARGUMENTS_MAX 16
/* Descriptors go here before they go to their places, which others may hold. */
#define ASIDE_FD 64

struct launch {
	int socket[2]; /* the stand-in's: ours, its */
	int status[2]; /* ours, vxn-launch's */
	int null;
	int cgroups[LAUNCH_CGROUP_FDS_MAX];
	size_t cgroups_count;
	pid_t launcher;
	pid_t standin; /* 0 = has not said so */
	bool complete;
};

static void launch_release(struct launch *launch)
{
	for (int i = 0; i < 2; i++) {
		cleanup_close_(&launch->socket[i]);
		cleanup_close_(&launch->status[i]);
	}
	cleanup_close_(&launch->null);
	for (size_t i = 0; i < launch->cgroups_count; i++)
		cleanup_close_(&launch->cgroups[i]);
	launch->cgroups_count = 0;
}

static int launch_open(const struct launch_request *request, struct launch *launch,
		       struct error *err)
{
	const int on = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, launch->socket) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, launch->status) < 0 ||
	    setsockopt(launch->status[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return error_set(err, errno, "make sockets for the stand-in");
	launch->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (launch->null < 0)
		return error_set(err, errno, "open /dev/null");
	if (request->cgroup &&
	    cgroup_open_procs(request->cgroup, launch->cgroups, LAUNCH_CGROUP_FDS_MAX,
			      &launch->cgroups_count, err) < 0)
		return -1;
	return 0;
}

struct command {
	char program[PATH_MAX], standin[PATH_MAX];
	char pid[16], cgroups[16];
	const char *arguments[ARGUMENTS_MAX];
	size_t count;
};

static void add_argument(struct command *command, const char *name, const char *value)
{
	command->arguments[command->count++] = name;
	if (value)
		command->arguments[command->count++] = value;
}

static int command_make(const struct launch_request *request, const struct launch *launch,
			struct command *command, struct error *err)
{
	if (snprintf(command->program, PATH_MAX, "%s/vxn-launch", launch_directory) >= PATH_MAX ||
	    snprintf(command->standin, PATH_MAX, "%s/vxn-standin", launch_directory) >= PATH_MAX)
		return error_set(err, ENAMETOOLONG, "%s", launch_directory);
	snprintf(command->pid, sizeof(command->pid), "%d", request->container_pid);
	snprintf(command->cgroups, sizeof(command->cgroups), "%zu", launch->cgroups_count);
	add_argument(command, command->program, NULL);
	add_argument(command, "--bundle", request->bundle);
	add_argument(command, "--config", request->config_path);
	add_argument(command, "--standin", command->standin);
	add_argument(command, "--cgroup-fds", command->cgroups);
	if (request->terminal_fd >= 0)
		add_argument(command, "--terminal", NULL);
	if (request->process_path) {
		add_argument(command, "--process", request->process_path);
		add_argument(command, "--container-pid", command->pid);
	}
	return 0;
}

/* Puts descriptors at the numbers 0, 1, 2..., -1 leaves one free; closes all above. */
static int arrange_fds(int *fds, int count)
{
	for (int i = 0; i < count; i++) {
		if (fds[i] < 0)
			continue;
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, ASIDE_FD);
		if (fds[i] < 0)
			return -1;
	}
	for (int i = 0; i < count; i++) {
		if (fds[i] < 0)
			close(i);
		else if (dup2(fds[i], i) < 0)
			return -1;
	}
	return close_range(count, ~0u, 0);
}

static _Noreturn void run_launcher(const struct launch_request *request,
				   const struct launch *launch, const struct command *command,
				   pid_t caller)
{
	static char *const no_environment[] = { NULL };
	int fds[LAUNCH_CGROUP_FD + LAUNCH_CGROUP_FDS_MAX] = {
		launch->null,
		launch->null,
		launch->null,
		[STANDIN_SOCKET_FD] = launch->socket[1],
		[STANDIN_TERMINAL_FD] = request->terminal_fd,
		[LAUNCH_STATUS_FD] = launch->status[1],
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != caller)
		_exit(1);
	memcpy(fds + LAUNCH_CGROUP_FD, launch->cgroups, launch->cgroups_count * sizeof(int));
	if (arrange_fds(fds, LAUNCH_CGROUP_FD + launch->cgroups_count) == 0)
		execve(command->program, (char *const *)command->arguments, no_environment);
	_exit(errno == ENOENT ? 127 : 126);
}

/* The pid in our own pid namespace, wherever the sender lives. */
static pid_t sender(struct msghdr *header)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		struct ucred credentials;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
			continue;
		memcpy(&credentials, CMSG_DATA(c), sizeof(credentials));
		return credentials.pid;
	}
	return 0;
}

/* Returns 1 for a message, 0 at the end of file. */
static int receive(struct launch *launch, struct launch_message *message, pid_t *from,
		   struct error *err)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec body = { .iov_base = message, .iov_len = sizeof(*message) };
	struct msghdr header = {
		.msg_iov = &body,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t size;

	do {
		size = recvmsg(launch->status[0], &header, MSG_CMSG_CLOEXEC);
	} while (size < 0 && errno == EINTR);
	if (size <= 0)
		return size < 0 ? error_set(err, errno, "wait for the stand-in") : 0;
	if (size != sizeof(*message))
		return error_set(err, EPROTO, "wait for the stand-in");
	*from = sender(&header);
	return 1;
}

/* Listens until vxn-launch and the stand-in's process have closed the status socket. */
static int follow(struct launch *launch, struct error *err)
{
	struct launch_message message;
	bool failed = false;
	pid_t from = 0;
	int result;

	while ((result = receive(launch, &message, &from, err)) > 0) {
		switch (message.type) {
		case LAUNCH_STARTED:
			launch->standin = from;
			break;
		case LAUNCH_EXEC:
			launch->complete = true;
			break;
		case LAUNCH_ERROR:
			failed = true;
			if (err)
				*err = message.error;
			break;
		}
	}
	return result < 0 || failed ? -1 : 0;
}

static int wait_for(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* Says what became of a process that ended without a word. */
static int explain(const char *name, int status, struct error *err)
{
	if (WIFSIGNALED(status))
		return error_set(err, 0, "%s was killed by signal %d", name, WTERMSIG(status));
	if (WIFEXITED(status) && WEXITSTATUS(status) >= 126)
		return error_set(err, 0, "%s/%s can't be executed", launch_directory, name);
	return error_set(err, 0, "%s ended before its time", name);
}

/* Waits for vxn-launch and, unless the stand-in is complete, ends and reaps that too. */
static int settle(struct launch *launch, int followed, struct error *err)
{
	int launcher_status = wait_for(launch->launcher);
	int standin_status;

	if (followed == 0 && launch->complete && launch->standin)
		return 0;
	if (!launch->standin)
		return followed < 0 ? -1 : explain("vxn-launch", launcher_status, err);
	kill(launch->standin, SIGKILL);
	standin_status = wait_for(launch->standin);
	return followed < 0 ? -1 : explain("vxn-standin", standin_status, err);
}

int launch_standin(const struct launch_request *request, struct launched *launched,
		   struct error *err)
{
	CLEANUP(launch_release)
	struct launch launch = {
		.socket = { -1, -1 },
		.status = { -1, -1 },
		.null = -1,
	};
	struct command command = { .count = 0 };
	pid_t caller = getpid();

	if (launch_open(request, &launch, err) < 0 ||
	    command_make(request, &launch, &command, err) < 0)
		return -1;
	launch.launcher = fork();
	if (launch.launcher < 0)
		return error_set(err, errno, "start vxn-launch");
	if (launch.launcher == 0)
		run_launcher(request, &launch, &command, caller);
	cleanup_close_(&launch.status[1]);
	cleanup_close_(&launch.socket[1]);
	if (settle(&launch, follow(&launch, err), err) < 0)
		return -1;
	launched->pid = launch.standin;
	launched->socket = steal_fd(&launch.socket[0]);
	return 0;
}
