/*
 * linux.seccomp as read, what is wrong in one place each, and the filter that is
 * made of it: loaded by a child, which says what its system calls get.
 */
#include "configs.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "seccomp_filter.h"

#define CONFIG(seccomp) "{'ociVersion':'1.0.2','root':{'path':'r'},'linux':{'seccomp':" seccomp "}}"
#define ALLOW(rest)	CONFIG("{'defaultAction':'SCMP_ACT_ALLOW'," rest "}")
#define RULE(rest)	ALLOW("'syscalls':[{'names':['a']," rest "}]")

static void full(void **state)
{
	struct oci_config *config = parse_config(CONFIG(
		"{'defaultAction':'SCMP_ACT_ERRNO','architectures':['SCMP_ARCH_X86_64','SCMP_ARCH_"
		"X86',"
		"'SCMP_ARCH_MIPS64N32'],'flags':['SECCOMP_FILTER_FLAG_TSYNC',"
		"'SECCOMP_FILTER_FLAG_LOG','SECCOMP_FILTER_FLAG_SPEC_ALLOW'],'syscalls':["
		"{'names':['read','write'],'action':'SCMP_ACT_ALLOW','args':null},"
		"{'names':['ioctl'],'action':'SCMP_ACT_TRACE','errnoRet':65535,'args':["
		"{'index':5,'value':18446744073709551615,'valueTwo':7,'op':'SCMP_CMP_MASKED_EQ'},"
		"{'index':0,'value':1,'op':'SCMP_CMP_GT'}]},"
		"{'names':['sync'],'action':'SCMP_ACT_KILL_PROCESS'},"
		"{'names':['sync'],'action':'SCMP_ACT_ERRNO','errnoRet':0}]}"));
	const struct oci_seccomp *s = config->seccomp;

	(void)state;
	assert_int_equal(s->default_action, SECCOMP_RET_ERRNO | EPERM);
	assert_int_equal(s->flags, SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW);
	assert_string_equal(s->architectures[0], "x86_64");
	assert_string_equal(s->architectures[2], "mips64n32");
	assert_null(s->architectures[3]);
	assert_int_equal(s->rules_count, 4);
	assert_string_equal(s->rules[0].names[1], "write");
	assert_null(s->rules[0].names[2]);
	assert_int_equal(s->rules[0].action, SECCOMP_RET_ALLOW);
	assert_int_equal(s->rules[0].args_count, 0);
	assert_int_equal(s->rules[1].action, SECCOMP_RET_TRACE | 65535);
	assert_int_equal(s->rules[1].args_count, 2);
	assert_int_equal(s->rules[1].args[0].index, 5);
	assert_true(s->rules[1].args[0].value == UINT64_MAX);
	assert_int_equal(s->rules[1].args[0].value_two, 7);
	assert_int_equal(s->rules[1].args[0].op, OCI_SECCOMP_MASKED_EQ);
	assert_int_equal(s->rules[1].args[1].op, OCI_SECCOMP_GT);
	assert_true(s->rules[2].action == SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(s->rules[3].action, SECCOMP_RET_ERRNO);
	config_free(config);
}

/* runc takes these for no filter at all. */
static void none(void **state)
{
	static const char *const texts[] = {
		CONFIG("null"),
		CONFIG("{}"),
		CONFIG("{'syscalls':[],'architectures':['SCMP_ARCH_X86']}"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct oci_config *config = parse_config(texts[i]);
		struct seccomp_filter filter;

		assert_null(config->seccomp);
		assert_int_equal(seccomp_filter_make(config->seccomp, &filter, NULL), 0);
		assert_null(filter.code);
		assert_int_equal(seccomp_filter_load(&filter, NULL), 0);
		config_free(config);
	}
}

#define SECCOMP "linux.seccomp."

static const struct wrong_input wrong[] = {
	{ CONFIG("[]"), "linux.seccomp must be an object, is an array" },
	{ CONFIG("{'syscalls':[{'names':['a'],'action':'SCMP_ACT_ALLOW'}]}"),
	  SECCOMP "defaultAction is missing" },
	{ CONFIG("{'defaultAction':'SCMP_ACT_MOON'}"),
	  SECCOMP "defaultAction is no action: \"SCMP_ACT_MOON\"" },
	{ CONFIG("{'defaultAction':'SCMP_ACT_NOTIFY'}"), SECCOMP "defaultAction is refused: " },
	{ ALLOW("'defaultErrnoRet':1"),
	  SECCOMP "defaultErrnoRet can't be given with SCMP_ACT_ALLOW" },
	{ CONFIG("{'defaultAction':'SCMP_ACT_ERRNO','defaultErrnoRet':4096}"),
	  SECCOMP "defaultErrnoRet must be between 0 and 4095, is 4096" },
	{ ALLOW("'architectures':['SCMP_ARCH_x86']"),
	  SECCOMP "architectures[0] is no architecture: \"SCMP_ARCH_x86\"" },
	{ ALLOW("'architectures':['X86']"), SECCOMP "architectures[0] is no architecture" },
	{ ALLOW("'architectures':['SCMP_ARCH_']"), SECCOMP "architectures[0] is no architecture" },
	{ ALLOW("'flags':['SECCOMP_FILTER_FLAG_LOG','MOON']"),
	  SECCOMP "flags[1] is no flag: \"MOON\"" },
	{ ALLOW("'listenerPath':'/x'"), SECCOMP "listenerPath is refused: " },
	{ ALLOW("'listenerMetadata':'x'"), SECCOMP "listenerMetadata is refused: " },
	{ ALLOW("'syscalls':{}"), SECCOMP "syscalls must be an array, is an object" },
	{ ALLOW("'syscalls':[{'action':'SCMP_ACT_ALLOW'}]"),
	  SECCOMP "syscalls[0].names is missing" },
	{ ALLOW("'syscalls':[{'names':[],'action':'SCMP_ACT_ALLOW'}]"),
	  SECCOMP "syscalls[0].names must not be empty" },
	{ ALLOW("'syscalls':[{'names':['a',''],'action':'SCMP_ACT_ALLOW'}]"),
	  SECCOMP "syscalls[0].names[1] must not be empty" },
	{ RULE("'args':[]"), SECCOMP "syscalls[0].action is missing" },
	{ RULE("'action':'SCMP_ACT_KILL','errnoRet':1"),
	  SECCOMP "syscalls[0].errnoRet can't be given with SCMP_ACT_KILL" },
	{ RULE("'action':'SCMP_ACT_TRACE','errnoRet':65536"),
	  SECCOMP "syscalls[0].errnoRet must be between 0 and 65535, is 65536" },
	{ RULE("'action':'SCMP_ACT_NOTIFY'"), SECCOMP "syscalls[0].action is refused: " },
	{ RULE("'action':'SCMP_ACT_KILL','args':[{'index':6,'op':'SCMP_CMP_EQ'}]"),
	  SECCOMP "syscalls[0].args[0].index must be between 0 and 5, is 6" },
	{ RULE("'action':'SCMP_ACT_KILL','args':[{'index':0}]"),
	  SECCOMP "syscalls[0].args[0].op is missing" },
	{ RULE("'action':'SCMP_ACT_KILL','args':[{'op':'SCMP_CMP_IS'}]"),
	  SECCOMP "syscalls[0].args[0].op is no operator: \"SCMP_CMP_IS\"" },
	{ RULE("'action':'SCMP_ACT_KILL','args':[{'op':'SCMP_CMP_EQ','value':-1}]"),
	  SECCOMP "syscalls[0].args[0].value must be between 0 and 18446744073709551615, is -1" },
};

static void wrong_inputs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_wrong(&wrong[i], false);
}

/* The errno of a call in a child under the filter, 0 when it succeeds. */
static int errno_of(const struct seccomp_filter *filter, long number, long first, long second)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    seccomp_filter_load(filter, NULL) < 0)
			_exit(255);
		/* The sanitizer's _exit does more than the filter lets pass. */
		for (;;)
			syscall(SYS_exit_group, syscall(number, first, second, 0) < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static struct seccomp_filter make(const char *text)
{
	struct oci_config *config = parse_config(text);
	struct seccomp_filter filter;
	struct error err = { 0 };

	assert_ok(seccomp_filter_make(config->seccomp, &filter, &err), err);
	assert_non_null(filter.code);
	config_free(config);
	return filter;
}

static void rules_hold(void **state)
{
	struct seccomp_filter filter =
		make(ALLOW("'syscalls':[{'names':['getpgrp','moon'],'action':'SCMP_ACT_ERRNO'},"
			   "{'names':['getpgrp'],'action':'SCMP_ACT_ERRNO'},"
			   "{'names':['getuid'],'action':'SCMP_ACT_ALLOW'},"
			   "{'names':['lseek'],'action':'SCMP_ACT_ERRNO','errnoRet':77,'args':["
			   "{'index':1,'value':5,'op':'SCMP_CMP_EQ'},"
			   "{'index':1,'value':9,'op':'SCMP_CMP_GE'}]}]"));

	(void)state;
	assert_int_equal(errno_of(&filter, SYS_getpgrp, 0, 0), EPERM);
	assert_int_equal(errno_of(&filter, SYS_getuid, 0, 0), 0);
	assert_int_equal(errno_of(&filter, SYS_lseek, -1, 5), 77);
	assert_int_equal(errno_of(&filter, SYS_lseek, -1, 6), EBADF);
	assert_int_equal(errno_of(&filter, SYS_lseek, -1, 1L << 40), 77);
	free(filter.code);
}

/* A call newer than those that the rules name does not exist; but see where that is moot. */
static void new_calls(void **state)
{
	static const struct {
		const char *action;
		int new, old;
	} rows[] = {
		{ "'SCMP_ACT_ERRNO'", ENOSYS, EPERM },
		{ "'SCMP_ACT_ERRNO','defaultErrnoRet':13", ENOSYS, EACCES },
		{ "'SCMP_ACT_ERRNO','defaultErrnoRet':38", ENOSYS, ENOSYS },
		{ "'SCMP_ACT_LOG'", ENOSYS, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[512];
		struct seccomp_filter filter;

		snprintf(text, sizeof(text),
			 CONFIG("{'defaultAction':%s,'syscalls':[{'names':['exit_group','sync'],"
				"'action':'SCMP_ACT_ALLOW'}]}"),
			 rows[i].action);
		filter = make(text);
		assert_int_equal(errno_of(&filter, SYS_getpid, 0, 0), rows[i].old);
		assert_int_equal(errno_of(&filter, SYS_exit_group + 300, 0, 0), rows[i].new);
		free(filter.code);
	}
}

/* As long as engines' rules are: the tree, and all architectures at once. */
static void long_rules(void **state)
{
	static const char head[] =
		"{'ociVersion':'1.0.2','root':{'path':'r'},'linux':{'seccomp':{'defaultAction':"
		"'SCMP_ACT_ERRNO','architectures':['SCMP_ARCH_X86_64','SCMP_ARCH_X86','SCMP_ARCH_"
		"X32',"
		"'SCMP_ARCH_AARCH64','SCMP_ARCH_S390X'],'syscalls':[{'action':'SCMP_ACT_ALLOW',"
		"'names':['exit_group'";
	static const char *const names[] = { "read",   "write", "open",	  "close",   "stat",
					     "fstat",  "lstat", "poll",	  "mmap",    "mprotect",
					     "munmap", "brk",	"ioctl",  "pread64", "pwrite64",
					     "readv",  "pipe",	"select", "dup",     "dup2",
					     "pause",  "fork",	"getpid", "socket",  "connect",
					     "accept", "bind",	"listen", "clone",   "vfork",
					     "execve", "exit",	"wait4",  "kill",    "uname",
					     "fcntl",  "flock", "chdir",  "rename",  "mkdir",
					     "unlink", "chmod", "getuid", "getgid",  "openat2" };
	char text[4096];
	struct seccomp_filter filter;
	size_t used = (size_t)snprintf(text, sizeof(text), "%s", head);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, ",'%s'", names[i]);
	snprintf(text + used, sizeof(text) - used, "]}]}}}");
	filter = make(text);
	assert_int_equal(errno_of(&filter, SYS_getuid, 0, 0), 0);
	assert_int_equal(errno_of(&filter, SYS_getpgrp, 0, 0), EPERM);
	assert_int_equal(errno_of(&filter, SYS_faccessat2, 0, 0), ENOSYS);
	free(filter.code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full),		cmocka_unit_test(none),
		cmocka_unit_test(wrong_inputs), cmocka_unit_test(rules_hold),
		cmocka_unit_test(new_calls),	cmocka_unit_test(long_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
