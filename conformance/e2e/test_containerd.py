"""6: ctr, with containerd's shim for runc and vxn-runc as its program."""
import os
import subprocess

from harness import exit_status, test, wait_until
from test_tty import ends, on_terminal


@test(6, limit=120)
def ctr_run(t):
    """ctr run --rm: output, exit code, stdin"""
    result = t.command(t.ctr_run("sh", "-c", "echo out; echo err >&2; exit 7", options=["--rm"]))
    t.equal("output and exit code", (result.out, result.err.split("\n")[0], result.status), ("out\n", "err", 7), result)
    # This ctr never passes on the end of its stdin, whatever the runtime.
    result = t.command(t.ctr_run("head", "-n", "2", options=["--rm"]), input="through\nctr\n")
    t.equal("stdin", (result.out, result.status), ("through\nctr\n", 0), result)
    result = t.command(t.ctr_run("no-such-program", options=["--rm"]))
    t.ok("a program that is not there fails, with a word on it", result.status != 0 and "no-such-program" in result.err, result)


@test(6, limit=150)
def ctr_terminal_exec(t):
    """ctr run -t, ctr task exec, kill"""
    with on_terminal(t, t.ctr_run("sh", "-c", "tty; read x; echo got $x; exit 5", options=["--rm", "-t"])) as \
            (terminal, process):
        terminal.expect(rb"/dev/(pts/\d+|console)\r+\n", 40)
        terminal.type(b"word\n")
        terminal.expect(rb"got word\r+\n")
        t.ok("run -t: a terminal", True)
        terminal.drain(10)
        t.equal("run -t: exit code", ends(process), 5)
    argv = t.ctr_run("sleep", "1000", options=["-d"])
    id = argv[-3]
    result = t.command(argv)
    t.need("run -d succeeds", result.status == 0, result)
    result = t.command(["ctr", "task", "exec", "--exec-id", "one", id, "sh", "-c", "echo inside; exit 4"])
    t.equal("task exec: output and exit code", (result.out, result.status), ("inside\n", 4), result)
    result = t.command(["ctr", "task", "exec", "--exec-id", "two", id, "head", "-n", "1"], input="exec stdin\n")
    t.equal("task exec: stdin", (result.out, result.status), ("exec stdin\n", 0), result)
    long = t.spawn(["ctr", "task", "exec", "--exec-id", "three", id, "sleep", "1000"], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.ok("the exec's process is there", wait_until(lambda: "sleep 1000" in t.command(
        ["ctr", "task", "exec", "--exec-id", os.urandom(4).hex(), id, "ps"]).out.replace("1 root      0:00 sleep 1000", ""), 20, 1))
    result = t.command(["ctr", "task", "kill", "--exec-id", "three", "-s", "KILL", id])
    t.equal("task kill of an exec", result.status, 0, result)
    t.equal("... ends it with 137", exit_status(long.wait(20)), 137)
    result = t.command(["ctr", "task", "kill", "-s", "KILL", id])
    t.equal("task kill", result.status, 0, result)
    stopped = wait_until(lambda: (lambda r: r if "STOPPED" in r.out else None)(t.command(["ctr", "task", "ls"])), 20, 0.5)
    t.ok("the task stops", stopped and id in stopped.out, stopped)
    result = t.command(["ctr", "task", "rm", id])
    t.equal("task rm succeeds, with the code of the signal", (result.status, "exit status" not in result.err or "137" in
                                                              result.err), (137 if result.status else 0, True), result)
    result = t.command(["ctr", "container", "rm", id])
    t.equal("container rm succeeds", result.status, 0, result)
