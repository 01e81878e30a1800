/* What tests of the config parser share: texts as in samples.h, and inputs that are wrong in one place each. */
#ifndef VXN_UNIT_CONFIGS_H
#define VXN_UNIT_CONFIGS_H

#include "unit.h"

#include "config.h"
#include "samples.h"

/* Fails the test when it is none. */
static inline struct oci_config *parse_config(const char *text)
{
	CLEANUP_FREE char *json = sample_text(text);
	struct oci_config *config;
	struct error err = { 0 };

	if (config_parse(json, strlen(json), &config, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return config;
}

struct wrong_input {
	const char *json, *message; /* how the error begins */
};

static inline void assert_wrong(const struct wrong_input *input, bool is_process)
{
	CLEANUP_FREE char *json = sample_text(input->json);
	struct oci_process *process;
	struct oci_config *config;
	struct error err = { 0 };
	int result = is_process ? process_parse(json, strlen(json), &process, &err)
				: config_parse(json, strlen(json), &config, &err);

	if (result == 0)
		fail_msg("accepted: %s", json);
	if (strncmp(err.message, input->message, strlen(input->message)) != 0)
		fail_msg("%s\n says     %s\n expected %s", json, err.message, input->message);
}

#endif
