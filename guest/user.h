/* Who a container's process is: ids, limits, capabilities. */
#ifndef VXN_GUEST_USER_H
#define VXN_GUEST_USER_H

#include "config.h"
#include "error.h"

/* pid: its directory in /proc. */
int user_set_oom_score(const char *pid, const struct oci_process *process, struct error *err);

int user_set_rlimits(const struct oci_process *process, struct error *err);

/*
 * Drops the bounding set to what process has, and sets groups, ids and umask. The
 * other capabilities stay until user_set_capabilities.
 */
int user_become(const struct oci_process *process, struct error *err);

/* Sets the capability sets and no_new_privs. A process without capabilities has none. */
int user_set_capabilities(const struct oci_process *process, struct error *err);

#endif
