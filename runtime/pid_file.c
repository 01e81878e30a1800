/* See pid_file.h. */
#include "pid_file.h"

#include <stdio.h>
#include <string.h>

#include "textfile.h"

int pid_file_write(const char *path, pid_t pid, struct error *err)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	return textfile_write(path, 0644, text, strlen(text), err);
}
