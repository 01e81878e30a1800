/* The limits of linux.resources on a container's cgroup. See cgroup.h. */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

static int write_line(int cgroup, const char *file, const char *line, size_t length)
{
	CLEANUP_CLOSE int fd = openat(cgroup, file, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, line, length) < 0 ? -1 : 0;
}

/* A file of several lines takes them one by one (io.max, rdma.max). */
static int set(int cgroup, const struct cgroup_setting *setting, struct error *err)
{
	const char *line = setting->value;

	do {
		size_t length = strcspn(line, "\n");

		if (write_line(cgroup, setting->file, line, length) < 0) {
			if (errno == ENOENT && setting->kept_if_absent)
				return 0;
			return error_set(err, errno, "%s: write \"%.*s\" to %s", setting->field,
					 (int)(length < 80 ? length : 80), line, setting->file);
		}
		line += length + (line[length] == '\n');
	} while (*line);
	return 0;
}

/* As many as the config names, of those that there are. */
static int set_cpus(int cgroup, unsigned int count, struct error *err)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	char list[32];

	if (!count || online < 0 || count >= (unsigned long)online)
		return 0;
	snprintf(list, sizeof(list), "0-%u", count - 1);
	if (write_line(cgroup, "cpuset.cpus", list, strlen(list)) < 0)
		return error_set(err, errno, "linux.resources.cpu.cpus: write %s to cpuset.cpus",
				 list);
	return 0;
}

int cgroup_set_limits(int cgroup, const struct oci_resources *resources, struct error *err)
{
	for (size_t i = 0; i < resources->inside.count; i++)
		if (set(cgroup, &resources->inside.items[i], err) < 0)
			return -1;
	return set_cpus(cgroup, resources->cpus, err);
}
