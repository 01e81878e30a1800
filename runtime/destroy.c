/* See destroy.h. */
#include "destroy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "config.h"
#include "hook_stage.h"
#include "log.h"
#include "monitor_client.h"
#include "monotonic.h"
#include "process_identity.h"

#define MONITOR_TIMEOUT_MS 20000
#define KILL_TIMEOUT_MS	   5000
#define RETRY_MS	   5

/* The last means: its death frees the lock, and the cleanup destroys its VM. */
static int kill_monitor(const struct container *container, int socket, struct error *err)
{
	struct ucred monitor;
	socklen_t size = sizeof(monitor);
	CLEANUP_CLOSE int pidfd = -1;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &monitor, &size))
		return error_set(err, errno, "find the monitor of container %s", container->id);
	pidfd = (int)syscall(SYS_pidfd_open, monitor.pid, 0);
	/* while the lock is held, the pid that listens is the monitor's */
	if (pidfd < 0 || !container_monitor_alive(container))
		return 0;
	log_warning("the monitor of container %s does not answer and is killed", container->id);
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) && errno != ESRCH)
		return error_set(err, errno, "kill the monitor of container %s", container->id);
	return 0;
}

/* One attempt; success is when the monitor has answered or nobody listens. */
static int ask_monitor(const struct container *container, int64_t until, struct error *err)
{
	const struct monitor_request request = { .op = MONITOR_DESTROY };
	CLEANUP_CLOSE int socket = monitor_connect(container, NULL);
	int64_t left = until - monotonic_ms();
	struct error why = { 0 };

	if (socket < 0)
		return 0;
	if (!monitor_ask(socket, &request, NULL, 0, left > 0 ? (int)left : 0, -1, &why) ||
	    why.errnum != ETIMEDOUT)
		return 0;
	return kill_monitor(container, socket, err);
}

/*
 * The monitor may be at any point of its life: not listening yet, busy with the
 * hypervisor, or ending by itself and not listening any more.
 */
static int end_monitor(const struct container *container, struct error *err)
{
	int64_t until = monotonic_ms() + MONITOR_TIMEOUT_MS;

	while (container_monitor_alive(container) && monotonic_ms() < until) {
		if (ask_monitor(container, until, err))
			return -1;
		poll(NULL, 0, RETRY_MS);
	}
	if (!monitor_wait_end(container, KILL_TIMEOUT_MS))
		return error_set(err, 0, "the monitor of container %s does not end", container->id);
	return 0;
}

/*
 * create was killed between the making of the cgroup and the note of it. Making
 * it again tells its path. A scope of systemd's needs none of this: it ends with
 * the process in it.
 */
static char *lost_cgroup(const struct container *container, const struct oci_config *config)
{
	char *directory = NULL;

	if (!config || (config->cgroups_path && strchr(config->cgroups_path, ':')) ||
	    cgroup_create(config->cgroups_path, container->id, false, 0, &directory, NULL))
		return NULL;
	return directory;
}

static int remove_cgroup(const struct container *container, const struct oci_config *config,
			 struct container_state *state, struct error *err)
{
	if (!state->cgroup_path)
		state->cgroup_path = lost_cgroup(container, config);
	return state->cgroup_path ? cgroup_remove(state->cgroup_path, err) : 0;
}

/*
 * A monitor that has said "stopped" has ended its VM, and so has one that has
 * removed the record; another one was killed. A state without a bundle is one
 * that could not be read.
 */
static bool may_have_vm(const struct container *container, const struct container_state *state)
{
	if (state->status == CONTAINER_STOPPED && state->bundle)
		return false;
	return !access(container->directory, F_OK);
}

/*
 * Held while the record is removed, so that no monitor of a create that was
 * killed starts now. Returns the descriptor; -1 with errno set.
 */
static int take_lock(const struct container *container)
{
	CLEANUP_FREE char *path = container_path(container, "lock");
	CLEANUP_CLOSE int fd = -1;

	if (!path)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB))
		return -1;
	return steal_fd(&fd);
}

static int clean_up_vm(const struct container *container, struct error *err)
{
	CLEANUP(state_free) struct container_state state = { 0 };

	if (container_state_stored(container, &state, err))
		return -1;
	return may_have_vm(container, &state) ? monitor_cleanup(container, err) : 0;
}

/* Returns the lock; -1 with err set, errnum ENOENT when somebody else has removed it all. */
static int end_vm(const struct container *container, struct error *err)
{
	int64_t until = monotonic_ms() + MONITOR_TIMEOUT_MS;
	int result, lock;

	for (;;) {
		if (end_monitor(container, err))
			return -1;
		result = clean_up_vm(container, err);
		lock = result ? -1 : take_lock(container);
		if (lock >= 0)
			return lock;
		if (!result)
			error_set(err, errno, "lock container %s", container->id);
		if (access(container->directory, F_OK)) {
			err->errnum = ENOENT;
			return -1;
		}
		/* another delete, or a monitor that has just started */
		if (!container_monitor_alive(container) || monotonic_ms() >= until)
			return -1;
	}
}

static int remove_rest(const struct container *container, const struct oci_config *config,
		       struct container_state *state, struct error *err)
{
	/* the io process ends with its monitor, but the engine unmounts right after this */
	if (process_kill(state->io_pid, state->io_start_time, KILL_TIMEOUT_MS, err) ||
	    process_kill(state->pid, state->pid_start_time, KILL_TIMEOUT_MS, err) ||
	    remove_cgroup(container, config, state, err))
		return -1;
	return container_remove(container, err);
}

/* config NULL = there is none that can be read. */
static int destroy(const struct container *container, const struct oci_config *config,
		   struct error *err)
{
	CLEANUP(state_free) struct container_state state = { 0 };
	CLEANUP_CLOSE int lock = -1;
	struct error why = { 0 };

	/* read now: the monitor's last words take the pid of the stand-in away */
	if (container_state_stored(container, &state, err))
		return -1;
	lock = end_vm(container, &why);
	if (lock < 0 && why.errnum != ENOENT) {
		if (err)
			*err = why;
		return -1;
	}
	if (remove_rest(container, config, &state, err))
		return -1;
	/* without a lock it was somebody else's to destroy; without a state no hook has run */
	if (lock >= 0 && config && state.bundle)
		return hook_stage_run(OCI_HOOK_POSTSTOP, config, &state, -1, err);
	return 0;
}

int container_destroy(const struct container *container, struct error *err)
{
	struct oci_config *config = container_config(container, NULL);
	int result = destroy(container, config, err);

	config_free(config);
	return result;
}
