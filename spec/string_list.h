/*
 * A growing list of strings that it owns, always NULL-terminated once something
 * was added: args, env, warnings.
 */
#ifndef VXN_STRING_LIST_H
#define VXN_STRING_LIST_H

#include <stddef.h>

#include "cleanup.h"
#include "error.h"

struct string_list {
	char **items;
	size_t count;
};

/* Adds a copy of text. Fails only when memory is short. */
int string_list_add(struct string_list *list, const char *text, struct error *err);
int string_list_addf(struct string_list *list, struct error *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Takes the array out of the list, which is empty then. An empty list gives an
 * array that holds only the NULL. NULL with err set when memory is short.
 */
char **string_list_steal(struct string_list *list, struct error *err);

void string_list_free(struct string_list *list);

/* Releases what string_list_steal returned; NULL is allowed. */
void strings_free(char **strings);

#define CLEANUP_STRING_LIST CLEANUP(string_list_free)

#endif
