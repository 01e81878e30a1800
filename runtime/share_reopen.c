/*
 * File descriptors of nodes. A node that is only known has none; it is opened when
 * it is used, and closed when the process has as many as it may and no other has
 * been idle for longer. It is found again by the names from the nearest ancestor
 * that is open, one by one, O_PATH|O_NOFOLLOW, never "..", and has to be the inode
 * that it was: else the answer is ESTALE. What is open stays so while it is held.
 *
 * Identity is the file handle (inode number and generation, on most file systems),
 * of which a digest is kept. Where there are none, as on an overlay before Linux
 * 6.6, it is number, type and, but for directories (copying one up changes it), the
 * time of birth. What remains there: a directory that the host replaces by another
 * of the same name and number is taken for the old one, and so is a file that was
 * removed and made anew within the clock's tick, or on a file system without births.
 * Therefore nodes are opened at once there, so that only an eviction lets a number
 * go. A handle that changes by an operation (copied up, on some overlays) is no harm:
 * the node is open meanwhile, and the identity is taken again when it is closed.
 */
#include "share_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

/* Nodes that are tried when their identity cannot be told. */
#define EVICT_TRIES 8

/* --- identity --- */

static bool has_decodable_handles(int fd)
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = { .handle.handle_bytes = MAX_HANDLE_SZ };
	int mount;

	return name_to_handle_at(fd, "", &u.handle, &mount, AT_EMPTY_PATH) == 0;
}

/* Handles that cannot be decoded may lack a generation; an overlay's are its layers'. */
void share_identity_init(struct share *share, int root_fd)
{
	struct statfs fs;

	share->handles_work = has_decodable_handles(root_fd) ||
			      (fstatfs(root_fd, &fs) == 0 && fs.f_type == OVERLAYFS_SUPER_MAGIC &&
			       share_watch_key(root_fd, "") != 0);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 32;
}

static int weak_identity(int fd, const char *name, uint64_t *identity)
{
	struct statx st;

	if (statx(fd, name, AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH),
		  STATX_TYPE | STATX_INO | STATX_BTIME, &st))
		return errno;
	*identity = mix(st.stx_ino, st.stx_mode & S_IFMT);
	if (st.stx_mask & STATX_BTIME && !S_ISDIR(st.stx_mode))
		*identity =
			mix(mix(*identity, (uint64_t)st.stx_btime.tv_sec), st.stx_btime.tv_nsec);
	return 0;
}

int share_identity(const struct share *share, int fd, const char *name, uint64_t *identity)
{
	if (!share->handles_work)
		return weak_identity(fd, name, identity);
	*identity = share_watch_key(fd, name);
	return *identity ? 0 : errno;
}

/* --- idle nodes --- */

void share_node_set_fd(struct share_node *node, int fd)
{
	node->fd = fd;
}

int share_node_take_fd(struct share_node *node)
{
	return steal_fd(&node->fd);
}

void share_idle_in(struct share_node *node)
{
	struct share *share = node->share;

	if (node->idle || node->held || node->users > 0 || node->fd < 0)
		return;
	node->idle = true;
	node->newer = NULL;
	node->older = share->idle_newest;
	if (node->older)
		node->older->newer = node;
	else
		share->idle_oldest = node;
	share->idle_newest = node;
	atomic_fetch_add(&share->idle_count, 1);
}

void share_idle_out(struct share_node *node)
{
	struct share *share = node->share;

	if (!node->idle)
		return;
	node->idle = false;
	if (node->newer)
		node->newer->older = node->older;
	else
		share->idle_newest = node->older;
	if (node->older)
		node->older->newer = node->newer;
	else
		share->idle_oldest = node->newer;
	atomic_fetch_sub(&share->idle_count, 1);
}

static struct share_node *hold_oldest(struct share *share)
{
	struct share_node *node;

	pthread_mutex_lock(&share->lock);
	node = share->idle_oldest;
	/* held, so that its fd stays until its identity is known */
	if (node)
		share_node_hold(node);
	pthread_mutex_unlock(&share->lock);
	return node;
}

/* Under the lock. Events call it by what it is now. */
static void set_identity(struct share_node *node, uint64_t identity)
{
	bool rename = node->share->handles_work && node->id && node->key && node->key != identity;

	node->identity = identity;
	if (!rename)
		return;
	share_key_remove(node->share, node);
	node->key = identity;
	share_key_add(node->share, node);
}

/* Takes the fd of a held node if nobody else has begun to use it. -1: it stays. */
static int let_go(struct share_node *node, int errnum, uint64_t identity)
{
	struct share *share = node->share;
	struct share_node *dead = NULL;
	int fd = -1;

	pthread_mutex_lock(&share->lock);
	if (node->users == 1 && !node->held && !errnum) {
		set_identity(node, identity);
		fd = share_node_take_fd(node);
	}
	share_node_release(node, &dead);
	pthread_mutex_unlock(&share->lock);
	share_nodes_bury(share, dead);
	return fd;
}

bool share_node_evict(struct share *share)
{
	for (int i = 0; i < EVICT_TRIES; i++) {
		struct share_node *node = hold_oldest(share);
		uint64_t identity = 0;
		int errnum, fd;

		if (!node)
			return false;
		errnum = share_identity(share, node->fd, "", &identity);
		fd = let_go(node, errnum, identity);
		if (fd >= 0) {
			close(fd);
			share_fd_uncache(share);
			return true;
		}
	}
	return false;
}

/* --- found again --- */

/* Whether fd is the node's inode: number and all, as its bucket is the number's. */
static int verify(const struct share_node *node, int fd)
{
	uint64_t identity;
	struct stat st;
	int errnum;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return errno;
	if (st.st_ino != node->ino || st.st_dev != node->dev || (st.st_mode & S_IFMT) != node->type)
		return ESTALE;
	errnum = share_identity(node->share, fd, "", &identity);
	return !errnum && identity != node->identity ? ESTALE : errnum;
}

/* Another worker may have been faster. */
static void install(struct share_node *node, int fd)
{
	struct share *share = node->share;

	pthread_mutex_lock(&share->lock);
	if (node->fd < 0) {
		share_node_set_fd(node, fd);
		fd = -1;
	}
	pthread_mutex_unlock(&share->lock);
	if (fd >= 0) {
		close(fd);
		share_fd_uncache(share);
	}
}

static int gone(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR || errnum == ELOOP ? ESTALE : errnum;
}

int share_node_reach_in(struct share_node *directory, const char *name, struct share_node *node)
{
	CLEANUP_CLOSE int fd = -1;
	int errnum;

	if (!share_fd_cache(node->share))
		return ENFILE;
	fd = openat(directory->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	errnum = fd < 0 ? gone(share_open_errno()) : verify(node, fd);
	if (errnum) {
		share_fd_uncache(node->share);
		return errnum;
	}
	install(node, steal_fd(&fd));
	return 0;
}

/* A node and its ancestors up to one that is open, all held. */
struct way {
	struct share_node **nodes;
	size_t count, capacity;
};

static void way_free(struct way *way)
{
	while (way->count > 0)
		share_node_put(way->nodes[--way->count]);
	free(way->nodes);
}

static int way_add(struct way *way, struct share_node *node)
{
	if (way->count == way->capacity) {
		size_t capacity = way->capacity ? way->capacity * 2 : 16;
		struct share_node **nodes =
			reallocarray(way->nodes, capacity, sizeof(struct share_node *));

		if (!nodes)
			return ENOMEM;
		way->nodes = nodes;
		way->capacity = capacity;
	}
	share_node_hold(node);
	way->nodes[way->count++] = node;
	return 0;
}

static int climb(struct way *way, struct share_node *node)
{
	pthread_mutex_t *lock = &node->share->lock;
	int errnum = 0;

	pthread_mutex_lock(lock);
	while (!errnum) {
		if (!node || node->stale)
			errnum = ESTALE;
		else if (way->count == SHARE_DEPTH_MAX)
			errnum = ENAMETOOLONG;
		else
			errnum = way_add(way, node);
		if (errnum || node->fd >= 0)
			break;
		node = node->parent;
	}
	pthread_mutex_unlock(lock);
	return errnum;
}

/* Opens node in directory, if that is where it still is. */
static int step(struct share_node *directory, struct share_node *node)
{
	struct share *share = node->share;
	char name[NAME_MAX + 1];
	bool open, moved;

	pthread_mutex_lock(&share->lock);
	open = node->fd >= 0;
	moved = node->parent != directory;
	if (!moved)
		snprintf(name, sizeof(name), "%s", node->name);
	pthread_mutex_unlock(&share->lock);
	if (open)
		return 0;
	return moved ? ESTALE : share_node_reach_in(directory, name, node);
}

static int walk(struct share_node *node)
{
	CLEANUP(way_free) struct way way = { 0 };
	int errnum = climb(&way, node);

	while (!errnum && way.count > 1) {
		errnum = step(way.nodes[way.count - 1], way.nodes[way.count - 2]);
		/* what is above is not needed any more: a long way must not need many fds */
		share_node_put(way.nodes[--way.count]);
	}
	return errnum;
}

int share_node_reach(struct share_node *node)
{
	int errnum = walk(node);

	/* a name on the way may have changed meanwhile, and be known by now */
	return errnum == ESTALE ? walk(node) : errnum;
}
