/* QEMU's command line: the machine that a container gets. */
#include "vm_qemu_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

#define KERNEL_COMMAND_LINE                                                                     \
	"console=ttyS0 quiet loglevel=1 dummy.numdummies=0 reboot=t panic=-1 vxn.channel=port " \
	"lapic_timer_khz=1000000" /* of QEMU's and KVM's local APICs; see guest/kernel-boot.patch */
/* At most this much memory for code that was translated, for emulation. */
#define TRANSLATED_MIB "64"

/* A guest that runs out of memory takes back what it gave. */
#define BALLOON ",deflate-on-oom=on"
/* The guest's memory is a file, so that it can be kept, and filled before QEMU begins. */
#define MEMORY ",memory-backend=memory"
/* It is to share memory with the io process (wire.h, MEMORY). */
#define SHARED_MEMORY " vxn.memory"

const struct qemu_machine qemu_machines[QEMU_MACHINES] = {
	{ "microvm,acpi=off" MEMORY, "virtio-serial-device", "virtio-balloon-device" BALLOON,
	  3ull << 30 },
	/* where QEMU was built without it */
	{ "q35,acpi=off,max-ram-below-4g=2G" MEMORY, "virtio-serial-pci",
	  "virtio-balloon-pci" BALLOON, 2ull << 30 },
};

static void add(struct qemu_command *command, const char *option, const char *value)
{
	command->words[command->count++] = option;
	if (value)
		command->words[command->count++] = value;
	command->words[command->count] = NULL;
}

/* Number 0 of the device is a console's; what the guest looks for is the name. */
static void add_ports(struct qemu_command *command, const struct qemu_machine *machine,
		      size_t count)
{
	snprintf(command->serial, sizeof(command->serial), "%s,max_ports=%zu", machine->serial,
		 count + 1);
	add(command, "-device", command->serial);
	for (size_t i = 0; i < count; i++) {
		snprintf(command->ports[i].chardev, sizeof(command->ports[i].chardev),
			 "socket,id=port%zu,fd=%zu", i, QEMU_PORTS_FD + i);
		snprintf(command->ports[i].device, sizeof(command->ports[i].device),
			 "virtserialport,id=guest%zu,chardev=port%zu,nr=%zu,name=vxn.%zu", i, i,
			 i + 1, i);
		add(command, "-chardev", command->ports[i].chardev);
		add(command, "-device", command->ports[i].device);
	}
}

static void add_kernel(struct qemu_command *command, size_t ports, unsigned long tsc_khz,
		       const char *parameters)
{
	int used =
		snprintf(command->append, sizeof(command->append), "%s vxn.ports=%zu%s",
			 KERNEL_COMMAND_LINE, ports, command->shares_memory ? SHARED_MEMORY : "");

	/* calibration by the PIT costs time, and fails at times under emulation */
	if (tsc_khz)
		used += snprintf(command->append + used, sizeof(command->append) - (size_t)used,
				 " tsc_early_khz=%lu", tsc_khz);
	if (parameters)
		snprintf(command->append + used, sizeof(command->append) - (size_t)used, " %s",
			 parameters);
	add(command, "-kernel", QEMU_KERNEL);
	add(command, "-initrd", QEMU_INITRAMFS);
	add(command, "-append", command->append);
}

/*
 * TCG leaves out memory barriers and makes no operation atomic where a machine
 * cannot have but one processor. What shares memory with it, our rings, needs both.
 */
static void set_vcpus(struct qemu_command *command, unsigned int count, bool needs_barriers)
{
	snprintf(command->vcpus, sizeof(command->vcpus), "cpus=%u,maxcpus=%u", count,
		 needs_barriers && count == 1 ? 2 : count);
}

void qemu_command_make(struct qemu_command *command, const struct vm_config *config,
		       const struct qemu_machine *machine, size_t ports, bool kvm, bool restored)
{
	const struct settings *settings = config->settings;

	command->count = 0;
	snprintf(command->memory, sizeof(command->memory), "%" PRIu64 "M", config->memory_mib);
	set_vcpus(command, settings->vcpus, !kvm && command->shares_memory);
	uuid_unparse_lower(config->uuid, command->uuid);
	snprintf(command->object, sizeof(command->object),
		 "memory-backend-file,id=memory,share=on,mem-path=" QEMU_MEMORY ",size=%" PRIu64
		 "M",
		 config->memory_mib);
	add(command, settings->qemu, NULL);
	add(command, "-name", config->name);
	add(command, "-uuid", command->uuid);
	command->described = command->count;
	add(command, "-M", machine->type);
	add(command, "-accel", kvm ? "kvm" : "tcg,tb-size=" TRANSLATED_MIB);
	/* what is fast in a processor, moving single bytes, is slow in an emulator */
	add(command, "-cpu", kvm ? "host" : "max,-erms,-fsrm");
	add(command, "-smp", command->vcpus);
	add(command, "-m", command->memory);
	add(command, "-nodefaults", NULL);
	add(command, "-no-user-config", NULL);
	add(command, "-no-reboot", NULL);
	add(command, "-S", NULL);
	add(command, "-display", "none");
	add(command, "-sandbox",
	    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	add(command, "-global", "virtio-mmio.force-legacy=false");
	add(command, "-object", command->object);
	if (restored)
		add(command, "-incoming", "defer");
	else
		add_kernel(command, ports, kvm ? 0 : qemu_tsc_khz(), settings->kernel_parameters);
	add(command, "-chardev", "stdio,id=console,signal=off");
	add(command, "-serial", "chardev:console");
	add(command, "-chardev", QEMU_QMP);
	add(command, "-mon", "chardev=qmp,mode=control");
	add_ports(command, machine, ports);
	add(command, "-device", machine->balloon);
	add(command, "-device", "isa-debug-exit,iobase=0xf4,iosize=0x1"); /* guest/boot.c */
}
