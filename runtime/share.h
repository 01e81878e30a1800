/*
 * Shares: trees and single files of the host, served to the guest's kernel by
 * FUSE. Used by the io process alone. A share is opened before confinement
 * (share_open), then served from worker threads: the caller hands over whole
 * FUSE requests as they came from the guest (hostile), and gets whole replies
 * by a callback from any thread.
 *
 * What a share can reach is its tree and nothing else: lookups are
 * O_PATH|O_NOFOLLOW below its root, only regular files and directories are ever
 * reopened, node ids and file handles are table indices that are checked. Every
 * request passes fuse_request_check (spec/fuse_request.h) before libfuse sees
 * it. See DESIGN "File systems" for the reasons.
 */
#ifndef VXN_SHARE_H
#define VXN_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "cache.h"
#include "error.h"

struct share;
struct share_pool;
struct share_watch;

/*
 * Makes a detached, private clone of the mount that path (absolute, on the
 * host) lies on, rooted at path, with nodev and, if asked for, read-only set on
 * the clone by mount_setattr; never recursive. Follows a symlink in the last
 * component. *directory tells what it is. Errors: path does not exist, neither
 * directory nor regular file (sockets, FIFOs and devices are refused by name).
 * Needs CAP_SYS_ADMIN; call before confinement.
 */
struct share *share_open(const char *path, bool readonly, enum share_cache cache, bool *directory,
			 struct error *err);

/*
 * The same in steps, for whoever has to look at the clone in between: what
 * open_tree(OPEN_TREE_CLONE) gave gets its attributes, propagation (MS_PRIVATE or
 * MS_SLAVE), and becomes a share. share_new takes the fd, whatever its result; path
 * is for errors.
 */
int share_protect(int mount, bool readonly, unsigned long propagation, const char *path,
		  struct error *err);
struct share *share_new(int mount, const char *path, enum share_cache cache, bool *directory,
			struct error *err);

/*
 * mount, of which the share was made, is a slave that is attached, or will be
 * (io_confine.h): lookups cross into what the host mounts below it. Before
 * share_serve. Returns -1 with errno set.
 */
int share_follow_mounts(struct share *share, int mount);

/*
 * Worker threads, common to all shares of a VM. reply is called from a worker
 * with one whole FUSE message (iov is valid during the call only) and the cookie
 * of the share; it must not block for long and must be thread-safe.
 * request_done is called when a request of `size` bytes is finished (replied to
 * or not: FORGET), so that its credit can go back to the guest. notify is called
 * as reply is, for messages that nobody has asked for, but must not wait at all:
 * there are at most WIRE_NOTIFY_WINDOW bytes of a share under way (wire.h).
 * Call after confinement (threads inherit credentials and seccomp). watch may be
 * NULL, and is closed by the caller after share_pool_stop.
 */
struct share_callbacks {
	void (*reply)(void *cookie, const struct iovec *iov, int count);
	void (*notify)(void *cookie, const struct iovec *iov, int count);
	void (*request_done)(void *cookie, size_t size);
};

struct share_pool *share_pool_start(unsigned int threads, const struct share_callbacks *callbacks,
				    struct share_watch *watch, struct error *err);

/* Begins to serve share; cookie is handed to the callbacks. */
int share_serve(struct share_pool *pool, struct share *share, void *cookie, struct error *err);

/*
 * Takes ownership of request (malloc'ed, one whole FUSE message of size bytes
 * from the guest) and queues it. Returns -1 with err set when the request
 * breaks the protocol: the caller then ends the VM.
 */
int share_submit(struct share_pool *pool, struct share *share, void *request, size_t size,
		 struct error *err);

/*
 * The data of a READ or WRITE where it is in memory of the guest, which may change it
 * at any time: `size` bytes in all.
 */
struct share_data {
	size_t size;
	int count, first; /* pieces, and those that are done with */
	struct iovec pieces[];
};

/*
 * The same for a request whose data is not in the message. A READ's data is put
 * where it says, and its reply ends behind the header. Takes data too, if there is any.
 */
int share_submit_placed(struct share_pool *pool, struct share *share, void *request, size_t size,
			struct share_data *data, struct error *err);

/*
 * The guest has done with that many bytes of notifications. Returns -1 when they
 * are more than it got: the caller then ends the VM.
 */
int share_notify_credit(struct share *share, uint32_t bytes, struct error *err);

/*
 * Stops the workers and drops what is queued. No callback runs after it. The
 * shares remain, to be closed.
 */
void share_pool_stop(struct share_pool *pool);

/*
 * Waits for what is under way on this share, drops the rest, and lets go of its
 * files; before or after share_pool_stop. NULL is allowed.
 */
void share_close(struct share *share);

/* Largest WRITE payload and READ reply we agree to in INIT, bytes. */
#define SHARE_MAX_IO (1u << 20)
/* Largest request: header, WRITE arguments and payload. */
#define SHARE_MAX_REQUEST (SHARE_MAX_IO + 4096u)

#endif
