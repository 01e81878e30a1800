"""16: a file that was read stays open on the host for a while after its last close, and is never the wrong one then."""
import os

from harness import Container, test, wait_until
from test_leaks import monitor_of
from volumes import Tmpfs, volume

KEPT = 2


def write(path, text, mode="w"):
    with open(path, mode) as file:
        file.write(text)


class Reading:
    """Files that the io process has open for reading."""

    def __init__(self, container):
        self.io = dict(monitor_of(container.id))["vxn-io"]

    def names(self):
        found = []
        for fd in os.listdir(f"/proc/{self.io}/fd"):
            try:
                target = os.readlink(f"/proc/{self.io}/fd/{fd}")
                with open(f"/proc/{self.io}/fdinfo/{fd}") as info:
                    flags = int(info.read().split("flags:")[1].split()[0], 8)
            except FileNotFoundError:
                continue
            if flags & (os.O_ACCMODE | os.O_PATH) == 0:
                found.append(os.path.basename(target.removesuffix(" (deleted)")))
        return found

    def count(self, name):
        return sum(found == name for found in self.names())


def started(t, *binds):
    container = Container(t, t.claim(), t.bundle(["sleep", "1000"], volume(*binds)))
    result = t.create(container.bundle, container.id, "--pid-file", container.pid_file)
    t.need("create", result.status == 0, result)
    result = t.rt("start", container.id)
    t.need("start", result.status == 0, result)
    return container


@test(16, limit=120, vxn=True)
def spare_files(t):
    """it goes when its time is over, with its name, with the host's change, and before anybody writes to it"""
    directory = t.folder("volume")
    for name in ("again", "removed", "hosts", "written", "cut", "moved-over", "mover"):
        write(f"{directory}/{name}", "some\n")
    container = started(t, (directory, "/v"))
    reading = Reading(container)

    def read(name, more=""):
        result = container.sh(f"cat /v/{name} && cat /v/{name} {more}")
        t.equal(f"{name} is read", result.status, 0, result)

    read("again")
    t.equal("after its last close it is open still, once", reading.count("again"), 1)
    t.ok("and not for long", wait_until(lambda: not reading.count("again"), 5 * KEPT))
    for name, change in (("removed", "rm -f /v/removed"), ("written", "echo x >>/v/written"),
                         ("cut", "truncate -s 0 /v/cut"), ("moved-over", "mv -f /v/mover /v/moved-over")):
        read(name, f"&& {change}")
        t.equal(f"not any more after: {change}", reading.count(name), 0)
    read("hosts")
    os.unlink(f"{directory}/hosts")
    t.ok("nor when the host has removed it", wait_until(lambda: not reading.count("hosts"), KEPT - 0.5))


@test(16, limit=120, vxn=True)
def spare_before_copy_up(t):
    """what is read of an overlay's file is what was written to it, which is another file of the host's than before"""
    with Tmpfs(t) as tmpfs:
        lower, upper, work, merged = (tmpfs.directory(name) for name in ("lower", "upper", "work", "merged"))
        write(f"{lower}/inside", "old\n")
        write(f"{lower}/host", "old\n")
        result = t.command(["mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}",
                            "overlay", merged])
        t.need("an overlay", result.status == 0, result)
        t.stack.callback(t.quietly, ["umount", "-l", merged])
        container = started(t, (merged, "/v"))
        result = container.sh("cat /v/inside && echo new >/v/inside && dd if=/v/inside iflag=direct 2>/dev/null")
        t.equal("written inside", result.out, "old\nnew\n", result)
        result = container.sh("cat /v/host")
        t.equal("read inside", result.out, "old\n", result)
        write(f"{merged}/host", "more\n", "a")
        t.ok("written on the host", wait_until(
            lambda: container.sh("dd if=/v/host iflag=direct 2>/dev/null").out == "old\nmore\n", 5 * KEPT))
        t.quietly([t.runtime, "delete", "--force", container.id])


@test(16, limit=120, vxn=True)
def spare_takes_no_room(t):
    """a file that has just been read gives its room back with its name"""
    with Tmpfs(t, size="8m") as tmpfs:
        container = started(t, (tmpfs.path, "/v"))
        for round in range(3):
            result = container.sh("dd if=/dev/zero of=/v/big bs=1M count=6 2>&1 && cat /v/big >/dev/null && rm /v/big")
            t.equal(f"round {round + 1}", result.status, 0, result)
        t.quietly([t.runtime, "delete", "--force", container.id])
