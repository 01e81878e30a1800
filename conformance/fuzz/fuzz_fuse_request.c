/*
 * Fuzzes the decoder of FUSE requests: no byte too far is read, and what passes
 * has what libfuse relies on, strings that end and counts that lie inside.
 */
#include "driver.h"

#include <linux/fuse.h>

#include "fuse_request.h"

#define MAX_IO 65536

/* count strings from offset on end inside the message */
static void assert_strings(const uint8_t *data, size_t size, size_t offset, int count)
{
	offset += sizeof(struct fuse_in_header);
	while (count-- > 0) {
		const uint8_t *end;

		FUZZ_CHECK(offset < size);
		end = memchr(data + offset, 0, size - offset);
		FUZZ_CHECK(end);
		offset = (size_t)(end - data) + 1;
	}
	FUZZ_CHECK(offset <= size);
}

/* A range that becomes a start and a length, both of them positive. */
static void assert_lock(const uint8_t *data, size_t size)
{
	struct fuse_lk_in in;

	FUZZ_CHECK(size == sizeof(struct fuse_in_header) + sizeof(in));
	memcpy(&in, data + sizeof(struct fuse_in_header), sizeof(in));
	FUZZ_CHECK((int64_t)in.lk.start >= 0 && (int64_t)in.lk.end >= (int64_t)in.lk.start);
}

/* What libfuse does with a body, as far as it trusts it. */
static void assert_trustworthy(const uint8_t *data, size_t size)
{
	struct fuse_in_header header;
	uint32_t first = 0;

	memcpy(&header, data, sizeof(header));
	FUZZ_CHECK(header.len == size);
	if (size >= sizeof(header) + 4)
		memcpy(&first, data + sizeof(header), 4);
	switch (header.opcode) {
	case FUSE_LOOKUP:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_REMOVEXATTR:
		assert_strings(data, size, 0, 1);
		break;
	case FUSE_SYMLINK:
		assert_strings(data, size, 0, 2);
		break;
	case FUSE_MKDIR:
	case FUSE_LINK:
	case FUSE_GETXATTR:
		assert_strings(data, size, 8, 1);
		break;
	case FUSE_MKNOD:
	case FUSE_CREATE:
		assert_strings(data, size, 16, 1);
		break;
	case FUSE_RENAME:
		assert_strings(data, size, 8, 2);
		break;
	case FUSE_RENAME2:
		assert_strings(data, size, 16, 2);
		break;
	case FUSE_SETXATTR:
		assert_strings(data, size, 8, 1);
		FUZZ_CHECK(sizeof(header) + 8 + first < size);
		break;
	case FUSE_BATCH_FORGET:
		FUZZ_CHECK(sizeof(header) + 8 + (uint64_t)first * 16 == size);
		break;
	case FUSE_TMPFILE:
		FUZZ_CHECK(size == sizeof(header) + 16 + 2 && memcmp(data + size - 2, "/", 2) == 0);
		break;
	case FUSE_GETLK:
	case FUSE_SETLK:
	case FUSE_SETLKW:
		assert_lock(data, size);
		break;
	default:
		break;
	}
}

static void check(const uint8_t *data, size_t size)
{
	struct fuse_request_state running = { .max_io = MAX_IO, .initialized = true };
	struct fuse_request_state fresh = { .max_io = MAX_IO };
	struct error err = { 0 };
	int result = fuse_request_check(data, size, &running, &err);

	if (result == 0)
		assert_trustworthy(data, size);
	FUZZ_CHECK(result >= 0 || err.message[0]);
	if (fuse_request_check(data, size, &fresh, &err) == 0)
		FUZZ_CHECK(fresh.initialized &&
			   size == sizeof(struct fuse_in_header) + sizeof(struct fuse_init_in));
}

/* As it is, and with the length that a mutation has made wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t length = (uint32_t)size;
	uint8_t *copy;

	check(data, size);
	if (size < sizeof(length))
		return 0;
	copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, data, size);
	memcpy(copy, &length, sizeof(length));
	check(copy, size);
	free(copy);
	return 0;
}

/* Of each opcode: its fixed part, so many strings, so many bytes after them. */
static const struct {
	uint32_t opcode;
	unsigned int fixed, strings, rest;
} seeds[] = {
	{ FUSE_LOOKUP, 0, 1, 0 },
	{ FUSE_FORGET, 8, 0, 0 },
	{ FUSE_GETATTR, 16, 0, 0 },
	{ FUSE_SETATTR, 88, 0, 0 },
	{ FUSE_READLINK, 0, 0, 0 },
	{ FUSE_SYMLINK, 0, 2, 0 },
	{ FUSE_MKNOD, 16, 1, 0 },
	{ FUSE_MKDIR, 8, 1, 0 },
	{ FUSE_UNLINK, 0, 1, 0 },
	{ FUSE_RMDIR, 0, 1, 0 },
	{ FUSE_RENAME, 8, 2, 0 },
	{ FUSE_LINK, 8, 1, 0 },
	{ FUSE_OPEN, 8, 0, 0 },
	{ FUSE_READ, 40, 0, 0 },
	{ FUSE_WRITE, 40, 0, 1 },
	{ FUSE_STATFS, 0, 0, 0 },
	{ FUSE_RELEASE, 24, 0, 0 },
	{ FUSE_FSYNC, 16, 0, 0 },
	{ FUSE_SETXATTR, 8, 1, 1 },
	{ FUSE_GETXATTR, 8, 1, 0 },
	{ FUSE_LISTXATTR, 8, 0, 0 },
	{ FUSE_REMOVEXATTR, 0, 1, 0 },
	{ FUSE_FLUSH, 24, 0, 0 },
	{ FUSE_OPENDIR, 8, 0, 0 },
	{ FUSE_READDIR, 40, 0, 0 },
	{ FUSE_RELEASEDIR, 24, 0, 0 },
	{ FUSE_FSYNCDIR, 16, 0, 0 },
	{ FUSE_CREATE, 16, 1, 0 },
	{ FUSE_DESTROY, 0, 0, 0 },
	{ FUSE_BATCH_FORGET, 8, 0, 16 },
	{ FUSE_FALLOCATE, 32, 0, 0 },
	{ FUSE_READDIRPLUS, 40, 0, 0 },
	{ FUSE_RENAME2, 16, 2, 0 },
	{ FUSE_LSEEK, 24, 0, 0 },
	{ FUSE_COPY_FILE_RANGE, 56, 0, 0 },
	{ FUSE_IOCTL, 32, 0, 0 },
	{ FUSE_GETLK, 48, 0, 0 },
	{ FUSE_SETLK, 48, 0, 0 },
	{ FUSE_SETLKW, 48, 0, 0 },
	{ FUSE_INTERRUPT, 8, 0, 0 },
	{ FUSE_TMPFILE, 16, 0, 2 },
	{ FUSE_SYNCFS, 8, 0, 0 },
	{ FUSE_INIT, 64, 0, 0 },
};

static bool fuzz_seeds(size_t index, struct fuzz_input *input)
{
	struct fuse_in_header header = { .unique = 2, .nodeid = 1 };
	uint8_t fixed[88] = { 0 };

	if (index >= sizeof(seeds) / sizeof(seeds[0]))
		return false;
	header.opcode = seeds[index].opcode;
	if (header.opcode == FUSE_INIT)
		memcpy(fixed, (uint32_t[2]){ 7, 38 }, 8);
	else if (header.opcode == FUSE_WRITE)
		fixed[16] = 1;
	else if (seeds[index].fixed)
		fixed[0] = seeds[index].fixed != 40;
	if (header.opcode == FUSE_COPY_FILE_RANGE)
		fixed[16] = 1;
	if (header.opcode == FUSE_TMPFILE)
		fixed[24] = '/';
	header.len = (uint32_t)(sizeof(header) + seeds[index].fixed + 5 * seeds[index].strings +
				seeds[index].rest);
	fuzz_add(input, &header, sizeof(header));
	fuzz_add(input, fixed, seeds[index].fixed);
	for (unsigned int i = 0; i < seeds[index].strings; i++)
		fuzz_add(input, "name", 5);
	fuzz_add(input, fixed + 24, seeds[index].rest);
	return true;
}
