"""16: what the host, or another container, changes in a volume is seen inside, whatever is cached there."""
import contextlib
import json
import os
import statistics
import subprocess
import threading
import time

from harness import Failed, test, wait_until
from hypervisor import CURRENT, read
from test_leaks import monitor_of

OBSERVE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside_observe")
VOLUME = "/v"


def volume(source, destination=VOLUME, cache="always", caps=()):
    """For a bundle: a volume that is cached so, and the observing program."""

    def edit(config):
        config["mounts"] += [
            {"destination": destination, "source": source, "type": "bind", "options": ["rbind", "rw"]},
            {"destination": "/observe", "source": OBSERVE, "type": "bind", "options": ["bind", "ro"]},
        ]
        config["annotations"] = {f"org.vxn.cache.{destination}": cache}
        for kind in config["process"]["capabilities"].values():
            kind += list(caps)

    return edit


class Observer:
    """The program inside, spoken with through the container's stdio."""

    def __init__(self, t, source, prefix=(), **options):
        bundle = t.bundle([*prefix, "/observe"], volume(source, **options), readonly=False, rootfs=t.rootfs_copy(t.new_id()))
        self.id = t.claim()
        self.process = t.spawn(t.runtime_argv("run", "--bundle", bundle, self.id), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.source = source

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise Failed(f"the container ended: {self.process.stderr.read()}")
        return answer

    def see(self, name):
        return self.ask(f"see {VOLUME}/{name}")

    def sees(self, name, seconds=5):
        """Microseconds until what the host has there is seen, None if it is not."""
        answer = self.ask(f"await {seconds} {VOLUME}/{name} {state(os.path.join(self.source, name))}")
        return int(answer.split()[1]) if answer.startswith("seen") else None


def state(path):
    """As inside_observe.c says."""
    try:
        found = os.lstat(path)
    except OSError:
        return "absent"
    if not os.path.isfile(path) or os.path.islink(path):
        return f"{found.st_mode:o}"
    value = 0xcbf29ce484222325
    with open(path, "rb") as file:
        for byte in file.read():
            value = (value ^ byte) * 0x100000001b3 & (1 << 64) - 1
    return f"{found.st_mode:o} {found.st_size} {value:016x}"


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


class Changes:
    """Makes changes in a directory of the host, some by another path to the same files."""

    def __init__(self, t, source, other):
        self.random = t.random
        self.roots = [source, other]
        self.source = source
        self.count = 0
        self.kinds = [self.content, self.content_in_place, self.longer, self.truncate, self.mode, self.rename,
                      self.rename_over, self.delete, self.new_file, self.new_directory, self.remove_directory,
                      self.rename_directory, self.by_hard_link, self.symlink]
        self.elsewhere = os.path.join(os.path.dirname(source), "elsewhere")
        os.makedirs(self.elsewhere)
        os.makedirs(f"{source}/linked")
        for i in range(12):
            os.makedirs(f"{source}/d{i}", exist_ok=True)
            for j in range(6):
                write(f"{source}/d{i}/f{j}", f"file {i} {j}\n")
            write(f"{source}/linked/{i}", f"linked {i}\n")
            os.link(f"{source}/linked/{i}", f"{self.elsewhere}/{i}")

    def directory(self):
        return f"d{self.random.randrange(12)}"

    def any(self):
        directory = self.directory()
        names = [name for name in sorted(os.listdir(f"{self.source}/{directory}"))
                 if os.path.isfile(f"{self.source}/{directory}/{name}")]
        if not names:
            write(f"{self.source}/{directory}/again", "again\n")
            names = ["again"]
        return f"{directory}/{self.random.choice(names)}"

    def fresh(self):
        self.count += 1
        return f"{self.directory()}/n{self.count}"

    def root(self):
        return self.random.choice(self.roots)

    def make(self, look):
        """One change: look(names) is called before it, so that the old state is cached. Returns names to be looked at."""
        kind = self.random.choice(self.kinds)
        names, change = kind()
        look(names)
        change()
        return kind.__name__, names

    def content(self):
        name, root = self.any(), self.root()
        text = f"new {self.random.random()}\n"
        return [name], lambda: write(f"{root}/{name}", text)

    def content_in_place(self):
        name, root = self.any(), self.root()

        def change():
            with open(f"{root}/{name}", "r+b") as file:
                file.write(b"%06d" % self.random.randrange(10**6))

        return [name], change

    def longer(self):
        name, root = self.any(), self.root()

        def change():
            with open(f"{root}/{name}", "a") as file:
                file.write("more\n" * self.random.randrange(1, 2000))

        return [name], change

    def truncate(self):
        name, root = self.any(), self.root()
        return [name], lambda: os.truncate(f"{root}/{name}", self.random.randrange(64))

    def mode(self):
        name, root = self.any(), self.root()
        return [name], lambda: os.chmod(f"{root}/{name}", 0o400 + self.random.randrange(0o377))

    def rename(self):
        old, new, root = self.any(), self.fresh(), self.root()
        return [old, new], lambda: os.rename(f"{root}/{old}", f"{root}/{new}")

    def rename_over(self):
        old, new, root = self.any(), self.any(), self.root()
        return [old, new], lambda: os.rename(f"{root}/{old}", f"{root}/{new}")

    def delete(self):
        name, root = self.any(), self.root()
        return [name], lambda: os.unlink(f"{root}/{name}")

    def new_file(self):
        name, root = self.fresh(), self.root()
        return [name], lambda: write(f"{root}/{name}", "it is new\n")

    def new_directory(self):
        name, root = self.fresh(), self.root()

        def change():
            os.mkdir(f"{root}/{name}")
            write(f"{root}/{name}/x", "in it\n")

        return [name, name + "/x"], change

    def remove_directory(self):
        name, root = self.fresh(), self.root()
        os.mkdir(f"{root}/{name}")
        return [name], lambda: os.rmdir(f"{root}/{name}")

    def rename_directory(self):
        old, new, root = self.fresh(), self.fresh(), self.root()
        os.mkdir(f"{root}/{old}")
        write(f"{root}/{old}/x", "moves\n")
        return [old + "/x", new + "/x"], lambda: os.rename(f"{root}/{old}", f"{root}/{new}")

    def by_hard_link(self):
        """Written by another name, in a directory that the guest does not know."""
        name = self.random.randrange(12)
        return [f"linked/{name}"], lambda: write(f"{self.elsewhere}/{name}", f"by a link {self.random.random()}\n")

    def symlink(self):
        name, root = self.fresh(), self.root()
        return [name], lambda: os.symlink("target", f"{root}/{name}")


@test(16, limit=600, vxn=True)
def all_changes_are_seen(t):
    """With cache=always no change of the host's is missed."""
    base = t.folder("base")
    source, other = t.folder("base/v"), t.folder("base/other")
    subprocess.run(["mount", "--bind", source, other], check=True)
    t.stack.callback(subprocess.run, ["umount", "-l", other], check=False)
    changes = Changes(t, source, other)
    observer = Observer(t, source)
    t.equal("a file is seen", observer.see("d0/f0"), state(source + "/d0/f0"))
    # what a believed absence or attribute costs nothing: no request is made for long
    latencies, missed, number = [], [], 1000 if t.full else 150
    for _ in range(number):
        kind, names = changes.make(lambda names: [observer.see(name) for name in names])
        for name in names:
            seen = observer.sees(name)
            if seen is None:
                missed.append(f"{kind} {name}: {observer.see(name)}, not {state(os.path.join(source, name))}")
            else:
                latencies.append(seen)
    t.equal(f"{number} changes, none missed", missed, [])
    latencies.sort()
    t.note(f"seen after {statistics.median(latencies):.0f} us, 99 %: {latencies[len(latencies) * 99 // 100]} us, "
           f"longest {latencies[-1]} us")
    t.ok("nearly all are seen sooner than a timeout would show them",
         latencies[len(latencies) * 9 // 10] < 500000, latencies)


@test(16, limit=120, vxn=True)
def caches_live_long(t):
    """What is cached with cache=always is not asked for again, with none it always is."""
    for cache, lives in (("always", True), ("none", False)):
        source = t.folder(cache)
        write(source + "/file", "contents\n")
        observer = Observer(t, source, cache=cache)
        for _ in range(3):
            observer.see("file")
            time.sleep(1.2)
        with looks_of_io(t, observer.id) as looks:
            for _ in range(20):
                observer.see("file")
            time.sleep(0.2)
        t.ok(f"cache={cache}: attributes and names are {'not ' if lives else ''}asked for again",
             (looks() == 0) == lives, looks())


@contextlib.contextmanager
def looks_of_io(t, id):
    """Counts how often the io process looks at a name or at attributes meanwhile."""
    trace = os.path.join(t.directory, "trace")
    strace = t.spawn(["strace", "-f", "-qq", "-o", trace, "-e", "trace=newfstatat,fstat,statx", "-p",
                      str(dict(monitor_of(id))["vxn-io"])], stderr=subprocess.DEVNULL)
    wait_until(lambda: "TracerPid:\t0" not in read(f"/proc/{dict(monitor_of(id))['vxn-io']}/status"))
    yield lambda: read(trace).count("stat")
    strace.terminate()
    strace.wait()


@test(16, limit=180, vxn=True)
def another_container_changes(t):
    """What one container changes, another sees."""
    source = t.folder("v")
    write(source + "/file", "old\n")
    one, two = Observer(t, source), Observer(t, source)
    for number in range(30 if t.full else 8):
        one.see("file"), two.see("file"), two.see(f"new{number}")
        result = t.rt("exec", one.id, "sh", "-c", f"echo {number} >{VOLUME}/file; echo new >{VOLUME}/new{number}")
        t.need("the one writes", result.status == 0, result)
        for observer, who in ((two, "other"), (one, "same")):
            for name in ("file", f"new{number}"):
                seen = observer.sees(name)
                t.ok(f"the {who} sees {name.rstrip('0123456789')}", seen is not None, f"{number}: {observer.see(name)}")


@test(16, limit=180, vxn=True)
def flood_of_invalidations(t):
    """8 processes create and delete where the host does the same, without end; a mount below stays."""
    source = t.folder("v")
    os.mkdir(source + "/d")
    os.mkdir(source + "/d/mounted")
    seconds = 30 if t.full else 6
    observer = Observer(t, source, prefix=("sh", "-c", f"mount -t tmpfs t {VOLUME}/d/mounted && touch {VOLUME}/d/mounted/here && exec /observe"),
                        caps=("CAP_SYS_ADMIN",))
    t.need("a tmpfs is mounted in the volume", observer.see("d/mounted/here") != "absent")
    script = f"end=$(($(date +%s)+{seconds})); while [ $(date +%s) -lt $end ]; do " \
             f"for i in 1 2 3 4 5 6 7 8 9; do echo x >{VOLUME}/d/$0.$i; mkdir {VOLUME}/d/$0.d$i; done; " \
             f"rm -r {VOLUME}/d/$0.*; done; echo done"
    workers = [t.spawn(t.runtime_argv("exec", observer.id, "sh", "-c", script, f"w{i}"), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, text=True) for i in range(8)]
    stop = threading.Event()
    count = [0]

    def host():
        while not stop.is_set():
            for i in range(50):
                write(f"{source}/d/h{i}", "x")
            os.rename(source + "/d/mounted", source + "/d/m2")
            os.rename(source + "/d/m2", source + "/d/mounted")
            for i in range(50):
                os.unlink(f"{source}/d/h{i}")
            count[0] += 102

    thread = threading.Thread(target=host)
    thread.start()
    try:
        for worker in workers:
            out, _ = worker.communicate(timeout=seconds + 60)
            t.ok("a process that creates and deletes there ends well", out == "done\n", out)
    finally:
        stop.set()
        thread.join()
    t.note(f"{count[0]} changes by the host")
    t.ok("what is mounted there is there still", observer.see("d/mounted/here") != "absent")
    write(source + "/d/last", "last")
    t.ok("the host's next change is seen", observer.sees("d/last") is not None)
    t.equal("nothing else is there", sorted(os.listdir(source + "/d")), ["last", "mounted"])


@test(16, limit=180, vxn=True)
def queue_overflow(t):
    """More changes than are kept, while the guest cannot take them."""
    source = t.folder("v")
    count = 20000 if t.full else 6000
    os.mkdir(source + "/d")
    for i in range(count):
        write(f"{source}/d/f{i}", "old")
    observer = Observer(t, source)
    observer.see("d/none")
    result = t.rt("exec", observer.id, "sh", "-c", f"ls -l {VOLUME}/d | wc -l; cat {VOLUME}/d/* | wc -c")
    t.equal("all are known inside", result.out.split(), [str(count + 1), str(count * 3)], result)
    vm = CURRENT.vms(observer.id)[0]
    with CURRENT.stopped(vm):
        for i in range(count):
            write(f"{source}/d/f{i}", "newer")
        os.rename(f"{source}/d/f7", f"{source}/d/none")
        time.sleep(0.5)
    sample = t.random.sample(range(count), 60)
    missed = [i for i in sample if observer.sees(f"d/f{i}", 20) is None]
    t.equal("the changes are seen", missed, [])
    t.ok("and the new name", observer.sees("d/none") is not None)
    result = t.rt("exec", observer.id, "sh", "-c", f"cat {VOLUME}/d/* | wc -c")
    t.equal("all of them", result.out.strip(), str(count * 5), result)


@test(16, limit=120, vxn=True)
def annotations_are_checked(t):
    """The annotations that set a cache."""
    for annotations, words in (({"org.vxn.cache": "allways"}, ("org.vxn.cache", "allways")),
                               ({"org.vxn.cache./v": "yes"}, ("org.vxn.cache./v", "yes")),
                               ({"org.vxn.unknown": "1"}, ("org.vxn.unknown",))):
        source = t.folder("v")

        def edit(config):
            volume(source)(config)
            config["annotations"] = annotations

        result = t.run(["true"], edit=edit)
        t.ok(f"{json.dumps(annotations)} is refused by name", result.status == 1 and all(word in result.err for word in words),
             result)
    with t.settings(allow_annotations=[]):
        result = t.run(["true"], edit=volume(t.folder("v")))
        t.ok("one that is not allowed is refused", result.status == 1 and "allow_annotations" in result.err, result)
    with t.settings(cache="never"):
        result = t.run(["true"])
        t.ok("a setting that there is not is refused", result.status == 1 and "never" in result.err, result)
