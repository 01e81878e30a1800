/* See nested_mounts.h. Reads the kernel's table by libmount. */
#include "nested_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cleanup.h"

/* Those that <linux/magic.h> does not have. */
#define MQUEUE_MAGIC	 0x19800202
#define CONFIGFS_MAGIC	 0x62656570
#define FUSECTL_MAGIC	 0x65735543
#define RPC_PIPEFS_MAGIC 0x67596969
#define NFSD_MAGIC	 0x6e667364
#define XENFS_MAGIC	 0xabba1974

static const struct {
	unsigned long magic;
	const char *name;
} kernel_filesystems[] = {
	{ PROC_SUPER_MAGIC, "proc" },
	{ SYSFS_MAGIC, "sysfs" },
	{ CGROUP_SUPER_MAGIC, "cgroup" },
	{ CGROUP2_SUPER_MAGIC, "cgroup2" },
	{ DEVPTS_SUPER_MAGIC, "devpts" },
	{ MQUEUE_MAGIC, "mqueue" },
	{ AUTOFS_SUPER_MAGIC, "autofs" },
	{ NSFS_MAGIC, "nsfs" },
	{ DEBUGFS_MAGIC, "debugfs" },
	{ TRACEFS_MAGIC, "tracefs" },
	{ SECURITYFS_MAGIC, "securityfs" },
	{ SELINUX_MAGIC, "selinuxfs" },
	{ SMACK_MAGIC, "smackfs" },
	{ PSTOREFS_MAGIC, "pstore" },
	{ EFIVARFS_MAGIC, "efivarfs" },
	{ BPF_FS_MAGIC, "bpf" },
	{ BINFMTFS_MAGIC, "binfmt_misc" },
	{ HUGETLBFS_MAGIC, "hugetlbfs" },
	{ RDTGROUP_SUPER_MAGIC, "resctrl" },
	{ CONFIGFS_MAGIC, "configfs" },
	{ FUSECTL_MAGIC, "fusectl" },
	{ RPC_PIPEFS_MAGIC, "rpc_pipefs" },
	{ NFSD_MAGIC, "nfsd" },
	{ XENFS_MAGIC, "xenfs" },
};

const char *kernel_filesystem_name(int fd)
{
	struct statfs status;

	if (fstatfs(fd, &status))
		return NULL;
	for (size_t i = 0; i < sizeof(kernel_filesystems) / sizeof(kernel_filesystems[0]); i++)
		if ((unsigned long)status.f_type == kernel_filesystems[i].magic)
			return kernel_filesystems[i].name;
	return NULL;
}

void nested_mounts_forget(struct libmnt_table **table)
{
	mnt_unref_table(*table);
	*table = NULL;
}

void nested_mounts_free(struct nested_mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++)
		free(mounts->items[i].path);
	free(mounts->items);
	memset(mounts, 0, sizeof(*mounts));
}

/* The part of path below directory; NULL: it is not below. */
static const char *part_below(const char *path, const char *directory)
{
	size_t length = strcmp(directory, "/") ? strlen(directory) : 0;

	if (strncmp(path, directory, length) != 0 || path[length] != '/' || !path[length + 1])
		return NULL;
	return path + length + 1;
}

/*
 * Does the path lead to this mount? By statx, for no fd may hold the host's mount.
 * One that cannot be looked at (another user's FUSE, a server that is gone) is for
 * the caller to find out about, and to say.
 */
static bool is_reached(struct libmnt_fs *fs)
{
	struct statx status;

	if (statx(AT_FDCWD, mnt_fs_get_target(fs),
		  AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_MNT_ID,
		  &status))
		return errno != ENOENT && errno != ENOTDIR;
	return status.stx_mask & STATX_MNT_ID && status.stx_mnt_id == (uint64_t)mnt_fs_get_id(fs);
}

static bool is_unbindable(struct libmnt_fs *fs)
{
	unsigned long propagation = 0;

	return mnt_fs_get_propagation(fs, &propagation) == 0 && propagation & MS_UNBINDABLE;
}

static int add(struct nested_mounts *found, struct libmnt_fs *fs, struct error *err)
{
	struct nested_mount *items =
		realloc(found->items, (found->count + 1) * sizeof(*found->items));

	if (!items)
		return error_set(err, ENOMEM, "look for mounts");
	found->items = items;
	items[found->count].unbindable = is_unbindable(fs);
	items[found->count].path = strdup(mnt_fs_get_target(fs));
	if (!items[found->count].path)
		return error_set(err, ENOMEM, "look for mounts");
	found->count++;
	return 0;
}

/* The order of a walk through the tree: a slash counts less than what a name may have. */
static int compare(const void *a, const void *b)
{
	const char *x = ((const struct nested_mount *)a)->path;
	const char *y = ((const struct nested_mount *)b)->path;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	return (*x == '/' ? 1 : (unsigned char)*x) - (*y == '/' ? 1 : (unsigned char)*y);
}

static int collect(struct libmnt_table *table, const char *directory, struct nested_mounts *found,
		   struct error *err)
{
	struct libmnt_iter *iterator = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	int result = iterator ? 0 : error_set(err, ENOMEM, "look for mounts");

	while (!result && mnt_table_next_fs(table, iterator, &fs) == 0) {
		const char *target = mnt_fs_get_target(fs);

		if (target && part_below(target, directory) && is_reached(fs))
			result = add(found, fs, err);
	}
	mnt_free_iter(iterator);
	return result;
}

/* Drops the unbindable mounts and, as the kernel does, all below them. */
static void prune(const char *directory, struct nested_mounts *found)
{
	CLEANUP_FREE char *pruned = NULL;
	size_t kept = 0;

	for (size_t i = 0; i < found->count; i++) {
		struct nested_mount *item = &found->items[i];

		if (pruned && part_below(item->path, pruned)) {
			free(item->path);
		} else if (item->unbindable) {
			free(pruned);
			pruned = item->path;
		} else {
			item->below = part_below(item->path, directory);
			found->items[kept++] = *item;
		}
	}
	found->count = kept;
}

int nested_mounts_find(struct libmnt_table **table, const char *directory,
		       struct nested_mounts *found, struct error *err)
{
	CLEANUP_FREE char *real = realpath(directory, NULL);

	if (!real)
		return error_set(err, errno, "%s", directory);
	if (!*table)
		*table = mnt_new_table_from_file("/proc/self/mountinfo");
	if (!*table)
		return error_set(err, errno, "read /proc/self/mountinfo");
	if (collect(*table, real, found, err))
		return -1;
	if (!found->count)
		return 0;
	qsort(found->items, found->count, sizeof(*found->items), compare);
	prune(real, found);
	return 0;
}
