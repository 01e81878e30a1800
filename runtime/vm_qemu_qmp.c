/*
 * The QEMU Machine Protocol (qemu.org: docs/interop/qmp-spec), as much of it as
 * is needed. A guest that has taken over QEMU may say anything here: messages are
 * bounded, and nothing in them but a string for an error message is used.
 */
#include "vm_qemu_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "json.h"
#include "log.h"
#include "monotonic.h"

/* Parses the first line of the buffer. Returns 0 when there is no whole one. */
static int take_line(struct qmp *qmp, struct json **message, struct error *err)
{
	const struct json_options options = { .depth_max = 16 };
	char *end = memchr(qmp->buffer, '\n', qmp->used);
	size_t size;

	if (!end && qmp->used == QMP_SIZE)
		return error_set(err, 0, "QEMU sent a message of more than %d bytes", QMP_SIZE);
	if (!end)
		return 0;
	size = (size_t)(end - qmp->buffer);
	*message = json_parse(qmp->buffer, size, &options, err);
	qmp->used -= size + 1;
	memmove(qmp->buffer, end + 1, qmp->used);
	return *message ? 1 : error_prefix(err, "message from QEMU");
}

int qmp_receive(struct qmp *qmp, int timeout_ms, struct json **message, struct error *err)
{
	int64_t until = monotonic_ms() + timeout_ms;
	int result;

	*message = NULL;
	while (!(result = take_line(qmp, message, err))) {
		struct pollfd ready = { .fd = qmp->fd, .events = POLLIN };
		int64_t left = until - monotonic_ms();
		ssize_t n = read(qmp->fd, qmp->buffer + qmp->used, QMP_SIZE - qmp->used);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return error_set(err, n ? errno : 0, "QEMU has closed its control socket");
		if (n > 0) {
			qmp->used += (size_t)n;
			continue;
		}
		if (left <= 0)
			return 0;
		poll(&ready, 1, (int)left);
	}
	return result;
}

/* The next message that is no event. */
static int receive_answer(struct qmp *qmp, struct json **answer, struct error *err)
{
	int64_t until = monotonic_ms() + QEMU_TIMEOUT_MS;

	for (;;) {
		int64_t left = until - monotonic_ms();
		int result = qmp_receive(qmp, left > 0 ? (int)left : 0, answer, err);

		if (result < 0)
			return -1;
		if (result == 0)
			return error_set(err, ETIMEDOUT, "QEMU does not answer");
		if (!json_member(*answer, "event"))
			return 0;
		json_free(*answer);
	}
}

int qmp_execute(struct qmp *qmp, const char *command, const char *arguments, struct json **result,
		struct error *err)
{
	CLEANUP_JSON struct json *answer = NULL;
	CLEANUP_FREE char *why = NULL;
	char line[256];
	int length = snprintf(line, sizeof(line), "{\"execute\": \"%s\", \"arguments\": {%s}}\n",
			      command, arguments ? arguments : "");

	if (send(qmp->fd, line, (size_t)length, MSG_NOSIGNAL) != length)
		return error_set(err, errno, "tell QEMU to %s", command);
	if (receive_answer(qmp, &answer, err))
		return -1;
	if (json_member(answer, "return")) {
		if (result)
			*result = steal_pointer(&answer);
		return 0;
	}
	json_get_string(json_member(answer, "error"), "desc", &why, NULL);
	error_set(err, 0, "QEMU refuses %s: %.400s", command, why ? why : "no reason given");
	error_sanitize(err->message);
	return -1;
}

int qmp_give_fd(struct qmp *qmp, const char *name, int fd, struct error *err)
{
	CLEANUP_JSON struct json *answer = NULL;
	char line[120];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS,
				  .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct iovec text = { .iov_base = line };
	struct msghdr message = { .msg_iov = &text,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control.space) };

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	text.iov_len = (size_t)snprintf(line, sizeof(line),
					"{\"execute\": \"getfd\", \"arguments\": {\"fdname\": "
					"\"%s\"}}\n",
					name);
	if (sendmsg(qmp->fd, &message, MSG_NOSIGNAL) != (ssize_t)text.iov_len)
		return error_set(err, errno, "give QEMU a file");
	if (receive_answer(qmp, &answer, err))
		return -1;
	return json_member(answer, "return") ? 0 : error_set(err, 0, "QEMU refuses getfd");
}

int qmp_start(struct qmp *qmp, struct error *err)
{
	CLEANUP_JSON struct json *greeting = NULL;

	if (receive_answer(qmp, &greeting, err))
		return -1;
	if (!json_member(greeting, "QMP"))
		return error_set(err, 0, "QEMU does not greet");
	return qmp_execute(qmp, "qmp_capabilities", NULL, NULL, err);
}
