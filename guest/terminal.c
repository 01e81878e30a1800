/* See terminal.h. */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <termios.h>
#include <unistd.h>

#include "cleanup.h"
#include "rootpath.h"

/* A bind mount: the terminal under a second name. */
static int mount_console(int slave, struct error *err)
{
	CLEANUP_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_CLOSE int place = -1, tree = -1;

	if (root < 0)
		return error_set(err, errno, "open the root");
	place = rootpath_create(root, "/dev/console", false, err);
	if (place < 0)
		return -1;
	tree = open_tree(slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (tree < 0 ||
	    move_mount(tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_set(err, errno, "mount the terminal on /dev/console");
	return 0;
}

static int take_terminal(int slave, struct error *err)
{
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return error_set(err, errno, "set the controlling terminal");
	for (int i = 0; i < 3; i++)
		if (dup2(slave, i) < 0)
			return error_set(err, errno, "place stdio");
	return 0;
}

int terminal_open(const struct oci_process *process, bool console, struct error *err)
{
	const struct winsize size = { .ws_col = process->console_width,
				      .ws_row = process->console_height };
	CLEANUP_CLOSE int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	CLEANUP_CLOSE int slave = -1;
	int locked = 0;

	if (master < 0)
		return error_set(err, errno, "open the container's /dev/ptmx");
	if (ioctl(master, TIOCSPTLCK, &locked) < 0)
		return error_set(err, errno, "unlock the pseudo terminal");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return error_set(err, errno, "open the pseudo terminal");
	if (size.ws_col && size.ws_row && ioctl(master, TIOCSWINSZ, &size) < 0)
		return error_set(err, errno, "set the window size");
	if ((console && mount_console(slave, err) < 0) || take_terminal(slave, err) < 0)
		return -1;
	return steal_fd(&master);
}
