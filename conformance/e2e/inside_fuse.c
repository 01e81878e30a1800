/*
 * Makes a FUSE file system in a container and asks the VM's kernel to carry its
 * messages over the rings, as stream 1 (guest/kernel-rings.patch): prints the errno.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

/* As in <linux/fuse.h> of that kernel. */
struct fuse_rings_carry {
	uint32_t stream, credit;
};

#define FUSE_DEV_IOC_RINGS_CARRY _IOW(FUSE_DEV_IOC_MAGIC, 33, struct fuse_rings_carry)

int main(int argc, char *argv[])
{
	const struct fuse_rings_carry carry = { .stream = 1, .credit = 65536 };
	int fd = argc > 2 ? open(argv[1], O_RDWR | O_NONBLOCK) : -1;
	char options[64];

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd < 0 || mount("none", argv[2], "fuse", 0, options)) {
		perror("inside_fuse");
		return 1;
	}
	printf("%s\n",
	       ioctl(fd, FUSE_DEV_IOC_RINGS_CARRY, &carry) ? strerrorname_np(errno) : "carried");
	return 0;
}
