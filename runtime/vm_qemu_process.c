/*
 * QEMU as a process. It runs as an unprivileged user in namespaces of its own
 * (mount, pid, net, ipc, uts), with QEMU's own system call filter; of the host it
 * has /dev/null, its control socket, the channel and the pipe it prints to. The
 * dynamic loader and QEMU need files until the machine is built: then its root
 * becomes an empty directory, and only then the guest runs.
 *
 * It is killed with the monitor (PR_SET_PDEATHSIG); a monitor that looks for lost
 * ones finds them by the uuid on their command line.
 */
#include "vm_qemu_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "cleanup.h"
#include "empty_root.h"

#define END_TIMEOUT_MS 5000
#define WORDS_MAX      8192

/* What the new process is to do; made before the fork. */
struct start {
	const struct qemu_request *request;
	uid_t uid;
	gid_t gid;
	int null, output, qmp, kernel, initramfs;
};

static int find_user(const char *name, struct start *start, struct error *err)
{
	const struct passwd *user;

	errno = 0;
	user = getpwnam(name);
	if (!user)
		return error_set(err, errno, "qemu_user: there is no user \"%s\"", name);
	if (user->pw_uid == 0)
		return error_set(err, 0, "qemu_user: \"%s\" is privileged", name);
	start->uid = user->pw_uid;
	start->gid = user->pw_gid;
	return 0;
}

/* --- in the new process --- */

/* A /dev with this one device, for QEMU alone, whoever may open the host's. */
static int give_kvm(const struct start *start, struct error *err)
{
	struct stat host;

	if (stat("/dev/kvm", &host) || !S_ISCHR(host.st_mode))
		return error_set(err, errno, "find /dev/kvm");
	if (mount("none", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k,mode=755"))
		return error_set(err, errno, "mount a /dev");
	if (mknod("/dev/kvm", S_IFCHR | 0600, host.st_rdev) ||
	    chown("/dev/kvm", start->uid, start->gid))
		return error_set(err, errno, "make /dev/kvm");
	return 0;
}

static int place_fds(const struct start *start)
{
	int fds[QEMU_PORTS_FD + VM_PORTS_MAX] = {
		start->null,
		start->output,
		start->output,
		[QEMU_QMP_FD] = start->qmp,
		[QEMU_KERNEL_FD] = start->kernel,
		[QEMU_INITRAMFS_FD] = start->initramfs,
		[QEMU_MEMORY_FD] = start->request->memory,
		[QEMU_CONTENT_FD] = start->request->content,
	};
	const int count = QEMU_PORTS_FD + (int)start->request->ports_count;
	int aside[sizeof(fds) / sizeof(fds[0])];

	for (size_t i = 0; i < start->request->ports_count; i++)
		fds[QEMU_PORTS_FD + i] = start->request->ports[i];
	for (int i = 0; i < count; i++) {
		aside[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 64);
		if (fds[i] >= 0 && aside[i] < 0)
			return -1;
	}
	for (int i = 0; i < count; i++) {
		if (aside[i] < 0)
			close(i);
		else if (dup2(aside[i], i) < 0)
			return -1;
	}
	return (int)syscall(SYS_close_range, count, ~0u, 0);
}

static int give_up_privileges(const struct start *start, struct error *err)
{
	const struct rlimit no_core = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &no_core))
		return error_set(err, errno, "forbid core dumps");
	if (setgroups(0, NULL) || setresgid(start->gid, start->gid, start->gid) ||
	    setresuid(start->uid, start->uid, start->uid))
		return error_set(err, errno, "become user %u", start->uid);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return error_set(err, errno, "no_new_privs");
	return 0;
}

static int become_qemu(const struct start *start, struct error *err)
{
	static char *const no_environment[] = { NULL };
	const struct qemu_request *request = start->request;
	struct pollfd monitor = { .fd = QEMU_QMP_FD };

	/* what is mounted or taken away here must never be seen outside */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return error_set(err, errno, "make all mounts private");
	if (request->cgroup && cgroup_enter(request->cgroup, 0, err))
		return -1;
	if (request->kvm && give_kvm(start, err))
		return -1;
	/* now, so that it counts in that cgroup */
	if (request->content >= 0 && qemu_template_copy(QEMU_CONTENT_FD, QEMU_MEMORY_FD, err))
		return -1;
	close(QEMU_CONTENT_FD);
	if (chdir("/"))
		return error_set(err, errno, "chdir /");
	if (give_up_privileges(start, err))
		return -1;
	/* a change of user resets it; whoever had gone before has closed the other end */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || poll(&monitor, 1, 0) < 0)
		return error_set(err, errno, "end with the monitor");
	if (monitor.revents & POLLHUP)
		_exit(0);
	execve(request->settings->qemu, (char *const *)request->arguments, no_environment);
	return error_set(err, errno, "execute %s", request->settings->qemu);
}

static _Noreturn void run_qemu(const struct start *start)
{
	struct error err = { 0 };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (place_fds(start))
		_exit(127);
	become_qemu(start, &err);
	dprintf(STDERR_FILENO, "%s\n", err.message);
	_exit(127);
}

/* --- in the monitor --- */

/* fork() into new namespaces. */
static pid_t fork_into_namespaces(void)
{
	const struct clone_args arguments = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
		.exit_signal = SIGCHLD,
	};

	return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
}

static int open_pipes(struct qemu_process *process, int qmp[2], int output[2], struct error *err)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, qmp))
		return error_set(err, errno, "socketpair");
	process->qmp.fd = steal_fd(&qmp[0]);
	if (pipe2(output, O_CLOEXEC))
		return error_set(err, errno, "pipe");
	process->console = steal_fd(&output[0]);
	if (fcntl(process->qmp.fd, F_SETFL, O_NONBLOCK) ||
	    fcntl(process->console, F_SETFL, O_NONBLOCK))
		return error_set(err, errno, "make QEMU's pipes non-blocking");
	return 0;
}

static int open_file(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? error_set(err, errno, "open %s", path) : fd;
}

static int start_process(struct qemu_process *process, struct start *start, struct error *err)
{
	int qmp[2] = { -1, -1 }, output[2] = { -1, -1 };
	int result = open_pipes(process, qmp, output, err);

	start->qmp = qmp[1];
	start->output = output[1];
	if (!result) {
		process->pid = fork_into_namespaces();
		if (process->pid == 0)
			run_qemu(start);
		if (process->pid < 0) {
			process->pid = 0;
			result = error_set(err, errno, "make a process for QEMU");
		}
	}
	cleanup_close_(&qmp[1]);
	cleanup_close_(&output[1]);
	if (result)
		return -1;
	process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	return process->pidfd < 0 ? error_set(err, errno, "pidfd_open") : 0;
}

int qemu_process_start(struct qemu_process *process, const struct qemu_request *request,
		       struct error *err)
{
	CLEANUP_CLOSE int null = open_file("/dev/null", err);
	CLEANUP_CLOSE int kernel = open_file(request->settings->kernel, err);
	CLEANUP_CLOSE int initramfs = open_file(request->settings->initramfs, err);
	struct start start = {
		.request = request,
		.null = null,
		.kernel = kernel,
		.initramfs = initramfs,
	};

	*process = (struct qemu_process)QEMU_PROCESS_NONE;
	if (null < 0 || kernel < 0 || initramfs < 0 ||
	    find_user(request->settings->qemu_user, &start, err))
		return -1;
	if (!start_process(process, &start, err))
		return 0;
	qemu_process_end(process);
	return -1;
}

static int enter_and_empty(const struct qemu_process *process, struct error *err)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", process->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNS))
		return error_set(err, errno, "enter QEMU's mount namespace");
	if (empty_root_mount(err))
		return -1;
	return empty_root_enter(err);
}

int qemu_process_empty_root(const struct qemu_process *process, struct error *err)
{
	struct error why = { 0 };
	int pipe_fds[2], status = 0;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return error_set(err, errno, "pipe");
	pid = fork();
	if (pid == 0) {
		/* the message is written whole: it is smaller than PIPE_BUF */
		if (enter_and_empty(process, &why))
			_exit(write(pipe_fds[1], &why, sizeof(why)) != sizeof(why));
		_exit(0);
	}
	close(pipe_fds[1]);
	if (pid < 0)
		error_set(&why, errno, "fork");
	else if (read(pipe_fds[0], &why, sizeof(why)) != sizeof(why))
		why.message[0] = '\0';
	close(pipe_fds[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!why.message[0] && status)
		error_set(&why, 0, "a helper ended with status %d", status);
	if (!why.message[0])
		return 0;
	return error_set(err, 0, "confine QEMU: %.900s", why.message);
}

bool qemu_process_ended(const struct qemu_process *process, int *status)
{
	siginfo_t info = { 0 };

	if (waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) ||
	    !info.si_pid)
		return false;
	*status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	return true;
}

void qemu_process_words(const struct qemu_process *process, char *words, size_t size)
{
	char text[WORDS_MAX], *rest = text, *line;
	size_t used = 0, length = 0;
	ssize_t n;

	words[0] = '\0';
	while (used < WORDS_MAX - 1 &&
	       (n = read(process->console, text + used, WORDS_MAX - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	while ((line = strsep(&rest, "\r\n")) && length < size)
		if (line[0])
			length += (size_t)snprintf(words + length, size - length, "%s%s",
						   length ? "; " : "", line);
	error_sanitize(words);
}

void qemu_process_end(struct qemu_process *process)
{
	siginfo_t info;

	if (process->pid > 0) {
		kill(process->pid, SIGKILL);
		waitid(P_PID, (id_t)process->pid, &info, WEXITED);
	}
	cleanup_close_(&process->pidfd);
	cleanup_close_(&process->console);
	cleanup_close_(&process->qmp.fd);
	*process = (struct qemu_process)QEMU_PROCESS_NONE;
}

void qemu_version(const char *qemu, char *version, size_t size)
{
	char text[256] = "", *found;
	int output[2], status;
	pid_t pid;

	snprintf(version, size, "unknown version");
	if (pipe2(output, O_CLOEXEC))
		return;
	pid = fork();
	if (pid == 0) {
		static char *const no_environment[] = { NULL };
		const char *const arguments[] = { qemu, "--version", NULL };

		dup2(output[1], STDOUT_FILENO);
		execve(qemu, (char *const *)arguments, no_environment);
		_exit(127);
	}
	close(output[1]);
	if (pid > 0 && read(output[0], text, sizeof(text) - 1) > 0) {
		found = strstr(text, "version ");
		if (found)
			snprintf(version, size, "%.*s", (int)strcspn(found + 8, " (\n"), found + 8);
	}
	close(output[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

/* --- lost ones --- */

/* Does its command line have "-uuid", UUID? */
static bool has_uuid(const char *pid, const char *uuid)
{
	char path[64], line[8192];
	CLEANUP_CLOSE int fd = -1;
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (size <= 0)
		return false;
	line[size] = '\0';
	for (const char *word = line; word < line + size; word += strlen(word) + 1)
		if (!strcmp(word, "-uuid") && word + 6 < line + size)
			return !strcmp(word + 6, uuid);
	return false;
}

static int kill_and_wait(const char *pid, const char *uuid, struct error *err)
{
	CLEANUP_CLOSE int fd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
	struct pollfd ended = { .fd = fd, .events = POLLIN };

	/* the pid may be somebody else's by now: looked at again when it is held */
	if (fd < 0 || !has_uuid(pid, uuid))
		return 0;
	if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) && errno != ESRCH)
		return error_set(err, errno, "kill QEMU, process %s", pid);
	if (poll(&ended, 1, END_TIMEOUT_MS) <= 0)
		return error_set(err, ETIMEDOUT, "kill QEMU, process %s", pid);
	return 0;
}

int qemu_kill_by_uuid(const char *uuid, struct error *err)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int result = 0;

	if (!proc)
		return error_set(err, errno, "open /proc");
	while ((entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    has_uuid(entry->d_name, uuid) && kill_and_wait(entry->d_name, uuid, err))
			result = -1;
	closedir(proc);
	return result;
}
