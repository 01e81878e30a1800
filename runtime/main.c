/*
 * vxn-runc: an OCI runtime whose containers are virtual machines of their own.
 * This file has the global options, the table of verbs and the last words: one
 * line on stderr, and the same in --log.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "engine_words.h"
#include "flags.h"
#include "log.h"
#include "stdio_fds.h"
#include "verb.h"

#define ROOT_DEFAULT "/run/vxn-runc"
#define OCI_VERSION  "1.0.2"

static const struct verb {
	const char *name;
	int (*run)(const struct globals *globals, int argc, char **argv, struct error *err);
	int failure; /* exit status when it returns -1 */
	const char *summary;
} verbs[] = {
	{ "create", verb_create, 1, "creates a container, whose process then waits for start" },
	{ "start", verb_start, 1, "starts the process of a created container" },
	{ "state", verb_state, 1, "prints the state of a container" },
	{ "kill", verb_kill, 1, "sends a signal to a container's process" },
	{ "delete", verb_delete, 1, "removes a container" },
	{ "run", verb_run, 1, "creates and starts a container" },
	{ "exec", verb_exec, EXIT_EXEC_FAILED, "runs one more process in a container" },
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static void print_verbs(void)
{
	printf("\ncommands:\n");
	for (size_t i = 0; i < VERB_COUNT; i++)
		printf("  %-10s %s\n", verbs[i].name, verbs[i].summary);
	printf("\n`vxn-runc COMMAND --help` tells its flags.\n");
}

/* The monitor, which gets the path too, has another working directory: so it is made absolute. */
static int open_log(struct log_options *log, char **path, struct error *err)
{
	CLEANUP_FREE char *directory = NULL;

	if (log->path && log->path[0] != '/') {
		directory = getcwd(NULL, 0);
		if (!directory || asprintf(path, "%s/%s", directory, log->path) < 0) {
			*path = NULL;
			return error_set(err, errno, "log file %s", log->path);
		}
		log->path = *path;
	}
	return log_open(log->path, log->format, log->debug, err);
}

static int run_verb(struct globals *globals, int argc, char **argv)
{
	const struct verb *verb = find_verb(argv[0]);
	struct error err = { 0 };
	int result;

	if (!verb) {
		log_error("unknown command \"%s\"", argv[0]);
		return 1;
	}
	result = verb->run(globals, argc, argv, &err);
	if (result >= 0)
		return result;
	log_error("%s", err.message);
	return verb->failure;
}

static int fail(struct error *err)
{
	engine_words_avoid(err);
	fprintf(stderr, "%s\n", err->message);
	return 1;
}

int main(int argc, char **argv)
{
	struct globals globals = { .root = ROOT_DEFAULT, .log = { .format = "text" } };
	bool version = false;
	const struct flag flags[] = {
		{ "root", 0, FLAG_TEXT, &globals.root, "directory of the records of containers" },
		{ "log", 0, FLAG_TEXT, &globals.log.path, "log file" },
		{ "log-format", 0, FLAG_TEXT, &globals.log.format, "text (the default) or json" },
		{ "debug", 0, FLAG_SWITCH, &globals.log.debug, "more lines in the log" },
		{ "systemd-cgroup", 0, FLAG_SWITCH, &globals.systemd_cgroup,
		  "linux.cgroupsPath is slice:prefix:name" },
		{ "version", 'v', FLAG_SWITCH, &version, "prints the version" },
		{ "criu", 0, FLAG_TEXT, NULL, "ignored" },
		{ "rootless", 0, FLAG_TEXT, NULL, "ignored" },
		{ 0 },
	};
	const struct flags_usage usage = {
		.command = "vxn-runc",
		.arguments = "COMMAND ...",
		.summary = "runs OCI containers in virtual machines",
		.flags = flags,
		.max = -1,
		.stop_at_argument = true,
	};
	CLEANUP_FREE char *log_path = NULL;
	struct error err = { 0 };
	int first;

	/* engines start us with SIGPIPE as they have it: ignored by some */
	signal(SIGPIPE, SIG_IGN);
	if (stdio_fds_ensure(&err))
		return 1;
	first = flags_parse(&usage, argc, argv, &err);
	if (first < 0)
		return fail(&err);
	if (version) {
		printf("vxn-runc version %s\nspec: %s\n", VXN_VERSION, OCI_VERSION);
		return 0;
	}
	if (first == 0 || first == argc) {
		if (first)
			flags_print_help(&usage);
		print_verbs();
		return 0;
	}
	if (open_log(&globals.log, &log_path, &err))
		return fail(&err);
	return run_verb(&globals, argc - first, argv + first);
}
