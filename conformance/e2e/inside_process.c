/*
 * What a process finds about itself that no shell can tell, one line for each
 * word that it is called with:
 *
 *	scheduler	POLICY FLAGS NICE PRIORITY RUNTIME DEADLINE PERIOD
 *	ioprio		CLASS PRIORITY
 *	personality	in hexadecimal
 */
#include <errno.h>
#include <linux/ioprio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

static int scheduler(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} a = { 0 };

	if (syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) < 0)
		return -1;
	printf("%u %llu %d %u %llu %llu %llu\n", a.policy, (unsigned long long)a.flags, a.nice,
	       a.priority, (unsigned long long)a.runtime, (unsigned long long)a.deadline,
	       (unsigned long long)a.period);
	return 0;
}

static int ioprio(void)
{
	long value = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);

	if (value < 0)
		return -1;
	printf("%ld %ld\n", IOPRIO_PRIO_CLASS(value), IOPRIO_PRIO_DATA(value));
	return 0;
}

static int domain(void)
{
	int value = personality(0xffffffff);

	if (value < 0)
		return -1;
	printf("%x\n", (unsigned int)value);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *word;
		int (*tell)(void);
	} rows[] = {
		{ "scheduler", scheduler },
		{ "ioprio", ioprio },
		{ "personality", domain },
	};
	int failed = 0;

	for (int i = 1; i < argc; i++)
		for (size_t j = 0; j < sizeof(rows) / sizeof(rows[0]); j++)
			if (strcmp(argv[i], rows[j].word) == 0 && rows[j].tell() < 0) {
				printf("%s: %s\n", argv[i], strerror(errno));
				failed = 1;
			}
	return failed;
}
