/* The pid file of an engine: the digits and no newline, as runc writes it. */
#ifndef VXN_PID_FILE_H
#define VXN_PID_FILE_H

#include <sys/types.h>

#include "error.h"

/* Appears with its contents, never empty: engines poll for it. */
int pid_file_write(const char *path, pid_t pid, struct error *err);

#endif
