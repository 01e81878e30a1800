/* See cpu_list.h. */
#include "cpu_list.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_spaces(const char *text)
{
	while (*text == ' ')
		text++;
	return text;
}

/* Moves *text behind the number. */
static bool parse_number(const char **text, unsigned long *number)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	*number = strtoul(*text, &end, 10);
	*text = end;
	return *number < CPU_SETSIZE;
}

static bool parse_range(const char **text, cpu_set_t *set)
{
	unsigned long first, last;

	if (!parse_number(text, &first))
		return false;
	last = first;
	if (**text == '-') {
		(*text)++;
		if (!parse_number(text, &last) || last < first)
			return false;
	}
	for (unsigned long cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, set);
	return true;
}

bool cpu_list_parse(const char *text, cpu_set_t *set)
{
	CPU_ZERO(set);
	for (;;) {
		text = skip_spaces(text);
		if (*text && *text != ',' && !parse_range(&text, set))
			return false;
		text = skip_spaces(text);
		if (!*text)
			return CPU_COUNT(set) > 0;
		if (*text++ != ',')
			return false;
	}
}

char *cpu_list_print(const cpu_set_t *set)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	const char *separator = "";

	if (!file)
		return NULL;
	for (int first = 0; first < CPU_SETSIZE; first++) {
		int last = first;

		if (!CPU_ISSET(first, set))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
			last++;
		fprintf(file, last > first ? "%s%d-%d" : "%s%d", separator, first, last);
		separator = ",";
		first = last;
	}
	if (fclose(file) == 0)
		return text;
	free(text);
	return NULL;
}
