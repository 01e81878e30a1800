/* What the files of the host's cgroups (cgroup*.c) know of each other. */
#ifndef VXN_CGROUP_INTERNAL_H
#define VXN_CGROUP_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "error.h"

#define CGROUP_ROOT	       "/sys/fs/cgroup"
#define CGROUP_HIERARCHIES_MAX 16

/* Mounted hierarchies; the first is the one whose directories the callers know. */
struct cgroup_hierarchies {
	struct cgroup_hierarchy {
		char *directory;   /* where it is mounted */
		char *controllers; /* v1: its mount options; NULL for cgroup2 */
	} items[CGROUP_HIERARCHIES_MAX];
	size_t count;
};

#define CGROUP_DEVICES "devices"

/* Whether it is a v1 hierarchy with that controller. */
bool cgroup_hierarchy_has(const struct cgroup_hierarchy *hierarchy, const char *controller);

/*
 * Whether a container may be without a directory in hierarchy i: systemd makes its
 * scopes in its own hierarchy only, and the virtual machine has none of devices.
 */
bool cgroup_may_lack(const struct cgroup_hierarchies *hierarchies, size_t i);

/* Writes a short file of a cgroup in one write. Returns -1 with errno set. */
int cgroup_write_file(int directory, const char *name, const char *text);

int cgroup_hierarchies_read(struct cgroup_hierarchies *hierarchies, struct error *err);
void cgroup_hierarchies_free(struct cgroup_hierarchies *hierarchies);

/* The directory in hierarchy i that belongs to one in the first; to be freed. */
char *cgroup_twin(const struct cgroup_hierarchies *hierarchies, size_t i, const char *directory,
		  struct error *err);

/* A transient scope for "slice:prefix:name", with pid in it. */
int cgroup_systemd_create(const char *cgroups_path, pid_t pid, char **directory, struct error *err);

/* Stops the scope that directory belongs to; success when systemd knows none. */
int cgroup_systemd_stop(const char *directory, struct error *err);

/* Whether the directory can be one of systemd's scopes. */
bool cgroup_systemd_is_scope(const char *directory);

#endif
