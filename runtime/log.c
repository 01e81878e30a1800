/*
 * See log.h. A line is written by one write(2) on a descriptor opened for
 * append, so that several processes share a log file. What a line says may come
 * from the guest: control characters are replaced.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "json_writer.h"

static struct {
	int fd;
	bool json;
	bool debug;
} the_log = { .fd = -1 };

static const char *const level_names[] = {
	[LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_ERROR] = "error",
};

int log_open(const char *path, const char *format, bool debug, struct error *err)
{
	the_log.debug = debug;
	the_log.json = !strcmp(format, "json");
	if (!the_log.json && strcmp(format, "text") != 0)
		return error_set(err, 0, "unknown log-format \"%s\"", format);
	if (!path)
		return 0;
	the_log.fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (the_log.fd < 0)
		return error_set(err, errno, "open the log file %s", path);
	return 0;
}

static char *json_line(const char *level, const char *message, const char *now)
{
	CLEANUP_JSON_WRITER struct json_writer writer;
	CLEANUP_FREE char *text = NULL;
	char *line = NULL;

	json_writer_init(&writer, false);
	json_put_object(&writer, NULL);
	json_put_string(&writer, "level", level);
	json_put_string(&writer, "msg", message);
	json_put_string(&writer, "time", now);
	json_end_object(&writer);
	text = json_writer_finish(&writer, NULL);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	return line;
}

/* As logrus writes it: the value in quotes, with a backslash before what ends them. */
static char *text_line(const char *level, const char *message, const char *now)
{
	char *quoted = malloc(2 * strlen(message) + 1), *to = quoted, *line = NULL;

	if (!quoted)
		return NULL;
	for (const char *from = message; *from; from++) {
		if (*from == '"' || *from == '\\')
			*to++ = '\\';
		*to++ = *from;
	}
	*to = '\0';
	if (asprintf(&line, "time=\"%s\" level=%s msg=\"%s\"\n", now, level, quoted) < 0)
		line = NULL;
	free(quoted);
	return line;
}

static void write_line(enum log_level level, const char *message)
{
	CLEANUP_FREE char *line = NULL;
	char now[32];
	struct tm utc;
	time_t seconds = time(NULL);

	gmtime_r(&seconds, &utc);
	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &utc);
	line = the_log.json ? json_line(level_names[level], message, now)
			    : text_line(level_names[level], message, now);
	/* a log that can't be written has nobody to be told to */
	if (line && write(the_log.fd, line, strlen(line)) < 0)
		return;
}

void log_message(enum log_level level, const char *format, ...)
{
	CLEANUP_FREE char *message = NULL;
	va_list ap;
	int length;

	if (level == LOG_LEVEL_DEBUG && !the_log.debug)
		return;
	if (the_log.fd < 0 && level != LOG_LEVEL_ERROR)
		return;
	va_start(ap, format);
	length = vasprintf(&message, format, ap);
	va_end(ap);
	if (length < 0) {
		message = NULL;
		return;
	}
	error_sanitize(message);
	if (level == LOG_LEVEL_ERROR)
		fprintf(stderr, "%s\n", message);
	if (the_log.fd >= 0)
		write_line(level, message);
}
