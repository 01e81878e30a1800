/*
 * What a guest may know and forget, by single requests of many: a kernel that looks
 * up a million files, forgets more than it knew, forgets parents before children,
 * uses what is over, and opens all that it can.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/io_confine.h"
#include "runtime/share.h"
#include "runtime/share_watch.h"

#define NOFILE	      3000
#define IN_FLIGHT     64
#define PER_DIRECTORY 10000
#define OTHER_FILES   300

/* What came back for the request of that index: an id (of a node or a handle), or an errno. */
struct result {
	uint64_t id;
	int errnum;
};

static struct result *results;
static uint32_t file_count, directory_count;
static uint64_t *ids, *directory_ids;
/* What is open. */
static uint64_t handle_ids[NOFILE], handle_nodes[NOFILE];
static sem_t room;
static struct share_pool *pool;
static struct share *tree, *other;

static void reply(void *cookie, const struct iovec *iov, int count)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	struct result *result = &results[out->unique - 2];

	(void)cookie;
	result->errnum = -out->error;
	if (count == 2 && iov[1].iov_len >= sizeof(result->id))
		memcpy(&result->id, iov[1].iov_base, sizeof(result->id));
}

/* There is nobody to tell. */
static void notify(void *cookie, const struct iovec *iov, int count)
{
	(void)cookie;
	(void)iov;
	(void)count;
}

static void request_done(void *cookie, size_t size)
{
	(void)cookie;
	(void)size;
	sem_post(&room);
}

static void submit(struct share *share, uint32_t index, uint32_t opcode, uint64_t node,
		   const void *body, size_t size)
{
	struct fuse_in_header header = {
		.len = (uint32_t)(sizeof(header) + size),
		.opcode = opcode,
		.unique = index + 2,
		.nodeid = node,
	};
	uint8_t *message = malloc(header.len);
	struct error err;

	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), body, size);
	results[index] = (struct result){ .errnum = -1 };
	sem_wait(&room);
	if (share_submit(pool, share, message, header.len, &err)) {
		printf("# %s\n", err.message);
		sem_post(&room);
	}
}

/* Until all that was submitted is answered. */
static void settle(void)
{
	for (int i = 0; i < IN_FLIGHT; i++)
		sem_wait(&room);
	for (int i = 0; i < IN_FLIGHT; i++)
		sem_post(&room);
}

static void lookup(struct share *share, uint32_t index, uint64_t parent, const char *name)
{
	submit(share, index, FUSE_LOOKUP, parent, name, strlen(name) + 1);
}

static void forget(uint32_t index, uint64_t node, uint64_t count)
{
	submit(tree, index, FUSE_FORGET, node, &count, sizeof(count));
}

static void getattr(uint32_t index, uint64_t node)
{
	submit(tree, index, FUSE_GETATTR, node, &(struct fuse_getattr_in){ 0 },
	       sizeof(struct fuse_getattr_in));
}

static int getattr_now(uint64_t node)
{
	getattr(0, node);
	settle();
	return results[0].errnum;
}

static void init_session(struct share *share)
{
	/* with all that it can: what is watched is believed for long */
	const struct fuse_init_in init = {
		.major = 7, .minor = 38, .flags = 0xffffffff, .flags2 = 0xffffffff
	};

	submit(share, 0, FUSE_INIT, 0, &init, sizeof(init));
	settle();
}

static void name_of(char name[16], char type, uint32_t number)
{
	snprintf(name, 16, "%c%u", type, number);
}

static void lookup_directories(void)
{
	char name[16];

	for (uint32_t i = 0; i < directory_count; i++) {
		name_of(name, 'd', i);
		lookup(tree, i, FUSE_ROOT_ID, name);
	}
	settle();
	for (uint32_t i = 0; i < directory_count; i++)
		directory_ids[i] = results[i].id;
}

/* How many of all files could be looked up. */
static uint32_t lookup_files(void)
{
	uint32_t found = 0;
	char name[16];

	for (uint32_t i = 0; i < file_count; i++) {
		name_of(name, 'f', i);
		lookup(tree, i, directory_ids[i / PER_DIRECTORY], name);
	}
	settle();
	for (uint32_t i = 0; i < file_count; i++)
		found += results[i].errnum == 0 && results[i].id != 0;
	return found;
}

static uint32_t count_errors(uint32_t count, int errnum)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++)
		n += results[i].errnum == errnum;
	return n;
}

static bool one(bool good, const char *what)
{
	if (!good)
		printf("# not so: %s\n", what);
	return good;
}

static bool known_and_again(void)
{
	uint32_t same = 0;
	bool good = one(lookup_files() == file_count, "all files are found");

	for (uint32_t i = 0; i < file_count; i++)
		ids[i] = results[i].id;
	good &= one(lookup_files() == file_count, "again");
	for (uint32_t i = 0; i < file_count; i++)
		same += ids[i] == results[i].id;
	good &= one(same == file_count, "with the same ids");
	for (uint32_t i = 0; i < file_count; i++)
		getattr(i, ids[i]);
	settle();
	good &= one(count_errors(file_count, 0) == file_count, "each has attributes");
	return good;
}

/* Parents first, which no kernel does; then the children, more often than they were known. */
static bool forgotten(void)
{
	const uint32_t last = file_count - 1;
	uint32_t same = 0;
	bool good = true;

	for (uint32_t i = 0; i < directory_count; i++)
		forget(i, directory_ids[i], 1);
	settle();
	good &= one(getattr_now(directory_ids[0]) == ESTALE, "a forgotten directory is ESTALE");
	/* the last were used last: this one has to be found through what is forgotten */
	good &= one(getattr_now(ids[0]) == 0, "a child of it is found");
	forget(0, ids[0], 1);
	settle();
	good &= one(getattr_now(ids[0]) == 0, "known twice, forgotten once");
	for (uint32_t i = 0; i < file_count; i++)
		forget(i, ids[i], i % 2 ? UINT64_MAX : 2 + i);
	settle();
	for (uint32_t i = 0; i < file_count; i++)
		getattr(i, ids[i]);
	settle();
	good &= one(count_errors(file_count, ESTALE) == file_count, "all forgotten: ESTALE");
	for (uint32_t i = 0; i < file_count; i++)
		forget(i, ids[i], 1);
	settle();
	lookup_directories();
	good &= one(lookup_files() == file_count, "all are found again");
	for (uint32_t i = 0; i < file_count; i++)
		same += ids[i] == results[i].id;
	good &= one(same == 0, "no id is used again");
	for (uint32_t i = 0; i < file_count; i++)
		getattr(i, ids[i]);
	settle();
	good &= one(count_errors(file_count, ESTALE) == file_count, "the old ones stay ESTALE");
	good &= one(getattr_now(UINT64_MAX) == ESTALE &&
			    getattr_now((uint64_t)last << 33) == ESTALE,
		    "ids made up are");
	return good;
}

static uint32_t open_all(struct share *share, uint32_t count)
{
	uint32_t opened;

	for (uint32_t i = 0; i < count; i++)
		submit(share, i, FUSE_OPEN, ids[i], &(struct fuse_open_in){ 0 }, 8);
	settle();
	opened = count_errors(count, 0);
	if (opened + count_errors(count, ENFILE) != count)
		printf("# other errors than ENFILE\n");
	return opened;
}

/* All that can be open in one share: the other has its part. */
static bool opened(void)
{
	uint32_t count = NOFILE, here, there;
	char name[16];

	lookup_files();
	for (uint32_t i = 0; i < count; i++)
		ids[i] = results[i].id;
	here = open_all(tree, count);
	for (uint32_t i = 0; i < count; i++) {
		handle_ids[i] = results[i].errnum ? 0 : results[i].id;
		handle_nodes[i] = ids[i];
	}
	for (uint32_t i = 0; i < OTHER_FILES; i++) {
		name_of(name, 'f', i);
		lookup(other, i, FUSE_ROOT_ID, name);
	}
	settle();
	for (uint32_t i = 0; i < OTHER_FILES; i++)
		ids[i] = results[i].id;
	there = open_all(other, OTHER_FILES);
	printf("# %u files open in one share, then %u in another\n", here, there);
	return one(here > NOFILE / 5 && here < NOFILE / 2, "ENFILE when many are open") &&
	       one(there > NOFILE / 20 && there < OTHER_FILES, "the other share has its part");
}

/* Removed, but never forgotten nor open: they may be lost when they are many. */
static bool removed(void)
{
	struct fuse_getattr_in in = { 0 };
	uint32_t lost = 0, kept;
	char name[16];

	for (uint32_t i = 0; i < NOFILE; i++)
		if (handle_ids[i])
			submit(tree, i, FUSE_RELEASE, handle_nodes[i],
			       &(struct fuse_release_in){ .fh = handle_ids[i] },
			       sizeof(struct fuse_release_in));
	settle();
	lookup_files();
	for (uint32_t i = 0; i < 2 * NOFILE; i++)
		ids[i] = results[i].id;
	for (uint32_t i = 0; i < 2 * NOFILE; i++) {
		name_of(name, 'f', i);
		submit(tree, i, FUSE_UNLINK, directory_ids[0], name, strlen(name) + 1);
	}
	settle();
	if (!one(count_errors(2 * NOFILE, 0) == 2 * NOFILE, "all are removed"))
		return false;
	for (uint32_t i = 0; i < 2 * NOFILE; i++)
		submit(tree, i, FUSE_GETATTR, ids[i], &in, sizeof(in));
	settle();
	lost = count_errors(2 * NOFILE, ESTALE);
	kept = count_errors(2 * NOFILE, 0);
	printf("# %u removed files are kept, %u lost\n", kept, lost);
	name_of(name, 'f', file_count - 1);
	lookup(tree, 0, directory_ids[(file_count - 1) / PER_DIRECTORY], name);
	settle();
	return one(lost + kept == 2 * NOFILE && kept >= NOFILE / 8, "some are kept, none fails") &&
	       one(results[0].errnum == 0 && getattr_now(results[0].id) == 0, "the share goes on");
}

/* Tells the parent, which looks at the memory, and waits for it. */
static void pause_for(int fds[2])
{
	char byte = 'x';

	if (write(fds[0], &byte, 1) != 1 || read(fds[1], &byte, 1) != 1)
		printf("# the parent is gone\n");
}

static int attack(const char *place, int fds[2])
{
	const struct share_callbacks callbacks = { .reply = reply,
						   .notify = notify,
						   .request_done = request_done };
	const struct rlimit nofile = { NOFILE, NOFILE };
	struct error err = { 0 };
	struct share_watch *watch = share_watch_open(&err);
	bool directory;
	bool good;

	setrlimit(RLIMIT_NOFILE, &nofile);
	sem_init(&room, 0, IN_FLIGHT);
	tree = share_open(at(place, "tree"), false, SHARE_CACHE_AUTO, &directory, &err);
	other = share_open(at(place, "other"), false, SHARE_CACHE_AUTO, &directory, &err);
	if (tree && other && (!option_confined || io_confine(&(struct io_needs){ 0 }, &err) == 0))
		pool = share_pool_start(4, &callbacks, watch, &err);
	if (!pool || share_serve(pool, tree, NULL, &err) || share_serve(pool, other, NULL, &err)) {
		printf("# %s\n", err.message);
		return 1;
	}
	init_session(tree);
	init_session(other);
	pause_for(fds);
	lookup_directories();
	good = known_and_again();
	pause_for(fds);
	good &= forgotten();
	good &= opened();
	good &= removed();
	share_close(tree);
	share_pool_stop(pool);
	share_close(other);
	share_watch_close(watch);
	return good ? 0 : 2;
}

static bool make_files(const char *place)
{
	char directory[160];
	bool good = true;

	mkdir(at(place, "tree"), 0755);
	mkdir(at(place, "other"), 0755);
	for (uint32_t i = 0; i < OTHER_FILES; i++)
		good &= mknod(at(place, "other/f%u", i), S_IFREG | 0644, 0) == 0;
	for (uint32_t i = 0; i < file_count; i++) {
		snprintf(directory, sizeof(directory), "%s/tree/d%u", place, i / PER_DIRECTORY);
		if (i % PER_DIRECTORY == 0)
			mkdir(directory, 0755);
		good &= mknod(at(directory, "f%u", i), S_IFREG | 0644, 0) == 0;
	}
	return good;
}

/* What was resident each time that the child waited. */
static void watch(pid_t child, int ready, int go, long rss[2])
{
	char byte;

	for (int i = 0; i < 2 && read(ready, &byte, 1) == 1; i++) {
		rss[i] = memory(child);
		if (write(go, &byte, 1) != 1)
			return;
	}
}

void checks_counts(void)
{
	char place[128];
	int ready[2] = { -1, -1 }, go[2] = { -1, -1 }, status = -1;
	long rss[2] = { 0 };
	pid_t child;

	file_count = option_full ? 1000000 : 50000;
	directory_count = file_count / PER_DIRECTORY;
	results = calloc(file_count, sizeof(*results));
	ids = calloc(file_count, sizeof(*ids));
	directory_ids = calloc(directory_count, sizeof(*directory_ids));
	/* ours are resident before the server's begin to count */
	memset(results, 1, file_count * sizeof(*results));
	memset(ids, 1, file_count * sizeof(*ids));
	snprintf(place, sizeof(place), "%s/counts", base);
	mkdir(place, 0755);
	check(mount("none", place, "tmpfs", 0, "nr_inodes=0") == 0 && make_files(place) &&
		      pipe2(ready, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0,
	      "%u files", file_count);
	fflush(NULL);
	child = fork();
	if (child == 0) {
		int fds[2] = { ready[1], go[0] };

		memset(results, 2, file_count * sizeof(*results));
		memset(ids, 2, file_count * sizeof(*ids));
		close(ready[0]);
		close(go[1]);
		status = attack(place, fds);
		fflush(NULL);
		if (option_confined)
			_exit(status);
		exit(status);
	}
	close(ready[1]);
	close(go[0]);
	watch(child, ready[0], go[1], rss);
	waitpid(child, &status, 0);
	close(ready[0]);
	close(go[1]);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	      "%u files known, forgotten, known again, open, removed (status %x)", file_count,
	      status);
	printf("# resident: %ld KiB, with all of them known %ld KiB: %ld bytes each\n", rss[0],
	       rss[1], (rss[1] - rss[0]) * 1024 / (long)file_count);
	check(rss[0] > 0 && rss[1] > 0 &&
		      (!MEMORY_IS_OURS || rss[1] - rss[0] < 4096 + (long)file_count / 1024 * 300),
	      "memory is bounded");
	umount2(place, MNT_DETACH);
	free(results);
	free(ids);
	free(directory_ids);
}
