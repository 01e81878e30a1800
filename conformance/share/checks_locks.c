/*
 * Locks. What happens on one side is written down, on the directory itself and on
 * its share, and both records have to be the same; what happens between two sides
 * is told one by one.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "locks.h"

/* Memory that children write to as well. */
struct notes {
	char text[16384];
	size_t used;
};

static struct notes *notes;
static const char *place; /* the directory that a record is about */

static void note(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	notes->used += (size_t)vsnprintf(notes->text + notes->used,
					 sizeof(notes->text) - notes->used, format, ap);
	va_end(ap);
}

/* --- one side --- */

/* What others, who are another process, find locked from start on, in `count` steps. */
static void note_locked(int type, off_t start, int count)
{
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	if (pid) {
		waitpid(pid, NULL, 0);
		return;
	}
	int fd = open(at(place, "f"), O_RDWR);

	note(" locked:");
	while (count-- > 0) {
		struct flock lock = { .l_type = (short)type, .l_start = start };

		if (fcntl(fd, F_GETLK, &lock))
			note("error %d", errno);
		if (lock.l_type == F_UNLCK)
			break;
		note("%c%ld+%ld%s,", lock.l_type == F_RDLCK ? 'r' : 'w', (long)lock.l_start,
		     (long)lock.l_len, lock.l_pid == parent ? "" : " of another pid");
		if (lock.l_len == 0)
			break;
		start = lock.l_start + lock.l_len;
	}
	note("\n");
	_exit(0);
}

/* Whether another process gets it now: 0 or an errno. */
static void note_try(enum kind kind, int type, off_t start, off_t length)
{
	note(" %s", strerror(try_elsewhere(at(place, "f"), kind, type, start, length)));
}

static void note_set(int fd, int type, off_t start, off_t length)
{
	note("%s %ld+%ld: %s;",
	     type == F_RDLCK   ? "read"
	     : type == F_WRLCK ? "write"
			       : "unlock",
	     (long)start, (long)length, strerror(posix_lock(fd, F_SETLK, type, start, length)));
}

static void flocks(void)
{
	int a = open(at(place, "f"), O_RDONLY), b = open(at(place, "f"), O_RDWR), c;
	pid_t pid;

	note("shared %d shared %d", flock(a, LOCK_SH | LOCK_NB), flock(b, LOCK_SH | LOCK_NB));
	note(" exclusive %d %d", flock(b, LOCK_EX | LOCK_NB), errno == EWOULDBLOCK);
	/* a conversion that failed has lost what it had */
	flock(a, LOCK_UN);
	note_try(FLOCK, F_WRLCK, 0, 0);
	note(" exclusive %d", flock(a, LOCK_EX | LOCK_NB));
	note_try(FLOCK, F_RDLCK, 0, 0);
	note_try(POSIX, F_WRLCK, 0, 0);
	c = dup(a);
	close(a);
	note(" dup");
	note_try(FLOCK, F_RDLCK, 0, 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(c);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	note(" closed by a child");
	note_try(FLOCK, F_RDLCK, 0, 0);
	pid = fork();
	if (pid == 0)
		_exit(flock(c, LOCK_UN));
	waitpid(pid, NULL, 0);
	note(" unlocked by a child");
	note_try(FLOCK, F_WRLCK, 0, 0);
	note(" again %d", flock(c, LOCK_EX));
	close(c);
	note(" closed");
	note_try(FLOCK, F_WRLCK, 0, 0);
	close(b);
	errno = 0;
	note(" unlocked %d %s\n", flock(b, LOCK_UN), strerror(errno));
}

static void ranges(void)
{
	int fd = open(at(place, "f"), O_RDWR);

	note_set(fd, F_WRLCK, 0, 100);
	note_locked(F_RDLCK, 0, 9);
	note_set(fd, F_UNLCK, 30, 20);
	note_locked(F_WRLCK, 0, 9);
	note_set(fd, F_RDLCK, 10, 5);
	note_locked(F_WRLCK, 0, 9);
	note_locked(F_RDLCK, 0, 9);
	note_try(POSIX, F_RDLCK, 12, 1);
	note_try(POSIX, F_WRLCK, 12, 1);
	note_try(POSIX, F_WRLCK, 30, 20);
	note_set(fd, F_WRLCK, 10, 5);
	note_set(fd, F_WRLCK, 30, 20);
	note_locked(F_WRLCK, 0, 9);
	note_set(fd, F_WRLCK, 200, 0);
	note_locked(F_WRLCK, 0, 9);
	note_set(fd, F_RDLCK, 50, 1000);
	note_locked(F_WRLCK, 0, 9);
	note_set(fd, F_UNLCK, 300, 0);
	note_set(fd, F_UNLCK, 0, 1);
	note_locked(F_WRLCK, 0, 9);
	note_set(fd, F_WRLCK, INT64_MAX, 1);
	note_set(fd, F_WRLCK, INT64_MAX, 0);
	note_set(fd, F_WRLCK, 50, -10);
	note_set(fd, F_WRLCK, 5, -10);
	note_locked(F_WRLCK, 0, 9);
	note_set(fd, F_UNLCK, 0, 0);
	note_locked(F_WRLCK, 0, 9);
	for (off_t i = 0; i < 200; i += 2)
		posix_lock(fd, F_SETLK, i % 4 ? F_RDLCK : F_WRLCK, i, 1);
	note_locked(F_WRLCK, 0, 200);
	note_set(fd, F_RDLCK, 0, 200);
	note_locked(F_WRLCK, 0, 9);
	close(fd);
	note_locked(F_WRLCK, 0, 9);
}

/* Any close by the owner ends all; a child is another owner. */
static void owners(void)
{
	int a = open(at(place, "f"), O_RDWR), b = open(at(place, "f"), O_RDONLY);
	pid_t pid;

	note_set(a, F_WRLCK, 0, 10);
	note_set(b, F_RDLCK, 20, 10);
	note_set(b, F_WRLCK, 20, 10);
	note_locked(F_WRLCK, 0, 9);
	pid = fork();
	if (pid == 0) {
		close(a);
		note("child: %s;", strerror(posix_lock(b, F_SETLK, F_RDLCK, 0, 1)));
		note_set(b, F_UNLCK, 0, 0);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	note_locked(F_WRLCK, 0, 9);
	close(dup(b));
	note("closed a dup:");
	note_locked(F_WRLCK, 0, 9);
	note_set(b, F_RDLCK, 0, 100);
	note_set(b, F_UNLCK, 40, 10);
	/* what was locked by an fd that cannot write is not lost when one that can is used */
	note_set(a, F_WRLCK, 60, 10);
	note_locked(F_WRLCK, 0, 9);
	note_try(POSIX, F_WRLCK, 0, 1);
	note_try(POSIX, F_WRLCK, 45, 1);
	close(a);
	note_locked(F_WRLCK, 0, 9);
	close(b);
}

static void open_files(void)
{
	int a = open(at(place, "f"), O_RDWR), b = open(at(place, "f"), O_RDWR), c = dup(a);
	pid_t pid;

	note("a %d", ofd_lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	note(" b %s", strerror(ofd_lock(b, F_OFD_SETLK, F_RDLCK, 5, 10)));
	note(" dup %d", ofd_lock(c, F_OFD_SETLK, F_RDLCK, 5, 10));
	note(" posix %s", strerror(posix_lock(b, F_SETLK, F_WRLCK, 0, 1)));
	note(" posix %s", strerror(posix_lock(b, F_SETLK, F_RDLCK, 7, 1)));
	close(a);
	note(" closed one");
	note_try(OFD, F_WRLCK, 0, 1);
	pid = fork();
	if (pid == 0)
		_exit(ofd_lock(c, F_OFD_SETLK, F_UNLCK, 0, 5));
	waitpid(pid, NULL, 0);
	note(" unlocked by a child");
	note_try(OFD, F_WRLCK, 0, 1);
	note_try(OFD, F_WRLCK, 8, 1);
	close(c);
	note(" closed both");
	note_try(OFD, F_WRLCK, 8, 1);
	close(b);
	note("\n");
}

/* How waits end: by an unlock, a close, a death, a signal, or with the waiter. */
static void waits(void)
{
	for (enum kind kind = FLOCK; kind <= OFD; kind++) {
		int fd = open(at(place, "f"), O_RDWR);
		struct waiter w;

		lock(fd, kind, F_WRLCK, 0, 0, true);
		w = start_waiter(at(place, "f"), kind, F_RDLCK, 0, 10);
		note("waits %d", waiter_waits(&w));
		lock(fd, kind, F_UNLCK, 0, 0, false);
		note(" gets it %s", strerror(waiter_result(&w)));
		note(" has it");
		note_try(kind, F_WRLCK, 0, 10);
		end_waiter(&w);
		note(" had it");
		note_try(kind, F_WRLCK, 0, 10);

		lock(fd, kind, F_WRLCK, 0, 0, true);
		w = start_waiter(at(place, "f"), kind, F_WRLCK, 0, 10);
		waiter_waits(&w);
		kill(w.pid, SIGUSR1);
		note(" a signal %s", strerror(waiter_result(&w)));
		lock(fd, kind, F_UNLCK, 0, 0, false);
		note_try(kind, F_WRLCK, 0, 10);
		end_waiter(&w);

		lock(fd, kind, F_WRLCK, 0, 0, true);
		w = start_waiter(at(place, "f"), kind, F_WRLCK, 0, 10);
		waiter_waits(&w);
		note(" killed %d", end_waiter(&w));
		w = start_waiter(at(place, "f"), kind, F_WRLCK, 0, 10);
		waiter_waits(&w);
		close(fd);
		note(" closed %s", strerror(waiter_result(&w)));
		note(" until it is killed");
		note_try(kind, F_WRLCK, 0, 10);
		end_waiter(&w);
		note_try(kind, F_WRLCK, 0, 10);
		note("\n");
	}
}

/* A signal that restarts the call, a thousand times: INTERRUPT each time. */
static void on_alarm(int signal)
{
	(void)signal;
}

static void restarted(void)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	int fd = open(at(place, "f"), O_RDWR), status = 0;
	pid_t pid;

	lock(fd, POSIX, F_WRLCK, 0, 0, true);
	pid = fork();
	if (pid == 0) {
		const struct itimerval each = { { 0, 500 }, { 0, 500 } };
		int mine = open(at(place, "f"), O_RDWR);

		sigaction(SIGALRM, &action, NULL);
		setitimer(ITIMER_REAL, &each, NULL);
		_exit(lock(mine, POSIX, F_WRLCK, 0, 0, true));
	}
	usleep(500000);
	note("waits %d", waitpid(pid, &status, WNOHANG) == 0);
	close(fd);
	waitpid(pid, &status, 0);
	note(" gets it %x\n", status);
}

static const struct {
	const char *name;
	void (*function)(void);
} records[] = {
	{ "flock: shared, exclusive, converted, dup, fork, close", flocks },
	{ "fcntl: ranges that split and merge", ranges },
	{ "fcntl: owners, closes, fork", owners },
	{ "OFD locks: open files, dup, fork, against POSIX locks", open_files },
	{ "waits: woken, interrupted, killed, closed", waits },
	{ "a wait that signals restart", restarted },
};

/* Prints both records when they differ. */
static void compare(const struct mounted *m)
{
	static char expected[sizeof(notes->text)];

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		*notes = (struct notes){ 0 };
		place = m->source;
		records[i].function();
		memcpy(expected, notes->text, sizeof(expected));
		*notes = (struct notes){ 0 };
		place = m->mount;
		records[i].function();
		if (!check(notes->used > 0 && strcmp(expected, notes->text) == 0,
			   "as on the directory itself: %s", records[i].name))
			printf("# on the directory:\n%s\n# on the share:\n%s\n", expected,
			       notes->text);
	}
}

/* --- between two sides --- */

static void between(const char *one, const char *other, const char *name)
{
	static const char *const kinds[] = { "flock", "POSIX lock", "OFD lock" };
	struct waiter w;
	int fd;

	for (enum kind kind = FLOCK; kind <= OFD; kind++) {
		const char *what = kinds[kind];

		fd = open(at(one, "f"), O_RDWR);
		lock(fd, kind, F_RDLCK, 0, 10, true);
		check(try_elsewhere(at(other, "f"), kind, F_RDLCK, 0, 10) == 0,
		      "%s, %s: shared on both sides", name, what);
		check(try_elsewhere(at(other, "f"), kind, F_WRLCK, 5, 1) == EAGAIN,
		      "%s, %s: exclusive against shared", name, what);
		lock(fd, kind, F_WRLCK, 0, 10, true);
		check(try_elsewhere(at(other, "f"), kind, F_RDLCK, 5, 1) == EAGAIN,
		      "%s, %s: shared against exclusive", name, what);
		check(try_elsewhere(at(other, "f"), kind, F_RDLCK, 10, 1) ==
			      (kind == FLOCK ? EAGAIN : 0),
		      "%s, %s: beside it", name, what);
		w = start_waiter(at(other, "f"), kind, F_WRLCK, 0, 5);
		check(waiter_waits(&w), "%s, %s: a wait", name, what);
		lock(fd, kind, F_UNLCK, 0, 10, false);
		check(waiter_result(&w) == 0, "%s, %s: ends with the unlock", name, what);
		check(lock(fd, kind, F_WRLCK, 0, 10, false) == EAGAIN, "%s, %s: and holds then",
		      name, what);
		end_waiter(&w);
		check(lock(fd, kind, F_WRLCK, 0, 10, true) == 0, "%s, %s: until it ends", name,
		      what);
		close(fd);
		check(comes_free(at(other, "f"), kind, F_WRLCK, 0, 10), "%s, %s: a close frees it",
		      name, what);
	}
	fd = open(at(one, "f"), O_RDWR);
	lock(fd, OFD, F_WRLCK, 3, 4, true);
	check(try_elsewhere(at(other, "f"), POSIX, F_WRLCK, 3, 1) == EAGAIN,
	      "%s: an OFD lock against a POSIX lock", name);
	close(fd);
}

/* F_GETLK across: the range is right, and the pid is nobody's. */
static void asked_across(const struct mounted *m)
{
	struct flock found = { .l_type = F_WRLCK, .l_pid = 77 };
	int host = open(at(m->source, "f"), O_RDWR), guest = open(at(m->mount, "f"), O_RDWR);

	posix_lock(host, F_SETLK, F_RDLCK, 30, 12);
	check(fcntl(guest, F_GETLK, &found) == 0 && found.l_type == F_RDLCK &&
		      found.l_start == 30 && found.l_len == 12 && found.l_pid == 0,
	      "GETLK of a host process's lock: its range, and no pid (%d)", found.l_pid);
	found = (struct flock){ .l_type = F_WRLCK, .l_start = 42 };
	check(fcntl(guest, F_GETLK, &found) == 0 && found.l_type == F_UNLCK, "none behind it");
	posix_lock(host, F_SETLK, F_UNLCK, 0, 0);
	posix_lock(guest, F_SETLK, F_WRLCK, 5, 0);
	found = (struct flock){ .l_type = F_RDLCK };
	check(fcntl(host, F_GETLK, &found) == 0 && found.l_type == F_WRLCK && found.l_start == 5 &&
		      found.l_len == 0,
	      "GETLK by the host of a lock inside");
	close(guest);
	close(host);
}

/* A file that the guest has not opened for writing is not opened so for its lock. */
static void no_writer(const struct mounted *m)
{
	char command[512];
	int fd;

	snprintf(command, sizeof(command), "cp /bin/true %s && chmod 755 %s", at(m->source, "run"),
		 at(m->source, "run"));
	check(system(command) == 0, "a program");
	fd = open(at(m->mount, "run"), O_RDONLY);
	check(posix_lock(fd, F_SETLK, F_RDLCK, 0, 0) == 0, "its read lock");
	check(system(at(m->source, "run")) == 0, "and the host can run it (no ETXTBSY)");
	close(fd);
}

/* --- many --- */

/* Each that is ended lets the next one have it. */
static int end_those_that_have(struct waiter *waiters, int count)
{
	int ended = 0;

	for (int i = 0; i < count; i++) {
		if (!waiters[i].result || *(volatile int *)waiters[i].result != 0)
			continue;
		end_waiter(&waiters[i]);
		waiters[i].result = NULL;
		ended++;
	}
	return ended;
}

static void many(const struct mounted *m, int count, int allowed)
{
	struct waiter *waiters = calloc((size_t)count, sizeof(*waiters));
	int fd = open(at(m->mount, "f"), O_RDWR), waiting = 0, refused = 0, got = 0, served = 0;
	double end;

	lock(fd, FLOCK, F_WRLCK, 0, 0, false);
	for (int i = 0; i < count; i++)
		waiters[i] = start_waiter(at(m->mount, "f"), i % 2 ? FLOCK : POSIX, F_WRLCK, 0, 0);
	lock(fd, POSIX, F_WRLCK, 0, 0, false);
	usleep(500000);
	for (int i = 0; i < count; i++)
		if (*waiters[i].result == WAITER_PENDING)
			waiting++;
		else if (*waiters[i].result == ENOLCK)
			refused++;
	/* the first of those who want the POSIX lock may have been faster */
	check(waiting + refused >= count - 1 && waiting <= allowed && waiting >= allowed - 1,
	      "of %d processes %d wait and %d get ENOLCK", count, waiting, refused);
	end = now() + 1;
	while (now() < end) {
		if (write_file(at(m->mount, "other"), "served", 6) == 0 &&
		    file_is(at(m->mount, "other"), "served"))
			served++;
	}
	check(served > 20, "files are served meanwhile (%d times in 1 s)", served);
	check(try_elsewhere(at(m->mount, "other"), POSIX, F_WRLCK, 0, 0) == 0,
	      "and so are other locks");
	/* those who wait have it open, too */
	lock(fd, FLOCK, F_UNLCK, 0, 0, false);
	close(fd);
	for (end = now() + 30; got < count - refused && now() < end; usleep(1000))
		got += end_those_that_have(waiters, count);
	check(got == count - refused, "all that waited get it, one after another (%d)", got);
	for (int i = 0; i < count; i++)
		if (waiters[i].result)
			end_waiter(&waiters[i]);
	free(waiters);
}

static void server_killed(void)
{
	struct mounted m = serve_new("killed");
	struct waiter w;
	int fd, status;

	write_file(at(m.source, "f"), "", 0);
	fd = open(at(m.mount, "f"), O_RDWR);
	lock(fd, POSIX, F_WRLCK, 0, 0, false);
	lock(fd, FLOCK, F_WRLCK, 0, 0, false);
	w = start_waiter(at(m.mount, "f"), POSIX, F_WRLCK, 0, 0);
	check(waiter_waits(&w) && try_elsewhere(at(m.source, "f"), POSIX, F_WRLCK, 0, 0) == EAGAIN,
	      "a lock and one who waits for it");
	kill(m.server, SIGKILL);
	waitpid(m.server, &status, 0);
	status = waiter_result(&w);
	check(status == ECONNABORTED || status == ENOTCONN, "the server killed: the wait ends (%s)",
	      strerror(status));
	check(try_elsewhere(at(m.source, "f"), POSIX, F_WRLCK, 0, 0) == 0 &&
		      try_elsewhere(at(m.source, "f"), FLOCK, F_WRLCK, 0, 0) == 0,
	      "and all is free on the host");
	end_waiter(&w);
	close(fd);
	check(umount(m.mount) == 0, "unmount");
}

/* Unmounted by force with locks and waits: the server ends well, and all is free. */
static void forced_end(void)
{
	struct mounted m = serve_new("forced");
	struct waiter w[3];
	int fd;

	write_file(at(m.source, "f"), "", 0);
	fd = open(at(m.mount, "f"), O_RDWR);
	for (int i = 0; i < 3; i++) {
		lock(fd, (enum kind)i, F_WRLCK, 0, 0, false);
		if (i < 2)
			w[i] = start_waiter(at(m.mount, "f"), (enum kind)i, F_WRLCK, 0, 0);
	}
	check(waiter_waits(&w[0]) && waiter_waits(&w[1]), "two that wait");
	umount2(m.mount, MNT_FORCE);
	check(waiter_result(&w[0]) != 0 && waiter_result(&w[1]) != 0, "aborted: they end");
	end_waiter(&w[0]);
	end_waiter(&w[1]);
	close(fd);
	unserve(&m);
	check(try_elsewhere(at(m.source, "f"), POSIX, F_WRLCK, 0, 0) == 0, "free on the host");
}

void checks_locks(void)
{
	struct mounted m = serve_new("locks"), second = serve_at(m.source, false);

	notes = mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	write_file(at(m.source, "f"), "0123456789", 10);
	compare(&m);
	between(m.source, m.mount, "host and guest");
	between(m.mount, m.source, "guest and host");
	between(m.mount, second.mount, "two guests");
	asked_across(&m);
	no_writer(&m);
	many(&m, 100, 100);
	many(&m, 300, 256);
	unserve(&second);
	unserve(&m);
	server_killed();
	forced_end();
	munmap(notes, sizeof(*notes));
}
