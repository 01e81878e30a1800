/*
 * The filter of a container's system calls, made from linux.seccomp as runc makes
 * it: once, when the container is created, since that takes longer than all else
 * that an exec does. Loading it is one system call.
 */
#ifndef VXN_GUEST_SECCOMP_FILTER_H
#define VXN_GUEST_SECCOMP_FILTER_H

#include <linux/filter.h>
#include <stddef.h>

#include "error.h"
#include "seccomp.h"

struct seccomp_filter {
	struct sock_filter *code; /* NULL = there is none */
	size_t count;
	unsigned int flags;
};

/* Nothing for seccomp NULL. The code is released by free. */
int seccomp_filter_make(const struct oci_seccomp *seccomp, struct seccomp_filter *filter,
			struct error *err);

/* For the calling process. Takes CAP_SYS_ADMIN or no_new_privs. */
int seccomp_filter_load(const struct seccomp_filter *filter, struct error *err);

#endif
