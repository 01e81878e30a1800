/*
 * linux.sysctl, through the VM's own /proc: which namespace a parameter is of
 * depends on who opens it.
 */
#include "sysctl_apply.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

static int set(int directory, const struct oci_sysctl *sysctl, struct error *err)
{
	CLEANUP_CLOSE int fd = openat(directory, sysctl->path, O_WRONLY | O_CLOEXEC);
	size_t length = strlen(sysctl->value);

	if (fd < 0 || write(fd, sysctl->value, length) != (ssize_t)length)
		return error_set(err, errno, "set linux.sysctl.%s to \"%.80s\"", sysctl->name,
				 sysctl->value);
	return 0;
}

int sysctl_apply(const struct oci_config *config, struct error *err)
{
	CLEANUP_CLOSE int directory = -1;

	if (!config->sysctls.count)
		return 0;
	directory = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return error_set(err, errno, "open /proc/sys");
	for (size_t i = 0; i < config->sysctls.count; i++)
		if (set(directory, &config->sysctls.items[i], err) < 0)
			return -1;
	return 0;
}
