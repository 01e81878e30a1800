/*
 * The init of the VM that is booted for comparison: it ends the VM at once, so that
 * boot and nothing else is measured. With the argument "restart" (behind "--" on the
 * kernel's command line) by a restart, which is how a QEMU without ACPI ends.
 */
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	reboot(argc > 1 && strcmp(argv[1], "restart") == 0 ? RB_AUTOBOOT : RB_POWER_OFF);
	for (;;)
		pause();
}
