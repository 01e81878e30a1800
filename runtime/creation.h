/*
 * What `create` and `run` have in common: from a bundle to a container whose
 * process waits to be started. All of it or nothing: on failure, and when a
 * signal asks to stop, everything is undone before creation_run returns.
 */
#ifndef VXN_CREATION_H
#define VXN_CREATION_H

#include <stdbool.h>
#include <sys/types.h>

#include "config.h"
#include "container.h"
#include "error.h"
#include "log_options.h"
#include "terminal.h"

struct creation_request {
	const char *root; /* --root */
	const char *id;
	const char *bundle;
	const char *console_socket, *pid_file; /* NULL = not given */
	bool systemd_cgroup;
	bool detached; /* the verb leaves before the process ends */
	struct log_options log;
};

struct creation {
	struct container container;
	char *bundle; /* absolute */
	char *config_text;
	size_t config_size;
	struct oci_config *config;
	struct container_state state;
	struct pty pty; /* the master stays open for a verb in the foreground */
	int monitor;	/* connected, -1 = not started */
	pid_t standin;	/* our child, 0 = none */
	bool claimed;
};

/* Releases by creation_free whatever the result. */
int creation_run(const struct creation_request *request, struct creation *creation,
		 struct error *err);

/*
 * Ends what was created: for creation_run itself, and for `run` when the start
 * fails. Tells in the log what could not be undone.
 */
void creation_undo(struct creation *creation);

void creation_free(struct creation *creation);

#endif
