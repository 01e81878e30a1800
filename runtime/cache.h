/*
 * How long a guest believes what it was told of shared files: the setting
 * "cache", and the annotations org.vxn.cache (of a container) and
 * org.vxn.cache.DESTINATION (of one of its volumes).
 */
#ifndef VXN_CACHE_H
#define VXN_CACHE_H

#include "config.h"
#include "error.h"

/*
 * AUTO: a second; where the host's changes are seen (share_watch.h) names and
 * directories for long, files for up to a minute. ALWAYS: files for long, too.
 * NONE: not at all.
 */
enum share_cache { SHARE_CACHE_AUTO, SHARE_CACHE_ALWAYS, SHARE_CACHE_NONE };

/* "auto", "always", "none", NULL: in the order of the enum. */
extern const char *const cache_words[];

/* Of a bind mount, or of the rootfs (NULL); standard: where no annotation says else. */
int cache_of(const struct oci_config *config, const struct oci_mount *mount,
	     enum share_cache standard, enum share_cache *cache, struct error *err);

/* "auto" and so on. -1 with err naming what has the value. */
int cache_parse(const char *word, const char *what, enum share_cache *cache, struct error *err);

#endif
