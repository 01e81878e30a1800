/* Programs in the directory: exec. They are copies of this one, called with the name of a helper. */
#include "filesem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* helper-ids: who am I; helper-capability: may I bind low ports; helper-wait: a byte, then until the other end is closed. */
int exec_helper(int argc, char **argv)
{
	char line[128] = "";
	FILE *status;

	(void)argc;
	if (strcmp(argv[1], "helper-ids") == 0) {
		say("uid %u euid %u gid %u egid %u", getuid(), geteuid(), getgid(), getegid());
	} else if (strcmp(argv[1], "helper-capability") == 0) {
		status = fopen("/proc/self/status", "r");
		while (status && fgets(line, sizeof(line), status))
			if (strncmp(line, "CapEff", 6) == 0)
				say("low ports: %s",
				    strtoull(line + 8, NULL, 16) & 1 << 10 ? "yes" : "no");
		if (status)
			fclose(status);
	} else if (strcmp(argv[1], "helper-wait") == 0) {
		MUST(write(STDIN_FILENO, "", 1));
		(void)!read(STDIN_FILENO, line, 1);
	}
	return 0;
}

static void copy_program(const char *path, mode_t mode)
{
	int from = (int)MUST(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	int to = (int)MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755));
	char buffer[65536];
	ssize_t n;

	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		MUST(write(to, buffer, (size_t)n));
	close(from);
	close(to);
	MUST(chmod(path, mode));
}

/* Runs path in a child, and says what became of it. */
static void run(const char *path, const char *helper)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = (pid_t)MUST(fork());
	if (pid == 0) {
		execl(path, path, helper, (char *)NULL);
		say("exec %s %s", path, outcome(-1));
		exit(0);
	}
	waitpid(pid, &status, 0);
	say("%s %s ended with %d", path, helper, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void run_all(void)
{
	run("./plain", "helper-ids");
	run("./setuid", "helper-ids");
	run("./setgid", "helper-ids");
	run("./both", "helper-ids");
	run("./root-only", "helper-ids");
	run("./execute-only", "helper-ids");
	run("./no-execute", "helper-ids");
	run("./capable", "helper-capability");
	run("./plain", "helper-capability");
	run("./script", "helper-ids");
	run("./broken", "x");
	run("./empty", "x");
	run(".", "x");
	run("./missing", "x");
}

static void run_without_privileges(void)
{
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	run("./setuid", "helper-ids");
	run("./capable", "helper-capability");
}

static void busy(void)
{
	int ends[2], fd, status;
	char ready;
	pid_t pid;

	copy_program("busy", 0755);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	fflush(stdout);
	pid = (pid_t)MUST(fork());
	if (pid == 0) {
		dup2(ends[0], STDIN_FILENO);
		execl("./busy", "./busy", "helper-wait", (char *)NULL);
		exit(1);
	}
	close(ends[0]);
	MUST(read(ends[1], &ready, 1));
	FD(open("busy", O_WRONLY));
	FD(open("busy", O_RDWR));
	DID(truncate("busy", 0));
	FD(open("busy", O_WRONLY | O_TRUNC));
	close(FD(open("busy", O_RDONLY)));
	DID(chmod("busy", 0700));
	DID(rename("busy", "still-busy"));
	DID(unlink("still-busy"));
	close(ends[1]);
	waitpid(pid, &status, 0);
	say("ended with %d", status);
	copy_program("written", 0755);
	fd = FD(open("written", O_WRONLY | O_CLOEXEC));
	run("./written", "helper-ids");
	close(fd);
	run("./written", "helper-ids");
}

void subject_exec(void)
{
	static const uint32_t capability[5] = { 0x02000001, 1u << 10, 0, 0, 0 };

	copy_program("plain", 0755);
	copy_program("setuid", 0755);
	MUST(chown("setuid", 1002, 1002));
	MUST(chmod("setuid", 04755));
	copy_program("setgid", 0755);
	MUST(chown("setgid", 1002, 1003));
	MUST(chmod("setgid", 02755));
	copy_program("both", 06755);
	copy_program("root-only", 0700);
	copy_program("execute-only", 0711);
	copy_program("no-execute", 0644);
	copy_program("capable", 0755);
	MUST(setxattr("capable", "security.capability", capability, sizeof(capability), 0));
	make_file("script", "#!./plain helper-ids\n");
	MUST(chmod("script", 0755));
	make_file("broken", "\177ELF and nothing else");
	MUST(chmod("broken", 0755));
	make_file("empty", "");
	MUST(chmod("empty", 0755));
	run_all();
	as_user(1000, 1000, NULL, run_all);
	as_user(1000, 1000, NULL, run_without_privileges);
	busy();
}
