/* The host's part of linux.resources. See cgroup.h. */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cgroup_internal.h"
#include "cleanup.h"
#include "log.h"

/*
 * Version 1 wants a cpuset to hold those below it: when it becomes smaller, the
 * virtual machine's has to before, when larger, after. And what it says of a disk
 * holds for a cgroup alone, not for those below it.
 */
static void set_child(int directory, const struct cgroup_setting *setting)
{
	CLEANUP_CLOSE int child = openat(directory, CGROUP_VM, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (child >= 0 &&
	    (strncmp(setting->file, "cpuset.", 7) == 0 || strncmp(setting->file, "blkio.", 6) == 0))
		(void)cgroup_write_file(child, setting->file, setting->value);
}

/* Returns 1 if the file is there, 0 if it is of the other version, or of a controller that is not. */
static int set(const struct cgroup_hierarchy *hierarchy, const char *path,
	       const struct cgroup_setting *setting, struct error *err)
{
	CLEANUP_CLOSE int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool v1 = hierarchy->controllers != NULL;

	if (directory < 0)
		return errno == ENOENT ? 0 : error_set(err, errno, "open %s", path);
	if (v1)
		set_child(directory, setting);
	if (cgroup_write_file(directory, setting->file, setting->value) < 0)
		return errno == ENOENT
			       ? 0
			       : error_set(err, errno, "%s: write \"%.80s\" to %s/%s",
					   setting->field, setting->value, path, setting->file);
	if (v1)
		set_child(directory, setting);
	return 1;
}

/* In each hierarchy. Returns in how many it was, or -1. */
static int set_everywhere(const struct cgroup_hierarchies *hierarchies, const char *directory,
			  const struct cgroup_setting *setting, struct error *err)
{
	int count = 0;

	for (size_t i = 0; i < hierarchies->count; i++) {
		CLEANUP_FREE char *twin = cgroup_twin(hierarchies, i, directory, err);
		int result = twin ? set(&hierarchies->items[i], twin, setting, err) : -1;

		if (result < 0)
			return -1;
		count += result;
	}
	return count;
}

int cgroup_set_limits(const char *directory, const struct cgroup_settings *settings,
		      struct error *err)
{
	CLEANUP(cgroup_hierarchies_free) struct cgroup_hierarchies hierarchies = { .count = 0 };
	int found = 0; /* of this setting and those of the same field before it */

	if (!settings->count)
		return 0;
	if (cgroup_hierarchies_read(&hierarchies, err) < 0)
		return -1;
	for (size_t i = 0; i < settings->count; i++) {
		const struct cgroup_setting *setting = &settings->items[i];
		int result = set_everywhere(&hierarchies, directory, setting, err);

		if (result < 0)
			return -1;
		found += result;
		if (i + 1 < settings->count && strcmp(setting[0].field, setting[1].field) == 0)
			continue;
		if (!found && setting->warn_if_absent)
			log_warning("%s is not applied: the host's cgroups have no file for it",
				    setting->field);
		found = 0;
	}
	return 0;
}
