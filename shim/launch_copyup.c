/*
 * tmpcopyup: a tmpfs starts with a copy of the directory that it covers. Data,
 * owners, modes and times; the directory belongs to the image, so nothing in it
 * is opened but directories and regular files, and no link is followed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "launcher.h"

/* Each level holds two descriptors, and the stand-in's process has 1,024 at least. */
#define DEPTH_MAX 200

static void close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

/* fchmodat does not take AT_EMPTY_PATH, and chmod of a link has no meaning. */
static int copy_attributes(int to, const char *name, const struct stat *status)
{
	struct timespec times[2] = { status->st_atim, status->st_mtim };

	if (fchownat(to, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (!S_ISLNK(status->st_mode) && fchmodat(to, name, status->st_mode & 07777, 0) < 0)
		return -1;
	return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW);
}

static int copy_file(int from, int to, const char *name)
{
	CLEANUP_CLOSE int source =
		openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	CLEANUP_CLOSE int copy = -1;
	struct stat status;
	ssize_t sent;

	if (source < 0 || fstat(source, &status) < 0)
		return -1;
	if (!S_ISREG(status.st_mode)) {
		errno = EAGAIN; /* was exchanged meanwhile */
		return -1;
	}
	copy = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (copy < 0)
		return -1;
	do {
		sent = sendfile(copy, source, NULL, 1 << 30);
	} while (sent > 0);
	return sent < 0 ? -1 : 0;
}

static int copy_link(int from, int to, const char *name)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(from, name, target, sizeof(target) - 1);

	if (length < 0)
		return -1;
	target[length] = '\0';
	return symlinkat(target, to, name);
}

static int copy_directory(int from, int to, int depth);

static int copy_subdirectory(int from, int to, const char *name, int depth)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	CLEANUP_CLOSE int source = openat(from, name, flags);
	CLEANUP_CLOSE int copy = -1;

	if (source < 0 || mkdirat(to, name, 0700) < 0)
		return -1;
	copy = openat(to, name, flags);
	return copy < 0 ? -1 : copy_directory(source, copy, depth + 1);
}

static int copy_entry(int from, int to, const char *name, int depth)
{
	struct stat status;
	int result;

	if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	switch (status.st_mode & S_IFMT) {
	case S_IFDIR:
		result = copy_subdirectory(from, to, name, depth);
		break;
	case S_IFREG:
		result = copy_file(from, to, name);
		break;
	case S_IFLNK:
		result = copy_link(from, to, name);
		break;
	default:
		result = mknodat(to, name, status.st_mode & S_IFMT, status.st_rdev);
	}
	return result < 0 ? -1 : copy_attributes(to, name, &status);
}

static int copy_directory(int from, int to, int depth)
{
	CLEANUP(close_directory) DIR *directory = NULL;
	CLEANUP_CLOSE int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;

	if (depth > DEPTH_MAX) {
		errno = ELOOP;
		return -1;
	}
	if (fd < 0 || !(directory = fdopendir(fd)))
		return -1;
	steal_fd(&fd);
	while (errno = 0, (entry = readdir(directory))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (copy_entry(from, to, entry->d_name, depth) < 0)
			return -1;
	}
	return errno ? -1 : 0;
}

int copy_up(int from, int to, struct error *err)
{
	struct stat status;

	if (copy_directory(from, to, 0) < 0 || fstat(from, &status) < 0 ||
	    fchownat(to, "", status.st_uid, status.st_gid, AT_EMPTY_PATH) < 0)
		return error_set(err, errno, "copy what it covers");
	return 0;
}
