/*
 * Closing of pipes. It waits for the pipe's lock, which a splice keeps while it waits
 * for its file, and so perhaps for the relay (relay.h): a thread does it that nobody
 * waits for.
 */
#include "relay.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct closing {
	struct closing *next;
	int fd;
};

static struct {
	bool started;
	pthread_mutex_t lock; /* of the list */
	pthread_cond_t filled;
	struct closing *first;
} closer = { .lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER };

static _Noreturn void *run(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&closer.lock);
	for (;;) {
		struct closing *closing = closer.first;

		if (!closing) {
			pthread_cond_wait(&closer.filled, &closer.lock);
			continue;
		}
		closer.first = closing->next;
		pthread_mutex_unlock(&closer.lock);
		close(closing->fd);
		free(closing);
		pthread_mutex_lock(&closer.lock);
	}
}

static bool start(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	if (closer.started)
		return true;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
	closer.started = pthread_create(&thread, &attributes, run, NULL) == 0;
	pthread_attr_destroy(&attributes);
	return closer.started;
}

void pipe_close(int fd)
{
	struct closing *closing = start() ? malloc(sizeof(*closing)) : NULL;

	if (!closing) {
		close(fd);
		return;
	}
	closing->fd = fd;
	pthread_mutex_lock(&closer.lock);
	closing->next = closer.first;
	closer.first = closing;
	pthread_cond_signal(&closer.filled);
	pthread_mutex_unlock(&closer.lock);
}
