"""8: what goes wrong, and what is said and left behind then."""
import json
import os
import re
import signal
import stat
import subprocess
import time

from harness import SETTINGS, Failed, default_config, exit_status, pid_alive, state_root, test, wait_until
from hypervisor import CURRENT
from inventory import Inventory, left_since
from test_leaks import monitor_of

HERE = os.path.dirname(os.path.abspath(__file__))


def refused(t, name, result, *words, status=1):
    """The runtime's own failure: its status, one line that has these words, nothing on stdout."""
    t.ok(name, result.status == status and all(word in result.err for word in words) and not result.out and
         len(result.err.strip().split("\n")) == 1, f"wanted status {status} and the words {words}\n{result}")


def gone(t, name, id, before):
    """delete --force succeeds, and nothing is left."""
    result = t.rt("delete", "--force", id)
    t.equal(f"{name}: delete --force succeeds", (result.status, result.err), (0, ""), result)
    t.equal(f"{name}: nothing is left", left_since(before), [])


def create(t, bundle, id, *options, **rest):
    return t.create(bundle, t.claim(id), *options, **rest)


def cpio(members):
    """An initramfs (newc) of regular files: {name: (mode, bytes)}."""
    parts = []
    for number, (name, (mode, data)) in enumerate(list(members.items()) + [("TRAILER!!!", (0, b""))]):
        fields = (number + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        entry = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        parts.append(entry + b"\0" * (-len(entry) % 4) + data + b"\0" * (-len(data) % 4))
    return b"".join(parts)


def hostile_initramfs(t, behaviour):
    with open(os.path.join(HERE, "init_hostile"), "rb") as file:
        program = file.read()
    return t.file(f"initramfs-{behaviour}", cpio({"init": (stat.S_IFREG | 0o755, program),
                                                 "behaviour": (stat.S_IFREG | 0o644, behaviour.encode())}))


# --- before there is a VM


@test(8, vxn=True)
def no_hypervisor(t):
    """a host that has not got it"""
    before = Inventory()
    id = t.claim()
    bundle = t.bundle(["true"])
    argv = t.runtime_argv("run", "--bundle", bundle, id)
    result = t.command(CURRENT.without(argv))
    refused(t, "run says that there is none", result, *CURRENT.absent_words)
    with t.settings(hypervisor=CURRENT.name):
        result = t.command(CURRENT.without(argv))
    refused(t, "so it does when the settings ask for it", result, *CURRENT.absent_words)
    t.ok("... and speaks of no other", "no hypervisor" not in result.err, result)
    gone(t, "no hypervisor", id, before)


@test(8, vxn=True)
def files_of_the_guest(t):
    """no kernel, no initramfs, a kernel that is none, settings that are wrong"""
    before = Inventory()
    garbage = t.file("garbage", os.urandom(65536))
    bundle = t.bundle(["true"])
    for title, members, words in (
            ("no kernel file", {"kernel": "/nonexistent/vmlinux"}, ("/nonexistent/vmlinux",)),
            ("no initramfs file", {"initramfs": "/nonexistent/initramfs"}, ("/nonexistent/initramfs",)),
            ("a kernel that is no ELF", {"kernel": garbage}, CURRENT.no_kernel_words),
            ("an unknown setting", {"colour": "red"}, (SETTINGS, "colour")),
            ("a setting out of range", {"memory": -5}, (SETTINGS, "memory")),
            ("a setting of the wrong type", {"vcpus": "many"}, (SETTINGS, "vcpus"))):
        id = t.new_id()
        with t.settings(**members):
            result = create(t, bundle, id)
        refused(t, title, result, *words)
        gone(t, title, id, before)


@test(8)
def bundles(t):
    """no config.json, no args, no rootfs, JSON broken at a byte"""
    before = Inventory()
    empty = t.folder("empty")
    id = t.new_id()
    result = create(t, empty, id)
    t.ok("a bundle without config.json", result.status == 1 and "config.json" in result.err, result)
    missing = os.path.join(t.directory, "missing")
    result = t.rt("create", "--bundle", missing, t.claim())
    t.ok("a bundle that is not there", result.status == 1 and ("missing" in result.err or not t.is_vxn), result)

    def without_args(config):
        del config["process"]["args"]

    def empty_args(config):
        config["process"]["args"] = []

    def without_process(config):
        del config["process"]

    def without_root(config):
        del config["root"]

    def without_rootfs(config):
        config["root"]["path"] = "/nonexistent/rootfs"

    def relative_cwd(config):
        config["process"]["cwd"] = "relative"

    def wrong_type(config):
        config["process"]["args"] = "echo"

    for title, edit, words in (
            ("no process.args", without_args, ("args",)),
            ("empty process.args", empty_args, ("args",)),
            ("no process", without_process, ("process",)),
            ("no root", without_root, ("root",)),
            ("a rootfs that is not there", without_rootfs, ("/nonexistent/rootfs",)),
            ("a working directory that is relative", relative_cwd, ("cwd",)),
            ("args of a wrong type", wrong_type, ("args",))):
        if not t.is_vxn and edit not in (without_args, without_rootfs):
            continue
        result = create(t, t.bundle(["true"], edit), t.new_id())
        t.ok(title, result.status == 1 and (all(word in result.err for word in words) or not t.is_vxn), result)
    t.equal("nothing is left of all these", left_since(before), [])
    t.equal("no state directory is left", [id for id in t.containers if os.path.exists(f"{state_root(t.runtime)}/{id}")], [])


@test(8, vxn=True)
def broken_json(t):
    """config.json cut or changed at a byte"""
    before = Inventory()
    text = json.dumps(default_config(["true"], "/srv/busybox/rootfs", True, False), indent=1).encode()
    bundle = t.folder("broken")
    path = os.path.join(bundle, "config.json")
    structural = [i for i, byte in enumerate(text) if byte in b"{}[],:"]
    failed = []
    cuts = [0, 1, len(text) - 1] + t.some(range(2, len(text) - 1), 12 if not t.full else len(text))
    if t.full:
        cuts = cuts[::10]
    cases = [(f"cut at byte {at}", text[:at]) for at in cuts]
    cases += [(f"byte {at} replaced", text[:at] + b"\x01" + text[at + 1:]) for at in t.some(structural, 12)]
    cases += [("a byte order mark", b"\xef\xbb\xbf{"), ("deep", b"[" * 100000), ("not UTF-8", text.replace(b"HOME", b"HO\xffE"))]
    for title, data in cases:
        with open(path, "wb") as file:
            file.write(data)
        id = t.claim()
        result = t.rt("create", "--bundle", bundle, id, timeout=20)
        if result.status != 1 or "config.json" not in result.err or os.path.exists(f"{state_root(t.runtime)}/{id}"):
            failed.append(f"{title}: {result}")
    t.equal(f"config.json broken in {len(cases)} ways: status 1, a word on it, nothing left", failed, [])
    t.equal("nothing is left of all these", left_since(before), [])


@test(8)
def ids(t):
    """malformed ids, an id in use"""
    root = state_root(t.runtime)
    container = t.start()
    bundle = t.bundle(["true"])
    before, entries = Inventory(), sorted(os.listdir(root))
    for id in ("../x", "", ".", "..", "a/b", "/tmp/x", "a b", "ü", "x" * 1025, "a\nb"):
        title = repr(id) if len(id) < 20 else f"{len(id)} letters"
        result = t.rt("create", "--bundle", bundle, id)
        t.ok(f"create of {title} is refused", result.status == 1 and result.err.strip() and
             ("id" in result.err or not t.is_vxn), result)
    if t.is_vxn:
        for verb in ("start", "state", "kill", "delete"):
            result = t.rt(verb, "../" + os.path.basename(root) + "/" + container.id)
            t.ok(f"{verb} of a path is refused", result.status == 1 and result.err.strip(), result)
        result = t.rt("delete", "--force", "../../tmp")
        t.ok("delete --force of a path removes nothing", os.path.isdir("/tmp"), result)
    t.equal("nothing was made", sorted(os.listdir(root)), entries)
    result = t.create(bundle, container.id)
    t.ok("create of an id in use is refused", result.status == 1 and "exist" in result.err, result)
    t.equal("the one that has it goes on", (container.status(), container.exec("echo", "fine").out), ("running", "fine\n"))
    t.equal("nothing is left of all these", left_since(before), [])


@test(8)
def unknown_container(t):
    """each verb with a container that is not there"""
    for verb, *words in (("start",), ("state",), ("kill", "KILL"), ("delete",), ("exec", "true")):
        result = t.rt(verb, "no-such-container", *words)
        t.ok(f"{verb} of an unknown container", result.status != 0 and ("does not exist" in result.err or not t.is_vxn) and
             not result.out, result)
        if t.is_vxn:
            t.equal(f"{verb}: runc's status", result.status, 255 if verb == "exec" else 1)
    if t.is_vxn:
        result = t.rt("delete", "--force", "no-such-container")
        t.equal("delete --force of an unknown container is no error", (result.status, result.err), (0, ""), result)
    for argv in ([], ["nosuchverb"], ["create"], ["state"], ["--nosuchflag"]):
        result = t.rt(*argv)
        t.ok(f"command line {argv} is an error", result.status != 0 or not argv, result)


@test(8, vxn=True)
def too_much_memory(t):
    """more memory than there is, for a VM to begin with"""
    before = Inventory()
    id = t.new_id()
    with t.settings(memory=1 << 20):
        result = create(t, t.bundle(["true"]), id)
    refused(t, "create says how much is needed and how much is free", result, "memory", "MiB", "free")
    t.ok("... in numbers", len(re.findall(r"\d+ MiB", result.err)) == 2 and "1048" in result.err, result)
    gone(t, "too much memory", id, before)


# --- at boot


@test(8, limit=180, vxn=True)
def dies_at_boot(t):
    """a VM that dies at boot, and one that never answers"""
    before = Inventory()
    bundle = t.bundle(["true"])
    cases = [("an initramfs of garbage", t.file("garbage", os.urandom(65536)), {}, ("panic",)),
             ("an init that ends", hostile_initramfs(t, "panic"), {}, ("panic",)),
             ("an init that powers off", hostile_initramfs(t, "power-off"), {}, ("powered",)),
             ("an init that does nothing", hostile_initramfs(t, "silent"), {"boot_timeout": 5}, ("time",)),
             ("an init that opens the channel and does nothing", hostile_initramfs(t, "silent-channel"),
              {"boot_timeout": 5}, ("time",)),
             ("a guest that never prepares the container", hostile_initramfs(t, "silent-create"),
              {"boot_timeout": 5}, ("time",))]
    for title, initramfs, members, words in [cases[0]] + t.some(cases[1:], 3):
        id = t.new_id()
        with t.settings(initramfs=initramfs, **members):
            result = create(t, bundle, id)
        refused(t, title, result, *words)
        gone(t, title, id, before)


# --- while it runs


class Running:
    """`run` in the foreground, and who belongs to it."""

    def __init__(self, t, args=("sleep", "1000"), edit=None):
        self.t = t
        self.id = t.claim()
        bundle = t.bundle(list(args), edit)
        self.process = t.spawn(t.runtime_argv("run", "--bundle", bundle, "--pid-file", bundle + "/pid", "--keep", self.id),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if not wait_until(lambda: self.state().get("status") == "running" or self.process.poll() is not None, 60):
            raise Failed("it does not run")
        if self.process.poll() is not None:
            raise Failed(f"it ended: {self.process.communicate()}")
        self.pid = int(open(bundle + "/pid").read())
        self.pids = dict(monitor_of(self.id))

    def state(self):
        result = self.t.rt("state", self.id)
        return json.loads(result.out) if result.status == 0 else {}

    def vms(self):
        return CURRENT.vms(self.id)


@test(8, limit=180, vxn=True)
def killed_helpers(t):
    """monitor, io process and stand-in killed with -9"""
    before = Inventory()
    for victim in ("vxn-monitor", "vxn-io", "stand-in"):
        running = Running(t)
        pid = running.pid if victim == "stand-in" else running.pids.get(victim)
        if not t.ok(f"{victim} is there", pid, running.pids):
            continue
        execing = t.spawn(t.runtime_argv("exec", running.id, "sleep", "1000"), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: "sleep" in t.rt("exec", running.id, "ps").out.replace("1 root      0:00 sleep", ""), 10)
        started = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        ended = wait_until(lambda: not pid_alive(running.pid), 10, 0.01)
        seconds = time.monotonic() - started
        t.ok(f"{victim} killed: the stand-in ends within 2 s", ended and seconds < 2, f"{seconds:.1f} s")
        try:
            status = exit_status(running.process.wait(20))
        except subprocess.TimeoutExpired:
            status = None
        t.equal(f"{victim} killed: run ends with 137", status, 137)
        try:
            status = exit_status(execing.wait(20))
        except subprocess.TimeoutExpired:
            status = None
        t.equal(f"{victim} killed: the exec ends with 137", status, 137)
        t.ok(f"{victim} killed: state says stopped", wait_until(lambda: running.state().get("status") == "stopped", 10),
             running.state())
        if victim != "vxn-monitor":
            t.ok(f"{victim} killed: the VM is gone", wait_until(lambda: not running.vms(), 10), running.vms())
        result = t.rt("kill", running.id, "KILL")
        t.ok(f"{victim} killed: kill says that it does not run", result.status == 1 and "not running" in result.err, result)
        result = t.rt("delete", running.id)
        t.equal(f"{victim} killed: delete works without --force", (result.status, result.err), (0, ""), result)
        t.equal(f"{victim} killed: nothing is left", left_since(before), [])
        running.process.stdout.close()
        running.process.stderr.close()


@test(8, limit=120, vxn=True)
def kernel_panic(t):
    """the guest's kernel panics, the VM is destroyed by somebody else"""
    before = Inventory()

    def all_capabilities(config):
        names = config["process"]["capabilities"]
        for which in names:
            names[which] = names[which] + ["CAP_SYS_ADMIN"]
        config["linux"]["maskedPaths"] = []
        config["linux"]["readonlyPaths"] = []

    running = Running(t, edit=all_capabilities)
    t.rt("exec", "--cap", "CAP_SYS_ADMIN", "--detach", running.id, "sh", "-c", "echo c >/proc/sysrq-trigger",
         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after_death(t, running, "kernel panic", before, ("crash", "panic"))
    running = Running(t)
    vms = running.vms()
    t.need("its VM is listed", len(vms) == 1, vms)
    CURRENT.destroy(vms[0])
    after_death(t, running, "VM destroyed", before, ("destroyed",))


def after_death(t, running, title, before, words):
    try:
        status = exit_status(running.process.wait(20))
    except subprocess.TimeoutExpired:
        status = None
    t.equal(f"{title}: run ends with 137", status, 137)
    t.ok(f"{title}: state says stopped", wait_until(lambda: running.state().get("status") == "stopped", 5), running.state())
    with open(t.log, errors="replace") as file:
        log = file.read()
    t.ok(f"{title}: the log says what happened", all(word in log for word in words), log)
    gone(t, title, running.id, before)
    running.process.stdout.close()
    running.process.stderr.close()


@test(8, limit=120)
def out_of_memory(t):
    """a process that takes more memory than there is, is killed; the VM is not"""

    def edit(config):
        config["linux"]["resources"] = {"memory": {"limit": 64 << 20}}

    result = t.run(["tail", "/dev/zero"], edit=edit)
    t.equal("the container's process out of memory: status 137", result.status, 137, result)
    if t.is_vxn:
        container = t.start(edit=edit)
        result = container.exec("tail", "/dev/zero")
        t.equal("an exec out of memory: status 137", result.status, 137, result)
        t.equal("the container goes on", container.exec("echo", "fine").out, "fine\n")


# --- create, killed


TRACED = ("mkdir", "mkdirat", "openat", "write", "rename", "renameat", "renameat2", "clone", "clone3", "vfork", "fork",
          "socketpair", "sendmsg", "recvmsg", "connect", "bind", "mount", "umount2", "unshare", "setns", "execve",
          "ioctl", "mmap", "poll", "pivot_root", "open_tree", "move_mount", "fchmod", "unlink", "close")


def strace(t, bundle, id, follow, options=()):
    """create under strace; its result and, per process, how often it made which call."""
    trace = os.path.join(t.directory, "strace")
    argv = ["strace", "-qq", *(["-f"] if follow else []), "-o", trace, "-e", "trace=" + ",".join(TRACED), *options,
            *t.runtime_argv("create", "--bundle", bundle, id)]
    with open(os.devnull, "r+b") as null:
        process = t.spawn(argv, stdin=null, stdout=null, stderr=null)
        # With -f strace stays as long as the monitor does.
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
            if follow and t.rt("state", id).out.find('"created"') >= 0:
                break
        if process.poll() is None and not follow:
            raise Failed("create under strace does not end")
    counts = {}
    with open(trace, errors="replace") as file:
        for line in file:
            found = re.match(r"(?:(\d+)\s+)?(\w+)\(", line)
            if found:
                key = (found.group(1) or "", found.group(2))
                counts[key] = counts.get(key, 0) + 1
    return process, counts


@test(8, limit=240, vxn=True)
def create_killed(t):
    """create killed with -9 at a system call"""
    bundle = t.bundle(["sleep", "1000"])
    before = Inventory()
    id = t.claim()
    process, counts = strace(t, bundle, id, False)
    t.equal("create under strace succeeds", process.wait(10), 0)
    t.rt("delete", "--force", id)
    points = [(call, n) for (_, call), count in sorted(counts.items()) for n in range(1, count + 1)]
    chosen = t.some(points, 5)
    if t.full:
        chosen = t.random.sample(points, min(40, len(points)))
    t.note(f"{len(points)} points, killed at {chosen}")
    for call, n in chosen:
        id = t.claim()
        process, _ = strace(t, bundle, id, False, ["-e", f"inject={call}:signal=KILL:when={n}"])
        title = f"create killed at {call} number {n}"
        t.ok(f"{title}: it was", process.wait(10) != 0, process.returncode)
        gone(t, title, id, before)


@test(8, limit=300, vxn=True)
def create_killed_with_helpers(t):
    """create, its launcher, its monitor and its io process killed at a system call"""
    bundle = t.bundle(["sleep", "1000"])
    before = Inventory()
    calls = ["openat", "write", "sendmsg", "ioctl", "mount", "socketpair", "mmap", "execve", "poll", "close"]
    chosen = [(call, t.random.randrange(1, 60 if call in ("openat", "mmap", "ioctl", "close") else 6))
              for call in (calls * 3 if t.full else t.random.sample(calls, 3))]
    for call, n in chosen:
        id = t.claim()
        # Each process is killed at its own n-th call.
        process, _ = strace(t, bundle, id, True, ["-e", f"inject={call}:signal=KILL:when={n}"])
        title = f"all killed at {call} number {n}"
        gone(t, title, id, before)
        t.ok(f"{title}: no process of it goes on", wait_until(lambda: process.poll() is not None, 10))


@test(8, limit=120, vxn=True)
def delete_killed(t):
    """delete --force killed half-way, then again; two at once"""
    before = Inventory()
    container = t.start()
    for call in t.some(["sendmsg", "connect", "unlink", "openat", "recvmsg", "poll"], 2):
        t.command(["strace", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when=1", "-e", "trace=" + call,
                   *t.runtime_argv("delete", "--force", container.id)])
    gone(t, "delete killed", container.id, before)
    container = t.start()
    both = [t.spawn(t.runtime_argv("delete", "--force", container.id), stdin=subprocess.DEVNULL) for _ in range(2)]
    t.equal("two deletes at once succeed", [process.wait(20) for process in both], [0, 0])
    t.equal("and nothing is left", left_since(before), [])


# --- a guest that is an enemy


# behaviour: what the error has to name
VIOLATIONS = {
    "random": ("guest", "frame"),
    "version": ("version 99", "1"),
    "short-hello": ("HELLO",),
    "data-first": ("HELLO",),
    "second-hello": ("HELLO",),
    "oversized": ("DATA", "2147483647"),
    "reserved": ("reserved",),
    "empty-data": ("DATA", "0 bytes"),
    "unknown-stream": ("unknown stream 4242",),
    "json-garbage": ("control message",),
    "json-deep": ("control message",),
    "json-long": ("control message",),
    "json-type": ("control message",),
    "host-request": ("control message",),
    "unasked-reply": ("not made",),
    "unasked-exit": ("exit of a process that does not run",),
    "stdin-data": ("stream",),
    "wrong-port": ("stream 150994945",),
    "hello-elsewhere": ("the guest sent",),
    "credit": ("credit",),
    "beyond-credit": ("credit",),
    "fuse-length": ("FUSE",),
    "fuse-short": ("FUSE",),
    "fuse-first": ("FUSE",),
    "fuse-name": ("FUSE",),
    "fuse-path": ("FUSE",),
    "fuse-huge": ("guest",),
    "share-credit": ("more credit on a share",),
    # Where a guest shares no memory (Xen), all are refused as offers.
    "memory-unaligned": ("the guest offered memory",),
    "memory-beyond": ("the guest offered memory",),
    "memory-wrapping": ("the guest offered memory",),
    "memory-twice": ("the guest",),
    "memory-first": ("before HELLO",),
    "ring-too-much": ("the guest", "rings"),
    "ring-back": ("the guest", "rings"),
    "ring-consumed": ("the guest", "rings"),
    "ring-no-frame": ("the guest",),
    "pages-without-rings": ("named memory", "offered none"),
    "pages-beyond": ("the guest", "memory"),
    "pages-too-many": ("the guest", "memory"),
    # On Xen it is the offer of memory that is refused.
    "pages-lookup": ("LOOKUP",) if CURRENT.name == "qemu" else ("the guest",),
}
WHILE_RUNNING = {
    "running-power-off": ("powered",),
    "running-panic": ("crash",),
    "running-random": ("guest",),
    "running-after-end": ("END",),
    "running-exit": ("exit",),
}


@test(8, limit=600, vxn=True)
def hostile_guest(t):
    """garbage on the channel ends the VM with a clear error, and nothing else"""
    neighbour = t.start()
    before = Inventory()
    bundle = t.bundle(["sleep", "1000"])
    names = list(VIOLATIONS)
    for behaviour in t.some(names, 6):
        id = t.new_id()
        # A reader that takes nothing: credit that is used up stays so.
        reader, writer = os.pipe()
        with t.settings(initramfs=hostile_initramfs(t, behaviour), boot_timeout=20):
            result = create(t, bundle, id, stdout=writer)
        os.close(reader)
        os.close(writer)
        refused(t, f"{behaviour}: status 1, and the error names it", result, *VIOLATIONS[behaviour])
        gone(t, behaviour, id, before)
    for behaviour in t.some(WHILE_RUNNING, 2):
        with t.settings(initramfs=hostile_initramfs(t, behaviour), boot_timeout=20):
            id = t.claim()
            process = t.spawn(t.runtime_argv("run", "--keep", "--bundle", bundle, id), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                status = exit_status(process.wait(40))
            except subprocess.TimeoutExpired:
                status = None
        t.equal(f"{behaviour}: run ends with 137", status, 137)
        with open(t.log, errors="replace") as file:
            log = [line for line in file.read().split("\n") if id in line]
        t.ok(f"{behaviour}: the log names it", any(all(word in line for word in WHILE_RUNNING[behaviour]) for line in log), log)
        gone(t, behaviour, id, before)
    t.equal("the neighbour does not notice", (neighbour.status(), neighbour.exec("echo", "fine").out), ("running", "fine\n"))


@test(8, limit=120, vxn=True)
def deaf_guest(t):
    """a guest that answers nothing, or floods, still is killed and deleted"""
    before = Inventory()
    bundle = t.bundle(["sleep", "1000"])
    for behaviour in t.some(["running-silent", "running-flood"], 1):
        id = t.claim()
        with t.settings(initramfs=hostile_initramfs(t, behaviour)):
            result = t.create(bundle, id)
            t.equal(f"{behaviour}: create succeeds", result.status, 0, result)
            t.rt("start", id)
            time.sleep(2)
        t.rt("kill", id, "KILL", timeout=20)
        t.ok(f"{behaviour}: killed, it stops", wait_until(lambda: '"stopped"' in t.rt("state", id).out, 12))
        gone(t, behaviour, id, before)
    id = t.claim()
    with t.settings(initramfs=hostile_initramfs(t, "running-silent")):
        t.create(bundle, id)
        t.rt("start", id)
    gone(t, "deaf and running", id, before)
