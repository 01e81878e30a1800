/* What a share must not reach, and shares of other kinds. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/share.h"

static void specials(void)
{
	struct mounted m = serve_new("specials");
	struct stat st;
	int fd;

	check(mknod(at(m.source, "null"), S_IFCHR | 0666, makedev(1, 3)) == 0 &&
		      mkfifo(at(m.source, "fifo"), 0666) == 0 &&
		      symlink("/etc/hostname", at(m.source, "out")) == 0,
	      "a device, a FIFO and a symlink that leads out, on the host");
	check(lstat(at(m.mount, "null"), &st) == 0 && S_ISCHR(st.st_mode) &&
		      st.st_rdev == makedev(1, 3),
	      "the device shows");
	/* this machine's kernel would open its own device: what is asked of the server counts */
	fd = open(at(m.mount, "fifo"), O_RDWR | O_NONBLOCK);
	check(fd >= 0, "the FIFO is this side's own");
	check(open(at(m.source, "fifo"), O_WRONLY | O_NONBLOCK) < 0 && errno == ENXIO,
	      "the host's has no reader by that");
	close(fd);
	check(truncate(at(m.mount, "fifo"), 0) < 0, "nor can it be truncated");
	unserve(&m);
}

static void readonly(void)
{
	struct mounted m;

	mkdir(at(base, "ro"), 0755);
	write_file(at(base, "ro/f"), "x", 1);
	m = serve_at(at(base, "ro"), true);
	check(file_is(at(m.mount, "f"), "x"), "read a read-only share");
	check(open(at(m.mount, "f"), O_WRONLY) < 0 && errno == EROFS, "open for writing: EROFS");
	check(open(at(m.mount, "n"), O_WRONLY | O_CREAT, 0600) < 0 && errno == EROFS, "create");
	check(mkdir(at(m.mount, "d"), 0700) < 0 && errno == EROFS, "mkdir");
	check(unlink(at(m.mount, "f")) < 0 && errno == EROFS, "unlink");
	check(rename(at(m.mount, "f"), at(m.mount, "g")) < 0 && errno == EROFS, "rename");
	check(chmod(at(m.mount, "f"), 0600) < 0 && errno == EROFS, "chmod");
	check(chown(at(m.mount, "f"), 1, 1) < 0 && errno == EROFS, "chown");
	check(truncate(at(m.mount, "f"), 0) < 0 && errno == EROFS, "truncate");
	unserve(&m);
	check(write_file(at(base, "ro/f"), "host", 4) == 0, "the host itself can write");
}

static void single_file(void)
{
	struct mounted m;
	struct stat st;

	write_file(at(base, "beside"), "secret", 6);
	write_file(at(base, "one"), "1", 1);
	m = serve_at(at(base, "one"), false);
	check(stat(m.mount, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 1,
	      "a share that is one file");
	check(write_file(m.mount, "two", 3) == 0 && file_is(at(base, "one"), "two"), "write it");
	check(open(at(m.mount, "x"), O_RDONLY) < 0 && errno == ENOTDIR, "nothing below it");
	check(chmod(m.mount, 0600) == 0 && stat(at(base, "one"), &st) == 0 &&
		      (st.st_mode & 0777) == 0600,
	      "chmod it");
	unserve(&m);
}

static void refused(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct error err;
	bool directory;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	check(!share_open(at(base, "missing"), false, SHARE_CACHE_AUTO, &directory, &err) && err.errnum == ENOENT,
	      "what is not there: %s", err.message);
	mkfifo(at(base, "fifo"), 0600);
	check(!share_open(at(base, "fifo"), false, SHARE_CACHE_AUTO, &directory, &err) &&
		      strstr(err.message, "a FIFO"),
	      "%s", err.message);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", at(base, "socket"));
	check(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		      !share_open(at(base, "socket"), false, SHARE_CACHE_AUTO, &directory, &err) &&
		      strstr(err.message, "a socket"),
	      "%s", err.message);
	close(fd);
	check(!share_open("/dev/null", false, SHARE_CACHE_AUTO, &directory, &err) && strstr(err.message, "a device"),
	      "%s", err.message);
}

/* The engine unmounts the rootfs, containerd not lazily, while a clone lives. */
static void unmounts(void)
{
	struct share *share;
	struct error err;
	struct mounted m;
	bool directory;

	mkdir(at(base, "other"), 0755);
	check(mount("none", at(base, "other"), "tmpfs", 0, NULL) == 0, "a mount of its own");
	mkdir(at(base, "other/sub"), 0755);
	check(mount("none", at(base, "other/sub"), "tmpfs", 0, NULL) == 0, "and one below it");
	write_file(at(base, "other/sub/below"), "x", 1);
	share = share_open(at(base, "other"), false, SHARE_CACHE_AUTO, &directory, &err);
	check(share && umount(at(base, "other/sub")) == 0 && umount(at(base, "other")) == 0,
	      "both can be unmounted while they are shared");
	share_close(share);

	check(mount("none", at(base, "other"), "tmpfs", 0, NULL) == 0, "again");
	mkdir(at(base, "other/sub"), 0755);
	mount("none", at(base, "other/sub"), "tmpfs", 0, NULL);
	write_file(at(base, "other/sub/below"), "x", 1);
	m = serve_at(at(base, "other"), false);
	check(access(at(m.mount, "sub"), F_OK) == 0 && access(at(m.mount, "sub/below"), F_OK) < 0,
	      "a nested mount is no part of the share");
	write_file(at(m.mount, "f"), "x", 1);
	check(umount(at(base, "other/sub")) == 0 && umount(at(base, "other")) == 0,
	      "unmounted while it is served");
	check(file_is(at(m.mount, "f"), "x"), "which goes on");
	unserve(&m);
}

void checks_limits(void)
{
	specials();
	readonly();
	single_file();
	refused();
	unmounts();
}
