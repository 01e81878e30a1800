/* Paths that a container must not read, or not write (config-linux.md). */
#include "rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "rootpath.h"

/* A file is covered by /dev/null, a directory by an empty one. */
static int mask(int place, const char *path, struct error *err)
{
	struct stat st;
	int result;

	if (fstat(place, &st) < 0)
		return error_set(err, errno, "mask %s", path);
	if (S_ISDIR(st.st_mode))
		result = mount_on("tmpfs", place, "tmpfs", MS_RDONLY, NULL);
	else
		result = mount_on("/dev/null", place, NULL, MS_BIND, NULL);
	return result < 0 ? error_set(err, errno, "mask %s", path) : 0;
}

/* A bind of the tree on itself keeps its other restrictions. */
static int make_readonly(int place, const char *path, struct error *err)
{
	CLEANUP_CLOSE int tree = open_tree(
		place, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ||
	    move_mount(tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_set(err, errno, "make %s read-only", path);
	return 0;
}

/* -1 when path does not exist, which is fine; -2 for other errors. */
static int find(int root, const char *path, struct error *err)
{
	struct error cause = { 0 };
	int fd = rootpath_open(root, path, O_PATH, &cause);

	if (fd >= 0)
		return fd;
	if (cause.errnum == ENOENT || cause.errnum == ENOTDIR)
		return -1;
	*err = cause;
	return -2;
}

int hide_paths(const struct oci_config *config, int root, struct error *err)
{
	for (char **path = config->readonly_paths; *path; path++) {
		CLEANUP_CLOSE int place = find(root, *path, err);

		if (place == -2 || (place >= 0 && make_readonly(place, *path, err) < 0))
			return -1;
	}
	for (char **path = config->masked_paths; *path; path++) {
		CLEANUP_CLOSE int place = find(root, *path, err);

		if (place == -2 || (place >= 0 && mask(place, *path, err) < 0))
			return -1;
	}
	return 0;
}
