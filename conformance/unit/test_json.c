/* The JSON tree and the writer, where the parsers above them do not reach. */
#include "unit.h"

#include "json.h"
#include "json_writer.h"
#include "string_list.h"

static struct json *parse(const char *text, const struct json_options *options)
{
	struct error err = { 0 };
	struct json *tree = json_parse(text, strlen(text), options, &err);

	if (!tree)
		fail_msg("%s", err.message);
	return tree;
}

static void integers(void **state)
{
	static const struct {
		const char *text;
		bool is_int, is_uint;
		int64_t i;
		uint64_t u;
	} cases[] = {
		{ "0", true, true, 0, 0 },
		{ "-0", true, true, 0, 0 },
		{ "9223372036854775807", true, true, INT64_MAX, INT64_MAX },
		{ "9223372036854775808", false, true, 0, 9223372036854775808u },
		{ "-9223372036854775808", true, false, INT64_MIN, 0 },
		{ "-9223372036854775809", false, false, 0, 0 },
		{ "18446744073709551615", false, true, 0, UINT64_MAX },
		{ "18446744073709551616", false, false, 0, 0 },
		{ "184467440737095516150", false, false, 0, 0 },
		{ "1e2", false, false, 0, 0 },
		{ "1.0", false, false, 0, 0 },
		{ "true", false, false, 0, 0 },
		{ "\"1\"", false, false, 0, 0 },
	};

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		CLEANUP_JSON struct json *tree = parse(cases[c].text, NULL);
		struct error err = { 0 };
		uint64_t u = 0;
		int64_t i = 0;

		assert_int_equal(json_to_int(tree, INT64_MIN, INT64_MAX, &i, &err) == 0,
				 cases[c].is_int);
		assert_int_equal(json_to_uint(tree, UINT64_MAX, &u, &err) == 0, cases[c].is_uint);
		assert_true(i == cases[c].i && u == cases[c].u);
	}
}

static void members(void **state)
{
	CLEANUP_JSON struct json *tree = parse("{\"a\":1,\"a\":\"x\",\"n\":null,\"l\":[]}", NULL);
	CLEANUP_FREE char *text = NULL;
	struct error err = { 0 };
	char **strings = NULL;
	uint64_t u = 7;

	(void)state;
	assert_int_equal(json_get_string(tree, "a", &text, &err), 1);
	assert_string_equal(text, "x");
	assert_int_equal(json_get_uint(tree, "n", 1, &u, &err), 0);
	assert_int_equal(json_get_uint(NULL, "n", 1, &u, &err), 0);
	assert_int_equal(u, 7);
	assert_int_equal(json_get_strings(tree, "l", &strings, &err), 1);
	assert_null(strings[0]);
	strings_free(strings);
	assert_int_equal(json_get_strings(tree, "none", &strings, &err), 0);
	assert_null(strings[0]);
	strings_free(strings);
}

static void comments(void **state)
{
	static const char text[] = "/* a */ {\"a\": 1 // b\n}";
	struct json_options options = { .depth_max = 4, .comments = true };
	CLEANUP_JSON struct json *tree = parse(text, &options);
	struct error err = { 0 };

	(void)state;
	assert_int_equal(json_count(tree), 1);
	assert_null(json_parse(text, strlen(text), NULL, &err));
}

/* A path that is longer than its buffer is cut, at any depth. */
static void long_paths(void **state)
{
	CLEANUP_FREE char *text = malloc(100000);
	CLEANUP_JSON struct json *tree = NULL;
	struct error err = { 0 };
	size_t used = 0;

	(void)state;
	for (int depth = 0; depth < 60; depth++)
		used += (size_t)sprintf(text + used, "{\"0123456789012345678901234567\\n89\":");
	used += (size_t)sprintf(text + used, "1");
	for (int depth = 0; depth < 60; depth++)
		text[used++] = '}';
	text[used] = 0;
	tree = parse(text, NULL);
	while (tree->first) /* the innermost */
		tree = tree->first;
	assert_int_equal(json_expect(tree, JSON_STRING, &err), -1);
	assert_null(strchr(err.message, '\n'));
	while (tree->parent)
		tree = tree->parent;
}

static void written(void **state)
{
	CLEANUP_JSON_WRITER struct json_writer writer;
	CLEANUP_FREE char *text = NULL;
	CLEANUP_JSON struct json *tree = parse("[1.50,{\"x\":null}]", NULL);
	char *strings[] = { (char *)"a\x01\"", NULL };

	(void)state;
	json_writer_init(&writer, false);
	json_put_object(&writer, NULL);
	json_put_int(&writer, "min", INT64_MIN);
	json_put_uint(&writer, "max", UINT64_MAX);
	json_put_bool(&writer, "b", true);
	json_put_strings(&writer, "s", strings);
	json_put_strings(&writer, "none", NULL);
	json_put_optional(&writer, "none", NULL);
	json_put_raw(&writer, "raw", "{}");
	json_put_tree(&writer, "tree", tree);
	json_end_object(&writer);
	text = json_writer_finish(&writer, NULL);
	assert_string_equal(text, "{\"min\":-9223372036854775808,\"max\":18446744073709551615,"
				  "\"b\":true,\"s\":[\"a\\u0001\\\"\"],\"raw\":{},"
				  "\"tree\":[1.50,{\"x\":null}]}");
}

static void list_grows(void **state)
{
	CLEANUP_STRING_LIST struct string_list list = { 0 };
	char **items;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(string_list_addf(&list, NULL, "%d", i), 0);
		assert_null(list.items[i + 1]);
	}
	items = string_list_steal(&list, NULL);
	assert_string_equal(items[999], "999");
	assert_int_equal(list.count, 0);
	strings_free(items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers), cmocka_unit_test(members),
		cmocka_unit_test(comments), cmocka_unit_test(long_paths),
		cmocka_unit_test(written),  cmocka_unit_test(list_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
