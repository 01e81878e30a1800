/*
 * vxn-launch: makes one stand-in as config.json says and leaves. Run by
 * launch_standin() (runtime/launch.c) with the descriptors of
 * spec/launch_protocol.h; says there what went wrong. Dynamic and with a JSON
 * parser, unlike the stand-in that stays.
 *
 * Whoever dies on the way leaves nothing: the child is killed with its parent
 * until it executes the stand-in, which watches its socket; the mounts are in a
 * namespace that goes with the last process in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "launch_protocol.h"
#include "launcher.h"
#include "signals.h"

static void say(enum launch_message_type type, const struct error *err)
{
	struct launch_message message = { .type = type };

	if (err)
		message.error = *err;
	/* Nobody hears it only when the caller is gone, and then it need not be said. */
	(void)!send(LAUNCH_STATUS_FD, &message, sizeof(message), MSG_NOSIGNAL);
}

static _Noreturn void give_up(const struct error *err)
{
	say(LAUNCH_ERROR, err);
	_exit(1);
}

static char *read_file(const char *path, size_t *size, struct error *err)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP_FREE char *text = NULL;
	struct stat status;
	ssize_t got;

	if (fd < 0 || fstat(fd, &status) < 0) {
		error_set(err, errno, "open %s", path);
		return NULL;
	}
	if (status.st_size > CONFIG_SIZE_MAX) {
		error_set(err, EFBIG, "read %s: more than %u bytes", path, CONFIG_SIZE_MAX);
		return NULL;
	}
	text = malloc(status.st_size + 1);
	if (!text) {
		error_set(err, ENOMEM, "read %s", path);
		return NULL;
	}
	for (*size = 0; *size < (size_t)status.st_size; *size += got) {
		got = read(fd, text + *size, status.st_size - *size);
		if (got < 0) {
			error_set(err, errno, "read %s", path);
			return NULL;
		}
		if (got == 0)
			break;
	}
	text[*size] = '\0';
	return steal_pointer(&text);
}

static int read_config(struct launcher *launcher, struct error *err)
{
	CLEANUP_FREE char *config = NULL;
	CLEANUP_FREE char *process = NULL;
	size_t size;

	config = read_file(launcher->config_path, &size, err);
	if (!config || config_parse(config, size, &launcher->config, err) < 0)
		return -1;
	launcher->process = &launcher->config->process;
	if (launcher->process_path) {
		process = read_file(launcher->process_path, &size, err);
		if (!process || process_parse(process, size, &launcher->exec_process, err) < 0)
			return -1;
		launcher->process = launcher->exec_process;
		process_inherit(launcher->exec_process, &launcher->config->process);
	} else if (!launcher->config->has_process) {
		return error_set(err, 0, "%s: process is missing", launcher->config_path);
	}
	return 0;
}

static int parse_arguments(int argc, char **argv, struct launcher *launcher, struct error *err)
{
	static const struct option options[] = {
		{ "bundle", required_argument, NULL, 'b' },
		{ "config", required_argument, NULL, 'c' },
		{ "process", required_argument, NULL, 'p' },
		{ "container-pid", required_argument, NULL, 'j' },
		{ "standin", required_argument, NULL, 's' },
		{ "cgroup-fds", required_argument, NULL, 'g' },
		{ "terminal", no_argument, NULL, 't' },
		{ 0 },
	};
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'b':
			launcher->bundle = optarg;
			break;
		case 'c':
			launcher->config_path = optarg;
			break;
		case 'p':
			launcher->process_path = optarg;
			break;
		case 'j':
			launcher->container_pid = atoi(optarg);
			break;
		case 's':
			launcher->standin_path = optarg;
			break;
		case 'g':
			launcher->cgroup_fds = atoi(optarg);
			break;
		case 't':
			launcher->terminal = true;
			break;
		default:
			error_set(err, 0, "vxn-launch: wrong usage");
			return -1;
		}
	}
	if (!launcher->bundle || !launcher->config_path || !launcher->standin_path ||
	    !launcher->process_path != !launcher->container_pid) {
		error_set(err, 0, "vxn-launch: wrong usage");
		return -1;
	}
	return 0;
}

/* From here on no signal is lost: those that come early wait for the stand-in. */
static void block_signals(void)
{
	uint64_t all = ~UINT64_C(0); /* glibc's sigfillset leaves two out */

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
}

/*
 * The child dies with the caller. The parent may have died before the prctl, and
 * getppid() is 0 from inside another pid namespace: ask the socket.
 */
static void die_with_parent(void)
{
	struct pollfd status = { .fd = LAUNCH_STATUS_FD };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (poll(&status, 1, 0) > 0 && status.revents & (POLLHUP | POLLERR))
		_exit(1);
}

static int enter_cgroup(const struct launcher *launcher, struct error *err)
{
	for (unsigned int i = 0; i < launcher->cgroup_fds; i++) {
		if (write(LAUNCH_CGROUP_FD + i, "0", 1) != 1)
			return error_set(err, errno, "enter the container's cgroup");
		close(LAUNCH_CGROUP_FD + i);
	}
	return 0;
}

static int set_names(const struct oci_config *config, struct error *err)
{
	const struct oci_namespace *uts = &config->namespaces[OCI_NAMESPACE_UTS];

	/* In a namespace that is the host's, or was joined, they are not ours to change. */
	if (!uts->present || uts->path)
		return 0;
	if (config->hostname && sethostname(config->hostname, strlen(config->hostname)) < 0)
		return error_set(err, errno, "set the host name to %s", config->hostname);
	if (config->domainname && setdomainname(config->domainname, strlen(config->domainname)) < 0)
		return error_set(err, errno, "set the domain name to %s", config->domainname);
	return 0;
}

static int set_stdio(const struct launcher *launcher, struct error *err)
{
	int stdio = launcher->terminal ? STANDIN_TERMINAL_FD : launcher->null;

	if (setsid() < 0)
		return error_set(err, errno, "start a session");
	if (launcher->terminal && ioctl(STANDIN_TERMINAL_FD, TIOCSCTTY, 0) < 0)
		return error_set(err, errno, "make the terminal the controlling one");
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(stdio, fd) < 0)
			return error_set(err, errno, "set up stdio");
	return 0;
}

static int become_standin(const struct launcher *launcher, struct error *err)
{
	static char *const no_environment[] = { NULL };

	if (enter_cgroup(launcher, err) < 0 || oom_score_adj_apply(launcher->process, err) < 0)
		return -1;
	if (!launcher->container_pid &&
	    (namespaces_unshare(launcher->config, err) < 0 || rootfs_enter(launcher, err) < 0 ||
	     set_names(launcher->config, err) < 0))
		return -1;
	if (set_stdio(launcher, err) < 0 || rlimits_apply(launcher->process, err) < 0)
		return -1;
	if (launcher->user_namespace >= 0 && setns(launcher->user_namespace, CLONE_NEWUSER) < 0)
		return error_set(err, errno, "join the user namespace");
	if (credentials_apply(launcher->process, err) < 0)
		return -1;
	umask(launcher->process->user.has_umask ? launcher->process->user.umask : 022);
	say(LAUNCH_EXEC, NULL);
	/* From now on its socket tells the stand-in when it is alone. */
	prctl(PR_SET_PDEATHSIG, 0);
	execveat(launcher->standin, "", launcher->process->args, no_environment, AT_EMPTY_PATH);
	return error_set(err, errno, "execute %s", launcher->standin_path);
}

static _Noreturn void run_child(const struct launcher *launcher)
{
	struct error err = { 0 };

	die_with_parent();
	say(LAUNCH_STARTED, NULL);
	block_signals();
	become_standin(launcher, &err);
	give_up(&err);
}

static int launch(int argc, char **argv, struct error *err)
{
	struct launcher launcher = { .standin = -1, .null = -1, .user_namespace = -1 };
	struct clone_args clone = { .flags = CLONE_PARENT };
	long pid;

	if (parse_arguments(argc, argv, &launcher, err) < 0 || read_config(&launcher, err) < 0)
		return -1;
	launcher.standin = detached_mount(AT_FDCWD, launcher.standin_path, 0, err);
	if (launcher.standin < 0)
		return -1;
	launcher.null = detached_open("/dev/null", O_RDWR, err);
	if (launcher.null < 0 || namespaces_open_user(&launcher, err) < 0)
		return -1;
	if (launcher.container_pid) {
		if (namespaces_join_container(launcher.config, launcher.container_pid, err) < 0)
			return -1;
	} else {
		if (namespaces_join(launcher.config, err) < 0)
			return -1;
		clone.flags |= namespaces_clone_flags(launcher.config);
	}
	pid = syscall(SYS_clone3, &clone, sizeof(clone));
	if (pid < 0)
		return error_set(err, errno, "make the stand-in's process");
	if (pid == 0)
		run_child(&launcher);
	return 0;
}

int main(int argc, char **argv)
{
	struct error err = { 0 };

	close_range(LAUNCH_CGROUP_FD, ~0u, CLOSE_RANGE_CLOEXEC);
	signals_reset();
	umask(0);
	if (launch(argc, argv, &err) < 0)
		give_up(&err);
	/* What the child still needs is its own copy. */
	_exit(0);
}
