/* See id_mappings.h. */
#include "id_mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

static int add(struct oci_id_mappings *mappings, const struct oci_id_mapping *mapping,
	       struct error *err)
{
	struct oci_id_mapping *items;

	if (!mapping->size || mapping->container + mapping->size < mapping->container ||
	    mapping->host + mapping->size < mapping->host)
		return error_set(err, 0, "is no range of ids");
	if (mappings->count >= ID_MAPPINGS_MAX)
		return error_set(err, 0, "has more than %d ranges of ids", ID_MAPPINGS_MAX);
	items = realloc(mappings->items, (mappings->count + 1) * sizeof(*items));
	if (!items)
		return error_set(err, ENOMEM, "id mappings");
	mappings->items = items;
	items[mappings->count++] = *mapping;
	return 0;
}

static int read_mapping(const struct json *item, struct oci_id_mappings *mappings,
			struct error *err)
{
	uint64_t container = 0, host = 0, size = 0;
	struct oci_id_mapping mapping;
	struct error why = { 0 };

	if (json_expect(item, JSON_OBJECT, err) < 0 ||
	    json_get_uint(item, "containerID", UINT32_MAX, &container, err) < 0 ||
	    json_get_uint(item, "hostID", UINT32_MAX, &host, err) < 0 ||
	    json_get_uint(item, "size", UINT32_MAX, &size, err) < 0)
		return -1;
	mapping.container = (uint32_t)container;
	mapping.host = (uint32_t)host;
	mapping.size = (uint32_t)size;
	return add(mappings, &mapping, &why) < 0 ? json_error(item, err, "%s", why.message) : 0;
}

int id_mappings_read(const struct json *node, const char *name, struct oci_id_mappings *mappings,
		     struct error *err)
{
	const struct json *array = NULL;

	if (json_get_array(node, name, &array, err) < 0)
		return -1;
	for (const struct json *item = json_first(array); item; item = item->next)
		if (read_mapping(item, mappings, err) < 0)
			return -1;
	return 0;
}

const char *id_mappings_parse(const char *text, struct oci_id_mappings *mappings)
{
	for (;;) {
		struct oci_id_mapping mapping;
		int length = 0;

		if (sscanf(text, "%" SCNu32 "-%" SCNu32 "-%" SCNu32 "%n", &mapping.container,
			   &mapping.host, &mapping.size, &length) != 3 ||
		    add(mappings, &mapping, NULL) < 0)
			return NULL;
		text += length;
		if (*text != '#')
			return text;
		text++;
	}
}

bool id_mappings_to_host(const struct oci_id_mappings *mappings, uint32_t id, uint32_t *host)
{
	for (size_t i = 0; i < mappings->count; i++) {
		const struct oci_id_mapping *one = &mappings->items[i];

		if (id < one->container || id - one->container >= one->size)
			continue;
		*host = one->host + (id - one->container);
		return true;
	}
	return false;
}

void id_mappings_release(struct oci_id_mappings *mappings)
{
	free(mappings->items);
	*mappings = (struct oci_id_mappings){ 0 };
}

/* The kernel makes a user namespace only for a process. */
struct child {
	pid_t pid;
	int socket;
	char name[32]; /* of its directory in /proc, which may be another pid namespace's */
};

static _Noreturn void run_child(int socket)
{
	char name[32] = "";
	ssize_t length;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	length = readlink("/proc/self", name, sizeof(name) - 1);
	if (unshare(CLONE_NEWUSER) || length <= 0 || send(socket, name, (size_t)length, 0) < 0)
		_exit(1);
	/* until the other end is closed */
	if (read(socket, name, 1) < 0)
		_exit(1);
	_exit(0);
}

static void end_child(struct child *child)
{
	if (child->pid <= 0)
		return;
	close(child->socket);
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int start_child(struct child *child, struct error *err)
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return error_set(err, errno, "socketpair");
	child->pid = fork();
	if (child->pid == 0) {
		close(sockets[0]);
		run_child(sockets[1]);
	}
	close(sockets[1]);
	child->socket = sockets[0];
	if (child->pid < 0) {
		close(sockets[0]);
		return error_set(err, errno, "fork");
	}
	if (recv(child->socket, child->name, sizeof(child->name) - 1, 0) <= 0)
		return error_set(err, 0, "no user namespace can be made");
	return 0;
}

int id_mappings_write(const char *process, const char *file, const struct oci_id_mappings *mappings,
		      struct error *err)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_CLOSE int fd = -1;
	char path[64];
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return error_set(err, ENOMEM, "id mappings");
	for (size_t i = 0; i < mappings->count; i++)
		fprintf(stream, "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
			mappings->items[i].container, mappings->items[i].host,
			mappings->items[i].size);
	if (fclose(stream))
		return error_set(err, ENOMEM, "id mappings");
	snprintf(path, sizeof(path), "/proc/%s/%s", process, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, size) != (ssize_t)size)
		return error_set(err, errno, "map the ids by %s", file);
	return 0;
}

int user_namespace_make(const struct oci_id_mappings *uids, const struct oci_id_mappings *gids,
			struct error *err)
{
	CLEANUP(end_child) struct child child = { 0 };
	char path[64];
	int fd;

	if (start_child(&child, err) || id_mappings_write(child.name, "uid_map", uids, err) ||
	    id_mappings_write(child.name, "gid_map", gids, err))
		return -1;
	snprintf(path, sizeof(path), "/proc/%s/ns/user", child.name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? error_set(err, errno, "open the user namespace") : fd;
}
