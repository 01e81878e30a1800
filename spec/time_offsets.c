/* See time_offsets.h. */
#include "time_offsets.h"

#include <string.h>

#define NANOSECONDS_MAX 999999999

static int read_offset(const struct json *node, struct oci_time_offset *offset, struct error *err)
{
	uint64_t nanoseconds = 0;

	if (json_expect(node, JSON_OBJECT, err) < 0 ||
	    json_get_int(node, "secs", INT64_MIN, INT64_MAX, &offset->seconds, err) < 0 ||
	    json_get_uint(node, "nanosecs", NANOSECONDS_MAX, &nanoseconds, err) < 0)
		return -1;
	offset->given = true;
	offset->nanoseconds = (uint32_t)nanoseconds;
	return 0;
}

int time_offsets_read(const struct json *linux_, bool own, struct oci_time_offsets *offsets,
		      struct error *err)
{
	const struct json *object = NULL;

	if (json_get_object(linux_, "timeOffsets", &object, err) < 0)
		return -1;
	for (const struct json *node = json_first(object); node; node = node->next) {
		struct oci_time_offset *offset =
			strcmp(node->key, "monotonic") == 0  ? &offsets->monotonic
			: strcmp(node->key, "boottime") == 0 ? &offsets->boottime
							     : NULL;

		if (!offset)
			return json_error(node, err, "is no clock of a time namespace");
		if (!own)
			return json_error(object, err, "needs a new time namespace");
		if (read_offset(node, offset, err) < 0)
			return -1;
	}
	return 0;
}
