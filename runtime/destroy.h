/*
 * The end of a container, from whatever point it has reached, after any crash:
 * the VM, its monitor, the stand-ins, the cgroup and the record are gone when it
 * returns, and no file of the bundle is held: the engine unmounts next.
 */
#ifndef VXN_DESTROY_H
#define VXN_DESTROY_H

#include "container.h"
#include "error.h"

/* Done twice, or by two at once, it succeeds too. */
int container_destroy(const struct container *container, struct error *err);

#endif
