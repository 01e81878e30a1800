/*
 * The QEMU back end: a machine of the type microvm with the same kernel and
 * initramfs as a Xen domain, on KVM where that runs a guest, else emulated (TCG).
 * The channel is a virtio-serial port; its host end is one of a pair of sockets.
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

#define ARGUMENTS_MAX 64
#define KERNEL_COMMAND_LINE                                                                     \
	"console=ttyS0 quiet loglevel=1 dummy.numdummies=0 reboot=t panic=-1 vxn.channel=port " \
	"lapic_timer_khz=1000000" /* of QEMU's and KVM's local APICs; see guest/kernel.patch */
/* isa-debug-exit: writing V there ends QEMU with status 2V+1; guest/boot.c writes 42. */
#define POWER_OFF_DEVICE "isa-debug-exit,iobase=0xf4,iosize=0x1"
#define POWER_OFF_STATUS 85
/* Between the end of its socket and its own. */
#define END_MS 1000

struct vm {
	struct qemu_process qemu;
	int channel; /* the io process's end, -1 = handed over */
	int events;  /* epoll: QEMU's end, and its messages */
	enum vm_end end;
};

/* QEMU's command line. */
struct command {
	const char *words[ARGUMENTS_MAX];
	size_t count;
	char memory[24], vcpus[16], uuid[UUID_STR_LEN], append[256];
};

struct machine {
	const char *type, *serial;
};

static const struct machine machines[] = {
	{ "microvm,acpi=off", "virtio-serial-device,id=vxn,max_ports=2" },
	/* where QEMU was built without it */
	{ "q35,acpi=off", "virtio-serial-pci,id=vxn,max_ports=2" },
};

static void add(struct command *command, const char *option, const char *value)
{
	command->words[command->count++] = option;
	if (value)
		command->words[command->count++] = value;
	command->words[command->count] = NULL;
}

static void make_command(struct command *command, const struct vm_config *config,
			 const struct machine *machine, bool kvm)
{
	const struct settings *settings = config->settings;
	unsigned long tsc_khz = kvm ? 0 : qemu_tsc_khz();
	size_t used;

	command->count = 0;
	snprintf(command->memory, sizeof(command->memory), "%" PRIu64 "M", config->memory_mib);
	snprintf(command->vcpus, sizeof(command->vcpus), "%u", settings->vcpus);
	uuid_unparse_lower(config->uuid, command->uuid);
	snprintf(command->append, sizeof(command->append), "%s", KERNEL_COMMAND_LINE);
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
	add(command, "-device", machine->serial);
	add(command, "-chardev", QEMU_CHANNEL);
	add(command, "-device", "virtserialport,chardev=channel,nr=1,name=vxn.ctl");
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

static void vm_free(struct vm *vm)
{
	qemu_process_end(&vm->qemu);
	cleanup_close_(&vm->channel);
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
	int channel[2];
	int result;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel))
		return error_set(err, errno, "socketpair");
	vm->channel = channel[0];
	make_command(&command, config, machine, kvm);
	request.channel = channel[1];
	result = qemu_process_start(&vm->qemu, &request, err);
	close(channel[1]);
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
		close(steal_fd(&vm->channel));
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
	*vm = (struct vm){ .qemu = QEMU_PROCESS_NONE, .channel = -1, .events = -1 };
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

static int qemu_unpause(struct vm *vm, struct error *err)
{
	return qmp_execute(&vm->qemu.qmp, "cont", err);
}

static int qemu_event_fd(const struct vm *vm)
{
	return vm->events;
}

static enum vm_end end_of_status(int status)
{
	switch (status) {
	case POWER_OFF_STATUS:
		return VM_POWERED_OFF;
	case 0:
		return VM_CRASHED;
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
		vm->end = end_of_status(status);
	return vm->end;
}

static int qemu_console_fd(struct vm *vm)
{
	return vm->qemu.console;
}

static int qemu_channel(struct vm *vm, char spec[VM_CHANNEL_SPEC_MAX])
{
	snprintf(spec, VM_CHANNEL_SPEC_MAX, "socket:");
	return steal_fd(&vm->channel);
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
	.unpause = qemu_unpause,
	.event_fd = qemu_event_fd,
	.ended = qemu_ended,
	.console_fd = qemu_console_fd,
	.channel = qemu_channel,
	.destroy = qemu_destroy,
	.find_and_destroy = qemu_find_and_destroy,
};
