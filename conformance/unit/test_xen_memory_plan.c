/* What a new domain on Xen begins with, and what Dom0 gives for it. */
#include "unit.h"

#include "xen_memory_plan.h"

#define OVERHEAD 4

static const struct plan_case {
	struct xen_memory have; /* free, Dom0's, what that keeps */
	uint64_t least, most;
	uint64_t guest, dom0; /* guest 0: refused */
} cases[] = {
	/* there is enough */
	{ { 1000, 2048, 0 }, 512, 512, 512, 2048 },
	{ { 516, 2048, 512 }, 512, 512, 512, 2048 },
	/* less than may be, and enough to begin */
	{ { 1000, 2048, 0 }, 512, 4096, 996, 2048 },
	{ { 516, 2048, 0 }, 512, 4096, 512, 2048 },
	/* Dom0 gives what is missing, and no more */
	{ { 0, 2048, 512 }, 512, 512, 512, 1532 },
	{ { 500, 2048, 512 }, 512, 512, 512, 2032 },
	{ { 0, 2048, 512 }, 512, 1532, 1532, 512 },
	/* all that it may, for a part of what may be */
	{ { 0, 2048, 512 }, 512, 4096, 1532, 512 },
	{ { 100, 2048, 1024 }, 512, 4096, 1120, 1024 },
	/* it has no more than it keeps */
	{ { 1000, 512, 512 }, 512, 4096, 996, 512 },
	{ { 1000, 512, 1024 }, 512, 512, 512, 512 },
	/* not enough */
	{ { 515, 2048, 0 }, 512, 512, 0, 0 },
	{ { 0, 2048, 0 }, 1, 1, 0, 0 },
	{ { 3, 2048, 2048 }, 1, 1, 0, 0 },
	{ { 0, 1000, 512 }, 512, 4096, 0, 0 },
};

static void plans(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct plan_case *c = &cases[i];
		struct xen_memory_plan plan;
		struct error err = { 0 };
		int result = xen_memory_plan(&c->have, c->least, c->most, OVERHEAD, &plan, &err);

		assert_int_equal(result, c->guest ? 0 : -1);
		if (!c->guest)
			continue;
		assert_int_equal(plan.guest, c->guest);
		assert_int_equal(plan.dom0, c->dom0);
	}
}

static void errors(void **state)
{
	struct xen_memory_plan plan;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(xen_memory_plan(&(struct xen_memory){ 100, 2048, 0 }, 512, 1024, OVERHEAD,
					 &plan, &err),
			 -1);
	assert_string_equal(err.message,
			    "not enough memory for the VM: it needs 516 MiB, Xen has 100 MiB free, "
			    "and Dom0 gives none (dom0_min_memory is not set)");
	assert_int_equal(xen_memory_plan(&(struct xen_memory){ 100, 700, 600 }, 512, 512, OVERHEAD,
					 &plan, &err),
			 -1);
	assert_string_equal(err.message,
			    "not enough memory for the VM: it needs 516 MiB, Xen has 100 MiB free, "
			    "and Dom0 gives 100 of its 700 MiB (dom0_min_memory is 600)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans),
		cmocka_unit_test(errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
