/*
 * Finding the program that args[0] names, as the container's process would, with
 * runc's words when it is not there: podman makes exit codes 126 and 127 of them.
 */
#ifndef VXN_LOOKUP_H
#define VXN_LOOKUP_H

#include "error.h"

#define LOOKUP_PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/*
 * To be called in the container's root and working directory. env is the
 * process's, NULL-terminated; its PATH is searched, LOOKUP_PATH_DEFAULT if it has
 * none. A name with a '/' is only checked. Returns the path to exec, to be freed;
 * NULL with err set.
 */
char *find_program(const char *name, char *const env[], struct error *err);

#endif
