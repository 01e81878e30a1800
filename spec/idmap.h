/*
 * Idmapped mounts (mount_setattr(2), MOUNT_ATTR_IDMAP): ids on the disk and other
 * ids as the mount shows them. Parsing of both ways to ask for it, the spec's
 * uidMappings and gidMappings of a mount and crun's options, and what carries it
 * out. Used where binds are cloned: by the io process and the stand-in.
 */
#ifndef VXN_IDMAP_H
#define VXN_IDMAP_H

#include "config.h"
#include "error.h"
#include "json.h"

/* Members uidMappings and gidMappings of a mount, if they are there. */
int idmap_read(const struct json *mount_node, struct oci_mount *mount, struct error *err);

/*
 * The value of crun's "idmap=uids=0-1-10#10-11-10;gids=0-100-10": ranges of an id
 * on the disk, the id that it is seen as, and their number.
 */
int idmap_parse_option(const char *value, struct oci_mount *mount, struct error *err);

void idmap_release(struct oci_mount *mount);

/*
 * Maps the ids of a mount that is attached nowhere yet; recursive: and of those
 * below it. path is for errors. Needs CAP_SYS_ADMIN and a /proc; forks.
 */
int idmap_apply(int fd, const struct oci_mount *mount, bool recursive, const char *path,
		struct error *err);

#endif
