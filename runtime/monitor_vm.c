/*
 * The VM and the io process of a monitor: boot, the kernel's console, and their
 * end. Of the guest nothing is parsed here; the console's bytes are only kept,
 * to be quoted when the boot fails.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "fdpass.h"
#include "log.h"
#include "monotonic.h"

/* How long the io process may take to end after its guest has. */
#define IO_END_MS 300

static void exec_io(const struct monitor *monitor, int socket)
{
	CLEANUP_FREE char *config = container_path(&monitor->container, "config.json");
	struct error err = { 0 };
	const char *argv[18];
	char threads[16];
	int n = 0;

	snprintf(threads, sizeof(threads), "%u", monitor->settings.share_threads);
	argv[n++] = "vxn-io";
	argv[n++] = "--bundle";
	argv[n++] = monitor->bundle;
	argv[n++] = "--config";
	argv[n++] = config;
	argv[n++] = "--threads";
	argv[n++] = threads;
	argv[n++] = "--cache";
	argv[n++] = cache_words[monitor->settings.cache];
	if (monitor->log_path) {
		argv[n++] = "--log";
		argv[n++] = monitor->log_path;
		argv[n++] = "--log-format";
		argv[n++] = monitor->log_format;
	}
	if (monitor->debug)
		argv[n++] = "--debug";
	argv[n] = NULL;
	if (monitor->cgroup && cgroup_enter(monitor->cgroup, 0, &err))
		log_warning("%s", err.message);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (socket == IO_SOCKET_FD)
		fcntl(socket, F_SETFD, 0);
	else
		dup2(socket, IO_SOCKET_FD);
	syscall(SYS_close_range, IO_SOCKET_FD + 1, ~0u, 0);
	execv(VXN_LIBEXECDIR "/vxn-io", (char **)argv);
	_exit(127);
}

static int start_io(struct monitor *monitor, struct error *err)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return error_set(err, errno, "socketpair");
	pid = fork();
	if (pid == 0)
		exec_io(monitor, pair[1]);
	close(pair[1]);
	monitor->io = pair[0];
	if (pid < 0)
		return error_set(err, errno, "fork");
	monitor->io_pid = pid;
	monitor->io_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (monitor->io_pidfd < 0)
		return error_set(err, errno, "pidfd_open");
	fcntl(monitor->io, F_SETFL, O_NONBLOCK);
	return 0;
}

static uint64_t memory_mib(const struct monitor *monitor)
{
	int64_t limit = monitor->config->memory_limit;

	if (limit <= 0)
		return monitor->settings.memory_mib;
	return (uint64_t)limit / (1 << 20) + monitor->settings.overhead_mib;
}

/* The rootfs, and what is mounted from the host. */
static size_t shares_count(const struct oci_config *config)
{
	size_t count = 1;

	for (size_t i = 0; i < config->mounts_count; i++)
		count += mount_is_share(&config->mounts[i]);
	return count;
}

static int check_files(const struct settings *settings, struct error *err)
{
	if (access(settings->kernel, R_OK))
		return error_set(err, 0, "guest kernel %s: %s", settings->kernel,
				 errno == ENOENT ? "the file does not exist" : strerror(errno));
	if (access(settings->initramfs, R_OK))
		return error_set(err, 0, "guest initramfs %s: %s", settings->initramfs,
				 errno == ENOENT ? "the file does not exist" : strerror(errno));
	return 0;
}

/* xl and its kind take names of this length; the id may be longer, the uuid decides. */
static void vm_name(const struct monitor *monitor, const unsigned char *uuid, char *name,
		    size_t size)
{
	snprintf(name, size, "vxn-%.64s-%02x%02x%02x%02x", monitor->container.id, uuid[0], uuid[1],
		 uuid[2], uuid[3]);
}

/* An io process that has ended already has said why; err has what was seen of it. */
static int io_last_words(const struct monitor *monitor, struct error *err)
{
	struct io_message message;

	if (fdpass_receive(monitor->io, &message, sizeof(message), NULL, 0, NULL) <= 0 ||
	    message.op != IO_FAILED)
		return -1;
	message.text[IO_TEXT_MAX - 1] = '\0';
	error_sanitize(message.text);
	return error_set(err, 0, "%s", message.text);
}

int monitor_boot(struct monitor *monitor, struct error *err)
{
	struct io_message open_channel = { .op = IO_OPEN_CHANNEL };
	int fds[VM_PORTS_MAX + 1];
	struct vm_memory memory = { .fd = -1 };
	size_t count;
	int result;
	unsigned char uuid[VM_UUID_SIZE];
	char name[96];
	struct vm_config config = {
		.name = name,
		.uuid = uuid,
		.settings = &monitor->settings,
	};

	monitor_expect_guest(monitor);
	if (settings_apply_config(&monitor->settings, monitor->config, err) ||
	    check_files(&monitor->settings, err))
		return -1;
	if (monitor->state.cgroup_path &&
	    cgroup_make_child(monitor->state.cgroup_path, CGROUP_VM, &monitor->cgroup, err))
		return -1;
	config.cgroup = monitor->cgroup;
	if (start_io(monitor, err))
		return -1;
	container_uuid(&monitor->container, uuid);
	vm_name(monitor, uuid, name, sizeof(name));
	config.memory_mib = memory_mib(monitor);
	config.shares = shares_count(monitor->config);
	if (monitor->backend->create(&config, &monitor->vm, err))
		return -1;
	monitor_stage(monitor, "made");
	count = monitor->backend->channel(monitor->vm, open_channel.text, fds, &memory);
	if (memory.fd >= 0) {
		open_channel.flags = IO_MEMORY;
		open_channel.memory_below_4g = memory.below_4g;
		fds[count++] = memory.fd;
	}
	result = monitor_io_send(monitor, &open_channel, fds, count, err);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	if (result)
		return io_last_words(monitor, err);
	/* the guest's kernel boots while its channel is opened */
	return monitor->backend->unpause(monitor->vm, err);
}

void monitor_expect_guest(struct monitor *monitor)
{
	monitor->deadline_ms = monotonic_ms() + monitor->settings.boot_timeout_s * 1000;
	monitor->deadline_reason = "the guest did not answer in time (boot_timeout)";
}

int monitor_io_send(struct monitor *monitor, const struct io_message *message, const int *fds,
		    size_t count, struct error *err)
{
	if (monitor->io < 0)
		return error_set(err, 0, "the io process has ended");
	return fdpass_send(monitor->io, message, sizeof(*message), fds, count, err);
}

static void io_exit(struct monitor *monitor, const struct io_message *message)
{
	struct monitor_process *process = monitor_process_find(monitor, message->process);

	if (!process || message->value < 0 || message->value > 255)
		return;
	monitor_process_exit(monitor, process, message->value);
	if (message->process == 1) {
		monitor_stage(monitor, "exited");
		monitor_end(monitor, NULL);
	}
}

/* The channel is closed: mostly because the VM has ended, which is known in a moment. */
static void io_closed(struct monitor *monitor)
{
	struct error err = { 0 };

	for (int i = 0; i < 100 && monitor->phase != MONITOR_ENDING; i++) {
		monitor_vm_check(monitor);
		poll(NULL, 0, 10);
	}
	error_set(&err, 0, "the guest closed the channel");
	monitor_end(monitor, &err);
}

static void io_message(struct monitor *monitor, const struct io_message *message)
{
	struct error err = { 0 };

	switch (message->op) {
	case IO_CONNECTED:
		if (monitor->phase != MONITOR_BOOTING)
			return;
		monitor->phase = MONITOR_CONNECTED;
		monitor_stage(monitor, "connected");
		/* create comes when its hooks are done, which may take long */
		monitor->deadline_ms = 0;
		monitor_create_forward(monitor);
		return;
	case IO_REPLY:
		monitor_reply_received(monitor, message);
		return;
	case IO_EXIT:
		io_exit(monitor, message);
		return;
	case IO_CLOSED:
		io_closed(monitor);
		return;
	case IO_FAILED:
		error_set(&err, 0, "%s", message->text);
		monitor_end(monitor, &err);
		return;
	default:
		error_set(&err, 0, "unknown message %u from the io process", message->op);
		monitor_end(monitor, &err);
	}
}

/*
 * Was the io process killed? The guest powers itself off then, and that may be
 * known here before the socket's end of file.
 */
static bool io_killed(const struct monitor *monitor, struct error *err)
{
	struct pollfd ended = { .fd = monitor->io_pidfd, .events = POLLIN };
	siginfo_t info = { 0 };

	if (poll(&ended, 1, IO_END_MS) <= 0 ||
	    waitid(P_PIDFD, (id_t)monitor->io_pidfd, &info, WEXITED | WNOHANG | WNOWAIT))
		return false;
	if (info.si_code != CLD_KILLED && info.si_code != CLD_DUMPED)
		return false;
	error_set(err, 0, "the io process was killed by signal %d (%s)", info.si_status,
		  strsignal(info.si_status));
	return true;
}

void monitor_io_receive(struct monitor *monitor)
{
	struct io_message message;
	struct error err = { 0 };
	int result = fdpass_receive(monitor->io, &message, sizeof(message), NULL, 0, &err);

	if (result > 0) {
		message.text[IO_TEXT_MAX - 1] = '\0';
		error_sanitize(message.text);
		io_message(monitor, &message);
		return;
	}
	if (result < 0 && err.errnum == EAGAIN)
		return;
	close(steal_fd(&monitor->io));
	if (!io_killed(monitor, &err))
		error_set(&err, 0, "the io process has ended");
	monitor_end(monitor, &err);
}

void monitor_console_read(struct monitor *monitor)
{
	int fd = monitor->backend->console_fd(monitor->vm);
	char part[512];
	ssize_t n;

	while (fd >= 0 && (n = read(fd, part, sizeof(part))) > 0) {
		size_t size = (size_t)n, keep = MONITOR_CONSOLE_MAX - size;

		if (monitor->console_used > keep) {
			memmove(monitor->console, monitor->console + monitor->console_used - keep,
				keep);
			monitor->console_used = keep;
		}
		memcpy(monitor->console + monitor->console_used, part, size);
		monitor->console_used += size;
	}
	monitor->console[monitor->console_used] = '\0';
}

/* The line that tells most: the kernel's panic, else the last one. */
static void quote_console(struct monitor *monitor, struct error *err)
{
	char text[MONITOR_CONSOLE_MAX + 1], line[300] = "", *rest = text, *next;

	poll(NULL, 0, 100); /* the console daemon is slower than the end */
	monitor_console_read(monitor);
	memcpy(text, monitor->console, sizeof(text));
	for (size_t i = 0; i < monitor->console_used; i++)
		if (!text[i])
			text[i] = '?';
	while ((next = strsep(&rest, "\r\n"))) {
		if (next[0])
			snprintf(line, sizeof(line), "%s", next);
		if (strstr(next, "Kernel panic"))
			break;
	}
	error_sanitize(line);
	if (line[0]) {
		size_t used = strlen(err->message);

		snprintf(err->message + used, sizeof(err->message) - used, "; its console says: %s",
			 line);
	}
}

void monitor_vm_check(struct monitor *monitor)
{
	struct error err = { 0 };

	if (!monitor->vm || monitor->phase == MONITOR_ENDING)
		return;
	switch (monitor->backend->ended(monitor->vm)) {
	case VM_RUNS:
		return;
	case VM_POWERED_OFF:
		if (io_killed(monitor, &err)) {
			monitor_end(monitor, &err);
			return;
		}
		error_set(&err, 0, "the VM powered itself off");
		break;
	case VM_CRASHED:
		error_set(&err, 0, "the VM crashed");
		break;
	case VM_GONE:
		error_set(&err, 0, "the VM was destroyed by somebody else");
		break;
	case VM_FAILED:
		error_set(&err, 0, "the VM's hypervisor gave up");
		break;
	}
	quote_console(monitor, &err);
	monitor_end(monitor, &err);
}

/* It ends when its socket does; a file operation on a dead server may hold it. */
static void wait_for_io(struct monitor *monitor)
{
	struct pollfd ended = { .fd = monitor->io_pidfd, .events = POLLIN };
	siginfo_t info;

	if (monitor->io_pidfd < 0)
		return;
	if (poll(&ended, 1, IO_END_MS) <= 0)
		syscall(SYS_pidfd_send_signal, monitor->io_pidfd, SIGKILL, NULL, 0);
	waitid(P_PIDFD, (id_t)monitor->io_pidfd, &info, WEXITED);
	close(steal_fd(&monitor->io_pidfd));
}

int monitor_vm_release(struct monitor *monitor, struct error *err)
{
	int result = 0;

	/* the domain first: what it has mapped of the channel would be slow to come back (channel_vchan.c) */
	if (monitor->vm)
		result = monitor->backend->destroy(steal_pointer(&monitor->vm), err);
	if (monitor->io >= 0)
		close(steal_fd(&monitor->io));
	wait_for_io(monitor);
	return result;
}
