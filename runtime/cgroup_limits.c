/* The host's part of linux.resources. See cgroup.h. */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cgroup_internal.h"
#include "cleanup.h"

/*
 * Version 1 wants a cpuset to hold those below it: when it becomes smaller, the
 * virtual machine's has to before, when larger, after.
 */
static void narrow_child(int directory, const struct cgroup_setting *setting)
{
	CLEANUP_CLOSE int child = openat(directory, CGROUP_VM, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (child >= 0 && strncmp(setting->file, "cpuset.", 7) == 0)
		(void)cgroup_write_file(child, setting->file, setting->value);
}

static int set(const struct cgroup_hierarchy *hierarchy, const char *path,
	       const struct cgroup_setting *setting, struct error *err)
{
	CLEANUP_CLOSE int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool v1 = hierarchy->controllers != NULL;

	if (directory < 0)
		return errno == ENOENT ? 0 : error_set(err, errno, "open %s", path);
	if (v1)
		narrow_child(directory, setting);
	/* a file that is not there is of the other version, or of a controller that is not */
	if (cgroup_write_file(directory, setting->file, setting->value) < 0 && errno != ENOENT)
		return error_set(err, errno, "%s: write \"%.80s\" to %s/%s", setting->field,
				 setting->value, path, setting->file);
	if (v1)
		narrow_child(directory, setting);
	return 0;
}

int cgroup_set_limits(const char *directory, const struct cgroup_settings *settings,
		      struct error *err)
{
	CLEANUP(cgroup_hierarchies_free) struct cgroup_hierarchies hierarchies = { .count = 0 };

	if (!settings->count)
		return 0;
	if (cgroup_hierarchies_read(&hierarchies, err) < 0)
		return -1;
	for (size_t i = 0; i < hierarchies.count; i++) {
		CLEANUP_FREE char *twin = cgroup_twin(&hierarchies, i, directory, err);

		if (!twin)
			return -1;
		for (size_t j = 0; j < settings->count; j++)
			if (set(&hierarchies.items[i], twin, &settings->items[j], err) < 0)
				return -1;
	}
	return 0;
}
