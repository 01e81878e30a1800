/* Where a file has data and where it has none: allocate, holes, truncate, big. */
#include "filesem.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/vfs.h>
#include <unistd.h>

static void fill(int fd, size_t size)
{
	char block[4096];

	memset(block, 'x', sizeof(block));
	for (size_t done = 0; done < size; done += sizeof(block))
		MUST(pwrite(fd, block, sizeof(block), (off_t)done));
}

/* Bytes that the file occupies; once it is on the disk. */
static void show_blocks(int fd)
{
	struct stat st;

	MUST(fsync(fd));
	MUST(fstat(fd, &st));
	say("%ld KiB", (long)st.st_blocks / 2);
}

/* The map of data and holes. */
static void show_map(int fd)
{
	off_t data = 0, hole;

	while ((data = lseek(fd, data, SEEK_DATA)) >= 0) {
		hole = lseek(fd, data, SEEK_HOLE);
		say("data from %ld to %ld", (long)data, (long)hole);
		if (hole < 0)
			return;
		data = hole;
	}
	say("no more data: %s", outcome(data));
}

void subject_allocate(void)
{
	int fd = FD(open("f", O_RDWR | O_CREAT, 0644)), readonly;

	DID(fallocate(fd, 0, 0, 65536));
	show("f");
	show_blocks(fd);
	DID(fallocate(fd, FALLOC_FL_KEEP_SIZE, 65536, 65536));
	show("f");
	show_blocks(fd);
	fill(fd, 65536);
	DID(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 16384));
	show("f");
	show_blocks(fd);
	DID(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 32868, 100));
	show("f");
	DID(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
	DID(fallocate(fd, FALLOC_FL_ZERO_RANGE, 40960, 5000));
	DID(fallocate(fd, FALLOC_FL_ZERO_RANGE, 65536, 100));
	show("f");
	DID(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 70000, 100));
	show("f");
	DID(fallocate(fd, 0x4000, 0, 4096));
	DID(fallocate(fd, 0, 0, 0));
	DID(fallocate(fd, 0, -1, 10));
	DID(fallocate(fd, 0, INT64_MAX, 10));
	DID(posix_fallocate(fd, 100000, 100));
	show("f");
	readonly = FD(open("f", O_RDONLY));
	DID(fallocate(readonly, 0, 0, 4096));
	close(readonly);
	readonly = FD(open(".", O_RDONLY));
	DID(fallocate(readonly, 0, 0, 4096));
	close(readonly);
	DID(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
	DID(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096));
	close(fd);
}

void subject_holes(void)
{
	int fd = FD(open("f", O_RDWR | O_CREAT, 0644));

	show_map(fd);
	DID(lseek(fd, 0, SEEK_DATA));
	DID(lseek(fd, 0, SEEK_HOLE));
	DID(ftruncate(fd, 1 << 20));
	show_map(fd);
	DID(lseek(fd, 0, SEEK_HOLE));
	DID(pwrite(fd, "x", 1, 262144));
	DID(pwrite(fd, "x", 1, 524288));
	DID(fsync(fd));
	show_map(fd);
	show_blocks(fd);
	DID(lseek(fd, 262144, SEEK_HOLE));
	DID(lseek(fd, 1 << 20, SEEK_DATA));
	DID(lseek(fd, 2 << 20, SEEK_HOLE));
	DID(lseek(fd, -1, SEEK_DATA));
	DID(lseek(fd, 0, 17));
	DID(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 262144, 65536));
	show_map(fd);
	DID(lseek(fd, 0, SEEK_CUR));
	close(fd);
	show("f");
}

static void truncate_as_user(void)
{
	DID(truncate("root's", 0));
	DID(truncate("user's", 5));
	DID(truncate("user's", 0));
}

void subject_truncate(void)
{
	char byte = 'x';
	int fd, readonly;

	make_file("t", "0123456789");
	DID(truncate("t", 5));
	DID(truncate("t", 20));
	show_text("t");
	DID(truncate("t", -1));
	DID(truncate("missing", 0));
	DID(truncate(".", 0));
	DID(truncate("t/", 0));
	DID(mkfifo("fifo", 0644));
	DID(truncate("fifo", 0));
	DID(truncate("t", INT64_MAX));
	show("t");
	readonly = FD(open("t", O_RDONLY));
	DID(ftruncate(readonly, 1));
	fd = FD(open("t", O_RDWR));
	DID(ftruncate(fd, 3));
	DID(pread(readonly, &byte, 1, 4));
	DID(ftruncate(fd, 10000));
	DID(pread(readonly, &byte, 1, 4));
	say("byte %d", byte);
	DID(pwrite(fd, "end", 3, 9000));
	DID(ftruncate(fd, 9001));
	DID(ftruncate(fd, 9100));
	show("t");
	DID(chmod("t", 0));
	DID(ftruncate(fd, 2));
	DID(unlink("t"));
	DID(ftruncate(fd, 4));
	show_fd(fd, "removed");
	close(fd);
	close(readonly);
	make_file("root's", "0123456789");
	make_file("user's", "0123456789");
	DID(chmod("user's", 0200));
	DID(chown("user's", 1000, 1000));
	as_user(1000, 1000, NULL, truncate_as_user);
	show("user's");
	MUST(symlink("user's", "link"));
	DID(truncate("link", 7));
	show("user's");
}

void subject_big(void)
{
	const off_t far = 5LL << 30;
	char text[8];
	struct statfs fs;
	unsigned int flags;
	int fd = FD(open("big", O_RDWR | O_CREAT, 0644));

	DID(pwrite(fd, "five", 4, far));
	show_fd(fd, "big");
	DID(pwrite(fd, "four", 4, (4LL << 30) - 2));
	DID(pread(fd, text, 4, (4LL << 30) - 2));
	say("%.4s", text);
	DID(pread(fd, text, 4, 4LL << 30));
	DID(pread(fd, text, 8, far + 2));
	DID(lseek(fd, 0, SEEK_END));
	DID(lseek(fd, 4LL << 30, SEEK_DATA));
	DID(fsync(fd));
	show_map(fd);
	show_blocks(fd);
	DID(ftruncate(fd, far - 1));
	DID(ftruncate(fd, 9LL << 30));
	DID(pread(fd, text, 4, far));
	say("byte %d", text[0]);
	DID(pwrite(fd, "x", 1, 1LL << 50));
	DID(ftruncate(fd, 1LL << 60));
	DID(fallocate(fd, 0, 0, 1LL << 50));
	show_fd(fd, "big");
	MUST(fstatfs(fd, &fs));
	say("block size %ld, fragment %ld, name length %ld, some blocks %d, all %d, free %d, files "
	    "%d",
	    (long)fs.f_bsize, (long)fs.f_frsize, (long)fs.f_namelen, fs.f_blocks > 0,
	    fs.f_bfree <= fs.f_blocks, fs.f_bavail <= fs.f_bfree, fs.f_ffree <= fs.f_files);
	DID(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	DID(ioctl(fd, FIONREAD, &flags));
	DID(ioctl(fd, 0x1234, &flags));
	close(fd);
	DID(unlink("big"));
}
