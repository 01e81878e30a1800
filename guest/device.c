/*
 * /dev of a container in the VM: the default devices and links, unless the config
 * brings a /dev of its own.
 */
#include "rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "default_devices.h"
#include "rootpath.h"

/* Where nodes can't be made (a share): the VM's own in the same place. */
static int bind_node(int dev, const char *name, struct error *err)
{
	CLEANUP_CLOSE int file = -1, tree = -1;
	char path[32];

	file = openat(dev, name, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (file < 0)
		return error_set(err, errno, "make /dev/%s", name);
	snprintf(path, sizeof(path), "/dev/%s", name);
	tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 ||
	    move_mount(tree, "", file, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_set(err, errno, "mount /dev/%s", name);
	return 0;
}

/* What is there already stays, as with runc. */
static int make_node(int dev, const char *name, dev_t number, struct error *err)
{
	if (mknodat(dev, name, S_IFCHR | 0666, number) == 0) {
		if (fchmodat(dev, name, 0666, 0) < 0)
			return error_set(err, errno, "set the mode of /dev/%s", name);
		return 0;
	}
	if (errno == EEXIST)
		return 0;
	if (errno == EPERM)
		return bind_node(dev, name, err);
	return error_set(err, errno, "make /dev/%s", name);
}

static bool has_own_dev(const struct oci_config *config)
{
	for (size_t i = 0; i < config->mounts_count; i++)
		if (config->mounts[i].bind && config_path_is(config->mounts[i].destination, "/dev"))
			return true;
	return false;
}

int device_populate(const struct oci_config *config, int root, struct error *err)
{
	CLEANUP_CLOSE int dev = -1;

	if (has_own_dev(config))
		return 0;
	dev = rootpath_create(root, "/dev", true, err);
	if (dev < 0)
		return -1;
	for (const struct default_device *d = default_devices; d->name; d++)
		if (make_node(dev, d->name, makedev(d->major, d->minor), err) < 0)
			return -1;
	for (const struct default_link *link = default_links; link->name; link++)
		if (symlinkat(link->target, dev, link->name) < 0 && errno != EEXIST)
			return error_set(err, errno, "make the link /dev/%s", link->name);
	return 0;
}
