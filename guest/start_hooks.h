/* The hooks of startContainer: those that the OCI runtime spec wants run inside. */
#ifndef VXN_GUEST_START_HOOKS_H
#define VXN_GUEST_START_HOOKS_H

#include "child.h"

/*
 * Runs them as the container's process that calls this, just before it executes
 * its program. The first that fails ends it.
 */
int start_hooks_run(const struct child_plan *plan, struct error *err);

#endif
