/*
 * Operations on names: look up, make, remove, link, rename. A name has passed
 * fuse_request_check, so it is one component that is neither "." nor "..": no
 * call here can leave its directory, and none follows a symlink.
 */
#include "share_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/sysmacros.h>

static void reply_entry(fuse_req_t request, struct share_node *directory, const char *name)
{
	struct fuse_entry_param entry;
	int errnum = share_lookup(directory, name, &entry);

	if (errnum)
		fuse_reply_err(request, errnum);
	else
		fuse_reply_entry(request, &entry);
}

void share_op_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	CLEANUP_NODE struct share_node *directory = share_directory_for(request, parent);
	struct fuse_entry_param entry;
	int errnum;

	if (!directory)
		return;
	errnum = share_lookup(directory, name, &entry);
	if (errnum == ENOENT) {
		/* an absence that may be believed for a while */
		entry.ino = 0;
		errnum = 0;
	}
	if (errnum)
		fuse_reply_err(request, errnum);
	else
		fuse_reply_entry(request, &entry);
}

void share_op_forget(fuse_req_t request, fuse_ino_t ino, uint64_t lookups)
{
	share_forget(share_of(request), ino, lookups);
	fuse_reply_none(request);
}

void share_op_forget_multi(fuse_req_t request, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		share_forget(share_of(request), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(request);
}

void share_op_readlink(fuse_req_t request, fuse_ino_t ino)
{
	CLEANUP_NODE struct share_node *node = share_node_for(request, ino);
	char target[PATH_MAX];
	ssize_t length;

	if (!node)
		return;
	length = readlinkat(node->fd, "", target, sizeof(target) - 1);
	if (length < 0) {
		/* ENOENT is what "not a symlink" is with an empty path */
		fuse_reply_err(request, node->type == S_IFLNK ? errno : EINVAL);
		return;
	}
	target[length] = '\0';
	fuse_reply_readlink(request, target);
}

/* Devices would be the host's; 0:0 is none, but an overlay's whiteout. */
static bool may_make(mode_t mode, dev_t device)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		return true;
	case S_IFCHR:
		return device == makedev(0, 0);
	default:
		return false;
	}
}

void share_op_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
		    dev_t device)
{
	CLEANUP_NODE struct share_node *directory = share_directory_for(request, parent);
	int errnum;

	if (!directory)
		return;
	if (!may_make(mode, device)) {
		fuse_reply_err(request, EPERM);
		return;
	}
	errnum = share_be_caller(request);
	if (!errnum) {
		errnum = mknodat(directory->fd, name, mode & (S_IFMT | 07777), 0) ? errno : 0;
		share_be_self();
	}
	if (errnum)
		fuse_reply_err(request, errnum);
	else
		reply_entry(request, directory, name);
}

void share_op_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
	CLEANUP_NODE struct share_node *directory = share_directory_for(request, parent);
	int errnum;

	if (!directory)
		return;
	errnum = share_be_caller(request);
	if (!errnum) {
		errnum = mkdirat(directory->fd, name, mode & 07777) ? errno : 0;
		share_be_self();
	}
	if (errnum)
		fuse_reply_err(request, errnum);
	else
		reply_entry(request, directory, name);
}

void share_op_symlink(fuse_req_t request, const char *target, fuse_ino_t parent, const char *name)
{
	CLEANUP_NODE struct share_node *directory = share_directory_for(request, parent);
	int errnum;

	if (!directory)
		return;
	errnum = share_be_caller(request);
	if (!errnum) {
		errnum = symlinkat(target, directory->fd, name) ? errno : 0;
		share_be_self();
	}
	if (errnum)
		fuse_reply_err(request, errnum);
	else
		reply_entry(request, directory, name);
}

void share_op_link(fuse_req_t request, fuse_ino_t ino, fuse_ino_t new_parent, const char *name)
{
	CLEANUP_NODE struct share_node *node = share_node_for(request, ino);
	CLEANUP_NODE struct share_node *directory = NULL;

	if (!node)
		return;
	directory = share_directory_for(request, new_parent);
	if (!directory)
		return;
	/* AT_EMPTY_PATH would need CAP_DAC_READ_SEARCH */
	if (linkat(AT_FDCWD, share_node_path(node).text, directory->fd, name, AT_SYMLINK_FOLLOW))
		fuse_reply_err(request, errno);
	else
		reply_entry(request, directory, name);
}

static void remove_name(fuse_req_t request, fuse_ino_t parent, const char *name, int flags)
{
	CLEANUP_NODE struct share_node *directory = share_directory_for(request, parent);
	CLEANUP_NODE struct share_node *child = NULL;

	if (!directory)
		return;
	/* the guest may go on using it: opened before there is no name to find it by */
	child = share_node_child(directory, name);
	if (unlinkat(directory->fd, name, flags)) {
		fuse_reply_err(request, errno);
		return;
	}
	if (child)
		share_place_removed(child, directory, name);
	/* with a RELEASE unanswered the guest's kernel does not FORGET it now, but some time */
	share_wait_for_returns();
	fuse_reply_err(request, 0);
}

void share_op_unlink(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	remove_name(request, parent, name, 0);
}

void share_op_rmdir(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	remove_name(request, parent, name, AT_REMOVEDIR);
}

/* Returns 0 or an errno. What the guest knows of both names is open meanwhile. */
static int rename_name(struct share_node *from, const char *name, struct share_node *to,
		       const char *new_name, unsigned int flags)
{
	CLEANUP_NODE struct share_node *moved = share_node_child(from, name);
	CLEANUP_NODE struct share_node *replaced = share_node_child(to, new_name);

	if (renameat2(from->fd, name, to->fd, new_name, flags))
		return errno;
	/* two names of one inode: nothing was done */
	if (moved == replaced)
		return 0;
	if (replaced && flags & RENAME_EXCHANGE)
		share_place_moved(replaced, from, name);
	else if (replaced)
		share_place_removed(replaced, to, new_name);
	if (moved)
		share_place_moved(moved, to, new_name);
	/* as in remove_name */
	if (replaced)
		share_wait_for_returns();
	return 0;
}

void share_op_rename(fuse_req_t request, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		     const char *new_name, unsigned int flags)
{
	CLEANUP_NODE struct share_node *from = share_directory_for(request, parent);
	CLEANUP_NODE struct share_node *to = NULL;

	if (!from)
		return;
	to = share_directory_for(request, new_parent);
	if (!to)
		return;
	if (flags & ~(unsigned int)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		fuse_reply_err(request, EINVAL);
	else
		fuse_reply_err(request, rename_name(from, name, to, new_name, flags));
}
