/*
 * vxn-launch: what its files know of each other. It runs as two processes:
 *
 *  - the launcher itself, which reads config.json, opens what has to be opened
 *    on the host, joins the namespaces that exist already, and makes
 *  - the child, which makes the new namespaces, builds the mounts, takes on the
 *    credentials and executes vxn-standin. It is a child of the launcher's own
 *    parent (CLONE_PARENT), in the container's pid namespace.
 */
#ifndef VXN_LAUNCHER_H
#define VXN_LAUNCHER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "error.h"

struct launcher {
	/* the command line */
	const char *bundle;
	const char *config_path;
	const char *process_path; /* exec: process.json, else NULL */
	const char *standin_path;
	pid_t container_pid;	 /* exec: stand-in of the container's process, else 0 */
	unsigned int cgroup_fds; /* how many, from LAUNCH_CGROUP_FD */
	bool terminal;

	struct oci_config *config;
	struct oci_process *exec_process;  /* NULL unless exec */
	const struct oci_process *process; /* of whichever it is */
	int standin;			   /* its file, O_PATH, on a mount of its own */
	int null;			   /* /dev/null, the same */
	int user_namespace;		   /* to be joined last; -1 = the host's */
};

/*
 * A copy of the mount at path, attached nowhere. What is opened through it, a
 * program that is executed too, keeps the host's own mount free: an engine can
 * unmount that without being told that it is busy. flags: AT_RECURSIVE or 0.
 */
int detached_mount(int directory, const char *path, unsigned int flags, struct error *err);

/* Opens the file itself through such a copy. */
int detached_open(const char *path, int flags, struct error *err);

/* launch_namespaces.c: in the launcher. */

/* Joins the namespaces that config.json gives by path. */
int namespaces_join(const struct oci_config *config, struct error *err);

/* Joins all of a running container's stand-in, its root directory included. */
int namespaces_join_container(const struct oci_config *config, pid_t pid, struct error *err);

/* CLONE_* flags with which the child is to be made: a pid namespace comes into being so. */
uint64_t namespaces_clone_flags(const struct oci_config *config);

/*
 * Opens the user namespace of the stand-in: a new one, or of exec the container's.
 * -1 in launcher->user_namespace: it needs none.
 */
int namespaces_open_user(struct launcher *launcher, struct error *err);

/* In the child: new namespaces of the other types. */
int namespaces_unshare(const struct oci_config *config, struct error *err);

/* launch_rootfs.c: builds the mount tree below the rootfs and makes it the root. */
int rootfs_enter(const struct launcher *launcher, struct error *err);

/* launch_mounts.c: places one mount of config.json below root. */
int mount_place(int root, const struct launcher *launcher, const struct oci_mount *mount,
		struct error *err);

/* Sets MS_* flags of the mount whose root target is. */
int mount_set_flags(int target, unsigned long flags, struct error *err);
bool mount_is_dev(const struct oci_mount *mount);

/* launch_dev.c: the nodes and links that runc puts into a /dev of the container's own. */
int dev_populate(int root, const struct oci_config *config, struct error *err);

/* launch_copyup.c: copies the directory from, all below and its owner, into the directory to. */
int copy_up(int from, int to, struct error *err);

/* launch_credentials.c */

/* Needs the host's /proc. A score that this host can't grant is let go. */
int oom_score_adj_apply(const struct oci_process *process, struct error *err);
int rlimits_apply(const struct oci_process *process, struct error *err);

/* User, groups, capabilities, no_new_privs, in the order in which they can be had. */
int credentials_apply(const struct oci_process *process, struct error *err);

#endif
