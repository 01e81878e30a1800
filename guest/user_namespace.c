/* See user_namespace.h. */
#include "user_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "boot.h"
#include "cleanup.h"
#include "id_mappings.h"
#include "protocol.h"
#include "user.h"

/* Those that its own root could not raise. */
static int set_rlimits(pid_t pid, const struct oci_process *process, struct error *err)
{
	for (size_t i = 0; i < process->rlimits_count; i++) {
		const struct oci_rlimit *given = &process->rlimits[i];
		const struct rlimit limit = { .rlim_cur = given->soft, .rlim_max = given->hard };

		if (prlimit(pid, given->resource, &limit, NULL) < 0)
			return error_set(err, errno, "set rlimit %d", given->resource);
	}
	return 0;
}

/* So that it may reopen /dev/stdout. */
static void give_stdio(const struct child_plan *plan, const struct oci_config *config)
{
	uint32_t uid;

	if (!id_mappings_to_host(&config->uid_mappings, plan->process->user.uid, &uid))
		return;
	for (int i = 0; i < 3; i++)
		if (plan->stdio[i] >= 0 && fchown(plan->stdio[i], uid, -1) < 0)
			continue; /* as without a user namespace */
}

int user_namespace_prepare(const struct process *process, const struct child_plan *plan,
			   struct error *err)
{
	const struct message message = { .type = MESSAGE_MAPPED };
	const struct oci_config *config = plan->config;
	char name[16];

	give_stdio(plan, config);
	if (!plan->first)
		return 0;
	snprintf(name, sizeof(name), "%d", process->pid);
	if (id_mappings_write(name, "uid_map", &config->uid_mappings, err) < 0 ||
	    id_mappings_write(name, "gid_map", &config->gid_mappings, err) < 0 ||
	    set_rlimits(process->pid, plan->process, err) < 0 ||
	    user_set_oom_score(name, plan->process, err) < 0)
		return -1;
	if (message_send(process->socket, &message, -1, NULL, 0, 0) < 0)
		return error_set(err, errno, "tell a process of its ids");
	return 0;
}

int user_namespace_become_root(struct error *err)
{
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return error_set(err, errno, "become root of the user namespace");
	return 0;
}

int user_namespace_await(const struct child_plan *plan, struct error *err)
{
	struct message message = { 0 };
	size_t size = 0;
	int fd;

	if (message_receive(plan->socket, &message, &fd, NULL, &size, 0) != 1 ||
	    message.type != MESSAGE_MAPPED)
		return error_set(err, 0, "no ids for the user namespace");
	if (user_namespace_become_root(err) < 0)
		return -1;
	return boot_loopback(err);
}
