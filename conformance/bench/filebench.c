/*
 * How fast a tree of files is, seen from inside a machine: one line a row, "name value", for `files` to compare.
 * Values are MB/s where the name ends in "_rate", else seconds.
 *
 *	filebench DIRECTORY			the tree, which `files` has filled
 *	filebench (as pid 1)			mounts it first, and ends the machine after the last row
 *
 * As pid 1 it finds what to mount on the kernel's command line: filebench.mount=TYPE:SOURCE[:OPTIONS].
 *
 * "cold" is after this kernel has dropped its caches; what the host's kernel has cached stays. Rows that change
 * the tree leave it as it was, and are left away where it is read-only.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define BLOCK	     (1u << 20)
#define PAGE	     4096
#define SMALL_WRITES (16u << 20) /* bytes of the row with pages */
#define RANDOM_READS 2000
#define CREATED	     1000
#define TAR_BLOCK    512
#define NAME	     "filebench: "
#define WORD	     "filebench.mount="

static char *buffer; /* BLOCK bytes */
static bool machine; /* this is its pid 1 */

/* Under Xen by powering off; a QEMU without ACPI ends by a restart. */
static _Noreturn void end_machine(void)
{
	tcdrain(STDOUT_FILENO);
	sync();
	reboot(access("/proc/xen", F_OK) ? RB_AUTOBOOT : RB_POWER_OFF);
	_exit(1);
}

/* A figure of a run that went wrong would be worse than none. */
static _Noreturn void die(const char *format, ...)
{
	int number = errno;
	va_list arguments;

	va_start(arguments, format);
	printf(NAME);
	vprintf(format, arguments);
	printf(": %s\n", strerror(number));
	va_end(arguments);
	fflush(stdout);
	if (machine)
		end_machine();
	exit(1);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void row(const char *name, double value)
{
	printf("%s %.6f\n", name, value);
	fflush(stdout);
}

static void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	sync();
	if (fd < 0 || write(fd, "3", 1) != 1)
		die("/proc/sys/vm/drop_caches");
	close(fd);
	/* what the host is told of that has time to reach it */
	usleep(200000);
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		die("open %s", path);
	return fd;
}

static void write_or_die(int fd, const char *path, size_t size)
{
	if (write(fd, buffer, size) != (ssize_t)size)
		die("write %s", path);
}

/* --- bulk --- */

static double read_rate(void)
{
	double start = now(), total = 0;
	int fd = open_or_die("big", O_RDONLY);
	ssize_t n;

	while ((n = read(fd, buffer, BLOCK)) > 0)
		total += (double)n;
	if (n < 0 || !total)
		die("read big");
	close(fd);
	return total / 1e6 / (now() - start);
}

static double write_rate(size_t total, size_t block, bool sync_too)
{
	double start = now(), rate;
	int fd = open_or_die("written", O_WRONLY | O_CREAT | O_EXCL);

	for (size_t done = 0; done < total; done += block)
		write_or_die(fd, "written", block);
	if (sync_too && fsync(fd))
		die("fsync");
	close(fd);
	rate = (double)total / 1e6 / (now() - start);
	if (unlink("written"))
		die("unlink written");
	return rate;
}

static double random_read(void)
{
	int fd = open_or_die("big", O_RDONLY);
	uint64_t state = 88172645463325252u;
	struct stat st;
	double start = now();

	if (fstat(fd, &st))
		die("stat big");
	for (int i = 0; i < RANDOM_READS; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		if (pread(fd, buffer, PAGE, (off_t)(state % (uint64_t)(st.st_size / PAGE)) * PAGE) != PAGE)
			die("read big");
	}
	close(fd);
	return now() - start;
}

/* --- names --- */

static unsigned int walked;

static int count_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)ftw;
	walked += type == FTW_F;
	return 0;
}

/* Reads all directories and stats everything in them, as ls -lR does. */
static double walk(const char *directory)
{
	double start = now();

	walked = 0;
	if (nftw(directory, count_file, 32, FTW_PHYS) || !walked)
		die("walk %s", directory);
	return now() - start;
}

static void list_directory(const char *path, int depth)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (!directory)
		die("opendir %s", path);
	while ((entry = readdir(directory))) {
		char below[512];

		walked++;
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || !depth)
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		list_directory(below, depth - 1);
	}
	closedir(directory);
}

static double list(const char *directory)
{
	double start = now();

	walked = 0;
	list_directory(directory, 32);
	return now() - start;
}

/* For each line of a list of paths. */
static double each_path(const char *file, void (*action)(const char *path))
{
	char path[512];
	FILE *stream = fopen(file, "re");
	double start = now();

	if (!stream)
		die("open %s", file);
	while (fgets(path, sizeof(path), stream)) {
		path[strcspn(path, "\n")] = '\0';
		action(path);
	}
	fclose(stream);
	return now() - start;
}

static void stat_path(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		die("lstat %s", path);
}

static void read_path(const char *path)
{
	int fd = open_or_die(path, O_RDONLY);

	if (read(fd, buffer, BLOCK) <= 0)
		die("read %s", path);
	close(fd);
}

/* What git status does: each file of the index, then what else is in the directories. */
static double status(void)
{
	double time = each_path("tree.index", stat_path);

	return time + list("tree");
}

static double create_files(void)
{
	double start = now(), time;
	char path[32];

	if (mkdir("created", 0755))
		die("mkdir created");
	for (int i = 0; i < CREATED; i++) {
		int fd;

		snprintf(path, sizeof(path), "created/%d", i);
		fd = open_or_die(path, O_WRONLY | O_CREAT | O_EXCL);
		write_or_die(fd, path, 3000);
		close(fd);
	}
	time = now() - start;
	for (int i = 0; i < CREATED; i++) {
		snprintf(path, sizeof(path), "created/%d", i);
		unlink(path);
	}
	if (rmdir("created"))
		die("rmdir created");
	return time;
}

/* --- a source tree --- */

static void read_archive(FILE *archive, size_t size)
{
	if (fread(buffer, 1, size, archive) != size)
		die("read tree.tar");
}

static void unpack_file(FILE *archive, const char *path, size_t size)
{
	int fd = open_or_die(path, O_WRONLY | O_CREAT | O_EXCL);
	const struct timespec times[2] = { { 1, 0 }, { 1, 0 } };

	while (size) {
		size_t part = size < BLOCK ? size : BLOCK;

		read_archive(archive, (part + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK);
		write_or_die(fd, path, part);
		size -= part;
	}
	/* as tar does */
	if (fchmod(fd, 0644) || fchown(fd, 0, 0) || futimens(fd, times))
		die("attributes of %s", path);
	close(fd);
}

/* Directories and regular files of a ustar archive. */
static double unpack(void)
{
	FILE *archive = fopen("tree.tar", "re");
	double start = now();

	if (!archive)
		die("open tree.tar");
	for (;;) {
		char header[TAR_BLOCK], path[101] = "", size[13] = "";

		if (fread(header, 1, sizeof(header), archive) != sizeof(header))
			die("read tree.tar");
		if (!header[0])
			break;
		memcpy(path, header, 100);
		memcpy(size, header + 124, 12);
		if (header[156] != '5')
			unpack_file(archive, path, strtoul(size, NULL, 8));
		else if (mkdir(path, 0755))
			die("mkdir %s", path);
	}
	fclose(archive);
	return now() - start;
}

static int remove_path(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

static double remove_tree(void)
{
	double start = now();

	if (nftw("tree", remove_path, 32, FTW_PHYS | FTW_DEPTH))
		die("remove tree");
	return now() - start;
}

/* --- all --- */

static void measure_reading(void)
{
	drop_caches();
	row("read_cold_rate", read_rate());
	row("read_warm_rate", read_rate());
	drop_caches();
	row("random_read", random_read());
	drop_caches();
	row("stat_cold", walk("many"));
	row("stat_warm", walk("many"));
	drop_caches();
	row("readdir_cold", list("many"));
	row("readdir_warm", list("many"));
	drop_caches();
	row("small_read_cold", each_path("small.index", read_path));
	row("small_read_warm", each_path("small.index", read_path));
}

static void measure_writing(void)
{
	struct stat st;

	if (stat("big", &st))
		die("stat big");
	row("write_rate", write_rate((size_t)st.st_size, BLOCK, false));
	row("write_fsync_rate", write_rate((size_t)st.st_size, BLOCK, true));
	row("write_small_rate", write_rate(SMALL_WRITES, PAGE, false));
	row("create", create_files());
	drop_caches();
	row("untar", unpack());
	drop_caches();
	row("status_cold", status());
	row("status_warm", status());
	row("remove", remove_tree());
}

static void measure(const char *directory)
{
	buffer = malloc(BLOCK);
	/* reading itself again from what is measured would be in the figures */
	if (!buffer || mlockall(MCL_CURRENT))
		die("memory");
	memset(buffer, 'x', BLOCK);
	if (chdir(directory))
		die("%s", directory);
	measure_reading();
	if (!access(".", W_OK))
		measure_writing();
}

/* QEMU adds words of its own at the end of the command line, where those for an init would be. */
static char *mount_words(void)
{
	static char line[4096];
	int fd = open_or_die("/proc/cmdline", O_RDONLY);
	ssize_t size = read(fd, line, sizeof(line) - 1);
	char *words = size > 0 ? strstr(line, WORD) : NULL;

	if (!words)
		die("no " WORD " on the command line");
	close(fd);
	words += strlen(WORD);
	words[strcspn(words, " \n")] = '\0';
	return words;
}

static void mount_all(void)
{
	char *words, *type, *source;

	mkdir("/proc", 0755);
	mkdir("/dev", 0755);
	mkdir("/mnt", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL) || mount("dev", "/dev", "devtmpfs", 0, NULL))
		die("mount /proc and /dev");
	words = mount_words();
	type = strsep(&words, ":");
	source = strsep(&words, ":");
	if (!source || mount(source, "/mnt", type, strcmp(type, "erofs") ? 0 : MS_RDONLY, words))
		die("mount %s of type %s with %s", source, type, words ? words : "no options");
}

int main(int argc, char **argv)
{
	if (argc == 2) {
		measure(argv[1]);
		row("done", 0);
		return 0;
	}
	if (getpid() != 1)
		return 2;
	machine = true;
	mount_all();
	measure("/mnt");
	row("done", 0);
	end_machine();
}
