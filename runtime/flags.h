/*
 * Command-line flags as engines and users of runc write them: `--flag value`,
 * `--flag=value`, flags also after the arguments, `--flag=false` for a switch.
 * One table for parsing and for the help.
 */
#ifndef VXN_FLAGS_H
#define VXN_FLAGS_H

#include <stdbool.h>

#include "error.h"

#define FLAGS_MAX 32

enum flag_kind {
	FLAG_SWITCH, /* bool */
	FLAG_TEXT,   /* const char * */
	FLAG_LIST,   /* struct string_list */
};

struct flag {
	const char *name;
	char letter; /* 0 = none */
	enum flag_kind kind;
	void *value; /* where to put it; NULL: accepted, without effect */
	const char *help;
};

struct flags_usage {
	const char *command;   /* "vxn-runc kill" */
	const char *arguments; /* "<container-id> [signal]" */
	const char *summary;
	const struct flag *flags; /* ends with a NULL name; --help is added */
	int min, max;		  /* number of arguments; max -1 = any */
	bool stop_at_argument;	  /* what follows the first argument is not ours */
};

/*
 * Returns the index in argv of the first argument (argv is reordered so that all
 * arguments follow), 0 when the help was asked for and printed, -1 with err set.
 */
int flags_parse(const struct flags_usage *usage, int argc, char **argv, struct error *err);

void flags_print_help(const struct flags_usage *usage);

#endif
