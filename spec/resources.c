/* See resources.h. */
#include "resources.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_list.h"

#define SHARES_MIN     2 /* of version 1, and what they are in version 2 */
#define SHARES_MAX     262144
#define WEIGHT_MIN     1
#define WEIGHT_MAX     10000
#define IO_WEIGHT_MIN  10 /* of the spec: version 1's */
#define IO_WEIGHT_MAX  1000
#define DEFAULT_PERIOD 100000
#define UNLIMITED      (-1)

/* node: whose path is named when the kernel refuses the value. */
static int add(struct cgroup_settings *settings, const struct json *node, const char *file,
	       struct error *err, const char *format, ...) __attribute__((format(printf, 5, 6)));

static int add(struct cgroup_settings *settings, const struct json *node, const char *file,
	       struct error *err, const char *format, ...)
{
	struct cgroup_setting *larger, *setting;
	char path[JSON_PATH_MAX];
	va_list arguments;
	int length;

	larger = reallocarray(settings->items, settings->count + 1, sizeof(*larger));
	if (!larger)
		return error_set(err, ENOMEM, "resources");
	settings->items = larger;
	setting = &larger[settings->count++];
	json_path(node, path);
	setting->field = strdup(path);
	setting->file = strdup(file);
	setting->value = NULL;
	setting->kept_if_absent = false;
	setting->warn_if_absent = false;
	va_start(arguments, format);
	length = vasprintf(&setting->value, format, arguments);
	va_end(arguments);
	if (length < 0)
		setting->value = NULL;
	if (!setting->field || !setting->file || !setting->value)
		return error_set(err, ENOMEM, "resources");
	return 0;
}

/* A number of which 0 means "leave it" and a negative one "no limit". */
static int add_limit(struct oci_resources *resources, const struct json *node, const char *file,
		     int64_t value, struct error *err)
{
	if (!node || value == 0)
		return 0;
	return value < 0 ? add(&resources->inside, node, file, err, "max")
			 : add(&resources->inside, node, file, err, "%" PRId64, value);
}

static int get_limit(const struct json *object, const char *key, int64_t *value, struct error *err)
{
	*value = 0;
	return json_get_int(object, key, UNLIMITED, INT64_MAX, value, err);
}

/* The spec's swap is memory and swap together; version 2's is swap alone. */
static int read_swap(const struct json *memory, int64_t limit, struct oci_resources *resources,
		     struct error *err)
{
	const struct json *node = json_member(memory, "swap");
	int64_t swap;

	if (get_limit(memory, "swap", &swap, err) < 0)
		return -1;
	if (limit < 0 && swap == 0)
		return add(&resources->inside, json_member(memory, "limit"), "memory.swap.max", err,
			   "max");
	if (swap <= 0 || limit < 0)
		return add_limit(resources, node, "memory.swap.max", swap, err);
	if (limit == 0)
		return json_error(node, err, "can't be given without limit");
	if (swap < limit)
		return json_error(node, err, "must not be less than limit: it counts both");
	return add(&resources->inside, node, "memory.swap.max", err, "%" PRId64, swap - limit);
}

static int read_memory(const struct json *object, struct oci_resources *resources,
		       struct error *err)
{
	const struct json *memory = NULL;
	int64_t limit, reservation;

	if (json_get_object(object, "memory", &memory, err) < 0 ||
	    get_limit(memory, "limit", &limit, err) < 0 ||
	    get_limit(memory, "reservation", &reservation, err) < 0 ||
	    read_swap(memory, limit, resources, err) < 0 ||
	    add_limit(resources, json_member(memory, "limit"), "memory.max", limit, err) < 0)
		return -1;
	return add_limit(resources, json_member(memory, "reservation"), "memory.low", reservation,
			 err);
}

/* runc's line through both ends of the two ranges. */
static uint64_t shares_to_weight(uint64_t shares)
{
	if (shares <= SHARES_MIN)
		return WEIGHT_MIN;
	if (shares >= SHARES_MAX)
		return WEIGHT_MAX;
	return WEIGHT_MIN +
	       (shares - SHARES_MIN) * (WEIGHT_MAX - WEIGHT_MIN) / (SHARES_MAX - SHARES_MIN);
}

static int read_quota(const struct json *cpu, struct oci_resources *resources, struct error *err)
{
	const struct json *node = json_member(cpu, "quota");
	int64_t quota = 0;
	uint64_t period = 0;

	if (json_get_int(cpu, "quota", INT64_MIN, INT64_MAX, &quota, err) < 0 ||
	    json_get_uint(cpu, "period", UINT64_MAX, &period, err) < 0)
		return -1;
	if (!quota && !period)
		return 0;
	if (!node)
		node = json_member(cpu, "period");
	if (!period)
		period = DEFAULT_PERIOD;
	return quota > 0 ? add(&resources->inside, node, "cpu.max", err, "%" PRId64 " %" PRIu64,
			       quota, period)
			 : add(&resources->inside, node, "cpu.max", err, "max %" PRIu64, period);
}

static int read_cpus(const struct json *cpu, struct oci_resources *resources, struct error *err)
{
	const struct json *node = json_member(cpu, "cpus");
	cpu_set_t set;

	if (!node)
		return 0;
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	if (!node->text[0])
		return 0;
	if (!cpu_list_parse(node->text, &set))
		return json_error(node, err, "is no list of CPUs: \"%.80s\"", node->text);
	resources->cpus = (unsigned int)CPU_COUNT(&set);
	return 0;
}

/* A cgroup that is idle takes no weight: the weight comes first. */
static int read_cpu(const struct json *object, struct oci_resources *resources, struct error *err)
{
	const struct json *cpu = NULL;
	uint64_t shares = 0, burst = 0, idle = 0;
	int has_burst, has_idle;

	if (json_get_object(object, "cpu", &cpu, err) < 0 ||
	    json_get_uint(cpu, "shares", UINT64_MAX, &shares, err) < 0 ||
	    read_cpus(cpu, resources, err) < 0)
		return -1;
	if (shares && add(&resources->inside, json_member(cpu, "shares"), "cpu.weight", err,
			  "%" PRIu64, shares_to_weight(shares)) < 0)
		return -1;
	if (read_quota(cpu, resources, err) < 0)
		return -1;
	has_burst = json_get_uint(cpu, "burst", UINT64_MAX, &burst, err);
	has_idle = json_get_uint(cpu, "idle", 1, &idle, err);
	if (has_burst < 0 || has_idle < 0)
		return -1;
	if (has_burst && add(&resources->inside, json_member(cpu, "burst"), "cpu.max.burst", err,
			     "%" PRIu64, burst) < 0)
		return -1;
	if (has_idle)
		return add(&resources->inside, json_member(cpu, "idle"), "cpu.idle", err,
			   "%" PRIu64, idle);
	return 0;
}

/*
 * What there is to be seen of it on the host, where no process of the container is
 * but its stand-ins and its virtual machine: processors and their time.
 */
static int read_host_cpu(const struct json *object, struct oci_resources *resources,
			 struct error *err)
{
	static const struct {
		const char *member, *file;
		enum json_type type;
	} rows[] = {
		{ "shares", "cpu.shares", JSON_NUMBER },
		{ "period", "cpu.cfs_period_us", JSON_NUMBER },
		{ "quota", "cpu.cfs_quota_us", JSON_NUMBER },
		{ "burst", "cpu.cfs_burst_us", JSON_NUMBER },
		{ "realtimePeriod", "cpu.rt_period_us", JSON_NUMBER },
		{ "realtimeRuntime", "cpu.rt_runtime_us", JSON_NUMBER },
		{ "cpus", "cpuset.cpus", JSON_STRING },
		{ "mems", "cpuset.mems", JSON_STRING },
	};
	const struct json *cpu = json_member(object, "cpu");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct json *node = json_member(cpu, rows[i].member);

		if (!node)
			continue;
		if (json_expect(node, rows[i].type, err) < 0)
			return -1;
		/* the number 0 and "" are "not given" */
		if (strcmp(node->text, rows[i].type == JSON_NUMBER ? "0" : "") != 0 &&
		    add(&resources->host, node, rows[i].file, err, "%s", node->text) < 0)
			return -1;
	}
	return 0;
}

/* What is of version 2, or called the same in both. */
static int copy_to_host(const struct json *object, struct oci_resources *resources,
			struct error *err)
{
	for (size_t i = 0; i < resources->inside.count; i++) {
		const struct cgroup_setting *setting = &resources->inside.items[i];
		bool is_pids = strcmp(setting->file, "pids.max") == 0;

		if (!is_pids && strncmp(setting->file, "cpu.", 4) != 0)
			continue;
		if (add(&resources->host, json_member(object, is_pids ? "pids" : "cpu"),
			setting->file, err, "%s", setting->value) < 0)
			return -1;
	}
	return 0;
}

/* For a file of the host's cgroup that it may not have: schedulers bring their own. */
static int add_io(struct oci_resources *resources, const struct json *node, const char *file,
		  const char *device, const char *value, struct error *err)
{
	if (add(&resources->host, node, file, err, "%s%s", device, value) < 0)
		return -1;
	resources->host.items[resources->host.count - 1].warn_if_absent = true;
	return 0;
}

/* device: "MAJOR:MINOR " or "". */
static int add_io_weight(struct oci_resources *resources, const struct json *object,
			 const struct json *node, const char *device, struct error *err)
{
	const bool all = !device[0];
	char given[24], of_version_2[24];
	uint64_t weight = 0;

	if (json_get_uint(object, "weight", IO_WEIGHT_MAX, &weight, err) < 0)
		return -1;
	if (!weight)
		return 0;
	if (weight < IO_WEIGHT_MIN)
		return json_error(json_member(object, "weight"), err, "must be %d to %d",
				  IO_WEIGHT_MIN, IO_WEIGHT_MAX);
	snprintf(given, sizeof(given), "%" PRIu64, weight);
	/* runc's line through both ends of the two ranges */
	snprintf(of_version_2, sizeof(of_version_2), "%" PRIu64,
		 WEIGHT_MIN + (weight - IO_WEIGHT_MIN) * (WEIGHT_MAX - WEIGHT_MIN) /
				      (IO_WEIGHT_MAX - IO_WEIGHT_MIN));
	if (add_io(resources, node, all ? "blkio.weight" : "blkio.weight_device", device, given,
		   err) < 0 ||
	    add_io(resources, node, all ? "blkio.bfq.weight" : "blkio.bfq.weight_device", device,
		   given, err) < 0 ||
	    add_io(resources, node, "io.bfq.weight", device, given, err) < 0)
		return -1;
	return add_io(resources, node, "io.weight", device, of_version_2, err);
}

static int read_io_device(const struct json *item, char *device, size_t size, struct error *err)
{
	static const char *const members[2] = { "major", "minor" };
	uint64_t numbers[2] = { 0 };

	if (json_expect(item, JSON_OBJECT, err) < 0)
		return -1;
	for (size_t i = 0; i < 2; i++) {
		int ret = json_get_uint(item, members[i], UINT32_MAX, &numbers[i], err);

		if (ret <= 0)
			return ret < 0 ? -1 : json_error_missing(item, members[i], err);
	}
	snprintf(device, size, "%" PRIu64 ":%" PRIu64 " ", numbers[0], numbers[1]);
	return 0;
}

struct throttle {
	const char *member;
	const char *file, *key; /* of version 1; in io.max */
};

static int read_throttle(const struct json *item, const struct throttle *throttle,
			 struct oci_resources *resources, struct error *err)
{
	char device[48], rate[24], limit[32];
	uint64_t number = 0;

	if (read_io_device(item, device, sizeof(device), err) < 0 ||
	    json_get_uint(item, "rate", UINT64_MAX, &number, err) < 0)
		return -1;
	snprintf(rate, sizeof(rate), "%" PRIu64, number);
	/* 0 is no limit; version 2 has a word for it */
	snprintf(limit, sizeof(limit), "%s=%s", throttle->key, number ? rate : "max");
	if (add_io(resources, item, throttle->file, device, rate, err) < 0)
		return -1;
	return add_io(resources, item, "io.max", device, limit, err);
}

/* Of the host's disks, by their numbers there: there are none in the virtual machine. */
static int read_block_io(const struct json *object, struct oci_resources *resources,
			 struct error *err)
{
	static const struct throttle throttles[] = {
		{ "throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps" },
		{ "throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps" },
		{ "throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops" },
		{ "throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops" },
	};
	const struct json *io = NULL, *array = NULL;
	char device[48] = "";

	if (json_get_object(object, "blockIO", &io, err) < 0 ||
	    add_io_weight(resources, io, json_member(io, "weight"), "", err) < 0 ||
	    json_get_array(io, "weightDevice", &array, err) < 0)
		return -1;
	for (const struct json *item = json_first(array); item; item = item->next)
		if (read_io_device(item, device, sizeof(device), err) < 0 ||
		    add_io_weight(resources, item, item, device, err) < 0)
			return -1;
	for (size_t i = 0; i < sizeof(throttles) / sizeof(throttles[0]); i++) {
		array = NULL;
		if (json_get_array(io, throttles[i].member, &array, err) < 0)
			return -1;
		for (const struct json *item = json_first(array); item; item = item->next)
			if (read_throttle(item, &throttles[i], resources, err) < 0)
				return -1;
	}
	return 0;
}

static int read_pids(const struct json *object, struct oci_resources *resources, struct error *err)
{
	const struct json *pids = NULL;
	int64_t limit = 0;

	if (json_get_object(object, "pids", &pids, err) < 0 ||
	    json_get_int(pids, "limit", INT64_MIN, INT64_MAX, &limit, err) < 0)
		return -1;
	return add_limit(resources, json_member(pids, "limit"), "pids.max", limit, err);
}

/* "2MB": as the kernel names its files. */
static bool is_page_size(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits < 10 && text[0] != '0' && text[digits] &&
	       strchr("KMG", text[digits]) && strcmp(text + digits + 1, "B") == 0;
}

static int read_hugepages(const struct json *item, struct oci_resources *resources,
			  struct error *err)
{
	const struct json *size;
	uint64_t limit = 0;
	char file[64];
	int ret;

	if (json_expect(item, JSON_OBJECT, err) < 0)
		return -1;
	size = json_member(item, "pageSize");
	if (!size)
		return json_error_missing(item, "pageSize", err);
	if (json_expect(size, JSON_STRING, err) < 0)
		return -1;
	if (!is_page_size(size->text))
		return json_error(size, err, "is no page size: \"%.40s\"", size->text);
	ret = json_get_uint(item, "limit", UINT64_MAX, &limit, err);
	if (ret <= 0)
		return ret < 0 ? -1 : json_error_missing(item, "limit", err);
	snprintf(file, sizeof(file), "hugetlb.%s.max", size->text);
	if (add(&resources->inside, item, file, err, "%" PRIu64, limit) < 0)
		return -1;
	/* Engines write one for each size that the host has (kubelet: 0 of each). */
	resources->inside.items[resources->inside.count - 1].kept_if_absent = true;
	return 0;
}

static int read_unified(const struct json *item, struct oci_resources *resources, struct error *err)
{
	if (json_expect(item, JSON_STRING, err) < 0)
		return -1;
	if (strchr(item->key, '/') || !strchr(item->key, '.') || item->key[0] == '.')
		return json_error(item, err, "must be named CONTROLLER.FILE");
	return add(&resources->inside, item, item->key, err, "%s", item->text);
}

int resources_read(const struct json *linux_, struct oci_resources *resources, struct error *err)
{
	const struct json *object = NULL, *hugepages = NULL, *unified = NULL;

	if (json_get_object(linux_, "resources", &object, err) < 0 ||
	    read_memory(object, resources, err) < 0 || read_cpu(object, resources, err) < 0 ||
	    read_host_cpu(object, resources, err) < 0 || read_pids(object, resources, err) < 0 ||
	    copy_to_host(object, resources, err) < 0 || read_block_io(object, resources, err) < 0 ||
	    json_get_array(object, "hugepageLimits", &hugepages, err) < 0 ||
	    json_get_object(object, "unified", &unified, err) < 0)
		return -1;
	for (const struct json *item = json_first(hugepages); item; item = item->next)
		if (read_hugepages(item, resources, err) < 0)
			return -1;
	for (const struct json *item = json_first(unified); item; item = item->next)
		if (read_unified(item, resources, err) < 0)
			return -1;
	return 0;
}

static void settings_free(struct cgroup_settings *settings)
{
	for (size_t i = 0; i < settings->count; i++) {
		free(settings->items[i].field);
		free(settings->items[i].file);
		free(settings->items[i].value);
	}
	free(settings->items);
}

void resources_free(struct oci_resources *resources)
{
	settings_free(&resources->inside);
	settings_free(&resources->host);
}
