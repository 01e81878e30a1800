/* See bundle.h. */
#include "bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "log.h"
#include "textfile.h"

#define CONFIG_SIZE_MAX (64u << 20)

static int read_config(const char *bundle, char **text, size_t *size, struct error *err)
{
	CLEANUP_FREE char *path = NULL;
	struct error why = { 0 };

	if (asprintf(&path, "%s/config.json", bundle) < 0) {
		path = NULL;
		return error_set(err, ENOMEM, "read config.json");
	}
	*text = textfile_read(AT_FDCWD, path, CONFIG_SIZE_MAX, size, &why);
	if (*text)
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
	if (read_config(*bundle, text, size, err))
		return -1;
	if (config_parse(*text, *size, config, err))
		return error_prefix(err, "%s/config.json", *bundle);
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
