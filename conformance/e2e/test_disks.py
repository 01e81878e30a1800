"""15: what is on the host's disk when a VM or the host ends, and what a container sees of a disk that fails."""
import contextlib
import itertools
import os
import subprocess
import time

from harness import Failed, test
from hypervisor import CURRENT
from volumes import Ext4, Tmpfs, act, content, volume

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "filesem")
SIZE = 300000


def start(t, *directories):
    """A container with /filesem and the volumes /0, /1..."""
    return t.start(edit=volume((PROGRAM, "/filesem"), *((path, f"/{number}") for number, path in enumerate(directories))))


class Running:
    """Actions in a container, one after another, while the test looks."""

    def __init__(self, t, container, *actions):
        self.process = t.spawn(container.exec_argv("/filesem", "--act", *actions), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def go_on(self):
        self.process.stdin.write("x")
        self.process.stdin.flush()


def kill_vm(t, container):
    """As by kill -9: at once, whatever it is doing."""
    for name in CURRENT.vms(container.id):
        CURRENT.destroy(name)
    t.ok("the container is over", container.wait_stopped(20), container.state())


def file_content(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


# --- the VM's end


@test(15, limit=180, vxn=True)
def vm_killed_after_write(t):
    """what write() accepted is the host's, if the VM is killed the moment after"""
    directory = t.folder("volume")
    for verb in ("write", "append", "msync"):
        container = start(t, directory)
        running = Running(t, container, f"{verb} /0/{verb} {SIZE}", "wait")
        line = running.line()
        kill_vm(t, container)
        t.equal(f"{verb} returns inside", line, f"{verb} /0/{verb} {SIZE} = 0")
        t.ok(f"{verb}: all of it is on the host", file_content(f"{directory}/{verb}") == content(SIZE), os.listdir(directory))


@test(15, limit=180, vxn=True)
def vm_killed_while_writing(t):
    """each record that was acknowledged before the VM was killed is on the host"""
    directory = t.folder("volume")
    for round_ in range(5 if t.full else 2):
        container = start(t, directory)
        path = f"{directory}/records-{round_}"
        running = Running(t, container, f"records /0/records-{round_}")
        running.line()
        time.sleep(t.random.uniform(0.05, 1.0))
        kill_vm(t, container)
        told = [line for line in running.process.stdout.read().split("\n") if line.isdigit()]
        found = file_content(path) or b""
        t.ok(f"round {round_}: {told[-1:]} records told of, {len(found) / 4096} there, all as written",
             told and len(found) >= int(told[-1]) * 4096 and found == content(len(found)), running.process.stdout)


# --- the host's power


class PowerCut:
    """The file system as it would be found after a power cut now: what its disk has, mounted after its journal was
    replayed."""

    def __init__(self, t, filesystem):
        t.number += 1
        self.t = t
        self.image = os.path.join(t.directory, f"disk-{t.number}")
        self.path = t.folder(f"after-{t.number}")
        t.command(["cp", "--sparse=always", filesystem.image, self.image])

    def __enter__(self):
        result = self.t.command(["mount", "-o", "loop", self.image, self.path])
        if result.status:
            raise Failed(f"what the disk has cannot be mounted: {result}")
        return self

    def __exit__(self, *_):
        self.t.command(["umount", self.path])
        os.unlink(self.image)

    def has(self, name):
        return file_content(os.path.join(self.path, name)) == content(SIZE)


# What makes it durable, and what was done before that it is to make so.
SYNCS = [
    ("fsync", ["write /0/fsync {size}"], ["fsync /0/fsync"]),
    ("fdatasync", ["write /0/fdatasync {size}"], ["fdatasync /0/fdatasync"]),
    ("O_SYNC", [], ["osync /0/O_SYNC {size}"]),
    ("O_DSYNC", [], ["odsync /0/O_DSYNC {size}"]),
    ("msync", ["store /0/msync {size}"], ["msync /0/msync {size}"]),
    ("syncfs", ["write /0/syncfs {size}"], ["syncfs /0"]),
    ("sync", ["write /0/sync {size}"], ["sync"]),
    ("rename", ["write /0/new {size}", "fsync /0/new", "rename /0/new /0/rename"], ["fsync /0"]),
]


@test(15, limit=300)
def power_cut(t):
    """what was synced is found after a power cut of the host, what was not is not"""
    # No commit by time: only what is asked for gets to the disk.
    with Ext4(t, size="64M", options=["commit=3000"]) as filesystem:
        container = start(t, filesystem.directory("0"))
        t.command(["sync", "-f", filesystem.path])
        for name, before, syncs in SYNCS:
            actions = [action.format(size=SIZE) for action in (*before, "wait", *syncs, "wait")]
            running = Running(t, container, *actions)
            lines = [running.line() for _ in before]
            t.ok(f"{name}: what comes before it succeeds", all(line.endswith("= 0") for line in lines), lines)
            if before:
                with PowerCut(t, filesystem) as disk:
                    t.ok(f"{name}: without it the disk has not got the file", not disk.has("0/" + name), os.listdir(disk.path))
            running.go_on()
            lines = [running.line() for _ in range(1 + len(syncs))][1:]
            t.equal(f"{name} succeeds", lines, [f"{syncs[0].format(size=SIZE)} = 0"])
            with PowerCut(t, filesystem) as disk:
                t.ok(f"{name}: with it the disk has the file", disk.has("0/" + name), os.listdir(disk.path + "/0"))
            running.go_on()


# --- disks that fail


# The host gives the process that stores into a hole of a file SIGBUS (EFAULT here) when its disk is full. FUSE's pages
# are written later, as those of other remote file systems: the error is that of msync or fsync.
LATE_ERROR = [("EFAULT", "ENOSPC"), ("EFAULT", "EDQUOT")]


def inside(t, container, volume_, *actions, timeout=120):
    return act(t, container.exec_argv("/filesem", options=("--cwd", volume_)), actions, timeout=timeout)


def compare(t, title, container, filesystem, *actions):
    """The same actions on the host and then inside, each in a directory of its own: they fail alike."""
    host = act(t, [PROGRAM], actions, cwd=filesystem.directory("host"), timeout=120)
    guest = inside(t, container, "/0", *actions)
    different = [(ours, theirs) for ours, theirs in itertools.zip_longest(host, guest, fillvalue="nothing") if ours != theirs
                 and not (ours.startswith("msync") and (ours.split()[-1], theirs.split()[-1]) in LATE_ERROR)]
    t.equal(f"{title}: as on the host", different, [], f"host: {host}\ninside: {guest}")
    return host


def goes_on(t, container, title):
    """Another volume of the same container."""
    t.equal(f"{title}: another volume goes on", inside(t, container, "/1", "write x 5000", "read x", timeout=30),
            ["write x 5000 = 0", "read x = 5000"])


@test(15, limit=600)
def full_disk(t):
    """ENOSPC, for writes, for stores to memory, for names; the last blocks are root's"""
    # Larger than what a file system may still find when it looks again.
    much = 4000000
    for filesystem, users in ((Ext4(t, size="16M"), [1000, 0]), (Tmpfs(t, size="5m"), [0, 1000])):
        with filesystem:
            container = start(t, filesystem.directory("guest"), t.folder("other"))
            for user in users if t.full else users[:1]:
                for half in ("host", "guest"):
                    os.chown(filesystem.directory(half), user, user)
                seen = compare(t, f"{filesystem.name} as {user}", container, filesystem, f"user {user}", "write small 4096",
                               "write large 40000000", f"append small {much}", f"msync mapped {much}",
                               "allocate allocated 1000000000", "unlink allocated", "unlink mapped", "unlink large", "sync", "write again 4096",
                               "read again", "unlink again", "unlink small")
                t.ok(f"{filesystem.name} as {user}: the disk was full", any("ENOSPC" in line for line in seen), seen)
                t.command(["sync", "-f", filesystem.path])
            goes_on(t, container, filesystem.name)
    with Ext4(t, size="16M") as filesystem:
        container = start(t, filesystem.directory("guest"))
        for half, run in (("host", lambda *actions: act(t, [PROGRAM], actions, cwd=filesystem.directory("host"))),
                          ("inside", lambda *actions: inside(t, container, "/0", *actions))):
            for directory in ("host", "guest"):
                os.chown(filesystem.directory(directory), 1000, 1000)
            lines = run("user 1000", "write large 40000000", "append large 40000000")
            t.ok(f"{half}: a user fills the disk", all("ENOSPC" in line for line in lines[1:]), lines)
            lines = run("write of-root 400000", "fsync of-root", "unlink of-root", "unlink large", "sync")
            t.ok(f"{half}: there is room for root", all(line.endswith("= 0") for line in lines), lines)
    with Tmpfs(t, inodes=20) as filesystem:
        container = start(t, filesystem.directory("guest"), t.folder("other"))
        seen = compare(t, "no more names", container, filesystem, *[f"mkdir {name}" for name in "abcdefghijklmnopqrstuvw"], "write x 1",
                       *[f"rmdir {name}" for name in "abcdefghijklmnopqrstuvw"])
        t.ok("there were no more", any("ENOSPC" in line for line in seen), seen)
        goes_on(t, container, "no more names")


@test(15, limit=240)
def room_of_removed_files(t):
    """what a large file took is there for the next at once, though a kernel waits for neither RELEASE nor FORGET"""
    # To free it takes as long as some requests.
    large = (40 if CURRENT.name == "xen" else 400) << 20
    actions = [f"allocate large {large}", "unlink large", f"drop large {large}", f"drop large {large}"] * (40 if t.full else 10)
    with Tmpfs(t, size=str(large + (2 << 20))) as filesystem:
        lines = inside(t, start(t, filesystem.directory("guest")), "/0", *actions)
        t.equal("none finds the disk full", lines, [f"{action} = 0" for action in actions])


@test(15, limit=240)
def quota(t):
    """EDQUOT, where the user's blocks are counted"""
    filesystem = Ext4(t, size="64M", features=["-O", "quota", "-E", "quotatype=usrquota:prjquota"], options=["usrquota"])
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(filesystem)
        except Failed as failed:
            t.skip("a user's quota", f"this kernel mounts no ext4 with quota: {str(failed).splitlines()[-1]}")
            return
        container = start(t, filesystem.directory("guest"), t.folder("other"))
        for half in ("host", "guest"):
            os.chown(filesystem.directory(half), 1000, 1000)
        filesystem.set_user_quota(1000, blocks=1024)
        actions = ["user 1000", "write small 4096", "write large 5000000", "write more 5000", "unlink large",
                   "write again 4096", "unlink again", "unlink small", "unlink more"]
        seen = compare(t, "a user's quota", container, filesystem, *actions)
        t.ok("the quota was reached", any("EDQUOT" in line for line in seen), seen)
        goes_on(t, container, "quota")


@test(15, limit=120)
def turned_readonly(t):
    """EROFS once the host's file system is remounted read-only, and back"""
    with Ext4(t, size="64M") as filesystem:
        container = start(t, filesystem.directory("guest"), t.folder("other"))
        before = ["write x 5000", "mkdir d"]
        compare(t, "before", container, filesystem, *before)
        result = t.command(["mount", "-o", "remount,ro", filesystem.path])
        t.need("the host remounts it", result.status == 0, result)
        seen = compare(t, "read-only", container, filesystem, "write x 5000", "append x 1", "mkdir e", "unlink x",
                       "rename x y", "chmod x 600", "truncate x 1", "read x", "stat d", "store x 5000")
        t.ok("it was read-only", any("EROFS" in line for line in seen), seen)
        goes_on(t, container, "read-only")
        t.command(["mount", "-o", "remount,rw", filesystem.path])
        compare(t, "writable again", container, filesystem, "write x 6000", "read x", "unlink x")


@test(15, limit=240)
def broken_disk(t):
    """EIO, of a disk that lost its end while it was in use"""
    # A disk for each side: a journal that cannot be written is given up, and then all is read-only.
    options = ["errors=continue", "commit=3000"]
    with Ext4(t, size="64M", options=options) as filesystem, Ext4(t, size="64M", options=options) as guests:
        container = start(t, guests.directory("guest"), t.folder("other"))
        fill = ["write a 8000000", "fsync a", "write b 8000000", "fsync b"]
        compare(t, "before", container, filesystem, *fill)
        for disk in (filesystem, guests):
            t.command(["sync", "-f", disk.path])
            disk.lose_all_beyond(1 << 20)
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("1")
        seen = compare(t, "broken", container, filesystem, "read a", "read b", "write a 8000000", "fsync a",
                       "osync b 100000", "msync b 100000")
        t.ok("it was broken", any("EIO" in line for line in seen), seen)
        goes_on(t, container, "broken")
        t.ok("the container can be ended", t.rt("kill", container.id, "KILL").status == 0 and container.wait_stopped(20),
             container.state())
