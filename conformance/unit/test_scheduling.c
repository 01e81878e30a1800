/*
 * process.scheduler, ioPriority and execCPUAffinity, and lists of CPUs: read,
 * printed, inherited, and wrong in one place each.
 */
#include "configs.h"

#include <linux/ioprio.h>

#include "cpu_list.h"

#define PROCESS(rest) "{'args':['a'],'cwd':'/'," rest "}"

static struct oci_process *parse(const char *text)
{
	CLEANUP_FREE char *json = sample_text(text);
	struct oci_process *process;
	struct error err = { 0 };

	if (process_parse(json, strlen(json), &process, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return process;
}

static void check_full(const struct oci_process *process)
{
	const struct oci_scheduler *scheduler = &process->scheduling.scheduler;
	const struct oci_cpu_affinity *affinity = &process->scheduling.exec_affinity;

	assert_true(scheduler->given);
	assert_int_equal(scheduler->policy, 6);
	assert_int_equal(scheduler->nice, -20);
	assert_int_equal(scheduler->flags, 0x1 | 0x4);
	assert_int_equal(scheduler->runtime, 1);
	assert_int_equal(scheduler->deadline, 2);
	assert_true(scheduler->period == UINT64_MAX);
	assert_true(process->scheduling.io_priority.given);
	assert_int_equal(process->scheduling.io_priority.class, IOPRIO_CLASS_RT);
	assert_int_equal(process->scheduling.io_priority.priority, 7);
	assert_true(affinity->has_initial && affinity->has_final);
	assert_int_equal(CPU_COUNT(&affinity->initial), 1);
	assert_true(CPU_ISSET(1023, &affinity->initial));
	assert_int_equal(CPU_COUNT(&affinity->final), 5);
}

static void full(void **state)
{
	struct oci_process *process =
		parse(PROCESS("'scheduler':{'policy':'SCHED_DEADLINE','nice':-20,'priority':0,"
			      "'flags':['SCHED_FLAG_DL_OVERRUN','SCHED_FLAG_RESET_ON_FORK'],"
			      "'runtime':1,'deadline':2,'period':18446744073709551615},"
			      "'ioPriority':{'class':'IOPRIO_CLASS_RT','priority':7},"
			      "'execCPUAffinity':{'initial':'1023','final':' 0-3 ,, 7'}"));
	CLEANUP_FREE char *printed = process_print(process, NULL);
	struct oci_process *again;
	struct error err = { 0 };

	(void)state;
	check_full(process);
	assert_non_null(strstr(printed, "\"final\":\"0-3,7\""));
	assert_ok(process_parse(printed, strlen(printed), &again, &err), err);
	check_full(again);
	process_free(again);
	process_free(process);
}

static void nothing(void **state)
{
	struct oci_process *process =
		parse(PROCESS("'ioPriority':null,'execCPUAffinity':{'initial':''}"));
	CLEANUP_FREE char *printed = process_print(process, NULL);

	(void)state;
	assert_false(process->scheduling.scheduler.given || process->scheduling.io_priority.given);
	assert_false(process->scheduling.exec_affinity.has_initial);
	assert_null(strstr(printed, "scheduler"));
	assert_null(strstr(printed, "ioPriority"));
	assert_null(strstr(printed, "execCPUAffinity"));
	process_free(process);
}

static void inherited(void **state)
{
	struct oci_process *container =
		parse(PROCESS("'scheduler':{'policy':'SCHED_FIFO','priority':99},"
			      "'ioPriority':{'class':'IOPRIO_CLASS_BE'},"
			      "'execCPUAffinity':{'initial':'1','final':'2'},"
			      "'capabilities':{'bounding':['CAP_CHOWN']}"));
	struct oci_process *open = parse(PROCESS("'env':[]"));
	struct oci_process *own = parse(PROCESS("'scheduler':{'policy':'SCHED_IDLE'},"
						"'ioPriority':{'class':'IOPRIO_CLASS_IDLE'},"
						"'execCPUAffinity':{'final':'3'},"
						"'capabilities':{}"));

	(void)state;
	process_inherit(open, container);
	assert_int_equal(open->scheduling.scheduler.priority, 99);
	assert_int_equal(open->scheduling.io_priority.class, IOPRIO_CLASS_BE);
	assert_true(CPU_ISSET(2, &open->scheduling.exec_affinity.final));
	assert_int_equal(open->capabilities.bounding, 1);
	process_inherit(own, container);
	assert_int_equal(own->scheduling.scheduler.policy, 5);
	assert_int_equal(own->scheduling.io_priority.class, IOPRIO_CLASS_IDLE);
	assert_false(own->scheduling.exec_affinity.has_initial);
	assert_true(CPU_ISSET(3, &own->scheduling.exec_affinity.final));
	assert_int_equal(own->capabilities.bounding, 0);
	process_free(container);
	process_free(open);
	process_free(own);
}

static const struct wrong_input wrong[] = {
	{ PROCESS("'scheduler':[]"), "scheduler must be an object, is an array" },
	{ PROCESS("'scheduler':{'nice':1}"), "scheduler.policy is missing" },
	{ PROCESS("'scheduler':{'policy':'SCHED_MOON'}"),
	  "scheduler.policy is no scheduling policy: \"SCHED_MOON\"" },
	{ PROCESS("'scheduler':{'policy':'SCHED_OTHER','nice':20}"),
	  "scheduler.nice must be between -20 and 19, is 20" },
	{ PROCESS("'scheduler':{'policy':'SCHED_FIFO','priority':100}"),
	  "scheduler.priority must be between 0 and 99, is 100" },
	{ PROCESS("'scheduler':{'policy':'SCHED_BATCH','priority':1}"),
	  "scheduler.priority can be given for SCHED_FIFO and SCHED_RR only" },
	{ PROCESS("'scheduler':{'policy':'SCHED_FIFO','period':1}"),
	  "scheduler gives runtime, deadline or period, which are for SCHED_DEADLINE only" },
	{ PROCESS("'scheduler':{'policy':'SCHED_FIFO','flags':['SCHED_FLAG_MOON']}"),
	  "scheduler.flags[0] is no scheduling flag: \"SCHED_FLAG_MOON\"" },
	{ PROCESS("'scheduler':{'policy':'SCHED_DEADLINE','runtime':-1}"),
	  "scheduler.runtime must be between 0 and 18446744073709551615, is -1" },
	{ PROCESS("'ioPriority':{'priority':1}"), "ioPriority.class is missing" },
	{ PROCESS("'ioPriority':{'class':'x'}"), "ioPriority.class is no I/O scheduling class" },
	{ PROCESS("'ioPriority':{'class':'IOPRIO_CLASS_RT','priority':8}"),
	  "ioPriority.priority must be between 0 and 7, is 8" },
	{ PROCESS("'execCPUAffinity':'0'"), "execCPUAffinity must be an object, is a string" },
	{ PROCESS("'execCPUAffinity':{'final':0}"),
	  "execCPUAffinity.final must be a string, is a number" },
	{ PROCESS("'execCPUAffinity':{'initial':'3-1'}"),
	  "execCPUAffinity.initial is no list of CPUs: \"3-1\"" },
};

static void wrong_inputs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_wrong(&wrong[i], true);
}

static void cpu_lists(void **state)
{
	static const struct {
		const char *text, *printed; /* NULL = wrong */
	} rows[] = {
		{ "0", "0" },	  { "0-1023", "0-1023" }, { "3,1,2", "1-3" },
		{ "1-1", "1" },	  { "5,0,5", "0,5" },	  { " 1 , 3-4 ", "1,3-4" },
		{ ",2,", "2" },	  { "", NULL },		  { ",", NULL },
		{ "1024", NULL }, { "1-", NULL },	  { "-1", NULL },
		{ "a", NULL },	  { "1 2", NULL },	  { "2-1", NULL },
		{ "0x1", NULL },  { "1-2-3", NULL },	  { "99999999999999999999999", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_FREE char *printed = NULL;
		cpu_set_t set;

		if (cpu_list_parse(rows[i].text, &set) != (rows[i].printed != NULL))
			fail_msg("\"%s\"", rows[i].text);
		if (!rows[i].printed)
			continue;
		printed = cpu_list_print(&set);
		assert_string_equal(printed, rows[i].printed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full),	     cmocka_unit_test(nothing),
		cmocka_unit_test(inherited), cmocka_unit_test(wrong_inputs),
		cmocka_unit_test(cpu_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
