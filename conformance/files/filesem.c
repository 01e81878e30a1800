/*
 * filesem [--full] [--seed N] [--crowd N] DIRECTORY [SUBJECT...]
 *
 * Runs the subjects (all of them, if none is named), each in an empty directory
 * DIRECTORY/SUBJECT, in a child of its own, and prints "SUBJECT: " before each
 * of its lines. Exit status 1: a subject could not be run to its end.
 * filesem --list names the subjects; filesem --act ACTION... is act.c's.
 */
#include "filesem.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seconds that one subject may take. */
#define SUBJECT_LIMIT 600

static const struct subject {
	const char *name;
	void (*run)(void);
} subjects[] = {
	{ "open", subject_open },
	{ "tmpfile", subject_tmpfile },
	{ "direct", subject_direct },
	{ "io", subject_io },
	{ "copy", subject_copy },
	{ "allocate", subject_allocate },
	{ "holes", subject_holes },
	{ "truncate", subject_truncate },
	{ "big", subject_big },
	{ "rename", subject_rename },
	{ "link", subject_link },
	{ "unlink", subject_unlink },
	{ "names", subject_names },
	{ "deep", subject_deep },
	{ "nodes", subject_nodes },
	{ "owner", subject_owner },
	{ "setid", subject_setid },
	{ "times", subject_times },
	{ "access", subject_access },
	{ "stat", subject_stat },
	{ "xattr", subject_xattr },
	{ "acl", subject_acl },
	{ "capability", subject_capability },
	{ "mmap", subject_mmap },
	{ "watch", subject_watch },
	{ "exec", subject_exec },
	{ "overlay", subject_overlay },
	{ "fsx", subject_fsx },
	{ "crowd", subject_crowd },
};

#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

/* The child's half: its lines go to the pipe. */
static void run_child(const char *directory, const struct subject *subject, int out)
{
	alarm(SUBJECT_LIMIT);
	dup2(out, STDOUT_FILENO);
	close(out);
	umask(022);
	if (chdir(directory) || mkdir(subject->name, 0755) || chdir(subject->name)) {
		say("cannot go on: %s/%s: %s", directory, subject->name, strerror(errno));
		exit(1);
	}
	subject->run();
	exit(0);
}

static bool run(const char *directory, const struct subject *subject)
{
	char *line = NULL;
	size_t size = 0;
	int out[2], status;
	FILE *lines;
	pid_t pid;

	fflush(stdout);
	MUST(pipe2(out, O_CLOEXEC));
	pid = (pid_t)MUST(fork());
	if (pid == 0)
		run_child(directory, subject, out[1]);
	close(out[1]);
	lines = fdopen(out[0], "r");
	while (lines && getline(&line, &size, lines) > 0)
		printf("%s: %s", subject->name, line);
	free(line);
	if (lines)
		fclose(lines);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		say("%s: was ended by SIG%s", subject->name, sigabbrev_np(WTERMSIG(status)));
	return status == 0;
}

static bool wanted(const char *name, char *const *names, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return count == 0;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: filesem [--full] [--seed N] [--crowd N] DIRECTORY [SUBJECT...] | --list\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "full", no_argument, NULL, 'f' },
		{ "seed", required_argument, NULL, 's' },
		{ "crowd", required_argument, NULL, 'c' },
		{ "list", no_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	int option, status = 0;

	if (argc > 1 && strcmp(argv[1], "--act") == 0)
		return act_all(argv + 2);
	if (argc > 1 && strncmp(argv[1], "helper-", 7) == 0)
		return exec_helper(argc, argv);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'f') {
			full_run = true;
		} else if (option == 's') {
			seed = strtoull(optarg, NULL, 10);
		} else if (option == 'c') {
			crowd = (unsigned int)strtoul(optarg, NULL, 10);
		} else if (option == 'l') {
			for (size_t i = 0; i < SUBJECTS; i++)
				say("%s", subjects[i].name);
			return 0;
		} else {
			return usage();
		}
	}
	if (optind == argc)
		return usage();
	for (size_t i = 0; i < SUBJECTS; i++)
		if (wanted(subjects[i].name, argv + optind + 1, argc - optind - 1) &&
		    !run(argv[optind], &subjects[i]))
			status = 1;
	return status;
}
