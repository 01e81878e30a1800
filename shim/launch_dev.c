/*
 * The devices that every container has (config-linux.md, "Default Devices"), put
 * into /dev when that is a tmpfs of the container's own, as with runc. They are
 * the host's: only who enters the stand-in's mount namespace from the host meets
 * them, the process in the VM has the guest's.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "default_devices.h"
#include "launcher.h"
#include "rootpath.h"

/* The last mount on /dev, NULL when there is none or it is no tmpfs. */
static const struct oci_mount *find_dev(const struct oci_config *config)
{
	const struct oci_mount *dev = NULL;

	for (size_t i = 0; i < config->mounts_count; i++)
		if (mount_is_dev(&config->mounts[i]))
			dev = &config->mounts[i];
	return dev && !dev->bind && dev->type && strcmp(dev->type, "tmpfs") == 0 ? dev : NULL;
}

int dev_populate(int root, const struct oci_config *config, struct error *err)
{
	const struct oci_mount *mount = find_dev(config);
	CLEANUP_CLOSE int dev = -1;

	if (!mount)
		return 0;
	dev = rootpath_open(root, "/dev", O_PATH | O_DIRECTORY, err);
	if (dev < 0)
		return -1;
	for (const struct default_device *d = default_devices; d->name; d++)
		if (mknodat(dev, d->name, S_IFCHR | 0666, makedev(d->major, d->minor)) < 0 &&
		    errno != EEXIST)
			return error_set(err, errno, "make /dev/%s", d->name);
	for (const struct default_link *link = default_links; link->name; link++)
		if (symlinkat(link->target, dev, link->name) < 0 && errno != EEXIST)
			return error_set(err, errno, "make /dev/%s", link->name);
	return mount->flags & MS_RDONLY ? mount_set_flags(dev, mount->flags, err) : 0;
}
