/*
 * The cgroup hierarchies that are mounted below /sys/fs/cgroup: one on a cgroup2
 * host, about a dozen on v1 and hybrid ones.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <libmount/libmount.h>

#include "cgroup_internal.h"
#include "cleanup.h"

static void free_table(struct libmnt_table **table)
{
	mnt_unref_table(*table);
}

static void free_iter(struct libmnt_iter **iter)
{
	mnt_free_iter(*iter);
}

void cgroup_hierarchies_free(struct cgroup_hierarchies *hierarchies)
{
	for (size_t i = 0; i < hierarchies->count; i++) {
		free(hierarchies->items[i].directory);
		free(hierarchies->items[i].controllers);
	}
	hierarchies->count = 0;
}

bool cgroup_hierarchy_has(const struct cgroup_hierarchy *hierarchy, const char *controller)
{
	return hierarchy->controllers &&
	       mnt_optstr_get_option(hierarchy->controllers, controller, NULL, NULL) == 0;
}

bool cgroup_may_lack(const struct cgroup_hierarchies *hierarchies, size_t i)
{
	return i > 0 || cgroup_hierarchy_has(&hierarchies->items[i], CGROUP_DEVICES);
}

/* 2 for cgroup2; 1 for the v1 hierarchy that stands for the others; 0 for those. */
static int rank(const struct cgroup_hierarchy *hierarchy)
{
	if (!hierarchy->controllers)
		return 2;
	return cgroup_hierarchy_has(hierarchy, "pids");
}

static void put_best_first(struct cgroup_hierarchies *hierarchies)
{
	for (size_t i = 1; i < hierarchies->count; i++) {
		struct cgroup_hierarchy swap = hierarchies->items[0];

		if (rank(&hierarchies->items[i]) <= rank(&swap))
			continue;
		hierarchies->items[0] = hierarchies->items[i];
		hierarchies->items[i] = swap;
	}
}

static int add(struct cgroup_hierarchies *hierarchies, struct libmnt_fs *fs, struct error *err)
{
	bool v2 = strcmp(mnt_fs_get_fstype(fs), "cgroup2") == 0;
	const char *options = mnt_fs_get_fs_options(fs);
	struct cgroup_hierarchy *hierarchy = &hierarchies->items[hierarchies->count];

	if (hierarchies->count == CGROUP_HIERARCHIES_MAX)
		return error_set(err, 0, "more than %d cgroup hierarchies", CGROUP_HIERARCHIES_MAX);
	hierarchy->directory = strdup(mnt_fs_get_target(fs));
	hierarchy->controllers = v2 ? NULL : strdup(options ? options : "");
	hierarchies->count++;
	if (!hierarchy->directory || (!v2 && !hierarchy->controllers))
		return error_set(err, ENOMEM, "list the cgroup hierarchies");
	return 0;
}

/* Below /sys/fs/cgroup, and what one finds there: another mount may hide it. */
static bool is_hierarchy(struct libmnt_fs *fs)
{
	const char *type = mnt_fs_get_fstype(fs);
	const char *target = mnt_fs_get_target(fs);
	const size_t length = strlen(CGROUP_ROOT);
	struct stat status;

	return type && target && (strcmp(type, "cgroup") == 0 || strcmp(type, "cgroup2") == 0) &&
	       strncmp(target, CGROUP_ROOT, length) == 0 &&
	       (target[length] == '\0' || target[length] == '/') && stat(target, &status) == 0 &&
	       status.st_dev == mnt_fs_get_devno(fs);
}

static bool is_known(const struct cgroup_hierarchies *hierarchies, const char *directory)
{
	for (size_t i = 0; i < hierarchies->count; i++)
		if (strcmp(hierarchies->items[i].directory, directory) == 0)
			return true;
	return false;
}

int cgroup_hierarchies_read(struct cgroup_hierarchies *hierarchies, struct error *err)
{
	CLEANUP(free_table) struct libmnt_table *table = mnt_new_table();
	CLEANUP(free_iter) struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_BACKWARD);
	struct libmnt_fs *fs;
	int result;

	hierarchies->count = 0;
	if (!table || !iter)
		return error_set(err, ENOMEM, "list the cgroup hierarchies");
	result = mnt_table_parse_mtab(table, "/proc/self/mountinfo");
	if (result < 0)
		return error_set(err, -result, "read /proc/self/mountinfo");
	while (mnt_table_next_fs(table, iter, &fs) == 0) {
		if (!is_hierarchy(fs) || is_known(hierarchies, mnt_fs_get_target(fs)))
			continue;
		if (add(hierarchies, fs, err) < 0)
			return -1;
	}
	if (hierarchies->count == 0)
		return error_set(err, 0, "no cgroup hierarchy is mounted below " CGROUP_ROOT);
	put_best_first(hierarchies);
	return 0;
}

char *cgroup_twin(const struct cgroup_hierarchies *hierarchies, size_t i, const char *directory,
		  struct error *err)
{
	const char *first = hierarchies->items[0].directory;
	size_t length = strlen(first);
	char *twin;

	/* The root itself is nobody's container. */
	if (strncmp(directory, first, length) != 0 || directory[length] != '/' ||
	    directory[length + 1] == '\0' || strstr(directory, "/../")) {
		error_set(err, 0, "%s is no cgroup below %s", directory, first);
		return NULL;
	}
	if (asprintf(&twin, "%s%s", hierarchies->items[i].directory, directory + length) < 0) {
		error_set(err, ENOMEM, "cgroup %s", directory);
		return NULL;
	}
	return twin;
}
