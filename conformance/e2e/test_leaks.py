"""7: nothing is left behind."""
import glob
import os
import subprocess
import time

import harness
from hypervisor import CURRENT, read
from harness import IMAGE, exit_status, test
from inventory import Inventory, left_since


@test(7, vxn=True)
def inventory_sees(t):
    """the inventory would notice a container that is left"""
    before = Inventory()
    t.start()
    seen = {line.split(":")[0] for line in Inventory().new_since(before)}
    for kind in ("process", "namespace", "file", "cgroup", *CURRENT.kinds):
        t.ok(f"a running container shows as {kind}", kind in seen, seen)


@test(7, only="qemu")
def sees_its_own(t):
    """the inventory has no cgroups of others on this machine (conformance/native)"""
    with open("/proc/self/cgroup") as file:
        places = {line.strip().split(":", 2)[2] for line in file}
    t.ok("the root of each hierarchy is the test's own", places <= {"/", "/native"}, places)
    # The kernel's number for the one that a machine begins with.
    t.ok("in a cgroup namespace of its own", os.readlink("/proc/self/ns/cgroup") != "cgroup:[4026531835]")


@test(7, limit=3600)
def one_after_another(t):
    """20 containers one after another (--cycles)"""
    count = harness.CYCLES
    t.run(["true"])  # what the first one makes for all
    before = Inventory()
    wrong = []
    started = time.monotonic()
    for i in range(count):
        result = t.run(["sh", "-c", f"echo {i}; exit {i % 256}"])
        if (result.out, result.err, result.status) != (f"{i}\n", "", i % 256):
            wrong.append(str(result))
    t.note(f"{count} runs, {(time.monotonic() - started) / count:.2f} s each")
    t.equal(f"{count} containers one after another work", wrong, [])
    t.equal("and leave nothing", left_since(before), [])


@test(7, limit=240)
def at_once(t):
    """5 at once"""
    before = Inventory()
    runs = []
    for i in range(5):
        bundle = t.bundle(["sh", "-c", f"cat; sleep 2; exit {i}"])
        with open(t.file(f"in-{i}", f"input {i}\n" * 1000)) as source:
            runs.append(t.spawn(t.runtime_argv("run", "--bundle", bundle, t.claim()), stdin=source,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    results = []
    for process in runs:
        out, err = process.communicate(timeout=120)
        results.append((out, err, exit_status(process.returncode)))
    t.equal("5 containers at once work", [(len(out), err, status) for out, err, status in results],
            [(8000, "", i) for i in range(5)])
    t.equal("each has its own input", [out.split("\n")[0] for out, _, _ in results], [f"input {i}" for i in range(5)])
    for process in runs:
        process.stdout.close()
        process.stderr.close()
    t.equal("and leave nothing", left_since(before), [])


@test(7, limit=180)
def with_engines(t):
    """podman and ctr, with an exec, a volume and a kill"""
    name, other = t.new_id(), t.new_id()
    volume = t.folder("volume")
    # What the engines make at their first run with this image stays.
    t.podman_run("--rm", IMAGE, "true")
    t.command(t.ctr_run("true", options=["--rm"]))
    before = Inventory()
    t.podman_run("-d", "-v", f"{volume}:/v", IMAGE, "sleep", "1000", name=name)
    result = t.podman("exec", name, "touch", "/v/made")
    t.equal("it runs", (result.status, os.listdir(volume)), (0, ["made"]), result)
    result = t.podman("rm", "-f", "-t", "0", name)
    t.equal("podman rm -f succeeds", result.status, 0, result)
    result = t.command(t.ctr_run("sh", "-c", "exit 3", id=other, options=["--rm"]))
    t.equal("ctr run --rm works", result.status, 3, result)
    t.equal("and leave nothing", left_since(before), [])


def open_fds(pid):
    """How many descriptors, but those by which the io process remembers files (O_PATH), which it has as it likes."""
    count = 0
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        flags = next((line.split()[1] for line in read(path).splitlines() if line.startswith("flags:")), None)
        count += flags is not None and not int(flags, 8) & os.O_PATH
    return count


@test(7, limit=180)
def execs(t):
    """40 execs in a container leave nothing in its processes"""
    container = t.start()
    monitor = monitor_of(container.id) if t.is_vxn else []

    def counts():
        return {name: (open_fds(pid), memory_of(pid)) for name, pid in monitor}

    for i in range(5):
        container.exec("cat", input=f"{i}\n")
    inside = container.sh("ls /proc | grep -c '^[0-9]'").out
    before = counts()
    inventory = Inventory()
    for i in range(40):
        result = container.exec("cat", input=f"{i}\n")
        if result.out != f"{i}\n":
            t.equal(f"exec {i} works", result.out, f"{i}\n", result)
            break
    after = counts()
    for name, (fds, memory) in before.items():
        t.equal(f"{name} has the fds it had", after[name][0], fds)
        t.ok(f"{name} has not grown by more than 512 KiB", after[name][1] - memory <= 512, (memory, after[name][1]))
    t.equal("inside there are the processes of before", container.sh("ls /proc | grep -c '^[0-9]'").out, inside)
    t.equal("on the host nothing is left", left_since(inventory), [])


def monitor_of(id):
    """Name and pid of a container's monitor and io process."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
            with open(f"/proc/{pid}/stat") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        name = os.path.basename(words[0])
        if name == "vxn-monitor" and id in words:
            found.append((name, int(pid)))
        elif name == "vxn-io":
            found.append((name, int(pid), parent))
    monitors = {entry[1] for entry in found if len(entry) == 2}
    return [entry[:2] for entry in found if len(entry) == 2 or entry[2] in monitors]


def memory_of(pid):
    """KiB of resident memory that is its own."""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    return 0
