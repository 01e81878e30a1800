/*
 * The container's cgroup on the host: made from linux.cgroupsPath, either a
 * path (cgroupfs) or "slice:prefix:name" (--systemd-cgroup: a transient scope,
 * asked from systemd by sd-bus). cgroup v2; on v1 or hybrid hosts each v1
 * hierarchy that is mounted gets the same path.
 */
#ifndef VXN_CGROUP_H
#define VXN_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "devices.h"
#include "error.h"
#include "resources.h"

/*
 * Makes the cgroup. cgroups_path may be NULL: then "/vxn-ID" (cgroupfs) or
 * "system.slice:vxn:ID" (systemd). *directory: absolute path of the cgroup2
 * directory (or of the v1 name/pids hierarchy), to be freed. For systemd a
 * process must be in the scope from the start: pid is moved there (0 for
 * cgroupfs: nobody is moved yet).
 */
int cgroup_create(const char *cgroups_path, const char *id, bool systemd, pid_t pid,
		  char **directory, struct error *err);

/* What the virtual machine takes is in one of this name below the container's. */
#define CGROUP_VM "vm"

/*
 * A cgroup of that name below one that cgroup_create has made, with the controllers
 * that come from above: none is passed on, as the parent has processes itself. The
 * v1 hierarchy of devices gets none: the container's rules would hold for it, too,
 * and the virtual machine needs devices that the container may not open.
 * *child: as *directory above.
 */
int cgroup_make_child(const char *directory, const char *name, char **child, struct error *err);

/*
 * Sets what the container may have of the host's processors and disks, and of
 * processes (resources.h), on it and what is below. A file that is in no hierarchy is
 * left out, some with a warning; a value that the kernel refuses is an error that
 * names the field.
 */
int cgroup_set_limits(const char *directory, const struct cgroup_settings *settings,
		      struct error *err);

/*
 * Which devices may be opened there: the rules of the config, and those that hold for
 * every container. Does nothing on cgroup2, which has no files for it. A rule that
 * the kernel refuses is an error that names it.
 */
int cgroup_set_devices(const char *directory, const struct oci_devices *devices, struct error *err);

/* Moves a process there (all hierarchies that have it); pid 0: the calling one. */
int cgroup_enter(const char *directory, pid_t pid, struct error *err);

/*
 * Opens the cgroup.procs files (one for each hierarchy) for writing, so that a
 * process can put itself there: a limit on processes never refuses that. They
 * are CLOEXEC; *count tells how many of the max there are.
 */
int cgroup_open_procs(const char *directory, int *fds, size_t max, size_t *count,
		      struct error *err);

/*
 * Kills what is left in it and below (cgroup.kill or by pid) and removes it with
 * all below; a cgroup that is not there is success. Waits up to 5 s for the dead.
 */
int cgroup_remove(const char *directory, struct error *err);

#endif
