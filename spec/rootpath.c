/*
 * See rootpath.h. Creating takes two steps: the path is resolved to one without
 * links, as text, and then made component by component from descriptor to
 * descriptor with links forbidden. A tree that is changed between the two makes
 * the second step fail; it never leads it out of the root.
 */
#include "rootpath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "cleanup.h"

#define LINKS_MAX     255 /* as many as securejoin and Go's EvalSymlinks follow */
#define RETRIES_MAX   128 /* of EAGAIN: something was renamed meanwhile */
#define IN_ROOT	      (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
#define ONE_COMPONENT (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)

static int open_how(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = resolve,
	};
	int fd;

	for (int i = 0; i < RETRIES_MAX; i++) {
		fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd;
}

int rootpath_open(int rootfd, const char *path, int flags, struct error *err)
{
	int fd = open_how(rootfd, path[0] ? path : ".", flags, 0, IN_ROOT);

	if (fd < 0)
		return error_set(err, errno, "open %s in the root file system", path);
	return fd;
}

/* A path being resolved: done has no link in it, todo has not been looked at. */
struct walk {
	int rootfd;
	char done[PATH_MAX]; /* "" is the root, else starts with '/' */
	char todo[PATH_MAX];
	unsigned links;
};

/* Takes the next component off todo; false at the end. "" never comes out. */
static bool next_component(struct walk *walk, char name[NAME_MAX + 1], struct error *err)
{
	char *start = walk->todo + strspn(walk->todo, "/");
	size_t length = strcspn(start, "/");

	name[0] = 0;
	if (length > NAME_MAX) {
		error_set(err, ENAMETOOLONG, "%.40s...", start);
		return false;
	}
	memcpy(name, start, length);
	name[length] = 0;
	memmove(walk->todo, start + length, strlen(start + length) + 1);
	return length > 0;
}

/* The target of done/name when that is a link: its length, 0 when it is none. */
static ssize_t read_link(const struct walk *walk, const char *path, char *target, size_t size)
{
	CLEANUP_CLOSE int fd = open_how(walk->rootfd, path, O_PATH | O_NOFOLLOW, 0, IN_ROOT);
	struct stat st;
	ssize_t length;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISLNK(st.st_mode))
		return 0;
	length = readlinkat(fd, "", target, size - 1);
	if (length > 0)
		target[length] = 0;
	return length;
}

/* Puts a link's target before what is left to do. */
static int follow_link(struct walk *walk, const char *target, struct error *err)
{
	char rest[PATH_MAX];

	if (++walk->links > LINKS_MAX)
		return error_set(err, ELOOP, "%s", walk->done);
	if (target[0] == '/')
		walk->done[0] = 0;
	memcpy(rest, walk->todo, sizeof(rest));
	if (snprintf(walk->todo, sizeof(walk->todo), "%s%s", target, rest) >= PATH_MAX)
		return error_set(err, ENAMETOOLONG, "%.40s...", target);
	return 0;
}

static int walk_component(struct walk *walk, const char *name, struct error *err)
{
	char path[PATH_MAX], target[PATH_MAX];
	char *slash;
	ssize_t length;

	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0) {
		slash = strrchr(walk->done, '/');
		if (slash)
			*slash = 0;
		return 0;
	}
	if (snprintf(path, sizeof(path), "%s/%s", walk->done, name) >= PATH_MAX)
		return error_set(err, ENAMETOOLONG, "%.40s...", walk->done);
	length = read_link(walk, path, target, sizeof(target));
	if (length < 0)
		return error_set(err, errno, "read link %s", path);
	if (length > 0)
		return follow_link(walk, target, err);
	memcpy(walk->done, path, sizeof(path));
	return 0;
}

static int walk_path(struct walk *walk, const char *path, struct error *err)
{
	char name[NAME_MAX + 1];

	if (strlen(path) >= PATH_MAX)
		return error_set(err, ENAMETOOLONG, "%.40s...", path);
	strcpy(walk->todo, path);
	while (next_component(walk, name, err))
		if (walk_component(walk, name, err) < 0)
			return -1;
	return walk->todo[strspn(walk->todo, "/")] ? -1 : 0;
}

char *rootpath_resolve(int rootfd, const char *path, struct error *err)
{
	CLEANUP_FREE struct walk *walk = calloc(1, sizeof(*walk));
	char *resolved;

	if (!walk) {
		error_set(err, ENOMEM, "resolve %s", path);
		return NULL;
	}
	walk->rootfd = rootfd;
	if (walk_path(walk, path, err) < 0) {
		error_prefix(err, "resolve %s in the root file system", path);
		return NULL;
	}
	resolved = strdup(walk->done[0] ? walk->done : "/");
	if (!resolved)
		error_set(err, ENOMEM, "resolve %s", path);
	return resolved;
}

/* Somebody else may make the directory between the two steps, which is fine. */
static int enter_directory(int dirfd, const char *name)
{
	int fd = open_how(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, ONE_COMPONENT);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST)
		return -1;
	return open_how(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, ONE_COMPONENT);
}

/*
 * An existing file is opened with O_PATH only: opening a FIFO or device that
 * lies there would act on it.
 */
static int enter_file(int dirfd, const char *name)
{
	int fd = open_how(dirfd, name, O_PATH | O_NOFOLLOW, 0, ONE_COMPONENT);
	struct stat st;

	if (fd < 0 && errno == ENOENT) {
		fd = open_how(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644,
			      ONE_COMPONENT);
		if (fd < 0 && errno != EEXIST)
			return -1;
		if (fd >= 0)
			close(fd);
		fd = open_how(dirfd, name, O_PATH | O_NOFOLLOW, 0, ONE_COMPONENT);
	}
	if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		return fd;
	if (fd >= 0) {
		close(fd);
		errno = EISDIR;
	}
	return -1;
}

/* path has neither links nor dots. Consumes it. */
static int create_path(int rootfd, char *path, bool directory)
{
	CLEANUP_CLOSE int dirfd = open_how(rootfd, ".", O_PATH | O_DIRECTORY, 0, ONE_COMPONENT);
	char *save = NULL;
	char *name = strtok_r(path, "/", &save);

	if (!name && !directory)
		errno = EISDIR;
	if (dirfd < 0 || (!name && !directory))
		return -1;
	while (name) {
		char *next = strtok_r(NULL, "/", &save);
		bool is_file = !next && !directory;
		int fd = is_file ? enter_file(dirfd, name) : enter_directory(dirfd, name);

		if (fd < 0)
			return -1;
		close(dirfd);
		dirfd = fd;
		name = next;
	}
	return steal_fd(&dirfd);
}

int rootpath_create(int rootfd, const char *path, bool directory, struct error *err)
{
	CLEANUP_FREE char *resolved = rootpath_resolve(rootfd, path, err);
	int fd;

	if (!resolved)
		return -1;
	fd = create_path(rootfd, resolved, directory);
	if (fd < 0)
		return error_set(err, errno, "make the %s %s to mount on",
				 directory ? "directory" : "file", path);
	return fd;
}
