/*
 * See seccomp_filter.h. libseccomp makes the rules; in front of them stands what
 * runc puts there: a system call that is newer than all that the rules name fails
 * with ENOSYS, not with what the default action says, so that a C library newer
 * than the rules falls back to what they know.
 */
#include "seccomp_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "kmsg.h"

#define OPTIMIZE_FROM	  33 /* names: from here on runc asks for a tree instead of a list */
#define OPTIMIZE_AS_TREE  2
#define X32_SYSCALL_BIT	  0x40000000 /* numbers from here on are no new ones */
#define ARCHITECTURES_MAX 2

static const enum scmp_compare comparisons[] = {
	[OCI_SECCOMP_NE] = SCMP_CMP_NE,
	[OCI_SECCOMP_LT] = SCMP_CMP_LT,
	[OCI_SECCOMP_LE] = SCMP_CMP_LE,
	[OCI_SECCOMP_EQ] = SCMP_CMP_EQ,
	[OCI_SECCOMP_GE] = SCMP_CMP_GE,
	[OCI_SECCOMP_GT] = SCMP_CMP_GT,
	[OCI_SECCOMP_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
};

static void cleanup_context(scmp_filter_ctx *context)
{
	if (*context)
		seccomp_release(*context);
}

static int failed(int result, const char *what, const char *name, struct error *err)
{
	return error_set(err, -result, "linux.seccomp: %s %s", what, name);
}

/*
 * The guest's own is there already. What this kernel can never be asked in, for
 * the order of bytes, is left out.
 */
static int add_architectures(scmp_filter_ctx context, const struct oci_seccomp *seccomp,
			     struct error *err)
{
	for (char **name = seccomp->architectures; *name; name++) {
		uint32_t token = seccomp_arch_resolve_name(*name);
		int result = token ? seccomp_arch_add(context, token) : 0;

		if (result < 0 && result != -EEXIST && result != -EDOM)
			return failed(result, "architecture", *name, err);
	}
	return 0;
}

static struct scmp_arg_cmp condition(const struct oci_seccomp_arg *arg)
{
	return (struct scmp_arg_cmp){
		.arg = arg->index,
		.op = comparisons[arg->op],
		.datum_a = arg->value,
		.datum_b = arg->op == OCI_SECCOMP_MASKED_EQ ? arg->value_two : 0,
	};
}

static bool names_argument_twice(const struct oci_seccomp_rule *rule)
{
	unsigned int seen = 0;

	for (size_t i = 0; i < rule->args_count; i++) {
		if (seen & 1u << rule->args[i].index)
			return true;
		seen |= 1u << rule->args[i].index;
	}
	return false;
}

/* All conditions must hold; but if two are about one argument, any of all (runc). */
static int add_conditions(scmp_filter_ctx context, const struct oci_seccomp_rule *rule, int number)
{
	struct scmp_arg_cmp conditions[OCI_SECCOMP_ARGS_MAX];
	int result = 0;

	if (!names_argument_twice(rule)) {
		for (size_t i = 0; i < rule->args_count; i++)
			conditions[i] = condition(&rule->args[i]);
		return seccomp_rule_add_array(context, rule->action, number,
					      (unsigned int)rule->args_count, conditions);
	}
	for (size_t i = 0; i < rule->args_count && (result == 0 || result == -EEXIST); i++) {
		conditions[0] = condition(&rule->args[i]);
		result = seccomp_rule_add_array(context, rule->action, number, 1, conditions);
	}
	return result;
}

static int add_rule(scmp_filter_ctx context, const struct oci_seccomp *seccomp,
		    const struct oci_seccomp_rule *rule, struct error *err)
{
	if (rule->action == seccomp->default_action)
		return 0;
	for (char **name = rule->names; *name; name++) {
		int number = seccomp_syscall_resolve_name(*name), result;

		if (number == __NR_SCMP_ERROR) {
			kmsg_debug("linux.seccomp: unknown system call %s ignored", *name);
			continue;
		}
		result = add_conditions(context, rule, number);
		if (result < 0 && result != -EEXIST)
			return failed(result, "rule for", *name, err);
	}
	return 0;
}

static size_t count_names(const struct oci_seccomp *seccomp)
{
	size_t count = 0;

	for (size_t i = 0; i < seccomp->rules_count; i++)
		for (char **name = seccomp->rules[i].names; *name; name++)
			count++;
	return count;
}

static int add_all(scmp_filter_ctx context, const struct oci_seccomp *seccomp, struct error *err)
{
	int result;

	if (add_architectures(context, seccomp, err) < 0)
		return -1;
	if (count_names(seccomp) >= OPTIMIZE_FROM) {
		result = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, OPTIMIZE_AS_TREE);
		if (result < 0)
			return failed(result, "optimize", "", err);
	}
	for (size_t i = 0; i < seccomp->rules_count; i++)
		if (add_rule(context, seccomp, &seccomp->rules[i], err) < 0)
			return -1;
	return 0;
}

/* The highest number that a rule names, -1 if there is none. */
static int highest_number(const struct oci_seccomp *seccomp, uint32_t architecture)
{
	int highest = -1;

	for (size_t i = 0; i < seccomp->rules_count; i++)
		for (char **name = seccomp->rules[i].names; *name; name++) {
			int number = seccomp_syscall_resolve_name_arch(architecture, *name);

			if (number > highest)
				highest = number;
		}
	return highest;
}

/* Where unknown calls are let through anyway, or get ENOSYS anyway, nothing is put in front. */
static bool refuses_new_calls(const struct oci_seccomp *seccomp)
{
	uint32_t action = seccomp->default_action;

	if (action == (SECCOMP_RET_ERRNO | ENOSYS))
		return false;
	action &= SECCOMP_RET_ACTION_FULL;
	return action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG &&
	       action != SECCOMP_RET_TRACE;
}

/* The calls of one architecture; those of others go on behind it. */
static size_t put_architecture(struct sock_filter *code, uint32_t architecture, int highest)
{
	const struct sock_filter part[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_SYSCALL_BIT, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)highest, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};

	memcpy(code, part, sizeof(part));
	return sizeof(part) / sizeof(part[0]);
}

#define PART_SIZE 6

static size_t put_new_calls(const struct oci_seccomp *seccomp, scmp_filter_ctx context,
			    struct sock_filter *code)
{
	static const uint32_t architectures[ARCHITECTURES_MAX] = { SCMP_ARCH_X86_64,
								   SCMP_ARCH_X86 };
	size_t count = 0;

	if (!refuses_new_calls(seccomp))
		return 0;
	for (size_t i = 0; i < ARCHITECTURES_MAX; i++) {
		int highest = highest_number(seccomp, architectures[i]);

		if (highest >= 0 && seccomp_arch_exist(context, architectures[i]) == 0)
			count += put_architecture(code + count, architectures[i], highest);
	}
	return count;
}

/* libseccomp writes to a file only. */
static int export(scmp_filter_ctx context, const struct oci_seccomp *seccomp,
		  struct seccomp_filter *filter, struct error *err)
{
	CLEANUP_CLOSE int fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct stat st;
	int result;

	if (fd < 0)
		return error_set(err, errno, "linux.seccomp");
	result = seccomp_export_bpf(context, fd);
	if (result < 0)
		return failed(result, "make the filter", "", err);
	if (fstat(fd, &st) < 0)
		return error_set(err, errno, "linux.seccomp");
	filter->code = malloc(st.st_size + PART_SIZE * ARCHITECTURES_MAX * sizeof(*filter->code));
	if (!filter->code)
		return error_set(err, ENOMEM, "linux.seccomp");
	filter->count = put_new_calls(seccomp, context, filter->code);
	if (pread(fd, filter->code + filter->count, st.st_size, 0) != st.st_size)
		return error_set(err, errno, "linux.seccomp");
	filter->count += st.st_size / sizeof(*filter->code);
	if (filter->count > BPF_MAXINSNS)
		return error_set(err, E2BIG, "linux.seccomp: %zu instructions", filter->count);
	return 0;
}

int seccomp_filter_make(const struct oci_seccomp *seccomp, struct seccomp_filter *filter,
			struct error *err)
{
	CLEANUP(cleanup_context) scmp_filter_ctx context = NULL;

	*filter = (struct seccomp_filter){ 0 };
	if (!seccomp)
		return 0;
	filter->flags = seccomp->flags;
	context = seccomp_init(seccomp->default_action);
	if (!context)
		return error_set(err, 0, "linux.seccomp.defaultAction: libseccomp can't have it");
	if (add_all(context, seccomp, err) < 0)
		return -1;
	return export(context, seccomp, filter, err);
}

int seccomp_filter_load(const struct seccomp_filter *filter, struct error *err)
{
	const struct sock_fprog program = { .len = (unsigned short)filter->count,
					    .filter = filter->code };

	if (filter->code &&
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter->flags, &program) < 0)
		return error_set(err, errno, "load linux.seccomp");
	return 0;
}
