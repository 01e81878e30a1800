/*
 * What the monitor knows of a hypervisor: one struct of functions for each back
 * end. No other file names a hypervisor. Used from one thread; functions may
 * block for as long as the hypervisor takes (create: up to a second).
 */
#ifndef VXN_VM_H
#define VXN_VM_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "settings.h"

struct vm;

#define VM_UUID_SIZE	    16
#define VM_CHANNEL_SPEC_MAX 64

struct vm_config {
	const char *name;	   /* for the operator's eyes; unique on this host */
	const unsigned char *uuid; /* how the VM is found again after a crash */
	uint64_t memory_mib;
	const struct settings *settings;
};

enum vm_end {
	VM_RUNS, /* it has not ended */
	VM_POWERED_OFF,
	VM_CRASHED, /* kernel panic, triple fault */
	VM_GONE,    /* somebody destroyed it */
};

struct vm_backend {
	const char *name;

	/* Can this host run it? The error says what is missing. */
	int (*probe)(struct error *err);

	/*
	 * Creates a paused VM. On failure nothing is left of it. Killed at any
	 * point, what is left is found by its uuid (find_and_destroy).
	 */
	int (*create)(const struct vm_config *config, struct vm **vm, struct error *err);

	int (*unpause)(struct vm *vm, struct error *err);

	/* Turns readable when the VM may have ended; then ask `ended`. */
	int (*event_fd)(const struct vm *vm);
	enum vm_end (*ended)(struct vm *vm);

	/*
	 * Console output of the guest's kernel, a non-blocking readable fd owned
	 * by vm, -1 if there is none (yet). Hostile bytes.
	 */
	int (*console_fd)(struct vm *vm);

	/* What the io process opens as the channel (channel.h). */
	void (*channel_spec)(const struct vm *vm, char spec[VM_CHANNEL_SPEC_MAX]);

	/* Ends the VM at once, in whatever state, and frees vm. */
	int (*destroy)(struct vm *vm, struct error *err);

	/* Destroys every VM with this uuid; none is success. */
	int (*find_and_destroy)(const unsigned char *uuid, struct error *err);
};

extern const struct vm_backend vm_xen;

#endif
