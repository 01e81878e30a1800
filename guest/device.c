/*
 * /dev of a container in the VM: the default devices and links and those of
 * linux.devices, unless the config brings a /dev of its own (runc). A device that
 * this kernel has no driver for is there and can't be opened.
 */
#include "rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "default_devices.h"
#include "rootpath.h"
#include "user_namespace.h"

static bool has_own_dev(const struct oci_config *config)
{
	for (size_t i = 0; i < config->mounts_count; i++)
		if (config->mounts[i].bind && config_path_is(config->mounts[i].destination, "/dev"))
			return true;
	return false;
}

/* Whatever is there already stays, as with runc. */
static int make_default(int root, const struct default_device *given, bool user_namespace,
			struct error *err)
{
	char path[32];
	struct error cause = { 0 };
	const struct oci_device device = {
		.path = path,
		.mode = S_IFCHR | 0666,
		.major = given->major,
		.minor = given->minor,
	};

	snprintf(path, sizeof(path), "/dev/%s", given->name);
	if (device_make(root, &device, user_namespace, &cause) == 0 || cause.errnum == EEXIST)
		return 0;
	*err = cause;
	return -1;
}

static int make_links(int root, struct error *err)
{
	CLEANUP_CLOSE int dev = rootpath_create(root, "/dev", true, err);

	if (dev < 0)
		return -1;
	for (const struct default_link *link = default_links; link->name; link++)
		if (symlinkat(link->target, dev, link->name) < 0 && errno != EEXIST)
			return error_set(err, errno, "make the link /dev/%s", link->name);
	return 0;
}

int device_populate(const struct oci_config *config, int root, struct error *err)
{
	const struct oci_devices *devices = &config->devices;
	const bool user_namespace = has_user_namespace(config);

	if (has_own_dev(config))
		return 0;
	for (size_t i = 0; i < devices->nodes_count; i++) {
		/* It belongs to the devpts that is mounted there: a link, made below. */
		if (config_path_is(devices->nodes[i].path, "/dev/ptmx"))
			continue;
		if (device_make(root, &devices->nodes[i], user_namespace, err) < 0)
			return error_prefix(err, "linux.devices[%zu]", i);
	}
	for (const struct default_device *d = default_devices; d->name; d++)
		if (make_default(root, d, user_namespace, err) < 0)
			return -1;
	return make_links(root, err);
}
