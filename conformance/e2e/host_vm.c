/*
 * The hypervisor interface (vm.h) without a container: makes a VM with the settings
 * of this host, whose guest prints "tick" on its console all the time
 * (init_hostile.c), and calls each function of the back end. Prints a line for each
 * check: "ok - NAME", or "not ok - NAME: WHY".
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "runtime/vm.h"
#include "monotonic.h"

#define MEMORY_MIB 192
#define LESS_MIB   128
/* The hypervisor counts some of its own. */
#define SLACK_MIB 8

static bool failed;

static void check(bool good, const char *name, const char *why)
{
	printf("%s - %s%s%s\n", good ? "ok" : "not ok", name, good ? "" : ": ", good ? "" : why);
	failed |= !good;
}

/* Reads the console for that long, or until there was something. Returns the bytes read. */
static size_t console(const struct vm_backend *backend, struct vm *vm, int ms, bool first)
{
	int64_t until = monotonic_ms() + ms;
	size_t total = 0;
	char text[4096];

	while (monotonic_ms() < until && !(first && total)) {
		struct pollfd ready = { .fd = backend->console_fd(vm), .events = POLLIN };
		ssize_t n = ready.fd >= 0 ? read(ready.fd, text, sizeof(text)) : 0;

		if (n > 0)
			total += (size_t)n;
		else
			poll(&ready, 1, 20);
	}
	return total;
}

/* Does it tick, within a time that is long for a boot under emulation? */
static bool ticks(const struct vm_backend *backend, struct vm *vm)
{
	console(backend, vm, 300, false); /* what was on its way */
	return console(backend, vm, 40000, true) > 0;
}

static bool still(const struct vm_backend *backend, struct vm *vm)
{
	console(backend, vm, 300, false);
	return console(backend, vm, 1500, true) == 0;
}

static bool is_paused(const struct vm_backend *backend, struct vm *vm, struct error *err)
{
	bool paused = false;

	return !backend->paused(vm, &paused, err) && paused;
}

static bool reaches_memory(const struct vm_backend *backend, struct vm *vm, uint64_t wanted,
			   struct error *err)
{
	int64_t until = monotonic_ms() + 20000;
	uint64_t has = 0;

	do {
		if (backend->memory(vm, &has, err))
			return false;
		if (has + SLACK_MIB >= wanted && has <= wanted + SLACK_MIB)
			return true;
		poll(NULL, 0, 100);
	} while (monotonic_ms() < until);
	error_set(err, 0, "it has %" PRIu64 " MiB", has);
	return false;
}

static void use(const struct vm_backend *backend, struct vm *vm)
{
	struct error err = { 0 };

	check(is_paused(backend, vm, &err), "it is made paused", err.message);
	check(still(backend, vm), "and does not run", "it prints");
	check(!backend->unpause(vm, &err), "unpause", err.message);
	check(ticks(backend, vm), "it runs", "it prints nothing");
	check(!is_paused(backend, vm, &err), "and says so", err.message);
	check(!backend->pause(vm, &err), "pause", err.message);
	check(is_paused(backend, vm, &err), "it says that it is paused", err.message);
	check(still(backend, vm), "and stands still", "it prints");
	check(backend->ended(vm) == VM_RUNS, "but has not ended", "it has");
	check(!backend->unpause(vm, &err), "unpause again", err.message);
	check(ticks(backend, vm), "it goes on", "it prints nothing");
	check(reaches_memory(backend, vm, MEMORY_MIB, &err), "its memory", err.message);
	check(!backend->set_memory(vm, LESS_MIB, &err), "set_memory", err.message);
	check(reaches_memory(backend, vm, LESS_MIB, &err), "it gives memory back", err.message);
	check(!backend->set_memory(vm, MEMORY_MIB, &err), "set_memory again", err.message);
	check(reaches_memory(backend, vm, MEMORY_MIB, &err), "it gets it again", err.message);
	check(ticks(backend, vm), "and runs", "it prints nothing");
}

static enum vm_end wait_end(const struct vm_backend *backend, struct vm *vm)
{
	int64_t until = monotonic_ms() + 20000;
	enum vm_end end;

	while ((end = backend->ended(vm)) == VM_RUNS && monotonic_ms() < until) {
		struct pollfd event = { .fd = backend->event_fd(vm), .events = POLLIN };

		poll(&event, 1, 1000);
	}
	return end;
}

static void end(const struct vm_backend *backend, struct vm *vm, const unsigned char *uuid)
{
	struct error err = { 0 };

	check(!backend->shutdown(vm, &err), "shutdown", err.message);
	check(wait_end(backend, vm) == VM_POWERED_OFF, "it powers off",
	      "it does not, or otherwise");
	check(backend->pause(vm, &err) != 0, "one that has ended is not paused", "it is");
	err.message[0] = '\0';
	check(!backend->destroy(vm, &err), "destroy", err.message);
	check(!backend->find_and_destroy(uuid, &err), "nothing is found of it", err.message);
}

int main(void)
{
	struct settings settings;
	unsigned char uuid[VM_UUID_SIZE];
	struct vm_config config = { .name = "vxn-host-vm",
				    .uuid = uuid,
				    .memory_mib = MEMORY_MIB,
				    .shares = 2,
				    .settings = &settings };
	const struct vm_backend *backend;
	struct error err = { 0 };
	struct vm *vm;

	setvbuf(stdout, NULL, _IOLBF, 0);
	uuid_generate(uuid);
	if (settings_load(SETTINGS_PATH, &settings, &err) ||
	    !(backend = vm_backend_choose(&settings, &err)) ||
	    backend->create(&config, &vm, &err)) {
		check(false, "make a VM", err.message);
		return 1;
	}
	use(backend, vm);
	end(backend, vm, uuid);
	settings_free(&settings);
	return failed;
}
