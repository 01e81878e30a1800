/*
 * linux.resources as what is to be written into the files of a cgroup; inside, of version 2
 * (config-linux.md, "Control groups"; admin-guide/cgroup-v2.rst). Where the spec
 * speaks of version 1, the values are converted as runc does. Devices are in
 * devices.h; what there is no file for, the table says (fields.h).
 */
#ifndef VXN_RESOURCES_H
#define VXN_RESOURCES_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "json.h"

struct cgroup_setting {
	char *field;	     /* JSON path, for messages */
	char *file;	     /* in the cgroup's directory; has no '/' */
	char *value;	     /* each of its lines is a write */
	bool kept_if_absent; /* a kernel without the file has nothing to be limited */
	bool warn_if_absent; /* where none of those of the same field, one after another, is */
};

/* In the order in which the kernel takes them. */
struct cgroup_settings {
	struct cgroup_setting *items;
	size_t count;
};

struct oci_resources {
	struct cgroup_settings inside;
	/*
	 * For the cgroup on the host, files of both versions: each is for where it is
	 * found. Time, processors and disk traffic: the rest is the virtual machine's size.
	 */
	struct cgroup_settings host;
	/*
	 * How many processors linux.resources.cpu.cpus names, 0 = not given. Which
	 * ones is said of the host's: the virtual machine has others.
	 */
	unsigned int cpus;
};

/* What was read when it fails is in *resources, too. */
int resources_read(const struct json *linux_, struct oci_resources *resources, struct error *err);
void resources_free(struct oci_resources *resources);

#endif
