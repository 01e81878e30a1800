/* See json_writer.h. */
#include "json_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void json_writer_init(struct json_writer *writer, bool pretty)
{
	memset(writer, 0, sizeof(*writer));
	writer->gen = yajl_gen_alloc(NULL);
	if (!writer->gen) {
		writer->status = yajl_gen_in_error_state;
		return;
	}
	yajl_gen_config(writer->gen, yajl_gen_validate_utf8, 1);
	yajl_gen_config(writer->gen, yajl_gen_beautify, pretty);
	yajl_gen_config(writer->gen, yajl_gen_indent_string, "  ");
}

void json_writer_free(struct json_writer *writer)
{
	if (writer->gen)
		yajl_gen_free(writer->gen);
	writer->gen = NULL;
}

static const char *status_words(yajl_gen_status status)
{
	switch (status) {
	case yajl_gen_invalid_string:
		return "not valid UTF-8";
	case yajl_max_depth_exceeded:
		return "nested too deeply";
	default:
		return "not possible there";
	}
}

char *json_writer_finish(struct json_writer *writer, struct error *err)
{
	const unsigned char *text;
	size_t size;
	char *copy;

	if (!writer->gen) {
		error_set(err, ENOMEM, "write JSON");
		return NULL;
	}
	if (writer->status != yajl_gen_status_ok) {
		error_set(err, 0, "write JSON: %s: %s", writer->failed,
			  status_words(writer->status));
		return NULL;
	}
	yajl_gen_get_buf(writer->gen, &text, &size);
	copy = strndup((const char *)text, size);
	if (!copy)
		error_set(err, ENOMEM, "write JSON");
	return copy;
}

/* Whether the value may be written; writes its key first. */
static bool begin(struct json_writer *writer, const char *key)
{
	if (writer->status != yajl_gen_status_ok)
		return false;
	if (key) {
		snprintf(writer->failed, sizeof(writer->failed), "%s", key);
		error_sanitize(writer->failed);
		writer->status =
			yajl_gen_string(writer->gen, (const unsigned char *)key, strlen(key));
	}
	return writer->status == yajl_gen_status_ok;
}

void json_put_object(struct json_writer *writer, const char *key)
{
	if (begin(writer, key))
		writer->status = yajl_gen_map_open(writer->gen);
}

void json_end_object(struct json_writer *writer)
{
	if (begin(writer, NULL))
		writer->status = yajl_gen_map_close(writer->gen);
}

void json_put_array(struct json_writer *writer, const char *key)
{
	if (begin(writer, key))
		writer->status = yajl_gen_array_open(writer->gen);
}

void json_end_array(struct json_writer *writer)
{
	if (begin(writer, NULL))
		writer->status = yajl_gen_array_close(writer->gen);
}

void json_put_string(struct json_writer *writer, const char *key, const char *value)
{
	if (begin(writer, key))
		writer->status =
			yajl_gen_string(writer->gen, (const unsigned char *)value, strlen(value));
}

void json_put_optional(struct json_writer *writer, const char *key, const char *value)
{
	if (value)
		json_put_string(writer, key, value);
}

/* yajl_gen_number writes its text as it is, which also serves ready JSON. */
void json_put_raw(struct json_writer *writer, const char *key, const char *text)
{
	if (begin(writer, key))
		writer->status = yajl_gen_number(writer->gen, text, strlen(text));
}

void json_put_int(struct json_writer *writer, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	json_put_raw(writer, key, text);
}

void json_put_uint(struct json_writer *writer, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	json_put_raw(writer, key, text);
}

void json_put_bool(struct json_writer *writer, const char *key, bool value)
{
	if (begin(writer, key))
		writer->status = yajl_gen_bool(writer->gen, value);
}

void json_put_strings(struct json_writer *writer, const char *key, char *const *values)
{
	if (!values)
		return;
	json_put_array(writer, key);
	for (; *values; values++)
		json_put_string(writer, NULL, *values);
	json_end_array(writer);
}

static void put_null(struct json_writer *writer, const char *key)
{
	if (begin(writer, key))
		writer->status = yajl_gen_null(writer->gen);
}

static void put_children(struct json_writer *writer, const struct json *tree)
{
	for (const struct json *child = tree->first; child; child = child->next)
		json_put_tree(writer, child->key, child);
}

void json_put_tree(struct json_writer *writer, const char *key, const struct json *tree)
{
	switch (tree->type) {
	case JSON_NULL:
		put_null(writer, key);
		break;
	case JSON_BOOL:
		json_put_bool(writer, key, tree->boolean);
		break;
	case JSON_NUMBER:
		json_put_raw(writer, key, tree->text);
		break;
	case JSON_STRING:
		json_put_string(writer, key, tree->text);
		break;
	case JSON_ARRAY:
		json_put_array(writer, key);
		put_children(writer, tree);
		json_end_array(writer);
		break;
	case JSON_OBJECT:
		json_put_object(writer, key);
		put_children(writer, tree);
		json_end_object(writer);
		break;
	}
}
