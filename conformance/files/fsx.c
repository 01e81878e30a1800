/*
 * Random operations on one file beside a model of it in memory: fsx. After each
 * one that reads, and at the end, file and model have to be the same. In turn by
 * two processes too, each with descriptors of its own, and by two at once that
 * share a file but not its parts.
 */
#include "filesem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL_SIZE  (512u << 10)
#define LARGEST	    (64u << 10)
#define PART	    (MODEL_SIZE / 2)
#define TURN_LENGTH 10

struct fsx {
	uint64_t random;
	size_t size; /* of the file */
	unsigned int operations;
	char data[MODEL_SIZE];
};

/* What one process has open of it. */
struct opened {
	struct fsx *model;
	const char *path;
	int fd;
	int other; /* a second one of the same file */
	char buffer[MODEL_SIZE];
};

static uint64_t draw(struct fsx *model, uint64_t below)
{
	model->random = model->random * 6364136223846793005u + 1442695040888963407u;
	return (model->random >> 33) % below;
}

static void __attribute__((noreturn))
differ(const struct opened *file, const char *operation, size_t offset, size_t length)
{
	say("seed %lu, operation %u, %s of %zu at %zu: differs from the model", (unsigned long)seed,
	    file->model->operations, operation, length, offset);
	exit(1);
}

static void expect(const struct opened *file, bool condition, const char *operation, size_t offset,
		   size_t length)
{
	if (!condition) {
		say("last errno %s", strerrorname_np(errno));
		differ(file, operation, offset, length);
	}
}

static void random_bytes(struct opened *file, size_t length)
{
	uint64_t word = draw(file->model, UINT32_MAX);

	for (size_t i = 0; i < length; i++)
		file->buffer[i] = (char)(word * (i + 1) >> 5);
}

static void grow_model(struct fsx *model, size_t size)
{
	if (size > model->size)
		model->size = size;
}

static void do_write(struct opened *file, size_t offset, size_t length)
{
	struct fsx *model = file->model;

	random_bytes(file, length);
	memcpy(model->data + offset, file->buffer, length);
	grow_model(model, offset + length);
	expect(file, pwrite(file->fd, file->buffer, length, (off_t)offset) == (ssize_t)length,
	       "write", offset, length);
}

static void do_append(struct opened *file, size_t offset, size_t length)
{
	struct fsx *model = file->model;
	int fd = open(file->path, O_WRONLY | O_APPEND);

	(void)offset;
	if (length > MODEL_SIZE - model->size)
		length = MODEL_SIZE - model->size;
	random_bytes(file, length);
	memcpy(model->data + model->size, file->buffer, length);
	expect(file, write(fd, file->buffer, length) == (ssize_t)length, "append", model->size,
	       length);
	model->size += length;
	close(fd);
}

static size_t there(const struct fsx *model, size_t offset, size_t length)
{
	if (offset >= model->size)
		return 0;
	return length < model->size - offset ? length : model->size - offset;
}

static void do_read(struct opened *file, size_t offset, size_t length)
{
	size_t wanted = there(file->model, offset, length);
	int fd = draw(file->model, 2) ? file->fd : file->other;

	expect(file, pread(fd, file->buffer, length, (off_t)offset) == (ssize_t)wanted, "read",
	       offset, length);
	expect(file, memcmp(file->buffer, file->model->data + offset, wanted) == 0, "read", offset,
	       length);
}

static void do_truncate(struct opened *file, size_t offset, size_t length)
{
	struct fsx *model = file->model;

	(void)length;
	if (offset < model->size)
		memset(model->data + offset, 0, model->size - offset);
	model->size = offset;
	if (draw(model, 2))
		expect(file, ftruncate(file->fd, (off_t)offset) == 0, "ftruncate", offset, 0);
	else
		expect(file, truncate(file->path, (off_t)offset) == 0, "truncate", offset, 0);
}

/* The mapping of the pages around; offset is that of the page. */
static char *map_pages(struct opened *file, size_t offset, size_t length, int protection)
{
	size_t first = offset & ~4095ul;
	char *memory =
		mmap(NULL, offset + length - first, protection, MAP_SHARED, file->fd, (off_t)first);

	expect(file, memory != MAP_FAILED, "mmap", offset, length);
	return memory;
}

static void do_map_read(struct opened *file, size_t offset, size_t length)
{
	size_t before = offset & 4095;
	char *memory;

	length = there(file->model, offset, length);
	if (length == 0)
		return;
	memory = map_pages(file, offset, length, PROT_READ);
	expect(file, memcmp(memory + before, file->model->data + offset, length) == 0, "mmap read",
	       offset, length);
	munmap(memory, before + length);
}

static void do_map_write(struct opened *file, size_t offset, size_t length)
{
	size_t before = offset & 4095;
	char *memory;

	length = there(file->model, offset, length);
	if (length == 0)
		return;
	memory = map_pages(file, offset, length, PROT_READ | PROT_WRITE);
	random_bytes(file, length);
	memcpy(memory + before, file->buffer, length);
	memcpy(file->model->data + offset, file->buffer, length);
	if (draw(file->model, 2))
		expect(file, msync(memory, before + length, MS_SYNC) == 0, "msync", offset, length);
	munmap(memory, before + length);
}

static void do_punch(struct opened *file, size_t offset, size_t length)
{
	memset(file->model->data + offset, 0, there(file->model, offset, length));
	expect(file,
	       fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			 (off_t)length) == 0,
	       "punch hole", offset, length);
}

/* tmpfs has none. */
static void do_zero(struct opened *file, size_t offset, size_t length)
{
	if (fallocate(file->fd, FALLOC_FL_ZERO_RANGE, (off_t)offset, (off_t)length) == 0) {
		memset(file->model->data + offset, 0, length);
		grow_model(file->model, offset + length);
	} else {
		expect(file, errno == EOPNOTSUPP, "zero range", offset, length);
	}
}

static void do_allocate(struct opened *file, size_t offset, size_t length)
{
	expect(file, fallocate(file->fd, 0, (off_t)offset, (off_t)length) == 0, "allocate", offset,
	       length);
	grow_model(file->model, offset + length);
}

static void do_copy(struct opened *file, size_t offset, size_t length)
{
	struct fsx *model = file->model;
	size_t from = draw(model, MODEL_SIZE - LARGEST);
	loff_t in = (loff_t)from, out = (loff_t)offset;

	length = there(model, from, length);
	if (length == 0 || (from < offset + length && offset < from + length))
		return;
	expect(file,
	       copy_file_range(file->fd, &in, file->other, &out, length, 0) == (ssize_t)length,
	       "copy range", offset, length);
	memcpy(model->data + offset, model->data + from, length);
	grow_model(model, offset + length);
}

static void do_sync(struct opened *file, size_t offset, size_t length)
{
	expect(file, fsync(file->fd) == 0, "fsync", offset, length);
	posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void open_both(struct opened *file)
{
	file->fd = (int)MUST(open(file->path, O_RDWR | O_CREAT, 0644));
	file->other = (int)MUST(open(file->path, O_RDWR));
}

static void do_reopen(struct opened *file, size_t offset, size_t length)
{
	(void)offset;
	(void)length;
	close(file->fd);
	close(file->other);
	open_both(file);
}

static void do_stat(struct opened *file, size_t offset, size_t length)
{
	struct stat st;

	expect(file, fstat(file->other, &st) == 0 && (size_t)st.st_size == file->model->size,
	       "size", offset, length);
	expect(file, lseek(file->fd, 0, SEEK_END) == (off_t)file->model->size, "end", offset,
	       length);
}

static void (*const operations[])(struct opened *, size_t, size_t) = {
	do_write,    do_write,	   do_read,	 do_read,  do_append, do_truncate,
	do_map_read, do_map_write, do_map_write, do_punch, do_zero,   do_copy,
	do_allocate, do_sync,	   do_reopen,	 do_stat,
};

static void some_operations(struct opened *file, unsigned int count)
{
	struct fsx *model = file->model;

	while (count--) {
		size_t offset = draw(model, MODEL_SIZE - LARGEST);
		size_t length = 1 + draw(model, LARGEST);
		size_t which = draw(model, sizeof(operations) / sizeof(operations[0]));

		model->operations++;
		operations[which](file, offset, length);
	}
}

static void check_whole(struct opened *file)
{
	do_stat(file, 0, 0);
	expect(file,
	       pread(file->other, file->buffer, MODEL_SIZE, 0) == (ssize_t)file->model->size &&
		       memcmp(file->buffer, file->model->data, file->model->size) == 0,
	       "the whole", 0, file->model->size);
	say("%u operations: size %zu, content %016lx", file->model->operations, file->model->size,
	    (unsigned long)hash_bytes(HASH_START, file->model->data, file->model->size));
}

static struct fsx *new_model(void)
{
	struct fsx *model = mmap(NULL, sizeof(*model), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	MUST(model == MAP_FAILED ? -1 : 0);
	model->random = seed;
	return model;
}

static struct fsx *common;
static unsigned int turns;

static void one_of_two(const struct turn *turn, bool begins)
{
	struct opened *file = calloc(1, sizeof(*file));

	file->model = common;
	file->path = "in-turn";
	open_both(file);
	for (unsigned int i = 0; i < turns; i++) {
		if (i || !begins)
			turn_wait(turn);
		some_operations(file, TURN_LENGTH);
		if (i % 25 == 0)
			check_whole(file);
		turn_give(turn);
	}
	if (begins) {
		turn_wait(turn);
		check_whole(file);
	}
	free(file);
}

static void first_of_two(const struct turn *turn)
{
	one_of_two(turn, true);
}

static void second_of_two(const struct turn *turn)
{
	one_of_two(turn, false);
}

/* Writes and reads in its own half, while the other one does so in the other. */
static void half(size_t start, uint64_t random)
{
	struct opened *file = calloc(1, sizeof(*file));
	struct fsx *model = calloc(1, sizeof(*model));

	file->model = model;
	file->path = "at-once";
	model->random = random;
	model->size = MODEL_SIZE;
	open_both(file);
	for (unsigned int i = 0; i < turns * TURN_LENGTH; i++) {
		size_t length = 1 + draw(model, LARGEST);
		size_t offset = start + draw(model, PART - length);

		model->operations++;
		switch (draw(model, 5)) {
		case 0:
		case 1:
			do_write(file, offset, length);
			break;
		case 2:
			do_map_read(file, offset, length);
			break;
		case 3:
			do_punch(file, offset, length);
			break;
		default:
			do_read(file, offset, length);
		}
	}
	expect(file,
	       pread(file->fd, file->buffer, PART, (off_t)start) == (ssize_t)PART &&
		       memcmp(file->buffer, model->data + start, PART) == 0,
	       "the whole half", start, PART);
	free(model);
	free(file);
}

static void first_half(const struct turn *turn)
{
	half(0, seed);
	turn_wait(turn);
	say("both halves are as written");
}

static void second_half(const struct turn *turn)
{
	half(PART, ~seed);
	turn_give(turn);
}

void subject_fsx(void)
{
	struct opened *file = calloc(1, sizeof(*file));
	const unsigned int count = full_run ? 20000 : 2000;

	say("seed %lu", (unsigned long)seed);
	file->model = new_model();
	file->path = "alone";
	open_both(file);
	for (unsigned int i = 0; i < count / 100; i++) {
		some_operations(file, 100);
		check_whole(file);
	}
	common = new_model();
	turns = count / TURN_LENGTH / 2;
	together(first_of_two, second_of_two);
	MUST(ftruncate((int)MUST(open("at-once", O_RDWR | O_CREAT, 0644)), MODEL_SIZE));
	together(first_half, second_half);
	show("at-once");
	free(file);
}
