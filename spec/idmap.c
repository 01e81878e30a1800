/*
 * See idmap.h. The kernel takes a mapping only as that of a user namespace, so a
 * child makes one, which lives until its mapping has been taken over.
 */
#include "idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

/* --- parsing --- */

static int add(struct oci_id_mappings *mappings, const struct oci_id_mapping *mapping,
	       struct error *err)
{
	struct oci_id_mapping *items;

	if (!mapping->size || mapping->container + mapping->size < mapping->container ||
	    mapping->host + mapping->size < mapping->host)
		return error_set(err, 0, "is no range of ids");
	if (mappings->count >= IDMAP_RANGES_MAX)
		return error_set(err, 0, "has more than %d ranges of ids", IDMAP_RANGES_MAX);
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

static int read_mappings(const struct json *node, const char *name,
			 struct oci_id_mappings *mappings, struct error *err)
{
	const struct json *array = NULL;

	if (json_get_array(node, name, &array, err) < 0)
		return -1;
	for (const struct json *item = json_first(array); item; item = item->next)
		if (read_mapping(item, mappings, err) < 0)
			return -1;
	return 0;
}

int idmap_read(const struct json *mount_node, struct oci_mount *mount, struct error *err)
{
	if (read_mappings(mount_node, "uidMappings", &mount->uid_mappings, err) < 0 ||
	    read_mappings(mount_node, "gidMappings", &mount->gid_mappings, err) < 0)
		return -1;
	if (mount->uid_mappings.count || mount->gid_mappings.count)
		mount->idmap = true;
	return 0;
}

/* "0-1-10#10-11-10", up to a ';' or the end, which is returned; NULL: it is not that. */
static const char *parse_ranges(const char *text, struct oci_id_mappings *mappings,
				struct error *err)
{
	for (;;) {
		struct oci_id_mapping mapping;
		int length = 0;

		if (sscanf(text, "%" SCNu32 "-%" SCNu32 "-%" SCNu32 "%n", &mapping.container,
			   &mapping.host, &mapping.size, &length) != 3 ||
		    add(mappings, &mapping, err) < 0)
			return NULL;
		text += length;
		if (*text != '#')
			return text;
		text++;
	}
}

int idmap_parse_option(const char *value, struct oci_mount *mount, struct error *err)
{
	const char *at = value;

	idmap_release(mount);
	while (at && *at) {
		bool uids = strncmp(at, "uids=", 5) == 0;

		if (!uids && strncmp(at, "gids=", 5) != 0)
			break;
		at = parse_ranges(at + 5, uids ? &mount->uid_mappings : &mount->gid_mappings, NULL);
		if (at && *at == ';')
			at++;
	}
	if (!at || *at)
		return error_set(err, 0,
				 "idmap=%s is no mapping of the form "
				 "uids=DISK-SEEN-COUNT#...;gids=...",
				 value);
	mount->idmap = true;
	return 0;
}

void idmap_release(struct oci_mount *mount)
{
	free(mount->uid_mappings.items);
	free(mount->gid_mappings.items);
	memset(&mount->uid_mappings, 0, sizeof(mount->uid_mappings));
	memset(&mount->gid_mappings, 0, sizeof(mount->gid_mappings));
}

/* --- carrying out --- */

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

static int write_map(const struct child *child, const char *file,
		     const struct oci_id_mappings *mappings, struct error *err)
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
	snprintf(path, sizeof(path), "/proc/%s/%s", child->name, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, size) != (ssize_t)size)
		return error_set(err, errno, "map the ids by %s", file);
	return 0;
}

/* An fd of a user namespace with the mount's mappings. */
static int make_namespace(const struct oci_mount *mount, struct error *err)
{
	CLEANUP(end_child) struct child child = { 0 };
	char path[64];
	int fd;

	if (start_child(&child, err) || write_map(&child, "uid_map", &mount->uid_mappings, err) ||
	    write_map(&child, "gid_map", &mount->gid_mappings, err))
		return -1;
	snprintf(path, sizeof(path), "/proc/%s/ns/user", child.name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? error_set(err, errno, "open the user namespace") : fd;
}

/* Those that are met most; the rest by number. */
static void name_filesystem(int fd, char *out, size_t size)
{
	static const struct {
		long magic;
		const char *name;
	} rows[] = {
		{ 0x01021994, "tmpfs" }, { 0x794c7630, "overlay" }, { 0x65735546, "fuse" },
		{ 0x6969, "nfs" },	 { 0xef53, "ext4" },	    { 0x58465342, "xfs" },
		{ 0x9123683e, "btrfs" }, { 0x01021997, "9p" },	    { 0xff534d42, "cifs" },
		{ 0x858458f6, "ramfs" }, { 0x2fc12fc1, "zfs" },	    { 0x9fa0, "proc" },
	};
	struct statfs status = { 0 };

	fstatfs(fd, &status);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].magic == (long)status.f_type) {
			snprintf(out, size, "%s", rows[i].name);
			return;
		}
	snprintf(out, size, "of type 0x%lx", (unsigned long)status.f_type);
}

int idmap_apply(int fd, const struct oci_mount *mount, bool recursive, const char *path,
		struct error *err)
{
	const unsigned int flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	CLEANUP_CLOSE int namespace = make_namespace(mount, err);
	char name[32];

	if (namespace < 0)
		return error_prefix(err, "idmap of %s", path);
	attr.userns_fd = (uint64_t) namespace;
	if (mount_setattr(fd, "", flags, &attr, sizeof(attr)) == 0)
		return 0;
	if (errno != EINVAL)
		return error_set(err, errno, "idmap of %s", path);
	name_filesystem(fd, name, sizeof(name));
	return error_set(err, 0, "idmap of %s: its file system, %s, can't map ids in this kernel",
			 path, name);
}
