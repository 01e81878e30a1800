/* See cgroup.h. */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "cleanup.h"

/* An id must not look like one of the root cgroup's own files. */
#define NAME_PREFIX "vxn-"
#define DEPTH_MAX   32

static int open_dir(int at, const char *path)
{
	return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int write_file(int dir, const char *name, const char *value)
{
	CLEANUP_CLOSE int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	return write(fd, value, strlen(value)) < 0 ? -1 : 0;
}

static ssize_t read_file(int dir, const char *name, char *buf, size_t size)
{
	CLEANUP_CLOSE int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n >= 0)
		buf[n] = '\0';
	return n;
}

/* All in one write: each write stops the machine's cgroup changes for a moment. */
int cgroup_enable_controllers(struct error *err)
{
	CLEANUP_CLOSE int root = open_dir(AT_FDCWD, BOOT_CGROUP_DIR);
	char list[256], value[512] = "", *save = NULL;

	if (root < 0 || read_file(root, "cgroup.controllers", list, sizeof(list)) < 0)
		return error_set(err, errno, "read the cgroup controllers");
	for (char *c = strtok_r(list, " \n", &save); c; c = strtok_r(NULL, " \n", &save)) {
		size_t used = strlen(value);

		snprintf(value + used, sizeof(value) - used, "+%s ", c);
	}
	if (write_file(root, "cgroup.subtree_control", value) < 0)
		return error_set(err, errno, "enable the cgroup controllers %s", value);
	return 0;
}

int cgroup_create(const char *container, struct error *err)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), BOOT_CGROUP_DIR "/" NAME_PREFIX "%s", container);
	if (mkdir(path, 0755) < 0)
		return error_set(err, errno, "make the cgroup of container %s", container);
	fd = open_dir(AT_FDCWD, path);
	if (fd < 0)
		return error_set(err, errno, "open the cgroup of container %s", container);
	return fd;
}

int cgroup_of(pid_t pid, struct error *err)
{
	char name[32], line[PATH_MAX], path[PATH_MAX + 64];
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
	if (read_file(AT_FDCWD, name, line, sizeof(line)) < 0 || strncmp(line, "0::", 3) != 0)
		return error_set(err, errno, "read the cgroup of process %d", pid);
	line[strcspn(line, "\n")] = '\0';
	snprintf(path, sizeof(path), BOOT_CGROUP_DIR "%s", line + 3);
	fd = open_dir(AT_FDCWD, path);
	if (fd < 0)
		return error_set(err, errno, "open the cgroup of process %d", pid);
	return fd;
}

typedef void (*visit)(int parent, const char *name, int dir, int argument);

/* Calls f for each cgroup below dir, the deepest first. */
static void walk(int dir, int depth, visit f, int argument)
{
	CLEANUP_CLOSE int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!stream)
		return;
	steal_fd(&copy);
	while (depth < DEPTH_MAX && (entry = readdir(stream))) {
		CLEANUP_CLOSE int child = -1;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		child = open_dir(dir, entry->d_name);
		if (child < 0)
			continue;
		walk(child, depth + 1, f, argument);
		f(dir, entry->d_name, child, argument);
	}
	closedir(stream);
}

static void signal_one(int parent, const char *name, int dir, int signal)
{
	CLEANUP_CLOSE int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	int pid;

	(void)parent, (void)name;
	if (!file)
		return;
	steal_fd(&fd);
	while (fscanf(file, "%d", &pid) == 1)
		if (pid > 1)
			kill(pid, signal);
	fclose(file);
}

int cgroup_signal(int cgroup, int signal, struct error *err)
{
	if (signal == SIGKILL) {
		if (write_file(cgroup, "cgroup.kill", "1") < 0)
			return error_set(err, errno, "kill all processes");
		return 0;
	}
	walk(cgroup, 0, signal_one, signal);
	signal_one(-1, NULL, cgroup, signal);
	return 0;
}

static void remove_one(int parent, const char *name, int dir, int argument)
{
	(void)dir, (void)argument;
	unlinkat(parent, name, AT_REMOVEDIR);
}

void cgroup_remove(const char *container, int cgroup)
{
	char path[PATH_MAX];

	walk(cgroup, 0, remove_one, 0);
	snprintf(path, sizeof(path), BOOT_CGROUP_DIR "/" NAME_PREFIX "%s", container);
	rmdir(path);
}
