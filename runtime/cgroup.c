/*
 * See cgroup.h. cgroup2 is what this is for; the v1 hierarchies of older hosts
 * get the same path each. What is set in them: cgroup_limits.c.
 */
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
#include <time.h>
#include <unistd.h>

#include "cgroup_internal.h"
#include "cleanup.h"
#include "monotonic.h"

#define REMOVE_TIMEOUT_MS 5000
#define REMOVE_POLL_MS	  5
#define DEPTH_MAX	  32

#define CLEANUP_HIERARCHIES CLEANUP(cgroup_hierarchies_free)

static void close_stream(FILE **stream)
{
	if (*stream)
		fclose(*stream);
}

static void close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

int cgroup_write_file(int directory, const char *name, const char *text)
{
	CLEANUP_CLOSE int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);
	ssize_t length = strlen(text);

	return fd >= 0 && write(fd, text, length) == length ? 0 : -1;
}

/* Reads a whole short file. */
static int read_line(int directory, const char *name, char *text, size_t size)
{
	CLEANUP_CLOSE int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

	if (length < 0)
		return -1;
	text[length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

/*
 * cgroup2: a directory has the files of a controller (memory.events, which conmon
 * reads) only if its parent passes the controller on. Not all can be: real-time
 * processes, threaded cgroups. What is missing then is only accounting.
 */
static void pass_on_controllers(int parent)
{
	char available[512], enable[64];
	char *save = NULL;

	if (read_line(parent, "cgroup.controllers", available, sizeof(available)) < 0)
		return;
	for (char *name = strtok_r(available, " ", &save); name;
	     name = strtok_r(NULL, " ", &save)) {
		snprintf(enable, sizeof(enable), "+%s", name);
		(void)cgroup_write_file(parent, "cgroup.subtree_control", enable);
	}
}

/* v1: nobody can enter a cpuset that has no processors and memory yet. */
static void inherit_cpuset(int parent, int child)
{
	static const char *const names[] = { "cpuset.cpus", "cpuset.mems" };
	char own[4096], value[4096];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (read_line(child, names[i], own, sizeof(own)) == 0 && !own[0] &&
		    read_line(parent, names[i], value, sizeof(value)) == 0)
			(void)cgroup_write_file(child, names[i], value);
}

static int make_directory(int parent, const char *name, bool v2)
{
	int child;

	if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
		return -1;
	child = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (child >= 0 && !v2)
		inherit_cpuset(parent, child);
	return child;
}

static int enter_directory(int parent, const char *name, bool v2)
{
	if (v2)
		pass_on_controllers(parent);
	return make_directory(parent, name, v2);
}

/* Makes path below the hierarchy. */
static int make_in(const struct cgroup_hierarchy *hierarchy, const char *path, struct error *err)
{
	CLEANUP_CLOSE int fd = open(hierarchy->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_FREE char *rest = strdup(path);
	char *save = NULL;

	if (fd < 0 || !rest)
		return error_set(err, errno, "open %s", hierarchy->directory);
	for (char *name = strtok_r(rest, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		int child = enter_directory(fd, name, !hierarchy->controllers);

		if (child < 0)
			return error_set(err, errno, "make the cgroup %s%s", hierarchy->directory,
					 path);
		close(fd);
		fd = child;
	}
	return 0;
}

/* A path of somebody else's processes would be killed and removed at delete. */
static int check_empty(const char *directory, struct error *err)
{
	CLEANUP_CLOSE int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char line[32];

	if (fd >= 0 && read_line(fd, "cgroup.procs", line, sizeof(line)) == 0 && line[0])
		return error_set(err, 0, "the cgroup %s is in use by process %s", directory, line);
	return 0;
}

static int check_path(const char *path, struct error *err)
{
	CLEANUP_FREE char *rest = strdup(path);
	char *save = NULL;
	bool empty = true;

	if (!rest)
		return error_set(err, ENOMEM, "cgroup %s", path);
	for (char *name = strtok_r(rest, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			return error_set(err, 0, "linux.cgroupsPath: %s leaves its place", path);
		empty = false;
	}
	if (empty)
		return error_set(err, 0, "linux.cgroupsPath: %s is the root of all", path);
	return 0;
}

static int create_by_path(const char *path, char **directory, struct error *err)
{
	CLEANUP_HIERARCHIES struct cgroup_hierarchies hierarchies = { .count = 0 };
	CLEANUP_FREE char *first = NULL;

	if (check_path(path, err) < 0 || cgroup_hierarchies_read(&hierarchies, err) < 0)
		return -1;
	if (asprintf(&first, "%s%s%s", hierarchies.items[0].directory, path[0] == '/' ? "" : "/",
		     path) < 0)
		return error_set(err, ENOMEM, "cgroup %s", path);
	if (check_empty(first, err) < 0)
		return -1;
	for (size_t i = 0; i < hierarchies.count; i++) {
		if (make_in(&hierarchies.items[i], path, err) < 0) {
			(void)cgroup_remove(first, NULL);
			return -1;
		}
	}
	*directory = steal_pointer(&first);
	return 0;
}

int cgroup_create(const char *cgroups_path, const char *id, bool systemd, pid_t pid,
		  char **directory, struct error *err)
{
	CLEANUP_FREE char *own = NULL;

	if (!cgroups_path || !cgroups_path[0]) {
		if (asprintf(&own, systemd ? "system.slice:vxn:%s" : "/vxn-%s", id) < 0)
			return error_set(err, ENOMEM, "cgroup of %s", id);
		cgroups_path = own;
	}
	return systemd ? cgroup_systemd_create(cgroups_path, pid, directory, err)
		       : create_by_path(cgroups_path, directory, err);
}

int cgroup_make_child(const char *directory, const char *name, char **child, struct error *err)
{
	CLEANUP_HIERARCHIES struct cgroup_hierarchies hierarchies = { .count = 0 };
	CLEANUP_FREE char *path = NULL;

	if (cgroup_hierarchies_read(&hierarchies, err) < 0)
		return -1;
	for (size_t i = 0; i < hierarchies.count; i++) {
		CLEANUP_FREE char *twin = NULL;
		CLEANUP_CLOSE int parent = -1, made = -1;

		if (cgroup_hierarchy_has(&hierarchies.items[i], CGROUP_DEVICES))
			continue;
		twin = cgroup_twin(&hierarchies, i, directory, err);
		if (!twin)
			return -1;
		parent = open(twin, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (parent < 0 && errno == ENOENT && cgroup_may_lack(&hierarchies, i))
			continue;
		if (parent >= 0)
			made = make_directory(parent, name, !hierarchies.items[i].controllers);
		if (made < 0)
			return error_set(err, errno, "make the cgroup %s/%s", twin, name);
	}
	if (asprintf(&path, "%s/%s", directory, name) < 0) {
		path = NULL;
		return error_set(err, ENOMEM, "make the cgroup %s/%s", directory, name);
	}
	*child = steal_pointer(&path);
	return 0;
}

int cgroup_open_procs(const char *directory, int *fds, size_t max, size_t *count, struct error *err)
{
	CLEANUP_HIERARCHIES struct cgroup_hierarchies hierarchies = { .count = 0 };
	char path[PATH_MAX];

	*count = 0;
	if (cgroup_hierarchies_read(&hierarchies, err) < 0)
		return -1;
	for (size_t i = 0; i < hierarchies.count && *count < max; i++) {
		CLEANUP_FREE char *twin = cgroup_twin(&hierarchies, i, directory, err);

		if (!twin)
			return -1;
		snprintf(path, sizeof(path), "%s/cgroup.procs", twin);
		fds[*count] = open(path, O_WRONLY | O_CLOEXEC);
		if (fds[*count] < 0 && errno == ENOENT && cgroup_may_lack(&hierarchies, i))
			continue;
		if (fds[*count] < 0)
			return error_set(err, errno, "open %s", path);
		(*count)++;
	}
	return 0;
}

int cgroup_enter(const char *directory, pid_t pid, struct error *err)
{
	int fds[CGROUP_HIERARCHIES_MAX];
	size_t count;
	int result = cgroup_open_procs(directory, fds, CGROUP_HIERARCHIES_MAX, &count, err);
	char text[16];
	ssize_t length = snprintf(text, sizeof(text), "%d", pid);

	for (size_t i = 0; i < count; i++) {
		if (result == 0 && write(fds[i], text, length) != length)
			result = error_set(err, errno, "move process %d into the cgroup %s", pid,
					   directory);
		close(fds[i]);
	}
	return result;
}

/* Kills what is in this one directory. */
static void kill_in(int fd)
{
	CLEANUP_CLOSE int procs = -1;
	CLEANUP(close_stream) FILE *stream = NULL;
	long pid;

	if (cgroup_write_file(fd, "cgroup.kill", "1") == 0)
		return;
	procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	stream = procs < 0 ? NULL : fdopen(procs, "r");
	if (!stream)
		return;
	steal_fd(&procs);
	/* 0 is a process of another pid namespace: not ours, whatever it is. */
	while (fscanf(stream, "%ld", &pid) == 1)
		if (pid > 0 && pid != getpid())
			kill(pid, SIGKILL);
}

/* One attempt: kills all below name and removes what is empty by now. */
static int remove_below(int parent, const char *name, int depth)
{
	CLEANUP_CLOSE int fd =
		openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP(close_directory) DIR *directory = NULL;
	struct dirent *entry;
	int copy;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	kill_in(fd);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	directory = copy < 0 || depth == DEPTH_MAX ? NULL : fdopendir(copy);
	while (directory && (entry = readdir(directory)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			(void)remove_below(fd, entry->d_name, depth + 1);
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -1 : 0;
}

/* A killed process leaves its cgroup only when it is reaped by whoever has to. */
static int remove_directory(const char *directory, int64_t deadline, struct error *err)
{
	const struct timespec pause = { .tv_nsec = REMOVE_POLL_MS * 1000000L };

	while (remove_below(AT_FDCWD, directory, 0) < 0) {
		if (errno != EBUSY || monotonic_ms() >= deadline)
			return error_set(err, errno, "remove the cgroup %s", directory);
		nanosleep(&pause, NULL);
	}
	return 0;
}

int cgroup_remove(const char *directory, struct error *err)
{
	CLEANUP_HIERARCHIES struct cgroup_hierarchies hierarchies = { .count = 0 };
	int64_t deadline = monotonic_ms() + REMOVE_TIMEOUT_MS;
	int result = 0;

	if (cgroup_hierarchies_read(&hierarchies, err) < 0)
		return -1;
	if (cgroup_systemd_is_scope(directory) && access(directory, F_OK) == 0) {
		/* systemd would say SIGTERM first, and wait for an answer for 90 s. */
		(void)remove_below(AT_FDCWD, directory, 0);
		if (cgroup_systemd_stop(directory, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < hierarchies.count; i++) {
		CLEANUP_FREE char *twin = cgroup_twin(&hierarchies, i, directory, err);

		if (!twin)
			return -1;
		if (remove_directory(twin, deadline, err) < 0)
			result = -1;
	}
	return result;
}
