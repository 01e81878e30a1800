/*
 * vxn-init, pid 1 of the VM and the only program in it: sets the VM up, starts
 * the relay (relay.h), and then waits for the host's requests (control.h), for
 * news of processes that set themselves up, and for children that end. It never
 * touches a shared file system: that would wait for the relay, and the relay, at
 * times, waits for pid 1. The VM ends when the relay does.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "container.h"
#include "kmsg.h"
#include "protocol.h"
#include "relay.h"

static void write_setting(const char *path, const char *value)
{
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		kmsg_error("write %s: %m", path);
}

static _Noreturn void run_relay(const struct boot_options *options, int socket)
{
	struct error err = { 0 };

	if (relay_run(options, socket, &err) < 0)
		kmsg_error("relay: %s", err.message);
	_exit(0);
}

static int start_relay(struct init *init, struct error *err)
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return error_set(err, errno, "make a socket pair");
	init->relay = fork();
	if (init->relay < 0)
		return error_set(err, errno, "fork the relay");
	if (init->relay == 0) {
		close(sockets[0]);
		run_relay(&init->options, sockets[1]);
	}
	close(sockets[1]);
	init->relay_socket = sockets[0];
	return 0;
}

static int watch(struct init *init, int fd, void *who, struct error *err)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = who };

	if (epoll_ctl(init->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return error_set(err, errno, "epoll_ctl");
	return 0;
}

static int set_up_signals(struct init *init, struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	init->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	init->epoll = epoll_create1(EPOLL_CLOEXEC);
	init->pid_namespace = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (init->signals < 0 || init->epoll < 0 || init->pid_namespace < 0)
		return error_set(err, errno, "set up the main loop");
	return watch(init, init->signals, &init->signals, err);
}

static int set_up(struct init *init, struct error *err)
{
	init->options.channel = &channel_vchan; /* until the command line is read */
	if (boot_mount(err) < 0 || boot_read_options(&init->options, err) < 0)
		return -1;
	/* Inherited by the relay; a container's processes set their own. */
	write_setting("/proc/self/oom_score_adj", "-1000");
	/* When what was in use a second ago does not fit, somebody has to go. */
	write_setting("/sys/kernel/mm/lru_gen/min_ttl_ms", "1000");
	/* What a container may have open is the engine's to limit. */
	write_setting("/proc/sys/fs/nr_open", "1073741816");
	/* Its conversation with the host goes on beside the rest, ... */
	if (init->options.channel == &channel_vchan && start_relay(init, err) < 0)
		return -1;
	if (set_up_signals(init, err) < 0 || boot_obey_shutdown(err) < 0 ||
	    boot_loopback(err) < 0 || cgroup_enable_controllers(err) < 0)
		return -1;
	/* ... but a host that sees ports opened may keep this VM as a template. */
	if (init->options.channel != &channel_vchan && start_relay(init, err) < 0)
		return -1;
	return watch(init, init->relay_socket, &init->relay_socket, err);
}

static int handle_request(struct init *init, const struct control_message *request,
			  struct error *err)
{
	switch (request->op) {
	case CONTROL_CREATE:
		return container_create(init, request, err);
	case CONTROL_START:
		return container_start(init, request, err);
	case CONTROL_EXEC:
		return container_exec(init, request, err);
	case CONTROL_SIGNAL:
		if (container_signal(init, request, err) < 0)
			return -1;
		report_reply(init, request->seq, NULL, NULL);
		return 0;
	case CONTROL_RESIZE:
		container_resize(init, request);
		return 0;
	default:
		return error_set(err, 0, "not a request");
	}
}

static void handle_control_text(struct init *init, const char *text, size_t size)
{
	CLEANUP(control_free) struct control_message request = { 0 };
	struct error err = { 0 };

	if (control_parse(text, size, &request, &err) < 0) {
		kmsg_error("control message: %s", err.message);
		return;
	}
	kmsg_debug("request %llu: op %d", (unsigned long long)request.seq, request.op);
	if (handle_request(init, &request, &err) < 0 && request.seq)
		report_reply(init, request.seq, err.message, NULL);
}

static void handle_relay(struct init *init)
{
	struct message message = { 0 };
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	size_t size = 0;
	char *text;

	if (message_receive(init->relay_socket, &message, &fd, NULL, &size, 0) <= 0)
		boot_power_off(&init->options);
	if (message.type != MESSAGE_CONTROL || fd < 0 || fstat(fd, &st) < 0)
		return;
	text = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (text == MAP_FAILED) {
		kmsg_error("map a control message: %m");
		return;
	}
	handle_control_text(init, text, st.st_size);
	munmap(text, st.st_size);
}

static void reap_children(struct init *init)
{
	struct signalfd_siginfo info;
	pid_t pid;
	int status;

	while (read(init->signals, &info, sizeof(info)) == sizeof(info))
		continue; /* one signal may stand for several children */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == init->relay)
			boot_power_off(&init->options);
		process_reap(init, pid, status);
	}
}

/* One event at a time: what it does may end what the next one would be about. */
static void serve(struct init *init)
{
	struct epoll_event event;

	for (;;) {
		if (epoll_wait(init->epoll, &event, 1, -1) != 1)
			continue;
		if (event.data.ptr == &init->signals)
			reap_children(init);
		else if (event.data.ptr == &init->relay_socket)
			handle_relay(init);
		else
			process_event(init, event.data.ptr);
	}
}

int main(void)
{
	struct init init = { 0 };
	struct error err = { 0 };

	if (getpid() != 1) /* boot_obey_shutdown */
		boot_power_off(&init.options);
	if (set_up(&init, &err) < 0) {
		kmsg_error("%s", err.message);
		boot_power_off(&init.options);
	}
	serve(&init);
}
