/* See bundle.h. */
#include "bundle.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "config_file.h"
#include "log.h"

static int load_config(const char *bundle, char **text, size_t *size, struct oci_config **config,
		       struct error *err)
{
	CLEANUP_FREE char *path = NULL;
	struct error why = { 0 };

	if (asprintf(&path, "%s/config.json", bundle) < 0) {
		path = NULL;
		return error_set(err, ENOMEM, "read config.json");
	}
	if (config_file_load(path, text, size, config, &why) == 0)
		return 0;
	if (why.errnum == ENOENT)
		return error_set(err, 0, "JSON specification file config.json not found in %s",
				 bundle);
	if (err)
		*err = why;
	return -1;
}

int bundle_load(const char *directory, char **bundle, char **text, size_t *size,
		struct oci_config **config, struct error *err)
{
	*bundle = realpath(directory, NULL);
	if (!*bundle)
		return error_set(err, errno, "bundle %s", directory);
	if (load_config(*bundle, text, size, config, err))
		return -1;
	if (!(*config)->has_process)
		return error_set(err, 0, "%s/config.json: process is missing", *bundle);
	return 0;
}

char *bundle_rootfs(const char *bundle, const struct oci_config *config, struct error *err)
{
	const char *path = config->root_path;
	CLEANUP_FREE char *rootfs = NULL;
	struct stat st;

	if (asprintf(&rootfs, path[0] == '/' ? "%.0s%s" : "%s/%s", bundle, path) < 0) {
		rootfs = NULL;
		error_set(err, ENOMEM, "rootfs %s", path);
		return NULL;
	}
	if (stat(rootfs, &st)) {
		error_set(err, errno, "rootfs %s", rootfs);
		return NULL;
	}
	if (!S_ISDIR(st.st_mode)) {
		error_set(err, 0, "rootfs %s is not a directory", rootfs);
		return NULL;
	}
	return steal_pointer(&rootfs);
}

void bundle_log_warnings(const struct oci_config *config)
{
	for (char **line = config->warnings; *line; line++)
		log_warning("config.json: %s", *line);
}
