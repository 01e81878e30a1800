/* Owners and modes: owner, setid, times, access. */
#include "filesem.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const gid_t team[] = { 2000, 3000, 0 };

static void change_as_user(void)
{
	DID(chmod("user's", 0640));
	DID(chmod("root's", 0640));
	DID(chown("user's", 1000, 2000));
	DID(chown("user's", 1000, 4000));
	DID(chown("user's", 1001, -1));
	DID(chown("user's", -1, -1));
	DID(chown("root's", -1, -1));
	DID(chown("root's", 1000, -1));
	show("user's");
	DID(chmod("user's", 06755));
	show("user's");
	DID(chmod("stranger-group", 02755)); /* not of the group: no set-group-id */
	show("stranger-group");
	DID(chmod("user's", 01777));
	show("user's");
}

static void owner_without_chown(void)
{
	DID(chown("f", 7, 7));
	DID(chown("f", 0, 0));
}

void subject_owner(void)
{
	int fd;

	make_file("f", "x");
	DID(chown("f", 5, 6));
	show("f");
	DID(chown("f", -1, 7));
	DID(chown("f", 8, -1));
	show("f");
	DID(chown("f", 4294967294u, 4294967294u));
	show("f");
	fd = FD(open("f", O_RDONLY));
	DID(fchown(fd, 0, 0));
	DID(fchmod(fd, 07777));
	show("f");
	close(fd);
	DID(chmod("f", 0));
	DID(chmod("missing", 0));
	DID(chmod("f/", 0));
	DID(chown("missing", 0, 0));
	make_file("user's", "x");
	make_file("root's", "x");
	make_file("stranger-group", "x");
	MUST(chown("user's", 1000, 1000));
	MUST(chown("stranger-group", 1000, 4000));
	as_user(1000, 1000, team, change_as_user);
	without_capability(CAP_CHOWN, owner_without_chown);
	MUST(mkdir("sgid", 0777));
	DID(chown("sgid", 0, 2000));
	DID(chmod("sgid", 02777));
	make_file("sgid/f", "x");
	DID(mkdir("sgid/d", 0755));
	show("sgid/f");
	show("sgid/d");
	MUST(symlink("x", "sgid/s"));
	show("sgid/s");
	close(FD(open("sgid/x", O_WRONLY | O_CREAT, 02755)));
	show("sgid/x");
}

/* A file that is anybody's to write, with both bits, made by root for this user. */
static void setid_file(const char *path, mode_t mode)
{
	make_file(path, "0123456789");
	MUST(chown(path, 1000, 1000));
	MUST(chmod(path, mode));
}

static void setid_steps(void)
{
	char *page;
	int fd;

	fd = FD(open("write", O_WRONLY));
	DID(write(fd, "x", 1));
	close(fd);
	show("write");
	fd = FD(open("write-nothing", O_WRONLY));
	DID(write(fd, "", 0));
	close(fd);
	show("write-nothing");
	fd = FD(open("no-execute", O_WRONLY));
	DID(write(fd, "x", 1));
	close(fd);
	show("no-execute");
	DID(truncate("truncate", 5));
	show("truncate");
	DID(truncate("truncate-same", 10));
	show("truncate-same");
	close(FD(open("open-truncate", O_WRONLY | O_TRUNC)));
	show("open-truncate");
	fd = FD(open("allocate", O_WRONLY));
	DID(fallocate(fd, 0, 0, 100));
	close(fd);
	show("allocate");
	fd = FD(open("map", O_RDWR));
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page != MAP_FAILED) {
		page[0] = 'x';
		DID(msync(page, 4096, MS_SYNC));
		munmap(page, 4096);
	}
	close(fd);
	show("map");
	DID(chown("chown", 1000, 1000));
	show("chown");
	DID(chown("chown-nothing", -1, -1));
	show("chown-nothing");
	DID(chmod("chmod", 06755));
	show("chmod");
	fd = FD(open("copy-to", O_WRONLY));
	DID(copy_file_range(open("copy-from", O_RDONLY), NULL, fd, NULL, 5, 0));
	close(fd);
	show("copy-to");
}

static void setid_files(void)
{
	setid_file("write", 06777);
	setid_file("write-nothing", 06777);
	setid_file("no-execute", 06666);
	setid_file("truncate", 06777);
	setid_file("truncate-same", 06777);
	setid_file("open-truncate", 06777);
	setid_file("allocate", 06777);
	setid_file("map", 06777);
	setid_file("chown", 06777);
	setid_file("chown-nothing", 06777);
	setid_file("chmod", 0777);
	setid_file("copy-from", 0777);
	setid_file("copy-to", 06777);
}

static void setid_round(const char *directory)
{
	say("%s:", directory);
	MUST(mkdir(directory, 0777));
	MUST(chmod(directory, 0777));
	MUST(chdir(directory));
	setid_files();
}

void subject_setid(void)
{
	setid_round("root");
	setid_steps();
	MUST(chdir(".."));
	setid_round("owner");
	as_user(1000, 1000, NULL, setid_steps);
	MUST(chdir(".."));
	setid_round("other");
	as_user(1001, 1001, NULL, setid_steps);
	MUST(chdir(".."));
	setid_round("no-fsetid");
	without_capability(CAP_FSETID, setid_steps);
	MUST(chdir(".."));
	/* directories keep theirs */
	MUST(mkdir("d", 0755));
	MUST(chmod("d", 06755));
	DID(chown("d", 1000, 1000));
	show("d");
}

static void show_times(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		say("times of %s: %s", path, outcome(-1));
	else
		say("times of %s: %ld.%09ld %ld.%09ld", path, (long)st.st_atim.tv_sec,
		    st.st_atim.tv_nsec, (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void set_times(const char *path, const struct timespec *atime, const struct timespec *mtime,
		      int flags)
{
	const struct timespec times[2] = { *atime, *mtime };

	say("utimensat %s %s", path, outcome(utimensat(AT_FDCWD, path, times, flags)));
}

#define now	      ((struct timespec){ .tv_nsec = UTIME_NOW })
#define omit	      ((struct timespec){ .tv_nsec = UTIME_OMIT })
#define AT(sec, nsec) (&(const struct timespec){ (sec), (nsec) })

/* Between now and ten minutes ago. */
static void say_recent(const char *path)
{
	const time_t today = time(NULL);
	struct stat st;

	MUST(stat(path, &st));
	say("%s: access %s, modification %s", path,
	    llabs(today - st.st_atim.tv_sec) < 600 ? "now" : "then",
	    llabs(today - st.st_mtim.tv_sec) < 600 ? "now" : "then");
}

static void times_as_user(void)
{
	set_times("writable", &now, &now, 0);
	set_times("writable", AT(1, 2), AT(3, 4), 0);
	set_times("writable", &now, &omit, 0);
	set_times("writable", &omit, &omit, 0);
	set_times("root's", &now, &now, 0);
	set_times("user's", AT(1, 2), AT(3, 4), 0);
	set_times("user's", &now, &omit, 0);
}

void subject_times(void)
{
	int fd;

	make_file("f", "x");
	MUST(symlink("f", "s"));
	MUST(mkdir("d", 0755));
	set_times("f", AT(1000000000, 123456789), AT(1100000000, 987654321), 0);
	show_times("f");
	set_times("f", &omit, AT(1200000000, 1), 0);
	show_times("f");
	set_times("f", AT(1300000000, 1), &omit, 0);
	show_times("f");
	set_times("f", &omit, &omit, 0);
	show_times("f");
	set_times("f", &now, &omit, 0);
	say_recent("f");
	set_times("f", AT(5, 0), &now, 0);
	say_recent("f");
	set_times("s", AT(7, 8), AT(9, 10), AT_SYMLINK_NOFOLLOW);
	show_times("s");
	set_times("s", AT(17, 18), AT(19, 20), 0);
	show_times("f");
	set_times("d", AT(27, 28), AT(29, 30), 0);
	show_times("d");
	set_times("f", AT(0, 0), AT(-1000, 5), 0);
	show_times("f");
	set_times("f", AT(4294967296, 0), AT(5000000000, 5), 0);
	show_times("f");
	set_times("f", AT(0, 1000000000), AT(0, 0), 0);
	set_times("missing", &now, &now, 0);
	fd = FD(open("f", O_RDWR));
	DID(futimens(fd, (const struct timespec[2]){ { 11, 12 }, { 13, 14 } }));
	show_times("f");
	/* what was set stays, whatever is still to be written */
	DID(write(fd, "later", 5));
	DID(futimens(fd, (const struct timespec[2]){ { 21, 22 }, { 23, 24 } }));
	close(fd);
	show_times("f");
	make_file("writable", "x");
	make_file("root's", "x");
	make_file("user's", "x");
	MUST(chmod("writable", 0666));
	MUST(chown("user's", 1000, 1000));
	as_user(1000, 1000, NULL, times_as_user);
	say_recent("user's");
}

static void access_files(void)
{
	static const struct {
		const char *name;
		uid_t uid;
		gid_t gid;
		mode_t mode;
	} files[] = {
		{ "mine", 1000, 1000, 0600 },	     { "not-even-mine", 1000, 1000, 0077 },
		{ "group", 0, 1000, 0060 },	     { "further-group", 0, 3000, 0640 },
		{ "no-group", 0, 4000, 0660 },	     { "others", 0, 0, 0606 },
		{ "group-excluded", 0, 3000, 0604 }, { "read", 0, 0, 0644 },
		{ "execute", 0, 0, 0711 },
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		make_file(files[i].name, "x");
		MUST(chown(files[i].name, files[i].uid, files[i].gid));
		MUST(chmod(files[i].name, files[i].mode));
	}
	MUST(mkdir("closed", 0700));
	make_file("closed/f", "x");
	MUST(mkdir("search-only", 0711));
	make_file("search-only/f", "x");
	MUST(mkdir("list-only", 0744));
	make_file("list-only/f", "x");
	MUST(mkdir("drop", 0733));
	MUST(mkdir("sticky", 0777));
	MUST(chmod("sticky", 01777));
	make_file("sticky/root's", "x");
	make_file("sticky/user's", "x");
	MUST(chown("sticky/user's", 1000, 1000));
	MUST(mkdir("own-sticky", 0777));
	MUST(chown("own-sticky", 1000, 1000));
	MUST(chmod("own-sticky", 01777));
	make_file("own-sticky/root's", "x");
	MUST(mkdir("team", 0770));
	MUST(chown("team", 0, 2000));
	MUST(chmod("team", 02770));
}

static void access_steps(void)
{
	static const char *const files[] = { "mine",	      "not-even-mine",	"group",
					     "further-group", "no-group",	"others",
					     "read",	      "group-excluded", "execute",
					     "closed",	      "drop",		"search-only",
					     "list-only",     "search-only/f",	"closed/f",
					     "list-only/f" };
	int readable, writable;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		readable = access(files[i], R_OK);
		say("%s: read %s", files[i], outcome(readable));
		say("%s: write %s", files[i], outcome(access(files[i], W_OK)));
		say("%s: execute %s", files[i], outcome(access(files[i], X_OK)));
		readable = open(files[i], O_RDONLY);
		say("%s: open %s", files[i], readable < 0 ? outcome(-1) : "= fd");
		close(readable);
		writable = open(files[i], O_WRONLY);
		say("%s: open to write %s", files[i], writable < 0 ? outcome(-1) : "= fd");
		close(writable);
	}
	show_names("search-only");
	show_names("list-only");
	show_names("drop");
	close(FD(open("drop/new", O_WRONLY | O_CREAT, 0644)));
	FD(open("search-only/new", O_WRONLY | O_CREAT, 0644));
	DID(unlink("search-only/f"));
	DID(unlink("sticky/root's"));
	DID(rename("sticky/root's", "sticky/x"));
	DID(rename("sticky/user's", "sticky/root's"));
	DID(unlink("sticky/user's"));
	DID(unlink("own-sticky/root's"));
	close(FD(open("team/f", O_WRONLY | O_CREAT, 0660)));
	DID(mkdir("team/d", 0770));
	show("team/f");
	show("team/d");
	DID(chdir("closed"));
	DID(link("read", "drop/linked"));
	DID(rename("mine", "drop/moved"));
	DID(mkdir("new", 0755));
}

static void root_without_override(void)
{
	FD(open("not-even-mine", O_RDWR));
	close(FD(open("read", O_RDWR)));
	close(FD(open("mine", O_RDONLY)));
}

static void with_umask(mode_t mask)
{
	char name[16];
	mode_t old = umask(mask);

	snprintf(name, sizeof(name), "u%03o", mask);
	make_file(name, "x");
	show(name);
	strcat(name, "d");
	DID(mkdir(name, 0777));
	show(name);
	strcat(name, "p");
	DID(mkfifo(name, 0777));
	show(name);
	strcat(name, "w");
	close(FD(open(name, O_WRONLY | O_CREAT, 0777)));
	show(name);
	umask(old);
}

void subject_access(void)
{
	MUST(mkdir("in", 0777));
	MUST(chdir("in"));
	access_files();
	as_user(1000, 1000, team, access_steps);
	as_user(1001, 1001, NULL, access_steps);
	access_steps();
	without_capability(CAP_DAC_OVERRIDE, root_without_override);
	with_umask(0);
	with_umask(022);
	with_umask(077);
	with_umask(0777);
}
