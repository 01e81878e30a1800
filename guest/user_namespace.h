/*
 * User namespaces of containers. The ids that they map to are, as on the host, those
 * on the shared disks.
 */
#ifndef VXN_GUEST_USER_NAMESPACE_H
#define VXN_GUEST_USER_NAMESPACE_H

#include "container.h"

static inline bool has_user_namespace(const struct oci_config *config)
{
	return config->namespaces[OCI_NAMESPACE_USER].present;
}

/*
 * In pid 1, for a process that has just been made: what takes more than the root of
 * its container may. A container's first process waits for it (user_namespace_await).
 */
int user_namespace_prepare(const struct process *process, const struct child_plan *plan,
			   struct error *err);

/* In a container's first process: waits for its ids, and becomes root there. */
int user_namespace_await(const struct child_plan *plan, struct error *err);

/* The latter alone, for one that has joined it. */
int user_namespace_become_root(struct error *err);

#endif
