/*
 * See fuse_request.h. One table row per opcode says how its body is laid out;
 * the few that need more than that (counts, sizes in the body) have a function.
 * Bodies are copied out before they are read, so that the buffer may lie at any
 * address and is never read twice.
 */
#include "fuse_request.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/xattr.h>

/* libfuse reads older layouts of INIT, MKNOD, CREATE, READ and WRITE. */
#define MINOR_MIN 36

struct request {
	struct fuse_in_header header;
	const uint8_t *body;
	size_t size; /* of body */
	struct fuse_request_state *state;
	const char *name; /* of the opcode */
	struct error *err;
};

static int violation(const struct request *r, const char *what)
{
	return error_set(r->err, 0, "FUSE request %s: %s", r->name, what);
}

/*
 * One NUL-terminated string at *offset, at most max bytes long; *offset moves
 * behind it. Returns its length, -1 when it is not terminated or empty.
 */
static long string_at(const struct request *r, size_t *offset)
{
	const uint8_t *start = r->body + *offset;
	const uint8_t *end;

	if (*offset >= r->size)
		return violation(r, "a string is missing");
	end = memchr(start, 0, r->size - *offset);
	if (!end)
		return violation(r, "a string is not terminated");
	if (end == start)
		return violation(r, "a string is empty");
	*offset += (size_t)(end - start) + 1;
	return end - start;
}

/* A name in a directory. Returns 0, ENAMETOOLONG or -1. */
static int entry_name_at(const struct request *r, size_t *offset)
{
	const char *name = (const char *)r->body + *offset;
	long length = string_at(r, offset);

	if (length < 0)
		return -1;
	if (memchr(name, '/', (size_t)length))
		return violation(r, "a name contains '/'");
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return violation(r, "a name is \".\" or \"..\"");
	return length > NAME_MAX ? ENAMETOOLONG : 0;
}

static int at_end(const struct request *r, size_t offset)
{
	return offset == r->size ? 0 : violation(r, "bytes after its end");
}

/* count names from offset to the end of the body */
static int entry_names(const struct request *r, size_t offset, unsigned int count)
{
	int result = 0;

	for (unsigned int i = 0; i < count; i++) {
		int one = entry_name_at(r, &offset);

		if (one < 0)
			return -1;
		if (one > 0)
			result = one;
	}
	return at_end(r, offset) ? -1 : result;
}

static int xattr_name_at(const struct request *r, size_t *offset)
{
	long length = string_at(r, offset);

	if (length < 0)
		return -1;
	/* the guest's VFS answers ERANGE itself before it asks us */
	return length > XATTR_NAME_MAX ? violation(r, "an attribute name is too long") : 0;
}

static int check_init(const struct request *r)
{
	struct fuse_init_in in;

	memcpy(&in, r->body, sizeof(in));
	if (in.major != FUSE_KERNEL_VERSION || in.minor < MINOR_MIN)
		return error_set(r->err, 0, "FUSE request INIT: protocol %u.%u, need 7.%u or newer",
				 in.major, in.minor, MINOR_MIN);
	return 0;
}

static int check_symlink(const struct request *r)
{
	size_t offset = 0;
	int name = entry_name_at(r, &offset);
	long target;

	if (name < 0)
		return -1;
	target = string_at(r, &offset);
	if (target < 0 || at_end(r, offset))
		return -1;
	return target >= PATH_MAX ? ENAMETOOLONG : name;
}

static int check_rename(const struct request *r)
{
	struct fuse_rename_in in;

	memcpy(&in, r->body, sizeof(in));
	return in.newdir ? entry_names(r, sizeof(in), 2) : violation(r, "node 0 as directory");
}

static int check_rename2(const struct request *r)
{
	struct fuse_rename2_in in;

	memcpy(&in, r->body, sizeof(in));
	return in.newdir ? entry_names(r, sizeof(in), 2) : violation(r, "node 0 as directory");
}

static int check_link(const struct request *r)
{
	struct fuse_link_in in;

	memcpy(&in, r->body, sizeof(in));
	return in.oldnodeid ? entry_names(r, sizeof(in), 1) : violation(r, "node 0 as source");
}

static int check_read(const struct request *r)
{
	struct fuse_read_in in;

	memcpy(&in, r->body, sizeof(in));
	if (in.size > r->state->max_io)
		return violation(r, "more than was agreed to");
	if (in.offset > INT64_MAX)
		return violation(r, "negative offset");
	return 0;
}

static int check_write(const struct request *r)
{
	struct fuse_write_in in;

	memcpy(&in, r->body, sizeof(in));
	if (in.size > r->state->max_io)
		return violation(r, "more than was agreed to");
	if (in.size != r->size - sizeof(in))
		return violation(r, "size differs from the payload");
	if (in.offset > (uint64_t)INT64_MAX - in.size)
		return violation(r, "offset out of range");
	return 0;
}

static int check_setxattr(const struct request *r)
{
	struct fuse_setxattr_in in;
	size_t offset = FUSE_COMPAT_SETXATTR_IN_SIZE;

	memcpy(&in, r->body, FUSE_COMPAT_SETXATTR_IN_SIZE);
	if (xattr_name_at(r, &offset))
		return -1;
	if (in.size > XATTR_SIZE_MAX)
		return violation(r, "value too large");
	if (in.size != r->size - offset)
		return violation(r, "size differs from the value");
	return 0;
}

static int check_xattr_size(const struct request *r)
{
	struct fuse_getxattr_in in;

	memcpy(&in, r->body, sizeof(in));
	/* XATTR_SIZE_MAX and XATTR_LIST_MAX are the same */
	return in.size > XATTR_SIZE_MAX ? violation(r, "size too large") : 0;
}

static int check_getxattr(const struct request *r)
{
	size_t offset = sizeof(struct fuse_getxattr_in);

	if (check_xattr_size(r) || xattr_name_at(r, &offset))
		return -1;
	return at_end(r, offset);
}

static int check_removexattr(const struct request *r)
{
	size_t offset = 0;

	return xattr_name_at(r, &offset) ? -1 : at_end(r, offset);
}

static int check_batch_forget(const struct request *r)
{
	struct fuse_batch_forget_in in;

	memcpy(&in, r->body, sizeof(in));
	if (in.count == 0)
		return violation(r, "forgets nothing");
	if ((uint64_t)in.count * sizeof(struct fuse_forget_one) != r->size - sizeof(in))
		return violation(r, "count differs from the list");
	return 0;
}

static int check_copy_file_range(const struct request *r)
{
	struct fuse_copy_file_range_in in;

	memcpy(&in, r->body, sizeof(in));
	return in.nodeid_out ? 0 : violation(r, "node 0 as target");
}

/* What the guest's VFS has made of an fcntl or a flock: a range that is in order. */
static int check_lock(const struct request *r)
{
	const bool test = r->header.opcode == FUSE_GETLK;
	struct fuse_lk_in in;

	memcpy(&in, r->body, sizeof(in));
	if (in.lk_flags & ~(test ? 0u : FUSE_LK_FLOCK))
		return violation(r, "unknown flags");
	if (in.lk.type != F_RDLCK && in.lk.type != F_WRLCK && in.lk.type != F_UNLCK)
		return violation(r, "unknown type of lock");
	if (in.lk.end > INT64_MAX || in.lk.start > in.lk.end)
		return violation(r, "range out of order");
	if (in.lk.pid > INT32_MAX)
		return violation(r, "negative pid");
	return 0;
}

static int check_interrupt(const struct request *r)
{
	struct fuse_interrupt_in in;

	memcpy(&in, r->body, sizeof(in));
	return in.unique ? 0 : violation(r, "of id 0");
}

/* The one name with '/' that there is: of a file that has none. */
static int check_tmpfile(const struct request *r)
{
	const char *name = (const char *)r->body + sizeof(struct fuse_create_in);

	if (r->size != sizeof(struct fuse_create_in) + sizeof("/") ||
	    memcmp(name, "/", sizeof("/")) != 0)
		return violation(r, "a name other than \"/\"");
	return 0;
}

enum layout {
	EXACT,	   /* the fixed part is all */
	NAME,	   /* the fixed part, then one directory entry's name */
	CUSTOM,	   /* at least the fixed part; check does the rest */
	REFUSED,   /* nothing that we offer leads to it */
	FORBIDDEN, /* nobody asked for it, and no reply is expected */
};

struct rule {
	const char *name;
	enum layout layout;
	size_t fixed;
	bool no_node;			       /* the header's node id means nothing */
	int (*check)(const struct request *r); /* after the sizes; may be NULL */
};

static const struct rule rules[] = {
	[FUSE_LOOKUP] = { "LOOKUP", NAME, 0 },
	[FUSE_FORGET] = { "FORGET", EXACT, sizeof(struct fuse_forget_in) },
	[FUSE_GETATTR] = { "GETATTR", EXACT, sizeof(struct fuse_getattr_in) },
	[FUSE_SETATTR] = { "SETATTR", EXACT, sizeof(struct fuse_setattr_in) },
	[FUSE_READLINK] = { "READLINK", EXACT, 0 },
	[FUSE_SYMLINK] = { "SYMLINK", CUSTOM, 0, false, check_symlink },
	[FUSE_MKNOD] = { "MKNOD", NAME, sizeof(struct fuse_mknod_in) },
	[FUSE_MKDIR] = { "MKDIR", NAME, sizeof(struct fuse_mkdir_in) },
	[FUSE_UNLINK] = { "UNLINK", NAME, 0 },
	[FUSE_RMDIR] = { "RMDIR", NAME, 0 },
	[FUSE_RENAME] = { "RENAME", CUSTOM, sizeof(struct fuse_rename_in), false, check_rename },
	[FUSE_LINK] = { "LINK", CUSTOM, sizeof(struct fuse_link_in), false, check_link },
	[FUSE_OPEN] = { "OPEN", EXACT, sizeof(struct fuse_open_in) },
	[FUSE_READ] = { "READ", EXACT, sizeof(struct fuse_read_in), false, check_read },
	[FUSE_WRITE] = { "WRITE", CUSTOM, sizeof(struct fuse_write_in), false, check_write },
	[FUSE_STATFS] = { "STATFS", EXACT, 0 },
	[FUSE_RELEASE] = { "RELEASE", EXACT, sizeof(struct fuse_release_in) },
	[FUSE_FSYNC] = { "FSYNC", EXACT, sizeof(struct fuse_fsync_in) },
	[FUSE_SETXATTR] = { "SETXATTR", CUSTOM, FUSE_COMPAT_SETXATTR_IN_SIZE, false,
			    check_setxattr },
	[FUSE_GETXATTR] = { "GETXATTR", CUSTOM, sizeof(struct fuse_getxattr_in), false,
			    check_getxattr },
	[FUSE_LISTXATTR] = { "LISTXATTR", EXACT, sizeof(struct fuse_getxattr_in), false,
			     check_xattr_size },
	[FUSE_REMOVEXATTR] = { "REMOVEXATTR", CUSTOM, 0, false, check_removexattr },
	[FUSE_FLUSH] = { "FLUSH", EXACT, sizeof(struct fuse_flush_in) },
	[FUSE_INIT] = { "INIT", EXACT, sizeof(struct fuse_init_in), true, check_init },
	[FUSE_OPENDIR] = { "OPENDIR", EXACT, sizeof(struct fuse_open_in) },
	[FUSE_READDIR] = { "READDIR", EXACT, sizeof(struct fuse_read_in), false, check_read },
	[FUSE_RELEASEDIR] = { "RELEASEDIR", EXACT, sizeof(struct fuse_release_in) },
	[FUSE_FSYNCDIR] = { "FSYNCDIR", EXACT, sizeof(struct fuse_fsync_in) },
	[FUSE_GETLK] = { "GETLK", EXACT, sizeof(struct fuse_lk_in), false, check_lock },
	[FUSE_SETLK] = { "SETLK", EXACT, sizeof(struct fuse_lk_in), false, check_lock },
	[FUSE_SETLKW] = { "SETLKW", EXACT, sizeof(struct fuse_lk_in), false, check_lock },
	/* default_permissions: the guest's kernel knows */
	[FUSE_ACCESS] = { "ACCESS", REFUSED },
	[FUSE_CREATE] = { "CREATE", NAME, sizeof(struct fuse_create_in) },
	[FUSE_INTERRUPT] = { "INTERRUPT", EXACT, sizeof(struct fuse_interrupt_in), true,
			     check_interrupt },
	[FUSE_BMAP] = { "BMAP", REFUSED },
	[FUSE_DESTROY] = { "DESTROY", EXACT, 0, true },
	[FUSE_IOCTL] = { "IOCTL", REFUSED },
	[FUSE_POLL] = { "POLL", REFUSED },
	[FUSE_NOTIFY_REPLY] = { "NOTIFY_REPLY", FORBIDDEN },
	[FUSE_BATCH_FORGET] = { "BATCH_FORGET", CUSTOM, sizeof(struct fuse_batch_forget_in), true,
				check_batch_forget },
	[FUSE_FALLOCATE] = { "FALLOCATE", EXACT, sizeof(struct fuse_fallocate_in) },
	[FUSE_READDIRPLUS] = { "READDIRPLUS", EXACT, sizeof(struct fuse_read_in), false,
			       check_read },
	[FUSE_RENAME2] = { "RENAME2", CUSTOM, sizeof(struct fuse_rename2_in), false,
			   check_rename2 },
	[FUSE_LSEEK] = { "LSEEK", EXACT, sizeof(struct fuse_lseek_in) },
	[FUSE_COPY_FILE_RANGE] = { "COPY_FILE_RANGE", EXACT, sizeof(struct fuse_copy_file_range_in),
				   false, check_copy_file_range },
	[FUSE_SETUPMAPPING] = { "SETUPMAPPING", REFUSED },
	[FUSE_REMOVEMAPPING] = { "REMOVEMAPPING", REFUSED },
	[FUSE_SYNCFS] = { "SYNCFS", EXACT, sizeof(struct fuse_syncfs_in) },
	[FUSE_TMPFILE] = { "TMPFILE", CUSTOM, sizeof(struct fuse_create_in), false, check_tmpfile },
};

static const struct rule *rule_of(uint32_t opcode)
{
	if (opcode >= sizeof(rules) / sizeof(rules[0]) || !rules[opcode].name)
		return NULL;
	return &rules[opcode];
}

const char *fuse_request_name(uint32_t opcode)
{
	const struct rule *rule = rule_of(opcode);

	return rule ? rule->name : "opcode?";
}

/* What may come when: INIT once and first, nothing after DESTROY. */
static int check_order(const struct request *r)
{
	if (r->state->destroyed)
		return violation(r, "after DESTROY");
	if (r->header.opcode == FUSE_INIT)
		return r->state->initialized ? violation(r, "a second time") : 0;
	return r->state->initialized ? 0 : violation(r, "before INIT");
}

static int check_body(const struct request *r, const struct rule *rule)
{
	if (r->size < rule->fixed)
		return violation(r, "too short");
	if (rule->layout == EXACT && r->size != rule->fixed)
		return violation(r, "bytes after its end");
	if (!rule->no_node && r->header.nodeid == 0)
		return violation(r, "node 0");
	if (rule->layout == NAME)
		return entry_names(r, rule->fixed, 1);
	return rule->check ? rule->check(r) : 0;
}

_Static_assert(FUSE_REQUEST_PLACED_SIZE ==
		       sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in),
	       "arguments of WRITE");
_Static_assert(sizeof(struct fuse_read_in) == sizeof(struct fuse_write_in), "arguments of READ");

int fuse_request_check_placed(const void *buf, size_t data_size, struct fuse_request_state *state,
			      struct error *err)
{
	struct fuse_in_header header;
	struct fuse_read_in in;

	memcpy(&header, buf, sizeof(header));
	/* of a WRITE's data nothing is looked at */
	if (header.opcode == FUSE_WRITE)
		return fuse_request_check(buf, FUSE_REQUEST_PLACED_SIZE + data_size, state, err);
	if (header.opcode != FUSE_READ)
		return error_set(err, 0, "FUSE request %s: it has no data that pages are named for",
				 fuse_request_name(header.opcode));
	memcpy(&in, (const uint8_t *)buf + sizeof(header), sizeof(in));
	if (in.size != data_size)
		return error_set(err, 0, "FUSE request READ: size differs from that of the pages");
	return fuse_request_check(buf, FUSE_REQUEST_PLACED_SIZE, state, err);
}

int fuse_request_check(const void *buf, size_t size, struct fuse_request_state *state,
		       struct error *err)
{
	struct request r = { .state = state, .err = err, .name = "header" };
	const struct rule *rule;
	int result;

	if (size < sizeof(r.header))
		return violation(&r, "too short");
	memcpy(&r.header, buf, sizeof(r.header));
	r.name = fuse_request_name(r.header.opcode);
	if (r.header.len != size)
		return violation(&r, "length in the header differs from the message");
	if (r.header.total_extlen != 0)
		return violation(&r, "extensions that were not offered");
	r.body = (const uint8_t *)buf + sizeof(r.header);
	r.size = size - sizeof(r.header);
	if (check_order(&r))
		return -1;

	rule = rule_of(r.header.opcode);
	/* a reply to id 0 would be a notification to that kernel */
	if (r.header.unique == 0 &&
	    !(rule && (r.header.opcode == FUSE_FORGET || r.header.opcode == FUSE_BATCH_FORGET)))
		return violation(&r, "id 0");
	if (!rule || rule->layout == REFUSED)
		return ENOSYS;
	if (rule->layout == FORBIDDEN)
		return violation(&r, "was not asked for");

	result = check_body(&r, rule);
	if (result == 0 && r.header.opcode == FUSE_INIT)
		state->initialized = true;
	if (result == 0 && r.header.opcode == FUSE_DESTROY)
		state->destroyed = true;
	return result;
}
