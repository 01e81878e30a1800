/*
 * What this host can do, found out once after each boot and kept in /run/vxn/qemu:
 * whether KVM runs a guest, and how fast the processor's time stamp counter is. Who
 * wants it found out again removes the file.
 */
#include "vm_qemu_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "cleanup.h"
#include "json.h"
#include "log.h"
#include "textfile.h"

#define KVM_FACT QEMU_FACTS_DIRECTORY "/kvm"
#define TSC_FACT QEMU_FACTS_DIRECTORY "/tsc_khz"
#define FACT_MAX 1024

#define KVM_WORKS      "works"
#define KVM_PROBE_MS   10000
#define TSC_MEASURE_MS 20

/* NULL when it is not known. */
static char *read_fact(const char *path)
{
	size_t size;
	char *text = textfile_read(AT_FDCWD, path, FACT_MAX, &size, NULL);

	if (text)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

void qemu_make_facts_directory(void)
{
	mkdir("/run/vxn", 0700);
	mkdir(QEMU_FACTS_DIRECTORY, 0700);
}

/* Not kept, it is found out once more. */
static void write_fact(const char *path, const char *text)
{
	struct error err = { 0 };

	qemu_make_facts_directory();
	if (textfile_write(path, 0600, text, strlen(text), &err))
		log_warning("%s", err.message);
}

/*
 * What runs in the guest decides: a kernel without a root file system, which
 * panics and restarts, which ends QEMU with status 0. Where KVM cannot go on, QEMU
 * stops the guest and stays, or dies.
 */
static int run_probe(struct qemu_process *qemu, struct error *err)
{
	CLEANUP_JSON struct json *message = NULL;
	struct error closed = { 0 };
	char words[300];
	int status = -1, result;

	if (qmp_start(&qemu->qmp, err) || qmp_execute(&qemu->qmp, "cont", NULL, NULL, err))
		goto ended;
	for (;;) {
		CLEANUP_FREE char *event = NULL;

		result = qmp_receive(&qemu->qmp, KVM_PROBE_MS, &message, &closed);
		if (result < 0)
			break;
		if (result == 0)
			return error_set(err, 0, "a guest does not get on");
		json_get_string(message, "event", &event, NULL);
		if (event && !strcmp(event, "STOP"))
			return error_set(err, 0, "a guest cannot go on (KVM internal error)");
		json_free(steal_pointer(&message));
	}
ended:
	for (int i = 0; i < 100 && !qemu_process_ended(qemu, &status); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	if (status == 0)
		return 0;
	qemu_process_words(qemu, words, sizeof(words));
	return error_set(err, 0, "QEMU ended with status %d: %s", status, words);
}

static int probe_kvm(const struct settings *settings, const char *cgroup, struct error *err)
{
	const char *const arguments[] = {
		settings->qemu,
		"-M",
		"microvm,acpi=off",
		"-accel",
		"kvm",
		"-cpu",
		"host",
		"-m",
		"64",
		"-nodefaults",
		"-no-user-config",
		"-display",
		"none",
		"-no-reboot",
		"-S",
		"-kernel",
		QEMU_KERNEL,
		"-append",
		"quiet loglevel=1 panic=-1 reboot=t",
		"-chardev",
		QEMU_QMP,
		"-mon",
		"chardev=qmp,mode=control",
		NULL,
	};
	const struct qemu_request request = {
		.settings = settings,
		.arguments = arguments,
		.cgroup = cgroup,
		.kvm = true,
		.memory = -1,
		.content = -1,
	};
	struct qemu_process qemu;
	int result;

	if (qemu_process_start(&qemu, &request, err))
		return -1;
	result = run_probe(&qemu, err);
	qemu_process_end(&qemu);
	return result;
}

bool qemu_kvm_works(const struct settings *settings, const char *cgroup, struct error *reason)
{
	CLEANUP_FREE char *known = NULL;
	CLEANUP_CLOSE int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		return error_set(reason, errno, "open /dev/kvm") == 0;
	known = read_fact(KVM_FACT);
	if (known && strcmp(known, KVM_WORKS) != 0)
		error_set(reason, 0, "%.900s", known);
	if (known)
		return !strcmp(known, KVM_WORKS);
	if (probe_kvm(settings, cgroup, reason))
		return error_prefix(reason, "/dev/kvm does not run a guest") == 0;
	write_fact(KVM_FACT, KVM_WORKS "\n");
	return true;
}

void qemu_kvm_remember_failure(const struct error *reason)
{
	if (reason->message[0] && access(KVM_FACT, F_OK) && !access("/dev/kvm", F_OK))
		write_fact(KVM_FACT, reason->message);
}

#if defined(__x86_64__)
static bool tsc_is_constant(void)
{
	CLEANUP_FREE char *line = NULL;
	size_t capacity = 0;
	FILE *stream = fopen("/proc/cpuinfo", "re");
	bool constant = false;

	while (stream && !constant && getline(&line, &capacity, stream) > 0)
		constant = !strncmp(line, "flags", 5) && strstr(line, " constant_tsc");
	if (stream)
		fclose(stream);
	return constant;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static unsigned long measure_tsc(void)
{
	const struct timespec pause = { .tv_nsec = TSC_MEASURE_MS * 1000000L };
	uint64_t from, to;
	int64_t begin, end;

	if (!tsc_is_constant())
		return 0;
	begin = now_ns();
	from = __rdtsc();
	nanosleep(&pause, NULL);
	end = now_ns();
	to = __rdtsc();
	return (unsigned long)((to - from) * 1000000 / (uint64_t)(end - begin));
}
#else
static unsigned long measure_tsc(void)
{
	return 0;
}
#endif

unsigned long qemu_tsc_khz(void)
{
	CLEANUP_FREE char *known = read_fact(TSC_FACT);
	char text[32];
	unsigned long khz;

	if (known)
		return strtoul(known, NULL, 10);
	khz = measure_tsc();
	snprintf(text, sizeof(text), "%lu\n", khz);
	write_fact(TSC_FACT, text);
	return khz;
}
