/* See seccomp.h. */
#include "seccomp.h"

#include <ctype.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "string_list.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define ERRNO_MAX    4095 /* the kernel's; a larger one would become it */

static const struct {
	const char *name;
	uint32_t value;
	uint64_t code_max; /* 0 = takes no errnoRet */
} actions[] = {
	{ "SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, 0 },
	{ "SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, 0 },
	{ "SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, 0 },
	{ "SCMP_ACT_TRAP", SECCOMP_RET_TRAP, 0 },
	{ "SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, ERRNO_MAX },
	{ "SCMP_ACT_TRACE", SECCOMP_RET_TRACE, SECCOMP_RET_DATA },
	{ "SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, 0 },
	{ "SCMP_ACT_LOG", SECCOMP_RET_LOG, 0 },
};

static const struct {
	const char *name;
	enum oci_seccomp_operator op;
} operators[] = {
	{ "SCMP_CMP_NE", OCI_SECCOMP_NE },
	{ "SCMP_CMP_LT", OCI_SECCOMP_LT },
	{ "SCMP_CMP_LE", OCI_SECCOMP_LE },
	{ "SCMP_CMP_EQ", OCI_SECCOMP_EQ },
	{ "SCMP_CMP_GE", OCI_SECCOMP_GE },
	{ "SCMP_CMP_GT", OCI_SECCOMP_GT },
	{ "SCMP_CMP_MASKED_EQ", OCI_SECCOMP_MASKED_EQ },
};

/* Without effect are: TSYNC, there being one thread; and what is about SCMP_ACT_NOTIFY. */
static const struct {
	const char *name;
	unsigned int flag;
} flags[] = {
	{ "SECCOMP_FILTER_FLAG_TSYNC", 0 },
	{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
	{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
	{ "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 0 },
};

#define ARCHITECTURE_PREFIX "SCMP_ARCH_"

static const char *const architectures[] = {
	"X86",	   "X86_64",	  "X32",    "ARM",	"AARCH64",     "MIPS",
	"MIPS64",  "MIPS64N32",	  "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PPC",
	"PPC64",   "PPC64LE",	  "S390",   "S390X",	"PARISC",      "PARISC64",
	"RISCV64", "LOONGARCH64", "M68K",   "SH",	"SHEB",
};

/* errnoRet, or defaultErrnoRet, of the action that index is the row of. */
static int read_code(const struct json *object, const char *key, size_t index, uint32_t *action,
		     struct error *err)
{
	const struct json *node = json_member(object, key);
	uint64_t code = EPERM;

	if (node && !actions[index].code_max)
		return json_error(node, err, "can't be given with %s", actions[index].name);
	if (node && json_to_uint(node, actions[index].code_max, &code, err) < 0)
		return -1;
	if (actions[index].code_max)
		*action |= (uint32_t)code;
	return 0;
}

static int read_action(const struct json *object, const char *key, const char *code_key,
		       uint32_t *action, struct error *err)
{
	const struct json *node = json_member(object, key);

	if (!node)
		return json_error_missing(object, key, err);
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	for (size_t i = 0; i < COUNT(actions); i++)
		if (strcmp(node->text, actions[i].name) == 0) {
			*action = actions[i].value;
			return read_code(object, code_key, i, action, err);
		}
	if (strcmp(node->text, "SCMP_ACT_NOTIFY") == 0)
		return json_error(node, err,
				  "is refused: SCMP_ACT_NOTIFY asks a program on the host, which a "
				  "virtual machine's kernel can't");
	return json_error(node, err, "is no action: \"%.40s\"", node->text);
}

static int read_operator(const struct json *object, enum oci_seccomp_operator *op,
			 struct error *err)
{
	const struct json *node = json_member(object, "op");

	if (!node)
		return json_error_missing(object, "op", err);
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	for (size_t i = 0; i < COUNT(operators); i++)
		if (strcmp(node->text, operators[i].name) == 0) {
			*op = operators[i].op;
			return 0;
		}
	return json_error(node, err, "is no operator: \"%.40s\"", node->text);
}

static int read_arg(const struct json *item, struct oci_seccomp_arg *arg, struct error *err)
{
	uint64_t index = 0;

	if (json_expect(item, JSON_OBJECT, err) < 0 ||
	    json_get_uint(item, "index", OCI_SECCOMP_ARGS_MAX - 1, &index, err) < 0 ||
	    json_get_uint(item, "value", UINT64_MAX, &arg->value, err) < 0 ||
	    json_get_uint(item, "valueTwo", UINT64_MAX, &arg->value_two, err) < 0)
		return -1;
	arg->index = (unsigned int)index;
	return read_operator(item, &arg->op, err);
}

static int read_names(const struct json *item, struct oci_seccomp_rule *rule, struct error *err)
{
	const struct json *name;
	int ret = json_get_strings(item, "names", &rule->names, err);

	if (ret < 0)
		return -1;
	if (ret == 0)
		return json_error_missing(item, "names", err);
	name = json_first(json_member(item, "names"));
	if (!name)
		return json_error(json_member(item, "names"), err, "must not be empty");
	for (; name; name = name->next)
		if (!name->text[0])
			return json_error(name, err, "must not be empty");
	return 0;
}

static int read_rule(const struct json *item, struct oci_seccomp_rule *rule, struct error *err)
{
	const struct json *array = NULL;

	if (json_expect(item, JSON_OBJECT, err) < 0 || read_names(item, rule, err) < 0 ||
	    read_action(item, "action", "errnoRet", &rule->action, err) < 0 ||
	    json_get_array(item, "args", &array, err) < 0)
		return -1;
	rule->args = calloc(json_count(array) + 1, sizeof(*rule->args));
	if (!rule->args)
		return error_set(err, ENOMEM, "args");
	for (const struct json *arg = json_first(array); arg; arg = arg->next)
		if (read_arg(arg, &rule->args[rule->args_count++], err) < 0)
			return -1;
	return 0;
}

static int read_rules(const struct json *object, struct oci_seccomp *seccomp, struct error *err)
{
	const struct json *array = NULL;

	if (json_get_array(object, "syscalls", &array, err) < 0)
		return -1;
	seccomp->rules = calloc(json_count(array) + 1, sizeof(*seccomp->rules));
	if (!seccomp->rules)
		return error_set(err, ENOMEM, "syscalls");
	for (const struct json *item = json_first(array); item; item = item->next)
		if (read_rule(item, &seccomp->rules[seccomp->rules_count++], err) < 0)
			return -1;
	return 0;
}

/* Adds what libseccomp calls the architecture: the name without prefix, in small letters. */
static int add_architecture(const struct json *item, struct string_list *list, struct error *err)
{
	const char *name = item->text + strlen(ARCHITECTURE_PREFIX);
	char small[32] = "";

	for (size_t i = 0; i < COUNT(architectures); i++) {
		if (strncmp(item->text, ARCHITECTURE_PREFIX, strlen(ARCHITECTURE_PREFIX)) != 0 ||
		    strcmp(name, architectures[i]) != 0)
			continue;
		for (size_t j = 0; name[j] && j + 1 < sizeof(small); j++)
			small[j] = (char)tolower((unsigned char)name[j]);
		return string_list_add(list, small, err);
	}
	return json_error(item, err, "is no architecture: \"%.40s\"", item->text);
}

static int read_architectures(const struct json *object, struct oci_seccomp *seccomp,
			      struct error *err)
{
	CLEANUP_STRING_LIST struct string_list list = { 0 };
	const struct json *array = NULL;

	if (json_get_array(object, "architectures", &array, err) < 0)
		return -1;
	for (const struct json *item = json_first(array); item; item = item->next)
		if (json_expect(item, JSON_STRING, err) < 0 ||
		    add_architecture(item, &list, err) < 0)
			return -1;
	seccomp->architectures = string_list_steal(&list, err);
	return seccomp->architectures ? 0 : -1;
}

static int read_flag(const struct json *item, unsigned int *out, struct error *err)
{
	if (json_expect(item, JSON_STRING, err) < 0)
		return -1;
	for (size_t i = 0; i < COUNT(flags); i++)
		if (strcmp(item->text, flags[i].name) == 0) {
			*out |= flags[i].flag;
			return 0;
		}
	return json_error(item, err, "is no flag: \"%.40s\"", item->text);
}

static int read_flags(const struct json *object, struct oci_seccomp *seccomp, struct error *err)
{
	const struct json *array = NULL;

	if (json_get_array(object, "flags", &array, err) < 0)
		return -1;
	for (const struct json *item = json_first(array); item; item = item->next)
		if (read_flag(item, &seccomp->flags, err) < 0)
			return -1;
	return 0;
}

int seccomp_read(const struct json *linux_, struct oci_seccomp **seccomp, struct error *err)
{
	const struct json *object = NULL;
	int ret = json_get_object(linux_, "seccomp", &object, err);

	if (ret <= 0)
		return ret;
	if (!json_member(object, "defaultAction") && !json_first(json_member(object, "syscalls")))
		return 0;
	*seccomp = calloc(1, sizeof(**seccomp));
	if (!*seccomp)
		return error_set(err, ENOMEM, "seccomp");
	if (read_action(object, "defaultAction", "defaultErrnoRet", &(*seccomp)->default_action,
			err) < 0 ||
	    read_architectures(object, *seccomp, err) < 0 ||
	    read_flags(object, *seccomp, err) < 0 || read_rules(object, *seccomp, err) < 0)
		return -1;
	return 0;
}

void seccomp_free(struct oci_seccomp *seccomp)
{
	if (!seccomp)
		return;
	for (size_t i = 0; i < seccomp->rules_count; i++) {
		strings_free(seccomp->rules[i].names);
		free(seccomp->rules[i].args);
	}
	free(seccomp->rules);
	strings_free(seccomp->architectures);
	free(seccomp);
}
