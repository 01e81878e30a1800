/*
 * More inodes than the server may have files open: nodes lose their fds and are
 * found again. An O_PATH descriptor on this side keeps a node known without opening
 * anything on the other: fstat of it, its attributes being too old to be believed,
 * asks for the node alone.
 */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

/* Limit of open files of most servers here, and files enough to use it up. */
#define NOFILE 700
#define FILL   700

#define DEPTH 3000

static struct mounted m;

/* The file system that the sources lie on: a directory. */
static char place[128];

static void serve_few(const char *name)
{
	mkdir(at(place, "%s", name), 0755);
	mkdir(at(place, "%s/fill", name), 0755);
	for (int i = 0; i < FILL; i++)
		write_file(at(place, "%s/fill/%d", name, i), "x", 1);
	option_nofile = NOFILE;
	m = serve_at(at(place, "%s", name), false);
	option_nofile = 0;
}

/* Whether the server has something open that is called so at the end. */
static bool server_has(const char *suffix)
{
	char path[64], target[4096];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", m.server);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		size_t length = strlen(suffix);

		if (n >= (ssize_t)length && !memcmp(target + n - length, suffix, length))
			found = true;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Uses so many other files that nothing else keeps its fd, and lets attributes get old. */
static bool evict(void)
{
	bool filled = true;
	char byte, last[32];

	snprintf(last, sizeof(last), "/fill/%d", FILL - 1);
	for (int i = 0; i < FILL; i++)
		filled &= read_file(at(m.mount, "fill/%d", i), &byte, 1) == 1;
	filled &= server_has(last);
	usleep(1100000);
	return filled;
}

static int known(const char *path)
{
	return open(at(m.mount, "%s", path), O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/* The inode of a known one, by its node; 0 with errno. */
static ino_t inode(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

static ino_t inode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? 0 : st.st_ino;
}

/* --- what stays known --- */

static void mount_point(void)
{
	struct statfs fs;
	ino_t below;

	serve_few("stays");
	mkdir(at(m.source, "a"), 0755);
	mkdir(at(m.source, "a/b"), 0755);
	mkdir(at(m.source, "a/b/c"), 0755);
	check(mount("none", at(m.mount, "a/b/c"), "tmpfs", 0, NULL) == 0,
	      "a mount point in the share");
	below = inode_of(at(m.mount, "a/b"));
	check(evict() && !server_has("/a") && !server_has("/a/b") && !server_has("/a/b/c"),
	      "what is above it has been evicted");
	check(statfs(at(m.mount, "a/b/c"), &fs) == 0 && fs.f_type == TMPFS_MAGIC,
	      "the mount is still there");
	check(inode_of(at(m.mount, "a/b")) == below && below == inode_of(at(m.source, "a/b")),
	      "what it lies in is the same");
	check(write_file(at(m.mount, "a/b/f"), "x", 1) == 0 && file_is(at(m.source, "a/b/f"), "x"),
	      "and can be written to");
	check(umount(at(m.mount, "a/b/c")) == 0, "unmounted by hand");
	unserve(&m);
}

static void renamed_inside(void)
{
	int file, directory;

	serve_few("inside");
	mkdir(at(m.mount, "x"), 0755);
	mkdir(at(m.mount, "x/d"), 0755);
	mkdir(at(m.mount, "y"), 0755);
	write_file(at(m.mount, "x/d/f"), "f", 1);
	write_file(at(m.mount, "x/one"), "1", 1);
	write_file(at(m.mount, "y/two"), "2", 1);
	file = known("x/d/f");
	directory = known("x/d");
	check(evict() && !server_has("/x/d"), "known and evicted");
	check(rename(at(m.mount, "x/d"), at(m.mount, "y/e")) == 0, "renamed inside");
	check(evict() && !server_has("/y/e"), "evicted");
	check(inode(directory) == inode_of(at(m.source, "y/e")) &&
		      inode(file) == inode_of(at(m.source, "y/e/f")),
	      "a directory that was renamed, and what is in it, is found");
	close(file);
	close(directory);

	file = known("x/one");
	directory = known("y/two");
	check(renameat2(AT_FDCWD, at(m.mount, "x/one"), AT_FDCWD, at(m.mount, "y/two"),
			RENAME_EXCHANGE) == 0 &&
		      evict() && !server_has("/y/two") && !server_has("/x/one"),
	      "exchanged, evicted");
	check(inode(file) == inode_of(at(m.source, "y/two")) &&
		      inode(directory) == inode_of(at(m.source, "x/one")),
	      "both are found");
	close(file);
	close(directory);
	unserve(&m);
}

static void renamed_outside(void)
{
	ino_t number;
	int file;

	serve_few("outside");
	write_file(at(m.source, "h1"), "h", 1);
	number = inode_of(at(m.source, "h1"));
	file = known("h1");
	check(evict() && rename(at(m.source, "h1"), at(m.source, "h2")) == 0,
	      "evicted, then renamed by the host");
	check(inode(file) == 0 && errno == ESTALE, "ESTALE");
	write_file(at(m.source, "h1"), "other", 5);
	check(inode(file) == 0 && errno == ESTALE, "also when another has its name");
	check(inode_of(at(m.mount, "h2")) == number && inode(file) == number,
	      "looked up by its new name it is known again");
	check(file_is(at(m.mount, "h1"), "other") && file_is(at(m.mount, "h2"), "h"),
	      "and both can be read");
	close(file);
	unserve(&m);
}

static void number_reused(void)
{
	ino_t number;
	int file;

	serve_few("reused");
	write_file(at(m.source, "f"), "old", 3);
	number = inode_of(at(m.source, "f"));
	file = known("f");
	check(inode(file) == number && evict() && !server_has("/f"), "known and evicted");
	/* of this file system nobody else uses numbers */
	check(unlink(at(m.source, "f")) == 0 && write_file(at(m.source, "f"), "new", 3) == 0 &&
		      inode_of(at(m.source, "f")) == number,
	      "made anew by the host, with its number");
	check(inode(file) == 0 && errno == ESTALE, "the old one is ESTALE");
	check(file_is(at(m.mount, "f"), "new"), "the new one can be read");
	check(inode(file) == 0 && errno == ESTALE, "the old one stays ESTALE");
	close(file);
	unserve(&m);
}

/* --- what has no name any more --- */

static void removed(void)
{
	struct stat st;
	int file, open_file, directory, replaced, reading;
	char text[4] = "";

	serve_few("removed");
	mkdir(at(m.source, "d"), 0755);
	write_file(at(m.source, "f"), "f", 1);
	write_file(at(m.source, "o"), "o", 1);
	write_file(at(m.source, "r"), "r", 1);
	write_file(at(m.source, "s"), "s", 1);
	write_file(at(m.source, "host"), "h", 1);
	file = known("f");
	directory = known("d");
	replaced = known("r");
	open_file = open(at(m.mount, "o"), O_RDWR);
	reading = open(at(m.mount, "host"), O_RDONLY);
	check(evict(), "known and evicted");
	check(unlink(at(m.mount, "f")) == 0 && rmdir(at(m.mount, "d")) == 0 &&
		      unlink(at(m.mount, "o")) == 0 &&
		      rename(at(m.mount, "s"), at(m.mount, "r")) == 0,
	      "removed, or replaced, inside");
	unlink(at(m.source, "host"));
	check(evict(), "what can be is evicted");
	check(fstat(file, &st) == 0 && st.st_nlink == 0, "a removed file is still known");
	check(fstat(directory, &st) == 0 && S_ISDIR(st.st_mode), "a removed directory");
	check(fstat(replaced, &st) == 0 && st.st_nlink == 0, "a replaced file");
	check(fstat(open_file, &st) == 0 && st.st_nlink == 0 && pwrite(open_file, "p", 1, 0) == 1 &&
		      fchmod(open_file, 0600) == 0,
	      "an open one can be written to and changed");
	check(fstat(reading, &st) == 0 && st.st_nlink == 0 && pread(reading, text, 3, 0) == 1,
	      "so can one that is open and was removed by the host");
	close(file);
	close(directory);
	close(replaced);
	close(open_file);
	close(reading);
	unserve(&m);
}

static void hard_links(void)
{
	ino_t number;
	int file;

	serve_few("links");
	write_file(at(m.mount, "a"), "a", 1);
	number = inode_of(at(m.source, "a"));
	check(link(at(m.mount, "a"), at(m.mount, "b")) == 0, "two names");
	file = known("b");
	check(evict() && inode(file) == number, "evicted and found");
	check(unlink(at(m.mount, "b")) == 0 && evict() && inode(file) == number,
	      "the name it was found by is removed");
	check(file_is(at(m.mount, "a"), "a") && evict() && !server_has("/a"),
	      "seen by the other name, it can be evicted");
	check(inode(file) == number, "and is found by that");
	check(evict() && unlink(at(m.source, "a")) == 0 && inode(file) == 0 && errno == ESTALE,
	      "evicted and removed by the host: ESTALE");
	close(file);
	unserve(&m);
}

/* It has no name until it is linked. */
static void without_name(void)
{
	struct stat st;
	char path[32];
	int fd, file;

	serve_few("nameless");
	fd = open(m.mount, O_TMPFILE | O_RDWR, 0600);
	if (fd < 0) {
		printf("# no O_TMPFILE here: %s\n", strerror(errno));
		unserve(&m);
		return;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	file = open(path, O_PATH);
	check(write(fd, "t", 1) == 1 && close(fd) == 0 && evict() && fstat(file, &st) == 0 &&
		      st.st_nlink == 0,
	      "a file that never had a name is still known");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	check(linkat(AT_FDCWD, path, AT_FDCWD, at(m.mount, "named"), AT_SYMLINK_FOLLOW) == 0 &&
		      file_is(at(m.source, "named"), "t"),
	      "it gets one");
	check(evict() && !server_has("/named") && inode(file) == inode_of(at(m.source, "named")),
	      "evicted, it is found by that");
	close(file);
	unserve(&m);
}

/* What an operation copies up on an overlay, or lies above that, is still the same. */
static void copied_up(void)
{
	int directory, file, inner;
	ino_t number;

	serve_few("copied");
	directory = known("d");
	inner = known("d/e");
	file = known("d/e/f");
	number = inode(file);
	check(number != 0 && evict() && !server_has("/d"), "of a lower layer, known and evicted");
	check(write_file(at(m.mount, "d/e/f"), "changed", 7) == 0 &&
		      write_file(at(m.mount, "d/e/g"), "g", 1) == 0 &&
		      file_is(at(base, "upper/copied/d/e/f"), "changed"),
	      "copied up");
	check(evict() && !server_has("/d") && !server_has("/e") && !server_has("/f"), "evicted");
	check(inode(directory) == inode_of(at(m.source, "d")) &&
		      inode(inner) == inode_of(at(m.source, "d/e")) && inode(file) == number,
	      "found again");
	close(directory);
	close(inner);
	close(file);
	unserve(&m);
}

/* --- deep --- */

static int make_deep(const char *top)
{
	int fd = open(top, O_PATH | O_DIRECTORY);

	for (int i = 0; i < DEPTH; i++) {
		int next;

		mkdirat(fd, "d", 0755);
		next = openat(fd, "d", O_PATH | O_DIRECTORY);
		close(fd);
		fd = next;
	}
	return fd;
}

static void deep(void)
{
	struct stat st, host = { 0 };
	double start;
	int fd, bottom;

	serve_few("deep");
	fd = make_deep(m.source);
	bottom = openat(fd, "file", O_WRONLY | O_CREAT, 0644);
	check(write(bottom, "x", 1) == 1 && fstat(bottom, &host) == 0, "%d directories deep",
	      DEPTH);
	close(bottom);
	close(fd);
	fd = make_deep(m.mount);
	bottom = openat(fd, "file", O_PATH);
	close(fd);
	check(bottom >= 0 && evict() && !server_has("/d"), "known and evicted, all of it");
	start = now();
	check(fstat(bottom, &st) == 0 && st.st_ino == host.st_ino, "the bottom is found");
	printf("# in %.1f ms\n", (now() - start) * 1e3);
	check(count_fds(m.server) < NOFILE, "with few descriptors");
	close(bottom);
	unserve(&m);
}

/* More open than may be: an error, and then it works again. */
static void open_files(void)
{
	static int fds[FILL];
	int opened = 0, good = 0;
	char byte;

	serve_few("open");
	while (opened < FILL && (fds[opened] = open(at(m.mount, "fill/%d", opened), O_RDONLY)) >= 0)
		opened++;
	check(opened > NOFILE / 6 && opened < FILL && errno == ENFILE, "%d files open, then ENFILE",
	      opened);
	check(inode_of(at(m.mount, "fill/%d", FILL - 1)) != 0 && mkdir(at(m.mount, "d"), 0755) == 0,
	      "what needs no open file goes on");
	usleep(1100000);
	for (int i = 0; i < opened; i++)
		good += pread(fds[i], &byte, 1, 0) == 1 && inode(fds[i]) > 0;
	check(good == opened, "all of them can be read, and their attributes");
	for (int i = 0; i < opened; i++)
		close(fds[i]);
	check(evict(), "closed: all is well again");
	unserve(&m);
}

/* --- on file systems of several kinds --- */

static void kinds_of_nodes(void)
{
	mount_point();
	renamed_inside();
	renamed_outside();
	removed();
	without_name();
	hard_links();
}

/* Has no file handles, and numbers that are used once. */
static void on_ramfs(void)
{
	snprintf(place, sizeof(place), "%s/ramfs", base);
	mkdir(place, 0755);
	check(mount("none", place, "ramfs", 0, NULL) == 0, "a ramfs");
	kinds_of_nodes();
	deep();
	umount2(place, MNT_DETACH);
}

/* Has handles from Linux 6.6 on, which cannot be decoded. */
static void on_overlay(void)
{
	char options[1024];

	snprintf(place, sizeof(place), "%s/overlay", base);
	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		 base, base, base);
	mkdir(place, 0755);
	mkdir(at(base, "lower"), 0755);
	mkdir(at(base, "lower/copied"), 0755);
	mkdir(at(base, "lower/copied/d"), 0755);
	mkdir(at(base, "lower/copied/d/e"), 0755);
	write_file(at(base, "lower/copied/d/e/f"), "f", 1);
	mkdir(at(base, "upper"), 0755);
	mkdir(at(base, "work"), 0755);
	check(mount("none", place, "overlay", 0, options) == 0, "an overlay");
	kinds_of_nodes();
	copied_up();
	umount2(place, MNT_DETACH);
}

/* Uses the lowest free number; its own, so that nobody else does. */
static void on_ext4(void)
{
	snprintf(place, sizeof(place), "%s/ext4", base);
	mkdir(place, 0755);
	setenv("PLACE", place, 1);
	check(system("truncate -s 16M $PLACE.image && /sbin/mkfs.ext4 -q $PLACE.image &&"
		     " mount -o loop $PLACE.image $PLACE") == 0,
	      "an ext4");
	number_reused();
	umount2(place, MNT_DETACH);
}

void checks_nodes(void)
{
	snprintf(place, sizeof(place), "%s", base);
	kinds_of_nodes();
	deep();
	open_files();
	on_ramfs();
	on_overlay();
	on_ext4();
}
