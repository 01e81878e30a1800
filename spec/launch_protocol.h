/*
 * Between launch_standin() (runtime/launch.c) and vxn-launch (shim/): fixed file
 * descriptors, and messages on a SEQPACKET socket which only vxn-launch and the
 * process that becomes the stand-in hold.
 *
 * vxn-launch leaves after it has made the child; the caller receives until the
 * end of file. The stand-in is complete when LAUNCH_EXEC came and then the end of
 * file with no LAUNCH_ERROR before it.
 */
#ifndef VXN_LAUNCH_PROTOCOL_H
#define VXN_LAUNCH_PROTOCOL_H

#include <stdint.h>

#include "error.h"
#include "standin.h"

/* The stand-in itself is the last to close it. */
#define LAUNCH_STATUS_FD STANDIN_READY_FD
/* Then the cgroup.procs files that the stand-in is to write itself into. */
#define LAUNCH_CGROUP_FD      (LAUNCH_STATUS_FD + 1)
#define LAUNCH_CGROUP_FDS_MAX 16

enum launch_message_type {
	/* From the child itself: its pid comes with it as SCM_CREDENTIALS. */
	LAUNCH_STARTED = 1,
	LAUNCH_EXEC = 2,  /* all is in place, the exec of the stand-in is next */
	LAUNCH_ERROR = 3, /* error says why it ends; from either */
};

struct launch_message {
	uint32_t type;
	struct error error;
};

#endif
