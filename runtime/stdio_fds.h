/*
 * The stdio that an engine has started us with, as it is handed to the monitor.
 * It belongs to the engine as well, and flags such as O_NONBLOCK belong to the
 * open file description that all of its holders share: so pipes and terminals
 * are opened once more by /proc/self/fd, which gives a description of our own.
 * Sockets can't be opened again and regular files need not: those are passed as
 * they are, and the io process changes nothing on them.
 */
#ifndef VXN_STDIO_FDS_H
#define VXN_STDIO_FDS_H

#include "error.h"

#define STDIO_COUNT 3

/* Opens /dev/null in the place of a closed 0, 1 or 2. To be called first of all. */
int stdio_fds_ensure(struct error *err);

/*
 * A descriptor for the same file: non-blocking with a description of its own for
 * a pipe or a terminal, a duplicate for everything else. CLOEXEC. writing: which
 * way it will be used. Returns -1 with err set.
 */
int stdio_fd_open(int fd, int writing, struct error *err);

/* That of 0, 1 and 2; closed by stdio_fds_close. */
int stdio_fds_open(int fds[STDIO_COUNT], struct error *err);
void stdio_fds_close(int fds[STDIO_COUNT]);

#endif
