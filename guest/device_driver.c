/*
 * See device_driver.h. A device that has a driver is in sysfs, but for a few kinds
 * that come to be when they are opened. (A --privileged container is given all that
 * the host has.)
 */
#include "device_driver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define NAMED_MAX   8
#define WARNING_MAX 1000

static bool comes_when_opened(const struct oci_device *device)
{
	static const struct {
		mode_t type;
		unsigned int first, last; /* major numbers */
	} kinds[] = {
		{ S_IFCHR, 136, 143 }, /* pts */
		{ S_IFBLK, 7, 7 },     /* loop */
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if ((device->mode & S_IFMT) == kinds[i].type && device->major >= kinds[i].first &&
		    device->major <= kinds[i].last)
			return true;
	return false;
}

static bool has_driver(const struct oci_device *device)
{
	char path[48];

	if (S_ISFIFO(device->mode) || comes_when_opened(device))
		return true;
	snprintf(path, sizeof(path), "/sys/dev/%s/%u:%u", S_ISBLK(device->mode) ? "block" : "char",
		 device->major, device->minor);
	return access(path, F_OK) == 0;
}

static int refuse_device(size_t index, const struct oci_device *device, struct error *err)
{
	return error_set(err, 0,
			 "linux.devices[%zu]: the virtual machine has no driver for %s (%c %u:%u)",
			 index, device->path, S_ISBLK(device->mode) ? 'b' : 'c', device->major,
			 device->minor);
}

/* Adds a path to the list while there are few, and room for the end of it. */
static void add_name(const char *path, size_t count, char *list, size_t size)
{
	size_t used = strlen(list);

	if (count < NAMED_MAX && used + strlen(path) + 2 < size)
		snprintf(list + used, size - used, "%s%s", used ? ", " : "", path);
}

int device_check_drivers(const struct oci_devices *devices, bool refuse, char **warning,
			 struct error *err)
{
	char list[WARNING_MAX] = "";
	size_t count = 0;

	*warning = NULL;
	for (size_t i = 0; i < devices->nodes_count; i++) {
		const struct oci_device *device = &devices->nodes[i];

		if (has_driver(device))
			continue;
		if (refuse)
			return refuse_device(i, device, err);
		add_name(device->path, count++, list, sizeof(list));
	}
	if (count &&
	    asprintf(warning, "linux.devices: the virtual machine has no driver for %zu: %s%s",
		     count, list, count > NAMED_MAX ? ", ..." : "") < 0) {
		*warning = NULL;
		return error_set(err, ENOMEM, "linux.devices");
	}
	return 0;
}
