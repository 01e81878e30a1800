/*
 * Fuzzes the parsers of files: config.json, process.json, the state. What is
 * accepted must print and parse again to the same.
 */
#include "fuzz.h"

#include "cleanup.h"
#include "config.h"
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
	FUZZ_CHECK(config->warnings);
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
