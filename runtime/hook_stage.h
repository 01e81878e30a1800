/*
 * The hooks of one stage of a container's life, on the host (OCI runtime spec,
 * "POSIX-platform Hooks"). Those of startContainer are the guest's to run.
 */
#ifndef VXN_HOOK_STAGE_H
#define VXN_HOOK_STAGE_H

#include "config.h"
#include "error.h"
#include "state.h"

/*
 * Runs them one after another, in the bundle, with the state as it is at that
 * stage. Those of createContainer are in the namespaces of the stand-in, whose
 * pid is the state's, with its mounts at the rootfs; what they mount there is not
 * seen in the VM. The first that fails ends it, but for poststop: there it is a
 * warning in the log. cancel_fd: readable = kill the hook and fail; -1 = none.
 */
int hook_stage_run(enum oci_hook_stage stage, const struct oci_config *config,
		   const struct container_state *state, int cancel_fd, struct error *err);

#endif
