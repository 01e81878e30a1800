/*
 * Inodes that the guest knows: found by id (from the guest) or by device and
 * inode number (from a lookup), counted as FUSE counts them, held while an
 * operation uses them. The share's lock is never held across a system call that
 * may block, but for close.
 *
 * Each node costs a file descriptor. A later eviction of those without open
 * files changes share_node_get (which would open again) and nothing outside.
 */
#include "share_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static size_t bucket_of(const struct share *share, dev_t dev, ino_t ino)
{
	uint64_t hash = ((uint64_t)ino ^ (uint64_t)dev << 40) * 0x9e3779b97f4a7c15u;

	return (hash >> 32) & (share->bucket_count - 1);
}

static struct share_node *find(const struct share *share, const struct stat *st)
{
	struct share_node *node = share->buckets[bucket_of(share, st->st_dev, st->st_ino)];

	while (node && (node->ino != st->st_ino || node->dev != st->st_dev))
		node = node->next;
	return node;
}

static void hash_in(struct share *share, struct share_node *node)
{
	struct share_node **bucket = &share->buckets[bucket_of(share, node->dev, node->ino)];

	node->next = *bucket;
	*bucket = node;
}

static void hash_out(struct share *share, struct share_node *node)
{
	struct share_node **p = &share->buckets[bucket_of(share, node->dev, node->ino)];

	while (*p != node)
		p = &(*p)->next;
	*p = node->next;
}

/* Twice the buckets; without memory the chains just get longer. */
static void grow_buckets(struct share *share)
{
	struct share_node **old = share->buckets;
	size_t old_count = share->bucket_count;
	struct share_node **new = calloc(old_count * 2, sizeof(struct share_node *));

	if (!new)
		return;
	share->buckets = new;
	share->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++) {
		while (old[i]) {
			struct share_node *node = old[i];

			old[i] = node->next;
			hash_in(share, node);
		}
	}
	free(old);
}

/* A new node with one lookup, under the lock. Does not take fd when it fails. */
static struct share_node *add(struct share *share, int fd, const struct stat *st, uint64_t key)
{
	struct share_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->id = share_table_add(&share->nodes, node);
	if (!node->id) {
		free(node);
		return NULL;
	}
	node->share = share;
	node->fd = fd;
	node->dev = st->st_dev;
	node->ino = st->st_ino;
	node->type = st->st_mode & S_IFMT;
	node->lookups = 1;
	node->key = key;
	share_key_add(share, node);
	if (share->node_count++ >= share->bucket_count)
		grow_buckets(share);
	hash_in(share, node);
	return node;
}

/* Forgotten and unused: the id is over, under the lock. */
static void drop(struct share_node *node)
{
	struct share *share = node->share;

	hash_out(share, node);
	share_key_remove(share, node);
	share_table_remove(&share->nodes, node->id);
	share->node_count--;
	close(node->fd);
	share_fd_give(share);
	free(node);
}

int share_nodes_init(struct share *share, int root_fd, const struct stat *root)
{
	share->bucket_count = 256;
	share->buckets = calloc(share->bucket_count, sizeof(struct share_node *));
	if (!share->buckets || !add(share, root_fd, root, 0)) {
		free(share->buckets);
		return -1;
	}
	return 0;
}

void share_nodes_free(struct share *share)
{
	for (uint32_t i = 0; i < share->nodes.count; i++) {
		struct share_node *node = share->nodes.slots[i].object;

		if (!node)
			continue;
		close(node->fd);
		if (node->id != SHARE_ROOT_ID)
			share_fd_give(share);
		free(node);
	}
	free(share->buckets);
	share_table_free(&share->nodes);
}

struct share_node *share_node_get(struct share *share, uint64_t id)
{
	struct share_node *node;

	pthread_mutex_lock(&share->lock);
	node = share_table_get(&share->nodes, id);
	/* one that is forgotten but still in use is over for new requests */
	if (node && node->lookups == 0)
		node = NULL;
	if (node)
		node->users++;
	pthread_mutex_unlock(&share->lock);
	return node;
}

void share_node_put(struct share_node *node)
{
	struct share *share = node->share;

	pthread_mutex_lock(&share->lock);
	if (--node->users == 0 && node->lookups == 0)
		drop(node);
	pthread_mutex_unlock(&share->lock);
}

struct share_node *share_node_for(fuse_req_t request, uint64_t id)
{
	struct share_node *node = share_node_get(share_of(request), id);

	if (!node)
		fuse_reply_err(request, ESTALE);
	return node;
}

struct share_node *share_directory_for(fuse_req_t request, uint64_t id)
{
	CLEANUP_NODE struct share_node *node = share_node_for(request, id);

	if (node && node->type != S_IFDIR) {
		fuse_reply_err(request, ENOTDIR);
		return NULL;
	}
	return steal_pointer(&node);
}

void share_forget(struct share *share, uint64_t id, uint64_t lookups)
{
	struct share_node *node;

	/* the root has one lookup that nobody made */
	if (id == SHARE_ROOT_ID)
		return;
	pthread_mutex_lock(&share->lock);
	node = share_table_get(&share->nodes, id);
	if (node && node->lookups > 0) {
		node->lookups -= lookups < node->lookups ? lookups : node->lookups;
		if (node->lookups == 0 && node->users == 0)
			drop(node);
	}
	pthread_mutex_unlock(&share->lock);
}

/* How long the guest may believe the attributes that were found. */
static void believe(struct share_node *node, const struct share_node *directory,
		    struct fuse_entry_param *entry)
{
	share_cache_found(node, directory);
	entry->attr_timeout = share_attr_timeout(node, &entry->attr);
}

/*
 * One more lookup of an inode that is known already: its node's fd keeps the
 * inode number from being used again, so that equal numbers mean the same inode.
 */
static bool enter_known(struct share *share, const struct share_node *directory,
			struct fuse_entry_param *entry)
{
	struct share_node *node;

	pthread_mutex_lock(&share->lock);
	node = find(share, &entry->attr);
	if (node) {
		/* also revives one that is forgotten but in use: its id goes on */
		node->lookups++;
		node->users++;
		entry->ino = node->id;
	}
	pthread_mutex_unlock(&share->lock);
	if (!node)
		return false;
	believe(node, directory, entry);
	share_node_put(node);
	return true;
}

/* fd is O_PATH, and counted; it is taken. Returns 0 or an errno. */
static int enter_new(struct share *share, const struct share_node *directory, int fd,
		     struct fuse_entry_param *entry)
{
	uint64_t key = share->watch ? share_watch_key(fd) : 0;
	struct share_node *node;

	if (fstatat(fd, "", &entry->attr, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) {
		int errnum = errno;

		close(fd);
		share_fd_give(share);
		return errnum;
	}
	pthread_mutex_lock(&share->lock);
	node = find(share, &entry->attr);
	if (node) {
		/* another thread was faster */
		node->lookups++;
		close(fd);
		share_fd_give(share);
	} else {
		node = add(share, fd, &entry->attr, key);
		if (!node) {
			close(fd);
			share_fd_give(share);
		}
	}
	if (node) {
		entry->ino = node->id;
		node->users++;
	}
	pthread_mutex_unlock(&share->lock);
	if (!node)
		return ENOMEM;
	believe(node, directory, entry);
	share_node_put(node);
	return 0;
}

static void entry_init(struct fuse_entry_param *entry, struct share_node *directory)
{
	memset(entry, 0, sizeof(*entry));
	entry->entry_timeout = share_entry_timeout(directory);
}

/*
 * What the host has mounted below a share that follows its mounts: every fd there,
 * O_PATH too, keeps the host from unmounting it. The guest's kernel forgets a name
 * as soon as nobody uses it when it was never to be believed for a while.
 */
static bool is_followed(const struct share *share, int directory, const char *name)
{
	struct statx status;

	return share->follows_mounts && (statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH,
					       STATX_MNT_ID, &status) ||
					 status.stx_mnt_id != share->mount_id);
}

int share_follow_mounts(struct share *share, int mount)
{
	struct statx status;

	if (statx(mount, "", AT_EMPTY_PATH, STATX_MNT_ID, &status))
		return -1;
	share->follows_mounts = true;
	share->mount_id = status.stx_mnt_id;
	return 0;
}

/* Out of file descriptors is the guest's "table full", whoever's limit it was. */
static int open_errno(void)
{
	return errno == EMFILE ? ENFILE : errno;
}

int share_lookup(struct share_node *directory, const char *name, struct fuse_entry_param *entry)
{
	struct share *share = directory->share;
	int fd;

	entry_init(entry, directory);
	if (is_followed(share, directory->fd, name))
		entry->entry_timeout = 0;
	if (fstatat(directory->fd, name, &entry->attr, AT_SYMLINK_NOFOLLOW))
		return open_errno();
	if (enter_known(share, directory, entry))
		return 0;
	if (!share_fd_take(share))
		return ENFILE;
	fd = openat(directory->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		int errnum = open_errno();

		share_fd_give(share);
		return errnum;
	}
	return enter_new(share, directory, fd, entry);
}

int share_lookup_fd(struct share_node *directory, int fd, struct fuse_entry_param *entry)
{
	struct share *share = directory->share;
	struct share_path path;
	int path_fd;

	entry_init(entry, directory);
	if (is_followed(share, fd, ""))
		entry->entry_timeout = 0;
	if (fstat(fd, &entry->attr))
		return errno;
	if (enter_known(share, directory, entry))
		return 0;
	if (!share_fd_take(share))
		return ENFILE;
	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
	path_fd = open(path.text, O_PATH | O_CLOEXEC);
	if (path_fd < 0) {
		int errnum = open_errno();

		share_fd_give(share);
		return errnum;
	}
	return enter_new(share, directory, path_fd, entry);
}

struct share_path share_node_path(const struct share_node *node)
{
	struct share_path path;

	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", node->fd);
	return path;
}

int share_node_open(const struct share_node *node, int flags)
{
	struct share_path path = share_node_path(node);
	int fd;

	if (node->type != S_IFREG && node->type != S_IFDIR)
		return node->type == S_IFLNK ? -ELOOP : -ENXIO;
	fd = open(path.text, flags | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -open_errno() : fd;
}
