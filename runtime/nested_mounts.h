/*
 * What is mounted below a directory of the host: the mounts that `mount --rbind`
 * of it would bring along. Each becomes a share of its own, because one file
 * system inside with the inodes of several would make equal inode numbers look
 * like hard links.
 */
#ifndef VXN_NESTED_MOUNTS_H
#define VXN_NESTED_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

struct libmnt_table;

struct nested_mount {
	char *path;	   /* on the host, absolute, without links */
	const char *below; /* the part of it that is below the directory */
	bool unbindable;
};

struct nested_mounts {
	struct nested_mount *items; /* each before those below it */
	size_t count;
};

/*
 * Finds the mounts that can be reached by their paths below directory (absolute;
 * links are followed), as this mount namespace shows them: what is covered by
 * another mount is left out, and so is, with all below, what may not be bound.
 * *table is /proc/self/mountinfo, read at the first use and kept for the next; to
 * be released by nested_mounts_forget.
 */
int nested_mounts_find(struct libmnt_table **table, const char *directory,
		       struct nested_mounts *found, struct error *err);
void nested_mounts_free(struct nested_mounts *mounts);
void nested_mounts_forget(struct libmnt_table **table);

/*
 * The name of the file system that fd (O_PATH will do) is on, when it is one of
 * those that show the state of a kernel (proc, sysfs, cgroup..): the host's, which
 * a virtual machine can't be served. NULL: another one.
 */
const char *kernel_filesystem_name(int fd);

#endif
