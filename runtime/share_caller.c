/*
 * What a worker may do, and as whom. Credentials, capabilities and umask are per
 * thread and changed by raw system calls: glibc's wrappers change every thread's.
 */
#include "share_internal.h"

#include <errno.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * setfsuid must not take our capabilities away with the uid: a caller's right
 * to do this was the guest kernel's to judge. Inherited by the workers; after
 * confinement it is set already.
 */
int share_keep_capabilities(struct error *err)
{
	int bits = prctl(PR_GET_SECUREBITS);

	if (bits < 0)
		return error_set(err, errno, "prctl(PR_GET_SECUREBITS)");
	if (!(bits & SECBIT_NO_SETUID_FIXUP) &&
	    prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
		return error_set(err, errno, "prctl(PR_SET_SECUREBITS)");
	return 0;
}

static int capabilities(long call, struct share_worker *worker)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return (int)syscall(call, &header, worker->capabilities);
}

int share_know_capabilities(struct share_worker *worker)
{
	return capabilities(SYS_capget, worker) ? errno : 0;
}

/*
 * Without CAP_FSETID the host's kernel takes set-uid and set-gid bits off a file
 * that is written to or truncated, as it does for users.
 */
static void set_fsetid(struct share_worker *worker, bool on)
{
	const uint32_t bit = 1u << CAP_FSETID;
	struct __user_cap_data_struct *low = &worker->capabilities[0];

	if (!(low->permitted & bit) || !!(low->effective & bit) == on)
		return;
	low->effective ^= bit;
	if (capabilities(SYS_capset, worker))
		low->effective ^= bit;
}

/*
 * What we agree to by HANDLE_KILLPRIV_V2: requests of a caller without
 * CAP_FSETID say so. Those that have no flag for it go by the uid.
 */
static bool kills_privileges(const struct fuse_in_header *header)
{
	const void *body = header + 1;

	switch (header->opcode) {
	case FUSE_WRITE:
		return ((const struct fuse_write_in *)body)->write_flags & FUSE_WRITE_KILL_SUIDGID;
	case FUSE_SETATTR:
		return ((const struct fuse_setattr_in *)body)->valid & FATTR_KILL_SUIDGID;
	case FUSE_OPEN:
		return ((const struct fuse_open_in *)body)->open_flags & FUSE_OPEN_KILL_SUIDGID;
	case FUSE_CREATE:
		return ((const struct fuse_create_in *)body)->open_flags & FUSE_OPEN_KILL_SUIDGID;
	case FUSE_FALLOCATE:
	case FUSE_COPY_FILE_RANGE:
		return header->uid != 0;
	default:
		return false;
	}
}

void share_set_privileges(struct share_worker *worker)
{
	set_fsetid(worker, !kills_privileges(worker->request));
}

/* A thread's, so that what it is already costs nothing. A umask is none of a thread's at first. */
static _Thread_local struct {
	bool other; /* than root */
	bool knows_umask;
	mode_t umask;
} self;

static void set_umask(mode_t mask)
{
	if (self.knows_umask && self.umask == mask)
		return;
	umask(mask);
	self.knows_umask = true;
	self.umask = mask;
}

int share_be_caller(fuse_req_t request)
{
	const struct fuse_ctx *caller = fuse_req_ctx(request);

	/* -1 is "do not change" to setfsuid, and nobody's uid */
	if (caller->uid == (uid_t)-1 || caller->gid == (gid_t)-1)
		return EINVAL;
	set_umask(caller->umask & 0777);
	if (caller->uid == 0 && caller->gid == 0)
		return 0;
	self.other = true;
	syscall(SYS_setfsgid, caller->gid);
	syscall(SYS_setfsuid, caller->uid);
	/* they report nothing: an id that is not mapped here stays what it was */
	if ((uid_t)syscall(SYS_setfsuid, -1) != caller->uid ||
	    (gid_t)syscall(SYS_setfsgid, -1) != caller->gid) {
		share_be_self();
		return EOVERFLOW;
	}
	return 0;
}

void share_be_self(void)
{
	if (!self.other)
		return;
	self.other = false;
	syscall(SYS_setfsuid, 0);
	syscall(SYS_setfsgid, 0);
}
