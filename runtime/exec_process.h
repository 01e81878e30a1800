/* The process of an exec: a process.json of the engine, or flags over the container's own. */
#ifndef VXN_EXEC_PROCESS_H
#define VXN_EXEC_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "error.h"
#include "string_list.h"

/* What stands on the command line; NULL and empty: as the container's process. */
struct exec_flags {
	const char *process; /* a process.json: then the rest is not looked at, as by runc */
	const char *cwd, *user, *apparmor, *label;
	struct string_list additional_gids, env, capabilities;
	bool tty, no_new_privs;
	char *const *args; /* NULL-terminated */
};

void exec_flags_free(struct exec_flags *flags);

/*
 * The validated process and its JSON text, both to be released. config_path: the
 * container's config.json.
 */
int exec_process_make(const struct exec_flags *flags, const char *config_path,
		      struct oci_process **process, char **text, struct error *err);

#endif
