/*
 * Lists of CPUs as the kernel and the OCI spec write them: "0-3,7".
 */
#ifndef VXN_CPU_LIST_H
#define VXN_CPU_LIST_H

#include <sched.h>
#include <stdbool.h>

/*
 * Spaces around an item and empty items are allowed, as with runc. False when text
 * is no such list, or names a CPU that a cpu_set_t does not hold.
 */
bool cpu_list_parse(const char *text, cpu_set_t *set);

/* The shortest list of a set, to be freed; NULL when memory is short. */
char *cpu_list_print(const cpu_set_t *set);

#endif
