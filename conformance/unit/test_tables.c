/* The tables of names: signals, capabilities, mount options. And clean words. */
#include "unit.h"

#include <linux/capability.h>
#include <signal.h>
#include <sys/mount.h>

#include "capabilities.h"
#include "idmap.h"
#include "mount_options.h"
#include "signals.h"

static void signals(void **state)
{
	static const struct {
		const char *text;
		int number;
	} cases[] = {
		{ "TERM", SIGTERM },
		{ "SIGTERM", SIGTERM },
		{ "sigterm", SIGTERM },
		{ "15", 15 },
		{ "kill", SIGKILL },
		{ "9", 9 },
		{ "0", 0 },
		{ "64", 64 },
		{ "065", -1 },
		{ "65", -1 },
		{ "RTMIN", 34 },
		{ "SIGRTMIN+1", 35 },
		{ "rtmin+30", 64 },
		{ "RTMIN+31", -1 },
		{ "RTMIN-1", -1 },
		{ "RTMIN+", -1 },
		{ "RTMIN+x", -1 },
		{ "RTMAX", 64 },
		{ "SIGRTMAX-2", 62 },
		{ "RTMAX-30", 34 },
		{ "RTMAX-31", -1 },
		{ "RTMAX+1", -1 },
		{ "", -1 },
		{ "SIG", -1 },
		{ "SIGSIGTERM", -1 },
		{ "TERM ", -1 },
		{ " TERM", -1 },
		{ "-1", -1 },
		{ "+1", -1 },
		{ "1x", -1 },
		{ "POLL", SIGIO },
		{ "IOT", SIGABRT },
		{ "CLD", SIGCHLD },
		{ "99999999999999", -1 },
		{ "WINCH", SIGWINCH },
		{ "EXIT", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (signal_parse(cases[i].text) != cases[i].number)
			fail_msg("\"%s\" is %d", cases[i].text, signal_parse(cases[i].text));
}

/* Every signal that the C library names is known under that name. */
static void all_signals(void **state)
{
	(void)state;
	for (int number = 1; number < 32; number++)
		if (sigabbrev_np(number))
			assert_int_equal(signal_parse(sigabbrev_np(number)), number);
}

static void capabilities(void **state)
{
	(void)state;
	for (int number = 0; number <= CAP_LAST_CAP; number++) {
		assert_non_null(capability_name(number));
		assert_int_equal(capability_parse(capability_name(number)), number);
	}
	assert_null(capability_name(CAP_LAST_CAP + 1));
	assert_null(capability_name(-1));
	assert_int_equal(capability_parse("cap_sys_admin"), CAP_SYS_ADMIN);
	assert_int_equal(capability_parse("SYS_ADMIN"), -1);
	assert_int_equal(capability_parse(""), -1);
}

/* Options are given comma-separated, for short tables. */
static const struct {
	const char *type, *options;
	unsigned long flags, propagation, recursive_set, recursive_clear;
	bool bind, recursive, copy_up;
	const char *data;
	bool idmap, idmap_recursive;
} mount_cases[] = {
	{ .options = "" },
	{ .options = "ro,nosuid,nodev,noexec",
	  .flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ .options = "ro,rw" },
	{ .options = "rw,ro", .flags = MS_RDONLY },
	{ .options = "noatime,atime" },
	{ .options = "defaults,async,acl,noacl,loud" },
	{ .options = "sync,dirsync,mand,silent,iversion,lazytime,nosymfollow",
	  .flags = MS_SYNCHRONOUS | MS_DIRSYNC | MS_MANDLOCK | MS_SILENT | MS_I_VERSION |
		   MS_LAZYTIME | 256 },
	{ .type = "bind", .options = "", .bind = true },
	{ .type = "none", .options = "bind", .bind = true },
	{ .options = "rbind", .bind = true, .recursive = true },
	{ .options = "rbind,rprivate",
	  .bind = true,
	  .recursive = true,
	  .propagation = MS_PRIVATE | MS_REC },
	{ .options = "slave,private", .propagation = MS_PRIVATE },
	{ .options = "mode=755,ro,size=1m,x", .flags = MS_RDONLY, .data = "mode=755,size=1m,x" },
	{ .type = "tmpfs", .options = "tmpcopyup", .copy_up = true },
	{ .options = "idmap", .idmap = true },
	{ .options = "ridmap", .idmap = true, .idmap_recursive = true },
	{ .options = "idmap=uids=0-1-2;gids=3-4-5,bind", .bind = true, .idmap = true },
	{ .options = "mode=755,idmap=x", .data = "mode=755,idmap=x" },
	{ .options = "rro", .flags = MS_RDONLY, .recursive_set = MOUNT_ATTR_RDONLY },
	{ .options = "rro,rrw", .recursive_clear = MOUNT_ATTR_RDONLY },
	{ .options = "ro,rrw", .recursive_clear = MOUNT_ATTR_RDONLY },
	{ .options = "rnosuid,rnodev,rnoexec",
	  .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC,
	  .recursive_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC },
	{ .options = "rnoatime",
	  .flags = MS_NOATIME,
	  .recursive_set = MOUNT_ATTR_NOATIME,
	  .recursive_clear = MOUNT_ATTR__ATIME },
	{ .options = "rnoatime,rstrictatime",
	  .flags = MS_STRICTATIME,
	  .recursive_set = MOUNT_ATTR_STRICTATIME,
	  .recursive_clear = MOUNT_ATTR__ATIME },
	{ .options = "rnoatime,rrelatime",
	  .flags = MS_RELATIME,
	  .recursive_clear = MOUNT_ATTR__ATIME },
	{ .options = "rdiratime", .recursive_clear = MOUNT_ATTR_NODIRATIME },
	{ .options = "RO,ro ", .data = "RO,ro " },
};

static void mount_options(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(mount_cases); i++) {
		CLEANUP_FREE char *text = strdup(mount_cases[i].options);
		char *options[16] = { NULL }, *save = NULL;
		struct oci_mount mount = { .type = (char *)mount_cases[i].type,
					   .options = options };
		struct error err = { 0 };
		size_t count = 0;

		for (char *o = strtok_r(text, ",", &save); o; o = strtok_r(NULL, ",", &save))
			options[count++] = o;
		assert_ok(mount_options_parse(&mount, &err), err);
		assert_int_equal(mount.flags, mount_cases[i].flags);
		assert_int_equal(mount.propagation, mount_cases[i].propagation);
		assert_int_equal(mount.recursive_set, mount_cases[i].recursive_set);
		assert_int_equal(mount.recursive_clear, mount_cases[i].recursive_clear);
		assert_int_equal(mount.bind, mount_cases[i].bind);
		assert_int_equal(mount.recursive, mount_cases[i].recursive);
		assert_int_equal(mount.copy_up, mount_cases[i].copy_up);
		assert_string_equal(mount.data ? mount.data : "",
				    mount_cases[i].data ? mount_cases[i].data : "");
		assert_int_equal(mount.idmap, mount_cases[i].idmap);
		assert_int_equal(mount.idmap_recursive, mount_cases[i].idmap_recursive);
		free(mount.data);
		idmap_release(&mount);
	}
}

/* The binary search needs the table in order: every name of the spec is found. */
static void all_mount_options(void **state)
{
	static const char all[] =
		"acl async atime bind defaults dev diratime dirsync exec idmap iversion lazytime "
		"loud mand noacl noatime nodev nodiratime noexec noiversion nolazytime nomand "
		"norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime "
		"relatime remount rexec ridmap rnoatime rnodev rnodiratime rnoexec rnorelatime "
		"rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave "
		"rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid "
		"symfollow sync tmpcopyup unbindable";
	CLEANUP_FREE char *text = strdup(all);
	char *save = NULL;

	(void)state;
	for (char *o = strtok_r(text, " ", &save); o; o = strtok_r(NULL, " ", &save)) {
		char *options[] = { o, NULL };
		struct oci_mount mount = { .options = options };

		assert_int_equal(mount_options_parse(&mount, NULL), 0);
		if (mount.data)
			fail_msg("unknown: %s", o);
	}
}

static void shm_is_not_shared(void **state)
{
	static const struct {
		const char *destination;
		bool share;
	} cases[] = {
		{ "/dev/shm", false },	{ "/dev/shm/", false }, { "//dev/./shm/.", false },
		{ "dev/shm", false },	{ "/dev/shm/x", true }, { "/dev", true },
		{ "/dev/shmx", true },	{ "/", true },		{ "/dev/pts", true },
		{ "/x/dev/shm", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct oci_mount mount = { .bind = true,
					   .destination = (char *)cases[i].destination };

		if (mount_is_share(&mount) != cases[i].share)
			fail_msg("%s", cases[i].destination);
		mount.bind = false;
		assert_false(mount_is_share(&mount));
	}
}

static void sanitize(void **state)
{
	static const char *const cases[][2] = {
		{ "plain", "plain" },
		{ "a\nb\tc\x1b[0m\x7f", "a?b?c?[0m?" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "\xff\xfe", "??" },
		{ "\xc3", "?" },
		{ "\xe2\x82", "??" },
		{ "\xf0\x9f\x98", "???" },
		{ "\xc0\x80", "??" },
		{ "\xed\xa0\x80", "???" },
		{ "\xf4\x90\x80\x80", "????" },
		{ "\xc2\x9b", "??" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_FREE char *text = strdup(cases[i][0]);

		error_sanitize(text);
		assert_string_equal(text, cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals),	     cmocka_unit_test(all_signals),
		cmocka_unit_test(capabilities),	     cmocka_unit_test(mount_options),
		cmocka_unit_test(all_mount_options), cmocka_unit_test(shm_is_not_shared),
		cmocka_unit_test(sanitize),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
