/*
 * Requests that a correct kernel does not send, one by one, without a mount:
 * what exactly the answer is. Has to be the last: a pool changes this process.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/share.h"
#include "spec/fuse_request.h"

/* See guest/kernel-spare.patch. */
#define DIR_END (1u << 28)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static bool answered, finished;
static int answer_error;
static unsigned int answer_count;
static uint8_t answer_body[4096];
static uint32_t answer_length;
static size_t finished_size;

static char source[128];
static struct share_pool *pool;
static struct share *share;

static void reply(void *cookie, const struct iovec *iov, int count)
{
	const struct fuse_out_header *out = iov[0].iov_base;

	(void)cookie;
	pthread_mutex_lock(&lock);
	answered = true;
	answer_count++;
	answer_error = -out->error;
	answer_length = out->len;
	if (count == 2 && iov[1].iov_len <= sizeof(answer_body))
		memcpy(answer_body, iov[1].iov_base, iov[1].iov_len);
	pthread_mutex_unlock(&lock);
}

static void request_done(void *cookie, size_t size)
{
	(void)cookie;
	pthread_mutex_lock(&lock);
	finished = true;
	finished_size = size;
	pthread_cond_signal(&done);
	pthread_mutex_unlock(&lock);
}

/* The errno of it; -2: finished without an answer. */
static int wait_for_answer(size_t size)
{
	pthread_mutex_lock(&lock);
	while (!finished)
		pthread_cond_wait(&done, &lock);
	pthread_mutex_unlock(&lock);
	if (finished_size != size)
		return -3;
	return answered ? answer_error : -2;
}

/* The errno of the answer; -1: violation, -2: finished without an answer. */
static int request(uint32_t opcode, uint64_t node, const void *body, size_t size)
{
	struct fuse_in_header header = {
		.len = (uint32_t)(sizeof(header) + size),
		.opcode = opcode,
		.unique = 2,
		.nodeid = node,
	};
	uint8_t *message = malloc(header.len);
	struct error err;

	memcpy(message, &header, sizeof(header));
	if (size)
		memcpy(message + sizeof(header), body, size);
	answered = finished = false;
	if (share_submit(pool, share, message, header.len, &err))
		return -1;
	return wait_for_answer(header.len);
}

static int lookup(uint64_t parent, const char *name, uint64_t *node)
{
	int result = request(FUSE_LOOKUP, parent, name, strlen(name) + 1);

	if (result == 0)
		memcpy(node, answer_body, sizeof(*node));
	return result;
}

static int forget(uint64_t node, uint64_t count)
{
	return request(FUSE_FORGET, node, &count, sizeof(count));
}

static int getattr(uint64_t node)
{
	return request(FUSE_GETATTR, node, &(struct fuse_getattr_in){ 0 }, 16);
}

static int open_node(uint32_t opcode, uint64_t node, uint32_t flags, uint64_t *handle)
{
	int result = request(opcode, node, &(struct fuse_open_in){ .flags = flags }, 8);

	if (result == 0)
		memcpy(handle, answer_body, sizeof(*handle));
	return result;
}

static int create(const char *name, uint32_t flags)
{
	struct {
		struct fuse_create_in in;
		char name[16];
	} body = { .in = { .flags = flags, .mode = S_IFREG | 0644 } };

	snprintf(body.name, sizeof(body.name), "%s", name);
	return request(FUSE_CREATE, 1, &body, sizeof(body.in) + strlen(name) + 1);
}

static int read_handle(uint32_t opcode, uint64_t node, uint64_t handle)
{
	const struct fuse_read_in in = { .fh = handle, .size = 100 };

	return request(opcode, node, &in, sizeof(in));
}

static int release(uint32_t opcode, uint64_t node, uint64_t handle)
{
	const struct fuse_release_in in = { .fh = handle };

	return request(opcode, node, &in, sizeof(in));
}

static void start_of_session(void)
{
	const struct fuse_init_in init = {
		.major = 7,
		.minor = 38,
		.flags = 0xffffffff,
		.flags2 = DIR_END,
	};
	struct fuse_init_out out;

	check(getattr(1) == -1, "a request before INIT is a violation");
	check(request(FUSE_INIT, 0, &init, sizeof(init)) == 0, "INIT");
	memcpy(&out, answer_body, sizeof(out));
	check(out.max_write == SHARE_MAX_IO && out.max_pages == 256, "1 MiB at a time");
	check(out.flags & FUSE_HANDLE_KILLPRIV_V2 && out.flags & FUSE_POSIX_ACL &&
		      out.flags & FUSE_DONT_MASK && out.flags & FUSE_AUTO_INVAL_DATA &&
		      out.flags & FUSE_POSIX_LOCKS && out.flags & FUSE_FLOCK_LOCKS &&
		      !(out.flags &
			(FUSE_WRITEBACK_CACHE | FUSE_SETXATTR_EXT | FUSE_HANDLE_KILLPRIV)),
	      "what is agreed to, and what not");
	check(out.flags & FUSE_INIT_EXT && out.flags2 == DIR_END,
	      "of what our kernel has, what it says and no more");
	check(request(FUSE_INIT, 0, &init, sizeof(init)) == -1, "a second INIT is a violation");
	check(request(FUSE_INTERRUPT, 0, &(uint64_t){ 2 }, 8) == -2,
	      "an INTERRUPT of what is over: no answer, and its credit back");
	check(request(999, 1, NULL, 0) == ENOSYS, "an opcode of the future: ENOSYS");
}

static void node_ids(void)
{
	uint64_t node = 0, again = 0;

	check(lookup(1, "file", &node) == 0, "a lookup");
	check(lookup(1, "file", &again) == 0 && again == node, "another one: same id");
	check(forget(node, 1) == -2 && getattr(node) == 0, "FORGET of one, without an answer");
	check(forget(node, 100) == -2 && getattr(node) == ESTALE, "of more than there are: ESTALE");
	check(forget(node, 1) == -2, "once more");
	check(lookup(1, "file", &again) == 0 && again != node, "known again: another id");
	check(getattr(node) == ESTALE && getattr(again) == 0, "the old one stays over");
	check(forget(1, UINT64_MAX) == -2 && getattr(1) == 0, "the root is never forgotten");
	check(getattr(12345) == ESTALE && getattr(UINT64_MAX) == ESTALE, "ids made up: ESTALE");
	check(lookup(again, "x", &node) == ENOTDIR, "below a file: ENOTDIR");
	check(lookup(1, "..", &node) == -1, "\"..\" is a violation");
	check(lookup(1, "out", &node) == 0 && lookup(node, "x", &again) == ENOTDIR,
	      "below a symlink to a directory: ENOTDIR");
	check(open_node(FUSE_OPENDIR, node, 0, &again) == ENOTDIR, "nor is it opened");
	check(open_node(FUSE_OPEN, node, 0, &again) == ELOOP, "as a file neither");
}

static void never_opened(void)
{
	static const char *const names[] = { "fifo", "null", "disk", "socket" };
	uint64_t node = 0, handle = 0;

	for (size_t i = 0; i < 4; i++) {
		check(lookup(1, names[i], &node) == 0 &&
			      open_node(FUSE_OPEN, node, 0, &handle) == ENXIO &&
			      open_node(FUSE_OPENDIR, node, 0, &handle) == ENOTDIR,
		      "OPEN of a %s: ENXIO", names[i]);
		check(create(names[i], 0) == ENXIO, "CREATE on a %s: ENXIO", names[i]);
	}
	check(create("file", O_EXCL) == EEXIST && create("file", 0) == 0, "CREATE on a file");
	check(create("out", 0) == ELOOP, "CREATE on a symlink: ELOOP");
}

static void handles(void)
{
	uint64_t file = 0, other = 0, directory = 0, fh = 0, dh = 0;

	lookup(1, "file", &file);
	lookup(1, "other", &other);
	lookup(1, "sub", &directory);
	check(open_node(FUSE_OPEN, file, 0, &fh) == 0 &&
		      open_node(FUSE_OPENDIR, directory, 0, &dh) == 0,
	      "open");
	check(read_handle(FUSE_READ, file, fh) == 0, "read");
	check(read_handle(FUSE_READ, other, fh) == EBADF, "by another node's handle: EBADF");
	check(read_handle(FUSE_READ, directory, dh) == EBADF, "by a directory's: EBADF");
	check(read_handle(FUSE_READDIR, directory, dh) == 0 &&
		      answer_length == sizeof(struct fuse_out_header) + 2 * 32 + 8,
	      "readdir, two entries, and that they are the last");
	check(read_handle(FUSE_READDIR, file, fh) == ENOTDIR &&
		      read_handle(FUSE_READDIR, directory, fh) == EBADF,
	      "by a file's: EBADF");
	check(read_handle(FUSE_READ, file, fh + 1) == EBADF &&
		      read_handle(FUSE_READ, file, 0) == EBADF &&
		      read_handle(FUSE_READ, file, UINT64_MAX) == EBADF,
	      "handles made up: EBADF");
	check(release(FUSE_RELEASEDIR, directory, fh) == EBADF &&
		      release(FUSE_RELEASE, other, fh) == EBADF,
	      "released by the wrong name: EBADF");
	check(release(FUSE_RELEASE, file, fh) == 0, "released");
	check(release(FUSE_RELEASE, file, fh) == EBADF && read_handle(FUSE_READ, file, fh) == EBADF,
	      "once only");
	check(open_node(FUSE_OPEN, directory, 0, &fh) == EISDIR, "OPEN of a directory: EISDIR");
	/* dh stays open: share_close has to see to it */
}

/* With its data in two pieces, of 3 and of 5 bytes, whatever it says of that. */
static int placed(uint32_t opcode, uint64_t node, uint64_t handle, uint64_t offset, uint32_t size,
		  uint8_t data[8])
{
	const struct fuse_write_in in = { .fh = handle, .offset = offset, .size = size };
	struct fuse_in_header header = {
		.len = FUSE_REQUEST_PLACED_SIZE + (opcode == FUSE_WRITE ? 8 : 0),
		.opcode = opcode,
		.unique = 2,
		.nodeid = node,
	};
	struct share_data *pieces = calloc(1, sizeof(*pieces) + 2 * sizeof(pieces->pieces[0]));
	uint8_t *message = malloc(FUSE_REQUEST_PLACED_SIZE);
	struct error err;

	pieces->pieces[0] = (struct iovec){ .iov_base = data, .iov_len = 3 };
	pieces->pieces[1] = (struct iovec){ .iov_base = data + 3, .iov_len = 5 };
	pieces->count = 2;
	pieces->size = 8;
	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), &in, sizeof(in));
	answered = finished = false;
	if (share_submit_placed(pool, share, message, FUSE_REQUEST_PLACED_SIZE, pieces, &err))
		return -1;
	return wait_for_answer(FUSE_REQUEST_PLACED_SIZE);
}

static void placed_data(void)
{
	const uint32_t answer = sizeof(struct fuse_out_header);
	uint8_t data[8] = "ABCDEFGH";
	uint64_t file = 0, fh = 0;

	check(lookup(1, "data", &file) == 0 && open_node(FUSE_OPEN, file, O_RDWR, &fh) == 0,
	      "a file for data that is not in the messages");
	check(placed(FUSE_WRITE, file, fh, 2, 8, data) == 0 &&
		      *(uint32_t *)answer_body == sizeof(data) &&
		      file_is(at(source, "data"), "01ABCDEFGH"),
	      "WRITE takes it from where it is");
	memset(data, '-', sizeof(data));
	check(placed(FUSE_READ, file, fh, 1, 8, data) == 0 && !memcmp(data, "1ABCDEFG", 8) &&
		      answer_length == answer + 8,
	      "READ puts it there, and its answer tells of the length");
	memset(data, '-', sizeof(data));
	check(placed(FUSE_READ, file, fh, 6, 8, data) == 0 && !memcmp(data, "EFGH----", 8) &&
		      answer_length == answer + 4,
	      "at the file's end");
	check(placed(FUSE_READ, file, fh, 100, 8, data) == 0 && answer_length == answer,
	      "and beyond");
	check(placed(FUSE_READ, file, fh + 1, 0, 8, data) == EBADF && answer_length == answer,
	      "an error has none");
	check(placed(FUSE_READ, file, fh, 0, 9, data) == -1 &&
		      placed(FUSE_WRITE, file, fh, 0, 7, data) == -1,
	      "more or less than there is place for: a violation");
	check(placed(FUSE_FSYNC, file, fh, 0, 8, data) == -1, "of what has no data, too");
	check(placed(FUSE_WRITE, file, fh, 0, 8, NULL) == EFAULT, "where there is nothing: EFAULT");
	release(FUSE_RELEASE, file, fh);
}

static int setlk(uint32_t opcode, uint64_t node, uint64_t handle, uint64_t owner, uint32_t type,
		 uint32_t flags)
{
	const struct fuse_lk_in in = { .fh = handle,
				       .owner = owner,
				       .lk = { .end = INT64_MAX, .type = type, .pid = 7 },
				       .lk_flags = flags };

	return request(opcode, node, &in, sizeof(in));
}

/* The errno that a request which was left without an answer has got now; -2: none in 5 s. */
static int late_answer(void)
{
	double end = now() + 5;
	int result = -2;

	while (result == -2 && now() < end) {
		pthread_mutex_lock(&lock);
		if (answered)
			result = answer_error;
		pthread_mutex_unlock(&lock);
		usleep(1000);
	}
	return result;
}

static void interrupt(uint64_t unique)
{
	request(FUSE_INTERRUPT, 0, &unique, sizeof(unique));
}

static void lock_requests(void)
{
	uint64_t file = 0, other = 0, directory = 0, fh = 0, readonly_fh = 0, dh = 0;
	struct fuse_lk_out found;
	double start;

	lookup(1, "file", &file);
	lookup(1, "other", &other);
	lookup(1, "sub", &directory);
	open_node(FUSE_OPEN, file, 2, &fh);
	open_node(FUSE_OPEN, file, 0, &readonly_fh);
	open_node(FUSE_OPENDIR, directory, 0, &dh);
	check(setlk(FUSE_SETLK, file, fh, 1, F_WRLCK, 0) == 0, "a lock");
	check(setlk(FUSE_SETLK, file, fh, 2, F_RDLCK, 0) == EAGAIN, "another owner, same handle");
	check(setlk(FUSE_GETLK, file, fh, 2, F_RDLCK, 0) == 0 &&
		      memcpy(&found, answer_body, sizeof(found)) && found.lk.type == F_WRLCK &&
		      found.lk.pid == 7 && found.lk.end == INT64_MAX,
	      "GETLK tells of it, and its pid");
	check(setlk(FUSE_SETLK, other, fh, 1, F_WRLCK, 0) == EBADF &&
		      setlk(FUSE_SETLKW, file, fh + 1000, 1, F_WRLCK, 0) == EBADF &&
		      setlk(FUSE_GETLK, file, 0, 1, F_WRLCK, 0) == EBADF &&
		      setlk(FUSE_SETLK, directory, dh, 1, F_WRLCK, 0) == EBADF,
	      "handles of another node, made up, of a directory: EBADF");
	check(setlk(FUSE_SETLK, other, fh, 1, F_UNLCK, 0) == EBADF, "nor to unlock");
	check(setlk(FUSE_SETLK, directory, dh, 1, F_WRLCK, FUSE_LK_FLOCK) == 0,
	      "flock of a directory");
	check(setlk(FUSE_SETLK, file, readonly_fh, 3, F_WRLCK, 0) == EBADF,
	      "a write lock by a handle that only reads: EBADF");

	check(setlk(FUSE_SETLKW, file, fh, 2, F_WRLCK, 0) == -2,
	      "a wait: no answer, but its credit back");
	check(getattr(1) == 0, "others are served");
	answered = false;
	interrupt(2);
	check(late_answer() == EINTR, "INTERRUPT ends it");
	check(setlk(FUSE_SETLKW, file, fh, 2, F_WRLCK, 0) == -2 &&
		      setlk(FUSE_SETLKW, file, fh, 3, F_WRLCK, FUSE_LK_FLOCK) == 0 &&
		      setlk(FUSE_SETLKW, file, readonly_fh, 4, F_RDLCK, FUSE_LK_FLOCK) == -2,
	      "two waits by one id");
	answer_count = 0;
	interrupt(2);
	usleep(200000);
	check(late_answer() == EINTR && answer_count == 2, "end both");
	check(setlk(FUSE_SETLKW, file, fh, 2, F_WRLCK, 0) == -2, "a wait");
	check(setlk(FUSE_SETLK, file, fh, 1, F_UNLCK, 0) == 0, "whose lock is given up");
	usleep(100000);
	check(setlk(FUSE_SETLK, file, fh, 1, F_RDLCK, 0) == EAGAIN, "gets it");
	check(request(FUSE_FLUSH, file,
		      &(struct fuse_flush_in){ .fh = readonly_fh, .lock_owner = 2 },
		      sizeof(struct fuse_flush_in)) == 0 &&
		      setlk(FUSE_SETLK, file, fh, 1, F_WRLCK, 0) == 0,
	      "a close by the owner, of whichever handle, ends it");
	check(release(FUSE_RELEASE, file, fh) == 0 &&
		      setlk(FUSE_SETLK, file, readonly_fh, 5, F_RDLCK, 0) == 0 &&
		      setlk(FUSE_SETLK, file, readonly_fh, 5, F_RDLCK, FUSE_LK_FLOCK) == 0,
	      "the handle's RELEASE ends all that was locked by it");

	start = now();
	for (uint64_t i = 0; i < 300000; i++)
		interrupt(1000 + 2 * i);
	check(now() - start < 30, "300,000 INTERRUPTs of nothing (%.1f s)", now() - start);
	start = now();
	for (int i = 0; i < 100; i++)
		getattr(1);
	check(now() - start < 2, "leave nothing that others have to look through (%.3f s)",
	      now() - start);
	open_node(FUSE_OPEN, file, 2, &fh);
	check(setlk(FUSE_SETLKW, file, fh, 6, F_WRLCK, 0) == -2 &&
		      setlk(FUSE_SETLKW, file, fh, 6, F_WRLCK, FUSE_LK_FLOCK) == -2,
	      "two that wait until the share is closed");
}

static int tmpfile_named(const char *name, uint32_t flags)
{
	struct {
		struct fuse_create_in in;
		char name[16];
	} body = { .in = { .flags = flags, .mode = S_IFREG | 0600 } };

	snprintf(body.name, sizeof(body.name), "%s", name);
	return request(FUSE_TMPFILE, 1, &body, sizeof(body.in) + strlen(name) + 1);
}

static void tmpfiles(void)
{
	check(tmpfile_named("/", O_RDWR) == 0, "TMPFILE");
	check(tmpfile_named("x", O_RDWR) == -1 && tmpfile_named("//", O_RDWR) == -1 &&
		      create("/", O_RDWR) == -1,
	      "with a name, and CREATE with that of a TMPFILE: violations");
	check(tmpfile_named("/", O_RDONLY) == EINVAL, "not for writing: EINVAL");
}

void checks_protocol(void)
{
	const struct share_callbacks callbacks = { .reply = reply, .request_done = request_done };
	struct error err = { 0 };
	bool directory;

	snprintf(source, sizeof(source), "%s/protocol", base);
	mkdir(source, 0755);
	mkdir(at(source, "sub"), 0755);
	write_file(at(source, "file"), "x", 1);
	write_file(at(source, "other"), "x", 1);
	write_file(at(source, "data"), "0123456789", 10);
	mkfifo(at(source, "fifo"), 0666);
	mknod(at(source, "null"), S_IFCHR | 0666, makedev(1, 3));
	mknod(at(source, "disk"), S_IFBLK | 0666, makedev(7, 0));
	mknod(at(source, "socket"), S_IFSOCK | 0666, 0);
	check(symlink("..", at(source, "out")) == 0, "a tree for single requests");
	share = share_open(source, false, SHARE_CACHE_AUTO, &directory, &err);
	pool = share_pool_start(2, &callbacks, NULL, &err);
	check(share && pool && share_serve(pool, share, NULL, &err) == 0, "served (%s)",
	      err.message);
	start_of_session();
	node_ids();
	never_opened();
	handles();
	placed_data();
	tmpfiles();
	lock_requests();
	check(request(FUSE_SYNCFS, 1, &(struct fuse_syncfs_in){ 0 },
		      sizeof(struct fuse_syncfs_in)) == 0,
	      "SYNCFS, which libfuse does not know");
	check(request(FUSE_DESTROY, 0, NULL, 0) == 0 && getattr(1) == -1, "nothing after DESTROY");
	answered = false;
	share_close(share);
	check(answered && answer_error == EINTR, "waits end with the share");
	share_pool_stop(pool);
}
