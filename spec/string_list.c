/* See string_list.h. */
#include "string_list.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Room for one more string and the NULL; grows by doubling at powers of two. */
static int list_reserve(struct string_list *list)
{
	size_t used = list->count + 1;
	char **items;

	if (list->items && (used & (used - 1)) != 0)
		return 0;
	items = reallocarray(list->items, used * 2, sizeof(*items));
	if (!items)
		return -1;
	list->items = items;
	return 0;
}

/* Takes over text, which may be NULL after a failed allocation. */
static int list_push(struct string_list *list, char *text, struct error *err)
{
	if (!text || list_reserve(list) < 0) {
		free(text);
		return error_set(err, ENOMEM, "list of strings");
	}
	list->items[list->count++] = text;
	list->items[list->count] = NULL;
	return 0;
}

int string_list_add(struct string_list *list, const char *text, struct error *err)
{
	return list_push(list, strdup(text), err);
}

int string_list_addf(struct string_list *list, struct error *err, const char *format, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	return list_push(list, text, err);
}

char **string_list_steal(struct string_list *list, struct error *err)
{
	char **items = steal_pointer(&list->items);

	list->count = 0;
	if (!items)
		items = calloc(1, sizeof(*items));
	if (!items)
		error_set(err, ENOMEM, "list of strings");
	return items;
}

void string_list_free(struct string_list *list)
{
	strings_free(list->items);
	list->items = NULL;
	list->count = 0;
}

void strings_free(char **strings)
{
	if (!strings)
		return;
	for (char **s = strings; *s; s++)
		free(*s);
	free(strings);
}
