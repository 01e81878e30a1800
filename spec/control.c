/*
 * See control.h. One table of members serves the printer and the parser: what a
 * message of an op may hold, and what it must. The config travels as a JSON value
 * of its own, so that a text is escaped once only.
 */
#include "control.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "json.h"
#include "json_writer.h"
#include "wire.h"

/* A config may use the whole depth that config_parse allows; it stands one lower here. */
#define CONTROL_DEPTH_MAX (JSON_DEPTH_MAX + 1)

static const char *const op_names[] = {
	[CONTROL_CREATE] = "create",	   [CONTROL_START] = "start",
	[CONTROL_EXEC] = "exec",	   [CONTROL_SIGNAL] = "signal",
	[CONTROL_RESIZE] = "resize",	   [CONTROL_REPLY] = "reply",
	[CONTROL_EXIT] = "exit",	   [CONTROL_CONNECT] = "connect",
	[CONTROL_CONNECTED] = "connected", [CONTROL_GONE] = "gone",
};

#define OP_COUNT (sizeof(op_names) / sizeof(op_names[0]))

enum member_kind {
	MEMBER_U64,
	MEMBER_U32,
	MEMBER_U16,
	MEMBER_I32,
	MEMBER_BOOL,
	MEMBER_STRING,
	MEMBER_CONFIG,
	MEMBER_SHARES,
};

struct member {
	const char *name;
	enum member_kind kind;
	size_t offset;
	unsigned ops;	   /* may have it */
	unsigned required; /* must have it, and not as 0 */
};

#define OP(name)      (1u << CONTROL_##name)
#define SOCKETS	      (OP(CONNECT) | OP(CONNECTED) | OP(GONE))
#define REQUESTS      (OP(CREATE) | OP(START) | OP(EXEC) | OP(SIGNAL))
#define MAKES_PROCESS (OP(CREATE) | OP(EXEC))
#define MEMBER(name, kind, ops, required)                                          \
	{                                                                          \
#name, kind, offsetof(struct control_message, name), ops, required \
	}

static const struct member members[] = {
	MEMBER(seq, MEMBER_U64, REQUESTS | OP(REPLY) | OP(RESIZE), REQUESTS | OP(REPLY)),
	MEMBER(container, MEMBER_STRING, REQUESTS, MAKES_PROCESS | OP(START)),
	MEMBER(process, MEMBER_U32, MAKES_PROCESS | OP(SIGNAL) | OP(RESIZE) | OP(EXIT),
	       MAKES_PROCESS | OP(RESIZE) | OP(EXIT)),
	MEMBER(stdin_stream, MEMBER_U32, MAKES_PROCESS, 0),
	MEMBER(stdout_stream, MEMBER_U32, MAKES_PROCESS, 0),
	MEMBER(stderr_stream, MEMBER_U32, MAKES_PROCESS, 0),
	MEMBER(config, MEMBER_CONFIG, MAKES_PROCESS, MAKES_PROCESS),
	MEMBER(shares, MEMBER_SHARES, OP(CREATE), 0),
	MEMBER(shm_size, MEMBER_U64, OP(CREATE), 0),
	MEMBER(hostname, MEMBER_STRING, OP(CREATE), 0),
	MEMBER(bundle, MEMBER_STRING, OP(CREATE), 0),
	MEMBER(refuse_devices, MEMBER_BOOL, OP(CREATE), 0),
	MEMBER(signal, MEMBER_I32, OP(SIGNAL), 0),
	MEMBER(all, MEMBER_BOOL, OP(SIGNAL), 0),
	MEMBER(width, MEMBER_U16, OP(RESIZE), 0),
	MEMBER(height, MEMBER_U16, OP(RESIZE), 0),
	MEMBER(error, MEMBER_STRING, OP(REPLY) | OP(CONNECTED), 0),
	MEMBER(warning, MEMBER_STRING, OP(REPLY), 0),
	MEMBER(status, MEMBER_I32, OP(EXIT), 0),
	MEMBER(token, MEMBER_U32, OP(CONNECT) | OP(CONNECTED), OP(CONNECT) | OP(CONNECTED)),
	MEMBER(stream, MEMBER_U32, SOCKETS, OP(CONNECT) | OP(GONE)),
};

#define MEMBER_COUNT (sizeof(members) / sizeof(members[0]))

static const void *field_of(const struct control_message *message, const struct member *member)
{
	return (const char *)message + member->offset;
}

static bool is_set(const struct control_message *message, const struct member *member)
{
	const void *field = field_of(message, member);

	switch (member->kind) {
	case MEMBER_U64:
		return *(const uint64_t *)field != 0;
	case MEMBER_U32:
		return *(const uint32_t *)field != 0;
	case MEMBER_U16:
		return *(const uint16_t *)field != 0;
	case MEMBER_I32:
		return *(const int32_t *)field != 0;
	case MEMBER_BOOL:
		return *(const bool *)field;
	case MEMBER_STRING:
	case MEMBER_CONFIG:
		return *(char *const *)field != NULL;
	case MEMBER_SHARES:
		return message->shares_count > 0;
	}
	return false;
}

static int check_required(const struct control_message *message, struct error *err)
{
	for (size_t i = 0; i < MEMBER_COUNT; i++)
		if ((members[i].required >> message->op & 1) && !is_set(message, &members[i]))
			return error_set(err, 0, "%s without %s", op_names[message->op],
					 members[i].name);
	return 0;
}

static const char *const kind_names[] = {
	[CONTROL_SHARE_TREE] = "tree",
	[CONTROL_SHARE_SOCKET] = "socket",
	[CONTROL_SHARE_DEVICE] = "device",
};

#define KIND_COUNT (sizeof(kind_names) / sizeof(kind_names[0]))

/* Numbers of a share that are left out when they are 0. */
static const struct {
	const char *name;
	size_t offset;
} share_numbers[] = {
	{ "flags", offsetof(struct control_share, flags) },
	{ "device", offsetof(struct control_share, device) },
	{ "socket_type", offsetof(struct control_share, socket_type) },
	{ "mode", offsetof(struct control_share, mode) },
	{ "uid", offsetof(struct control_share, uid) },
	{ "gid", offsetof(struct control_share, gid) },
};

#define SHARE_NUMBER_COUNT (sizeof(share_numbers) / sizeof(share_numbers[0]))

/* What most shares do not have. */
static void put_share_rest(struct json_writer *writer, const struct control_share *share)
{
	if (share->kind != CONTROL_SHARE_TREE)
		json_put_string(writer, "kind", kind_names[share->kind]);
	if (share->path)
		json_put_string(writer, "path", share->path);
	for (size_t i = 0; i < SHARE_NUMBER_COUNT; i++) {
		const void *at = (const char *)share + share_numbers[i].offset;

		if (*(const uint32_t *)at)
			json_put_uint(writer, share_numbers[i].name, *(const uint32_t *)at);
	}
}

static void put_shares(struct json_writer *writer, const struct control_message *message)
{
	json_put_array(writer, "shares");
	for (size_t i = 0; i < message->shares_count; i++) {
		const struct control_share *share = &message->shares[i];

		json_put_object(writer, NULL);
		json_put_int(writer, "mount", share->mount);
		json_put_uint(writer, "stream", share->stream);
		json_put_bool(writer, "directory", share->directory);
		json_put_bool(writer, "readonly", share->readonly);
		put_share_rest(writer, share);
		json_end_object(writer);
	}
	json_end_array(writer);
}

/* Words for the user may quote a file name, which is bytes: it must not stop the reply. */
static int put_words(struct json_writer *writer, const char *name, const char *words,
		     struct error *err)
{
	CLEANUP_FREE char *clean = strdup(words);

	if (!clean)
		return error_set(err, ENOMEM, "control message");
	error_sanitize(clean);
	json_put_string(writer, name, clean);
	return 0;
}

static int put_config(struct json_writer *writer, const char *text, struct error *err)
{
	CLEANUP_JSON struct json *tree = json_parse(text, strlen(text), NULL, err);

	if (!tree)
		return error_prefix(err, "control message: config");
	json_put_tree(writer, "config", tree);
	return 0;
}

static int put_member(struct json_writer *writer, const struct control_message *message,
		      const struct member *member, struct error *err)
{
	const void *field = field_of(message, member);

	switch (member->kind) {
	case MEMBER_U64:
		json_put_uint(writer, member->name, *(const uint64_t *)field);
		break;
	case MEMBER_U32:
		json_put_uint(writer, member->name, *(const uint32_t *)field);
		break;
	case MEMBER_U16:
		json_put_uint(writer, member->name, *(const uint16_t *)field);
		break;
	case MEMBER_I32:
		json_put_int(writer, member->name, *(const int32_t *)field);
		break;
	case MEMBER_BOOL:
		json_put_bool(writer, member->name, *(const bool *)field);
		break;
	case MEMBER_STRING:
		return put_words(writer, member->name, *(char *const *)field, err);
	case MEMBER_CONFIG:
		return put_config(writer, *(char *const *)field, err);
	case MEMBER_SHARES:
		put_shares(writer, message);
		break;
	}
	return 0;
}

char *control_print(const struct control_message *message, struct error *err)
{
	CLEANUP_JSON_WRITER struct json_writer writer;

	json_writer_init(&writer, false);
	if (check_required(message, err) < 0)
		return NULL;
	json_put_object(&writer, NULL);
	json_put_string(&writer, "op", op_names[message->op]);
	for (size_t i = 0; i < MEMBER_COUNT; i++)
		if ((members[i].ops >> message->op & 1) && is_set(message, &members[i]) &&
		    put_member(&writer, message, &members[i], err) < 0)
			return NULL;
	json_end_object(&writer);
	return json_writer_finish(&writer, err);
}

static int read_op(const struct json *root, struct control_message *message, struct error *err)
{
	const struct json *node = json_member(root, "op");

	if (!node)
		return json_error_missing(root, "op", err);
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	for (size_t i = 0; i < OP_COUNT; i++)
		if (strcmp(node->text, op_names[i]) == 0) {
			message->op = (enum control_op)i;
			return 0;
		}
	return json_error(node, err, "is unknown: \"%.40s\"", node->text);
}

static int read_share_kind(const struct json *item, struct control_share *share, struct error *err)
{
	const struct json *node = json_member(item, "kind");

	if (!node)
		return 0;
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	for (size_t i = 0; i < KIND_COUNT; i++)
		if (strcmp(node->text, kind_names[i]) == 0) {
			share->kind = (enum control_share_kind)i;
			return 0;
		}
	return json_error(node, err, "is unknown: \"%.40s\"", node->text);
}

static int read_share_rest(const struct json *item, struct control_share *share, struct error *err)
{
	if (read_share_kind(item, share, err) < 0 ||
	    json_get_string(item, "path", &share->path, err) < 0)
		return -1;
	for (size_t i = 0; i < SHARE_NUMBER_COUNT; i++) {
		void *at = (char *)share + share_numbers[i].offset;
		uint64_t value = 0;

		if (json_get_uint(item, share_numbers[i].name, UINT32_MAX, &value, err) < 0)
			return -1;
		*(uint32_t *)at = (uint32_t)value;
	}
	return 0;
}

static int read_share(const struct json *item, struct control_share *share, struct error *err)
{
	int64_t mount = 0;
	uint64_t stream = 0;

	if (json_expect(item, JSON_OBJECT, err) < 0 ||
	    json_get_int(item, "mount", -1, INT32_MAX, &mount, err) < 0 ||
	    json_get_uint(item, "stream", UINT32_MAX, &stream, err) < 0 ||
	    json_get_bool(item, "directory", &share->directory, err) < 0 ||
	    json_get_bool(item, "readonly", &share->readonly, err) < 0)
		return -1;
	if (!json_member(item, "mount"))
		return json_error_missing(item, "mount", err);
	if (read_share_rest(item, share, err) < 0)
		return -1;
	if (!stream && share->kind != CONTROL_SHARE_DEVICE)
		return json_error(item, err, "has no stream");
	share->mount = (int32_t)mount;
	share->stream = (uint32_t)stream;
	return 0;
}

static int read_shares(const struct json *node, struct control_message *message, struct error *err)
{
	if (json_expect(node, JSON_ARRAY, err) < 0)
		return -1;
	message->shares = calloc(json_count(node) + 1, sizeof(*message->shares));
	if (!message->shares)
		return error_set(err, ENOMEM, "control message");
	for (const struct json *item = json_first(node); item; item = item->next)
		if (read_share(item, &message->shares[message->shares_count++], err) < 0)
			return -1;
	return 0;
}

static int read_text(const struct json *node, char **out, struct error *err)
{
	if (json_expect(node, JSON_STRING, err) < 0)
		return -1;
	*out = strdup(node->text);
	if (!*out)
		return error_set(err, ENOMEM, "control message");
	error_sanitize(*out);
	return 0;
}

static int read_config(const struct json *node, char **out, struct error *err)
{
	CLEANUP_JSON_WRITER struct json_writer writer;

	json_writer_init(&writer, false);
	json_put_tree(&writer, NULL, node);
	*out = json_writer_finish(&writer, err);
	return *out ? 0 : -1;
}

static int read_unsigned(const struct json *node, const struct member *member, void *field,
			 struct error *err)
{
	uint64_t max = member->kind == MEMBER_U64   ? UINT64_MAX
		       : member->kind == MEMBER_U32 ? UINT32_MAX
						    : UINT16_MAX;
	uint64_t value;

	if (json_to_uint(node, max, &value, err) < 0)
		return -1;
	if (member->kind == MEMBER_U64)
		*(uint64_t *)field = value;
	else if (member->kind == MEMBER_U32)
		*(uint32_t *)field = (uint32_t)value;
	else
		*(uint16_t *)field = (uint16_t)value;
	return 0;
}

static int read_i32(const struct json *node, int32_t *field, struct error *err)
{
	int64_t value;

	if (json_to_int(node, INT32_MIN, INT32_MAX, &value, err) < 0)
		return -1;
	*field = (int32_t)value;
	return 0;
}

static int read_bool(const struct json *node, bool *field, struct error *err)
{
	if (json_expect(node, JSON_BOOL, err) < 0)
		return -1;
	*field = node->boolean;
	return 0;
}

static int read_member(const struct json *node, const struct member *member,
		       struct control_message *message, struct error *err)
{
	void *field = (char *)message + member->offset;

	switch (member->kind) {
	case MEMBER_U64:
	case MEMBER_U32:
	case MEMBER_U16:
		return read_unsigned(node, member, field, err);
	case MEMBER_I32:
		return read_i32(node, field, err);
	case MEMBER_BOOL:
		return read_bool(node, field, err);
	case MEMBER_STRING:
		return read_text(node, field, err);
	case MEMBER_CONFIG:
		return read_config(node, field, err);
	case MEMBER_SHARES:
		return read_shares(node, message, err);
	}
	return -1;
}

static const struct member *find_member(enum control_op op, const char *name)
{
	for (size_t i = 0; i < MEMBER_COUNT; i++)
		if ((members[i].ops >> op & 1) && strcmp(members[i].name, name) == 0)
			return &members[i];
	return NULL;
}

/* The versions of both sides are the same, so an unknown member is no accident. */
static int read_members(const struct json *root, struct control_message *message, struct error *err)
{
	unsigned seen = 0;

	for (const struct json *node = json_first(root); node; node = node->next) {
		const struct member *member = find_member(message->op, node->key);

		if (strcmp(node->key, "op") == 0)
			continue;
		if (!member)
			return json_error(node, err, "is no member of %s", op_names[message->op]);
		if (seen & 1u << (member - members))
			return json_error(node, err, "is there twice");
		seen |= 1u << (member - members);
		if (read_member(node, member, message, err) < 0)
			return -1;
	}
	return check_required(message, err);
}

static int read_message(const char *text, size_t size, struct control_message *message,
			struct error *err)
{
	static const struct json_options options = { .depth_max = CONTROL_DEPTH_MAX };
	CLEANUP_JSON struct json *root = json_parse(text, size, &options, err);
	bool from_guest;

	if (!root || json_expect(root, JSON_OBJECT, err) < 0 || read_op(root, message, err) < 0)
		return -1;
	from_guest = message->op == CONTROL_REPLY || message->op == CONTROL_EXIT ||
		     message->op == CONTROL_CONNECT;
	if (from_guest && size > WIRE_CONTROL_MAX_TO_HOST)
		return error_set(err, 0, "%s of %zu bytes", op_names[message->op], size);
	return read_members(root, message, err);
}

int control_parse(const char *text, size_t size, struct control_message *message, struct error *err)
{
	memset(message, 0, sizeof(*message));
	if (size > WIRE_CONTROL_MAX_TO_GUEST)
		return error_set(err, 0, "control message of %zu bytes", size);
	if (read_message(text, size, message, err) < 0)
		return error_prefix(err, "control message");
	return 0;
}

void control_free(struct control_message *message)
{
	free(message->container);
	free(message->config);
	for (size_t i = 0; i < message->shares_count; i++)
		free(message->shares[i].path);
	free(message->shares);
	free(message->hostname);
	free(message->bundle);
	free(message->error);
	free(message->warning);
	memset(message, 0, sizeof(*message));
}
