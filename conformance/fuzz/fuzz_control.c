/*
 * Fuzzes the parser of control messages, which the host runs on texts from the
 * guest. What is accepted must print, and mean the same when it is parsed again.
 */
#include "fuzz.h"

#include "cleanup.h"
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
