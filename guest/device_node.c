/*
 * One device node of a container. Where none can be made (a share of the host,
 * which refuses them), a node of the VM's memory is mounted on an empty file, as
 * runc does with the host's; in a user namespace, where none can be made anywhere,
 * the VM's own.
 */
#include "rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "rootpath.h"

/* In the VM's root, which is left when the container's is entered. */
#define STAGE_DIR "/devices"

static int failed(const struct oci_device *device, struct error *err)
{
	return error_set(err, errno, "make the device %s", device->path);
}

static int make(int directory, const char *name, const struct oci_device *device)
{
	if (mknodat(directory, name, device->mode, makedev(device->major, device->minor)) < 0)
		return -1;
	if (fchownat(directory, name, device->uid, device->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	return fchmodat(directory, name, device->mode & 07777, 0);
}

static int keep(int directory, const char *name, const struct oci_device *device, struct error *err)
{
	struct stat st;

	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(device, err);
	if ((st.st_mode & S_IFMT) == (device->mode & S_IFMT) &&
	    (S_ISFIFO(st.st_mode) || st.st_rdev == makedev(device->major, device->minor)))
		return 0;
	errno = EEXIST;
	return failed(device, err);
}

/* A file system of this container for nodes to be mounted from; a new one over the last. */
static int open_stage(void)
{
	if (mkdir(STAGE_DIR, 0700) < 0 && errno != EEXIST)
		return -1;
	if (mount("devices", STAGE_DIR, "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k") < 0)
		return -1;
	return open(STAGE_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* The VM's own node in the same place: in a user namespace nobody can make any. */
static int open_own(const struct oci_device *device)
{
	struct stat st;

	if (stat(device->path, &st) < 0)
		return -1;
	if ((st.st_mode & S_IFMT) != (device->mode & S_IFMT) ||
	    st.st_rdev != makedev(device->major, device->minor)) {
		errno = ENODEV;
		return -1;
	}
	return open_tree(AT_FDCWD, device->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static int open_made(const struct oci_device *device)
{
	CLEANUP_CLOSE int stage = open_stage();

	if (stage < 0 || make(stage, "node", device) < 0)
		return -1;
	return open_tree(stage, "node", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static int bind(int directory, const char *name, const struct oci_device *device,
		bool user_namespace)
{
	CLEANUP_CLOSE int tree = user_namespace ? open_own(device) : open_made(device);
	CLEANUP_CLOSE int file = -1;

	if (tree < 0)
		return -1;
	file = openat(directory, name, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (file < 0)
		return -1;
	return move_mount(tree, "", file, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int open_parent(int root, const char *path, struct error *err)
{
	CLEANUP_FREE char *copy = strdup(path);

	if (!copy)
		return error_set(err, ENOMEM, "%s", path);
	return rootpath_create(root, dirname(copy), true, err);
}

int device_make(int root, const struct oci_device *device, bool user_namespace, struct error *err)
{
	const char *name = strrchr(device->path, '/') + 1;
	CLEANUP_CLOSE int parent = open_parent(root, device->path, err);

	if (parent < 0)
		return -1;
	if (make(parent, name, device) == 0)
		return 0;
	if (errno == EEXIST)
		return keep(parent, name, device, err);
	if (errno == EPERM && bind(parent, name, device, user_namespace) == 0)
		return 0;
	return failed(device, err);
}
