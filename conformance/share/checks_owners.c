/* Who owns what, and who may do what: users other than root inside. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct mounted m;

static int make_all(const char *directory)
{
	umask(027);
	if (write_file(at(directory, "file"), "x", 1))
		return errno;
	if (mkdir(at(directory, "dir"), 0777))
		return errno;
	if (symlink("x", at(directory, "link")))
		return errno;
	return mkfifo(at(directory, "fifo"), 0666) ? errno : 0;
}

static int read_it(const char *path)
{
	char byte;

	errno = 0;
	return read_file(path, &byte, 1) < 0 ? errno : 0;
}

static int write_it(const char *path)
{
	int fd = open(path, O_WRONLY);
	int result = fd < 0 || write(fd, "y", 1) != 1 ? errno : 0;

	close(fd);
	return result;
}

static int truncate_it(const char *path)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	return fd < 0 ? errno : 0;
}

static int unlink_it(const char *path)
{
	return unlink(path) ? errno : 0;
}

static int make_file(const char *path)
{
	umask(022);
	return write_file(path, "x", 1) ? errno : 0;
}

static bool owned(const char *name, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat st;

	if (lstat(at(m.source, "%s", name), &st))
		return false;
	return st.st_uid == uid && st.st_gid == gid && (st.st_mode & 07777) == mode;
}

static void created(void)
{
	mkdir(at(m.source, "home"), 0755);
	check(chown(at(m.source, "home"), 1000, 1001) == 0, "a directory of uid 1000");
	check(as_user(1000, 1001, make_all, at(m.mount, "home")) == 0, "which fills it");
	check(owned("home/file", 1000, 1001, 0640), "owner and umask of a file");
	check(owned("home/dir", 1000, 1001, 0750), "of a directory");
	check(owned("home/link", 1000, 1001, 0777), "of a symlink");
	check(owned("home/fifo", 1000, 1001, 0640), "of a FIFO");
	check(make_all(m.mount) == 0 && owned("file", 0, 0, 0640), "root again");
	umask(022);
	check(as_user(1000, 1000, make_file, at(m.mount, "no")) == EACCES,
	      "not in root's directory");
	check(as_user(2000, 2000, read_it, at(m.mount, "home/file")) == EACCES,
	      "another user may not read it");
	check(as_user(1000, 1001, read_it, at(m.mount, "home/file")) == 0, "its owner may");
	check(as_user(2000, 2000, unlink_it, at(m.mount, "home/file")) == EACCES,
	      "another user may not remove it");
	check(chmod(at(m.source, "home"), 01777) == 0, "a sticky directory");
	usleep(1200000);
	check(as_user(2000, 2000, unlink_it, at(m.mount, "home/file")) == EPERM, "is obeyed");
}

static void groups(void)
{
	mkdir(at(m.source, "group"), 0777);
	check(chown(at(m.source, "group"), 0, 77) == 0 && chmod(at(m.source, "group"), 02777) == 0,
	      "a set-gid directory");
	check(as_user(1000, 1000, make_all, at(m.mount, "group")) == 0 &&
		      owned("group/file", 1000, 77, 0640),
	      "gives its group to a file");
	check(owned("group/dir", 1000, 77, 02750), "and itself to a directory");
}

static void set_uid_bits(void)
{
	struct stat st;

	write_file(at(m.source, "suid"), "abc", 3);
	check(chmod(at(m.source, "suid"), 06777) == 0, "a set-uid file");
	check(as_user(1000, 1000, write_it, at(m.mount, "suid")) == 0 && owned("suid", 0, 0, 0777),
	      "a user's write takes the bits off");
	check(stat(at(m.mount, "suid"), &st) == 0 && (st.st_mode & 07777) == 0777, "inside, too");
	check(chmod(at(m.mount, "suid"), 06777) == 0 && owned("suid", 0, 0, 06777), "set again");
	check(as_user(1000, 1000, truncate_it, at(m.mount, "suid")) == 0 &&
		      owned("suid", 0, 0, 0777),
	      "a user's O_TRUNC does");
	check(chmod(at(m.mount, "suid"), 06777) == 0 && write_it(at(m.mount, "suid")) == 0 &&
		      owned("suid", 0, 0, 06777),
	      "root's write does not");
}

static void capabilities(void)
{
	/* version 2, cap_net_bind_service permitted and effective */
	static const uint8_t value[20] = { 1, 0, 0, 2, 0, 4 };
	char back[64];

	write_file(at(m.mount, "caps"), "x", 1);
	check(chmod(at(m.mount, "caps"), 0777) == 0 &&
		      setxattr(at(m.mount, "caps"), "security.capability", value, 20, 0) == 0 &&
		      getxattr(at(m.source, "caps"), "security.capability", back, 64) == 20,
	      "file capabilities");
	check(as_user(1000, 1000, write_it, at(m.mount, "caps")) == 0 &&
		      getxattr(at(m.source, "caps"), "security.capability", back, 64) < 0,
	      "end with a write");
}

static void acls(void)
{
	/* version 2; user::rwx user:1000:rwx group::--- mask::rwx other::--- */
	static const uint32_t acl[] = { 2,	    0x00070001, 0xffffffff, 0x00070002,
					1000,	    0x00000004, 0xffffffff, 0x00070010,
					0xffffffff, 0x00000020, 0xffffffff };
	struct stat st;

	check(mkdir(at(m.mount, "acl"), 0755) == 0 &&
		      setxattr(at(m.mount, "acl"), "system.posix_acl_default", acl, sizeof(acl),
			       0) == 0 &&
		      setxattr(at(m.mount, "acl"), "system.posix_acl_access", acl, sizeof(acl),
			       0) == 0,
	      "set an ACL");
	check(as_user(1000, 1000, make_file, at(m.mount, "acl/f")) == 0, "whom it names may write");
	check(as_user(1001, 1001, make_file, at(m.mount, "acl/g")) == EACCES, "others may not");
	umask(077);
	check(write_file(at(m.mount, "acl/u"), "x", 1) == 0 &&
		      stat(at(m.source, "acl/u"), &st) == 0 && (st.st_mode & 0777) == 0640,
	      "a default ACL counts, not the umask");
	umask(022);
	check(getxattr(at(m.source, "acl/u"), "system.posix_acl_access", NULL, 0) > 0,
	      "and is inherited");
}

void checks_owners(void)
{
	m = serve_new("owners");
	created();
	groups();
	set_uid_bits();
	capabilities();
	acls();
	unserve(&m);
}
