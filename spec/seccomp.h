/*
 * linux.seccomp (config-linux.md, "Seccomp"): which system calls the processes of
 * a container may make. Actions and flags are the kernel's (linux/seccomp.h), so
 * that only what resolves names needs libseccomp (guest/seccomp.c).
 */
#ifndef VXN_SECCOMP_H
#define VXN_SECCOMP_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "json.h"

#define OCI_SECCOMP_ARGS_MAX 6 /* arguments of a system call */

enum oci_seccomp_operator {
	OCI_SECCOMP_NE,
	OCI_SECCOMP_LT,
	OCI_SECCOMP_LE,
	OCI_SECCOMP_EQ,
	OCI_SECCOMP_GE,
	OCI_SECCOMP_GT,
	OCI_SECCOMP_MASKED_EQ, /* (argument & value) == value_two */
};

struct oci_seccomp_arg {
	unsigned int index; /* below OCI_SECCOMP_ARGS_MAX */
	enum oci_seccomp_operator op;
	uint64_t value, value_two;
};

struct oci_seccomp_rule {
	char **names;	 /* of system calls, NULL-terminated, at least one */
	uint32_t action; /* SECCOMP_RET_*, with its data */
	struct oci_seccomp_arg *args;
	size_t args_count;
};

struct oci_seccomp {
	uint32_t default_action;
	unsigned int flags;   /* SECCOMP_FILTER_FLAG_* */
	char **architectures; /* libseccomp's names ("x86_64"), NULL-terminated, never NULL */
	struct oci_seccomp_rule *rules;
	size_t rules_count;
};

/*
 * Reads linux.seccomp. *seccomp stays NULL when there is none: also one without
 * default action and rules, which is what runc takes it for. What was read when it
 * fails is in *seccomp as well.
 */
int seccomp_read(const struct json *linux_, struct oci_seccomp **seccomp, struct error *err);
void seccomp_free(struct oci_seccomp *seccomp);

#endif
