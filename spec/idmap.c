/*
 * See idmap.h. The kernel takes a mapping only as that of a user namespace, which
 * lives until its mapping has been taken over.
 */
#include "idmap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "id_mappings.h"

int idmap_read(const struct json *mount_node, struct oci_mount *mount, struct error *err)
{
	if (id_mappings_read(mount_node, "uidMappings", &mount->uid_mappings, err) < 0 ||
	    id_mappings_read(mount_node, "gidMappings", &mount->gid_mappings, err) < 0)
		return -1;
	if (mount->uid_mappings.count || mount->gid_mappings.count)
		mount->idmap = true;
	return 0;
}

int idmap_parse_option(const char *value, struct oci_mount *mount, struct error *err)
{
	const char *at = value;

	idmap_release(mount);
	while (at && *at) {
		bool uids = strncmp(at, "uids=", 5) == 0;

		if (!uids && strncmp(at, "gids=", 5) != 0)
			break;
		at = id_mappings_parse(at + 5, uids ? &mount->uid_mappings : &mount->gid_mappings);
		if (at && *at == ';')
			at++;
	}
	if (!at || *at)
		return error_set(err, 0,
				 "idmap=%s is no mapping of the form "
				 "uids=DISK-SEEN-COUNT#...;gids=...",
				 value);
	mount->idmap = true;
	return 0;
}

void idmap_release(struct oci_mount *mount)
{
	id_mappings_release(&mount->uid_mappings);
	id_mappings_release(&mount->gid_mappings);
}

/* Those that are met most; the rest by number. */
static void name_filesystem(int fd, char *out, size_t size)
{
	static const struct {
		long magic;
		const char *name;
	} rows[] = {
		{ 0x01021994, "tmpfs" }, { 0x794c7630, "overlay" }, { 0x65735546, "fuse" },
		{ 0x6969, "nfs" },	 { 0xef53, "ext4" },	    { 0x58465342, "xfs" },
		{ 0x9123683e, "btrfs" }, { 0x01021997, "9p" },	    { 0xff534d42, "cifs" },
		{ 0x858458f6, "ramfs" }, { 0x2fc12fc1, "zfs" },	    { 0x9fa0, "proc" },
	};
	struct statfs status = { 0 };

	fstatfs(fd, &status);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].magic == (long)status.f_type) {
			snprintf(out, size, "%s", rows[i].name);
			return;
		}
	snprintf(out, size, "of type 0x%lx", (unsigned long)status.f_type);
}

int idmap_apply(int fd, const struct oci_mount *mount, bool recursive, const char *path,
		struct error *err)
{
	const unsigned int flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	CLEANUP_CLOSE int namespace =
		user_namespace_make(&mount->uid_mappings, &mount->gid_mappings, err);
	char name[32];

	if (namespace < 0)
		return error_prefix(err, "idmap of %s", path);
	attr.userns_fd = (uint64_t) namespace;
	if (mount_setattr(fd, "", flags, &attr, sizeof(attr)) == 0)
		return 0;
	if (errno != EINVAL)
		return error_set(err, errno, "idmap of %s", path);
	name_filesystem(fd, name, sizeof(name));
	return error_set(err, 0, "idmap of %s: its file system, %s, can't map ids in this kernel",
			 path, name);
}
