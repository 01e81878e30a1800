/*
 * The mounts of a config.json (config.md, "Mounts"). Checks what can be said
 * without looking at a file system; whether a source exists is the host's to
 * find out. See config.h.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "config_parts.h"
#include "idmap.h"
#include "mount_options.h"

/* Mappings of a user namespace, which could be taken over, are not applied yet. */
static int check_idmap(const struct json *node, const struct oci_mount *mount, struct error *err)
{
	if (!mount->idmap)
		return 0;
	if (!mount->bind)
		return json_error(node, err, "is refused: only a bind mount's ids can be mapped");
	if (!mount->uid_mappings.count || !mount->gid_mappings.count)
		return json_error(
			node, err,
			"is refused: idmap needs mappings of both uids and gids, and there "
			"is no user namespace to take them from");
	return 0;
}

static int check_mount(const struct json *node, const struct oci_mount *mount, struct error *err)
{
	if (!mount->destination)
		return json_error_missing(node, "destination", err);
	if (!mount->destination[0])
		return json_error(json_member(node, "destination"), err, "must not be empty");
	if (!mount->bind)
		return check_idmap(node, mount, err);
	if (!mount->source || !mount->source[0])
		return json_error_missing(node, "source", err);
	if (mount->propagation & MS_SHARED)
		return json_error(node, err,
				  "is refused: a mount made in the virtual machine can't appear "
				  "on the host, which shared propagation asks for");
	return check_idmap(node, mount, err);
}

static int read_mount(const struct json *node, struct oci_mount *mount, struct error *err)
{
	if (json_expect(node, JSON_OBJECT, err) < 0 ||
	    json_get_string(node, "destination", &mount->destination, err) < 0 ||
	    json_get_string(node, "source", &mount->source, err) < 0 ||
	    json_get_string(node, "type", &mount->type, err) < 0 ||
	    json_get_strings(node, "options", &mount->options, err) < 0 ||
	    mount_options_parse(mount, err) < 0 || idmap_read(node, mount, err) < 0)
		return -1;
	return check_mount(node, mount, err);
}

/* A bind is a bind whatever its type says: engines write "none", "bind" or "". */
static int normalize_type(struct oci_mount *mount, struct error *err)
{
	char *type;

	if (!mount->bind || (mount->type && strcmp(mount->type, "bind") == 0))
		return 0;
	type = strdup("bind");
	if (!type)
		return error_set(err, ENOMEM, "mounts");
	free(mount->type);
	mount->type = type;
	return 0;
}

int config_read_mounts(const struct json *root, struct oci_config *config, struct error *err)
{
	const struct json *array = NULL;

	if (json_get_array(root, "mounts", &array, err) < 0)
		return -1;
	config->mounts = calloc(json_count(array) + 1, sizeof(*config->mounts));
	if (!config->mounts)
		return error_set(err, ENOMEM, "mounts");
	for (const struct json *item = json_first(array); item; item = item->next) {
		struct oci_mount *mount = &config->mounts[config->mounts_count++];

		if (read_mount(item, mount, err) < 0 || normalize_type(mount, err) < 0)
			return -1;
	}
	return 0;
}

void config_release_mounts(struct oci_config *config)
{
	for (size_t i = 0; i < config->mounts_count; i++) {
		free(config->mounts[i].destination);
		free(config->mounts[i].source);
		free(config->mounts[i].type);
		strings_free(config->mounts[i].options);
		free(config->mounts[i].data);
		idmap_release(&config->mounts[i]);
	}
	free(config->mounts);
}

bool config_path_is(const char *path, const char *clean)
{
	while (*path || *clean) {
		size_t length;

		path += strspn(path, "/");
		clean += strspn(clean, "/");
		if (path[0] == '.' && (path[1] == '/' || !path[1])) {
			path++;
			continue;
		}
		length = strcspn(clean, "/");
		if (strcspn(path, "/") != length || strncmp(path, clean, length) != 0)
			return false;
		path += length;
		clean += length;
	}
	return true;
}

bool mount_is_share(const struct oci_mount *mount)
{
	return mount->bind && !config_path_is(mount->destination, "/dev/shm");
}
