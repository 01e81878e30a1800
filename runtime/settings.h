/*
 * The administrator's settings: /etc/vxn/config.json, JSON with comments.
 * Absent file = defaults. Unknown keys and values out of range are errors that
 * name file and key.
 *
 *	hypervisor	"xen", "qemu", or "auto" (the default): Xen where this host is a Dom0,
 *			else QEMU
 *	kernel		path of the guest kernel (ELF)
 *	initramfs	path
 *	vcpus		default number of virtual CPUs, 1
 *	memory		default memory of a VM in MiB, 512
 *	overhead	MiB added to a container's memory limit, 96
 *	dom0_min_memory	Xen: MiB that Dom0 keeps when it is made smaller for a VM; 0 (the default): it
 *			is not. Xen takes no less than 128
 *	xen_type	"pvh" or "pv"; default: "pvh" where the hypervisor has hvm, else "pv"
 *	qemu		path of QEMU, /usr/bin/qemu-system-x86_64
 *	qemu_user	the user that it runs as, "nobody"
 *	accelerator	"kvm", "tcg" (emulation), or "auto" (the default): KVM where it runs a guest
 *	qemu_template	"off", or "auto" (the default): a VM of QEMU continues from one that has
 *			booted before
 *	boot_timeout	seconds until the guest must have answered, 60
 *	share_threads	worker threads that serve files, 4
 *	cache		how long a guest believes what it was told of shared files: "auto" (the
 *			default), "always" or "none" (cache.h)
 *	host_devices	what becomes of devices in config.json that the VM has no driver for:
 *			"skip" (the default): a warning, and they can't be opened; "refuse"
 *	allow_vm	["kernel", "initrd", "parameters"]: what config.json's vm.kernel may
 *			set; by default nothing
 *	allow_annotations	["cache"]: what config.json's annotations org.vxn.* may set
 */
#ifndef VXN_SETTINGS_H
#define VXN_SETTINGS_H

#include "cache.h"
#include "config.h"
#include "error.h"

enum hypervisor { HYPERVISOR_AUTO, HYPERVISOR_XEN, HYPERVISOR_QEMU };
enum xen_type { XEN_TYPE_AUTO, XEN_TYPE_PV, XEN_TYPE_PVH };
enum qemu_template_use { QEMU_TEMPLATE_AUTO, QEMU_TEMPLATE_OFF };
enum host_devices { HOST_DEVICES_SKIP, HOST_DEVICES_REFUSE };
enum accelerator { ACCELERATOR_AUTO, ACCELERATOR_KVM, ACCELERATOR_TCG };

struct settings {
	enum hypervisor hypervisor;
	char *kernel;
	char *initramfs;
	unsigned int vcpus;
	unsigned int memory_mib;
	unsigned int overhead_mib;
	unsigned int dom0_min_memory_mib;
	enum xen_type xen_type;
	char *qemu;
	char *qemu_user;
	enum accelerator accelerator;
	enum qemu_template_use qemu_template;
	unsigned int boot_timeout_s;
	unsigned int share_threads;
	enum share_cache cache;
	enum host_devices host_devices;
	unsigned int allow_vm;		/* bits, by the names in settings.c */
	unsigned int allow_annotations; /* the same */
	char *kernel_parameters; /* in addition; set by settings_apply_config alone, NULL = none */
};

#define SETTINGS_PATH "/etc/vxn/config.json"

int settings_load(const char *path, struct settings *settings, struct error *err);

/*
 * What config asks for in place of the settings: its vm section. Refuses that, and
 * annotations org.vxn.*, where they are unknown or the administrator does not allow
 * them.
 */
int settings_apply_config(struct settings *settings, const struct oci_config *config,
			  struct error *err);
void settings_free(struct settings *settings);

#endif
