/*
 * Ranges of ids that stand for others (user_namespaces(7)): of a container's user
 * namespace, and of idmapped mounts (idmap.h).
 */
#ifndef VXN_ID_MAPPINGS_H
#define VXN_ID_MAPPINGS_H

#include "config.h"
#include "error.h"
#include "json.h"

/* As many ranges as the kernel takes. */
#define ID_MAPPINGS_MAX 340

/* The member name of an object, if it is there: an array of the spec's ID mappings. */
int id_mappings_read(const struct json *node, const char *name, struct oci_id_mappings *mappings,
		     struct error *err);

/*
 * crun's "0-1-10#10-11-10": adds the ranges up to a ';' or the end, which is
 * returned; NULL: it is not that.
 */
const char *id_mappings_parse(const char *text, struct oci_id_mappings *mappings);

/* False: the id is not mapped. */
bool id_mappings_to_host(const struct oci_id_mappings *mappings, uint32_t id, uint32_t *host);

/* process: its directory in /proc. file: uid_map or gid_map. */
int id_mappings_write(const char *process, const char *file, const struct oci_id_mappings *mappings,
		      struct error *err);

/* Returns an fd of a new user namespace with these. Needs a /proc; forks. */
int user_namespace_make(const struct oci_id_mappings *uids, const struct oci_id_mappings *gids,
			struct error *err);

void id_mappings_release(struct oci_id_mappings *mappings);

#endif
