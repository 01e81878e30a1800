/*
 * A share's mount in this VM: a FUSE file system whose other end is the host.
 */
#ifndef VXN_GUEST_SHARE_H
#define VXN_GUEST_SHARE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "control.h"
#include "error.h"

struct share_mount {
	int32_t mount; /* index in config.json's mounts, -1 = the rootfs */
	bool directory;
	bool tree;	  /* served by the host; else a socket or device of this VM */
	const char *path; /* below the mount's destination, of a nested one; else NULL */
	uint32_t flags;	  /* of a nested one: MS_* */
	int fd;		  /* of the mount, attached nowhere yet */
};

/*
 * Makes the mount; nothing has answered on it yet, and nothing here waits for an
 * answer. *fuse is the /dev/fuse that belongs to it, to be given to the relay.
 */
int share_make_mount(bool directory, bool readonly, int *fuse, struct error *err);

/* share_local.c: what stands in this VM for something of the host that can't be shared. */

/*
 * A socket file like the host's. *listener gets what is behind it, for the relay,
 * or stays -1 when nobody listens on the host.
 */
int share_make_socket(const struct control_share *share, int *listener, struct error *err);

/* The device of that number, one of default_devices. */
int share_make_device(dev_t number, struct error *err);

/*
 * Lets the kernel read ahead far enough to use the channel well. Waits for the
 * host: for children only. A failure costs speed, so it is only logged.
 */
void share_set_read_ahead(int mount);

#endif
