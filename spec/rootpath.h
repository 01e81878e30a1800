/*
 * Paths below a root directory that somebody else filled: the container's image.
 * Every symbolic link is resolved as if the directory were "/", and no path, link
 * or ".." leaves it. Used by the guest and by the host's stand-in launcher, both
 * root. Needs openat2(2).
 */
#ifndef VXN_ROOTPATH_H
#define VXN_ROOTPATH_H

#include <stdbool.h>

#include "error.h"

/*
 * Opens an existing path below rootfd. flags are those of open(2); O_CLOEXEC is
 * added. Returns the descriptor; -1 with err set, err->errnum being the cause.
 */
int rootpath_open(int rootfd, const char *path, int flags, struct error *err);

/*
 * The absolute path below the root, without links, "." and "..", that path means;
 * to be freed. What does not exist is taken as it stands, at the end of a dangling
 * link too. So it names where rootpath_create would make something.
 */
char *rootpath_resolve(int rootfd, const char *path, struct error *err);

/*
 * Opens path as a place to mount on (O_PATH), making what is missing: directories
 * of mode 0755 (less the caller's umask), and at the end a directory or an empty
 * file. Fails when something of the other kind is there. Returns the descriptor or
 * -1 with err set.
 */
int rootpath_create(int rootfd, const char *path, bool directory, struct error *err);

#endif
