/*
 * tmpcopyup: what lies in the image below a tmpfs is copied into it. Contents,
 * owners, modes, times, links and extended attributes; hard links become files
 * of their own, as with runc.
 */
#include "rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cleanup.h"

#define DEPTH_MAX 100
#define CHUNK	  (1u << 20)

static int copy_directory(int from, int to, int depth, struct error *err);

/* What the target can't have (a foreign namespace of attributes) is left out, as cp -p does. */
static void copy_xattrs(int from, int to)
{
	char names[4096], value[4096];
	ssize_t size = flistxattr(from, names, sizeof(names));

	for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
		ssize_t length = fgetxattr(from, name, value, sizeof(value));

		if (length >= 0 && fsetxattr(to, name, value, length, 0) < 0)
			continue;
	}
}

static int copy_metadata(int from, int to, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return -1;
	copy_xattrs(from, to);
	return futimens(to, times);
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	CLEANUP_CLOSE int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	CLEANUP_CLOSE int to =
		openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	ssize_t n;

	if (from < 0 || to < 0)
		return -1;
	while ((n = sendfile(to, from, NULL, CHUNK)) > 0)
		continue;
	return n < 0 ? -1 : copy_metadata(from, to, st);
}

static int copy_link(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t size = readlinkat(from_dir, name, target, sizeof(target) - 1);

	if (size < 0)
		return -1;
	target[size] = '\0';
	if (symlinkat(target, to_dir, name) < 0)
		return -1;
	return fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);
}

static int copy_special(int to_dir, const char *name, const struct stat *st)
{
	if (mknodat(to_dir, name, st->st_mode, st->st_rdev) < 0 ||
	    fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	return fchmodat(to_dir, name, st->st_mode & 07777, 0);
}

static int copy_subdirectory(int from_dir, int to_dir, const char *name, const struct stat *st,
			     int depth, struct error *err)
{
	CLEANUP_CLOSE int from = -1, to = -1;

	if (mkdirat(to_dir, name, 0700) < 0)
		return error_set(err, errno, "make %s", name);
	from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (from < 0 || to < 0)
		return error_set(err, errno, "open %s", name);
	if (copy_directory(from, to, depth + 1, err) < 0)
		return -1;
	return copy_metadata(from, to, st) < 0 ? error_set(err, errno, "copy %s", name) : 0;
}

static int copy_entry(int from_dir, int to_dir, const char *name, int depth, struct error *err)
{
	struct stat st;
	int result;

	if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(err, errno, "copy %s", name);
	if (S_ISDIR(st.st_mode))
		return copy_subdirectory(from_dir, to_dir, name, &st, depth, err);
	if (S_ISREG(st.st_mode))
		result = copy_file(from_dir, to_dir, name, &st);
	else if (S_ISLNK(st.st_mode))
		result = copy_link(from_dir, to_dir, name, &st);
	else
		result = copy_special(to_dir, name, &st);
	return result < 0 ? error_set(err, errno, "copy %s", name) : 0;
}

static int copy_directory(int from, int to, int depth, struct error *err)
{
	CLEANUP_CLOSE int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	int result = 0;

	if (depth > DEPTH_MAX)
		return error_set(err, ELOOP, "tmpcopyup");
	if (!stream)
		return error_set(err, errno, "list a directory");
	steal_fd(&copy);
	while (result == 0 && (entry = readdir(stream)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			result = copy_entry(from, to, entry->d_name, depth, err);
	closedir(stream);
	return result;
}

int copy_up(int from, int to, struct error *err)
{
	struct stat st;

	if (copy_directory(from, to, 0, err) < 0)
		return error_prefix(err, "tmpcopyup");
	if (fstat(from, &st) < 0 || copy_metadata(from, to, &st) < 0)
		return error_set(err, errno, "tmpcopyup");
	return 0;
}
