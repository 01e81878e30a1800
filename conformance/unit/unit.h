/*
 * What every unit test includes: cmocka with the headers that it wants before it,
 * and an error that a test may print.
 */
#ifndef VXN_UNIT_H
#define VXN_UNIT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"
#include "error.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Fails the test, with the message, when a call that returns < 0 on failure does. */
#define assert_ok(call, err)                           \
	do {                                           \
		if ((call) < 0)                        \
			fail_msg("%s", (err).message); \
	} while (0)

#endif
