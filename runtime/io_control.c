/*
 * Control messages of the io process: turns the monitor's records into messages
 * for the guest, and what the guest answers into records. What the guest says
 * is checked against what was asked: a reply needs a pending request, an exit a
 * process that runs.
 */
#include "io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"
#include "fdpass.h"
#include "log.h"

_Static_assert(CONFIG_SIZE_MAX + (1u << 20) <= WIRE_CONTROL_MAX_TO_GUEST,
	       "a config fits into a message, with its shares");

int io_tell_monitor(struct io *io, const struct io_message *message, struct error *err)
{
	return fdpass_send(io->monitor, message, sizeof(*message), NULL, 0, err);
}

/* Has the guest yet to answer a request about that process? */
static bool process_pending(const struct io *io, uint32_t number)
{
	for (const struct io_pending *p = io->pending; p; p = p->next)
		if (p->process == number || !p->process)
			return true;
	return false;
}

static struct io_process *process_find(struct io *io, uint32_t number)
{
	for (struct io_process *p = io->processes; p; p = p->next)
		if (p->number == number)
			return p;
	return NULL;
}

/* Takes the fds into streams; from then on they are closed with them. */
static int process_streams(struct io *io, struct io_process *process, bool terminal, int *fds,
			   struct error *err)
{
	if (terminal) {
		int source = dup(fds[0]); /* epoll wants one fd for each direction */

		if (source < 0)
			return error_set(err, errno, "duplicate the terminal");
		process->input = io_stream_stdio(io, process, source, steal_fd(&fds[0]), err);
		process->output = process->errors = process->input;
		return process->input ? 0 : -1;
	}
	process->input = io_stream_stdio(io, process, steal_fd(&fds[0]), -1, err);
	process->output = io_stream_stdio(io, process, -1, steal_fd(&fds[1]), err);
	process->errors = io_stream_stdio(io, process, -1, steal_fd(&fds[2]), err);
	return process->input && process->output && process->errors ? 0 : -1;
}

static void process_free_streams(struct io_process *process)
{
	if (process->errors && process->errors != process->output)
		io_stream_remove(process->errors);
	if (process->output && process->output != process->input)
		io_stream_remove(process->output);
	if (process->input)
		io_stream_remove(process->input);
}

static struct io_process *process_new(struct io *io, const struct io_message *message, int *fds,
				      struct error *err)
{
	bool terminal = message->flags & IO_TERMINAL;
	struct io_process *process;

	for (int i = 0; i < (terminal ? 1 : 3); i++)
		if (fds[i] < 0) {
			error_set(err, EBADF, "stdio of process %u", message->process);
			return NULL;
		}
	process = calloc(1, sizeof(*process));
	if (!process) {
		error_set(err, ENOMEM, "make a process");
		return NULL;
	}
	process->number = message->process;
	if (process_streams(io, process, terminal, fds, err)) {
		process_free_streams(process);
		free(process);
		return NULL;
	}
	process->next = io->processes;
	io->processes = process;
	return process;
}

int io_control_send(struct io *io, const struct control_message *message, struct error *err)
{
	struct io_pending *pending;
	CLEANUP_FREE char *text = control_print(message, err);

	if (!text)
		return -1;
	if (strlen(text) > WIRE_CONTROL_MAX_TO_GUEST)
		return error_set(err, 0, "the configuration is larger than %u bytes",
				 WIRE_CONTROL_MAX_TO_GUEST);
	if (message->seq) {
		pending = calloc(1, sizeof(*pending));
		if (!pending)
			return error_set(err, ENOMEM, "send a request");
		pending->seq = message->seq;
		pending->process = message->process;
		pending->makes = message->op == CONTROL_CREATE || message->op == CONTROL_EXEC;
		pending->next = io->pending;
		io->pending = pending;
	}
	return io_channel_send(io, WIRE_CONTROL, 0, text, strlen(text), err);
}

static char *read_text(int fd, struct error *err)
{
	CLEANUP_FREE char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) || st.st_size > (off_t)CONFIG_SIZE_MAX) {
		error_set(err, errno, "process.json is unreadable or too large");
		return NULL;
	}
	text = calloc(1, (size_t)st.st_size + 1);
	n = text ? pread(fd, text, (size_t)st.st_size, 0) : -1;
	if (n < 0) {
		error_set(err, errno, "read process.json");
		return NULL;
	}
	text[n] = '\0';
	return steal_pointer(&text);
}

static void set_streams(struct control_message *control, const struct io_process *process)
{
	control->process = process->number;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): process_new gives none without */
	control->stdin_stream = process->input->id;
	control->stdout_stream = process->output->id;
	control->stderr_stream = process->errors->id;
}

static int request_create(struct io *io, struct control_message *control,
			  const struct io_message *message, int *fds, struct error *err)
{
	struct io_process *process = process_new(io, message, fds, err);

	if (!process)
		return -1;
	set_streams(control, process);
	control->op = CONTROL_CREATE;
	control->config = io->config_text;
	control->shares = io->shares;
	control->shares_count = io->shares_count;
	control->shm_size = io->shm_size;
	control->hostname = io->hostname;
	control->bundle = (char *)io->bundle;
	control->refuse_devices = message->flags & IO_REFUSE_DEVICES;
	return io_control_send(io, control, err);
}

static int request_exec(struct io *io, struct control_message *control,
			const struct io_message *message, int *fds, struct error *err)
{
	CLEANUP_FREE char *text = NULL;
	struct io_process *process;

	if (fds[0] < 0)
		return error_set(err, EBADF, "process.json of process %u", message->process);
	text = read_text(fds[0], err);
	if (!text)
		return -1;
	process = process_new(io, message, fds + 1, err);
	if (!process)
		return -1;
	set_streams(control, process);
	control->op = CONTROL_EXEC;
	control->config = text;
	return io_control_send(io, control, err);
}

int io_control_request(struct io *io, const struct io_message *message, int *fds, struct error *err)
{
	struct control_message control = { .seq = message->seq,
					   .container = (char *)message->text };

	switch (message->op) {
	case IO_CREATE:
		return request_create(io, &control, message, fds, err);
	case IO_EXEC:
		return request_exec(io, &control, message, fds, err);
	case IO_START:
		control.op = CONTROL_START;
		control.process = message->process;
		return io_control_send(io, &control, err);
	case IO_SIGNAL:
		control.op = CONTROL_SIGNAL;
		control.process = message->process;
		control.signal = message->value;
		control.all = message->flags & IO_ALL;
		return io_control_send(io, &control, err);
	case IO_RESIZE:
		control.op = CONTROL_RESIZE;
		control.seq = 0;
		control.process = message->process;
		control.width = message->width;
		control.height = message->height;
		return io_control_send(io, &control, err);
	default:
		return error_set(err, 0, "unknown message %u from the monitor", message->op);
	}
}

static int receive_reply(struct io *io, const struct control_message *control, struct error *err)
{
	struct io_message reply = { .op = IO_REPLY, .seq = control->seq };
	struct io_pending **at = &io->pending, *found;
	struct io_process *process;

	while (*at && (*at)->seq != control->seq)
		at = &(*at)->next;
	if (!*at)
		return error_set(err, 0, "the guest answered a request that was not made");
	found = *at;
	*at = found->next;
	process = found->makes ? process_find(io, found->process) : NULL;
	if (process) {
		process->made = !control->error;
		process->refused = control->error;
	}
	free(found);
	if (control->warning) {
		error_sanitize(control->warning);
		log_warning("%s", control->warning);
	}
	if (control->error) {
		reply.value = 1;
		snprintf(reply.text, sizeof(reply.text), "%s", control->error);
		error_sanitize(reply.text);
	}
	return io_tell_monitor(io, &reply, err);
}

static int receive_exit(struct io *io, const struct control_message *control, struct error *err)
{
	struct io_process *process = process_find(io, control->process);
	int status = control->status;

	if (!process || process->exited)
		return error_set(err, 0,
				 "the guest reported the exit of a process that does not run");
	if (WIFEXITED(status))
		process->exit_code = WEXITSTATUS(status);
	else if (WIFSIGNALED(status))
		process->exit_code = 128 + WTERMSIG(status);
	else
		return error_set(err, 0, "the guest reported a wait status that is no exit");
	process->exited = true;
	process->output_end = process->output->received;
	process->errors_end = process->errors->received;
	return 0;
}

int io_control_receive(struct io *io, const char *text, size_t size, struct error *err)
{
	struct control_message control = { 0 };
	int result = control_parse(text, size, &control, err);

	if (result)
		error_prefix(err, "control message from the guest");
	else if (control.op == CONTROL_REPLY)
		result = receive_reply(io, &control, err);
	else if (control.op == CONTROL_EXIT)
		result = receive_exit(io, &control, err);
	else if (control.op == CONTROL_CONNECT)
		result = io_socket_connect(io, control.stream, control.token, err);
	else
		result = error_set(err, 0, "the guest sent a control message meant for it");
	control_free(&control);
	return result;
}

static void process_remove(struct io *io, struct io_process *process)
{
	struct io_process **at = &io->processes;

	while (*at != process)
		at = &(*at)->next;
	*at = process->next;
	process_free_streams(process);
	free(process);
}

int io_control_report_exits(struct io *io, struct error *err)
{
	struct io_process *next;

	for (struct io_process *p = io->processes; p; p = next) {
		struct io_message message = { .op = IO_EXIT,
					      .process = p->number,
					      .value = p->exit_code };

		next = p->next;
		if (p->refused) {
			process_remove(io, p);
			continue;
		}
		if (!p->exited || process_pending(io, p->number))
			continue;
		if (!p->exit_reported && p->output->written >= p->output_end &&
		    p->errors->written >= p->errors_end) {
			p->exit_reported = true;
			if (p->input != p->output)
				io_stream_close_source(p->input);
			if (io_tell_monitor(io, &message, err))
				return -1;
		}
		/* a child that outlives the process may go on writing */
		if (p->exit_reported && p->output->guest_ended && p->errors->guest_ended &&
		    p->output->sink < 0 && p->errors->sink < 0)
			process_remove(io, p);
	}
	return 0;
}
