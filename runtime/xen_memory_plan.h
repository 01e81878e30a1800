/* How much memory a new domain begins with, and what of it Dom0 gives. Pure. */
#ifndef VXN_XEN_MEMORY_PLAN_H
#define VXN_XEN_MEMORY_PLAN_H

#include <stdint.h>

#include "error.h"

/* All in MiB. */
struct xen_memory {
	uint64_t free;	   /* nobody's */
	uint64_t dom0;	   /* what Dom0 is to have */
	uint64_t dom0_min; /* what it keeps; 0 = it gives none */
};

struct xen_memory_plan {
	uint64_t guest; /* that the domain begins with */
	uint64_t dom0;	/* that Dom0 is to have before */
};

/*
 * A domain that may have `most` MiB and needs `least` to begin with; overhead is what
 * Xen takes for it besides. Dom0 gives what is missing of `most`, as far as it may. An
 * error names what is needed and what there is.
 */
int xen_memory_plan(const struct xen_memory *have, uint64_t least, uint64_t most, uint64_t overhead,
		    struct xen_memory_plan *plan, struct error *err);

#endif
