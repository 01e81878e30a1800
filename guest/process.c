/*
 * A process's life as pid 1 sees it: cloned, set up (child.c, which reports on a
 * socket), running, ended. Pid 1 is the parent of all of them, those that join a
 * container's pid namespace too, so that it gets every exit status itself.
 */
#include "container.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "kmsg.h"
#include "protocol.h"
#include "schedule.h"
#include "user_namespace.h"

#define NEW_NAMESPACES (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)
/* Whose root may do in a network what root may do has to own that. */
#define NEW_USER_NAMESPACES (CLONE_NEWUSER | CLONE_NEWNET)

struct process *process_find(struct init *init, uint32_t number)
{
	for (struct process *p = init->processes; p; p = p->next)
		if (p->number == number)
			return p;
	return NULL;
}

static void close_ends(struct process *process)
{
	for (int i = 0; i < 3; i++)
		if (process->ends[i] >= 0)
			close(steal_fd(&process->ends[i]));
}

/* A copy of the socket that another child has for a moment must cause no event. */
static void close_socket(struct init *init, struct process *process)
{
	if (process->socket < 0)
		return;
	epoll_ctl(init->epoll, EPOLL_CTL_DEL, process->socket, NULL);
	close(steal_fd(&process->socket));
}

static int make_pipe(int *read_end, int *write_end, struct error *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_set(err, errno, "make a pipe");
	*read_end = fds[0];
	*write_end = fds[1];
	return 0;
}

static int make_stdio(struct process *process, struct child_plan *plan, struct error *err)
{
	if (process->terminal)
		return 0;
	if (process->streams[0] && make_pipe(&plan->stdio[0], &process->ends[0], err) < 0)
		return -1;
	if (process->streams[1] && make_pipe(&process->ends[1], &plan->stdio[1], err) < 0)
		return -1;
	if (!process->streams[2])
		return 0;
	if (process->streams[2] != process->streams[1])
		return make_pipe(&process->ends[2], &plan->stdio[2], err);
	plan->stdio[2] = fcntl(plan->stdio[1], F_DUPFD_CLOEXEC, 0);
	return plan->stdio[2] < 0 ? error_set(err, errno, "duplicate stdout") : 0;
}

static pid_t clone_into(int cgroup, uint64_t flags, int *pidfd)
{
	struct clone_args args = {
		.flags = flags | CLONE_PIDFD | CLONE_INTO_CGROUP,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup,
	};

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static pid_t clone_first(struct process *process, const struct child_plan *plan)
{
	const uint64_t flags =
		NEW_NAMESPACES | (has_user_namespace(plan->config) ? NEW_USER_NAMESPACES : 0);

	return clone_into(process->container->cgroup, flags, &process->pidfd);
}

/*
 * The child is born into the container's pid namespace. The container may have
 * moved its processes into cgroups of its own below, which makes its upper one
 * unusable (EBUSY): then the cgroup of its first process.
 */
static pid_t clone_joining(struct init *init, struct process *process)
{
	const struct process *first = process->container->init;
	CLEANUP_CLOSE int other = -1;
	pid_t pid;

	if (setns(first->pidfd, CLONE_NEWPID) < 0)
		return -1;
	pid = clone_into(process->container->cgroup, 0, &process->pidfd);
	if (pid < 0 && errno == EBUSY) {
		other = cgroup_of(first->pid, NULL);
		if (other >= 0)
			pid = clone_into(other, 0, &process->pidfd);
	}
	if (pid != 0 && setns(init->pid_namespace, CLONE_NEWPID) < 0) {
		kmsg_error("return to the own pid namespace: %m");
		boot_power_off(&init->options);
	}
	return pid;
}

/* Returns in pid 1 only. */
static int make_child(struct init *init, struct process *process, struct child_plan *plan,
		      struct error *err)
{
	const struct oci_cpu_affinity *affinity = &plan->process->scheduling.exec_affinity;
	cpu_set_t own;

	if (process->first) {
		process->pid = clone_first(process, plan);
	} else {
		if (affinity_enter(affinity, &own, err) < 0)
			return -1;
		process->pid = clone_joining(init, process);
	}
	if (process->pid == 0)
		child_main(plan);
	if (process->pid < 0)
		error_set(err, errno, "make a process in container %s", plan->container);
	if (!process->first)
		affinity_leave(affinity, &own);
	return process->pid < 0 ? -1 : 0;
}

static int run(struct init *init, struct process *process, struct child_plan *plan,
	       struct error *err)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = process };
	int sockets[2], result;

	if (make_stdio(process, plan, err) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return error_set(err, errno, "make a socket pair");
	process->socket = sockets[0];
	plan->socket = sockets[1];
	result = make_child(init, process, plan, err);
	close(sockets[1]);
	if (result == 0 && has_user_namespace(plan->config))
		result = user_namespace_prepare(process, plan, err);
	if (result < 0)
		return -1;
	if (epoll_ctl(init->epoll, EPOLL_CTL_ADD, process->socket, &event) < 0) {
		kmsg_error("epoll_ctl: %m");
		boot_power_off(&init->options);
	}
	return 0;
}

static struct process *make_process(struct container *container,
				    const struct control_message *request,
				    const struct child_plan *plan)
{
	struct process *process = calloc(1, sizeof(*process));

	if (!process)
		return NULL;
	process->container = container;
	process->number = request->process;
	process->first = plan->first;
	process->terminal = plan->process->terminal;
	process->pidfd = process->socket = -1;
	process->seq = request->seq;
	process->streams[0] = request->stdin_stream;
	process->streams[1] = request->stdout_stream;
	process->streams[2] = request->stderr_stream;
	for (int i = 0; i < 3; i++)
		process->ends[i] = -1;
	return process;
}

static void free_process(struct init *init, struct process *process)
{
	close_ends(process);
	close_socket(init, process);
	if (process->pidfd >= 0)
		close(process->pidfd);
	free(process);
}

struct process *process_spawn(struct init *init, struct container *container,
			      const struct control_message *request, struct child_plan *plan,
			      struct error *err)
{
	struct process *process = make_process(container, request, plan);
	int result;

	if (!process) {
		error_set(err, ENOMEM, "process %u", request->process);
		return NULL;
	}
	for (int i = 0; i < 3; i++)
		plan->stdio[i] = -1;
	result = run(init, process, plan, err);
	for (int i = 0; i < 3; i++)
		if (plan->stdio[i] >= 0)
			close(plan->stdio[i]);
	if (result < 0) {
		free_process(init, process);
		return NULL;
	}
	container->processes++;
	process->next = init->processes;
	init->processes = process;
	return process;
}

static void attach_streams(struct init *init, struct process *process)
{
	static const uint32_t kinds[3] = { STREAM_STDIN, STREAM_OUTPUT, STREAM_OUTPUT };

	for (int i = 0; i < 3; i++)
		if (process->streams[i] && process->ends[i] >= 0)
			relay_attach(init, process->streams[i],
				     process->terminal ? STREAM_TERMINAL : kinds[i],
				     &process->ends[i]);
	close_ends(process);
}

static void answer(struct init *init, struct process *process, const char *error)
{
	CLEANUP_FREE char *warning =
		process->first ? steal_pointer(&process->container->warning) : NULL;

	if (process->seq)
		report_reply(init, process->seq, error, warning);
	process->seq = 0;
}

/* The request fails; to the host, the process has never been there. */
static void fail(struct init *init, struct process *process, const char *error)
{
	close_ends(process);
	for (int i = 0; i < 3; i++)
		relay_drop(init, process->streams[i]);
	process->state = PROCESS_FAILED;
	answer(init, process, error);
}

static void process_is_ready(struct init *init, struct process *process)
{
	if (!process->first) {
		process->state = PROCESS_STARTING;
		return;
	}
	attach_streams(init, process);
	process->state = PROCESS_CREATED;
	answer(init, process, NULL);
}

/* A container's first process, once created, has an exit even if its exec fails. */
static void process_has_failed(struct init *init, struct process *process, const char *error)
{
	if (process->first && process->state != PROCESS_SETUP) {
		answer(init, process, error);
		process->state = PROCESS_RUNNING;
		return;
	}
	fail(init, process, error);
}

static void process_has_closed(struct init *init, struct process *process)
{
	close_socket(init, process);
	if (process->state != PROCESS_STARTING)
		return;
	attach_streams(init, process);
	process->state = PROCESS_RUNNING;
	answer(init, process, NULL);
}

bool process_event(struct init *init, struct process *process)
{
	char text[ERROR_MESSAGE_MAX];
	size_t size = sizeof(text) - 1;
	struct message message = { 0 };
	CLEANUP_CLOSE int fd = -1;
	int result = message_receive(process->socket, &message, &fd, text, &size, MSG_DONTWAIT);

	if (result < 0 && errno == EAGAIN)
		return false;
	if (result <= 0) {
		process_has_closed(init, process);
		return true;
	}
	text[size] = '\0';
	if (message.type == MESSAGE_TERMINAL && process->ends[1] < 0)
		process->ends[1] = steal_fd(&fd);
	else if (message.type == MESSAGE_READY && process->state == PROCESS_SETUP)
		process_is_ready(init, process);
	else if (message.type == MESSAGE_FAILED)
		process_has_failed(init, process, text);
	return true;
}

static void report_end(struct init *init, struct process *process, int status)
{
	char error[128];

	if (process->state == PROCESS_FAILED)
		return;
	if (process->state != PROCESS_SETUP) {
		answer(init, process, "the process has ended");
		report_exit(init, process, status);
		return;
	}
	if (WIFSIGNALED(status))
		snprintf(error, sizeof(error), "the process was killed by signal %d during set-up",
			 WTERMSIG(status));
	else
		snprintf(error, sizeof(error), "the process ended during set-up");
	fail(init, process, error);
}

void process_reap(struct init *init, pid_t pid, int status)
{
	struct process **link = &init->processes, *process;
	struct container *container;

	while (*link && (*link)->pid != pid)
		link = &(*link)->next;
	process = *link;
	if (!process)
		return; /* an orphan that came to pid 1 */
	/* What it said before its end comes first. */
	while (process->socket >= 0 && process_event(init, process))
		continue;
	report_end(init, process, status);
	*link = process->next;
	container = process->container;
	container->processes--;
	if (container->init == process)
		container->init = NULL;
	free_process(init, process);
	if (!container->processes)
		container_release(init, container);
}
