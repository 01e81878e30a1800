/* The container's record, messages with descriptors, and the small files under them. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "container.h"
#include "engine_words.h"
#include "fdpass.h"
#include "process_identity.h"
#include "textfile.h"

static char root[64];

static void ids(void **state)
{
	static const char *const good[] = { "a", "A-b_c.d+e", "...", "-", "0" };
	static const char *const bad[] = {
		"", ".", "..", "a/b", "../x", "a b", "a\n", "\xe4", "a~"
	};
	char name[1026];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(container_id_check(good[i], NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_true(container_id_check(bad[i], NULL) < 0);
	memset(name, 'x', sizeof(name));
	name[1025] = '\0';
	assert_true(container_id_check(name, NULL) < 0);
	name[1024] = '\0';
	assert_int_equal(container_id_check(name, NULL), 0);
}

static void record(void **state)
{
	struct container container, again;
	struct container_state read = { 0 };
	struct error err = { 0 };
	struct stat st;

	(void)state;
	assert_true(container_find(root, "c", &container, &err) < 0);
	assert_int_equal(err.errnum, ENOENT);
	assert_string_equal(err.message, "container does not exist");
	assert_ok(container_claim(root, "c", &container, &err), err);
	assert_int_equal(stat(container.directory, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_true(container_claim(root, "c", &again, &err) < 0);
	assert_int_equal(err.errnum, EEXIST);
	assert_string_equal(err.message, "container with given ID already exists");
	assert_ok(container_state_read(&container, &read, &err), err);
	assert_int_equal(read.status, CONTAINER_STOPPED);
	assert_string_equal(read.id, "c");
	state_free(&read);
	assert_ok(container_find(root, "c", &again, &err), err);
	assert_string_equal(again.directory, container.directory);
	container_free(&again);
	assert_ok(container_remove(&container, &err), err);
	assert_ok(container_remove(&container, &err), err);
	assert_int_equal(access(container.directory, F_OK), -1);
	container_free(&container);
}

static void uuid(void **state)
{
	struct container one, two;
	unsigned char first[16], second[16], third[16];
	struct error err = { 0 };

	(void)state;
	assert_ok(container_claim(root, "one", &one, &err), err);
	assert_ok(container_claim(root, "two", &two, &err), err);
	container_uuid(&one, first);
	container_uuid(&one, second);
	container_uuid(&two, third);
	assert_memory_equal(first, second, 16);
	assert_memory_not_equal(first, third, 16);
	assert_int_equal(first[6] >> 4, 5);
	assert_int_equal(first[8] >> 6, 2);
	container_remove(&one, NULL);
	container_remove(&two, NULL);
	container_free(&one);
	container_free(&two);
}

/* Somebody else's lock, as the monitor has it. */
static void status_and_lock(void **state)
{
	struct container container;
	struct container_state written = { .oci_version = (char *)"1.0.2",
					   .id = (char *)"c",
					   .bundle = (char *)"/b",
					   .status = CONTAINER_RUNNING,
					   .pid = getpid(),
					   .pid_start_time = process_start_time(getpid()) };
	struct container_state read = { 0 };
	struct error err = { 0 };
	char *path;
	int lock;

	(void)state;
	assert_ok(container_claim(root, "c", &container, &err), err);
	assert_ok(container_state_write(&container, &written, &err), err);
	path = container_path(&container, "lock");
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_false(container_monitor_alive(&container));
	assert_int_equal(flock(lock, LOCK_EX), 0);
	assert_true(container_monitor_alive(&container));
	assert_ok(container_state_read(&container, &read, &err), err);
	assert_int_equal(read.status, CONTAINER_RUNNING);
	assert_int_equal(read.pid, getpid());
	state_free(&read);
	written.pid_start_time++; /* the pid is another process now */
	assert_ok(container_state_write(&container, &written, &err), err);
	assert_ok(container_state_read(&container, &read, &err), err);
	assert_int_equal(read.status, CONTAINER_STOPPED);
	assert_int_equal(read.pid, 0);
	state_free(&read);
	close(lock);
	assert_ok(container_state_stored(&container, &read, &err), err);
	assert_int_equal(read.status, CONTAINER_RUNNING);
	state_free(&read);
	free(path);
	assert_ok(container_remove(&container, &err), err);
	container_free(&container);
}

static void sockets(int pair[2])
{
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
}

static void passing(void **state)
{
	int pair[2], fds[3], passed[] = { 0, 1, 2 };
	struct error err = { 0 };
	char buffer[5];

	(void)state;
	sockets(pair);
	assert_ok(fdpass_send(pair[0], "hello", 5, passed, 2, &err), err);
	assert_int_equal(fdpass_receive(pair[1], buffer, 5, fds, 3, &err), 1);
	assert_memory_equal(buffer, "hello", 5);
	assert_true(fds[0] > 2 && fds[1] > 2);
	assert_int_equal(fds[2], -1);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(fdpass_receive(pair[1], buffer, 5, fds, 3, &err), -1);
	assert_int_equal(err.errnum, EAGAIN);
	close(pair[0]);
	assert_int_equal(fdpass_receive(pair[1], buffer, 5, fds, 3, &err), 0);
	assert_true(fdpass_send(pair[1], "hello", 5, NULL, 0, &err) < 0);
	assert_int_equal(err.errnum, EPIPE);
	close(pair[1]);
}

static void passing_wrong(void **state)
{
	int pair[2], fds[1], passed[] = { 0, 1, 2, 0, 1, 2, 0, 1, 2 }, free_fd;
	char buffer[5];

	(void)state;
	sockets(pair);
	free_fd = dup(0);
	close(free_fd);
	assert_true(fdpass_send(pair[0], "x", 1, passed, FDPASS_MAX + 1, NULL) < 0);
	fdpass_send(pair[0], "hell", 4, passed, 1, NULL);
	assert_int_equal(fdpass_receive(pair[1], buffer, 5, fds, 1, NULL), -1);
	fdpass_send(pair[0], "hello!", 6, passed, 1, NULL);
	assert_int_equal(fdpass_receive(pair[1], buffer, 5, fds, 1, NULL), -1);
	fdpass_send(pair[0], "hello", 5, passed, 2, NULL);
	assert_int_equal(fdpass_receive(pair[1], buffer, 5, fds, 1, NULL), -1);
	assert_int_equal(fds[0], -1);
	assert_int_equal(dup(0), free_fd); /* nothing was left open */
	close(free_fd);
	close(pair[0]);
	close(pair[1]);
}

static void identity(void **state)
{
	pid_t pid = fork();
	struct error err = { 0 };
	uint64_t start_time;

	(void)state;
	if (pid == 0) {
		pause();
		_exit(0);
	}
	start_time = process_start_time(pid);
	assert_true(start_time > 0);
	assert_true(process_is_alive(pid, start_time));
	assert_false(process_is_alive(pid, start_time + 1));
	assert_ok(process_kill(pid, start_time + 1, 1000, &err), err);
	assert_true(process_is_alive(pid, start_time));
	assert_ok(process_kill(pid, start_time, 1000, &err), err);
	assert_false(process_is_alive(pid, start_time)); /* a zombie is not */
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(process_start_time(pid), 0);
	assert_ok(process_kill(pid, start_time, 1000, &err), err);
	assert_ok(process_kill(0, 0, 1000, &err), err);
}

static void text_files(void **state)
{
	char path[96], large[20000];
	struct error err = { 0 };
	char *text;
	size_t size;

	(void)state;
	snprintf(path, sizeof(path), "%s/text", root);
	memset(large, 'x', sizeof(large));
	assert_ok(textfile_write(path, 0600, large, sizeof(large), &err), err);
	assert_ok(textfile_write(path, 0600, large, 19999, &err), err);
	text = textfile_read(AT_FDCWD, path, 19999, &size, &err);
	assert_non_null(text);
	assert_int_equal(size, 19999);
	assert_int_equal(strlen(text), 19999);
	free(text);
	assert_null(textfile_read(AT_FDCWD, path, 19998, &size, &err));
	assert_int_equal(err.errnum, EFBIG);
	assert_null(textfile_read(AT_FDCWD, "/nowhere/x", 1, &size, &err));
	assert_int_equal(err.errnum, ENOENT);
	assert_true(textfile_write("/nowhere/x", 0600, "", 0, &err) < 0);
	unlink(path);
}

static void words(void **state)
{
	struct error err = { 0 };

	(void)state;
	error_set(&err, ENOENT, "a: Permission DENIED, operation not permitted");
	assert_int_equal(engine_words_avoid(&err), -1);
	assert_string_equal(err.message, "a: access refused, not allowed: it does not exist");
	assert_int_equal(err.errnum, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids),	    cmocka_unit_test(record),
		cmocka_unit_test(uuid),	    cmocka_unit_test(status_and_lock),
		cmocka_unit_test(passing),  cmocka_unit_test(passing_wrong),
		cmocka_unit_test(identity), cmocka_unit_test(text_files),
		cmocka_unit_test(words),
	};
	char directory[] = "/tmp/vxn-container-XXXXXX";
	int result;

	if (!mkdtemp(directory))
		return 1;
	snprintf(root, sizeof(root), "%s", directory);
	result = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(directory);
	return result;
}
