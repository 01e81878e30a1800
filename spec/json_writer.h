/*
 * Writing JSON, on yajl's generator, which does the escaping. Failures are kept
 * until json_writer_finish, so that a printer is a plain list of members. key is
 * the member's name inside an object, NULL inside an array and for the outermost
 * value. Strings must be valid UTF-8.
 */
#ifndef VXN_JSON_WRITER_H
#define VXN_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include <yajl/yajl_gen.h>

#include "cleanup.h"
#include "error.h"
#include "json.h"

struct json_writer {
	yajl_gen gen;
	yajl_gen_status status; /* of the first failure */
	char failed[64];	/* the member that failed */
};

/* pretty: on several lines, indented by two spaces. */
void json_writer_init(struct json_writer *writer, bool pretty);

/*
 * The text, NUL-terminated, to be freed; NULL with err set when anything failed.
 * The writer is released by json_writer_free whatever the result.
 */
char *json_writer_finish(struct json_writer *writer, struct error *err);
void json_writer_free(struct json_writer *writer);

#define CLEANUP_JSON_WRITER CLEANUP(json_writer_free)

void json_put_object(struct json_writer *writer, const char *key);
void json_end_object(struct json_writer *writer);
void json_put_array(struct json_writer *writer, const char *key);
void json_end_array(struct json_writer *writer);
void json_put_string(struct json_writer *writer, const char *key, const char *value);
void json_put_int(struct json_writer *writer, const char *key, int64_t value);
void json_put_uint(struct json_writer *writer, const char *key, uint64_t value);
void json_put_bool(struct json_writer *writer, const char *key, bool value);

/* A NULL-terminated array; NULL writes nothing. */
void json_put_strings(struct json_writer *writer, const char *key, char *const *values);

/* Writes nothing when value is NULL. */
void json_put_optional(struct json_writer *writer, const char *key, const char *value);

/* A value that is JSON text already; the caller has made sure of that. */
void json_put_raw(struct json_writer *writer, const char *key, const char *text);

/* A tree of json_parse. */
void json_put_tree(struct json_writer *writer, const char *key, const struct json *tree);

#endif
