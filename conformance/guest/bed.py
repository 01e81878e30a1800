"""What the tests of vxn-init have in common: the list of them, checks, and a root file system with a VM."""
import copy
import os
import shutil
import signal
import subprocess
import tempfile

from driver import Failure, Vm

TESTS = []
CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
                "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID",
                "CAP_SYS_CHROOT"]
# What podman's default config has.
MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
     "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
     "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev/shm", "type": "bind", "source": "/dev/shm",
     "options": ["bind", "rprivate", "nosuid", "noexec", "nodev"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
     "options": ["rprivate", "nosuid", "noexec", "nodev", "relatime", "ro"]},
]
BASE = {
    "ociVersion": "1.0.2",
    "root": {"path": "rootfs"},
    "hostname": "guest",
    "process": {
        "args": ["true"], "cwd": "/", "env": ["PATH=/bin", "A=b c"], "user": {"uid": 0, "gid": 0},
        "capabilities": {k: CAPABILITIES for k in ("bounding", "effective", "permitted")},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1048576}],
    },
    "mounts": MOUNTS,
    "linux": {
        "namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
        "maskedPaths": ["/proc/kcore", "/proc/nothing", "/proc/scsi", "/sys/firmware"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
}


def test(function):
    TESTS.append(function)
    return function


def check(condition, what):
    if not condition:
        raise Failure(what)


def equal(found, expected, what):
    check(found == expected, "%s: %r, expected %r" % (what, found, expected))


class Bed:
    """A root file system and the shared VM."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="vxn-rootfs-")
        for name in ("bin", "dev", "proc", "sys", "tmp", "etc", "home", "copy", "copy/below"):
            os.mkdir(os.path.join(self.root, name))
        os.chmod(self.root + "/tmp", 0o1777)
        os.chmod(self.root, 0o755)
        shutil.copy("/bin/busybox", self.root + "/bin/busybox")
        for name in subprocess.check_output(["busybox", "--list"], text=True).split():
            if name != "busybox":
                os.symlink("busybox", "%s/bin/%s" % (self.root, name))
        self.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000::/home:/bin/sh\n")
        self.write("etc/notexec", "x")
        self.write("bin/badformat", "\x01\x02\x03 nothing that runs", 0o755)
        self.write("copy/a", "copied\n", 0o640)
        self.write("copy/below/b", "deep\n")
        os.symlink("a", self.root + "/copy/link")
        self.vm = None
        self.count = 0

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.root, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def machine(self):
        if not self.vm or self.vm.gone:
            self.vm = Vm(memory=192, cpus=2, debug=bool(os.environ.get("DEBUG")))
        return self.vm

    def id(self):
        self.count += 1
        return "c%d" % self.count

    def start(self, args, stdin=False, edit=None):
        """Runs args (a list, or a shell's text) in a new container. Returns its process."""
        config = copy.deepcopy(BASE)
        config["process"]["args"] = args if isinstance(args, list) else ["sh", "-c", args]
        if edit:
            edit(config)
        container = self.id()
        process = self.machine().run(container, config, self.root, stdin)
        process.container = container
        return process

    def output(self, args, edit=None, code=0, timeout=30):
        process = self.start(args, edit=edit)
        found = process.code(timeout)
        text = bytes(process.stdout.data).decode()
        if found != code:
            raise Failure("exit code %d: %r %r" % (found, text, process.stderr and bytes(process.stderr.data)))
        return text.replace("\r\n", "\n")

    def spec(self, args, **members):
        spec = copy.deepcopy(BASE["process"])
        spec["args"] = args if isinstance(args, list) else ["sh", "-c", args]
        spec.update(members)
        return spec

    def sleeper(self):
        return self.start(["sleep", "1000"])

    def end(self, process):
        self.vm.signal(process, signal.SIGKILL)
        equal(process.code(), 137, "exit code of a killed container")

    def close(self):
        if self.vm:
            self.vm.kill()
        shutil.rmtree(self.root)
