/* The lists of hooks.h. */
#include "hooks.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "string_list.h"

static const char *const stage_names[OCI_HOOK_STAGE_COUNT] = {
	[OCI_HOOK_PRESTART] = "prestart",
	[OCI_HOOK_CREATE_RUNTIME] = "createRuntime",
	[OCI_HOOK_CREATE_CONTAINER] = "createContainer",
	[OCI_HOOK_START_CONTAINER] = "startContainer",
	[OCI_HOOK_POSTSTART] = "poststart",
	[OCI_HOOK_POSTSTOP] = "poststop",
};

const char *oci_hook_stage_name(enum oci_hook_stage stage)
{
	return stage_names[stage];
}

static int read_path(const struct json *item, struct oci_hook *hook, struct error *err)
{
	int ret = json_get_string(item, "path", &hook->path, err);

	if (ret < 0)
		return -1;
	if (ret == 0)
		return json_error_missing(item, "path", err);
	if (hook->path[0] != '/')
		return json_error(json_member(item, "path"), err,
				  "must be an absolute path, is \"%.80s\"", hook->path);
	return 0;
}

static int read_timeout(const struct json *item, struct oci_hook *hook, struct error *err)
{
	int64_t seconds = 0;
	int ret = json_get_int(item, "timeout", INT_MIN, INT_MAX / 1000, &seconds, err);

	if (ret > 0 && seconds <= 0)
		return json_error(json_member(item, "timeout"), err,
				  "must be greater than zero, is %lld", (long long)seconds);
	hook->timeout = (int)seconds;
	return ret < 0 ? -1 : 0;
}

static int read_hook(const struct json *item, struct oci_hook *hook, struct error *err)
{
	if (json_expect(item, JSON_OBJECT, err) < 0 || read_path(item, hook, err) < 0 ||
	    json_get_strings(item, "args", &hook->args, err) < 0 ||
	    json_get_strings(item, "env", &hook->env, err) < 0)
		return -1;
	return read_timeout(item, hook, err);
}

static int read_stage(const struct json *object, const char *name, struct oci_hooks *hooks,
		      struct error *err)
{
	const struct json *array = NULL;

	if (json_get_array(object, name, &array, err) < 0)
		return -1;
	if (!json_first(array))
		return 0;
	hooks->items = calloc(json_count(array), sizeof(*hooks->items));
	if (!hooks->items)
		return error_set(err, ENOMEM, "hooks.%s", name);
	for (const struct json *item = json_first(array); item; item = item->next)
		if (read_hook(item, &hooks->items[hooks->count++], err) < 0)
			return -1;
	return 0;
}

int hooks_read(const struct json *root, struct oci_hooks hooks[OCI_HOOK_STAGE_COUNT],
	       struct error *err)
{
	const struct json *object = NULL;

	if (json_get_object(root, "hooks", &object, err) < 0)
		return -1;
	for (int stage = 0; stage < OCI_HOOK_STAGE_COUNT; stage++)
		if (read_stage(object, stage_names[stage], &hooks[stage], err) < 0)
			return -1;
	return 0;
}

void hooks_release(struct oci_hooks hooks[OCI_HOOK_STAGE_COUNT])
{
	for (int stage = 0; stage < OCI_HOOK_STAGE_COUNT; stage++) {
		for (size_t i = 0; i < hooks[stage].count; i++) {
			free(hooks[stage].items[i].path);
			strings_free(hooks[stage].items[i].args);
			strings_free(hooks[stage].items[i].env);
		}
		free(hooks[stage].items);
	}
}
