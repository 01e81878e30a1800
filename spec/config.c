/*
 * config.json as a whole: version, root, hostname, annotations; the other parts
 * have files of their own (config_process.c, config_mounts.c, config_linux.c, config_vm.c, hooks.c).
 * See config.h.
 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "annotations.h"
#include "config_parts.h"
#include "fields.h"

/* 1.MINOR.PATCH, with whatever a pre-release adds. */
static bool version_supported(const char *version)
{
	return strncmp(version, "1.", 2) == 0 && isdigit((unsigned char)version[2]);
}

static int read_version(const struct json *root, struct oci_config *config, struct error *err)
{
	int ret = json_get_string(root, "ociVersion", &config->oci_version, err);

	if (ret < 0)
		return -1;
	if (ret == 0)
		return json_error_missing(root, "ociVersion", err);
	if (!version_supported(config->oci_version))
		return json_error(json_member(root, "ociVersion"), err, "must be 1.x, is \"%.40s\"",
				  config->oci_version);
	return 0;
}

static int read_root(const struct json *root, struct oci_config *config, struct error *err)
{
	const struct json *node = NULL;
	int ret = json_get_object(root, "root", &node, err);

	if (ret < 0)
		return -1;
	if (ret == 0)
		return json_error_missing(root, "root", err);
	ret = json_get_string(node, "path", &config->root_path, err);
	if (ret < 0)
		return -1;
	if (ret == 0)
		return json_error_missing(node, "path", err);
	if (!config->root_path[0])
		return json_error(json_member(node, "path"), err, "must not be empty");
	return json_get_bool(node, "readonly", &config->root_readonly, err);
}

static int read_names(const struct json *root, struct oci_config *config, struct error *err)
{
	if (json_get_string(root, "hostname", &config->hostname, err) < 0 ||
	    json_get_string(root, "domainname", &config->domainname, err) < 0)
		return -1;
	return 0;
}

static int read_process(const struct json *root, struct oci_config *config,
			struct string_list *warnings, struct error *err)
{
	const struct json *node = NULL;
	int ret = json_get_object(root, "process", &node, err);

	if (ret <= 0)
		return ret;
	config->has_process = true;
	return config_read_process(node, &config->process, warnings, err);
}

static int read_config(const struct json *root, struct oci_config *config,
		       struct string_list *warnings, struct error *err)
{
	if (json_expect(root, JSON_OBJECT, err) < 0 || read_version(root, config, err) < 0 ||
	    read_root(root, config, err) < 0 || read_names(root, config, err) < 0 ||
	    read_process(root, config, warnings, err) < 0 ||
	    config_read_mounts(root, config, err) < 0 || config_read_linux(root, config, err) < 0 ||
	    config_read_vm(root, &config->vm, err) < 0 ||
	    hooks_read(root, config->hooks, err) < 0 ||
	    annotations_read(root, &config->annotations, &config->annotations_count, err) < 0 ||
	    fields_check(root, "", warnings, err) < 0)
		return -1;
	config->warnings = string_list_steal(warnings, err);
	return config->warnings ? 0 : -1;
}

int config_parse(const char *text, size_t size, struct oci_config **config, struct error *err)
{
	CLEANUP_JSON struct json *root = json_parse(text, size, NULL, err);
	struct string_list warnings = { 0 };
	int ret;

	*config = NULL;
	if (!root)
		return -1;
	*config = calloc(1, sizeof(**config));
	if (!*config)
		return error_set(err, ENOMEM, "config.json");
	ret = read_config(root, *config, &warnings, err);
	string_list_free(&warnings);
	if (ret == 0)
		return 0;
	config_free(*config);
	*config = NULL;
	return -1;
}

void config_free(struct oci_config *config)
{
	if (!config)
		return;
	free(config->oci_version);
	free(config->hostname);
	free(config->domainname);
	free(config->root_path);
	config_release_process(&config->process);
	config_release_mounts(config);
	config_release_linux(config);
	hooks_release(config->hooks);
	config_release_vm(&config->vm);
	annotations_free(config->annotations, config->annotations_count);
	strings_free(config->warnings);
	free(config);
}

const char *config_annotation(const struct oci_config *config, const char *key)
{
	for (size_t i = config->annotations_count; i-- > 0;)
		if (strcmp(config->annotations[i].key, key) == 0)
			return config->annotations[i].value;
	return NULL;
}
