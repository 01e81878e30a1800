/*
 * Starts stand-ins: runs vxn-launch (shim/), which builds the namespaces, the
 * mount tree and the credentials that config.json asks for on the host, and
 * becomes the stand-in inside them.
 */
#ifndef VXN_LAUNCH_H
#define VXN_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "error.h"

/* Where vxn-launch and vxn-standin are (launch_directory.c). */
extern const char launch_directory[];

struct launch_request {
	const char *bundle;	  /* absolute path */
	const char *config_path;  /* config.json; for an exec the container's copy of it */
	const char *process_path; /* process.json of an exec, NULL for the container's process */
	pid_t container_pid;	  /* exec: stand-in of the container's process; else 0 */
	const char *cgroup;	  /* as cgroup_create gives it, to live in; NULL = the caller's */
	int terminal_fd; /* slave of the pty, becomes the controlling terminal; -1 = none */
};

struct launched {
	pid_t pid;  /* the stand-in, a child of the caller */
	int socket; /* our end of its socket (spec/standin.h), CLOEXEC, for the monitor */
};

/*
 * Returns when the stand-in is complete: every namespace, mount, credential is
 * in place and it waits on its socket. On failure nothing is left (but mount
 * points that had to be made in the rootfs, as with runc). The stand-in has
 * /dev/null or the terminal as stdio and inherits no other fd of the caller.
 */
int launch_standin(const struct launch_request *request, struct launched *launched,
		   struct error *err);

#endif
