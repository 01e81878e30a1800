/*
 * Id mappings of mounts: what config.json may say, and what is refused.
 */
#include "unit.h"

#include "config.h"
#include "idmap.h"

static void option(void **state)
{
	struct oci_mount mount = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_ok(idmap_parse_option("uids=0-1-10#10-11-10;gids=0-100-4294967195", &mount, &err),
		  err);
	assert_true(mount.idmap);
	assert_int_equal(mount.uid_mappings.count, 2);
	assert_int_equal(mount.uid_mappings.items[1].container, 10);
	assert_int_equal(mount.uid_mappings.items[1].host, 11);
	assert_int_equal(mount.uid_mappings.items[1].size, 10);
	assert_int_equal(mount.gid_mappings.items[0].host, 100);
	/* the last one given counts */
	assert_ok(idmap_parse_option("uids=5-6-7", &mount, &err), err);
	assert_int_equal(mount.uid_mappings.count, 1);
	assert_int_equal(mount.gid_mappings.count, 0);
	idmap_release(&mount);
}

static void broken_option(void **state)
{
	static const char *const broken[] = {
		"x",
		"uids",
		"uids=",
		"uids=1",
		"uids=1-2",
		"uids=1-2-0",
		"uids=1-2-3#",
		"uids=@1-2-3",
		"uids=1-2-3;", /* followed by nothing: accepted below */
		"uids=1-2-3 ",
		"uids=4294967295-0-2",
		"uids=0-4294967295-2",
		"gids=1-2-3;x=1-2-3",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		struct oci_mount mount = { 0 };
		struct error err = { 0 };
		int result = idmap_parse_option(broken[i], &mount, &err);

		idmap_release(&mount);
		if (strcmp(broken[i], "uids=1-2-3;") == 0)
			assert_int_equal(result, 0);
		else if (result == 0)
			fail_msg("%s was taken", broken[i]);
		else
			assert_non_null(strstr(err.message, broken[i]));
	}
}

static const char head[] = "{\"ociVersion\":\"1.1.0\",\"root\":{\"path\":\"r\"},\"mounts\":[";

static int parse(const char *mount, struct oci_config **config, struct error *err)
{
	char text[2048];

	snprintf(text, sizeof(text), "%s%s]}", head, mount);
	return config_parse(text, strlen(text), config, err);
}

static void members(void **state)
{
	struct oci_config *config;
	struct error err = { 0 };

	(void)state;
	assert_ok(parse("{\"destination\":\"/d\",\"source\":\"/"
			"s\",\"options\":[\"rbind\",\"ridmap\"],"
			"\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":5},"
			"{\"containerID\":5,\"hostID\":0,\"size\":1}],"
			"\"gidMappings\":[{\"containerID\":7,\"hostID\":8,\"size\":9}]}",
			&config, &err),
		  err);
	assert_true(config->mounts[0].idmap && config->mounts[0].idmap_recursive);
	assert_int_equal(config->mounts[0].uid_mappings.count, 2);
	assert_int_equal(config->mounts[0].uid_mappings.items[0].host, 1000);
	assert_int_equal(config->mounts[0].gid_mappings.items[0].container, 7);
	config_free(config);
}

static void refused(void **state)
{
	static const struct {
		const char *mount, *words;
	} rows[] = {
		{ "{\"destination\":\"/d\",\"source\":\"/s\",\"options\":[\"bind\",\"idmap\"]}",
		  "mounts[0] is refused: idmap needs mappings" },
		{ "{\"destination\":\"/d\",\"source\":\"/s\",\"options\":[\"bind\"],"
		  "\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}]}",
		  "mounts[0] is refused: idmap needs mappings" },
		{ "{\"destination\":\"/d\",\"type\":\"tmpfs\",\"options\":[\"idmap\"]}",
		  "mounts[0] is refused: only a bind" },
		{ "{\"destination\":\"/d\",\"source\":\"/s\",\"options\":[\"bind\"],"
		  "\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":0}]}",
		  "mounts[0].uidMappings[0] is no range" },
		{ "{\"destination\":\"/d\",\"source\":\"/s\",\"options\":[\"bind\"],"
		  "\"gidMappings\":[{\"containerID\":-1,\"hostID\":1,\"size\":1}]}",
		  "mounts[0].gidMappings[0].containerID" },
		{ "{\"destination\":\"/d\",\"source\":\"/s\",\"options\":[\"bind\"],"
		  "\"gidMappings\":3}",
		  "mounts[0].gidMappings" },
		{ "{\"destination\":\"/d\",\"source\":\"/s\",\"options\":[\"bind\",\"idmap=1\"]}",
		  "idmap=1 is no mapping" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oci_config *config;
		struct error err = { 0 };

		assert_int_equal(parse(rows[i].mount, &config, &err), -1);
		if (!strstr(err.message, rows[i].words))
			fail_msg("%zu: %s", i, err.message);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(option),
		cmocka_unit_test(broken_option),
		cmocka_unit_test(members),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
