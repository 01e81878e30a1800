/*
 * See io_confine.h. The order matters: namespaces and mounts need CAP_SYS_ADMIN,
 * so capabilities go after them, and the system call filter comes last, as it
 * refuses all that was needed before.
 */
#include "io_confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "cleanup.h"
#include "empty_root.h"

/* --- root directory and namespaces --- */

static int leave_namespaces(struct error *err)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP))
		return error_set(err, errno, "unshare");
	/* what is mounted here must never be seen outside */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return error_set(err, errno, "make all mounts private");
	return 0;
}

static int make_place(const char *path, bool directory)
{
	CLEANUP_CLOSE int file = -1;

	if (directory)
		return mkdir(path, 0700);
	file = open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
	return file < 0 ? -1 : 0;
}

static int attach_slave(const char *path, int mount, struct error *err)
{
	struct stat st;

	if (fstat(mount, &st))
		return error_set(err, errno, "look at a slave mount");
	if (make_place(path, S_ISDIR(st.st_mode)))
		return error_set(err, errno, "fill the empty root");
	if (move_mount(mount, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH))
		return error_set(err, errno, "attach a slave mount");
	return 0;
}

/* "/proc" itself would show every process of the host, so only our own fds are bound. */
static int enter_empty_root(const struct io_needs *needs, struct error *err)
{
	CLEANUP_CLOSE int fds =
		open_tree(AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fds < 0)
		return error_set(err, errno, "clone /proc/self/fd");
	if (empty_root_mount(err))
		return -1;
	if (mkdir("proc", 0755) || mkdir("proc/self", 0755) || mkdir("proc/self/fd", 0755))
		return error_set(err, errno, "fill the empty root");
	if (move_mount(fds, "", AT_FDCWD, "proc/self/fd", MOVE_MOUNT_F_EMPTY_PATH))
		return error_set(err, errno, "mount /proc/self/fd");
	for (size_t i = 0; needs && i < needs->slaves_count; i++) {
		char name[24];

		snprintf(name, sizeof(name), "%zu", i);
		if (attach_slave(name, needs->slaves[i], err))
			return -1;
	}
	return empty_root_enter(err);
}

/* --- privileges --- */

/* What serving files needs, as the guest's kernel has decided who may. */
static const cap_value_t kept[] = {
	CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETFCAP, CAP_SETGID, CAP_SETUID,
};

#define KEPT_COUNT (sizeof(kept) / sizeof(kept[0]))

static int is_kept(cap_value_t cap)
{
	for (size_t i = 0; i < KEPT_COUNT; i++)
		if (kept[i] == cap)
			return 1;
	return 0;
}

static int drop_bounding(struct error *err)
{
	for (cap_value_t cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!is_kept(cap) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return error_set(err, errno, "drop capability %d for good", cap);
	return 0;
}

static void free_caps(cap_t *caps)
{
	cap_free(*caps);
}

static int drop_capabilities(struct error *err)
{
	CLEANUP(free_caps) cap_t caps = cap_init();

	if (!caps || cap_set_flag(caps, CAP_PERMITTED, KEPT_COUNT, kept, CAP_SET) ||
	    cap_set_flag(caps, CAP_EFFECTIVE, KEPT_COUNT, kept, CAP_SET) || cap_set_proc(caps))
		return error_set(err, errno, "drop capabilities");
	return 0;
}

static int drop_privileges(struct error *err)
{
	/* share workers change their fsuid and keep what they may */
	const int bits = SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NOROOT |
			 SECBIT_NOROOT_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
			 SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	const struct rlimit no_core = { 0, 0 };

	if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0))
		return error_set(err, errno, "set securebits");
	if (drop_bounding(err) || drop_capabilities(err))
		return -1;
	if (setrlimit(RLIMIT_CORE, &no_core))
		return error_set(err, errno, "forbid core dumps");
	/* threads of one process see its /proc/self/fd all the same */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return error_set(err, errno, "forbid tracing");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return error_set(err, errno, "no_new_privs");
	return 0;
}

/* --- system calls --- */

#define CALL(name) SCMP_SYS(name)

/* Allowed with any arguments. */
static const int plain_calls[] = {
	/* fds: the channel, stdio pumps, files */
	CALL(read),
	CALL(write),
	CALL(readv),
	CALL(writev),
	CALL(pread64),
	CALL(pwrite64),
	CALL(preadv),
	CALL(pwritev),
	CALL(preadv2),
	CALL(pwritev2),
	CALL(close),
	CALL(close_range),
	CALL(dup),
	CALL(dup2),
	CALL(dup3),
	CALL(lseek),
	CALL(pipe2),
	CALL(splice),
	CALL(tee),
	CALL(recvmsg),
	CALL(sendmsg),
	CALL(recvfrom),
	CALL(sendto),
	CALL(shutdown),
	/* waiting */
	CALL(epoll_create1),
	CALL(epoll_ctl),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(poll),
	CALL(ppoll),
	CALL(select),
	CALL(pselect6),
	CALL(eventfd2),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(timerfd_gettime),
	CALL(signalfd4),
	CALL(nanosleep),
	CALL(clock_nanosleep),
	CALL(clock_gettime),
	CALL(gettimeofday),
	CALL(clock_getres),
	CALL(restart_syscall),
	/* shares: below directories that are open, and /proc/self/fd */
	CALL(openat),
	CALL(openat2),
	CALL(fstat),
	CALL(newfstatat),
	CALL(statx),
	CALL(fstatfs),
	CALL(getdents64),
	CALL(readlinkat),
	CALL(mkdirat),
	CALL(mknodat),
	CALL(symlinkat),
	CALL(linkat),
	CALL(unlinkat),
	CALL(renameat),
	CALL(renameat2),
	CALL(chmod),
	CALL(fchmod),
	CALL(fchmodat),
	CALL(fchownat),
	CALL(truncate),
	CALL(ftruncate),
	CALL(utimensat),
	CALL(fsync),
	CALL(fdatasync),
	CALL(syncfs),
	CALL(sync_file_range),
	CALL(fallocate),
	CALL(copy_file_range),
	CALL(fadvise64),
	CALL(flock),
	CALL(setxattr),
	CALL(getxattr),
	CALL(listxattr),
	CALL(removexattr),
	CALL(name_to_handle_at),
	/* share workers: as whom */
	CALL(setfsuid),
	CALL(setfsgid),
	CALL(capget),
	CALL(capset),
	CALL(umask),
	/* memory and threads */
	CALL(brk),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	CALL(futex),
	CALL(set_robust_list),
	CALL(get_robust_list),
	CALL(rseq),
	CALL(sched_yield),
	CALL(sched_getaffinity),
	CALL(membarrier),
	CALL(getrandom),
	CALL(gettid),
	CALL(getpid),
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
	CALL(exit),
	CALL(exit_group),
	/* signals: to itself, which tgkill's filter below says */
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(rt_sigtimedwait),
	CALL(sigaltstack),
};

/* IOCTL_EVTCHN_UNBIND and _NOTIFY of Linux' <xen/evtchn.h>, which is not in its uapi headers. */
#define EVTCHN_UNBIND _IOC(_IOC_NONE, 'E', 3, sizeof(unsigned int))
#define EVTCHN_NOTIFY _IOC(_IOC_NONE, 'E', 4, sizeof(unsigned int))

struct filtered_call {
	int call;
	struct scmp_arg_cmp arg;
};

/* Threads: clone and nothing that makes a process or a namespace. */
#define THREAD_FLAGS \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define FORBIDDEN_CLONE_FLAGS                                                          \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE | CLONE_VFORK)

/* The first argument that decides, and its value. Several rows for a call: any of them. */
static const struct filtered_call filtered_calls[] = {
	{ CALL(clone),
	  { 0, SCMP_CMP_MASKED_EQ, THREAD_FLAGS | FORBIDDEN_CLONE_FLAGS, THREAD_FLAGS } },
	/* the umask of a share worker is its own */
	{ CALL(unshare), { 0, SCMP_CMP_EQ, CLONE_FS, 0 } },
	/* nothing is ever executable */
	{ CALL(mmap), { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } },
	{ CALL(mprotect), { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } },
	{ CALL(fcntl), { 1, SCMP_CMP_EQ, F_GETFL, 0 } },
	{ CALL(fcntl), { 1, SCMP_CMP_EQ, F_SETFL, 0 } },
	{ CALL(fcntl), { 1, SCMP_CMP_EQ, F_GETFD, 0 } },
	{ CALL(fcntl), { 1, SCMP_CMP_EQ, F_SETFD, 0 } },
	{ CALL(fcntl), { 1, SCMP_CMP_EQ, F_DUPFD_CLOEXEC, 0 } },
	{ CALL(fcntl), { 1, SCMP_CMP_EQ, F_GETPIPE_SZ, 0 } },
	{ CALL(fcntl), { 1, SCMP_CMP_EQ, F_SETPIPE_SZ, 0 } },
	/* inodes alone: a mark of a mount or a file system would show what is not shared */
	{ CALL(fanotify_mark), { 1, SCMP_CMP_MASKED_EQ, FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM, 0 } },
	{ CALL(fcntl), { 1, SCMP_CMP_EQ, F_OFD_GETLK, 0 } },
	{ CALL(fcntl), { 1, SCMP_CMP_EQ, F_OFD_SETLK, 0 } },
	{ CALL(fcntl), { 1, SCMP_CMP_EQ, F_OFD_SETLKW, 0 } },
	/* the channel: no other port can be bound, no other page be granted */
	{ CALL(ioctl), { 1, SCMP_CMP_EQ, EVTCHN_NOTIFY, 0 } },
	{ CALL(ioctl), { 1, SCMP_CMP_EQ, EVTCHN_UNBIND, 0 } },
	/* terminals and pipes of containers */
	{ CALL(ioctl), { 1, SCMP_CMP_EQ, TIOCGWINSZ, 0 } },
	{ CALL(ioctl), { 1, SCMP_CMP_EQ, TIOCSWINSZ, 0 } },
	{ CALL(ioctl), { 1, SCMP_CMP_EQ, TCGETS, 0 } },
	{ CALL(ioctl), { 1, SCMP_CMP_EQ, TCSETS, 0 } },
	{ CALL(ioctl), { 1, SCMP_CMP_EQ, TCSETSW, 0 } },
	{ CALL(ioctl), { 1, SCMP_CMP_EQ, TCSETSF, 0 } },
	{ CALL(ioctl), { 1, SCMP_CMP_EQ, FIONREAD, 0 } },
	{ CALL(ioctl), { 1, SCMP_CMP_EQ, FIONBIO, 0 } },
	/* limits and signals of its own only */
	{ CALL(prlimit64), { 0, SCMP_CMP_EQ, 0, 0 } },
	{ CALL(prctl), { 0, SCMP_CMP_EQ, PR_SET_NAME, 0 } },
	{ CALL(prctl), { 0, SCMP_CMP_EQ, PR_GET_SECUREBITS, 0 } },
};

/*
 * Where a connection goes lies in memory, where no filter sees it. Names of the
 * abstract kind are those of its own network namespace, of which it is the only
 * process; by path it reaches what is below an open directory, thus shared, and
 * what O_PATH fds name.
 */
static const struct filtered_call socket_calls[] = {
	{ CALL(socket), { 0, SCMP_CMP_EQ, AF_UNIX, 0 } },
	{ CALL(connect), { 2, SCMP_CMP_EQ, sizeof(struct sockaddr_un), 0 } },
};

static int allow_own_signals(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

static int add_rules(scmp_filter_ctx filter, bool sockets)
{
	const size_t socket_rules = sockets ? sizeof(socket_calls) / sizeof(socket_calls[0]) : 0;
	int result = 0;

	for (size_t i = 0; i < sizeof(plain_calls) / sizeof(plain_calls[0]) && !result; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, plain_calls[i], 0);
	for (size_t i = 0; i < sizeof(filtered_calls) / sizeof(filtered_calls[0]) && !result; i++)
		result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, filtered_calls[i].call, 1,
						&filtered_calls[i].arg);
	for (size_t i = 0; i < socket_rules && !result; i++)
		result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, socket_calls[i].call, 1,
						&socket_calls[i].arg);
	if (!result)
		result = allow_own_signals(filter);
	/* its flags lie in memory, where no filter sees them; glibc falls back to clone */
	if (!result)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return result;
}

static void release_filter(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
}

static int filter_calls(bool sockets, struct error *err)
{
	CLEANUP(release_filter) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int result;

	if (!filter)
		return error_set(err, ENOMEM, "system call filter");
	/* a tree instead of a list: reads and writes pay for it each time */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	result = add_rules(filter, sockets);
	if (!result)
		result = seccomp_load(filter);
	return result ? error_set(err, -result, "system call filter") : 0;
}

int io_confine(const struct io_needs *needs, struct error *err)
{
	if (leave_namespaces(err) || enter_empty_root(needs, err) || drop_privileges(err) ||
	    filter_calls(needs && needs->sockets, err))
		return error_prefix(err, "confine the io process");
	return 0;
}
