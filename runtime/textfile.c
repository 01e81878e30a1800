/* See textfile.h. */
#include "textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define FIRST_SIZE 8192

/* Reads to the end of the file, whatever stat says: files of /proc have no size. */
static char *read_all(int fd, size_t max, size_t *size)
{
	CLEANUP_FREE char *text = NULL;
	size_t capacity = 0, used = 0;
	ssize_t n;

	do {
		if (used + 1 >= capacity) {
			char *larger;

			capacity = capacity ? 2 * capacity : FIRST_SIZE;
			larger = realloc(text, capacity);
			if (!larger)
				return NULL;
			text = larger;
		}
		n = read(fd, text + used, capacity - used - 1);
		if (n < 0 && errno != EINTR)
			return NULL;
		used += n > 0 ? (size_t)n : 0;
		if (used > max) {
			errno = EFBIG;
			return NULL;
		}
	} while (n != 0);
	text[used] = '\0';
	*size = used;
	return steal_pointer(&text);
}

char *textfile_read(int directory, const char *path, size_t max, size_t *size, struct error *err)
{
	/* O_NONBLOCK: a FIFO in its place must not hold us */
	CLEANUP_CLOSE int fd = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text;

	if (fd < 0) {
		error_set(err, errno, "open %s", path);
		return NULL;
	}
	text = read_all(fd, max, size);
	if (text)
		return text;
	if (errno == EFBIG)
		error_set(err, EFBIG, "read %s: more than %zu bytes", path, max);
	else
		error_set(err, errno, "read %s", path);
	return NULL;
}

static int write_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno != EINTR)
			return -1;
		text += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* The directory's own part of the path, with its '/', and the name. */
static char *temporary_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	int directory = slash ? (int)(slash - path) + 1 : 0;
	char *temporary;

	if (asprintf(&temporary, "%.*s.%s.%d", directory, path, path + directory, getpid()) < 0)
		return NULL;
	return temporary;
}

int textfile_write(const char *path, mode_t mode, const char *text, size_t size, struct error *err)
{
	CLEANUP_FREE char *temporary = temporary_path(path);
	CLEANUP_CLOSE int fd = -1;
	int errnum;

	if (!temporary)
		return error_set(err, ENOMEM, "write %s", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return error_set(err, errno, "write %s", path);
	if (!write_all(fd, text, size) && !rename(temporary, path))
		return 0;
	errnum = errno;
	unlink(temporary);
	return error_set(err, errnum, "write %s", path);
}
