/*
 * Notifications: what the host tells this kernel to believe no longer. Handing
 * one over can wait for a lock whose holder waits for a reply (a CREATE in the
 * same directory), so a thread of its own does that, which delivers no replies.
 * The host's credit bounds what waits for it.
 */
#include "relay.h"

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kmsg.h"

/* Of one share. */
struct notifier {
	struct notifier *next;
	int fd; /* /dev/fuse */
	bool ended;
	uint32_t begin, size; /* of what waits in the ring */
	uint32_t done;	      /* bytes to be given back to the host */
	uint8_t ring[WIRE_NOTIFY_WINDOW];
};

struct notifications {
	pthread_t thread;
	pthread_mutex_t lock; /* of all below and the notifiers */
	pthread_cond_t filled;
	struct notifier *notifiers;
	int event; /* tells the relay that something is done */
};

/* --- the thread --- */

static void copy_out(const struct notifier *notifier, void *to, uint32_t size)
{
	uint32_t part = WIRE_NOTIFY_WINDOW - notifier->begin;

	if (part > size)
		part = size;
	memcpy(to, notifier->ring + notifier->begin, part);
	memcpy((uint8_t *)to + part, notifier->ring, size - part);
}

/* Under the lock. NULL: nobody has something; those that have ended go. */
static struct notifier *next_filled(struct notifications *all)
{
	struct notifier **link = &all->notifiers;

	while (*link) {
		struct notifier *notifier = *link;

		if (notifier->ended) {
			*link = notifier->next;
			close(notifier->fd);
			free(notifier);
			continue;
		}
		if (notifier->size)
			return notifier;
		link = &notifier->next;
	}
	return NULL;
}

/* The last, so that no share is always served first. */
static void move_back(struct notifications *all, struct notifier *notifier)
{
	struct notifier **link = &all->notifiers;

	while (*link != notifier)
		link = &(*link)->next;
	*link = notifier->next;
	while (*link)
		link = &(*link)->next;
	*link = notifier;
	notifier->next = NULL;
}

static void hand_over(struct notifications *all, struct notifier *notifier)
{
	uint8_t message[WIRE_NOTIFY_WINDOW];
	struct fuse_out_header header;

	copy_out(notifier, &header, sizeof(header));
	copy_out(notifier, message, header.len);
	move_back(all, notifier);
	pthread_mutex_unlock(&all->lock);
	/* ENOENT: this kernel does not know it; ENOTDIR: nor any entry of it */
	if (write(notifier->fd, message, header.len) < 0 && errno != ENOENT && errno != ENOTDIR &&
	    errno != ENODEV && errno != EPERM)
		kmsg_error("relay: notification %d: %s", header.error, strerror(errno));
	eventfd_write(all->event, 1);
	pthread_mutex_lock(&all->lock);
	notifier->begin = (notifier->begin + header.len) % WIRE_NOTIFY_WINDOW;
	notifier->size -= header.len;
	notifier->done += header.len;
}

static _Noreturn void *run(void *argument)
{
	struct notifications *all = argument;

	pthread_mutex_lock(&all->lock);
	for (;;) {
		struct notifier *notifier = next_filled(all);

		if (notifier)
			hand_over(all, notifier);
		else
			pthread_cond_wait(&all->filled, &all->lock);
	}
}

/* --- the relay --- */

static struct notifications *start(struct relay *relay, struct error *err)
{
	struct notifications *all = calloc(1, sizeof(*all));
	pthread_attr_t attributes;
	int result;

	if (!all) {
		error_set(err, ENOMEM, "notifications");
		return NULL;
	}
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->filled, NULL);
	all->event = relay->notify_event;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 128u << 10);
	result = pthread_create(&all->thread, &attributes, run, all);
	pthread_attr_destroy(&attributes);
	if (result) {
		error_set(err, result, "thread for notifications");
		free(all);
		return NULL;
	}
	relay->notifications = all;
	return all;
}

/* One for the stream, in the list. */
static struct notifier *add(struct notifications *all, struct stream *stream, struct error *err)
{
	struct notifier *notifier = calloc(1, sizeof(*notifier));

	if (!notifier) {
		error_set(err, ENOMEM, "notifications");
		return NULL;
	}
	notifier->fd = dup(stream->fd);
	if (notifier->fd < 0) {
		error_set(err, errno, "dup");
		free(notifier);
		return NULL;
	}
	stream->notifier = notifier;
	pthread_mutex_lock(&all->lock);
	notifier->next = all->notifiers;
	all->notifiers = notifier;
	pthread_mutex_unlock(&all->lock);
	return notifier;
}

/* Under the lock. */
static void copy_in(struct notifier *notifier, const uint8_t *message, uint32_t size)
{
	uint32_t at = (notifier->begin + notifier->size) % WIRE_NOTIFY_WINDOW;
	uint32_t part = WIRE_NOTIFY_WINDOW - at;

	if (part > size)
		part = size;
	memcpy(notifier->ring + at, message, part);
	memcpy(notifier->ring, message + part, size - part);
	notifier->size += size;
}

int notify_put(struct relay *relay, struct stream *stream, const uint8_t *message, size_t size,
	       struct error *err)
{
	struct notifications *all = relay->notifications;
	struct notifier *notifier = stream->notifier;
	bool fits;

	if (stream->fd < 0)
		return 0;
	if (!all)
		all = start(relay, err);
	if (all && !notifier)
		notifier = add(all, stream, err);
	if (!notifier)
		return -1;
	pthread_mutex_lock(&all->lock);
	fits = size <= WIRE_NOTIFY_WINDOW - notifier->size - notifier->done;
	if (fits) {
		copy_in(notifier, message, (uint32_t)size);
		pthread_cond_signal(&all->filled);
	}
	pthread_mutex_unlock(&all->lock);
	return fits ? 0
		    : error_set(err, 0, "channel: notifications without credit on stream %u",
				stream->id);
}

bool notify_give_credit(struct relay *relay, struct stream *stream)
{
	struct notifier *notifier = stream->notifier;
	uint8_t body[4];
	bool sent;

	if (!notifier)
		return false;
	pthread_mutex_lock(&relay->notifications->lock);
	wire_encode_credit(body, notifier->done);
	sent = notifier->done &&
	       output_frame(&stream->port->output, WIRE_CREDIT, 0, stream->id, body, sizeof(body));
	if (sent)
		notifier->done = 0;
	pthread_mutex_unlock(&relay->notifications->lock);
	return sent;
}

void notify_end(struct relay *relay, struct stream *stream)
{
	if (!stream->notifier)
		return;
	pthread_mutex_lock(&relay->notifications->lock);
	stream->notifier->ended = true;
	stream->notifier = NULL;
	pthread_cond_signal(&relay->notifications->filled);
	pthread_mutex_unlock(&relay->notifications->lock);
}
