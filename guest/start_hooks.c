/* See start_hooks.h. */
#include "start_hooks.h"

#include <unistd.h>

#include "cleanup.h"
#include "state.h"

static char *state_text(const struct child_plan *plan, struct error *err)
{
	const struct oci_config *config = plan->config;
	const struct container_state state = {
		.oci_version = config->oci_version,
		.id = (char *)plan->container,
		.status = CONTAINER_CREATED,
		.pid = getpid(),
		.bundle = (char *)plan->bundle,
		.annotations = config->annotations,
		.annotations_count = config->annotations_count,
	};

	return state_print(&state, false, err);
}

int start_hooks_run(const struct child_plan *plan, struct error *err)
{
	const struct oci_hooks *hooks = &plan->config->hooks[OCI_HOOK_START_CONTAINER];
	struct hook_run run = { .cancel_fd = -1 };
	CLEANUP_FREE char *text = NULL;

	if (!hooks->count)
		return 0;
	text = state_text(plan, err);
	if (!text)
		return -1;
	run.state = text;
	for (size_t i = 0; i < hooks->count; i++)
		if (hook_run(&hooks->items[i], &run, err) < 0)
			return error_prefix(err, "error running startContainer hook #%zu (%s)", i,
					    hooks->items[i].path);
	return 0;
}
