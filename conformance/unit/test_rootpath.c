/*
 * Paths below a root: whatever links an image holds, nothing is opened or made
 * outside. Each test has a directory of its own, with the root at ROOT/root and
 * something to protect beside it.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rootpath.h"

static char base[64];
static int rootfd = -1;

static void make_file(const char *path, const char *content)
{
	int fd = openat(rootfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	close(fd);
}

static void make_link(const char *target, const char *path)
{
	assert_int_equal(symlinkat(target, rootfd, path), 0);
}

static int setup(void **state)
{
	char path[128];

	(void)state;
	strcpy(base, "/tmp/vxn-rootpath-XXXXXX");
	assert_non_null(mkdtemp(base));
	snprintf(path, sizeof(path), "%s/root", base);
	assert_int_equal(mkdir(path, 0755), 0);
	rootfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(rootfd >= 0);
	make_file("../secret", "secret");
	assert_int_equal(mkdirat(rootfd, "etc", 0755), 0);
	assert_int_equal(mkdirat(rootfd, "etc/sub", 0755), 0);
	make_file("etc/file", "inside");
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	close(rootfd);
	return nftw(base, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static bool exists(const char *path)
{
	struct stat st;

	return fstatat(rootfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The path of what fd is, below the test's directory. */
static void assert_is(int fd, const char *expected)
{
	char link[64], path[PATH_MAX];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	assert_true(length > 0);
	path[length] = 0;
	assert_string_equal(path + strlen(base), expected);
}

static void opens(void **state)
{
	static const char *const cases[][2] = {
		{ "/etc/file", "/root/etc/file" },
		{ "etc/file", "/root/etc/file" },
		{ "/../../etc/file", "/root/etc/file" },
		{ "/", "/root" },
		{ "", "/root" },
		{ "..", "/root" },
		{ "absolute", "/root/etc/file" },
		{ "climbing", "/root/etc/file" },
		{ "up/etc/sub/../file", "/root/etc/file" },
	};
	struct error err = { 0 };

	(void)state;
	make_link("/etc/file", "absolute");
	make_link("../../../../etc/file", "climbing");
	make_link("..", "up");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = rootpath_open(rootfd, cases[i][0], O_PATH, &err);

		assert_ok(fd, err);
		assert_is(fd, cases[i][1]);
		close(fd);
	}
}

static void open_fails(void **state)
{
	struct error err = { 0 };
	char target[96];

	(void)state;
	snprintf(target, sizeof(target), "%s/secret", base);
	make_link(target, "leak");
	make_link("../secret", "leak2");
	make_link("loop", "loop");
	assert_int_equal(rootpath_open(rootfd, "leak", O_RDONLY, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_int_equal(rootpath_open(rootfd, "leak2", O_RDONLY, &err), -1);
	assert_int_equal(rootpath_open(rootfd, "../secret", O_RDONLY, &err), -1);
	assert_string_equal(err.message,
			    "open ../secret in the root file system: No such file or directory");
	assert_int_equal(rootpath_open(rootfd, "loop", O_RDONLY, &err), -1);
	assert_int_equal(err.errnum, ELOOP);
}

/* /proc/self/root and the like lead anywhere. */
static void magic_links(void **state)
{
	CLEANUP_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct error err = { 0 };

	(void)state;
	assert_int_equal(rootpath_open(proc, "self/root/etc", O_PATH, &err), -1);
	assert_int_equal(err.errnum, ELOOP);
	assert_int_equal(rootpath_open(proc, "self/cwd", O_PATH, &err), -1);
}

static void resolves(void **state)
{
	static const char *const cases[][2] = {
		{ "/", "/" },
		{ "", "/" },
		{ "a//b/./c/", "/a/b/c" },
		{ "../../x", "/x" },
		{ "missing/../etc/file", "/etc/file" },
		{ "l/x", "/nowhere/deep/x" },
		{ "l/../y", "/nowhere/y" },
		{ "etc/rel/x", "/etc/sub/x" },
		{ "etc/rel/../../../../x", "/x" },
		{ "etc/chain", "/nowhere/deep/end" },
	};
	struct error err = { 0 };

	(void)state;
	make_link("/nowhere/deep", "l");
	make_link("sub/", "etc/rel");
	make_link("../l/end", "etc/chain");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_FREE char *path = rootpath_resolve(rootfd, cases[i][0], &err);

		if (!path)
			fail_msg("%s", err.message);
		assert_string_equal(path, cases[i][1]);
	}
	assert_false(exists("nowhere"));
}

static void resolve_fails(void **state)
{
	CLEANUP_FREE char *long_name = malloc(PATH_MAX + 300);
	struct error err = { 0 };

	(void)state;
	make_link("b/x", "a");
	make_link("a", "b");
	assert_null(rootpath_resolve(rootfd, "a", &err));
	assert_int_equal(err.errnum, ELOOP);
	memset(long_name, 'x', PATH_MAX + 299);
	long_name[PATH_MAX + 299] = 0;
	assert_null(rootpath_resolve(rootfd, long_name, &err));
	assert_int_equal(err.errnum, ENAMETOOLONG);
	long_name[256] = 0;
	assert_null(rootpath_resolve(rootfd, long_name, &err));
	assert_int_equal(err.errnum, ENAMETOOLONG);
	long_name[255] = 0;
	free(rootpath_resolve(rootfd, long_name, &err));
}

static void creates(void **state)
{
	static const struct {
		const char *path;
		bool directory;
		const char *expected;
	} cases[] = {
		{ "/new/deep/dir", true, "/root/new/deep/dir" },
		{ "/new/deep/dir", true, "/root/new/deep/dir" },
		{ "/other/file", false, "/root/other/file" },
		{ "/etc/file", false, "/root/etc/file" },
		{ "/etc", true, "/root/etc" },
		{ "/", true, "/root" },
		{ "/dangling/x", true, "/root/made/for/it/x" },
		{ "/dangling-file", false, "/root/made/as/file" },
		{ "/escape/y", false, "/root/outside/y" },
		{ "../../z", true, "/root/z" },
		{ "/etc/fifo", false, "/root/etc/fifo" },
	};
	struct error err = { 0 };
	mode_t old = umask(0);

	(void)state;
	make_link("/made/for/it", "dangling");
	make_link("made/as/file", "dangling-file");
	make_link("../../../outside", "escape");
	assert_int_equal(mkfifoat(rootfd, "etc/fifo", 0600), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = rootpath_create(rootfd, cases[i].path, cases[i].directory, &err);
		struct stat st;

		assert_ok(fd, err);
		assert_is(fd, cases[i].expected);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(S_ISDIR(st.st_mode), cases[i].directory);
		if (S_ISDIR(st.st_mode))
			assert_int_equal(st.st_mode & 07777, 0755);
		close(fd);
	}
	umask(old);
	assert_false(exists("../outside"));
	assert_false(exists("../z"));
}

static void create_fails(void **state)
{
	static const struct {
		const char *path;
		bool directory;
		int errnum;
	} cases[] = {
		{ "/etc/file", true, ENOTDIR },	  { "/etc", false, EISDIR },
		{ "/etc/file/x", true, ENOTDIR }, { "/", false, EISDIR },
		{ "/loop/x", true, ELOOP },
	};
	struct error err = { 0 };

	(void)state;
	make_link("/loop", "loop");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(rootpath_create(rootfd, cases[i].path, cases[i].directory, &err),
				 -1);
		assert_int_equal(err.errnum, cases[i].errnum);
	}
	assert_int_equal(rootpath_create(rootfd, "/etc/file/x", true, &err), -1);
	assert_string_equal(err.message,
			    "make the directory /etc/file/x to mount on: Not a directory");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(opens),	     CASE(open_fails), CASE(magic_links),  CASE(resolves),
		CASE(resolve_fails), CASE(creates),    CASE(create_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
