/*
 * Looks at files inside a container, as told on stdin, one line each:
 *
 *	see PATH		answers with what there is now
 *	await SECONDS PATH STATE	looks until that is STATE: "seen MICROSECONDS", or
 *			"missed STATE" with what there is instead
 *
 * A state is "absent", "MODE SIZE HASH" of a regular file (FNV-1a of its
 * contents), or "MODE" of anything else. Looking is lstat, open and read, so all
 * that the kernel has cached of a file is asked for.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uint64_t hash_of(const char *path)
{
	static unsigned char buffer[65536];
	uint64_t hash = 0xcbf29ce484222325u;
	int fd = open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return 0;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t i = 0; i < n; i++)
			hash = (hash ^ buffer[i]) * 0x100000001b3u;
	close(fd);
	return hash;
}

static void look(const char *path, char *state, size_t size)
{
	struct stat st;

	if (lstat(path, &st))
		snprintf(state, size, "absent");
	else if (S_ISREG(st.st_mode))
		snprintf(state, size, "%o %lld %016llx", st.st_mode, (long long)st.st_size,
			 (unsigned long long)hash_of(path));
	else
		snprintf(state, size, "%o", st.st_mode);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void await(double seconds, const char *path, const char *wanted)
{
	double begin = now();
	char state[128];

	for (;;) {
		look(path, state, sizeof(state));
		if (strcmp(state, wanted) == 0) {
			printf("seen %.0f\n", (now() - begin) * 1e6);
			return;
		}
		if (now() - begin > seconds) {
			printf("missed %s\n", state);
			return;
		}
		usleep(1000);
	}
}

int main(void)
{
	char line[8192], state[128];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		char *verb, *path, *rest = line, *seconds;

		line[strcspn(line, "\n")] = '\0';
		verb = strsep(&rest, " ");
		if (strcmp(verb, "see") == 0) {
			look(rest, state, sizeof(state));
			printf("%s\n", state);
			continue;
		}
		seconds = strsep(&rest, " ");
		path = strsep(&rest, " ");
		await(strtod(seconds, NULL), path, rest);
	}
	return 0;
}
