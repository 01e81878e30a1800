/*
 * The process of a config.json and process.json: reading, printing, releasing.
 * The limits are the kernel's or the spec's (config.md, "Process"). See config.h.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "capabilities.h"
#include "config_parts.h"
#include "fields.h"
#include "json_writer.h"

#define ID_MAX		  (UINT32_MAX - 1) /* (uid_t)-1 means "leave it" in system calls */
#define OOM_SCORE_ADJ_MIN (-1000)
#define OOM_SCORE_ADJ_MAX 1000

static const struct {
	const char *name;
	int resource;
} rlimit_names[] = {
	{ "RLIMIT_AS", RLIMIT_AS },
	{ "RLIMIT_CORE", RLIMIT_CORE },
	{ "RLIMIT_CPU", RLIMIT_CPU },
	{ "RLIMIT_DATA", RLIMIT_DATA },
	{ "RLIMIT_FSIZE", RLIMIT_FSIZE },
	{ "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
	{ "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_NICE", RLIMIT_NICE },
	{ "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },
	{ "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
	{ "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_STACK", RLIMIT_STACK },
};

#define RLIMIT_NAMES (sizeof(rlimit_names) / sizeof(rlimit_names[0]))

static const struct {
	const char *name;
	size_t offset;
} capability_sets[] = {
	{ "bounding", offsetof(struct oci_capabilities, bounding) },
	{ "effective", offsetof(struct oci_capabilities, effective) },
	{ "inheritable", offsetof(struct oci_capabilities, inheritable) },
	{ "permitted", offsetof(struct oci_capabilities, permitted) },
	{ "ambient", offsetof(struct oci_capabilities, ambient) },
};

#define CAPABILITY_SETS (sizeof(capability_sets) / sizeof(capability_sets[0]))

static int read_args(const struct json *node, struct oci_process *process, struct error *err)
{
	int ret = json_get_strings(node, "args", &process->args, err);

	if (ret < 0)
		return -1;
	if (ret == 0)
		return json_error_missing(node, "args", err);
	process->args_count = json_count(json_member(node, "args"));
	if (process->args_count == 0)
		return json_error(json_member(node, "args"), err, "must not be empty");
	return 0;
}

static int read_env(const struct json *node, struct oci_process *process, struct error *err)
{
	const struct json *item;

	if (json_get_strings(node, "env", &process->env, err) < 0)
		return -1;
	for (item = json_first(json_member(node, "env")); item; item = item->next)
		if (item->text[0] == '=' || !strchr(item->text, '='))
			return json_error(item, err, "must be NAME=VALUE, is \"%.80s\"",
					  item->text);
	return 0;
}

static int read_cwd(const struct json *node, struct oci_process *process, struct error *err)
{
	int ret = json_get_string(node, "cwd", &process->cwd, err);

	if (ret < 0)
		return -1;
	if (ret == 0)
		return json_error_missing(node, "cwd", err);
	if (process->cwd[0] != '/')
		return json_error(json_member(node, "cwd"), err,
				  "must be an absolute path, is \"%.80s\"", process->cwd);
	return 0;
}

static int read_console(const struct json *node, struct oci_process *process, struct error *err)
{
	const struct json *size = NULL;
	uint64_t width = 0, height = 0;

	if (json_get_bool(node, "terminal", &process->terminal, err) < 0 ||
	    json_get_object(node, "consoleSize", &size, err) < 0 ||
	    json_get_uint(size, "width", UINT16_MAX, &width, err) < 0 ||
	    json_get_uint(size, "height", UINT16_MAX, &height, err) < 0)
		return -1;
	process->console_width = (uint16_t)width;
	process->console_height = (uint16_t)height;
	return 0;
}

static int read_gids(const struct json *node, struct oci_user *user, struct error *err)
{
	const struct json *array = NULL;
	uint64_t gid;

	if (json_get_array(node, "additionalGids", &array, err) < 0)
		return -1;
	user->additional_gids = calloc(json_count(array) + 1, sizeof(gid_t));
	if (!user->additional_gids)
		return error_set(err, ENOMEM, "additionalGids");
	for (const struct json *item = json_first(array); item; item = item->next) {
		if (json_to_uint(item, ID_MAX, &gid, err) < 0)
			return -1;
		user->additional_gids[user->additional_gids_count++] = (gid_t)gid;
	}
	return 0;
}

static int read_user(const struct json *node, struct oci_user *user, struct error *err)
{
	const struct json *object = NULL;
	uint64_t uid = 0, gid = 0, umask = 0;
	int ret;

	if (json_get_object(node, "user", &object, err) < 0 ||
	    json_get_uint(object, "uid", ID_MAX, &uid, err) < 0 ||
	    json_get_uint(object, "gid", ID_MAX, &gid, err) < 0 || read_gids(object, user, err) < 0)
		return -1;
	ret = json_get_uint(object, "umask", 0777, &umask, err);
	if (ret < 0)
		return -1;
	user->uid = (uid_t)uid;
	user->gid = (gid_t)gid;
	user->has_umask = ret > 0;
	user->umask = (mode_t)umask;
	return 0;
}

static int read_capability(const struct json *item, uint64_t *set, struct string_list *warnings,
			   struct error *err)
{
	char path[JSON_PATH_MAX];
	int number;

	if (json_expect(item, JSON_STRING, err) < 0)
		return -1;
	number = capability_parse(item->text);
	if (number >= 0) {
		*set |= UINT64_C(1) << number;
		return 0;
	}
	json_path(item, path);
	return string_list_addf(warnings, err, "%s: unknown capability \"%.40s\" ignored", path,
				item->text);
}

/*
 * What the kernel would refuse is a warning and not an error (config.md, Linux
 * process: "runtimes SHOULD NOT fail").
 */
static int drop_capabilities(const char *name, uint64_t *set, uint64_t possible, const char *why,
			     struct string_list *warnings, struct error *err)
{
	uint64_t dropped = *set & ~possible;

	*set &= possible;
	for (int i = 0; dropped >> i; i++)
		if (dropped >> i & 1 &&
		    string_list_addf(warnings, err,
				     "process.capabilities.%s: %s cannot be granted, it is not %s",
				     name, capability_name(i), why) < 0)
			return -1;
	return 0;
}

static int read_capabilities(const struct json *node, struct oci_process *process,
			     struct string_list *warnings, struct error *err)
{
	const struct json *object = NULL;
	int ret = json_get_object(node, "capabilities", &object, err);

	if (ret <= 0)
		return ret;
	process->has_capabilities = true;
	for (size_t i = 0; i < CAPABILITY_SETS; i++) {
		void *set = (char *)&process->capabilities + capability_sets[i].offset;
		const struct json *array = NULL;

		if (json_get_array(object, capability_sets[i].name, &array, err) < 0)
			return -1;
		for (const struct json *item = json_first(array); item; item = item->next)
			if (read_capability(item, set, warnings, err) < 0)
				return -1;
	}
	if (drop_capabilities("effective", &process->capabilities.effective,
			      process->capabilities.permitted, "permitted", warnings, err) < 0)
		return -1;
	return drop_capabilities("ambient", &process->capabilities.ambient,
				 process->capabilities.permitted &
					 process->capabilities.inheritable,
				 "permitted and inheritable", warnings, err);
}

static int parse_rlimit_name(const struct json *node, int *resource, struct error *err)
{
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	for (size_t i = 0; i < RLIMIT_NAMES; i++)
		if (strcmp(node->text, rlimit_names[i].name) == 0) {
			*resource = rlimit_names[i].resource;
			return 0;
		}
	return json_error(node, err, "is no resource limit: \"%.40s\"", node->text);
}

static int get_limit(const struct json *item, const char *key, uint64_t *out, struct error *err)
{
	int ret = json_get_uint(item, key, UINT64_MAX, out, err);

	return ret == 0 ? json_error_missing(item, key, err) : ret;
}

static int read_rlimit(const struct json *item, struct oci_rlimit *rlimit, struct error *err)
{
	const struct json *type;

	if (json_expect(item, JSON_OBJECT, err) < 0)
		return -1;
	type = json_member(item, "type");
	if (!type)
		return json_error_missing(item, "type", err);
	if (parse_rlimit_name(type, &rlimit->resource, err) < 0 ||
	    get_limit(item, "soft", &rlimit->soft, err) < 0 ||
	    get_limit(item, "hard", &rlimit->hard, err) < 0)
		return -1;
	return 0;
}

static int read_rlimits(const struct json *node, struct oci_process *process, struct error *err)
{
	const struct json *array = NULL;
	uint64_t seen = 0;

	if (json_get_array(node, "rlimits", &array, err) < 0)
		return -1;
	process->rlimits = calloc(json_count(array) + 1, sizeof(*process->rlimits));
	if (!process->rlimits)
		return error_set(err, ENOMEM, "rlimits");
	for (const struct json *item = json_first(array); item; item = item->next) {
		struct oci_rlimit *rlimit = &process->rlimits[process->rlimits_count];

		if (read_rlimit(item, rlimit, err) < 0)
			return -1;
		if (seen & UINT64_C(1) << rlimit->resource)
			return json_error(item, err, "gives a resource limit for the second time");
		seen |= UINT64_C(1) << rlimit->resource;
		process->rlimits_count++;
	}
	return 0;
}

static int read_rest(const struct json *node, struct oci_process *process, struct error *err)
{
	int64_t adj = 0;
	int ret =
		json_get_int(node, "oomScoreAdj", OOM_SCORE_ADJ_MIN, OOM_SCORE_ADJ_MAX, &adj, err);

	if (ret < 0)
		return -1;
	process->has_oom_score_adj = ret > 0;
	process->oom_score_adj = (int)adj;
	if (json_get_bool(node, "noNewPrivileges", &process->no_new_privileges, err) < 0 ||
	    json_get_string(node, "apparmorProfile", &process->apparmor_profile, err) < 0 ||
	    json_get_string(node, "selinuxLabel", &process->selinux_label, err) < 0)
		return -1;
	return scheduling_read(node, &process->scheduling, err);
}

int config_read_process(const struct json *node, struct oci_process *process,
			struct string_list *warnings, struct error *err)
{
	if (json_expect(node, JSON_OBJECT, err) < 0 || read_args(node, process, err) < 0 ||
	    read_env(node, process, err) < 0 || read_cwd(node, process, err) < 0 ||
	    read_console(node, process, err) < 0 || read_user(node, &process->user, err) < 0 ||
	    read_capabilities(node, process, warnings, err) < 0 ||
	    read_rlimits(node, process, err) < 0 || read_rest(node, process, err) < 0)
		return -1;
	return 0;
}

void config_release_process(struct oci_process *process)
{
	strings_free(process->args);
	strings_free(process->env);
	free(process->cwd);
	free(process->user.additional_gids);
	free(process->rlimits);
	free(process->apparmor_profile);
	free(process->selinux_label);
	strings_free(process->warnings);
}

static int read_process_file(const struct json *root, struct oci_process *process,
			     struct string_list *warnings, struct error *err)
{
	if (config_read_process(root, process, warnings, err) < 0 ||
	    fields_check(root, "process", warnings, err) < 0)
		return -1;
	process->warnings = string_list_steal(warnings, err);
	return process->warnings ? 0 : -1;
}

int process_parse(const char *text, size_t size, struct oci_process **process, struct error *err)
{
	CLEANUP_JSON struct json *root = json_parse(text, size, NULL, err);
	struct string_list warnings = { 0 };
	int ret;

	*process = NULL;
	if (!root)
		return -1;
	*process = calloc(1, sizeof(**process));
	if (!*process)
		return error_set(err, ENOMEM, "process.json");
	ret = read_process_file(root, *process, &warnings, err);
	string_list_free(&warnings);
	if (ret == 0)
		return 0;
	process_free(*process);
	*process = NULL;
	return -1;
}

void process_free(struct oci_process *process)
{
	if (!process)
		return;
	config_release_process(process);
	free(process);
}

void process_inherit(struct oci_process *process, const struct oci_process *container)
{
	if (!process->has_capabilities) {
		process->has_capabilities = container->has_capabilities;
		process->capabilities = container->capabilities;
	}
	scheduling_inherit(&process->scheduling, &container->scheduling);
}

static void put_console_size(struct json_writer *writer, const struct oci_process *process)
{
	if (!process->console_width && !process->console_height)
		return;
	json_put_object(writer, "consoleSize");
	json_put_uint(writer, "height", process->console_height);
	json_put_uint(writer, "width", process->console_width);
	json_end_object(writer);
}

static void put_user(struct json_writer *writer, const struct oci_user *user)
{
	json_put_object(writer, "user");
	json_put_uint(writer, "uid", user->uid);
	json_put_uint(writer, "gid", user->gid);
	if (user->has_umask)
		json_put_uint(writer, "umask", user->umask);
	json_put_array(writer, "additionalGids");
	for (size_t i = 0; i < user->additional_gids_count; i++)
		json_put_uint(writer, NULL, user->additional_gids[i]);
	json_end_array(writer);
	json_end_object(writer);
}

static void put_capability_set(struct json_writer *writer, const char *name, uint64_t set)
{
	json_put_array(writer, name);
	for (int i = 0; i < 64; i++)
		if ((set >> i & 1) && capability_name(i))
			json_put_string(writer, NULL, capability_name(i));
	json_end_array(writer);
}

static void put_capabilities(struct json_writer *writer, const struct oci_process *process)
{
	if (!process->has_capabilities)
		return;
	json_put_object(writer, "capabilities");
	for (size_t i = 0; i < CAPABILITY_SETS; i++) {
		const void *set = (const char *)&process->capabilities + capability_sets[i].offset;

		put_capability_set(writer, capability_sets[i].name, *(const uint64_t *)set);
	}
	json_end_object(writer);
}

static const char *rlimit_name(int resource)
{
	for (size_t i = 0; i < RLIMIT_NAMES; i++)
		if (rlimit_names[i].resource == resource)
			return rlimit_names[i].name;
	return "";
}

static void put_rlimits(struct json_writer *writer, const struct oci_process *process)
{
	json_put_array(writer, "rlimits");
	for (size_t i = 0; i < process->rlimits_count; i++) {
		json_put_object(writer, NULL);
		json_put_string(writer, "type", rlimit_name(process->rlimits[i].resource));
		json_put_uint(writer, "soft", process->rlimits[i].soft);
		json_put_uint(writer, "hard", process->rlimits[i].hard);
		json_end_object(writer);
	}
	json_end_array(writer);
}

char *process_print(const struct oci_process *process, struct error *err)
{
	CLEANUP_JSON_WRITER struct json_writer writer;

	json_writer_init(&writer, false);
	json_put_object(&writer, NULL);
	json_put_bool(&writer, "terminal", process->terminal);
	put_console_size(&writer, process);
	put_user(&writer, &process->user);
	json_put_strings(&writer, "args", process->args);
	json_put_strings(&writer, "env", process->env);
	json_put_optional(&writer, "cwd", process->cwd);
	put_capabilities(&writer, process);
	put_rlimits(&writer, process);
	json_put_bool(&writer, "noNewPrivileges", process->no_new_privileges);
	if (process->has_oom_score_adj)
		json_put_int(&writer, "oomScoreAdj", process->oom_score_adj);
	scheduling_put(&writer, &process->scheduling);
	json_put_optional(&writer, "apparmorProfile", process->apparmor_profile);
	json_put_optional(&writer, "selinuxLabel", process->selinux_label);
	json_end_object(&writer);
	return json_writer_finish(&writer, err);
}
