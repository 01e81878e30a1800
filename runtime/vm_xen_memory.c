/*
 * The memory of a new domain: what is free, and what Dom0 gives (the setting
 * dom0_min_memory). libxl gives a domain what is free and no more; xl makes Dom0
 * smaller before, and so do we, under the lock that xl takes for it: others must not
 * get what Dom0 has given for this domain.
 */
#include "vm_xen_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cleanup.h"
#include "xen_memory_plan.h"

/* xl's (XEN_LOCK_DIR), taken by fcntl. */
#define LOCK_PATH "/var/lock/xl"
/* How long Dom0's balloon driver may take, seconds. */
#define DOM0_TIMEOUT 30
/* So many times what it begins with: a kernel needs memory for all that there may be. */
#define GROWTH_MAX 8

static int ask(libxl_ctx *ctx, uint64_t *free_mib, uint64_t *total_mib, struct error *err)
{
	libxl_physinfo info;
	int result;

	libxl_physinfo_init(&info);
	result = libxl_get_physinfo(ctx, &info);
	*free_mib = (info.free_pages + info.scrub_pages) / 256;
	*total_mib = info.total_pages / 256;
	libxl_physinfo_dispose(&info);
	return result ? error_set(err, 0, "ask Xen for its memory: libxl error %d", result) : 0;
}

int xen_memory_free(libxl_ctx *ctx, uint64_t *free_mib, struct error *err)
{
	uint64_t total_mib;

	return ask(ctx, free_mib, &total_mib, err);
}

static int look(libxl_ctx *ctx, struct xen_memory *have, struct error *err)
{
	uint64_t dom0_kb = 0;
	int result;

	if (xen_memory_free(ctx, &have->free, err))
		return -1;
	if (!have->dom0_min)
		return 0;
	result = libxl_get_memory_target(ctx, 0, &dom0_kb);
	have->dom0 = dom0_kb / 1024;
	return result ? error_set(err, 0, "ask for the memory of Dom0: libxl error %d", result) : 0;
}

/* A limit may be larger than the machine. */
static int limit_to_machine(libxl_ctx *ctx, libxl_domain_build_info *build, struct error *err)
{
	uint64_t free_mib, total_mib;

	if (ask(ctx, &free_mib, &total_mib, err))
		return -1;
	if (build->max_memkb > total_mib * 1024)
		build->max_memkb = build->target_memkb = total_mib * 1024;
	return 0;
}

/* What Xen takes besides what the guest has, MiB. */
static int get_overhead(libxl_ctx *ctx, libxl_domain_config *domain, uint64_t *overhead,
			struct error *err)
{
	uint64_t needed = 0;
	int result = libxl_domain_need_memory(ctx, domain, (uint32_t)INVALID_DOMID, &needed);

	if (result)
		return error_set(err, 0, "ask what memory the domain needs: libxl error %d",
				 result);
	*overhead = (needed - domain->b_info.target_memkb + 1023) / 1024;
	return 0;
}

static int take_lock(int *lock, struct error *err)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	*lock = open(LOCK_PATH, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*lock < 0 || fcntl(*lock, F_OFD_SETLKW, &whole))
		return error_set(err, errno, "lock %s", LOCK_PATH);
	return 0;
}

/* Where it does not give it in time, it gets back what it was to give. */
static int shrink_dom0(libxl_ctx *ctx, const struct xen_memory *have,
		       const struct xen_memory_plan *plan, uint64_t overhead, struct error *err)
{
	int result = libxl_set_memory_target(ctx, 0, (int64_t)plan->dom0 * 1024, 0, 0);

	if (result)
		return error_set(err, 0, "make Dom0 smaller, to %llu MiB: libxl error %d",
				 (unsigned long long)plan->dom0, result);
	if (libxl_wait_for_free_memory(ctx, 0, (plan->guest + overhead) * 1024, DOM0_TIMEOUT)) {
		(void)libxl_set_memory_target(ctx, 0, (int64_t)have->dom0 * 1024, 0, 0);
		return error_set(
			err, 0,
			"not enough memory for the VM: it needs %llu MiB, and Dom0 did not "
			"become smaller in %d s, %llu MiB instead of %llu",
			(unsigned long long)(plan->guest + overhead), DOM0_TIMEOUT,
			(unsigned long long)plan->dom0, (unsigned long long)have->dom0);
	}
	return 0;
}

int xen_memory_reserve(libxl_ctx *ctx, libxl_domain_config *domain, uint64_t least,
		       uint64_t dom0_min, int *lock, struct error *err)
{
	libxl_domain_build_info *build = &domain->b_info;
	struct xen_memory have = { .dom0_min = dom0_min };
	struct xen_memory_plan plan;
	uint64_t overhead = 0, most;

	*lock = -1;
	if (limit_to_machine(ctx, build, err) || get_overhead(ctx, domain, &overhead, err) ||
	    (dom0_min && take_lock(lock, err)) || look(ctx, &have, err))
		return -1;
	most = build->max_memkb / 1024;
	if (xen_memory_plan(&have, least, most, overhead, &plan, err))
		return -1;
	if (plan.dom0 < have.dom0 && shrink_dom0(ctx, &have, &plan, overhead, err))
		return -1;
	build->target_memkb = plan.guest * 1024;
	if (most > plan.guest * GROWTH_MAX)
		build->max_memkb = build->target_memkb * GROWTH_MAX;
	return 0;
}
