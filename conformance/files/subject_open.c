/* Opening files: what each flag does, and whom it is refused. */
#include "filesem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void creating(void)
{
	int fd = FD(open("f", O_RDWR | O_CREAT | O_EXCL, 0640));

	DID(write(fd, "0123456789", 10));
	FD(open("f", O_RDWR | O_CREAT | O_EXCL, 0640));
	show("f");
	close(FD(open("f", O_RDWR | O_CREAT, 0777)));
	show("f");
	FD(open("missing", O_RDONLY));
	FD(open("missing/f", O_RDWR | O_CREAT, 0640));
	FD(open("f/f", O_RDWR | O_CREAT, 0640));
	FD(open("f/", O_RDONLY));
	FD(open("new/", O_RDWR | O_CREAT, 0640));
	FD(open("", O_RDONLY));
	close(fd);
	fd = FD(open("none", O_RDWR | O_CREAT, 0));
	DID(write(fd, "x", 1));
	DID(pread(fd, &(char){ 0 }, 1, 0));
	close(fd);
	show("none");
	fd = FD(open("readonly", O_RDONLY | O_CREAT, 0200));
	DID(write(fd, "x", 1));
	close(fd);
	fd = FD(open("f", O_WRONLY));
	DID(read(fd, &(char){ 0 }, 1));
	close(fd);
	fd = FD(open("f", O_ACCMODE));
	DID(read(fd, &(char){ 0 }, 1));
	DID(write(fd, "x", 1));
	close(fd);
}

static void appending(void)
{
	int fd, other;

	make_file("a", "0123456789");
	fd = FD(open("a", O_RDWR | O_APPEND));
	DID(write(fd, "ab", 2));
	DID(lseek(fd, 0, SEEK_CUR));
	DID(lseek(fd, 3, SEEK_SET));
	DID(write(fd, "cd", 2));
	DID(lseek(fd, 0, SEEK_CUR));
	DID(pwrite(fd, "ef", 2, 1));
	show_text("a");
	other = FD(open("a", O_WRONLY));
	DID(pwrite(other, "----", 4, 20));
	DID(write(fd, "gh", 2));
	show_text("a");
	DID(fcntl(fd, F_SETFL, 0));
	DID(pwrite(fd, "E", 1, 1));
	DID(lseek(fd, 0, SEEK_SET));
	DID(write(fd, "S", 1));
	DID(fcntl(other, F_SETFL, O_APPEND));
	DID(fcntl(other, F_GETFL) & (O_APPEND | O_ACCMODE));
	DID(lseek(other, 0, SEEK_SET));
	DID(write(other, "!", 1));
	show_text("a");
	close(fd);
	close(other);
}

static void truncating(void)
{
	int fd, other;

	make_file("t", "0123456789");
	other = FD(open("t", O_RDONLY));
	fd = FD(open("t", O_RDONLY | O_TRUNC));
	show("t");
	DID(pread(other, &(char){ 0 }, 1, 0));
	close(fd);
	make_file("t", "0123456789");
	fd = FD(open("t", O_WRONLY | O_TRUNC | O_CREAT, 0600));
	DID(write(fd, "ab", 2));
	show_fd(other, "the file opened before");
	close(fd);
	close(other);
	FD(open(".", O_RDONLY | O_TRUNC));
}

static void directories_and_links(void)
{
	char target[16];
	int fd;

	MUST(mkdir("d", 0755));
	make_file("file", "0123456789");
	MUST(symlink("file", "to-file"));
	MUST(symlink("d", "to-d"));
	MUST(symlink("nowhere", "dangling"));
	MUST(symlink("loop", "loop"));
	FD(open("d", O_WRONLY));
	FD(open("d", O_RDWR));
	FD(open("d", O_RDONLY | O_CREAT, 0644));
	FD(open("d", O_RDONLY | O_CREAT | O_DIRECTORY, 0644));
	FD(open("file", O_RDONLY | O_DIRECTORY));
	FD(open("to-file", O_RDONLY | O_DIRECTORY));
	close(FD(open("to-d", O_RDONLY | O_DIRECTORY)));
	FD(open("to-file", O_RDONLY | O_NOFOLLOW));
	FD(open("to-d", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
	FD(open("dangling", O_RDONLY));
	FD(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0644));
	FD(open("dangling", O_RDWR | O_CREAT | O_NOFOLLOW, 0644));
	FD(open("loop", O_RDONLY));
	close(FD(open("dangling", O_RDWR | O_CREAT, 0644)));
	show("nowhere");
	fd = FD(open("to-file", O_PATH | O_NOFOLLOW));
	DID(readlinkat(fd, "", target, sizeof(target)));
	show_fd(fd, "the symlink itself");
	close(fd);
	fd = FD(open("d", O_RDONLY));
	DID(read(fd, target, sizeof(target)));
	DID(write(fd, "x", 1));
	DID(ftruncate(fd, 0));
	DID(fsync(fd));
	DID(fdatasync(fd));
	close(fd);
}

static void paths_only(void)
{
	char by_proc[64];
	struct stat st;
	int fd, other;

	make_file("p", "0123456789");
	fd = FD(open("p", O_PATH));
	DID(read(fd, by_proc, 1));
	DID(fchmod(fd, 0600));
	DID(fchown(fd, 1, 1));
	DID(ftruncate(fd, 0));
	DID(fstat(fd, &st));
	DID(fcntl(fd, F_GETFL) & O_PATH);
	snprintf(by_proc, sizeof(by_proc), "/proc/self/fd/%d", fd);
	other = FD(open(by_proc, O_RDWR));
	DID(write(other, "ab", 2));
	close(other);
	MUST(rename("p", "q"));
	other = FD(open(by_proc, O_RDONLY));
	DID(pread(other, by_proc, 2, 0));
	close(other);
	MUST(unlink("q"));
	show_fd(fd, "removed, by O_PATH");
	snprintf(by_proc, sizeof(by_proc), "/proc/self/fd/%d", fd);
	other = FD(open(by_proc, O_RDONLY));
	DID(pread(other, by_proc, 2, 0));
	close(other);
	close(fd);
	fd = FD(open(".", O_PATH | O_DIRECTORY));
	close(FD(openat(fd, "file", O_RDONLY)));
	DID(fchdir(fd));
	DID(mkdirat(fd, "by-path", 0700));
	close(fd);
}

static void without_atime(void)
{
	FD(open("root's", O_RDONLY | O_NOATIME));
	close(FD(open("root's", O_RDONLY)));
	close(FD(open("user's", O_RDONLY | O_NOATIME)));
}

static void written_at_once(void)
{
	int fd = FD(open("sync", O_RDWR | O_CREAT | O_SYNC, 0644));

	DID(fcntl(fd, F_GETFL) & O_SYNC);
	DID(write(fd, "0123456789", 10));
	close(fd);
	fd = FD(open("sync", O_RDWR | O_DSYNC));
	DID(pwrite(fd, "abc", 3, 5));
	DID(fsync(fd));
	DID(fdatasync(fd));
	DID(syncfs(fd));
	DID(sync_file_range(fd, 0, 8, SYNC_FILE_RANGE_WRITE));
	close(fd);
	show("sync");
}

static void shared_offset(void)
{
	char text[4];
	int fd, copy, again;

	make_file("o", "0123456789");
	fd = FD(open("o", O_RDWR));
	copy = FD(dup(fd));
	again = FD(open("o", O_RDWR));
	DID(read(fd, text, 3));
	DID(lseek(copy, 0, SEEK_CUR));
	DID(lseek(again, 0, SEEK_CUR));
	DID(lseek(copy, -2, SEEK_END));
	DID(read(fd, text, 4));
	DID(lseek(fd, -1, SEEK_SET));
	DID(lseek(fd, 1 << 20, SEEK_SET));
	DID(read(fd, text, 1));
	DID(write(fd, "", 0));
	show("o");
	close(fd);
	DID(write(copy, "x", 1));
	show("o");
	close(copy);
	close(again);
}

void subject_open(void)
{
	creating();
	appending();
	truncating();
	directories_and_links();
	paths_only();
	make_file("root's", "x");
	make_file("user's", "x");
	MUST(chown("user's", 1000, 1000));
	as_user(1000, 1000, NULL, without_atime);
	close(FD(open("user's", O_RDONLY | O_NOATIME)));
	written_at_once();
	shared_offset();
}
