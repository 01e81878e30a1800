/*
 * Locks. flock is on the handle's own fd, as it belongs to the open file;
 * fcntl's are in share_lock_owner.c. The host's kernel keeps them all, so they
 * hold against its processes and other VMs.
 *
 * A POSIX lock ends with any close by its owner, of which FLUSH tells; the
 * guest's kernel sends no unlock then. An OFD lock has its open file as owner and
 * ends with its RELEASE, as flock does. The guest does not say which of the two
 * an fcntl is.
 */
#include "share_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

/* A lock to be taken; it lives as long as its request. */
struct lock_request {
	fuse_req_t request;
	struct share_handle *handle;
	struct share_lock_owner *owner; /* NULL: flock */
	int operation;			/* flock's */
	struct flock lock;		/* fcntl's */
	bool waits;
};

static int take(void *job)
{
	struct lock_request *lock = job;

	if (lock->owner)
		return share_lock_set(lock->owner, lock->handle, &lock->lock);
	return flock(lock->handle->fd, lock->operation | LOCK_NB) ? errno : 0;
}

static int block(void *job)
{
	const struct lock_request *lock = job;

	if (lock->owner)
		return share_lock_block(lock->owner, &lock->lock);
	return flock(lock->handle->fd, lock->operation) ? errno : 0;
}

static void end(void *job, int errnum)
{
	struct lock_request *lock = job;

	if (lock->owner) {
		if (lock->waits)
			share_lock_will_wait(lock->owner, false);
		share_lock_owner_put(lock->owner);
	}
	fuse_reply_err(lock->request, errnum);
	share_handle_put(lock->handle);
	free(lock);
}

/* Takes job, and the references in it. */
static void carry_out(struct lock_request *lock, bool may_wait)
{
	const struct share_wait wait = { .block = block, .take = take, .end = end, .job = lock };
	int errnum;

	atomic_store(&lock->handle->locked, true);
	errnum = take(lock);
	if (errnum == EAGAIN && may_wait) {
		lock->waits = true;
		if (lock->owner)
			share_lock_will_wait(lock->owner, true);
		errnum = share_wait(&wait);
		if (!errnum)
			return;
	}
	end(lock, errnum);
}

/* Directories can be locked by flock, too. */
static struct share_handle *handle_for(fuse_req_t request, uint64_t id, uint64_t node)
{
	struct share_handle *handle =
		share_handle_get(share_of(request), id, node, SHARE_DIRECTORY);

	return handle ? handle : share_handle_for(request, id, node, SHARE_FILE);
}

static struct lock_request *begin(fuse_req_t request, struct share_handle **handle)
{
	struct lock_request *lock = calloc(1, sizeof(*lock));

	if (!lock) {
		fuse_reply_err(request, ENOLCK);
		return NULL;
	}
	lock->request = request;
	lock->handle = steal_pointer(handle);
	return lock;
}

void share_op_flock(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi, int operation)
{
	CLEANUP_HANDLE struct share_handle *handle = handle_for(request, fi->fh, ino);
	struct lock_request *lock;

	if (!handle)
		return;
	share_wait_for_returns();
	lock = begin(request, &handle);
	if (!lock)
		return;
	lock->operation = operation & ~LOCK_NB;
	carry_out(lock, !(operation & LOCK_NB));
}

void share_op_setlk(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi,
		    struct flock *flock, int sleep)
{
	struct share *share = share_of(request);
	CLEANUP_HANDLE struct share_handle *handle =
		share_handle_for(request, fi->fh, ino, SHARE_FILE);
	struct share_lock_owner *owner = NULL;
	struct lock_request *lock;
	int errnum = 0;

	if (!handle)
		return;
	share_wait_for_returns();
	if (flock->l_type == F_UNLCK)
		owner = share_lock_owner_get(share, ino, fi->lock_owner);
	else
		errnum = share_lock_owner_make(handle, fi->lock_owner, &owner);
	if (!owner) {
		fuse_reply_err(request, errnum);
		return;
	}
	lock = begin(request, &handle);
	if (!lock) {
		share_lock_owner_put(owner);
		return;
	}
	lock->owner = owner;
	lock->lock = *flock;
	carry_out(lock, sleep);
}

void share_op_getlk(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi,
		    struct flock *lock)
{
	CLEANUP_HANDLE struct share_handle *handle =
		share_handle_for(request, fi->fh, ino, SHARE_FILE);
	int errnum;

	if (!handle)
		return;
	share_wait_for_returns();
	errnum = share_lock_test(handle, fi->lock_owner, lock);
	if (errnum)
		fuse_reply_err(request, errnum);
	else
		fuse_reply_lock(request, lock);
}
