/*
 * Messages of vxn-init in the kernel's log, which the console carries to the
 * host: errors, and with `vxn.log=debug` on the kernel's command line each step.
 * No other output: stdio belongs to containers.
 */
#ifndef VXN_GUEST_KMSG_H
#define VXN_GUEST_KMSG_H

#include <stdbool.h>

/* Whether kmsg_debug prints; inherited by children. */
void kmsg_set_debug(bool on);

void kmsg_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void kmsg_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
