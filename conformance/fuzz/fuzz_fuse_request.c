/*
 * Fuzzes the decoder of FUSE requests: no byte too far is read, and what passes
 * has what libfuse relies on, strings that end and counts that lie inside.
 */
#include "fuzz.h"

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

/* Nothing is read but the header and the arguments, whatever the data's size is said to be. */
static void check_placed(const uint8_t *data, size_t size)
{
	struct fuse_request_state running = { .max_io = MAX_IO, .initialized = true };
	struct error err = { 0 };
	struct fuse_in_header header;
	struct fuse_write_in in;
	uint8_t *request;

	if (size < FUSE_REQUEST_PLACED_SIZE)
		return;
	request = malloc(FUSE_REQUEST_PLACED_SIZE);
	if (!request)
		abort();
	memcpy(request, data, FUSE_REQUEST_PLACED_SIZE);
	memcpy(&header, request, sizeof(header));
	memcpy(&in, request + sizeof(header), sizeof(in));
	if (fuse_request_check_placed(request, in.size, &running, &err) == 0)
		FUZZ_CHECK((header.opcode == FUSE_READ || header.opcode == FUSE_WRITE) &&
			   in.size <= MAX_IO);
	FUZZ_CHECK(fuse_request_check_placed(request, (size_t)in.size + 1, &running, &err) != 0);
	free(request);
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
	check_placed(copy, size);
	free(copy);
	return 0;
}
