/*
 * See lookup.h. The rules and messages are those of Go's exec.LookPath, which
 * runc calls.
 */
#include "lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The name as Go quotes it; what does not fit is cut. */
static void quote(const char *name, char *out, size_t size)
{
	size_t used = 0;

	for (; *name && used + 2 < size; name++) {
		if (*name == '"' || *name == '\\')
			out[used++] = '\\';
		out[used++] = *name;
	}
	out[used] = 0;
	error_sanitize(out);
}

/* 0 if path can be executed, else an errno. *by_stat: stat was what failed. */
static int check_executable(const char *path, bool *by_stat)
{
	struct stat st;

	*by_stat = stat(path, &st) < 0;
	if (*by_stat)
		return errno;
	if (S_ISDIR(st.st_mode) || !(st.st_mode & 0111))
		return EACCES;
	/* Unlike the bits, the kernel knows noexec mounts, ACLs and our user. */
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? errno : 0;
}

static const char *search_path(char *const env[])
{
	const char *path = LOOKUP_PATH_DEFAULT;

	for (; *env; env++)
		if (strncmp(*env, "PATH=", 5) == 0)
			path = *env + 5;
	return path;
}

/* The candidate in one directory of PATH; an empty one means the current. */
static char *join(const char *directory, size_t length, const char *name)
{
	char *path = NULL;

	if (length == 0) {
		directory = ".";
		length = 1;
	}
	if (asprintf(&path, "%.*s/%s", (int)length, directory, name) < 0)
		return NULL;
	return path;
}

static char *find_in_path(const char *name, const char *path)
{
	bool by_stat;

	for (;;) {
		size_t length = strcspn(path, ":");
		char *candidate = join(path, length, name);

		if (candidate && check_executable(candidate, &by_stat) == 0)
			return candidate;
		free(candidate);
		if (!path[length])
			return NULL;
		path += length + 1;
	}
}

/* Go's words for an errno begin in lower case. */
static void lower_strerror(int errnum, char *out, size_t size)
{
	snprintf(out, size, "%s", strerror(errnum));
	if (out[0] >= 'A' && out[0] <= 'Z' && (out[1] < 'A' || out[1] > 'Z'))
		out[0] = (char)(out[0] - 'A' + 'a');
}

static int fail_check(const char *name, const char *quoted, int errnum, bool by_stat,
		      struct error *err)
{
	char words[128];

	lower_strerror(errnum, words, sizeof(words));
	if (by_stat)
		error_set(err, 0, "exec: \"%s\": stat %.300s: %s", quoted, name, words);
	else
		error_set(err, 0, "exec: \"%s\": %s", quoted, words);
	if (err) {
		error_sanitize(err->message);
		err->errnum = errnum;
	}
	return -1;
}

char *find_program(const char *name, char *const env[], struct error *err)
{
	char quoted[300];
	bool by_stat;
	char *found;
	int errnum;

	quote(name, quoted, sizeof(quoted));
	if (!strchr(name, '/')) {
		found = name[0] ? find_in_path(name, search_path(env)) : NULL;
		if (found)
			return found;
		error_set(err, 0, "exec: \"%s\": executable file not found in $PATH", quoted);
		if (err)
			err->errnum = ENOENT;
		return NULL;
	}
	errnum = check_executable(name, &by_stat);
	if (errnum) {
		fail_check(name, quoted, errnum, by_stat, err);
		return NULL;
	}
	found = strdup(name);
	if (!found)
		error_set(err, ENOMEM, "exec: \"%s\"", quoted);
	return found;
}
