/*
 * A guest that breaks the rules: /init of a VM in place of vxn-init. It opens the
 * channel, follows the protocol up to a point, and then does what /behaviour (a
 * file of the same initramfs) says: one row of the table below. How the host ends
 * it is judged from outside (test_faults.py).
 *
 * It uses the project's own encoders, so that only what is meant to be wrong is.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "guest/boot.h"
#include "hostile.h"
#include "wire.h"

/* How far it behaves well before it begins. */
enum stage {
	AT_BOOT,      /* no channel at all */
	BEFORE_HELLO, /* the channel is open */
	AFTER_HELLO,
	AFTER_CREATE, /* the request to create the container is read */
	AFTER_START,  /* create and start are answered as a good guest would */
};

static struct boot_options options;
static struct channel *ports[WIRE_PORTS_MAX];
static struct control_message create; /* the host's request */

static _Noreturn void fail(const char *what)
{
	printf("init_hostile: %s: %s\n", what, strerror(errno));
	boot_power_off(&options);
}

/* Nothing has moved: until something may. -1 = the host has closed it. */
static int wait_for_channel(struct channel *channel, short wanted)
{
	struct pollfd ready = {
		.fd = options.channel->fd(channel),
		.events = options.channel->events & (uint32_t)wanted ? wanted : POLLIN,
	};

	if (poll(&ready, 1, -1) < 0)
		fail("poll");
	return ready.revents & POLLIN ? options.channel->acknowledge(channel) : 0;
}

void send_bytes(unsigned int port, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size) {
		ssize_t n = options.channel->write(ports[port], at, size);

		if (n == 0)
			n = wait_for_channel(ports[port], POLLOUT);
		if (n < 0)
			return; /* the host has closed it: what we want to see there */
		at += n;
		size -= (size_t)n;
	}
}

static void send_frame_on(unsigned int port, uint8_t type, uint8_t flags, uint32_t stream,
			  const void *body, uint32_t length)
{
	uint8_t header[WIRE_HEADER_SIZE];

	wire_encode_header(header, type, flags, stream, length);
	send_bytes(port, header, sizeof(header));
	if (body)
		send_bytes(port, body, length);
}

void send_frame(uint8_t type, uint8_t flags, uint32_t stream, const void *body, uint32_t length)
{
	send_frame_on(wire_port(stream), type, flags, stream, body, length);
}

static void send_text(const char *text)
{
	send_frame(WIRE_CONTROL, 0, 0, text, (uint32_t)strlen(text));
}

static void send_hello(uint32_t version)
{
	const struct wire_hello hello = { .version = version };
	uint8_t body[WIRE_HELLO_SIZE];

	wire_encode_hello(body, &hello);
	send_frame(WIRE_HELLO, 0, 0, body, sizeof(body));
}

static void receive_bytes(void *bytes, size_t size)
{
	char *at = bytes;

	while (size) {
		ssize_t n = options.channel->read(ports[WIRE_PORT_CONTROL], at, size);

		if (n == 0)
			n = wait_for_channel(ports[WIRE_PORT_CONTROL], POLLIN);
		if (n < 0)
			fail("read the channel");
		at += n;
		size -= (size_t)n;
	}
}

/* The next whole control message, whatever else comes before it. */
static void receive_control(struct control_message *message)
{
	static char text[WIRE_CONTROL_MAX_TO_GUEST];
	static uint8_t frame_bytes[WIRE_HEADER_SIZE + WIRE_BODY_MAX];
	struct error err = { 0 };
	struct wire_frame frame;
	size_t used = 0;

	for (;;) {
		receive_bytes(frame_bytes, WIRE_HEADER_SIZE);
		wire_decode(frame_bytes, WIRE_HEADER_SIZE, &frame, &err);
		if (frame.length > WIRE_BODY_MAX)
			fail("frame from the host");
		receive_bytes(frame_bytes + WIRE_HEADER_SIZE, frame.length);
		if (frame.type != WIRE_CONTROL)
			continue;
		memcpy(text + used, frame_bytes + WIRE_HEADER_SIZE, frame.length);
		used += frame.length;
		if (!(frame.flags & WIRE_MORE))
			break;
	}
	if (control_parse(text, used, message, &err) < 0) {
		printf("init_hostile: %s\n", err.message);
		fail("control message from the host");
	}
}

static void reply(uint64_t seq)
{
	char text[80];

	snprintf(text, sizeof(text), "{\"op\": \"reply\", \"seq\": %llu}", (unsigned long long)seq);
	send_text(text);
}

/* --- what it does */

static void be_silent(void)
{
	for (;;)
		pause();
}

/* Shows on the console that its processor runs. */
static void tick(void)
{
	if (boot_obey_shutdown(NULL) < 0)
		fail("boot_obey_shutdown");
	for (;;) {
		if (write(STDOUT_FILENO, "tick\n", 5) < 0)
			fail("write to the console");
		usleep(50000);
	}
}

static void power_off(void)
{
	boot_power_off(&options);
}

static void end_init(void)
{
	exit(7); /* the kernel panics: it has lost its init */
}

static void send_random(void)
{
	static uint8_t bytes[256 << 10];

	for (size_t at = 0; at < sizeof(bytes); at += 256)
		if (getrandom(bytes + at, 256, 0) < 0)
			fail("getrandom");
	bytes[4] |= 0x80; /* a type there never is */
	send_bytes(WIRE_PORT_CONTROL, bytes, sizeof(bytes));
}

static void send_wrong_version(void)
{
	send_hello(WIRE_VERSION + 98);
}

static void send_short_hello(void)
{
	send_frame(WIRE_HELLO, 0, 0, "short", 5);
}

static void send_data_before_hello(void)
{
	send_frame(WIRE_DATA, 0, 1, "data", 4);
}

static void send_second_hello(void)
{
	send_hello(WIRE_VERSION);
}

static void send_oversized(void)
{
	send_frame(WIRE_DATA, 0, 1, NULL, 0x7fffffff);
}

static void send_reserved_bits(void)
{
	uint8_t header[WIRE_HEADER_SIZE];

	wire_encode_header(header, WIRE_DATA, 0, 1, 1);
	header[6] = 1;
	send_bytes(WIRE_PORT_CONTROL, header, sizeof(header));
	send_bytes(WIRE_PORT_CONTROL, "x", 1);
}

static void send_empty_data(void)
{
	send_frame(WIRE_DATA, 0, 1, NULL, 0);
}

static void send_unknown_stream(void)
{
	send_frame(WIRE_DATA, 0, 4242, "data", 4);
}

unsigned int last_port(void)
{
	return options.ports - 1;
}

/* A stream's frame on a port that it does not belong to; where there is one port, of one that is not there. */
static void send_wrong_port(void)
{
	send_frame_on(last_port(), WIRE_DATA, 0, 9u << WIRE_PORT_SHIFT | 1, "data", 4);
}

/* Where there is one port, it is the second one. */
static void send_hello_elsewhere(void)
{
	const struct wire_hello hello = { .version = WIRE_VERSION };
	uint8_t body[WIRE_HELLO_SIZE];

	wire_encode_hello(body, &hello);
	send_frame_on(last_port(), WIRE_HELLO, 0, 0, body, sizeof(body));
}

static void send_credit_flood(void)
{
	static const uint8_t all[4] = { 0xff, 0xff, 0xff, 0xff };

	send_frame(WIRE_CREDIT, 0, create.stdin_stream, all, sizeof(all));
	send_frame(WIRE_CREDIT, 0, create.stdin_stream, all, sizeof(all));
}

static void send_json_garbage(void)
{
	send_text("{\"op\": \"reply\", \"seq\": 1, }}}} \x01\xff");
}

static void send_json_deep(void)
{
	char text[8192];

	memset(text, '[', sizeof(text));
	send_frame(WIRE_CONTROL, 0, 0, text, sizeof(text));
}

static void send_json_long(void)
{
	char text[4096];

	memset(text, ' ', sizeof(text));
	for (int i = 0; i < 64; i++)
		send_frame(WIRE_CONTROL, WIRE_MORE, 0, text, sizeof(text));
}

static void send_json_wrong_type(void)
{
	send_text("{\"op\": \"exit\", \"process\": \"one\", \"status\": []}");
}

static void send_host_request(void)
{
	send_text("{\"op\": \"signal\", \"seq\": 1, \"process\": 1, \"signal\": 9}");
}

static void send_unasked_reply(void)
{
	reply(987654321);
}

static void send_unasked_exit(void)
{
	send_text("{\"op\": \"exit\", \"process\": 77, \"status\": 0}");
}

static void send_strange_exit(void)
{
	send_text("{\"op\": \"exit\", \"process\": 1, \"status\": 4991}"); /* stopped, not ended */
}

static void send_stdin_data(void)
{
	send_frame(WIRE_DATA, 0, create.stdin_stream, "data", 4);
}

static void send_beyond_credit(void)
{
	static uint8_t bytes[WIRE_BODY_MAX];

	for (unsigned int sent = 0; sent <= 4 * WIRE_STDIO_WINDOW; sent += sizeof(bytes))
		send_frame(WIRE_DATA, 0, create.stdout_stream, bytes, sizeof(bytes));
}

static void send_data_after_end(void)
{
	send_frame(WIRE_END, 0, create.stdout_stream, NULL, 0);
	send_frame(WIRE_DATA, 0, create.stdout_stream, "data", 4);
}

uint32_t share(void)
{
	if (!create.shares_count)
		fail("the container has no share");
	return create.shares[0].stream;
}

static void send_fuse(uint32_t opcode, uint32_t claimed, const void *body, size_t size)
{
	struct fuse_in_header header = {
		.len = claimed ? claimed : (uint32_t)(sizeof(header) + size),
		.opcode = opcode,
		.unique = 2,
		.nodeid = FUSE_ROOT_ID,
	};
	uint8_t message[4096];

	memcpy(message, &header, sizeof(header));
	if (size)
		memcpy(message + sizeof(header), body, size);
	send_frame(WIRE_DATA, 0, share(), message, (uint32_t)(sizeof(header) + size));
}

static void init_fuse(void)
{
	struct fuse_init_in init = { .major = FUSE_KERNEL_VERSION,
				     .minor = 36,
				     .max_readahead = 1 << 20 };

	send_fuse(FUSE_INIT, 0, &init, sizeof(init));
}

static void send_fuse_length(void)
{
	init_fuse();
	send_fuse(FUSE_GETATTR, 4000, "", 0);
}

static void send_fuse_short(void)
{
	send_frame(WIRE_DATA, 0, share(), "short", 5);
}

static void send_fuse_before_init(void)
{
	send_fuse(FUSE_LOOKUP, 0, "etc", 4);
}

static void send_fuse_name(void)
{
	init_fuse();
	send_fuse(FUSE_LOOKUP, 0, "no end", 6);
}

static void send_fuse_path(void)
{
	init_fuse();
	send_fuse(FUSE_LOOKUP, 0, "../../etc/shadow", 17);
}

static void send_fuse_huge(void)
{
	static uint8_t bytes[WIRE_BODY_MAX];

	for (unsigned int sent = 0; sent < 2 * WIRE_SHARE_WINDOW; sent += sizeof(bytes))
		send_frame(WIRE_DATA, WIRE_MORE, share(), bytes, sizeof(bytes));
}

/* For notifications, of which there was none. */
static void send_share_credit(void)
{
	static const uint8_t one[4] = { 1 };

	send_frame(WIRE_CREDIT, 0, share(), one, sizeof(one));
}

static uint32_t bound_socket(void)
{
	for (size_t i = 0; i < create.shares_count; i++)
		if (create.shares[i].kind == CONTROL_SHARE_SOCKET)
			return create.shares[i].stream;
	fail("the container has no socket");
}

static void ask_for_connection(uint32_t stream)
{
	char text[80];

	snprintf(text, sizeof(text), "{\"op\":\"connect\",\"token\":7,\"stream\":%u}", stream);
	send_text(text);
}

static void connect_to_share(void)
{
	ask_for_connection(share());
}

static void connect_too_often(void)
{
	for (unsigned int i = 0; i <= WIRE_SOCKETS_MAX; i++)
		ask_for_connection(bound_socket());
}

/* Where nobody listens: each is answered, and no answer is read. */
static void connect_without_end(void)
{
	for (;;)
		ask_for_connection(bound_socket());
}

static void send_socket_data_to_listener(void)
{
	send_frame(WIRE_DATA, 0, bound_socket(), "data", 4);
	ask_for_connection(0);
}

static void flood_frames(void)
{
	for (;;)
		send_frame(WIRE_RESET, 0, create.stdin_stream, NULL, 0);
}

static const struct behaviour {
	const char *name;
	enum stage stage;
	void (*run)(void);
} behaviours[] = {
	{ "silent", AT_BOOT, be_silent },
	{ "memory-unaligned", AFTER_HELLO, offer_unaligned },
	{ "memory-beyond", AFTER_HELLO, offer_beyond },
	{ "memory-wrapping", AFTER_HELLO, offer_wrapping },
	{ "memory-twice", AFTER_HELLO, offer_twice },
	{ "memory-first", BEFORE_HELLO, offer_unaligned },
	{ "ring-too-much", AFTER_HELLO, claim_too_much },
	{ "ring-back", AFTER_HELLO, go_back },
	{ "ring-no-frame", AFTER_HELLO, put_no_frame },
	{ "ring-consumed", AFTER_CREATE, consume_too_much },
	{ "pages-without-rings", AFTER_CREATE, name_pages_without_rings },
	{ "pages-beyond", AFTER_CREATE, name_pages_beyond },
	{ "pages-too-many", AFTER_CREATE, name_too_many_pages },
	{ "pages-lookup", AFTER_CREATE, name_pages_for_lookup },
	{ "tick", AT_BOOT, tick },
	{ "power-off", AT_BOOT, power_off },
	{ "panic", AT_BOOT, end_init },
	{ "silent-channel", BEFORE_HELLO, be_silent },
	{ "random", BEFORE_HELLO, send_random },
	{ "version", BEFORE_HELLO, send_wrong_version },
	{ "short-hello", BEFORE_HELLO, send_short_hello },
	{ "data-first", BEFORE_HELLO, send_data_before_hello },
	{ "second-hello", AFTER_HELLO, send_second_hello },
	{ "oversized", AFTER_HELLO, send_oversized },
	{ "reserved", AFTER_HELLO, send_reserved_bits },
	{ "empty-data", AFTER_HELLO, send_empty_data },
	{ "unknown-stream", AFTER_HELLO, send_unknown_stream },
	{ "json-garbage", AFTER_HELLO, send_json_garbage },
	{ "json-deep", AFTER_HELLO, send_json_deep },
	{ "json-long", AFTER_HELLO, send_json_long },
	{ "json-type", AFTER_HELLO, send_json_wrong_type },
	{ "host-request", AFTER_HELLO, send_host_request },
	{ "unasked-reply", AFTER_HELLO, send_unasked_reply },
	{ "unasked-exit", AFTER_HELLO, send_unasked_exit },
	{ "silent-create", AFTER_CREATE, be_silent },
	{ "stdin-data", AFTER_CREATE, send_stdin_data },
	{ "wrong-port", AFTER_CREATE, send_wrong_port },
	{ "hello-elsewhere", AFTER_CREATE, send_hello_elsewhere },
	{ "credit", AFTER_CREATE, send_credit_flood },
	{ "beyond-credit", AFTER_CREATE, send_beyond_credit },
	{ "fuse-length", AFTER_CREATE, send_fuse_length },
	{ "fuse-short", AFTER_CREATE, send_fuse_short },
	{ "fuse-first", AFTER_CREATE, send_fuse_before_init },
	{ "fuse-name", AFTER_CREATE, send_fuse_name },
	{ "fuse-path", AFTER_CREATE, send_fuse_path },
	{ "fuse-huge", AFTER_CREATE, send_fuse_huge },
	{ "share-credit", AFTER_CREATE, send_share_credit },
	{ "connect-share", AFTER_CREATE, connect_to_share },
	{ "connect-often", AFTER_CREATE, connect_too_often },
	{ "connect-flood", AFTER_CREATE, connect_without_end },
	{ "connect-nothing", AFTER_CREATE, send_socket_data_to_listener },
	{ "running-silent", AFTER_START, be_silent },
	{ "running-power-off", AFTER_START, power_off },
	{ "running-panic", AFTER_START, end_init },
	{ "running-random", AFTER_START, send_random },
	{ "running-after-end", AFTER_START, send_data_after_end },
	{ "running-exit", AFTER_START, send_strange_exit },
	{ "running-flood", AFTER_START, flood_frames },
};

/* --- before that */

static void mount_all(void)
{
	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	if (mount("dev", "/dev", "devtmpfs", 0, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) < 0 ||
	    mount("sys", "/sys", "sysfs", 0, NULL) < 0 || boot_read_options(&options, NULL) < 0)
		fail("mount");
}

static const struct behaviour *find_behaviour(void)
{
	char name[64] = "";
	int fd = open("/behaviour", O_RDONLY);

	if (fd < 0 || read(fd, name, sizeof(name) - 1) <= 0)
		fail("/behaviour");
	name[strcspn(name, "\n")] = '\0';
	for (size_t i = 0; i < sizeof(behaviours) / sizeof(behaviours[0]); i++)
		if (strcmp(behaviours[i].name, name) == 0)
			return &behaviours[i];
	errno = EINVAL;
	fail(name);
}

static void open_channel(void)
{
	for (unsigned int i = 0; i < options.ports; i++) {
		ports[i] = options.channel->open(i, NULL);
		if (!ports[i])
			fail("open the channel");
	}
}

static void behave_until(enum stage stage)
{
	struct control_message start = { 0 };

	if (stage >= BEFORE_HELLO)
		open_channel();
	if (stage >= AFTER_HELLO)
		send_hello(WIRE_VERSION);
	if (stage >= AFTER_CREATE)
		receive_control(&create);
	if (stage >= AFTER_START) {
		reply(create.seq);
		receive_control(&start);
		reply(start.seq);
		sleep(1);
	}
}

int main(void)
{
	const struct behaviour *behaviour;

	if (getpid() != 1)
		power_off();
	mount_all();
	behaviour = find_behaviour();
	behave_until(behaviour->stage);
	behaviour->run();
	/* The host has to end it. */
	for (;;)
		pause();
}
