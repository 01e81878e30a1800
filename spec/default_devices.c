/* See default_devices.h. The numbers are Linux's (admin-guide/devices.txt). */
#include "default_devices.h"

#include <stddef.h>

const struct default_device default_devices[] = {
	{ "null", 1, 3 },    { "zero", 1, 5 }, { "full", 1, 7 }, { "random", 1, 8 },
	{ "urandom", 1, 9 }, { "tty", 5, 0 },  { NULL, 0, 0 },
};

const struct default_link default_links[] = {
	{ "fd", "/proc/self/fd" },
	{ "stdin", "/proc/self/fd/0" },
	{ "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" },
	{ "core", "/proc/kcore" },
	{ "ptmx", "pts/ptmx" },
	{ NULL, NULL },
};
