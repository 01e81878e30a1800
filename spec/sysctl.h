/*
 * linux.sysctl: kernel parameters of the container. Only those that belong to a
 * namespace of its own, as with runc: in the virtual machine others would be
 * harmless, but a pod's containers share it.
 */
#ifndef VXN_SYSCTL_H
#define VXN_SYSCTL_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "json.h"

struct oci_sysctl {
	char *name; /* as given, for messages */
	char *path; /* below /proc/sys; never leaves it */
	char *value;
};

struct oci_sysctls {
	struct oci_sysctl *items;
	size_t count;
};

/* Which namespaces a config lists. */
struct sysctl_namespaces {
	bool ipc, network, uts;
};

/* What was read when it fails is in *sysctls, too. */
int sysctl_read(const struct json *linux_, const struct sysctl_namespaces *own,
		struct oci_sysctls *sysctls, struct error *err);
void sysctl_free(struct oci_sysctls *sysctls);

#endif
