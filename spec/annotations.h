/* Annotations: a JSON object of strings, in config.json and in the state. */
#ifndef VXN_ANNOTATIONS_H
#define VXN_ANNOTATIONS_H

#include "config.h"
#include "json.h"
#include "json_writer.h"

/*
 * Reads the member "annotations" of object, if it is there. What has been read
 * when it fails is released by annotations_free as well.
 */
int annotations_read(const struct json *object, struct oci_annotation **annotations, size_t *count,
		     struct error *err);
void annotations_free(struct oci_annotation *annotations, size_t count);

/* Writes nothing when there are none. */
void annotations_put(struct json_writer *writer, const struct oci_annotation *annotations,
		     size_t count);

#endif
