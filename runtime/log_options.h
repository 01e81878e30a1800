/* The log's options of the command line, which the monitor is started with too. */
#ifndef VXN_LOG_OPTIONS_H
#define VXN_LOG_OPTIONS_H

#include <stdbool.h>

struct log_options {
	const char *path;   /* absolute; NULL = none */
	const char *format; /* "text" or "json" */
	bool debug;
};

#endif
