/* See start.h. */
#include "start.h"

#include <signal.h>

#include "cleanup.h"
#include "hook_stage.h"
#include "log.h"
#include "monitor_client.h"

static void stop(const struct container *container, int monitor)
{
	const struct monitor_request request = {
		.op = MONITOR_KILL,
		.signal = SIGKILL,
	};
	struct error err = { 0 };

	if (monitor_ask(monitor, &request, NULL, 0, -1, -1, &err))
		log_warning("stop container %s: %s", container->id, err.message);
}

int container_start(const struct container *container, const struct oci_config *config, int monitor,
		    struct error *err)
{
	const struct monitor_request request = { .op = MONITOR_START };
	CLEANUP(state_free) struct container_state state = { 0 };

	/* now: a process that ends soon takes its pid away */
	if (container_state_stored(container, &state, err) ||
	    monitor_ask(monitor, &request, NULL, 0, -1, -1, err))
		return -1;
	if (!hook_stage_run(OCI_HOOK_POSTSTART, config, &state, -1, err))
		return 0;
	stop(container, monitor);
	return -1;
}
