/*
 * The workers of all shares of a VM: one queue, any worker takes any request.
 *
 * A guest's kernel does not wait for a RELEASE or a FORGET, which give back what
 * a file took: its locks, and when it has no name any more its room on the disk.
 * Later requests have to find that given back, and several workers serve them. So
 * with any request that is answered but not done: what its worker still holds of a
 * file may be the last of it.
 */
#include "share_internal.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

/* File descriptors left to the rest: two of each share, one of each connection, stdio. */
#define FDS_RESERVED 1024

struct share_item {
	struct share_item *next;
	struct share *share;
	void *message;
	size_t size;
	struct share_data *data;     /* NULL: in the message */
	int answer;		     /* an errno to answer with; 0: libfuse's */
	uint64_t number;	     /* in the order of arrival */
	_Atomic bool gives_back;     /* a RELEASE or FORGET, or answered */
	struct share_waiter *waiter; /* of a request that may wait for a lock */
};

struct share_pool {
	struct share_callbacks callbacks;
	struct share_waiters waiters;
	struct share_budget budget;

	struct share_watch *watch;   /* NULL: none */
	pthread_mutex_t shares_lock; /* of the list */
	struct share *shares;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work;  /* the queue is not empty, or stopping */
	pthread_cond_t
		change; /* a worker has started, a share is idle, or something was given back */
	struct share_item *first, **last;
	uint64_t arrived;
	bool stopping;
	unsigned int started; /* workers that came through their start, or did not: */
	int start_errno;

	unsigned int count;
	struct share_worker workers[];
};

static _Thread_local struct share_worker *this_worker;

struct share_worker *share_worker(void)
{
	return this_worker;
}

struct share_budget *share_pool_budget(struct share_pool *pool)
{
	return &pool->budget;
}

/* --- file descriptors --- */

/* All that we may have: an inode that is in use costs one, an open file two. */
static int raise_fd_limit(long *limit, struct error *err)
{
	struct rlimit rlimit;

	if (getrlimit(RLIMIT_NOFILE, &rlimit))
		return error_set(err, errno, "getrlimit");
	if (rlimit.rlim_cur < rlimit.rlim_max) {
		rlimit.rlim_cur = rlimit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &rlimit))
			return error_set(err, errno, "setrlimit of open files");
	}
	*limit = (long)rlimit.rlim_cur - FDS_RESERVED;
	if (*limit < (long)rlimit.rlim_cur / 2)
		*limit = (long)rlimit.rlim_cur / 2;
	return 0;
}

/* --- workers --- */

void share_send(struct share *share, const struct iovec *iov, int count)
{
	/* before anybody can act on the answer */
	if (this_worker && this_worker->item)
		this_worker->item->gives_back = true;
	share->pool->callbacks.reply(share->cookie, iov, count);
}

void share_send_notification(struct share *share, const struct iovec *iov, int count)
{
	share->pool->callbacks.notify(share->cookie, iov, count);
}

static void answer(const struct share_item *item, int errnum)
{
	const struct fuse_in_header *in = item->message;
	struct fuse_out_header out = {
		.len = sizeof(out),
		.error = -errnum,
		.unique = in->unique,
	};
	struct iovec iov = { .iov_base = &out, .iov_len = sizeof(out) };

	share_send(item->share, &iov, 1);
}

/*
 * For want of room it is tried a second time, when what was given back before it
 * arrived is: the first answer is held back (share_hold_back).
 */
static void process(struct share_worker *worker, const struct share_item *item)
{
	struct fuse_buf buf = { .mem = item->message, .size = item->size };

	share_set_privileges(worker);
	worker->lacks_room = false;
	worker->may_retry = true;
	fuse_session_process_buf(item->share->session, &buf);
	worker->may_retry = false;
	if (!worker->lacks_room)
		return;
	share_wait_for_returns();
	fuse_session_process_buf(item->share->session, &buf);
}

bool share_hold_back(const struct iovec *iov, int count)
{
	struct share_worker *worker = this_worker;
	const struct fuse_out_header *out = iov[0].iov_base;

	if (!worker || !worker->may_retry || count != 1 ||
	    (out->error != -ENOSPC && out->error != -EDQUOT))
		return false;
	worker->lacks_room = true;
	return true;
}

static void serve(struct share_worker *worker, const struct share_item *item)
{
	worker->request = item->message;
	worker->data = item->data;
	worker->waiter = item->waiter;
	if (item->answer) {
		answer(item, item->answer);
	} else if (((const struct fuse_in_header *)item->message)->opcode == FUSE_SYNCFS) {
		/* libfuse does not know it */
		share_wait_for_returns();
		answer(item, share_sync(item->share));
	} else {
		process(worker, item);
	}
	worker->request = NULL;
	worker->data = NULL;
	share_waiter_drop(steal_pointer(&worker->waiter));
	worker->pool->callbacks.request_done(item->share->cookie, item->size);
}

static int start_worker(struct share_worker *worker)
{
	int errnum;

	/* the umask is the request's, so each worker needs one of its own */
	if (unshare(CLONE_FS))
		return errno;
	errnum = share_know_capabilities(worker);
	if (errnum)
		return errnum;
	worker->buffer = malloc(SHARE_MAX_IO);
	return worker->buffer ? 0 : ENOMEM;
}

/* Under the pool's lock. NULL: stop. */
static struct share_item *take(struct share_pool *pool, struct share_worker *worker)
{
	struct share_item *item;

	while (!pool->first && !pool->stopping)
		pthread_cond_wait(&pool->work, &pool->lock);
	if (pool->stopping)
		return NULL;
	item = pool->first;
	pool->first = item->next;
	if (!pool->first)
		pool->last = &pool->first;
	worker->item = item;
	return item;
}

/* Under the pool's lock. */
static void leave(struct share *share)
{
	if (--share->active == 0)
		pthread_cond_broadcast(&share->pool->change);
}

void share_enter(struct share *share)
{
	pthread_mutex_lock(&share->pool->lock);
	share->active++;
	pthread_mutex_unlock(&share->pool->lock);
}

void share_leave(struct share *share)
{
	struct share_pool *pool = share->pool;

	pthread_mutex_lock(&pool->lock);
	leave(share);
	pthread_mutex_unlock(&pool->lock);
}

/* Under the pool's lock. */
static void finish(struct share_worker *worker, struct share_item *item)
{
	worker->item = NULL;
	if (item->gives_back)
		pthread_cond_broadcast(&worker->pool->change);
	leave(item->share);
	free(item);
}

/* Under the pool's lock. Those that arrived before the item have been taken from the queue before it. */
static bool returns_before(const struct share_pool *pool, const struct share_item *item)
{
	for (unsigned int i = 0; i < pool->count; i++) {
		const struct share_item *other = pool->workers[i].item;

		if (other && other->gives_back && other->share == item->share &&
		    other->number < item->number)
			return true;
	}
	return false;
}

void share_wait_for_returns(void)
{
	struct share_pool *pool = this_worker->pool;

	pthread_mutex_lock(&pool->lock);
	while (returns_before(pool, this_worker->item))
		pthread_cond_wait(&pool->change, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

static void *run_worker(void *argument)
{
	struct share_worker *worker = argument;
	struct share_pool *pool = worker->pool;
	struct share_item *item;
	int errnum = start_worker(worker);

	this_worker = worker;
	pthread_mutex_lock(&pool->lock);
	pool->started++;
	if (errnum)
		pool->start_errno = errnum;
	pthread_cond_broadcast(&pool->change);
	while (!errnum && (item = take(pool, worker))) {
		pthread_mutex_unlock(&pool->lock);
		serve(worker, item);
		free(item->data);
		free(item->message);
		pthread_mutex_lock(&pool->lock);
		finish(worker, item);
	}
	pthread_mutex_unlock(&pool->lock);
	free(worker->buffer);
	return NULL;
}

/* Signals are the main thread's. */
static int create_threads(struct share_pool *pool, unsigned int count)
{
	sigset_t all, old;
	int result = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (result == 0 && pool->count < count) {
		struct share_worker *worker = &pool->workers[pool->count];

		worker->pool = pool;
		result = pthread_create(&worker->thread, NULL, run_worker, worker);
		if (result == 0)
			pool->count++;
	}
	if (result == 0 && pool->watch)
		result = share_watch_start(pool->watch, pool);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return result;
}

struct share_pool *share_pool_start(unsigned int threads, const struct share_callbacks *callbacks,
				    struct share_watch *watch, struct error *err)
{
	struct share_pool *pool;
	long fd_limit = 0;
	int result;

	if (raise_fd_limit(&fd_limit, err) || share_keep_capabilities(err))
		return NULL;
	pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->workers[0]));
	if (!pool) {
		error_set(err, ENOMEM, "share workers");
		return NULL;
	}
	result = share_waiters_init(&pool->waiters);
	if (result) {
		error_set(err, result, "start of the share workers");
		free(pool);
		return NULL;
	}
	pool->callbacks = *callbacks;
	pool->budget.fd_limit = fd_limit;
	pool->last = &pool->first;
	pool->watch = watch;
	pthread_mutex_init(&pool->shares_lock, NULL);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->change, NULL);

	result = create_threads(pool, threads);
	pthread_mutex_lock(&pool->lock);
	while (pool->started < pool->count)
		pthread_cond_wait(&pool->change, &pool->lock);
	if (!result)
		result = pool->start_errno;
	pthread_mutex_unlock(&pool->lock);
	if (result) {
		error_set(err, result, "start of the share workers");
		share_pool_stop(pool);
		return NULL;
	}
	return pool;
}

int share_serve(struct share_pool *pool, struct share *share, void *cookie, struct error *err)
{
	if (share->pool)
		return error_set(err, 0, "the share is served already");
	share->cookie = cookie;
	share->pool = pool;
	if (pool->watch && share_cache_watch(share, pool->watch))
		return error_set(err, ENOMEM, "watch a share");
	pthread_mutex_lock(&pool->shares_lock);
	share->next = pool->shares;
	pool->shares = share;
	pthread_mutex_unlock(&pool->shares_lock);
	/* the root's */
	atomic_fetch_add(&pool->budget.fds, 1);
	atomic_fetch_add(&pool->budget.nodes, 1);
	return 0;
}

void share_pool_lock(struct share_pool *pool)
{
	pthread_mutex_lock(&pool->shares_lock);
}

void share_pool_unlock(struct share_pool *pool)
{
	pthread_mutex_unlock(&pool->shares_lock);
}

struct share *share_pool_first(struct share_pool *pool)
{
	return pool->shares;
}

/*
 * What has to be known in the order of arrival: before the next request is looked
 * at, a wait can be interrupted, and what gives something back is known as such.
 */
static void prepare(struct share_pool *pool, struct share_item *item)
{
	struct fuse_in_header *header = item->message;

	switch (header->opcode) {
	case FUSE_SETLKW:
		item->waiter = share_waiter_new(&pool->waiters, item->share, header->unique);
		break;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		item->gives_back = true;
		break;
	case FUSE_TMPFILE:
		/* libfuse knows it not; its name tells it from any other CREATE */
		header->opcode = FUSE_CREATE;
		break;
	default:
		break;
	}
}

/*
 * Never answered: the request that it is about is, sooner or later. libfuse would
 * keep each that is about none.
 */
static void interrupt(struct share_pool *pool, const struct share_item *item)
{
	const struct fuse_in_header *header = item->message;
	const struct fuse_interrupt_in *in = (const void *)(header + 1);

	share_waiter_interrupt(&pool->waiters, item->share, in->unique);
	pool->callbacks.request_done(item->share->cookie, item->size);
}

static int enqueue(struct share_pool *pool, const struct share_item *template)
{
	struct share_item *item = malloc(sizeof(*item));

	if (!item)
		return -1;
	*item = *template;
	pthread_mutex_lock(&pool->lock);
	item->share->active++;
	item->number = ++pool->arrived;
	*pool->last = item;
	pool->last = &item->next;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	return 0;
}

int share_submit(struct share_pool *pool, struct share *share, void *request, size_t size,
		 struct error *err)
{
	return share_submit_placed(pool, share, request, size, NULL, err);
}

int share_submit_placed(struct share_pool *pool, struct share *share, void *request, size_t size,
			struct share_data *data, struct error *err)
{
	CLEANUP_FREE void *message = request, *placed = data;
	struct share_item item = {
		.share = share,
		.message = request,
		.size = size,
		.data = data,
	};

	/* INIT is answered before a kernel sends more; libfuse relies on it */
	if (share->decoder.initialized && !atomic_load(&share->ready))
		return error_set(err, 0, "FUSE request before INIT was answered");
	item.answer = data ? fuse_request_check_placed(request, data->size, &share->decoder, err)
			   : fuse_request_check(request, size, &share->decoder, err);
	if (item.answer < 0)
		return -1;
	if (item.answer == 0 &&
	    ((const struct fuse_in_header *)request)->opcode == FUSE_INTERRUPT) {
		interrupt(pool, &item);
		return 0;
	}
	if (item.answer == 0)
		prepare(pool, &item);
	if (enqueue(pool, &item)) {
		share_waiter_drop(item.waiter);
		return error_set(err, ENOMEM, "FUSE request of %zu bytes", size);
	}
	steal_pointer(&message);
	steal_pointer(&placed);
	return 0;
}

/* Under the pool's lock. */
static void drop_queued(struct share_pool *pool, const struct share *share)
{
	struct share_item **p = &pool->first;

	while (*p) {
		struct share_item *item = *p;

		if (share && item->share != share) {
			p = &item->next;
			continue;
		}
		*p = item->next;
		item->share->active--;
		share_waiter_drop(item->waiter);
		free(item->data);
		free(item->message);
		free(item);
	}
	pool->last = p;
}

void share_withdraw(struct share *share)
{
	struct share_pool *pool = share->pool;
	struct share **p;

	if (!pool)
		return;
	/* first, so that nobody finds it any more who is not in it */
	pthread_mutex_lock(&pool->shares_lock);
	for (p = &pool->shares; *p != share; p = &(*p)->next)
		;
	*p = share->next;
	pthread_mutex_unlock(&pool->shares_lock);
	pthread_mutex_lock(&pool->lock);
	drop_queued(pool, share);
	while (share->active > 0)
		pthread_cond_wait(&pool->change, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	/* no worker makes another one */
	share_waiters_end(&pool->waiters, share);
}

void share_pool_stop(struct share_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->count; i++)
		pthread_join(pool->workers[i].thread, NULL);
	share_watch_stop(pool->watch);
	drop_queued(pool, NULL);
	share_waiters_end(&pool->waiters, NULL);
	share_waiters_destroy(&pool->waiters);
	for (struct share *share = pool->shares; share; share = share->next)
		share->pool = NULL;
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->change);
	pthread_mutex_destroy(&pool->lock);
	pthread_mutex_destroy(&pool->shares_lock);
	free(pool);
}
