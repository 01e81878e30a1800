/*
 * The host's requests about containers. Each either answers by an error at once,
 * or is answered when the process that it starts has reported (process.c).
 */
#include "container.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "device_driver.h"
#include "device_filter.h"
#include "protocol.h"

static struct container *find(struct init *init, const char *id, struct error *err)
{
	for (struct container *c = init->containers; c; c = c->next)
		if (id && strcmp(c->id, id) == 0)
			return c;
	error_set(err, 0, "container %s is not in this virtual machine", id ? id : "");
	return NULL;
}

void container_release(struct init *init, struct container *container)
{
	struct container **link = &init->containers;

	while (*link && *link != container)
		link = &(*link)->next;
	if (*link)
		*link = container->next;
	if (container->cgroup >= 0) {
		cgroup_remove(container->id, container->cgroup);
		close(container->cgroup);
	}
	free(container->filter.code);
	free(container->warning);
	config_free(container->config);
	free(container->id);
	free(container);
}

static int fill_container(struct container *container, const struct control_message *request,
			  struct error *err)
{
	const char *text = request->config;

	container->id = strdup(request->container);
	if (!container->id) {
		error_set(err, ENOMEM, "container %s", request->container);
		return -1;
	}
	if (config_parse(text, strlen(text), &container->config, err) < 0)
		return -1;
	if (seccomp_filter_make(container->config->seccomp, &container->filter, err) < 0)
		return -1;
	container->cgroup = cgroup_create(container->id, err);
	if (container->cgroup < 0 ||
	    cgroup_set_limits(container->cgroup, &container->config->resources, err) < 0)
		return -1;
	return device_filter_attach(container->cgroup, &container->config->devices, err);
}

static struct container *make_container(struct init *init, const struct control_message *request,
					struct error *err)
{
	struct container *container;

	if (!request->container || !request->container[0] || strchr(request->container, '/') ||
	    !request->config) {
		error_set(err, EINVAL, "create");
		return NULL;
	}
	if (find(init, request->container, NULL)) {
		error_set(err, EEXIST, "container %s", request->container);
		return NULL;
	}
	container = calloc(1, sizeof(*container));
	if (!container) {
		error_set(err, ENOMEM, "container %s", request->container);
		return NULL;
	}
	container->cgroup = -1;
	container->next = init->containers;
	init->containers = container;
	if (fill_container(container, request, err) == 0)
		return container;
	container_release(init, container);
	return NULL;
}

static void close_shares(struct child_plan *plan)
{
	for (size_t i = 0; i < plan->shares_count; i++)
		if (plan->shares[i].fd >= 0)
			close(plan->shares[i].fd);
	free(plan->shares);
}

/*
 * The mount of one share. The relay gets each /dev/fuse at once: the first to look
 * at the tree waits for it.
 */
static int make_share(struct init *init, const struct control_share *given,
		      struct share_mount *share, struct error *err)
{
	int end = -1;

	switch (given->kind) {
	case CONTROL_SHARE_TREE:
		share->fd = share_make_mount(given->directory, given->readonly, &end, err);
		break;
	case CONTROL_SHARE_SOCKET:
		share->fd = share_make_socket(given, &end, err);
		break;
	case CONTROL_SHARE_DEVICE:
		share->fd = share_make_device(given->device, err);
		break;
	}
	if (share->fd < 0)
		return -1;
	if (end >= 0)
		relay_attach(init, given->stream,
			     given->kind == CONTROL_SHARE_TREE ? STREAM_SHARE : STREAM_LISTENER,
			     &end);
	return 0;
}

static int make_shares(struct init *init, const struct control_message *request,
		       struct child_plan *plan, struct error *err)
{
	plan->shares = calloc(request->shares_count + 1, sizeof(*plan->shares));
	if (!plan->shares)
		return error_set(err, ENOMEM, "shares");
	for (size_t i = 0; i < request->shares_count; i++) {
		const struct control_share *given = &request->shares[i];
		struct share_mount *share = &plan->shares[plan->shares_count];

		share->mount = given->mount;
		share->directory = given->directory;
		share->tree = given->kind == CONTROL_SHARE_TREE;
		share->path = given->path;
		share->flags = given->flags;
		if (make_share(init, given, share, err) < 0)
			return -1;
		plan->shares_count++;
	}
	return 0;
}

static void drop_streams(struct init *init, const struct control_message *request)
{
	relay_drop(init, request->stdin_stream);
	relay_drop(init, request->stdout_stream);
	relay_drop(init, request->stderr_stream);
	for (size_t i = 0; i < request->shares_count; i++)
		relay_drop(init, request->shares[i].stream);
}

static int create(struct init *init, struct container *container,
		  const struct control_message *request, struct error *err)
{
	struct child_plan plan = { .container = container->id,
				   .config = container->config,
				   .filter = &container->filter,
				   .first = true,
				   .process = &container->config->process,
				   .shm_size = request->shm_size,
				   .hostname = container->config->hostname
						       ? container->config->hostname
						       : request->hostname,
				   .bundle = request->bundle,
				   .init = -1 };

	if (!container->config->has_process)
		return error_set(err, 0, "config.json has no process");
	if (device_check_drivers(&container->config->devices, request->refuse_devices,
				 &container->warning, err) < 0)
		return -1;
	if (make_shares(init, request, &plan, err) == 0)
		container->init = process_spawn(init, container, request, &plan, err);
	close_shares(&plan);
	return container->init ? 0 : -1;
}

int container_create(struct init *init, const struct control_message *request, struct error *err)
{
	struct container *container = make_container(init, request, err);

	if (!container) {
		drop_streams(init, request);
		return -1;
	}
	if (create(init, container, request, err) < 0) {
		drop_streams(init, request);
		container_release(init, container);
		return -1;
	}
	return 0;
}

int container_start(struct init *init, const struct control_message *request, struct error *err)
{
	const struct message message = { .type = MESSAGE_START };
	struct container *container = find(init, request->container, err);

	if (!container)
		return -1;
	if (!container->init || container->init->state != PROCESS_CREATED)
		return error_set(err, 0, "container %s is not waiting to be started",
				 container->id);
	if (message_send(container->init->socket, &message, -1, NULL, 0, 0) < 0)
		return error_set(err, errno, "start container %s", container->id);
	container->init->seq = request->seq;
	container->init->state = PROCESS_STARTING;
	return 0;
}

static int exec_in(struct init *init, const struct control_message *request, struct error *err)
{
	struct child_plan plan = { .container = request->container };
	struct container *container = find(init, request->container, err);
	struct oci_process *spec = NULL;
	struct process *process;

	if (!container)
		return -1;
	if (!container->init)
		return error_set(err, 0, "container %s is not running", container->id);
	if (!request->config ||
	    process_parse(request->config, strlen(request->config), &spec, err) < 0)
		return -1;
	process_inherit(spec, &container->config->process);
	plan.process = spec;
	plan.config = container->config;
	plan.filter = &container->filter;
	plan.init = container->init->pidfd;
	process = process_spawn(init, container, request, &plan, err);
	process_free(spec);
	return process ? 0 : -1;
}

int container_exec(struct init *init, const struct control_message *request, struct error *err)
{
	if (exec_in(init, request, err) == 0)
		return 0;
	drop_streams(init, request);
	return -1;
}

int container_signal(struct init *init, const struct control_message *request, struct error *err)
{
	struct container *container;
	struct process *process;

	if (request->all) {
		container = find(init, request->container, err);
		return container ? cgroup_signal(container->cgroup, request->signal, err) : -1;
	}
	process = process_find(init, request->process);
	if (!process)
		return error_set(err, 0, "process not running");
	if (pidfd_send_signal(process->pidfd, request->signal, NULL, 0) < 0)
		return errno == ESRCH ? error_set(err, 0, "process not running")
				      : error_set(err, errno, "send signal %d", request->signal);
	return 0;
}

void container_resize(struct init *init, const struct control_message *request)
{
	struct process *process = process_find(init, request->process);

	if (process && process->terminal)
		relay_resize(init, process->streams[1], request->width, request->height);
}
