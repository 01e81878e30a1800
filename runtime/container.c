/* See container.h; the state is in container_state.c. */
#include "container.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "cleanup.h"

#define ID_MAX 1024

/* The namespace of our UUIDs: made once, at random. */
static const uuid_t uuid_namespace = { 0x6b, 0x1d, 0x0e, 0x52, 0x9c, 0x3f, 0x4a, 0x87,
				       0x8e, 0x21, 0x55, 0xf0, 0x3d, 0xa7, 0xc4, 0x19 };

int container_id_check(const char *id, struct error *err)
{
	if (!id[0])
		return error_set(err, 0, "container id cannot be empty");
	for (const char *c = id; *c; c++)
		if (!isascii(*c) || (!isalnum(*c) && !strchr("_+-.", *c)))
			return error_set(err, 0, "invalid container ID format: \"%.100s\"", id);
	if (!strcmp(id, ".") || !strcmp(id, ".."))
		return error_set(err, 0, "invalid container ID format: \"%s\"", id);
	if (strlen(id) > ID_MAX)
		return error_set(err, 0, "invalid container ID format: longer than %d characters",
				 ID_MAX);
	return 0;
}

/* Like mkdir -p. */
static int make_directories(const char *path, struct error *err)
{
	CLEANUP_FREE char *copy = strdup(path);

	if (!copy)
		return error_set(err, ENOMEM, "make %s", path);
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0700) && errno != EEXIST)
			return error_set(err, errno, "make the directory %s", copy);
		*slash = '/';
	}
	if (mkdir(copy, 0700) && errno != EEXIST)
		return error_set(err, errno, "make the directory %s", copy);
	return 0;
}

static int fill(const char *root, const char *id, struct container *container, struct error *err)
{
	memset(container, 0, sizeof(*container));
	container->root = realpath(root, NULL);
	if (!container->root)
		return error_set(err, errno, "root directory %s", root);
	container->id = strdup(id);
	if (!container->id || asprintf(&container->directory, "%s/%s", container->root, id) < 0) {
		container->directory = NULL;
		container_free(container);
		return error_set(err, ENOMEM, "container %s", id);
	}
	return 0;
}

int container_claim(const char *root, const char *id, struct container *container,
		    struct error *err)
{
	memset(container, 0, sizeof(*container));
	if (container_id_check(id, err) || make_directories(root, err) ||
	    fill(root, id, container, err))
		return -1;
	container_sweep(container->root, id);
	if (!mkdir(container->directory, 0700))
		return 0;
	if (errno == EEXIST) {
		error_set(err, 0, "container with given ID already exists");
		if (err)
			err->errnum = EEXIST;
	} else {
		error_set(err, errno, "make the directory %s", container->directory);
	}
	container_free(container);
	return -1;
}

int container_find(const char *root, const char *id, struct container *container, struct error *err)
{
	struct stat st;

	memset(container, 0, sizeof(*container));
	if (container_id_check(id, err))
		return -1;
	if (!fill(root, id, container, err)) {
		if (!stat(container->directory, &st) && S_ISDIR(st.st_mode))
			return 0;
		error_set(err, errno, "container directory %s", container->directory);
		container_free(container);
	}
	if (err && err->errnum == ENOENT) {
		error_set(err, 0, "container does not exist");
		err->errnum = ENOENT;
	}
	return -1;
}

static void close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

/* Removes a directory that holds no directories. Missing is success. */
static int remove_directory(const char *path, struct error *err)
{
	CLEANUP(close_directory) DIR *directory = opendir(path);
	const struct dirent *entry;

	if (!directory && errno == ENOENT)
		return 0;
	if (!directory)
		return error_set(err, errno, "open %s", path);
	while ((entry = readdir(directory))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (unlinkat(dirfd(directory), entry->d_name, 0) && errno != ENOENT)
			return error_set(err, errno, "remove %s/%s", path, entry->d_name);
	}
	if (rmdir(path) && errno != ENOENT)
		return error_set(err, errno, "remove %s", path);
	return 0;
}

int container_remove(const struct container *container, struct error *err)
{
	CLEANUP_FREE char *removed = NULL;

	/* no id has a '~' */
	if (asprintf(&removed, "%s~", container->directory) < 0) {
		removed = NULL;
		return error_set(err, ENOMEM, "remove %s", container->directory);
	}
	if (remove_directory(removed, err))
		return -1;
	if (rename(container->directory, removed) && errno != ENOENT)
		return error_set(err, errno, "remove %s", container->directory);
	return remove_directory(removed, err);
}

void container_sweep(const char *root, const char *id)
{
	CLEANUP_FREE char *removed = NULL;

	if (container_id_check(id, NULL))
		return;
	if (asprintf(&removed, "%s/%s~", root, id) < 0)
		removed = NULL;
	else
		remove_directory(removed, NULL);
}

void container_free(struct container *container)
{
	free(container->root);
	free(container->id);
	free(container->directory);
	memset(container, 0, sizeof(*container));
}

char *container_path(const struct container *container, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", container->directory, name) < 0 ? NULL : path;
}

bool container_monitor_alive(const struct container *container)
{
	CLEANUP_FREE char *path = container_path(container, "lock");
	CLEANUP_CLOSE int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	/* shared: two that only look must not take each other for the monitor */
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
}

void container_uuid(const struct container *container, unsigned char uuid[16])
{
	uuid_generate_sha1(uuid, uuid_namespace, container->directory,
			   strlen(container->directory));
}
