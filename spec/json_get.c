/*
 * Typed access to the JSON tree: each getter names the path of what it does not
 * like. See json.h.
 */
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "string_list.h"

static const char *const type_names[] = {
	[JSON_NULL] = "null",	    [JSON_BOOL] = "a boolean", [JSON_NUMBER] = "a number",
	[JSON_STRING] = "a string", [JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object",
};

const struct json *json_member(const struct json *object, const char *key)
{
	const struct json *found = NULL;

	if (!object || object->type != JSON_OBJECT)
		return NULL;
	for (const struct json *member = object->first; member; member = member->next)
		if (strcmp(member->key, key) == 0)
			found = member;
	return found && found->type != JSON_NULL ? found : NULL;
}

const struct json *json_first(const struct json *node)
{
	return node ? node->first : NULL;
}

size_t json_count(const struct json *node)
{
	size_t count = 0;

	for (const struct json *child = json_first(node); child; child = child->next)
		count++;
	return count;
}

int json_expect(const struct json *node, enum json_type type, struct error *err)
{
	if (node->type == type)
		return 0;
	return json_error(node, err, "must be %s, is %s", type_names[type], type_names[node->type]);
}

/* The digits of a whole number, NULL with err set if node is none. */
static const char *number_digits(const struct json *node, bool *negative, struct error *err)
{
	const char *digits;

	if (json_expect(node, JSON_NUMBER, err) < 0)
		return NULL;
	*negative = node->text[0] == '-';
	digits = node->text + *negative;
	if (digits[strspn(digits, "0123456789")] == 0)
		return digits;
	json_error(node, err, "must be a whole number, is %.40s", node->text);
	return NULL;
}

static bool digits_to_u64(const char *digits, uint64_t *out)
{
	uint64_t value = 0;

	for (; *digits; digits++)
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*digits - '0'), &value))
			return false;
	*out = value;
	return true;
}

int json_to_uint(const struct json *node, uint64_t max, uint64_t *out, struct error *err)
{
	uint64_t value;
	bool negative;
	const char *digits = number_digits(node, &negative, err);

	if (!digits)
		return -1;
	if (!digits_to_u64(digits, &value) || value > max || (negative && value > 0))
		return json_error(node, err, "must be between 0 and %" PRIu64 ", is %.40s", max,
				  node->text);
	*out = value;
	return 0;
}

int json_to_int(const struct json *node, int64_t min, int64_t max, int64_t *out, struct error *err)
{
	uint64_t magnitude;
	bool negative, fits;
	int64_t value = 0;
	const char *digits = number_digits(node, &negative, err);

	if (!digits)
		return -1;
	fits = digits_to_u64(digits, &magnitude) && magnitude <= (uint64_t)INT64_MAX + negative;
	if (fits)
		value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	if (!fits || value < min || value > max)
		return json_error(node, err,
				  "must be between %" PRId64 " and %" PRId64 ", is %.40s", min, max,
				  node->text);
	*out = value;
	return 0;
}

static int get_typed(const struct json *object, const char *key, enum json_type type,
		     const struct json **out, struct error *err)
{
	const struct json *member = json_member(object, key);

	if (!member)
		return 0;
	if (json_expect(member, type, err) < 0)
		return -1;
	*out = member;
	return 1;
}

int json_get_object(const struct json *object, const char *key, const struct json **out,
		    struct error *err)
{
	return get_typed(object, key, JSON_OBJECT, out, err);
}

int json_get_array(const struct json *object, const char *key, const struct json **out,
		   struct error *err)
{
	return get_typed(object, key, JSON_ARRAY, out, err);
}

int json_get_bool(const struct json *object, const char *key, bool *out, struct error *err)
{
	const struct json *member = NULL;
	int ret = get_typed(object, key, JSON_BOOL, &member, err);

	if (ret > 0)
		*out = member->boolean;
	return ret;
}

int json_get_int(const struct json *object, const char *key, int64_t min, int64_t max, int64_t *out,
		 struct error *err)
{
	const struct json *member = json_member(object, key);

	if (!member)
		return 0;
	return json_to_int(member, min, max, out, err) < 0 ? -1 : 1;
}

int json_get_uint(const struct json *object, const char *key, uint64_t max, uint64_t *out,
		  struct error *err)
{
	const struct json *member = json_member(object, key);

	if (!member)
		return 0;
	return json_to_uint(member, max, out, err) < 0 ? -1 : 1;
}

int json_get_string(const struct json *object, const char *key, char **out, struct error *err)
{
	const struct json *member = NULL;
	int ret = get_typed(object, key, JSON_STRING, &member, err);

	if (ret <= 0)
		return ret;
	*out = strdup(member->text);
	if (!*out)
		return error_set(err, ENOMEM, "%s", key);
	return 1;
}

int json_get_strings(const struct json *object, const char *key, char ***out, struct error *err)
{
	CLEANUP_STRING_LIST struct string_list list = { 0 };
	const struct json *array = NULL;
	int ret = json_get_array(object, key, &array, err);

	if (ret < 0)
		return -1;
	for (const struct json *item = json_first(array); item; item = item->next)
		if (json_expect(item, JSON_STRING, err) < 0 ||
		    string_list_add(&list, item->text, err) < 0)
			return -1;
	*out = string_list_steal(&list, err);
	return *out ? ret : -1;
}
