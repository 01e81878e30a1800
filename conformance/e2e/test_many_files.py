"""12: volumes with more files than the io process may have open."""
import os
import resource
import threading

from harness import Container, test
from test_leaks import memory_of, monitor_of

PER_FOLDER = 300
NOFILE = 1500


def limited():
    """In the child that becomes the runtime: all of its VM's processes have the limit."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (NOFILE, NOFILE))


def fill(directory, count):
    """That many files, in each its own name; the sum of their sizes."""
    size = 0
    for i in range(count):
        folder = os.path.join(directory, f"d{i // PER_FOLDER}")
        if i % PER_FOLDER == 0:
            os.mkdir(folder)
        with open(os.path.join(folder, f"f{i}"), "w") as file:
            size += file.write(f"f{i}\n")
    return size


class Watch:
    """The most that a process had open, looked at every 10 ms."""

    def __init__(self, pid):
        self.path = f"/proc/{pid}/fd"
        self.most = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.ended.wait(0.01):
            self.most = max(self.most, len(os.listdir(self.path)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


@test(12, limit=600, vxn=True)
def many_files(t):
    """a volume of 30,000 files (sampled: 8,000), walked and read with 1,500 to be open"""
    directory = t.folder("volume")
    count = 30000 if t.full else 8000
    size = fill(directory, count)

    def edit(config):
        config["mounts"].append({"destination": "/volume", "type": "bind", "source": directory,
                                 "options": ["rbind", "rw"]})

    container = Container(t, t.claim(), t.bundle(["sleep", "1000"], edit))
    result = t.create(container.bundle, container.id, "--pid-file", container.pid_file, preexec_fn=limited)
    t.need("create with few descriptors", result.status == 0, result)
    result = t.rt("start", container.id)
    t.need("start", result.status == 0, result)
    io = dict(monitor_of(container.id))["vxn-io"]
    before = memory_of(io)
    # One that stays in use from before: its node is evicted, and it is the working directory all the same.
    result = container.sh("mkdir -p /volume/kept/mnt && cd /volume/kept && find /volume -type f | wc -l &&"
                          " find /volume -type f -exec stat -c %s {} + | awk '{s += $1} END {print NR, s}' &&"
                          " stat -c %n mnt", timeout=400)
    t.equal("find and stat see all of them", result.out.split(), [str(count), str(count), str(size), "mnt"], result)
    with Watch(io) as watch:
        result = container.sh("find /volume -type f -exec cat {} + | sort | uniq | wc -lc", timeout=400)
    t.equal("each is read, and is the right one", result.out.split(), [str(count), str(size)], result)
    t.ok("many were open at a time, and never more than may be", NOFILE // 3 < watch.most < NOFILE, watch.most)
    took = memory_of(io) - before
    t.note(f"{took} KiB more in the io process for {count} files, {watch.most} descriptors")
    t.ok("its memory is bounded", took < count // 4 + 8192, took)  # KiB: some 200 bytes for each file, and room
    result = container.sh("rm -r /volume/d* && ls /volume", timeout=400)
    t.equal("all are removed", (result.status, result.out, os.listdir(directory)), (0, "kept\n", ["kept"]), result)
