/*
 * The namespaces of a stand-in. Those that exist are joined by the launcher, so
 * that the child is born in them: a pid namespace can't be entered otherwise.
 * New ones are made by the child, after it has entered its cgroup, which is to
 * be the root of a new cgroup namespace.
 *
 * A user namespace is entered last, when all that takes the host's root is done. In
 * a mount namespace that is not its own, by path or the host's, the stand-in mounts
 * nothing; no engine asks for that.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "id_mappings.h"
#include "launcher.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static bool is_joinable(enum oci_namespace_type type)
{
	return type != OCI_NAMESPACE_MOUNT && type != OCI_NAMESPACE_USER;
}

static int join(const struct oci_config *config, enum oci_namespace_type type, struct error *err)
{
	const char *path = config->namespaces[type].path;
	CLEANUP_CLOSE int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (!path)
		return 0;
	if (fd < 0)
		return error_set(err, errno, "open the %s namespace %s",
				 oci_namespace_proc_name(type), path);
	if (setns(fd, oci_namespace_clone_flag(type)) < 0)
		return error_set(err, errno, "join the %s namespace %s",
				 oci_namespace_proc_name(type), path);
	return 0;
}

int namespaces_join(const struct oci_config *config, struct error *err)
{
	for (int type = 0; type < OCI_NAMESPACE_COUNT; type++)
		if (is_joinable(type) && join(config, type, err) < 0)
			return -1;
	/* the others' paths are the host's */
	if (join(config, OCI_NAMESPACE_MOUNT, err) < 0)
		return -1;
	/* A new time namespace is the one that the next child gets. */
	if (config_has_new_namespace(config, OCI_NAMESPACE_TIME) && unshare(CLONE_NEWTIME) < 0)
		return error_set(err, errno, "make a time namespace");
	return 0;
}

uint64_t namespaces_clone_flags(const struct oci_config *config)
{
	return config_has_new_namespace(config, OCI_NAMESPACE_PID) ? CLONE_NEWPID : 0;
}

int namespaces_unshare(const struct oci_config *config, struct error *err)
{
	static const enum oci_namespace_type types[] = {
		OCI_NAMESPACE_NETWORK,
		OCI_NAMESPACE_IPC,
		OCI_NAMESPACE_UTS,
		OCI_NAMESPACE_CGROUP,
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (config_has_new_namespace(config, types[i]) &&
		    unshare(oci_namespace_clone_flag(types[i])) < 0)
			return error_set(err, errno, "make a %s namespace",
					 oci_namespace_proc_name(types[i]));
	if (config_has_new_namespace(config, OCI_NAMESPACE_MOUNT) && unshare(CLONE_NEWNS) < 0)
		return error_set(err, errno, "make a mount namespace");
	return 0;
}

/*
 * A stand-in with a mount namespace is never in the host's. If that is what the pid
 * has, it is not a stand-in's any more.
 */
static int check_is_standin(pid_t pid, struct error *err)
{
	char path[64];
	struct stat own, other;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	if (stat(path, &other) < 0 && errno == ENOENT)
		return error_set(err, 0, "the container's process %d has ended", pid);
	if (stat(path, &other) < 0 || stat("/proc/self/ns/mnt", &own) < 0)
		return error_set(err, errno, "look at the container's mount namespace");
	if (own.st_dev == other.st_dev && own.st_ino == other.st_ino)
		return error_set(err, 0, "process %d is not the container's", pid);
	return 0;
}

int namespaces_open_user(struct launcher *launcher, struct error *err)
{
	const struct oci_config *config = launcher->config;
	char path[64];

	if (!config->namespaces[OCI_NAMESPACE_USER].present)
		return 0;
	if (!launcher->container_pid) {
		launcher->user_namespace =
			user_namespace_make(&config->uid_mappings, &config->gid_mappings, err);
		return launcher->user_namespace < 0 ? -1 : 0;
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/user", launcher->container_pid);
	launcher->user_namespace = open(path, O_RDONLY | O_CLOEXEC);
	if (launcher->user_namespace < 0)
		return error_set(err, errno, "open the container's user namespace");
	return 0;
}

int namespaces_join_container(const struct oci_config *config, pid_t pid, struct error *err)
{
	const int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
			  CLONE_NEWCGROUP;
	bool own_mounts = config_has_new_namespace(config, OCI_NAMESPACE_MOUNT);
	CLEANUP_CLOSE int fd = syscall(SYS_pidfd_open, pid, 0);
	CLEANUP_CLOSE int root = -1;
	char path[64];

	if (fd < 0 && errno == ESRCH)
		return error_set(err, 0, "the container's process %d has ended", pid);
	if (fd < 0)
		return error_set(err, errno, "open the container's process %d", pid);
	if (own_mounts && check_is_standin(pid, err) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return error_set(err, errno, "open the container's root");
	/* All or none; with the mount namespace come its root and working directory. */
	if (setns(fd, flags) < 0)
		return error_set(err, errno, "join the container's namespaces");
	/* which are not the container's where it is not its own */
	if (!own_mounts && (fchdir(root) < 0 || chroot(".") < 0))
		return error_set(err, errno, "enter the container's root");
	return 0;
}
