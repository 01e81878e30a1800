/*
 * A verb that stays until the process ends: `run` and `exec` without --detach. It
 * waits for the stand-in, its child, passes on the signals it gets, and with a
 * terminal copies between its own stdio and the pty.
 */
#ifndef VXN_FOREGROUND_H
#define VXN_FOREGROUND_H

#include <sys/types.h>

#include "error.h"

/*
 * Blocks the signals that foreground_wait will pass on, so that none is lost
 * from here on. To be called before the stand-in is made.
 */
void foreground_prepare(void);

/*
 * Returns the exit status of the stand-in, 0 to 255 (128+n: killed by signal n);
 * it is reaped then. master: of the pty, -1 without a terminal; made non-blocking.
 */
int foreground_wait(pid_t standin, int master, struct error *err);

#endif
