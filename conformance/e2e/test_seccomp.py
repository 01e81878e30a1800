"""17: linux.seccomp, by system calls made inside the container."""
import os
import signal

from harness import IMAGE, test
from test_config import TOOL, edited, refused

ALLOW = {"defaultAction": "SCMP_ACT_ALLOW"}
EPERM, EBADF, EACCES, ENOSYS = 1, 9, 13, 38
SIGSYS = 128 + signal.SIGSYS

# What a static program of this machine's C library calls until it ends.
BARE = ["execve", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64", "readlink", "readlinkat",
        "getrandom", "brk", "mprotect", "fstat", "newfstatat", "ioctl", "write", "exit_group"]


def rule(action, *names, **members):
    return {"names": list(names), "action": "SCMP_ACT_" + action, **members}


def arg(index, op, value, two=0):
    return {"index": index, "op": "SCMP_CMP_" + op, "value": value, "valueTwo": two}


class Filtered:
    """A root file system for runs of the tool under filters."""

    def __init__(self, t):
        self.t = t
        self.rootfs = t.rootfs_copy()

    def run(self, seccomp, words, privileges=True):
        """The result, and what the tool says as a list."""

        def change(_config, process, linux):
            process["noNewPrivileges"] = not privileges
            linux["seccomp"] = seccomp

        result = self.t.run(["/tool", *words], edit=edited(change, TOOL), rootfs=self.rootfs, readonly=False)
        return result, [int(line) if line.lstrip("-").isdigit() else line for line in result.out.split("\n")[:-1]]

    def equal(self, title, seccomp, words, wanted, **options):
        result, said = self.run(seccomp, words, **options)
        self.t.equal(title, (result.status, said), (0, wanted), result)

    def ends(self, title, seccomp, words, status, **options):
        result, _ = self.run(seccomp, words, **options)
        self.t.equal(title, (result.status, result.out), (status, ""), result)


@test(17)
def seccomp_actions(t):
    """linux.seccomp: actions, errno, unknown names, flags"""
    f = Filtered(t)
    rules = {**ALLOW, "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], "syscalls": [
        rule("ERRNO", "getpgrp", "no_such_call"), rule("ERRNO", "getppid", "getuid", errnoRet=EACCES),
        rule("LOG", "getsid"), rule("TRACE", "sync")]}
    calls = ["call=111", "call=110", "call=102", "call=124", "call=162", "call=39"]
    for privileges in (True, False):
        f.equal(f"ERRNO, its errno, LOG, TRACE without a tracer, {'with' if privileges else 'no'} new privileges", rules, calls,
                [-EPERM, -EACCES, -EACCES, 1, -ENOSYS, 1], privileges=privileges)
    for action in ("KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP"):
        f.ends(action, {**ALLOW, "syscalls": [rule(action, "sync")]}, ["call=162"], SIGSYS)


@test(17)
def seccomp_arguments(t):
    """linux.seccomp: the operators, on all 64 bits of an argument"""
    f = Filtered(t)
    near = 0x100000005
    # Of each: a call that fails by EBADF when it is made, and the second arguments at which it is not made.
    rows = (("NE", "lseek", 8, {4, 6, 5}), ("LT", "pread64", 17, {4, 5}), ("LE", "pwrite64", 18, {4, near, 5}),
            ("EQ", "readv", 19, {near}), ("GE", "getdents64", 217, {near, 6}), ("GT", "ftruncate", 77, {6}))
    values = {4: near - 1, near: near, 6: near + 1, 5: 5}
    rules = [rule("ERRNO", name, errnoRet=99, args=[arg(1, op, near)]) for op, name, _, _ in rows]
    words = [f"call={number},-1,{value}" for _, _, number, _ in rows for value in values.values()]
    wanted = [-99 if key in stopped else -EBADF for _, _, _, stopped in rows for key in values]
    f.equal("NE LT LE EQ GE GT", {**ALLOW, "syscalls": rules}, words, wanted)
    f.equal("MASKED_EQ", {**ALLOW, "syscalls": [rule("ERRNO", "lseek", args=[arg(1, "MASKED_EQ", 0xf0, 0x20)])]},
            ["call=8,-1,0x12f", "call=8,-1,0x12", "call=8,-1,0x20", "call=8,-1,0x30"], [-EPERM, -EBADF, -EPERM, -EBADF])
    f.equal("conditions of several arguments must all hold",
            {**ALLOW, "syscalls": [rule("ERRNO", "lseek", args=[arg(1, "EQ", 1), arg(2, "EQ", 2)])]},
            ["call=8,-1,1,2", "call=8,-1,1,0", "call=8,-1,0,2"], [-EPERM, -EBADF, -EBADF])
    f.equal("of conditions of one argument any is enough",
            {**ALLOW, "syscalls": [rule("ERRNO", "lseek", args=[arg(1, "EQ", 1), arg(1, "EQ", 3), arg(2, "EQ", 2)])]},
            ["call=8,-1,1", "call=8,-1,3", "call=8,-1,0,2", "call=8,-1,2"], [-EPERM, -EPERM, -EPERM, -EBADF])
    f.equal("rules of one call add up",
            {**ALLOW, "syscalls": [rule("ERRNO", "lseek", args=[arg(1, "EQ", 1)]),
                                   rule("ERRNO", "lseek", args=[arg(1, "EQ", 2)], errnoRet=EACCES)]},
            ["call=8,-1,1", "call=8,-1,2", "call=8,-1,3"], [-EPERM, -EACCES, -EBADF])


@test(17)
def seccomp_architectures(t):
    """linux.seccomp: calls of 32 bits"""
    f = Filtered(t)
    f.equal("X86 in the list: they pass, by its rules",
            {**ALLOW, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"],
             "syscalls": [rule("ERRNO", "getppid")]}, ["call32=20", "call32=64", "call=39", "call=110"], [1, -EPERM, 1, -EPERM])
    f.ends("X86 not in the list: they kill",
           {**ALLOW, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [rule("ERRNO", "getppid")]}, ["call32=20"], SIGSYS)


@test(17, vxn=True)
def seccomp_default(t):
    """linux.seccomp: what the rules do not name"""
    f = Filtered(t)
    words = ["call=39", "call=162", "call=4000"]
    rules = [rule("ALLOW", *BARE, "capset", "read", "futex", "close", "openat", "fcntl")]
    f.equal("a known call: the default action; one newer than the rules know: ENOSYS",
            {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}, words, [-EPERM, -EPERM, -ENOSYS])
    f.equal("defaultErrnoRet", {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": EACCES, "syscalls": rules}, words,
            [-EACCES, -EACCES, -ENOSYS])


@test(17, vxn=True)
def seccomp_bare(t):
    """linux.seccomp: rules that name only what the program itself calls"""
    f = Filtered(t)
    for privileges, more in ((False, []), (True, ["capset", "read"])):
        f.equal(f"{'with' if privileges else 'no'} new privileges: it runs",
                {"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [rule("ALLOW", *BARE, *more, "getpid")]},
                ["call=39"], [1], privileges=privileges)
        f.ends(f"{'with' if privileges else 'no'} new privileges: any other call kills",
               {"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [rule("ALLOW", *BARE, *more)]},
               ["call=39"], SIGSYS, privileges=privileges)
    result, _ = f.run({"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [rule("ALLOW", "write", "exit_group")]}, [],
                      privileges=False)
    t.ok("without execve nothing runs", result.status == 1 and "signal 31" in result.err or result.status == SIGSYS, result)


@test(17, vxn=True)
def seccomp_processes(t):
    """linux.seccomp: who has the filter, and with which privileges"""
    status = ["sh", "-c", "grep -E '^(Seccomp|NoNewPrivs|CapEff|CapPrm)' /proc/self/status | tr -d '\\t'"]

    def change(_config, process, linux):
        process["user"] = {"uid": 1000, "gid": 1000}
        linux["seccomp"] = {**ALLOW, "syscalls": [rule("ERRNO", "sethostname")]}

    container = t.start(edit=edited(change, TOOL), rootfs=t.rootfs_copy(), readonly=False)
    result = container.exec("sh", "-c", "grep -E '^(Seccomp|NoNewPrivs|CapEff|CapPrm)' /proc/1/status | tr -d '\\t'")
    none = "0000000000000000"
    wanted = [f"CapPrm:{none}", f"CapEff:{none}", "NoNewPrivs:0", "Seccomp:2", "Seccomp_filters:1"]
    t.equal("the first process: a filter, and no privilege for it", result.out.split(), wanted, result)
    result = container.exec(*status)
    t.equal("a process that joins", result.out.split(), wanted, result)
    result = container.exec(*status, options=("--no-new-privs",))
    t.equal("... with no new privileges", result.out.split(), [*wanted[:2], "NoNewPrivs:1", *wanted[3:]], result)
    result = container.exec("/tool", "call=170")
    t.equal("... is stopped by it", result.out, f"-{EPERM}\n", result)
    container = t.start()
    result = container.exec(*status)
    t.ok("without linux.seccomp there is none", "Seccomp:0" in result.out, result)


@test(17, vxn=True)
def seccomp_refusals(t):
    """linux.seccomp: what is refused, by name"""
    for title, seccomp, word in (
            ("an unknown flag", {**ALLOW, "flags": ["SECCOMP_FILTER_FLAG_MOON"]}, "linux.seccomp.flags[0]"),
            ("an unknown action", {"defaultAction": "SCMP_ACT_MOON"}, "linux.seccomp.defaultAction"),
            ("NOTIFY", {**ALLOW, "syscalls": [rule("NOTIFY", "getcwd")]}, "linux.seccomp.syscalls[0].action"),
            ("listenerPath", {**ALLOW, "listenerPath": "/run/x"}, "linux.seccomp.listenerPath"),
            ("an unknown architecture", {**ALLOW, "architectures": ["SCMP_ARCH_MOON"]}, "linux.seccomp.architectures[0]"),
            ("a seventh argument", {**ALLOW, "syscalls": [rule("ERRNO", "getcwd", args=[arg(6, "EQ", 1)])]},
             "linux.seccomp.syscalls[0].args[0].index")):
        refused(t, title, lambda _c, _p, linux, seccomp=seccomp: linux.update(seccomp=seccomp), word)


@test(17, limit=180)
def seccomp_podman(t):
    """podman's default rules"""
    tool = f"{os.path.dirname(os.path.abspath(__file__))}/inside_process"
    result = t.podman_run("--rm", "-v", f"{tool}:/tool:ro", IMAGE, "sh", "-c",
                          "grep Seccomp: /proc/self/status | tr -d '\\t'; /tool call=278,-1 call=39 call=4000")
    t.equal("they hold", result.out.split(), ["Seccomp:2", f"-{EPERM}", result.out.split()[2], f"-{ENOSYS}"]
            if len(result.out.split()) > 2 else None, result)
    result = t.podman_run("--rm", "-v", f"{tool}:/tool:ro", "--security-opt", "seccomp=unconfined", IMAGE, "sh", "-c",
                          "grep Seccomp: /proc/self/status | tr -d '\\t'; /tool call=278,-1")
    t.equal("unconfined, there are none", result.out.split(), ["Seccomp:0", f"-{EBADF}"], result)
