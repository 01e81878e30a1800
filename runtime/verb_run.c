/*
 * vxn-runc run: create and start. In the foreground it stays until the process
 * ends, removes the container (unless --keep) and ends with the same status.
 */
#include <unistd.h>

#include "creation.h"
#include "creation_flags.h"
#include "destroy.h"
#include "engine_words.h"
#include "flags.h"
#include "foreground.h"
#include "start.h"
#include "verb.h"

static int stay(struct creation *creation, bool keep, struct error *err)
{
	int status = foreground_wait(creation->standin, creation->pty.master, err);

	creation->standin = 0;
	if (!keep && container_destroy(&creation->container, status < 0 ? NULL : err))
		return engine_words_avoid(err);
	return status;
}

static int run(const struct creation_request *request, bool keep, struct creation *creation,
	       struct error *err)
{
	if (creation_run(request, creation, err))
		return -1;
	if (container_start(&creation->container, creation->config, creation->monitor, err)) {
		if (request->pid_file)
			unlink(request->pid_file);
		creation_undo(creation);
		return -1;
	}
	return request->detached ? 0 : stay(creation, keep, err);
}

int verb_run(const struct globals *globals, int argc, char **argv, struct error *err)
{
	struct creation_flags given = CREATION_FLAGS_NONE;
	bool detach = false, keep = false;
	const struct flag flags[] = {
		CREATION_FLAGS(given),
		{ "detach", 'd', FLAG_SWITCH, &detach, "leaves when the process is started" },
		{ "keep", 0, FLAG_SWITCH, &keep, "does not remove the container at its end" },
		{ "no-subreaper", 0, FLAG_SWITCH, NULL, "without effect" },
		{ 0 },
	};
	const struct flags_usage usage = {
		.command = "vxn-runc run",
		.arguments = "<container-id>",
		.summary = "creates and starts a container",
		.flags = flags,
		.min = 1,
		.max = 1,
	};
	struct creation_request request;
	struct creation creation;
	int first = flags_parse(&usage, argc, argv, err), result;

	if (first <= 0)
		return first;
	if (creation_flags_apply(&given, globals, argv[first], &request, err))
		return -1;
	request.detached = detach;
	if (!detach)
		foreground_prepare();
	result = run(&request, keep, &creation, err);
	creation_free(&creation);
	return result;
}
