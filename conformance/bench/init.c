/*
 * The init of the domain that xl boots for comparison: it powers the domain off
 * at once, so that boot and nothing else is measured.
 */
#include <sys/reboot.h>
#include <unistd.h>

int main(void)
{
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}
