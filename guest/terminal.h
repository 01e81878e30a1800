/* The pseudo terminal of a container's process. */
#ifndef VXN_GUEST_TERMINAL_H
#define VXN_GUEST_TERMINAL_H

#include <stdbool.h>

#include "config.h"
#include "error.h"

/*
 * Makes a pseudo terminal in the container's own devpts, of the window size that
 * process has, makes it the controlling terminal and stdin, stdout and stderr of
 * the caller, and with console the container's /dev/console. To be called in the
 * container's root by a session leader. Returns the master, -1 with err set.
 */
int terminal_open(const struct oci_process *process, bool console, struct error *err);

#endif
