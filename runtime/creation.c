/*
 * See creation.h. The order of the steps is that of what a kill -9 in between
 * may leave: each is noted in the state file before the next one relies on it,
 * and `delete --force` finds it there.
 */
#include "creation.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "bundle.h"
#include "cgroup.h"
#include "cleanup.h"
#include "destroy.h"
#include "ending_signals.h"
#include "engine_words.h"
#include "fdpass.h"
#include "hook_stage.h"
#include "launch.h"
#include "log.h"
#include "monitor_client.h"
#include "pid_file.h"
#include "process_identity.h"
#include "stdio_fds.h"
#include "textfile.h"

#define UNDO_TIMEOUT_MS 20000

static char *copy_or_null(const char *text)
{
	return text ? strdup(text) : NULL;
}

static int copy_annotations(const struct oci_config *config, struct container_state *state)
{
	if (!config->annotations_count)
		return 0;
	state->annotations = calloc(config->annotations_count, sizeof(*state->annotations));
	if (!state->annotations)
		return -1;
	for (size_t i = 0; i < config->annotations_count; i++) {
		struct oci_annotation *copy = &state->annotations[state->annotations_count++];

		copy->key = copy_or_null(config->annotations[i].key);
		copy->value = copy_or_null(config->annotations[i].value);
		if (!copy->key || !copy->value)
			return -1;
	}
	return 0;
}

static int fill_state(struct creation *creation, struct error *err)
{
	struct container_state *state = &creation->state;
	char now[STATE_TIME_MAX], text[UUID_STR_LEN];
	unsigned char uuid[16];

	state->status = CONTAINER_CREATING;
	container_uuid(&creation->container, uuid);
	uuid_unparse_lower(uuid, text);
	if (state_time_now(now, err))
		return -1;
	state->oci_version = strdup(creation->config->oci_version);
	state->id = strdup(creation->container.id);
	state->bundle = strdup(creation->bundle);
	state->created = strdup(now);
	state->vm_uuid = strdup(text);
	if (!state->oci_version || !state->id || !state->bundle || !state->created ||
	    !state->vm_uuid || copy_annotations(creation->config, state))
		return error_set(err, ENOMEM, "state of container %s", state->id);
	return 0;
}

static int write_record(struct creation *creation, struct error *err)
{
	CLEANUP_FREE char *path = container_path(&creation->container, "config.json");

	if (!path)
		return error_set(err, ENOMEM, "record of container %s", creation->container.id);
	if (textfile_write(path, 0600, creation->config_text, creation->config_size, err))
		return -1;
	return container_state_write(&creation->container, &creation->state, err);
}

static void end_holder(pid_t *holder)
{
	if (*holder <= 0)
		return;
	kill(*holder, SIGKILL);
	while (waitpid(*holder, NULL, 0) < 0 && errno == EINTR)
		;
}

/* systemd wants a process in a scope from its start: this one, until the stand-in is there. */
static pid_t start_holder(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		pause();
	_exit(0);
}

static int make_cgroup(struct creation *creation, bool systemd, pid_t *holder, struct error *err)
{
	if (systemd) {
		*holder = start_holder();
		if (*holder < 0)
			return error_set(err, errno, "fork");
	}
	if (cgroup_create(creation->config->cgroups_path, creation->container.id, systemd, *holder,
			  &creation->state.cgroup_path, err))
		return -1;
	return container_state_write(&creation->container, &creation->state, err);
}

static int open_terminal(const struct creation_request *request, struct creation *creation,
			 struct error *err)
{
	const struct oci_process *process = &creation->config->process;

	if (!process->terminal)
		return 0;
	if (pty_open(&creation->pty, process->console_width, process->console_height, err))
		return -1;
	/* before the process can ask for it */
	if (!request->console_socket)
		terminal_copy_size(STDIN_FILENO, creation->pty.master);
	return 0;
}

static int start_standin(struct creation *creation, struct launched *launched, struct error *err)
{
	CLEANUP_FREE char *config_path = container_path(&creation->container, "config.json");
	const struct launch_request request = {
		.bundle = creation->bundle,
		.config_path = config_path,
		.cgroup = creation->state.cgroup_path,
		.terminal_fd = creation->pty.slave,
	};

	if (!config_path)
		return error_set(err, ENOMEM, "start the stand-in");
	if (launch_standin(&request, launched, err))
		return -1;
	creation->standin = launched->pid;
	creation->state.pid = launched->pid;
	creation->state.pid_start_time = process_start_time(launched->pid);
	return container_state_write(&creation->container, &creation->state, err);
}

/* Everything up to the monitor's work, in words of our own. */
static int prepare(const struct creation_request *request, struct creation *creation,
		   struct launched *launched, struct error *err)
{
	CLEANUP(end_holder) pid_t holder = 0;

	if (container_id_check(request->id, err) ||
	    bundle_load(request->bundle, &creation->bundle, &creation->config_text,
			&creation->config_size, &creation->config, err) ||
	    terminal_check(creation->config->process.terminal, request->detached,
			   request->console_socket, err))
		return -1;
	creation->state.rootfs = bundle_rootfs(creation->bundle, creation->config, err);
	if (!creation->state.rootfs)
		return -1;
	bundle_log_warnings(creation->config);
	if (container_claim(request->root, request->id, &creation->container, err))
		return -1;
	creation->claimed = true;
	if (fill_state(creation, err) || write_record(creation, err) ||
	    make_cgroup(creation, request->systemd_cgroup, &holder, err))
		return -1;
	/* the VM boots while the stand-in is made */
	creation->monitor =
		monitor_start(&creation->container, creation->bundle, &request->log, err);
	if (creation->monitor < 0)
		return -1;
	if (open_terminal(request, creation, err) || start_standin(creation, launched, err))
		return -1;
	/* early, so that the engine sets the window's size before the process looks */
	if (!request->console_socket)
		return 0;
	return pty_send(&creation->pty, request->console_socket, err);
}

/* With the namespaces there, before anything of the container is done in the VM. */
static int run_hooks(const struct creation *creation, int signals, struct error *err)
{
	static const enum oci_hook_stage stages[] = {
		OCI_HOOK_PRESTART,
		OCI_HOOK_CREATE_RUNTIME,
		OCI_HOOK_CREATE_CONTAINER,
	};

	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
		if (hook_stage_run(stages[i], creation->config, &creation->state, signals, err))
			return -1;
	return 0;
}

/* The monitor boots the VM and has the guest prepare the process. */
static int ask_for_process(struct creation *creation, int standin, int signals, struct error *err)
{
	struct monitor_request request = { .op = MONITOR_CREATE };
	int fds[1 + STDIO_COUNT] = { standin };
	int result;

	if (creation->config->process.terminal) {
		request.flags = MONITOR_TERMINAL;
		fds[1] = creation->pty.io;
		return monitor_ask(creation->monitor, &request, fds, 2, -1, signals, err);
	}
	if (stdio_fds_open(fds + 1, err))
		return MONITOR_SILENT;
	result = monitor_ask(creation->monitor, &request, fds, 1 + STDIO_COUNT, -1, signals, err);
	stdio_fds_close(fds + 1);
	return result;
}

/* What the engine is given at the end. */
static int hand_over(const struct creation_request *request, struct creation *creation,
		     struct error *err)
{
	const struct oci_config *config = creation->config;
	const char *cgroup = creation->state.cgroup_path;

	/* now: the boot is ours, and not to be slow for it or to want for a device */
	if (cgroup && (cgroup_set_limits(cgroup, &config->resources.host, err) ||
		       cgroup_set_devices(cgroup, &config->devices, err)))
		return -1;
	if (!request->pid_file)
		return 0;
	return pid_file_write(request->pid_file, creation->standin, err);
}

static void close_pty_slaves(struct pty *pty)
{
	cleanup_close_(&pty->slave);
	cleanup_close_(&pty->io);
}

int creation_run(const struct creation_request *request, struct creation *creation,
		 struct error *err)
{
	struct launched launched = { .socket = -1 };
	CLEANUP_CLOSE int signals = ending_signals_fd();
	bool prepared, refused;
	int result;

	*creation = (struct creation){ .monitor = -1, .pty = PTY_NONE };
	result = prepare(request, creation, &launched, err);
	if (!result)
		result = run_hooks(creation, signals, err);
	prepared = !result;
	if (prepared)
		result = ask_for_process(creation, launched.socket, signals, err);
	/* what the monitor says may be the guest's words, which engines have to see as they are */
	refused = prepared && result == MONITOR_REFUSED;
	if (!result)
		result = hand_over(request, creation, err);
	if (result && !refused)
		engine_words_avoid(err);
	cleanup_close_(&launched.socket);
	close_pty_slaves(&creation->pty);
	if (!result)
		return 0;
	creation_undo(creation);
	return -1;
}

/* The monitor undoes its part when create is gone, and then closes its end. */
static void dismiss_monitor(struct creation *creation)
{
	struct pollfd ended = { .fd = creation->monitor, .events = POLLIN };
	struct monitor_reply reply;

	if (creation->monitor < 0)
		return;
	shutdown(creation->monitor, SHUT_WR);
	while (poll(&ended, 1, UNDO_TIMEOUT_MS) > 0 &&
	       fdpass_receive(creation->monitor, &reply, sizeof(reply), NULL, 0, NULL) > 0)
		;
	close(steal_fd(&creation->monitor));
}

void creation_undo(struct creation *creation)
{
	struct error err = { 0 };

	if (creation->standin > 0) {
		kill(creation->standin, SIGKILL);
		while (waitpid(creation->standin, NULL, 0) < 0 && errno == EINTR)
			;
		creation->standin = 0;
	}
	if (!creation->claimed)
		return;
	if (creation->monitor < 0) {
		/* no monitor, so no VM to look for */
		creation->state.status = CONTAINER_STOPPED;
		container_state_write(&creation->container, &creation->state, NULL);
	}
	dismiss_monitor(creation);
	/* the monitor may have removed the record, and with it the path of the cgroup */
	if (container_destroy(&creation->container, &err) ||
	    (creation->state.cgroup_path && cgroup_remove(creation->state.cgroup_path, &err)))
		log_warning("undo of container %s: %s", creation->container.id, err.message);
}

void creation_free(struct creation *creation)
{
	container_free(&creation->container);
	free(creation->bundle);
	free(creation->config_text);
	config_free(creation->config);
	state_free(&creation->state);
	pty_close(&creation->pty);
	cleanup_close_(&creation->monitor);
}
