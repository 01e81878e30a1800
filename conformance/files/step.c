/* Lines: the results of calls, and the state of files. */
#include "filesem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

bool full_run;
uint64_t seed;
unsigned int crowd = 10000;

uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash;
}

const char *outcome(long result)
{
	static char text[32];
	const char *name = strerrorname_np(errno);

	if (result >= 0)
		snprintf(text, sizeof(text), "= %ld", result);
	else
		snprintf(text, sizeof(text), "%s", name ? name : "unknown errno");
	return text;
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

long did_(long result, const char *call)
{
	int kept = errno;

	say("%s %s", call, outcome(result));
	errno = kept;
	return result;
}

int did_fd_(int fd, const char *call)
{
	say("%s %s", call, fd >= 0 ? "= fd" : outcome(fd));
	return fd;
}

long must_(long result, const char *call)
{
	if (result < 0) {
		say("cannot go on: %s %s", call, outcome(result));
		exit(1);
	}
	return result;
}

void make_file(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));

	MUST(write(fd, text, strlen(text)));
	close(fd);
}

static const char *type_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "character device";
	default:
		return "block device";
	}
}

static void say_content(int fd)
{
	static char buffer[1 << 16];
	uint64_t hash = HASH_START;
	off_t offset = 0;
	ssize_t n;

	while ((n = pread(fd, buffer, sizeof(buffer), offset)) > 0) {
		hash = hash_bytes(hash, buffer, (size_t)n);
		offset += n;
	}
	if (n < 0)
		printf(", content %s", outcome(n));
	else
		printf(", content %016" PRIx64, hash);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Any bytes, so that they are text. */
static void print_escaped(const void *bytes, size_t size)
{
	const unsigned char *text = bytes;

	for (size_t i = 0; i < size; i++)
		printf(text[i] >= ' ' && text[i] < 127 ? "%c" : "\\%02x", text[i]);
}

/* Prints what is in the list, sorted. */
static void print_sorted(char **names, size_t count)
{
	qsort(names, count, sizeof(*names), by_text);
	for (size_t i = 0; i < count; i++) {
		printf("%s", i ? " " : "");
		print_escaped(names[i], strlen(names[i]));
	}
}

static void say_attributes(const char *path)
{
	static char list[1 << 16];
	char *names[64];
	size_t count = 0;
	ssize_t size = llistxattr(path, list, sizeof(list));

	for (ssize_t at = 0; at < size && count < 64; at += (ssize_t)strlen(list + at) + 1)
		names[count++] = list + at;
	if (count == 0)
		return;
	printf(", attributes ");
	print_sorted(names, count);
}

/* A directory's size, and its links, are the file system's own, the same for both. */
static void say_stat(const char *name, const struct stat *st)
{
	printf("%s: %s %04o %u:%u, links %lu", name, type_of(st->st_mode), st->st_mode & 07777,
	       st->st_uid, st->st_gid, (unsigned long)st->st_nlink);
	if (S_ISREG(st->st_mode))
		printf(", size %lld", (long long)st->st_size);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		printf(", device %lx", (unsigned long)st->st_rdev);
}

void show(const char *path)
{
	char target[4096];
	struct stat st;
	ssize_t n;
	int fd;

	if (lstat(path, &st)) {
		say("%s: %s", path, outcome(-1));
		return;
	}
	say_stat(path, &st);
	if (S_ISREG(st.st_mode) && st.st_size < (64 << 20)) {
		fd = open(path, O_RDONLY);
		if (fd < 0)
			printf(", content %s", outcome(fd));
		else
			say_content(fd);
		close(fd);
	} else if (S_ISLNK(st.st_mode)) {
		n = readlink(path, target, sizeof(target));
		printf(", to %.*s", n < 0 ? 0 : (int)n, target);
	}
	say_attributes(path);
	putchar('\n');
}

void show_fd(int fd, const char *name)
{
	struct stat st;

	if (fstat(fd, &st)) {
		say("%s: %s", name, outcome(-1));
		return;
	}
	say_stat(name, &st);
	if (S_ISREG(st.st_mode) && st.st_size < (64 << 20) &&
	    (fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY)
		say_content(fd);
	putchar('\n');
}

void show_text(const char *path)
{
	unsigned char text[512];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (n < 0) {
		say("%s: %s", path, outcome(-1));
	} else {
		printf("%s: \"", path);
		print_escaped(text, (size_t)n);
		printf("\"\n");
	}
	if (fd >= 0)
		close(fd);
}

void show_names(const char *path)
{
	char *names[256];
	size_t count = 0;
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (!directory) {
		say("names in %s: %s", path, outcome(-1));
		return;
	}
	while ((entry = readdir(directory)) && count < 256)
		names[count++] = strdup(entry->d_name);
	closedir(directory);
	printf("names in %s: ", path);
	print_sorted(names, count);
	putchar('\n');
	while (count)
		free(names[--count]);
}
