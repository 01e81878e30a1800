/* See devices.h. */
#include "devices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ID_MAX	     (UINT32_MAX - 1)
#define DEFAULT_MODE 0666
#define ALL	     (DEVICE_MKNOD | DEVICE_READ | DEVICE_WRITE)

const struct device_rule device_rules_always[] = {
	{ true, 'c', DEVICE_ANY, DEVICE_ANY, DEVICE_MKNOD },
	{ true, 'b', DEVICE_ANY, DEVICE_ANY, DEVICE_MKNOD },
	{ true, 'c', 1, 3, ALL },	     /* null */
	{ true, 'c', 1, 5, ALL },	     /* zero */
	{ true, 'c', 1, 7, ALL },	     /* full */
	{ true, 'c', 1, 8, ALL },	     /* random */
	{ true, 'c', 1, 9, ALL },	     /* urandom */
	{ true, 'c', 5, 0, ALL },	     /* tty */
	{ true, 'c', 5, 2, ALL },	     /* ptmx */
	{ true, 'c', 136, DEVICE_ANY, ALL }, /* pts */
	{ true, 'c', 10, 200, ALL },	     /* net/tun */
};
const size_t device_rules_always_count =
	sizeof(device_rules_always) / sizeof(device_rules_always[0]);

static int read_path(const struct json *item, struct oci_device *device, struct error *err)
{
	int ret = json_get_string(item, "path", &device->path, err);
	const char *name;

	if (ret < 0)
		return -1;
	if (ret == 0)
		return json_error_missing(item, "path", err);
	name = strrchr(device->path, '/');
	if (device->path[0] != '/' || !name[1] || strcmp(name, "/.") == 0 ||
	    strcmp(name, "/..") == 0)
		return json_error(json_member(item, "path"), err,
				  "must be the absolute path of a file, is \"%.80s\"",
				  device->path);
	return 0;
}

static int read_type(const struct json *item, struct oci_device *device, struct error *err)
{
	static const struct {
		const char *name;
		mode_t type;
	} types[] = {
		{ "c", S_IFCHR },
		{ "u", S_IFCHR },
		{ "b", S_IFBLK },
		{ "p", S_IFIFO },
	};
	const struct json *node = json_member(item, "type");

	if (!node)
		return json_error_missing(item, "type", err);
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(node->text, types[i].name) == 0) {
			device->mode = types[i].type;
			return 0;
		}
	return json_error(node, err, "is no type of device: \"%.40s\"", node->text);
}

/* A pipe has no number, but engines write one all the same. */
static int read_number(const struct json *item, const char *key, mode_t type, uint64_t max,
		       unsigned int *number, struct error *err)
{
	uint64_t value = 0;
	int ret;

	if (S_ISFIFO(type))
		return 0;
	ret = json_get_uint(item, key, max, &value, err);
	if (ret == 0)
		return json_error_missing(item, key, err);
	*number = (unsigned int)value;
	return ret < 0 ? -1 : 0;
}

static int read_device(const struct json *item, struct oci_device *device, struct error *err)
{
	uint64_t mode = DEFAULT_MODE, uid = 0, gid = 0;

	if (json_expect(item, JSON_OBJECT, err) < 0 || read_path(item, device, err) < 0 ||
	    read_type(item, device, err) < 0 ||
	    read_number(item, "major", device->mode, DEVICE_MAJOR_MAX, &device->major, err) < 0 ||
	    read_number(item, "minor", device->mode, DEVICE_MINOR_MAX, &device->minor, err) < 0 ||
	    json_get_uint(item, "fileMode", UINT32_MAX, &mode, err) < 0 ||
	    json_get_uint(item, "uid", ID_MAX, &uid, err) < 0 ||
	    json_get_uint(item, "gid", ID_MAX, &gid, err) < 0)
		return -1;
	/* Some engines write the type into it as well. */
	device->mode |= (mode_t)mode & 07777;
	device->uid = (uid_t)uid;
	device->gid = (gid_t)gid;
	return 0;
}

static int read_devices(const struct json *linux_, struct oci_devices *devices, struct error *err)
{
	const struct json *array = NULL;

	if (json_get_array(linux_, "devices", &array, err) < 0)
		return -1;
	devices->nodes = calloc(json_count(array) + 1, sizeof(*devices->nodes));
	if (!devices->nodes)
		return error_set(err, ENOMEM, "devices");
	for (const struct json *item = json_first(array); item; item = item->next)
		if (read_device(item, &devices->nodes[devices->nodes_count++], err) < 0)
			return -1;
	return 0;
}

static int read_rule_type(const struct json *item, char *type, struct error *err)
{
	const struct json *node = json_member(item, "type");

	*type = 'a';
	if (!node)
		return 0;
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	if (!node->text[0])
		return 0;
	if (node->text[1] || !strchr("abc", node->text[0]))
		return json_error(node, err, "must be a, b or c, is \"%.40s\"", node->text);
	*type = node->text[0];
	return 0;
}

static int read_access(const struct json *item, unsigned int *access, struct error *err)
{
	const struct json *node = json_member(item, "access");

	if (!node)
		return json_error_missing(item, "access", err);
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	if (!node->text[0] || node->text[strspn(node->text, "rwm")])
		return json_error(node, err, "must be of the letters r, w and m, is \"%.40s\"",
				  node->text);
	*access = (strchr(node->text, 'r') ? DEVICE_READ : 0) |
		  (strchr(node->text, 'w') ? DEVICE_WRITE : 0) |
		  (strchr(node->text, 'm') ? DEVICE_MKNOD : 0);
	return 0;
}

static int read_rule(const struct json *item, struct device_rule *rule, struct error *err)
{
	int64_t major = DEVICE_ANY, minor = DEVICE_ANY;

	if (json_expect(item, JSON_OBJECT, err) < 0 ||
	    json_get_bool(item, "allow", &rule->allow, err) < 0 ||
	    read_rule_type(item, &rule->type, err) < 0 ||
	    json_get_int(item, "major", DEVICE_ANY, DEVICE_MAJOR_MAX, &major, err) < 0 ||
	    json_get_int(item, "minor", DEVICE_ANY, DEVICE_MINOR_MAX, &minor, err) < 0 ||
	    read_access(item, &rule->access, err) < 0)
		return -1;
	rule->major = (int32_t)major;
	rule->minor = (int32_t)minor;
	return 0;
}

static int read_rules(const struct json *linux_, struct oci_devices *devices, struct error *err)
{
	const struct json *resources = NULL, *array = NULL;

	if (json_get_object(linux_, "resources", &resources, err) < 0 ||
	    json_get_array(resources, "devices", &array, err) < 0)
		return -1;
	devices->rules = calloc(json_count(array) + 1, sizeof(*devices->rules));
	if (!devices->rules)
		return error_set(err, ENOMEM, "devices");
	for (const struct json *item = json_first(array); item; item = item->next)
		if (read_rule(item, &devices->rules[devices->rules_count++], err) < 0)
			return -1;
	return 0;
}

int devices_read(const struct json *linux_, struct oci_devices *devices, struct error *err)
{
	if (read_devices(linux_, devices, err) < 0)
		return -1;
	return read_rules(linux_, devices, err);
}

void devices_free(struct oci_devices *devices)
{
	for (size_t i = 0; i < devices->nodes_count; i++)
		free(devices->nodes[i].path);
	free(devices->nodes);
	free(devices->rules);
}
