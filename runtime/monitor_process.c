/*
 * Processes in the VM and their stand-ins on the host. The monitor tells a
 * stand-in how its process ended; a stand-in tells what it caught. A stand-in
 * that is gone takes its process along.
 */
#include "monitor.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdpass.h"
#include "log.h"
#include "standin.h"

struct monitor_process *monitor_process_add(struct monitor *monitor, int standin)
{
	struct monitor_process *process = calloc(1, sizeof(*process));

	if (!process)
		return NULL;
	process->number = ++monitor->next_process;
	process->standin = standin;
	process->next = monitor->processes;
	monitor->processes = process;
	return process;
}

struct monitor_process *monitor_process_find(struct monitor *monitor, uint32_t number)
{
	for (struct monitor_process *p = monitor->processes; p; p = p->next)
		if (p->number == number)
			return p;
	return NULL;
}

void monitor_process_remove(struct monitor *monitor, struct monitor_process *process)
{
	struct monitor_process **at = &monitor->processes;

	while (*at != process)
		at = &(*at)->next;
	*at = process->next;
	if (process->standin >= 0)
		close(process->standin);
	free(process);
}

static void send_size(struct monitor *monitor, const struct monitor_process *process)
{
	struct io_message message = {
		.op = IO_RESIZE,
		.process = process->number,
		.width = process->width,
		.height = process->height,
	};

	monitor_io_send(monitor, &message, NULL, 0, NULL);
}

void monitor_process_activate(struct monitor *monitor, struct monitor_process *process)
{
	process->active = true;
	if (process->width)
		send_size(monitor, process);
}

void monitor_process_exit(struct monitor *monitor, struct monitor_process *process, int code)
{
	struct standin_message message = { .type = STANDIN_EXIT, .value = code };

	log_debug("process %u ended with %d", process->number, code);
	if (process->standin >= 0)
		fdpass_send(process->standin, &message, sizeof(message), NULL, 0, NULL);
	monitor_process_remove(monitor, process);
}

static void standin_gone(struct monitor *monitor, struct monitor_process *process)
{
	struct error err = { 0 };

	if (process->number == 1) {
		error_set(&err, 0, "the stand-in of the container's process was killed");
		monitor_end(monitor, &err);
		return;
	}
	if (process->active)
		monitor_process_signal(monitor, process->number, SIGKILL, false, NULL, NULL);
	monitor_process_remove(monitor, process);
}

void monitor_process_receive(struct monitor *monitor, struct monitor_process *process)
{
	struct standin_message message;
	struct error err = { 0 };
	int result = fdpass_receive(process->standin, &message, sizeof(message), NULL, 0, &err);

	if (result < 0 && err.errnum == EAGAIN)
		return;
	if (result <= 0) {
		standin_gone(monitor, process);
		return;
	}
	if (message.type == STANDIN_SIGNAL) {
		/* what was caught before there is a process has nobody to reach */
		if (process->active)
			monitor_process_signal(monitor, process->number, message.value, false, NULL,
					       NULL);
	} else if (message.type == STANDIN_RESIZE) {
		process->width = message.width;
		process->height = message.height;
		/* once more when it is active; the guest may have its terminal before that */
		if (process->active || monitor->phase >= MONITOR_CREATING)
			send_size(monitor, process);
	}
}

int monitor_process_signal(struct monitor *monitor, uint32_t number, int signal, bool all,
			   struct monitor_client *client, struct error *err)
{
	struct io_message message = {
		.op = IO_SIGNAL,
		.process = all ? 0 : number,
		.value = signal,
		.flags = all ? IO_ALL : 0,
	};

	message.seq = monitor_pending_add(monitor, client ? MONITOR_KILL : 0, client, number);
	if (!message.seq)
		return error_set(err, ENOMEM, "send a signal");
	return monitor_io_send(monitor, &message, NULL, 0, err);
}
