/* Names: rename, link, unlink, names, deep, crowd. */
#include "filesem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void rename_files(void)
{
	int fd;

	make_file("a", "one");
	make_file("b", "two");
	fd = FD(open("b", O_RDWR));
	DID(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
	DID(rename("a", "b"));
	show("a");
	show_text("b");
	show_fd(fd, "the one replaced");
	DID(write(fd, "TWO!", 4));
	show_fd(fd, "the one replaced");
	close(fd);
	DID(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_NOREPLACE));
	DID(rename("missing", "c"));
	DID(rename("c", "missing/c"));
	DID(rename("c", "c"));
	DID(link("c", "same"));
	DID(rename("c", "same"));
	show_names(".");
	DID(rename("c", "d/"));
	DID(rename("c", ""));
	DID(rename("c", "."));
	make_file("e", "other");
	DID(renameat2(AT_FDCWD, "c", AT_FDCWD, "e", RENAME_EXCHANGE));
	show_text("c");
	show_text("e");
	DID(renameat2(AT_FDCWD, "c", AT_FDCWD, "missing", RENAME_EXCHANGE));
	DID(renameat2(AT_FDCWD, "c", AT_FDCWD, "e", RENAME_EXCHANGE | RENAME_NOREPLACE));
	DID(renameat2(AT_FDCWD, "c", AT_FDCWD, "e", 0x80));
	DID(renameat2(AT_FDCWD, "c", AT_FDCWD, "moved", RENAME_WHITEOUT));
	show("c");
	show("moved");
}

static void rename_directories(void)
{
	int fd;

	MUST(mkdir("empty", 0755));
	MUST(mkdir("full", 0755));
	make_file("full/f", "x");
	MUST(mkdir("d", 0700));
	make_file("d/inside", "x");
	fd = FD(open("d", O_RDONLY | O_DIRECTORY));
	DID(rename("d", "full"));
	DID(rename("d", "full/f"));
	DID(rename("full/f", "d"));
	DID(rename("d", "empty"));
	show("empty");
	show_names("empty");
	DID(faccessat(fd, "inside", R_OK, 0));
	close(FD(openat(fd, "made", O_WRONLY | O_CREAT, 0644)));
	show_names("empty");
	close(fd);
	MUST(mkdir("empty/sub", 0755));
	DID(rename("empty", "empty/sub/x"));
	DID(rename("empty", "empty/sub"));
	DID(rename("empty/sub", "empty"));
	DID(rename("empty/sub", "full/sub"));
	show("empty");
	show("full");
	DID(renameat2(AT_FDCWD, "full/f", AT_FDCWD, "empty", RENAME_EXCHANGE));
	show("full/f");
	show("empty");
	show("full");
	DID(rename("empty/", "file/"));
	DID(rename("full", "by-slash/"));
	show_names(".");
	MUST(chdir("by-slash"));
	DID(rename("../by-slash", "../moved-below"));
	show_names(".");
	MUST(chdir(".."));
}

void subject_rename(void)
{
	MUST(mkdir("files", 0755));
	MUST(chdir("files"));
	rename_files();
	MUST(chdir(".."));
	MUST(mkdir("directories", 0755));
	MUST(chdir("directories"));
	rename_directories();
}

void subject_link(void)
{
	char target[16];
	char *long_target = malloc(5000);
	int fd;

	make_file("a", "0123456789");
	DID(link("a", "b"));
	show("a");
	show("b");
	DID(link("a", "b"));
	DID(link("missing", "c"));
	DID(link("a", "missing/c"));
	DID(link(".", "directory"));
	fd = FD(open("b", O_WRONLY));
	DID(pwrite(fd, "ab", 2, 3));
	show_text("a");
	DID(chmod("a", 0600));
	show("b");
	DID(unlink("a"));
	show("b");
	DID(pwrite(fd, "cd", 2, 8));
	show_text("b");
	close(fd);
	DID(symlink("b", "s"));
	show("s");
	DID(symlink("b", "s"));
	DID(symlink("", "empty"));
	DID(link("s", "hard-to-symlink"));
	show("hard-to-symlink");
	DID(linkat(AT_FDCWD, "s", AT_FDCWD, "hard-to-target", AT_SYMLINK_FOLLOW));
	show("b");
	DID(readlink("b", target, sizeof(target)));
	DID(readlink("s", target, 0));
	memset(long_target, 'l', 4999);
	long_target[4095] = '\0';
	DID(symlink(long_target, "long"));
	DID(readlink("long", long_target, 5000));
	DID(symlink("any \n\xff bytes", "bytes"));
	DID(readlink("bytes", target, sizeof(target)));
	DID(lchown("s", 5, 6));
	show("s");
	show("b");
	DID(fchmodat(AT_FDCWD, "s", 0600, 0));
	show("b");
	DID(symlink("b/../b", "through-file"));
	FD(open("through-file", O_RDONLY));
	free(long_target);
}

void subject_unlink(void)
{
	char text[16] = "";
	int fd, again;
	DIR *directory;

	make_file("f", "0123456789");
	fd = FD(open("f", O_RDWR));
	DID(unlink("f"));
	show_fd(fd, "removed");
	DID(write(fd, "abc", 3));
	DID(pread(fd, text, 10, 0));
	say("%s", text);
	DID(fchmod(fd, 0600));
	DID(fchown(fd, 3, 4));
	DID(ftruncate(fd, 100));
	show_fd(fd, "removed");
	make_file("f", "new");
	again = FD(open("f", O_RDONLY));
	show_fd(again, "the new one");
	show_fd(fd, "removed");
	close(again);
	close(fd);
	DID(unlink("missing"));
	DID(rmdir("f"));
	DID(rmdir("missing"));
	MUST(mkdir("d", 0755));
	DID(unlink("d"));
	make_file("d/x", "x");
	DID(rmdir("d"));
	DID(rmdir("d/."));
	DID(rmdir("d/x/.."));
	DID(unlink("d/x/"));
	DID(unlink("d/x"));
	fd = FD(open("d", O_RDONLY | O_DIRECTORY));
	directory = opendir("d");
	DID(rmdir("d"));
	show_fd(fd, "the removed directory");
	FD(openat(fd, "y", O_WRONLY | O_CREAT, 0644));
	DID(mkdirat(fd, "y", 0755));
	FD(openat(fd, "x", O_RDONLY));
	close(FD(openat(fd, ".", O_RDONLY)));
	say("an entry in it: %s", directory && readdir(directory) ? "yes" : "no");
	if (directory)
		closedir(directory);
	close(fd);
	MUST(mkdir("cwd", 0755));
	MUST(chdir("cwd"));
	DID(rmdir("../cwd"));
	FD(open("y", O_WRONLY | O_CREAT, 0644));
	say("cwd: %s", getcwd(text, sizeof(text)) ? "known" : outcome(-1));
	DID(chdir(".."));
}

void subject_names(void)
{
	char name[300], bytes[2];
	int bad = 0;

	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	close(FD(open(name, O_WRONLY | O_CREAT, 0644)));
	show_names(".");
	DID(mkdir(name, 0755));
	name[254] = 'd';
	DID(mkdir(name, 0755));
	DID(rename(name, "short"));
	DID(rename("short", name));
	DID(rmdir(name));
	DID(symlink("x", name));
	DID(unlink(name));
	name[255] = 'n';
	name[256] = '\0';
	FD(open(name, O_WRONLY | O_CREAT, 0644));
	FD(open(name, O_RDONLY));
	DID(mkdir(name, 0755));
	DID(symlink("x", name));
	DID(rename("short", name));
	DID(link("short", name));
	DID(unlink(name));
	MUST(mkdir("bytes", 0755));
	MUST(chdir("bytes"));
	bytes[1] = '\0';
	for (int c = 1; c < 256; c++) {
		bytes[0] = (char)c;
		if (c == '/' || c == '.')
			continue;
		if (mkdir(bytes, 0755) || access(bytes, F_OK)) {
			say("byte %d: %s", c, outcome(-1));
			bad++;
		}
	}
	say("%d bytes are no names", bad);
	show_names(".");
	MUST(chdir(".."));
	show("bytes");
	DID(mkdir("trailing/", 0755));
	DID(mkdir("...", 0755));
	DID(mkdir(".", 0755));
	DID(mkdir("..", 0755));
	DID(rmdir("."));
	DID(mkdir("\xc3\xa9 \xff\xfe", 0755));
	DID(access("\xc3\xa9 \xff\xfe", F_OK));
	DID(access("\xc3\xa9", F_OK));
	DID(mkdir("UPPER", 0755));
	DID(mkdir("upper", 0755));
}

void subject_deep(void)
{
	enum { LEVELS = 60 };
	char name[101], path[4200];
	ssize_t n;

	memset(name, 'd', 100);
	name[100] = '\0';
	for (int i = 0; i < LEVELS; i++) {
		MUST(mkdir(name, 0755));
		MUST(chdir(name));
	}
	make_file("bottom", "here");
	show("bottom");
	say("cwd: %s", getcwd(path, sizeof(path)) ? "known" : outcome(-1));
	FD(open(name, O_RDONLY));
	n = readlink("/proc/self/cwd", path, sizeof(path));
	say("by /proc: %s", n < 0 ? outcome(n) : "known");
	for (int i = 0; i < LEVELS; i++)
		MUST(chdir(".."));
	path[0] = '\0';
	for (int i = 0; i < 41; i++) {
		strcat(path, name);
		strcat(path, "/");
	}
	path[4094] = '\0';
	DID(access(path, F_OK));
	path[4094] = '/';
	path[4095] = '/';
	path[4096] = '\0';
	DID(access(path, F_OK));
	path[3 * 101] = '\0';
	DID(access(path, F_OK));
	/* the way back: the tree can be taken down level by level */
	for (int i = 0; i < LEVELS; i++)
		MUST(chdir(name));
	DID(unlink("bottom"));
	for (int i = 0; i < LEVELS; i++) {
		MUST(chdir(".."));
		MUST(rmdir(name));
	}
	show_names(".");
}

/* Sum of the hashes of all names, whatever their order. */
static uint64_t sum_of_names(DIR *directory, unsigned int *count, unsigned int limit)
{
	struct dirent *entry;
	uint64_t sum = 0;

	for (*count = 0; *count < limit && (entry = readdir(directory)); ++*count)
		sum += hash_bytes(HASH_START, entry->d_name, strlen(entry->d_name)) + entry->d_type;
	return sum;
}

static void crowd_positions(DIR *directory, uint64_t whole)
{
	unsigned int count;
	uint64_t first, rest;
	long position;

	rewinddir(directory);
	first = sum_of_names(directory, &count, 777);
	position = telldir(directory);
	rest = sum_of_names(directory, &count, UINT32_MAX);
	say("first and rest are the whole: %d", first + rest == whole);
	seekdir(directory, position);
	say("the rest again: %d", sum_of_names(directory, &count, UINT32_MAX) == rest);
	rewinddir(directory);
	say("the whole again: %d", sum_of_names(directory, &count, UINT32_MAX) == whole);
}

/* A process that removes what it reads, as rm does, meets every name once. */
static void crowd_removal(DIR *directory)
{
	unsigned int removed = 0, failed = 0;
	struct dirent *entry;

	rewinddir(directory);
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		if (unlinkat(dirfd(directory), entry->d_name, 0))
			failed++;
		else
			removed++;
	}
	say("removed %u, failed %u", removed, failed);
	rewinddir(directory);
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			say("left: %s", entry->d_name);
}

void subject_crowd(void)
{
	unsigned int count;
	uint64_t whole;
	DIR *directory;
	char name[32];

	MUST(mkdir("crowd", 0755));
	for (unsigned int i = 0; i < crowd; i++) {
		snprintf(name, sizeof(name), "crowd/entry-%u", i);
		MUST(mknod(name, S_IFREG | 0644, 0));
	}
	directory = opendir("crowd");
	if (!directory) {
		say("opendir %s", outcome(-1));
		return;
	}
	whole = sum_of_names(directory, &count, UINT32_MAX);
	say("%u names, sum %016lx", count, (unsigned long)whole);
	crowd_positions(directory, whole);
	make_file("crowd/late", "x");
	rewinddir(directory);
	sum_of_names(directory, &count, UINT32_MAX);
	say("%u names with a late one", count);
	crowd_removal(directory);
	closedir(directory);
	DID(rmdir("crowd"));
}
