/*
 * When and where a process runs: process.scheduler, process.ioPriority and
 * process.execCPUAffinity (config.md, "Linux Process"; sched_setattr(2),
 * ioprio_set(2)). What they refuse is what runc refuses.
 */
#ifndef VXN_SCHEDULING_H
#define VXN_SCHEDULING_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "json.h"
#include "json_writer.h"

struct oci_scheduler {
	bool given;
	uint32_t policy; /* SCHED_* */
	uint64_t flags;	 /* SCHED_FLAG_* */
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period; /* ns */
};

struct oci_io_priority {
	bool given;
	int class; /* IOPRIO_CLASS_* */
	int priority;
};

/* Of processes that join a container, not of its first one. */
struct oci_cpu_affinity {
	bool has_initial, has_final;
	cpu_set_t initial; /* before the process is in the container's cgroup */
	cpu_set_t final;   /* from then on */
};

struct oci_scheduling {
	struct oci_scheduler scheduler;
	struct oci_io_priority io_priority;
	struct oci_cpu_affinity exec_affinity;
};

/* The members of a process. */
int scheduling_read(const struct json *process, struct oci_scheduling *scheduling,
		    struct error *err);
void scheduling_put(struct json_writer *writer, const struct oci_scheduling *scheduling);

/* What a process.json leaves open is as in the container's config.json (runc). */
void scheduling_inherit(struct oci_scheduling *scheduling, const struct oci_scheduling *container);

#endif
