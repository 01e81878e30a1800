"""What a container could leave behind in Dom0 and in Xen, taken before and compared after."""
import glob
import os
import re
import struct
import subprocess
import time

# Where files of ours, of the engines and of Xen appear.
FOLDERS = ("/run/vxn-runc", "/run/crun", "/run/runc", "/run/containers", "/run/containerd", "/run/libpod", "/run/netns",
           "/run/podman", "/run/xen", "/run/lock", "/run/vxn", "/var/lib/containers/storage/overlay-containers",
           "/var/lib/containers/storage/overlay", "/var/lib/containers/storage/libpod", "/var/lib/xen", "/dev/shm", "/dev/pts",
           "/var/lib/containerd/io.containerd.runtime.v2.task", "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs")
# Made once by somebody's first use and kept: no leak.
KEPT = re.compile(r"/run/(containers|libpod|podman|lock|crun|runc|vxn-runc)$|/run/containers/storage/?[^/]*$|"
                  r"/var/lib/containers/storage/overlay/l(/|$)|\.lock$|/libpod/(tmp|bolt_state)|/events/|/alive|"
                  r"/run/containerd/fifo$|io\.containerd\.runtime\.v2\.task/default$|/dev/pts/ptmx$|metadata\.db$|"
                  r"/run/netns$|/run/xen/xl|/dev/shm/libpod_lock$")


def output(argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          timeout=60, check=False).stdout


def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def own_processes():
    """This process, those above it and those below it."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = read(f"/proc/{name}/stat")
            if stat:
                parents[int(name)] = int(stat.rsplit(")", 1)[1].split()[1])
    own, pid = set(), os.getpid()
    while pid > 1:
        own.add(pid)
        pid = parents.get(pid, 0)
    below = {os.getpid()}
    grown = True
    while grown:
        more = {child for child, parent in parents.items() if parent in below} - below
        below |= more
        grown = bool(more)
    return own | below, parents


def processes():
    own, parents = own_processes()
    found = set()
    for pid, parent in parents.items():
        if pid in own or parent == 2 or pid == 2:  # kernel threads
            continue
        comm = read(f"/proc/{pid}/comm").strip()
        # sshd forks for others that look into the box.
        if not comm or comm in ("sshd", "systemd-executor", "(sd-executor)", "sd-pam", "systemd"):
            continue
        command = read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
        found.add(f"{pid} {comm} [{command[:80]}]")
    return found


def mounts():
    # Without the numbers of mounts: they are new each time.
    return {" ".join(line.split()[3:]) for line in read("/proc/1/mountinfo").splitlines()}


def namespaces():
    found = set()
    for path in glob.glob("/proc/[0-9]*/ns/*"):
        kind = os.path.basename(path)
        if kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
            try:
                found.add(os.readlink(path))
            except OSError:
                pass
    return found


def files():
    found = set()
    for folder in FOLDERS:
        for base, directories, names in os.walk(folder):
            if base.startswith("/var/lib/containers/storage/overlay/") and base.count("/") >= 6:
                directories[:] = []  # an image's layers
                continue
            if "io.containerd.snapshotter" in base and base.count("/") >= 6:
                directories[:] = []
                continue
            found.update(os.path.join(base, name) for name in names + directories)
    return {path for path in found if not KEPT.search(path)}


def cgroups():
    found = set()
    for base, _, _ in os.walk("/sys/fs/cgroup"):
        if not re.search(r"/(system|user|init)\.s(lice|cope)|/sys-|/dev-", base):
            found.add(base)
    return found


def links():
    """Interfaces, those inside network namespaces aside: they go with them."""
    return set(os.listdir("/sys/class/net"))


def loops():
    return {path for path in glob.glob("/sys/block/loop*/loop/backing_file")}


def domains():
    return {line.split()[0] + " " + line.split()[1] for line in output(["xl", "list"]).splitlines()[1:] if line.split()}


def store():
    """Keys of xenstore, without values, which may change."""
    return {line.split(" = ")[0] for line in output(["xenstore-ls", "-f"]).splitlines()}


def free_memory():
    found = re.search(r"free_memory\s*:\s*(\d+)", output(["xl", "info"]))
    return int(found.group(1)) if found else 0


def kernel_counter(name):
    """A variable of Dom0's kernel (an int), None when there is none to be read."""
    address = next((int(line.split()[0], 16) for line in read("/proc/kallsyms").splitlines()
                    if line.split()[2:] == [name]), 0)
    try:
        with open("/proc/kcore", "rb") as core:
            header = core.read(64)
            table, count = struct.unpack_from("<Q", header, 32)[0], struct.unpack_from("<H", header, 56)[0]
            core.seek(table)
            entries = core.read(56 * count)
            for i in range(count):
                offset, start, _, _, size = struct.unpack_from("<8xQQQQQ", entries, 56 * i)
                if start <= address < start + size:
                    core.seek(offset + address - start)
                    return struct.unpack("<i", core.read(4))[0]
    except (OSError, struct.error):
        pass
    return None


def pending_grants():
    """Grants that the kernel could not take back, because a domain had them mapped to the last."""
    return kernel_counter("deferred_count") or 0


def daemons_fds():
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        comm = read(f"/proc/{pid}/comm").strip()
        if comm in ("xenstored", "xenconsoled"):
            try:
                found.add(f"{comm} {len(os.listdir(f'/proc/{pid}/fd'))} fds")
            except OSError:
                pass
    return found


PARTS = {"process": processes, "mount": mounts, "namespace": namespaces, "file": files, "cgroup": cgroups, "interface": links,
         "loop device": loops, "domain": domains, "xenstore key": store, "daemon's fds": daemons_fds}
MEMORY_SLACK_MIB = 2


class Inventory:
    def __init__(self):
        self.parts = {name: take() for name, take in PARTS.items()}
        self.memory = free_memory()
        self.grants = pending_grants()

    def new_since(self, before):
        """Lines, one for each thing that was not there before."""
        lines = [f"{name}: {thing}" for name, things in self.parts.items() for thing in sorted(things - before.parts[name])]
        if self.grants > before.grants:
            lines.append(f"grants: {self.grants} wait to be taken back, it was {before.grants}")
        if self.memory < before.memory - MEMORY_SLACK_MIB:
            lines.append(f"memory: Xen has {self.memory} MiB free, it had {before.memory}")
        return lines


def left_since(before, seconds=10):
    """What is there and was not before, when things had some time to go: [] is right."""
    deadline = time.monotonic() + seconds
    while True:
        lines = Inventory().new_since(before)
        if not lines or time.monotonic() > deadline:
            return lines
        time.sleep(0.3)
