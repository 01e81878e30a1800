/*
 * The state of a container, as the state file holds it and as the state verb
 * prints it (OCI runtime spec, "State", with the members that runc adds: owner,
 * rootfs, created). What is ours only stands in a member "vxn" of its own.
 */
#ifndef VXN_STATE_H
#define VXN_STATE_H

#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "error.h"

enum container_status {
	CONTAINER_CREATING,
	CONTAINER_CREATED,
	CONTAINER_RUNNING,
	CONTAINER_PAUSED,
	CONTAINER_STOPPED,
};

/* All strings are owned and may be NULL except oci_version and id. */
struct container_state {
	char *oci_version;
	char *id;
	enum container_status status;
	pid_t pid; /* of the stand-in, 0 = none */
	char *bundle;
	char *rootfs;
	char *created; /* RFC 3339, UTC */
	struct oci_annotation *annotations;
	size_t annotations_count;
	char *owner;
	/* ours: */
	uint64_t pid_start_time; /* field 22 of /proc/PID/stat: the pid is still this process */
	pid_t io_pid;		 /* of the io process, 0 = not known; it holds the shared files */
	uint64_t io_start_time;
	char *cgroup_path;
	char *vm_uuid;
	char *failure; /* why it stopped, when that was no end of the process */
};

const char *container_status_name(enum container_status status);

/*
 * JSON text on several lines, to be freed. with_private: with "vxn", for the
 * state file; without it, what runc prints.
 */
char *state_print(const struct container_state *state, bool with_private, struct error *err);

/* Releases nothing of what *state held; state_free whatever the result. */
int state_parse(const char *text, size_t size, struct container_state *state, struct error *err);
void state_free(struct container_state *state);

/* The time now as in created. The buffer takes at least STATE_TIME_MAX bytes. */
#define STATE_TIME_MAX 40
int state_time_now(char out[STATE_TIME_MAX], struct error *err);

#endif
