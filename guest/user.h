/* Who a container's process is: ids, limits, capabilities. */
#ifndef VXN_GUEST_USER_H
#define VXN_GUEST_USER_H

#include <linux/capability.h>
#include <stdbool.h>

#include "config.h"
#include "error.h"

/* pid: its directory in /proc. */
int user_set_oom_score(const char *pid, const struct oci_process *process, struct error *err);
/* As capset(2) takes them. */
struct user_sets {
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

int user_set_rlimits(const struct oci_process *process, struct error *err);

/*
 * Drops the bounding set to what process has, and sets groups, ids and umask. The
 * other capabilities stay until user_set_capabilities.
 */
int user_become(const struct oci_process *process, struct error *err);

/* What the process is to have, as far as this kernel knows it. */
struct user_sets user_sets_of(const struct oci_process *process);

/*
 * Sets the capability sets and no_new_privs. A process without capabilities has
 * none. as_admin: CAP_SYS_ADMIN stays beside them until user_leave_admin.
 */
int user_set_capabilities(const struct oci_process *process, bool as_admin, struct error *err);

/* The one system call that is left then: a filter may be loaded already. */
int user_leave_admin(const struct user_sets *sets, struct error *err);

#endif
