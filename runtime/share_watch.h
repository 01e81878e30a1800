/*
 * The host's changes to shared files, as fanotify reports them: a watch is a
 * fanotify group for all shares of a VM. Used by the io process alone.
 */
#ifndef VXN_SHARE_WATCH_H
#define VXN_SHARE_WATCH_H

#include "error.h"

struct share_watch;

/*
 * Opens the group, which needs CAP_SYS_ADMIN: call before confinement. NULL with
 * err set where the kernel has no such groups (older than Linux 5.17).
 */
struct share_watch *share_watch_open(struct error *err);
void share_watch_close(struct share_watch *watch); /* NULL is allowed */

#endif
