/*
 * The mount options that the OCI runtime spec names (config.md, "Linux mount
 * options"), as runc understands them. Whatever is not in the table belongs to
 * the file system and goes into its data.
 */
#ifndef VXN_MOUNT_OPTIONS_H
#define VXN_MOUNT_OPTIONS_H

#include "config.h"

/*
 * Fills bind, recursive, flags, propagation, recursive_set, recursive_clear,
 * copy_up, data and what is about idmap of mount from its options and type.
 */
int mount_options_parse(struct oci_mount *mount, struct error *err);

#endif
