/* A bundle: the directory with config.json and, mostly, the rootfs (OCI runtime spec, "Bundle"). */
#ifndef VXN_BUNDLE_H
#define VXN_BUNDLE_H

#include <stddef.h>

#include "config.h"
#include "error.h"

/*
 * Reads and validates DIRECTORY/config.json, which must have a process. *bundle:
 * the absolute path. The caller owns what was set, on failure too.
 */
int bundle_load(const char *directory, char **bundle, char **text, size_t *size,
		struct oci_config **config, struct error *err);

/* The absolute path of root.path, which must be a directory; to be freed. */
char *bundle_rootfs(const char *bundle, const struct oci_config *config, struct error *err);

/* One line in --log for each field that has no effect. */
void bundle_log_warnings(const struct oci_config *config);

#endif
