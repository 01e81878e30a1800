/*
 * Xen: domains through libxenlight, in this process. libxl's device scripts are
 * not used. The domain's uuid is the container's, set by the hypervisor in the
 * first step of the creation, so that a domain that was left behind half-made
 * is found without its name.
 *
 * Whether a domain still runs is asked from the hypervisor when xenstored
 * announces that some domain was released; the event machinery of libxl is not
 * needed for that.
 */
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* first, as it says which API of libxl */
#include "vm_xen_memory.h"

#include <libxl_event.h>
#include <libxl_utils.h>
#include <xenstore.h>
#include <xentoollog.h>

#include "cleanup.h"
#include "log.h"

/* A PV guest's is cut silently at 1,023 characters: configuration goes over the channel. */
#define KERNEL_COMMAND_LINE "console=hvc0 quiet loglevel=1 dummy.numdummies=0 vxn.channel=vchan"

/* A logger for libxl that keeps its last complaint for our error message. */
struct capture {
	xentoollog_logger vtable; /* must be first */
	char last[400];
};

struct vm {
	struct capture logger;
	libxl_ctx *ctx;
	struct xs_handle *store;
	uint32_t domid;
	uint64_t memory_mib, most_mib; /* that it is to have, and may have when there is more */
	int console;
};

static void capture_message(xentoollog_logger *logger, xentoollog_level level, int errnoval,
			    const char *context, const char *format, va_list ap)
{
	struct capture *capture = (struct capture *)logger;
	char line[400];

	(void)context;
	vsnprintf(line, sizeof(line), format, ap);
	line[strcspn(line, "\n")] = '\0';
	if (level < XTL_WARN)
		return;
	log_debug("libxl: %s%s%s", line, errnoval > 0 ? ": " : "",
		  errnoval > 0 ? strerror(errnoval) : "");
	if (level >= XTL_ERROR && !capture->last[0])
		memcpy(capture->last, line, sizeof(line));
}

static void capture_progress(xentoollog_logger *logger, const char *context, const char *doing,
			     int percent, unsigned long done, unsigned long total)
{
	(void)logger, (void)context, (void)doing, (void)percent, (void)done, (void)total;
}

static void capture_destroy(xentoollog_logger *logger)
{
	(void)logger;
}

static const libxl_childproc_hooks child_hooks = {
	/* the monitor waits for its own children by pid */
	.chldowner = libxl_sigchld_owner_libxl_always_selective_reap,
};

static int xen_probe(const struct settings *settings, struct error *err)
{
	(void)settings;
	if (access("/proc/xen/privcmd", R_OK | W_OK) && access("/dev/xen/privcmd", R_OK | W_OK))
		return error_set(err, 0,
				 "this host is not a Xen control domain (Dom0): there is neither "
				 "/dev/xen/privcmd nor /proc/xen/privcmd");
	if (access("/dev/xen/gntalloc", R_OK | W_OK))
		return error_set(err, errno, "/dev/xen/gntalloc (kernel module xen-gntalloc)");
	return 0;
}

static void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	if (vm->console >= 0)
		close(vm->console);
	if (vm->store)
		xs_close(vm->store);
	if (vm->ctx)
		libxl_ctx_free(vm->ctx);
	free(vm);
}

static struct vm *vm_open(struct error *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm) {
		error_set(err, ENOMEM, "open libxenlight");
		return NULL;
	}
	vm->console = -1;
	vm->logger.vtable =
		(xentoollog_logger){ capture_message, capture_progress, capture_destroy };
	if (libxl_ctx_alloc(&vm->ctx, LIBXL_VERSION, 0, &vm->logger.vtable)) {
		error_set(err, 0, "open libxenlight: %s",
			  vm->logger.last[0] ? vm->logger.last : "no reason given");
		vm_free(vm);
		return NULL;
	}
	libxl_childproc_setmode(vm->ctx, &child_hooks, NULL);
	vm->store = xs_open(0);
	if (!vm->store) {
		error_set(err, errno, "connect to xenstored");
		vm_free(vm);
		return NULL;
	}
	return vm;
}

static libxl_domain_type choose_type(struct vm *vm, enum xen_type wanted)
{
	libxl_physinfo info;
	bool hvm;

	if (wanted != XEN_TYPE_AUTO)
		return wanted == XEN_TYPE_PV ? LIBXL_DOMAIN_TYPE_PV : LIBXL_DOMAIN_TYPE_PVH;
	libxl_physinfo_init(&info);
	hvm = !libxl_get_physinfo(vm->ctx, &info) && info.cap_hvm;
	libxl_physinfo_dispose(&info);
	return hvm ? LIBXL_DOMAIN_TYPE_PVH : LIBXL_DOMAIN_TYPE_PV;
}

/* To be freed; NULL when memory is short. */
static char *command_line(const struct settings *settings)
{
	char *text;

	if (!settings->kernel_parameters)
		return strdup(KERNEL_COMMAND_LINE);
	if (asprintf(&text, KERNEL_COMMAND_LINE " %s", settings->kernel_parameters) < 0)
		return NULL;
	return text;
}

static int fill_domain_config(struct vm *vm, const struct vm_config *config,
			      libxl_domain_config *domain, struct error *err)
{
	const struct settings *settings = config->settings;
	libxl_domain_build_info *build = &domain->b_info;

	domain->c_info.type = choose_type(vm, settings->xen_type);
	domain->c_info.name = strdup(config->name);
	memcpy(domain->c_info.uuid.uuid, config->uuid, VM_UUID_SIZE);
	libxl_domain_build_info_init_type(build, domain->c_info.type);
	build->max_vcpus = (int)settings->vcpus;
	if (libxl_cpu_bitmap_alloc(vm->ctx, &build->avail_vcpus, (int)settings->vcpus))
		return error_set(err, 0, "allocate a map of %u vcpus", settings->vcpus);
	libxl_bitmap_set_any(&build->avail_vcpus);
	build->max_memkb = config->memory_mib * 1024;
	build->target_memkb = config->memory_mib * 1024;
	build->kernel = strdup(settings->kernel);
	build->ramdisk = strdup(settings->initramfs);
	build->cmdline = command_line(settings);
	if (!domain->c_info.name || !build->kernel || !build->ramdisk || !build->cmdline)
		return error_set(err, ENOMEM, "describe the domain");
	domain->on_poweroff = LIBXL_ACTION_ON_SHUTDOWN_PRESERVE;
	domain->on_reboot = LIBXL_ACTION_ON_SHUTDOWN_PRESERVE;
	domain->on_crash = LIBXL_ACTION_ON_SHUTDOWN_PRESERVE;
	return 0;
}

/* That a container's limit is larger than what is free is no reason not to begin. */
static uint64_t least_memory(const struct vm_config *config)
{
	return config->memory_mib < config->settings->memory_mib ? config->memory_mib
								 : config->settings->memory_mib;
}

static int create_domain(struct vm *vm, const struct vm_config *config, struct error *err)
{
	CLEANUP_CLOSE int lock = -1;
	libxl_domain_config domain;
	int result;

	libxl_domain_config_init(&domain);
	result = fill_domain_config(vm, config, &domain, err);
	if (!result)
		result = xen_memory_reserve(vm->ctx, &domain, least_memory(config),
					    config->settings->dom0_min_memory_mib, &lock, err);
	if (!result) {
		vm->memory_mib = domain.b_info.target_memkb / 1024;
		vm->most_mib = domain.b_info.max_memkb / 1024;
		vm->domid = (uint32_t)INVALID_DOMID;
		result = libxl_domain_create_new(vm->ctx, &domain, &vm->domid, NULL, NULL);
		if (result) {
			error_set(err, 0, "create the Xen domain \"%s\": %s (libxl error %d)",
				  config->name,
				  vm->logger.last[0] ? vm->logger.last : "no reason given", result);
			if (vm->domid != (uint32_t)INVALID_DOMID)
				libxl_domain_destroy(vm->ctx, vm->domid, NULL);
			result = -1;
		}
	}
	libxl_domain_config_dispose(&domain);
	return result;
}

static int xen_create(const struct vm_config *config, struct vm **result, struct error *err)
{
	struct vm *vm = vm_open(err);

	*result = NULL;
	if (!vm)
		return -1;
	if (!xs_watch(vm->store, "@releaseDomain", "ended")) {
		error_set(err, errno, "watch for released domains");
		vm_free(vm);
		return -1;
	}
	if (create_domain(vm, config, err)) {
		vm_free(vm);
		return -1;
	}
	if (vm->memory_mib < vm->most_mib)
		log_warning("the VM begins with %llu MiB of %llu, as there are not more; it gets "
			    "what other VMs leave",
			    (unsigned long long)vm->memory_mib, (unsigned long long)vm->most_mib);
	*result = vm;
	return 0;
}

struct domain_state {
	bool paused, ended;
	uint64_t memory_mib;
};

static int get_state(struct vm *vm, struct domain_state *state, struct error *err)
{
	libxl_dominfo info;
	int result;

	libxl_dominfo_init(&info);
	result = libxl_domain_info(vm->ctx, &info, vm->domid);
	*state = (struct domain_state){ .paused = info.paused,
					.ended = info.shutdown,
					.memory_mib = info.current_memkb / 1024 };
	libxl_dominfo_dispose(&info);
	if (result)
		return error_set(err, 0, "ask for domain %u: libxl error %d", vm->domid, result);
	return 0;
}

static int xen_pause(struct vm *vm, struct error *err)
{
	struct domain_state state;
	int result;

	if (get_state(vm, &state, err))
		return -1;
	if (state.ended)
		return error_set(err, 0, "pause domain %u: it has ended", vm->domid);
	result = libxl_domain_pause(vm->ctx, vm->domid, NULL);
	if (result)
		return error_set(err, 0, "pause domain %u: libxl error %d", vm->domid, result);
	return 0;
}

static int xen_unpause(struct vm *vm, struct error *err)
{
	int result = libxl_domain_unpause(vm->ctx, vm->domid, NULL);

	if (result)
		return error_set(err, 0, "unpause domain %u: libxl error %d", vm->domid, result);
	return 0;
}

static int xen_paused(struct vm *vm, bool *paused, struct error *err)
{
	struct domain_state state;

	if (get_state(vm, &state, err))
		return -1;
	*paused = state.paused;
	return 0;
}

static int xen_set_memory(struct vm *vm, uint64_t memory_mib, struct error *err)
{
	int result = libxl_set_memory_target(vm->ctx, vm->domid, (int64_t)memory_mib * 1024, 0, 1);

	if (result)
		return error_set(err, 0, "give domain %u %llu MiB: %s (libxl error %d)", vm->domid,
				 (unsigned long long)memory_mib,
				 vm->logger.last[0] ? vm->logger.last : "no reason given", result);
	vm->memory_mib = memory_mib;
	return 0;
}

static int xen_memory(struct vm *vm, uint64_t *memory_mib, struct error *err)
{
	struct domain_state state;

	if (get_state(vm, &state, err))
		return -1;
	*memory_mib = state.memory_mib;
	return 0;
}

static int xen_shutdown(struct vm *vm, struct error *err)
{
	int result = libxl_domain_shutdown(vm->ctx, vm->domid, NULL);

	if (result)
		return error_set(err, 0, "shut domain %u down: libxl error %d", vm->domid, result);
	return 0;
}

static int xen_event_fd(const struct vm *vm)
{
	return xs_fileno(vm->store);
}

static enum vm_end end_of_shutdown(libxl_shutdown_reason reason)
{
	return reason == LIBXL_SHUTDOWN_REASON_POWEROFF || reason == LIBXL_SHUTDOWN_REASON_REBOOT
		       ? VM_POWERED_OFF
		       : VM_CRASHED;
}

/* A domain has ended: this one gets of what it had, until it has all that it may. */
static void grow(struct vm *vm)
{
	struct error err = { 0 };
	uint64_t free_mib, wanted;

	if (vm->memory_mib >= vm->most_mib || xen_memory_free(vm->ctx, &free_mib, &err))
		return;
	wanted =
		vm->most_mib - vm->memory_mib < free_mib ? vm->most_mib : vm->memory_mib + free_mib;
	if (xen_set_memory(vm, wanted, &err))
		log_warning("%s", err.message);
}

static enum vm_end xen_ended(struct vm *vm)
{
	enum vm_end end = VM_RUNS;
	libxl_dominfo info;
	char **event;
	int result;

	while ((event = xs_check_watch(vm->store)))
		free(event);
	libxl_dominfo_init(&info);
	result = libxl_domain_info(vm->ctx, &info, vm->domid);
	if (result == ERROR_DOMAIN_NOTFOUND || (!result && info.dying))
		end = VM_GONE;
	else if (!result && info.shutdown)
		end = end_of_shutdown(info.shutdown_reason);
	libxl_dominfo_dispose(&info);
	if (end == VM_RUNS)
		grow(vm);
	return end;
}

/* The console's pty appears when xenconsoled has noticed the new domain. */
static int xen_console_fd(struct vm *vm)
{
	struct termios raw;
	char path[64];
	char *tty;

	if (vm->console >= 0)
		return vm->console;
	snprintf(path, sizeof(path), "/local/domain/%u/console/tty", vm->domid);
	tty = xs_read(vm->store, XBT_NULL, path, NULL);
	if (!tty)
		return -1;
	vm->console = tty[0] ? open(tty, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC) : -1;
	free(tty);
	if (vm->console >= 0 && !tcgetattr(vm->console, &raw)) {
		/* an echo would feed the guest its own words */
		cfmakeraw(&raw);
		tcsetattr(vm->console, TCSANOW, &raw);
	}
	return vm->console;
}

static size_t xen_channel(struct vm *vm, char spec[VM_CHANNEL_SPEC_MAX], int ports[VM_PORTS_MAX],
			  struct vm_memory *memory)
{
	(void)ports;
	memory->fd = -1;
	snprintf(spec, VM_CHANNEL_SPEC_MAX, "vchan:%u", vm->domid);
	return 0;
}

static int destroy_domain(struct vm *vm, uint32_t domid, struct error *err)
{
	int result = libxl_domain_destroy(vm->ctx, domid, NULL);

	if (result && result != ERROR_DOMAIN_NOTFOUND)
		return error_set(err, 0, "destroy domain %u: %s (libxl error %d)", domid,
				 vm->logger.last[0] ? vm->logger.last : "no reason given", result);
	return 0;
}

static int xen_destroy(struct vm *vm, struct error *err)
{
	int result = destroy_domain(vm, vm->domid, err);

	vm_free(vm);
	return result;
}

static int xen_find_and_destroy(const unsigned char *uuid, struct error *err)
{
	libxl_dominfo *domains;
	int count = 0, result = 0;
	struct vm *vm;

	if (xen_probe(NULL, NULL))
		return 0;
	vm = vm_open(err);
	if (!vm)
		return -1;
	domains = libxl_list_domain(vm->ctx, &count);
	for (int i = 0; domains && i < count; i++)
		if (!memcmp(domains[i].uuid.uuid, uuid, VM_UUID_SIZE) && !domains[i].dying &&
		    destroy_domain(vm, domains[i].domid, err))
			result = -1;
	if (domains)
		libxl_dominfo_list_free(domains, count);
	else
		result = error_set(err, 0, "list the domains of this host");
	vm_free(vm);
	return result;
}

const struct vm_backend vm_xen = {
	.name = "xen",
	.probe = xen_probe,
	.create = xen_create,
	.pause = xen_pause,
	.unpause = xen_unpause,
	.paused = xen_paused,
	.set_memory = xen_set_memory,
	.memory = xen_memory,
	.shutdown = xen_shutdown,
	.event_fd = xen_event_fd,
	.ended = xen_ended,
	.console_fd = xen_console_fd,
	.channel = xen_channel,
	.destroy = xen_destroy,
	.find_and_destroy = xen_find_and_destroy,
};
