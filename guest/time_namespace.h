/* The time namespace of a container, with the offsets of linux.timeOffsets. */
#ifndef VXN_GUEST_TIME_NAMESPACE_H
#define VXN_GUEST_TIME_NAMESPACE_H

#include "config.h"
#include "error.h"

/*
 * The calling process is in it from then on. Nothing without a time namespace in
 * config.json. /proc has to be the VM's.
 */
int time_namespace_enter(const struct oci_config *config, struct error *err);

#endif
