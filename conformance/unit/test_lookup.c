/*
 * The lookup of args[0]: what is found, and runc's words when nothing is, which
 * engines turn into exit codes.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lookup.h"

static char base[64];
static char path_env[256];

static void make(const char *name, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	strcpy(base, "/tmp/vxn-lookup-XXXXXX");
	assert_non_null(mkdtemp(base));
	assert_int_equal(chdir(base), 0);
	assert_int_equal(mkdir("a", 0755) | mkdir("b", 0755) | mkdir("a/dir", 0755), 0);
	make("a/plain", 0644);
	make("b/plain", 0755);
	make("b/prog", 0755);
	make("here", 0755);
	snprintf(path_env, sizeof(path_env), "PATH=%s/a:%s/b", base, base);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink("a/plain");
	unlink("b/plain");
	unlink("b/prog");
	unlink("here");
	rmdir("a/dir");
	rmdir("a");
	rmdir("b");
	return chdir("/") | rmdir(base);
}

static void assert_found(const char *name, char *const env[], const char *expected)
{
	struct error err = { 0 };
	CLEANUP_FREE char *found = find_program(name, env, &err);

	if (!found)
		fail_msg("%s", err.message);
	assert_string_equal(found, expected);
}

static void found(void **state)
{
	char *env[] = { (char *)"X=1", path_env, NULL };
	char *twice[] = { (char *)"PATH=/nowhere", path_env, NULL };
	char *current[] = { (char *)"PATH=/nowhere:", NULL };
	char *none[] = { NULL };
	char expected[128];

	(void)state;
	snprintf(expected, sizeof(expected), "%s/b/prog", base);
	assert_found("prog", env, expected);
	assert_found("prog", twice, expected);
	assert_found("./b/prog", none, "./b/prog");
	assert_found(expected, none, expected);
	/* what can't be executed is passed over */
	snprintf(expected, sizeof(expected), "%s/b/plain", base);
	assert_found("plain", env, expected);
	assert_found("here", current, "./here");
	assert_found("sh", none, "/usr/bin/sh");
}

static void not_found(void **state)
{
	static const struct {
		const char *name, *message;
		int errnum;
	} cases[] = {
		{ "foo", "exec: \"foo\": executable file not found in $PATH", ENOENT },
		{ "", "exec: \"\": executable file not found in $PATH", ENOENT },
		{ "dir", "exec: \"dir\": executable file not found in $PATH", ENOENT },
		{ "a\"b\\", "exec: \"a\\\"b\\\\\": executable file not found in $PATH", ENOENT },
		{ "a\nb", "exec: \"a?b\": executable file not found in $PATH", ENOENT },
		{ "/foo", "exec: \"/foo\": stat /foo: no such file or directory", ENOENT },
		{ "./here/x", "exec: \"./here/x\": stat ./here/x: not a directory", ENOTDIR },
		{ "./a/plain", "exec: \"./a/plain\": permission denied", EACCES },
		{ "./a", "exec: \"./a\": permission denied", EACCES },
		{ "/", "exec: \"/\": permission denied", EACCES },
	};
	char *env[] = { path_env, NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = { 0 };

		assert_null(find_program(cases[i].name, env, &err));
		assert_string_equal(err.message, cases[i].message);
		assert_int_equal(err.errnum, cases[i].errnum);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(found, setup, teardown),
		cmocka_unit_test_setup_teardown(not_found, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
