/*
 * vxn-runc delete: removes a container and all that was made for it. A created
 * one is ended by it, as by runc; a running one only with --force.
 */
#include <errno.h>

#include "cleanup.h"
#include "container.h"
#include "destroy.h"
#include "engine_words.h"
#include "flags.h"
#include "verb.h"

static int check_state(const struct container *container, struct error *err)
{
	struct container_state state;
	enum container_status status;

	if (container_state_read(container, &state, err))
		return -1;
	status = state.status;
	state_free(&state);
	if (status == CONTAINER_STOPPED || status == CONTAINER_CREATED)
		return 0;
	return error_set(err, 0, "cannot delete container %s that is not stopped: %s",
			 container->id, container_status_name(status));
}

int verb_delete(const struct globals *globals, int argc, char **argv, struct error *err)
{
	bool force = false;
	const struct flag flags[] = {
		{ "force", 'f', FLAG_SWITCH, &force, "ends a running container first" },
		{ 0 },
	};
	const struct flags_usage usage = {
		.command = "vxn-runc delete",
		.arguments = "<container-id>",
		.summary = "removes a container",
		.flags = flags,
		.min = 1,
		.max = 1,
	};
	CLEANUP(container_free) struct container container = { 0 };
	int first = flags_parse(&usage, argc, argv, err);

	if (first <= 0)
		return first;
	if (container_find(globals->root, argv[first], &container, err)) {
		container_sweep(globals->root, argv[first]);
		return force && err->errnum == ENOENT ? 0 : -1;
	}
	if (!force && check_state(&container, err))
		return -1;
	return container_destroy(&container, err) ? engine_words_avoid(err) : 0;
}
