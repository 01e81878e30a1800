/*
 * Many files, with fewer that the server may have open: what a walk of them costs,
 * and threads that open, read and rename at the same time.
 */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS 4

static struct mounted m;

static unsigned long walk(const char *path, bool read_too)
{
	unsigned long count = 0;
	struct dirent *entry;
	DIR *dir = opendir(path);

	while (dir && (entry = readdir(dir))) {
		char below[4096], text[32];
		struct stat st;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (lstat(below, &st))
			continue;
		if (S_ISDIR(st.st_mode)) {
			count += walk(below, read_too);
			continue;
		}
		memset(text, 0, sizeof(text));
		if (!read_too ||
		    (read_file(below, text, sizeof(text) - 1) > 0 && !strcmp(text, entry->d_name)))
			count++;
	}
	if (dir)
		closedir(dir);
	return count;
}

static void many_files(void)
{
	const unsigned int files = option_full ? 200000 : 20000, nofile = files / 10;
	const long before_limit = 12l << 10, node = 400;
	long rss;
	double start;

	mkdir(at(base, "many"), 0755);
	for (unsigned int i = 0; i < files; i++) {
		char name[16];
		int length = snprintf(name, sizeof(name), "f%u", i);

		if (i % 200 == 0)
			mkdir(at(base, "many/d%u", i / 200), 0755);
		write_file(at(base, "many/d%u/%s", i / 200, name), name, (size_t)length);
	}
	option_nofile = nofile;
	m = serve_at(at(base, "many"), false);
	option_nofile = 0;
	start = now();
	check(walk(m.mount, false) == files, "%u files walked, with %u to be open", files, nofile);
	printf("# %.1f s, %d open\n", now() - start, count_fds(m.server));
	start = now();
	check(walk(m.mount, true) == files, "each opened and read, and it is the right one");
	printf("# %.1f s, %d open\n", now() - start, count_fds(m.server));
	check(count_fds(m.server) > (int)nofile / 4 && count_fds(m.server) < (int)nofile,
	      "as many as it may are open (%d)", count_fds(m.server));
	rss = memory(m.server);
	printf("# the server takes %ld KiB\n", rss);
	check(rss > 0 && (!MEMORY_IS_OURS || rss < before_limit + (long)files * node / 1024),
	      "its memory is bounded");
	check(walk(m.mount, true) == files, "all of it again");
	unserve(&m);
}

/* --- at the same time --- */

#define RACE_DIRECTORIES 40
#define RACE_FILES	 (RACE_DIRECTORIES * 20)
/* Half as many as there are to open. */
#define RACE_NOFILE 700

struct racer {
	pthread_t thread;
	unsigned int seed;
	double end;
	unsigned long reads, wrong, stale, other;
};

static ino_t race_numbers[RACE_FILES];

static void race_read(struct racer *r)
{
	unsigned int file = (unsigned int)rand_r(&r->seed) % RACE_FILES;
	/* half of the directories go by another name at any time */
	bool renamed = rand_r(&r->seed) & 1;
	char path[256], text[16] = "";
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s%u/f%u", m.mount, renamed ? "e" : "d", file / 20, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ESTALE)
		r->stale++;
	else if (fd < 0 && errno != ENOENT)
		r->other++;
	if (fd < 0)
		return;
	r->reads++;
	if (read(fd, text, sizeof(text) - 1) <= 0 || (unsigned int)atoi(text) != file ||
	    fstat(fd, &st) || st.st_ino != race_numbers[file])
		r->wrong++;
	close(fd);
}

static void race_rename(struct racer *r)
{
	unsigned int n = (unsigned int)rand_r(&r->seed) % RACE_DIRECTORIES;
	char one[256], two[256];

	snprintf(one, sizeof(one), "%s/d%u", m.mount, n);
	snprintf(two, sizeof(two), "%s/e%u", m.mount, n);
	/* ENOENT: it goes by the other name; ENOTEMPTY cannot be, as nobody makes any */
	if (rename(one, two) && (errno != ENOENT || (rename(two, one) && errno != ENOENT)))
		r->other++;
}

static void *race(void *argument)
{
	struct racer *r = argument;

	while (now() < r->end) {
		for (int i = 0; i < 20; i++)
			race_read(r);
		race_rename(r);
	}
	return NULL;
}

static void races(void)
{
	struct racer racers[THREADS], sum = { 0 };
	struct stat st;

	mkdir(at(base, "race"), 0755);
	for (unsigned int i = 0; i < RACE_FILES; i++) {
		char text[16];
		int length = snprintf(text, sizeof(text), "%u", i);

		mkdir(at(base, "race/d%u", i / 20), 0755);
		write_file(at(base, "race/d%u/f%u", i / 20, i), text, (size_t)length);
		if (stat(at(base, "race/d%u/f%u", i / 20, i), &st) == 0)
			race_numbers[i] = st.st_ino;
	}
	option_nofile = RACE_NOFILE;
	m = serve_at(at(base, "race"), false);
	option_nofile = 0;
	for (unsigned int i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){ .seed = i + 1, .end = now() + (option_full ? 20 : 3) };
		pthread_create(&racers[i].thread, NULL, race, &racers[i]);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(racers[i].thread, NULL);
		sum.reads += racers[i].reads;
		sum.wrong += racers[i].wrong;
		sum.stale += racers[i].stale;
		sum.other += racers[i].other;
	}
	printf("# %lu files read\n", sum.reads);
	check(sum.reads > 500, "%d threads open, read and rename, with eviction", THREADS);
	check(sum.wrong == 0, "no file is another (%lu)", sum.wrong);
	check(sum.stale == 0 && sum.other == 0, "no errors (%lu stale, %lu other)", sum.stale,
	      sum.other);
	unserve(&m);
}

void checks_many(void)
{
	many_files();
	races();
}
