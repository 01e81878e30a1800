/*
 * The log of runc's contract: --log FILE with --log-format text or json, levels
 * debug (only with --debug), info, warning, error. Without --log, errors go to
 * stderr alone and warnings nowhere. The only global state of the program.
 */
#ifndef VXN_LOG_H
#define VXN_LOG_H

#include <stdbool.h>

#include "error.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/* path NULL: no file. Opens for append. format "text" or "json". */
int log_open(const char *path, const char *format, bool debug, struct error *err);

void log_message(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_debug(...)	 log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)	 log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...)	 log_message(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
