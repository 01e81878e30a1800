/*
 * The linux section of a config.json as far as it has fields in struct
 * oci_config (config-linux.md). See config.h; the rest is the table's (fields.h).
 */
#include "config.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"
#include "id_mappings.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static const struct {
	const char *spec_name;
	const char *proc_name;
	int clone_flag;
} namespace_types[OCI_NAMESPACE_COUNT] = {
	[OCI_NAMESPACE_PID] = { "pid", "pid", CLONE_NEWPID },
	[OCI_NAMESPACE_NETWORK] = { "network", "net", CLONE_NEWNET },
	[OCI_NAMESPACE_MOUNT] = { "mount", "mnt", CLONE_NEWNS },
	[OCI_NAMESPACE_IPC] = { "ipc", "ipc", CLONE_NEWIPC },
	[OCI_NAMESPACE_UTS] = { "uts", "uts", CLONE_NEWUTS },
	[OCI_NAMESPACE_USER] = { "user", "user", CLONE_NEWUSER },
	[OCI_NAMESPACE_CGROUP] = { "cgroup", "cgroup", CLONE_NEWCGROUP },
	[OCI_NAMESPACE_TIME] = { "time", "time", CLONE_NEWTIME },
};

static const char *const propagations[] = {
	"shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable",
};

int oci_namespace_clone_flag(enum oci_namespace_type type)
{
	return namespace_types[type].clone_flag;
}

const char *oci_namespace_proc_name(enum oci_namespace_type type)
{
	return namespace_types[type].proc_name;
}

static int parse_namespace_type(const struct json *node, size_t *type, struct error *err)
{
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	for (*type = 0; *type < OCI_NAMESPACE_COUNT; (*type)++)
		if (strcmp(node->text, namespace_types[*type].spec_name) == 0)
			return 0;
	return json_error(node, err, "is no namespace: \"%.40s\"", node->text);
}

static int read_namespace_path(const struct json *item, struct oci_namespace *namespace,
			       struct error *err)
{
	int ret = json_get_string(item, "path", &namespace->path, err);

	if (ret <= 0)
		return ret;
	if (!namespace->path[0]) {
		free(steal_pointer(&namespace->path));
		return 0;
	}
	if (namespace->path[0] != '/')
		return json_error(json_member(item, "path"), err,
				  "must be an absolute path, is \"%.80s\"", namespace->path);
	return 0;
}

static int read_namespace(const struct json *item, struct oci_config *config, struct error *err)
{
	const struct json *node;
	size_t type;

	if (json_expect(item, JSON_OBJECT, err) < 0)
		return -1;
	node = json_member(item, "type");
	if (!node)
		return json_error_missing(item, "type", err);
	if (parse_namespace_type(node, &type, err) < 0)
		return -1;
	if (config->namespaces[type].present)
		return json_error(item, err, "gives namespace %s for the second time",
				  namespace_types[type].spec_name);
	config->namespaces[type].present = true;
	return read_namespace_path(item, &config->namespaces[type], err);
}

static int read_namespaces(const struct json *linux_, struct oci_config *config, struct error *err)
{
	const struct json *array = NULL;

	if (json_get_array(linux_, "namespaces", &array, err) < 0)
		return -1;
	for (const struct json *item = json_first(array); item; item = item->next)
		if (read_namespace(item, config, err) < 0)
			return -1;
	return 0;
}

static int read_mappings(const struct json *linux_, struct oci_config *config, struct error *err)
{
	const struct oci_namespace *user = &config->namespaces[OCI_NAMESPACE_USER];
	bool is_new = config_has_new_namespace(config, OCI_NAMESPACE_USER);

	if (id_mappings_read(linux_, "uidMappings", &config->uid_mappings, err) < 0 ||
	    id_mappings_read(linux_, "gidMappings", &config->gid_mappings, err) < 0)
		return -1;
	if (user->path)
		return error_set(err, 0,
				 "linux.namespaces: the user namespace %s can't be had in a "
				 "virtual machine, only a new one",
				 user->path);
	if (config->uid_mappings.count && !is_new)
		return error_set(err, 0, "linux.uidMappings need a user namespace");
	if (config->gid_mappings.count && !is_new)
		return error_set(err, 0, "linux.gidMappings need a user namespace");
	if (is_new && !config->uid_mappings.count)
		return error_set(err, 0, "linux.uidMappings is missing for the user namespace");
	if (is_new && !config->gid_mappings.count)
		return error_set(err, 0, "linux.gidMappings is missing for the user namespace");
	return 0;
}

static int read_paths(const struct json *linux_, const char *key, char ***out, struct error *err)
{
	const struct json *item;

	if (json_get_strings(linux_, key, out, err) < 0)
		return -1;
	for (item = json_first(json_member(linux_, key)); item; item = item->next)
		if (item->text[0] != '/')
			return json_error(item, err, "must be an absolute path, is \"%.80s\"",
					  item->text);
	return 0;
}

static int read_propagation(const struct json *linux_, struct oci_config *config, struct error *err)
{
	int ret = json_get_string(linux_, "rootfsPropagation", &config->rootfs_propagation, err);

	if (ret <= 0 || !config->rootfs_propagation[0])
		return ret < 0 ? -1 : 0;
	for (size_t i = 0; i < sizeof(propagations) / sizeof(propagations[0]); i++)
		if (strcmp(config->rootfs_propagation, propagations[i]) == 0)
			return 0;
	return json_error(json_member(linux_, "rootfsPropagation"), err,
			  "is no propagation: \"%.40s\"", config->rootfs_propagation);
}

static int read_sysctls(const struct json *linux_, struct oci_config *config, struct error *err)
{
	const struct sysctl_namespaces own = {
		.ipc = config->namespaces[OCI_NAMESPACE_IPC].present,
		.network = config->namespaces[OCI_NAMESPACE_NETWORK].present,
		.uts = config->namespaces[OCI_NAMESPACE_UTS].present,
	};

	return sysctl_read(linux_, &own, &config->sysctls, err);
}

static int read_time_offsets(const struct json *linux_, struct oci_config *config,
			     struct error *err)
{
	return time_offsets_read(linux_, config_has_new_namespace(config, OCI_NAMESPACE_TIME),
				 &config->time_offsets, err);
}

static int read_personality(const struct json *linux_, struct oci_config *config, struct error *err)
{
	const struct json *object = NULL, *domain;
	int ret = json_get_object(linux_, "personality", &object, err);

	if (ret <= 0)
		return ret;
	domain = json_member(object, "domain");
	if (!domain)
		return json_error_missing(object, "domain", err);
	if (json_expect(domain, JSON_STRING, err) < 0)
		return -1;
	if (strcmp(domain->text, "LINUX") == 0)
		config->personality = OCI_PERSONALITY_LINUX;
	else if (strcmp(domain->text, "LINUX32") == 0)
		config->personality = OCI_PERSONALITY_LINUX32;
	else
		return json_error(domain, err, "is no personality: \"%.40s\"", domain->text);
	return 0;
}

/* Engines write 0 and -1 for "no limit". */
static int read_memory_limit(const struct json *linux_, struct oci_config *config,
			     struct error *err)
{
	const struct json *resources = NULL, *memory = NULL;
	int64_t limit = -1;

	if (json_get_object(linux_, "resources", &resources, err) < 0 ||
	    json_get_object(resources, "memory", &memory, err) < 0 ||
	    json_get_int(memory, "limit", INT64_MIN, INT64_MAX, &limit, err) < 0)
		return -1;
	config->memory_limit = limit > 0 ? limit : -1;
	return 0;
}

int config_read_linux(const struct json *root, struct oci_config *config, struct error *err)
{
	const struct json *linux_ = NULL;

	if (json_get_object(root, "linux", &linux_, err) < 0 ||
	    read_namespaces(linux_, config, err) < 0 || read_mappings(linux_, config, err) < 0 ||
	    read_paths(linux_, "maskedPaths", &config->masked_paths, err) < 0 ||
	    read_paths(linux_, "readonlyPaths", &config->readonly_paths, err) < 0 ||
	    json_get_string(linux_, "cgroupsPath", &config->cgroups_path, err) < 0 ||
	    read_propagation(linux_, config, err) < 0 ||
	    read_personality(linux_, config, err) < 0 || read_sysctls(linux_, config, err) < 0 ||
	    seccomp_read(linux_, &config->seccomp, err) < 0 ||
	    devices_read(linux_, &config->devices, err) < 0 ||
	    read_time_offsets(linux_, config, err) < 0 ||
	    resources_read(linux_, &config->resources, err) < 0 ||
	    read_memory_limit(linux_, config, err) < 0)
		return -1;
	return 0;
}

void config_release_linux(struct oci_config *config)
{
	for (size_t i = 0; i < OCI_NAMESPACE_COUNT; i++)
		free(config->namespaces[i].path);
	id_mappings_release(&config->uid_mappings);
	id_mappings_release(&config->gid_mappings);
	strings_free(config->masked_paths);
	strings_free(config->readonly_paths);
	free(config->cgroups_path);
	free(config->rootfs_propagation);
	seccomp_free(config->seccomp);
	sysctl_free(&config->sysctls);
	devices_free(&config->devices);
	resources_free(&config->resources);
}
