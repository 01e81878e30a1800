/* The vm section of a config.json (config-vm.md). See config.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "config_parts.h"

/* Of the guest's kernel: COMMAND_LINE_SIZE is 2048, and its own part comes first. */
#define PARAMETERS_MAX 1024

static int read_path(const struct json *kernel, const char *name, char **path, struct error *err)
{
	int ret = json_get_string(kernel, name, path, err);

	if (ret > 0 && (*path)[0] != '/')
		return json_error(json_member(kernel, name), err,
				  "must be an absolute path, is \"%.80s\"", *path);
	return ret < 0 ? -1 : 0;
}

static int read_parameters(const struct json *kernel, char **joined, struct error *err)
{
	const struct json *array = NULL;
	char text[PARAMETERS_MAX + 1] = "";
	size_t used = 0;

	if (json_get_array(kernel, "parameters", &array, err) < 0)
		return -1;
	for (const struct json *item = json_first(array); item; item = item->next) {
		size_t length;

		if (json_expect(item, JSON_STRING, err) < 0)
			return -1;
		length = strlen(item->text);
		if (strpbrk(item->text, "\n\r"))
			return json_error(item, err, "must be one line");
		if (used + 1 + length > PARAMETERS_MAX)
			return json_error(array, err, "must not be longer than %d characters",
					  PARAMETERS_MAX);
		if (used)
			text[used++] = ' ';
		memcpy(text + used, item->text, length + 1);
		used += length;
	}
	if (!used)
		return 0;
	*joined = strdup(text);
	return *joined ? 0 : error_set(err, ENOMEM, "vm.kernel.parameters");
}

int config_read_vm(const struct json *root, struct oci_vm *vm, struct error *err)
{
	const struct json *section = NULL, *kernel = NULL;

	if (json_get_object(root, "vm", &section, err) < 0 ||
	    json_get_object(section, "kernel", &kernel, err) < 0 ||
	    read_path(kernel, "path", &vm->kernel, err) < 0 ||
	    read_path(kernel, "initrd", &vm->initrd, err) < 0)
		return -1;
	return read_parameters(kernel, &vm->parameters, err);
}

void config_release_vm(struct oci_vm *vm)
{
	free(vm->kernel);
	free(vm->initrd);
	free(vm->parameters);
}
