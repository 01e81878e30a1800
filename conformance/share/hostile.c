/*
 * A guest's kernel that is an enemy: random requests, most of them well-formed,
 * with node ids and handles that are right, over, made up or another share's.
 * Nothing may crash (run it with the sanitizers), nothing beside the tree may
 * change, and afterwards the share still serves.
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
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/io_confine.h"
#include "runtime/share.h"

#define IDS	  512
#define IN_FLIGHT 64
/* So many that it is no accident. */
#define SUCCESSES_MIN 500

static uint64_t state;
static uint64_t nodes[IDS], handles[IDS];
static unsigned int node_count, handle_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t room;
static unsigned long replies, successes, violations;
static uint64_t last; /* request's number */

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1d;
}

static uint64_t below(uint64_t n)
{
	return rnd() % n;
}

static uint64_t pick(const uint64_t *ids, const unsigned int *known)
{
	unsigned int count;
	uint64_t id;

	switch (below(16)) {
	case 0:
		return rnd();
	case 1:
		return below(40);
	case 2:
		return below(8) << 32 | below(64);
	case 3:
	case 4:
	case 5:
		return 1;
	default:
		pthread_mutex_lock(&lock);
		count = *known < IDS ? *known : IDS;
		id = count ? ids[below(count)] : 1;
		pthread_mutex_unlock(&lock);
		return id;
	}
}

/* --- replies: what the server said may be used --- */

static void remember(uint64_t *ids, unsigned int *count, uint64_t id)
{
	ids[(*count)++ % IDS] = id;
}

static void learn(uint32_t opcode, const uint8_t *body, size_t size)
{
	struct fuse_entry_out entry;
	struct fuse_open_out open_out;

	switch (opcode) {
	case FUSE_LOOKUP:
	case FUSE_MKDIR:
	case FUSE_MKNOD:
	case FUSE_SYMLINK:
	case FUSE_LINK:
	case FUSE_CREATE:
		if (size < sizeof(entry))
			return;
		memcpy(&entry, body, sizeof(entry));
		remember(nodes, &node_count, entry.nodeid);
		if (opcode != FUSE_CREATE)
			return;
		body += sizeof(entry);
		size -= sizeof(entry);
		/* fall through */
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		if (size < sizeof(open_out))
			return;
		memcpy(&open_out, body, sizeof(open_out));
		remember(handles, &handle_count, open_out.fh);
		return;
	default:
		return;
	}
}

static void reply(void *cookie, const struct iovec *iov, int count)
{
	const struct fuse_out_header *out = iov[0].iov_base;

	pthread_mutex_lock(&lock);
	replies++;
	if (out->error == 0)
		successes++;
	if (out->error == 0 && count == 2 && cookie)
		learn(out->unique & 0xff, iov[1].iov_base, iov[1].iov_len);
	pthread_mutex_unlock(&lock);
}

static void request_done(void *cookie, size_t size)
{
	(void)cookie;
	(void)size;
	sem_post(&room);
}

/* --- requests --- */

struct message {
	uint8_t bytes[70000];
	size_t size;
};

static void put(struct message *m, const void *data, size_t size)
{
	memcpy(m->bytes + m->size, data, size);
	m->size += size;
}

static void put_name(struct message *m)
{
	static const char *const names[] = { "a",    "b",    "c",   "d",      "sub",
					     "fifo", "null", "out", "user.x", "trusted.y" };
	const char *name = names[below(sizeof(names) / sizeof(names[0]))];

	put(m, name, strlen(name) + 1);
}

static void put_random(struct message *m, size_t size)
{
	while (size-- > 0)
		m->bytes[m->size++] = (uint8_t)(below(3) ? 0 : rnd());
}

/* Some offset or length that leads somewhere. */
static uint64_t number(void)
{
	switch (below(6)) {
	case 0:
		return rnd() >> 1;
	case 1:
		return 1ull << below(63);
	default:
		return below(100000);
	}
}

static uint32_t open_flags(void)
{
	return (uint32_t)(below(8) ? below(3) : rnd());
}

static void put_lock(struct message *m, uint32_t opcode, uint64_t fh)
{
	struct fuse_lk_in in = {
		.fh = fh,
		.owner = below(6),
		.lk = { .start = below(40), .type = (uint32_t)below(3), .pid = (uint32_t)below(9) },
		.lk_flags = opcode != FUSE_GETLK && below(3) == 0 ? FUSE_LK_FLOCK : 0,
	};

	in.lk.end = below(4) ? in.lk.start + below(40) : INT64_MAX;
	put(m, &in, sizeof(in));
}

static void put_body(struct message *m, uint32_t opcode)
{
	uint64_t fh = pick(handles, &handle_count);

	switch (opcode) {
	case FUSE_LOOKUP:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_REMOVEXATTR:
		put_name(m);
		break;
	case FUSE_FORGET:
		put(m, &(struct fuse_forget_in){ below(8) ? below(3) : rnd() }, 8);
		break;
	case FUSE_BATCH_FORGET: {
		uint32_t count = 1 + (uint32_t)below(20);

		put(m, &(struct fuse_batch_forget_in){ count, 0 }, 8);
		while (count-- > 0)
			put(m, &(struct fuse_forget_one){ pick(nodes, &node_count), below(3) }, 16);
		break;
	}
	case FUSE_GETATTR:
		put(m, &(struct fuse_getattr_in){ (uint32_t)below(2), 0, fh }, 16);
		break;
	case FUSE_SETATTR: {
		struct fuse_setattr_in in = { .valid = (uint32_t)rnd() & 0xfff,
					      .fh = fh,
					      .size = number(),
					      .mode = (uint32_t)rnd(),
					      .uid = (uint32_t)below(2000),
					      .gid = (uint32_t)rnd() };

		put(m, &in, sizeof(in));
		break;
	}
	case FUSE_SYMLINK:
		put_name(m);
		put_name(m);
		break;
	case FUSE_MKNOD: {
		static const uint32_t types[] = { S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, 0 };
		struct fuse_mknod_in in = { types[below(6)] | 0666,
					    (uint32_t)(below(2) ? 0 : below(2000)), 022, 0 };

		put(m, &in, sizeof(in));
		put_name(m);
		break;
	}
	case FUSE_MKDIR:
		put(m, &(struct fuse_mkdir_in){ (uint32_t)rnd(), (uint32_t)rnd() }, 8);
		put_name(m);
		break;
	case FUSE_RENAME:
		put(m, &(struct fuse_rename_in){ pick(nodes, &node_count) | 1 }, 8);
		put_name(m);
		put_name(m);
		break;
	case FUSE_RENAME2:
		put(m,
		    &(struct fuse_rename2_in){ pick(nodes, &node_count) | 1, (uint32_t)below(9),
					       0 },
		    16);
		put_name(m);
		put_name(m);
		break;
	case FUSE_LINK:
		put(m, &(struct fuse_link_in){ pick(nodes, &node_count) | 1 }, 8);
		put_name(m);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		put(m, &(struct fuse_open_in){ open_flags(), (uint32_t)below(2) }, 8);
		break;
	case FUSE_CREATE:
		put(m, &(struct fuse_create_in){ open_flags(), (uint32_t)rnd(), 0, 0 }, 16);
		put_name(m);
		break;
	case FUSE_TMPFILE:
		put(m, &(struct fuse_create_in){ open_flags(), (uint32_t)rnd(), 0, 0 }, 16);
		put(m, "/", 2);
		break;
	case FUSE_GETLK:
	case FUSE_SETLK:
	case FUSE_SETLKW:
		put_lock(m, opcode, fh);
		break;
	case FUSE_INTERRUPT: {
		/* one of the last requests, or none */
		uint64_t unique = below(8) ? (last - below(200)) << 8 | FUSE_SETLKW : rnd();

		put(m, &unique, sizeof(unique));
		break;
	}
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS: {
		struct fuse_read_in in = { .fh = fh,
					   .offset = number(),
					   .size = (uint32_t)below(1 << 20) };

		put(m, &in, sizeof(in));
		break;
	}
	case FUSE_WRITE: {
		struct fuse_write_in in = { .fh = fh,
					    .offset = number() >> 1,
					    .size = (uint32_t)below(60000),
					    .write_flags = (uint32_t)below(8),
					    .flags = open_flags() };

		put(m, &in, sizeof(in));
		put_random(m, in.size);
		break;
	}
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		put(m, &(struct fuse_release_in){ .fh = fh }, sizeof(struct fuse_release_in));
		break;
	case FUSE_FLUSH:
		put(m, &(struct fuse_flush_in){ .fh = fh }, sizeof(struct fuse_flush_in));
		break;
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
		put(m, &(struct fuse_fsync_in){ .fh = fh }, sizeof(struct fuse_fsync_in));
		break;
	case FUSE_SETXATTR: {
		uint32_t head[2] = { (uint32_t)below(1000), (uint32_t)below(4) };

		put(m, head, sizeof(head));
		put_name(m);
		put_random(m, head[0]);
		break;
	}
	case FUSE_GETXATTR:
		put(m, &(struct fuse_getxattr_in){ (uint32_t)below(65537), 0 }, 8);
		put_name(m);
		break;
	case FUSE_LISTXATTR:
		put(m, &(struct fuse_getxattr_in){ (uint32_t)below(65537), 0 }, 8);
		break;
	case FUSE_FALLOCATE: {
		struct fuse_fallocate_in in = { fh, number(), number(), (uint32_t)below(128), 0 };

		put(m, &in, sizeof(in));
		break;
	}
	case FUSE_LSEEK: {
		struct fuse_lseek_in in = { fh, number(), (uint32_t)below(6), 0 };

		put(m, &in, sizeof(in));
		break;
	}
	case FUSE_COPY_FILE_RANGE: {
		struct fuse_copy_file_range_in in = { fh,
						      number(),
						      pick(nodes, &node_count) | 1,
						      pick(handles, &handle_count),
						      number(),
						      number(),
						      below(2) };

		put(m, &in, sizeof(in));
		break;
	}
	default:
		put_random(m, below(100));
	}
}

static void make(struct message *m, uint64_t n)
{
	static const uint32_t uids[] = { 0, 0, 0, 1000, 65534, 0xffffffff };
	uint32_t opcode = below(30) ? 1 + (uint32_t)below(51) : (uint32_t)below(5000);
	struct fuse_in_header *header = (void *)m->bytes;

	last = n;
	/* a session that is over tests nothing more, nor does one that knows nothing */
	if (opcode == FUSE_DESTROY || opcode == FUSE_INIT)
		opcode = FUSE_LOOKUP;
	if (below(12) == 0)
		opcode = (uint32_t[]){ FUSE_SETLK, FUSE_SETLKW, FUSE_SETLKW,
				       FUSE_INTERRUPT }[below(4)];
	if ((opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_RELEASE) &&
	    below(8))
		opcode = below(2) ? FUSE_CREATE : FUSE_OPEN;
	m->size = 0;
	put(m,
	    &(struct fuse_in_header){ .opcode = opcode,
				      .unique = n << 8 | opcode,
				      .nodeid = pick(nodes, &node_count),
				      .uid = uids[below(6)],
				      .gid = uids[below(6)] },
	    sizeof(*header));
	if (below(20))
		put_body(m, opcode);
	else
		put_random(m, below(200));
	header->len = (uint32_t)m->size;
	if (below(50) == 0)
		m->bytes[below(m->size)] ^= 1 << below(8);
}

static void submit(struct share_pool *pool, struct share *share, const struct message *m)
{
	void *copy = malloc(m->size);
	struct error err;

	memcpy(copy, m->bytes, m->size);
	sem_wait(&room);
	if (share_submit(pool, share, copy, m->size, &err)) {
		violations++;
		sem_post(&room);
	}
}

static void init_session(struct share_pool *pool, struct share *share)
{
	static struct message m;
	struct fuse_in_header header = { .opcode = FUSE_INIT, .unique = 2 };
	struct fuse_init_in in = { 7, 38, 1 << 20, 0xffffffff, 0, { 0 } };
	unsigned long before, after;

	pthread_mutex_lock(&lock);
	before = replies;
	pthread_mutex_unlock(&lock);
	m.size = 0;
	header.len = sizeof(header) + sizeof(in);
	put(&m, &header, sizeof(header));
	put(&m, &in, sizeof(in));
	submit(pool, share, &m);
	do {
		usleep(1000);
		pthread_mutex_lock(&lock);
		after = replies;
		pthread_mutex_unlock(&lock);
	} while (after == before);
}

/* In a child, as it may be confined. Exit status 0 if all went well. */
static int attack(const char *tree, const char *other, double seconds)
{
	const struct share_callbacks callbacks = { .reply = reply, .request_done = request_done };
	static struct message m;
	struct error err = { 0 };
	bool directory;
	struct share *share = share_open(tree, false, SHARE_CACHE_AUTO, &directory, &err);
	struct share *second = share_open(other, false, SHARE_CACHE_AUTO, &directory, &err);
	struct share_pool *pool = NULL;
	double end = now() + seconds;
	unsigned long count = 0;

	sem_init(&room, 0, IN_FLIGHT);
	if (share && second && (!option_confined || io_confine(NULL, &err) == 0))
		pool = share_pool_start(4, &callbacks, NULL, &err);
	if (!pool || share_serve(pool, share, &err, &err) ||
	    share_serve(pool, second, NULL, &err)) {
		printf("# %s\n", err.message);
		return 1;
	}
	init_session(pool, share);
	init_session(pool, second);
	while (now() < end || count < 1000) {
		make(&m, ++count);
		submit(pool, share, &m);
	}
	share_pool_stop(pool);
	printf("# %lu requests, %lu violations, %lu replies, %lu of them successes\n", count,
	       violations, replies, successes);
	share_close(share);
	share_close(second);
	/* of many requests most fail in the end: what may be open, and the place, are used up */
	return successes > SUCCESSES_MIN ? 0 : 2;
}

/* A line of everything that must not change. */
static void fingerprint(const char *directory, char *out, size_t size)
{
	static const char *const names[] = { "canary",	"canary/f", "other",
					     "other/a", "other/b",  "other/sub" };
	size_t used = 0;
	struct stat st;

	for (size_t i = 0; i < 6; i++)
		if (stat(at(directory, "%s", names[i]), &st) == 0)
			used += (size_t)snprintf(out + used, size - used, "%lu:%o:%u:%ld:%ld.%ld ",
						 st.st_ino, st.st_mode, st.st_uid, st.st_size,
						 st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

void hostile(const char *parent, double seconds, unsigned int seed)
{
	char place[128], tree[160], other[160];
	char before[1024] = "", after[1024] = "";
	int status = -1;
	pid_t pid;

	state = seed * 0x9e3779b97f4a7c15ull + 1;
	printf("# hostile client, seed %u\n", seed);
	snprintf(place, sizeof(place), "%s/hostile", parent);
	snprintf(tree, sizeof(tree), "%s/tree", place);
	snprintf(other, sizeof(other), "%s/other", place);
	mkdir(place, 0755);
	/* a tmpfs bounds what it can fill */
	check(mount("none", place, "tmpfs", 0, "size=64m") == 0, "a place for the hostile client");
	mkdir(tree, 0755);
	mkdir(at(tree, "sub"), 0755);
	write_file(at(tree, "a"), "a", 1);
	mkfifo(at(tree, "fifo"), 0666);
	mknod(at(tree, "null"), S_IFCHR | 0666, makedev(1, 3));
	if (symlink("../canary", at(tree, "out")))
		return;
	mkdir(at(place, "canary"), 0755);
	write_file(at(place, "canary/f"), "alive", 5);
	mkdir(other, 0755);
	mkdir(at(other, "sub"), 0755);
	write_file(at(other, "a"), "a", 1);
	write_file(at(other, "b"), "b", 1);
	fingerprint(place, before, sizeof(before));

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		status = attack(tree, other, seconds);
		fflush(NULL);
		if (option_confined)
			_exit(status);
		exit(status);
	}
	waitpid(pid, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	      "%.0f s of random requests: no crash, some succeed (status %x)", seconds, status);
	fingerprint(place, after, sizeof(after));
	check(strcmp(before, after) == 0, "nothing beside the tree has changed");
	umount2(place, MNT_DETACH);
}
