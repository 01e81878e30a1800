/*
 * How a container's process is scheduled, and which machine uname(2) shows it.
 * Errors name the field of config.json.
 */
#ifndef VXN_GUEST_SCHEDULE_H
#define VXN_GUEST_SCHEDULE_H

#include "config.h"
#include "error.h"
#include "scheduling.h"

/* process.scheduler and process.ioPriority, of the calling process. */
int schedule_apply(const struct oci_scheduling *scheduling, struct error *err);

int schedule_set_personality(enum oci_personality personality, struct error *err);

/*
 * Around the clone of a process that joins a container: it begins on the CPUs of
 * execCPUAffinity.initial, and the caller has its own again.
 */
int affinity_enter(const struct oci_cpu_affinity *affinity, cpu_set_t *own, struct error *err);
void affinity_leave(const struct oci_cpu_affinity *affinity, const cpu_set_t *own);

/* In that process, which is in the container's cgroup: the CPUs that it keeps. */
int affinity_set_final(const struct oci_cpu_affinity *affinity, struct error *err);

#endif
