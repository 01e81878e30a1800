/* spec/fuse_request: a good message of each opcode, and one that breaks each rule. */
#include "fuse_message.h"

#include <errno.h>

static void make_init(uint32_t major, uint32_t minor)
{
	const struct fuse_init_in in = { .major = major, .minor = minor };

	begin(FUSE_INIT);
	header()->nodeid = 0;
	add(&in, sizeof(in));
}

/* --- what every message needs --- */

static void test_header(void **unused)
{
	(void)unused;
	begin(FUSE_STATFS);
	assert_int_equal(check(), 0);
	for (m.size = 0; m.size < sizeof(struct fuse_in_header); m.size++)
		assert_int_equal(check(), -1);

	begin(FUSE_STATFS);
	header()->len++;
	assert_int_equal(check(), -1);
	begin(FUSE_STATFS);
	header()->len--;
	assert_int_equal(check(), -1);
	begin(FUSE_STATFS);
	header()->total_extlen = 1;
	assert_int_equal(check(), -1);
	begin(FUSE_STATFS);
	header()->unique = 0;
	assert_int_equal(check(), -1);
	begin(FUSE_STATFS);
	header()->nodeid = 0;
	assert_int_equal(check(), -1);
}

static void test_order(void **unused)
{
	struct fuse_request_state state = { .max_io = MAX_IO };

	(void)unused;
	begin(FUSE_STATFS);
	assert_int_equal(check_in(&state), -1);
	begin(FUSE_IOCTL);
	assert_int_equal(check_in(&state), -1);
	make_init(7, 38);
	assert_int_equal(check_in(&state), 0);
	assert_true(state.initialized);
	assert_int_equal(check_in(&state), -1);
	begin(FUSE_STATFS);
	assert_int_equal(check_in(&state), 0);
	begin(FUSE_DESTROY);
	header()->nodeid = 0;
	assert_int_equal(check_in(&state), 0);
	assert_true(state.destroyed);
	begin(FUSE_STATFS);
	assert_int_equal(check_in(&state), -1);
	make_init(7, 38);
	assert_int_equal(check_in(&state), -1);
}

static void test_init(void **unused)
{
	struct fuse_request_state state = { .max_io = MAX_IO };

	(void)unused;
	make_init(8, 38);
	assert_int_equal(check_in(&state), -1);
	make_init(6, 38);
	assert_int_equal(check_in(&state), -1);
	make_init(7, 35);
	assert_int_equal(check_in(&state), -1);
	make_init(7, 36);
	header()->len = (uint32_t)--m.size;
	assert_int_equal(check_in(&state), -1);
	make_init(7, 36);
	add_zeros(1);
	assert_int_equal(check_in(&state), -1);
	assert_false(state.initialized);
	make_init(7, 45);
	assert_int_equal(check_in(&state), 0);
}

/* --- bodies of a fixed size --- */

static const struct {
	uint32_t opcode;
	size_t size;
} exact[] = {
	{ FUSE_FORGET, 8 },    { FUSE_GETATTR, 16 },	{ FUSE_SETATTR, 88 },
	{ FUSE_READLINK, 0 },  { FUSE_OPEN, 8 },	{ FUSE_READ, 40 },
	{ FUSE_STATFS, 0 },    { FUSE_RELEASE, 24 },	{ FUSE_FSYNC, 16 },
	{ FUSE_LISTXATTR, 8 }, { FUSE_FLUSH, 24 },	{ FUSE_OPENDIR, 8 },
	{ FUSE_READDIR, 40 },  { FUSE_RELEASEDIR, 24 }, { FUSE_FSYNCDIR, 16 },
	{ FUSE_DESTROY, 0 },   { FUSE_FALLOCATE, 32 },	{ FUSE_READDIRPLUS, 40 },
	{ FUSE_LSEEK, 24 },    { FUSE_GETLK, 48 },	{ FUSE_SETLK, 48 },
	{ FUSE_SETLKW, 48 },   { FUSE_SYNCFS, 8 },
};

static void test_exact_sizes(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < COUNT(exact); i++) {
		begin(exact[i].opcode);
		add_zeros(exact[i].size);
		assert_int_equal(check(), 0);
		add_zeros(1);
		assert_int_equal(check(), -1);
		if (exact[i].size == 0)
			continue;
		begin(exact[i].opcode);
		add_zeros(exact[i].size - 1);
		assert_int_equal(check(), -1);
	}
}

/* --- bodies that end in a name --- */

static const struct {
	uint32_t opcode;
	size_t fixed;
	unsigned int names;
} named[] = {
	{ FUSE_LOOKUP, 0, 1 }, { FUSE_MKNOD, 16, 1 },  { FUSE_MKDIR, 8, 1 },
	{ FUSE_UNLINK, 0, 1 }, { FUSE_RMDIR, 0, 1 },   { FUSE_RENAME, 8, 2 },
	{ FUSE_LINK, 8, 1 },   { FUSE_CREATE, 16, 1 }, { FUSE_RENAME2, 16, 2 },
};

/* The fixed part with a node in its first 8 bytes, and names before the last one. */
static void begin_named(size_t i)
{
	const uint64_t node = 1;

	begin(named[i].opcode);
	if (named[i].fixed)
		add(&node, sizeof(node));
	if (named[i].fixed > sizeof(node))
		add_zeros(named[i].fixed - sizeof(node));
	for (unsigned int n = 1; n < named[i].names; n++)
		add_text("first");
}

static void test_names(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < COUNT(named); i++) {
		begin_named(i);
		add_text("name");
		assert_int_equal(check(), 0);
		add("x", 1);
		assert_int_equal(check(), -1);
		begin_named(i);
		assert_int_equal(check(), -1);
		add("unterminated", 12);
		assert_int_equal(check(), -1);
		begin_named(i);
		add_text("");
		assert_int_equal(check(), -1);
		begin_named(i);
		add_text(".");
		assert_int_equal(check(), -1);
		begin_named(i);
		add_text("..");
		assert_int_equal(check(), -1);
		begin_named(i);
		add_text("...");
		assert_int_equal(check(), 0);
		begin_named(i);
		add_text("a/b");
		assert_int_equal(check(), -1);
		begin_named(i);
		add_text("/");
		assert_int_equal(check(), -1);
		begin_named(i);
		add_long_text(255);
		assert_int_equal(check(), 0);
		begin_named(i);
		add_long_text(256);
		assert_int_equal(check(), ENAMETOOLONG);
		if (named[i].fixed) {
			begin(named[i].opcode);
			add_zeros(named[i].fixed - 1);
			assert_int_equal(check(), -1);
		}
	}
}

static void test_first_of_two_names(void **unused)
{
	const uint64_t node = 1;

	(void)unused;
	begin(FUSE_RENAME);
	add(&node, sizeof(node));
	add_text("..");
	add_text("fine");
	assert_int_equal(check(), -1);
	begin(FUSE_RENAME);
	add(&node, sizeof(node));
	add_long_text(300);
	add_text("fine");
	assert_int_equal(check(), ENAMETOOLONG);
	begin(FUSE_RENAME);
	add(&node, sizeof(node));
	add_long_text(300);
	add_text("a/b");
	assert_int_equal(check(), -1);
}

static void test_second_node(void **unused)
{
	static const uint32_t opcodes[] = { FUSE_RENAME, FUSE_LINK, FUSE_RENAME2 };

	(void)unused;
	for (size_t i = 0; i < COUNT(opcodes); i++) {
		begin(opcodes[i]);
		add_zeros(opcodes[i] == FUSE_RENAME2 ? 16 : 8);
		add_text("a");
		if (opcodes[i] != FUSE_LINK)
			add_text("b");
		assert_int_equal(check(), -1);
	}
	begin(FUSE_COPY_FILE_RANGE);
	add_zeros(sizeof(struct fuse_copy_file_range_in));
	assert_int_equal(check(), -1);
	begin(FUSE_COPY_FILE_RANGE);
	add(&(struct fuse_copy_file_range_in){ .nodeid_out = 1 },
	    sizeof(struct fuse_copy_file_range_in));
	assert_int_equal(check(), 0);
	add_zeros(1);
	assert_int_equal(check(), -1);
}

static void test_symlink(void **unused)
{
	(void)unused;
	begin(FUSE_SYMLINK);
	add_text("name");
	assert_int_equal(check(), -1);
	add_text("../any/where");
	assert_int_equal(check(), 0);
	add_zeros(1);
	assert_int_equal(check(), -1);
	begin(FUSE_SYMLINK);
	add_text("name");
	add("target", 6);
	assert_int_equal(check(), -1);
	begin(FUSE_SYMLINK);
	add_text("name");
	add_text("");
	assert_int_equal(check(), -1);
	begin(FUSE_SYMLINK);
	add_text("..");
	add_text("target");
	assert_int_equal(check(), -1);
	begin(FUSE_SYMLINK);
	add_text("name");
	add_long_text(4095);
	assert_int_equal(check(), 0);
	begin(FUSE_SYMLINK);
	add_text("name");
	add_long_text(4096);
	assert_int_equal(check(), ENAMETOOLONG);
}

/* --- data --- */

static void test_read(void **unused)
{
	static const uint32_t opcodes[] = { FUSE_READ, FUSE_READDIR, FUSE_READDIRPLUS };

	(void)unused;
	for (size_t i = 0; i < COUNT(opcodes); i++) {
		struct fuse_read_in in = { .size = MAX_IO, .offset = INT64_MAX };

		begin(opcodes[i]);
		add(&in, sizeof(in));
		assert_int_equal(check(), 0);
		in.size++;
		begin(opcodes[i]);
		add(&in, sizeof(in));
		assert_int_equal(check(), -1);
		in.size = 1;
		in.offset = (uint64_t)INT64_MAX + 1;
		begin(opcodes[i]);
		add(&in, sizeof(in));
		assert_int_equal(check(), -1);
	}
}

static int check_write(uint32_t size, size_t payload, uint64_t offset)
{
	struct fuse_write_in in = { .size = size, .offset = offset };

	begin(FUSE_WRITE);
	add(&in, sizeof(in));
	add_zeros(payload);
	return check();
}

static void test_write(void **unused)
{
	(void)unused;
	assert_int_equal(check_write(0, 0, 0), 0);
	assert_int_equal(check_write(MAX_IO, MAX_IO, 5), 0);
	assert_int_equal(check_write(10, 9, 0), -1);
	assert_int_equal(check_write(10, 11, 0), -1);
	assert_int_equal(check_write(MAX_IO + 1, MAX_IO + 1, 0), -1);
	assert_int_equal(check_write(0xffffffff, 0, 0), -1);
	assert_int_equal(check_write(1, 1, INT64_MAX - 1), 0);
	assert_int_equal(check_write(1, 1, INT64_MAX), -1);
	begin(FUSE_WRITE);
	add_zeros(sizeof(struct fuse_write_in) - 1);
	assert_int_equal(check(), -1);
}

static void test_batch_forget(void **unused)
{
	struct fuse_batch_forget_in in = { .count = 3 };

	(void)unused;
	begin(FUSE_BATCH_FORGET);
	header()->nodeid = 0;
	header()->unique = 0;
	add(&in, sizeof(in));
	add_zeros(3 * sizeof(struct fuse_forget_one));
	assert_int_equal(check(), 0);
	add_zeros(1);
	assert_int_equal(check(), -1);
	begin(FUSE_BATCH_FORGET);
	add(&in, sizeof(in));
	add_zeros(2 * sizeof(struct fuse_forget_one));
	assert_int_equal(check(), -1);
	/* a product that is right only when it overflows 32 bits */
	in.count = 0x10000001;
	begin(FUSE_BATCH_FORGET);
	add(&in, sizeof(in));
	add_zeros(sizeof(struct fuse_forget_one));
	assert_int_equal(check(), -1);
	in.count = 0;
	begin(FUSE_BATCH_FORGET);
	add(&in, sizeof(in));
	assert_int_equal(check(), -1);
	begin(FUSE_BATCH_FORGET);
	add_zeros(7);
	assert_int_equal(check(), -1);
}

/* --- extended attributes --- */

static int check_setxattr(uint32_t size, const char *name, size_t value)
{
	const uint32_t head[2] = { size, 0 };

	begin(FUSE_SETXATTR);
	add(head, sizeof(head));
	add_text(name);
	add_zeros(value);
	return check();
}

static void test_setxattr(void **unused)
{
	(void)unused;
	assert_int_equal(check_setxattr(5, "user.a/b", 5), 0);
	assert_int_equal(check_setxattr(0, "user.x", 0), 0);
	assert_int_equal(check_setxattr(65536, "user.x", 65536), 0);
	assert_int_equal(check_setxattr(65537, "user.x", 65537), -1);
	assert_int_equal(check_setxattr(5, "user.x", 4), -1);
	assert_int_equal(check_setxattr(5, "user.x", 6), -1);
	assert_int_equal(check_setxattr(0xfffffff0, "user.x", 0), -1);
	assert_int_equal(check_setxattr(0, "", 0), -1);
	begin(FUSE_SETXATTR);
	add_zeros(8);
	add("user.x", 6);
	assert_int_equal(check(), -1);
	begin(FUSE_SETXATTR);
	add_zeros(8);
	assert_int_equal(check(), -1);
	begin(FUSE_SETXATTR);
	add_zeros(8);
	add_long_text(255);
	assert_int_equal(check(), 0);
	begin(FUSE_SETXATTR);
	add_zeros(8);
	add_long_text(256);
	assert_int_equal(check(), -1);
}

static void test_getxattr(void **unused)
{
	struct fuse_getxattr_in in = { .size = 65536 };

	(void)unused;
	begin(FUSE_GETXATTR);
	add(&in, sizeof(in));
	add_text("user.x");
	assert_int_equal(check(), 0);
	add_zeros(1);
	assert_int_equal(check(), -1);
	begin(FUSE_GETXATTR);
	add(&in, sizeof(in));
	assert_int_equal(check(), -1);
	add("user.x", 6);
	assert_int_equal(check(), -1);
	begin(FUSE_LISTXATTR);
	add(&in, sizeof(in));
	assert_int_equal(check(), 0);

	in.size++;
	begin(FUSE_GETXATTR);
	add(&in, sizeof(in));
	add_text("user.x");
	assert_int_equal(check(), -1);
	begin(FUSE_LISTXATTR);
	add(&in, sizeof(in));
	assert_int_equal(check(), -1);
}

static void test_removexattr(void **unused)
{
	(void)unused;
	begin(FUSE_REMOVEXATTR);
	assert_int_equal(check(), -1);
	add_text("user.x");
	assert_int_equal(check(), 0);
	add_zeros(1);
	assert_int_equal(check(), -1);
	begin(FUSE_REMOVEXATTR);
	add("user.x", 6);
	assert_int_equal(check(), -1);
}

/* --- what is not served --- */

static void test_refused(void **unused)
{
	static const uint32_t opcodes[] = { 0,
					    7,
					    19,
					    FUSE_ACCESS,
					    FUSE_BMAP,
					    FUSE_IOCTL,
					    FUSE_POLL,
					    FUSE_SETUPMAPPING,
					    FUSE_REMOVEMAPPING,
					    52,
					    CUSE_INIT,
					    0xffffffff };

	(void)unused;
	for (size_t i = 0; i < COUNT(opcodes); i++) {
		begin(opcodes[i]);
		header()->nodeid = 0;
		assert_int_equal(check(), ENOSYS);
		add_zeros(77);
		assert_int_equal(check(), ENOSYS);
		header()->unique = 0;
		assert_int_equal(check(), -1);
	}
	begin(FUSE_NOTIFY_REPLY);
	add_zeros(40);
	assert_int_equal(check(), -1);
}

static void test_opcode_names(void **unused)
{
	(void)unused;
	assert_string_equal(fuse_request_name(FUSE_LOOKUP), "LOOKUP");
	assert_string_equal(fuse_request_name(0), "opcode?");
	assert_string_equal(fuse_request_name(0xffffffff), "opcode?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),	     cmocka_unit_test(test_order),
		cmocka_unit_test(test_init),	     cmocka_unit_test(test_exact_sizes),
		cmocka_unit_test(test_names),	     cmocka_unit_test(test_first_of_two_names),
		cmocka_unit_test(test_second_node),  cmocka_unit_test(test_symlink),
		cmocka_unit_test(test_read),	     cmocka_unit_test(test_write),
		cmocka_unit_test(test_batch_forget), cmocka_unit_test(test_setxattr),
		cmocka_unit_test(test_getxattr),     cmocka_unit_test(test_removexattr),
		cmocka_unit_test(test_refused),	     cmocka_unit_test(test_opcode_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
