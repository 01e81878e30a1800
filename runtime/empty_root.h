/*
 * An empty, read-only root directory for a process that needs no path any more.
 * The calling process is alone in its mount namespace, or shares it with those
 * whose root is to be replaced as well; nothing of it is shared with the host's.
 */
#ifndef VXN_EMPTY_ROOT_H
#define VXN_EMPTY_ROOT_H

#include "error.h"

/* Mounts the new root and makes it the working directory: to be filled now. Needs CAP_SYS_ADMIN. */
int empty_root_mount(struct error *err);

/*
 * Makes it the root of every process of this namespace whose root is the
 * namespace's (pivot_root(2)), and takes all that was mounted there away.
 */
int empty_root_enter(struct error *err);

#endif
