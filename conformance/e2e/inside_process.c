/*
 * What a process finds about itself that no shell can tell, one line for each
 * word that it is called with:
 *
 *	scheduler	POLICY FLAGS NICE PRIORITY RUNTIME DEADLINE PERIOD
 *	ioprio		CLASS PRIORITY
 *	personality	in hexadecimal
 *	clocks		seconds of the monotonic one and since boot
 *	call=N,ARG...	makes that system call: its result, or errno as -N
 *	call32=N	the same as a program of 32 bits does, without arguments
 */
#include <errno.h>
#include <linux/ioprio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <time.h>
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

static int clocks(void)
{
	struct timespec monotonic, boottime;

	if (clock_gettime(CLOCK_MONOTONIC, &monotonic) < 0 ||
	    clock_gettime(CLOCK_BOOTTIME, &boottime) < 0)
		return -1;
	printf("%lld %lld\n", (long long)monotonic.tv_sec, (long long)boottime.tv_sec);
	return 0;
}

/* text: the number and up to six arguments, with commas between. */
static int call(const char *text)
{
	unsigned long words[7] = { 0 };
	long result;
	char *end;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		words[i] = strtoul(text, &end, 0);
		if (*end != ',')
			break;
		text = end + 1;
	}
	result =
		syscall((long)words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
	printf("%ld\n", result < 0 ? -(long)errno : result);
	fflush(stdout);
	return 0;
}

static int call32(const char *text)
{
	long result = strtol(text, NULL, 0);

	__asm__ volatile("int $0x80" : "+a"(result) : "b"(0), "c"(0), "d"(0) : "memory");
	printf("%d\n", (int)result);
	return 0;
}

static int tell(const char *word)
{
	static const struct {
		const char *word;
		int (*tell)(void);
	} rows[] = {
		{ "scheduler", scheduler },
		{ "ioprio", ioprio },
		{ "personality", domain },
		{ "clocks", clocks },
	};

	if (strncmp(word, "call=", 5) == 0)
		return call(word + 5);
	if (strncmp(word, "call32=", 7) == 0)
		return call32(word + 7);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(word, rows[i].word) == 0)
			return rows[i].tell();
	errno = EINVAL;
	return -1;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++)
		if (tell(argv[i]) < 0) {
			printf("%s: %s\n", argv[i], strerror(errno));
			failed = 1;
		}
	return failed;
}
