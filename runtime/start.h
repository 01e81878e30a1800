/* What `start` and `run` have in common. */
#ifndef VXN_START_H
#define VXN_START_H

#include "config.h"
#include "container.h"
#include "error.h"

/*
 * Has the process of a created container executed, and runs the hooks of
 * poststart. If one of these fails the container is killed. monitor: connected.
 */
int container_start(const struct container *container, const struct oci_config *config, int monitor,
		    struct error *err);

#endif
