/* An overlay whose layers lie in the directory: overlay. */
#include "filesem.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static void layers(void)
{
	MUST(mkdir("lower", 0755));
	MUST(mkdir("upper", 0755));
	MUST(mkdir("work", 0755));
	MUST(mkdir("merged", 0755));
	make_file("lower/removed", "x");
	make_file("lower/changed", "0123456789");
	make_file("lower/renamed", "renamed");
	make_file("lower/linked", "linked");
	MUST(setxattr("lower/changed", "user.kept", "x", 1, 0));
	MUST(chown("lower/changed", 1000, 2000));
	MUST(mkdir("lower/d", 0755));
	make_file("lower/d/old", "x");
	MUST(mkdir("lower/e", 0750));
	make_file("lower/e/f", "x");
	MUST(symlink("changed", "lower/symlink"));
}

static void changes(void)
{
	int fd;

	DID(unlink("merged/removed"));
	DID(access("merged/removed", F_OK));
	fd = FD(open("merged/changed", O_RDWR));
	DID(pwrite(fd, "ab", 2, 4));
	close(fd);
	show("merged/changed");
	show_text("lower/changed");
	DID(rename("merged/renamed", "merged/new-name"));
	DID(link("merged/linked", "merged/second"));
	show("merged/linked");
	DID(unlink("merged/d/old"));
	DID(rmdir("merged/d"));
	DID(mkdir("merged/d", 0755));
	make_file("merged/d/new", "x");
	show_names("merged/d");
	DID(rename("merged/e", "merged/moved"));
	make_file("merged/made", "x");
	DID(chmod("merged/symlink", 0600));
	DID(mkfifo("merged/fifo", 0600));
	DID(unlink("merged/second"));
	DID(setxattr("merged/made", "user.a", "x", 1, 0));
	DID(renameat2(AT_FDCWD, "merged/made", AT_FDCWD, "merged/new-name", RENAME_EXCHANGE));
	show_names("merged");
}

void subject_overlay(void)
{
	MUST(unshare(CLONE_NEWNS));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	layers();
	if (DID(mount("overlay", "merged", "overlay", 0,
		      "lowerdir=lower,upperdir=upper,workdir=work")))
		return;
	changes();
	DID(umount("merged"));
	/* what it left in the upper layer is what the next mount finds */
	show_names("upper");
	show("upper/removed");
	show("upper/changed");
	show("upper/d");
	show("upper/renamed");
	DID(mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work"));
	show_names("merged");
	show_names("merged/d");
	show("merged/changed");
	show("merged/moved");
	DID(umount("merged"));
	DID(mount("overlay", "merged", "overlay", MS_RDONLY, "lowerdir=upper:lower"));
	show_names("merged");
	FD(open("merged/changed", O_RDWR));
	DID(umount("merged"));
}
