/* See hook_stage.h. */
#include "hook_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

/* States of the spec; crun's and Docker's hooks see "created" from the first on. */
static const enum container_status stage_status[OCI_HOOK_STAGE_COUNT] = {
	[OCI_HOOK_PRESTART] = CONTAINER_CREATED,
	[OCI_HOOK_CREATE_RUNTIME] = CONTAINER_CREATED,
	[OCI_HOOK_CREATE_CONTAINER] = CONTAINER_CREATED,
	[OCI_HOOK_START_CONTAINER] = CONTAINER_CREATED,
	[OCI_HOOK_POSTSTART] = CONTAINER_RUNNING,
	[OCI_HOOK_POSTSTOP] = CONTAINER_STOPPED,
};

/* For hooks in the namespaces of a stand-in. */
struct place {
	int standin;	   /* pidfd */
	int own_processes; /* our pid namespace */
	bool has_mounts;   /* a mount namespace of its own */
	const char *rootfs;
};

#define PLACE_NONE                                 \
	{                                          \
		.standin = -1, .own_processes = -1 \
	}

static void place_release(struct place *place)
{
	cleanup_close_(&place->standin);
	cleanup_close_(&place->own_processes);
}

static int place_open(struct place *place, const struct container_state *state, struct error *err)
{
	place->rootfs = state->rootfs;
	place->standin = (int)syscall(SYS_pidfd_open, state->pid, 0);
	place->own_processes = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (place->standin < 0 || place->own_processes < 0)
		return error_set(err, errno, "open the namespaces of process %d", state->pid);
	return 0;
}

/*
 * A mount namespace as runc's hooks find it: the host's tree, where the hook's
 * program is, with the container's mounts at its rootfs. The stand-in's own has
 * nothing but these.
 */
static int enter_mounts(const struct place *place, struct error *err)
{
	CLEANUP_CLOSE int host = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	CLEANUP_CLOSE int tree = -1;

	if (host < 0 || setns(place->standin, CLONE_NEWNS) < 0)
		return error_set(err, errno, "join the mount namespace");
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, "/",
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		return error_set(err, errno, "copy the mounts");
	if (setns(host, CLONE_NEWNS) < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return error_set(err, errno, "make a mount namespace");
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, place->rootfs, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_set(err, errno, "mount on %s", place->rootfs);
	return 0;
}

static int enter_place(void *context, struct error *err)
{
	const struct place *place = context;

	if (place->has_mounts && enter_mounts(place, err) < 0)
		return -1;
	if (setns(place->standin, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0)
		return error_set(err, errno, "join the container's namespaces");
	return 0;
}

/* A pid namespace is that of the next child; this process stays where it is. */
static int run_in_place(const struct oci_hook *hook, struct hook_run *run, struct place *place,
			struct error *err)
{
	int result;

	if (setns(place->standin, CLONE_NEWPID) < 0)
		return error_set(err, errno, "join the pid namespace");
	run->prepare = enter_place;
	run->context = place;
	result = hook_run(hook, run, err);
	if (setns(place->own_processes, CLONE_NEWPID) < 0)
		return error_set(err, errno, "return to the own pid namespace");
	return result;
}

static int run_all(enum oci_hook_stage stage, const struct oci_hooks *hooks, struct hook_run *run,
		   struct place *place, struct error *err)
{
	struct error why = { 0 };
	int result;

	for (size_t i = 0; i < hooks->count; i++) {
		const struct oci_hook *hook = &hooks->items[i];

		if (stage == OCI_HOOK_CREATE_CONTAINER)
			result = run_in_place(hook, run, place, &why);
		else
			result = hook_run(hook, run, &why);
		if (result == 0)
			continue;
		error_prefix(&why, "error running %s hook #%zu (%s)", oci_hook_stage_name(stage), i,
			     hook->path);
		if (stage == OCI_HOOK_POSTSTOP) {
			log_warning("%s", why.message);
			continue;
		}
		if (err)
			*err = why;
		return -1;
	}
	return 0;
}

int hook_stage_run(enum oci_hook_stage stage, const struct oci_config *config,
		   const struct container_state *state, int cancel_fd, struct error *err)
{
	const struct oci_hooks *hooks = &config->hooks[stage];
	CLEANUP(place_release) struct place place = PLACE_NONE;
	struct container_state now = *state;
	struct hook_run run = { .directory = state->bundle, .cancel_fd = cancel_fd };
	CLEANUP_FREE char *text = NULL;

	if (!hooks->count)
		return 0;
	now.status = stage_status[stage];
	if (stage == OCI_HOOK_POSTSTOP)
		now.pid = 0;
	text = state_print(&now, false, err);
	if (!text || (stage == OCI_HOOK_CREATE_CONTAINER && place_open(&place, state, err) < 0))
		return -1;
	run.state = text;
	place.has_mounts = config_has_new_namespace(config, OCI_NAMESPACE_MOUNT);
	return run_all(stage, hooks, &run, &place, err);
}
