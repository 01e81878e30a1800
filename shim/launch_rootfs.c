/*
 * The stand-in's file system: a private copy of the rootfs's mounts, everything
 * of config.json placed in it, and the host's root gone. Engines copy files
 * there ("podman cp" to a running container), so it has to be what the process
 * in the VM sees, but for the file systems that are the guest's own.
 *
 * The copy is private, not a slave, and made in a mount namespace of its own: an
 * engine's umount of the rootfs neither waits for it nor fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "launcher.h"
#include "rootpath.h"

static int make_all_private(struct error *err)
{
	struct mount_attr attributes = { .propagation = MS_PRIVATE };

	if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
		return error_set(err, errno, "make the mounts private");
	return 0;
}

static int find_rootfs(const struct launcher *launcher, char path[PATH_MAX], struct error *err)
{
	const char *given = launcher->config->root_path;
	bool absolute = given[0] == '/';

	if (snprintf(path, PATH_MAX, "%s%s%s", absolute ? "" : launcher->bundle,
		     absolute ? "" : "/", given) >= PATH_MAX)
		return error_set(err, ENAMETOOLONG, "open the root file system %s", given);
	return 0;
}

/* Where the mounts are somebody else's, nothing is placed. */
static int enter_as_it_is(const struct launcher *launcher, struct error *err)
{
	char path[PATH_MAX];

	if (find_rootfs(launcher, path, err) < 0)
		return -1;
	if (chdir(path) < 0 || chroot(".") < 0)
		return error_set(err, errno, "enter the root file system %s", path);
	return 0;
}

/* Mounts a copy of the rootfs over itself: only a mount can become the root. */
static int open_rootfs(const struct launcher *launcher, struct error *err)
{
	char path[PATH_MAX];
	CLEANUP_CLOSE int root = -1;
	struct stat status;

	if (find_rootfs(launcher, path, err) < 0)
		return -1;
	root = detached_mount(AT_FDCWD, path, AT_RECURSIVE, err);
	if (root < 0)
		return error_prefix(err, "root file system");
	if (fstat(root, &status) < 0 || !S_ISDIR(status.st_mode))
		return error_set(err, ENOTDIR, "open the root file system %s", path);
	if (move_mount(root, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) <
	    0)
		return error_set(err, errno, "mount the root file system %s", path);
	return steal_fd(&root);
}

static int set_readonly(int mount, unsigned int flags)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };

	return mount_setattr(mount, "", AT_EMPTY_PATH | flags, &attributes, sizeof(attributes));
}

/* What is not there needs no protection. */
static int open_protected(int root, const char *path, struct error *err)
{
	int fd = rootpath_open(root, path, O_PATH, err);

	if (fd < 0 && (err->errnum == ENOENT || err->errnum == ENOTDIR))
		return -ENOENT;
	return fd;
}

static int attach(int mount, int target)
{
	return move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int make_readonly(int root, const char *path, struct error *err)
{
	CLEANUP_CLOSE int target = open_protected(root, path, err);
	CLEANUP_CLOSE int copy = -1;

	if (target < 0)
		return target == -ENOENT ? 0 : -1;
	copy = open_tree(target, "",
			 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH);
	if (copy < 0 || set_readonly(copy, AT_RECURSIVE) < 0 || attach(copy, target) < 0)
		return error_set(err, errno, "make %s read-only", path);
	return 0;
}

/* An empty read-only directory. */
static int open_nothing(struct error *err)
{
	CLEANUP_CLOSE int filesystem = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int mount;

	if (filesystem < 0 || fsconfig(filesystem, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return error_set(err, errno, "make an empty directory");
	mount = fsmount(filesystem, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
	return mount < 0 ? error_set(err, errno, "make an empty directory") : mount;
}

static int mask(int root, const char *path, struct error *err)
{
	CLEANUP_CLOSE int target = open_protected(root, path, err);
	CLEANUP_CLOSE int cover = -1;
	struct stat status;

	if (target < 0)
		return target == -ENOENT ? 0 : -1;
	if (fstat(target, &status) < 0)
		return error_set(err, errno, "mask %s", path);
	cover = S_ISDIR(status.st_mode) ? open_nothing(err)
					: detached_mount(AT_FDCWD, "/dev/null", 0, err);
	if (cover < 0)
		return error_prefix(err, "mask %s", path);
	if (attach(cover, target) < 0)
		return error_set(err, errno, "mask %s", path);
	return 0;
}

static int protect(int root, const struct oci_config *config, struct error *err)
{
	for (char **path = config->readonly_paths; *path; path++)
		if (make_readonly(root, *path, err) < 0)
			return -1;
	for (char **path = config->masked_paths; *path; path++)
		if (mask(root, *path, err) < 0)
			return -1;
	if (config->root_readonly && set_readonly(root, 0) < 0)
		return error_set(err, errno, "make the root file system read-only");
	return 0;
}

/*
 * A host that runs from its initramfs can't exchange that root: the new one is
 * laid over it. The old one stays below, out of reach, as a private copy which
 * keeps no mount of the host's busy.
 */
static int cover_root(struct error *err)
{
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return error_set(err, errno, "make the rootfs the root");
	return 0;
}

/* pivot_root(2), "pivot_root(".", ".")": the old root lies over the new one, and goes. */
static int pivot(int root, struct error *err)
{
	if (fchdir(root) < 0)
		return error_set(err, errno, "enter the rootfs");
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return errno == EINVAL ? cover_root(err)
				       : error_set(err, errno, "make the rootfs the root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_set(err, errno, "leave the host's root");
	return 0;
}

int rootfs_enter(const struct launcher *launcher, struct error *err)
{
	const struct oci_config *config = launcher->config;
	CLEANUP_CLOSE int root = -1;

	if (!config_has_new_namespace(config, OCI_NAMESPACE_MOUNT))
		return enter_as_it_is(launcher, err);
	if (make_all_private(err) < 0)
		return -1;
	root = open_rootfs(launcher, err);
	if (root < 0)
		return -1;
	for (size_t i = 0; i < config->mounts_count; i++)
		if (mount_place(root, launcher, &config->mounts[i], err) < 0)
			return error_prefix(err, "mount %s", config->mounts[i].destination);
	if (dev_populate(root, config, err) < 0 || protect(root, config, err) < 0)
		return -1;
	return pivot(root, err);
}
