/* See annotations.h. */
#include "annotations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int read_annotation(const struct json *node, struct oci_annotation *annotation,
			   struct error *err)
{
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	if (!node->key[0])
		return json_error(node->parent, err, "must not hold an empty key");
	annotation->key = strdup(node->key);
	annotation->value = strdup(node->text);
	if (!annotation->key || !annotation->value)
		return error_set(err, ENOMEM, "annotations");
	return 0;
}

int annotations_read(const struct json *object, struct oci_annotation **annotations, size_t *count,
		     struct error *err)
{
	const struct json *node = NULL;
	int ret = json_get_object(object, "annotations", &node, err);

	if (ret <= 0)
		return ret;
	*annotations = calloc(json_count(node) + 1, sizeof(**annotations));
	if (!*annotations)
		return error_set(err, ENOMEM, "annotations");
	for (const struct json *item = json_first(node); item; item = item->next)
		if (read_annotation(item, &(*annotations)[(*count)++], err) < 0)
			return -1;
	return 0;
}

void annotations_free(struct oci_annotation *annotations, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(annotations[i].key);
		free(annotations[i].value);
	}
	free(annotations);
}

void annotations_put(struct json_writer *writer, const struct oci_annotation *annotations,
		     size_t count)
{
	if (!count)
		return;
	json_put_object(writer, "annotations");
	for (size_t i = 0; i < count; i++)
		json_put_string(writer, annotations[i].key, annotations[i].value);
	json_end_object(writer);
}
