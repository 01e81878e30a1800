/*
 * See device_filter.h. The program looks at the rules from the last to the first
 * and keeps in a register which of the wanted kinds of access nobody has decided
 * on yet. The first rule that refuses one ends it, and so does the one that
 * allows the last of them.
 */
#include "device_filter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

_Static_assert((int)DEVICE_MKNOD == BPF_DEVCG_ACC_MKNOD && (int)DEVICE_READ == BPF_DEVCG_ACC_READ &&
		       (int)DEVICE_WRITE == BPF_DEVCG_ACC_WRITE,
	       "numbered as by the kernel");

#define INSNS_PER_RULE 7 /* at most */
#define INSNS_AROUND   8

/* R1 is the kernel's struct bpf_cgroup_dev_ctx. */
enum {
	RESULT = BPF_REG_0,
	CONTEXT = BPF_REG_1,
	TYPE = BPF_REG_2,
	WANTED = BPF_REG_3,
	MAJOR = BPF_REG_4,
	MINOR = BPF_REG_5,
};

struct program {
	struct bpf_insn *insns;
	size_t count;
};

static void put(struct program *program, int code, int to, int from, int offset, int value)
{
	program->insns[program->count++] = (struct bpf_insn){
		.code = (__u8)code,
		.dst_reg = (__u8)to,
		.src_reg = (__u8)from,
		.off = (__s16)offset,
		.imm = value,
	};
}

static void put_load(struct program *program, int to, size_t offset)
{
	put(program, BPF_LDX | BPF_MEM | BPF_W, to, CONTEXT, (int)offset, 0);
}

static void put_end(struct program *program, bool allow)
{
	put(program, BPF_ALU64 | BPF_MOV | BPF_K, RESULT, 0, 0, allow);
	put(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void put_begin(struct program *program)
{
	put_load(program, TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	put(program, BPF_ALU64 | BPF_MOV | BPF_X, WANTED, TYPE, 0, 0);
	put(program, BPF_ALU64 | BPF_AND | BPF_K, TYPE, 0, 0, 0xffff);
	put(program, BPF_ALU64 | BPF_RSH | BPF_K, WANTED, 0, 0, 16);
	put_load(program, MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
	put_load(program, MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
}

/* A jump whose distance, to the next rule, is filled in later. */
static void put_unless(struct program *program, int reg, int value)
{
	put(program, BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, value);
}

static void put_rule(struct program *program, const struct device_rule *rule)
{
	size_t first = program->count, unless;

	if (rule->type != 'a')
		put_unless(program, TYPE,
			   rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	if (rule->major != DEVICE_ANY)
		put_unless(program, MAJOR, rule->major);
	if (rule->minor != DEVICE_ANY)
		put_unless(program, MINOR, rule->minor);
	unless = program->count;
	if (rule->allow) {
		put(program, BPF_ALU64 | BPF_AND | BPF_K, WANTED, 0, 0, ~(int)rule->access);
		put(program, BPF_JMP | BPF_JNE | BPF_K, WANTED, 0, 2, 0);
	} else {
		put(program, BPF_JMP | BPF_JSET | BPF_K, WANTED, 0, 1, (int)rule->access);
		put(program, BPF_JMP | BPF_JA, 0, 0, 2, 0);
	}
	put_end(program, rule->allow);
	for (size_t i = first; i < unless; i++)
		program->insns[i].off = (__s16)(program->count - i - 1);
}

static int make(const struct oci_devices *devices, struct program *program, struct error *err)
{
	size_t rules = devices->rules_count + device_rules_always_count;

	program->insns = calloc(rules * INSNS_PER_RULE + INSNS_AROUND, sizeof(*program->insns));
	if (!program->insns)
		return error_set(err, ENOMEM, "linux.resources.devices");
	put_begin(program);
	for (size_t i = device_rules_always_count; i-- > 0;)
		put_rule(program, &device_rules_always[i]);
	for (size_t i = devices->rules_count; i-- > 0;)
		put_rule(program, &devices->rules[i]);
	put_end(program, false);
	return 0;
}

static int load(const struct program *program, struct error *err)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insn_cnt = (__u32)program->count,
		.insns = (uintptr_t)program->insns,
		.license = (uintptr_t) "",
	};
	int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	return fd < 0 ? error_set(err, errno, "linux.resources.devices: load the program") : fd;
}

int device_filter_attach(int cgroup, const struct oci_devices *devices, struct error *err)
{
	struct program program = { 0 };
	CLEANUP_CLOSE int fd = -1;
	union bpf_attr attr = {
		.target_fd = (__u32)cgroup,
		.attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI,
	};

	if (make(devices, &program, err) == 0)
		fd = load(&program, err);
	free(program.insns);
	if (fd < 0)
		return -1;
	attr.attach_bpf_fd = (__u32)fd;
	if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr)) < 0)
		return error_set(err, errno, "linux.resources.devices: attach the program");
	return 0;
}
