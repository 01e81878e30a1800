/*
 * Which devices the processes of a cgroup may open and make: a BPF program, there
 * being no files for it in version 2 (admin-guide/cgroup-v2.rst, "Device
 * controller").
 */
#ifndef VXN_GUEST_DEVICE_FILTER_H
#define VXN_GUEST_DEVICE_FILTER_H

#include "devices.h"
#include "error.h"

/* The rules, and those that hold for every container; what none is about is refused. */
int device_filter_attach(int cgroup, const struct oci_devices *devices, struct error *err);

#endif
