/* INIT, and the table of what libfuse calls. */
#include "share_internal.h"

/*
 * Capabilities we want if the guest's kernel has them. Not among them, on
 * purpose: WRITEBACK_CACHE (what write() accepted must survive the VM),
 * HANDLE_KILLPRIV (its second version is agreed to in share.c), SPLICE_* (there is
 * no pipe), IOCTL_DIR, EXPORT_SUPPORT (a name "." or ".." is a violation).
 */
#define WANTED                                                                         \
	(FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_DONT_MASK |          \
	 FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | \
	 FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_POSIX_ACL |          \
	 FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS)

/*
 * DONT_MASK: the host's file system applies either the caller's umask or the
 * directory's default ACL, which the guest's kernel cannot decide.
 * CACHE_SYMLINKS: what a symlink says never changes while its inode lives.
 * max_read stays: libfuse takes it as a mount option only and ends the session
 * when it differs; max_write bounds both, as it also sets max_pages.
 */
static void init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want = conn->capable & WANTED;
	conn->max_write = SHARE_MAX_IO;
	if (conn->max_readahead > SHARE_MAX_IO)
		conn->max_readahead = SHARE_MAX_IO;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
}

const struct fuse_lowlevel_ops share_ops = {
	.init = init,
	.lookup = share_op_lookup,
	.forget = share_op_forget,
	.forget_multi = share_op_forget_multi,
	.getattr = share_op_getattr,
	.setattr = share_op_setattr,
	.readlink = share_op_readlink,
	.mknod = share_op_mknod,
	.mkdir = share_op_mkdir,
	.symlink = share_op_symlink,
	.link = share_op_link,
	.unlink = share_op_unlink,
	.rmdir = share_op_rmdir,
	.rename = share_op_rename,
	.open = share_op_open,
	.create = share_op_create,
	.read = share_op_read,
	.write = share_op_write,
	.flush = share_op_flush,
	.release = share_op_release,
	.fsync = share_op_fsync,
	.fallocate = share_op_fallocate,
	.lseek = share_op_lseek,
	.copy_file_range = share_op_copy_file_range,
	.opendir = share_op_opendir,
	.readdir = share_op_readdir,
	.readdirplus = share_op_readdirplus,
	.releasedir = share_op_releasedir,
	.fsyncdir = share_op_fsyncdir,
	.statfs = share_op_statfs,
	.setxattr = share_op_setxattr,
	.getxattr = share_op_getxattr,
	.listxattr = share_op_listxattr,
	.removexattr = share_op_removexattr,
	.getlk = share_op_getlk,
	.setlk = share_op_setlk,
	.flock = share_op_flock,
};
