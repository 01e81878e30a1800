/* The state of a container: as runc prints it, as the state file holds it. */
#include "unit.h"

#include "samples.h"
#include "state.h"

static struct oci_annotation annotations[] = { { (char *)"k", (char *)"v \"q\"" } };

static const struct container_state sample = {
	.oci_version = (char *)"1.0.2",
	.id = (char *)"abc",
	.status = CONTAINER_RUNNING,
	.pid = 4711,
	.bundle = (char *)"/b",
	.rootfs = (char *)"/b/rootfs",
	.created = (char *)"2024-01-02T03:04:05.000000006Z",
	.annotations = annotations,
	.annotations_count = 1,
	.pid_start_time = UINT64_MAX,
	.io_pid = 4712,
	.io_start_time = 17,
	.cgroup_path = (char *)"/x",
	.vm_uuid = (char *)"0b5c8b7e-0000-5000-8000-000000000000",
	.failure = (char *)"it \xc3\xa9nded",
};

static void printed(void **state)
{
	CLEANUP_FREE char *text = state_print(&sample, false, NULL);

	(void)state;
	assert_string_equal(text, "{\n"
				  "  \"ociVersion\": \"1.0.2\",\n"
				  "  \"id\": \"abc\",\n"
				  "  \"pid\": 4711,\n"
				  "  \"status\": \"running\",\n"
				  "  \"bundle\": \"/b\",\n"
				  "  \"rootfs\": \"/b/rootfs\",\n"
				  "  \"created\": \"2024-01-02T03:04:05.000000006Z\",\n"
				  "  \"annotations\": {\n"
				  "    \"k\": \"v \\\"q\\\"\"\n"
				  "  },\n"
				  "  \"owner\": \"\"\n"
				  "}\n");
}

static void round_trip(void **state)
{
	CLEANUP_FREE char *first = state_print(&sample, true, NULL);
	CLEANUP_FREE char *second = NULL;
	struct container_state parsed;
	struct error err = { 0 };

	(void)state;
	assert_ok(state_parse(first, strlen(first), &parsed, &err), err);
	assert_true(parsed.pid_start_time == UINT64_MAX);
	assert_int_equal(parsed.io_pid, 4712);
	assert_int_equal(parsed.io_start_time, 17);
	assert_string_equal(parsed.failure, sample.failure);
	assert_string_equal(parsed.vm_uuid, sample.vm_uuid);
	second = state_print(&parsed, true, &err);
	assert_string_equal(first, second);
	state_free(&parsed);
}

static void every_status(void **state)
{
	(void)state;
	for (int status = CONTAINER_CREATING; status <= CONTAINER_STOPPED; status++) {
		struct container_state container = { .oci_version = (char *)"1.0.2",
						     .id = (char *)"x",
						     .status = (enum container_status)status };
		CLEANUP_FREE char *text = state_print(&container, true, NULL);
		struct container_state parsed;
		struct error err = { 0 };

		assert_ok(state_parse(text, strlen(text), &parsed, &err), err);
		assert_int_equal(parsed.status, status);
		assert_null(parsed.bundle);
		state_free(&parsed);
	}
}

static void wrong(void **state)
{
	static const struct {
		const char *json, *message;
	} cases[] = {
		{ "{}", "ociVersion is missing" },
		{ "[]", "the JSON text must be an object, is an array" },
		{ "{'ociVersion':'1','status':'running'}", "id is missing" },
		{ "{'ociVersion':'1','id':'a'}", "status is missing" },
		{ "{'ociVersion':'1','id':'a','status':'gone'}", "status is no status: \"gone\"" },
		{ "{'ociVersion':'1','id':'a','status':'created','pid':-1}",
		  "pid must be between 0 and 2147483647, is -1" },
		{ "{'ociVersion':'1','id':'a','status':'created','vxn':{'vmUuid':1}}",
		  "vxn.vmUuid must be a string, is a number" },
		{ "{'ociVersion':'1','id':'a','status':'created','annotations':{'a':[]}}",
		  "annotations.a must be a string, is an array" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_FREE char *text = sample_text(cases[i].json);
		struct container_state parsed;
		struct error err = { 0 };

		assert_int_equal(state_parse(text, strlen(text), &parsed, &err), -1);
		assert_string_equal(err.message, cases[i].message);
		state_free(&parsed);
	}
}

static void cut(void **state)
{
	CLEANUP_FREE char *text = state_print(&sample, true, NULL);

	(void)state;
	for (size_t size = 0; size + 1 < strlen(text); size++) {
		struct container_state parsed;
		struct error err = { 0 };

		assert_int_equal(state_parse(text, size, &parsed, &err), -1);
		state_free(&parsed);
	}
}

static void created(void **state)
{
	char text[STATE_TIME_MAX];
	int year, month, day, hour, minute, second, nanosecond;

	(void)state;
	assert_int_equal(state_time_now(text, NULL), 0);
	assert_int_equal(strlen(text), 30);
	assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%9dZ", &year, &month, &day, &hour,
				&minute, &second, &nanosecond),
			 7);
	assert_true(year >= 2024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(printed),	cmocka_unit_test(round_trip),
		cmocka_unit_test(every_status), cmocka_unit_test(wrong),
		cmocka_unit_test(cut),		cmocka_unit_test(created),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
