/* Children that run steps: as another user, with fewer capabilities, or beside their parent. */
#include "filesem.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Long enough for a slow machine; a step that never ends has to end the run. */
#define CHILD_LIMIT 240

static pid_t start_child(void)
{
	pid_t pid;

	fflush(stdout);
	pid = (pid_t)MUST(fork());
	if (pid == 0)
		alarm(CHILD_LIMIT);
	return pid;
}

static void await_child(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		say("the child was ended by %s", sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		say("the child ended with %d", WEXITSTATUS(status));
}

void in_child(void (*steps)(void))
{
	pid_t pid = start_child();

	if (pid == 0) {
		steps();
		exit(0);
	}
	await_child(pid);
}

void as_user(uid_t uid, gid_t gid, const gid_t *groups, void (*steps)(void))
{
	size_t count = 0;
	pid_t pid;

	while (groups && groups[count])
		count++;
	pid = start_child();
	if (pid == 0) {
		MUST(setgroups(count, groups));
		MUST(setresgid(gid, gid, gid));
		MUST(setresuid(uid, uid, uid));
		steps();
		exit(0);
	}
	await_child(pid);
}

static void drop_capability(int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	MUST(syscall(SYS_capget, &header, data));
	data[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
	MUST(syscall(SYS_capset, &header, data));
}

void without_capability(int capability, void (*steps)(void))
{
	pid_t pid = start_child();

	if (pid == 0) {
		drop_capability(capability);
		steps();
		exit(0);
	}
	await_child(pid);
}

void turn_wait(const struct turn *turn)
{
	char byte;

	fflush(stdout);
	if (read(turn->mine[0], &byte, 1) != 1)
		exit(1); /* the other one ended, and has said why */
}

void turn_give(const struct turn *turn)
{
	fflush(stdout);
	MUST(write(turn->other[1], "", 1));
}

void together(void (*first)(const struct turn *), void (*second)(const struct turn *))
{
	struct turn turn, child_turn;
	pid_t pid;

	MUST(pipe2(turn.mine, O_CLOEXEC));
	MUST(pipe2(turn.other, O_CLOEXEC));
	memcpy(child_turn.mine, turn.other, sizeof(turn.other));
	memcpy(child_turn.other, turn.mine, sizeof(turn.mine));
	pid = start_child();
	if (pid == 0) {
		/* so that each sees the end of the other */
		close(child_turn.mine[1]);
		close(child_turn.other[0]);
		second(&child_turn);
		exit(0);
	}
	close(turn.mine[1]);
	close(turn.other[0]);
	first(&turn);
	close(turn.other[1]);
	fflush(stdout);
	await_child(pid);
	close(turn.mine[0]);
}
