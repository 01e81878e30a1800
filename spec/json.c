/*
 * The JSON tree: building it from yajl's callbacks, releasing it, and the paths
 * in error messages. Typed access is in json_get.c. See json.h.
 */
#include "json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <yajl/yajl_parse.h>

struct parser {
	struct json *root;
	struct json *open; /* the innermost array or object that is not closed yet */
	char *key;	   /* read, its value not yet */
	unsigned depth, depth_max;
	const char *failure; /* why a callback ended the parse */
};

static int parser_fail(struct parser *parser, const char *failure)
{
	parser->failure = failure;
	return 0;
}

static void node_free(struct json *node)
{
	free(node->key);
	free(node->text);
	free(node);
}

/* Goes down to a leaf, frees it, goes on with what its parent has left. */
void json_free(struct json *tree)
{
	struct json *node = tree;

	while (node) {
		struct json *parent = node->parent;

		if (node->first) {
			struct json *child = node->first;

			node->first = child->next;
			node = child;
			continue;
		}
		parent = node == tree ? NULL : parent;
		node_free(node);
		node = parent;
	}
}

static void node_link(struct parser *parser, struct json *node)
{
	struct json *parent = parser->open;

	node->parent = parent;
	if (!parent)
		parser->root = node;
	else if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	if (parent)
		parent->last = node;
}

static struct json *node_add(struct parser *parser, enum json_type type)
{
	struct json *node = calloc(1, sizeof(*node));

	if (!node) {
		parser_fail(parser, "out of memory");
		return NULL;
	}
	node->type = type;
	node->key = steal_pointer(&parser->key);
	node_link(parser, node);
	return node;
}

static char *copy_text(struct parser *parser, const void *text, size_t size)
{
	char *copy;

	if (memchr(text, 0, size)) {
		parser_fail(parser, "a string holds a NUL character");
		return NULL;
	}
	copy = strndup(text, size);
	if (!copy)
		parser_fail(parser, "out of memory");
	return copy;
}

static int on_null(void *ctx)
{
	return node_add(ctx, JSON_NULL) != NULL;
}

static int on_boolean(void *ctx, int value)
{
	struct json *node = node_add(ctx, JSON_BOOL);

	if (node)
		node->boolean = value != 0;
	return node != NULL;
}

static int add_text(struct parser *parser, enum json_type type, const void *text, size_t size)
{
	struct json *node = node_add(parser, type);

	if (node)
		node->text = copy_text(parser, text, size);
	return node && node->text;
}

static int on_number(void *ctx, const char *text, size_t size)
{
	return add_text(ctx, JSON_NUMBER, text, size);
}

static int on_string(void *ctx, const unsigned char *text, size_t size)
{
	return add_text(ctx, JSON_STRING, text, size);
}

static int on_map_key(void *ctx, const unsigned char *text, size_t size)
{
	struct parser *parser = ctx;

	parser->key = copy_text(parser, text, size);
	return parser->key != NULL;
}

static int open_node(struct parser *parser, enum json_type type)
{
	struct json *node;

	if (parser->depth >= parser->depth_max)
		return parser_fail(parser, "nested too deeply");
	node = node_add(parser, type);
	if (!node)
		return 0;
	parser->depth++;
	parser->open = node;
	return 1;
}

static int close_node(void *ctx)
{
	struct parser *parser = ctx;

	parser->depth--;
	parser->open = parser->open->parent;
	return 1;
}

static int on_start_map(void *ctx)
{
	return open_node(ctx, JSON_OBJECT);
}

static int on_start_array(void *ctx)
{
	return open_node(ctx, JSON_ARRAY);
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_start_map,
	.yajl_map_key = on_map_key,
	.yajl_end_map = close_node,
	.yajl_start_array = on_start_array,
	.yajl_end_array = close_node,
};

static int fail_at(const char *text, size_t offset, const char *reason, struct error *err)
{
	size_t line = 1, column = 1;

	for (size_t i = 0; i < offset; i++) {
		column = text[i] == '\n' ? 1 : column + 1;
		line += text[i] == '\n';
	}
	error_set(err, 0, "%zu:%zu: %s", line, column, reason);
	if (err)
		error_sanitize(err->message);
	return -1;
}

/* yajl's words end with a newline and may have several lines. */
static int fail_by_yajl(yajl_handle handle, const char *text, size_t offset, struct error *err)
{
	unsigned char *words = yajl_get_error(handle, 0, NULL, 0);
	const char *reason = words ? (char *)words : "broken JSON";

	if (words)
		words[strcspn((char *)words, "\n")] = 0;
	fail_at(text, offset, reason, err);
	if (words)
		yajl_free_error(handle, words);
	return -1;
}

static int run_parser(yajl_handle handle, struct parser *parser, const char *text, size_t size,
		      struct error *err)
{
	size_t offset = size;
	yajl_status status = yajl_parse(handle, (const unsigned char *)text, size);

	if (status != yajl_status_ok)
		offset = yajl_get_bytes_consumed(handle);
	else
		status = yajl_complete_parse(handle);
	if (offset > size)
		offset = size;
	if (parser->failure) /* the offset is behind the token then */
		return fail_at(text, offset ? offset - 1 : 0, parser->failure, err);
	if (status != yajl_status_ok)
		return fail_by_yajl(handle, text, offset, err);
	if (!parser->root)
		return fail_at(text, offset, "no JSON value", err);
	return 0;
}

struct json *json_parse(const char *text, size_t size, const struct json_options *options,
			struct error *err)
{
	struct parser parser = { .depth_max = options ? options->depth_max : JSON_DEPTH_MAX };
	yajl_handle handle = yajl_alloc(&callbacks, NULL, &parser);
	int ret;

	if (!handle) {
		error_set(err, ENOMEM, "parse JSON");
		return NULL;
	}
	yajl_config(handle, yajl_allow_comments, options && options->comments);
	ret = run_parser(handle, &parser, text, size, err);
	yajl_free(handle);
	free(parser.key);
	if (ret == 0)
		return parser.root;
	json_free(parser.root);
	return NULL;
}

static size_t sibling_index(const struct json *node)
{
	size_t index = 0;

	for (const struct json *s = node->parent->first; s != node; s = s->next)
		index++;
	return index;
}

void json_path(const struct json *node, char out[JSON_PATH_MAX])
{
	const struct json *parent = node->parent;
	size_t used;

	out[0] = 0;
	if (!parent)
		return;
	json_path(parent, out); /* no deeper than the parser let the tree be */
	used = strlen(out);
	if (parent->type == JSON_ARRAY)
		snprintf(out + used, JSON_PATH_MAX - used, "[%zu]", sibling_index(node));
	else
		snprintf(out + used, JSON_PATH_MAX - used, "%s%s", used ? "." : "", node->key);
}

int json_error(const struct json *node, struct error *err, const char *format, ...)
{
	char path[JSON_PATH_MAX], message[ERROR_MESSAGE_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	json_path(node, path);
	error_set(err, 0, "%s %s", path[0] ? path : "the JSON text", message);
	if (err)
		error_sanitize(err->message);
	return -1;
}

int json_error_missing(const struct json *object, const char *key, struct error *err)
{
	char path[JSON_PATH_MAX];

	json_path(object, path);
	return error_set(err, 0, "%s%s%s is missing", path, path[0] ? "." : "", key);
}
