/* Reading and writing: tmpfile, direct, io, copy. */
#include "filesem.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

void subject_tmpfile(void)
{
	char by_proc[64];
	int fd = FD(open(".", O_TMPFILE | O_RDWR, 0640));

	DID(write(fd, "0123456789", 10));
	DID(pwrite(fd, "ab", 2, 20));
	show_fd(fd, "without a name");
	show_names(".");
	snprintf(by_proc, sizeof(by_proc), "/proc/self/fd/%d", fd);
	DID(linkat(AT_FDCWD, by_proc, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	show("named");
	DID(linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH));
	show("again");
	close(fd);
	fd = FD(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600));
	DID(linkat(fd, "", AT_FDCWD, "excluded", AT_EMPTY_PATH));
	close(fd);
	fd = FD(open(".", O_TMPFILE | O_WRONLY, 0777));
	DID(fchmod(fd, 04711));
	DID(ftruncate(fd, 12345));
	show_fd(fd, "without a name");
	close(fd);
	FD(open(".", O_TMPFILE | O_RDONLY, 0600));
	FD(open("named", O_TMPFILE | O_RDWR, 0600));
	FD(open("missing", O_TMPFILE | O_RDWR, 0600));
}

void subject_direct(void)
{
	char *buffer = aligned_alloc(4096, 65536);
	int fd = FD(open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));

	memset(buffer, 'x', 65536);
	DID(write(fd, buffer, 65536));
	DID(pwrite(fd, buffer, 4096, 131072));
	show("f");
	memset(buffer, 0, 65536);
	DID(pread(fd, buffer, 65536, 4096));
	say("content %016lx", (unsigned long)hash_bytes(HASH_START, buffer, 65536));
	DID(pread(fd, buffer, 4096, 131072));
	DID(pread(fd, buffer, 4096, 135168));
	DID(pread(fd, buffer, 8192, 131072));
	DID(pread(fd, buffer, 100, 0));
	DID(pread(fd, buffer + 1, 4096, 0));
	DID(pwrite(fd, buffer, 4096, 100));
	DID(fcntl(fd, F_GETFL) & O_DIRECT);
	DID(fcntl(fd, F_SETFL, 0));
	DID(pwrite(fd, "abc", 3, 100));
	DID(fcntl(fd, F_SETFL, O_DIRECT));
	memset(buffer, 0, 65536);
	DID(pread(fd, buffer, 4096, 0));
	say("content %016lx", (unsigned long)hash_bytes(HASH_START, buffer, 4096));
	close(fd);
	show("f");
	free(buffer);
}

static void vectors(void)
{
	char one[4], two[8];
	struct iovec to[2] = { { one, 4 }, { two, 8 } };
	struct iovec from[3] = { { "abcd", 4 }, { "", 0 }, { "efghij", 6 } };
	int fd = FD(open("v", O_RDWR | O_CREAT, 0644));

	DID(writev(fd, from, 3));
	DID(pwritev(fd, from, 3, 5));
	DID(lseek(fd, 0, SEEK_SET));
	DID(readv(fd, to, 2));
	DID(preadv(fd, to, 2, 10));
	DID(preadv2(fd, to, 2, -1, 0));
	DID(preadv2(fd, to, 2, 0, RWF_HIPRI));
	DID(pwritev2(fd, from, 3, 2, RWF_DSYNC));
	DID(pwritev2(fd, from, 3, 2, RWF_SYNC));
	DID(pwritev2(fd, from, 3, 0, RWF_APPEND));
	DID(pwritev2(fd, from, 3, 0, 0x8000));
	show_text("v");
	to[1].iov_base = NULL;
	DID(preadv(fd, to, 2, 0));
	DID(pwritev(fd, to + 1, 1, 0));
	show_text("v");
	close(fd);
}

static void edges(void)
{
	char text[16];
	int fd = FD(open("e", O_RDWR | O_CREAT, 0644));

	DID(pread(fd, text, 16, 0));
	DID(pwrite(fd, "x", 1, -1));
	DID(pread(fd, text, 1, -1));
	DID(pwrite(fd, "x", 1, INT64_MAX));
	DID(pread(fd, text, 1, INT64_MAX));
	DID(pwrite(fd, "0123456789", 10, 4090));
	DID(pread(fd, text, 16, 4090));
	DID(pread(fd, text, 16, 4100));
	DID(pread(fd, text, 16, 1 << 20));
	DID(pread(fd, text, 0, 0));
	DID(lseek(fd, INT64_MAX, SEEK_SET));
	show("e");
	close(fd);
}

/* Longer than one request to the host. */
static void long_ones(void)
{
	const size_t size = (5u << 20) + 12345;
	char *data = malloc(size);
	int fd = FD(open("long", O_RDWR | O_CREAT, 0644));
	uint32_t x = 1;

	for (size_t i = 0; i < size; i++) {
		x = x * 1103515245 + 12345;
		data[i] = (char)(x >> 16);
	}
	DID(write(fd, data, size));
	show("long");
	DID(pwrite(fd, data, size, 4097));
	memset(data, 0, size);
	DID(pread(fd, data, size, 100));
	say("content %016lx", (unsigned long)hash_bytes(HASH_START, data, size));
	DID(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	DID(readahead(fd, 0, 1 << 20));
	show("long");
	free(data);
	close(fd);
}

static void limited(void)
{
	const struct rlimit limit = { 100, 100 };
	char data[64] = "x";
	int fd = FD(open("limited", O_RDWR | O_CREAT, 0644));

	MUST(setrlimit(RLIMIT_FSIZE, &limit));
	signal(SIGXFSZ, SIG_IGN);
	DID(write(fd, data, 64));
	DID(write(fd, data, 64));
	DID(write(fd, data, 64));
	DID(ftruncate(fd, 101));
	DID(fallocate(fd, 0, 0, 200));
	DID(pwrite(fd, data, 64, 200));
	show("limited");
	signal(SIGXFSZ, SIG_DFL);
	fflush(stdout);
	DID(pwrite(fd, data, 64, 100));
}

static void through_pipes(void)
{
	char text[32];
	loff_t offset = 3;
	int from, to, ends[2];

	make_file("from", "0123456789abcdefghij");
	from = FD(open("from", O_RDONLY));
	to = FD(open("to", O_RDWR | O_CREAT, 0644));
	MUST(pipe(ends));
	DID(sendfile(to, from, NULL, 5));
	DID(sendfile(to, from, &offset, 100));
	DID(splice(from, NULL, ends[1], NULL, 4, 0));
	DID(splice(ends[0], NULL, to, NULL, 4, 0));
	DID(sendfile(ends[1], from, NULL, 6));
	DID(read(ends[0], text, sizeof(text)));
	show_text("to");
	close(from);
	close(to);
	close(ends[0]);
	close(ends[1]);
}

void subject_io(void)
{
	vectors();
	edges();
	long_ones();
	in_child(limited);
	through_pipes();
}

static void copy_edges(int from, int to)
{
	loff_t in = 0, out = 0;
	int readonly, append;

	DID(copy_file_range(from, &in, to, &out, 5, 1));
	in = 1000;
	DID(copy_file_range(from, &in, to, &out, 5, 0));
	DID(copy_file_range(from, NULL, to, NULL, 0, 0));
	readonly = FD(open("to", O_RDONLY));
	DID(copy_file_range(from, NULL, readonly, NULL, 5, 0));
	append = FD(open("to", O_WRONLY | O_APPEND));
	DID(copy_file_range(from, NULL, append, NULL, 5, 0));
	DID(copy_file_range(append, NULL, to, NULL, 5, 0));
	close(append);
	append = FD(open(".", O_RDONLY));
	DID(copy_file_range(append, NULL, to, NULL, 5, 0));
	close(append);
	in = 2;
	out = 4;
	DID(copy_file_range(to, &in, to, &out, 5, 0)); /* it overlaps */
	out = 40;
	DID(copy_file_range(to, &in, to, &out, 5, 0));
	show_text("to");
	close(readonly);
}

void subject_copy(void)
{
	loff_t in = 3, out = 30;
	int from, to, big, copy;
	char block[4096];

	make_file("from", "0123456789abcdefghij");
	from = FD(open("from", O_RDONLY));
	to = FD(open("to", O_RDWR | O_CREAT, 0644));
	DID(copy_file_range(from, NULL, to, NULL, 5, 0));
	DID(lseek(from, 0, SEEK_CUR));
	DID(lseek(to, 0, SEEK_CUR));
	DID(copy_file_range(from, &in, to, &out, 100, 0));
	say("offsets %ld %ld", (long)in, (long)out);
	show_text("to");
	copy_edges(from, to);
	close(from);
	/* what was just written by another descriptor, and what is cached */
	big = FD(open("big", O_RDWR | O_CREAT, 0644));
	copy = FD(open("copy", O_RDWR | O_CREAT, 0644));
	for (int i = 0; i < 1000; i++) {
		memset(block, i, sizeof(block));
		MUST(write(big, block, sizeof(block)));
	}
	MUST(pwrite(copy, block, sizeof(block), 8192));
	MUST(pread(copy, block, sizeof(block), 8192));
	in = 0;
	out = 0;
	DID(copy_file_range(big, &in, copy, &out, 4096000, 0));
	DID(pread(copy, block, 16, 8192));
	say("byte %d", block[0]);
	show("big");
	show("copy");
	DID(ioctl(copy, FICLONE, big));
	close(to);
	close(big);
	close(copy);
}
