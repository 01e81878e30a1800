/*
 * Fuzzes the parsers of files: config.json, process.json, the state. What is
 * accepted must print and parse again to the same.
 */
#include "driver.h"

#include "cleanup.h"
#include "config.h"
#include "conformance/unit/samples.h"
#include "state.h"

static void check_process(const struct oci_process *process)
{
	CLEANUP_FREE char *first = process_print(process, NULL);
	CLEANUP_FREE char *second = NULL;
	struct oci_process *again;
	struct error err = { 0 };

	FUZZ_CHECK(first);
	FUZZ_CHECK(process_parse(first, strlen(first), &again, &err) == 0);
	second = process_print(again, NULL);
	FUZZ_CHECK(second && strcmp(first, second) == 0);
	process_free(again);
}

static void check_config(const struct oci_config *config)
{
	FUZZ_CHECK(config->oci_version && config->root_path);
	FUZZ_CHECK(config->not_yet && config->warnings);
	FUZZ_CHECK(config->masked_paths && config->readonly_paths);
	for (size_t i = 0; i < config->mounts_count; i++) {
		FUZZ_CHECK(config->mounts[i].destination && config->mounts[i].options);
		FUZZ_CHECK(!mount_is_share(&config->mounts[i]) || config->mounts[i].source);
	}
	for (size_t i = 0; i < config->annotations_count; i++)
		FUZZ_CHECK(config_annotation(config, config->annotations[i].key));
	if (config->has_process)
		check_process(&config->process);
}

static void run_state(const char *text, size_t size)
{
	struct container_state state;
	struct error err = { 0 };

	if (state_parse(text, size, &state, &err) == 0) {
		CLEANUP_FREE char *printed = state_print(&state, true, &err);

		FUZZ_CHECK(printed);
	} else {
		FUZZ_CHECK(err.message[0]);
	}
	state_free(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct oci_process *process;
	struct oci_config *config;
	struct error err = { 0 };

	if (config_parse(text, size, &config, &err) == 0)
		check_config(config);
	else
		FUZZ_CHECK(err.message[0] && !config);
	config_free(config);
	if (process_parse(text, size, &process, &err) == 0)
		check_process(process);
	else
		FUZZ_CHECK(!process);
	process_free(process);
	run_state(text, size);
	return 0;
}

static bool fuzz_seeds(size_t index, struct fuzz_input *input)
{
	static const char *const seeds[] = {
		sample_full,
		sample_podman,
		"{'args':['a'],'cwd':'/','env':['A=b'],'user':{'uid':1,'gid':2,'umask':18}}",
		"{'args':['a'],'cwd':'/','scheduler':{'policy':'SCHED_DEADLINE','runtime':1,"
		"'flags':['SCHED_FLAG_RECLAIM']},'ioPriority':{'class':'IOPRIO_CLASS_RT','priority':7},"
		"'execCPUAffinity':{'initial':'0-3, 7','final':'1023'}}",
		"{'ociVersion':'1.2.0','root':{'path':'r'},'linux':{'namespaces':[{'type':'network'},"
		"{'type':'time'}],'sysctl':{'net.ipv4.conf.eth0/1.x':'1'},'timeOffsets':"
		"{'boottime':{'secs':-1,'nanosecs':5}},'seccomp':{'defaultAction':'SCMP_ACT_TRACE',"
		"'defaultErrnoRet':1,'syscalls':[{'names':['a','b'],'action':'SCMP_ACT_KILL','args':["
		"{'index':5,'value':1,'valueTwo':2,'op':'SCMP_CMP_MASKED_EQ'}]}]},'resources':{"
		"'devices':[{'allow':true,'type':'c','major':1,'minor':-1,'access':'rwm'}],"
		"'cpu':{'cpus':'0-1','shares':3},'unified':{'io.max':'a\\nb'}}}}",
		"{'ociVersion':'1.0.2','id':'a','status':'running','pid':7,'annotations':{'a':'b'},"
		"'vxn':{'pidStartTime':18446744073709551615,'failure':'x'}}",
	};

	if (index >= sizeof(seeds) / sizeof(seeds[0]))
		return false;
	CLEANUP_FREE char *text = sample_text(seeds[index]);

	fuzz_add(input, text, strlen(text));
	return true;
}
