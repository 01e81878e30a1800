/*
 * The terminal of a container's process on the host: a pty in raw mode, because
 * the line discipline is the guest's. And our own terminal, while a verb in the
 * foreground passes its bytes on.
 */
#ifndef VXN_TERMINAL_H
#define VXN_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "error.h"

struct pty {
	int master;    /* non-blocking only when a verb keeps it */
	int slave;     /* for the stand-in, whose controlling terminal it becomes */
	int io;	       /* the slave once more, non-blocking, for the io process */
	char name[64]; /* of the slave: /dev/pts/N */
};

#define PTY_NONE                                    \
	{                                           \
		.master = -1, .slave = -1, .io = -1 \
	}

/* width and height in characters, 0 = not known. All descriptors are CLOEXEC. */
int pty_open(struct pty *pty, uint16_t width, uint16_t height, struct error *err);
void pty_close(struct pty *pty);

#define CLEANUP_PTY CLEANUP(pty_close)

/* Hands the master to who listens on the console socket, as runc does. */
int pty_send(const struct pty *pty, const char *console_socket, struct error *err);

/*
 * runc's rules for --console-socket: needed by a terminal when the verb does not
 * stay, refused otherwise.
 */
int terminal_check(bool terminal, bool detached, const char *console_socket, struct error *err);

/* Our own terminal in raw mode, until terminal_restore. */
struct raw_terminal {
	int fd; /* -1 = not changed */
	struct termios saved;
};

/* Does nothing when fd is no terminal. */
void terminal_make_raw(struct raw_terminal *raw, int fd);
void terminal_restore(struct raw_terminal *raw);

#define CLEANUP_RAW_TERMINAL CLEANUP(terminal_restore)

/* Gives the pty the window size of the terminal fd, if that is one. */
void terminal_copy_size(int fd, int master);

#endif
