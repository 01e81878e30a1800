/*
 * Fuzzes the parser of control messages, which the host runs on texts from the
 * guest. What is accepted must print, and mean the same when it is parsed again.
 */
#include "driver.h"

#include "cleanup.h"
#include "conformance/unit/samples.h"
#include "control.h"

static void check_message(const struct control_message *message)
{
	CLEANUP_FREE char *first = control_print(message, NULL);
	CLEANUP_FREE char *second = NULL;
	struct control_message again;
	struct error err = { 0 };

	FUZZ_CHECK(first);
	FUZZ_CHECK(control_parse(first, strlen(first), &again, &err) == 0);
	second = control_print(&again, NULL);
	FUZZ_CHECK(second && strcmp(first, second) == 0);
	control_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_message message;
	struct error err = { 0 };

	if (control_parse((const char *)data, size, &message, &err) == 0)
		check_message(&message);
	else
		FUZZ_CHECK(err.message[0]);
	control_free(&message);
	return 0;
}

static bool fuzz_seeds(size_t index, struct fuzz_input *input)
{
	static const char *const seeds[] = {
		"{'op':'create','seq':1,'container':'c','process':1,'stdin_stream':1,"
		"'stdout_stream':2,'stderr_stream':3,'config':{'a':[1,{'b':null}]},"
		"'shares':[{'mount':-1,'stream':4,'directory':true,'readonly':false}]}",
		"{'op':'start','seq':2,'container':'c'}",
		"{'op':'exec','seq':3,'container':'c','process':2,'config':{'args':['x']}}",
		"{'op':'signal','seq':4,'process':2,'signal':15,'all':true}",
		"{'op':'resize','process':2,'width':80,'height':25}",
		"{'op':'reply','seq':5,'error':'exec: \\u00e9 \\ud83d\\ude00'}",
		"{'op':'exit','process':2,'status':256}",
	};

	if (index >= sizeof(seeds) / sizeof(seeds[0]))
		return false;
	CLEANUP_FREE char *text = sample_text(seeds[index]);

	fuzz_add(input, text, strlen(text));
	return true;
}
