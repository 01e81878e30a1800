/*
 * The mount options that the OCI runtime spec names (config.md, "Linux mount
 * options"), as runc understands them. Whatever is not in the table belongs to
 * the file system and goes into its data.
 */
#ifndef VXN_MOUNT_OPTIONS_H
#define VXN_MOUNT_OPTIONS_H

#include "config.h"
#include "string_list.h"

/*
 * Fills bind, recursive, flags, propagation, recursive_set, recursive_clear,
 * copy_up and data of mount from its options and type. Names of options that are
 * known but not applied yet (idmap) are added to not_yet, as they stand.
 */
int mount_options_parse(struct oci_mount *mount, struct string_list *not_yet, struct error *err);

#endif
