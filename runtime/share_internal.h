/*
 * Inside of the file shares (share.h): what share*.c have in common. Not for
 * others.
 *
 *   share.c            open, close, replies on their way out
 *   share_pool.c       queue, workers and what a worker may do as whom
 *   share_table.c      ids that a guest may hold, instead of pointers
 *   share_node.c       inodes the guest knows
 *   share_handle.c     files and directories the guest has open
 *   share_ops.c        INIT and the table of operations
 *   share_names.c      operations on names
 *   share_attr.c       attributes
 *   share_data.c       open files
 *   share_directory.c  open directories
 *   share_xattr.c      extended attributes
 */
#ifndef VXN_SHARE_INTERNAL_H
#define VXN_SHARE_INTERNAL_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <linux/capability.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "fuse_request.h"
#include "share.h"

/* How long the guest may believe a name, an absence or an attribute, seconds. */
#define SHARE_TIMEOUT 1.0

#define SHARE_ROOT_ID 1

/* --- share_table.c --- */

/*
 * Objects by id. An id is a slot's number and how often the slot was used
 * before, so that one that is over, or made up, finds nothing. The first id of
 * a table is 1, no id is 0. Not locked.
 */
struct share_slot {
	void *object;
	uint32_t generation;
	uint32_t next_free; /* index + 1, 0 = none */
};

struct share_table {
	struct share_slot *slots;
	uint32_t count;
	uint32_t capacity;
	uint32_t free; /* index + 1 of the first free slot, 0 = none */
};

uint64_t share_table_add(struct share_table *table, void *object); /* 0: no memory */
void *share_table_get(const struct share_table *table, uint64_t id);
void share_table_remove(struct share_table *table, uint64_t id);
void share_table_free(struct share_table *table);

/* --- share.c --- */

struct share {
	struct fuse_session *session;
	struct share_pool *pool; /* NULL until served */
	void *cookie;
	struct fuse_request_state decoder; /* of the submitting thread */
	atomic_bool ready;		   /* INIT was answered */
	struct share *next;		   /* in the pool, under its lock */
	unsigned int active;		   /* requests queued or under way, under the pool's lock */

	pthread_mutex_t lock; /* of all below */
	struct share_table nodes;
	struct share_node **buckets; /* nodes by device and inode number */
	size_t bucket_count;	     /* a power of two */
	size_t node_count;
	struct share_table handles;
};

static inline struct share *share_of(fuse_req_t request)
{
	return fuse_req_userdata(request);
}

/* --- share_pool.c --- */

struct share_worker {
	struct share_pool *pool;
	pthread_t thread;
	char *buffer; /* SHARE_MAX_IO bytes, for replies */
	struct __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];
	const void *request; /* the message being served */
};

/* The worker that runs the caller. */
struct share_worker *share_worker(void);

/* Hands a whole message to the owner of the share. */
void share_send(struct share *share, const struct iovec *iov, int count);

/* Drops what is queued for the share and waits for what is under way. */
void share_withdraw(struct share *share);

/*
 * One more file descriptor for a node or a handle. False when only those are
 * left that the process needs for itself; spare asks for the part that is not
 * to be used up by what can be done without.
 */
bool share_fd_take(struct share *share);
void share_fd_give(struct share *share);
bool share_fd_spare(const struct share *share);

/*
 * From here on the thread creates files as the request's uid, gid and umask;
 * share_be_self ends it. Returns 0 or an errno.
 */
int share_be_caller(fuse_req_t request);
void share_be_self(void);

/* --- share_node.c --- */

/*
 * An inode that the guest knows. Its fd is O_PATH: it keeps the inode alive, so
 * that (dev, ino) names it as long as the node exists.
 */
struct share_node {
	struct share *share;
	uint64_t id;
	int fd;
	dev_t dev;
	ino_t ino;
	mode_t type;		 /* S_IFMT bits */
	uint64_t lookups;	 /* that the guest has not forgotten */
	unsigned int users;	 /* operations under way */
	struct share_node *next; /* in its bucket */
};

int share_nodes_init(struct share *share, int root_fd, const struct stat *root);
void share_nodes_free(struct share *share);

/* Holds the node against FORGET until it is put. NULL: no such node. */
struct share_node *share_node_get(struct share *share, uint64_t id);
void share_node_put(struct share_node *node);

/* As share_node_get, but answers the request itself: ESTALE, or ENOTDIR. */
struct share_node *share_node_for(fuse_req_t request, uint64_t id);
struct share_node *share_directory_for(fuse_req_t request, uint64_t id);

/* Looks name up and counts it as known to the guest. Returns 0 or an errno. */
int share_lookup(struct share_node *directory, const char *name, struct fuse_entry_param *entry);

/* The same for an open file of the tree. */
int share_lookup_fd(struct share *share, int fd, struct fuse_entry_param *entry);

void share_forget(struct share *share, uint64_t id, uint64_t lookups);

/* "/proc/self/fd/N" of the node, for the calls that refuse an O_PATH fd. */
struct share_path {
	char text[32];
};
struct share_path share_node_path(const struct share_node *node);

/*
 * Opens the node's file; only regular files and directories: anything else
 * would be the host's device, or block. Returns the fd, or a negative errno.
 */
int share_node_open(const struct share_node *node, int flags);

static inline void share_node_put_(struct share_node **node)
{
	if (*node)
		share_node_put(*node);
}

#define CLEANUP_NODE CLEANUP(share_node_put_)

/* --- share_handle.c --- */

enum share_handle_kind { SHARE_FILE, SHARE_DIRECTORY };

#define SHARE_ENTRIES_SIZE (32u << 10)

struct share_handle {
	struct share *share;
	uint64_t id;
	uint64_t node; /* its id */
	enum share_handle_kind kind;
	int fd;
	unsigned int users;   /* operations under way, and the table */
	pthread_mutex_t lock; /* of all below */
	bool append;	      /* O_APPEND is set on fd */
	char *entries;	      /* SHARE_ENTRIES_SIZE bytes of getdents64 */
	size_t entries_end, entries_next;
	off_t offset; /* of the entry at entries_next */
};

/* Takes fd. Returns 0 with *id set, or an errno. */
int share_handle_new(struct share_node *node, enum share_handle_kind kind, int fd, bool append,
		     uint64_t *id);

/* NULL: there is none of that id, kind and node. */
struct share_handle *share_handle_get(struct share *share, uint64_t id, uint64_t node,
				      enum share_handle_kind kind);
void share_handle_put(struct share_handle *handle);
/* As share_handle_get, but answers the request itself with EBADF. */
struct share_handle *share_handle_for(fuse_req_t request, uint64_t id, uint64_t node,
				      enum share_handle_kind kind);
/* The id is over; the fd is closed when the last user puts it. False: no such handle. */
bool share_handle_release(struct share *share, uint64_t id, uint64_t node,
			  enum share_handle_kind kind);
void share_handles_free(struct share *share);

static inline void share_handle_put_(struct share_handle **handle)
{
	if (*handle)
		share_handle_put(*handle);
}

#define CLEANUP_HANDLE CLEANUP(share_handle_put_)

/* --- operations, for the table in share_ops.c --- */

extern const struct fuse_lowlevel_ops share_ops;

/* share_names.c */
void share_op_lookup(fuse_req_t, fuse_ino_t, const char *);
void share_op_forget(fuse_req_t, fuse_ino_t, uint64_t);
void share_op_forget_multi(fuse_req_t, size_t, struct fuse_forget_data *);
void share_op_readlink(fuse_req_t, fuse_ino_t);
void share_op_mknod(fuse_req_t, fuse_ino_t, const char *, mode_t, dev_t);
void share_op_mkdir(fuse_req_t, fuse_ino_t, const char *, mode_t);
void share_op_symlink(fuse_req_t, const char *, fuse_ino_t, const char *);
void share_op_link(fuse_req_t, fuse_ino_t, fuse_ino_t, const char *);
void share_op_unlink(fuse_req_t, fuse_ino_t, const char *);
void share_op_rmdir(fuse_req_t, fuse_ino_t, const char *);
void share_op_rename(fuse_req_t, fuse_ino_t, const char *, fuse_ino_t, const char *, unsigned int);

/* share_attr.c */
int share_sync(struct share *share); /* the whole file system; returns 0 or an errno */
void share_op_getattr(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void share_op_setattr(fuse_req_t, fuse_ino_t, struct stat *, int, struct fuse_file_info *);
void share_op_statfs(fuse_req_t, fuse_ino_t);

/* share_data.c */
void share_op_open(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void share_op_create(fuse_req_t, fuse_ino_t, const char *, mode_t, struct fuse_file_info *);
void share_op_read(fuse_req_t, fuse_ino_t, size_t, off_t, struct fuse_file_info *);
void share_op_write(fuse_req_t, fuse_ino_t, const char *, size_t, off_t, struct fuse_file_info *);
void share_op_flush(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void share_op_release(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void share_op_fsync(fuse_req_t, fuse_ino_t, int, struct fuse_file_info *);
void share_op_fallocate(fuse_req_t, fuse_ino_t, int, off_t, off_t, struct fuse_file_info *);
void share_op_lseek(fuse_req_t, fuse_ino_t, off_t, int, struct fuse_file_info *);
void share_op_copy_file_range(fuse_req_t, fuse_ino_t, off_t, struct fuse_file_info *, fuse_ino_t,
			      off_t, struct fuse_file_info *, size_t, int);

/* share_directory.c */
void share_op_opendir(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void share_op_readdir(fuse_req_t, fuse_ino_t, size_t, off_t, struct fuse_file_info *);
void share_op_readdirplus(fuse_req_t, fuse_ino_t, size_t, off_t, struct fuse_file_info *);
void share_op_releasedir(fuse_req_t, fuse_ino_t, struct fuse_file_info *);
void share_op_fsyncdir(fuse_req_t, fuse_ino_t, int, struct fuse_file_info *);

/* share_xattr.c */
void share_op_setxattr(fuse_req_t, fuse_ino_t, const char *, const char *, size_t, int);
void share_op_getxattr(fuse_req_t, fuse_ino_t, const char *, size_t);
void share_op_listxattr(fuse_req_t, fuse_ino_t, size_t);
void share_op_removexattr(fuse_req_t, fuse_ino_t, const char *);

#endif
