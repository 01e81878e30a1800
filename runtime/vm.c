/* See vm.h: which back end. */
#include "vm.h"

#include "log.h"

static const struct {
	enum hypervisor setting;
	const struct vm_backend *backend;
} backends[] = {
	/* in the order of "auto" */
	{ HYPERVISOR_XEN, &vm_xen },
	{ HYPERVISOR_QEMU, &vm_qemu },
};

#define BACKENDS_COUNT (sizeof(backends) / sizeof(backends[0]))

static const struct vm_backend *choose(const struct settings *settings, struct error *err)
{
	struct error reasons[BACKENDS_COUNT] = { 0 };

	for (size_t i = 0; i < BACKENDS_COUNT; i++) {
		if (settings->hypervisor == backends[i].setting)
			return backends[i].backend->probe(settings, err) ? NULL
									 : backends[i].backend;
		if (settings->hypervisor == HYPERVISOR_AUTO &&
		    !backends[i].backend->probe(settings, &reasons[i]))
			return backends[i].backend;
	}
	error_set(err, 0, "no hypervisor: %.400s; %.400s", reasons[0].message, reasons[1].message);
	return NULL;
}

const struct vm_backend *vm_backend_choose(const struct settings *settings, struct error *err)
{
	const struct vm_backend *backend = choose(settings, err);

	if (backend)
		log_info("hypervisor: %s", backend->name);
	return backend;
}

int vm_find_and_destroy(const unsigned char *uuid, struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < BACKENDS_COUNT; i++)
		if (backends[i].backend->find_and_destroy(uuid, err))
			result = -1;
	return result;
}
