/*
 * Opening and closing shares, and the way of replies out of libfuse. See
 * share.h for the interface and share_internal.h for the map of share*.c.
 */
#include "share_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>

/* What a share may be, in words; NULL: that it is. */
static const char *refused_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
	case S_IFREG:
		return NULL;
	case S_IFSOCK:
		return "a socket";
	case S_IFIFO:
		return "a FIFO, which can't join the host with a virtual machine";
	case S_IFCHR:
	case S_IFBLK:
		return "a device, which is the host's and not the virtual machine's";
	default:
		return "neither a directory nor a regular file";
	}
}

int share_protect(int mount, bool readonly, unsigned long propagation, const char *path,
		  struct error *err)
{
	/* symlinks are the guest's to follow: nothing here ever should */
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSYMFOLLOW |
			    (readonly ? MOUNT_ATTR_RDONLY : 0),
		.propagation = propagation,
	};

	if (mount_setattr(mount, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		return error_set(err, errno, "share %s: mount_setattr", path);
	return 0;
}

/* Of our guest's kernel (guest/kernel-fuse.patch): it sends FLUSH for files with locks even when we do without. */
#define FLUSH_IF_LOCKED (1u << 31)
/* guest/kernel-spare.patch: a reply to READDIR can say that there is no more. */
#define DIR_END (1u << 28)

/*
 * The INIT reply is ours to complete: libfuse 3.14 cannot agree to
 * HANDLE_KILLPRIV_V2, without which the guest asks for security.capability
 * before each write. What it asks of us is in share_pool.c.
 */
static void complete_init(struct share *share, const struct iovec *iov, int count,
			  struct fuse_init_out *out, struct iovec changed[2])
{
	const struct fuse_in_header *header = share_worker()->request;
	const struct fuse_init_in *in = (const void *)(header + 1);

	memcpy(changed, iov, (size_t)count * sizeof(*iov));
	if (count != 2 || iov[1].iov_len != sizeof(*out))
		return; /* an error */
	memcpy(out, iov[1].iov_base, sizeof(*out));
	out->flags |= in->flags & FUSE_HANDLE_KILLPRIV_V2;
	share_cache_agree(share, in, out);
	share->flush_if_locked = in->flags & FUSE_INIT_EXT && in->flags2 & FLUSH_IF_LOCKED;
	share->tells_end = in->flags & FUSE_INIT_EXT && in->flags2 & DIR_END;
	if (share->tells_end) {
		out->flags |= FUSE_INIT_EXT;
		out->flags2 |= DIR_END;
	}
	changed[1].iov_base = out;
}

static ssize_t send_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	struct share *share = userdata;
	struct iovec changed[2];
	struct fuse_init_out init;
	ssize_t size = 0;

	(void)fd;
	if (share_hold_back(iov, count))
		return (ssize_t)iov[0].iov_len;
	/* nothing else is let through before INIT is answered */
	if (!atomic_load(&share->ready) && count <= 2) {
		complete_init(share, iov, count, &init, changed);
		iov = changed;
		atomic_store(&share->ready, true);
	}
	for (int i = 0; i < count; i++)
		size += (ssize_t)iov[i].iov_len;
	share_send(share, iov, count);
	return size;
}

/* libfuse wants one, but share_submit is the only way in. */
static ssize_t read_nothing(int fd, void *buf, size_t size, void *userdata)
{
	(void)fd;
	(void)buf;
	(void)size;
	(void)userdata;
	return -EIO;
}

static int start_session(struct share *share, struct error *err)
{
	static const struct fuse_custom_io io = { .writev = send_reply, .read = read_nothing };
	char name[] = "share";
	char *argv[] = { name, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	int fd, result;

	share->session = fuse_session_new(&args, &share_ops, sizeof(share_ops), share);
	fuse_opt_free_args(&args);
	if (!share->session)
		return error_set(err, 0, "libfuse makes no session");
	/* never used, but libfuse wants one to close */
	fd = eventfd(0, EFD_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "eventfd");
	result = fuse_session_custom_io(share->session, &io, fd);
	if (result) {
		close(fd);
		return error_set(err, -result, "fuse_session_custom_io");
	}
	return 0;
}

struct share *share_new(int mount, const char *path, enum share_cache cache, bool *directory,
			struct error *err)
{
	CLEANUP_CLOSE int owned = mount;
	struct share *share;
	const char *refused;
	struct stat st;

	if (fstat(mount, &st)) {
		error_set(err, errno, "share %s: fstat", path);
		return NULL;
	}
	refused = refused_type(st.st_mode);
	if (refused) {
		error_set(err, 0, "share %s: it is %s", path, refused);
		return NULL;
	}
	share = calloc(1, sizeof(*share));
	if (!share || share_nodes_init(share, mount, &st)) {
		free(share);
		error_set(err, ENOMEM, "share %s", path);
		return NULL;
	}
	steal_fd(&owned);
	share->decoder.max_io = SHARE_MAX_IO;
	share->cache = cache;
	pthread_mutex_init(&share->lock, NULL);
	pthread_mutex_init(&share->locks, NULL);
	if (start_session(share, err)) {
		error_prefix(err, "share %s", path);
		share_close(share);
		return NULL;
	}
	*directory = S_ISDIR(st.st_mode);
	return share;
}

/*
 * Clones the mount before it looks at what it is: a second walk of the path
 * could end elsewhere, and an fd into the host's own mounts, however short its
 * life, can make the engine's umount fail.
 */
struct share *share_open(const char *path, bool readonly, enum share_cache cache, bool *directory,
			 struct error *err)
{
	CLEANUP_CLOSE int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0) {
		error_set(err, errno, "share %s", path);
		return NULL;
	}
	if (share_protect(fd, readonly, MS_PRIVATE, path, err))
		return NULL;
	return share_new(steal_fd(&fd), path, cache, directory, err);
}

void share_close(struct share *share)
{
	if (!share)
		return;
	share_withdraw(share);
	if (share->session)
		fuse_session_destroy(share->session);
	share_locks_free(share);
	share_handles_free(share);
	share_nodes_free(share);
	share_keys_free(share);
	share_notify_free(share);
	pthread_mutex_destroy(&share->locks);
	pthread_mutex_destroy(&share->lock);
	free(share);
}
