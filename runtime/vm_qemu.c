/*
 * The QEMU back end: a machine of the type microvm with the same kernel and
 * initramfs as a Xen domain, on KVM where that runs a guest, else emulated (TCG).
 * The channel is some virtio-serial ports: for control, for stdio, and one for each
 * share as far as there are; the host's end of each is one of a pair of sockets.
 *
 * The guest ends QEMU in two ways, which differ in QEMU's exit status: a power-off
 * writes to the isa-debug-exit device (guest/boot.c), a restart is a kernel's panic
 * or a triple fault. Nothing of the guest is parsed here.
 */
#include "vm.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "cleanup.h"
#include "json.h"
#include "log.h"
#include "vm_qemu_internal.h"

#define ARGUMENTS_MAX 96
#define KERNEL_COMMAND_LINE                                                                     \
	"console=ttyS0 quiet loglevel=1 dummy.numdummies=0 reboot=t panic=-1 vxn.channel=port " \
	"lapic_timer_khz=1000000" /* of QEMU's and KVM's local APICs; see guest/kernel.patch */
/* Memory without which the kernel does not boot, and for one port more. */
#define PORTS_FROM_MIB 32
#define MIB_FOR_PORT   4
/* isa-debug-exit: writing V there ends QEMU with status 2V+1; guest/boot.c writes 42. */
#define POWER_OFF_DEVICE "isa-debug-exit,iobase=0xf4,iosize=0x1"
#define POWER_OFF_STATUS 85
/* Between the end of its socket and its own. */
#define END_MS 1000

struct vm {
	struct qemu_process qemu;
	size_t ports_count;
	int ports[VM_PORTS_MAX]; /* the io process's ends, -1 = handed over */
	int events;		 /* epoll: QEMU's end, and its messages */
	bool asked_to_end;	 /* shutdown */
	enum vm_end end;
};

/* QEMU's command line. */
struct command {
	const char *words[ARGUMENTS_MAX];
	size_t count;
	char memory[24], vcpus[16], uuid[UUID_STR_LEN], append[256], serial[64];
	struct {
		char chardev[64], device[96];
	} ports[VM_PORTS_MAX];
};

/* A guest that runs out of memory takes back what it gave. */
#define BALLOON_OPTIONS ",deflate-on-oom=on"

struct machine {
	const char *type, *serial, *balloon;
};

static const struct machine machines[] = {
	{ "microvm,acpi=off", "virtio-serial-device", "virtio-balloon-device" BALLOON_OPTIONS },
	/* where QEMU was built without it */
	{ "q35,acpi=off", "virtio-serial-pci", "virtio-balloon-pci" BALLOON_OPTIONS },
};

static void add(struct command *command, const char *option, const char *value)
{
	command->words[command->count++] = option;
	if (value)
		command->words[command->count++] = value;
	command->words[command->count] = NULL;
}

/* Number 0 of the device is a console's; what the guest looks for is the name. */
static void add_ports(struct command *command, const struct machine *machine, size_t count)
{
	snprintf(command->serial, sizeof(command->serial), "%s,max_ports=%zu", machine->serial,
		 count + 1);
	add(command, "-device", command->serial);
	for (size_t i = 0; i < count; i++) {
		snprintf(command->ports[i].chardev, sizeof(command->ports[i].chardev),
			 "socket,id=port%zu,fd=%zu", i, QEMU_PORTS_FD + i);
		snprintf(command->ports[i].device, sizeof(command->ports[i].device),
			 "virtserialport,chardev=port%zu,nr=%zu,name=vxn.%zu", i, i + 1, i);
		add(command, "-chardev", command->ports[i].chardev);
		add(command, "-device", command->ports[i].device);
	}
}

static void make_command(struct command *command, const struct vm_config *config,
			 const struct machine *machine, size_t ports, bool kvm)
{
	const struct settings *settings = config->settings;
	unsigned long tsc_khz = kvm ? 0 : qemu_tsc_khz();
	size_t used;

	command->count = 0;
	snprintf(command->memory, sizeof(command->memory), "%" PRIu64 "M", config->memory_mib);
	snprintf(command->vcpus, sizeof(command->vcpus), "%u", settings->vcpus);
	uuid_unparse_lower(config->uuid, command->uuid);
	snprintf(command->append, sizeof(command->append), "%s vxn.ports=%zu", KERNEL_COMMAND_LINE,
		 ports);
	used = strlen(command->append);
	/* calibration by the PIT costs time, and fails at times under emulation */
	if (tsc_khz)
		snprintf(command->append + used, sizeof(command->append) - used,
			 " tsc_early_khz=%lu", tsc_khz);
	add(command, settings->qemu, NULL);
	add(command, "-name", config->name);
	add(command, "-uuid", command->uuid);
	add(command, "-M", machine->type);
	add(command, "-accel", kvm ? "kvm" : "tcg");
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
	add(command, "-kernel", QEMU_KERNEL);
	add(command, "-initrd", QEMU_INITRAMFS);
	add(command, "-append", command->append);
	add(command, "-chardev", "stdio,id=console,signal=off");
	add(command, "-serial", "chardev:console");
	add(command, "-chardev", QEMU_QMP);
	add(command, "-mon", "chardev=qmp,mode=control");
	add_ports(command, machine, ports);
	add(command, "-device", machine->balloon);
	add(command, "-device", POWER_OFF_DEVICE);
}

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

/*
 * One port for control, one for stdio, the others for shares. Each takes half a
 * MiB of the guest's memory (buffers of its driver), so a small one gets fewer.
 */
static size_t count_ports(const struct vm_config *config)
{
	size_t wanted = WIRE_PORT_STDIO + 1 + config->shares, most = 1;

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

static int start(struct vm *vm, const struct vm_config *config, const struct machine *machine,
		 bool kvm, struct error *err)
{
	struct command command;
	struct qemu_request request = {
		.settings = config->settings,
		.arguments = command.words,
		.cgroup = config->cgroup,
		.kvm = kvm,
	};
	int ports[VM_PORTS_MAX];
	int result;

	if (make_ports(vm, count_ports(config), ports, err))
		return -1;
	make_command(&command, config, machine, vm->ports_count, kvm);
	request.ports = ports;
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

static int start_on_some_machine(struct vm *vm, const struct vm_config *config, bool kvm,
				 struct error *err)
{
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		if (!start(vm, config, &machines[i], kvm, err))
			return 0;
		qemu_process_end(&vm->qemu);
		close_ports(vm->ports, vm->ports_count);
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
	*vm = (struct vm){ .qemu = QEMU_PROCESS_NONE, .events = -1 };
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

static int qemu_unpause(struct vm *vm, struct error *err)
{
	return qmp_execute(&vm->qemu.qmp, "cont", NULL, NULL, err);
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

static size_t qemu_channel(struct vm *vm, char spec[VM_CHANNEL_SPEC_MAX], int ports[VM_PORTS_MAX])
{
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
