/*
 * linux.resources as what is written to a cgroup, linux.timeOffsets, and both
 * wrong in one place each.
 */
#include "configs.h"

#define LINUX(rest)  "{'ociVersion':'1.0.2','root':{'path':'r'},'linux':{" rest "}}"
#define RES(rest)    LINUX("'resources':{" rest "}")
#define MEMORY(rest) RES("'memory':{" rest "}")
#define CPU(rest)    RES("'cpu':{" rest "}")
#define TIME(rest)   LINUX("'namespaces':[{'type':'time'}],'timeOffsets':{" rest "}")

/* written: "FIELD FILE=VALUE;..." with the fields' common beginning left out. */
static const struct {
	const char *json, *written;
} rows[] = {
	{ LINUX("'resources':null"), "" },
	{ MEMORY("'limit':100,'reservation':50,'swap':130"),
	  "memory.swap memory.swap.max=30;memory.limit memory.max=100;"
	  "memory.reservation memory.low=50;" },
	{ MEMORY("'limit':100,'swap':100"),
	  "memory.swap memory.swap.max=0;memory.limit memory.max=100;" },
	{ MEMORY("'limit':100,'swap':-1"),
	  "memory.swap memory.swap.max=max;memory.limit memory.max=100;" },
	{ MEMORY("'limit':-1"), "memory.limit memory.swap.max=max;memory.limit memory.max=max;" },
	{ MEMORY("'limit':-1,'swap':7"),
	  "memory.swap memory.swap.max=7;memory.limit memory.max=max;" },
	{ MEMORY("'limit':0,'swap':0,'reservation':-1"), "memory.reservation memory.low=max;" },
	{ CPU("'shares':1024"), "cpu.shares cpu.weight=39;" },
	{ CPU("'shares':1"), "cpu.shares cpu.weight=1;" },
	{ CPU("'shares':262144"), "cpu.shares cpu.weight=10000;" },
	{ CPU("'shares':18446744073709551615"), "cpu.shares cpu.weight=10000;" },
	{ CPU("'quota':50000"), "cpu.quota cpu.max=50000 100000;" },
	{ CPU("'quota':-1,'period':20000"), "cpu.quota cpu.max=max 20000;" },
	{ CPU("'period':20000"), "cpu.period cpu.max=max 20000;" },
	{ CPU("'idle':1,'burst':10,'period':30,'quota':20,'shares':2"),
	  "cpu.shares cpu.weight=1;cpu.quota cpu.max=20 30;cpu.burst cpu.max.burst=10;"
	  "cpu.idle cpu.idle=1;" },
	{ CPU("'shares':0,'quota':0,'period':0,'cpus':'','idle':0"), "cpu.idle cpu.idle=0;" },
	{ RES("'pids':{'limit':9}"), "pids.limit pids.max=9;" },
	{ RES("'pids':{'limit':-1}"), "pids.limit pids.max=max;" },
	{ RES("'pids':{'limit':0}"), "" },
	{ RES("'hugepageLimits':[{'pageSize':'2MB','limit':0},"
	      "{'pageSize':'1GB','limit':18446744073709551615}]"),
	  "hugepageLimits[0] hugetlb.2MB.max=0;"
	  "hugepageLimits[1] hugetlb.1GB.max=18446744073709551615;" },
	{ RES("'unified':{'memory.high':'5','io.max':'a\\nb'}"),
	  "unified.memory.high memory.high=5;unified.io.max io.max=a\nb;" },
};

static void settings(void **state)
{
	static const char prefix[] = "linux.resources.";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oci_config *config = parse_config(rows[i].json);
		char written[1024] = "";

		for (size_t j = 0; j < config->resources.inside.count; j++) {
			const struct cgroup_setting *s = &config->resources.inside.items[j];
			size_t used = strlen(written);

			assert_memory_equal(s->field, prefix, strlen(prefix));
			assert_int_equal(s->kept_if_absent, strstr(s->file, "hugetlb") != NULL);
			snprintf(written + used, sizeof(written) - used, "%s %s=%s;",
				 s->field + strlen(prefix), s->file, s->value);
		}
		if (strcmp(written, rows[i].written) != 0)
			fail_msg("%s\n writes   %s\n expected %s", rows[i].json, written,
				 rows[i].written);
		assert_int_equal(config->resources.cpus, 0);
		config_free(config);
	}
}

static void cpus(void **state)
{
	struct oci_config *config = parse_config(CPU("'cpus':'4-6,9','mems':'1'"));

	(void)state;
	assert_int_equal(config->resources.cpus, 4);
	assert_int_equal(config->resources.inside.count, 0);
	config_free(config);
}

static void assert_host_settings(const char *json, const char *const expected[][2], size_t count,
				 bool warn)
{
	struct oci_config *config = parse_config(json);
	const struct cgroup_settings *settings = &config->resources.host;

	assert_int_equal(settings->count, count);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(settings->items[i].file, expected[i][0]);
		assert_string_equal(settings->items[i].value, expected[i][1]);
		assert_int_equal(settings->items[i].warn_if_absent, warn);
	}
	config_free(config);
}

/* Files of both versions, as the host has one or the other. */
static void host(void **state)
{
	static const char *const expected[][2] = {
		{ "cpu.shares", "512" },	 { "cpu.cfs_period_us", "20000" },
		{ "cpu.cfs_quota_us", "10000" }, { "cpu.rt_runtime_us", "5" },
		{ "cpuset.cpus", "0" },		 { "cpuset.mems", "0" },
		{ "cpu.weight", "20" },		 { "cpu.max", "10000 20000" },
	};

	(void)state;
	assert_host_settings(CPU("'cpus':'0','mems':'0','shares':512,'quota':10000,'period':20000,"
				 "'realtimeRuntime':5,'realtimePeriod':0"),
			     expected, ARRAY_SIZE(expected), false);
}

static void host_disks(void **state)
{
	static const char *const expected[][2] = {
		{ "blkio.weight", "1000" },
		{ "blkio.bfq.weight", "1000" },
		{ "io.bfq.weight", "1000" },
		{ "io.weight", "10000" },
		{ "blkio.weight_device", "8:16 10" },
		{ "blkio.bfq.weight_device", "8:16 10" },
		{ "io.bfq.weight", "8:16 10" },
		{ "io.weight", "8:16 1" },
		{ "blkio.throttle.read_bps_device", "8:0 18446744073709551615" },
		{ "io.max", "8:0 rbps=18446744073709551615" },
		{ "blkio.throttle.write_bps_device", "8:0 0" },
		{ "io.max", "8:0 wbps=max" },
		{ "blkio.throttle.read_iops_device", "8:0 5" },
		{ "io.max", "8:0 riops=5" },
		{ "blkio.throttle.write_iops_device", "259:4294967295 6" },
		{ "io.max", "259:4294967295 wiops=6" },
	};

	(void)state;
	assert_host_settings(
		RES("'blockIO':{'weight':1000,'weightDevice':[{'major':8,'minor':16,'weight':10},"
		    "{'major':8,'minor':0,'leafWeight':10}],"
		    "'throttleReadBpsDevice':[{'major':8,'minor':0,'rate':18446744073709551615}],"
		    "'throttleWriteBpsDevice':[{'major':8,'minor':0,'rate':0}],"
		    "'throttleReadIOPSDevice':[{'major':8,'minor':0,'rate':5}],"
		    "'throttleWriteIOPSDevice':[{'major':259,'minor':4294967295,'rate':6}]}"),
		expected, ARRAY_SIZE(expected), true);
	assert_host_settings(RES("'blockIO':{'weight':0,'throttleReadBpsDevice':[]}"), NULL, 0,
			     true);
}

static void time_offsets(void **state)
{
	struct oci_config *config =
		parse_config(TIME("'boottime':{'secs':-5,'nanosecs':999999999},'monotonic':{}"));
	const struct oci_time_offsets *offsets = &config->time_offsets;

	(void)state;
	assert_true(offsets->boottime.given && offsets->monotonic.given);
	assert_int_equal(offsets->boottime.seconds, -5);
	assert_int_equal(offsets->boottime.nanoseconds, 999999999);
	assert_int_equal(offsets->monotonic.seconds, 0);
	config_free(config);
	config = parse_config(LINUX("'timeOffsets':{}"));
	assert_false(config->time_offsets.monotonic.given);
	config_free(config);
}

#define R "linux.resources."

static const struct wrong_input wrong[] = {
	{ LINUX("'resources':[]"), "linux.resources must be an object, is an array" },
	{ MEMORY("'limit':'1'"), R "memory.limit must be a number, is a string" },
	{ MEMORY("'limit':-2"), R "memory.limit must be between -1 and" },
	{ MEMORY("'swap':5"), R "memory.swap can't be given without limit" },
	{ MEMORY("'limit':5,'swap':4"), R "memory.swap must not be less than limit" },
	{ MEMORY("'reservation':1.5"), R "memory.reservation must be a whole number" },
	{ CPU("'shares':-1"), R "cpu.shares must be between 0 and" },
	{ CPU("'period':-1"), R "cpu.period must be between 0 and" },
	{ CPU("'burst':-1"), R "cpu.burst must be between 0 and" },
	{ CPU("'idle':2"), R "cpu.idle must be between 0 and 1, is 2" },
	{ CPU("'cpus':'x'"), R "cpu.cpus is no list of CPUs: \"x\"" },
	{ CPU("'cpus':1"), R "cpu.cpus must be a string, is a number" },
	{ RES("'pids':5"), R "pids must be an object, is a number" },
	{ RES("'hugepageLimits':{}"), R "hugepageLimits must be an array, is an object" },
	{ RES("'hugepageLimits':[{'limit':1}]"), R "hugepageLimits[0].pageSize is missing" },
	{ RES("'hugepageLimits':[{'pageSize':'2MB'}]"), R "hugepageLimits[0].limit is missing" },
	{ RES("'hugepageLimits':[{'pageSize':'2M','limit':1}]"),
	  R "hugepageLimits[0].pageSize is no page size: \"2M\"" },
	{ RES("'hugepageLimits':[{'pageSize':'../MB','limit':1}]"),
	  R "hugepageLimits[0].pageSize is no page size" },
	{ RES("'blockIO':1"), R "blockIO must be an object, is a number" },
	{ RES("'blockIO':{'weight':9}"), R "blockIO.weight must be 10 to 1000" },
	{ RES("'blockIO':{'weight':1001}"), R "blockIO.weight must be between 0 and 1000" },
	{ RES("'blockIO':{'weightDevice':[{'major':1,'weight':10}]}"),
	  R "blockIO.weightDevice[0].minor is missing" },
	{ RES("'blockIO':{'throttleReadIOPSDevice':[{'rate':1}]}"),
	  R "blockIO.throttleReadIOPSDevice[0].major is missing" },
	{ RES("'unified':[]"), R "unified must be an object, is an array" },
	{ RES("'unified':{'memory.high':1}"), R "unified.memory.high must be a string" },
	{ RES("'unified':{'../memory.max':'1'}"), R "unified.../memory.max must be named" },
	{ RES("'unified':{'memory':'1'}"), R "unified.memory must be named CONTROLLER.FILE" },
	{ RES("'unified':{'..':'1'}"), R "unified... must be named CONTROLLER.FILE" },
	{ LINUX("'timeOffsets':{'monotonic':{'secs':1}}"),
	  "linux.timeOffsets needs a new time namespace" },
	{ LINUX("'namespaces':[{'type':'time','path':'/x'}],'timeOffsets':{'boottime':{}}"),
	  "linux.timeOffsets needs a new time namespace" },
	{ TIME("'realtime':{}"), "linux.timeOffsets.realtime is no clock of a time namespace" },
	{ TIME("'boottime':5"), "linux.timeOffsets.boottime must be an object, is a number" },
	{ TIME("'boottime':{'nanosecs':1000000000}"),
	  "linux.timeOffsets.boottime.nanosecs must be between 0 and 999999999" },
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
		cmocka_unit_test(settings),	cmocka_unit_test(cpus),
		cmocka_unit_test(host),		cmocka_unit_test(host_disks),
		cmocka_unit_test(time_offsets), cmocka_unit_test(wrong_inputs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
