/*
 * How long the guest may believe what it is told. What is watched can be
 * believed for long, because the guest hears of changes; the guest's kernel has
 * to have the patch for that (guest/kernel-fuse.patch), without which a reply that is
 * under way can come after the news that it is old.
 *
 * Of files there is more that fanotify tells nobody: what the host stores through
 * a mapping, and that one has got another name, elsewhere, by which it may be
 * written to. SHARE_CACHE_ALWAYS does without; else attributes of files are
 * believed the longer the longer ago their last change is, as NFS does it.
 */
#include "share_internal.h"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <time.h>

#define LONG  3600.0
#define SHORT 1.0
/* Of a file that the host's unseen hands may change; a tenth of its age lies between. */
#define AGED_MAX 60.0

/* Not upstream, see guest/kernel-fuse.patch. */
#define FUSE_EXPIRES_ALL (1ull << 62)
/* guest/kernel-spare.patch: files stay open for a while after their last close. */
#define FUSE_SPARES (1ull << 61)
/* Of these at least, for the thousand that may be open so. */
#define SPARES_FD_LIMIT 16384

static double short_timeout(const struct share *share)
{
	return share->cache == SHARE_CACHE_NONE ? 0 : SHORT;
}

double share_entry_timeout(struct share_node *directory)
{
	if (directory->share->long_lived && share_watch_node(directory))
		return LONG;
	return short_timeout(directory->share);
}

static bool is_covered(const struct share_node *node)
{
	return atomic_load(&node->covered) == share_watch_generation(node->share->watch);
}

static double seconds_since(const struct timespec *then, const struct timespec *now)
{
	return (double)(now->tv_sec - then->tv_sec) + (double)(now->tv_nsec - then->tv_nsec) / 1e9;
}

static double file_timeout(const struct share *share, const struct stat *st)
{
	struct timespec now;
	double age, changed;

	if (share->cache == SHARE_CACHE_ALWAYS)
		return LONG;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	age = seconds_since(&st->st_mtim, &now);
	changed = seconds_since(&st->st_ctim, &now);
	if (changed < age)
		age = changed;
	return age < 10 * SHORT ? SHORT : age > 10 * AGED_MAX ? AGED_MAX : age / 10;
}

double share_attr_timeout(struct share_node *node, const struct stat *st)
{
	const struct share *share = node->share;
	double timeout = short_timeout(share);

	if (!share->long_lived)
		return timeout;
	if (S_ISDIR(st->st_mode))
		return share_watch_holds(node) ? LONG : timeout;
	if (share_watch_holds(node))
		return file_timeout(share, st);
	/* a directory's mark does not report what is done by a name elsewhere */
	if (st->st_nlink > 1 || !is_covered(node)) {
		if (node->type == S_IFREG && share_node_reach(node) == 0)
			share_watch_node(node); /* for the next time: this look came before it */
		return timeout;
	}
	return file_timeout(share, st);
}

void share_cache_found(struct share_node *node, const struct share_node *directory)
{
	if (node->share->long_lived && share_watch_holds(directory))
		atomic_store(&node->covered, share_watch_generation(node->share->watch));
}

/* Others than this host's kernel change them. Where the header has no name: <linux/magic.h>'s kin. */
static const uint32_t remote_types[] = {
	NFS_SUPER_MAGIC, SMB_SUPER_MAGIC,  0xff534d42, /* cifs */
	0xfe534d42,				       /* smb2 */
	V9FS_MAGIC,	 FUSE_SUPER_MAGIC, CEPH_SUPER_MAGIC,  AFS_SUPER_MAGIC,
	AFS_FS_MAGIC,	 CODA_SUPER_MAGIC, OCFS2_SUPER_MAGIC, 0x01161970, /* gfs2 */
	0x0bd00bd0,							  /* lustre */
};

static bool is_remote(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return true;
	for (size_t i = 0; i < sizeof(remote_types) / sizeof(remote_types[0]); i++)
		if ((uint32_t)fs.f_type == remote_types[i])
			return true;
	return false;
}

int share_cache_watch(struct share *share, struct share_watch *watch)
{
	struct share_node *root;
	bool watched;

	if (share->cache == SHARE_CACHE_NONE)
		return 0;
	if (share_notify_init(share))
		return -1;
	share->watch = watch;
	root = share_node_get(share, SHARE_ROOT_ID);
	root->key = is_remote(root->fd) ? 0 : share_watch_key(root->fd, "");
	share_key_add(share, root);
	watched = share_watch_node(root);
	if (!watched) {
		/* an event may have a key that is equal by chance */
		share_key_remove(share, root);
		root->key = 0;
		share->watch = NULL;
		share_notify_free(share);
	}
	share_node_put(root);
	return 0;
}

void share_cache_agree(struct share *share, const struct fuse_init_in *in,
		       struct fuse_init_out *out)
{
	/* that the host mounts something over a name, no watch tells */
	if (share->watch && !share->follows_mounts && in->flags & FUSE_INIT_EXT &&
	    in->flags2 & (uint32_t)(FUSE_EXPIRES_ALL >> 32))
		share->long_lived = true;
	/* a file that is not opened anew may be another on the host: the guest hears of it */
	if (share->long_lived && in->flags2 & (uint32_t)(FUSE_SPARES >> 32) &&
	    share_pool_budget(share->pool)->fd_limit >= SPARES_FD_LIMIT) {
		out->flags |= FUSE_INIT_EXT;
		out->flags2 |= (uint32_t)(FUSE_SPARES >> 32);
	}
}
