/* spec/fuse_request: what a lock, an interrupt and a file without a name look like. */
#include "fuse_message.h"

#include <fcntl.h>

static const uint32_t locks[] = { FUSE_GETLK, FUSE_SETLK, FUSE_SETLKW };

static int check_lock(uint32_t opcode, const struct fuse_lk_in *in)
{
	begin(opcode);
	add(in, sizeof(*in));
	return check();
}

static void test_ranges(void **unused)
{
	struct fuse_lk_in in = { .fh = 1, .owner = 1 };

	(void)unused;
	for (size_t i = 0; i < COUNT(locks); i++) {
		in.lk = (struct fuse_file_lock){ .start = 5, .end = 5 };
		assert_int_equal(check_lock(locks[i], &in), 0);
		in.lk.start = 6;
		assert_int_equal(check_lock(locks[i], &in), -1);
		in.lk = (struct fuse_file_lock){ .start = 0, .end = INT64_MAX };
		assert_int_equal(check_lock(locks[i], &in), 0);
		in.lk.end++;
		assert_int_equal(check_lock(locks[i], &in), -1);
		in.lk = (struct fuse_file_lock){ .start = UINT64_MAX, .end = UINT64_MAX };
		assert_int_equal(check_lock(locks[i], &in), -1);
	}
}

static void test_types(void **unused)
{
	struct fuse_lk_in in = { 0 };

	(void)unused;
	for (size_t i = 0; i < COUNT(locks); i++) {
		for (in.lk.type = 0; in.lk.type < 10; in.lk.type++) {
			const bool known = in.lk.type == F_RDLCK || in.lk.type == F_WRLCK ||
					   in.lk.type == F_UNLCK;

			assert_int_equal(check_lock(locks[i], &in), known ? 0 : -1);
		}
		in.lk.type = UINT32_MAX;
		assert_int_equal(check_lock(locks[i], &in), -1);
	}
}

static void test_flags_and_pid(void **unused)
{
	struct fuse_lk_in in = { .lk_flags = FUSE_LK_FLOCK };

	(void)unused;
	assert_int_equal(check_lock(FUSE_SETLK, &in), 0);
	assert_int_equal(check_lock(FUSE_SETLKW, &in), 0);
	assert_int_equal(check_lock(FUSE_GETLK, &in), -1);
	for (size_t i = 0; i < COUNT(locks); i++) {
		in = (struct fuse_lk_in){ .lk_flags = FUSE_LK_FLOCK << 1 };
		assert_int_equal(check_lock(locks[i], &in), -1);
		in = (struct fuse_lk_in){ .lk = { .pid = INT32_MAX } };
		assert_int_equal(check_lock(locks[i], &in), 0);
		in.lk.pid++;
		assert_int_equal(check_lock(locks[i], &in), -1);
	}
}

static void test_interrupt(void **unused)
{
	struct fuse_interrupt_in in = { .unique = 2 };

	(void)unused;
	begin(FUSE_INTERRUPT);
	header()->nodeid = 0;
	add(&in, sizeof(in));
	assert_int_equal(check(), 0);
	add_zeros(1);
	assert_int_equal(check(), -1);
	begin(FUSE_INTERRUPT);
	add(&in, sizeof(in) - 1);
	assert_int_equal(check(), -1);
	in.unique = 0;
	begin(FUSE_INTERRUPT);
	add(&in, sizeof(in));
	assert_int_equal(check(), -1);
}

static void begin_tmpfile(void)
{
	begin(FUSE_TMPFILE);
	add_zeros(sizeof(struct fuse_create_in));
}

static void test_tmpfile(void **unused)
{
	(void)unused;
	begin_tmpfile();
	add_text("/");
	assert_int_equal(check(), 0);
	add_zeros(1);
	assert_int_equal(check(), -1);
	begin_tmpfile();
	assert_int_equal(check(), -1);
	begin_tmpfile();
	add("/", 1);
	assert_int_equal(check(), -1);
	begin_tmpfile();
	add("//", 2);
	assert_int_equal(check(), -1);
	begin_tmpfile();
	add_text("n");
	assert_int_equal(check(), -1);
	begin(FUSE_TMPFILE);
	add_zeros(sizeof(struct fuse_create_in) - 1);
	assert_int_equal(check(), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),	      cmocka_unit_test(test_types),
		cmocka_unit_test(test_flags_and_pid), cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_tmpfile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
