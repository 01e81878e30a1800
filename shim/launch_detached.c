/* See launcher.h: mounts and files that do not keep the host's mounts busy. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "launcher.h"

int detached_mount(int directory, const char *path, unsigned int flags, struct error *err)
{
	int fd = open_tree(directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);

	return fd < 0 ? error_set(err, errno, "open %s", path) : fd;
}

int detached_open(const char *path, int flags, struct error *err)
{
	CLEANUP_CLOSE int mount = detached_mount(AT_FDCWD, path, 0, err);
	char link[64];
	int fd;

	if (mount < 0)
		return -1;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", mount);
	fd = open(link, flags | O_CLOEXEC);
	return fd < 0 ? error_set(err, errno, "open %s", path) : fd;
}
