/*
 * Who holds which ranges of which file by fcntl. An owner of locks in the guest
 * has one open file description per inode here, and OFD locks on it: they hold
 * against everybody else on the host, and among the guest's owners. The host's
 * kernel decides; what is noted here is what it cannot be asked for: a lock's pid
 * in the guest, and what to take along when the file has to be opened again.
 */
#include "share_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* Ranges that a share may have locked. */
#define RANGES_MAX (64u << 10)

struct range {
	struct range *next; /* in the order of the file, none overlap */
	off_t start, end;   /* the last byte is part of it */
	short type;
	pid_t pid;
};

struct share_lock_owner {
	struct share_lock_owner *next; /* in its bucket */
	struct share *share;
	uint64_t node, id;
	uint64_t handle; /* that it locked by first */
	unsigned int users;
	struct range *ranges;

	pthread_mutex_t lock; /* of all below, and taken before the share's */
	int fd;
	bool writable;
	unsigned int waiting; /* threads that block on fd */
};

static struct share_lock_owner **bucket_of(struct share *share, uint64_t node)
{
	return &share->lock_owners[(node ^ node >> 32) % SHARE_LOCK_BUCKETS];
}

/* --- ranges, under the share's lock of locks --- */

static off_t end_of(const struct flock *lock)
{
	return lock->l_len ? lock->l_start + lock->l_len - 1 : INT64_MAX;
}

static void remove_range(struct share *share, struct range **p)
{
	struct range *range = *p;

	*p = range->next;
	free(range);
	share->lock_ranges--;
}

static struct range *use_spare(struct share *share, struct range **spare, const struct range *range)
{
	struct range *new = *spare;

	*spare = new->next;
	*new = *range;
	share->lock_ranges++;
	return new;
}

/* Takes the stretch out of what is noted. Returns the place for a new range there. */
static struct range **cut(struct share *share, struct range **p, off_t start, off_t end,
			  struct range **spare)
{
	while (*p && (*p)->start <= end) {
		struct range *range = *p;

		if (range->start >= start && range->end <= end) {
			remove_range(share, p);
			continue;
		}
		if (range->start >= start) {
			range->start = end + 1;
			break;
		}
		if (range->end > end) {
			struct range rest = *range;

			rest.start = end + 1;
			range->next = use_spare(share, spare, &rest);
		}
		if (range->end >= start)
			range->end = start - 1;
		p = &range->next;
	}
	return p;
}

static bool joins(const struct range *first, const struct range *second)
{
	return second && first->type == second->type && first->end + 1 == second->start;
}

/* Neighbours of one type are one lock, as for the kernel. */
static void join_around(struct share *share, struct range **ranges, struct range *range)
{
	struct range **p = ranges;

	if (range->end < INT64_MAX && joins(range, range->next)) {
		range->end = range->next->end;
		remove_range(share, &range->next);
	}
	while (*p != range && (*p)->next != range)
		p = &(*p)->next;
	if (*p != range && joins(*p, range)) {
		range->start = (*p)->start;
		remove_range(share, p);
	}
}

/* What the kernel has agreed to; spare has two ranges. */
static void note(struct share_lock_owner *owner, const struct flock *lock, struct range **spare)
{
	struct range range = {
		.start = lock->l_start,
		.end = end_of(lock),
		.type = lock->l_type,
		.pid = lock->l_pid,
	};
	struct range **place = cut(owner->share, &owner->ranges, range.start, range.end, spare);

	if (range.type == F_UNLCK)
		return;
	range.next = *place;
	*place = use_spare(owner->share, spare, &range);
	join_around(owner->share, &owner->ranges, *place);
}

static void free_ranges(struct range **ranges)
{
	while (*ranges) {
		struct range *range = *ranges;

		*ranges = range->next;
		free(range);
	}
}

/* The most that one call needs: a new range, and the rest of one that it splits. */
static struct range *spare_ranges(void)
{
	struct range *first = calloc(1, sizeof(*first));

	if (first)
		first->next = calloc(1, sizeof(*first));
	if (first && !first->next)
		free_ranges(&first);
	return first;
}

/* --- owners --- */

static struct share_lock_owner *find(struct share *share, uint64_t node, uint64_t id)
{
	struct share_lock_owner *owner = *bucket_of(share, node);

	while (owner && (owner->node != node || owner->id != id))
		owner = owner->next;
	return owner;
}

struct share_lock_owner *share_lock_owner_get(struct share *share, uint64_t node, uint64_t id)
{
	struct share_lock_owner *owner;

	pthread_mutex_lock(&share->locks);
	owner = find(share, node, id);
	if (owner)
		owner->users++;
	pthread_mutex_unlock(&share->locks);
	return owner;
}

static bool can_write(const struct share_handle *handle)
{
	return (fcntl(handle->fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
}

/*
 * Another open file description of the handle's file. Not for writing if the
 * guest has not opened it so: that would copy a file of an overlay up.
 */
static int open_again(const struct share_handle *handle, bool writable)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", handle->fd);
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -(errno == EMFILE || errno == ENFILE ? ENOLCK : errno) : fd;
}

static void destroy(struct share_lock_owner *owner)
{
	close(owner->fd);
	share_fd_give(owner->share);
	pthread_mutex_destroy(&owner->lock);
	free_ranges(&owner->ranges);
	free(owner);
}

static struct share_lock_owner *new_owner(struct share_handle *handle, uint64_t id, int *errnum)
{
	struct share_lock_owner *owner = calloc(1, sizeof(*owner));

	*errnum = ENOLCK;
	if (!owner)
		return NULL;
	owner->writable = can_write(handle);
	if (!share_fd_take(handle->share)) {
		free(owner);
		return NULL;
	}
	owner->fd = open_again(handle, owner->writable);
	if (owner->fd < 0) {
		*errnum = -owner->fd;
		share_fd_give(handle->share);
		free(owner);
		return NULL;
	}
	owner->share = handle->share;
	owner->node = handle->node;
	owner->id = id;
	owner->handle = handle->id;
	owner->users = 1;
	pthread_mutex_init(&owner->lock, NULL);
	return owner;
}

int share_lock_owner_make(struct share_handle *handle, uint64_t id,
			  struct share_lock_owner **result)
{
	struct share *share = handle->share;
	struct share_lock_owner *new, *owner = share_lock_owner_get(share, handle->node, id);
	int errnum;

	*result = owner;
	if (owner)
		return 0;
	new = new_owner(handle, id, &errnum);
	if (!new)
		return errnum;
	pthread_mutex_lock(&share->locks);
	owner = find(share, handle->node, id);
	if (owner) {
		owner->users++;
	} else {
		new->next = *bucket_of(share, new->node);
		*bucket_of(share, new->node) = new;
	}
	pthread_mutex_unlock(&share->locks);
	if (owner)
		destroy(new);
	*result = owner ? owner : new;
	return 0;
}

void share_lock_owner_put(struct share_lock_owner *owner)
{
	struct share *share = owner->share;
	bool last;

	pthread_mutex_lock(&share->locks);
	last = --owner->users == 0 && !owner->ranges;
	if (last) {
		struct share_lock_owner **p = bucket_of(share, owner->node);

		while (*p != owner)
			p = &(*p)->next;
		*p = owner->next;
	}
	pthread_mutex_unlock(&share->locks);
	if (last)
		destroy(owner);
}

/* --- locks, under the owner's lock --- */

/* On another fd, without a moment in which somebody else could get any of it. */
static int take_along(const struct share_lock_owner *owner, int fd)
{
	for (const struct range *range = owner->ranges; range; range = range->next) {
		struct flock lock = {
			.l_type = range->type,
			.l_start = range->start,
			.l_len = range->end == INT64_MAX ? 0 : range->end - range->start + 1,
		};

		if (fcntl(fd, F_OFD_SETLK, &lock))
			return errno;
	}
	return 0;
}

/*
 * An owner that has locked by a handle that cannot write has read locks only,
 * which it may hold twice.
 */
static int make_writable(struct share_lock_owner *owner, const struct share_handle *handle)
{
	CLEANUP_CLOSE int fd = -1;
	int errnum;

	if (!can_write(handle))
		return EBADF;
	/* a lock that one gets on the old fd now would be lost with it */
	if (owner->waiting)
		return ENOLCK;
	fd = open_again(handle, true);
	if (fd < 0)
		return -fd;
	errnum = take_along(owner, fd);
	if (errnum)
		return errnum;
	close(owner->fd);
	owner->fd = steal_fd(&fd);
	owner->writable = true;
	return 0;
}

static int set(struct share_lock_owner *owner, const struct flock *lock, struct range **spare)
{
	const bool all = lock->l_type == F_UNLCK && lock->l_start == 0 && lock->l_len == 0;
	struct share *share = owner->share;
	struct flock host = *lock;
	bool room;

	pthread_mutex_lock(&share->locks);
	room = share->lock_ranges + 2 <= RANGES_MAX;
	pthread_mutex_unlock(&share->locks);
	if (!room && !all)
		return ENOLCK;
	host.l_pid = 0;
	/* when all is given up there is no way back: close() does it then */
	if (fcntl(owner->fd, F_OFD_SETLK, &host) && !all)
		return errno;
	pthread_mutex_lock(&share->locks);
	note(owner, lock, spare);
	pthread_mutex_unlock(&share->locks);
	return 0;
}

int share_lock_set(struct share_lock_owner *owner, const struct share_handle *handle,
		   const struct flock *lock)
{
	struct range *spare = spare_ranges();
	int errnum = 0;

	if (!spare)
		return ENOLCK;
	pthread_mutex_lock(&owner->lock);
	if (lock->l_type == F_WRLCK && !owner->writable)
		errnum = make_writable(owner, handle);
	if (!errnum)
		errnum = set(owner, lock, &spare);
	pthread_mutex_unlock(&owner->lock);
	free_ranges(&spare);
	return errnum;
}

void share_lock_will_wait(struct share_lock_owner *owner, bool wait)
{
	pthread_mutex_lock(&owner->lock);
	owner->waiting += wait ? 1 : -1u;
	pthread_mutex_unlock(&owner->lock);
}

int share_lock_block(const struct share_lock_owner *owner, const struct flock *lock)
{
	struct flock host = *lock;

	host.l_pid = 0;
	return fcntl(owner->fd, F_OFD_SETLKW, &host) ? errno : 0;
}

/* --- other owners --- */

static pid_t pid_of(struct share *share, uint64_t node, uint64_t not, const struct flock *lock)
{
	pid_t pid = 0;

	pthread_mutex_lock(&share->locks);
	for (struct share_lock_owner *o = *bucket_of(share, node); o && !pid; o = o->next) {
		if (o->node != node || o->id == not )
			continue;
		for (struct range *r = o->ranges; r && !pid; r = r->next)
			if (r->type == lock->l_type && r->start <= end_of(lock) &&
			    r->end >= lock->l_start)
				pid = r->pid;
	}
	pthread_mutex_unlock(&share->locks);
	return pid;
}

int share_lock_test(struct share_handle *handle, uint64_t id, struct flock *lock)
{
	struct share *share = handle->share;
	struct share_lock_owner *owner = share_lock_owner_get(share, handle->node, id);
	int result;

	lock->l_pid = 0;
	if (owner) {
		pthread_mutex_lock(&owner->lock);
		result = fcntl(owner->fd, F_OFD_GETLK, lock) ? errno : 0;
		pthread_mutex_unlock(&owner->lock);
		share_lock_owner_put(owner);
	} else {
		/* nobody's: nothing is ever locked by it */
		result = fcntl(handle->fd, F_OFD_GETLK, lock) ? errno : 0;
	}
	/* a pid of the host is nothing to a guest */
	if (result == 0 && lock->l_type != F_UNLCK)
		lock->l_pid = lock->l_pid == -1 ? pid_of(share, handle->node, id, lock) : 0;
	return result;
}

static void give_up(struct share_lock_owner *owner)
{
	const struct flock all = { .l_type = F_UNLCK };

	share_lock_set(owner, NULL, &all);
	share_lock_owner_put(owner);
}

void share_locks_of_owner_end(struct share *share, uint64_t node, uint64_t id)
{
	struct share_lock_owner *owner = share_lock_owner_get(share, node, id);

	if (owner)
		give_up(owner);
}

/* One that locked by this handle and has locks. */
static struct share_lock_owner *get_by_handle(struct share *share, uint64_t node, uint64_t handle)
{
	struct share_lock_owner *owner;

	pthread_mutex_lock(&share->locks);
	owner = *bucket_of(share, node);
	while (owner && (owner->node != node || owner->handle != handle || !owner->ranges))
		owner = owner->next;
	if (owner)
		owner->users++;
	pthread_mutex_unlock(&share->locks);
	return owner;
}

void share_locks_of_handle_end(struct share *share, uint64_t node, uint64_t handle)
{
	struct share_lock_owner *owner;

	while ((owner = get_by_handle(share, node, handle)))
		give_up(owner);
}

void share_locks_free(struct share *share)
{
	for (size_t i = 0; i < SHARE_LOCK_BUCKETS; i++) {
		while (share->lock_owners[i]) {
			struct share_lock_owner *owner = share->lock_owners[i];

			share->lock_owners[i] = owner->next;
			destroy(owner);
		}
	}
}
