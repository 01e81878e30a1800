/* Walks a config by the paths of the table. See fields.h. */
#include "fields.h"

#include <stdbool.h>
#include <string.h>

#define COMPONENT_MAX 32 /* no name in the table is longer */

struct check {
	const struct field_rule *rule;
	const char *prefix;
	struct string_list *warnings;
};

static bool is_used(const struct json *node)
{
	switch (node->type) {
	case JSON_NULL:
		return false;
	case JSON_BOOL:
		return node->boolean;
	case JSON_NUMBER:
		return strcmp(node->text, "0") != 0;
	case JSON_STRING:
		return node->text[0] != 0;
	case JSON_ARRAY:
		return node->first != NULL;
	case JSON_OBJECT:
		break;
	}
	for (const struct json *child = node->first; child; child = child->next)
		if (is_used(child))
			return true;
	return false;
}

static int report(const struct check *check, const struct json *node, struct error *err)
{
	char path[JSON_PATH_MAX];
	const char *dot = check->prefix[0] ? "." : "";
	const struct field_rule *rule = check->rule;

	json_path(node, path);
	switch (rule->action) {
	case FIELD_APPLY:
		return 0;
	case FIELD_WARN:
		return string_list_addf(check->warnings, err, "%s%s%s is not applied: %s",
					check->prefix, dot, path, rule->reason);
	case FIELD_REFUSE:
		return error_set(err, 0, "%s%s%s is refused: %s", check->prefix, dot, path,
				 rule->reason);
	}
	return 0;
}

static int walk(const struct check *check, const struct json *node, const char *path,
		struct error *err);

static int walk_items(const struct check *check, const struct json *array, const char *path,
		      struct error *err)
{
	for (const struct json *item = json_first(array); item; item = item->next)
		if (walk(check, item, path, err) < 0)
			return -1;
	return 0;
}

/* Follows the rest of a table path, `a.b[].c`, from node on. */
static int walk(const struct check *check, const struct json *node, const char *path,
		struct error *err)
{
	char name[COMPONENT_MAX];
	size_t length = strcspn(path, ".[");
	const struct json *member;
	const char *rest;

	if (!*path)
		return is_used(node) ? report(check, node, err) : 0;
	if (length >= sizeof(name))
		return 0;
	memcpy(name, path, length);
	name[length] = 0;
	member = json_member(node, name);
	if (!member)
		return 0;
	rest = path + length;
	if (rest[0] == '[')
		return member->type == JSON_ARRAY ? walk_items(check, member, rest + 3, err) : 0;
	return walk(check, member, rest + (rest[0] == '.'), err);
}

int fields_check(const struct json *root, const char *prefix, struct string_list *warnings,
		 struct error *err)
{
	struct check check = { .prefix = prefix, .warnings = warnings };
	size_t length = strlen(prefix);

	for (size_t i = 0; i < field_rules_count; i++) {
		const char *path = field_rules[i].path;

		if (strncmp(path, prefix, length) != 0)
			continue;
		if (length && path[length] != '.')
			continue;
		check.rule = &field_rules[i];
		if (walk(&check, root, path + length + (length > 0), err) < 0)
			return -1;
	}
	return 0;
}
