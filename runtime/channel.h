/*
 * The channel's byte stream as the io process sees it: non-blocking, ordered,
 * reliable until it closes. Back ends differ in channel_*.c alone.
 */
#ifndef VXN_CHANNEL_H
#define VXN_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "error.h"

struct channel;

/* spec comes from vm_backend.channel_spec, e.g. "vchan:7". */
int channel_open(const char *spec, struct channel **channel, struct error *err);

/* To be polled for POLLIN; then channel_event, and read and write may progress. */
int channel_fd(const struct channel *channel);
void channel_event(struct channel *channel);

/*
 * Number of bytes moved, 0 when nothing can be moved now (channel_fd will turn
 * readable when it can), -1 when the guest's end is closed.
 */
ssize_t channel_read(struct channel *channel, void *buffer, size_t size);
ssize_t channel_write(struct channel *channel, const void *buffer, size_t size);

#endif
