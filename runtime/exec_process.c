/*
 * See exec_process.h. The flags change the process that the container's
 * config.json has; its text is then made, and parsed like that of an engine, so
 * that there is one validation.
 */
#include "exec_process.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "capabilities.h"
#include "cleanup.h"
#include "config_file.h"

#define ID_MAX UINT32_MAX

void exec_flags_free(struct exec_flags *flags)
{
	string_list_free(&flags->additional_gids);
	string_list_free(&flags->env);
	string_list_free(&flags->capabilities);
}

static int replace(char **value, const char *text, struct error *err)
{
	char *copy;

	if (!text)
		return 0;
	copy = strdup(text);
	if (!copy)
		return error_set(err, ENOMEM, "make a process");
	free(*value);
	*value = copy;
	return 0;
}

/* A number up to end, which is where the text must stop. */
static int parse_id(const char *text, const char *end, const char *what, uint32_t *id,
		    struct error *err)
{
	char *stop;
	unsigned long long number;

	errno = 0;
	number = strtoull(text, &stop, 10);
	if (!isdigit((unsigned char)text[0]) || stop != end || errno || number >= ID_MAX)
		return error_set(err, 0, "parsing %.*s as int for %s failed", (int)(end - text),
				 text, what);
	*id = (uint32_t)number;
	return 0;
}

static int set_user(const char *text, struct oci_user *user, struct error *err)
{
	const char *colon, *end;

	if (!text)
		return 0;
	end = text + strlen(text);
	colon = strchr(text, ':');
	if (parse_id(text, colon ? colon : end, "uid", &user->uid, err))
		return -1;
	return colon ? parse_id(colon + 1, end, "gid", &user->gid, err) : 0;
}

static int add_gids(const struct string_list *gids, struct oci_user *user, struct error *err)
{
	gid_t *larger;

	if (!gids->count)
		return 0;
	larger = reallocarray(user->additional_gids, user->additional_gids_count + gids->count,
			      sizeof(*larger));
	if (!larger)
		return error_set(err, ENOMEM, "make a process");
	user->additional_gids = larger;
	for (size_t i = 0; i < gids->count; i++) {
		const char *text = gids->items[i];

		if (parse_id(text, text + strlen(text), "gid", &larger[user->additional_gids_count],
			     err))
			return -1;
		user->additional_gids_count++;
	}
	return 0;
}

/* As runc since 1.1.2: inheritable ones are not added. */
static int add_capabilities(const struct string_list *names, struct oci_process *process,
			    struct error *err)
{
	for (size_t i = 0; i < names->count; i++) {
		int number = capability_parse(names->items[i]);
		struct oci_capabilities *sets = &process->capabilities;

		if (number < 0)
			return error_set(err, 0, "unknown capability \"%s\"", names->items[i]);
		sets->bounding |= UINT64_C(1) << number;
		sets->effective |= UINT64_C(1) << number;
		sets->permitted |= UINT64_C(1) << number;
		sets->ambient |= (UINT64_C(1) << number) & sets->inheritable;
		process->has_capabilities = true;
	}
	return 0;
}

/* Takes the place of an array of strings by those of first and then second. */
static int replace_strings(char ***strings, char *const *first, char *const *second,
			   struct error *err)
{
	CLEANUP_STRING_LIST struct string_list list = { 0 };
	char **made;

	for (; first && *first; first++)
		if (string_list_add(&list, *first, err))
			return -1;
	for (; second && *second; second++)
		if (string_list_add(&list, *second, err))
			return -1;
	made = string_list_steal(&list, err);
	if (!made)
		return -1;
	strings_free(*strings);
	*strings = made;
	return 0;
}

static int change(const struct exec_flags *flags, struct oci_process *process, struct error *err)
{
	process->terminal = flags->tty;
	process->console_width = process->console_height = 0;
	if (flags->no_new_privs)
		process->no_new_privileges = true;
	if (replace_strings(&process->args, flags->args, NULL, err) ||
	    replace_strings(&process->env, process->env, flags->env.items, err) ||
	    replace(&process->cwd, flags->cwd, err) ||
	    replace(&process->apparmor_profile, flags->apparmor, err) ||
	    replace(&process->selinux_label, flags->label, err) ||
	    set_user(flags->user, &process->user, err) ||
	    add_gids(&flags->additional_gids, &process->user, err))
		return -1;
	for (process->args_count = 0; process->args[process->args_count];)
		process->args_count++;
	return add_capabilities(&flags->capabilities, process, err);
}

static char *text_from_flags(const struct exec_flags *flags, const char *config_path,
			     struct error *err)
{
	CLEANUP_FREE char *text = NULL;
	struct oci_config *config = NULL;
	char *made = NULL;
	size_t size;

	if (config_file_load(config_path, &text, &size, &config, err))
		return NULL;
	if (!flags->args[0])
		error_set(err, 0, "process args cannot be empty");
	else if (!change(flags, &config->process, err))
		made = process_print(&config->process, err);
	config_free(config);
	if (made && strlen(made) > CONFIG_SIZE_MAX) {
		error_set(err, 0, "a process of more than %u bytes", CONFIG_SIZE_MAX);
		free(steal_pointer(&made));
	}
	return made;
}

int exec_process_make(const struct exec_flags *flags, const char *config_path,
		      struct oci_process **process, char **text, struct error *err)
{
	size_t size;

	if (flags->process) {
		*text = config_file_read(flags->process, &size, err);
		if (*text && process_parse(*text, size, process, err))
			return error_prefix(err, "%s", flags->process);
	} else {
		*text = text_from_flags(flags, config_path, err);
		if (*text && process_parse(*text, strlen(*text), process, err))
			return -1;
	}
	return *text ? 0 : -1;
}
