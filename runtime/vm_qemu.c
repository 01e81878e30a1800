/*
 * The QEMU back end: a machine of the type microvm with the same kernel and
 * initramfs as a Xen domain, on KVM where that runs a guest, else emulated (TCG).
 * The channel is some virtio-serial ports: for control, for stdio, and one for each
 * share as far as there are; the host's end of each is one of a pair of sockets. Its
 * memory is a file that only this QEMU has.
 *
 * The guest ends QEMU in two ways, which differ in QEMU's exit status: a power-off
 * writes to the isa-debug-exit device (guest/boot.c), a restart is a kernel's panic
 * or a triple fault. Nothing of the guest is parsed here.
 */
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "cleanup.h"
#include "json.h"
#include "log.h"
#include "vm_qemu_internal.h"

/* Memory without which the kernel does not boot, and for one port more. */
#define PORTS_FROM_MIB 32
#define MIB_FOR_PORT   4
/* A guest of this much has two huge pages for its shares, and then one port is enough for them. */
#define SHARED_FROM_MIB 128
/* isa-debug-exit: writing V ends QEMU with status 2V+1; guest/boot.c writes 42. */
#define POWER_OFF_STATUS 85
/* Between the end of its socket and its own. */
#define END_MS 1000

struct vm {
	struct qemu_process qemu;
	size_t ports_count;
	int ports[VM_PORTS_MAX]; /* the io process's ends, -1 = handed over */
	int memory;	   /* the guest's, if it is to share some; -1 = none, or handed over */
	uint64_t below_4g; /* of that; vm.h */
	int events;	   /* epoll: QEMU's end, and its messages */
	bool restored;	   /* from a template */
	bool booted;	   /* to become one */
	bool asked_to_end; /* shutdown */
	enum vm_end end;
};

static int qemu_probe(const struct settings *settings, struct error *err)
{
	if (access(settings->qemu, X_OK))
		return error_set(err, 0, "QEMU %s: %s", settings->qemu,
				 errno == ENOENT ? "the file does not exist"
						 : "the file cannot be executed");
	return 0;
}

/* Sets *kvm, and reason when it is not used although it was wanted. */
static int choose_kvm(const struct vm_config *config, bool *kvm, struct error *reason,
		      struct error *err)
{
	enum accelerator wanted = config->settings->accelerator;

	*kvm = wanted != ACCELERATOR_TCG &&
	       qemu_kvm_works(config->settings, config->cgroup, reason);
	if (wanted == ACCELERATOR_KVM && !*kvm)
		return error_set(err, 0, "accelerator \"kvm\": %.900s", reason->message);
	if (*kvm)
		log_info("QEMU: accelerator kvm");
	else
		log_warning("QEMU emulates the processor (TCG), which is slow: %s",
			    reason->message[0] ? reason->message : "the settings ask for it");
	return 0;
}

/* A limit of a terabyte is no reason for the host to promise it. */
static int check_memory(const struct vm_config *config, struct error *err)
{
	unsigned long long total = 0, available = 0;
	FILE *stream = fopen("/proc/meminfo", "re");
	char line[128];

	while (stream && fgets(line, sizeof(line), stream)) {
		sscanf(line, "MemTotal: %llu", &total);
		sscanf(line, "MemAvailable: %llu", &available);
	}
	if (stream)
		fclose(stream);
	if (total && config->memory_mib > total / 1024)
		return error_set(err, 0,
				 "not enough memory for the VM: it needs %llu MiB, the host has "
				 "%llu MiB free",
				 (unsigned long long)config->memory_mib, available / 1024);
	return 0;
}

static void close_ports(int *ports, size_t count)
{
	for (size_t i = 0; i < count; i++)
		cleanup_close_(&ports[i]);
}

static void vm_free(struct vm *vm)
{
	qemu_process_end(&vm->qemu);
	close_ports(vm->ports, vm->ports_count);
	cleanup_close_(&vm->memory);
	cleanup_close_(&vm->events);
	free(vm);
}

/* Says why QEMU has not come as far as its greeting; err holds what was noticed of that. */
static void explain(const struct vm *vm, const char *qemu, struct error *err)
{
	char words[500], version[64];
	int status;

	poll(NULL, 0, 50);
	if (!qemu_process_ended(&vm->qemu, &status))
		return;
	qemu_process_words(&vm->qemu, words, sizeof(words));
	qemu_version(qemu, version, sizeof(version));
	error_set(err, 0, "QEMU %s (%s) does not start: %s", version, qemu,
		  words[0] ? words : "it says nothing");
}

static bool shares_memory(const struct vm_config *config)
{
	return config->shares && config->memory_mib >= SHARED_FROM_MIB;
}

/*
 * One port for control, one for stdio, the others for shares. Each takes half a
 * MiB of the guest's memory (buffers of its driver), so a small one gets fewer.
 */
static size_t count_ports(const struct vm_config *config)
{
	size_t wanted = WIRE_PORT_STDIO + 1 + config->shares, most = 1;

	if (shares_memory(config))
		return WIRE_PORT_MEMORY + 1;
	if (config->memory_mib > PORTS_FROM_MIB + MIB_FOR_PORT)
		most = (config->memory_mib - PORTS_FROM_MIB) / MIB_FOR_PORT;
	if (most > VM_PORTS_MAX)
		most = VM_PORTS_MAX;
	return wanted < most ? wanted : most;
}

static int make_ports(struct vm *vm, size_t wanted, int *theirs, struct error *err)
{
	for (vm->ports_count = 0; vm->ports_count < wanted; vm->ports_count++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
			close_ports(theirs, vm->ports_count);
			return error_set(err, errno, "socketpair");
		}
		vm->ports[vm->ports_count] = pair[0];
		theirs[vm->ports_count] = pair[1];
	}
	return 0;
}

static int make_memory(const struct vm_config *config, struct error *err)
{
	int fd = memfd_create("vxn-guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	/* what QEMU cannot take away, the io process can rely on */
	if (fd >= 0 && !ftruncate(fd, (off_t)(config->memory_mib << 20)) &&
	    !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))
		return fd;
	error_set(err, errno, "make a file for the guest's memory");
	cleanup_close_(&fd);
	return -1;
}

static int start_process(struct vm *vm, const struct vm_config *config,
			 const struct qemu_command *command, int memory, int content, bool kvm,
			 struct error *err)
{
	int ports[VM_PORTS_MAX];
	struct qemu_request request = {
		.settings = config->settings,
		.arguments = command->words,
		.cgroup = config->cgroup,
		.memory = memory,
		.content = content,
		.ports = ports,
		.kvm = kvm,
	};
	int result;

	if (make_ports(vm, count_ports(config), ports, err))
		return -1;
	request.ports_count = vm->ports_count;
	result = qemu_process_start(&vm->qemu, &request, err);
	close_ports(ports, vm->ports_count);
	if (result)
		return -1;
	if (qmp_start(&vm->qemu.qmp, err)) {
		explain(vm, config->settings->qemu, err);
		return -1;
	}
	return qemu_process_empty_root(&vm->qemu, err);
}

/* With a named template: continues from it, or boots and leaves it to others. */
static int start(struct vm *vm, const struct vm_config *config, const struct qemu_machine *machine,
		 struct qemu_template *template, bool kvm, struct error *err)
{
	CLEANUP_CLOSE int memory = make_memory(config, err);
	const char *whose = config->settings->qemu;
	size_t ports = count_ports(config);
	struct qemu_command command;
	struct error why = { 0 };

	command.shares_memory = shares_memory(config);
	qemu_command_make(&command, config, machine, ports, kvm, false);
	if (template && qemu_template_name(template, config->settings, &command, &why))
		log_info("no template of %s: %s", whose, why.message);
	vm->restored = template && template->name[0] && qemu_template_open(template);
	if (vm->restored)
		qemu_command_make(&command, config, machine, ports, kvm, true);
	if (memory < 0 || start_process(vm, config, &command, memory,
					vm->restored ? template->memory : -1, kvm, err))
		return -1;
	vm->below_4g = machine->below_4g;
	vm->memory = command.shares_memory ? fcntl(memory, F_DUPFD_CLOEXEC, 0) : -1;
	if (command.shares_memory && vm->memory < 0)
		return error_set(err, errno, "keep the guest's memory");
	if (vm->restored)
		return qemu_template_restore(template, &vm->qemu, err);
	vm->booted = template && template->name[0];
	if (vm->booted && qemu_template_keep(template, &vm->qemu, vm->ports_count, memory, &why))
		log_info("no template of %s: %s", whose, why.message);
	return 0;
}

static void undo_start(struct vm *vm)
{
	qemu_process_end(&vm->qemu);
	cleanup_close_(&vm->memory);
	close_ports(vm->ports, vm->ports_count);
}

static int start_on(struct vm *vm, const struct vm_config *config,
		    const struct qemu_machine *machine, bool kvm, struct error *err)
{
	struct qemu_template template = QEMU_TEMPLATE_NONE;
	bool wanted = config->settings->qemu_template != QEMU_TEMPLATE_OFF;
	int result = start(vm, config, machine, wanted ? &template : NULL, kvm, err);

	if (result && vm->restored) {
		log_warning("QEMU does not continue from template %s: %s", template.name,
			    err->message);
		undo_start(vm);
		qemu_template_remove(&template);
		result = start(vm, config, machine, NULL, kvm, err);
	}
	qemu_template_close(&template);
	return result;
}

static int start_on_some_machine(struct vm *vm, const struct vm_config *config, bool kvm,
				 struct error *err)
{
	for (size_t i = 0; i < QEMU_MACHINES; i++) {
		if (!start_on(vm, config, &qemu_machines[i], kvm, err))
			return 0;
		undo_start(vm);
		if (!strstr(err->message, "unsupported machine type"))
			return -1;
		log_info("%s", err->message);
	}
	return -1;
}

static int watch(struct vm *vm, int fd, struct error *err)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (epoll_ctl(vm->events, EPOLL_CTL_ADD, fd, &event))
		return error_set(err, errno, "epoll_ctl");
	return 0;
}

static int qemu_create(const struct vm_config *config, struct vm **result, struct error *err)
{
	struct error reason = { 0 };
	struct vm *vm;
	bool kvm;

	*result = NULL;
	if (check_memory(config, err) || choose_kvm(config, &kvm, &reason, err))
		return -1;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return error_set(err, ENOMEM, "start QEMU");
	*vm = (struct vm){ .qemu = QEMU_PROCESS_NONE, .memory = -1, .events = -1 };
	vm->events = epoll_create1(EPOLL_CLOEXEC);
	if (vm->events < 0)
		error_set(err, errno, "epoll_create1");
	if (vm->events < 0 || start_on_some_machine(vm, config, kvm, err) ||
	    watch(vm, vm->qemu.pidfd, err) || watch(vm, vm->qemu.qmp.fd, err)) {
		vm_free(vm);
		return -1;
	}
	qemu_kvm_remember_failure(&reason);
	*result = vm;
	return 0;
}

static int qemu_pause(struct vm *vm, struct error *err)
{
	return qmp_execute(&vm->qemu.qmp, "stop", NULL, NULL, err);
}

/* One that has ended while it was made into a template has run: `ended` tells of it. */
static int qemu_unpause(struct vm *vm, struct error *err)
{
	struct pollfd ended = { .fd = vm->qemu.pidfd, .events = POLLIN };

	if (!qmp_execute(&vm->qemu.qmp, "cont", NULL, NULL, err))
		return 0;
	return vm->booted && poll(&ended, 1, END_MS) > 0 ? 0 : -1;
}

static int qemu_paused(struct vm *vm, bool *paused, struct error *err)
{
	CLEANUP_JSON struct json *answer = NULL;
	bool running = false;

	if (qmp_execute(&vm->qemu.qmp, "query-status", NULL, &answer, err))
		return -1;
	if (json_get_bool(json_member(answer, "return"), "running", &running, err) <= 0)
		return error_prefix(err, "query-status");
	*paused = !running;
	return 0;
}

static int qemu_set_memory(struct vm *vm, uint64_t memory_mib, struct error *err)
{
	char arguments[48];

	snprintf(arguments, sizeof(arguments), "\"value\": %" PRIu64, memory_mib << 20);
	return qmp_execute(&vm->qemu.qmp, "balloon", arguments, NULL, err);
}

static int qemu_memory(struct vm *vm, uint64_t *memory_mib, struct error *err)
{
	CLEANUP_JSON struct json *answer = NULL;
	uint64_t bytes = 0;

	if (qmp_execute(&vm->qemu.qmp, "query-balloon", NULL, &answer, err))
		return -1;
	if (json_get_uint(json_member(answer, "return"), "actual", INT64_MAX, &bytes, err) <= 0)
		return error_prefix(err, "query-balloon");
	*memory_mib = bytes >> 20;
	return 0;
}

/* A microvm without ACPI has no button that its guest could see. */
static int qemu_shutdown(struct vm *vm, struct error *err)
{
	vm->asked_to_end = true;
	return qmp_execute(&vm->qemu.qmp, "quit", NULL, NULL, err);
}

static int qemu_event_fd(const struct vm *vm)
{
	return vm->events;
}

static enum vm_end end_of_status(const struct vm *vm, int status)
{
	switch (status) {
	case POWER_OFF_STATUS:
		return VM_POWERED_OFF;
	case 0:
		return vm->asked_to_end ? VM_POWERED_OFF : VM_CRASHED;
	case 128 + SIGKILL:
		return VM_GONE;
	default:
		return VM_FAILED;
	}
}

/*
 * Events are of no use here, but read, so that QEMU need not keep them. -1: it has
 * closed the socket, or says what is no message.
 */
static int drop_events(struct vm *vm)
{
	struct json *message;
	int result;

	while ((result = qmp_receive(&vm->qemu.qmp, 0, &message, NULL)) > 0)
		json_free(message);
	return result;
}

static enum vm_end qemu_ended(struct vm *vm)
{
	struct pollfd ended = { .fd = vm->qemu.pidfd, .events = POLLIN };
	int status;

	if (vm->end != VM_RUNS)
		return vm->end;
	/* it closes its socket a moment before it ends; one that goes on without is no good */
	if (drop_events(vm) && poll(&ended, 1, END_MS) <= 0)
		vm->end = VM_FAILED;
	else if (qemu_process_ended(&vm->qemu, &status))
		vm->end = end_of_status(vm, status);
	return vm->end;
}

static int qemu_console_fd(struct vm *vm)
{
	return vm->qemu.console;
}

static size_t qemu_channel(struct vm *vm, char spec[VM_CHANNEL_SPEC_MAX], int ports[VM_PORTS_MAX],
			   struct vm_memory *memory)
{
	*memory = (struct vm_memory){ .fd = steal_fd(&vm->memory), .below_4g = vm->below_4g };
	snprintf(spec, VM_CHANNEL_SPEC_MAX, "socket:");
	for (size_t i = 0; i < vm->ports_count; i++)
		ports[i] = steal_fd(&vm->ports[i]);
	return vm->ports_count;
}

static int qemu_destroy(struct vm *vm, struct error *err)
{
	(void)err;
	vm_free(vm);
	return 0;
}

static int qemu_find_and_destroy(const unsigned char *uuid, struct error *err)
{
	char text[UUID_STR_LEN];

	uuid_unparse_lower(uuid, text);
	return qemu_kill_by_uuid(text, err);
}

const struct vm_backend vm_qemu = {
	.name = "qemu",
	.probe = qemu_probe,
	.create = qemu_create,
	.pause = qemu_pause,
	.unpause = qemu_unpause,
	.paused = qemu_paused,
	.set_memory = qemu_set_memory,
	.memory = qemu_memory,
	.shutdown = qemu_shutdown,
	.event_fd = qemu_event_fd,
	.ended = qemu_ended,
	.console_fd = qemu_console_fd,
	.channel = qemu_channel,
	.destroy = qemu_destroy,
	.find_and_destroy = qemu_find_and_destroy,
};
