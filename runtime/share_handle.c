/*
 * Files and directories that the guest has open. A handle belongs to one node;
 * a request that names it with another node gets EBADF.
 */
#include "share_internal.h"

#include <errno.h>

static void destroy(struct share_handle *handle)
{
	close(handle->fd);
	share_fd_give(handle->share);
	share_node_put(handle->kept);
	pthread_mutex_destroy(&handle->lock);
	free(handle->entries);
	free(handle);
}

int share_handle_new(struct share_node *node, enum share_handle_kind kind, int fd, bool append,
		     uint64_t *id)
{
	CLEANUP_CLOSE int owned = fd;
	struct share *share = node->share;
	struct share_handle *handle;

	if (!share_fd_take(share))
		return ENFILE;
	handle = calloc(1, sizeof(*handle));
	if (!handle) {
		share_fd_give(share);
		return ENOMEM;
	}
	handle->share = share;
	handle->node = node->id;
	handle->kept = share_node_keep(node);
	handle->kind = kind;
	handle->append = append;
	handle->users = 1;
	pthread_mutex_init(&handle->lock, NULL);
	pthread_mutex_lock(&share->lock);
	handle->id = *id = share_table_add(&share->handles, handle);
	pthread_mutex_unlock(&share->lock);
	handle->fd = steal_fd(&owned);
	if (!*id) {
		destroy(handle);
		return ENOMEM;
	}
	return 0;
}

static struct share_handle *find(struct share *share, uint64_t id, uint64_t node,
				 enum share_handle_kind kind)
{
	struct share_handle *handle = share_table_get(&share->handles, id);

	return handle && handle->kind == kind && handle->node == node ? handle : NULL;
}

struct share_handle *share_handle_get(struct share *share, uint64_t id, uint64_t node,
				      enum share_handle_kind kind)
{
	struct share_handle *handle;

	pthread_mutex_lock(&share->lock);
	handle = find(share, id, node, kind);
	if (handle)
		handle->users++;
	pthread_mutex_unlock(&share->lock);
	return handle;
}

struct share_handle *share_handle_for(fuse_req_t request, uint64_t id, uint64_t node,
				      enum share_handle_kind kind)
{
	struct share_handle *handle = share_handle_get(share_of(request), id, node, kind);

	if (!handle)
		fuse_reply_err(request, EBADF);
	return handle;
}

void share_handle_put(struct share_handle *handle)
{
	struct share *share = handle->share;
	bool last;

	pthread_mutex_lock(&share->lock);
	last = --handle->users == 0;
	pthread_mutex_unlock(&share->lock);
	if (last)
		destroy(handle);
}

bool share_handle_release(struct share *share, uint64_t id, uint64_t node,
			  enum share_handle_kind kind)
{
	struct share_handle *handle;

	pthread_mutex_lock(&share->lock);
	handle = find(share, id, node, kind);
	if (handle)
		share_table_remove(&share->handles, id);
	pthread_mutex_unlock(&share->lock);
	if (handle)
		share_handle_put(handle);
	return handle != NULL;
}

bool share_handle_locked(struct share *share, uint64_t id)
{
	const struct share_handle *handle;
	bool locked;

	pthread_mutex_lock(&share->lock);
	handle = share_table_get(&share->handles, id);
	locked = handle && atomic_load(&handle->locked);
	pthread_mutex_unlock(&share->lock);
	return locked;
}

void share_handles_free(struct share *share)
{
	for (uint32_t i = 0; i < share->handles.count; i++)
		if (share->handles.slots[i].object)
			destroy(share->handles.slots[i].object);
	share_table_free(&share->handles);
}
