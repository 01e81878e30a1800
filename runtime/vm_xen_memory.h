/* Where the memory of a new domain comes from; see vm_xen_memory.c. */
#ifndef VXN_VM_XEN_MEMORY_H
#define VXN_VM_XEN_MEMORY_H

#include <stdint.h>

/* Of the whole back end. */
#define LIBXL_API_VERSION 0x041400
#include <libxl.h>

#include "error.h"

/*
 * Sees to the memory of the domain: its b_info, which says the most that it may have, is
 * told what it begins with, at least `least` MiB, and less than the most where the machine
 * or what it begins with is small beside that. Where Dom0 may give some, *lock is
 * to be held (closed then) until the domain has it; else it is -1.
 */
int xen_memory_reserve(libxl_ctx *ctx, libxl_domain_config *domain, uint64_t least,
		       uint64_t dom0_min, int *lock, struct error *err);

/* MiB that are nobody's. */
int xen_memory_free(libxl_ctx *ctx, uint64_t *free_mib, struct error *err);

#endif
