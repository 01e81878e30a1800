/*
 * A process known by its pid and its start time: a pid alone is used again by
 * somebody else after a while, and the state file is read after days.
 */
#ifndef VXN_PROCESS_IDENTITY_H
#define VXN_PROCESS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

/* Field 22 of /proc/PID/stat, clock ticks since boot; 0 when there is no such process. */
uint64_t process_start_time(pid_t pid);

/* Is it there, this very one, and no zombie? */
bool process_is_alive(pid_t pid, uint64_t start_time);

/*
 * Kills it and waits until it is dead (a zombie is), at most timeout_ms. One that
 * is gone already is success.
 */
int process_kill(pid_t pid, uint64_t start_time, int timeout_ms, struct error *err);

#endif
