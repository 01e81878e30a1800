/*
 * What a guest's kernel is told to believe no longer: collected per share, each
 * thing once however often it changed, and sent as far as the guest has given
 * credit (wire.h). When more waits than ENTRIES_MAX or INODES_MAX, the rest is
 * not kept: all entries expire, and all inodes that the guest knows are told.
 *
 * Entries only expire (FUSE_EXPIRE_ONLY), so that what is mounted on or below
 * them in the guest stays: its kernel looks them up again.
 */
#include "share_internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

#define ENTRIES_MAX 4096u
#define INODES_MAX  4096u

struct entry {
	uint64_t directory;
	char name[NAME_MAX + 1];
};

struct inode {
	uint64_t id;
	bool data;
};

struct share_notify {
	struct entry *entries; /* a ring */
	unsigned int entries_first, entries_count;
	struct inode *inodes; /* a ring */
	unsigned int inodes_first, inodes_count;
	bool expire_all;
	bool sweeping;	    /* all nodes are to be told, */
	uint32_t sweep;	    /* from this one in the table on */
	uint32_t in_flight; /* bytes that the guest has not given back */
};

int share_notify_init(struct share *share)
{
	struct share_notify *notify = calloc(1, sizeof(*notify));

	share->notify = notify;
	if (!notify)
		return -1;
	notify->entries = calloc(ENTRIES_MAX, sizeof(*notify->entries));
	notify->inodes = calloc(INODES_MAX, sizeof(*notify->inodes));
	return notify->entries && notify->inodes ? 0 : -1;
}

void share_notify_free(struct share *share)
{
	if (!share->notify)
		return;
	free(share->notify->entries);
	free(share->notify->inodes);
	free(share->notify);
	share->notify = NULL;
}

/* --- collecting, under the share's lock --- */

static void everything(struct share *share)
{
	struct share_notify *notify = share->notify;

	notify->entries_count = notify->inodes_count = 0;
	notify->expire_all = true;
	notify->sweeping = true;
	notify->sweep = 0;
}

void share_notify_entry(struct share *share, const struct share_node *directory, const char *name)
{
	struct share_notify *notify = share->notify;
	unsigned int last = (notify->entries_first + notify->entries_count - 1) % ENTRIES_MAX;
	struct entry *entry = &notify->entries[last];
	size_t length = strlen(name);

	if (length > NAME_MAX)
		return;
	if (notify->entries_count && entry->directory == directory->id &&
	    strcmp(entry->name, name) == 0)
		return;
	if (notify->entries_count == ENTRIES_MAX) {
		everything(share);
		return;
	}
	entry = &notify->entries[(last + 1) % ENTRIES_MAX];
	entry->directory = directory->id;
	memcpy(entry->name, name, length + 1);
	notify->entries_count++;
}

void share_notify_inode(struct share *share, struct share_node *node, bool data)
{
	struct share_notify *notify = share->notify;
	struct inode *inode;

	/* it waits already: perhaps for less */
	if (node->pending_inode && node->pending_data >= data)
		return;
	if (notify->inodes_count == INODES_MAX) {
		everything(share);
		return;
	}
	inode = &notify->inodes[(notify->inodes_first + notify->inodes_count++) % INODES_MAX];
	inode->id = node->id;
	inode->data = data;
	node->pending_inode = true;
	node->pending_data |= data;
}

void share_notify_everything_locked(struct share_pool *pool)
{
	for (struct share *share = share_pool_first(pool); share; share = share->next) {
		pthread_mutex_lock(&share->lock);
		if (share->notify)
			everything(share);
		pthread_mutex_unlock(&share->lock);
	}
}

void share_notify_everything(struct share_pool *pool)
{
	share_pool_lock(pool);
	share_notify_everything_locked(pool);
	share_pool_unlock(pool);
}

/* --- sending, under the share's lock --- */

/* Returns false when the guest has given no credit for it. */
static bool send(struct share *share, int code, const void *body, size_t body_size,
		 const char *name)
{
	struct share_notify *notify = share->notify;
	size_t name_size = name ? strlen(name) + 1 : 0;
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof(header) + body_size + name_size),
		.error = code,
	};
	const struct iovec iov[] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)(uintptr_t)body, .iov_len = body_size },
		{ .iov_base = (void *)(uintptr_t)name, .iov_len = name_size },
	};

	if (notify->in_flight + header.len > WIRE_NOTIFY_WINDOW)
		return false;
	notify->in_flight += header.len;
	share_send_notification(share, iov, name ? 3 : 2);
	return true;
}

static bool send_entry(struct share *share, uint64_t directory, const char *name)
{
	const struct fuse_notify_inval_entry_out out = {
		.parent = directory,
		.namelen = (uint32_t)strlen(name),
		.flags = FUSE_EXPIRE_ONLY,
	};

	return send(share, FUSE_NOTIFY_INVAL_ENTRY, &out, sizeof(out), name);
}

static bool send_inode(struct share *share, uint64_t id, bool data)
{
	const struct fuse_notify_inval_inode_out out = {
		.ino = id, .off = data ? 0 : -1, /* negative: attributes only */
	};

	return send(share, FUSE_NOTIFY_INVAL_INODE, &out, sizeof(out), NULL);
}

static bool send_entries(struct share *share)
{
	struct share_notify *notify = share->notify;

	while (notify->entries_count) {
		const struct entry *entry = &notify->entries[notify->entries_first];

		if (!send_entry(share, entry->directory, entry->name))
			return false;
		notify->entries_first = (notify->entries_first + 1) % ENTRIES_MAX;
		notify->entries_count--;
	}
	return true;
}

static bool send_inodes(struct share *share)
{
	struct share_notify *notify = share->notify;

	while (notify->inodes_count) {
		const struct inode *inode = &notify->inodes[notify->inodes_first];
		struct share_node *node = share_table_get(&share->nodes, inode->id);

		/* cleared first: what changes from here on is told again */
		if (node)
			node->pending_inode = node->pending_data = false;
		if (node && !send_inode(share, inode->id, inode->data)) {
			node->pending_inode = true;
			node->pending_data = inode->data;
			return false;
		}
		notify->inodes_first = (notify->inodes_first + 1) % INODES_MAX;
		notify->inodes_count--;
	}
	return true;
}

/* All nodes, in the order of the table. */
static bool send_sweep(struct share *share)
{
	struct share_notify *notify = share->notify;

	for (; notify->sweep < share->nodes.count; notify->sweep++) {
		struct share_node *node = share->nodes.slots[notify->sweep].object;

		if (!node)
			continue;
		if (!send_inode(share, node->id, true))
			return false;
		node->pending_inode = node->pending_data = false;
	}
	notify->sweeping = false;
	return true;
}

void share_notify_send(struct share *share)
{
	struct share_notify *notify = share->notify;

	if (!notify)
		return;
	pthread_mutex_lock(&share->lock);
	if (notify->expire_all && send_entry(share, 0, ""))
		notify->expire_all = false;
	if (!notify->expire_all && (!notify->sweeping || send_sweep(share)) && send_entries(share))
		send_inodes(share);
	pthread_mutex_unlock(&share->lock);
}

int share_notify_credit(struct share *share, uint32_t bytes, struct error *err)
{
	struct share_notify *notify = share->notify;
	int result = 0;

	pthread_mutex_lock(&share->lock);
	if (!notify || bytes > notify->in_flight)
		result =
			error_set(err, 0, "the guest gave back more credit on a share than it got");
	else
		notify->in_flight -= bytes;
	pthread_mutex_unlock(&share->lock);
	if (!result)
		share_watch_wake(share->watch);
	return result;
}
