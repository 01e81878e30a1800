/*
 * Inodes that the guest knows: found by id (from the guest) or by device and
 * inode number (from a lookup), counted as FUSE counts them, held while an
 * operation or a handle uses them. A node that is only known costs no file
 * descriptor (share_reopen.c). The share's lock is never held across a system
 * call that may block.
 */
#include "share_internal.h"

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

/* A new node that nobody has looked up yet, under the lock. NULL with errno. */
static struct share_node *add(struct share *share, const struct stat *st, uint64_t identity,
			      uint64_t key)
{
	struct share_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->id = share_table_add(&share->nodes, node);
	if (!node->id) {
		free(node);
		errno = ENOMEM;
		return NULL;
	}
	node->share = share;
	node->fd = -1;
	node->dev = st->st_dev;
	node->ino = st->st_ino;
	node->type = st->st_mode & S_IFMT;
	node->identity = identity;
	node->key = key;
	share_key_add(share, node);
	if (share->node_count++ >= share->bucket_count)
		grow_buckets(share);
	hash_in(share, node);
	return node;
}

/* Its number is another inode's: the id goes on until it is forgotten, and finds nothing. */
static void make_stale(struct share_node *node)
{
	hash_out(node->share, node);
	node->stale = true;
}

void share_node_retire(struct share_node *node, struct share_node **dead)
{
	while (node && node->lookups == 0 && node->users == 0) {
		struct share_node *parent = node->parent;

		if (node->id) {
			share_key_remove(node->share, node);
			share_table_remove(&node->share->nodes, node->id);
		}
		node->id = 0;
		/* a guest's kernel forgets the children first; this one is needed to find them */
		if (node->children > 0)
			return;
		share_idle_out(node);
		if (!node->stale)
			hash_out(node->share, node);
		node->share->node_count--;
		node->next = *dead;
		*dead = node;
		if (parent)
			parent->children--;
		node = parent;
	}
}

void share_nodes_bury(struct share *share, struct share_node *dead)
{
	while (dead) {
		struct share_node *node = dead;
		int fd = share_node_take_fd(node);

		dead = node->next;
		if (fd >= 0) {
			close(fd);
			share_fd_uncache(share);
		}
		if (node->held)
			share_fd_unhold(share);
		share_node_dismiss(share);
		free(node->name);
		free(node);
	}
}

int share_nodes_init(struct share *share, int root_fd, const struct stat *root)
{
	struct share_node *node;

	share_identity_init(share, root_fd);
	share->bucket_count = 256;
	share->buckets = calloc(share->bucket_count, sizeof(struct share_node *));
	node = share->buckets ? add(share, root, 0, 0) : NULL;
	if (!node) {
		free(share->buckets);
		return -1;
	}
	/* a lookup that nobody made, and a user: it never is idle */
	node->lookups = 1;
	node->users = 1;
	share_node_set_fd(node, root_fd);
	return 0;
}

/* Nobody uses the share any more. */
void share_nodes_free(struct share *share)
{
	struct share_node *dead = NULL;

	/* those without an id go with the last of their children */
	for (uint32_t i = 0; i < share->nodes.count; i++) {
		struct share_node *node = share->nodes.slots[i].object;

		if (!node)
			continue;
		node->lookups = 0;
		node->users = 0;
		share_node_retire(node, &dead);
	}
	share_nodes_bury(share, dead);
	free(share->buckets);
	share_table_free(&share->nodes);
}

void share_node_hold(struct share_node *node)
{
	node->users++;
	share_idle_out(node);
}

void share_node_release(struct share_node *node, struct share_node **dead)
{
	if (--node->users > 0)
		return;
	share_idle_in(node);
	share_node_retire(node, dead);
}

struct share_node *share_node_keep(struct share_node *node)
{
	pthread_mutex_lock(&node->share->lock);
	share_node_hold(node);
	pthread_mutex_unlock(&node->share->lock);
	return node;
}

struct share_node *share_node_get(struct share *share, uint64_t id)
{
	struct share_node *node;
	bool open = false;
	int errnum;

	pthread_mutex_lock(&share->lock);
	node = share_table_get(&share->nodes, id);
	/* one that is forgotten but still in use is over for new requests */
	if (node && (node->lookups == 0 || node->stale))
		node = NULL;
	if (node) {
		share_node_hold(node);
		open = node->fd >= 0;
	}
	pthread_mutex_unlock(&share->lock);
	if (!node) {
		errno = ESTALE;
		return NULL;
	}
	errnum = open ? 0 : share_node_reach(node);
	if (!errnum)
		return node;
	share_node_put(node);
	errno = errnum;
	return NULL;
}

void share_node_put(struct share_node *node)
{
	struct share *share = node->share;
	struct share_node *dead = NULL;

	pthread_mutex_lock(&share->lock);
	share_node_release(node, &dead);
	pthread_mutex_unlock(&share->lock);
	share_nodes_bury(share, dead);
}

struct share_node *share_node_for(fuse_req_t request, uint64_t id)
{
	struct share_node *node = share_node_get(share_of(request), id);

	if (!node)
		fuse_reply_err(request, errno);
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
	struct share_node *node, *dead = NULL;

	/* the root has one lookup that nobody made */
	if (id == SHARE_ROOT_ID)
		return;
	pthread_mutex_lock(&share->lock);
	node = share_table_get(&share->nodes, id);
	if (node && node->lookups > 0) {
		node->lookups -= lookups < node->lookups ? lookups : node->lookups;
		share_node_retire(node, &dead);
	}
	pthread_mutex_unlock(&share->lock);
	share_nodes_bury(share, dead);
}

/* How long the guest may believe the attributes that were found. Puts the node. */
static void believe(struct share_node *node, const struct share_node *directory,
		    struct fuse_entry_param *entry)
{
	share_cache_found(node, directory);
	entry->attr_timeout = share_attr_timeout(node, &entry->attr);
	share_node_put(node);
}

/*
 * One more lookup, under the lock, and the node is held; it is seen as name in directory. Also
 * revives one that is forgotten: while in use its id goes on, else it gets another.
 * Returns 0 or an errno.
 */
static int count(struct share_node *node, struct share_node *directory, const char *name,
		 struct fuse_entry_param *entry, struct share_node **dead)
{
	if (!node->id) {
		node->id = share_table_add(&node->share->nodes, node);
		if (!node->id)
			return ENOMEM;
		node->pending_inode = node->pending_data = false;
		share_key_add(node->share, node);
	}
	node->lookups++;
	entry->ino = node->id;
	if (name)
		share_place_set(node, directory, name, dead);
	share_node_hold(node);
	return 0;
}

/*
 * One more lookup of an inode whose node is open, which keeps its number from being
 * used again, so that equal numbers mean the same inode. Returns 0, an errno, or -1
 * when there is none.
 */
static int enter_open(struct share_node *directory, const char *name,
		      struct fuse_entry_param *entry)
{
	struct share *share = directory->share;
	struct share_node *node, *dead = NULL;
	int result = -1;

	pthread_mutex_lock(&share->lock);
	node = find(share, &entry->attr);
	if (node && node->fd >= 0)
		result = count(node, directory, name, entry, &dead);
	pthread_mutex_unlock(&share->lock);
	share_nodes_bury(share, dead);
	if (!result)
		believe(node, directory, entry);
	return result;
}

/* Under the lock. Returns 0 with *node, an errno, or -1 as enter does. */
static int find_or_add(struct share *share, const struct stat *st, uint64_t identity, uint64_t key,
		       bool sure, struct share_node **node)
{
	*node = find(share, st);
	if (*node && (*node)->fd < 0 && (*node)->identity != identity) {
		if (!sure)
			return -1;
		make_stale(*node);
		*node = NULL;
	}
	if (*node)
		return 0;
	if (!share_node_admit(share))
		return ENFILE;
	*node = add(share, st, identity, key);
	if (*node)
		return 0;
	share_node_dismiss(share);
	return errno;
}

/*
 * One more lookup of any inode. fd is -1, or open on it and cached, and then it is
 * taken. Returns 0, an errno, or -1: the number was another inode's before, or
 * attributes and identity are not of the same one; without an fd that is not sure.
 */
static int enter(struct share_node *directory, const char *name, int fd, uint64_t identity,
		 struct fuse_entry_param *entry)
{
	struct share *share = directory->share;
	struct share_node *node, *dead = NULL;
	uint64_t key = 0;
	int result;

	if (share->watch)
		key = share->handles_work ? identity : share_watch_key(fd, "");
	pthread_mutex_lock(&share->lock);
	result = find_or_add(share, &entry->attr, identity, key, fd >= 0, &node);
	if (!result)
		result = count(node, directory, name, entry, &dead);
	if (!result && fd >= 0 && node->fd < 0) {
		share_node_set_fd(node, fd);
		fd = -1;
	}
	pthread_mutex_unlock(&share->lock);
	if (fd >= 0) {
		close(fd);
		share_fd_uncache(share);
	}
	share_nodes_bury(share, dead);
	if (!result)
		believe(node, directory, entry);
	return result;
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

/* Of path below at: all that there is to know comes from one fd. Returns 0 or an errno. */
static int enter_opened(struct share_node *directory, const char *name, int at, const char *path,
			int flags, struct fuse_entry_param *entry)
{
	struct share *share = directory->share;
	CLEANUP_CLOSE int fd = -1;
	uint64_t identity = 0;
	int errnum;

	if (!share_fd_cache(share))
		return ENFILE;
	fd = openat(at, path, O_PATH | O_CLOEXEC | flags);
	if (fd < 0)
		errnum = share_open_errno();
	else if (fstatat(fd, "", &entry->attr, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		errnum = errno;
	else
		errnum = share_identity(share, fd, "", &identity);
	if (!errnum)
		return enter(directory, name, steal_fd(&fd), identity, entry);
	share_fd_uncache(share);
	return errnum;
}

int share_lookup(struct share_node *directory, const char *name, struct fuse_entry_param *entry)
{
	struct share *share = directory->share;
	uint64_t identity;
	int result;

	entry_init(entry, directory);
	if (is_followed(share, directory->fd, name))
		entry->entry_timeout = 0;
	if (fstatat(directory->fd, name, &entry->attr, AT_SYMLINK_NOFOLLOW))
		return share_open_errno();
	result = enter_open(directory, name, entry);
	if (result < 0 && share->handles_work) {
		result = share_identity(share, directory->fd, name, &identity);
		if (!result)
			result = enter(directory, name, -1, identity, entry);
	}
	/* where identities are weak, the number is kept from being used again */
	if (result < 0)
		result = enter_opened(directory, name, directory->fd, name, O_NOFOLLOW, entry);
	return result;
}

int share_lookup_fd(struct share_node *directory, const char *name, int fd,
		    struct fuse_entry_param *entry)
{
	struct share_path path;

	entry_init(entry, directory);
	if (is_followed(directory->share, fd, ""))
		entry->entry_timeout = 0;
	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
	return enter_opened(directory, name, AT_FDCWD, path.text, 0, entry);
}

struct share_node *share_node_child(struct share_node *directory, const char *name)
{
	struct share *share = directory->share;
	struct share_node *node;
	bool open = false;
	struct stat st;

	if (fstatat(directory->fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return NULL;
	pthread_mutex_lock(&share->lock);
	node = find(share, &st);
	if (node) {
		share_node_hold(node);
		open = node->fd >= 0;
	}
	pthread_mutex_unlock(&share->lock);
	if (!node || open || share_node_reach_in(directory, name, node) == 0)
		return node;
	share_node_put(node);
	return NULL;
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
	return fd < 0 ? -share_open_errno() : fd;
}
