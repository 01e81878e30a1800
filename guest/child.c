/*
 * See child.h. The steps and their order are runc's, as far as a process can see
 * them: the working directory is tried before and after the user is set, the
 * program is looked up as that user, and only then it is reported that the
 * container is created.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "environment.h"
#include "lookup.h"
#include "protocol.h"
#include "rootfs.h"
#include "schedule.h"
#include "signals.h"
#include "start_hooks.h"
#include "sysctl_apply.h"
#include "terminal.h"
#include "time_namespace.h"
#include "user.h"
#include "user_namespace.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static int compare_fd(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/*
 * Pid 1 has descriptors of all containers. A pipe's end kept open here would
 * keep another container's reader from seeing its end.
 */
static int close_others(const struct child_plan *plan, struct error *err)
{
	size_t count = 0;
	CLEANUP_FREE int *keep = calloc(plan->shares_count + 2, sizeof(*keep));
	unsigned int first = 3;

	if (!keep)
		return error_set(err, ENOMEM, "close descriptors");
	keep[count++] = plan->socket;
	if (plan->init >= 0)
		keep[count++] = plan->init;
	for (size_t i = 0; i < plan->shares_count; i++)
		keep[count++] = plan->shares[i].fd;
	qsort(keep, count, sizeof(*keep), compare_fd);
	for (size_t i = 0; i < count; i++) {
		if ((unsigned int)keep[i] > first)
			close_range(first, keep[i] - 1, 0);
		first = keep[i] + 1;
	}
	close_range(first, ~0u, 0);
	return 0;
}

static int place_stdio(const struct child_plan *plan, struct error *err)
{
	for (int i = 0; i < 3; i++)
		if (plan->stdio[i] >= 0 && dup2(plan->stdio[i], i) < 0)
			return error_set(err, errno, "place stdio");
	return close_others(plan, err);
}

/* What can be done before the container's file system is there. */
static int begin(const struct child_plan *plan, struct error *err)
{
	signals_reset();
	/* Nobody in the container may look into this copy of vxn-init. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (place_stdio(plan, err) < 0)
		return -1;
	if (plan->first && has_user_namespace(plan->config)) {
		if (user_namespace_await(plan, err) < 0)
			return -1;
	} else if (user_set_oom_score("self", plan->process, err) < 0) {
		return -1;
	}
	if (setsid() < 0)
		return error_set(err, errno, "setsid");
	return 0;
}

static int set_names(const struct child_plan *plan, struct error *err)
{
	const struct oci_config *config = plan->config;

	if (plan->hostname && sethostname(plan->hostname, strlen(plan->hostname)) < 0)
		return error_set(err, errno, "set hostname %s", plan->hostname);
	if (config->domainname && setdomainname(config->domainname, strlen(config->domainname)) < 0)
		return error_set(err, errno, "set domainname %s", config->domainname);
	return 0;
}

static int enter_container(const struct child_plan *plan, struct error *err)
{
	int flags = CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWTIME;

	if (!plan->first) {
		if (has_user_namespace(plan->config)) {
			flags |= CLONE_NEWUSER | CLONE_NEWNET;
			/* its root may not raise them */
			if (user_set_rlimits(plan->process, err) < 0)
				return -1;
		}
		if (setns(plan->init, flags) < 0 || chdir("/") < 0)
			return error_set(err, errno, "join container %s", plan->container);
		return has_user_namespace(plan->config) ? user_namespace_become_root(err) : 0;
	}
	/* Only now, in the container's cgroup: it becomes the root of what is seen. */
	if (unshare(CLONE_NEWCGROUP) < 0)
		return error_set(err, errno, "unshare the cgroup namespace");
	if (set_names(plan, err) < 0 || sysctl_apply(plan->config, err) < 0 ||
	    time_namespace_enter(plan->config, err) < 0)
		return -1;
	return rootfs_enter(plan, err);
}

/* The one open now is the VM's, not the container's. */
static void reopen_null(const struct child_plan *plan)
{
	for (int i = 0; i < 3; i++) {
		int fd;

		if (plan->stdio[i] >= 0)
			continue;
		fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return;
		dup2(fd, i);
		close(fd);
	}
}

static int set_up_terminal(const struct child_plan *plan, struct error *err)
{
	const struct message message = { .type = MESSAGE_TERMINAL };
	CLEANUP_CLOSE int master = -1;

	if (!plan->process->terminal) {
		reopen_null(plan);
		return 0;
	}
	master = terminal_open(plan->process, plan->first, err);
	if (master < 0)
		return -1;
	if (message_send(plan->socket, &message, master, NULL, 0, 0) < 0)
		return error_set(err, errno, "hand over the terminal");
	return 0;
}

/*
 * So that a process may reopen /dev/stdout when it is not root. Not the owner of
 * a device, which is the VM's.
 */
static void give_stdio(uid_t uid)
{
	struct stat st;

	for (int i = 0; i < 3; i++)
		if (fstat(i, &st) == 0 && st.st_uid != uid &&
		    !(S_ISCHR(st.st_mode) && major(st.st_rdev) == 1) && fchown(i, uid, -1) < 0)
			continue; /* as with runc, it only can't be reopened */
}

static void join_session_keyring(const char *container)
{
	char name[300];

	snprintf(name, sizeof(name), "_ses.%s", container);
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name); /* kernels without keys go on */
}

/* While it may still raise itself above others. */
static int schedule(const struct child_plan *plan, struct error *err)
{
	const struct oci_scheduling *scheduling = &plan->process->scheduling;

	if (schedule_set_personality(plan->config->personality, err) < 0)
		return -1;
	if (!plan->first && affinity_set_final(&scheduling->exec_affinity, err) < 0)
		return -1;
	return schedule_apply(scheduling, err);
}

static int change_directory(const char *cwd, struct error *err)
{
	if (chdir(cwd) < 0)
		return error_set(err, errno, "chdir to cwd (\"%s\") set in config.json failed",
				 cwd);
	return 0;
}

/* Loading a filter takes this capability, or no_new_privs. */
static bool loads_as_admin(const struct child_plan *plan)
{
	return plan->filter->code && !plan->process->no_new_privileges;
}

/* Who the process is. After it, what is done is done as the container's user. */
static int become_user(const struct child_plan *plan, struct error *err)
{
	const struct oci_process *process = plan->process;
	bool changed = chdir(process->cwd) == 0;

	if (!changed && errno != EACCES && errno != EPERM)
		return change_directory(process->cwd, err);
	give_stdio(process->user.uid);
	if (user_set_rlimits(process, err) < 0 || user_become(process, err) < 0)
		return -1;
	/* A directory that root may not enter and the user may. */
	if (!changed && change_directory(process->cwd, err) < 0)
		return -1;
	return user_set_capabilities(process, loads_as_admin(plan), err);
}

/*
 * By write and read, which a filter lets pass even where it lets nothing else: it
 * may be loaded already.
 */
static int say(int socket, enum message_type type, const char *text)
{
	const struct message message = { .type = type };
	char packet[sizeof(message) + ERROR_MESSAGE_MAX];
	size_t length = strnlen(text, ERROR_MESSAGE_MAX);

	memcpy(packet, &message, sizeof(message));
	memcpy(packet + sizeof(message), text, length);
	return write(socket, packet, sizeof(message) + length) < 0 ? -1 : 0;
}

static int wait_for_start(int socket)
{
	struct message message = { 0 };
	ssize_t got;

	do
		got = read(socket, &message, sizeof(message));
	while (got < 0 && errno == EINTR);
	return got == sizeof(message) && message.type == MESSAGE_START ? 0 : -1;
}

/*
 * The filter is loaded as late as can be, since all that comes after it must pass
 * it. One that is loaded as admin does not wait for start: there may be other
 * processes by then, and they must not meet that capability.
 */
static int execute(const struct child_plan *plan, const char *program, char **env,
		   struct error *err)
{
	const struct user_sets sets = user_sets_of(plan->process);
	bool as_admin = loads_as_admin(plan);

	if (as_admin &&
	    (seccomp_filter_load(plan->filter, err) < 0 || user_leave_admin(&sets, err) < 0))
		return -1;
	if (say(plan->socket, MESSAGE_READY, "") < 0)
		return error_set(err, errno, "report to pid 1");
	if (plan->first && wait_for_start(plan->socket) < 0)
		_exit(1);
	if (plan->first && start_hooks_run(plan, err) < 0)
		return -1;
	if (!as_admin && seccomp_filter_load(plan->filter, err) < 0)
		return -1;
	execve(program, plan->process->args, env);
	return error_set(err, errno, "exec %s", program);
}

static int set_up(const struct child_plan *plan, struct error *err)
{
	CLEANUP_FREE char *program = NULL;
	char **env;

	if (begin(plan, err) < 0 || enter_container(plan, err) < 0 ||
	    set_up_terminal(plan, err) < 0)
		return -1;
	env = environment_complete(plan->process, err);
	if (!env)
		return -1;
	join_session_keyring(plan->container);
	if (schedule(plan, err) < 0 || become_user(plan, err) < 0)
		return -1;
	program = find_program(plan->process->args[0], env, err);
	if (!program)
		return -1;
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	return execute(plan, program, env, err);
}

_Noreturn void child_main(const struct child_plan *plan)
{
	struct error err = { 0 };

	set_up(plan, &err);
	say(plan->socket, MESSAGE_FAILED, err.message);
	_exit(1);
}
