/* Hooks: what of a config.json is taken, and how one is run. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "config.h"
#include "monotonic.h"

#define CONFIG "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"hooks\":"

static void fields(void **state)
{
	static const char text[] =
		CONFIG "{\"prestart\":[{\"path\":\"/a\",\"args\":[\"b\",\"c\"],\"env\":[\"D=e\"],"
		       "\"timeout\":3},{\"path\":\"/f\"}],\"poststop\":[{\"path\":\"/g\"}]}}";
	struct oci_config *config = NULL;
	struct error err = { 0 };
	struct oci_hooks *hooks;

	(void)state;
	assert_ok(config_parse(text, strlen(text), &config, &err), err);
	hooks = config->hooks;
	assert_int_equal(hooks[OCI_HOOK_PRESTART].count, 2);
	assert_string_equal(hooks[OCI_HOOK_PRESTART].items[0].args[1], "c");
	assert_string_equal(hooks[OCI_HOOK_PRESTART].items[0].env[0], "D=e");
	assert_int_equal(hooks[OCI_HOOK_PRESTART].items[0].timeout, 3);
	assert_string_equal(hooks[OCI_HOOK_PRESTART].items[1].path, "/f");
	assert_null(hooks[OCI_HOOK_PRESTART].items[1].args[0]);
	assert_null(hooks[OCI_HOOK_PRESTART].items[1].env[0]);
	assert_int_equal(hooks[OCI_HOOK_PRESTART].items[1].timeout, 0);
	assert_string_equal(hooks[OCI_HOOK_POSTSTOP].items[0].path, "/g");
	assert_int_equal(hooks[OCI_HOOK_START_CONTAINER].count, 0);
	config_free(config);
}

static void refused(void **state)
{
	static const struct {
		const char *hooks, *message;
	} cases[] = {
		{ "[]", "hooks must be an object, is an array" },
		{ "{\"prestart\":{}}", "hooks.prestart must be an array, is an object" },
		{ "{\"poststart\":[{}]}", "hooks.poststart[0].path is missing" },
		{ "{\"createRuntime\":[{\"path\":\"/a\"},{\"path\":\"b\"}]}",
		  "hooks.createRuntime[1].path must be an absolute path, is \"b\"" },
		{ "{\"startContainer\":[{\"path\":\"/a\",\"args\":[1]}]}",
		  "hooks.startContainer[0].args[0] must be a string, is a number" },
		{ "{\"poststop\":[{\"path\":\"/a\",\"timeout\":0}]}",
		  "hooks.poststop[0].timeout must be greater than zero, is 0" },
		{ "{\"poststop\":[{\"path\":\"/a\",\"timeout\":-5}]}",
		  "hooks.poststop[0].timeout must be greater than zero, is -5" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct oci_config *config;
		struct error err = { 0 };
		char text[512];

		snprintf(text, sizeof(text), CONFIG "%s}", cases[i].hooks);
		assert_int_equal(config_parse(text, strlen(text), &config, &err), -1);
		assert_string_equal(err.message, cases[i].message);
	}
}

static int run_shell(const char *script, int timeout, int cancel_fd, const char *given,
		     struct error *err)
{
	char *args[] = { "sh", "-c", (char *)script, NULL };
	char *env[] = { "ONE=1", NULL };
	const struct oci_hook hook = {
		.path = "/bin/sh", .args = args, .env = env, .timeout = timeout
	};
	const struct hook_run run = { .state = given, .directory = "/usr", .cancel_fd = cancel_fd };

	return hook_run(&hook, &run, err);
}

static void environment(void **state)
{
	struct error err = { 0 };
	static char large[300000];

	(void)state;
	setenv("OURS", "x", 1);
	assert_ok(run_shell("[ \"$(cat)\" = '{\"id\":1}' ]", 0, -1, "{\"id\":1}", &err), err);
	assert_ok(run_shell("[ $PWD = /usr ] && [ $ONE = 1 ] && [ -z \"$OURS\" ]", 0, -1, "", &err),
		  err);
	assert_ok(run_shell("[ $(ls /proc/self/fd | wc -l) = 4 ]", 0, -1, "", &err), err);
	assert_ok(run_shell("[ $(cut -d ' ' -f 6 /proc/$$/stat) = $$ ]", 0, -1, "", &err), err);
	memset(large, 'x', sizeof(large) - 1);
	assert_ok(run_shell("[ $(wc -c) = 299999 ]", 0, -1, large, &err), err);
	assert_ok(run_shell("exit 0", 0, -1, large, &err), err);
}

static void path_alone(void **state)
{
	char *none[] = { NULL };
	const struct oci_hook hook = { .path = "/bin/true", .args = none, .env = none };
	const struct oci_hook absent = { .path = "/absent/hook", .args = none, .env = none };
	const struct hook_run run = { .state = "{}", .cancel_fd = -1 };
	struct error err = { 0 };

	(void)state;
	assert_ok(hook_run(&hook, &run, &err), err);
	assert_int_equal(hook_run(&absent, &run, &err), -1);
	assert_string_equal(err.message, "exec /absent/hook: No such file or directory");
	assert_int_equal(err.errnum, ENOENT);
}

static void failures(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_int_equal(run_shell("exit 7", 0, -1, "", &err), -1);
	assert_string_equal(err.message, "exit status 7");
	assert_int_equal(run_shell("echo out; echo err >&2; exit 1", 0, -1, "", &err), -1);
	assert_string_equal(err.message, "exit status 1, output: out?err");
	assert_int_equal(run_shell("kill -9 $$", 0, -1, "", &err), -1);
	assert_string_equal(err.message, "signal: Killed");
	/* of much output the end is quoted */
	assert_int_equal(
		run_shell("yes | head -c 1000000; echo; echo last; exit 3", 0, -1, "", &err), -1);
	assert_non_null(strstr(err.message, "y?y?"));
	assert_string_equal(err.message + strlen(err.message) - 5, "?last");
	assert_true(strlen(err.message) < 600);
}

static void timeouts(void **state)
{
	struct error err = { 0 };
	int64_t began = monotonic_ms();
	int cancel[2];

	(void)state;
	assert_int_equal(run_shell("sleep 60 & wait", 1, -1, "", &err), -1);
	assert_string_equal(err.message, "hook ran past its timeout of 1 s");
	assert_true(monotonic_ms() - began >= 1000);
	/* what it leaves behind does not hold up who waits for it */
	assert_ok(run_shell("sleep 35 &", 0, -1, "", &err), err);
	assert_int_equal(pipe(cancel), 0);
	assert_int_equal(write(cancel[1], "x", 1), 1);
	assert_int_equal(run_shell("sleep 60", 0, cancel[0], "", &err), -1);
	assert_int_equal(err.errnum, ECANCELED);
	close(cancel[0]);
	close(cancel[1]);
	assert_true(monotonic_ms() - began < 30000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),      cmocka_unit_test(refused),
		cmocka_unit_test(environment), cmocka_unit_test(path_alone),
		cmocka_unit_test(failures),    cmocka_unit_test(timeouts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
