/*
 * What the verbs ask of the monitor (monitor_protocol.h). A request that needs
 * the guest is answered when the guest has answered; a verb that goes away in
 * between is forgotten, but for create: without it the container is undone.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdpass.h"
#include "log.h"
#include "monotonic.h"
#include "process_identity.h"

#define REQUEST_FDS_MAX 5
#define KILL_GRACE_MS	5000

int monitor_listen(struct monitor *monitor, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	CLEANUP_CLOSE int directory =
		open(monitor->container.directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (directory < 0)
		return error_set(err, errno, "open %s", monitor->container.directory);
	monitor->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (monitor->listener < 0)
		return error_set(err, errno, "socket");
	/* the path may be longer than a socket's address can be */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/monitor.sock",
		 directory);
	if (bind(monitor->listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(monitor->listener, 64))
		return error_set(err, errno, "listen on %s/monitor.sock",
				 monitor->container.directory);
	return 0;
}

struct monitor_client *monitor_client_add(struct monitor *monitor, int fd, bool creator)
{
	struct monitor_client *client = calloc(1, sizeof(*client));

	if (!client) {
		close(fd);
		return NULL;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	client->fd = fd;
	client->creator = creator;
	client->next = monitor->clients;
	monitor->clients = client;
	return client;
}

void monitor_client_accept(struct monitor *monitor)
{
	int fd = accept4(monitor->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		monitor_client_add(monitor, fd, false);
}

static void client_remove(struct monitor *monitor, struct monitor_client *client)
{
	struct monitor_client **at = &monitor->clients;

	for (struct monitor_pending *p = monitor->pending; p; p = p->next)
		if (p->client == client)
			p->client = NULL;
	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	close(client->fd);
	free(client);
}

void monitor_client_reply(struct monitor_client *client, const struct error *failure)
{
	struct monitor_reply reply = { 0 };

	if (!client)
		return;
	if (failure) {
		reply.failed = 1;
		reply.errnum = failure->errnum;
		snprintf(reply.message, sizeof(reply.message), "%.*s", MONITOR_MESSAGE_MAX - 1,
			 failure->message);
	}
	fdpass_send(client->fd, &reply, sizeof(reply), NULL, 0, NULL);
}

uint64_t monitor_pending_add(struct monitor *monitor, uint32_t op, struct monitor_client *client,
			     uint32_t process)
{
	struct monitor_pending *pending = calloc(1, sizeof(*pending));

	if (!pending)
		return 0;
	pending->seq = ++monitor->next_seq;
	pending->op = op;
	pending->client = client;
	pending->process = process;
	pending->next = monitor->pending;
	monitor->pending = pending;
	return pending->seq;
}

static void created(struct monitor *monitor, struct monitor_pending *pending,
		    const struct error *failure)
{
	struct monitor_process *process = monitor_process_find(monitor, 1);

	if (failure) {
		monitor_end(monitor, failure);
		return;
	}
	monitor->phase = MONITOR_CREATED;
	monitor_stage(monitor, "created");
	monitor->deadline_ms = 0;
	if (process)
		monitor_process_activate(monitor, process);
	monitor_set_status(monitor, CONTAINER_CREATED);
	monitor_client_reply(pending->client, NULL);
	if (pending->client)
		pending->client->creator = false;
}

static void answered(struct monitor *monitor, struct monitor_pending *pending,
		     const struct error *failure)
{
	struct monitor_process *process = monitor_process_find(monitor, pending->process);

	switch (pending->op) {
	case MONITOR_CREATE:
		created(monitor, pending, failure);
		return;
	case MONITOR_START:
		if (!failure) {
			monitor->phase = MONITOR_RUNNING;
			monitor_stage(monitor, "running");
			monitor_set_status(monitor, CONTAINER_RUNNING);
		}
		break;
	case MONITOR_EXEC:
		if (process && failure)
			monitor_process_remove(monitor, process);
		else if (process)
			monitor_process_activate(monitor, process);
		break;
	}
	monitor_client_reply(pending->client, failure);
}

void monitor_reply_received(struct monitor *monitor, const struct io_message *message)
{
	struct monitor_pending **at = &monitor->pending, *pending;
	struct error failure = { 0 };

	while (*at && (*at)->seq != message->seq)
		at = &(*at)->next;
	if (!*at)
		return;
	pending = *at;
	*at = pending->next;
	if (message->value)
		error_set(&failure, 0, "%s", message->text);
	answered(monitor, pending, message->value ? &failure : NULL);
	free(pending);
}

static void close_fds(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(steal_fd(&fds[i]));
}

void monitor_create_forward(struct monitor *monitor)
{
	struct monitor_client *creator = monitor->clients;
	struct io_message message = { .op = IO_CREATE,
				      .process = 1,
				      .flags = monitor->create_flags };
	struct error err = { 0 };
	int result;

	if (!monitor->create_waiting || monitor->phase != MONITOR_CONNECTED)
		return;
	while (creator && !creator->creator)
		creator = creator->next;
	monitor->create_waiting = false;
	monitor->phase = MONITOR_CREATING;
	monitor_expect_guest(monitor);
	snprintf(message.text, sizeof(message.text), "%.*s", IO_TEXT_MAX - 1,
		 monitor->container.id);
	message.seq = monitor_pending_add(monitor, MONITOR_CREATE, creator, 1);
	result = monitor_io_send(monitor, &message, monitor->create_stdio,
				 monitor->create_flags & IO_TERMINAL ? 1 : MONITOR_STDIO_MAX, &err);
	close_fds(monitor->create_stdio, MONITOR_STDIO_MAX);
	if (result)
		monitor_end(monitor, &err);
}

/* How many stdio fds a request brings along, after its others. */
static int stdio_count(const struct monitor_request *request)
{
	return request->flags & MONITOR_TERMINAL ? 1 : MONITOR_STDIO_MAX;
}

static int check_fds(const struct monitor_request *request, const int *fds, int others,
		     struct error *err)
{
	for (int i = 0; i < others + stdio_count(request); i++)
		if (fds[i] < 0)
			return error_set(err, EBADF, "request %u lacks file descriptors",
					 request->op);
	return 0;
}

/* create has written the stand-in's pid there since the monitor has started. */
static int read_state(struct monitor *monitor, struct error *err)
{
	struct container_state fresh = { 0 };

	if (container_state_stored(&monitor->container, &fresh, err))
		return -1;
	state_free(&monitor->state);
	monitor->state = fresh;
	monitor->state.io_pid = monitor->io_pid;
	monitor->state.io_start_time = process_start_time(monitor->io_pid);
	return 0;
}

static int request_create(struct monitor *monitor, struct monitor_client *client,
			  const struct monitor_request *request, int *fds, struct error *err)
{
	if (!client->creator || monitor->create_waiting || monitor->processes)
		return error_set(err, 0, "the container is created already");
	if (check_fds(request, fds, 1, err) || read_state(monitor, err))
		return -1;
	if (!monitor_process_add(monitor, fds[0]))
		return error_set(err, ENOMEM, "add a process");
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	fds[0] = -1;
	for (int i = 0; i < stdio_count(request); i++)
		monitor->create_stdio[i] = steal_fd(&fds[1 + i]);
	monitor->create_flags = request->flags & MONITOR_TERMINAL ? IO_TERMINAL : 0;
	if (monitor->settings.host_devices == HOST_DEVICES_REFUSE)
		monitor->create_flags |= IO_REFUSE_DEVICES;
	monitor->create_waiting = true;
	monitor_create_forward(monitor);
	return 0;
}

static int request_start(struct monitor *monitor, struct monitor_client *client, struct error *err)
{
	struct io_message message = { .op = IO_START, .process = 1 };

	if (monitor->phase == MONITOR_RUNNING)
		return error_set(err, 0, "cannot start an already running container");
	if (monitor->phase != MONITOR_CREATED)
		return error_set(err, 0, "cannot start a container that is not created");
	snprintf(message.text, sizeof(message.text), "%.*s", IO_TEXT_MAX - 1,
		 monitor->container.id);
	message.seq = monitor_pending_add(monitor, MONITOR_START, client, 1);
	return monitor_io_send(monitor, &message, NULL, 0, err);
}

static int request_exec(struct monitor *monitor, struct monitor_client *client,
			const struct monitor_request *request, int *fds, struct error *err)
{
	struct io_message message = { .op = IO_EXEC };
	struct monitor_process *process;
	int passed[1 + MONITOR_STDIO_MAX];

	if (monitor->phase != MONITOR_RUNNING)
		return error_set(err, 0, "cannot exec in a container that is not running");
	if (check_fds(request, fds, 2, err))
		return -1;
	process = monitor_process_add(monitor, fds[1]);
	if (!process)
		return error_set(err, ENOMEM, "add a process");
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	fds[1] = -1;
	message.process = process->number;
	message.flags = request->flags & MONITOR_TERMINAL ? IO_TERMINAL : 0;
	snprintf(message.text, sizeof(message.text), "%.*s", IO_TEXT_MAX - 1,
		 monitor->container.id);
	message.seq = monitor_pending_add(monitor, MONITOR_EXEC, client, process->number);
	passed[0] = fds[0];
	memcpy(passed + 1, fds + 2, sizeof(int) * (size_t)stdio_count(request));
	return monitor_io_send(monitor, &message, passed, 1 + (size_t)stdio_count(request), err);
}

static int request_kill(struct monitor *monitor, struct monitor_client *client,
			const struct monitor_request *request, struct error *err)
{
	if (monitor->phase < MONITOR_CREATED || monitor->phase == MONITOR_ENDING ||
	    !monitor_process_find(monitor, 1))
		return error_set(err, 0, "container not running");
	if (request->signal == SIGKILL && !monitor->deadline_ms) {
		/* a guest that does not obey is ended with its VM */
		monitor->deadline_ms = monotonic_ms() + KILL_GRACE_MS;
		monitor->deadline_reason = "the guest did not end a killed container";
	}
	return monitor_process_signal(monitor, 1, request->signal, request->flags & MONITOR_ALL,
				      client, err);
}

static int handle_request(struct monitor *monitor, struct monitor_client *client,
			  const struct monitor_request *request, int *fds, struct error *err)
{
	switch (request->op) {
	case MONITOR_CREATE:
		return request_create(monitor, client, request, fds, err);
	case MONITOR_START:
		return request_start(monitor, client, err);
	case MONITOR_EXEC:
		return request_exec(monitor, client, request, fds, err);
	case MONITOR_KILL:
		return request_kill(monitor, client, request, err);
	case MONITOR_DESTROY:
		client->destroy = true;
		monitor_end(monitor, NULL);
		return 0;
	default:
		return error_set(err, 0, "unknown request %u", request->op);
	}
}

void monitor_client_receive(struct monitor *monitor, struct monitor_client *client)
{
	struct monitor_request request;
	struct error err = { 0 };
	int fds[REQUEST_FDS_MAX];
	int result =
		fdpass_receive(client->fd, &request, sizeof(request), fds, REQUEST_FDS_MAX, &err);

	if (result < 0 && err.errnum == EAGAIN)
		return;
	if (result <= 0) {
		if (client->creator) {
			monitor->abandoned = true;
			error_set(&err, 0, "create was interrupted");
			monitor_end(monitor, &err);
		}
		client_remove(monitor, client);
		return;
	}
	if (handle_request(monitor, client, &request, fds, &err))
		monitor_client_reply(client, &err);
	close_fds(fds, REQUEST_FDS_MAX);
}

/*
 * A connection that came before the socket was unlinked is in the backlog: it
 * is answered too, or a delete that came late would not know what it may do.
 */
void monitor_clients_finish(struct monitor *monitor)
{
	CLEANUP_FREE char *path = container_path(&monitor->container, "monitor.sock");
	struct error gone = { .message = "container not running" };
	struct monitor_request request;
	int fds[REQUEST_FDS_MAX], fd;

	if (path)
		unlink(path);
	while (monitor->listener >= 0 &&
	       (fd = accept4(monitor->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		monitor_client_add(monitor, fd, false);
	for (struct monitor_client *c = monitor->clients; c; c = c->next) {
		while (fdpass_receive(c->fd, &request, sizeof(request), fds, REQUEST_FDS_MAX,
				      NULL) > 0) {
			close_fds(fds, REQUEST_FDS_MAX);
			if (request.op == MONITOR_DESTROY)
				c->destroy = true;
			else
				monitor_client_reply(c, &gone);
		}
		if (c->destroy)
			monitor_client_reply(c, NULL);
	}
}
