/* Small files read whole, and replaced whole: state, config, pid files. */
#ifndef VXN_TEXTFILE_H
#define VXN_TEXTFILE_H

#include <stddef.h>
#include <sys/types.h>

#include "error.h"

/*
 * The file's bytes and a NUL after them, to be freed; NULL with err set, its
 * errnum that of open(2), EFBIG, and max in the message, when it is
 * larger than that. directory as of
 * openat(2).
 */
char *textfile_read(int directory, const char *path, size_t max, size_t *size, struct error *err);

/*
 * Replaces the file atomically: a reader sees the old one or the new one, and
 * after a failure the old one is there.
 */
int textfile_write(const char *path, mode_t mode, const char *text, size_t size, struct error *err);

#endif
