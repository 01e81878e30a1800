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
#include "mount_options.h"

/* The path of a known option that is not applied yet: `mounts[3].options: idmap`. */
static int note_options(const struct json *node, const struct string_list *names,
			struct config_notes *notes, struct error *err)
{
	char path[JSON_PATH_MAX];

	json_path(node, path);
	for (size_t i = 0; i < names->count; i++)
		if (string_list_addf(&notes->not_yet, err, "%s.options: %s", path,
				     names->items[i]) < 0)
			return -1;
	return 0;
}

static int check_mount(const struct json *node, const struct oci_mount *mount, struct error *err)
{
	if (!mount->destination)
		return json_error_missing(node, "destination", err);
	if (!mount->destination[0])
		return json_error(json_member(node, "destination"), err, "must not be empty");
	if (!mount->bind)
		return 0;
	if (!mount->source || !mount->source[0])
		return json_error_missing(node, "source", err);
	if (mount->propagation & MS_SHARED)
		return json_error(node, err,
				  "is refused: a mount made in the virtual machine can't appear "
				  "on the host, which shared propagation asks for");
	return 0;
}

static int read_mount(const struct json *node, struct oci_mount *mount, struct config_notes *notes,
		      struct error *err)
{
	CLEANUP_STRING_LIST struct string_list names = { 0 };

	if (json_expect(node, JSON_OBJECT, err) < 0 ||
	    json_get_string(node, "destination", &mount->destination, err) < 0 ||
	    json_get_string(node, "source", &mount->source, err) < 0 ||
	    json_get_string(node, "type", &mount->type, err) < 0 ||
	    json_get_strings(node, "options", &mount->options, err) < 0 ||
	    mount_options_parse(mount, &names, err) < 0 || check_mount(node, mount, err) < 0)
		return -1;
	return note_options(node, &names, notes, err);
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

int config_read_mounts(const struct json *root, struct oci_config *config,
		       struct config_notes *notes, struct error *err)
{
	const struct json *array = NULL;

	if (json_get_array(root, "mounts", &array, err) < 0)
		return -1;
	config->mounts = calloc(json_count(array) + 1, sizeof(*config->mounts));
	if (!config->mounts)
		return error_set(err, ENOMEM, "mounts");
	for (const struct json *item = json_first(array); item; item = item->next) {
		struct oci_mount *mount = &config->mounts[config->mounts_count++];

		if (read_mount(item, mount, notes, err) < 0 || normalize_type(mount, err) < 0)
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
	}
	free(config->mounts);
}

/* Whether path names the same place as the two components do, however written. */
static bool is_dev_shm(const char *path)
{
	static const char *const components[] = { "dev", "shm" };
	size_t found = 0;

	while (*(path += strspn(path, "/"))) {
		size_t length = strcspn(path, "/");
		bool dot = length == 1 && path[0] == '.';

		if (!dot && (found == 2 || strlen(components[found]) != length ||
			     memcmp(path, components[found], length) != 0))
			return false;
		found += !dot;
		path += length;
	}
	return found == 2;
}

bool mount_is_share(const struct oci_mount *mount)
{
	return mount->bind && !is_dev_shm(mount->destination);
}
