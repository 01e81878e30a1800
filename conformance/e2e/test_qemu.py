"""9: what only the QEMU back end has: the accelerator, QEMU's own faults, and how it is confined."""
import contextlib
import os
import shutil
import signal
import subprocess
import time

from harness import SETTINGS, exit_status, sha256, test, wait_until
from hypervisor import CURRENT, read
from inventory import Inventory, left_since
from test_faults import Running, after_death, create, gone, refused
from test_leaks import monitor_of

QEMU = "/usr/bin/qemu-system-x86_64"
FACTS = "/run/vxn/qemu"
TEMPLATES = FACTS + "/templates"
# A /dev of its own for "$@", with /dev/kvm as the first word says: absent, or a device that is none.
OTHER_KVM = """
kvm=$1; shift
mount -t tmpfs -o mode=755 none /mnt && cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/ptmx \\
    /dev/fuse /mnt && mkdir /mnt/pts /mnt/shm && mount --bind /dev/pts /mnt/pts && mount --move /mnt /dev || exit 99
[ $kvm = absent ] || mknod /dev/kvm c 1 3 || exit 99
exec "$@"
"""


def forget():
    for name in ("kvm", "tsc_khz"):
        if os.path.exists(f"{FACTS}/{name}"):
            os.unlink(f"{FACTS}/{name}")


def log_of(t, since=0):
    return read(t.log)[since:]


@test(9, vxn=True, only="qemu")
def accelerator(t):
    """KVM where it runs a guest, else emulation, which is said and remembered"""
    before = Inventory()
    bundle = t.bundle(["echo", "hello"])

    def run_with(kvm):
        mark = len(log_of(t))
        result = t.command(["unshare", "-m", "sh", "-c", OTHER_KVM, "sh", kvm,
                            *t.runtime_argv("run", "--bundle", bundle, t.claim())])
        return result, log_of(t, mark)

    forget()
    try:
        for kvm, words in (("absent", ("open /dev/kvm",)), ("broken", ("/dev/kvm does not run a guest", "kvm"))):
            result, log = run_with(kvm)
            t.equal(f"/dev/kvm {kvm}: it runs all the same", (result.status, result.out, result.err), (0, "hello\n", ""), result)
            t.equal(f"/dev/kvm {kvm}: the log says once that it is emulated and slow", log.count("emulates the processor"), 1, log)
            t.ok(f"/dev/kvm {kvm}: and why", all(word in log for word in words), log)
            t.ok(f"/dev/kvm {kvm}: and which hypervisor", "hypervisor: qemu" in log, log)
        t.ok("what is broken is remembered", "does not run a guest" in read(f"{FACTS}/kvm"), os.listdir(FACTS))
        stamp = os.stat(f"{FACTS}/kvm").st_mtime_ns
        started = time.monotonic()
        result, log = run_with("broken")
        t.ok("and not tried again", os.stat(f"{FACTS}/kvm").st_mtime_ns == stamp and "does not run a guest" in log,
             (time.monotonic() - started, log))
        with t.settings(accelerator="kvm"):
            result = create(t, bundle, t.new_id())
        refused(t, "accelerator kvm is refused where there is none that works", result, 'accelerator "kvm"', "/dev/kvm")
        with t.settings(accelerator="tcg"):
            mark = len(log_of(t))
            result = t.run(["true"])
            t.ok("accelerator tcg does not ask", result.status == 0 and "the settings ask for it" in log_of(t, mark), log_of(t, mark))
    finally:
        forget()
    t.equal("nothing is left", left_since(before), [])


def wrapper(t, name, script):
    os.chmod(t.directory, 0o755)  # QEMU's user has to reach it
    return t.file(name, f"#!/bin/sh\n{script}", 0o755)


@test(9, vxn=True, only="qemu")
def other_qemu(t):
    """a QEMU that lacks an option, or the machine; a user that is not there"""
    before = Inventory()
    bundle = t.bundle(["true"])
    version = t.command([QEMU, "--version"]).out.split("version ")[1].split()[0]
    old = wrapper(t, "old", f'[ "$1" = --version ] && exec {QEMU} --version\nexec {QEMU} -no-such-option "$@"\n')
    id = t.new_id()
    with t.settings(qemu=old):
        result = create(t, bundle, id)
    refused(t, "an option that it does not know is named, and its version", result, "-no-such-option", version, old)
    gone(t, "unknown option", id, before)
    q35 = wrapper(t, "q35", f'case "$*" in *"-M microvm"*) exec {QEMU} -M no-such-machine;; esac\nexec {QEMU} "$@"\n')
    with t.settings(qemu=q35):
        result = t.run(["sh", "-c", "echo hello; exit 7"])
    t.equal("without microvm it runs on q35", (result.out, result.err, result.status), ("hello\n", "", 7), result)
    for user, word in (("no-such-user", "no-such-user"), ("root", "privileged")):
        id = t.new_id()
        with t.settings(qemu_user=user):
            result = create(t, bundle, id)
        refused(t, f"qemu_user {user}", result, "qemu_user", word)
        gone(t, f"qemu_user {user}", id, before)
    with t.settings(qemu="/nonexistent/qemu"):
        result = create(t, bundle, id)
    refused(t, "no QEMU", result, "/nonexistent/qemu")
    with t.settings(hypervisor="vmware"):
        result = create(t, bundle, id)
    refused(t, "a hypervisor that there is not", result, SETTINGS, "hypervisor", "vmware")
    t.equal("nothing is left", left_since(before), [])


@test(9, limit=180, vxn=True, only="qemu")
def killed_at_boot(t):
    """QEMU killed at each stage of create, of a VM that boots and of one from a template"""
    before = Inventory()
    bundle = t.bundle(["sleep", "1000"])
    with t.settings(qemu_template="off"):
        kill_at(t, bundle, before, (0, 0.02, 0.1, 0.3, 0.5))
    kill_at(t, bundle, before, (0, 0.02, 0.05, 0.1))


def kill_at(t, bundle, before, delays):
    for delay in delays:
        id = t.claim()
        with open(t.file("errors"), "w+") as errors:
            process = t.spawn(t.runtime_argv("create", "--bundle", bundle, id), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=errors)
            vms = wait_until(lambda: CURRENT.vms(id) or process.poll() is not None, 20, 0.001)
            t.need(f"killed after {delay} s: QEMU is there", isinstance(vms, list), vms)
            time.sleep(delay)
            late = process.poll() is not None
            CURRENT.destroy(vms[0])
            status = process.wait(20)
            errors.seek(0)
            words = errors.read()
        if late:
            t.note(f"create was done before {delay} s")
        else:
            t.ok(f"killed after {delay} s: create fails, and says that of QEMU or the VM",
                 status == 1 and ("QEMU" in words or "VM" in words), (status, words))
        gone(t, f"killed after {delay} s", id, before)


def templates():
    return sorted(os.listdir(TEMPLATES)) if os.path.isdir(TEMPLATES) else []


def is_restored(id):
    return "-incoming" in read(f"/proc/{CURRENT.vms(id)[0]}/cmdline").split("\0")


CHANCE = "cat /proc/sys/kernel/random/boot_id /proc/sys/kernel/random/uuid; od -An -tx1 -N16 /dev/urandom; date +%s"


@test(9, limit=180, vxn=True, only="qemu")
def template(t):
    """a VM continues from one that has booted, with chance and time of its own"""
    before = Inventory()
    shutil.rmtree(TEMPLATES, ignore_errors=True)
    first = t.start()
    t.equal("the first one boots", is_restored(first.id), False)
    kept = templates()
    t.equal("and is kept", [len(kept), [name for name in kept if name.startswith("new-")]], [1, []])
    others = [t.start() for _ in range(2)]
    t.equal("the next ones do not boot", [is_restored(other.id) for other in others], [True, True])
    lines = [one.sh(CHANCE).out.split("\n")[:4] for one in [first, *others]]
    for index, name in enumerate(("boot_id", "uuid", "urandom")):
        t.equal(f"each has its own {name}", len({line[index] for line in lines}), 3, lines)
    t.ok("each has the time", all(abs(int(line[3]) - time.time()) < 5 for line in lines), lines)
    modes = {name: oct(os.stat(os.path.join(TEMPLATES, kept[0], name)).st_mode & 0o777) for name in ("memory", "state")}
    t.equal("only root reads a template", modes, {"memory": "0o600", "state": "0o600"})
    content = sha256(open(f"{TEMPLATES}/{kept[0]}/memory", "rb").read())
    for one in [first, *others]:
        t.rt("delete", "--force", one.id)
    t.equal("and no guest has changed it", sha256(open(f"{TEMPLATES}/{kept[0]}/memory", "rb").read()), content)
    for memory in (100, 110, 120, 130):
        with t.settings(memory=memory):
            t.equal(f"with {memory} MiB it runs", t.run(["echo", "hello"]).out, "hello\n")
    now = templates()
    t.ok("at most four are kept, the ones used last", len(now) == 4 and kept[0] not in now, (kept, now))
    other = t.file("initramfs", open("/usr/lib/vxn/initramfs.cpio", "rb").read())
    with t.settings(initramfs=other, memory=130):
        t.equal("with another initramfs it runs", t.run(["echo", "hello"]).out, "hello\n")
    t.ok("from another template", set(templates()) - set(now), (now, templates()))
    with t.settings(qemu_template="off", memory=140):
        was = templates()
        one = t.start()
        t.equal("switched off, each boots, and none is kept", (is_restored(one.id), templates() == was), (False, True))
        t.rt("delete", "--force", one.id)
    t.equal("nothing is left", left_since(before), [])


@test(9, limit=240, vxn=True, only="qemu")
def template_faults(t):
    """a template that is damaged, has no room, or whose maker is killed"""
    before = Inventory()
    bundle = t.bundle(["echo", "hello"])

    def run(name):
        mark = len(log_of(t))
        result = t.rt("run", "--bundle", bundle, t.claim())
        t.equal(f"{name}: it runs", (result.status, result.out, result.err), (0, "hello\n", ""), result)
        return log_of(t, mark)

    shutil.rmtree(TEMPLATES, ignore_errors=True)
    run("none yet")
    [name] = templates()
    os.truncate(f"{TEMPLATES}/{name}/state", 5000)
    log = run("a state that is cut off")
    t.ok("the log says so", f"does not continue from template {name}" in log, log)
    t.equal("it is removed", templates(), [])
    run("made anew")
    os.unlink(f"{TEMPLATES}/{name}/memory")
    run("no memory")
    t.equal("it is another one", sorted(os.listdir(f"{TEMPLATES}/{name}")) if templates() == [name] else templates(),
            ["memory", "state"])
    shutil.rmtree(TEMPLATES)
    os.mkdir(TEMPLATES)
    t.command(["mount", "-t", "tmpfs", "-o", "size=1m", "none", TEMPLATES])
    log = run("no room")
    t.ok("no room: the log says so", "No space left" in log, log)
    t.equal("no room: nothing is there", templates(), [])
    t.command(["umount", TEMPLATES])
    for victim in ("vxn-monitor", "qemu", "create"):
        shutil.rmtree(TEMPLATES)
        id = t.claim()
        process = t.spawn(t.runtime_argv("create", "--bundle", bundle, id), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        t.need(f"{victim} killed: it is making one", wait_until(templates, 20, 0.0005))
        pid = {"create": process.pid, "vxn-monitor": dict(monitor_of(id)).get("vxn-monitor"),
               "qemu": int((CURRENT.vms(id) or [0])[0])}[victim]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        process.wait(20)
        gone(t, f"{victim} killed", id, before)
        wait_until(lambda: not monitor_of(id), 10)
        for name in templates():
            t.ok(f"{victim} killed: what is there is whole, or unfinished", name.startswith("new-") or
                 sorted(os.listdir(f"{TEMPLATES}/{name}")) == ["memory", "state"], name)
            os.utime(f"{TEMPLATES}/{name}", (0, 0))
        run(f"after {victim}")
        t.equal(f"after {victim}: nothing unfinished is left", [name for name in templates() if name.startswith("new-")], [])
    t.equal("nothing is left", left_since(before), [])


@test(9, limit=120, vxn=True, only="qemu")
def last_words(t):
    """what QEMU says when it ends is in the log"""
    before = Inventory()
    running = Running(t)
    os.kill(int(running.vms()[0]), signal.SIGTERM)
    after_death(t, running, "QEMU terminated", before, ("terminating on signal 15",))


@test(9, limit=120, vxn=True, only="qemu")
def confined(t):
    """QEMU has no user, no files, no network, and few descriptors"""
    container = t.start()
    pid = CURRENT.vms(container.id)[0]
    status = dict(line.split(":\t", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
    t.equal("its user is nobody", (set(status["Uid"].split()), set(status["Gid"].split())), ({"65534"}, {"65534"}))
    t.equal("no groups", status["Groups"].strip(), "")
    t.equal("no capabilities", {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}, {"0" * 16})
    t.equal("no new privileges, a system call filter", (status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
    t.equal("its root directory is empty", os.listdir(f"/proc/{pid}/root/"), [])
    t.equal("nothing else is mounted there", len(read(f"/proc/{pid}/mountinfo").splitlines()), 1)
    for kind in ("mnt", "pid", "net", "ipc", "uts"):
        t.ok(f"its {kind} namespace is its own", os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"))
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    known = ("/dev/null", "pipe:", "socket:", "anon_inode:", "/memfd:")
    t.ok("its descriptors are its sockets, pipes, and the guest's kernel",
         all(link.startswith(known) or link.endswith(("/vmlinux", "/initramfs.cpio")) for link in links), links)
    t.equal("its environment is empty", read(f"/proc/{pid}/environ"), "")

    def cgroups(which):
        """By hierarchy, those that vxn-runc knows: one that is not mounted has all in its root."""
        lines = [line.split(":") for line in read(f"/proc/{which}/cgroup").splitlines()]
        return {names: path for _, names, path in lines if path != "/"}

    cgroup = cgroups(container.pid)
    t.ok("the container has a cgroup", cgroup)
    monitor = dict(monitor_of(container.id))
    # The container's rules of devices are not for it.
    wanted = {names: path + "/vm" for names, path in cgroup.items() if names != "devices"}
    wanted.update({names: path for names, path in cgroups(monitor["vxn-monitor"]).items() if names == "devices"})
    for name, which in (("QEMU", pid), ("the io process", monitor["vxn-io"])):
        t.equal(f"{name} is in a child of the container's cgroup", cgroups(which), wanted)


@test(9, limit=120, vxn=True, only="qemu")
def lost(t):
    """a QEMU that outlived its monitor is found by its uuid"""
    before = Inventory()
    container = t.start()
    pid = int(CURRENT.vms(container.id)[0])
    # One that the monitor's end does not reach: what the kernel does at that is taken away.
    words = read(f"/proc/{pid}/cmdline").split("\0")
    uuid = words[words.index("-uuid") + 1]
    process = t.spawn([QEMU, "-uuid", uuid, "-name", f"vxn-{container.id}-lost", "-M", "none", "-nodefaults", "-display", "none"],
                      stdin=subprocess.DEVNULL)
    os.kill(dict(monitor_of(container.id))["vxn-monitor"], signal.SIGKILL)
    t.ok("its own QEMU ends with the monitor", wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 5))
    t.ok("the other goes on", process.poll() is None)
    result = t.rt("delete", "--force", container.id)
    t.equal("delete --force succeeds", (result.status, result.err), (0, ""), result)
    t.equal("and has killed it", exit_status(process.wait(5)), 137)
    t.equal("nothing is left", left_since(before), [])
