/*
 * Control messages: round trips of every op, and what a hostile guest may send
 * instead of one.
 */
#include "unit.h"

#include <sys/mount.h>
#include <sys/socket.h>

#include "config.h"
#include "control.h"
#include "samples.h"
#include "wire.h"

static struct control_share shares[] = {
	{ .mount = -1, .stream = 7, .directory = true },
	{ .mount = 3, .stream = 8, .readonly = true },
	{ .mount = INT32_MAX, .stream = UINT32_MAX, .directory = true, .readonly = true },
	{ .mount = 3,
	  .stream = 9,
	  .directory = true,
	  .path = (char *)"a b/\xc3\xa9",
	  .flags = MS_NOSUID | MS_NOEXEC },
	{ .mount = 4,
	  .stream = 10,
	  .kind = CONTROL_SHARE_SOCKET,
	  .socket_type = SOCK_SEQPACKET,
	  .mode = 0660,
	  .uid = 1,
	  .gid = UINT32_MAX },
	{ .mount = 5, .kind = CONTROL_SHARE_DEVICE, .device = 0x103 },
};

static const struct control_message round_trips[] = {
	{ .op = CONTROL_CREATE,
	  .seq = 1,
	  .container = (char *)"abc",
	  .process = 1,
	  .stdin_stream = 2,
	  .stdout_stream = 3,
	  .stderr_stream = 4,
	  .config = (char *)"{\"a\":[1,2.50,null,true,{\"b\":\"\\u0007\\\"\"}]}",
	  .shares = shares,
	  .shares_count = ARRAY_SIZE(shares) },
	{ .op = CONTROL_CREATE,
	  .seq = UINT64_MAX,
	  .container = (char *)"abc",
	  .process = UINT32_MAX,
	  .config = (char *)"{}",
	  .refuse_devices = true },
	{ .op = CONTROL_START, .seq = 2, .container = (char *)"abc" },
	{ .op = CONTROL_EXEC,
	  .seq = 3,
	  .container = (char *)"abc",
	  .process = 2,
	  .stdout_stream = 9,
	  .config = (char *)"{\"args\":[\"sh\"]}" },
	{ .op = CONTROL_SIGNAL, .seq = 4, .process = 2, .signal = 15 },
	{ .op = CONTROL_SIGNAL, .seq = 5, .container = (char *)"abc", .signal = 9, .all = true },
	{ .op = CONTROL_RESIZE, .process = 2, .width = 65535, .height = 24 },
	{ .op = CONTROL_REPLY, .seq = 6 },
	{ .op = CONTROL_REPLY, .seq = 7, .error = (char *)"exec: \"x\": \xc3\xa9" },
	{ .op = CONTROL_REPLY, .seq = 8, .warning = (char *)"linux.devices: x" },
	{ .op = CONTROL_EXIT, .process = 2, .status = 0x8b },
	{ .op = CONTROL_EXIT, .process = 2, .status = INT32_MIN },
	{ .op = CONTROL_CONNECT, .token = 1, .stream = UINT32_MAX },
	{ .op = CONTROL_CONNECTED, .token = UINT32_MAX, .stream = 5 },
	{ .op = CONTROL_CONNECTED, .token = 2, .error = (char *)"Connection refused" },
	{ .op = CONTROL_GONE, .stream = 5 },
};

static void assert_same_text(const char *a, const char *b)
{
	assert_int_equal(!a, !b);
	if (a)
		assert_string_equal(a, b);
}

static void assert_same(const struct control_message *a, const struct control_message *b)
{
	assert_int_equal(a->op, b->op);
	assert_true(a->seq == b->seq);
	assert_same_text(a->container, b->container);
	assert_int_equal(a->process, b->process);
	assert_int_equal(a->stdin_stream, b->stdin_stream);
	assert_int_equal(a->stdout_stream, b->stdout_stream);
	assert_int_equal(a->stderr_stream, b->stderr_stream);
	assert_same_text(a->config, b->config);
	assert_int_equal(a->shares_count, b->shares_count);
	for (size_t i = 0; i < a->shares_count; i++) {
		assert_int_equal(a->shares[i].mount, b->shares[i].mount);
		assert_int_equal(a->shares[i].stream, b->shares[i].stream);
		assert_int_equal(a->shares[i].directory, b->shares[i].directory);
		assert_int_equal(a->shares[i].readonly, b->shares[i].readonly);
		assert_int_equal(a->shares[i].kind, b->shares[i].kind);
		assert_same_text(a->shares[i].path, b->shares[i].path);
		assert_int_equal(a->shares[i].flags, b->shares[i].flags);
		assert_int_equal(a->shares[i].device, b->shares[i].device);
		assert_int_equal(a->shares[i].socket_type, b->shares[i].socket_type);
		assert_int_equal(a->shares[i].mode, b->shares[i].mode);
		assert_int_equal(a->shares[i].uid, b->shares[i].uid);
		assert_int_equal(a->shares[i].gid, b->shares[i].gid);
	}
	assert_int_equal(a->token, b->token);
	assert_int_equal(a->stream, b->stream);
	assert_int_equal(a->signal, b->signal);
	assert_int_equal(a->all, b->all);
	assert_int_equal(a->width, b->width);
	assert_int_equal(a->height, b->height);
	assert_same_text(a->error, b->error);
	assert_same_text(a->warning, b->warning);
	assert_int_equal(a->refuse_devices, b->refuse_devices);
	assert_int_equal(a->status, b->status);
}

static void round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(round_trips); i++) {
		struct control_message message;
		struct error err = { 0 };
		CLEANUP_FREE char *text = control_print(&round_trips[i], &err);

		if (!text) {
			fail_msg("%zu: %s", i, err.message);
			return;
		}
		assert_ok(control_parse(text, strlen(text), &message, &err), err);
		assert_same(&message, &round_trips[i]);
		control_free(&message);
	}
}

/* The config that arrives means what the one that was sent did. */
static void config_arrives(void **state)
{
	CLEANUP_FREE char *config = sample_text(sample_full);
	struct control_message message = { .op = CONTROL_CREATE,
					   .seq = 1,
					   .container = (char *)"c",
					   .process = 1,
					   .config = config };
	struct error err = { 0 };
	CLEANUP_FREE char *text = control_print(&message, &err);
	struct control_message arrived;
	struct oci_config *parsed;

	(void)state;
	assert_non_null(text);
	assert_ok(control_parse(text, strlen(text), &arrived, &err), err);
	assert_ok(config_parse(arrived.config, strlen(arrived.config), &parsed, &err), err);
	assert_string_equal(parsed->process.args[2], "echo \xc3\xa9 \"x\"");
	assert_true(parsed->process.rlimits[1].hard == UINT64_MAX);
	config_free(parsed);
	control_free(&arrived);
}

/* A config as deep as config_parse takes it passes, too. */
static void deep_config(void **state)
{
	char config[130], text[300];
	struct control_message message;
	struct error err = { 0 };

	(void)state;
	memset(config, '[', 64);
	memset(config + 64, ']', 64);
	config[128] = 0;
	snprintf(text, sizeof(text),
		 "{\"op\":\"exec\",\"seq\":1,\"container\":\"c\",\"process\":1,\"config\":%s}",
		 config);
	assert_ok(control_parse(text, strlen(text), &message, &err), err);
	assert_string_equal(message.config, config);
	control_free(&message);
}

static void print_refuses(void **state)
{
	struct control_message message = { .op = CONTROL_EXEC,
					   .seq = 1,
					   .container = (char *)"c",
					   .process = 1,
					   .config = (char *)"{\"a\":" };
	struct error err = { 0 };

	(void)state;
	assert_null(control_print(&message, &err));
	assert_non_null(strstr(err.message, "config: 1:6: "));
	message.config = (char *)"{},\"op\":\"start\"";
	assert_null(control_print(&message, &err));
	message.config = NULL;
	assert_null(control_print(&message, &err));
	assert_string_equal(err.message, "exec without config");
	message.config = (char *)"{}";
	message.seq = 0;
	assert_null(control_print(&message, &err));
	assert_string_equal(err.message, "exec without seq");
}

/* A file name in an error may be any bytes; the reply is sent all the same. */
static void print_sanitizes(void **state)
{
	struct control_message message = { .op = CONTROL_REPLY,
					   .seq = 1,
					   .error = (char *)"stat /\xff\x1b[31m" };
	CLEANUP_FREE char *text = control_print(&message, NULL);

	(void)state;
	assert_non_null(text);
	assert_non_null(strstr(text, "stat /??[31m"));
}

#define REPLY(rest) "{'op':'reply','seq':1" rest "}"

static const char *const hostile[] = {
	"",
	"null",
	"[]",
	"7",
	"'reply'",
	"{}",
	"{'op':null}",
	"{'op':1}",
	"{'op':'Reply','seq':1}",
	"{'op':'reply'}",
	"{'op':'reply','seq':0}",
	"{'op':'reply','seq':-1}",
	"{'op':'reply','seq':1.0}",
	"{'op':'reply','seq':1e3}",
	"{'op':'reply','seq':18446744073709551616}",
	"{'op':'reply','seq':99999999999999999999999999999999999999999999999999999999999}",
	"{'op':'reply','seq':'1'}",
	"{'op':'reply','seq':null}",
	"{'op':'connect'}",
	"{'op':'connect','token':1}",
	"{'op':'connect','stream':1}",
	"{'op':'connect','token':0,'stream':1}",
	"{'op':'connect','token':1,'stream':4294967296}",
	"{'op':'connect','token':1,'stream':-1}",
	"{'op':'connect','token':1,'stream':1,'error':'x'}",
	"{'op':'connected','stream':1}",
	"{'op':'gone'}",
	REPLY(",'token':1"),
	REPLY(",'error':1"),
	REPLY(",'error':['x']"),
	REPLY(",'error':'a\\u0000b'"),
	REPLY(",'error':'a"),
	REPLY(",'error':'\xff'"),
	REPLY(",'seq':2"),
	REPLY(",'process':1"),
	REPLY(",'config':{}"),
	REPLY(",'x':1"),
	REPLY("} {"),
	REPLY("},"),
	REPLY(",'a':[[[[{'b':[[[]]]}]]]]"),
	"{'op':'exit','status':1}",
	"{'op':'exit','process':0,'status':1}",
	"{'op':'exit','process':4294967296,'status':1}",
	"{'op':'exit','process':1,'status':2147483648}",
	"{'op':'exit','process':1,'status':-2147483649}",
	"{'op':'exit','process':1,'status':true}",
	"{'op':'resize','process':1,'width':65536}",
	"{'op':'signal','seq':1,'all':1}",
	"{'op':'create','seq':1,'container':'c','process':1,'config':{},'shares':{}}",
	"{'op':'create','seq':1,'container':'c','process':1,'config':{},'shares':[1]}",
	"{'op':'create','seq':1,'container':'c','process':1,'config':{},'shares':[{}]}",
	"{'op':'create','seq':1,'container':'c','process':1,'config':{},"
	"'shares':[{'mount':-2,'stream':1}]}",
	"{'op':'create','seq':1,'container':'c','process':1,'config':{},"
	"'shares':[{'mount':0,'stream':0}]}",
	"{'op':'create','seq':1,'container':'c','process':1}",
	"{'op':'exec','seq':1,'container':'c','process':1,'config':{},'shares':[]}",
};

static void hostile_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		CLEANUP_FREE char *text = sample_text(hostile[i]);
		struct control_message message;
		struct error err = { 0 };

		if (control_parse(text, strlen(text), &message, &err) == 0)
			fail_msg("accepted: %s", text);
		assert_int_equal(strncmp(err.message, "control message: ", 17), 0);
		control_free(&message);
	}
}

static void hostile_sizes(void **state)
{
	CLEANUP_FREE char *text = malloc(WIRE_CONTROL_MAX_TO_GUEST + 1);
	static const char start[] = "{\"op\":\"reply\",\"seq\":1,\"error\":\"";
	size_t size = WIRE_CONTROL_MAX_TO_HOST + 1;
	struct control_message message;
	struct error err = { 0 };

	(void)state;
	memset(text, ' ', WIRE_CONTROL_MAX_TO_GUEST + 1);
	assert_int_equal(control_parse(text, WIRE_CONTROL_MAX_TO_GUEST + 1, &message, &err), -1);
	memset(text, 'x', size);
	memcpy(text, start, sizeof(start) - 1);
	memcpy(text + size - 2, "\"}", 2);
	assert_int_equal(control_parse(text, size, &message, &err), -1);
	assert_string_equal(err.message, "control message: reply of 16385 bytes");
	memcpy(text + size - 3, "\"}", 2);
	assert_ok(control_parse(text, size - 1, &message, &err), err);
	control_free(&message);
	for (char c = '['; c == '[' || c == '{'; c = c == '[' ? '{' : 0) {
		memset(text, c, size);
		assert_int_equal(control_parse(text, size, &message, &err), -1);
	}
}

/* Words of the guest end up on the user's terminal. */
static void words_are_clean(void **state)
{
	static const char text[] =
		"{\"op\":\"reply\",\"seq\":1,\"error\":\"\\u001b]0;\\n\\u009b\"}";
	struct control_message message;
	struct error err = { 0 };

	(void)state;
	assert_ok(control_parse(text, strlen(text), &message, &err), err);
	assert_string_equal(message.error, "?]0;???");
	control_free(&message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),	   cmocka_unit_test(config_arrives),
		cmocka_unit_test(deep_config),	   cmocka_unit_test(print_refuses),
		cmocka_unit_test(print_sanitizes), cmocka_unit_test(hostile_texts),
		cmocka_unit_test(hostile_sizes),   cmocka_unit_test(words_are_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
