/*
 * Templates: a machine that has booted is kept, memory and state, when its guest has
 * done all that does not depend on a container and before it has got a byte of the
 * host's; the next machine of the same description continues from there. Neither
 * container nor host has a secret in it. What the guest's kernel has made of chance
 * until then (the places of its objects, its hash keys) is the same in all; the
 * first thing that a guest gets is entropy of its own, from which its random
 * numbers begin anew (wire.h, HELLO).
 *
 * A template is a directory TEMPLATES/NAME with the files memory and state, which
 * appears as a whole. Only root reads and writes it: QEMU, which the guest might take
 * over, gets a copy of the memory, and the state to read. What cannot be kept or
 * restored costs no more than the boot.
 */
#include "vm_qemu_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "cleanup.h"
#include "json.h"
#include "log.h"
#include "monotonic.h"

#define TEMPLATES QEMU_FACTS_DIRECTORY "/templates"
/* Each takes some 40 MiB of the host's memory. */
#define TEMPLATES_MAX 4
/* One that is being made; who makes it is done by then, or dead. */
#define UNFINISHED	 "new-"
#define UNFINISHED_MAX_S 60
/* A boot takes half a second under emulation, on an idle host. */
#define BOOT_MS	   5000
#define MIGRATE_MS 5000
#define POLL_MS	   1
#define PAGE	   4096

/* --- names --- */

static int add_file(char *text, size_t size, const char *path, struct error *err)
{
	size_t used = strlen(text);
	struct stat st;

	if (stat(path, &st))
		return error_set(err, errno, "%s", path);
	snprintf(text + used, size - used, "%s %ju %ju %jd %jd.%09ld %jd.%09ld\n", path,
		 (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, (intmax_t)st.st_size,
		 (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec,
		 st.st_ctim.tv_nsec);
	return 0;
}

int qemu_template_name(struct qemu_template *template, const struct settings *settings,
		       const struct qemu_command *command, struct error *err)
{
	char text[16384] = "";
	size_t used = 0;
	uuid_t uuid;

	for (size_t i = command->described; i < command->count && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\n",
					 command->words[i]);
	if (used >= sizeof(text) || add_file(text, sizeof(text), settings->qemu, err) ||
	    add_file(text, sizeof(text), settings->kernel, err) ||
	    add_file(text, sizeof(text), settings->initramfs, err))
		return -1;
	uuid_generate_sha1(uuid, *uuid_get_template("oid"), text, strlen(text));
	uuid_unparse_lower(uuid, template->name);
	return 0;
}

static void make_path(const struct qemu_template *template, const char *file, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, TEMPLATES "/%s/%s", template->name, file);
}

static int open_file(const struct qemu_template *template, const char *file)
{
	char path[PATH_MAX];

	make_path(template, file, path);
	return open(path, O_RDONLY | O_CLOEXEC);
}

bool qemu_template_open(struct qemu_template *template)
{
	char path[PATH_MAX];

	template->memory = open_file(template, "memory");
	template->state = open_file(template, "state");
	if (template->memory < 0 || template->state < 0) {
		qemu_template_close(template);
		qemu_template_remove(template); /* half a one is in the way */
		return false;
	}
	/* used last: the others go first */
	make_path(template, "", path);
	utimensat(AT_FDCWD, path, NULL, 0);
	return true;
}

void qemu_template_close(struct qemu_template *template)
{
	cleanup_close_(&template->memory);
	cleanup_close_(&template->state);
}

static void remove_directory(const char *name)
{
	static const char *const files[] = { "/memory", "/state", "" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), TEMPLATES "/%s%s", name, files[i]);
		if (remove(path) && errno != ENOENT)
			log_warning("remove %s: %s", path, strerror(errno));
	}
}

void qemu_template_remove(const struct qemu_template *template)
{
	remove_directory(template->name);
}

/* --- what is there --- */

/* Returns whether one was removed: an unfinished one, or the one that was used first. */
static bool remove_one(size_t most)
{
	char oldest[NAME_MAX + 1] = "", path[PATH_MAX];
	struct timespec oldest_time = { 0 };
	DIR *directory = opendir(TEMPLATES);
	const struct dirent *entry;
	bool unfinished = false;
	size_t count = 0;
	struct stat st;

	while (directory && !unfinished && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.' ||
		    fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		unfinished = !strncmp(entry->d_name, UNFINISHED, strlen(UNFINISHED));
		if (unfinished && st.st_mtim.tv_sec + UNFINISHED_MAX_S > time(NULL)) {
			unfinished = false;
			continue;
		}
		count++;
		if (unfinished || !oldest[0] || st.st_mtim.tv_sec < oldest_time.tv_sec ||
		    (st.st_mtim.tv_sec == oldest_time.tv_sec &&
		     st.st_mtim.tv_nsec < oldest_time.tv_nsec)) {
			snprintf(oldest, sizeof(oldest), "%s", entry->d_name);
			oldest_time = st.st_mtim;
		}
	}
	if (directory)
		closedir(directory);
	if (!unfinished && count <= most)
		return false;
	remove_directory(oldest);
	/* what cannot be removed must not be tried for ever */
	snprintf(path, sizeof(path), TEMPLATES "/%s", oldest);
	return access(path, F_OK) != 0;
}

/* --- copies --- */

static bool is_zero(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE - 1);
}

static int write_all(int fd, const uint8_t *bytes, size_t size, off_t offset, struct error *err)
{
	while (size) {
		ssize_t n = pwrite(fd, bytes, size, offset);

		if (n <= 0)
			return error_set(err, n ? errno : ENOSPC, "copy a guest's memory");
		bytes += n;
		size -= (size_t)n;
		offset += n;
	}
	return 0;
}

/* One extent of data, whose borders are those of pages. */
static int copy_extent(const uint8_t *from, off_t begin, off_t end, int to, struct error *err)
{
	off_t at = begin;

	while (at < end) {
		off_t first = at;

		while (at < end && !is_zero(from + at))
			at += PAGE;
		if (at > first && write_all(to, from + first, (size_t)(at - first), first, err))
			return -1;
		while (at < end && is_zero(from + at))
			at += PAGE;
	}
	return 0;
}

int qemu_template_copy(int from, int to, struct error *err)
{
	off_t begin = 0, end;
	uint8_t *bytes;
	struct stat st;
	int result = 0;

	if (fstat(from, &st))
		return error_set(err, errno, "copy a guest's memory");
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, from, 0);
	if (bytes == MAP_FAILED)
		return error_set(err, errno, "map a guest's memory");
	if (ftruncate(to, st.st_size))
		result = error_set(err, errno, "copy a guest's memory");
	while (!result && (begin = lseek(from, begin, SEEK_DATA)) >= 0) {
		end = lseek(from, begin, SEEK_HOLE);
		result = end < 0 ? error_set(err, errno, "copy a guest's memory")
				 : copy_extent(bytes, begin, end, to, err);
		begin = end;
	}
	munmap(bytes, (size_t)st.st_size);
	return result;
}

/* --- keeping and restoring --- */

/* Until the guest has opened that many ports. */
static int wait_for_ports(struct qmp *qmp, size_t ports, struct error *err)
{
	int64_t until = monotonic_ms() + BOOT_MS, left;

	while (ports && (left = until - monotonic_ms()) > 0) {
		CLEANUP_JSON struct json *message = NULL;
		CLEANUP_FREE char *event = NULL;
		int result = qmp_receive(qmp, (int)left, &message, err);
		bool open = false;

		if (result < 0)
			return -1;
		if (result == 0)
			break;
		json_get_string(message, "event", &event, NULL);
		if (event && !strcmp(event, "VSERPORT_CHANGE"))
			json_get_bool(json_member(message, "data"), "open", &open, NULL);
		ports -= open;
	}
	return ports ? error_set(err, 0, "the guest does not open its channel") : 0;
}

static int ignore_memory(struct qmp *qmp, struct error *err)
{
	return qmp_execute(qmp, "migrate-set-capabilities",
			   "\"capabilities\": [{\"capability\": \"x-ignore-shared\", "
			   "\"state\": true}]",
			   NULL, err);
}

/* Asks until the answer's member "status" is one of the two words; an error when it is the second. */
static int wait_for_status(struct qmp *qmp, const char *query, const char *good, const char *bad,
			   struct error *err)
{
	int64_t until = monotonic_ms() + MIGRATE_MS;

	do {
		CLEANUP_JSON struct json *answer = NULL;
		CLEANUP_FREE char *status = NULL;

		if (qmp_execute(qmp, query, NULL, &answer, err))
			return -1;
		json_get_string(json_member(answer, "return"), "status", &status, NULL);
		if (status && !strcmp(status, good))
			return 0;
		if (status && !strcmp(status, bad))
			return error_set(err, 0, "%s: %s", query, bad);
		nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
	} while (monotonic_ms() < until);
	return error_set(err, ETIMEDOUT, "%s", query);
}

static int keep_state(struct qmp *qmp, int state, struct error *err)
{
	if (ignore_memory(qmp, err) || qmp_give_fd(qmp, "state", state, err) ||
	    qmp_execute(qmp, "migrate", "\"uri\": \"fd:state\"", NULL, err))
		return -1;
	return wait_for_status(qmp, "query-migrate", "completed", "failed", err);
}

/* Is there room for as much as the guest has of it, and as much again for others? */
static int check_room(int memory, struct error *err)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(memory, &st) || statvfs(TEMPLATES, &fs))
		return error_set(err, errno, TEMPLATES);
	if ((uint64_t)fs.f_bavail * fs.f_frsize < (uint64_t)st.st_blocks * 512 * 2)
		return error_set(err, ENOSPC, TEMPLATES);
	return 0;
}

static int create_file(const char *directory, const char *name, struct error *err)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? error_set(err, errno, "%s", path) : fd;
}

static int write_files(struct qmp *qmp, const char *directory, int memory, struct error *err)
{
	CLEANUP_CLOSE int state_file = create_file(directory, "state", err);
	CLEANUP_CLOSE int memory_file = create_file(directory, "memory", err);

	if (state_file < 0 || memory_file < 0)
		return -1;
	if (check_room(memory, err) || keep_state(qmp, state_file, err))
		return -1;
	return qemu_template_copy(memory, memory_file, err);
}

static int keep(const struct qemu_template *template, struct qmp *qmp, int memory,
		struct error *err)
{
	char unfinished[] = TEMPLATES "/" UNFINISHED "XXXXXX", path[PATH_MAX];
	int result;

	qemu_make_facts_directory();
	mkdir(TEMPLATES, 0700);
	while (remove_one(TEMPLATES_MAX - 1))
		;
	if (!mkdtemp(unfinished))
		return error_set(err, errno, "make a directory in " TEMPLATES);
	result = write_files(qmp, unfinished, memory, err);
	make_path(template, "", path);
	path[strlen(path) - 1] = '\0';
	if (!result && !rename(unfinished, path))
		return 0;
	/* somebody else was faster */
	if (!result && errno != EEXIST && errno != ENOTEMPTY)
		result = error_set(err, errno, "rename %s", unfinished);
	remove_directory(strrchr(unfinished, '/') + 1);
	return result;
}

int qemu_template_keep(const struct qemu_template *template, struct qemu_process *process,
		       size_t ports, int memory, struct error *err)
{
	int result;

	if (qmp_execute(&process->qmp, "cont", NULL, NULL, err))
		return -1;
	result = wait_for_ports(&process->qmp, ports, err);
	/* what fails because it has ended is seen by who asks for its end */
	if (qmp_execute(&process->qmp, "stop", NULL, NULL, result ? NULL : err) || result)
		return -1;
	return keep(template, &process->qmp, memory, err);
}

int qemu_template_restore(const struct qemu_template *template, struct qemu_process *process,
			  struct error *err)
{
	struct qmp *qmp = &process->qmp;

	if (ignore_memory(qmp, err) || qmp_give_fd(qmp, "state", template->state, err) ||
	    qmp_execute(qmp, "migrate-incoming", "\"uri\": \"fd:state\"", NULL, err))
		return -1;
	return wait_for_status(qmp, "query-status", "paused", "internal-error", err);
}
