"""1: what a container prints, how it ends, and that it runs in a VM of its own."""
import json
import os
import signal
import subprocess

from hypervisor import CURRENT
from harness import IMAGE, ROOTFS, test, wait_until


@test(1)
def hello(t):
    """podman run prints hello once and nothing else"""
    result = t.podman_run("--rm", IMAGE, "echo", "hello")
    t.equal("podman run prints hello, once, and nothing else", (result.out, result.err), ("hello\n", ""), result)
    t.equal("its status is 0", result.status, 0, result)


@test(1, limit=180)
def podman_codes(t):
    """exit codes through podman and conmon"""
    result = t.podman_run("--rm", IMAGE, "sh", "-c", "exit 7")
    t.equal("podman run: exit code 7", result.status, 7, result)
    result = t.podman_run("--rm", IMAGE, "/etc/passwd")
    t.equal("podman run: 126 when the program is not executable", result.status, 126, result)
    t.ok("... and a word on why", "denied" in result.err.lower() and ("passwd" in result.err or not t.is_vxn), result)
    result = t.podman_run("--rm", IMAGE, "no-such-program")
    t.equal("podman run: 127 when there is no such program", result.status, 127, result)
    t.ok("... and a word on which", "no-such-program" in result.err, result)


@test(1)
def run_codes(t):
    """exit codes of `run`, output, nothing else"""
    result = t.run(["sh", "-c", "echo one; echo two >&2; exit 1"])
    t.equal("run: exit code 1", result.status, 1, result)
    t.equal("run: output and nothing else", (result.out, result.err), ("one\n", "two\n"), result)
    result = t.run(["true"])
    t.equal("run: exit code 0, silent", (result.status, result.out, result.err), (0, "", ""), result)
    result = t.run(["no-such-program"])
    t.equal("run: status 1 when there is no such program", result.status, 1, result)
    t.ok("... with runc's words", 'exec: "no-such-program": executable file not found in $PATH' in result.err
         or not t.is_vxn and "no-such-program" in result.err, result)
    t.equal("... and nothing printed inside", result.out, "", result)
    result = t.run(["/etc/passwd"])
    t.equal("run: status 1 when the program is not executable", result.status, 1, result)
    t.ok("... with runc's words", "permission denied" in result.err.lower(), result)


@test(1, limit=90)
def exec_codes(t):
    """every exit code, each as an exec in one running container"""
    container = t.start()
    for code in (0, 1, 7, 126, 127, 137, 143, 255):
        result = container.sh(f"exit {code}")
        t.equal(f"exec: exit code {code}", result.status, code, result)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        result = container.sh(f"kill -{int(number)} $$")
        t.equal(f"exec: killed by {number.name} is {128 + number}", result.status, 128 + number, result)
    result = container.exec("no-such-program")
    t.ok("exec: a program that is not there is the runtime's own failure, with a word on it",
         result.status != 0 and "no-such-program" in result.err, result)


@test(1, limit=90)
def killed(t):
    """137 and 143 of the container's own process, by signals from the host"""
    for number, script, wanted in (("KILL", "sleep 1000", 137),
                                   ("TERM", "trap 'exit 143' TERM; echo ready; while :; do sleep 0.1; done", 143)):
        id = t.claim()
        bundle = t.bundle(["sh", "-c", script])
        process = t.spawn(t.runtime_argv("run", "--bundle", bundle, id), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if number == "TERM":
            t.equal("its handler is set", process.stdout.readline(), b"ready\n")
        else:
            t.ok("it runs", wait_until(lambda: json_status(t, id) == "running", 30))
        result = t.rt("kill", id, number)
        t.equal(f"kill {number} succeeds", result.status, 0, result)
        out, err = process.communicate(timeout=20)
        status = process.returncode if process.returncode >= 0 else 128 - process.returncode
        t.equal(f"killed by {number}: run ends with {wanted}", status, wanted, (out, err))


def json_status(t, id):
    result = t.rt("state", id)
    return json.loads(result.out)["status"] if result.status == 0 else None


@test(1, vxn=True)
def vm(t):
    """another kernel inside, and a VM that the hypervisor lists"""
    container = t.start()
    result = container.exec("uname", "-r")
    t.ok("uname -r inside is the guest's own kernel",
         result.status == 0 and result.out.strip().endswith("-vxn") and result.out.strip() != os.uname().release, result)
    t.equal("the hypervisor lists one VM by the container's id", len(CURRENT.vms(container.id)), 1)
    t.equal("boot id inside is another than the host's",
            container.exec("cat", "/proc/sys/kernel/random/boot_id").out !=
            open("/proc/sys/kernel/random/boot_id").read(), True)
    t.equal("one state, running", container.status(), "running")
    result = t.rt("delete", "--force", container.id)
    t.equal("delete --force succeeds", result.status, 0, result)
    t.equal("the VM is gone when delete returns", CURRENT.vms(container.id), [])
    t.equal("state of the deleted one fails", t.rt("state", container.id).status, 1)


@test(1, limit=240, vxn=True, only="xen")
def pvh(t):
    """the same as PVH: boots slowly here, and the emulator's triple fault may be tried again once"""
    with t.settings(xen_type="pvh", boot_timeout=120):
        for attempt in (1, 2):
            result = t.run(["sh", "-c", "cat /sys/hypervisor/guest_type; exit 7"], timeout=110)
            if result.status == 7 or "crashed" not in result.err:
                break
            t.note(f"PVH attempt {attempt}: {result.err.strip()}")
        t.note(f"PVH: {attempt} attempt(s), {result.seconds:.1f} s")
    t.equal("PVH: that is what it is inside, and exit code 7", (result.out, result.err, result.status), ("PVH\n", "", 7), result)


@test(1, vxn=True)
def verbs(t):
    """--version, --help, state between the verbs"""
    result = t.command(["vxn-runc", "--version"])
    t.ok("--version names itself and the specification",
         result.status == 0 and result.out.startswith("vxn-runc version ") and "\nspec: 1." in result.out, result)
    bundle = t.bundle(["sh", "-c", "echo hello"])
    id = t.claim()
    out = t.file("out")
    with open(out, "wb") as file:
        result = t.rt("create", "--bundle", bundle, "--pid-file", bundle + "/pid", id, stdout=file, stderr=file)
    t.equal("create succeeds", result.status, 0, open(out).read())
    state = json.loads(t.rt("state", id).out)
    t.equal("state after create: status, id, bundle, pid", [state.get(key) for key in ("status", "id", "bundle", "pid")],
            ["created", id, bundle, int(open(bundle + "/pid").read())], state)
    t.ok("state after create: ociVersion", state.get("ociVersion", "").startswith("1."), state)
    t.equal("nothing is printed before start", os.path.getsize(out), 0)
    result = t.rt("start", id)
    t.equal("start succeeds", (result.status, result.out, result.err), (0, "", ""), result)
    t.equal("state becomes stopped", wait_until(lambda: json_status(t, id) == "stopped"), True)
    t.equal("the output is there", open(out).read(), "hello\n")
    result = t.rt("start", id)
    t.ok("start again fails", result.status == 1 and result.err.strip(), result)
    result = t.rt("kill", id, "TERM")
    t.ok("kill of a stopped one fails: container not running", result.status == 1 and "not running" in result.err, result)
    t.equal("delete succeeds", t.rt("delete", id).status, 0)
    t.equal("the rootfs is as it was", sorted(os.listdir(ROOTFS)),
            ["bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "var"])
