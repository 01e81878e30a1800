/*
 * The pump of socket streams, two of them back to back as the channel joins them:
 * bytes and messages, credit, half-closes, and what a hostile side may send.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socket_pump.h"
#include "wire.h"

struct pair {
	int near, far; /* the ends that the test holds */
	struct socket_pump *guest, *host;
};

static void open_pair(struct pair *pair, int type)
{
	int a[2], b[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, a), 0);
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, b), 0);
	pair->near = a[0];
	pair->far = b[0];
	pair->guest = socket_pump_new(a[1], type, WIRE_SOCKET_WINDOW, WIRE_SOCKET_WINDOW);
	pair->host = socket_pump_new(b[1], type, 0, 0);
}

static void close_pair(struct pair *pair)
{
	socket_pump_free(pair->guest);
	socket_pump_free(pair->host);
	if (pair->near >= 0)
		close(pair->near);
	close(pair->far);
}

/* All that one pump has for the other. */
static bool carry(struct socket_pump *from, struct socket_pump *to)
{
	static uint8_t body[WIRE_BODY_MAX];
	struct error err = { 0 };
	bool moved = false;
	uint8_t type, small[4];
	size_t size;

	from->readable = from->writable = true;
	moved |= socket_pump_write(from);
	while ((size = socket_pump_read(from, body, sizeof(body)))) {
		assert_ok(socket_pump_receive(to, WIRE_DATA, 0, body, size, &err), err);
		moved = true;
	}
	while ((type = socket_pump_owes(from, small, &size))) {
		assert_ok(socket_pump_receive(to, type, 0, small, size, &err), err);
		socket_pump_sent(from, type);
		moved = true;
	}
	return moved;
}

static void settle(struct pair *pair)
{
	for (int i = 0; i < 1000; i++) {
		bool moved = carry(pair->guest, pair->host);

		moved |= carry(pair->host, pair->guest);
		if (!moved)
			return;
	}
	fail_msg("never at rest");
}

static void both_ways(void **state)
{
	struct pair pair;
	char buffer[16];

	(void)state;
	open_pair(&pair, SOCK_STREAM);
	assert_int_equal(send(pair.near, "request", 7, 0), 7);
	settle(&pair);
	assert_int_equal(recv(pair.far, buffer, sizeof(buffer), 0), 7);
	assert_memory_equal(buffer, "request", 7);
	assert_int_equal(send(pair.far, "answer", 6, 0), 6);
	settle(&pair);
	assert_int_equal(recv(pair.near, buffer, sizeof(buffer), 0), 6);
	close_pair(&pair);
}

/* A direction ends, the other goes on; then both have. */
static void half_close(void **state)
{
	struct pair pair;
	char buffer[16];

	(void)state;
	open_pair(&pair, SOCK_STREAM);
	send(pair.near, "all", 3, 0);
	shutdown(pair.near, SHUT_WR);
	settle(&pair);
	assert_int_equal(recv(pair.far, buffer, sizeof(buffer), 0), 3);
	assert_int_equal(recv(pair.far, buffer, sizeof(buffer), 0), 0);
	assert_false(socket_pump_finished(pair.host));
	assert_int_equal(send(pair.far, "late", 4, 0), 4);
	settle(&pair);
	assert_int_equal(recv(pair.near, buffer, sizeof(buffer), 0), 4);
	shutdown(pair.far, SHUT_WR);
	settle(&pair);
	assert_int_equal(recv(pair.near, buffer, sizeof(buffer), 0), 0);
	assert_true(socket_pump_finished(pair.host) && socket_pump_finished(pair.guest));
	close_pair(&pair);
}

/* Nobody reads at the far end: the writer there is told, and all is over. */
static void reader_gone(void **state)
{
	struct pair pair;

	(void)state;
	open_pair(&pair, SOCK_STREAM);
	settle(&pair);
	close(pair.near);
	pair.near = -1;
	socket_pump_event(pair.guest, EPOLLIN | EPOLLRDHUP | EPOLLHUP);
	settle(&pair);
	assert_int_equal(send(pair.far, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_true(socket_pump_finished(pair.guest));
	close_pair(&pair);
}

/* The far end does not read: the near one is stopped, nothing is lost, nothing grows. */
static void stalls(void **state)
{
	static char block[5000];
	struct pair pair;
	size_t sent = 0, received = 0;
	ssize_t n;

	(void)state;
	open_pair(&pair, SOCK_STREAM);
	memset(block, 'b', sizeof(block));
	for (int i = 0; i < 1000; i++) {
		while ((n = send(pair.near, block, sizeof(block), 0)) > 0)
			sent += (size_t)n;
		settle(&pair);
		assert_true(pair.host->used <= WIRE_SOCKET_WINDOW);
	}
	assert_true(sent < 2000000);
	do {
		while ((n = recv(pair.far, block, sizeof(block), 0)) > 0)
			received += (size_t)n;
		settle(&pair);
	} while (recv(pair.far, block, 1, MSG_PEEK) > 0);
	assert_int_equal(received, sent);
	assert_null(pair.host->ring);
	close_pair(&pair);
}

static void messages(void **state)
{
	static char large[WIRE_BODY_MAX + 1];
	const int size = 1 << 20;
	struct pair pair;
	char buffer[16];

	(void)state;
	open_pair(&pair, SOCK_SEQPACKET);
	send(pair.near, "one", 3, 0);
	send(pair.near, "three", 5, 0);
	settle(&pair);
	assert_int_equal(recv(pair.far, buffer, sizeof(buffer), 0), 3);
	assert_int_equal(recv(pair.far, buffer, sizeof(buffer), 0), 5);
	setsockopt(pair.near, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	assert_int_equal(send(pair.near, large, WIRE_BODY_MAX, 0), WIRE_BODY_MAX);
	settle(&pair);
	assert_int_equal(recv(pair.far, large, sizeof(large), 0), WIRE_BODY_MAX);
	/* one that no frame can carry ends the connection instead of losing a part */
	assert_int_equal(send(pair.near, large, sizeof(large), 0), sizeof(large));
	settle(&pair);
	assert_int_equal(recv(pair.far, large, sizeof(large), 0), 0);
	assert_true(socket_pump_finished(pair.guest));
	close_pair(&pair);
}

/* Many messages, in and out of step: each arrives whole and in order. */
static void many_messages(void **state)
{
	struct pair pair;
	uint16_t sent = 0, received = 0;
	uint8_t message[3000];

	(void)state;
	open_pair(&pair, SOCK_SEQPACKET);
	while (received < 3000) {
		for (int i = 0; i < 40 && sent < 3000; i++) {
			memcpy(message, &sent, 2);
			if (send(pair.near, message, 2 + sent % 2990u, 0) < 0)
				break;
			sent++;
		}
		settle(&pair);
		for (int i = 0; i < 7; i++) {
			ssize_t n = recv(pair.far, message, sizeof(message), 0);

			if (n < 0)
				break;
			assert_int_equal(n, 2 + received % 2990u);
			assert_memory_equal(message, &received, 2);
			received++;
		}
		settle(&pair);
	}
	close_pair(&pair);
}

static void hostile(void **state)
{
	static uint8_t data[WIRE_BODY_MAX];
	struct error err = { 0 };
	struct pair pair;
	int result = 0, frames = 0;
	uint8_t credit[4];

	(void)state;
	open_pair(&pair, SOCK_STREAM);
	/* nobody reads: the window is all that it takes, and what the socket holds */
	while (!result && frames++ < 100) {
		pair.host->owe_credit = 0;
		result = socket_pump_receive(pair.host, WIRE_DATA, 0, data, sizeof(data), &err);
	}
	assert_int_equal(result, -1);
	assert_non_null(strstr(err.message, "without credit"));
	close_pair(&pair);

	open_pair(&pair, SOCK_STREAM);
	wire_encode_credit(credit, WIRE_SOCKET_WINDOW);
	assert_ok(socket_pump_receive(pair.host, WIRE_CREDIT, 0, credit, 4, &err), err);
	wire_encode_credit(credit, 1);
	assert_int_equal(socket_pump_receive(pair.host, WIRE_CREDIT, 0, credit, 4, &err), -1);
	wire_encode_credit(credit, UINT32_MAX);
	assert_int_equal(socket_pump_receive(pair.host, WIRE_CREDIT, 0, credit, 4, &err), -1);
	assert_int_equal(socket_pump_receive(pair.host, WIRE_DATA, WIRE_MORE, data, 1, &err), -1);
	assert_int_equal(socket_pump_receive(pair.host, WIRE_HELLO, 0, data, 76, &err), -1);
	assert_ok(socket_pump_receive(pair.host, WIRE_END, 0, NULL, 0, &err), err);
	assert_int_equal(socket_pump_receive(pair.host, WIRE_DATA, 0, data, 1, &err), -1);
	assert_non_null(strstr(err.message, "after the end"));
	close_pair(&pair);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),   cmocka_unit_test(half_close),
		cmocka_unit_test(reader_gone), cmocka_unit_test(stalls),
		cmocka_unit_test(messages),    cmocka_unit_test(many_messages),
		cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
