/*
 * See kmsg.h. The log device is opened for each line: messages are rare, and a
 * descriptor kept open would be one more that a container must not inherit.
 */
#include "kmsg.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_SIZE 900 /* the kernel refuses records over about 1,000 bytes */

static bool debug;

void kmsg_set_debug(bool on)
{
	debug = on;
}

static void print(int level, const char *format, va_list arguments)
{
	char line[LINE_MAX_SIZE];
	int used = snprintf(line, sizeof(line), "<%d>vxn-init: ", level);
	int size = vsnprintf(line + used, sizeof(line) - used, format, arguments);
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return;
	size += used;
	if (size >= (int)sizeof(line))
		size = sizeof(line) - 1;
	if (write(fd, line, size) < 0)
		debug = false; /* nowhere to report it to */
	close(fd);
}

void kmsg_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print(3, format, arguments);
	va_end(arguments);
}

void kmsg_debug(const char *format, ...)
{
	va_list arguments;

	if (!debug)
		return;
	va_start(arguments, format);
	print(4, format, arguments);
	va_end(arguments);
}
