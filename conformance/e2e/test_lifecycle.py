"""5: containers in the background under podman."""
import os
import subprocess
import threading

from harness import IMAGE, exit_status, test, wait_until
from test_tty import on_terminal, ends

SCRIPT = """
trap 'echo got TERM; exit 3' TERM
trap 'echo got USR1' USR1
echo started
while :; do sleep 0.2; done
"""


@test(5, limit=300)
def background(t):
    """-d, logs, exec, cp, kill, stop, wait on one container"""
    name = t.new_id()
    result = t.podman_run("-d", IMAGE, "sh", "-c", SCRIPT, name=name)
    t.need("run -d succeeds and prints the id", result.status == 0 and len(result.out.strip()) == 64, result)
    exec_checks(t, name)
    copy_checks(t, name)
    result = t.podman("kill", "-s", "USR1", name)
    t.equal("kill -s USR1 succeeds", result.status, 0, result)
    waiter = t.spawn(["podman", "wait", name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    result = t.podman("stop", "-t", "20", name)
    t.equal("stop succeeds", result.status, 0, result)
    t.ok("stop need not wait for its time to run out", result.seconds < 15, result)
    out, _ = waiter.communicate(timeout=30)
    t.equal("wait prints the handler's exit code", out, "3\n")
    result = t.podman("logs", name)
    t.equal("logs: what it printed, USR1 and TERM reached their handlers", result.out, "started\ngot USR1\ngot TERM\n", result)
    result = t.podman("start", name)
    t.equal("start runs it again", result.status, 0, result)
    t.ok("it has started again", wait_until(lambda: t.podman("logs", name).out.count("started") == 2, 20, 0.5))
    result = t.podman("rm", "-f", "-t", "0", name)
    t.equal("rm -f of a running one succeeds", result.status, 0, result)
    result = t.podman("ps", "-a", "--format", "{{.Names}}")
    t.ok("it is gone", name not in result.out, result)


def exec_checks(t, name):
    result = t.podman("exec", name, "sh", "-c", "echo out; echo err >&2; exit 5")
    t.equal("exec: output and exit code", (result.out, result.err, result.status), ("out\n", "err\n", 5), result)
    result = t.podman("exec", "-i", name, "sha256sum", input="standard input")
    t.equal("exec -i: stdin", result.out,
            t.command(["sha256sum"], input="standard input").out, result)
    result = t.podman("exec", name, "no-such-program")
    t.equal("exec: 127 when there is no such program", result.status, 127, result)
    with on_terminal(t, ["podman", "--runtime", t.runtime, "exec", "-it", name, "sh", "-c", "tty; stty size; read x; exit 6"]) \
            as (terminal, process):
        terminal.expect(rb"/dev/pts/\d+\r\n", 40)
        terminal.expect(rb"33 101\r\n")
        t.ok("exec -it: a terminal of the window's size", True)
        terminal.type(b"x\n")
        terminal.drain(20)
        t.equal("exec -it: exit code", ends(process), 6)
    results = {}

    def one(i):
        process = t.spawn(["podman", "--runtime", t.runtime, "exec", name, "sh", "-c", f"sleep 2; echo {i}; exit {i}"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        out, _ = process.communicate(timeout=60)
        results[i] = (out, exit_status(process.returncode))

    threads = [threading.Thread(target=one, args=(i,)) for i in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(70)
    t.equal("two execs at once", results, {1: ("1\n", 1), 2: ("2\n", 2)})


def copy_checks(t, name):
    probe = "/e2e-copy-probe"
    try:
        with open(probe, "w") as file:
            file.write("the host's own\n")
        source = t.file("source", "from the host\n", 0o640)
        result = t.podman("cp", source, f"{name}:{probe}")
        t.equal("cp into the running container succeeds", result.status, 0, result)
        t.equal("the host's own file of that name is untouched", open(probe).read(), "the host's own\n")
        result = t.podman("exec", name, "cat", probe)
        t.equal("the file is inside", result.out, "from the host\n", result)
        target = os.path.join(t.directory, "target")
        result = t.podman("exec", name, "sh", "-c", f"echo from inside >{probe}")
        result = t.podman("cp", f"{name}:{probe}", target)
        t.equal("cp out of the running container gives its file", open(target).read() if os.path.exists(target) else None,
                "from inside\n", result)
        t.equal("and the host's own is still untouched", open(probe).read(), "the host's own\n")
    finally:
        os.unlink(probe)


@test(5, limit=90)
def runtime_kill(t):
    """kill with names and numbers, --all, what is not there"""
    container = t.start(["sh", "-c", "trap 'echo TERM >>/tmp/got' TERM; trap 'echo HUP >>/tmp/got' HUP; : >/tmp/got;"
                                     "while :; do sleep 0.1; done"])
    t.ok("its handlers are set", wait_until(lambda: container.sh("cat /tmp/got").status == 0, 10))
    # one at a time: two of a kind that wait to be delivered are one
    for i, signal in enumerate(("TERM", "SIGHUP", "15", "1")):
        result = t.rt("kill", container.id, signal)
        t.equal(f"kill {signal} succeeds", result.status, 0, result)
        wait_until(lambda: len(container.sh("cat /tmp/got").out.split()) > i, 3)
    got = wait_until(lambda: (lambda r: r if len(r.out.split()) >= 4 else None)(container.sh("cat /tmp/got")), 5)
    t.equal("signals by name and number arrive in the handlers", sorted(got.out.split()) if got else
            container.sh("cat /tmp/got").out, ["HUP", "HUP", "TERM", "TERM"])
    result = t.rt("kill", container.id, "NOSUCH")
    t.ok("an unknown signal is an error that names it", result.status == 1 and "NOSUCH" in result.err or not t.is_vxn, result)
    os.kill(container.pid, 1)
    got = wait_until(lambda: (lambda r: r if r.out.count("HUP") >= 3 else None)(container.sh("cat /tmp/got")), 5)
    t.ok("a signal to the pid of the pid file arrives", got)
    result = t.rt("delete", container.id)
    t.ok("delete of a running one without --force fails", result.status == 1 and container.id in result.err
         or "running" in result.err, result)
    process = t.spawn(container.exec_argv("sleep", "1000"), stdin=subprocess.DEVNULL)
    wait_until(lambda: "sleep 1000" in container.exec("ps").out, 10)
    result = t.rt("kill", container.id, "KILL")
    t.equal("kill KILL succeeds", result.status, 0, result)
    t.equal("the exec ends with 137 when its container ends", exit_status(process.wait(15)), 137)
    t.ok("state says stopped", container.wait_stopped())
    t.equal("delete without --force succeeds", t.rt("delete", container.id).status, 0)
