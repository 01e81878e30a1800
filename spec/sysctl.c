/* See sysctl.h. */
#include "sysctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const ipc_names[] = {
	"kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
	"kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced",
};

/*
 * sysctl(8): the first of '.' and '/' separates; the other one is then a dot in a
 * component (net.ipv4.conf.eth0/100.mtu is below eth0.100).
 */
static void name_to_path(char *name)
{
	char *first = strpbrk(name, "./");

	if (!first || *first == '/')
		return;
	for (char *c = name; *c; c++)
		*c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
}

/* No component is empty, "." or "..". */
static bool is_clean(const char *path)
{
	for (;;) {
		size_t length = strcspn(path, "/");

		if (length == 0 || (length == 1 && path[0] == '.') ||
		    (length == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (!path[length])
			return true;
		path += length + 1;
	}
}

static bool is_below(const char *path, const char *directory)
{
	return strncmp(path, directory, strlen(directory)) == 0;
}

static bool is_ipc(const char *path)
{
	for (size_t i = 0; i < sizeof(ipc_names) / sizeof(ipc_names[0]); i++)
		if (strcmp(path, ipc_names[i]) == 0)
			return true;
	return is_below(path, "fs/mqueue/");
}

static int need(const struct json *node, bool present, const char *namespace, struct error *err)
{
	if (present)
		return 0;
	return json_error(node, err,
			  "is refused: it belongs to the %s namespace, and the container has none "
			  "of its own",
			  namespace);
}

static int check(const struct json *node, const char *path, const struct sysctl_namespaces *own,
		 struct error *err)
{
	if (!is_clean(path))
		return json_error(node, err, "is no kernel parameter");
	if (is_ipc(path))
		return need(node, own->ipc, "ipc", err);
	if (is_below(path, "net/"))
		return need(node, own->network, "network", err);
	if (strcmp(path, "kernel/domainname") == 0)
		return need(node, own->uts, "uts", err);
	if (strcmp(path, "kernel/hostname") == 0)
		return json_error(node, err, "is refused: hostname is a field of its own");
	return json_error(node, err, "is refused: it is not in a separate kernel namespace");
}

static int read_one(const struct json *node, const struct sysctl_namespaces *own,
		    struct oci_sysctl *sysctl, struct error *err)
{
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	sysctl->name = strdup(node->key);
	sysctl->path = strdup(node->key);
	sysctl->value = strdup(node->text);
	if (!sysctl->name || !sysctl->path || !sysctl->value)
		return error_set(err, ENOMEM, "sysctl");
	name_to_path(sysctl->path);
	return check(node, sysctl->path, own, err);
}

int sysctl_read(const struct json *linux_, const struct sysctl_namespaces *own,
		struct oci_sysctls *sysctls, struct error *err)
{
	const struct json *object = NULL;

	if (json_get_object(linux_, "sysctl", &object, err) < 0)
		return -1;
	sysctls->items = calloc(json_count(object) + 1, sizeof(*sysctls->items));
	if (!sysctls->items)
		return error_set(err, ENOMEM, "sysctl");
	for (const struct json *node = json_first(object); node; node = node->next)
		if (read_one(node, own, &sysctls->items[sysctls->count++], err) < 0)
			return -1;
	return 0;
}

void sysctl_free(struct oci_sysctls *sysctls)
{
	for (size_t i = 0; i < sysctls->count; i++) {
		free(sysctls->items[i].name);
		free(sysctls->items[i].path);
		free(sysctls->items[i].value);
	}
	free(sysctls->items);
}
