/*
 * JSON as a tree, on yajl's parser. yajl's own tree is not used: it bounds no
 * depth and frees by unbounded recursion, and here the text may be hostile.
 * Every node knows its parent, so that an error names the JSON path of what is
 * wrong (`process.args[0]`). null means absent everywhere, as in Go's decoder,
 * which the engines are written for; of members with the same name the last one
 * counts, for the same reason.
 */
#ifndef VXN_JSON_H
#define VXN_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"
#include "error.h"

#define JSON_DEPTH_MAX 64
#define JSON_PATH_MAX  256

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

/* Read-only for everybody but json.c. */
struct json {
	enum json_type type;
	bool boolean;
	char *key;  /* of a member of an object, else NULL */
	char *text; /* of a string (decoded) or a number (as it stands in the text) */
	struct json *parent, *next;
	struct json *first, *last; /* children of an array or object */
};

struct json_options {
	unsigned depth_max; /* arrays and objects inside each other */
	bool comments;	    /* C and C++ comments are allowed */
};

/*
 * Parses one JSON text; anything but white space after it is an error, as are
 * invalid UTF-8, a NUL character in a string, and nesting beyond depth_max.
 * options NULL: JSON_DEPTH_MAX, no comments. Returns NULL with err set as
 * "LINE:COLUMN: reason"; the tree is released by json_free.
 */
struct json *json_parse(const char *text, size_t size, const struct json_options *options,
			struct error *err);
void json_free(struct json *tree);

static inline void cleanup_json_(struct json **tree)
{
	json_free(*tree);
}

#define CLEANUP_JSON CLEANUP(cleanup_json_)

/* The path of a node from the root, "" for the root itself; cut if too long. */
void json_path(const struct json *node, char out[JSON_PATH_MAX]);

/* Sets "PATH MESSAGE", for a value that is wrong. Returns -1. */
int json_error(const struct json *node, struct error *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Sets "PATH.KEY is missing". Returns -1. */
int json_error_missing(const struct json *object, const char *key, struct error *err);

/* The member of an object; NULL if it is absent or null, or object is NULL. */
const struct json *json_member(const struct json *object, const char *key);

/* First child of an array or object, NULL for an empty one and for NULL. */
const struct json *json_first(const struct json *node);
size_t json_count(const struct json *node);

/* Fails, naming the path and both types, when node is not of the type. */
int json_expect(const struct json *node, enum json_type type, struct error *err);

/* Whole numbers in range, exactly; a fraction or exponent is an error. */
int json_to_int(const struct json *node, int64_t min, int64_t max, int64_t *out, struct error *err);
int json_to_uint(const struct json *node, uint64_t max, uint64_t *out, struct error *err);

/*
 * Members by name. Each returns 1 when the member was there, 0 when it is absent
 * or null (*out is left alone), -1 with err set when its value is wrong.
 */
int json_get_object(const struct json *object, const char *key, const struct json **out,
		    struct error *err);
int json_get_array(const struct json *object, const char *key, const struct json **out,
		   struct error *err);
int json_get_bool(const struct json *object, const char *key, bool *out, struct error *err);
int json_get_int(const struct json *object, const char *key, int64_t min, int64_t max, int64_t *out,
		 struct error *err);
int json_get_uint(const struct json *object, const char *key, uint64_t max, uint64_t *out,
		  struct error *err);
/* A copy to be freed; what *out held is not freed. */
int json_get_string(const struct json *object, const char *key, char **out, struct error *err);
/*
 * An array of strings as a NULL-terminated one, released by strings_free. Absent
 * gives an empty one (and returns 0).
 */
int json_get_strings(const struct json *object, const char *key, char ***out, struct error *err);

#endif
