/*
 * See mount_options.h. Later options win over earlier ones, as with mount(8) and
 * runc: "ro,rw" is writable.
 */
#include "mount_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "idmap.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

#define ACCESS_TIME_FLAGS (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)

enum option_kind {
	OPTION_IGNORE, /* is the default, or has no flag any more */
	OPTION_SET,
	OPTION_CLEAR,
	OPTION_BIND,
	OPTION_RBIND,
	OPTION_PROPAGATION,
	OPTION_RECURSIVE_SET, /* MOUNT_ATTR_* on all mounts below as well */
	OPTION_RECURSIVE_CLEAR,
	OPTION_COPY_UP,
	OPTION_IDMAP,
	OPTION_RIDMAP,
};

struct option {
	const char *name;
	enum option_kind kind;
	unsigned long flags; /* MS_*; of OPTION_RECURSIVE_* MOUNT_ATTR_* */
};

static const struct option options[] = {
	{ "acl", OPTION_IGNORE, 0 },
	{ "async", OPTION_CLEAR, MS_SYNCHRONOUS },
	{ "atime", OPTION_CLEAR, MS_NOATIME },
	{ "bind", OPTION_BIND, 0 },
	{ "defaults", OPTION_IGNORE, 0 },
	{ "dev", OPTION_CLEAR, MS_NODEV },
	{ "diratime", OPTION_CLEAR, MS_NODIRATIME },
	{ "dirsync", OPTION_SET, MS_DIRSYNC },
	{ "exec", OPTION_CLEAR, MS_NOEXEC },
	{ "idmap", OPTION_IDMAP, 0 },
	{ "iversion", OPTION_SET, MS_I_VERSION },
	{ "lazytime", OPTION_SET, MS_LAZYTIME },
	{ "loud", OPTION_CLEAR, MS_SILENT },
	{ "mand", OPTION_SET, MS_MANDLOCK },
	{ "noacl", OPTION_IGNORE, 0 },
	{ "noatime", OPTION_SET, MS_NOATIME },
	{ "nodev", OPTION_SET, MS_NODEV },
	{ "nodiratime", OPTION_SET, MS_NODIRATIME },
	{ "noexec", OPTION_SET, MS_NOEXEC },
	{ "noiversion", OPTION_CLEAR, MS_I_VERSION },
	{ "nolazytime", OPTION_CLEAR, MS_LAZYTIME },
	{ "nomand", OPTION_CLEAR, MS_MANDLOCK },
	{ "norelatime", OPTION_CLEAR, MS_RELATIME },
	{ "nostrictatime", OPTION_CLEAR, MS_STRICTATIME },
	{ "nosuid", OPTION_SET, MS_NOSUID },
	{ "nosymfollow", OPTION_SET, MS_NOSYMFOLLOW },
	{ "private", OPTION_PROPAGATION, MS_PRIVATE },
	{ "ratime", OPTION_RECURSIVE_CLEAR, MOUNT_ATTR_NOATIME },
	{ "rbind", OPTION_RBIND, 0 },
	{ "rdev", OPTION_RECURSIVE_CLEAR, MOUNT_ATTR_NODEV },
	{ "rdiratime", OPTION_RECURSIVE_CLEAR, MOUNT_ATTR_NODIRATIME },
	{ "relatime", OPTION_SET, MS_RELATIME },
	{ "remount", OPTION_SET, MS_REMOUNT },
	{ "rexec", OPTION_RECURSIVE_CLEAR, MOUNT_ATTR_NOEXEC },
	{ "ridmap", OPTION_RIDMAP, 0 },
	{ "rnoatime", OPTION_RECURSIVE_SET, MOUNT_ATTR_NOATIME },
	{ "rnodev", OPTION_RECURSIVE_SET, MOUNT_ATTR_NODEV },
	{ "rnodiratime", OPTION_RECURSIVE_SET, MOUNT_ATTR_NODIRATIME },
	{ "rnoexec", OPTION_RECURSIVE_SET, MOUNT_ATTR_NOEXEC },
	{ "rnorelatime", OPTION_RECURSIVE_CLEAR, MOUNT_ATTR_RELATIME },
	{ "rnostrictatime", OPTION_RECURSIVE_CLEAR, MOUNT_ATTR_STRICTATIME },
	{ "rnosuid", OPTION_RECURSIVE_SET, MOUNT_ATTR_NOSUID },
	{ "rnosymfollow", OPTION_RECURSIVE_SET, MOUNT_ATTR_NOSYMFOLLOW },
	{ "ro", OPTION_SET, MS_RDONLY },
	{ "rprivate", OPTION_PROPAGATION, MS_PRIVATE | MS_REC },
	{ "rrelatime", OPTION_RECURSIVE_SET, MOUNT_ATTR_RELATIME },
	{ "rro", OPTION_RECURSIVE_SET, MOUNT_ATTR_RDONLY },
	{ "rrw", OPTION_RECURSIVE_CLEAR, MOUNT_ATTR_RDONLY },
	{ "rshared", OPTION_PROPAGATION, MS_SHARED | MS_REC },
	{ "rslave", OPTION_PROPAGATION, MS_SLAVE | MS_REC },
	{ "rstrictatime", OPTION_RECURSIVE_SET, MOUNT_ATTR_STRICTATIME },
	{ "rsuid", OPTION_RECURSIVE_CLEAR, MOUNT_ATTR_NOSUID },
	{ "rsymfollow", OPTION_RECURSIVE_CLEAR, MOUNT_ATTR_NOSYMFOLLOW },
	{ "runbindable", OPTION_PROPAGATION, MS_UNBINDABLE | MS_REC },
	{ "rw", OPTION_CLEAR, MS_RDONLY },
	{ "shared", OPTION_PROPAGATION, MS_SHARED },
	{ "silent", OPTION_SET, MS_SILENT },
	{ "slave", OPTION_PROPAGATION, MS_SLAVE },
	{ "strictatime", OPTION_SET, MS_STRICTATIME },
	{ "suid", OPTION_CLEAR, MS_NOSUID },
	{ "symfollow", OPTION_CLEAR, MS_NOSYMFOLLOW },
	{ "sync", OPTION_SET, MS_SYNCHRONOUS },
	{ "tmpcopyup", OPTION_COPY_UP, 0 },
	{ "unbindable", OPTION_PROPAGATION, MS_UNBINDABLE },
};

/* The attributes of mount_setattr(2) that a flag of mount(2) says as well. */
static const struct {
	unsigned long attribute, flag;
} attribute_flags[] = {
	{ MOUNT_ATTR_RDONLY, MS_RDONLY },
	{ MOUNT_ATTR_NOSUID, MS_NOSUID },
	{ MOUNT_ATTR_NODEV, MS_NODEV },
	{ MOUNT_ATTR_NOEXEC, MS_NOEXEC },
	{ MOUNT_ATTR_RELATIME, MS_RELATIME },
	{ MOUNT_ATTR_NOATIME, MS_NOATIME },
	{ MOUNT_ATTR_STRICTATIME, MS_STRICTATIME },
	{ MOUNT_ATTR_NODIRATIME, MS_NODIRATIME },
	{ MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW },
};

static int compare_name(const void *key, const void *element)
{
	return strcmp(key, ((const struct option *)element)->name);
}

static const struct option *find_option(const char *name)
{
	return bsearch(name, options, sizeof(options) / sizeof(options[0]), sizeof(options[0]),
		       compare_name);
}

static unsigned long flags_of_attribute(unsigned long attribute)
{
	for (size_t i = 0; i < sizeof(attribute_flags) / sizeof(attribute_flags[0]); i++)
		if (attribute_flags[i].attribute == attribute)
			return attribute_flags[i].flag;
	return 0;
}

static int append_data(struct oci_mount *mount, const char *option, struct error *err)
{
	size_t used = mount->data ? strlen(mount->data) : 0;
	char *data = realloc(mount->data, used + strlen(option) + 2);

	if (!data)
		return error_set(err, ENOMEM, "mount options");
	mount->data = data;
	if (used)
		data[used++] = ',';
	strcpy(data + used, option);
	return 0;
}

/*
 * The three ways to keep access times are one field of two bits in
 * mount_setattr(2), relatime being 0: any change of it clears the whole field.
 */
static bool is_access_time(unsigned long attribute)
{
	return attribute == MOUNT_ATTR_RELATIME || (attribute & MOUNT_ATTR__ATIME) != 0;
}

/*
 * A recursive attribute counts for the mount itself too, so it moves the plain
 * flag along: who looks only at flags still sees a mount under "rro" read-only.
 */
static void apply_recursive(struct oci_mount *mount, const struct option *option)
{
	bool access_time = is_access_time(option->flags);
	unsigned long mask = access_time ? MOUNT_ATTR__ATIME : option->flags;
	unsigned long flag = flags_of_attribute(option->flags);

	mount->recursive_set &= ~mask;
	mount->recursive_clear &= ~mask;
	mount->flags &= access_time ? ~(unsigned long)ACCESS_TIME_FLAGS : ~flag;
	if (option->kind == OPTION_RECURSIVE_CLEAR || access_time)
		mount->recursive_clear |= mask;
	if (option->kind == OPTION_RECURSIVE_SET) {
		mount->recursive_set |= option->flags;
		mount->flags |= flag;
	}
}

static void apply_option(struct oci_mount *mount, const struct option *option)
{
	switch (option->kind) {
	case OPTION_SET:
		mount->flags |= option->flags;
		break;
	case OPTION_CLEAR:
		mount->flags &= ~option->flags;
		break;
	case OPTION_BIND:
		mount->bind = true;
		break;
	case OPTION_RBIND:
		mount->bind = true;
		mount->recursive = true;
		break;
	case OPTION_PROPAGATION:
		mount->propagation = option->flags;
		break;
	case OPTION_RECURSIVE_SET:
	case OPTION_RECURSIVE_CLEAR:
		apply_recursive(mount, option);
		break;
	case OPTION_COPY_UP:
		mount->copy_up = true;
		break;
	case OPTION_IDMAP:
		mount->idmap = true;
		break;
	case OPTION_RIDMAP:
		mount->idmap = mount->idmap_recursive = true;
		break;
	case OPTION_IGNORE:
		break;
	}
}

/* What is in no table: idmap with a value (crun's), or the file system's. */
static int apply_other(struct oci_mount *mount, const char *name, struct error *err)
{
	bool recursive = strncmp(name, "ridmap=", 7) == 0;

	if (!mount->bind || (!recursive && strncmp(name, "idmap=", 6) != 0))
		return append_data(mount, name, err);
	mount->idmap_recursive |= recursive;
	return idmap_parse_option(strchr(name, '=') + 1, mount, err);
}

int mount_options_parse(struct oci_mount *mount, struct error *err)
{
	mount->bind = mount->type && strcmp(mount->type, "bind") == 0;
	for (char **name = mount->options; *name; name++) {
		const struct option *option = find_option(*name);

		if (option)
			apply_option(mount, option);
	}
	/* these may stand before the one that says that it is a bind */
	for (char **name = mount->options; *name; name++)
		if (!find_option(*name) && apply_other(mount, *name, err) < 0)
			return -1;
	return 0;
}
