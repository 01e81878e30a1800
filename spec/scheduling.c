/* See scheduling.h. */
#include "scheduling.h"

#include <linux/ioprio.h>
#include <linux/sched.h>
#include <string.h>

#include "cpu_list.h"

#define NICE_MIN	(-20)
#define NICE_MAX	19
#define PRIORITY_MAX	99
#define IO_PRIORITY_MAX 7
#define SCHED_ISO_	4 /* the kernel reserves it and does not have it */

struct name {
	const char *name;
	uint32_t value;
};

static const struct name policies[] = {
	{ "SCHED_OTHER", SCHED_NORMAL },
	{ "SCHED_FIFO", SCHED_FIFO },
	{ "SCHED_RR", SCHED_RR },
	{ "SCHED_BATCH", SCHED_BATCH },
	{ "SCHED_ISO", SCHED_ISO_ },
	{ "SCHED_IDLE", SCHED_IDLE },
	{ "SCHED_DEADLINE", SCHED_DEADLINE },
};

static const struct name flags[] = {
	{ "SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK },
	{ "SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM },
	{ "SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN },
	{ "SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY },
	{ "SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS },
	{ "SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN },
	{ "SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX },
};

static const struct name io_classes[] = {
	{ "IOPRIO_CLASS_RT", IOPRIO_CLASS_RT },
	{ "IOPRIO_CLASS_BE", IOPRIO_CLASS_BE },
	{ "IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE },
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* what: "scheduling policy". */
static int read_name(const struct json *node, const struct name *names, size_t count,
		     const char *what, uint32_t *value, struct error *err)
{
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (strcmp(node->text, names[i].name) == 0) {
			*value = names[i].value;
			return 0;
		}
	return json_error(node, err, "is no %s: \"%.40s\"", what, node->text);
}

static const char *name_of(const struct name *names, size_t count, uint32_t value)
{
	for (size_t i = 0; i < count; i++)
		if (names[i].value == value)
			return names[i].name;
	return "";
}

static int read_flags(const struct json *object, struct oci_scheduler *scheduler, struct error *err)
{
	const struct json *array = NULL;
	uint32_t flag = 0;

	if (json_get_array(object, "flags", &array, err) < 0)
		return -1;
	for (const struct json *item = json_first(array); item; item = item->next) {
		if (read_name(item, flags, COUNT(flags), "scheduling flag", &flag, err) < 0)
			return -1;
		scheduler->flags |= flag;
	}
	return 0;
}

/* What belongs to a policy that was not chosen is an error. */
static int check_policy(const struct json *object, const struct oci_scheduler *scheduler,
			struct error *err)
{
	if (scheduler->priority && scheduler->policy != SCHED_FIFO && scheduler->policy != SCHED_RR)
		return json_error(json_member(object, "priority"), err,
				  "can be given for SCHED_FIFO and SCHED_RR only");
	if (scheduler->policy != SCHED_DEADLINE &&
	    (scheduler->runtime || scheduler->deadline || scheduler->period))
		return json_error(object, err,
				  "gives runtime, deadline or period, which are for SCHED_DEADLINE "
				  "only");
	return 0;
}

static int read_scheduler(const struct json *process, struct oci_scheduler *scheduler,
			  struct error *err)
{
	const struct json *object = NULL, *policy;
	int64_t nice = 0;
	uint64_t priority = 0;
	int ret = json_get_object(process, "scheduler", &object, err);

	if (ret <= 0)
		return ret;
	scheduler->given = true;
	policy = json_member(object, "policy");
	if (!policy)
		return json_error_missing(object, "policy", err);
	if (read_name(policy, policies, COUNT(policies), "scheduling policy", &scheduler->policy,
		      err) < 0 ||
	    json_get_int(object, "nice", NICE_MIN, NICE_MAX, &nice, err) < 0 ||
	    json_get_uint(object, "priority", PRIORITY_MAX, &priority, err) < 0 ||
	    json_get_uint(object, "runtime", UINT64_MAX, &scheduler->runtime, err) < 0 ||
	    json_get_uint(object, "deadline", UINT64_MAX, &scheduler->deadline, err) < 0 ||
	    json_get_uint(object, "period", UINT64_MAX, &scheduler->period, err) < 0 ||
	    read_flags(object, scheduler, err) < 0)
		return -1;
	scheduler->nice = (int32_t)nice;
	scheduler->priority = (uint32_t)priority;
	return check_policy(object, scheduler, err);
}

static int read_io_priority(const struct json *process, struct oci_io_priority *io_priority,
			    struct error *err)
{
	const struct json *object = NULL, *node;
	uint64_t priority = 0;
	uint32_t class = 0;
	int ret = json_get_object(process, "ioPriority", &object, err);

	if (ret <= 0)
		return ret;
	node = json_member(object, "class");
	if (!node)
		return json_error_missing(object, "class", err);
	if (read_name(node, io_classes, COUNT(io_classes), "I/O scheduling class", &class, err) <
		    0 ||
	    json_get_uint(object, "priority", IO_PRIORITY_MAX, &priority, err) < 0)
		return -1;
	io_priority->given = true;
	io_priority->class = (int)class;
	io_priority->priority = (int)priority;
	return 0;
}

static int read_cpus(const struct json *object, const char *key, bool *given, cpu_set_t *set,
		     struct error *err)
{
	const struct json *node = json_member(object, key);

	if (!node)
		return 0;
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	*given = node->text[0] != '\0';
	if (*given && !cpu_list_parse(node->text, set))
		return json_error(node, err, "is no list of CPUs: \"%.80s\"", node->text);
	return 0;
}

static int read_affinity(const struct json *process, struct oci_cpu_affinity *affinity,
			 struct error *err)
{
	const struct json *object = NULL;

	if (json_get_object(process, "execCPUAffinity", &object, err) < 0 ||
	    read_cpus(object, "initial", &affinity->has_initial, &affinity->initial, err) < 0 ||
	    read_cpus(object, "final", &affinity->has_final, &affinity->final, err) < 0)
		return -1;
	return 0;
}

int scheduling_read(const struct json *process, struct oci_scheduling *scheduling,
		    struct error *err)
{
	if (read_scheduler(process, &scheduling->scheduler, err) < 0 ||
	    read_io_priority(process, &scheduling->io_priority, err) < 0 ||
	    read_affinity(process, &scheduling->exec_affinity, err) < 0)
		return -1;
	return 0;
}

static void put_scheduler(struct json_writer *writer, const struct oci_scheduler *scheduler)
{
	if (!scheduler->given)
		return;
	json_put_object(writer, "scheduler");
	json_put_string(writer, "policy", name_of(policies, COUNT(policies), scheduler->policy));
	json_put_int(writer, "nice", scheduler->nice);
	json_put_uint(writer, "priority", scheduler->priority);
	json_put_array(writer, "flags");
	for (size_t i = 0; i < COUNT(flags); i++)
		if (scheduler->flags & flags[i].value)
			json_put_string(writer, NULL, flags[i].name);
	json_end_array(writer);
	json_put_uint(writer, "runtime", scheduler->runtime);
	json_put_uint(writer, "deadline", scheduler->deadline);
	json_put_uint(writer, "period", scheduler->period);
	json_end_object(writer);
}

static void put_io_priority(struct json_writer *writer, const struct oci_io_priority *io_priority)
{
	if (!io_priority->given)
		return;
	json_put_object(writer, "ioPriority");
	json_put_string(writer, "class",
			name_of(io_classes, COUNT(io_classes), (uint32_t)io_priority->class));
	json_put_int(writer, "priority", io_priority->priority);
	json_end_object(writer);
}

/* Without memory for a list, a member that makes the text an invalid one. */
static void put_cpus(struct json_writer *writer, const char *key, bool given, const cpu_set_t *set)
{
	CLEANUP_FREE char *list = given ? cpu_list_print(set) : NULL;

	if (given)
		json_put_string(writer, key, list ? list : "out of memory");
}

static void put_affinity(struct json_writer *writer, const struct oci_cpu_affinity *affinity)
{
	if (!affinity->has_initial && !affinity->has_final)
		return;
	json_put_object(writer, "execCPUAffinity");
	put_cpus(writer, "initial", affinity->has_initial, &affinity->initial);
	put_cpus(writer, "final", affinity->has_final, &affinity->final);
	json_end_object(writer);
}

void scheduling_put(struct json_writer *writer, const struct oci_scheduling *scheduling)
{
	put_scheduler(writer, &scheduling->scheduler);
	put_io_priority(writer, &scheduling->io_priority);
	put_affinity(writer, &scheduling->exec_affinity);
}

void scheduling_inherit(struct oci_scheduling *scheduling, const struct oci_scheduling *container)
{
	if (!scheduling->scheduler.given)
		scheduling->scheduler = container->scheduler;
	if (!scheduling->io_priority.given)
		scheduling->io_priority = container->io_priority;
	if (!scheduling->exec_affinity.has_initial && !scheduling->exec_affinity.has_final)
		scheduling->exec_affinity = container->exec_affinity;
}
