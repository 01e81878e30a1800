/* See harness.h. */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/io_confine.h"
#include "runtime/share.h"

bool option_confined;
bool option_full;
unsigned int option_nofile;
char base[64];

static int checks, failures;
static int mounts;

bool check(bool condition, const char *format, ...)
{
	int errnum = errno;
	va_list ap;

	printf("%sok %d - ", condition ? "" : "not ", ++checks);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	if (!condition) {
		printf(" (errno: %s)", strerror(errnum));
		failures++;
	}
	putchar('\n');
	fflush(stdout);
	return condition;
}

const char *at(const char *directory, const char *format, ...)
{
	static char buffers[16][4096];
	static unsigned int next;
	char *buffer = buffers[next++ % 16];
	int used = snprintf(buffer, 4096, "%s/", directory);
	va_list ap;

	va_start(ap, format);
	vsnprintf(buffer + used, 4096 - (size_t)used, format, ap);
	va_end(ap);
	return buffer;
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int count_fds(pid_t pid)
{
	char path[64];
	int count = -2;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

long memory(pid_t pid)
{
	char path[64], line[128];
	long kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

void harness_begin(const char *parent)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	umask(022);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die("mount namespace");
	snprintf(base, sizeof(base), "%s/vxn-share-XXXXXX", parent);
	if (!mkdtemp(base) || chmod(base, 0755))
		die(base);
}

int harness_end(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", base);
	if (system(command))
		printf("# %s stays\n", base);
	printf("1..%d\n# %d of %d failed%s\n", checks, failures, checks,
	       option_confined ? " (confined)" : "");
	return failures ? 1 : 0;
}

/* --- the server --- */

static int fuse_fd = -1;

static void reply(void *cookie, const struct iovec *iov, int count)
{
	(void)cookie;
	/* ENOENT: the request was given up meanwhile; ENODEV: unmounted */
	if (writev(fuse_fd, iov, count) < 0 && errno != ENOENT && errno != ENODEV)
		fprintf(stderr, "# reply: %s\n", strerror(errno));
}

static void request_done(void *cookie, size_t size)
{
	(void)cookie;
	(void)size;
}

static int relay(struct share_pool *pool, struct share *share, struct error *err)
{
	static char buffer[SHARE_MAX_REQUEST];

	for (;;) {
		ssize_t n = read(fuse_fd, buffer, sizeof(buffer));
		void *copy;

		if (n < 0 && errno == ENODEV)
			return 0;
		if (n < 0 && (errno == EINTR || errno == ENOENT))
			continue;
		if (n < 0)
			return error_set(err, errno, "read /dev/fuse");
		copy = malloc((size_t)n);
		if (!copy)
			return -1;
		memcpy(copy, buffer, (size_t)n);
		if (share_submit(pool, share, copy, (size_t)n, err))
			return -1;
	}
}

static void serve_child(const char *source, bool readonly, int ready)
{
	const struct share_callbacks callbacks = { .reply = reply, .request_done = request_done };
	struct error err = { 0 };
	bool directory;
	struct share *share = share_open(source, readonly, SHARE_CACHE_AUTO, &directory, &err);
	struct share_pool *pool = NULL;
	char answer = directory ? 'd' : 'f';
	int result = -1;
	const struct rlimit nofile = { option_nofile, option_nofile };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (option_nofile)
		setrlimit(RLIMIT_NOFILE, &nofile);
	if (share && (!option_confined || io_confine(NULL, &err) == 0))
		pool = share_pool_start(4, &callbacks, NULL, &err);
	if (pool && share_serve(pool, share, NULL, &err) == 0 && write(ready, &answer, 1) == 1) {
		close(ready);
		result = relay(pool, share, &err);
	}
	if (result)
		fprintf(stderr, "# server: %s\n", err.message);
	share_pool_stop(pool);
	share_close(share);
	/* no leak check behind the filter: it would trace itself */
	if (option_confined)
		_exit(result ? 1 : 0);
	exit(result ? 1 : 0);
}

static void mount_fuse(const struct mounted *m, bool directory)
{
	char options[128];

	if (directory ? mkdir(m->mount, 0755) : mknod(m->mount, S_IFREG | 0644, 0))
		die(m->mount);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=%o,user_id=0,group_id=0,default_permissions,allow_other", fuse_fd,
		 directory ? S_IFDIR : S_IFREG);
	if (mount("share", m->mount, "fuse", 0, options))
		die("mount");
}

struct mounted serve_at(const char *source, bool readonly)
{
	struct mounted m = { 0 };
	int ready[2];
	char answer = 0;
	struct stat st;

	snprintf(m.source, sizeof(m.source), "%s", source);
	snprintf(m.mount, sizeof(m.mount), "%s/mount%d", base, mounts++);
	fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse_fd < 0 || pipe(ready) || stat(source, &st))
		die(source);
	mount_fuse(&m, S_ISDIR(st.st_mode));
	fflush(NULL);
	m.server = fork();
	if (m.server == 0) {
		close(ready[0]);
		serve_child(source, readonly, ready[1]);
	}
	close(ready[1]);
	if (read(ready[0], &answer, 1) != 1)
		die("server does not start");
	close(ready[0]);
	check(answer == (S_ISDIR(st.st_mode) ? 'd' : 'f'), "serve %s", strrchr(source, '/'));
	close(fuse_fd);
	return m;
}

struct mounted serve_new(const char *name)
{
	const char *source = at(base, "%s", name);

	if (mkdir(source, 0755))
		die(source);
	return serve_at(source, false);
}

void unserve(struct mounted *m)
{
	int status = 0;

	check(umount(m->mount) == 0, "unmount");
	waitpid(m->server, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the server ends well (status %x)",
	      status);
}

/* --- helpers --- */

int as_user(uid_t uid, gid_t gid, int (*function)(const char *), const char *argument)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
			_exit(250);
		_exit(function(argument));
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	errno = WEXITSTATUS(status);
	return WEXITSTATUS(status);
}

int write_file(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	size_t done = 0;

	while (fd >= 0 && done < size) {
		ssize_t n = write(fd, (const char *)data + done, size - done);

		if (n < 0)
			break;
		done += (size_t)n;
	}
	return fd < 0 || close(fd) || done != size ? -1 : 0;
}

ssize_t read_file(const char *path, void *data, size_t size)
{
	int fd = open(path, O_RDONLY);
	size_t done = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	while (done < size && (n = read(fd, (char *)data + done, size - done)) > 0)
		done += (size_t)n;
	close(fd);
	return (ssize_t)done;
}

bool file_is(const char *path, const char *text)
{
	char buffer[4096];
	ssize_t n = read_file(path, buffer, sizeof(buffer));

	return n == (ssize_t)strlen(text) && memcmp(buffer, text, (size_t)n) == 0;
}
