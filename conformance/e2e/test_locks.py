"""10: locks of files in a volume, and files without a name."""
import errno
import os
import shutil
import subprocess

from harness import test, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ("flock", "posix", "ofd")


def volume(t, name="volume"):
    """A directory that containers have as /d, with the program for both sides and a file."""
    directory = t.folder(name)
    shutil.copy(os.path.join(HERE, "inside_files"), directory)
    with open(directory + "/f", "w") as file:
        file.write("a file\n")
    return directory


def with_volume(directory):
    def edit(config):
        config["mounts"].append({"destination": "/d", "type": "bind", "source": directory, "options": ["bind", "rw"]})

    return edit


class Host:
    def __init__(self, t, directory):
        self.t = t
        self.directory = directory

    def argv(self, *words):
        return [self.directory + "/inside_files", *words[:-1], f"{self.directory}/{words[-1]}"]


class Inside:
    def __init__(self, t, directory):
        self.t = t
        self.container = t.start(edit=with_volume(directory))

    def argv(self, *words):
        return self.container.exec_argv("/d/inside_files", *words[:-1], "/d/" + words[-1])


class Holder:
    """A process that waits for a lock and holds it."""

    def __init__(self, side, *words):
        self.process = side.t.spawn(side.argv("hold", *words), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.said = b""

    def has_it(self, seconds):
        def look():
            self.said += self.process.stdout.read() or b""
            return self.said == b"held\n"

        return wait_until(look, seconds)

    def end(self):
        self.process.stdin.close()
        return self.process.wait(20)


def attempt(side, *words):
    """0 or the errno of a lock that is not waited for."""
    return side.t.command(side.argv("try", *words)).status


def between(t, name, one, other):
    """All that holds for a lock on one side, seen from the other."""
    for kind in KINDS:
        holder = Holder(one, kind, "w", "10", "5", "f")
        t.need(f"{name}: {kind}, held", holder.has_it(20))
        t.equal(f"{name}: {kind}, refused on the other side", attempt(other, kind, "r", "12", "1", "f"), errno.EAGAIN)
        if kind != "flock":
            t.equal(f"{name}: {kind}, beside it there is room", attempt(other, kind, "w", "15", "5", "f"), 0)
        waiter = Holder(other, kind, "w", "0", "0", "f")
        t.ok(f"{name}: {kind}, the other side waits", not waiter.has_it(1))
        t.equal(f"{name}: {kind}, the holder ends", holder.end(), 0)
        t.ok(f"{name}: {kind}, the waiter has it", waiter.has_it(10))
        t.equal(f"{name}: {kind}, and is in the way", attempt(one, kind, "w", "12", "1", "f"), errno.EAGAIN)
        t.equal(f"{name}: {kind}, until it ends", waiter.end(), 0)
        # at once: a close is complete when the process has ended
        t.equal(f"{name}: {kind}, then it is free", attempt(one, kind, "w", "12", "1", "f"), 0)
        readers = Holder(one, kind, "r", "0", "9", "f"), Holder(other, kind, "r", "0", "9", "f")
        t.ok(f"{name}: {kind}, both can read", all(reader.has_it(20) for reader in readers))
        for reader in readers:
            reader.end()


@test(10, limit=240)
def locks_with_the_host(t):
    """a lock inside holds on the host, and the other way round"""
    directory = volume(t)
    host, inside = Host(t, directory), Inside(t, directory)
    between(t, "inside, then host", inside, host)
    between(t, "host, then inside", host, inside)
    holder = Holder(host, "posix", "r", "3", "4", "f")
    holder.has_it(20)
    t.equal("F_GETLK inside finds the host's lock", t.command(inside.argv("find", "w", "0", "0", "f")).out, "read 3 4\n")
    holder.end()
    holder = Holder(inside, "posix", "w", "5", "0", "f")
    holder.has_it(20)
    t.equal("F_GETLK on the host finds the lock inside", t.command(host.argv("find", "r", "0", "0", "f")).out, "write 5 0\n")
    holder.end()
    os.mkdir(directory + "/sub")
    holder = Holder(inside, "flock", "w", "0", "0", "sub")
    t.ok("flock of a directory", holder.has_it(20))
    if t.is_vxn:
        t.equal("holds on the host", attempt(host, "flock", "r", "0", "0", "sub"), errno.EAGAIN)
    holder.end()


@test(10, limit=240)
def locks_of_two_containers(t):
    """a lock in one container holds in another"""
    directory = volume(t)
    one, other = Inside(t, directory), Inside(t, directory)
    between(t, "two containers", one, other)


def kill_newest(inside):
    inside.container.sh("kill -9 $(pidof inside_files | tr ' ' '\\n' | sort -n | tail -n 1)")


@test(10, limit=180)
def locks_end_with_their_owner(t):
    """a process killed, a container deleted: nothing stays locked"""
    directory = volume(t)
    host, inside = Host(t, directory), Inside(t, directory)
    for kind in KINDS:
        for _ in range(3):
            t.equal(f"{kind}: taken inside by a process that ends", attempt(inside, kind, "w", "0", "0", "f"), 0)
            t.equal(f"{kind}: and free on the host at once", attempt(host, kind, "w", "0", "0", "f"), 0)
        holder = Holder(inside, kind, "w", "0", "0", "f")
        holder.has_it(20)
        waiter = Holder(inside, kind, "w", "0", "0", "f")
        t.ok(f"{kind}: one more waits", not waiter.has_it(1))
        kill_newest(inside)
        t.equal(f"{kind}: killed, it ends", waiter.process.wait(20), 137)
        t.equal(f"{kind}: without the lock being free", attempt(host, kind, "w", "0", "0", "f"), errno.EAGAIN)
        kill_newest(inside)
        t.equal(f"{kind}: the holder is killed", holder.process.wait(20), 137)
        t.equal(f"{kind}: it is free at once", attempt(host, kind, "w", "0", "0", "f"), 0)
    holders = [Holder(inside, kind, "w", "0", "0", "f") for kind in ("flock", "posix")]
    t.ok("held by two kinds", all(holder.has_it(20) for holder in holders))
    t.equal("delete --force", t.rt("delete", "--force", inside.container.id).status, 0)
    t.equal("the VM has gone, and its locks", [attempt(host, kind, "w", "0", "0", "f") for kind in KINDS], [0, 0, 0])


@test(10)
def files_without_a_name(t):
    """O_TMPFILE in a volume"""
    directory = volume(t)
    container = t.start(edit=with_volume(directory))
    result = container.exec("/d/inside_files", "nameless", "/d", "named")
    t.equal("O_TMPFILE, and linkat", (result.status, result.err), (0, ""), result)
    with open(directory + "/named") as file:
        t.equal("the host sees it by the name that it got", file.read(), "text")
    t.equal("and nothing else", sorted(os.listdir(directory)), ["f", "inside_files", "named"])
