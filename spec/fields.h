/*
 * What is done with each field of the OCI runtime spec (1.0.2 to 1.2: common,
 * linux and vm sections): one row each. A field that the table does not know is
 * unknown to the spec too, and is ignored as it demands.
 */
#ifndef VXN_FIELDS_H
#define VXN_FIELDS_H

#include <stddef.h>

#include "config_parts.h"

enum field_action {
	FIELD_APPLY,
	FIELD_WARN,   /* can't be applied, the container runs all the same: one line in --log */
	FIELD_REFUSE, /* create fails */
};

struct field_rule {
	const char *path; /* of a config.json; [] stands for every item of an array */
	enum field_action action;
	const char *reason; /* NULL = the action says it all */
};

extern const struct field_rule field_rules[];
extern const size_t field_rules_count;

/*
 * Applies the table to what a config really uses: present, and not null, false,
 * 0, empty, or an object of only such. root is what stands at the path prefix of
 * a config.json: "" for the whole, "process" for a process.json.
 */
int fields_check(const struct json *root, const char *prefix, struct string_list *warnings,
		 struct error *err);

#endif
