/*
 * Cgroups asked from systemd (--systemd-cgroup): a transient scope with the
 * processes named, delegated to us, so that systemd leaves what we make below it
 * alone. linux.cgroupsPath is "slice:prefix:name", as with runc.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#include "cgroup_internal.h"
#include "cleanup.h"

#define MANAGER		  "org.freedesktop.systemd1"
#define MANAGER_PATH	  "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE MANAGER ".Manager"
#define JOB_TIMEOUT_US	  (30 * 1000000ULL)
#define NAME_SIZE	  256

struct scope_name {
	char slice[NAME_SIZE];
	char unit[NAME_SIZE];
};

/* A job of systemd's that is waited for. */
struct job {
	char path[NAME_SIZE];
	bool done;
	char result[32]; /* "done" when it went well */
};

#define CLEANUP_BUS	  CLEANUP(sd_bus_flush_close_unrefp)
#define CLEANUP_MESSAGE	  CLEANUP(sd_bus_message_unrefp)
#define CLEANUP_SLOT	  CLEANUP(sd_bus_slot_unrefp)
#define CLEANUP_BUS_ERROR CLEANUP(sd_bus_error_free)

static int parse_name(const char *cgroups_path, struct scope_name *name, struct error *err)
{
	const char *prefix = strchr(cgroups_path, ':');
	const char *last = prefix ? strchr(prefix + 1, ':') : NULL;
	int slice_length, prefix_length, unit_length;

	if (!last || !last[1] || strchr(last + 1, ':') || strchr(cgroups_path, '/'))
		return error_set(err, 0,
				 "linux.cgroupsPath: %s is not of the form slice:prefix:name",
				 cgroups_path);
	slice_length = prefix - cgroups_path;
	prefix_length = last - prefix - 1;
	if (slice_length == 0)
		snprintf(name->slice, NAME_SIZE, "system.slice");
	else if (snprintf(name->slice, NAME_SIZE, "%.*s", slice_length, cgroups_path) >= NAME_SIZE)
		return error_set(err, ENAMETOOLONG, "linux.cgroupsPath");
	unit_length = snprintf(name->unit, NAME_SIZE, "%.*s%s%s.scope", prefix_length, prefix + 1,
			       prefix_length ? "-" : "", last + 1);
	if (unit_length >= NAME_SIZE)
		return error_set(err, ENAMETOOLONG, "linux.cgroupsPath");
	return 0;
}

static int connect_manager(sd_bus **bus, struct error *err)
{
	int result = sd_bus_open_system(bus);

	if (result < 0)
		return error_set(err, -result, "connect to systemd");
	result = sd_bus_call_method(*bus, MANAGER, MANAGER_PATH, MANAGER_INTERFACE, "Subscribe",
				    NULL, NULL, "");
	return result < 0 ? error_set(err, -result, "subscribe to systemd's jobs") : 0;
}

static int on_job_removed(sd_bus_message *message, void *data, sd_bus_error *error)
{
	struct job *job = data;
	const char *path, *unit, *result;
	uint32_t id;

	(void)error;
	if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) < 0 ||
	    strcmp(path, job->path) != 0)
		return 0;
	snprintf(job->result, sizeof(job->result), "%s", result);
	job->done = true;
	return 0;
}

/* The match has to be in place before the call that makes the job. */
static int watch_jobs(sd_bus *bus, struct job *job, sd_bus_slot **slot, struct error *err)
{
	int result = sd_bus_match_signal(bus, slot, MANAGER, MANAGER_PATH, MANAGER_INTERFACE,
					 "JobRemoved", on_job_removed, job);

	return result < 0 ? error_set(err, -result, "watch systemd's jobs") : 0;
}

static int wait_job(sd_bus *bus, sd_bus_message *reply, struct job *job, const char *unit,
		    struct error *err)
{
	const char *path;
	int result = sd_bus_message_read(reply, "o", &path);

	if (result < 0)
		return error_set(err, -result, "read systemd's answer");
	snprintf(job->path, sizeof(job->path), "%s", path);
	while (!job->done) {
		result = sd_bus_process(bus, NULL);
		if (result == 0) {
			result = sd_bus_wait(bus, JOB_TIMEOUT_US);
			if (result == 0)
				result = -ETIMEDOUT;
		}
		if (result < 0 && result != -EINTR)
			return error_set(err, -result, "wait for systemd's job on %s", unit);
	}
	if (strcmp(job->result, "done") != 0)
		return error_set(err, 0, "systemd's job on %s: %s", unit, job->result);
	return 0;
}

static int describe_scope(sd_bus_message *message, const struct scope_name *name, pid_t pid)
{
	static const char *const accounting[] = {
		"CPUAccounting",
		"IOAccounting",
		"MemoryAccounting",
		"TasksAccounting",
	};
	int result = sd_bus_message_append(message, "ss", name->unit, "fail");

	if (result >= 0)
		result = sd_bus_message_open_container(message, 'a', "(sv)");
	if (result >= 0)
		result = sd_bus_message_append(
			message, "(sv)(sv)(sv)(sv)(sv)", "Description", "s",
			"container run by vxn-runc", "Slice", "s", name->slice, "Delegate", "b", 1,
			"DefaultDependencies", "b", 0, "PIDs", "au", 1, (uint32_t)pid);
	for (size_t i = 0; result >= 0 && i < sizeof(accounting) / sizeof(accounting[0]); i++)
		result = sd_bus_message_append(message, "(sv)", accounting[i], "b", 1);
	if (result >= 0)
		result = sd_bus_message_close_container(message);
	/* No auxiliary units. */
	return result < 0 ? result : sd_bus_message_append(message, "a(sa(sv))", 0);
}

static int start_scope(sd_bus *bus, const struct scope_name *name, pid_t pid, struct error *err)
{
	CLEANUP_BUS_ERROR sd_bus_error error = SD_BUS_ERROR_NULL;
	CLEANUP_MESSAGE sd_bus_message *message = NULL;
	CLEANUP_MESSAGE sd_bus_message *reply = NULL;
	CLEANUP_SLOT sd_bus_slot *slot = NULL;
	struct job job = { .done = false };
	int result;

	if (watch_jobs(bus, &job, &slot, err) < 0)
		return -1;
	result = sd_bus_message_new_method_call(bus, &message, MANAGER, MANAGER_PATH,
						MANAGER_INTERFACE, "StartTransientUnit");
	if (result >= 0)
		result = describe_scope(message, name, pid);
	if (result >= 0)
		result = sd_bus_call(bus, message, 0, &error, &reply);
	if (result < 0)
		return error_set(err, error.message ? 0 : -result, "start the scope %s%s%s",
				 name->unit, error.message ? ": " : "",
				 error.message ? error.message : "");
	return wait_job(bus, reply, &job, name->unit, err);
}

/* Where systemd put it: the slice's name says it only for who knows its rules. */
static int scope_directory(sd_bus *bus, const char *unit, char **directory, struct error *err)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *cgroup = NULL;
	CLEANUP(cgroup_hierarchies_free) struct cgroup_hierarchies hierarchies = { .count = 0 };
	int result = sd_bus_path_encode(MANAGER_PATH "/unit", unit, &path);

	if (result >= 0)
		result = sd_bus_get_property_string(bus, MANAGER, path, MANAGER ".Scope",
						    "ControlGroup", NULL, &cgroup);
	if (result < 0 || !cgroup[0])
		return error_set(err, result < 0 ? -result : 0, "ask for the cgroup of %s", unit);
	if (cgroup_hierarchies_read(&hierarchies, err) < 0)
		return -1;
	if (asprintf(directory, "%s%s", hierarchies.items[0].directory, cgroup) < 0)
		return error_set(err, ENOMEM, "cgroup of %s", unit);
	return 0;
}

/* What an earlier container of that name left failed would stand in the way. */
static void reset_failed(sd_bus *bus, const char *unit)
{
	(void)sd_bus_call_method(bus, MANAGER, MANAGER_PATH, MANAGER_INTERFACE, "ResetFailedUnit",
				 NULL, NULL, "s", unit);
}

int cgroup_systemd_create(const char *cgroups_path, pid_t pid, char **directory, struct error *err)
{
	CLEANUP_BUS sd_bus *bus = NULL;
	struct scope_name name;

	if (parse_name(cgroups_path, &name, err) < 0 || connect_manager(&bus, err) < 0)
		return -1;
	reset_failed(bus, name.unit);
	if (start_scope(bus, &name, pid, err) < 0)
		return -1;
	if (scope_directory(bus, name.unit, directory, err) < 0) {
		(void)cgroup_systemd_stop(name.unit, NULL);
		return -1;
	}
	return 0;
}

bool cgroup_systemd_is_scope(const char *directory)
{
	size_t length = strlen(directory);
	const char suffix[] = ".scope";

	return length > strlen(suffix) &&
	       strcmp(directory + length - strlen(suffix), suffix) == 0 && sd_booted() > 0;
}

int cgroup_systemd_stop(const char *directory, struct error *err)
{
	CLEANUP_BUS_ERROR sd_bus_error error = SD_BUS_ERROR_NULL;
	CLEANUP_MESSAGE sd_bus_message *reply = NULL;
	CLEANUP_BUS sd_bus *bus = NULL;
	CLEANUP_SLOT sd_bus_slot *slot = NULL;
	struct job job = { .done = false };
	const char *slash = strrchr(directory, '/');
	const char *unit = slash ? slash + 1 : directory;
	int result;

	if (connect_manager(&bus, err) < 0 || watch_jobs(bus, &job, &slot, err) < 0)
		return -1;
	result = sd_bus_call_method(bus, MANAGER, MANAGER_PATH, MANAGER_INTERFACE, "StopUnit",
				    &error, &reply, "ss", unit, "replace");
	if (sd_bus_error_has_name(&error, "org.freedesktop.systemd1.NoSuchUnit"))
		return 0;
	if (result < 0)
		return error_set(err, error.message ? 0 : -result, "stop the scope %s%s%s", unit,
				 error.message ? ": " : "", error.message ? error.message : "");
	if (wait_job(bus, reply, &job, unit, err) < 0)
		return -1;
	reset_failed(bus, unit);
	return 0;
}
