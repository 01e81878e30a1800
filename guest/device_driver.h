/* Which devices of a container the VM's kernel has a driver for. */
#ifndef VXN_GUEST_DEVICE_DRIVER_H
#define VXN_GUEST_DEVICE_DRIVER_H

#include <stdbool.h>

#include "devices.h"
#include "error.h"

/*
 * Looks for devices of linux.devices that nobody could open. With refuse the first one
 * is an error; else *warning says which they are, to be freed, NULL = none.
 */
int device_check_drivers(const struct oci_devices *devices, bool refuse, char **warning,
			 struct error *err);

#endif
