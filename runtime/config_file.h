/* config.json and process.json as files. */
#ifndef VXN_CONFIG_FILE_H
#define VXN_CONFIG_FILE_H

#include <stddef.h>

#include "config.h"
#include "error.h"

/*
 * The file's text, to be freed; NULL with err set, its errnum that of open(2). One of
 * more than CONFIG_SIZE_MAX bytes is an error that says so.
 */
char *config_file_read(const char *path, size_t *size, struct error *err);

/*
 * Reads and validates a config.json. Errors name the file; errnum as above. The
 * caller owns *text and *config, which is NULL on failure.
 */
int config_file_load(const char *path, char **text, size_t *size, struct oci_config **config,
		     struct error *err);

#endif
