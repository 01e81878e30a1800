/* See time_namespace.h. Offsets can be set as long as nobody is in the namespace. */
#include "time_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "cleanup.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static int set_offset(const char *clock, const struct oci_time_offset *offset, struct error *err)
{
	CLEANUP_CLOSE int fd = -1;
	char line[64];
	int length;

	if (!offset->given)
		return 0;
	length = snprintf(line, sizeof(line), "%s %" PRId64 " %" PRIu32 "\n", clock,
			  offset->seconds, offset->nanoseconds);
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, line, length) != length)
		return error_set(err, errno, "set linux.timeOffsets.%s", clock);
	return 0;
}

int time_namespace_enter(const struct oci_config *config, struct error *err)
{
	CLEANUP_CLOSE int fd = -1;

	if (!config->namespaces[OCI_NAMESPACE_TIME].present)
		return 0;
	if (unshare(CLONE_NEWTIME) < 0)
		return error_set(err, errno, "make a time namespace");
	if (set_offset("monotonic", &config->time_offsets.monotonic, err) < 0 ||
	    set_offset("boottime", &config->time_offsets.boottime, err) < 0)
		return -1;
	fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWTIME) < 0)
		return error_set(err, errno, "enter the time namespace");
	return 0;
}
