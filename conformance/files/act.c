/*
 * filesem --act ACTION...: single operations for the tests that take the disk or
 * the machine away meanwhile. An action is "VERB WORD...", and prints one line,
 * itself and its outcome, at once. The content of a file of N bytes is made of N
 * alone, so that others can check it: byte i is i * 31 + i / 4096.
 */
#include "filesem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536u

static void content(char *buffer, size_t offset, size_t size)
{
	for (size_t i = 0; i < size; i++)
		buffer[i] = (char)((offset + i) * 31 + (offset + i) / 4096);
}

static size_t number(const char *text)
{
	return strtoull(text, NULL, 10);
}

/* Returns 0, or -1 with errno of the write, or of close. */
static long write_content(const char *path, size_t size, int flags)
{
	static char buffer[CHUNK];
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0644), kept;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	for (size_t done = 0; done < size && n >= 0; done += (size_t)n) {
		size_t part = size - done < CHUNK ? size - done : CHUNK;

		content(buffer, done, part);
		n = write(fd, buffer, part);
	}
	kept = errno;
	if (close(fd) && n >= 0)
		return -1;
	errno = kept;
	return n < 0 ? -1 : 0;
}

static long act_write(char **words)
{
	return write_content(words[0], number(words[1]), 0);
}

static long act_osync(char **words)
{
	return write_content(words[0], number(words[1]), O_SYNC);
}

static long act_odsync(char **words)
{
	return write_content(words[0], number(words[1]), O_DSYNC);
}

static long act_append(char **words)
{
	return write_content(words[0], number(words[1]), O_APPEND);
}

static sigjmp_buf after_fault;

static void jump_out(int signal_number)
{
	siglongjmp(after_fault, signal_number);
}

/* Stores the content into a mapping; EFAULT stands for SIGBUS. */
static long map_content(const char *path, size_t size, bool sync)
{
	int fd = open(path, O_RDWR | O_CREAT, 0644);
	char *volatile memory = MAP_FAILED;
	volatile long result = -1;

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)size) == 0)
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory != MAP_FAILED) {
		signal(SIGBUS, jump_out);
		errno = EFAULT;
		if (sigsetjmp(after_fault, 1) == 0) {
			content(memory, 0, size);
			result = sync ? msync(memory, size, MS_SYNC) : 0;
		}
		signal(SIGBUS, SIG_DFL);
		munmap(memory, size);
	}
	close(fd);
	return result;
}

static long act_store(char **words)
{
	return map_content(words[0], number(words[1]), false);
}

static long act_msync(char **words)
{
	return map_content(words[0], number(words[1]), true);
}

static long with_open(const char *path, int flags, int (*call)(int))
{
	int fd = open(path, flags, 0644), kept;
	long result;

	if (fd < 0)
		return -1;
	result = call(fd);
	kept = errno;
	close(fd);
	errno = kept;
	return result;
}

static long act_fsync(char **words)
{
	return with_open(words[0], O_RDONLY, fsync);
}

static long act_fdatasync(char **words)
{
	return with_open(words[0], O_RDONLY, fdatasync);
}

static long act_syncfs(char **words)
{
	return with_open(words[0], O_RDONLY, syncfs);
}

static long act_sync(char **words)
{
	(void)words;
	sync();
	return 0;
}

static long act_rename(char **words)
{
	return rename(words[0], words[1]);
}

static long act_mkdir(char **words)
{
	return mkdir(words[0], 0755);
}

static long act_unlink(char **words)
{
	return unlink(words[0]);
}

static long act_rmdir(char **words)
{
	return rmdir(words[0]);
}

static long act_truncate(char **words)
{
	return truncate(words[0], (off_t)number(words[1]));
}

static long act_chmod(char **words)
{
	return chmod(words[0], (mode_t)strtoul(words[1], NULL, 8));
}

static long act_stat(char **words)
{
	struct stat st;

	return stat(words[0], &st);
}

/* Of a new file; drop: and its name goes before its last close. */
static long allocate(const char *path, const char *size, bool drop)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0644), kept;
	long result;

	if (fd < 0)
		return -1;
	result = fallocate(fd, 0, 0, (off_t)number(size));
	if (result == 0 && drop)
		result = unlink(path);
	kept = errno;
	close(fd);
	errno = kept;
	return result;
}

static long act_allocate(char **words)
{
	return allocate(words[0], words[1], false);
}

static long act_drop(char **words)
{
	return allocate(words[0], words[1], true);
}

/* How many bytes of the file are the content; past the page cache. */
static long act_read(char **words)
{
	static char buffer[CHUNK], wanted[CHUNK];
	int fd = open(words[0], O_RDONLY), kept;
	size_t done = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	while ((n = read(fd, buffer, CHUNK)) > 0) {
		content(wanted, done, (size_t)n);
		if (memcmp(buffer, wanted, (size_t)n) != 0)
			break;
		done += (size_t)n;
	}
	kept = errno;
	close(fd);
	errno = kept;
	return n < 0 ? -1 : (long)done;
}

/* Records of 4096 bytes, each one told of when write has returned. Never ends by itself. */
static long act_records(char **words)
{
	int fd = open(words[0], O_WRONLY | O_CREAT | O_APPEND, 0644);
	char record[4096];

	if (fd < 0)
		return -1;
	for (size_t i = 0;; i++) {
		content(record, i * sizeof(record), sizeof(record));
		if (write(fd, record, sizeof(record)) != (ssize_t)sizeof(record))
			return -1;
		say("%zu", i + 1);
		fflush(stdout);
	}
}

/* Until the other side of stdin says something, or is gone. */
static long act_wait(char **words)
{
	char byte;

	(void)words;
	return read(STDIN_FILENO, &byte, 1);
}

static long act_user(char **words)
{
	uid_t id = (uid_t)number(words[0]);

	return setresgid(id, id, id) || setresuid(id, id, id) ? -1 : 0;
}

static const struct {
	const char *verb;
	size_t words;
	long (*act)(char **words);
} verbs[] = {
	{ "write", 2, act_write },	 { "osync", 2, act_osync },
	{ "odsync", 2, act_odsync },	 { "append", 2, act_append },
	{ "store", 2, act_store },	 { "msync", 2, act_msync },
	{ "fsync", 1, act_fsync },	 { "fdatasync", 1, act_fdatasync },
	{ "syncfs", 1, act_syncfs },	 { "sync", 0, act_sync },
	{ "rename", 2, act_rename },	 { "mkdir", 1, act_mkdir },
	{ "unlink", 1, act_unlink },	 { "rmdir", 1, act_rmdir },
	{ "truncate", 2, act_truncate }, { "chmod", 2, act_chmod },
	{ "stat", 1, act_stat },	 { "allocate", 2, act_allocate },
	{ "drop", 2, act_drop },	 { "read", 1, act_read },
	{ "records", 1, act_records },	 { "wait", 0, act_wait },
	{ "user", 1, act_user },
};

/* Returns false for what is no action. */
static bool act(const char *action)
{
	char *copy = strdup(action), *words[4] = { NULL }, *rest = copy;
	size_t count = 0;
	bool found = false;

	while (count < 4 && (words[count] = strsep(&rest, " ")))
		count++;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]) && count > 0; i++) {
		if (strcmp(verbs[i].verb, words[0]) != 0 || verbs[i].words != count - 1)
			continue;
		found = true;
		say("%s %s", action, outcome(verbs[i].act(words + 1)));
		fflush(stdout);
	}
	free(copy);
	return found;
}

int act_all(char **actions)
{
	for (; *actions; actions++) {
		if (!act(*actions)) {
			say("no action: %s", *actions);
			return 2;
		}
	}
	return 0;
}
