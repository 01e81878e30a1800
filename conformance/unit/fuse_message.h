/* A FUSE request under construction, for the tests of spec/fuse_request. */
#ifndef FUSE_MESSAGE_H
#define FUSE_MESSAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>

#include "fuse_request.h"

#define MAX_IO	     4096
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A message under construction: header, then what is added. */
struct message {
	uint8_t bytes[200000];
	size_t size;
};

static struct message m;

static inline struct fuse_in_header *header(void)
{
	return (struct fuse_in_header *)(void *)m.bytes;
}

static inline void add(const void *data, size_t size)
{
	memcpy(m.bytes + m.size, data, size);
	m.size += size;
	header()->len = (uint32_t)m.size;
}

static inline void add_zeros(size_t size)
{
	memset(m.bytes + m.size, 0, size);
	m.size += size;
	header()->len = (uint32_t)m.size;
}

/* With its terminator. */
static inline void add_text(const char *text)
{
	add(text, strlen(text) + 1);
}

static inline void add_long_text(size_t length)
{
	memset(m.bytes + m.size, 'n', length);
	m.size += length;
	add("", 1);
}

static inline void begin(uint32_t opcode)
{
	m.size = 0;
	memset(m.bytes, 0, sizeof(struct fuse_in_header));
	m.size = sizeof(struct fuse_in_header);
	header()->len = (uint32_t)m.size;
	header()->opcode = opcode;
	header()->unique = 2;
	header()->nodeid = 1;
}

/* From a buffer of exactly its size, so that the sanitizers see a byte too far. */
static inline int check_in(struct fuse_request_state *state)
{
	uint8_t *copy = malloc(m.size ? m.size : 1);
	struct error err = { 0 };
	int result;

	memcpy(copy, m.bytes, m.size);
	result = fuse_request_check(copy, m.size, state, &err);
	free(copy);
	if (result < 0)
		assert_true(err.message[0] != '\0');
	return result;
}

/* In a session that is under way. */
static inline int check(void)
{
	struct fuse_request_state state = { .max_io = MAX_IO, .initialized = true };

	return check_in(&state);
}

#endif
