/* What a container's record says: its state file, and its config.json. See container.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"
#include "config_file.h"
#include "container.h"
#include "process_identity.h"
#include "textfile.h"

/* All annotations that a config may have, printed for people. */
#define STATE_SIZE_MAX	    (4 * CONFIG_SIZE_MAX)
#define OCI_VERSION_UNKNOWN "1.0.2"

/* create was killed before it had written anything that can be read. */
static int fill_unknown(const struct container *container, struct container_state *state,
			struct error *err)
{
	memset(state, 0, sizeof(*state));
	state->status = CONTAINER_STOPPED;
	state->id = strdup(container->id);
	state->oci_version = strdup(OCI_VERSION_UNKNOWN);
	if (state->id && state->oci_version)
		return 0;
	state_free(state);
	return error_set(err, ENOMEM, "state of container %s", container->id);
}

int container_state_stored(const struct container *container, struct container_state *state,
			   struct error *err)
{
	CLEANUP_FREE char *path = container_path(container, "state.json");
	CLEANUP_FREE char *text = NULL;
	size_t size;

	if (!path)
		return error_set(err, ENOMEM, "state of container %s", container->id);
	text = textfile_read(AT_FDCWD, path, STATE_SIZE_MAX, &size, NULL);
	if (text && !state_parse(text, size, state, NULL))
		return 0;
	if (text)
		state_free(state);
	return fill_unknown(container, state, err);
}

int container_state_read(const struct container *container, struct container_state *state,
			 struct error *err)
{
	bool started;

	if (container_state_stored(container, state, err))
		return -1;
	started = state->status != CONTAINER_CREATING && state->status != CONTAINER_STOPPED;
	if (!container_monitor_alive(container) ||
	    (started && !process_is_alive(state->pid, state->pid_start_time)))
		state->status = CONTAINER_STOPPED;
	if (state->status == CONTAINER_STOPPED)
		state->pid = 0;
	return 0;
}

int container_state_write(const struct container *container, const struct container_state *state,
			  struct error *err)
{
	CLEANUP_FREE char *path = container_path(container, "state.json");
	CLEANUP_FREE char *text = path ? state_print(state, true, err) : NULL;

	if (!path)
		return error_set(err, ENOMEM, "state of container %s", container->id);
	return text ? textfile_write(path, 0600, text, strlen(text), err) : -1;
}

struct oci_config *container_config(const struct container *container, struct error *err)
{
	CLEANUP_FREE char *path = container_path(container, "config.json");
	CLEANUP_FREE char *text = NULL;
	struct oci_config *config = NULL;
	size_t size;

	if (!path) {
		error_set(err, ENOMEM, "config.json of container %s", container->id);
		return NULL;
	}
	(void)config_file_load(path, &text, &size, &config, err);
	return config;
}
