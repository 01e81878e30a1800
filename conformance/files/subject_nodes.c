/* What is neither file nor directory: FIFOs, sockets, devices; and stat of all. */
#include "filesem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

static void fifo_writer(const struct turn *turn)
{
	int fd = FD(open("fifo", O_WRONLY));

	DID(write(fd, "through it", 10));
	turn_give(turn);
	close(fd);
}

static void fifo_reader(const struct turn *turn)
{
	char text[16] = "";
	int fd = open("fifo", O_RDONLY);

	turn_wait(turn);
	say("open for reading %s", fd >= 0 ? "= fd" : outcome(fd));
	DID(read(fd, text, sizeof(text) - 1));
	say("%s", text);
	DID(read(fd, text, sizeof(text) - 1));
	close(fd);
}

static void fifos(void)
{
	int fd, other;

	DID(mkfifo("fifo", 0640));
	DID(mkfifo("fifo", 0640));
	DID(mknod("by-mknod", S_IFIFO | 0600, 0));
	show("fifo");
	show("by-mknod");
	FD(open("fifo", O_WRONLY | O_NONBLOCK));
	fd = FD(open("fifo", O_RDONLY | O_NONBLOCK));
	other = FD(open("fifo", O_WRONLY));
	DID(write(other, "abc", 3));
	DID(read(fd, &(char[4]){ 0 }, 4));
	DID(lseek(fd, 0, SEEK_SET));
	close(fd);
	close(other);
	together(fifo_writer, fifo_reader);
	DID(link("fifo", "fifo-too"));
	show("fifo");
	DID(rename("fifo-too", "fifo-moved"));
	DID(unlink("fifo"));
	fd = FD(open("fifo-moved", O_RDWR));
	DID(write(fd, "abc", 3));
	close(fd);
}

static socklen_t name_socket(struct sockaddr_un *address, const char *name)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	strncpy(address->sun_path, name, sizeof(address->sun_path) - 1);
	return sizeof(*address);
}

static void sockets(void)
{
	struct sockaddr_un address;
	socklen_t size = name_socket(&address, "socket");
	struct sockaddr *name = (struct sockaddr *)&address;
	char text[8];
	int fd, client, server;

	fd = FD(socket(AF_UNIX, SOCK_STREAM, 0));
	DID(bind(fd, name, size));
	show("socket");
	DID(listen(fd, 5));
	client = FD(socket(AF_UNIX, SOCK_STREAM, 0));
	DID(connect(client, name, size));
	server = FD(accept(fd, NULL, NULL));
	DID(write(client, "hello", 5));
	DID(read(server, text, 5));
	close(client);
	close(server);
	client = FD(socket(AF_UNIX, SOCK_STREAM, 0));
	DID(bind(client, name, size));
	DID(rename("socket", "moved"));
	size = name_socket(&address, "moved");
	DID(connect(client, name, size));
	close(client);
	FD(open("moved", O_RDWR));
	close(fd);
	client = FD(socket(AF_UNIX, SOCK_STREAM, 0));
	DID(connect(client, name, size));
	close(client);
	DID(unlink("moved"));
	size = name_socket(&address, "datagrams");
	fd = FD(socket(AF_UNIX, SOCK_DGRAM, 0));
	DID(bind(fd, name, size));
	client = FD(socket(AF_UNIX, SOCK_DGRAM, 0));
	DID(sendto(client, "abc", 3, 0, name, size));
	DID(read(fd, text, sizeof(text)));
	close(client);
	close(fd);
	DID(mknod("by-mknod-2", S_IFSOCK | 0600, 0));
	show("by-mknod-2");
}

static void devices(void)
{
	DID(mknod("whiteout", S_IFCHR, makedev(0, 0)));
	show("whiteout");
	FD(open("whiteout", O_RDONLY));
	DID(mknod("file", S_IFREG | 0600, 0));
	DID(mknod("no-type", 0640, 0));
	show("no-type");
	DID(mknod("directory", S_IFDIR | 0700, 0));
	DID(mknod("symlink", S_IFLNK | 0700, 0));
	DID(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	DID(mknod("disk", S_IFBLK | 0660, makedev(7, 0)));
	DID(unlink("whiteout"));
}

void subject_nodes(void)
{
	fifos();
	sockets();
	devices();
}

static void say_statx(const char *path, int flags)
{
	struct statx st;

	if (statx(AT_FDCWD, path, flags, STATX_ALL, &st)) {
		say("statx %s %s", path, outcome(-1));
		return;
	}
	say("statx %s: mask %x, attributes %llx, mode %o, links %u, size %llu, block size %u", path,
	    st.stx_mask & STATX_ALL, (unsigned long long)st.stx_attributes & 0x874, st.stx_mode,
	    st.stx_nlink, S_ISREG(st.stx_mode) ? (unsigned long long)st.stx_size : 0,
	    st.stx_blksize);
}

static bool later(const struct statx_timestamp *a, const struct statx_timestamp *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* Which of the times moved. Clocks tick every 4 ms at the slowest. */
static void moved(const char *what, const char *path, struct statx *before)
{
	struct statx now;

	MUST(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &now));
	say("%s: modification %s, change %s", what,
	    later(&now.stx_mtime, &before->stx_mtime) ? "moved" : "as before",
	    later(&now.stx_ctime, &before->stx_ctime) ? "moved" : "as before");
	*before = now;
	usleep(30000);
}

static void times_of_changes(void)
{
	struct statx before, directory;
	int fd;

	make_file("times", "x");
	usleep(30000);
	MUST(statx(AT_FDCWD, "times", 0, STATX_BASIC_STATS, &before));
	fd = FD(open("times", O_RDWR));
	DID(write(fd, "abc", 3));
	moved("write", "times", &before);
	DID(fchmod(fd, 0600));
	moved("chmod", "times", &before);
	DID(ftruncate(fd, 3));
	moved("ftruncate to the same size", "times", &before);
	DID(ftruncate(fd, 2));
	moved("ftruncate", "times", &before);
	DID(write(fd, "", 0));
	moved("write of nothing", "times", &before);
	DID(chown("times", 1, -1));
	moved("chown", "times", &before);
	DID(link("times", "linked"));
	moved("link", "times", &before);
	DID(unlink("linked"));
	moved("unlink", "times", &before);
	MUST(statx(AT_FDCWD, ".", 0, STATX_BASIC_STATS, &directory));
	DID(rename("times", "renamed"));
	moved("rename", "renamed", &before);
	moved("rename of an entry", ".", &directory);
	close(FD(open("renamed", O_RDONLY)));
	moved("open", "renamed", &before);
	close(fd);
	close(FD(open("renamed", O_WRONLY | O_TRUNC)));
	moved("open with O_TRUNC", "renamed", &before);
	DID(mkdir("sub", 0755));
	moved("mkdir", ".", &directory);
	make_file("sub/x", "x");
	moved("a file in a directory below", ".", &directory);
}

void subject_stat(void)
{
	struct stat st, other;

	make_file("f", "0123456789");
	MUST(mkdir("d", 02775));
	MUST(symlink("f", "s"));
	MUST(mkfifo("p", 0600));
	say_statx("f", 0);
	say_statx("d", 0);
	say_statx("s", 0);
	say_statx("s", AT_SYMLINK_NOFOLLOW);
	say_statx("p", 0);
	say_statx("f", AT_STATX_FORCE_SYNC);
	say_statx("f", AT_STATX_DONT_SYNC);
	say_statx("f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC);
	say_statx("missing", 0);
	say_statx("f/x", 0);
	say_statx("", 0);
	say_statx("", AT_EMPTY_PATH);
	MUST(stat("f", &st));
	MUST(stat("d", &other));
	say("one device: %d, different inodes: %d, block size %ld", st.st_dev == other.st_dev,
	    st.st_ino != other.st_ino, (long)st.st_blksize);
	MUST(link("f", "g"));
	MUST(stat("g", &other));
	say("one inode: %d", st.st_ino == other.st_ino);
	MUST(rename("f", "h"));
	MUST(stat("h", &other));
	say("still the same: %d", st.st_ino == other.st_ino);
	times_of_changes();
	MUST(mkdir("d/1", 0755));
	MUST(mkdir("d/2", 0755));
	show("d");
	MUST(rmdir("d/1"));
	show("d");
}
