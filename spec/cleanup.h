/*
 * Scope-bound release of memory and file descriptors (the cleanup attribute of
 * gcc and clang), so that a function with five ways to fail needs no ladder of
 * gotos. A value that leaves the scope is taken out with steal_fd or
 * steal_pointer.
 */
#ifndef VXN_CLEANUP_H
#define VXN_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(f) __attribute__((cleanup(f)))

static inline void cleanup_free_(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

#define CLEANUP_FREE  CLEANUP(cleanup_free_)
#define CLEANUP_CLOSE CLEANUP(cleanup_close_)

/* Returns *fd and leaves -1, which CLEANUP_CLOSE ignores. */
static inline int steal_fd(int *fd)
{
	int value = *fd;

	*fd = -1;
	return value;
}

#define steal_pointer(p)                        \
	({                                      \
		__typeof__(*(p)) value_ = *(p); \
		*(p) = NULL;                    \
		value_;                         \
	})

#endif
