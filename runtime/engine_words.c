/* See engine_words.h. */
#include "engine_words.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* No replacement is longer than what it replaces. */
static const struct {
	const char *words, *instead;
} replacements[] = {
	{ "no such file or directory", "it does not exist" },
	{ "permission denied", "access refused" },
	{ "operation not permitted", "not allowed" },
	{ "executable file not found in", "no program found in" },
	{ "open executable", "open program" },
};

int engine_words_avoid(struct error *err)
{
	char *found;

	if (!err)
		return -1;
	for (size_t i = 0; i < sizeof(replacements) / sizeof(replacements[0]); i++)
		while ((found = strcasestr(err->message, replacements[i].words))) {
			size_t from = strlen(replacements[i].words);
			size_t to = strlen(replacements[i].instead);

			memcpy(found, replacements[i].instead, to);
			memmove(found + to, found + from, strlen(found + from) + 1);
		}
	return -1;
}
