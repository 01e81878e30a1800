/* linux.timeOffsets: of the clocks of a time namespace (time_namespaces(7)). */
#ifndef VXN_TIME_OFFSETS_H
#define VXN_TIME_OFFSETS_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "json.h"

struct oci_time_offset {
	bool given;
	int64_t seconds;
	uint32_t nanoseconds;
};

struct oci_time_offsets {
	struct oci_time_offset monotonic, boottime;
};

/* own: the container has a time namespace that is a new one; offsets take it. */
int time_offsets_read(const struct json *linux_, bool own, struct oci_time_offsets *offsets,
		      struct error *err);

#endif
