/* Extended attributes: xattr, acl, capability. */
#include "filesem.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static void show_attribute(const char *path, const char *name)
{
	unsigned char value[1024];
	ssize_t n = lgetxattr(path, name, value, sizeof(value));

	if (n < 0) {
		say("%s %s: %s", path, name, outcome(n));
		return;
	}
	printf("%s %s:", path, name);
	for (ssize_t i = 0; i < n && i < 80; i++)
		printf(" %02x", value[i]);
	printf(", %zd bytes\n", n);
}

static void attributes_as_user(void)
{
	DID(setxattr("f", "user.by-user", "x", 1, 0));
	show_attribute("f", "user.a");
	DID(setxattr("user's", "user.a", "x", 1, 0));
	DID(setxattr("user's", "trusted.a", "x", 1, 0));
	show_attribute("f", "trusted.a");
	show("f");
	DID(setxattr("user's", "security.capability", "x", 1, 0));
	DID(removexattr("f", "user.a"));
	DID(setxattr("sticky", "user.a", "x", 1, 0));
}

static void attribute_sizes(void)
{
	const size_t size = 70000;
	char *value = malloc(size);
	char name[300] = "user.";

	memset(value, 'v', size);
	DID(setxattr("sizes", "user.empty", "", 0, 0));
	DID(getxattr("sizes", "user.empty", value, size));
	DID(setxattr("sizes", "user.1000", value, 1000, 0));
	DID(getxattr("sizes", "user.1000", NULL, 0));
	DID(getxattr("sizes", "user.1000", value, 999));
	DID(getxattr("sizes", "user.1000", value, 1000));
	DID(setxattr("sizes", "user.3000", value, 3000, 0));
	DID(setxattr("sizes", "user.65537", value, 65537, 0));
	DID(listxattr("sizes", NULL, 0));
	DID(listxattr("sizes", value, 5));
	memset(name + 5, 'n', 250);
	DID(setxattr("sizes", name, "x", 1, 0));
	DID(getxattr("sizes", name, value, size));
	name[255] = 'n';
	DID(setxattr("sizes", name, "x", 1, 0));
	DID(getxattr("sizes", name, value, size));
	free(value);
}

void subject_xattr(void)
{
	int fd;

	make_file("f", "x");
	make_file("user's", "x");
	make_file("sizes", "x");
	MUST(chown("user's", 1000, 1000));
	MUST(mkdir("d", 0755));
	MUST(mkdir("sticky", 0777));
	MUST(chmod("sticky", 01777));
	MUST(symlink("f", "s"));
	MUST(mkfifo("p", 0666));
	DID(setxattr("f", "user.a", "one", 3, 0));
	DID(setxattr("f", "user.a", "two2", 4, XATTR_CREATE));
	DID(setxattr("f", "user.a", "two2", 4, XATTR_REPLACE));
	DID(setxattr("f", "user.b", "x", 1, XATTR_REPLACE));
	DID(setxattr("f", "user.b", "x", 1, 4));
	show_attribute("f", "user.a");
	show_attribute("f", "user.missing");
	DID(removexattr("f", "user.missing"));
	DID(setxattr("f", "user.", "x", 1, 0));
	DID(setxattr("f", "", "x", 1, 0));
	DID(setxattr("f", "nothing", "x", 1, 0));
	DID(setxattr("f", "other.a", "x", 1, 0));
	show_attribute("f", "other.a");
	DID(setxattr("f", "system.a", "x", 1, 0));
	DID(setxattr("f", "trusted.a", "xy", 2, 0));
	DID(setxattr("f", "security.any", "x", 1, 0));
	show_attribute("f", "security.any");
	show_attribute("f", "trusted.a");
	DID(setxattr("d", "user.a", "x", 1, 0));
	DID(setxattr("d", "trusted.overlay.opaque", "y", 1, 0));
	DID(lsetxattr("s", "user.a", "x", 1, 0));
	DID(lsetxattr("s", "trusted.a", "x", 1, 0));
	DID(setxattr("p", "user.a", "x", 1, 0));
	DID(setxattr("p", "trusted.a", "x", 1, 0));
	DID(setxattr("missing", "user.a", "x", 1, 0));
	show("f");
	show("d");
	show("s");
	fd = FD(open("f", O_RDONLY));
	DID(fsetxattr(fd, "user.c", "x", 1, 0));
	DID(fremovexattr(fd, "user.a"));
	DID(unlink("f"));
	DID(fsetxattr(fd, "user.d", "x", 1, 0));
	DID(flistxattr(fd, NULL, 0));
	close(fd);
	make_file("f", "x");
	DID(setxattr("f", "user.a", "one", 3, 0));
	DID(setxattr("f", "trusted.a", "one", 3, 0));
	as_user(1000, 1000, NULL, attributes_as_user);
	show("f");
	show("user's");
	attribute_sizes();
	show("sizes");
}

/* The attribute's layout, from the kernel's posix_acl_xattr.h. */
struct acl_entry {
	uint16_t tag, permissions;
	uint32_t id;
};

enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 0x10, OTHER = 0x20 };

#define ANYONE UINT32_MAX

static long set_acl(const char *path, const char *name, const struct acl_entry *entries,
		    size_t count)
{
	uint32_t buffer[1 + 2 * 16] = { htole32(2) };

	memcpy(buffer + 1, entries, count * sizeof(*entries));
	return setxattr(path, name, buffer, 4 + count * sizeof(*entries), 0);
}

#define ACCESS	"system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

static const struct acl_entry for_user[] = {
	{ USER_OBJ, 7, ANYONE }, { USER, 6, 1000 },   { GROUP_OBJ, 0, ANYONE },
	{ GROUP, 4, 3000 },	 { MASK, 7, ANYONE }, { OTHER, 0, ANYONE },
};

static const struct acl_entry masked[] = {
	{ USER_OBJ, 7, ANYONE }, { USER, 7, 1000 },    { GROUP_OBJ, 7, ANYONE },
	{ MASK, 4, ANYONE },	 { OTHER, 0, ANYONE },
};

static const struct acl_entry minimal[] = {
	{ USER_OBJ, 6, ANYONE },
	{ GROUP_OBJ, 4, ANYONE },
	{ OTHER, 0, ANYONE },
};

static const struct acl_entry broken[] = {
	{ USER_OBJ, 6, ANYONE },
	{ USER, 4, 1000 },
	{ OTHER, 0, ANYONE },
};

static void acl_as_user(void)
{
	close(open("by-acl", O_RDONLY));
	say("read %s", outcome(access("by-acl", R_OK)));
	say("write %s", outcome(access("by-acl", W_OK)));
	say("execute %s", outcome(access("by-acl", X_OK)));
	say("masked: read %s", outcome(access("masked", R_OK)));
	say("masked: write %s", outcome(access("masked", W_OK)));
	close(FD(open("by-acl", O_WRONLY)));
	DID(set_acl("by-acl", ACCESS, minimal, 3));
	DID(chmod("by-acl", 0777));
}

static const struct acl_entry defaults[] = {
	{ USER_OBJ, 7, ANYONE }, { USER, 7, 1000 },    { GROUP_OBJ, 5, ANYONE },
	{ MASK, 7, ANYONE },	 { OTHER, 5, ANYONE },
};

static void acl_inherited(void)
{
	MUST(mkdir("d", 0755));
	DID(set_acl("d", DEFAULT, defaults, 5));
	show("d");
	show_attribute("d", DEFAULT);
	umask(077);
	close(FD(open("d/f", O_WRONLY | O_CREAT, 0666)));
	DID(mkdir("d/sub", 0777));
	DID(mkfifo("d/p", 0666));
	close(FD(open("d/closed", O_WRONLY | O_CREAT, 0600)));
	umask(022);
	for (const char *const *path =
		     (const char *const[]){ "d/f", "d/sub", "d/p", "d/closed", NULL };
	     *path; path++) {
		show(*path);
		show_attribute(*path, ACCESS);
		show_attribute(*path, DEFAULT);
	}
	DID(set_acl("d/f", DEFAULT, defaults, 5));
	DID(removexattr("d", DEFAULT));
	show("d");
}

void subject_acl(void)
{
	make_file("by-acl", "x");
	DID(set_acl("by-acl", ACCESS, for_user, 6));
	show("by-acl");
	show_attribute("by-acl", ACCESS);
	DID(chmod("by-acl", 0750));
	show_attribute("by-acl", ACCESS);
	DID(set_acl("by-acl", ACCESS, for_user, 6));
	make_file("masked", "x");
	DID(set_acl("masked", ACCESS, masked, 5));
	show("masked");
	as_user(1000, 1000, NULL, acl_as_user);
	as_user(1001, 1001, (const gid_t[]){ 3000, 0 }, acl_as_user);
	as_user(1001, 1001, NULL, acl_as_user);
	make_file("minimal", "x");
	DID(set_acl("minimal", ACCESS, minimal, 3));
	show("minimal");
	DID(set_acl("minimal", ACCESS, broken, 3));
	DID(set_acl("minimal", ACCESS, minimal, 0));
	DID(set_acl("minimal", DEFAULT, minimal, 3));
	DID(setxattr("minimal", ACCESS, "x", 1, 0));
	show("minimal");
	/* one that changes the mode as one that is not of the group */
	make_file("setgid", "x");
	MUST(chown("setgid", 1000, 4000));
	MUST(chmod("setgid", 02755));
	DID(set_acl("setgid", ACCESS, for_user, 6));
	show("setgid");
	DID(removexattr("by-acl", ACCESS));
	show("by-acl");
	acl_inherited();
}

/* Version 2, with the effective bit: CAP_NET_BIND_SERVICE. */
static const uint32_t file_capability[5] = { 0x02000001, 1u << 10, 0, 0, 0 };

static void capability_as_user(void)
{
	int fd = FD(open("f", O_WRONLY));

	DID(write(fd, "x", 1));
	close(fd);
	show("f");
}

static void capability_file(void)
{
	DID(setxattr("f", "security.capability", file_capability, 20, 0));
	show("f");
}

void subject_capability(void)
{
	int fd;

	make_file("f", "x");
	MUST(chmod("f", 0777));
	capability_file();
	show_attribute("f", "security.capability");
	DID(setxattr("f", "security.capability", "broken", 6, 0));
	/* each change of the content takes it away, by root as well */
	fd = FD(open("f", O_WRONLY));
	DID(write(fd, "x", 1));
	show("f");
	capability_file();
	DID(ftruncate(fd, 0));
	show("f");
	close(fd);
	capability_file();
	as_user(1000, 1000, NULL, capability_as_user);
	capability_file();
	DID(chown("f", 1000, 1000));
	show("f");
	capability_file();
	DID(chmod("f", 0755));
	show("f");
	close(FD(open("f", O_WRONLY | O_TRUNC)));
	show("f");
	capability_file();
	DID(removexattr("f", "security.capability"));
	show("f");
	without_capability(CAP_SETFCAP, capability_file);
}
