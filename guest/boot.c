/* See boot.h. */
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "kmsg.h"
#include "wire.h"

#define QEMU_EXIT_PORT 0xf4
#define NEW_ROOT       "/root"
#define PROGRAM	       "/init"

struct mount_row {
	const char *target, *type;
	unsigned long flags;
	const char *data;
};

static const struct mount_row mount_rows[] = {
	{ NEW_ROOT, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m" },
	{ NEW_ROOT "/dev", "devtmpfs", MS_NOSUID, "mode=0755" },
	{ NEW_ROOT "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ NEW_ROOT "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ NEW_ROOT BOOT_CGROUP_DIR, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
};

static int open_null(struct error *err)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return error_set(err, errno, "open /dev/null");
	} while (fd < 2);
	if (fd > 2)
		close(fd);
	return 0;
}

/* This program, in the root that the kernel's own processes have from now on, too. */
static int keep_program(struct error *err)
{
	CLEANUP_CLOSE int fd = open(NEW_ROOT PROGRAM, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);

	if (fd < 0 || mount(PROGRAM, NEW_ROOT PROGRAM, NULL, MS_BIND, NULL) < 0)
		return error_set(err, errno, "bind %s", PROGRAM);
	return 0;
}

int boot_mount(struct error *err)
{
	umask(022);
	for (size_t i = 0; i < sizeof(mount_rows) / sizeof(mount_rows[0]); i++) {
		const struct mount_row *row = &mount_rows[i];

		mkdir(row->target, 0755); /* there already, at times; the mount tells */
		if (mount(row->type, row->target, row->type, row->flags, row->data) < 0)
			return error_set(err, errno, "mount %s", row->target);
	}
	if (keep_program(err) < 0)
		return -1;
	if (chdir(NEW_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		return error_set(err, errno, "move the root");
	if (mkdir(BOOT_ROOTFS_DIR, 0755) < 0)
		return error_set(err, errno, "mkdir %s", BOOT_ROOTFS_DIR);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	return open_null(err);
}

static int set_option(struct boot_options *options, const char *word, struct error *err)
{
	static const struct channel_ops *const channels[] = { &channel_vchan, &channel_port };

	if (strcmp(word, "vxn.log=debug") == 0)
		kmsg_set_debug(true);
	if (strcmp(word, "vxn.memory") == 0)
		options->memory = true;
	if (strncmp(word, "vxn.ports=", 10) == 0) {
		options->ports = (unsigned int)atoi(word + 10);
		if (options->ports < 1 || options->ports > WIRE_PORTS_MAX)
			return error_set(err, 0, "kernel command line: %s", word);
	}
	if (strncmp(word, "vxn.channel=", 12) != 0)
		return 0;
	for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++)
		if (strcmp(word + 12, channels[i]->name) == 0) {
			options->channel = channels[i];
			return 0;
		}
	return error_set(err, 0, "kernel command line: unknown channel in %s", word);
}

int boot_read_options(struct boot_options *options, struct error *err)
{
	char line[4096], *save = NULL;
	CLEANUP_CLOSE int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	options->channel = &channel_vchan;
	options->ports = 1;
	if (size < 0)
		return error_set(err, errno, "read the kernel's command line");
	line[size] = '\0';
	for (char *word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
		if (set_option(options, word, err) < 0)
			return -1;
	return 0;
}

int boot_obey_shutdown(struct error *err)
{
	static const char path[] = "/proc/sys/kernel/poweroff_cmd", command[] = PROGRAM;
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, command, strlen(command)) < 0)
		return error_set(err, errno, "write %s", path);
	return 0;
}

int boot_loopback(struct error *err)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return error_set(err, errno, "bring up the loopback interface");
	return 0;
}

/*
 * QEMU's microvm has no ACPI to switch it off by. There, a write to its
 * isa-debug-exit device (runtime/vm_qemu.c) ends it as a power-off; a restart ends
 * it too (-no-reboot), but that is how a crash looks.
 */
static void leave_qemu(void)
{
	const uint8_t value = 42;
	int fd = open("/dev/port", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || pwrite(fd, &value, 1, QEMU_EXIT_PORT) != 1)
		kmsg_error("write to the port that ends QEMU: %m");
	/* still here: a QEMU without the device */
	reboot(RB_AUTOBOOT);
}

_Noreturn void boot_power_off(const struct boot_options *options)
{
	if (options->channel == &channel_port)
		leave_qemu();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}
