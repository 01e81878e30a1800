/* Processes that take locks and wait for them. */
#ifndef SHARE_LOCKS_H
#define SHARE_LOCKS_H

#include <stdbool.h>
#include <sys/types.h>

enum kind { FLOCK, POSIX, OFD };

/* 0 or an errno. type: F_RDLCK, F_WRLCK, F_UNLCK. */
int posix_lock(int fd, int command, int type, off_t start, off_t length);
int ofd_lock(int fd, int command, int type, off_t start, off_t length);
/* By any kind; flock knows no ranges. */
int lock(int fd, enum kind kind, int type, off_t start, off_t length, bool wait);

/* Whether another process would get it now: 0 or an errno. */
int try_elsewhere(const char *path, enum kind kind, int type, off_t start, off_t length);

/*
 * The same, within a second: a guest's kernel without our patch has not waited for
 * RELEASE when close() returns, which another side may see.
 */
bool comes_free(const char *path, enum kind kind, int type, off_t start, off_t length);

/* A process that waits for a lock and keeps it. */
struct waiter {
	pid_t pid;
	int *result; /* WAITER_PENDING, 0 or an errno */
};

#define WAITER_PENDING (-1)

struct waiter start_waiter(const char *path, enum kind kind, int type, off_t start, off_t length);
/* Whether it still waits after a while. */
bool waiter_waits(const struct waiter *waiter);
/* How its wait ended: 0 or an errno; ETIME if it has not after 5 s. */
int waiter_result(const struct waiter *waiter);
/* Kills it. 1 if it died within 5 s. */
int end_waiter(struct waiter *waiter);

#endif
