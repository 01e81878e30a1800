/* The flags that create and run have in common, runc's names. */
#ifndef VXN_CREATION_FLAGS_H
#define VXN_CREATION_FLAGS_H

#include "creation.h"
#include "error.h"
#include "verb.h"

struct creation_flags {
	const char *bundle, *console_socket, *pid_file, *preserve_fds;
};

#define CREATION_FLAGS_NONE   \
	{                     \
		.bundle = "." \
	}

/* Rows of a struct flag table. */
#define CREATION_FLAGS(given)                                                                   \
	{ "bundle", 'b', FLAG_TEXT, &(given).bundle, "directory of the bundle (default: .)" },  \
		{ "console-socket", 0, FLAG_TEXT, &(given).console_socket,                      \
		  "unix socket that gets the terminal" },                                       \
		{ "pid-file", 0, FLAG_TEXT, &(given).pid_file, "file to write the pid to" },    \
		{ "preserve-fds", 0, FLAG_TEXT, &(given).preserve_fds, "refused, but for 0" },  \
		{ "no-pivot", 0, FLAG_SWITCH, NULL,                                             \
		  "without effect: the guest makes its own root" },                             \
	{                                                                                       \
		"no-new-keyring", 0, FLAG_SWITCH, NULL, "without effect: the guest has its own" \
	}

/* --preserve-fds, NULL = not given. */
int preserve_fds_check(const char *preserve_fds, struct error *err);

int creation_flags_apply(const struct creation_flags *given, const struct globals *globals,
			 const char *id, struct creation_request *request, struct error *err);

#endif
