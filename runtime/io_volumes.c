/*
 * What config.json mounts of the host: for the root and each bind, and for each
 * mount nested below one that is bound recursively, a clone of that mount alone,
 * which becomes a share, a socket to connect to, or the word that the guest's own
 * device will do. All before confinement.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "cleanup.h"
#include "default_devices.h"
#include "idmap.h"
#include "io.h"
#include "log.h"
#include "nested_mounts.h"

/* Of a VM. Each costs a file system inside and two descriptors here. */
#define NESTED_MAX 256

/* Attributes of a nested mount that its clone, and the guest's mount, take over. */
#define INHERITED_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* The root directory's mount, as one of config.json's mounts. */
static const struct oci_mount root_mount = { .destination = (char *)"/",
					     .bind = true,
					     .recursive = true };

struct volumes {
	struct io *io;
	struct libmnt_table *table; /* see nested_mounts.h */
	size_t nested;
	const char *skipped; /* the last one left out */
	/* the mount that is being opened */
	const struct oci_mount *mount;
	int32_t index;
	char source[PATH_MAX];
};

static void release(struct volumes *volumes)
{
	nested_mounts_forget(&volumes->table);
}

static struct control_share *new_share(struct volumes *volumes, const char *below,
				       struct error *err)
{
	struct io *io = volumes->io;
	struct control_share *shares, *share;

	shares = realloc(io->shares, (io->shares_count + 1) * sizeof(*shares));
	if (!shares) {
		error_set(err, ENOMEM, "open the shares");
		return NULL;
	}
	io->shares = shares;
	share = &shares[io->shares_count];
	memset(share, 0, sizeof(*share));
	share->mount = volumes->index;
	if (below && !(share->path = strdup(below))) {
		error_set(err, ENOMEM, "open the shares");
		return NULL;
	}
	io->shares_count++;
	return share;
}

static int follow_mounts(struct io *io, struct share *share, int mount, struct error *err)
{
	int *slaves = realloc(io->slaves, (io->slaves_count + 1) * sizeof(*slaves));

	if (!slaves || share_follow_mounts(share, mount))
		return error_set(err, errno, "follow the mounts of the host");
	io->slaves = slaves;
	slaves[io->slaves_count++] = mount;
	return 0;
}

/* Does the mount, or the nested one, take part in what the host mounts below it? */
static bool is_slave(const struct oci_mount *mount, bool nested)
{
	return mount->propagation & MS_SLAVE && (!nested || mount->propagation & MS_REC);
}

/* Takes fd. */
static int open_tree_share(struct volumes *volumes, struct control_share *share, int fd,
			   const char *path, struct error *err)
{
	CLEANUP_CLOSE int mount = fd;
	struct io *io = volumes->io;
	bool slave = is_slave(volumes->mount, share->path);
	enum share_cache cache;
	struct share *tree;

	if (share_protect(mount, share->readonly, slave ? MS_SLAVE : MS_PRIVATE, path, err))
		return -1;
	if (cache_of(io->config, volumes->index < 0 ? NULL : volumes->mount, io->cache, &cache,
		     err))
		return -1;
	tree = share_new(steal_fd(&mount), path, cache, &share->directory, err);
	if (!tree || !io_stream_share(io, tree, io->shares_count - 1, err))
		return -1;
	return slave ? follow_mounts(io, tree, fd, err) : 0;
}

static bool is_default_device(const struct stat *st)
{
	for (const struct default_device *d = default_devices; d->name; d++)
		if (S_ISCHR(st->st_mode) && st->st_rdev == makedev(d->major, d->minor))
			return true;
	return false;
}

/* Takes fd, a clone of the mount. */
static int open_clone(struct volumes *volumes, int fd, const char *path, const char *below,
		      bool readonly, struct error *err)
{
	CLEANUP_CLOSE int mount = fd;
	const char *kernel = kernel_filesystem_name(mount);
	struct control_share *share;
	struct stat st;

	if (kernel)
		return error_set(err, 0,
				 "share %s: it is on %s, which shows the host's kernel and "
				 "can't be served to a virtual machine",
				 path, kernel);
	if (fstat(mount, &st))
		return error_set(err, errno, "share %s: fstat", path);
	share = new_share(volumes, below, err);
	if (!share)
		return -1;
	share->readonly = readonly;
	if (S_ISSOCK(st.st_mode))
		return io_socket_add(volumes->io, steal_fd(&mount), &st, share, err)
			       ? error_prefix(err, "share %s", path)
			       : 0;
	if (is_default_device(&st)) {
		share->kind = CONTROL_SHARE_DEVICE;
		share->device = (uint32_t)st.st_rdev;
		return 0;
	}
	return open_tree_share(volumes, share, steal_fd(&mount), path, err);
}

/* --- nested mounts --- */

static int set_recursive(int mount, const struct oci_mount *config, const char *path,
			 struct error *err)
{
	struct mount_attr attr = { .attr_set = config->recursive_set,
				   .attr_clr = config->recursive_clear };

	if ((attr.attr_set | attr.attr_clr) & MOUNT_ATTR__ATIME)
		attr.attr_clr |= MOUNT_ATTR__ATIME;
	if ((attr.attr_set | attr.attr_clr) &&
	    mount_setattr(mount, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		return error_set(err, errno, "share %s: set its recursive options", path);
	return config->idmap_recursive ? idmap_apply(mount, config, false, path, err) : 0;
}

/* Why a nested mount is left out, in words; NULL: it is not. */
static const char *skip_reason(int mount, const struct nested_mount *nested)
{
	char clean[PATH_MAX];
	struct stat st;

	if (kernel_filesystem_name(mount))
		return "it shows the host's kernel";
	if (fstat(mount, &st))
		return strerror(errno);
	snprintf(clean, sizeof(clean), "%s", nested->path);
	error_sanitize(clean);
	if (strcmp(clean, nested->path) != 0)
		return "its path is not plain text";
	if (S_ISFIFO(st.st_mode))
		return "it is a FIFO";
	if (S_ISBLK(st.st_mode) || (S_ISCHR(st.st_mode) && !is_default_device(&st)))
		return "it is a device";
	return NULL;
}

static int open_nested(struct volumes *volumes, const struct nested_mount *nested,
		       struct error *err)
{
	CLEANUP_CLOSE int mount = open_tree(AT_FDCWD, nested->path,
					    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
						    AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);
	const char *skip = mount < 0 ? strerror(errno) : skip_reason(mount, nested);
	struct statvfs status;

	if (mount < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EPERM))
		return error_set(err, errno, "share %s", nested->path);
	if (skip) {
		log_warning("%s, mounted below %s, is not in the container: %s", nested->path,
			    volumes->source, skip);
		volumes->skipped = nested->below;
		return 0;
	}
	if (++volumes->nested > NESTED_MAX)
		return error_set(
			err, 0,
			"more than %d file systems are mounted below the sources of "
			"recursive binds; the one at %s is one too many (bind leaves them out)",
			NESTED_MAX, nested->path);
	if (set_recursive(mount, volumes->mount, nested->path, err))
		return -1;
	if (fstatvfs(mount, &status))
		return error_set(err, errno, "share %s", nested->path);
	if (open_clone(volumes, steal_fd(&mount), nested->path, nested->below,
		       status.f_flag & ST_RDONLY, err))
		return -1;
	/* the numbers of ST_* are those of MS_* */
	volumes->io->shares[volumes->io->shares_count - 1].flags =
		(uint32_t)(status.f_flag & INHERITED_FLAGS);
	return 0;
}

/* The guest makes its own there: /dev/shm, and in a /dev of the host's what belongs to it. */
static bool is_guests_own(const struct oci_mount *mount, const char *below)
{
	return config_path_is(mount->destination, "/dev") &&
	       (!strcmp(below, "shm") || !strcmp(below, "pts") || !strcmp(below, "mqueue"));
}

/* There is no place for it in the guest. */
static bool is_below_skipped(const struct volumes *volumes, const char *below)
{
	size_t length = volumes->skipped ? strlen(volumes->skipped) : 0;

	return length && strncmp(below, volumes->skipped, length) == 0 && below[length] == '/';
}

static int open_all_nested(struct volumes *volumes, struct error *err)
{
	CLEANUP(nested_mounts_free) struct nested_mounts found = { 0 };

	if (nested_mounts_find(&volumes->table, volumes->source, &found, err))
		return -1;
	volumes->skipped = NULL;
	for (size_t i = 0; i < found.count; i++) {
		const char *below = found.items[i].below;

		if (is_guests_own(volumes->mount, below))
			volumes->skipped = below;
		else if (!is_below_skipped(volumes, below) &&
			 open_nested(volumes, &found.items[i], err))
			return -1;
	}
	return 0;
}

/* --- one entry of config.json --- */

/* A relative source is relative to the bundle. */
static int open_volume(struct volumes *volumes, const char *source, bool readonly,
		       struct error *err)
{
	const struct io *io = volumes->io;
	CLEANUP_CLOSE int mount = -1;

	if (snprintf(volumes->source, PATH_MAX, "%s%s%s", source[0] == '/' ? "" : io->bundle,
		     source[0] == '/' ? "" : "/", source) >= PATH_MAX)
		return error_set(err, ENAMETOOLONG, "%s", source);
	mount = open_tree(AT_FDCWD, volumes->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (mount < 0)
		return error_set(err, errno, "share %s", volumes->source);
	if (volumes->mount->idmap &&
	    idmap_apply(mount, volumes->mount, false, volumes->source, err))
		return -1;
	if (open_clone(volumes, steal_fd(&mount), volumes->source, NULL, readonly, err))
		return -1;
	if (!volumes->mount->recursive || !io->shares[io->shares_count - 1].directory)
		return 0;
	return open_all_nested(volumes, err);
}

/* The guest makes its own /dev/shm, of the size that the engine gave the host's. */
static void note_shm(struct io *io, const struct oci_mount *mount)
{
	struct statfs fs;

	if (mount->source && !statfs(mount->source, &fs))
		io->shm_size = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
}

static int open_mount(struct volumes *volumes, size_t index, struct error *err)
{
	const struct oci_mount *mount = &volumes->io->config->mounts[index];

	if (mount->bind && !mount_is_share(mount))
		note_shm(volumes->io, mount);
	if (!mount_is_share(mount))
		return 0;
	if (!mount->source)
		return error_set(err, 0, "mounts[%zu].source is missing", index);
	volumes->mount = mount;
	volumes->index = (int32_t)index;
	if (open_volume(volumes, mount->source, mount->flags & MS_RDONLY, err))
		return error_prefix(err, "mounts[%zu].source", index);
	return 0;
}

int io_volumes_open(struct io *io, struct error *err)
{
	CLEANUP(release) struct volumes volumes = { .io = io, .mount = &root_mount, .index = -1 };
	const struct oci_config *config = io->config;

	if (open_volume(&volumes, config->root_path, config->root_readonly, err))
		return error_prefix(err, "root.path");
	for (size_t i = 0; i < config->mounts_count; i++)
		if (open_mount(&volumes, i, err))
			return -1;
	return 0;
}
