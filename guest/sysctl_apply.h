/* Kernel parameters of a container. */
#ifndef VXN_GUEST_SYSCTL_APPLY_H
#define VXN_GUEST_SYSCTL_APPLY_H

#include "config.h"
#include "error.h"

/* To be called in the container's namespaces, where /proc is the VM's. */
int sysctl_apply(const struct oci_config *config, struct error *err);

#endif
