/* See cache.h. */
#include "cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

#define ANNOTATION "org.vxn.cache"

const char *const cache_words[] = { "auto", "always", "none", NULL };

int cache_parse(const char *word, const char *what, enum share_cache *cache, struct error *err)
{
	for (unsigned int i = 0; cache_words[i]; i++)
		if (strcmp(word, cache_words[i]) == 0) {
			*cache = (enum share_cache)i;
			return 0;
		}
	return error_set(err, 0, "%s is none of \"auto\", \"always\", \"none\": \"%.40s\"", what,
			 word);
}

int cache_of(const struct oci_config *config, const struct oci_mount *mount,
	     enum share_cache standard, enum share_cache *cache, struct error *err)
{
	CLEANUP_FREE char *key = NULL;
	const char *word = NULL;

	*cache = standard;
	if (mount && asprintf(&key, ANNOTATION ".%s", mount->destination) < 0)
		return error_set(err, ENOMEM, "annotations");
	if (key)
		word = config_annotation(config, key);
	if (word)
		return cache_parse(word, key, cache, err);
	word = config_annotation(config, ANNOTATION);
	return word ? cache_parse(word, ANNOTATION, cache, err) : 0;
}
