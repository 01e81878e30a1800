/*
 * How many file descriptors the shares of a VM may have open, and how many inodes
 * the guest may know. A node that is idle gives its fd to whoever needs one, of
 * whichever share. What is held, by handles first of all, cannot be taken away:
 * each share has a part of that, so that what is done in one volume does not keep
 * another from working.
 */
#include "share_internal.h"

/* Inodes that a guest may know; an honest kernel needs a kilobyte of its own for each. */
#define NODES_MAX (4 << 20)

/*
 * How many can be held, of which half is the shares' in equal parts and half is
 * whose it is first. Each may belong to a handle, whose node is then open as well;
 * an eighth is left for operations, which therefore always find one to evict.
 */
static long held_limit(const struct share_budget *budget)
{
	return (budget->fd_limit - budget->fd_limit / 8) / 2;
}

/* Under the lock of the shares. */
static bool may_hold(struct share *share)
{
	struct share *first = share_pool_first(share->pool);
	long limit = held_limit(share_pool_budget(share->pool)), count = 0, used = 0, part;

	for (struct share *s = first; s; s = s->next)
		count++;
	/* a share that is being closed is in the list no more */
	part = limit / 2 / (count ? count : 1);
	if (atomic_load(&share->held) < part)
		return true;
	for (struct share *s = first; s; s = s->next) {
		long held = atomic_load(&s->held);

		used += held > part ? held - part : 0;
	}
	return used < limit - part * count;
}

bool share_fd_hold(struct share *share)
{
	bool may;

	share_pool_lock(share->pool);
	may = may_hold(share);
	if (may)
		atomic_fetch_add(&share->held, 1);
	share_pool_unlock(share->pool);
	return may;
}

void share_fd_unhold(struct share *share)
{
	atomic_fetch_sub(&share->held, 1);
}

/* In the share that has most to give. False: no share has. */
static bool evict_one(struct share_pool *pool)
{
	struct share *most = NULL;
	bool evicted;

	share_pool_lock(pool);
	for (struct share *s = share_pool_first(pool); s; s = s->next)
		if (!most || atomic_load(&s->idle_count) > atomic_load(&most->idle_count))
			most = s;
	if (most)
		share_enter(most);
	share_pool_unlock(pool);
	if (!most)
		return false;
	evicted = share_node_evict(most);
	share_leave(most);
	return evicted;
}

bool share_fd_cache(struct share *share)
{
	struct share_budget *budget = share_pool_budget(share->pool);

	while (atomic_fetch_add(&budget->fds, 1) >= budget->fd_limit) {
		atomic_fetch_sub(&budget->fds, 1);
		if (!evict_one(share->pool))
			return false;
	}
	return true;
}

void share_fd_uncache(struct share *share)
{
	if (share->pool)
		atomic_fetch_sub(&share_pool_budget(share->pool)->fds, 1);
}

bool share_fd_take(struct share *share)
{
	if (!share_fd_hold(share))
		return false;
	if (share_fd_cache(share))
		return true;
	share_fd_unhold(share);
	return false;
}

void share_fd_give(struct share *share)
{
	share_fd_uncache(share);
	share_fd_unhold(share);
}

bool share_node_admit(struct share *share)
{
	if (atomic_fetch_add(&share_pool_budget(share->pool)->nodes, 1) < NODES_MAX)
		return true;
	share_node_dismiss(share);
	return false;
}

void share_node_dismiss(struct share *share)
{
	if (share->pool)
		atomic_fetch_sub(&share_pool_budget(share->pool)->nodes, 1);
}
