/*
 * What pid 1 does once, before anything else, and last.
 */
#ifndef VXN_GUEST_BOOT_H
#define VXN_GUEST_BOOT_H

#include <stdbool.h>

#include "channel.h"
#include "error.h"

struct boot_options {
	const struct channel_ops *channel;
	unsigned int ports; /* of the channel, 1 to WIRE_PORTS_MAX */
	bool memory;	    /* the host can be offered some */
};

/* Where a container's root file system is put together, an empty directory. */
#define BOOT_ROOTFS_DIR "/rootfs"
#define BOOT_CGROUP_DIR "/sys/fs/cgroup"

/*
 * Mounts /dev, /proc, /sys and cgroup2 on a tmpfs that becomes the root: the
 * initramfs itself can't be left by pivot_root. Opens /dev/null as 0, 1 and 2.
 */
int boot_mount(struct error *err);

/* Reads vxn.* of the kernel's command line. */
int boot_read_options(struct boot_options *options, struct error *err);

/*
 * Has the kernel run this program again, not as pid 1, when the hypervisor asks
 * for the VM's end (xl shutdown): it then has to call boot_power_off.
 */
int boot_obey_shutdown(struct error *err);

/* Brings the loopback interface up. */
int boot_loopback(struct error *err);

/* Ends the VM. */
_Noreturn void boot_power_off(const struct boot_options *options);

#endif
