/*
 * Requests that wait for a lock. Each is known from its arrival on, so that an
 * interrupt, which arrives after it, always finds it; a worker serves it like
 * any other, and only if the lock is taken it gets a thread of its own, which
 * blocks in the system call. The threads are the host's queue of waiters: the
 * kernel wakes them in order.
 */
#include "share_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

/* All threads block it but for waiters while they wait. */
#define INTERRUPT_SIGNAL SIGUSR1

/* Every _Thread_local of the program lies in it, too; what is not touched costs nothing. */
#define STACK_SIZE (256u << 10)

struct share_waiter {
	struct share_waiter *next;
	struct share_waiters *all;
	const struct share *share;
	uint64_t unique;
	struct share_wait wait;
	pthread_t thread;
	bool blocks; /* thread has to be told of an interrupt */
	bool interrupted;
};

/* Where a signal leads to; NULL while there is nothing to break off. */
static _Thread_local sigjmp_buf *leave_to;

/*
 * A handler that just returned could do so in the moment before the system call,
 * which would then block with nobody left to wake it.
 */
static void leave(int signal)
{
	(void)signal;
	if (leave_to)
		siglongjmp(*leave_to, 1);
}

int share_waiters_init(struct share_waiters *all)
{
	struct sigaction action = { .sa_handler = leave };

	sigemptyset(&action.sa_mask);
	if (sigaction(INTERRUPT_SIGNAL, &action, NULL))
		return errno;
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->change, NULL);
	return 0;
}

void share_waiters_destroy(struct share_waiters *all)
{
	pthread_cond_destroy(&all->change);
	pthread_mutex_destroy(&all->lock);
}

struct share_waiter *share_waiter_new(struct share_waiters *all, const struct share *share,
				      uint64_t unique)
{
	struct share_waiter *waiter = calloc(1, sizeof(*waiter));

	if (!waiter)
		return NULL;
	waiter->all = all;
	waiter->share = share;
	waiter->unique = unique;
	pthread_mutex_lock(&all->lock);
	if (all->count == SHARE_WAITERS_MAX) {
		free(waiter);
		waiter = NULL;
	} else {
		all->count++;
		waiter->next = all->first;
		all->first = waiter;
	}
	pthread_mutex_unlock(&all->lock);
	return waiter;
}

void share_waiter_drop(struct share_waiter *waiter)
{
	struct share_waiters *all;
	struct share_waiter **p;

	if (!waiter)
		return;
	all = waiter->all;
	pthread_mutex_lock(&all->lock);
	for (p = &all->first; *p != waiter; p = &(*p)->next)
		;
	*p = waiter->next;
	all->count--;
	pthread_cond_broadcast(&all->change);
	pthread_mutex_unlock(&all->lock);
	free(waiter);
}

/* --- interrupts, under the lock --- */

static void interrupt(struct share_waiter *waiter)
{
	if (!waiter->interrupted && waiter->blocks)
		pthread_kill(waiter->thread, INTERRUPT_SIGNAL);
	waiter->interrupted = true;
}

void share_waiter_interrupt(struct share_waiters *all, const struct share *share, uint64_t unique)
{
	pthread_mutex_lock(&all->lock);
	/* ids are the guest's to choose: there may be several of one */
	for (struct share_waiter *w = all->first; w; w = w->next)
		if (w->share == share && w->unique == unique)
			interrupt(w);
	pthread_mutex_unlock(&all->lock);
}

static bool interrupt_all(struct share_waiters *all, const struct share *share)
{
	bool any = false;

	for (struct share_waiter *w = all->first; w; w = w->next) {
		if (share && w->share != share)
			continue;
		interrupt(w);
		any = true;
	}
	return any;
}

void share_waiters_end(struct share_waiters *all, const struct share *share)
{
	pthread_mutex_lock(&all->lock);
	while (interrupt_all(all, share))
		pthread_cond_wait(&all->change, &all->lock);
	pthread_mutex_unlock(&all->lock);
}

/* --- the thread --- */

/* True: from here on an interrupt is a signal. False: there was one. */
static bool set_blocks(struct share_waiter *waiter, bool blocks)
{
	bool interrupted;

	pthread_mutex_lock(&waiter->all->lock);
	interrupted = waiter->interrupted;
	waiter->thread = pthread_self();
	waiter->blocks = blocks;
	pthread_mutex_unlock(&waiter->all->lock);
	return !interrupted;
}

static bool is_interrupted(struct share_waiter *waiter)
{
	return !set_blocks(waiter, true);
}

/* Returns what the system call did, or EINTR when it is not known. */
static int block(const struct share_waiter *waiter)
{
	volatile int errnum = EINTR;
	sigjmp_buf here;
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, INTERRUPT_SIGNAL);
	if (sigsetjmp(here, 1) == 0) {
		leave_to = &here;
		pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
		errnum = waiter->wait.block(waiter->wait.job);
		pthread_sigmask(SIG_BLOCK, &signals, NULL);
	}
	leave_to = NULL;
	return errnum;
}

/*
 * To take a lock once more that one has changes nothing; so take() tells whether
 * an interrupted call had got it.
 */
static int wait_for(struct share_waiter *waiter)
{
	int errnum = EAGAIN;

	while (errnum == EAGAIN && !is_interrupted(waiter)) {
		errnum = block(waiter);
		if (errnum == 0 || errnum == EINTR)
			errnum = waiter->wait.take(waiter->wait.job);
	}
	set_blocks(waiter, false);
	return errnum == EAGAIN ? EINTR : errnum;
}

static void *run(void *argument)
{
	struct share_waiter *waiter = argument;
	int errnum = wait_for(waiter);

	waiter->wait.end(waiter->wait.job, errnum);
	share_waiter_drop(waiter);
	return NULL;
}

/* Blocks all signals, as its worker does. */
static int start(struct share_waiter *waiter)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int result = pthread_attr_init(&attributes);

	if (result)
		return result;
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	result = pthread_create(&thread, &attributes, run, waiter);
	pthread_attr_destroy(&attributes);
	return result;
}

int share_wait(const struct share_wait *wait)
{
	struct share_worker *worker = share_worker();
	struct share_waiter *waiter = steal_pointer(&worker->waiter);

	if (!waiter)
		return ENOLCK;
	waiter->wait = *wait;
	if (start(waiter)) {
		worker->waiter = waiter;
		return ENOLCK;
	}
	return 0;
}
