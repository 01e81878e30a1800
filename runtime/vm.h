/*
 * What the monitor knows of a hypervisor: one struct of functions for each back
 * end. No other file names a hypervisor. Used from one thread; functions may
 * block for as long as the hypervisor takes (create: up to a second).
 */
#ifndef VXN_VM_H
#define VXN_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "settings.h"
#include "wire.h"

struct vm;

#define VM_UUID_SIZE	    16
#define VM_PORTS_MAX	    WIRE_PORTS_MAX
#define VM_CHANNEL_SPEC_MAX 64

struct vm_config {
	const char *name;	   /* for the operator's eyes; unique on this host */
	const unsigned char *uuid; /* how the VM is found again after a crash */
	uint64_t memory_mib;
	size_t shares;	    /* how many the channel will carry: each may get a port of its own */
	const char *cgroup; /* where a process that is this VM belongs; NULL = anywhere */
	const struct settings *settings;
};

enum vm_end {
	VM_RUNS, /* it has not ended */
	VM_POWERED_OFF,
	VM_CRASHED, /* kernel panic, triple fault */
	VM_GONE,    /* somebody destroyed it */
	VM_FAILED,  /* its hypervisor gave up; the console has its words */
};

/*
 * The guest's memory as a file: its first bytes are at the guest's address 0, what is
 * behind below_4g at 4 GiB.
 */
struct vm_memory {
	int fd; /* -1 = it cannot be shared with the guest */
	uint64_t below_4g;
};

struct vm_backend {
	const char *name;

	/* Can this host run it? The error says what is missing. */
	int (*probe)(const struct settings *settings, struct error *err);

	/*
	 * Creates a paused VM. On failure nothing is left of it. Killed at any
	 * point, what is left is found by its uuid (find_and_destroy).
	 */
	int (*create)(const struct vm_config *config, struct vm **vm, struct error *err);

	/* Stops its processors, and lets them go on. Fail when it has ended. */
	int (*pause)(struct vm *vm, struct error *err);
	int (*unpause)(struct vm *vm, struct error *err);
	int (*paused)(struct vm *vm, bool *paused, struct error *err);

	/*
	 * Asks the guest's kernel to give memory back until it has this much, or to
	 * take it again, at most what it was created with. It obeys when it runs and
	 * as far as it can; `memory` tells what it has.
	 */
	int (*set_memory)(struct vm *vm, uint64_t memory_mib, struct error *err);
	int (*memory)(struct vm *vm, uint64_t *memory_mib, struct error *err);

	/*
	 * Asks for its end: the guest's kernel powers off where the hypervisor can
	 * tell it to (Xen), else the hypervisor ends by itself. `ended` tells when:
	 * VM_POWERED_OFF.
	 */
	int (*shutdown)(struct vm *vm, struct error *err);

	/* Turns readable when the VM may have ended; then ask `ended`. */
	int (*event_fd)(const struct vm *vm);
	enum vm_end (*ended)(struct vm *vm);

	/*
	 * Console output of the guest's kernel and complaints of the hypervisor, a
	 * non-blocking readable fd owned by vm, -1 if there is none (yet). Hostile
	 * bytes.
	 */
	int (*console_fd)(struct vm *vm);

	/*
	 * What the io process opens as the channel (channel.h), and the fds of its
	 * ports, the caller's from now on, as is memory->fd. Returns how many; 0: it has
	 * one port, which the spec describes. To be called once.
	 */
	size_t (*channel)(struct vm *vm, char spec[VM_CHANNEL_SPEC_MAX], int ports[VM_PORTS_MAX],
			  struct vm_memory *memory);

	/* Ends the VM at once, in whatever state, and frees vm. */
	int (*destroy)(struct vm *vm, struct error *err);

	/* Destroys every VM with this uuid; none is success, and so is a host without the hypervisor. */
	int (*find_and_destroy)(const unsigned char *uuid, struct error *err);
};

extern const struct vm_backend vm_xen, vm_qemu;

/* The one that settings name; for "auto" the first that this host can run. */
const struct vm_backend *vm_backend_choose(const struct settings *settings, struct error *err);

/* find_and_destroy of each back end: for a VM that somebody else has made. */
int vm_find_and_destroy(const unsigned char *uuid, struct error *err);

#endif
