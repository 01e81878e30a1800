/*
 * Extended attributes, through /proc/self/fd (the calls refuse O_PATH fds).
 *
 * What the guest calls trusted.X is user.vxn.trusted.X on the host: the real one
 * needs CAP_SYS_ADMIN. The names below user.vxn. are therefore nobody's in the
 * guest: they neither show nor can be set by their own name, or any user in the
 * guest could forge a trusted attribute. Of security.* only capability passes:
 * labels of the host's security modules are not the guest's to read or write.
 */
#include "share_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <linux/limits.h>

#define PRIVATE "user.vxn."
#define TRUSTED "trusted."

struct xattr_name {
	char text[XATTR_NAME_MAX + 1];
};

/* No attribute of this name is shared. */
static const char *const passed[] = {
	"security.capability",
	"system.posix_acl_access",
	"system.posix_acl_default",
	NULL,
};

static bool starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool passes(const char *name)
{
	if (starts(name, "user."))
		return !starts(name, PRIVATE);
	for (size_t i = 0; passed[i]; i++)
		if (strcmp(name, passed[i]) == 0)
			return true;
	return false;
}

/* The host's name of the guest's. Returns 0 or an errno. */
static int host_name(const char *name, struct xattr_name *host)
{
	int length;

	if (starts(name, TRUSTED))
		length = snprintf(host->text, sizeof(host->text), PRIVATE "%s", name);
	else if (passes(name))
		length = snprintf(host->text, sizeof(host->text), "%s", name);
	else
		return EOPNOTSUPP;
	return length < (int)sizeof(host->text) ? 0 : ERANGE;
}

/* The errno of reading one that has no name on the host: of a known kind, it is just not there. */
static int absence(const char *name, int errnum)
{
	if (errnum == EOPNOTSUPP && (starts(name, "user.") || starts(name, "security.")))
		return ENODATA;
	return errnum;
}

/*
 * The guest's name of the host's, NULL if it is not to be seen. That trusted
 * ones are listed for CAP_SYS_ADMIN alone is the file system's business, and a
 * request has no capabilities: root stands for it.
 */
static const char *guest_name(const char *name, bool root)
{
	if (starts(name, PRIVATE TRUSTED))
		return root ? name + strlen(PRIVATE) : NULL;
	return passes(name) ? name : NULL;
}

void share_op_setxattr(fuse_req_t request, fuse_ino_t ino, const char *name, const char *value,
		       size_t size, int flags)
{
	CLEANUP_NODE struct share_node *node = share_node_for(request, ino);
	struct xattr_name host;
	int errnum;

	if (!node)
		return;
	errnum = host_name(name, &host);
	if (!errnum && setxattr(share_node_path(node).text, host.text, value, size, flags))
		errnum = errno;
	fuse_reply_err(request, errnum);
}

void share_op_getxattr(fuse_req_t request, fuse_ino_t ino, const char *name, size_t size)
{
	CLEANUP_NODE struct share_node *node = share_node_for(request, ino);
	char *buffer = share_worker()->buffer;
	struct xattr_name host;
	ssize_t n;
	int errnum;

	if (!node)
		return;
	errnum = host_name(name, &host);
	if (errnum) {
		fuse_reply_err(request, absence(name, errnum));
		return;
	}
	n = getxattr(share_node_path(node).text, host.text, buffer, size);
	if (n < 0)
		fuse_reply_err(request, errno);
	else if (size == 0)
		fuse_reply_xattr(request, (size_t)n);
	else
		fuse_reply_buf(request, buffer, (size_t)n);
}

void share_op_listxattr(fuse_req_t request, fuse_ino_t ino, size_t size)
{
	CLEANUP_NODE struct share_node *node = share_node_for(request, ino);
	char *buffer = share_worker()->buffer;
	size_t used = 0, next = 0;
	ssize_t n;
	bool root;

	if (!node)
		return;
	root = fuse_req_ctx(request)->uid == 0;
	n = listxattr(share_node_path(node).text, buffer, XATTR_LIST_MAX);
	if (n < 0) {
		fuse_reply_err(request, errno);
		return;
	}
	/* in place: a name only gets shorter */
	while (next < (size_t)n) {
		size_t length = strlen(buffer + next) + 1;
		const char *name = guest_name(buffer + next, root);

		next += length;
		if (!name)
			continue;
		length = strlen(name) + 1;
		memmove(buffer + used, name, length);
		used += length;
	}
	if (size == 0)
		fuse_reply_xattr(request, used);
	else if (used > size)
		fuse_reply_err(request, ERANGE);
	else
		fuse_reply_buf(request, buffer, used);
}

void share_op_removexattr(fuse_req_t request, fuse_ino_t ino, const char *name)
{
	CLEANUP_NODE struct share_node *node = share_node_for(request, ino);
	struct xattr_name host;
	int errnum;

	if (!node)
		return;
	errnum = host_name(name, &host);
	if (!errnum && removexattr(share_node_path(node).text, host.text))
		errnum = errno;
	fuse_reply_err(request, errnum);
}
