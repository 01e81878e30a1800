/* See environment.h. */
#include "environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_set(char *const env[], const char *name)
{
	size_t length = strlen(name);

	for (; *env; env++)
		if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
			return true;
	return false;
}

/* The home directory of a line NAME:PASSWORD:UID:GID:GECOS:HOME:SHELL, if it is uid's. */
static char *home_of_line(char *line, uid_t uid)
{
	char *fields[7] = { NULL }, *end;
	int count = 0;

	line[strcspn(line, "\n")] = '\0';
	while (count < 7 && line)
		fields[count++] = strsep(&line, ":");
	if (count < 6 || !fields[2][0])
		return NULL;
	if (strtoul(fields[2], &end, 10) != uid || *end)
		return NULL;
	return fields[5];
}

/* Only a regular file is read: a FIFO of that name would never end. */
static FILE *open_passwd(void)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	FILE *file;

	if (fd < 0)
		return NULL;
	file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
	if (!file)
		close(fd);
	return file;
}

static char *make_home(uid_t uid)
{
	FILE *file = open_passwd();
	char *line = NULL, *variable = NULL;
	const char *home = NULL;
	size_t size = 0;

	while (file && !home && getline(&line, &size, file) >= 0)
		home = home_of_line(line, uid);
	if (asprintf(&variable, "HOME=%s", home && home[0] ? home : "/") < 0)
		variable = NULL;
	free(line);
	if (file)
		fclose(file);
	return variable;
}

char **environment_complete(const struct oci_process *process, struct error *err)
{
	size_t count = 0;
	char **env;

	while (process->env[count])
		count++;
	env = calloc(count + 3, sizeof(*env));
	if (!env)
		goto no_memory;
	memcpy(env, process->env, count * sizeof(*env));
	if (process->terminal && !is_set(process->env, "TERM"))
		env[count++] = "TERM=xterm";
	if (!is_set(process->env, "HOME")) {
		env[count] = make_home(process->user.uid);
		if (!env[count])
			goto no_memory;
	}
	return env;
no_memory:
	free(env);
	error_set(err, ENOMEM, "environment");
	return NULL;
}
