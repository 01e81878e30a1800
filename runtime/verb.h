/*
 * The verbs of the command line: one file each, one row each in main.c's table.
 * A verb gets argv from its own name on, returns the exit status, or -1 with err
 * set: main prints that and ends with 1.
 */
#ifndef VXN_VERB_H
#define VXN_VERB_H

#include <stdbool.h>

#include "error.h"
#include "log_options.h"

/* The global options. */
struct globals {
	const char *root;
	bool systemd_cgroup;
	struct log_options log;
};

/* exec: runc's exit status for what went wrong before there was a process. */
#define EXIT_EXEC_FAILED 255

int verb_create(const struct globals *globals, int argc, char **argv, struct error *err);
int verb_start(const struct globals *globals, int argc, char **argv, struct error *err);
int verb_state(const struct globals *globals, int argc, char **argv, struct error *err);
int verb_kill(const struct globals *globals, int argc, char **argv, struct error *err);
int verb_delete(const struct globals *globals, int argc, char **argv, struct error *err);
int verb_run(const struct globals *globals, int argc, char **argv, struct error *err);
int verb_exec(const struct globals *globals, int argc, char **argv, struct error *err);

#endif
