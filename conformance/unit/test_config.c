/*
 * config.json: every field of the spec, a config as podman writes it, the table of
 * fields, and inputs that are wrong in one place each.
 */
#include "configs.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "fields.h"

static bool contains(char *const *list, const char *text)
{
	for (; *list; list++)
		if (strcmp(*list, text) == 0)
			return true;
	return false;
}

static void full_process(void **state)
{
	struct oci_config *config = parse_config(sample_full);
	struct oci_process *process = &config->process;

	(void)state;
	assert_true(config->has_process && process->terminal);
	assert_int_equal(process->console_width, 80);
	assert_int_equal(process->console_height, 25);
	assert_int_equal(process->args_count, 3);
	assert_string_equal(process->args[2], "echo \xc3\xa9 \"x\"");
	assert_null(process->args[3]);
	assert_string_equal(process->env[2], "EMPTY=");
	assert_string_equal(process->cwd, "/work");
	assert_int_equal(process->user.uid, 1000);
	assert_int_equal(process->user.gid, 1001);
	assert_true(process->user.has_umask);
	assert_int_equal(process->user.umask, 022);
	assert_int_equal(process->user.additional_gids_count, 2);
	assert_int_equal(process->user.additional_gids[1], 6);
	assert_true(process->has_capabilities);
	assert_int_equal(process->capabilities.bounding,
			 1ull << CAP_AUDIT_WRITE | 1ull << CAP_KILL);
	assert_int_equal(process->capabilities.permitted, 1ull << CAP_KILL);
	assert_int_equal(process->capabilities.effective, 1ull << CAP_KILL);
	assert_int_equal(process->capabilities.ambient, 1ull << CAP_KILL);
	assert_int_equal(process->rlimits_count, 2);
	assert_int_equal(process->rlimits[0].resource, RLIMIT_NOFILE);
	assert_int_equal(process->rlimits[0].soft, 512);
	assert_true(process->rlimits[1].hard == UINT64_MAX);
	assert_true(process->no_new_privileges && process->has_oom_score_adj);
	assert_int_equal(process->oom_score_adj, -100);
	assert_string_equal(process->apparmor_profile, "acme_secure_profile");
	config_free(config);
}

static void full_mounts(void **state)
{
	struct oci_config *config = parse_config(sample_full);
	struct oci_mount *m = config->mounts;

	(void)state;
	assert_int_equal(config->mounts_count, 5);
	assert_string_equal(m[0].type, "proc");
	assert_false(m[0].bind || mount_is_share(&m[0]));
	assert_null(m[0].data);
	assert_int_equal(m[1].flags, MS_NOSUID | MS_STRICTATIME);
	assert_string_equal(m[1].data, "mode=755,size=65536k");
	assert_true(m[1].copy_up);
	assert_true(m[2].bind && !mount_is_share(&m[2]));
	assert_int_equal(m[2].propagation, MS_PRIVATE | MS_REC);
	assert_true(m[3].bind && m[3].recursive && mount_is_share(&m[3]));
	assert_string_equal(m[3].type, "bind");
	assert_int_equal(m[3].flags, MS_RDONLY);
	assert_int_equal(m[3].recursive_set, MOUNT_ATTR_RDONLY);
	assert_true(m[4].bind && !m[4].recursive && mount_is_share(&m[4]));
	config_free(config);
}

static void full_rest(void **state)
{
	struct oci_config *config = parse_config(sample_full);

	(void)state;
	assert_string_equal(config->oci_version, "1.2.0");
	assert_string_equal(config->hostname, "slartibartfast");
	assert_string_equal(config->domainname, "foobarbaz.test");
	assert_string_equal(config->root_path, "rootfs");
	assert_true(config->root_readonly);
	assert_int_equal(config->personality, OCI_PERSONALITY_LINUX32);
	assert_string_equal(config->cgroups_path, "/myRuntime/myContainer");
	assert_string_equal(config->readonly_paths[1], "/proc/irq");
	assert_string_equal(config->masked_paths[0], "/proc/kcore");
	assert_int_equal(config->memory_limit, 536870912);
	assert_string_equal(config->namespaces[OCI_NAMESPACE_PID].path, "/proc/1234/ns/pid");
	assert_null(config->namespaces[OCI_NAMESPACE_TIME].path);
	for (int i = 0; i < OCI_NAMESPACE_COUNT; i++)
		assert_true(config->namespaces[i].present);
	assert_string_equal(config_annotation(config, "com.example.key1"), "value1");
	assert_null(config_annotation(config, "com.example"));
	assert_int_equal(oci_namespace_clone_flag(OCI_NAMESPACE_UTS), CLONE_NEWUTS);
	assert_string_equal(oci_namespace_proc_name(OCI_NAMESPACE_NETWORK), "net");
	config_free(config);
}

/* Every row of the table that says something is used by the full sample. */
static void full_fields(void **state)
{
	struct oci_config *config = parse_config(sample_full);

	(void)state;
	for (size_t i = 0; i < field_rules_count; i++) {
		const struct field_rule *rule = &field_rules[i];
		char line[512];

		snprintf(line, sizeof(line), "%s is not applied: %s", rule->path,
			 rule->reason ? rule->reason : "");
		if (rule->action == FIELD_WARN && !contains(config->warnings, line))
			fail_msg("no warning for %s", rule->path);
	}
	assert_true(config->mounts[3].idmap);
	assert_int_equal(config->mounts[3].uid_mappings.items[0].host, 1000);
	assert_int_equal(config->mounts[3].gid_mappings.items[0].size, 1);
	assert_true(contains(config->warnings, "process.capabilities.permitted[1]: unknown "
					       "capability \"CAP_MARS\" ignored"));
	assert_true(contains(config->warnings, "process.capabilities.effective: CAP_CHOWN cannot "
					       "be granted, it is not permitted"));
	assert_true(contains(config->warnings, "process.capabilities.ambient: CAP_SYSLOG cannot be "
					       "granted, it is not permitted and inheritable"));
	config_free(config);
}

static void vm_section(void **state)
{
	struct oci_config *config = parse_config(sample_full);

	(void)state;
	assert_string_equal(config->vm.kernel, "/path/to/vmlinuz");
	assert_string_equal(config->vm.initrd, "/path/to/initrd");
	assert_string_equal(config->vm.parameters, "b c=d");
	config_free(config);
}

static void podman(void **state)
{
	struct oci_config *config = parse_config(sample_podman);

	(void)state;
	assert_null(config->warnings[0]);
	assert_int_equal(config->memory_limit, -1);
	assert_false(mount_is_share(&config->mounts[6]));
	assert_true(mount_is_share(&config->mounts[5]));
	assert_string_equal(config->mounts[2].data, "newinstance,ptmxmode=0666,mode=0620,gid=5");
	assert_true(config->namespaces[OCI_NAMESPACE_NETWORK].present);
	assert_false(config->namespaces[OCI_NAMESPACE_USER].present);
	config_free(config);
}

static void minimal(void **state)
{
	struct oci_config *config =
		parse_config("{'ociVersion':'1.0.0','root':{'path':'r'},'linux':null}");

	(void)state;
	assert_false(config->has_process);
	assert_null(config->masked_paths[0]);
	assert_null(config->readonly_paths[0]);
	assert_int_equal(config->mounts_count, 0);
	assert_int_equal(config->memory_limit, -1);
	config_free(config);
}

static void cut_at_every_byte(const char *sample)
{
	CLEANUP_FREE char *json = sample_text(sample);
	size_t end = strlen(json);

	while (json[end - 1] == '\n')
		end--;
	for (size_t size = 0; size < end; size++) {
		/* A copy of just that size, so that a read beyond it is seen. */
		CLEANUP_FREE char *cut = malloc(size ? size : 1);
		struct oci_config *config;
		struct error err = { 0 };

		memcpy(cut, json, size);
		assert_int_equal(config_parse(cut, size, &config, &err), -1);
		assert_null(config);
		assert_non_null(strchr(err.message, ':'));
	}
}

static void cut(void **state)
{
	(void)state;
	cut_at_every_byte(sample_full);
	cut_at_every_byte(sample_podman);
}

/* What stands before and after the part that is wrong. */
#define PROCESS(rest) "{'ociVersion':'1.0.2','root':{'path':'r'},'process':{" rest "}}"
#define BASE	      "'args':['a'],'cwd':'/'"
#define ROOT(rest)    "{'ociVersion':'1.0.2','root':{'path':'r'}," rest "}"
#define NAMESPACES(rest) \
	ROOT("'linux':{'namespaces':[{'type':'network'},{'type':'ipc'},{'type':'uts'}]," rest "}")

static const struct wrong_input wrong[] = {
	{ "{'root':{'path':'r'}}", "ociVersion is missing" },
	{ "{'ociVersion':1,'root':{'path':'r'}}", "ociVersion must be a string, is a number" },
	{ "{'ociVersion':'2.0.0','root':{'path':'r'}}", "ociVersion must be 1.x, is \"2.0.0\"" },
	{ "{'ociVersion':'1','root':{'path':'r'}}", "ociVersion must be 1.x, is \"1\"" },
	{ "{'ociVersion':'1.0.2'}", "root is missing" },
	{ "{'ociVersion':'1.0.2','root':{}}", "root.path is missing" },
	{ "{'ociVersion':'1.0.2','root':{'path':''}}", "root.path must not be empty" },
	{ "{'ociVersion':'1.0.2','root':{'path':7}}", "root.path must be a string, is a number" },
	{ "{'ociVersion':'1.0.2','root':{'path':'r','readonly':1}}",
	  "root.readonly must be a boolean, is a number" },
	{ "{'ociVersion':'1.0.2','root':[]}", "root must be an object, is an array" },
	{ "[]", "the JSON text must be an object, is an array" },
	{ "", "1:1: parse error: premature EOF" },
	{ "{} x", "1:5: " },
	{ "{\n 'a': tru }", "2:" },
	{ "{'a\\u0000b':1}", "1:11: a string holds a NUL character" },
	{ PROCESS("'cwd':'/'"), "process.args is missing" },
	{ PROCESS("'cwd':'/','args':[]"), "process.args must not be empty" },
	{ PROCESS("'cwd':'/','args':'a'"), "process.args must be an array, is a string" },
	{ PROCESS("'cwd':'/','args':['a',null]"), "process.args[1] must be a string, is null" },
	{ PROCESS("'args':['a']"), "process.cwd is missing" },
	{ PROCESS("'args':['a'],'cwd':'x'"), "process.cwd must be an absolute path, is \"x\"" },
	{ PROCESS(BASE ",'env':['A=1','B']"), "process.env[1] must be NAME=VALUE, is \"B\"" },
	{ PROCESS(BASE ",'terminal':'yes'"), "process.terminal must be a boolean, is a string" },
	{ PROCESS(BASE ",'consoleSize':{'width':65536}"),
	  "process.consoleSize.width must be between 0 and 65535, is 65536" },
	{ PROCESS(BASE ",'user':{'uid':-1}"),
	  "process.user.uid must be between 0 and 4294967294, is -1" },
	{ PROCESS(BASE ",'user':{'gid':4294967295}"),
	  "process.user.gid must be between 0 and 4294967294, is 4294967295" },
	{ PROCESS(BASE ",'user':{'uid':1.0}"), "process.user.uid must be a whole number, is 1.0" },
	{ PROCESS(BASE ",'user':{'umask':512}"),
	  "process.user.umask must be between 0 and 511, is 512" },
	{ PROCESS(BASE ",'user':{'additionalGids':[1,'2']}"),
	  "process.user.additionalGids[1] must be a number, is a string" },
	{ PROCESS(BASE ",'capabilities':['CAP_KILL']"),
	  "process.capabilities must be an object, is an array" },
	{ PROCESS(BASE ",'capabilities':{'ambient':[1]}"),
	  "process.capabilities.ambient[0] must be a string, is a number" },
	{ PROCESS(BASE ",'rlimits':[{'type':'RLIMIT_X','soft':1,'hard':1}]"),
	  "process.rlimits[0].type is no resource limit: \"RLIMIT_X\"" },
	{ PROCESS(BASE ",'rlimits':[{'soft':1,'hard':1}]"), "process.rlimits[0].type is missing" },
	{ PROCESS(BASE ",'rlimits':[{'type':'RLIMIT_CPU','hard':1}]"),
	  "process.rlimits[0].soft is missing" },
	{ PROCESS(BASE ",'rlimits':[{'type':'RLIMIT_CPU','soft':1,'hard':18446744073709551616}]"),
	  "process.rlimits[0].hard must be between 0 and 18446744073709551615, is "
	  "18446744073709551616" },
	{ PROCESS(BASE ",'rlimits':[{'type':'RLIMIT_CPU','soft':1,'hard':1},"
		       "{'type':'RLIMIT_CPU','soft':1,'hard':1}]"),
	  "process.rlimits[1] gives a resource limit for the second time" },
	{ PROCESS(BASE ",'oomScoreAdj':1001"),
	  "process.oomScoreAdj must be between -1000 and 1000, is 1001" },
	{ PROCESS(BASE ",'noNewPrivileges':0"),
	  "process.noNewPrivileges must be a boolean, is a number" },
	{ ROOT("'process':[]"), "process must be an object, is an array" },
	{ ROOT("'hostname':{}"), "hostname must be a string, is an object" },
	{ ROOT("'mounts':{}"), "mounts must be an array, is an object" },
	{ ROOT("'mounts':['x']"), "mounts[0] must be an object, is a string" },
	{ ROOT("'mounts':[{'source':'x'}]"), "mounts[0].destination is missing" },
	{ ROOT("'mounts':[{'destination':''}]"), "mounts[0].destination must not be empty" },
	{ ROOT("'mounts':[{'destination':'/a','type':'bind'}]"), "mounts[0].source is missing" },
	{ ROOT("'mounts':[{'destination':'/a','options':'ro'}]"),
	  "mounts[0].options must be an array, is a string" },
	{ ROOT("'mounts':[{'destination':'/a','source':'/b','options':['bind','rshared']}]"),
	  "mounts[0] is refused: " },
	{ ROOT("'annotations':{'a':1}"), "annotations.a must be a string, is a number" },
	{ ROOT("'annotations':{'':''}"), "annotations must not hold an empty key" },
	{ ROOT("'linux':[]"), "linux must be an object, is an array" },
	{ ROOT("'linux':{'namespaces':[{'type':'moon'}]}"),
	  "linux.namespaces[0].type is no namespace: \"moon\"" },
	{ ROOT("'linux':{'namespaces':[{}]}"), "linux.namespaces[0].type is missing" },
	{ ROOT("'linux':{'namespaces':[{'type':'pid'},{'type':'pid'}]}"),
	  "linux.namespaces[1] gives namespace pid for the second time" },
	{ ROOT("'linux':{'namespaces':[{'type':'pid','path':'x'}]}"),
	  "linux.namespaces[0].path must be an absolute path, is \"x\"" },
	{ ROOT("'linux':{'maskedPaths':['x']}"),
	  "linux.maskedPaths[0] must be an absolute path, is \"x\"" },
	{ ROOT("'linux':{'cgroupsPath':1}"), "linux.cgroupsPath must be a string, is a number" },
	{ ROOT("'linux':{'rootfsPropagation':'x'}"),
	  "linux.rootfsPropagation is no propagation: \"x\"" },
	{ ROOT("'linux':{'sysctl':[]}"), "linux.sysctl must be an object, is an array" },
	{ NAMESPACES("'sysctl':{'net.a':1}"), "linux.sysctl.net.a must be a string, is a number" },
	{ NAMESPACES("'sysctl':{'kernel.pid_max':'1'}"),
	  "linux.sysctl.kernel.pid_max is refused: it is not in a separate kernel namespace" },
	{ NAMESPACES("'sysctl':{'kernel/shm':'1'}"),
	  "linux.sysctl.kernel/shm is refused: it is not" },
	{ NAMESPACES("'sysctl':{'network.x':'1'}"),
	  "linux.sysctl.network.x is refused: it is not" },
	{ NAMESPACES("'sysctl':{'net':'1'}"), "linux.sysctl.net is refused: it is not" },
	{ NAMESPACES("'sysctl':{'kernel.hostname':'1'}"),
	  "linux.sysctl.kernel.hostname is refused: hostname is a field of its own" },
	{ NAMESPACES("'sysctl':{'net.//.kernel.panic':'1'}"),
	  "linux.sysctl.net.//.kernel.panic is no kernel parameter" },
	{ NAMESPACES("'sysctl':{'net/../kernel/panic':'1'}"),
	  "linux.sysctl.net/../kernel/panic is no kernel parameter" },
	{ NAMESPACES("'sysctl':{'net..a':'1'}"), "linux.sysctl.net..a is no kernel parameter" },
	{ NAMESPACES("'sysctl':{'net.a.':'1'}"), "linux.sysctl.net.a. is no kernel parameter" },
	{ NAMESPACES("'sysctl':{'/net/a':'1'}"), "linux.sysctl./net/a is no kernel parameter" },
	{ ROOT("'linux':{'sysctl':{'net.a':'1'}}"),
	  "linux.sysctl.net.a is refused: it belongs to the network namespace, and the container "
	  "has none of its own" },
	{ ROOT("'linux':{'sysctl':{'fs.mqueue.msg_max':'1'}}"),
	  "linux.sysctl.fs.mqueue.msg_max is refused: it belongs to the ipc namespace" },
	{ ROOT("'linux':{'sysctl':{'kernel.domainname':'1'}}"),
	  "linux.sysctl.kernel.domainname is refused: it belongs to the uts namespace" },
	{ ROOT("'linux':{'personality':{'domain':'BSD'}}"),
	  "linux.personality.domain is no personality: \"BSD\"" },
	{ ROOT("'linux':{'personality':{'flags':['x']}}"), "linux.personality.domain is missing" },
	{ ROOT("'linux':{'resources':{'memory':{'limit':9223372036854775808}}}"),
	  "linux.resources.memory.limit must be between" },
	{ ROOT("'linux':{'intelRdt':{'closID':'a'}}"), "linux.intelRdt is refused: " },
	{ ROOT("'linux':{'netDevices':{'eth0':{'name':'a'}}}"), "linux.netDevices is refused: " },
	{ ROOT("'vm':{'hypervisor':{'path':'/h'}}"), "vm.hypervisor.path is refused: " },
	{ ROOT("'vm':{'hypervisor':{'parameters':['h']}}"),
	  "vm.hypervisor.parameters is refused: " },
	{ ROOT("'vm':{'image':{'path':'/i','format':'raw'}}"), "vm.image is refused: " },
	{ ROOT("'vm':{'hwConfig':{'vcpus':2}}"), "vm.hwConfig is refused: " },
	{ ROOT("'vm':{'kernel':{'path':'k'}}"),
	  "vm.kernel.path must be an absolute path, is \"k\"" },
	{ ROOT("'vm':{'kernel':{'path':'/k','initrd':'i'}}"),
	  "vm.kernel.initrd must be an absolute" },
	{ ROOT("'vm':{'kernel':{'parameters':['a\\nb']}}"),
	  "vm.kernel.parameters[0] must be one line" },
	{ ROOT("'vm':{'kernel':{'parameters':[1]}}"), "vm.kernel.parameters[0] must be a string" },
};

static void wrong_inputs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_wrong(&wrong[i], false);
}

static void sysctls(void **state)
{
	struct oci_config *config = parse_config(
		NAMESPACES("'sysctl':{'net.ipv4.conf.eth0/1.x':'a b','net/ipv4/conf/eth0.1/y':'',"
			   "'kernel.sem':'1','fs.mqueue.msg_max':'2','kernel.domainname':'d'}"));

	(void)state;
	assert_int_equal(config->sysctls.count, 5);
	assert_string_equal(config->sysctls.items[0].name, "net.ipv4.conf.eth0/1.x");
	assert_string_equal(config->sysctls.items[0].path, "net/ipv4/conf/eth0.1/x");
	assert_string_equal(config->sysctls.items[0].value, "a b");
	assert_string_equal(config->sysctls.items[1].path, "net/ipv4/conf/eth0.1/y");
	assert_string_equal(config->sysctls.items[2].path, "kernel/sem");
	config_free(config);
}

static void deep(void **state)
{
	struct oci_config *config;
	struct error err = { 0 };
	char text[4096];

	(void)state;
	memset(text, '[', sizeof(text));
	assert_int_equal(config_parse(text, sizeof(text), &config, &err), -1);
	assert_string_equal(err.message, "1:65: nested too deeply");
}

static void process_round_trip(void **state)
{
	struct oci_config *config = parse_config(sample_full);
	CLEANUP_FREE char *first = process_print(&config->process, NULL);
	CLEANUP_FREE char *second = NULL;
	struct oci_process *process;
	struct error err = { 0 };

	(void)state;
	assert_non_null(first);
	if (process_parse(first, strlen(first), &process, &err) < 0)
		fail_msg("%s", err.message);
	second = process_print(process, &err);
	assert_string_equal(first, second);
	assert_true(contains(process->warnings, "process.selinuxLabel is not applied: no such "
						"security module in the virtual machine"));
	process_free(process);
	config_free(config);
}

static void process_notes(void **state)
{
	CLEANUP_FREE char *json = sample_text("{" BASE ",'commandLine':'x'}");
	struct oci_process *process;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(process_parse(json, strlen(json), &process, &err), 0);
	assert_string_equal(process->warnings[0], "process.commandLine is not applied: belongs to "
						  "another platform");
	process_free(process);
	assert_int_equal(process_parse("{}", 2, &process, &err), -1);
	assert_string_equal(err.message, "args is missing");
}

static void process_bad_bytes(void **state)
{
	char *args[] = { (char *)"\xff", NULL };
	struct oci_process process = { .args = args };
	struct error err = { 0 };

	(void)state;
	assert_null(process_print(&process, &err));
	assert_non_null(strstr(err.message, "not valid UTF-8"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_process),	 cmocka_unit_test(full_mounts),
		cmocka_unit_test(full_rest),	 cmocka_unit_test(full_fields),
		cmocka_unit_test(vm_section),	 cmocka_unit_test(podman),
		cmocka_unit_test(minimal),	 cmocka_unit_test(cut),
		cmocka_unit_test(wrong_inputs),	 cmocka_unit_test(deep),
		cmocka_unit_test(sysctls),	 cmocka_unit_test(process_round_trip),
		cmocka_unit_test(process_notes), cmocka_unit_test(process_bad_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
