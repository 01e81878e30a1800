/*
 * Messages of pid 1 to the relay. The relay is part of pid 1's life: when it
 * can't be reached, the VM is powered off.
 */
#include "container.h"

#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "kmsg.h"
#include "protocol.h"

static void send_to_relay(struct init *init, const struct message *message, int fd,
			  const char *text)
{
	if (message_send(init->relay_socket, message, fd, text, text ? strlen(text) : 0, 0) == 0)
		return;
	kmsg_error("the relay is gone: %m");
	boot_power_off(&init->options);
}

static void send_control(struct init *init, struct message *message,
			 const struct control_message *control)
{
	struct error err = { 0 };
	CLEANUP_FREE char *text = control_print(control, &err);

	if (!text) {
		kmsg_error("%s", err.message);
		boot_power_off(&init->options);
	}
	send_to_relay(init, message, -1, text);
}

void report_reply(struct init *init, uint64_t seq, const char *error, const char *warning)
{
	struct message message = { .type = MESSAGE_CONTROL };
	const struct control_message reply = {
		.op = CONTROL_REPLY, .seq = seq, .error = (char *)error, .warning = (char *)warning
	};

	kmsg_debug("reply %llu: %s", (unsigned long long)seq, error ? error : "done");
	send_control(init, &message, &reply);
}

void report_exit(struct init *init, const struct process *process, int status)
{
	struct message message = { .type = MESSAGE_EXIT,
				   .exit_streams = { process->streams[1], process->streams[2] } };
	const struct control_message control = { .op = CONTROL_EXIT,
						 .process = process->number,
						 .status = status };

	kmsg_debug("exit of process %u: status 0x%x", process->number, status);
	send_control(init, &message, &control);
}

void relay_attach(struct init *init, uint32_t stream, uint32_t kind, int *fd)
{
	const struct message message = { .type = MESSAGE_ATTACH, .stream = stream, .kind = kind };

	send_to_relay(init, &message, *fd, NULL);
	close(steal_fd(fd));
}

void relay_drop(struct init *init, uint32_t stream)
{
	const struct message message = { .type = MESSAGE_DROP, .stream = stream };

	if (stream)
		send_to_relay(init, &message, -1, NULL);
}

void relay_resize(struct init *init, uint32_t stream, uint16_t width, uint16_t height)
{
	const struct message message = {
		.type = MESSAGE_RESIZE, .stream = stream, .width = width, .height = height
	};

	send_to_relay(init, &message, -1, NULL);
}
