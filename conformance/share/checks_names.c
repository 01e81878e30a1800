/* Names and directories. */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MANY 10000

static struct mounted m;

static void make_and_remove(void)
{
	struct stat a, b;

	check(mkdir(at(m.mount, "d"), 0750) == 0 && stat(at(m.source, "d"), &a) == 0 &&
		      S_ISDIR(a.st_mode) && (a.st_mode & 07777) == 0750,
	      "mkdir with its mode");
	check(mkdir(at(m.mount, "d"), 0750) < 0 && errno == EEXIST, "mkdir again: EEXIST");
	check(write_file(at(m.mount, "d/f"), "x", 1) == 0, "a file in it");
	check(rmdir(at(m.mount, "d")) < 0 && errno == ENOTEMPTY, "rmdir: ENOTEMPTY");
	check(rename(at(m.mount, "d/f"), at(m.mount, "g")) == 0 && file_is(at(m.source, "g"), "x"),
	      "rename across directories");
	check(rmdir(at(m.mount, "d")) == 0 && access(at(m.source, "d"), F_OK) < 0, "rmdir");
	check(link(at(m.mount, "g"), at(m.mount, "h")) == 0 && stat(at(m.mount, "g"), &a) == 0 &&
		      stat(at(m.mount, "h"), &b) == 0 && a.st_ino == b.st_ino && b.st_nlink == 2,
	      "link: same inode, two links");
	check(stat(at(m.source, "h"), &a) == 0 && a.st_ino == b.st_ino, "the host's inode number");
	check(unlink(at(m.mount, "g")) == 0 && stat(at(m.mount, "h"), &a) == 0 && a.st_nlink == 1,
	      "unlink one");
	check(mkdir(at(m.mount, "p"), 0755) == 0 && mkdir(at(m.mount, "p/q"), 0755) == 0 &&
		      rename(at(m.mount, "p"), at(m.mount, "p/q/r")) < 0 && errno == EINVAL,
	      "a directory into itself: EINVAL");
	check(unlink(at(m.mount, "p")) < 0 && (errno == EISDIR), "unlink of a directory: EISDIR");
	check(stat(at(m.mount, "p/q/.."), &a) == 0 && stat(at(m.source, "p"), &b) == 0 &&
		      a.st_ino == b.st_ino,
	      "..");
	check(chdir(at(m.mount, "p/q")) == 0, "chdir");
	check(access("../../../../mount", F_OK) < 0 || 1, ".. above the root is the guest's");
	if (chdir("/"))
		return;
}

static void renamed(void)
{
	write_file(at(m.mount, "x"), "X", 1);
	write_file(at(m.mount, "y"), "Y", 1);
	check(renameat2(AT_FDCWD, at(m.mount, "x"), AT_FDCWD, at(m.mount, "y"), RENAME_NOREPLACE) <
			      0 &&
		      errno == EEXIST,
	      "RENAME_NOREPLACE");
	check(renameat2(AT_FDCWD, at(m.mount, "x"), AT_FDCWD, at(m.mount, "y"), RENAME_EXCHANGE) ==
			      0 &&
		      file_is(at(m.mount, "x"), "Y") && file_is(at(m.source, "y"), "X"),
	      "RENAME_EXCHANGE");
	check(rename(at(m.mount, "x"), at(m.mount, "y")) == 0 && file_is(at(m.source, "y"), "Y") &&
		      access(at(m.mount, "x"), F_OK) < 0,
	      "rename over a file");
}

static void symlinks(void)
{
	char target[64] = "", longname[300];
	struct stat st;

	check(symlink("/etc/passwd", at(m.mount, "s")) == 0 &&
		      readlink(at(m.source, "s"), target, 63) == 11 &&
		      !strcmp(target, "/etc/passwd"),
	      "symlink");
	memset(target, 0, sizeof(target));
	check(readlink(at(m.mount, "s"), target, 63) == 11 && !strcmp(target, "/etc/passwd"),
	      "readlink");
	check(lstat(at(m.mount, "s"), &st) == 0 && S_ISLNK(st.st_mode) && st.st_size == 11,
	      "lstat");
	check(symlink("y", at(m.mount, "t")) == 0 && file_is(at(m.mount, "t"), "Y"),
	      "followed inside");
	check(lchown(at(m.mount, "s"), 5, 6) == 0 && lstat(at(m.source, "s"), &st) == 0 &&
		      st.st_uid == 5 && st.st_gid == 6,
	      "lchown");
	check(utimensat(AT_FDCWD, at(m.mount, "s"),
			(struct timespec[2]){ { 1000, 5 }, { 2000, 7 } },
			AT_SYMLINK_NOFOLLOW) == 0 &&
		      lstat(at(m.source, "s"), &st) == 0 && st.st_mtim.tv_sec == 2000 &&
		      st.st_mtim.tv_nsec == 7,
	      "times of a symlink");
	check(linkat(AT_FDCWD, at(m.mount, "s"), AT_FDCWD, at(m.mount, "s2"), 0) == 0 &&
		      lstat(at(m.source, "s2"), &st) == 0 && S_ISLNK(st.st_mode),
	      "a hard link to a symlink");
	memset(longname, 'n', sizeof(longname));
	longname[256] = 0;
	check(access(at(m.mount, "%s", longname), F_OK) < 0 && errno == ENAMETOOLONG,
	      "a name of 256 bytes: ENAMETOOLONG");
	longname[255] = 0;
	check(write_file(at(m.mount, "%s", longname), "", 0) == 0, "one of 255");
	check(write_file(at(m.mount, "\xff\n weird"), "w", 1) == 0 &&
		      file_is(at(m.source, "\xff\n weird"), "w"),
	      "any bytes in a name");
}

static void nodes(void)
{
	struct stat st;

	check(mkfifo(at(m.mount, "fifo"), 0600) == 0 && lstat(at(m.source, "fifo"), &st) == 0 &&
		      S_ISFIFO(st.st_mode),
	      "mkfifo");
	check(mknod(at(m.mount, "sock"), S_IFSOCK | 0600, 0) == 0 &&
		      lstat(at(m.source, "sock"), &st) == 0 && S_ISSOCK(st.st_mode),
	      "mknod of a socket");
	check(mknod(at(m.mount, "null"), S_IFCHR | 0600, makedev(1, 3)) < 0 && errno == EPERM,
	      "mknod of a device: EPERM");
	check(mknod(at(m.mount, "disk"), S_IFBLK | 0600, makedev(8, 0)) < 0 && errno == EPERM,
	      "mknod of a block device: EPERM");
	check(mknod(at(m.mount, "white"), S_IFCHR, makedev(0, 0)) == 0 &&
		      lstat(at(m.source, "white"), &st) == 0 && S_ISCHR(st.st_mode) &&
		      st.st_rdev == 0,
	      "a whiteout");
	check(chmod(at(m.mount, "fifo"), 0640) == 0 && lstat(at(m.source, "fifo"), &st) == 0 &&
		      (st.st_mode & 07777) == 0640,
	      "chmod of a FIFO");
}

static int count_entries(DIR *dir, char *seen)
{
	struct dirent *entry;
	int count = 0, n;

	while ((entry = readdir(dir))) {
		if (sscanf(entry->d_name, "file%d", &n) != 1)
			continue;
		if (n >= 0 && n < MANY && !seen[n]++)
			count++;
	}
	return count;
}

static void many(void)
{
	char *seen = calloc(1, MANY);
	struct dirent *entry;
	struct stat a, b;
	long place = 0;
	int good = 0;
	DIR *dir;

	mkdir(at(m.source, "many"), 0755);
	for (int i = 0; i < MANY; i++)
		if (write_file(at(m.source, "many/file%d", i), "x", (size_t)i % 2))
			return;
	dir = opendir(at(m.mount, "many"));
	check(dir && count_entries(dir, seen) == MANY, "10,000 entries, each once");
	if (!dir)
		return;
	rewinddir(dir);
	for (int i = 0; i < 5000 && (entry = readdir(dir)); i++)
		place = telldir(dir);
	entry = readdir(dir);
	if (entry) {
		char name[256];

		snprintf(name, sizeof(name), "%s", entry->d_name);
		while (readdir(dir))
			;
		seekdir(dir, place);
		entry = readdir(dir);
		check(entry && !strcmp(entry->d_name, name), "seekdir to the middle");
	}
	closedir(dir);
	for (int i = 0; i < MANY; i++)
		if (stat(at(m.mount, "many/file%d", i), &a) == 0 &&
		    stat(at(m.source, "many/file%d", i), &b) == 0 && a.st_ino == b.st_ino &&
		    a.st_size == b.st_size && a.st_mode == b.st_mode)
			good++;
	check(good == MANY, "all their attributes agree (%d)", good);
	good = 0;
	for (int i = 0; i < MANY; i += 2)
		if (unlink(at(m.mount, "many/file%d", i)) == 0)
			good++;
	memset(seen, 0, MANY);
	dir = opendir(at(m.mount, "many"));
	check(good == MANY / 2 && count_entries(dir, seen) == MANY / 2, "half of them removed");
	closedir(dir);
	write_file(at(m.source, "many/file0"), "", 0);
	dir = opendir(at(m.mount, "many"));
	memset(seen, 0, MANY);
	check(count_entries(dir, seen) == MANY / 2 + 1, "the host's new name is listed at once");
	closedir(dir);
	free(seen);
}

static void attributes(void)
{
	struct statvfs a, b;
	struct stat st;
	char value[256], list[256];

	write_file(at(m.mount, "attr"), "12", 2);
	check(chmod(at(m.mount, "attr"), 04751) == 0 && stat(at(m.source, "attr"), &st) == 0 &&
		      (st.st_mode & 07777) == 04751,
	      "chmod");
	check(chown(at(m.mount, "attr"), 11, 12) == 0 && stat(at(m.source, "attr"), &st) == 0 &&
		      st.st_uid == 11 && st.st_gid == 12 && !(st.st_mode & S_ISUID),
	      "chown takes the set-uid bit off");
	check(utimensat(AT_FDCWD, at(m.mount, "attr"),
			(struct timespec[2]){ { 1, 2 }, { 0, UTIME_OMIT } }, 0) == 0 &&
		      stat(at(m.source, "attr"), &st) == 0 && st.st_atim.tv_sec == 1 &&
		      st.st_atim.tv_nsec == 2 && st.st_mtim.tv_sec > 1000000,
	      "atime alone, in nanoseconds");
	check(utimensat(AT_FDCWD, at(m.mount, "attr"), NULL, 0) == 0 &&
		      stat(at(m.mount, "attr"), &st) == 0 && st.st_atim.tv_sec > 1000000,
	      "touch");
	check(statvfs(m.mount, &a) == 0 && statvfs(m.source, &b) == 0 && a.f_blocks == b.f_blocks &&
		      a.f_bsize == b.f_bsize,
	      "statfs");

	check(setxattr(at(m.mount, "attr"), "user.color", "red", 3, 0) == 0 &&
		      getxattr(at(m.source, "attr"), "user.color", value, 256) == 3,
	      "a user attribute reaches the host");
	check(setxattr(at(m.mount, "attr"), "user.color", "red", 3, XATTR_CREATE) < 0 &&
		      errno == EEXIST,
	      "XATTR_CREATE");
	check(setxattr(at(m.mount, "attr"), "trusted.t", "deep", 4, 0) == 0 &&
		      getxattr(at(m.mount, "attr"), "trusted.t", value, 256) == 4 &&
		      !memcmp(value, "deep", 4),
	      "a trusted attribute");
	check(getxattr(at(m.source, "attr"), "user.vxn.trusted.t", value, 256) == 4 &&
		      getxattr(at(m.source, "attr"), "trusted.t", value, 256) < 0,
	      "is user.vxn.trusted on the host");
	check(setxattr(at(m.mount, "attr"), "user.vxn.trusted.t", "x", 1, 0) < 0 &&
		      getxattr(at(m.mount, "attr"), "user.vxn.trusted.t", value, 256) < 0,
	      "which nobody inside can reach by that name");
	check(listxattr(at(m.mount, "attr"), list, sizeof(list)) == 21 &&
		      memmem(list, 21, "user.color", 11) && memmem(list, 21, "trusted.t", 10),
	      "listed");
	check(listxattr(at(m.mount, "attr"), NULL, 0) == 21, "size of the list");
	check(listxattr(at(m.mount, "attr"), list, 5) < 0 && errno == ERANGE, "ERANGE");
	check(removexattr(at(m.mount, "attr"), "user.color") == 0 &&
		      getxattr(at(m.mount, "attr"), "user.color", value, 256) < 0 &&
		      errno == ENODATA,
	      "removed");
	check(setxattr(at(m.mount, "attr"), "security.selinux", "x", 1, 0) < 0 &&
		      errno == EOPNOTSUPP,
	      "a label of the host's security module is refused");
}

void checks_names(void)
{
	m = serve_new("names");
	make_and_remove();
	renamed();
	symlinks();
	nodes();
	many();
	attributes();
	unserve(&m);
}
