/* The environment of a container's process. */
#ifndef VXN_GUEST_ENVIRONMENT_H
#define VXN_GUEST_ENVIRONMENT_H

#include "config.h"
#include "error.h"

/*
 * The process's env with what an engine expects the runtime to add: HOME from
 * the container's /etc/passwd ("/" for an unknown user), TERM for a terminal. To
 * be called in the container's root. The strings are partly process's. NULL with
 * err set.
 */
char **environment_complete(const struct oci_process *process, struct error *err);

#endif
