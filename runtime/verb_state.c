/* vxn-runc state: prints what the state file says, as runc does. */
#include <errno.h>
#include <stdio.h>

#include "cleanup.h"
#include "container.h"
#include "flags.h"
#include "verb.h"

static int print_state(const struct container *container, struct error *err)
{
	CLEANUP(state_free) struct container_state state = { 0 };
	CLEANUP_FREE char *text = NULL;

	if (container_state_read(container, &state, err))
		return -1;
	text = state_print(&state, false, err);
	if (!text)
		return -1;
	if (fputs(text, stdout) < 0 || fflush(stdout))
		return error_set(err, errno, "print the state");
	return 0;
}

int verb_state(const struct globals *globals, int argc, char **argv, struct error *err)
{
	const struct flag flags[] = { { 0 } };
	const struct flags_usage usage = {
		.command = "vxn-runc state",
		.arguments = "<container-id>",
		.summary = "prints the state of a container",
		.flags = flags,
		.min = 1,
		.max = 1,
	};
	CLEANUP(container_free) struct container container = { 0 };
	int first = flags_parse(&usage, argc, argv, err);

	if (first <= 0)
		return first;
	if (container_find(globals->root, argv[first], &container, err))
		return -1;
	return print_state(&container, err);
}
