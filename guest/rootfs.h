/*
 * A container's file system tree: its root, its mounts, its /dev, what is hidden
 * or read-only in it; and the step into it.
 */
#ifndef VXN_GUEST_ROOTFS_H
#define VXN_GUEST_ROOTFS_H

#include "child.h"
#include "error.h"

/* To be called in new mount, pid, ipc and cgroup namespaces. Ends in the new root. */
int rootfs_enter(const struct child_plan *plan, struct error *err);

/* mounts.c: one entry of config.json's mounts. */
int mounts_apply(const struct child_plan *plan, int root, size_t index, struct error *err);

/* mounts.c: the shares of that index in config.json's mounts that are nested, below top. */
int mounts_apply_nested(const struct child_plan *plan, int top, int32_t index, struct error *err);

/* mounts.c: makes those read-only that had to be written to first. */
int mounts_finish(const struct oci_config *config, int root, struct error *err);

/* device.c: device nodes and links below /dev. */
int device_populate(const struct oci_config *config, int root, struct error *err);

/* device_node.c: one node; a file that is just that device stays, another one is an error. */
int device_make(int root, const struct oci_device *device, bool user_namespace, struct error *err);

/* hide.c: masked and read-only paths. */
int hide_paths(const struct oci_config *config, int root, struct error *err);

/* copy_up.c: copies what is in directory `from` to directory `to`. */
int copy_up(int from, int to, struct error *err);

/* mount(2) on a descriptor of the place. */
int mount_on(const char *source, int place, const char *type, unsigned long flags,
	     const void *data);

#endif
