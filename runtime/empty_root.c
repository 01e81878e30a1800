/* See empty_root.h. */
#include "empty_root.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

int empty_root_mount(struct error *err)
{
	static const char base[] = "/proc"; /* any directory that is always there; it is covered */

	if (mount("none", base, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=755"))
		return error_set(err, errno, "mount the empty root");
	if (chdir(base))
		return error_set(err, errno, "enter the empty root");
	return 0;
}

int empty_root_enter(struct error *err)
{
	/* the old root lies on top of the new one, and is taken away */
	if (syscall(SYS_pivot_root, ".", "."))
		return error_set(err, errno, "pivot_root");
	if (umount2(".", MNT_DETACH))
		return error_set(err, errno, "detach the old root");
	if (chdir("/"))
		return error_set(err, errno, "chdir /");
	if (mount(NULL, "/", NULL,
		  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return error_set(err, errno, "make the empty root read-only");
	return 0;
}
