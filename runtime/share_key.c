/* See share_internal.h: nodes by what fanotify calls them. */
#include "share_internal.h"

#include <stdlib.h>

static struct share_node **bucket_of(const struct share_keys *keys, uint64_t key)
{
	return &keys->buckets[(key >> 20) & (keys->bucket_count - 1)];
}

/* Without memory the chains just get longer; false: there is not even one. */
static bool grow(struct share_keys *keys)
{
	struct share_keys bigger = { .bucket_count =
					     keys->bucket_count ? keys->bucket_count * 2 : 256,
				     .count = keys->count };

	bigger.buckets = calloc(bigger.bucket_count, sizeof(struct share_node *));
	if (!bigger.buckets)
		return keys->bucket_count > 0;
	for (size_t i = 0; i < keys->bucket_count; i++) {
		while (keys->buckets[i]) {
			struct share_node *node = keys->buckets[i];
			struct share_node **bucket = bucket_of(&bigger, node->key);

			keys->buckets[i] = node->key_next;
			node->key_next = *bucket;
			*bucket = node;
		}
	}
	free(keys->buckets);
	*keys = bigger;
	return true;
}

void share_key_add(struct share *share, struct share_node *node)
{
	struct share_keys *keys = &share->keys;
	struct share_node **bucket;

	if (!node->key)
		return;
	if (keys->count >= keys->bucket_count && !grow(keys)) {
		/* one that no event can find is not watched */
		node->key = 0;
		return;
	}
	bucket = bucket_of(keys, node->key);
	node->key_next = *bucket;
	*bucket = node;
	keys->count++;
}

void share_key_remove(struct share *share, struct share_node *node)
{
	struct share_node **at;

	if (!node->key)
		return;
	for (at = bucket_of(&share->keys, node->key); *at != node; at = &(*at)->key_next)
		;
	*at = node->key_next;
	share->keys.count--;
}

struct share_node *share_node_of_key(struct share *share, uint64_t key, struct share_node *after)
{
	struct share_node *node = after ? after->key_next : NULL;

	if (!after && key && share->keys.bucket_count)
		node = *bucket_of(&share->keys, key);
	while (node && node->key != key)
		node = node->key_next;
	return node;
}

void share_keys_free(struct share *share)
{
	free(share->keys.buckets);
}
