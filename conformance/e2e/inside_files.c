/*
 * What tests do with files that no shell can; static, it runs in containers and on
 * the host.
 *
 *	hold KIND TYPE START LENGTH FILE   waits for a lock, says "held", keeps it until its stdin ends
 *	try KIND TYPE START LENGTH FILE    exit status: an errno, 0 if it got the lock
 *	find TYPE START LENGTH FILE        what fcntl finds locked: type, start, length
 *	crowd COUNT FILE                   so many processes that want one flock after another, half a flock and
 *	                                   half a POSIX lock; says "waiting", later how many got it
 *	dirty MEGABYTES FILE               stores to every page of it through a shared mapping
 *	nameless DIRECTORY NAME            a file of O_TMPFILE with a text, then given that name
 *
 * KIND: flock, posix, ofd. TYPE: r, w.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
	int errnum = errno;

	fprintf(stderr, "%s: %s\n", what, strerror(errnum));
	return errnum ? errnum : 255;
}

static int lock(int fd, const char *kind, const char *type, off_t start, off_t length, int wait)
{
	struct flock lock = {
		.l_type = *type == 'r' ? F_RDLCK : F_WRLCK,
		.l_start = start,
		.l_len = length,
	};

	if (strcmp(kind, "flock") == 0)
		return flock(fd, (*type == 'r' ? LOCK_SH : LOCK_EX) | (wait ? 0 : LOCK_NB));
	if (strcmp(kind, "posix") == 0)
		return fcntl(fd, wait ? F_SETLKW : F_SETLK, &lock);
	return fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock);
}

/* Directories, too, where a lock needs no writing. */
static int open_any(const char *path)
{
	int fd = open(path, O_RDWR);

	return fd < 0 && errno == EISDIR ? open(path, O_RDONLY) : fd;
}

static int take(char **words, int wait)
{
	int fd = open_any(words[4]);
	char byte;

	if (fd < 0)
		return fail(words[4]);
	if (lock(fd, words[0], words[1], atoll(words[2]), atoll(words[3]), wait))
		return wait ? fail("lock") : errno;
	if (!wait)
		return 0;
	puts("held");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}

static int hold(char **words)
{
	return take(words, 1);
}

static int try(char **words)
{
	return take(words, 0);
}

static int find(char **words)
{
	struct flock lock = {
		.l_type = *words[0] == 'r' ? F_RDLCK : F_WRLCK,
		.l_start = atoll(words[1]),
		.l_len = atoll(words[2]),
	};
	int fd = open_any(words[3]);

	if (fd < 0 || fcntl(fd, F_GETLK, &lock))
		return fail(words[3]);
	printf("%s %lld %lld\n",
	       lock.l_type == F_UNLCK	? "free"
	       : lock.l_type == F_RDLCK ? "read"
					: "write",
	       (long long)lock.l_start, (long long)lock.l_len);
	return 0;
}

static int crowd(char **words)
{
	int count = atoi(words[0]), got = 0;

	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return fail("fork");
		if (pid == 0) {
			int fd = open_any(words[1]);

			_exit(fd < 0 || lock(fd, i % 2 ? "flock" : "posix", "w", 0, 0, 1));
		}
	}
	puts("waiting");
	fflush(stdout);
	for (int i = 0; i < count; i++) {
		int status;

		if (wait(&status) > 0 && status == 0)
			got++;
	}
	printf("%d\n", got);
	return 0;
}

/* Each page begins with its number. */
static int dirty(char **words)
{
	const size_t size = (size_t)atoi(words[0]) << 20;
	int fd = open(words[1], O_RDWR | O_CREAT | O_TRUNC, 0644);
	char *map;

	if (fd < 0 || ftruncate(fd, (off_t)size))
		return fail(words[1]);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return fail("mmap");
	for (uint64_t page = 0; page < size / 4096; page++)
		memcpy(map + page * 4096, &page, sizeof(page));
	return msync(map, size, MS_SYNC) ? fail("msync") : 0;
}

static int nameless(char **words)
{
	char self[32], path[4096];
	int fd = open(words[0], O_TMPFILE | O_RDWR, 0640);

	if (fd < 0 || write(fd, "text", 4) != 4)
		return fail(words[0]);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	snprintf(path, sizeof(path), "%s/%s", words[0], words[1]);
	return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) ? fail(path) : 0;
}

static const struct {
	const char *name;
	int words;
	int (*function)(char **words);
} commands[] = {
	{ "hold", 5, hold },   { "try", 5, try },     { "find", 4, find },
	{ "crowd", 2, crowd }, { "dirty", 2, dirty }, { "nameless", 2, nameless },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0 && argc == commands[i].words + 2)
			return commands[i].function(argv + 2);
	fprintf(stderr, "usage: see the source\n");
	return 255;
}
