/*
 * Open directories. Offsets are the host file system's own, so that telldir and
 * seekdir hold across requests; entries are read ahead in stretches, and a
 * request for another offset than the next one seeks.
 */
#include "share_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

void share_op_opendir(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi)
{
	CLEANUP_NODE struct share_node *node = share_directory_for(request, ino);
	uint64_t id;
	int fd, errnum;

	if (!node)
		return;
	fd = openat(node->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		fuse_reply_err(request, share_open_errno());
		return;
	}
	errnum = share_handle_new(node, SHARE_DIRECTORY, fd, false, &id);
	if (errnum) {
		fuse_reply_err(request, errnum);
		return;
	}
	fi->fh = id;
	fuse_reply_open(request, fi);
}

static int seek_to(struct share_handle *handle, off_t offset)
{
	if (!handle->entries) {
		handle->entries = malloc(SHARE_ENTRIES_SIZE);
		if (!handle->entries)
			return ENOMEM;
	}
	if (handle->offset == offset)
		return 0;
	handle->entries_end = handle->entries_next = 0;
	if (lseek(handle->fd, offset, SEEK_SET) < 0)
		return errno;
	handle->offset = offset;
	return 0;
}

/* The entry at the handle's offset, NULL at the end (*errnum 0) or on an error. */
static const struct dirent64 *peek(struct share_handle *handle, int *errnum)
{
	*errnum = 0;
	if (handle->entries_next == handle->entries_end) {
		ssize_t n = getdents64(handle->fd, handle->entries, SHARE_ENTRIES_SIZE);

		handle->entries_next = handle->entries_end = 0;
		if (n < 0)
			*errnum = errno;
		if (n <= 0)
			return NULL;
		handle->entries_end = (size_t)n;
	}
	return (const struct dirent64 *)(handle->entries + handle->entries_next);
}

static void advance(struct share_handle *handle, const struct dirent64 *entry)
{
	handle->offset = entry->d_off;
	handle->entries_next += entry->d_reclen;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static struct stat entry_stat(const struct share_node *node, const struct dirent64 *entry)
{
	struct stat st = { .st_ino = entry->d_ino, .st_mode = DTTOIF(entry->d_type) };

	/* what lies above the share is not the guest's business */
	if (node->id == SHARE_ROOT_ID && strcmp(entry->d_name, "..") == 0)
		st.st_ino = node->ino;
	return st;
}

static size_t add_plain(fuse_req_t request, const struct share_node *node,
			const struct dirent64 *entry, char *buffer, size_t room)
{
	struct stat st = entry_stat(node, entry);

	return fuse_add_direntry(request, buffer, room, entry->d_name, &st, entry->d_off);
}

/*
 * With attributes and one lookup counted, which costs no fd. "." and "..", and
 * what is gone meanwhile, go without: node id 0.
 */
static size_t add_plus(fuse_req_t request, struct share_node *node, const struct dirent64 *entry,
		       char *buffer, size_t room)
{
	size_t size = fuse_add_direntry_plus(request, NULL, 0, entry->d_name, NULL, 0);
	struct fuse_entry_param param;

	if (size > room)
		return size;
	if (is_dots(entry->d_name) || share_lookup(node, entry->d_name, &param)) {
		memset(&param, 0, sizeof(param));
		param.attr = entry_stat(node, entry);
	}
	return fuse_add_direntry_plus(request, buffer, room, entry->d_name, &param, entry->d_off);
}

/* Behind the last entry of a directory, which no kernel takes for one: ours then asks no more. */
#define END_SIZE 8

/* Returns 0 with *used bytes of entries in buffer, or an errno. */
static int fill(fuse_req_t request, struct share_node *node, struct share_handle *handle,
		char *buffer, size_t size, bool plus, size_t *used)
{
	const struct dirent64 *entry;
	int errnum;

	while ((entry = peek(handle, &errnum))) {
		size_t room = size - *used;
		size_t n = plus ? add_plus(request, node, entry, buffer + *used, room)
				: add_plain(request, node, entry, buffer + *used, room);

		if (n > room)
			return 0;
		*used += n;
		advance(handle, entry);
	}
	if (!*used)
		return errnum;
	if (!errnum && node->share->tells_end && size - *used >= END_SIZE) {
		memset(buffer + *used, 0, END_SIZE);
		*used += END_SIZE;
	}
	return 0;
}

static void read_directory(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
			   const struct fuse_file_info *fi, bool plus)
{
	CLEANUP_NODE struct share_node *node = share_directory_for(request, ino);
	CLEANUP_HANDLE struct share_handle *handle = NULL;
	char *buffer = share_worker()->buffer;
	size_t used = 0;
	int errnum;

	if (!node)
		return;
	handle = share_handle_for(request, fi->fh, ino, SHARE_DIRECTORY);
	if (!handle)
		return;
	if (size > SHARE_MAX_IO)
		size = SHARE_MAX_IO;
	pthread_mutex_lock(&handle->lock);
	errnum = seek_to(handle, offset);
	if (!errnum)
		errnum = fill(request, node, handle, buffer, size, plus, &used);
	pthread_mutex_unlock(&handle->lock);
	if (errnum)
		fuse_reply_err(request, errnum);
	else
		fuse_reply_buf(request, buffer, used);
}

void share_op_readdir(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *fi)
{
	read_directory(request, ino, size, offset, fi, false);
}

void share_op_readdirplus(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
			  struct fuse_file_info *fi)
{
	read_directory(request, ino, size, offset, fi, true);
}

void share_op_releasedir(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *fi)
{
	bool known = share_handle_release(share_of(request), fi->fh, ino, SHARE_DIRECTORY);

	fuse_reply_err(request, known ? 0 : EBADF);
}

void share_op_fsyncdir(fuse_req_t request, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	CLEANUP_HANDLE struct share_handle *handle =
		share_handle_for(request, fi->fh, ino, SHARE_DIRECTORY);
	int result;

	if (!handle)
		return;
	result = datasync ? fdatasync(handle->fd) : fsync(handle->fd);
	fuse_reply_err(request, result ? errno : 0);
}
