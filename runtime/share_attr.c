/* Attributes of inodes and of the file system. */
#include "share_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void reply_attr(fuse_req_t request, struct share_node *node)
{
	struct stat st;

	if (fstatat(node->fd, "", &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		fuse_reply_err(request, errno);
	else
		fuse_reply_attr(request, &st, share_attr_timeout(node, &st));
}

void share_op_getattr(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi)
{
	CLEANUP_NODE struct share_node *node = share_node_for(request, ino);

	(void)fi;
	if (node)
		reply_attr(request, node);
}

static int set_owner(const struct share_node *node, const struct stat *attr, int set)
{
	uid_t uid = set & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1;
	gid_t gid = set & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1;

	if (!(set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)))
		return 0;
	return fchownat(node->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) ? errno : 0;
}

static int set_mode(const struct share_node *node, const struct stat *attr, int set)
{
	if (!(set & FUSE_SET_ATTR_MODE))
		return 0;
	if (node->type == S_IFLNK)
		return EOPNOTSUPP;
	return chmod(share_node_path(node).text, attr->st_mode & 07777) ? errno : 0;
}

/* By the open file if there is one: it may be writable to its owner alone. */
static int set_size(const struct share_node *node, const struct stat *attr, int set,
		    const struct fuse_file_info *fi)
{
	CLEANUP_HANDLE struct share_handle *handle = NULL;

	if (!(set & FUSE_SET_ATTR_SIZE))
		return 0;
	if (node->type != S_IFREG)
		return node->type == S_IFDIR ? EISDIR : EINVAL;
	if (!fi)
		return truncate(share_node_path(node).text, attr->st_size) ? errno : 0;
	handle = share_handle_get(node->share, fi->fh, node->id, SHARE_FILE);
	if (!handle)
		return EBADF;
	return ftruncate(handle->fd, attr->st_size) ? errno : 0;
}

static struct timespec time_for(int set, int given, int now, struct timespec value)
{
	if (set & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	if (set & given)
		return value;
	return (struct timespec){ .tv_nsec = UTIME_OMIT };
}

static int set_times(const struct share_node *node, const struct stat *attr, int set)
{
	const struct timespec times[2] = {
		time_for(set, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, attr->st_atim),
		time_for(set, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, attr->st_mtim),
	};

	if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
		return 0;
	return utimensat(node->fd, "", times, AT_EMPTY_PATH) ? errno : 0;
}

void share_op_setattr(fuse_req_t request, fuse_ino_t ino, struct stat *attr, int set,
		      struct fuse_file_info *fi)
{
	CLEANUP_NODE struct share_node *node = share_node_for(request, ino);
	int errnum;

	if (!node)
		return;
	/* the owner first: changing it takes set-uid bits off the mode */
	errnum = set_owner(node, attr, set);
	if (!errnum)
		errnum = set_mode(node, attr, set);
	if (!errnum)
		errnum = set_size(node, attr, set, fi);
	if (!errnum)
		errnum = set_times(node, attr, set);
	if (errnum)
		fuse_reply_err(request, errnum);
	else
		reply_attr(request, node);
}

void share_op_statfs(fuse_req_t request, fuse_ino_t ino)
{
	CLEANUP_NODE struct share_node *node = share_node_for(request, ino);
	struct statvfs st;

	if (!node)
		return;
	share_wait_for_returns();
	if (fstatvfs(node->fd, &st))
		fuse_reply_err(request, errno);
	else
		fuse_reply_statfs(request, &st);
}

int share_sync(struct share *share)
{
	CLEANUP_NODE struct share_node *root = share_node_get(share, SHARE_ROOT_ID);
	CLEANUP_CLOSE int fd = root ? share_node_open(root, O_RDONLY) : -ESTALE;

	if (fd < 0)
		return -fd;
	return syncfs(fd) ? errno : 0;
}
