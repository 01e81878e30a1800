/*
 * What the container's process may do, as far as it shows in /proc/PID/status of
 * its stand-in. The process in the VM gets all of it exactly; here a limit or a
 * capability that the host has not to give is let go, so that a restricted host
 * does not keep the VM from giving it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cleanup.h"
#include "launcher.h"

/* The stand-in itself needs a little of these; below that it could not start. */
static const struct {
	int resource;
	rlim_t least;
} least_limits[] = {
	{ RLIMIT_AS, 16 << 20 },
	{ RLIMIT_DATA, 16 << 20 },
	{ RLIMIT_NOFILE, 16 },
	{ RLIMIT_STACK, 1 << 20 },
};

int oom_score_adj_apply(const struct oci_process *process, struct error *err)
{
	CLEANUP_CLOSE int fd = -1;
	char text[16];
	int size;

	if (!process->has_oom_score_adj)
		return 0;
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "open /proc/self/oom_score_adj");
	size = snprintf(text, sizeof(text), "%d", process->oom_score_adj);
	/* To lower it takes CAP_SYS_RESOURCE. */
	if (write(fd, text, size) != size && errno != EACCES && errno != EPERM)
		return error_set(err, errno, "set oom_score_adj to %d", process->oom_score_adj);
	return 0;
}

static rlim_t at_least(int resource, rlim_t value)
{
	for (size_t i = 0; i < sizeof(least_limits) / sizeof(least_limits[0]); i++)
		if (least_limits[i].resource == resource && value < least_limits[i].least)
			return least_limits[i].least;
	return value;
}

static int rlimit_apply(const struct oci_rlimit *rlimit, struct error *err)
{
	struct rlimit current;
	struct rlimit wanted = {
		.rlim_cur = at_least(rlimit->resource, rlimit->soft),
		.rlim_max = at_least(rlimit->resource, rlimit->hard),
	};

	if (setrlimit(rlimit->resource, &wanted) == 0)
		return 0;
	if (errno != EPERM || getrlimit(rlimit->resource, &current) < 0)
		return error_set(err, errno, "set resource limit %d", rlimit->resource);
	/* The hard limit can't be raised: as much as it allows. */
	if (wanted.rlim_cur > current.rlim_max)
		wanted.rlim_cur = current.rlim_max;
	if (wanted.rlim_max > current.rlim_max)
		wanted.rlim_max = current.rlim_max;
	if (setrlimit(rlimit->resource, &wanted) < 0)
		return error_set(err, errno, "set resource limit %d", rlimit->resource);
	return 0;
}

int rlimits_apply(const struct oci_process *process, struct error *err)
{
	for (size_t i = 0; i < process->rlimits_count; i++) {
		/*
		 * The kernel counts a user's processes over the whole host, the
		 * stand-ins of other containers too, and refuses the exec above the
		 * limit. In the VM they are counted for that VM alone.
		 */
		if (process->rlimits[i].resource == RLIMIT_NPROC)
			continue;
		if (rlimit_apply(&process->rlimits[i], err) < 0)
			return -1;
	}
	return 0;
}

static int drop_bounding(uint64_t keep, struct error *err)
{
	for (int cap = 0; cap < 64; cap++) {
		if (keep >> cap & 1)
			continue;
		if (prctl(PR_CAPBSET_READ, cap) < 0)
			break; /* this kernel has no more of them */
		if (prctl(PR_CAPBSET_DROP, cap) < 0)
			return error_set(err, errno, "drop capability %d", cap);
	}
	return 0;
}

static int become_user(const struct oci_user *user, struct error *err)
{
	if (setgroups(user->additional_gids_count, user->additional_gids) < 0)
		return error_set(err, errno, "set the additional groups");
	if (setresgid(user->gid, user->gid, user->gid) < 0)
		return error_set(err, errno, "become group %u", user->gid);
	if (setresuid(user->uid, user->uid, user->uid) < 0)
		return error_set(err, errno, "become user %u", user->uid);
	return 0;
}

static int set_capabilities(const struct oci_capabilities *wanted, struct error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	uint64_t own, permitted, effective, inheritable;

	if (capget(&header, data) < 0)
		return error_set(err, errno, "read own capabilities");
	own = data[0].permitted | (uint64_t)data[1].permitted << 32;
	permitted = wanted->permitted & own;
	effective = wanted->effective & permitted;
	inheritable = wanted->inheritable & wanted->bounding & own;
	for (int i = 0; i < 2; i++) {
		data[i].permitted = permitted >> 32 * i;
		data[i].effective = effective >> 32 * i;
		data[i].inheritable = inheritable >> 32 * i;
	}
	if (capset(&header, data) < 0)
		return error_set(err, errno, "set capabilities");
	for (int cap = 0; cap < 64; cap++)
		if ((wanted->ambient & permitted & inheritable) >> cap & 1 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return error_set(err, errno, "raise ambient capability %d", cap);
	return 0;
}

int credentials_apply(const struct oci_process *process, struct error *err)
{
	if (process->has_capabilities) {
		if (drop_bounding(process->capabilities.bounding, err) < 0)
			return -1;
		/* What is to be kept has to survive the change of user first. */
		if (prctl(PR_SET_KEEPCAPS, 1) < 0)
			return error_set(err, errno, "keep capabilities");
	}
	if (become_user(&process->user, err) < 0)
		return -1;
	if (process->has_capabilities && set_capabilities(&process->capabilities, err) < 0)
		return -1;
	if (process->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set(err, errno, "set no_new_privs");
	return 0;
}
