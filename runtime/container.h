/*
 * The container's record on the host: ROOT/ID/, mode 0700, with
 *
 *	state.json	spec/state.h; written by create until it asks the monitor for
 *			the process, then by the monitor alone; always replaced atomically
 *	config.json	the container's own copy of the bundle's
 *	monitor.sock	the monitor listens here (monitor_protocol.h)
 *	lock		the monitor holds an exclusive flock from its start to its
 *			end: who gets it knows that the monitor is gone
 *
 * A container whose monitor is gone is stopped, whatever state.json says.
 */
#ifndef VXN_CONTAINER_H
#define VXN_CONTAINER_H

#include <stdbool.h>
#include <sys/types.h>

#include "config.h"
#include "error.h"
#include "state.h"

struct container {
	char *root; /* --root */
	char *id;
	char *directory; /* ROOT/ID */
};

/* runc's rule: letters, digits, and _ + - . ; not empty, not "." or "..", at most 1024. */
int container_id_check(const char *id, struct error *err);

/*
 * Makes ROOT (0700, with parents) and ROOT/ID. Fails with `container with given ID already
 * exists` (errnum EEXIST) when it is there.
 */
int container_claim(const char *root, const char *id, struct container *container,
		    struct error *err);

/* Finds it. Fails with `container does not exist` (errnum ENOENT), as runc says it. */
int container_find(const char *root, const char *id, struct container *container,
		   struct error *err);

/*
 * Removes the directory and what we put there. Missing is success. It is renamed
 * first, to ROOT/ID~, so that it is gone at once for everybody else; what a kill
 * on the way leaves of that is removed by the next call for the same id.
 */
int container_remove(const struct container *container, struct error *err);

/* Removes such a rest when there is no container of that id. */
void container_sweep(const char *root, const char *id);

void container_free(struct container *container);

/* ROOT/ID/name, to be freed. */
char *container_path(const struct container *container, const char *name);

/* Is its monitor alive (lock held)? */
bool container_monitor_alive(const struct container *container);

/*
 * Reads state.json; status becomes stopped and pid 0 when the monitor is gone, or
 * when the stand-in has ended (the monitor then still ends the VM). A directory
 * without a readable state.json (create was killed early) is a stopped container
 * with no pid.
 */
int container_state_read(const struct container *container, struct container_state *state,
			 struct error *err);

/* The same, as the file has it: delete wants to know what a dead monitor has left. */
int container_state_stored(const struct container *container, struct container_state *state,
			   struct error *err);

/* The record's own copy of config.json; released by config_free. */
struct oci_config *container_config(const struct container *container, struct error *err);

/* Writes state.json atomically. */
int container_state_write(const struct container *container, const struct container_state *state,
			  struct error *err);

/*
 * UUIDv5 of root directory and id (canonical absolute path of root): the name
 * under which the hypervisor knows the VM, found again after any crash.
 */
void container_uuid(const struct container *container, unsigned char uuid[16]);

#endif
