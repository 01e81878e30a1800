/*
 * Device nodes that a container has (linux.devices) and those that it may open
 * (linux.resources.devices; config-linux.md).
 */
#ifndef VXN_DEVICES_H
#define VXN_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "json.h"

#define DEVICE_MAJOR_MAX 0xfff /* the kernel's: 12 and 20 bits */
#define DEVICE_MINOR_MAX 0xfffff
#define DEVICE_ANY	 (-1)

struct oci_device {
	char *path;  /* absolute, and not just "/" */
	mode_t mode; /* S_IFCHR, S_IFBLK or S_IFIFO, with the permissions */
	unsigned int major, minor;
	uid_t uid;
	gid_t gid;
};

enum device_access {
	DEVICE_MKNOD = 1, /* as in the kernel's BPF_DEVCG_ACC_* */
	DEVICE_READ = 2,
	DEVICE_WRITE = 4,
};

struct device_rule {
	bool allow;
	char type; /* 'a' = any, 'b', 'c' */
	int32_t major, minor;
	unsigned int access; /* DEVICE_* */
};

struct oci_devices {
	struct oci_device *nodes;
	size_t nodes_count;
	struct device_rule *rules; /* of those that match, the last one counts */
	size_t rules_count;
};

/* What was read when it fails is in *devices, too. */
int devices_read(const struct json *linux_, struct oci_devices *devices, struct error *err);
void devices_free(struct oci_devices *devices);

/*
 * What runc allows whatever the config says, behind the config's own rules: mknod
 * of all, the default devices, terminals, tun.
 */
extern const struct device_rule device_rules_always[];
extern const size_t device_rules_always_count;

#endif
