/*
 * vxn-runc exec: one more process in a running container, with a stand-in of its
 * own that lives in the namespaces of the container's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "container.h"
#include "creation_flags.h"
#include "ending_signals.h"
#include "engine_words.h"
#include "exec_process.h"
#include "flags.h"
#include "foreground.h"
#include "launch.h"
#include "log.h"
#include "monitor_client.h"
#include "pid_file.h"
#include "stdio_fds.h"
#include "terminal.h"
#include "verb.h"

struct exec {
	const char *console_socket, *pid_file, *cgroup, *preserve_fds;
	bool detach, ignore_paused;
	struct exec_flags flags;
	struct container container;
	struct container_state state;
	struct oci_process *process;
	int text; /* memfd of process.json */
	struct pty pty;
	struct launched standin; /* pid 0 = none */
};

static void exec_free(struct exec *exec)
{
	exec_flags_free(&exec->flags);
	container_free(&exec->container);
	state_free(&exec->state);
	process_free(exec->process);
	cleanup_close_(&exec->text);
	cleanup_close_(&exec->standin.socket);
	pty_close(&exec->pty);
}

static int check_state(const struct exec *exec, struct error *err)
{
	switch (exec->state.status) {
	case CONTAINER_RUNNING:
		return 0;
	case CONTAINER_STOPPED:
		return error_set(err, 0, "cannot exec in a stopped container");
	case CONTAINER_PAUSED:
		if (exec->ignore_paused)
			return 0;
		return error_set(err, 0, "cannot exec in a paused container");
	default:
		return error_set(err, 0, "cannot exec in a container that is not running: %s",
				 container_status_name(exec->state.status));
	}
}

/* vxn-launch and the io process read the same text, whatever happens to the engine's file. */
static int make_text(struct exec *exec, const char *text, struct error *err)
{
	size_t size = strlen(text);

	exec->text = memfd_create("process.json", MFD_CLOEXEC);
	if (exec->text < 0 || write(exec->text, text, size) != (ssize_t)size ||
	    lseek(exec->text, 0, SEEK_SET) < 0)
		return error_set(err, errno, "keep process.json");
	return 0;
}

static int make_process(struct exec *exec, struct error *err)
{
	CLEANUP_FREE char *config = container_path(&exec->container, "config.json");
	CLEANUP_FREE char *text = NULL;

	if (!config)
		return error_set(err, ENOMEM, "make a process");
	if (exec_process_make(&exec->flags, config, &exec->process, &text, err))
		return -1;
	for (char **line = exec->process->warnings; *line; line++)
		log_warning("exec: %s", *line);
	return make_text(exec, text, err);
}

static int launch(struct exec *exec, struct error *err)
{
	CLEANUP_FREE char *config = container_path(&exec->container, "config.json");
	struct launch_request request = {
		.bundle = exec->state.bundle,
		.config_path = config,
		.container_pid = exec->state.pid,
		.cgroup = exec->state.cgroup_path,
		.terminal_fd = -1,
	};
	char path[48];

	if (!config)
		return error_set(err, ENOMEM, "start the stand-in");
	if (exec->process->terminal) {
		if (pty_open(&exec->pty, exec->process->console_width,
			     exec->process->console_height, err))
			return -1;
		if (!exec->console_socket)
			terminal_copy_size(STDIN_FILENO, exec->pty.master);
		request.terminal_fd = exec->pty.slave;
	}
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), exec->text);
	request.process_path = path;
	return launch_standin(&request, &exec->standin, err);
}

static void end_standin(struct exec *exec)
{
	kill(exec->standin.pid, SIGKILL);
	while (waitpid(exec->standin.pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Everything up to the monitor's work, in words of our own. */
static int prepare(struct exec *exec, const struct globals *globals, const char *id,
		   struct error *err)
{
	if (exec->cgroup && exec->cgroup[0])
		return error_set(err, 0, "--cgroup %s: not supported", exec->cgroup);
	if (preserve_fds_check(exec->preserve_fds, err))
		return -1;
	if (container_find(globals->root, id, &exec->container, err) ||
	    container_state_read(&exec->container, &exec->state, err) || check_state(exec, err) ||
	    make_process(exec, err) ||
	    terminal_check(exec->process->terminal, exec->detach, exec->console_socket, err))
		return -1;
	if (launch(exec, err))
		return -1;
	/* early, so that the engine sets the window's size before the process looks */
	if (!exec->console_socket || !pty_send(&exec->pty, exec->console_socket, err))
		return 0;
	end_standin(exec);
	return -1;
}

static int ask(struct exec *exec, int socket, struct error *err)
{
	CLEANUP_CLOSE int signals = ending_signals_fd();
	struct monitor_request request = { .op = MONITOR_EXEC };
	int fds[2 + STDIO_COUNT] = { exec->text, exec->standin.socket };
	int result;

	if (exec->process->terminal) {
		request.flags = MONITOR_TERMINAL;
		fds[2] = exec->pty.io;
		return monitor_ask(socket, &request, fds, 3, -1, signals, err);
	}
	if (stdio_fds_open(fds + 2, err))
		return MONITOR_SILENT;
	result = monitor_ask(socket, &request, fds, 2 + STDIO_COUNT, -1, signals, err);
	stdio_fds_close(fds + 2);
	return result;
}

static int start(struct exec *exec, struct error *err)
{
	CLEANUP_CLOSE int socket = monitor_connect(&exec->container, NULL);
	int result;

	if (socket < 0)
		return error_set(err, 0, "cannot exec in a stopped container");
	result = ask(exec, socket, err);
	/* what the monitor says may be the guest's words, which engines have to see as they are */
	if (result == MONITOR_SILENT)
		return engine_words_avoid(err);
	return result;
}

static int hand_over(const struct exec *exec, struct error *err)
{
	if (exec->pid_file && pid_file_write(exec->pid_file, exec->standin.pid, err))
		return engine_words_avoid(err);
	return 0;
}

static int run(struct exec *exec, const struct globals *globals, const char *id, struct error *err)
{
	if (prepare(exec, globals, id, err))
		return engine_words_avoid(err);
	if (start(exec, err) || hand_over(exec, err)) {
		end_standin(exec);
		return -1;
	}
	/* only the monitor, the stand-in and the engine hold them from here on */
	cleanup_close_(&exec->standin.socket);
	cleanup_close_(&exec->pty.slave);
	cleanup_close_(&exec->pty.io);
	if (exec->detach)
		return 0;
	return foreground_wait(exec->standin.pid, exec->pty.master, err);
}

int verb_exec(const struct globals *globals, int argc, char **argv, struct error *err)
{
	CLEANUP(exec_free)
	struct exec exec = {
		.text = -1,
		.pty = PTY_NONE,
		.standin = { .socket = -1 },
	};
	const struct flag flags[] = {
		{ "process", 'p', FLAG_TEXT, &exec.flags.process, "process.json to run" },
		{ "detach", 'd', FLAG_SWITCH, &exec.detach, "leaves when the process is started" },
		{ "pid-file", 0, FLAG_TEXT, &exec.pid_file, "file to write the pid to" },
		{ "console-socket", 0, FLAG_TEXT, &exec.console_socket,
		  "unix socket that gets the terminal" },
		{ "tty", 't', FLAG_SWITCH, &exec.flags.tty, "with a terminal" },
		{ "user", 'u', FLAG_TEXT, &exec.flags.user, "UID[:GID]" },
		{ "additional-gids", 'g', FLAG_LIST, &exec.flags.additional_gids, "one more gid" },
		{ "cwd", 0, FLAG_TEXT, &exec.flags.cwd, "working directory" },
		{ "env", 'e', FLAG_LIST, &exec.flags.env, "NAME=VALUE, one more variable" },
		{ "cap", 'c', FLAG_LIST, &exec.flags.capabilities, "one more capability" },
		{ "no-new-privs", 0, FLAG_SWITCH, &exec.flags.no_new_privs, "sets no_new_privs" },
		{ "apparmor", 0, FLAG_TEXT, &exec.flags.apparmor, "profile of the process" },
		{ "process-label", 0, FLAG_TEXT, &exec.flags.label, "SELinux label" },
		{ "ignore-paused", 0, FLAG_SWITCH, &exec.ignore_paused,
		  "in a paused container too" },
		{ "cgroup", 0, FLAG_TEXT, &exec.cgroup, "refused" },
		{ "preserve-fds", 0, FLAG_TEXT, &exec.preserve_fds, "refused, but for 0" },
		{ "no-subreaper", 0, FLAG_SWITCH, NULL, "without effect" },
		{ 0 },
	};
	const struct flags_usage usage = {
		.command = "vxn-runc exec",
		.arguments = "<container-id> [command [arguments]]",
		.summary = "runs one more process in a container",
		.flags = flags,
		.min = 1,
		.max = -1,
		.stop_at_argument = true,
	};
	int first = flags_parse(&usage, argc, argv, err);

	if (first <= 0)
		return first;
	exec.flags.args = argv + first + 1;
	if (!exec.detach)
		foreground_prepare();
	return run(&exec, globals, argv[first], err);
}
