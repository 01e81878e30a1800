"""File systems of their own for the tests of shares, and config.json's words for volumes."""
import ctypes
import os
import struct
import subprocess

from harness import Failed

ALL_CAPABILITIES = [f"CAP_{name}" for name in (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE"
    " NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN"
    " SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP").split()]


def volume(*binds, capabilities=None, readonly=(), more=None):
    """An edit of config.json: binds are (source, destination); those destinations in readonly are so."""

    def edit(config):
        for source, destination in binds:
            config["mounts"].append({"destination": destination, "type": "bind", "source": source,
                                     "options": ["rbind", "ro" if destination in readonly else "rw"]})
        if capabilities:
            config["process"]["capabilities"] = {name: capabilities for name in ("bounding", "effective", "permitted")}
        # what a test on the host has
        config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
        if more:
            more(config)

    return edit


def content(size):
    """What filesem --act writes into a file of that many bytes."""
    return b"".join(bytes((31 * i + page) & 255 for i in range(min(4096, size - 4096 * page)))
                    for page in range(-(-size // 4096)))


def act(t, program, actions, **options):
    """The lines of filesem --act."""
    result = t.command([*program, "--act", *actions], **options)
    return [line for line in (result.out + result.err).split("\n") if line]


class Mounted:
    """A file system on a directory, while it is entered; what is mounted goes with the test at the latest."""
    name = ""

    def __init__(self, t):
        self.t = t
        t.number += 1
        self.path = t.folder(f"{self.name}-{t.number}")
        self.mounted = False

    def mount(self, *words):
        result = self.t.command(["mount", *words, self.path])
        if result.status:
            raise Failed(f"cannot mount: {result}")
        self.mounted = True

    def unmount(self):
        if self.mounted:
            self.mounted = False
            subprocess.run(["umount", "-l", self.path], check=False)

    def directory(self, name):
        path = os.path.join(self.path, name)
        os.makedirs(path, exist_ok=True)
        return path

    def __enter__(self):
        self.t.stack.callback(self.unmount)
        self.start()
        return self

    def __exit__(self, *_):
        for id in self.t.containers:
            self.t.quietly([self.t.runtime, "delete", "--force", id])
        self.unmount()


class Tmpfs(Mounted):
    name = "tmpfs"

    def __init__(self, t, size="50%", inodes=0):
        super().__init__(t)
        self.options = f"mode=755,size={size},nr_inodes={inodes}"

    def start(self):
        self.mount("-t", "tmpfs", "-o", self.options, "tmpfs")


class Ext4(Mounted):
    """On a loop device over a file, `image`."""
    name = "ext4"

    def __init__(self, t, size="1G", features=(), options=()):
        super().__init__(t)
        self.image = self.path + ".image"
        self.size = size
        self.features = features
        self.options = options

    def start(self):
        self.t.command(["truncate", "-s", self.size, self.image])
        result = self.t.command(["mkfs.ext4", "-q", "-F", *self.features, self.image])
        if result.status:
            raise Failed(f"no file system: {result}")
        self.mount("-o", ",".join(["loop", *self.options]), self.image)

    def device(self):
        result = self.t.command(["findmnt", "-n", "-o", "SOURCE", self.path])
        return result.out.strip()

    def lose_all_beyond(self, size):
        """The disk shrinks under the file system."""
        os.truncate(self.image, size)
        result = self.t.command(["losetup", "--set-capacity", self.device()])
        if result.status:
            raise Failed(f"the disk does not shrink: {result}")

    def set_user_quota(self, uid, blocks):
        """A hard limit, in KiB."""
        quota_set = 0x800008 << 8 & 0xffffffff  # QCMD(Q_SETQUOTA, USRQUOTA)
        block_limits = 1  # QIF_BLIMITS
        record = struct.pack("=8QI4x", blocks, blocks, 0, 0, 0, 0, 0, 0, block_limits)
        libc = ctypes.CDLL(None, use_errno=True)
        command = ctypes.c_int(quota_set if quota_set < 1 << 31 else quota_set - (1 << 32))
        if libc.quotactl(command, self.device().encode(), uid, record):
            raise Failed(f"quotactl: {os.strerror(ctypes.get_errno())}")
