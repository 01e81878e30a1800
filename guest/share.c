/* See share.h. Kernel document: filesystems/fuse.rst. */
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "kmsg.h"

#define READ_AHEAD_KIB "1024"

struct option {
	const char *key, *value; /* value NULL = a flag */
};

static int set_options(int fs, const struct option *options, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++)
		if (fsconfig(fs, options[i].value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			     options[i].key, options[i].value, 0) < 0)
			return error_set(err, errno, "share: option %s", options[i].key);
	return 0;
}

int share_make_mount(bool directory, bool readonly, int *fuse, struct error *err)
{
	CLEANUP_CLOSE int dev = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	CLEANUP_CLOSE int fs = fsopen("fuse", FSOPEN_CLOEXEC);
	char number[16];
	const struct option options[] = {
		{ "source", "vxn" },
		{ "fd", number },
		{ "rootmode", directory ? "040000" : "0100000" },
		{ "user_id", "0" },
		{ "group_id", "0" },
		{ "max_read", "1048576" },
		{ "default_permissions", NULL },
		{ "allow_other", NULL },
	};
	int mount;

	if (dev < 0 || fs < 0)
		return error_set(err, errno, "share: open /dev/fuse");
	snprintf(number, sizeof(number), "%d", dev);
	if (set_options(fs, options, sizeof(options) / sizeof(options[0]), err) < 0)
		return -1;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return error_set(err, errno, "share: make the file system");
	mount = fsmount(fs, FSMOUNT_CLOEXEC, readonly ? MOUNT_ATTR_RDONLY : 0);
	if (mount < 0)
		return error_set(err, errno, "share: make the mount");
	*fuse = steal_fd(&dev);
	return mount;
}

/* The answer to the kernel's first request lowers the value: it has to be here first. */
void share_set_read_ahead(int mount)
{
	CLEANUP_CLOSE int fd = -1;
	char path[80];
	struct stat st;

	if (fstat(mount, &st) < 0)
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev),
		 minor(st.st_dev));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, READ_AHEAD_KIB, strlen(READ_AHEAD_KIB)) < 0)
		kmsg_error("%s: %s", path, strerror(errno));
}
