/*
 * vxn-monitor: one per container; owns its VM, its state file and its stand-ins
 * from create to the end. libxenlight forks, claims SIGCHLD and blocks, so no
 * stdio passes here; and nothing that the guest says is parsed here but the
 * fixed-size records of the io process.
 *
 * Killed at any point it leaves a VM that `vxn-monitor cleanup` finds by its
 * uuid; the lock tells everybody that it is gone.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cgroup.h"
#include "cleanup.h"
#include "config_file.h"
#include "log.h"
#include "monotonic.h"

#define CREATOR_FD    3
#define LOCK_TRIES    50
#define LOCK_RETRY_MS 10

void monitor_stage(const struct monitor *monitor, const char *name)
{
	log_debug("stage %s after %lld ms", name,
		  (long long)(monotonic_ms() - monitor->started_ms));
}

void monitor_set_status(struct monitor *monitor, enum container_status status)
{
	struct error err = { 0 };

	monitor->state.status = status;
	if (status == CONTAINER_STOPPED)
		monitor->state.pid = 0;
	if (container_state_write(&monitor->container, &monitor->state, &err))
		log_error("%s", err.message);
}

void monitor_end(struct monitor *monitor, const struct error *why)
{
	if (monitor->phase == MONITOR_ENDING)
		return;
	if (why)
		monitor->end = *why;
	if (why && monitor->phase >= MONITOR_CREATED)
		log_error("container %s: %s", monitor->container.id, why->message);
	monitor->phase = MONITOR_ENDING;
}

/* What is polled; the order of handling does not matter. */
struct polled {
	struct pollfd *fds;
	size_t count, capacity;
};

static size_t add_fd(struct polled *polled, int fd)
{
	if (polled->count == polled->capacity) {
		polled->capacity = polled->capacity ? 2 * polled->capacity : 32;
		polled->fds = realloc(polled->fds, polled->capacity * sizeof(*polled->fds));
		if (!polled->fds)
			abort();
	}
	polled->fds[polled->count] = (struct pollfd){ .fd = fd, .events = POLLIN };
	return polled->count++;
}

static bool is_ready(const struct polled *polled, int fd)
{
	for (size_t i = 0; i < polled->count; i++)
		if (polled->fds[i].fd == fd && fd >= 0)
			return polled->fds[i].revents != 0;
	return false;
}

static void collect(struct monitor *monitor, struct polled *polled)
{
	polled->count = 0;
	add_fd(polled, monitor->listener);
	add_fd(polled, monitor->io);
	add_fd(polled, monitor->backend->event_fd(monitor->vm));
	add_fd(polled, monitor->backend->console_fd(monitor->vm));
	for (struct monitor_client *c = monitor->clients; c; c = c->next)
		add_fd(polled, c->fd);
	for (struct monitor_process *p = monitor->processes; p; p = p->next)
		add_fd(polled, p->standin);
}

static void handle_verbs(struct monitor *monitor, const struct polled *polled)
{
	struct monitor_client *next;

	for (struct monitor_client *c = monitor->clients; c; c = next) {
		next = c->next;
		if (is_ready(polled, c->fd))
			monitor_client_receive(monitor, c);
	}
	if (is_ready(polled, monitor->listener))
		monitor_client_accept(monitor);
}

static void handle_standins(struct monitor *monitor, const struct polled *polled)
{
	struct monitor_process *next;

	for (struct monitor_process *p = monitor->processes; p; p = next) {
		next = p->next;
		if (is_ready(polled, p->standin))
			monitor_process_receive(monitor, p);
	}
}

static void check_deadline(struct monitor *monitor)
{
	struct error err = { 0 };

	if (!monitor->deadline_ms || monotonic_ms() < monitor->deadline_ms)
		return;
	error_set(&err, 0, "%s", monitor->deadline_reason);
	monitor_end(monitor, &err);
}

static int loop_timeout(const struct monitor *monitor)
{
	int64_t left;

	if (!monitor->deadline_ms)
		return -1;
	left = monitor->deadline_ms - monotonic_ms();
	/* the console's fd may not be there yet, so look again soon */
	return left < 0 ? 0 : left > 200 ? 200 : (int)left;
}

static void serve(struct monitor *monitor)
{
	struct polled polled = { 0 };

	while (monitor->phase != MONITOR_ENDING) {
		collect(monitor, &polled);
		if (poll(polled.fds, polled.count, loop_timeout(monitor)) < 0 && errno != EINTR)
			break;
		monitor_console_read(monitor);
		/* the exits that it reports count before anybody's end */
		if (is_ready(&polled, monitor->io))
			monitor_io_receive(monitor);
		handle_standins(monitor, &polled);
		handle_verbs(monitor, &polled);
		if (is_ready(&polled, monitor->backend->event_fd(monitor->vm)))
			monitor_vm_check(monitor);
		check_deadline(monitor);
	}
	free(polled.fds);
}

/* The verb that waits is told why; create reads the answer after it has asked, when its hooks are done. */
static void report_failed_create(struct monitor *monitor)
{
	struct monitor_client *creator = monitor->clients;
	struct pollfd asked = { .events = POLLIN };

	while (creator && !creator->creator)
		creator = creator->next;
	if (!creator || monitor->abandoned)
		return;
	asked.fd = creator->fd;
	while (!monitor->processes && !monitor->abandoned && poll(&asked, 1, -1) >= 0)
		if (asked.revents) {
			monitor_client_receive(monitor, creator);
			if (monitor->abandoned)
				return;
		}
	monitor_client_reply(creator, &monitor->end);
}

static int release(struct monitor *monitor)
{
	struct error err = { 0 };
	int result;

	while (monitor->processes)
		monitor_process_exit(monitor, monitor->processes, 128 + SIGKILL);
	result = monitor_vm_release(monitor, &err);
	if (result)
		log_error("container %s: %s", monitor->container.id, err.message);
	monitor_stage(monitor, "released");
	return result;
}

/* Requests in flight will get no answer from the guest any more. */
static void fail_pending(struct monitor *monitor)
{
	struct error gone = { .message = "container not running" };

	for (struct monitor_pending *p = monitor->pending; p; p = p->next)
		if (p->client && p->op == MONITOR_KILL)
			monitor_client_reply(p->client, NULL); /* it is dead */
		else if (p->client && p->op != MONITOR_CREATE)
			monitor_client_reply(p->client,
					     monitor->end.message[0] ? &monitor->end : &gone);
}

static int take_lock(const struct container *container, struct error *err)
{
	CLEANUP_FREE char *path = container_path(container, "lock");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd < 0)
		return error_set(err, errno, "open the lock of container %s", container->id);
	/* `state` holds it for a moment when it looks whether there is a monitor */
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return fd; /* held until the process ends */
		poll(NULL, 0, LOCK_RETRY_MS);
	}
	close(fd);
	return error_set(err, EWOULDBLOCK, "lock container %s", container->id);
}

static int load_config(struct monitor *monitor, struct error *err)
{
	CLEANUP_FREE char *path = container_path(&monitor->container, "config.json");
	CLEANUP_FREE char *text = NULL;
	size_t size;

	if (!path)
		return error_set(err, ENOMEM, "config.json");
	return config_file_load(path, &text, &size, &monitor->config, err);
}

static int prepare(struct monitor *monitor, struct error *err)
{
	if (settings_load(SETTINGS_PATH, &monitor->settings, err) || load_config(monitor, err) ||
	    monitor_listen(monitor, err))
		return -1;
	monitor->backend = vm_backend_choose(&monitor->settings, err);
	return monitor->backend ? monitor_boot(monitor, err) : -1;
}

/*
 * "stopped" says that nothing is left in the hypervisor; delete relies on it. A
 * record whose create was killed is nobody's, unless what its hooks have done is
 * to be undone by delete.
 */
static void leave_record(struct monitor *monitor)
{
	struct error err = { 0 };

	if (!monitor->abandoned ||
	    (monitor->config && monitor->config->hooks[OCI_HOOK_POSTSTOP].count)) {
		if (monitor->end.message[0])
			monitor->state.failure = strdup(monitor->end.message);
		monitor_set_status(monitor, CONTAINER_STOPPED);
		return;
	}
	if ((monitor->state.cgroup_path && cgroup_remove(monitor->state.cgroup_path, &err)) ||
	    container_remove(&monitor->container, &err))
		log_error("container %s: %s", monitor->container.id, err.message);
}

static int run(struct monitor *monitor, struct error *err)
{
	bool was_created, released;

	monitor_client_add(monitor, CREATOR_FD, true);
	if (prepare(monitor, err))
		monitor_end(monitor, err);
	else
		serve(monitor);
	was_created = monitor->state.status != CONTAINER_CREATING;
	if (!was_created && monitor->end.message[0])
		report_failed_create(monitor);
	released = !release(monitor);
	fail_pending(monitor);
	if (released)
		leave_record(monitor);
	monitor_clients_finish(monitor);
	return 0;
}

/*
 * A create that is gone already may have been followed by another one with the
 * same id: whose record this is, is known only while create lives.
 */
static int begin(struct monitor *monitor, struct error *err)
{
	struct pollfd creator = { .fd = CREATOR_FD };

	if (take_lock(&monitor->container, err) < 0)
		return -1;
	if (poll(&creator, 1, 0) != 0)
		return error_set(err, 0, "create has gone");
	if (container_state_stored(&monitor->container, &monitor->state, err))
		return -1;
	return run(monitor, err);
}

static int cleanup(const struct container *container, struct error *err)
{
	unsigned char uuid[VM_UUID_SIZE];
	CLEANUP_CLOSE int lock = take_lock(container, err);

	if (lock < 0)
		return -1;
	container_uuid(container, uuid);
	return vm_find_and_destroy(uuid, err);
}

static int usage(struct error *err)
{
	return error_set(err, 0, "vxn-monitor is run by vxn-runc");
}

static int parse_arguments(struct monitor *monitor, int argc, char **argv, const char **root,
			   struct error *err)
{
	static const struct option options[] = {
		{ "root", required_argument, NULL, 'r' },
		{ "bundle", required_argument, NULL, 'b' },
		{ "log", required_argument, NULL, 'l' },
		{ "log-format", required_argument, NULL, 'f' },
		{ "debug", no_argument, NULL, 'd' },
		{ 0 },
	};
	int option;

	monitor->log_format = "text";
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			*root = optarg;
			break;
		case 'b':
			monitor->bundle = optarg;
			break;
		case 'l':
			monitor->log_path = optarg;
			break;
		case 'f':
			monitor->log_format = optarg;
			break;
		case 'd':
			monitor->debug = true;
			break;
		default:
			return usage(err);
		}
	}
	if (!*root || optind + 2 != argc)
		return usage(err);
	return log_open(monitor->log_path, monitor->log_format, monitor->debug, err);
}

int main(int argc, char **argv)
{
	struct monitor monitor = {
		.io = -1, .io_pidfd = -1, .listener = -1, .create_stdio = { -1, -1, -1 }
	};
	const char *root = NULL, *command;
	struct error err = { 0 };
	int result;

	signal(SIGPIPE, SIG_IGN);
	monitor.started_ms = monotonic_ms();
	result = parse_arguments(&monitor, argc, argv, &root, &err);
	command = result ? "" : argv[optind];
	if (!result)
		result = container_find(root, argv[optind + 1], &monitor.container, &err);
	if (!result && !strcmp(command, "cleanup"))
		result = cleanup(&monitor.container, &err);
	else if (!result && !strcmp(command, "run") && monitor.bundle)
		result = begin(&monitor, &err);
	else if (!result)
		result = usage(&err);
	if (result)
		fprintf(stderr, "%s\n", err.message);
	return result ? 1 : 0;
}
