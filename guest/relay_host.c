/*
 * The relay's dealings with its own kernel: what keeps it running when memory is
 * short, and what the host's HELLO brings (entropy, the time).
 */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "kmsg.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

/*
 * Memory that is mapped now is locked and present; what comes later (buffers of
 * streams) is locked as it is touched. As an "I/O flusher" this process never
 * waits for a write-back that only it could finish. None of it can fail in a
 * kernel of ours; without it the relay still works until memory runs short.
 */
void relay_protect_self(void)
{
	/* as many shares as there may be, connections, and processes with three streams each */
	const struct rlimit descriptors = { 4096, 4096 };

	if (setrlimit(RLIMIT_NOFILE, &descriptors) < 0)
		kmsg_error("relay: RLIMIT_NOFILE: %s", strerror(errno));
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0)
		kmsg_error("relay: PR_SET_IO_FLUSHER: %s", strerror(errno));
	if (mlockall(MCL_CURRENT) < 0 || mlockall(MCL_FUTURE | MCL_ONFAULT) < 0)
		kmsg_error("relay: mlockall: %s", strerror(errno));
}

static int add_entropy(const uint8_t entropy[WIRE_ENTROPY_SIZE])
{
	union {
		struct rand_pool_info info;
		uint8_t space[sizeof(struct rand_pool_info) + WIRE_ENTROPY_SIZE];
	} pool = { .info = { .entropy_count = 8 * WIRE_ENTROPY_SIZE,
			     .buf_size = WIRE_ENTROPY_SIZE } };
	CLEANUP_CLOSE int fd = open("/dev/random", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	memcpy(pool.space + offsetof(struct rand_pool_info, buf), entropy, WIRE_ENTROPY_SIZE);
	if (ioctl(fd, RNDADDENTROPY, &pool) < 0)
		return -1;
	/* At once: until now this VM may have been the same as others. */
	return ioctl(fd, RNDRESEEDCRNG);
}

void relay_apply_hello(const struct wire_hello *hello)
{
	struct timespec now = { .tv_sec = (time_t)(hello->realtime_ns / 1000000000),
				.tv_nsec = (long)(hello->realtime_ns % 1000000000) };

	if (add_entropy(hello->entropy) < 0)
		kmsg_error("relay: add entropy: %s", strerror(errno));
	if (hello->realtime_ns && clock_settime(CLOCK_REALTIME, &now) < 0)
		kmsg_error("relay: set clock: %s", strerror(errno));
}
