/* See rootfs.h: the order of steps is runc's. */
#include "rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "boot.h"
#include "cleanup.h"
#include "rootpath.h"

int mount_on(const char *source, int place, const char *type, unsigned long flags, const void *data)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
	return mount(source, path, type, flags, data);
}

static const struct share_mount *root_share(const struct child_plan *plan)
{
	for (size_t i = 0; i < plan->shares_count; i++)
		if (plan->shares[i].mount < 0 && !plan->shares[i].path)
			return &plan->shares[i];
	return NULL;
}

/* Mounts the root share; returns an fd of it. */
static int attach_root(const struct child_plan *plan, struct error *err)
{
	const struct share_mount *share = root_share(plan);
	int root;

	if (!share)
		return error_set(err, 0, "no share for the root file system");
	/* pivot_root wants no shared mounts; events of the VM's own tree are nobody's. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_set(err, errno, "make the mounts private");
	if (move_mount(share->fd, "", AT_FDCWD, BOOT_ROOTFS_DIR, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_set(err, errno, "mount the root file system");
	for (size_t i = 0; i < plan->shares_count; i++)
		if (plan->shares[i].tree)
			share_set_read_ahead(plan->shares[i].fd);
	root = open(BOOT_ROOTFS_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return error_set(err, errno, "open the root file system");
	if (mounts_apply_nested(plan, root, -1, err) < 0) {
		close(root);
		return error_prefix(err, "root file system");
	}
	return root;
}

static int pivot(struct error *err)
{
	if (chdir(BOOT_ROOTFS_DIR) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return error_set(err, errno, "change to the root file system");
	/* The old root lies on the new one. */
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_set(err, errno, "leave the old root");
	return 0;
}

/* runc makes a missing working directory; if it can't, chdir tells more. */
static void make_working_directory(int root, const char *cwd)
{
	int fd = rootpath_create(root, cwd, true, NULL);

	if (fd >= 0)
		close(fd);
}

static int set_root_propagation(const struct oci_config *config, struct error *err)
{
	static const struct {
		const char *name;
		unsigned long flags;
	} rows[] = {
		{ "private", MS_PRIVATE },	 { "rprivate", MS_PRIVATE | MS_REC },
		{ "slave", MS_SLAVE },		 { "rslave", MS_SLAVE | MS_REC },
		{ "shared", MS_SHARED },	 { "rshared", MS_SHARED | MS_REC },
		{ "unbindable", MS_UNBINDABLE }, { "runbindable", MS_UNBINDABLE | MS_REC },
	};

	if (!config->rootfs_propagation || !config->rootfs_propagation[0])
		return 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].name, config->rootfs_propagation) != 0)
			continue;
		if (mount(NULL, "/", NULL, rows[i].flags, NULL) < 0)
			return error_set(err, errno, "set rootfsPropagation %s", rows[i].name);
		return 0;
	}
	return error_set(err, 0, "unknown rootfsPropagation %s", config->rootfs_propagation);
}

int rootfs_enter(const struct child_plan *plan, struct error *err)
{
	const struct oci_config *config = plan->config;
	CLEANUP_CLOSE int root = attach_root(plan, err);

	if (root < 0)
		return -1;
	for (size_t i = 0; i < config->mounts_count; i++)
		if (mounts_apply(plan, root, i, err) < 0)
			return error_prefix(err, "mount %s", config->mounts[i].destination);
	if (device_populate(config, root, err) < 0)
		return -1;
	make_working_directory(root, plan->process->cwd);
	if (mounts_finish(config, root, err) < 0 || hide_paths(config, root, err) < 0)
		return -1;
	if (config->root_readonly &&
	    mount(NULL, BOOT_ROOTFS_DIR, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		return error_set(err, errno, "make the root file system read-only");
	if (pivot(err) < 0)
		return -1;
	return set_root_propagation(config, err);
}
