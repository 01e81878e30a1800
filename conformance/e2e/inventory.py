"""What a container could leave behind on the host and in the hypervisor, taken before and compared after."""
import glob
import os
import re
import time

from hypervisor import CURRENT, read

# Where files of ours, of the engines and of Xen appear.
FOLDERS = ("/run/vxn-runc", "/run/crun", "/run/runc", "/run/containers", "/run/containerd", "/run/libpod", "/run/netns",
           "/run/podman", "/run/xen", "/run/lock", "/run/vxn", "/var/lib/containers/storage/overlay-containers",
           "/var/lib/containers/storage/overlay", "/var/lib/containers/storage/libpod", "/var/lib/xen", "/dev/shm", "/dev/pts",
           "/var/lib/containerd/io.containerd.runtime.v2.task", "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs")
# Made once by somebody's first use and kept: no leak.
KEPT = re.compile(r"/run/(containers|libpod|podman|lock|crun|runc|vxn-runc)$|/run/containers/storage/?[^/]*$|"
                  r"/var/lib/containers/storage/overlay/l(/|$)|\.lock$|/libpod/(tmp|bolt_state)|/events/|/alive|"
                  r"/run/containerd/fifo$|io\.containerd\.runtime\.v2\.task/default$|/dev/pts/ptmx$|metadata\.db$|"
                  r"/run/netns$|/run/xen/(xl|domid-history)|/dev/shm/libpod_lock$|/run/vxn/qemu")


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
    """Those of others on this machine are of files that are not here."""
    files = {path: read(path).strip() for path in glob.glob("/sys/block/loop*/loop/backing_file")}
    return {path for path, file in files.items() if os.path.exists(file) or file.endswith(" (deleted)")}


PARTS = {"process": processes, "mount": mounts, "namespace": namespaces, "file": files, "cgroup": cgroups, "interface": links,
         "loop device": loops, **CURRENT.parts()}
MEMORY_SLACK_MIB = 2


class Inventory:
    def __init__(self):
        self.parts = {name: take() for name, take in PARTS.items()}
        self.memory = CURRENT.free_memory()
        self.pending = CURRENT.pending()

    def new_since(self, before):
        """Lines, one for each thing that was not there before."""
        lines = [f"{name}: {thing}" for name, things in self.parts.items() for thing in sorted(things - before.parts[name])]
        if self.pending > before.pending:
            lines.append(f"grants: {self.pending} wait to be taken back, it was {before.pending}")
        if self.memory is not None and self.memory < before.memory - MEMORY_SLACK_MIB:
            lines.append(f"memory: the hypervisor has {self.memory} MiB free, it had {before.memory}")
        return lines


def left_since(before, seconds=10):
    """What is there and was not before, when things had some time to go: [] is right."""
    deadline = time.monotonic() + seconds
    while True:
        lines = Inventory().new_since(before)
        if not lines or time.monotonic() > deadline:
            return lines
        time.sleep(0.3)
