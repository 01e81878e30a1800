/*
 * Inside of the file shares (share.h): what share*.c have in common. Not for
 * others.
 *
 *   share.c            open, close, replies on their way out
 *   share_pool.c       queue and workers
 *   share_caller.c     what a worker may do, and as whom
 *   share_budget.c     how many descriptors and nodes there may be
 *   share_table.c      ids that a guest may hold, instead of pointers
 *   share_node.c       inodes the guest knows: identity and counting
 *   share_reopen.c     their fds: closed when there are many, and found again
 *   share_place.c      where they were seen last: parent and name
 *   share_handle.c     files and directories the guest has open
 *   share_ops.c        INIT and the table of operations
 *   share_names.c      operations on names
 *   share_attr.c       attributes
 *   share_data.c       open files
 *   share_directory.c  open directories
 *   share_xattr.c      extended attributes
 *   share_cache.c      how long the guest may believe what it is told
 *   share_watch.c      the host's changes, by fanotify
 *   share_key.c        nodes by what fanotify calls them
 *   share_notify.c     what the guest is told to believe no longer
 *   share_lock.c       locks: the operations
 *   share_lock_owner.c who holds which ranges by fcntl
 *   share_waiter.c     threads that wait for a lock, interrupts
 */
#ifndef VXN_SHARE_INTERNAL_H
#define VXN_SHARE_INTERNAL_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <errno.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "fuse_request.h"
#include "share.h"
#include "share_watch.h"

#define SHARE_ROOT_ID 1

/* More ancestors than any tree has, and few enough to look at under a lock. */
#define SHARE_DEPTH_MAX (1u << 16)

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

/* --- share_key.c --- */

/* Nodes by key (share_watch_key). Under the share's lock. */
struct share_keys {
	struct share_node **buckets;
	size_t bucket_count; /* 0 or a power of two */
	size_t count;
};

void share_key_add(struct share *share, struct share_node *node);
void share_key_remove(struct share *share, struct share_node *node);
/* The next node of that key after one of it, or the first. */
struct share_node *share_node_of_key(struct share *share, uint64_t key, struct share_node *after);
void share_keys_free(struct share *share);

/* --- share.c --- */

#define SHARE_LOCK_BUCKETS 256

struct share_lock_owner;

struct share {
	struct fuse_session *session;
	struct share_pool *pool; /* NULL until served */
	void *cookie;
	struct fuse_request_state decoder; /* of the submitting thread */
	atomic_bool ready;		   /* INIT was answered */
	bool tells_end;			   /* see share_directory.c */
	bool flush_if_locked;		   /* FLUSH comes for files with locks, asked for or not */
	struct share *next;		   /* in the pool, under its lock */
	bool follows_mounts;		   /* share_follow_mounts */
	uint64_t mount_id;		   /* then: of the share's own mount */
	unsigned int active;		   /* requests queued or under way, under the pool's lock */

	atomic_long held;	  /* fds that cannot be evicted */
	atomic_size_t idle_count; /* nodes whose fd can be */
	bool handles_work;	  /* see share_identity */

	pthread_mutex_t lock; /* of all below */
	struct share_table nodes;
	struct share_node **buckets; /* nodes by device and inode number */
	size_t bucket_count;	     /* a power of two */
	size_t node_count;
	struct share_node *idle_newest, *idle_oldest; /* by their last use */
	struct share_table handles;

	enum share_cache cache;
	bool long_lived;	   /* what is watched may be believed for long */
	struct share_watch *watch; /* NULL: the host's changes are not seen */
	struct share_keys keys;
	struct share_notify *notify;				  /* NULL without a watch */
	pthread_mutex_t locks;					  /* of all below */
	struct share_lock_owner *lock_owners[SHARE_LOCK_BUCKETS]; /* by node */
	size_t lock_ranges;
};

static inline struct share *share_of(fuse_req_t request)
{
	return fuse_req_userdata(request);
}

/* --- share_pool.c --- */

struct share_item;

struct share_worker {
	struct share_pool *pool;
	pthread_t thread;
	char *buffer; /* SHARE_MAX_IO bytes, for replies */
	struct __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];
	const void *request;	     /* the message being served */
	struct share_data *data;     /* its data, if that is not in it */
	struct share_waiter *waiter; /* of a request that may wait for a lock */
	bool may_retry, lacks_room;  /* see share_hold_back */
	struct share_item *item;     /* being served, NULL: none; under the pool's lock */
};

/* The worker that runs the caller. */
struct share_worker *share_worker(void);

/* Hands a whole message to the owner of the share. */
void share_send(struct share *share, const struct iovec *iov, int count);
void share_send_notification(struct share *share, const struct iovec *iov, int count);

/* The shares, by their `next`, while the lock is held; it comes before theirs. */
void share_pool_lock(struct share_pool *pool);
void share_pool_unlock(struct share_pool *pool);
struct share *share_pool_first(struct share_pool *pool);

struct share_budget *share_pool_budget(struct share_pool *pool);

/* Keeps a share that is in the list, which is locked, from being closed. */
void share_enter(struct share *share);
void share_leave(struct share *share);

/* Drops what is queued for the share, waits for what is under way, and ends what waits for locks. */
void share_withdraw(struct share *share);

/*
 * Returns when each RELEASE and FORGET of the share that arrived before the request
 * being served has been served: what it gives back, locks and room, is free.
 */
void share_wait_for_returns(void);

/*
 * Whether the reply is not to be sent: it says that there is no room, and the request
 * will be tried once more, after share_wait_for_returns.
 */
bool share_hold_back(const struct iovec *iov, int count);

/* --- share_caller.c --- */

/* That capabilities of workers started later do not go with the uid. */
int share_keep_capabilities(struct error *err);
int share_know_capabilities(struct share_worker *worker); /* of the caller: 0 or an errno */

/* As the request asks for: with or without what keeps set-uid bits at a write. */
void share_set_privileges(struct share_worker *worker);

/*
 * From here on the thread creates files as the request's uid, gid and umask;
 * share_be_self ends it. Returns 0 or an errno.
 */
int share_be_caller(fuse_req_t request);
void share_be_self(void);

/* --- share_budget.c --- */

struct share_budget {
	long fd_limit;
	atomic_long fds;   /* of nodes and handles of all shares together */
	atomic_long nodes; /* of all shares */
};

/*
 * One more file descriptor that cannot be done without for a while (a handle's).
 * Where all are used, the fd of an idle node is closed, of whichever share. False:
 * this share has its part of what can be so held, and all that the others leave.
 * These may not be asked for under a share's lock; giving may be.
 */
bool share_fd_take(struct share *share);
void share_fd_give(struct share *share);

/* The same for a node's, which can be closed when it is idle. */
bool share_fd_cache(struct share *share);
void share_fd_uncache(struct share *share);

/* Whether a node's fd may stay open though the node is idle; it is cached already. */
bool share_fd_hold(struct share *share);
void share_fd_unhold(struct share *share);

/* Whether the VM may know one more node. */
bool share_node_admit(struct share *share);
void share_node_dismiss(struct share *share);

/* --- share_node.c --- */

/*
 * An inode that the guest knows, a hundred bytes and its name. Its fd is O_PATH;
 * there is none until the node is used, and none after it has been idle for
 * long. While it is open it keeps the inode alive, so that (dev, ino) names it;
 * without it, identity has to be equal too.
 */
struct share_node {
	struct share *share;
	struct share_node *next;	  /* in its bucket */
	struct share_node *parent;	  /* that it was seen in last; NULL: none, or the root */
	char *name;			  /* there */
	struct share_node *newer, *older; /* in the list of idle ones */
	uint64_t id;			  /* 0: over, but the parent of others */
	dev_t dev;
	ino_t ino;
	uint64_t identity;     /* see share_identity; of before its fd was opened */
	uint64_t lookups;      /* that the guest has not forgotten */
	int fd;		       /* or -1; stays while the node is held */
	unsigned int users;    /* operations under way, and handles */
	unsigned int children; /* nodes whose parent it is */
	mode_t type;	       /* S_IFMT bits */
	bool idle;	       /* in the list */
	bool held;	       /* share_fd_hold: its name is gone */
	bool stale;	       /* its inode number is another inode's now */

	uint64_t key; /* of the watch, 0 = none; equal to identity where handles work */
	struct share_node *key_next;
	/* generations of the watch: with a mark of its own, and looked up in a directory with one */
	atomic_uint watched, covered;
	bool pending_inode, pending_data; /* share_notify.c's */
};

int share_nodes_init(struct share *share, int root_fd, const struct stat *root);
void share_nodes_free(struct share *share);

/*
 * Opens the node if need be, and holds it against FORGET and eviction until it is
 * put. NULL with errno: ESTALE when there is none of that id, or its inode is no
 * longer where it was; ENFILE.
 */
struct share_node *share_node_get(struct share *share, uint64_t id);
void share_node_put(struct share_node *node);

/* One more to put. */
struct share_node *share_node_keep(struct share_node *node);

/* As share_node_get, but answers the request itself: its errors, or ENOTDIR. */
struct share_node *share_node_for(fuse_req_t request, uint64_t id);
struct share_node *share_directory_for(fuse_req_t request, uint64_t id);

/* Looks name up and counts it as known to the guest. Returns 0 or an errno. */
int share_lookup(struct share_node *directory, const char *name, struct fuse_entry_param *entry);

/* The same for a file that was just made there, by its fd; name NULL: it has none. */
int share_lookup_fd(struct share_node *directory, const char *name, int fd,
		    struct fuse_entry_param *entry);

/*
 * The node, opened and held, of what is called name now; NULL if the guest knows
 * none. For operations that take the name away.
 */
struct share_node *share_node_child(struct share_node *directory, const char *name);

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

/* For share_reopen.c and share_place.c, under the share's lock: */
void share_node_hold(struct share_node *node);
/* Puts on *dead what nobody needs any more once node has lost a user or child. */
void share_node_release(struct share_node *node, struct share_node **dead);
void share_node_retire(struct share_node *node, struct share_node **dead);
/* Frees them; not under the lock. */
void share_nodes_bury(struct share *share, struct share_node *dead);

/* Out of file descriptors is the guest's "table full", whoever's limit it was. */
static inline int share_open_errno(void)
{
	return errno == EMFILE ? ENFILE : errno;
}

/* --- share_reopen.c --- */

/* Finds out how inodes of the tree can be told apart. */
void share_identity_init(struct share *share, int root_fd);

/*
 * Tells an inode from all that had its number before; of name in the directory fd,
 * or of fd itself if name is empty. Returns 0 or an errno.
 */
int share_identity(const struct share *share, int fd, const char *name, uint64_t *identity);

/* Opens a node that is held. Returns 0 or an errno. */
int share_node_reach(struct share_node *node);
/* The same, where it is known to be called name in directory, also held. */
int share_node_reach_in(struct share_node *directory, const char *name, struct share_node *node);

/* Closes the fd of the node that has been idle longest. False: there is none. */
bool share_node_evict(struct share *share);

/* Under the share's lock: the only places where a node gets and loses its fd. */
void share_node_set_fd(struct share_node *node, int fd);
int share_node_take_fd(struct share_node *node);

/* Under the share's lock: nobody uses the node, or somebody does again. */
void share_idle_in(struct share_node *node);
void share_idle_out(struct share_node *node);

/* --- share_place.c --- */

/* The node was seen as name in parent. Under the share's lock. */
void share_place_set(struct share_node *node, struct share_node *parent, const char *name,
		     struct share_node **dead);
/* It is nowhere any more. Under the share's lock. */
void share_place_clear(struct share_node *node, struct share_node **dead);

/* After a rename; node is held. */
void share_place_moved(struct share_node *node, struct share_node *parent, const char *name);
/* After that name was removed, or without (NULL) when it never had one; node is held, and keeps its fd as long as that may be. */
void share_place_removed(struct share_node *node, struct share_node *parent, const char *name);

/* --- share_handle.c --- */

enum share_handle_kind { SHARE_FILE, SHARE_DIRECTORY };

#define SHARE_ENTRIES_SIZE (32u << 10)

struct share_handle {
	struct share *share;
	uint64_t id;
	uint64_t node;		 /* its id */
	struct share_node *kept; /* the same: it stays open, whatever becomes of its name */
	enum share_handle_kind kind;
	int fd;
	unsigned int users;   /* operations under way, and the table */
	atomic_bool locked;   /* a lock was asked for by it */
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
/* Closing it may free a lock. */
bool share_handle_locked(struct share *share, uint64_t id);
void share_handles_free(struct share *share);

static inline void share_handle_put_(struct share_handle **handle)
{
	if (*handle)
		share_handle_put(*handle);
}

#define CLEANUP_HANDLE CLEANUP(share_handle_put_)

/* --- share_cache.c --- */

/* Seconds. To be asked before the look at the directory that is answered with. */
double share_entry_timeout(struct share_node *directory);
/* After the look at the node. */
double share_attr_timeout(struct share_node *node, const struct stat *st);
/* The node has been found in that directory. */
void share_cache_found(struct share_node *node, const struct share_node *directory);
/* Begins to watch the share; where that is impossible, it goes without. -1: no memory. */
int share_cache_watch(struct share *share, struct share_watch *watch);
/* The guest's kernel has said what it can. */
void share_cache_agree(struct share *share, const struct fuse_init_in *in,
		       struct fuse_init_out *out);

/* --- share_watch.c --- */

int share_watch_start(struct share_watch *watch, struct share_pool *pool); /* an errno */
void share_watch_stop(struct share_watch *watch);			   /* NULL is allowed */
void share_watch_wake(struct share_watch *watch);
/*
 * What events call the inode of name in the directory fd, or of an O_PATH fd if name
 * is empty. 0 with errno: its file system has no name for it (EOPNOTSUPP), or an error.
 */
uint64_t share_watch_key(int fd, const char *name);
/* Sees that changes of the inode, which is open, or in the directory, are reported from here on. */
bool share_watch_node(struct share_node *node);
/* Are they already? */
bool share_watch_holds(const struct share_node *node);
/* The present generation of marks. */
unsigned int share_watch_generation(const struct share_watch *watch);

/* --- share_notify.c: locks as said there --- */

int share_notify_init(struct share *share);
void share_notify_free(struct share *share);
void share_notify_entry(struct share *share, const struct share_node *directory, const char *name);
void share_notify_inode(struct share *share, struct share_node *node, bool data);
void share_notify_everything(struct share_pool *pool);
void share_notify_everything_locked(struct share_pool *pool);
void share_notify_send(struct share *share);

/* --- share_lock_owner.c --- */

/*
 * The owner of fcntl's locks on a node, by the id that the guest's kernel gave it;
 * to be put. NULL: it has none.
 */
struct share_lock_owner *share_lock_owner_get(struct share *share, uint64_t node, uint64_t id);
/* The same, made if it is new. Returns 0 or an errno. */
int share_lock_owner_make(struct share_handle *handle, uint64_t id,
			  struct share_lock_owner **owner);
void share_lock_owner_put(struct share_lock_owner *owner);

/* Takes or gives up a lock without waiting: 0, EAGAIN or another errno. l_pid is the guest's. */
int share_lock_set(struct share_lock_owner *owner, const struct share_handle *handle,
		   const struct flock *lock);

/*
 * Waits for a lock, by one system call that may be left at any point; it is to be
 * set then. Between will_wait's true and false.
 */
int share_lock_block(const struct share_lock_owner *owner, const struct flock *lock);
void share_lock_will_wait(struct share_lock_owner *owner, bool wait);

/* F_GETLK for an owner that need not exist. Returns 0 or an errno. */
int share_lock_test(struct share_handle *handle, uint64_t id, struct flock *lock);

/* A close by the owner; the last close of the handle. */
void share_locks_of_owner_end(struct share *share, uint64_t node, uint64_t id);
void share_locks_of_handle_end(struct share *share, uint64_t node, uint64_t handle);
void share_locks_free(struct share *share);

/* --- share_waiter.c --- */

/* Requests of a VM that may wait for a lock; one more gets ENOLCK if it would have to. */
#define SHARE_WAITERS_MAX 256

struct share_waiters {
	pthread_mutex_t lock;  /* of all below */
	pthread_cond_t change; /* one has gone */
	struct share_waiter *first;
	unsigned int count;
};

/* What a waiter waits for, and as which it is finished. */
struct share_wait {
	int (*block)(
		void *job);	/* one system call, which may be left at any point; 0 or an errno */
	int (*take)(void *job); /* without waiting: 0, EAGAIN or another errno */
	void (*end)(void *job, int errnum); /* from any thread: the answer */
	void *job;
};

int share_waiters_init(struct share_waiters *all); /* 0 or an errno */
void share_waiters_destroy(struct share_waiters *all);

/* A request that may wait has arrived. NULL: it may not. */
struct share_waiter *share_waiter_new(struct share_waiters *all, const struct share *share,
				      uint64_t unique);
/* It did not have to. NULL is allowed. */
void share_waiter_drop(struct share_waiter *waiter);

/* From here on the request being served waits in a thread of its own. Returns 0 or an errno. */
int share_wait(const struct share_wait *wait);

/* Ends a wait with EINTR; one that is over, or never was, is none. */
void share_waiter_interrupt(struct share_waiters *all, const struct share *share, uint64_t unique);
/* Ends all of a share, or with NULL of all, and returns when they are answered. */
void share_waiters_end(struct share_waiters *all, const struct share *share);

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

/* share_lock.c */
void share_op_getlk(fuse_req_t, fuse_ino_t, struct fuse_file_info *, struct flock *);
void share_op_setlk(fuse_req_t, fuse_ino_t, struct fuse_file_info *, struct flock *, int);
void share_op_flock(fuse_req_t, fuse_ino_t, struct fuse_file_info *, int);

#endif
