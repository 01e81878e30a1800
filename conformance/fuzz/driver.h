/*
 * Runs a fuzz target where the compiler has no fuzzer of its own (gcc): seeds are
 * mutated at random, for a bounded number of inputs. Each input follows from the
 * seed number and its own number alone, so that a failure is repeated by them.
 *
 *	fuzz_X [-s SEED] [-n COUNT]	COUNT inputs (10000)
 *	fuzz_X -s SEED -i NUMBER	one of them again
 *	fuzz_X FILE...			the inputs in these files
 *
 * A target includes this, defines LLVMFuzzerTestOneInput and fuzz_seeds, and is a
 * program. With -DFUZZ_LIBFUZZER -fsanitize=fuzzer (clang) it has no main.
 */
#ifndef VXN_FUZZ_DRIVER_H
#define VXN_FUZZ_DRIVER_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FUZZ_INPUT_MAX (128u << 10)

/* For what must hold whatever the input is. */
#define FUZZ_CHECK(condition)                                        \
	do {                                                         \
		if (!(condition)) {                                  \
			fprintf(stderr, "failed: %s\n", #condition); \
			abort();                                     \
		}                                                    \
	} while (0)

struct fuzz_input {
	uint8_t *data; /* room for FUZZ_INPUT_MAX */
	size_t size;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes valid input number index into *input; false when there are no more. */
static bool fuzz_seeds(size_t index, struct fuzz_input *input);

static inline void fuzz_add(struct fuzz_input *input, const void *data, size_t size)
{
	if (size > FUZZ_INPUT_MAX - input->size)
		size = FUZZ_INPUT_MAX - input->size;
	memcpy(input->data + input->size, data, size);
	input->size += size;
}

#ifndef FUZZ_LIBFUZZER

/* splitmix64: small, and good enough to choose places. */
static uint64_t fuzz_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static size_t fuzz_below(uint64_t *state, size_t limit)
{
	return limit ? (size_t)(fuzz_random(state) % limit) : 0;
}

static const char *const fuzz_tokens[] = {
	"{",
	"}",
	"[",
	"]",
	",",
	":",
	"\"",
	"\\",
	"null",
	"true",
	"-1",
	"0",
	"1e9",
	"1.5",
	"4294967296",
	"9223372036854775808",
	"18446744073709551616",
	"\\u0000",
	"\\ud800",
	"\\udc00",
	"\xff",
	"\xc3",
	"\xed\xa0\x80",
	"{\"a\":",
	"[[[[[[[[",
	"\"\"",
	"/*",
	"..",
	"/",
};

static void fuzz_insert(struct fuzz_input *input, size_t at, const void *data, size_t size)
{
	if (size > FUZZ_INPUT_MAX - input->size)
		return;
	memmove(input->data + at + size, input->data + at, input->size - at);
	memcpy(input->data + at, data, size);
	input->size += size;
}

static void fuzz_delete(struct fuzz_input *input, size_t at, size_t size)
{
	memmove(input->data + at, input->data + at + size, input->size - at - size);
	input->size -= size;
}

static void fuzz_mutate(struct fuzz_input *input, uint64_t *state)
{
	size_t at = fuzz_below(state, input->size + 1);
	size_t length = fuzz_below(state, 1 + (input->size - at < 64 ? input->size - at : 64));
	const char *token;
	uint8_t copy[64];

	switch (fuzz_below(state, 6)) {
	case 0:
		if (at < input->size)
			input->data[at] ^= (uint8_t)(1u << fuzz_below(state, 8));
		break;
	case 1:
		if (at < input->size)
			input->data[at] = (uint8_t)fuzz_random(state);
		break;
	case 2:
		fuzz_delete(input, at, length);
		break;
	case 3:
		memcpy(copy, input->data + at, length);
		fuzz_insert(input, fuzz_below(state, input->size + 1), copy, length);
		break;
	case 4:
		if (fuzz_below(state, 8) == 0)
			input->size = at;
		break;
	default:
		token = fuzz_tokens[fuzz_below(state,
					       sizeof(fuzz_tokens) / sizeof(fuzz_tokens[0]))];
		fuzz_insert(input, at, token, strlen(token));
	}
}

/* A copy of exactly its size, so that the sanitizer sees a read beyond it. */
static void fuzz_run(const struct fuzz_input *input)
{
	uint8_t *exact = malloc(input->size ? input->size : 1);

	if (!exact)
		abort();
	memcpy(exact, input->data, input->size);
	LLVMFuzzerTestOneInput(exact, input->size);
	free(exact);
}

static void fuzz_one(uint64_t seed, uint64_t number, size_t seeds, struct fuzz_input *input)
{
	uint64_t state = seed * UINT64_C(0x2545f4914f6cdd1d) + number;
	size_t mutations;

	input->size = 0;
	fuzz_seeds(fuzz_below(&state, seeds), input);
	mutations = fuzz_below(&state, 8);
	for (size_t i = 0; i < mutations; i++)
		fuzz_mutate(input, &state);
	fuzz_run(input);
}

static uint64_t fuzz_seed, fuzz_number; /* for the words at a crash */

static void fuzz_last_words(void)
{
	fprintf(stderr, "repeat with: -s %" PRIu64 " -i %" PRIu64 "\n", fuzz_seed, fuzz_number);
}

/* The sanitizers call it before they end the program. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static int fuzz_files(char **names, struct fuzz_input *input)
{
	for (; *names; names++) {
		FILE *file = fopen(*names, "re");

		if (!file) {
			perror(*names);
			return 1;
		}
		input->size = fread(input->data, 1, FUZZ_INPUT_MAX, file);
		fclose(file);
		fuzz_run(input);
	}
	return 0;
}

static void fuzz_count(uint64_t first, uint64_t count, struct fuzz_input *input)
{
	size_t seeds = 0;

	for (input->size = 0; fuzz_seeds(seeds, input); input->size = 0)
		seeds++;
	for (uint64_t i = 0; i < count; i++) {
		fuzz_number = first + i;
		fuzz_one(fuzz_seed, fuzz_number, seeds, input);
	}
	printf("seed %" PRIu64 ": %" PRIu64 " inputs\n", fuzz_seed, count);
}

int main(int argc, char **argv)
{
	struct fuzz_input input = { .data = malloc(FUZZ_INPUT_MAX) };
	uint64_t first = 0, count = 10000;
	int option, status = 0;

	fuzz_seed = (uint64_t)time(NULL);
	while ((option = getopt(argc, argv, "s:n:i:")) != -1) {
		if (option == '?')
			return 2;
		if (option == 's')
			fuzz_seed = strtoull(optarg, NULL, 10);
		else
			count = strtoull(optarg, NULL, 10);
		if (option == 'i') {
			first = count;
			count = 1;
		}
	}
	if (!input.data)
		return 2;
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(fuzz_last_words);
	if (optind < argc)
		status = fuzz_files(argv + optind, &input);
	else
		fuzz_count(first, count, &input);
	free(input.data);
	return status;
}

#endif /* FUZZ_LIBFUZZER */

#endif
