/*
 * vxn-runc create: from a bundle to a container whose process waits for start.
 * When it returns the VM is up, the program has been found inside, and the pid
 * file names the stand-in, which the caller (a subreaper) inherits.
 */
#include "verb.h"

#include "creation.h"
#include "creation_flags.h"
#include "flags.h"

int verb_create(const struct globals *globals, int argc, char **argv, struct error *err)
{
	struct creation_flags given = CREATION_FLAGS_NONE;
	const struct flag flags[] = { CREATION_FLAGS(given), { 0 } };
	const struct flags_usage usage = {
		.command = "vxn-runc create",
		.arguments = "<container-id>",
		.summary = "creates a container",
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
	request.detached = true;
	result = creation_run(&request, &creation, err);
	creation_free(&creation);
	return result;
}
