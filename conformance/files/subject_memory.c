/* Files as memory, and what watches see: mmap, watch. */
#include "filesem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char *map(const char *path, int open_flags, int protection, int flags, size_t size)
{
	int fd = open(path, open_flags);
	char *memory = mmap(NULL, size, protection, flags, fd, 0);

	say("mmap of %s %s", path, memory == MAP_FAILED ? outcome(-1) : "= memory");
	if (fd >= 0)
		close(fd);
	return memory == MAP_FAILED ? NULL : memory;
}

static sigjmp_buf after_fault;

static void jump_out(int signal_number)
{
	siglongjmp(after_fault, signal_number);
}

/* Reads one byte, or says which signal that gave. */
static void touch(const char *what, const volatile char *address)
{
	int signal_number;

	signal(SIGBUS, jump_out);
	signal(SIGSEGV, jump_out);
	signal_number = sigsetjmp(after_fault, 1);
	if (signal_number == 0)
		say("%s: byte %d", what, *address);
	else
		say("%s: SIG%s", what, sigabbrev_np(signal_number));
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
}

static void shared_and_private(void)
{
	char *shared, *copy, text[8] = "";
	int fd;

	make_file("m", "0123456789");
	shared = map("m", O_RDWR, PROT_READ | PROT_WRITE, MAP_SHARED, 8192);
	copy = map("m", O_RDONLY, PROT_READ | PROT_WRITE, MAP_PRIVATE, 4096);
	fd = FD(open("m", O_RDWR));
	if (!shared || !copy)
		return;
	shared[0] = 'a';
	shared[1] = 'b';
	DID(pread(fd, text, 4, 0));
	say("read sees the store: %.4s", text);
	DID(pwrite(fd, "XY", 2, 4));
	say("the mapping sees the write: %.6s", shared);
	copy[9] = '!';
	say("the private one: %.10s", copy);
	DID(msync(shared, 4096, MS_SYNC));
	DID(msync(shared, 4096, MS_ASYNC));
	show_text("m");
	/* behind the end of the file, in its last page */
	shared[100] = 'z';
	touch("behind the end", shared + 100);
	touch("a page behind the end", shared + 4096);
	DID(msync(shared, 4096, MS_SYNC));
	show("m");
	DID(ftruncate(fd, 200));
	touch("what was stored behind the end is zero now", shared + 100);
	DID(ftruncate(fd, 5000));
	touch("a page that is there now", shared + 4096);
	shared[4999] = 'e';
	DID(munmap(shared, 8192));
	DID(munmap(copy, 4096));
	show("m");
	DID(ftruncate(fd, 0));
	show("m");
	close(fd);
}

static void mapped_and_gone(void)
{
	char *shared;
	int fd;

	make_file("gone", "0123456789");
	shared = map("gone", O_RDWR, PROT_READ | PROT_WRITE, MAP_SHARED, 4096);
	if (!shared)
		return;
	DID(unlink("gone"));
	shared[0] = 'x';
	DID(msync(shared, 4096, MS_SYNC));
	touch("removed", shared);
	DID(munmap(shared, 4096));
	make_file("cut", "0123456789");
	shared = map("cut", O_RDWR, PROT_READ | PROT_WRITE, MAP_SHARED, 4096);
	if (!shared)
		return;
	touch("before it is cut", shared);
	DID(truncate("cut", 0));
	touch("after it is cut", shared);
	DID(munmap(shared, 4096));
	fd = FD(open("cut", O_RDONLY));
	close(fd);
}

static void refused(void)
{
	make_file("r", "0123456789");
	map("r", O_RDONLY, PROT_READ | PROT_WRITE, MAP_SHARED, 4096);
	map("r", O_WRONLY, PROT_WRITE, MAP_SHARED, 4096);
	map("r", O_RDONLY, PROT_READ | PROT_EXEC, MAP_PRIVATE, 4096);
	map("r", O_RDONLY, PROT_READ, MAP_SHARED, 4096);
	map("r", O_RDONLY, PROT_READ, MAP_SHARED, 0);
	map("r", O_RDONLY, PROT_READ, MAP_SHARED | MAP_POPULATE, 4096);
	map(".", O_RDONLY, PROT_READ, MAP_SHARED, 4096);
	map("r", O_RDWR, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, 4096);
}

/* Two processes, one mapping each: stores, and written at last by neither. */
static void first_mapper(const struct turn *turn)
{
	char *memory = map("two", O_RDWR, PROT_READ | PROT_WRITE, MAP_SHARED, 1 << 20);

	memory[0] = 'A';
	memory[500000] = 'B';
	turn_give(turn);
	turn_wait(turn);
	say("the other's store: %c", memory[1]);
	memory[2] = 'D';
	munmap(memory, 1 << 20);
	turn_give(turn);
}

static void second_mapper(const struct turn *turn)
{
	char *memory, byte = 0;
	int fd;

	turn_wait(turn);
	memory = map("two", O_RDWR, PROT_READ | PROT_WRITE, MAP_SHARED, 1 << 20);
	say("the first's stores: %c %c", memory[0], memory[500000]);
	memory[1] = 'C';
	turn_give(turn);
	turn_wait(turn);
	fd = FD(open("two", O_RDONLY));
	DID(pread(fd, &byte, 1, 2));
	say("the first's last store: %c", byte);
}

void subject_mmap(void)
{
	int fd;

	shared_and_private();
	mapped_and_gone();
	refused();
	fd = FD(open("two", O_RDWR | O_CREAT, 0644));
	DID(ftruncate(fd, 1 << 20));
	together(first_mapper, second_mapper);
	close(fd);
	show("two");
}

static const struct {
	uint32_t bit;
	const char *name;
} event_names[] = {
	{ IN_ACCESS, "access" },	   { IN_MODIFY, "modify" },
	{ IN_ATTRIB, "attrib" },	   { IN_CLOSE_WRITE, "close-write" },
	{ IN_CLOSE_NOWRITE, "close" },	   { IN_OPEN, "open" },
	{ IN_MOVED_FROM, "moved-from" },   { IN_MOVED_TO, "moved-to" },
	{ IN_CREATE, "create" },	   { IN_DELETE, "delete" },
	{ IN_DELETE_SELF, "delete-self" }, { IN_MOVE_SELF, "move-self" },
	{ IN_ISDIR, "directory" },	   { IN_IGNORED, "ignored" },
};

static void say_event(const struct inotify_event *event)
{
	printf("  watch %d", event->wd);
	for (size_t i = 0; i < sizeof(event_names) / sizeof(event_names[0]); i++)
		if (event->mask & event_names[i].bit)
			printf(" %s", event_names[i].name);
	printf(" %s\n", event->len ? event->name : "");
}

static void say_events(int fd, const char *after)
{
	char buffer[4096] __attribute__((aligned(8)));
	struct pollfd wait = { fd, POLLIN, 0 };
	ssize_t n;

	say("events after %s:", after);
	while (poll(&wait, 1, 50) > 0 && (n = read(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *event = (void *)(buffer + at);

			say_event(event);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
}

void subject_watch(void)
{
	int watch = FD(inotify_init1(IN_NONBLOCK)), fd;

	MUST(mkdir("d", 0755));
	make_file("d/old", "x");
	DID(inotify_add_watch(watch, "d", IN_ALL_EVENTS));
	DID(inotify_add_watch(watch, "d/old", IN_ALL_EVENTS));
	DID(inotify_add_watch(watch, "missing", IN_ALL_EVENTS));
	make_file("d/new", "x");
	say_events(watch, "a new file");
	fd = open("d/old", O_RDWR);
	MUST(pwrite(fd, "y", 1, 0));
	MUST(pread(fd, &(char){ 0 }, 1, 0));
	MUST(ftruncate(fd, 0));
	MUST(fchmod(fd, 0600));
	close(fd);
	say_events(watch, "open, write, read, truncate, chmod, close");
	MUST(rename("d/old", "d/moved"));
	say_events(watch, "rename");
	MUST(mkdir("d/sub", 0755));
	MUST(rmdir("d/sub"));
	say_events(watch, "mkdir and rmdir");
	MUST(link("d/moved", "d/linked"));
	MUST(symlink("x", "d/symlink"));
	say_events(watch, "link and symlink");
	MUST(rename("d/linked", "d/new"));
	say_events(watch, "rename over another");
	MUST(unlink("d/moved"));
	MUST(unlink("d/new"));
	say_events(watch, "unlink of both names");
	MUST(rename("d/symlink", "out"));
	say_events(watch, "rename to another directory");
	MUST(rmdir("d"));
	say_events(watch, "rmdir");
	close(watch);
}
