/* vxn-runc kill: a signal to the container's process, or to all of its processes. */
#include "cleanup.h"
#include "container.h"
#include "flags.h"
#include "monitor_client.h"
#include "signals.h"
#include "verb.h"

/* Longer than the monitor gives a guest that does not obey SIGKILL. */
#define ANSWER_TIMEOUT_MS 30000

static int send_signal(const struct container *container, int signal, bool all, struct error *err)
{
	const struct monitor_request request = {
		.op = MONITOR_KILL,
		.flags = all ? MONITOR_ALL : 0,
		.signal = signal,
	};
	CLEANUP(state_free) struct container_state state = { 0 };
	CLEANUP_CLOSE int socket = -1;

	if (container_state_read(container, &state, err))
		return -1;
	if (state.status != CONTAINER_STOPPED)
		socket = monitor_connect(container, err);
	/* as runc: nobody is left to be killed, so all are */
	if (socket < 0)
		return all ? 0 : error_set(err, 0, "container not running");
	return monitor_ask(socket, &request, NULL, 0, ANSWER_TIMEOUT_MS, -1, err) ? -1 : 0;
}

int verb_kill(const struct globals *globals, int argc, char **argv, struct error *err)
{
	bool all = false;
	const struct flag flags[] = {
		{ "all", 'a', FLAG_SWITCH, &all, "to all processes of the container" },
		{ 0 },
	};
	const struct flags_usage usage = {
		.command = "vxn-runc kill",
		.arguments = "<container-id> [signal]",
		.summary = "sends a signal (default: SIGTERM) to a container's process",
		.flags = flags,
		.min = 1,
		.max = 2,
	};
	CLEANUP(container_free) struct container container = { 0 };
	int first = flags_parse(&usage, argc, argv, err);
	const char *name;
	int signal;

	if (first <= 0)
		return first;
	name = first + 1 < argc ? argv[first + 1] : "TERM";
	signal = signal_parse(name);
	if (container_find(globals->root, argv[first], &container, err))
		return -1;
	if (signal < 0)
		return error_set(err, 0, "unknown signal \"%s\"", name);
	return send_signal(&container, signal, all, err);
}
