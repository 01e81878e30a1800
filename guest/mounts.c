/*
 * One entry of config.json's mounts (config.md, "Mounts"). The place is found
 * below the container's root only (rootpath.h), and mounted on by descriptor.
 */
#include "rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "rootpath.h"

/* The size that engines give /dev/shm where they are not told another. */
#define SHM_SIZE (64u << 20)

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

/* Attributes of a mount, as opposed to flags of the file system. */
static const struct {
	unsigned long flag;
	uint64_t attribute;
} attribute_rows[] = {
	{ MS_RDONLY, MOUNT_ATTR_RDONLY },	  { MS_NOSUID, MOUNT_ATTR_NOSUID },
	{ MS_NODEV, MOUNT_ATTR_NODEV },		  { MS_NOEXEC, MOUNT_ATTR_NOEXEC },
	{ MS_NODIRATIME, MOUNT_ATTR_NODIRATIME }, { MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW },
};

static int set_attributes(int mount, unsigned long flags, struct error *err)
{
	struct mount_attr attr = { 0 };

	for (size_t i = 0; i < sizeof(attribute_rows) / sizeof(attribute_rows[0]); i++)
		if (flags & attribute_rows[i].flag)
			attr.attr_set |= attribute_rows[i].attribute;
	if (flags & (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)) {
		attr.attr_clr |= MOUNT_ATTR__ATIME;
		attr.attr_set |= flags & MS_NOATIME	  ? MOUNT_ATTR_NOATIME
				 : flags & MS_STRICTATIME ? MOUNT_ATTR_STRICTATIME
							  : MOUNT_ATTR_RELATIME;
	}
	if (mount_setattr(mount, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return error_set(err, errno, "set mount attributes");
	return 0;
}

static int attach(int mount, int place, struct error *err)
{
	if (move_mount(mount, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_set(err, errno, "attach the share");
	return 0;
}

int mounts_apply_nested(const struct child_plan *plan, int top, int32_t index, struct error *err)
{
	for (size_t i = 0; i < plan->shares_count; i++) {
		const struct share_mount *share = &plan->shares[i];
		CLEANUP_CLOSE int place = -1;

		if (share->mount != index || !share->path)
			continue;
		place = rootpath_open(top, share->path, O_PATH, err);
		if (place < 0 || set_attributes(share->fd, share->flags, err) < 0 ||
		    attach(share->fd, place, err) < 0)
			return error_prefix(err, "nested mount %s", share->path);
	}
	return 0;
}

static bool has_mount_below_dev(const struct oci_config *config, const char *name)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/%s", name);
	for (size_t i = 0; i < config->mounts_count; i++)
		if (config_path_is(config->mounts[i].destination, path))
			return true;
	return false;
}

/*
 * In a /dev of the host's, what belongs to a kernel is this one's. A name that is
 * not there is not made: it would be on the host.
 */
static int apply_own_dev(const struct child_plan *plan, int top, struct error *err)
{
	static const struct {
		const char *name, *type, *data;
	} rows[] = {
		{ "pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5" },
		{ "mqueue", "mqueue", NULL },
		{ "shm", "tmpfs", NULL },
	};
	char size[64];

	snprintf(size, sizeof(size), "mode=1777,size=%llu",
		 (unsigned long long)(plan->shm_size ? plan->shm_size : SHM_SIZE));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CLEANUP_CLOSE int place =
			rootpath_open(top, rows[i].name, O_PATH | O_DIRECTORY, NULL);
		bool shm = strcmp(rows[i].type, "tmpfs") == 0;

		if (place >= 0 && !has_mount_below_dev(plan->config, rows[i].name) &&
		    mount_on(rows[i].type, place, rows[i].type, MS_NOSUID | MS_NOEXEC,
			     shm ? size : rows[i].data) < 0)
			return error_set(err, errno, "mount %s", rows[i].name);
	}
	return 0;
}

static const struct share_mount *find_share(const struct child_plan *plan, size_t index)
{
	for (size_t i = 0; i < plan->shares_count; i++)
		if (plan->shares[i].mount == (int32_t)index && !plan->shares[i].path)
			return &plan->shares[i];
	return NULL;
}

static int apply_share(const struct child_plan *plan, int root, size_t index, struct error *err)
{
	const struct oci_mount *mount = &plan->config->mounts[index];
	const struct share_mount *share = find_share(plan, index);
	CLEANUP_CLOSE int place = -1;

	if (!share)
		return error_set(err, 0, "no share for it");
	place = rootpath_create(root, mount->destination, share->directory, err);
	if (place < 0 || set_attributes(share->fd, mount->flags, err) < 0 ||
	    attach(share->fd, place, err) < 0)
		return -1;
	if (mounts_apply_nested(plan, share->fd, (int32_t)index, err) < 0)
		return -1;
	return config_path_is(mount->destination, "/dev") ? apply_own_dev(plan, share->fd, err) : 0;
}

static bool has_data_option(const char *data, const char *name)
{
	size_t length = strlen(name);

	for (; data && *data; data += strcspn(data, ",") + (strchr(data, ',') != NULL))
		if (strncmp(data, name, length) == 0)
			return true;
	return false;
}

/* A tmpfs over a directory that is there has its mode, if none is asked for. */
static char *tmpfs_data(const struct oci_mount *mount, int root)
{
	const char *given = mount->data ? mount->data : "";
	CLEANUP_CLOSE int fd = rootpath_open(root, mount->destination, O_PATH, NULL);
	struct stat st;
	char *data;

	if (fd < 0 || fstat(fd, &st) < 0 || has_data_option(given, "mode="))
		return strdup(given);
	if (asprintf(&data, "mode=%04o%s%s", st.st_mode & 07777, given[0] ? "," : "", given) < 0)
		return NULL;
	return data;
}

static int apply_copy_up(const struct oci_mount *mount, int root, int below, struct error *err)
{
	CLEANUP_CLOSE int from = openat(below, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_CLOSE int to = rootpath_open(root, mount->destination, O_RDONLY | O_DIRECTORY, err);

	if (to < 0)
		return -1;
	if (from < 0)
		return error_set(err, errno, "open what is below");
	return copy_up(from, to, err);
}

/* Written to during set-up; mounts_finish makes them read-only. */
static bool is_finished_later(const struct oci_mount *mount)
{
	return !mount->bind && mount->flags & MS_RDONLY && !(mount->flags & MS_REMOUNT) &&
	       ((mount->type && strcmp(mount->type, "tmpfs") == 0) ||
		config_path_is(mount->destination, "/dev"));
}

static int apply_tmpfs(const struct oci_mount *mount, int root, const char *data, struct error *err)
{
	CLEANUP_FREE char *made = data ? strdup(data) : tmpfs_data(mount, root);
	CLEANUP_CLOSE int place = rootpath_create(root, mount->destination, true, err);

	if (place < 0)
		return -1;
	if (!made)
		return error_set(err, ENOMEM, "options");
	if (mount_on(mount->source ? mount->source : "tmpfs", place, "tmpfs",
		     mount->flags & ~(unsigned long)MS_RDONLY, made) < 0)
		return error_set(err, errno, "tmpfs with options \"%s\"", made);
	return mount->copy_up ? apply_copy_up(mount, root, place, err) : 0;
}

static int apply_remount(const struct oci_mount *mount, int root, struct error *err)
{
	CLEANUP_CLOSE int place = rootpath_open(root, mount->destination, O_PATH, err);

	if (place < 0)
		return -1;
	if (mount_on(NULL, place, NULL, mount->flags | (mount->bind ? MS_BIND : 0), mount->data) <
	    0)
		return error_set(err, errno, "remount");
	return 0;
}

/* Any other file system of this kernel. All cgroups here are version 2. */
static int apply_file_system(const struct oci_mount *mount, int root, struct error *err)
{
	const char *type = mount->type ? mount->type : "none";
	const char *source = mount->source ? mount->source : type, *data = mount->data;
	unsigned long flags = mount->flags;
	CLEANUP_CLOSE int place = -1;

	if (strcmp(type, "cgroup") == 0 || strcmp(type, "cgroup2") == 0) {
		type = "cgroup2";
		data = NULL;
	}
	if (is_finished_later(mount))
		flags &= ~(unsigned long)MS_RDONLY;
	place = rootpath_create(root, mount->destination, true, err);
	if (place < 0)
		return -1;
	if (mount_on(source, place, type, flags, data) < 0)
		return error_set(err, errno, "%s with options \"%s\"", type, data ? data : "");
	return 0;
}

/* The host's, which engines bind, is not shared: memory of one kernel is not another's. */
static int apply_shm(const struct child_plan *plan, const struct oci_mount *mount, int root,
		     struct error *err)
{
	char data[64];

	snprintf(data, sizeof(data), "mode=1777,size=%llu",
		 (unsigned long long)(plan->shm_size ? plan->shm_size : SHM_SIZE));
	return apply_tmpfs(mount, root, data, err);
}

static int apply_propagation(const struct oci_mount *mount, int root, struct error *err)
{
	CLEANUP_CLOSE int place = -1;

	if (!mount->propagation)
		return 0;
	place = rootpath_open(root, mount->destination, O_PATH, err);
	if (place < 0)
		return -1;
	if (mount_on(NULL, place, NULL, mount->propagation, NULL) < 0)
		return error_set(err, errno, "set propagation");
	return 0;
}

static int apply(const struct child_plan *plan, int root, size_t index, struct error *err)
{
	const struct oci_mount *mount = &plan->config->mounts[index];

	if (mount->flags & MS_REMOUNT)
		return apply_remount(mount, root, err);
	if (mount_is_share(mount))
		return apply_share(plan, root, index, err);
	if (mount->bind)
		return apply_shm(plan, mount, root, err);
	if (mount->type && strcmp(mount->type, "tmpfs") == 0)
		return apply_tmpfs(mount, root, NULL, err);
	return apply_file_system(mount, root, err);
}

int mounts_apply(const struct child_plan *plan, int root, size_t index, struct error *err)
{
	if (apply(plan, root, index, err) < 0)
		return -1;
	return apply_propagation(&plan->config->mounts[index], root, err);
}

int mounts_finish(const struct oci_config *config, int root, struct error *err)
{
	for (size_t i = 0; i < config->mounts_count; i++) {
		const struct oci_mount *mount = &config->mounts[i];
		CLEANUP_CLOSE int place = -1;

		if (!is_finished_later(mount))
			continue;
		place = rootpath_open(root, mount->destination, O_PATH, err);
		if (place < 0)
			return -1;
		if (mount_on(NULL, place, NULL, mount->flags | MS_REMOUNT | MS_BIND, NULL) < 0)
			return error_set(err, errno, "make %s read-only", mount->destination);
	}
	return 0;
}
