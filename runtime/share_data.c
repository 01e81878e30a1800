/*
 * Open files. Write-through: what a WRITE was answered for is in the host's page
 * cache, and survives the VM. Never FOPEN_DIRECT_IO: MAP_SHARED needs the
 * guest's page cache, which AUTO_INVAL_DATA keeps honest.
 */
#include "share_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

/* Longest stretch that one COPY_FILE_RANGE keeps a worker busy with, bytes. */
#define COPY_MAX (64u << 20)

/*
 * Flags of the guest's open that mean something on our fd. O_DIRECT would ask
 * for aligned buffers; what else there is concerns the guest's kernel alone.
 */
static int host_flags(int flags)
{
	return flags & (O_ACCMODE | O_APPEND | O_TRUNC | O_SYNC | O_NOATIME);
}

/*
 * The guest's pages stay valid across open (AUTO_INVAL_DATA drops them when
 * mtime or size moved). Nothing is written back at a close, so it needs no FLUSH,
 * which is a round trip; but POSIX locks end with a close, and no guest's kernel
 * other than ours tells of it then.
 */
static void opened(const struct share *share, struct fuse_file_info *fi, uint64_t id)
{
	fi->fh = id;
	fi->keep_cache = 1;
	fi->noflush = share->flush_if_locked;
}

/* Takes fd. Returns 0 with fi ready for the reply, or an errno. */
static int keep_open(struct share_node *node, int fd, int flags, struct fuse_file_info *fi)
{
	uint64_t id;
	int errnum = share_handle_new(node, SHARE_FILE, fd, flags & O_APPEND, &id);

	if (!errnum)
		opened(node->share, fi, id);
	return errnum;
}

/* Opens a file that is there. Returns 0 or an errno. */
static int open_node(struct share_node *node, int flags, struct fuse_file_info *fi)
{
	int fd;

	if (node->type == S_IFDIR)
		return EISDIR;
	fd = share_node_open(node, host_flags(flags));
	return fd < 0 ? -fd : keep_open(node, fd, flags, fi);
}

void share_op_open(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi)
{
	CLEANUP_NODE struct share_node *node = share_node_for(request, ino);
	int errnum;

	if (!node)
		return;
	errnum = open_node(node, fi->flags, fi);
	if (errnum)
		fuse_reply_err(request, errnum);
	else
		fuse_reply_open(request, fi);
}

/* The name of a file without one: in no other request it may hold a '/'. */
static bool is_tmpfile(const char *name)
{
	return name[0] == '/';
}

/* A new file, made by the caller. Returns its fd or a negative errno. */
static int create_file(fuse_req_t request, const struct share_node *directory, const char *name,
		       mode_t mode, int flags)
{
	const int kind = is_tmpfile(name) ? O_TMPFILE | (flags & O_EXCL) : O_CREAT | O_EXCL;
	int fd, errnum = share_be_caller(request);

	if (errnum)
		return -errnum;
	fd = openat(directory->fd, is_tmpfile(name) ? "." : name,
		    host_flags(flags) | kind | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, mode & 07777);
	errnum = share_open_errno();
	share_be_self();
	return fd < 0 ? -errnum : fd;
}

/* The node of what is in entry, which the guest has been counted to know. */
static struct share_node *entry_node(struct share *share, const struct fuse_entry_param *entry)
{
	return share_node_get(share, entry->ino);
}

/* Returns 0 with entry and fi filled, or an errno. */
static int create_or_open(fuse_req_t request, struct share_node *directory, const char *name,
			  mode_t mode, struct fuse_file_info *fi, struct fuse_entry_param *entry)
{
	struct share *share = directory->share;
	CLEANUP_CLOSE int fd = create_file(request, directory, name, mode, fi->flags);
	CLEANUP_NODE struct share_node *node = NULL;
	int errnum;

	if (fd >= 0)
		errnum = share_lookup_fd(directory, is_tmpfile(name) ? NULL : name, fd, entry);
	else if (fd == -EEXIST && !(fi->flags & O_EXCL) && !is_tmpfile(name))
		/* the host made one meanwhile; it may be a FIFO: no O_CREAT on it */
		errnum = share_lookup(directory, name, entry);
	else
		errnum = -fd;
	if (errnum)
		return errnum;
	node = entry_node(share, entry);
	if (!node) {
		/* ESTALE: forgotten before it was told, a hostile kernel */
		errnum = errno;
		share_forget(share, entry->ino, 1);
		return errnum;
	}
	if (is_tmpfile(name))
		share_place_removed(node, NULL, NULL);
	if (fd >= 0)
		errnum = keep_open(node, steal_fd(&fd), fi->flags, fi);
	else
		errnum = open_node(node, fi->flags, fi);
	if (errnum)
		share_forget(share, entry->ino, 1);
	return errnum;
}

void share_op_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
		     struct fuse_file_info *fi)
{
	CLEANUP_NODE struct share_node *directory = share_directory_for(request, parent);
	struct fuse_entry_param entry = { 0 };
	int errnum;

	if (!directory)
		return;
	errnum = create_or_open(request, directory, name, mode, fi, &entry);
	if (errnum)
		fuse_reply_err(request, errnum);
	else
		fuse_reply_create(request, &entry, fi);
}

static void advance(struct share_data *data, size_t size)
{
	while (size) {
		struct iovec *piece = &data->pieces[data->first];
		size_t part = size < piece->iov_len ? size : piece->iov_len;

		piece->iov_base = (char *)piece->iov_base + part;
		piece->iov_len -= part;
		size -= part;
		if (!piece->iov_len)
			data->first++;
	}
}

/* As pread, or to where the guest wants to have it. */
static ssize_t read_part(int fd, char *buffer, size_t size, off_t offset)
{
	struct share_data *data = share_worker()->data;
	ssize_t n;

	if (!data)
		return pread(fd, buffer, size, offset);
	n = preadv(fd, data->pieces + data->first, data->count - data->first, offset);
	if (n > 0)
		advance(data, (size_t)n);
	return n;
}

static void reply_read(fuse_req_t request, const char *buffer, size_t size)
{
	const struct share_worker *worker = share_worker();
	const struct fuse_in_header *in = worker->request;
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + size),
		.unique = in->unique,
	};
	const struct iovec iov = { .iov_base = &out, .iov_len = sizeof(out) };

	if (!worker->data) {
		fuse_reply_buf(request, buffer, size);
		return;
	}
	share_send(share_of(request), &iov, 1);
	fuse_reply_none(request);
}

void share_op_read(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
		   struct fuse_file_info *fi)
{
	CLEANUP_HANDLE struct share_handle *handle =
		share_handle_for(request, fi->fh, ino, SHARE_FILE);
	char *buffer = share_worker()->buffer;
	size_t done = 0;

	if (!handle)
		return;
	if (size > SHARE_MAX_IO)
		size = SHARE_MAX_IO;
	/* a short reply would be taken for the end of the file */
	while (done < size) {
		ssize_t n = read_part(handle->fd, buffer + done, size - done, offset + (off_t)done);

		if (n < 0 && done == 0) {
			fuse_reply_err(request, errno);
			return;
		}
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	reply_read(request, buffer, done);
}

/*
 * The open file may have got or lost O_APPEND by fcntl: each WRITE says what
 * holds. The host's kernel has to place what is appended, as the guest's idea of
 * the size may be old; RWF_APPEND would say it per write, but overlayfs drops it.
 */
static int follow_append(struct share_handle *handle, bool append)
{
	int result = 0;

	pthread_mutex_lock(&handle->lock);
	if (handle->append != append) {
		int flags = fcntl(handle->fd, F_GETFL);

		flags = append ? flags | O_APPEND : flags & ~O_APPEND;
		result = fcntl(handle->fd, F_SETFL, flags);
		if (result == 0)
			handle->append = append;
	}
	pthread_mutex_unlock(&handle->lock);
	return result;
}

/*
 * What takes room on the disk is done as the caller: a file system may keep its
 * last blocks for root. An id that cannot be had here is no reason to fail. Ended
 * by share_be_self, which leaves errno alone.
 */
static void be_caller_for_room(fuse_req_t request)
{
	(void)share_be_caller(request);
}

/* As pwrite, or from where the guest has it. */
static ssize_t write_at(int fd, const char *bytes, size_t size, off_t offset)
{
	const struct share_data *data = share_worker()->data;

	return data ? pwritev(fd, data->pieces, data->count, offset)
		    : pwrite(fd, bytes, size, offset);
}

/*
 * A page that was stored to through mmap: the guest's kernel takes any handle
 * that can write, and the offset counts even if that one appends.
 */
static ssize_t write_page(fuse_req_t request, struct share_handle *handle, fuse_ino_t ino,
			  const char *data, size_t size, off_t offset)
{
	CLEANUP_NODE struct share_node *node = NULL;
	CLEANUP_CLOSE int fd = -1;
	bool append;

	pthread_mutex_lock(&handle->lock);
	append = handle->append;
	pthread_mutex_unlock(&handle->lock);
	if (!append)
		return write_at(handle->fd, data, size, offset);
	node = share_node_get(share_of(request), ino);
	if (!node)
		return -1;
	fd = share_node_open(node, O_WRONLY);
	if (fd < 0) {
		errno = -fd;
		return -1;
	}
	return write_at(fd, data, size, offset);
}

void share_op_write(fuse_req_t request, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	CLEANUP_HANDLE struct share_handle *handle =
		share_handle_for(request, fi->fh, ino, SHARE_FILE);
	ssize_t n;

	if (!handle)
		return;
	if (fi->writepage) {
		n = write_page(request, handle, ino, data, size, offset);
	} else {
		n = follow_append(handle, fi->flags & O_APPEND);
		if (n == 0) {
			be_caller_for_room(request);
			n = write_at(handle->fd, data, size, offset);
			share_be_self();
		}
	}
	if (n < 0)
		fuse_reply_err(request, errno);
	else
		fuse_reply_write(request, (size_t)n);
}

/* A close by one of those who have the file open: it ends their locks, and some file systems report errors. */
void share_op_flush(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi)
{
	CLEANUP_HANDLE struct share_handle *handle =
		share_handle_for(request, fi->fh, ino, SHARE_FILE);
	int fd;

	if (!handle)
		return;
	share_locks_of_owner_end(share_of(request), ino, fi->lock_owner);
	fd = fcntl(handle->fd, F_DUPFD_CLOEXEC, 0);
	fuse_reply_err(request, fd < 0 || close(fd) ? errno : 0);
}

void share_op_release(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct share *share = share_of(request);
	bool locked = share_handle_locked(share, fi->fh);
	bool known = share_handle_release(share, fi->fh, ino, SHARE_FILE);

	if (locked)
		share_locks_of_handle_end(share, ino, fi->fh);
	fuse_reply_err(request, known ? 0 : EBADF);
}

void share_op_fsync(fuse_req_t request, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	CLEANUP_HANDLE struct share_handle *handle =
		share_handle_for(request, fi->fh, ino, SHARE_FILE);
	int result;

	if (!handle)
		return;
	result = datasync ? fdatasync(handle->fd) : fsync(handle->fd);
	fuse_reply_err(request, result ? errno : 0);
}

void share_op_fallocate(fuse_req_t request, fuse_ino_t ino, int mode, off_t offset, off_t length,
			struct fuse_file_info *fi)
{
	CLEANUP_HANDLE struct share_handle *handle =
		share_handle_for(request, fi->fh, ino, SHARE_FILE);
	int result;

	if (!handle)
		return;
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
		fuse_reply_err(request, EOPNOTSUPP);
		return;
	}
	be_caller_for_room(request);
	result = fallocate(handle->fd, mode, offset, length);
	share_be_self();
	fuse_reply_err(request, result ? errno : 0);
}

/* What needs the file's map; all other seeking is the guest kernel's own. */
void share_op_lseek(fuse_req_t request, fuse_ino_t ino, off_t offset, int whence,
		    struct fuse_file_info *fi)
{
	CLEANUP_HANDLE struct share_handle *handle =
		share_handle_for(request, fi->fh, ino, SHARE_FILE);
	off_t found;

	if (!handle)
		return;
	if (whence != SEEK_DATA && whence != SEEK_HOLE) {
		fuse_reply_err(request, EINVAL);
		return;
	}
	/* the fd's own offset is used by nothing else */
	found = lseek(handle->fd, offset, whence);
	if (found < 0)
		fuse_reply_err(request, errno);
	else
		fuse_reply_lseek(request, found);
}

void share_op_copy_file_range(fuse_req_t request, fuse_ino_t ino_in, off_t offset_in,
			      struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t offset_out,
			      struct fuse_file_info *fi_out, size_t length, int flags)
{
	CLEANUP_HANDLE struct share_handle *in =
		share_handle_for(request, fi_in->fh, ino_in, SHARE_FILE);
	CLEANUP_HANDLE struct share_handle *out = NULL;
	ssize_t n;

	if (!in)
		return;
	out = share_handle_for(request, fi_out->fh, ino_out, SHARE_FILE);
	if (!out)
		return;
	if (length > COPY_MAX)
		length = COPY_MAX;
	be_caller_for_room(request);
	n = copy_file_range(in->fd, &offset_in, out->fd, &offset_out, length, (unsigned int)flags);
	share_be_self();
	if (n < 0)
		fuse_reply_err(request, errno);
	else
		fuse_reply_write(request, (size_t)n);
}
