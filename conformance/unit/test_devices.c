/* linux.devices and linux.resources.devices as read, and wrong in one place each. */
#include "configs.h"

#include <sys/stat.h>

#define LINUX(rest)  "{'ociVersion':'1.0.2','root':{'path':'r'},'linux':{" rest "}}"
#define DEVICE(rest) LINUX("'devices':[{" rest "}]")
#define RULE(rest)   LINUX("'resources':{'devices':[{" rest "}]}")

static void nodes(void **state)
{
	struct oci_config *config = parse_config(
		LINUX("'devices':[{'path':'/dev/fuse','type':'c','major':10,'minor':229,"
		      "'fileMode':25014,'uid':7,'gid':8},{'path':'/a/b','type':'u','major':4095,"
		      "'minor':1048575},{'path':'/dev/sda','type':'b','major':8,'minor':0},"
		      "{'path':'/fifo','type':'p','major':-1,'fileMode':384}]"));
	const struct oci_device *d = config->devices.nodes;

	(void)state;
	assert_int_equal(config->devices.nodes_count, 4);
	assert_string_equal(d[0].path, "/dev/fuse");
	assert_int_equal(d[0].mode, S_IFCHR | 0666);
	assert_int_equal(d[0].major, 10);
	assert_int_equal(d[0].minor, 229);
	assert_int_equal(d[0].uid, 7);
	assert_int_equal(d[0].gid, 8);
	assert_int_equal(d[1].mode, S_IFCHR | 0666);
	assert_int_equal(d[1].minor, 1048575);
	assert_int_equal(d[2].mode, S_IFBLK | 0666);
	assert_int_equal(d[3].mode, S_IFIFO | 0600);
	config_free(config);
}

static void rules(void **state)
{
	struct oci_config *config = parse_config(LINUX(
		"'resources':{'devices':[{'allow':false,'access':'rwm'},"
		"{'allow':true,'type':'c','major':1,'minor':3,'access':'r'},"
		"{'allow':true,'type':'b','major':-1,'access':'mw'},{'type':'','access':'w'}]}"));
	const struct device_rule *r = config->devices.rules;

	(void)state;
	assert_int_equal(config->devices.rules_count, 4);
	assert_true(!r[0].allow && r[0].type == 'a');
	assert_true(r[0].major == DEVICE_ANY && r[0].minor == DEVICE_ANY);
	assert_int_equal(r[0].access, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD);
	assert_true(r[1].allow && r[1].type == 'c');
	assert_int_equal(r[1].minor, 3);
	assert_int_equal(r[1].access, DEVICE_READ);
	assert_true(r[2].type == 'b' && r[2].major == DEVICE_ANY);
	assert_int_equal(r[2].access, DEVICE_WRITE | DEVICE_MKNOD);
	assert_int_equal(r[3].type, 'a');
	config_free(config);
}

static const struct wrong_input wrong[] = {
	{ LINUX("'devices':{}"), "linux.devices must be an array, is an object" },
	{ DEVICE("'type':'c'"), "linux.devices[0].path is missing" },
	{ DEVICE("'path':'dev/x','type':'c'"),
	  "linux.devices[0].path must be the absolute path of a file, is \"dev/x\"" },
	{ DEVICE("'path':'/','type':'c'"), "linux.devices[0].path must be the absolute path" },
	{ DEVICE("'path':'/dev/..','type':'c'"),
	  "linux.devices[0].path must be the absolute path" },
	{ DEVICE("'path':'/dev/','type':'c'"), "linux.devices[0].path must be the absolute path" },
	{ DEVICE("'path':'/x'"), "linux.devices[0].type is missing" },
	{ DEVICE("'path':'/x','type':'a'"), "linux.devices[0].type is no type of device: \"a\"" },
	{ DEVICE("'path':'/x','type':'c','minor':1"), "linux.devices[0].major is missing" },
	{ DEVICE("'path':'/x','type':'b','major':1"), "linux.devices[0].minor is missing" },
	{ DEVICE("'path':'/x','type':'c','major':4096,'minor':1"),
	  "linux.devices[0].major must be between 0 and 4095, is 4096" },
	{ DEVICE("'path':'/x','type':'c','major':1,'minor':-1"),
	  "linux.devices[0].minor must be between 0 and 1048575, is -1" },
	{ DEVICE("'path':'/x','type':'p','fileMode':'0600'"),
	  "linux.devices[0].fileMode must be a number, is a string" },
	{ DEVICE("'path':'/x','type':'p','uid':-1"),
	  "linux.devices[0].uid must be between 0 and 4294967294, is -1" },
	{ RULE("'allow':true"), "linux.resources.devices[0].access is missing" },
	{ RULE("'access':''"), "linux.resources.devices[0].access must be of the letters" },
	{ RULE("'access':'rx'"),
	  "linux.resources.devices[0].access must be of the letters r, w and m, is \"rx\"" },
	{ RULE("'access':'r','type':'p'"),
	  "linux.resources.devices[0].type must be a, b or c, is \"p\"" },
	{ RULE("'access':'r','type':'cc'"), "linux.resources.devices[0].type must be a, b or c" },
	{ RULE("'access':'r','major':-2"),
	  "linux.resources.devices[0].major must be between -1 and 4095, is -2" },
	{ RULE("'access':'r','allow':'yes'"),
	  "linux.resources.devices[0].allow must be a boolean, is a string" },
};

static void wrong_inputs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_wrong(&wrong[i], false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes),
		cmocka_unit_test(rules),
		cmocka_unit_test(wrong_inputs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
