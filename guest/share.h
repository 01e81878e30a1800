/*
 * A share's mount in this VM: a FUSE file system whose other end is the host.
 */
#ifndef VXN_GUEST_SHARE_H
#define VXN_GUEST_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct share_mount {
	int32_t mount; /* index in config.json's mounts, -1 = the rootfs */
	bool directory;
	int fd; /* of the mount, attached nowhere yet */
};

/*
 * Makes the mount; nothing has answered on it yet, and nothing here waits for an
 * answer. *fuse is the /dev/fuse that belongs to it, to be given to the relay.
 */
int share_make_mount(bool directory, bool readonly, int *fuse, struct error *err);

/*
 * Lets the kernel read ahead far enough to use the channel well. Waits for the
 * host: for children only. A failure costs speed, so it is only logged.
 */
void share_set_read_ahead(int mount);

#endif
