/* What is left to a confined process, each try in a process of its own. */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/io_confine.h"

/* Wait status of a confined child that runs function. */
static int confined(int (*function)(void))
{
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct error err;

		_exit(io_confine(NULL, &err) ? 99 : function());
	}
	waitpid(pid, &status, 0);
	return status;
}

/* 0: all as it should be; otherwise which step was not. */
static int empty_root(void)
{
	int entries = 0;
	struct dirent *entry;
	DIR *root = opendir("/");

	while (root && (entry = readdir(root)))
		if (entry->d_name[0] != '.')
			entries += strcmp(entry->d_name, "proc") ? 100 : 1;
	if (entries != 1)
		return 1;
	if (open("/etc/passwd", O_RDONLY) >= 0 || open("/proc/1/status", O_RDONLY) >= 0 ||
	    open("/proc/self/status", O_RDONLY) >= 0)
		return 2;
	if (mkdirat(AT_FDCWD, "/x", 0700) == 0 || errno != EROFS)
		return 3;
	if (open("/proc/self/fd/0", O_PATH) < 0)
		return 4;
	return open("..", O_PATH) >= 0 && openat(AT_FDCWD, "../../../etc", O_PATH) >= 0 ? 5 : 0;
}

static int capabilities(void)
{
	const unsigned int kept = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER |
				  1u << CAP_FSETID | 1u << CAP_SETGID | 1u << CAP_SETUID |
				  1u << CAP_SETFCAP;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return 1;
	return data[0].permitted != kept || data[0].effective != kept || data[0].inheritable ||
	       data[1].permitted || data[1].effective;
}

static void *nothing(void *argument)
{
	return argument;
}

static int threads(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL);
}

static int try_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int try_fork(void)
{
	return fork();
}

static int try_exec(void)
{
	return execl("/bin/true", "true", NULL);
}

static int try_mount(void)
{
	return mount("none", "/", "tmpfs", 0, NULL);
}

static int try_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static int try_ptrace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int try_exec_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

static int try_kill(void)
{
	return kill(1, 0);
}

static int try_handle(void)
{
	return (int)syscall(SYS_open_by_handle_at, -1, NULL, 0);
}

static int try_chroot(void)
{
	return chroot("/");
}

static const struct {
	const char *name;
	int (*function)(void);
} forbidden[] = {
	{ "socket", try_socket },
	{ "fork", try_fork },
	{ "execve", try_exec },
	{ "mount", try_mount },
	{ "a user namespace", try_namespace },
	{ "ptrace", try_ptrace },
	{ "executable memory", try_exec_memory },
	{ "kill", try_kill },
	{ "open_by_handle_at", try_handle },
	{ "chroot", try_chroot },
};

void checks_confinement(void)
{
	int status = confined(empty_root);

	check(status == 0, "confined: an empty, read-only root with /proc/self/fd (%x)", status);
	check(confined(capabilities) == 0, "confined: seven capabilities");
	check(confined(threads) == 0, "confined: threads work");
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		status = confined(forbidden[i].function);
		check(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "confined: %s kills (%x)",
		      forbidden[i].name, status);
	}
}
