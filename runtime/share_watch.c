/*
 * See share_watch.h; fanotify(7). Each directory that the guest has looked into
 * has an inode mark, which reports its entries and the files in it, by file
 * handle: nodes are found by a hash of theirs. Files that have several names, or
 * are shared alone, have marks of their own. Never mount or file system marks:
 * they refuse reports of entries, or show what is not shared.
 *
 * What this process did itself is known to the guest that asked for it, so its
 * events count only where an inode is in more than one share.
 *
 * Marks are not taken back one by one: an inode may be watched for several
 * shares, or not be open here any more. When there are MARKS_MAX, all are
 * dropped, and with them whatever guests believe by them (start_again).
 */
#include "share_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <unistd.h>

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID AT_REMOVEDIR
#endif

#define MARKS_MAX   16384u
#define EVENTS_SIZE (64u << 10)
/* Own events alone are not looked at more often than this. */
#define OWN_EVENTS_NS 2000000

#define DIRECTORY_EVENTS                                                                     \
	(FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_ATTRIB | FAN_MODIFY | \
	 FAN_ONDIR | FAN_EVENT_ON_CHILD)
#define FILE_EVENTS  (FAN_ATTRIB | FAN_MODIFY)
#define ENTRY_EVENTS (FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO)

struct share_watch {
	int group;
	int wake; /* eventfd: something can be sent, or the thread is to end */
	pid_t self;
	pthread_t thread;
	bool running;
	atomic_bool stopping;
	struct share_pool *pool;

	pthread_mutex_t lock; /* of the marks */
	unsigned int marks;
	atomic_uint generation; /* of the marks, never 0 */

	_Alignas(struct fanotify_event_metadata) char events[EVENTS_SIZE]; /* the thread's */
};

/* --- keys --- */

/* FNV-1a of a file handle; equal ones of two file systems cost a needless message. */
static uint64_t key_of(const struct file_handle *handle)
{
	uint64_t key = 0xcbf29ce484222325u ^ (uint64_t)(uint32_t)handle->handle_type;

	for (unsigned int i = 0; i < handle->handle_bytes; i++)
		key = (key ^ handle->f_handle[i]) * 0x100000001b3u;
	return key ? key : 1;
}

uint64_t share_watch_key(int fd, const char *name)
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = { .handle.handle_bytes = MAX_HANDLE_SZ };
	int mount, flags = *name ? 0 : AT_EMPTY_PATH;

	/* as fanotify makes them, where they need not be good for opening; since Linux 6.5 */
	if (name_to_handle_at(fd, name, &u.handle, &mount, flags | AT_HANDLE_FID) == 0)
		return key_of(&u.handle);
	if (errno != EINVAL)
		return 0;
	u.handle.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(fd, name, &u.handle, &mount, flags) == 0)
		return key_of(&u.handle);
	return 0;
}

/* --- marks --- */

/* Everything that was believed because of a mark has to be asked for again. */
static void start_again(struct share_watch *watch)
{
	unsigned int next = atomic_load(&watch->generation) + 1;

	atomic_store(&watch->generation, next ? next : 1);
	fanotify_mark(watch->group, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL);
	watch->marks = 0;
	share_notify_everything(watch->pool);
	share_watch_wake(watch);
}

/* Returns the generation that the mark is of, 0 if there is none. */
static unsigned int add_mark(struct share_watch *watch, uint64_t mask, int directory,
			     const char *path)
{
	unsigned int generation;
	int result;

	pthread_mutex_lock(&watch->lock);
	if (watch->marks >= MARKS_MAX)
		start_again(watch);
	generation = atomic_load(&watch->generation);
	result = fanotify_mark(watch->group, FAN_MARK_ADD, mask, directory, path);
	if (result == 0)
		watch->marks++;
	pthread_mutex_unlock(&watch->lock);
	return result ? 0 : generation;
}

static bool is_current(const struct share_watch *watch, const struct share_node *node)
{
	return atomic_load(&node->watched) == atomic_load(&watch->generation);
}

bool share_watch_node(struct share_node *node)
{
	struct share_watch *watch = node->share->watch;
	bool directory = node->type == S_IFDIR;

	if (!watch || !node->key)
		return false;
	if (is_current(watch, node))
		return true;
	atomic_store(&node->watched, add_mark(watch, directory ? DIRECTORY_EVENTS : FILE_EVENTS,
					      AT_FDCWD, share_node_path(node).text));
	return is_current(watch, node);
}

unsigned int share_watch_generation(const struct share_watch *watch)
{
	return atomic_load(&watch->generation);
}

bool share_watch_holds(const struct share_node *node)
{
	const struct share_watch *watch = node->share->watch;

	return watch && is_current(watch, node);
}

/* --- events --- */

struct event {
	uint64_t mask;
	bool own;
	uint64_t directory, object; /* keys, 0 = not said */
	const char *name;	    /* in the directory */
};

static void read_info(const struct fanotify_event_info_header *header, struct event *event)
{
	const struct fanotify_event_info_fid *fid = (const void *)header;
	const struct file_handle *handle = (const void *)fid->handle;

	switch (header->info_type) {
	case FAN_EVENT_INFO_TYPE_FID:
		event->object = key_of(handle);
		break;
	case FAN_EVENT_INFO_TYPE_DFID_NAME:
		event->name = (const char *)handle->f_handle + handle->handle_bytes;
		event->directory = key_of(handle);
		break;
	case FAN_EVENT_INFO_TYPE_DFID:
		event->directory = key_of(handle);
		break;
	default:
		break;
	}
}

/* What the nodes of one share have to be told. Under the share's lock. */
static void tell(struct share *share, const struct event *event)
{
	bool entry = event->mask & ENTRY_EVENTS;
	struct share_node *node;

	for (node = share_node_of_key(share, event->directory, NULL); node && entry;
	     node = share_node_of_key(share, event->directory, node)) {
		if (event->name)
			share_notify_entry(share, node, event->name);
		share_notify_inode(share, node, false);
	}
	for (node = share_node_of_key(share, event->object, NULL); node;
	     node = share_node_of_key(share, event->object, node))
		share_notify_inode(share, node, event->mask & FAN_MODIFY);
}

/* Under the pool's lock: in how many shares is this known? */
static unsigned int shares_with(struct share_pool *pool, uint64_t key)
{
	unsigned int count = 0;

	for (struct share *share = share_pool_first(pool); share; share = share->next) {
		pthread_mutex_lock(&share->lock);
		count += share_node_of_key(share, key, NULL) != NULL;
		pthread_mutex_unlock(&share->lock);
	}
	return count;
}

static void handle_event(struct share_watch *watch, const struct event *event)
{
	struct share *share = share_pool_first(watch->pool);
	uint64_t key = event->mask & ENTRY_EVENTS ? event->directory : event->object;

	if (event->own && (!share || !share->next || shares_with(watch->pool, key) < 2))
		return;
	for (; share; share = share->next) {
		pthread_mutex_lock(&share->lock);
		tell(share, event);
		pthread_mutex_unlock(&share->lock);
	}
}

static void read_event(struct share_watch *watch, const struct fanotify_event_metadata *data,
		       const char *at)
{
	struct event event = { .mask = data->mask, .own = data->pid == watch->self };
	const char *end = at + data->event_len;

	at += data->metadata_len;
	while (at < end) {
		const struct fanotify_event_info_header *header = (const void *)at;

		read_info(header, &event);
		at += header->len;
	}
	/* of a directory itself */
	if (event.name && strcmp(event.name, ".") == 0) {
		event.name = NULL;
		event.object = event.object ? event.object : event.directory;
	}
	handle_event(watch, &event);
}

/* Returns whether somebody else than this process did something. */
static bool read_events(struct share_watch *watch)
{
	ssize_t size = read(watch->group, watch->events, EVENTS_SIZE);
	struct fanotify_event_metadata data;
	bool others = false;

	share_pool_lock(watch->pool);
	for (const char *at = watch->events; at < watch->events + size; at += data.event_len) {
		/* they lie at multiples of four bytes, and it has members of eight */
		memcpy(&data, at, sizeof(data));
		others |= data.pid != watch->self;
		if (data.mask & FAN_Q_OVERFLOW)
			share_notify_everything_locked(watch->pool);
		else
			read_event(watch, &data, at);
	}
	share_pool_unlock(watch->pool);
	return others;
}

static void send_all(struct share_watch *watch)
{
	share_pool_lock(watch->pool);
	for (struct share *share = share_pool_first(watch->pool); share; share = share->next)
		share_notify_send(share);
	share_pool_unlock(watch->pool);
}

static void *run(void *argument)
{
	const struct timespec pause = { .tv_nsec = OWN_EVENTS_NS };
	struct share_watch *watch = argument;
	struct pollfd fds[] = { { .fd = watch->group, .events = POLLIN },
				{ .fd = watch->wake, .events = POLLIN } };
	eventfd_t ignored;

	while (!atomic_load(&watch->stopping)) {
		bool others = true;

		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			eventfd_read(watch->wake, &ignored);
		if (fds[0].revents)
			others = read_events(watch);
		send_all(watch);
		/* equal ones meet in the kernel's queue meanwhile */
		if (!others && !fds[1].revents)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

/* --- start and end --- */

struct share_watch *share_watch_open(struct error *err)
{
	struct share_watch *watch = calloc(1, sizeof(*watch));

	if (!watch) {
		error_set(err, ENOMEM, "watch of shared files");
		return NULL;
	}
	watch->wake = -1;
	atomic_store(&watch->generation, 1);
	pthread_mutex_init(&watch->lock, NULL);
	watch->group =
		fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE |
				      FAN_UNLIMITED_MARKS | FAN_REPORT_DFID_NAME_TARGET,
			      0);
	if (watch->group >= 0)
		watch->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (watch->wake < 0) {
		error_set(err, errno, "fanotify_init");
		share_watch_close(watch);
		return NULL;
	}
	return watch;
}

int share_watch_start(struct share_watch *watch, struct share_pool *pool)
{
	int result;

	watch->pool = pool;
	watch->self = getpid();
	result = pthread_create(&watch->thread, NULL, run, watch);
	watch->running = result == 0;
	return result;
}

void share_watch_wake(struct share_watch *watch)
{
	eventfd_write(watch->wake, 1);
}

void share_watch_stop(struct share_watch *watch)
{
	if (!watch || !watch->running)
		return;
	atomic_store(&watch->stopping, true);
	share_watch_wake(watch);
	pthread_join(watch->thread, NULL);
	watch->running = false;
}

void share_watch_close(struct share_watch *watch)
{
	if (!watch)
		return;
	if (watch->group >= 0)
		close(watch->group);
	if (watch->wake >= 0)
		close(watch->wake);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}
