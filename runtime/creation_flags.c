/* See creation_flags.h. */
#include "creation_flags.h"

#include <string.h>

int preserve_fds_check(const char *preserve_fds, struct error *err)
{
	if (!preserve_fds || !strcmp(preserve_fds, "0"))
		return 0;
	return error_set(err, 0,
			 "--preserve-fds %s: open files of the host can't be handed into a "
			 "virtual machine",
			 preserve_fds);
}

int creation_flags_apply(const struct creation_flags *given, const struct globals *globals,
			 const char *id, struct creation_request *request, struct error *err)
{
	if (preserve_fds_check(given->preserve_fds, err))
		return -1;
	*request = (struct creation_request){
		.root = globals->root,
		.id = id,
		.bundle = given->bundle,
		.console_socket = given->console_socket,
		.pid_file = given->pid_file,
		.systemd_cgroup = globals->systemd_cgroup,
		.log = globals->log,
	};
	return 0;
}
