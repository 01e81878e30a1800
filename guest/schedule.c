/* See schedule.h. */
#include "schedule.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kmsg.h"

/* sched_setattr(2); the kernel's header of it can't be had together with libc's <sched.h>. */
struct attributes {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static int set_scheduler(const struct oci_scheduler *scheduler, struct error *err)
{
	struct attributes attributes = {
		.size = sizeof(attributes),
		.policy = scheduler->policy,
		.flags = scheduler->flags,
		.nice = scheduler->nice,
		.priority = scheduler->priority,
		.runtime = scheduler->runtime,
		.deadline = scheduler->deadline,
		.period = scheduler->period,
	};

	if (scheduler->given && syscall(SYS_sched_setattr, 0, &attributes, 0) < 0)
		return error_set(err, errno, "process.scheduler");
	return 0;
}

static int set_io_priority(const struct oci_io_priority *io_priority, struct error *err)
{
	int value = IOPRIO_PRIO_VALUE(io_priority->class, io_priority->priority);

	if (io_priority->given && syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) < 0)
		return error_set(err, errno, "process.ioPriority");
	return 0;
}

int schedule_apply(const struct oci_scheduling *scheduling, struct error *err)
{
	if (set_scheduler(&scheduling->scheduler, err) < 0)
		return -1;
	return set_io_priority(&scheduling->io_priority, err);
}

int schedule_set_personality(enum oci_personality given, struct error *err)
{
	if (given != OCI_PERSONALITY_NONE &&
	    personality(given == OCI_PERSONALITY_LINUX32 ? PER_LINUX32 : PER_LINUX) < 0)
		return error_set(err, errno, "linux.personality");
	return 0;
}

int affinity_enter(const struct oci_cpu_affinity *affinity, cpu_set_t *own, struct error *err)
{
	if (!affinity->has_initial)
		return 0;
	if (sched_getaffinity(0, sizeof(*own), own) < 0 ||
	    sched_setaffinity(0, sizeof(affinity->initial), &affinity->initial) < 0)
		return error_set(err, errno, "process.execCPUAffinity.initial");
	return 0;
}

void affinity_leave(const struct oci_cpu_affinity *affinity, const cpu_set_t *own)
{
	if (affinity->has_initial && sched_setaffinity(0, sizeof(*own), own) < 0)
		kmsg_error("return to the own CPUs: %m");
}

/* Without a final one: all that the container's cgroup allows. */
int affinity_set_final(const struct oci_cpu_affinity *affinity, struct error *err)
{
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	if (!affinity->has_initial && !affinity->has_final)
		return 0;
	if (sched_setaffinity(0, sizeof(all), affinity->has_final ? &affinity->final : &all) < 0)
		return error_set(err, errno, "process.execCPUAffinity.final");
	return 0;
}
