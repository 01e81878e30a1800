/* See state.h. */
#include "state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "annotations.h"
#include "json.h"
#include "json_writer.h"

static const char *const status_names[] = {
	[CONTAINER_CREATING] = "creating", [CONTAINER_CREATED] = "created",
	[CONTAINER_RUNNING] = "running",   [CONTAINER_PAUSED] = "paused",
	[CONTAINER_STOPPED] = "stopped",
};

#define STATUS_COUNT (sizeof(status_names) / sizeof(status_names[0]))

const char *container_status_name(enum container_status status)
{
	return status_names[status];
}

static void put_private(struct json_writer *writer, const struct container_state *state)
{
	json_put_object(writer, "vxn");
	json_put_uint(writer, "pidStartTime", state->pid_start_time);
	if (state->io_pid) {
		json_put_int(writer, "ioPid", state->io_pid);
		json_put_uint(writer, "ioStartTime", state->io_start_time);
	}
	json_put_optional(writer, "cgroupPath", state->cgroup_path);
	json_put_optional(writer, "vmUuid", state->vm_uuid);
	json_put_optional(writer, "failure", state->failure);
	json_end_object(writer);
}

char *state_print(const struct container_state *state, bool with_private, struct error *err)
{
	CLEANUP_JSON_WRITER struct json_writer writer;

	json_writer_init(&writer, true);
	json_put_object(&writer, NULL);
	json_put_string(&writer, "ociVersion", state->oci_version);
	json_put_string(&writer, "id", state->id);
	json_put_int(&writer, "pid", state->pid);
	json_put_string(&writer, "status", container_status_name(state->status));
	json_put_optional(&writer, "bundle", state->bundle);
	json_put_optional(&writer, "rootfs", state->rootfs);
	json_put_optional(&writer, "created", state->created);
	annotations_put(&writer, state->annotations, state->annotations_count);
	json_put_string(&writer, "owner", state->owner ? state->owner : "");
	if (with_private)
		put_private(&writer, state);
	json_end_object(&writer);
	return json_writer_finish(&writer, err);
}

static int get_required(const struct json *object, const char *key, char **out, struct error *err)
{
	int ret = json_get_string(object, key, out, err);

	return ret == 0 ? json_error_missing(object, key, err) : ret;
}

static int read_status(const struct json *root, struct container_state *state, struct error *err)
{
	const struct json *node = json_member(root, "status");

	if (!node)
		return json_error_missing(root, "status", err);
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	for (size_t i = 0; i < STATUS_COUNT; i++)
		if (strcmp(node->text, status_names[i]) == 0) {
			state->status = (enum container_status)i;
			return 0;
		}
	return json_error(node, err, "is no status: \"%.40s\"", node->text);
}

static int read_pid(const struct json *root, struct container_state *state, struct error *err)
{
	int64_t pid = 0;

	if (json_get_int(root, "pid", 0, INT32_MAX, &pid, err) < 0)
		return -1;
	state->pid = (pid_t)pid;
	return 0;
}

static int read_private(const struct json *root, struct container_state *state, struct error *err)
{
	const struct json *node = NULL;
	int64_t io_pid = 0;

	if (json_get_object(root, "vxn", &node, err) < 0 ||
	    json_get_int(node, "ioPid", 0, INT32_MAX, &io_pid, err) < 0 ||
	    json_get_uint(node, "ioStartTime", UINT64_MAX, &state->io_start_time, err) < 0 ||
	    json_get_uint(node, "pidStartTime", UINT64_MAX, &state->pid_start_time, err) < 0 ||
	    json_get_string(node, "cgroupPath", &state->cgroup_path, err) < 0 ||
	    json_get_string(node, "vmUuid", &state->vm_uuid, err) < 0 ||
	    json_get_string(node, "failure", &state->failure, err) < 0)
		return -1;
	state->io_pid = (pid_t)io_pid;
	return 0;
}

int state_parse(const char *text, size_t size, struct container_state *state, struct error *err)
{
	CLEANUP_JSON struct json *root = json_parse(text, size, NULL, err);

	memset(state, 0, sizeof(*state));
	if (!root || json_expect(root, JSON_OBJECT, err) < 0 ||
	    get_required(root, "ociVersion", &state->oci_version, err) < 0 ||
	    get_required(root, "id", &state->id, err) < 0 || read_pid(root, state, err) < 0 ||
	    read_status(root, state, err) < 0 ||
	    json_get_string(root, "bundle", &state->bundle, err) < 0 ||
	    json_get_string(root, "rootfs", &state->rootfs, err) < 0 ||
	    json_get_string(root, "created", &state->created, err) < 0 ||
	    json_get_string(root, "owner", &state->owner, err) < 0 ||
	    annotations_read(root, &state->annotations, &state->annotations_count, err) < 0 ||
	    read_private(root, state, err) < 0)
		return -1;
	return 0;
}

void state_free(struct container_state *state)
{
	free(state->oci_version);
	free(state->id);
	free(state->bundle);
	free(state->rootfs);
	free(state->created);
	annotations_free(state->annotations, state->annotations_count);
	free(state->owner);
	free(state->cgroup_path);
	free(state->vm_uuid);
	free(state->failure);
	memset(state, 0, sizeof(*state));
}

int state_time_now(char out[STATE_TIME_MAX], struct error *err)
{
	struct timespec now;
	struct tm utc;
	size_t used;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0 || !gmtime_r(&now.tv_sec, &utc))
		return error_set(err, errno, "read the clock");
	used = strftime(out, STATE_TIME_MAX, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out + used, STATE_TIME_MAX - used, ".%09ldZ", now.tv_nsec);
	return 0;
}
