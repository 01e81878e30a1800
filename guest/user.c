/* See user.h. capabilities(7) tells why the order is this. */
#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

#define CAPABILITY_COUNT 64
#define DEFAULT_UMASK	 0022

int user_set_oom_score(const char *pid, const struct oci_process *process, struct error *err)
{
	char path[40], value[16];
	CLEANUP_CLOSE int fd = -1;

	snprintf(path, sizeof(path), "/proc/%s/oom_score_adj", pid);
	snprintf(value, sizeof(value), "%d",
		 process->has_oom_score_adj ? process->oom_score_adj : 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		return error_set(err, errno, "set oom_score_adj to %s", value);
	return 0;
}

int user_set_rlimits(const struct oci_process *process, struct error *err)
{
	for (size_t i = 0; i < process->rlimits_count; i++) {
		const struct oci_rlimit *given = &process->rlimits[i];
		const struct rlimit limit = { .rlim_cur = given->soft, .rlim_max = given->hard };

		if (setrlimit(given->resource, &limit) < 0)
			return error_set(err, errno, "set rlimit %d", given->resource);
	}
	return 0;
}

/* Capabilities that this kernel does not know are not in the set anyway. */
static int drop_bounding(uint64_t keep, struct error *err)
{
	for (int i = 0; i < CAPABILITY_COUNT; i++) {
		if (keep >> i & 1 || prctl(PR_CAPBSET_READ, i, 0, 0, 0) != 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			return error_set(err, errno, "drop capability %d", i);
	}
	return 0;
}

int user_become(const struct oci_process *process, struct error *err)
{
	const struct oci_user *user = &process->user;

	umask(user->has_umask ? user->umask : DEFAULT_UMASK);
	if (drop_bounding(process->has_capabilities ? process->capabilities.bounding : 0, err) < 0)
		return -1;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return error_set(err, errno, "keep capabilities");
	if (setgroups(user->additional_gids_count, user->additional_gids) < 0)
		return error_set(err, errno, "set additional groups");
	if (setresgid(user->gid, user->gid, user->gid) < 0)
		return error_set(err, errno, "set gid %u", user->gid);
	if (setresuid(user->uid, user->uid, user->uid) < 0)
		return error_set(err, errno, "set uid %u", user->uid);
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	return 0;
}

static void split(uint64_t set, __u32 *low, __u32 *high)
{
	*low = (__u32)set;
	*high = (__u32)(set >> 32);
}

/* A bit that the kernel does not know makes capset fail. */
static uint64_t known(uint64_t set)
{
	for (int i = 0; i < CAPABILITY_COUNT; i++)
		if (set >> i & 1 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) < 0)
			set &= ~(UINT64_C(1) << i);
	return set;
}

static int set_ambient(uint64_t set, struct error *err)
{
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < CAPABILITY_COUNT; i++)
		if (set >> i & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
			return error_set(err, errno, "raise ambient capability %d", i);
	return 0;
}

struct user_sets user_sets_of(const struct oci_process *process)
{
	struct oci_capabilities given = { 0 };
	struct user_sets sets = { 0 };

	if (process->has_capabilities)
		given = process->capabilities;
	split(known(given.effective), &sets.data[0].effective, &sets.data[1].effective);
	split(known(given.permitted), &sets.data[0].permitted, &sets.data[1].permitted);
	split(known(given.inheritable), &sets.data[0].inheritable, &sets.data[1].inheritable);
	return sets;
}

static int set_sets(const struct user_sets *sets, struct error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	if (syscall(SYS_capset, &header, sets->data) < 0)
		return error_set(err, errno, "set capabilities");
	return 0;
}

int user_leave_admin(const struct user_sets *sets, struct error *err)
{
	return set_sets(sets, err);
}

int user_set_capabilities(const struct oci_process *process, bool as_admin, struct error *err)
{
	struct user_sets sets = user_sets_of(process);

	if (as_admin) {
		sets.data[0].effective |= 1u << CAP_SYS_ADMIN;
		sets.data[0].permitted |= 1u << CAP_SYS_ADMIN;
	}
	if (set_sets(&sets, err) < 0)
		return -1;
	if (set_ambient(process->has_capabilities ? known(process->capabilities.ambient) : 0, err) <
	    0)
		return -1;
	if (process->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set(err, errno, "set no_new_privs");
	return 0;
}
