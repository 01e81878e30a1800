/* Contents of files: both sides always hold the same bytes. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct mounted m;

static void write_and_read(void)
{
	int fd;

	check(write_file(at(m.mount, "a"), "hello\n", 6) == 0, "write a new file");
	check(file_is(at(m.source, "a"), "hello\n"), "it is on the host at once");
	check(file_is(at(m.mount, "a"), "hello\n"), "and inside");
	check(write_file(at(m.mount, "a"), "bye", 3) == 0 && file_is(at(m.source, "a"), "bye"),
	      "O_TRUNC and a shorter text");
	fd = open(at(m.mount, "a"), O_WRONLY | O_APPEND);
	check(fd >= 0 && write(fd, "-1", 2) == 2, "append");
	check(write_file(at(m.source, "a"), "longer than before", 18) == 0 &&
		      write(fd, "-2", 2) == 2 && file_is(at(m.source, "a"), "longer than before-2"),
	      "append to what the host has just changed");
	check(fcntl(fd, F_SETFL, 0) == 0 && pwrite(fd, "L", 1, 0) == 1 &&
		      file_is(at(m.source, "a"), "Longer than before-2"),
	      "without O_APPEND the offset counts again");
	check(fcntl(fd, F_SETFL, O_APPEND) == 0 && write(fd, "!", 1) == 1 &&
		      file_is(at(m.source, "a"), "Longer than before-2!"),
	      "with O_APPEND set by fcntl it does not");
	close(fd);
	errno = 0;
	check(open(at(m.mount, "none"), O_RDONLY) < 0 && errno == ENOENT, "no such file");
	check(open(at(m.mount, "a"), O_WRONLY | O_CREAT | O_EXCL, 0600) < 0 && errno == EEXIST,
	      "O_EXCL on a file that is there");
}

static void big(void)
{
	const size_t size = 48u << 20;
	char *data = malloc(size), *back = malloc(size);
	unsigned int x = 1;

	for (size_t i = 0; i < size; i++) {
		x = x * 1103515245 + 12345;
		data[i] = (char)(x >> 16);
	}
	check(write_file(at(m.mount, "big"), data, size) == 0, "write 48 MiB");
	check(read_file(at(m.source, "big"), back, size) == (ssize_t)size &&
		      memcmp(data, back, size) == 0,
	      "the host reads the same");
	data[12345678] ^= 1;
	check(write_file(at(m.source, "big2"), data, size) == 0 &&
		      read_file(at(m.mount, "big2"), back, size) == (ssize_t)size &&
		      memcmp(data, back, size) == 0,
	      "and the other way round");
	free(data);
	free(back);
	unlink(at(m.mount, "big"));
	unlink(at(m.mount, "big2"));
}

static void sparse(void)
{
	int fd = open(at(m.mount, "sparse"), O_RDWR | O_CREAT, 0644);
	struct stat st;
	char byte;

	check(fd >= 0 && ftruncate(fd, 1l << 40) == 0, "a file of 1 TiB");
	check(pwrite(fd, "x", 1, 1l << 39) == 1, "one byte in its middle");
	check(lseek(fd, 0, SEEK_DATA) == 1l << 39, "SEEK_DATA finds it");
	check(lseek(fd, 1l << 39, SEEK_HOLE) == (1l << 39) + 4096, "SEEK_HOLE behind it");
	check(stat(at(m.source, "sparse"), &st) == 0 && st.st_size == 1l << 40 &&
		      st.st_blocks < 1000,
	      "sparse on the host");
	check(pread(fd, &byte, 1, 1l << 38) == 1 && byte == 0, "a hole reads 0");
	check(ftruncate(fd, 10) == 0 && stat(at(m.source, "sparse"), &st) == 0 && st.st_size == 10,
	      "truncated by its fd");
	check(truncate(at(m.mount, "sparse"), 5) == 0 && stat(at(m.source, "sparse"), &st) == 0 &&
		      st.st_size == 5,
	      "and by its name");
	check(fallocate(fd, 0, 0, 65536) == 0 && fstat(fd, &st) == 0 && st.st_size == 65536,
	      "fallocate");
	check(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096) == 0,
	      "punch a hole");
	check(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 4096, 4096) < 0 && errno == EOPNOTSUPP,
	      "a mode that is not served");
	check(fsync(fd) == 0 && fdatasync(fd) == 0, "fsync, fdatasync");
	close(fd);
}

static void mapped(void)
{
	int fd = open(at(m.mount, "map"), O_RDWR | O_CREAT | O_APPEND, 0644);
	char *p, back[5] = "";

	check(fd >= 0 && write(fd, "0123456789", 10) == 10, "a file to map");
	p = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(p != MAP_FAILED && memcmp(p, "0123456789", 10) == 0, "MAP_SHARED");
	if (p == MAP_FAILED)
		return;
	memcpy(p + 2, "abc", 3);
	check(msync(p, 10, MS_SYNC) == 0 && file_is(at(m.source, "map"), "01abc56789"),
	      "a store reaches the host in its place, by an O_APPEND handle too");
	check(pread(fd, back, 4, 1) == 4 && memcmp(back, "1abc", 4) == 0, "and read");
	munmap(p, 10);
	close(fd);
}

static void executed(void)
{
	char command[512];
	int status;

	snprintf(command, sizeof(command), "cp /bin/true %s && chmod 755 %s",
		 at(m.source, "program"), at(m.source, "program"));
	check(system(command) == 0, "a program on the host");
	status = system(at(m.mount, "program"));
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "runs inside");
	snprintf(command, sizeof(command), "printf '#!/bin/sh\\nexit 3\\n' >%s; chmod 755 %s",
		 at(m.mount, "script"), at(m.mount, "script"));
	status = system(command);
	status = system(at(m.mount, "script"));
	check(WIFEXITED(status) && WEXITSTATUS(status) == 3, "a script written inside runs");
}

static void unlinked(void)
{
	int fd = open(at(m.mount, "gone"), O_RDWR | O_CREAT, 0644);
	char back[4] = "";
	struct stat st;

	check(fd >= 0 && unlink(at(m.mount, "gone")) == 0, "unlink an open file");
	check(write(fd, "abc", 3) == 3 && pread(fd, back, 3, 0) == 3 && !memcmp(back, "abc", 3),
	      "it can still be written and read");
	check(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 3, "and has no link");
	check(ftruncate(fd, 1) == 0 && fstat(fd, &st) == 0 && st.st_size == 1, "and be truncated");
	close(fd);
}

static int link_to(int fd, const char *path)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

/* As uid 1000, in a directory with a default umask: what the file belongs to and may. */
static int make_tmpfile(const char *directory)
{
	int fd = open(directory, O_TMPFILE | O_RDWR, 0666);
	struct stat st;

	if (fd < 0 || write(fd, "mine", 4) != 4 || fstat(fd, &st))
		return 1;
	if (st.st_uid != 1000 || st.st_gid != 1001 || (st.st_mode & 07777) != 0644)
		return 2;
	return link_to(fd, at(directory, "linked-by-user")) ? 3 : 0;
}

static void nameless(void)
{
	int fd = open(m.mount, O_TMPFILE | O_RDWR, 0640);
	char back[4] = "";
	struct stat st;

	check(fd >= 0 && write(fd, "abc", 3) == 3 && pread(fd, back, 3, 0) == 3 &&
		      !memcmp(back, "abc", 3),
	      "O_TMPFILE: a file that can be written and read");
	check(fstat(fd, &st) == 0 && st.st_nlink == 0 && (st.st_mode & 07777) == 0640,
	      "it has no link and its mode");
	check(link_to(fd, at(m.mount, "linked")) == 0 && file_is(at(m.source, "linked"), "abc"),
	      "linkat of it gives it a name, on the host too");
	check(fstat(fd, &st) == 0 && st.st_nlink == 1 && write(fd, "d", 1) == 1 &&
		      file_is(at(m.mount, "linked"), "abcd"),
	      "and is that file");
	close(fd);
	fd = open(m.mount, O_TMPFILE | O_WRONLY | O_EXCL, 0600);
	check(fd >= 0 && write(fd, "x", 1) == 1, "O_TMPFILE|O_EXCL");
	check(link_to(fd, at(m.mount, "never")) < 0 && errno == ENOENT &&
		      access(at(m.source, "never"), F_OK) < 0,
	      "has no name ever");
	close(fd);
	check(open(m.mount, O_TMPFILE | O_RDONLY, 0600) < 0 && errno == EINVAL,
	      "O_TMPFILE|O_RDONLY: EINVAL");
	check(open(at(m.mount, "a"), O_TMPFILE | O_RDWR, 0600) < 0 && errno == ENOTDIR,
	      "in a file: ENOTDIR");
	chmod(m.source, 01777);
	sleep(1);
	check(as_user(1000, 1001, make_tmpfile, m.mount) == 0, "made and linked by a user");
	check(stat(at(m.source, "linked-by-user"), &st) == 0 && st.st_uid == 1000 &&
		      st.st_gid == 1001,
	      "whose it is on the host");
	chmod(m.source, 0755);
	sleep(1);
	check(as_user(1000, 1001, make_tmpfile, m.mount) == 1, "not where that user cannot write");
}

/* What the directory itself answers is what its share answers: sysfs has no such files. */
static void nameless_nowhere(void)
{
	struct mounted sys;
	int host, guest;

	mkdir(at(base, "sys"), 0755);
	check(mount("none", at(base, "sys"), "sysfs", 0, NULL) == 0,
	      "a file system of another kind");
	host = open(at(base, "sys/fs"), O_TMPFILE | O_RDWR, 0600) < 0 ? errno : 0;
	sys = serve_at(at(base, "sys/fs"), false);
	guest = open(sys.mount, O_TMPFILE | O_RDWR, 0600) < 0 ? errno : 0;
	check(host == EOPNOTSUPP && guest == host, "without O_TMPFILE: EOPNOTSUPP (%s)",
	      strerror(guest));
	unserve(&sys);
	umount(at(base, "sys"));
}

static void copied(void)
{
	int in, out;
	loff_t off_in = 1, off_out = 2;

	write_file(at(m.mount, "from"), "abcdefgh", 8);
	write_file(at(m.mount, "to"), "12345678", 8);
	in = open(at(m.mount, "from"), O_RDONLY);
	out = open(at(m.mount, "to"), O_RDWR);
	check(copy_file_range(in, &off_in, out, &off_out, 3, 0) == 3 &&
		      file_is(at(m.source, "to"), "12bcd678") &&
		      file_is(at(m.mount, "to"), "12bcd678"),
	      "copy_file_range");
	close(in);
	close(out);
}

/* Pages that the guest has read are dropped when the host has changed the file. */
static void host_changes(void)
{
	double end;
	int fd;
	char back[8] = "";

	write_file(at(m.source, "shared"), "old!", 4);
	check(file_is(at(m.mount, "shared"), "old!"), "read what the host wrote");
	fd = open(at(m.mount, "shared"), O_RDONLY);
	usleep(20000);
	write_file(at(m.source, "shared"), "new!", 4);
	usleep(1500000);
	check(pread(fd, back, 4, 0) == 4 && !memcmp(back, "new!", 4),
	      "within 2 s an open file shows the host's change of the same size");
	check(file_is(at(m.mount, "shared"), "new!"), "and a new open");
	write_file(at(m.source, "shared"), "longer", 6);
	usleep(1500000);
	check(pread(fd, back, 8, 0) == 6, "and a new size");
	close(fd);

	check(access(at(m.mount, "later"), F_OK) < 0, "a name that is not there");
	write_file(at(m.source, "later"), "", 0);
	end = now() + 2;
	while (access(at(m.mount, "later"), F_OK) && now() < end)
		usleep(50000);
	check(access(at(m.mount, "later"), F_OK) == 0, "is seen within 2 s when the host makes it");
	unlink(at(m.source, "later"));
	end = now() + 2;
	while (access(at(m.mount, "later"), F_OK) == 0 && now() < end)
		usleep(50000);
	check(access(at(m.mount, "later"), F_OK) < 0, "and its end, too");
}

void checks_files(void)
{
	m = serve_new("files");
	write_and_read();
	big();
	sparse();
	mapped();
	executed();
	unlinked();
	nameless();
	nameless_nowhere();
	copied();
	host_changes();
	unserve(&m);
}
