/*
 * See share.h. Both are files of this VM's own root, which no container sees but
 * by the mount made here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "default_devices.h"
#include "share.h"

#define SOCKETS_DIR "/sockets"

static int clone_mount(const char *path, struct error *err)
{
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return fd < 0 ? error_set(err, errno, "share %s", path) : fd;
}

static int make_file(int fd, const struct control_share *share, struct sockaddr_un *address,
		     struct error *err)
{
	if (mkdir(SOCKETS_DIR, 0700) < 0 && errno != EEXIST)
		return error_set(err, errno, "mkdir %s", SOCKETS_DIR);
	snprintf(address->sun_path, sizeof(address->sun_path), "%s/%u", SOCKETS_DIR, share->stream);
	if (bind(fd, (struct sockaddr *)address, sizeof(*address)) < 0 ||
	    chown(address->sun_path, share->uid, share->gid) < 0 ||
	    chmod(address->sun_path, share->mode) < 0)
		return error_set(err, errno, "make the socket %s", address->sun_path);
	return 0;
}

int share_make_socket(const struct control_share *share, int *listener, struct error *err)
{
	int type = share->socket_type ? (int)share->socket_type : SOCK_STREAM;
	CLEANUP_CLOSE int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int mount;

	if (fd < 0)
		return error_set(err, errno, "make a socket");
	if (make_file(fd, share, &address, err) < 0)
		return -1;
	if (share->socket_type && type != SOCK_DGRAM && listen(fd, SOMAXCONN) < 0)
		return error_set(err, errno, "listen");
	mount = clone_mount(address.sun_path, err);
	if (mount >= 0 && share->socket_type)
		*listener = steal_fd(&fd);
	return mount;
}

int share_make_device(dev_t number, struct error *err)
{
	for (const struct default_device *d = default_devices; d->name; d++) {
		char path[32];

		if (makedev(d->major, d->minor) != number)
			continue;
		snprintf(path, sizeof(path), "/dev/%s", d->name);
		return clone_mount(path, err);
	}
	return error_set(err, ENODEV, "device %u:%u", major(number), minor(number));
}
