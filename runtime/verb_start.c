/* vxn-runc start: executes the process of a created container. */
#include <errno.h>

#include "cleanup.h"
#include "container.h"
#include "flags.h"
#include "monitor_client.h"
#include "start.h"
#include "verb.h"

static int check_state(const struct container *container, struct error *err)
{
	struct container_state state;
	enum container_status status;

	if (container_state_read(container, &state, err))
		return -1;
	status = state.status;
	state_free(&state);
	switch (status) {
	case CONTAINER_CREATED:
		return 0;
	case CONTAINER_STOPPED:
		return error_set(err, 0, "cannot start a container that has stopped");
	case CONTAINER_RUNNING:
		return error_set(err, 0, "cannot start an already running container");
	default:
		return error_set(err, 0, "cannot start a container in the %s state",
				 container_status_name(status));
	}
}

static int start(const struct container *container, struct error *err)
{
	CLEANUP_CLOSE int socket = -1;
	struct oci_config *config;
	int result;

	if (check_state(container, err))
		return -1;
	socket = monitor_connect(container, err);
	if (socket < 0)
		return error_set(err, 0, "cannot start a container that has stopped");
	config = container_config(container, err);
	if (!config)
		return -1;
	result = container_start(container, config, socket, err);
	config_free(config);
	return result;
}

int verb_start(const struct globals *globals, int argc, char **argv, struct error *err)
{
	const struct flag flags[] = { { 0 } };
	const struct flags_usage usage = {
		.command = "vxn-runc start",
		.arguments = "<container-id>",
		.summary = "starts the process of a created container",
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
	return start(&container, err);
}
