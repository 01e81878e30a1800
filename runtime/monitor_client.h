/* The verbs' side of monitor_protocol.h: start a monitor, ask it, end it. */
#ifndef VXN_MONITOR_CLIENT_H
#define VXN_MONITOR_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "container.h"
#include "error.h"
#include "log_options.h"
#include "monitor_protocol.h"

/*
 * Starts `vxn-monitor run` as nobody's child, with /dev/null as stdio. Returns
 * create's end of the socketpair.
 */
int monitor_start(const struct container *container, const char *bundle,
		  const struct log_options *log, struct error *err);

/* Runs `vxn-monitor cleanup` and waits for it; its words are the error. */
int monitor_cleanup(const struct container *container, struct error *err);

/* Connects to a running monitor. errnum ENOENT or ECONNREFUSED: none listens. */
int monitor_connect(const struct container *container, struct error *err);

/*
 * Sends a request and waits for its reply, at most timeout_ms (-1: for ever), or
 * until cancel_fd (-1: none) is readable. Returns 0; MONITOR_REFUSED with the
 * monitor's own words, which may be the guest's; MONITOR_SILENT when there was no
 * reply, errnum then being 0 for its end, ETIMEDOUT or ECANCELED.
 */
#define MONITOR_REFUSED (-1)
#define MONITOR_SILENT	(-2)

int monitor_ask(int socket, const struct monitor_request *request, const int *fds, size_t count,
		int timeout_ms, int cancel_fd, struct error *err);

/*
 * Waits until the monitor has given up its lock, at most timeout_ms. False: it
 * still has it.
 */
bool monitor_wait_end(const struct container *container, int timeout_ms);

#endif
