/*
 * The cgroup (version 2) of each container in the VM. cgroupfs belongs to this
 * kernel, so pid 1 may use it directly.
 */
#ifndef VXN_GUEST_CGROUP_H
#define VXN_GUEST_CGROUP_H

#include <sys/types.h>

#include "error.h"
#include "resources.h"

/* Makes all controllers available to containers' cgroups. */
int cgroup_enable_controllers(struct error *err);

/* Makes a container's cgroup, without limits. Returns its directory's fd. */
int cgroup_create(const char *container, struct error *err);

/* cgroup_limits.c: an error names the field of config.json. */
int cgroup_set_limits(int cgroup, const struct oci_resources *resources, struct error *err);

/* The cgroup that process pid is in, an fd. */
int cgroup_of(pid_t pid, struct error *err);

/* Sends signal to every process of the cgroup and those below. */
int cgroup_signal(int cgroup, int signal, struct error *err);

/* Removes it and what is below; there must be no process left. */
void cgroup_remove(const char *container, int cgroup);

#endif
