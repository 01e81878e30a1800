/*
 * The process that becomes a container's process: cloned from pid 1, it sets
 * itself up as config.json says and executes the program. Everything that waits
 * for a shared file system happens here, never in pid 1.
 */
#ifndef VXN_GUEST_CHILD_H
#define VXN_GUEST_CHILD_H

#include <stdbool.h>

#include "config.h"
#include "seccomp_filter.h"
#include "share.h"

struct child_plan {
	const char *container; /* id */
	const struct oci_process *process;
	int socket;   /* to pid 1 (protocol.h) */
	int stdio[3]; /* the process's ends, -1 = /dev/null; unused with a terminal */
	const struct oci_config *config; /* the container's */
	const struct seccomp_filter *filter;
	bool first; /* its first process; else one that joins it */
	/* for a container's first process */
	struct share_mount *shares;
	size_t shares_count;
	const char *hostname; /* NULL = not told */
	const char *bundle;   /* its path on the host; NULL = not told */
	uint64_t shm_size;    /* bytes, 0 = not told */
	/* for a process that joins one */
	int init; /* pidfd of the container's first process */
};

_Noreturn void child_main(const struct child_plan *plan);

#endif
