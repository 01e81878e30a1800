/* See xen_memory_plan.h. */
#include "xen_memory_plan.h"

int xen_memory_plan(const struct xen_memory *have, uint64_t least, uint64_t most, uint64_t overhead,
		    struct xen_memory_plan *plan, struct error *err)
{
	const uint64_t wanted = most + overhead;
	uint64_t spare =
		have->dom0_min && have->dom0 > have->dom0_min ? have->dom0 - have->dom0_min : 0;
	uint64_t missing = wanted > have->free ? wanted - have->free : 0;
	uint64_t given = missing < spare ? missing : spare;
	uint64_t guest = have->free + given > overhead ? have->free + given - overhead : 0;

	if (guest > most)
		guest = most;
	*plan = (struct xen_memory_plan){ .guest = guest, .dom0 = have->dom0 - given };
	if (guest >= least)
		return 0;
	if (!have->dom0_min)
		return error_set(err, 0,
				 "not enough memory for the VM: it needs %llu MiB, Xen has %llu "
				 "MiB free, and Dom0 gives none (dom0_min_memory is not set)",
				 (unsigned long long)(least + overhead),
				 (unsigned long long)have->free);
	return error_set(err, 0,
			 "not enough memory for the VM: it needs %llu MiB, Xen has %llu MiB free, "
			 "and Dom0 gives %llu of its %llu MiB (dom0_min_memory is %llu)",
			 (unsigned long long)(least + overhead), (unsigned long long)have->free,
			 (unsigned long long)spare, (unsigned long long)have->dom0,
			 (unsigned long long)have->dom0_min);
}
