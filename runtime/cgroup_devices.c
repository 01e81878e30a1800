/*
 * linux.resources.devices on the host, where cgroups of version 1 have files for it
 * (admin-guide/cgroup-v1/devices.rst). What a container can open is decided in its
 * virtual machine; here it is what engines and their tools see, and what holds
 * whoever joins the stand-in.
 */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup_internal.h"
#include "cleanup.h"

#define RULE_MAX 40

static void print_number(int32_t number, char *text, size_t size)
{
	if (number == DEVICE_ANY)
		snprintf(text, size, "*");
	else
		snprintf(text, size, "%d", number);
}

static int write_rule(int directory, const struct device_rule *rule, char type, struct error *err)
{
	const char *file = rule->allow ? "devices.allow" : "devices.deny";
	char text[RULE_MAX], major[12], minor[12];

	print_number(rule->major, major, sizeof(major));
	print_number(rule->minor, minor, sizeof(minor));
	snprintf(text, sizeof(text), "%c %s:%s %s%s%s", type, major, minor,
		 rule->access & DEVICE_READ ? "r" : "", rule->access & DEVICE_WRITE ? "w" : "",
		 rule->access & DEVICE_MKNOD ? "m" : "");
	if (cgroup_write_file(directory, file, text) < 0)
		return error_set(err, errno, "write \"%s\" to %s", text, file);
	return 0;
}

static bool is_about_all(const struct device_rule *rule)
{
	return rule->type == 'a' && rule->major == DEVICE_ANY && rule->minor == DEVICE_ANY &&
	       rule->access == (DEVICE_MKNOD | DEVICE_READ | DEVICE_WRITE);
}

/* Of a rule of type a the kernel takes the rest for granted, whatever it says. */
static int apply_rule(int directory, const struct device_rule *rule, struct error *err)
{
	if (rule->type != 'a' || is_about_all(rule))
		return write_rule(directory, rule, rule->type, err);
	if (write_rule(directory, rule, 'b', err) < 0)
		return -1;
	return write_rule(directory, rule, 'c', err);
}

static int apply(const char *path, const struct oci_devices *devices, struct error *err)
{
	CLEANUP_CLOSE int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (directory < 0)
		return errno == ENOENT ? 0 : error_set(err, errno, "open %s", path);
	if (cgroup_write_file(directory, "devices.deny", "a") < 0)
		return error_set(err, errno, "%s: write \"a\" to devices.deny", path);
	for (size_t i = 0; i < devices->rules_count; i++)
		if (apply_rule(directory, &devices->rules[i], err) < 0)
			return error_prefix(err, "linux.resources.devices[%zu]: %s", i, path);
	/* behind the config's own, as they are for every container */
	for (size_t i = 0; i < device_rules_always_count; i++)
		if (apply_rule(directory, &device_rules_always[i], err) < 0)
			return error_prefix(err, "%s", path);
	return 0;
}

int cgroup_set_devices(const char *directory, const struct oci_devices *devices, struct error *err)
{
	CLEANUP(cgroup_hierarchies_free) struct cgroup_hierarchies hierarchies = { .count = 0 };

	if (cgroup_hierarchies_read(&hierarchies, err) < 0)
		return -1;
	for (size_t i = 0; i < hierarchies.count; i++) {
		CLEANUP_FREE char *twin = NULL;

		if (!cgroup_hierarchy_has(&hierarchies.items[i], CGROUP_DEVICES))
			continue;
		twin = cgroup_twin(&hierarchies, i, directory, err);
		if (!twin || apply(twin, devices, err) < 0)
			return -1;
	}
	return 0;
}
