/* What the fuzz targets share. Each is a program of libFuzzer (clang), with its corpus in corpus/. */
#ifndef VXN_FUZZ_H
#define VXN_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For what must hold whatever the input is. */
#define FUZZ_CHECK(condition)                                        \
	do {                                                         \
		if (!(condition)) {                                  \
			fprintf(stderr, "failed: %s\n", #condition); \
			abort();                                     \
		}                                                    \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
