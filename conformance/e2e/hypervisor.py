"""What differs between the two columns of these tests: Xen and QEMU, as an operator sees them from outside."""
import contextlib
import glob
import os
import re
import signal
import struct
import subprocess


def output(argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          timeout=60, check=False).stdout


def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


class Xen:
    name = "xen"
    # What a running container has to show in an inventory.
    kinds = ("domain", "xenstore key", "memory")
    # Words of the errors: there is no hypervisor; the kernel is none.
    absent_words = ("Xen", "/dev/xen/privcmd")
    no_kernel_words = ("domain",)

    def vms(self, id):
        """Names of the VMs of that container."""
        return [line.split()[0] for line in output(["xl", "list"]).splitlines() if f"vxn-{id}-" in line]

    def destroy(self, name):
        output(["xl", "destroy", name])

    @contextlib.contextmanager
    def stopped(self, name):
        """That VM does not run for a while."""
        output(["xl", "pause", name])
        try:
            yield
        finally:
            output(["xl", "unpause", name])

    def without(self, argv):
        """argv, run where there is no such hypervisor."""
        return ["unshare", "-m", "sh", "-c", "mount -t tmpfs none /dev/xen && umount -l /proc/xen && exec \"$@\"", "sh", *argv]

    # --- inventory

    def parts(self):
        return {"domain": self.domains, "xenstore key": self.store, "daemon's fds": self.daemons_fds}

    def domains(self):
        return {line.split()[0] + " " + line.split()[1] for line in output(["xl", "list"]).splitlines()[1:] if line.split()}

    def store(self):
        """Keys of xenstore, without values, which may change."""
        return {line.split(" = ")[0] for line in output(["xenstore-ls", "-f"]).splitlines()}

    def daemons_fds(self):
        found = set()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            comm = read(f"/proc/{pid}/comm").strip()
            if comm in ("xenstored", "xenconsoled"):
                try:
                    found.add(f"{comm} {len(os.listdir(f'/proc/{pid}/fd'))} fds")
                except OSError:
                    pass
        return found

    def free_memory(self):
        """MiB that only containers take; None where that cannot be told."""
        found = re.search(r"free_memory\s*:\s*(\d+)", output(["xl", "info"]))
        return int(found.group(1)) if found else 0

    def pending(self):
        """Grants that the kernel could not take back, because a domain had them mapped to the last."""
        return kernel_counter("deferred_count") or 0


class Qemu:
    name = "qemu"
    kinds = ()
    absent_words = ("QEMU", "/usr/bin/qemu-system-x86_64")
    no_kernel_words = ("QEMU", "does not start")

    def vms(self, id):
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            words = read(path).split("\0")
            if "-name" in words and words[words.index("-name") + 1].startswith(f"vxn-{id}-"):
                found.append(path.split("/")[2])
        return found

    def destroy(self, name):
        os.kill(int(name), signal.SIGKILL)

    @contextlib.contextmanager
    def stopped(self, name):
        os.kill(int(name), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(int(name), signal.SIGCONT)

    def without(self, argv):
        return ["unshare", "-m", "sh", "-c", "mount --bind /dev/null /usr/bin/qemu-system-x86_64 && exec \"$@\"", "sh", *argv]

    def parts(self):
        return {}  # a VM is a process

    def free_memory(self):
        return None

    def pending(self):
        return 0


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


# The one that "auto" chooses.
CURRENT = Xen() if os.path.exists("/proc/xen/privcmd") else Qemu()
