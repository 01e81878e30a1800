/*
 * One mount of config.json in the stand-in's tree. Mount points are found and
 * made by spec/rootpath, so that no symbolic link of the image leads out of it,
 * and are used by descriptor from there on.
 *
 * Whatever propagation is asked for, the stand-in's copy stays private (see
 * launch_rootfs.c); the process in the VM gets it from the file share.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "idmap.h"
#include "launcher.h"
#include "rootpath.h"

/* mount(2), which takes only a path for the target: one that leads to the descriptor's file. */
static int mount_at(int target, const char *source, const char *type, unsigned long flags,
		    const char *data, struct error *err)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", target);
	if (mount(source, path, type, flags, data) == 0)
		return 0;
	if (flags & MS_REMOUNT)
		return error_set(err, errno, "set its options");
	return error_set(err, errno, "file system %s with options %s", type, data ? data : "none");
}

static int open_source(const struct launcher *launcher, const struct oci_mount *mount,
		       struct error *err)
{
	unsigned int flags = mount->recursive ? AT_RECURSIVE : 0;
	char path[PATH_MAX];

	if (!mount->source)
		return error_set(err, 0, "a bind mount needs a source");
	if (mount->source[0] == '/')
		return detached_mount(AT_FDCWD, mount->source, flags, err);
	if (snprintf(path, sizeof(path), "%s/%s", launcher->bundle, mount->source) >=
	    (int)sizeof(path))
		return error_set(err, ENAMETOOLONG, "open %s", mount->source);
	return detached_mount(AT_FDCWD, path, flags, err);
}

/* rro, rnosuid and their like: on the mounts below, too. */
static int set_recursive(int tree, const struct oci_mount *mount, struct error *err)
{
	struct mount_attr attributes = {
		.attr_set = mount->recursive_set,
		.attr_clr = mount->recursive_clear,
	};

	if (!(attributes.attr_set | attributes.attr_clr))
		return 0;
	/* The ways to treat atime are values of one field, which is cleared as a whole. */
	if ((attributes.attr_set | attributes.attr_clr) & MOUNT_ATTR__ATIME)
		attributes.attr_clr |= MOUNT_ATTR__ATIME;
	if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) <
	    0)
		return error_set(err, errno, "set its options");
	return 0;
}

int mount_set_flags(int target, unsigned long flags, struct error *err)
{
	flags &= ~(unsigned long)MS_REMOUNT;
	return flags ? mount_at(target, NULL, NULL, MS_REMOUNT | MS_BIND | flags, NULL, err) : 0;
}

static int place_bind(int root, const struct launcher *launcher, const struct oci_mount *mount,
		      struct error *err)
{
	CLEANUP_CLOSE int tree = open_source(launcher, mount, err);
	CLEANUP_CLOSE int target = -1;
	struct stat status;

	if (tree < 0)
		return -1;
	if (fstat(tree, &status) < 0)
		return error_set(err, errno, "open %s", mount->source);
	if (mount->idmap &&
	    idmap_apply(tree, mount, mount->idmap_recursive, mount->source, err) < 0)
		return -1;
	target = rootpath_create(root, mount->destination, S_ISDIR(status.st_mode), err);
	if (target < 0)
		return -1;
	if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_set(err, errno, "bind %s", mount->source);
	return mount_set_flags(tree, mount->flags, err) < 0 ? -1 : set_recursive(tree, mount, err);
}

/* The directory to mount on; *existed tells whether the image has it. */
static int open_directory(int root, const char *path, bool *existed, struct error *err)
{
	int fd = rootpath_open(root, path, O_PATH | O_DIRECTORY, err);

	*existed = fd >= 0;
	if (fd >= 0 || err->errnum != ENOENT)
		return fd;
	return rootpath_create(root, path, true, err);
}

/* As with runc, a tmpfs takes over the mode of the directory that it covers. */
static char *tmpfs_data(int target, const char *data, struct error *err)
{
	struct stat status;
	char *text = NULL;

	if (fstat(target, &status) < 0 || asprintf(&text, "mode=%04o%s%s", status.st_mode & 07777,
						   data ? "," : "", data ? data : "") < 0) {
		error_set(err, errno, "look at the directory");
		return NULL;
	}
	return text;
}

/*
 * The VM takes over the mode of the directory too, and finds it made by us: it
 * gets the mode that a tmpfs has where there was none.
 */
static int set_tmpfs_mode(int target, struct error *err)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", target);
	if (chmod(path, 01777) < 0)
		return error_set(err, errno, "set the mode of the new directory");
	return 0;
}

bool mount_is_dev(const struct oci_mount *mount)
{
	return strcmp(mount->destination, "/dev") == 0 || strcmp(mount->destination, "/dev/") == 0;
}

static int place_tmpfs(int root, const struct oci_mount *mount, const char *options,
		       struct error *err)
{
	bool existed;
	CLEANUP_CLOSE int target = open_directory(root, mount->destination, &existed, err);
	CLEANUP_FREE char *data = NULL;
	CLEANUP_CLOSE int top = -1;

	if (target < 0)
		return -1;
	if (existed) {
		data = tmpfs_data(target, options, err);
		if (!data)
			return -1;
	} else if (!mount_is_dev(mount) && set_tmpfs_mode(target, err) < 0) {
		return -1;
	}
	if (mount_at(target, "tmpfs", "tmpfs", mount->flags & ~(unsigned long)MS_RDONLY,
		     data ? data : options, err) < 0)
		return -1;
	top = rootpath_open(root, mount->destination, O_PATH | O_DIRECTORY, err);
	if (top < 0)
		return -1;
	if (mount->copy_up && existed && copy_up(target, top, err) < 0)
		return -1;
	/* What belongs into /dev comes before it is made read-only (launch_dev.c). */
	if (mount->flags & MS_RDONLY && !mount_is_dev(mount))
		return mount_set_flags(top, mount->flags, err);
	return 0;
}

/*
 * The hierarchy as its cgroup namespace shows it. A host with the controllers in
 * v1 hierarchies has no one place to show: an empty directory there.
 */
static int place_cgroup(int root, const struct oci_mount *mount, struct error *err)
{
	CLEANUP_CLOSE int target = -1;
	struct statfs status;

	if (statfs("/sys/fs/cgroup", &status) < 0 || status.f_type != CGROUP2_SUPER_MAGIC)
		return place_tmpfs(root, mount, "mode=755", err);
	target = rootpath_create(root, mount->destination, true, err);
	if (target < 0)
		return -1;
	return mount_at(target, "cgroup", "cgroup2", mount->flags, NULL, err);
}

static int place_filesystem(int root, const struct oci_mount *mount, struct error *err)
{
	CLEANUP_CLOSE int target = rootpath_create(root, mount->destination, true, err);

	if (target < 0)
		return -1;
	return mount_at(target, mount->source ? mount->source : mount->type, mount->type,
			mount->flags, mount->data, err);
}

static int remount(int root, const struct oci_mount *mount, struct error *err)
{
	CLEANUP_CLOSE int target = rootpath_open(root, mount->destination, O_PATH, err);

	return target < 0 ? -1 : mount_set_flags(target, mount->flags, err);
}

int mount_place(int root, const struct launcher *launcher, const struct oci_mount *mount,
		struct error *err)
{
	if (mount->flags & MS_REMOUNT)
		return remount(root, mount, err);
	if (mount->bind)
		return place_bind(root, launcher, mount, err);
	if (!mount->type)
		return error_set(err, 0, "neither a type nor a bind mount");
	if (strcmp(mount->type, "tmpfs") == 0)
		return place_tmpfs(root, mount, mount->data, err);
	if (strcmp(mount->type, "cgroup") == 0 || strcmp(mount->type, "cgroup2") == 0)
		return place_cgroup(root, mount, err);
	return place_filesystem(root, mount, err);
}
