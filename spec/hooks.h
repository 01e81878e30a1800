/*
 * Hooks of a config.json (OCI runtime spec, "POSIX-platform Hooks"), and how one
 * is run, on the host as in the guest.
 */
#ifndef VXN_HOOKS_H
#define VXN_HOOKS_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "json.h"

/* In the order in which they come in a container's life. */
enum oci_hook_stage {
	OCI_HOOK_PRESTART,
	OCI_HOOK_CREATE_RUNTIME,
	OCI_HOOK_CREATE_CONTAINER,
	OCI_HOOK_START_CONTAINER,
	OCI_HOOK_POSTSTART,
	OCI_HOOK_POSTSTOP,
	OCI_HOOK_STAGE_COUNT,
};

struct oci_hook {
	char *path;  /* absolute */
	char **args; /* NULL-terminated, never NULL; empty = the path alone */
	char **env;  /* NULL-terminated, never NULL: all of its environment */
	int timeout; /* seconds; 0 = none */
};

struct oci_hooks {
	struct oci_hook *items;
	size_t count;
};

/* The stage's member name in config.json. */
const char *oci_hook_stage_name(enum oci_hook_stage stage);

/*
 * Fills the lists of all stages, which are zeroed before. Errors name the JSON
 * path: path absent or not absolute, a timeout that is not positive.
 */
int hooks_read(const struct json *root, struct oci_hooks hooks[OCI_HOOK_STAGE_COUNT],
	       struct error *err);
void hooks_release(struct oci_hooks hooks[OCI_HOOK_STAGE_COUNT]);

struct hook_run {
	const char *state;     /* JSON text, on its stdin */
	const char *directory; /* where it works; NULL = where the caller does */
	int cancel_fd;	       /* readable = kill it; -1 = none */
	/* Called in the hook's process before it executes; NULL = nothing to do. */
	int (*prepare)(void *context, struct error *err);
	void *context;
};

/*
 * Runs one hook and waits for its end. It is in a session of its own and has no
 * descriptors but stdio; the end of what it wrote is in the error. Fails when it
 * can't be executed, ends with another status than 0, or at its timeout, at which
 * its session's processes are killed.
 */
int hook_run(const struct oci_hook *hook, const struct hook_run *run, struct error *err);

#endif
