/* How fast a share is, as a ratio to the directory itself. */
#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE  (256u << 20)
#define FILES 10000

static double drop_and_read(const char *path, bool cold, char *buffer)
{
	int fd = open(path, O_RDONLY);
	double start;

	if (cold) {
		/* of this mount only: the host's own pages stay */
		fsync(fd);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	}
	start = now();
	while (read(fd, buffer, 1 << 20) > 0)
		;
	close(fd);
	return SIZE / 1e6 / (now() - start);
}

static double write_blocks(const char *path, size_t block, size_t total, char *buffer)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	double start = now();

	for (size_t done = 0; done < total; done += block)
		if (write(fd, buffer, block) < 0)
			break;
	close(fd);
	return (double)total / 1e6 / (now() - start);
}

static double create_files(const char *parent)
{
	char directory[128];
	double start = now();

	/* at() has few buffers */
	snprintf(directory, sizeof(directory), "%s", parent);
	mkdir(at(directory, "bench"), 0755);
	for (int i = 0; i < FILES; i++)
		write_file(at(directory, "bench/%d", i), "x", 1);
	return FILES / (now() - start);
}

static double stat_files(const char *parent)
{
	char directory[128];
	double start = now();
	struct stat st;

	snprintf(directory, sizeof(directory), "%s", parent);
	for (int i = 0; i < FILES; i++)
		stat(at(directory, "bench/%d", i), &st);
	return FILES / (now() - start);
}

/* Names, then attributes of each, as find does. */
static double walk_files(const char *parent)
{
	char directory[128];
	double start = now();
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	snprintf(directory, sizeof(directory), "%s/bench", parent);
	dir = opendir(directory);
	while (dir && (entry = readdir(dir)))
		fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW);
	if (dir)
		closedir(dir);
	return FILES / (now() - start);
}

static double read_files(const char *parent)
{
	char directory[128], byte;
	double start = now();

	snprintf(directory, sizeof(directory), "%s", parent);
	for (int i = 0; i < FILES; i++)
		read_file(at(directory, "bench/%d", i), &byte, 1);
	return FILES / (now() - start);
}

/* What was looked up is forgotten, here and in the server. */
static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (write(fd, "2", 1) != 1)
		printf("# caches stay\n");
	close(fd);
	usleep(500000);
}

static void row(const char *name, const char *unit, double share, double direct)
{
	printf("# %-28s %10.0f %10.0f %-8s %6.2f\n", name, share, direct, unit, share / direct);
}

void bench(void)
{
	struct mounted m = serve_new("bench");
	char *buffer = calloc(1, 1 << 20);
	double share, direct;

	printf("# %-28s %10s %10s %-8s %6s\n", "", "share", "direct", "", "ratio");
	direct = write_blocks(at(m.source, "w"), 1 << 20, SIZE, buffer);
	share = write_blocks(at(m.mount, "f"), 1 << 20, SIZE, buffer);
	row("write 1 MiB", "MB/s", share, direct);
	direct = write_blocks(at(m.source, "w"), 4096, 16 << 20, buffer);
	share = write_blocks(at(m.mount, "w"), 4096, 16 << 20, buffer);
	row("write 4 KiB", "MB/s", share, direct);
	direct = drop_and_read(at(m.source, "f"), false, buffer);
	share = drop_and_read(at(m.mount, "f"), true, buffer);
	row("read, cold inside", "MB/s", share, direct);
	share = drop_and_read(at(m.mount, "f"), false, buffer);
	row("read, warm", "MB/s", share, direct);
	mkdir(at(m.source, "direct"), 0755);
	direct = create_files(at(m.source, "direct"));
	share = create_files(m.mount);
	row("create, write 1 byte", "files/s", share, direct);
	direct = stat_files(at(m.source, "direct"));
	sleep(2);
	share = stat_files(m.mount);
	row("stat, timed out", "files/s", share, direct);
	share = stat_files(m.mount);
	row("stat, cached", "files/s", share, direct);
	drop_caches();
	direct = walk_files(at(m.source, "direct"));
	share = walk_files(m.mount);
	row("walk and stat, unknown", "files/s", share, direct);
	direct = read_files(at(m.source, "direct"));
	share = read_files(m.mount);
	row("open and read, known", "files/s", share, direct);
	drop_caches();
	direct = read_files(at(m.source, "direct"));
	share = read_files(m.mount);
	row("open and read, unknown", "files/s", share, direct);
	free(buffer);
	unserve(&m);
}
