"""11: files and stdio in both directions at once, and nobody waits for ever."""
import hashlib
import os
import shutil
import signal
import struct
import subprocess
import time

from harness import exit_status, pid_alive, sha256, test, wait_until
from hypervisor import CURRENT
from test_leaks import monitor_of
from test_locks import Holder, Host, Inside, volume, with_volume

HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20


@test(11, limit=240)
def dirty_pages_beyond_memory(t):
    """a shared mapping larger than the container's memory"""
    directory = volume(t)

    def edit(config):
        with_volume(directory)(config)
        config["linux"]["resources"] = {"memory": {"limit": 64 * MIB}}

    container = t.start(edit=edit)
    size = 256
    started = time.monotonic()
    result = container.exec("/d/inside_files", "dirty", size, "/d/mapped", timeout=180)
    t.equal(f"{size} MiB are stored to by a container that has 64", (result.status, result.err), (0, ""), result)
    t.note(f"{size} MiB of pages: {time.monotonic() - started:.1f} s")
    with open(directory + "/mapped", "rb") as file:
        wrong = [page for page in range(size * 256) if struct.unpack("=Q", file.read(4096)[:8])[0] != page]
    t.equal("each page of the host's file has what was stored", wrong[:10], [])
    t.equal("the container lives", container.sh("echo alive").out, "alive\n")


@test(11, limit=180)
def stopped_process(t):
    """a process that is stopped holds up nobody"""
    directory = volume(t)
    container = t.start(edit=with_volume(directory))
    data = os.urandom(MIB) * 16
    with open(directory + "/source", "wb") as file:
        file.write(data)
    # Reads, writes files and fills its stdout, which nobody reads, until it is stopped in the middle.
    busy = t.spawn(container.exec_argv("sh", "-c", "echo $$ >/d/pid; while :; do cat /d/source; cat /d/source >/d/busy; done"),
                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    t.need("one writes and reads", wait_until(lambda: os.path.exists(directory + "/pid"), 20))
    for stop in ("STOP", "CONT", "STOP"):
        time.sleep(0.3)
        result = container.sh(f"kill -{stop} -$(cat /d/pid) 2>/dev/null || kill -{stop} $(cat /d/pid)")
        t.equal(f"SIG{stop}", result.status, 0, result)
        result = container.sh("cp /d/source /d/copy && sha256sum /d/copy", timeout=60)
        t.equal(f"after it another copies 16 MiB, and prints", result.out.split()[:1], [sha256(data)], result)
    t.ok("the stopped one is still there", pid_alive(busy.pid))
    with open(directory + "/copy", "rb") as file:
        t.equal("the copy is right on the host", sha256(file.read()), sha256(data))


@test(11, limit=120)
def spliced_output(t):
    """shared files that the kernel itself writes to stdout (sendfile), which locks the pipe while it waits for them"""
    directory = volume(t)
    data = b""
    for number in range(60):
        part = os.urandom(300000)
        data += part
        with open(f"{directory}/{number:02}", "wb") as file:
            file.write(part)
    container = t.start(edit=with_volume(directory))
    # busybox' cat is one sendfile after another
    result = container.sh("for f in /d/??; do cat $f; done; echo end", text=False, timeout=60)
    t.equal("all of it comes", (result.status, sha256(result.out)), (0, sha256(data + b"end\n")), len(result.out))


@test(11, limit=180)
def reader_goes_while_spliced(t):
    """nobody reads any more what the kernel itself writes to stdout: closing that pipe has to wait for the file"""
    directory = volume(t)
    for number in range(8):
        with open(f"{directory}/{number}", "wb") as file:
            file.write(os.urandom(4 * MIB))
    container = t.start(edit=with_volume(directory))
    for number in range(8):
        process = t.spawn(container.exec_argv("cat", f"/d/{number}"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        process.stdout.read(1)
        process.stdout.close()
        t.equal("its process gets SIGPIPE", exit_status(process.wait(30)), 128 + signal.SIGPIPE)
    t.equal("the container lives", container.sh("echo alive").out, "alive\n")


@test(11, limit=300)
def both_directions_full(t):
    """bulk in both directions, and stdio that nobody reads"""
    directory = volume(t)
    container = t.start(edit=with_volume(directory))
    data = os.urandom(MIB) * 64
    with open(directory + "/source", "wb") as file:
        file.write(data)
    floods = [t.spawn(container.exec_argv("sh", "-c", f"dd if=/dev/zero bs=64k count=256 2>/dev/null | tr '\\0' {letter}"),
                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) for letter in "abcd"]
    pumps = [t.spawn(container.exec_argv("sh", "-c", f"cat >/d/pumped{i}"), stdin=subprocess.PIPE) for i in range(2)]
    files = [t.spawn(container.exec_argv("sh", "-c", script), stdout=subprocess.PIPE) for script in
             [f"cat /d/source >/d/written{i} && sha256sum /d/written{i}" for i in range(3)] +
             ["sha256sum /d/source", "cat /d/source | sha256sum"]]
    for pump in pumps:
        pump.stdin.write(data[:16 * MIB])
        pump.stdin.close()
    for number, process in enumerate(files):
        out = process.communicate(timeout=200)[0]
        t.equal(f"reader and writer {number} end, while stdout is full", out.split()[:1], [sha256(data).encode()])
    for i, pump in enumerate(pumps):
        t.equal(f"stdin {i} was taken", pump.wait(60), 0)
        with open(f"{directory}/pumped{i}", "rb") as file:
            t.equal("and is in its file", sha256(file.read()), sha256(data[:16 * MIB]))
    for letter, flood in zip("abcd", floods):
        t.ok(f"{letter}: has not ended before anybody reads it", flood.poll() is None)
        out = flood.communicate(timeout=60)[0]
        t.equal(f"{letter}: then all of it comes", (len(out), sha256(out)), (16 * MIB, sha256(letter.encode() * 16 * MIB)))
    for i in range(3):
        digest = hashlib.sha256()
        with open(f"{directory}/written{i}", "rb") as file:
            shutil.copyfileobj(file, type("Sink", (), {"write": staticmethod(digest.update)}))
        t.equal(f"written{i} is right on the host", digest.hexdigest(), sha256(data))


@test(11, limit=180)
def crowd_that_waits(t):
    """a hundred blocked locks, and files are served"""
    directory = volume(t)
    host, inside = Host(t, directory), Inside(t, directory)
    holders = [Holder(host, kind, "w", "0", "0", "f") for kind in ("flock", "posix")]
    t.need("both kinds are held on the host", all(holder.has_it(10) for holder in holders))
    crowd = t.spawn(inside.argv("crowd", "100", "f"), stdout=subprocess.PIPE)
    t.equal("a hundred processes want them", crowd.stdout.readline(), b"waiting\n")
    time.sleep(1)
    data = os.urandom(MIB) * 32
    with open(directory + "/source", "wb") as file:
        file.write(data)
    started = time.monotonic()
    result = inside.container.sh("cat /d/source >/d/copy && sha256sum /d/copy && ls /d >/dev/null", timeout=60)
    t.equal("files are served meanwhile", result.out.split()[:1], [sha256(data)], result)
    t.note(f"32 MiB copied with a hundred waiting: {time.monotonic() - started:.1f} s")
    t.ok("they still wait", crowd.poll() is None)
    for holder in holders:
        holder.end()
    t.equal("then all get it, one after another", crowd.communicate(timeout=30)[0], b"100\n")


@test(11, limit=60, only="qemu")
def emulated_barriers(t):
    """memory that is shared with an emulated machine: QEMU keeps barriers only where there can be two processors"""
    container = t.start()
    vm, = CURRENT.vms(container.id)
    with open(f"/proc/{vm}/cmdline") as file:
        words = file.read().split("\0")
    if words[words.index("-accel") + 1].startswith("tcg"):
        t.equal("room for a second processor", words[words.index("-smp") + 1], "cpus=1,maxcpus=2")
    t.equal("the container has one", container.sh("nproc").out, "1\n")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@test(11, limit=90, only="qemu")
def requests_past_the_relay(t):
    """the guest's kernel carries requests to the host by itself, and nobody spins when there are none"""
    container = t.start()
    counts = []

    def few():
        """Of the VM's changes of process; by the relay, or any other thread, there are two for each lookup."""
        result = container.sh("""
            switches() { sed -n 's/^ctxt //p' /proc/stat; }
            before=$(switches)
            i=0
            while [ $i -lt 200 ]; do [ -e /etc/absent.$$.$i ]; i=$((i + 1)); done
            echo $(($(switches) - before))""")
        counts.append(int(result.out))
        return counts[-1] < 200

    # where the host is busy the answer may not come while it is looked for
    t.ok("200 lookups need not wake anybody", wait_until(few, 40), counts)
    processes = (*CURRENT.vms(container.id), dict(monitor_of(container.id))["vxn-io"])
    time.sleep(1)
    before = sum(map(cpu_seconds, processes))
    time.sleep(3)
    t.ok("at rest the VM and its io process take less than a third of a processor",
         sum(map(cpu_seconds, processes)) - before < 1, sum(map(cpu_seconds, processes)) - before)


@test(11, only="qemu")
def requests_of_a_container(t):
    """a file system that a container makes itself does not come to the host as one of its shares"""
    directory = volume(t)
    shutil.copy(os.path.join(HERE, "inside_fuse"), directory)

    def edit(config):
        with_volume(directory)(config)
        for names in config["process"]["capabilities"].values():
            names += [name for name in ("CAP_SYS_ADMIN", "CAP_MKNOD") if name not in names]
        config["linux"]["resources"] = {"devices": [{"allow": True, "access": "rwm"}]}

    container = t.start(edit=edit)
    result = container.sh("mknod /dev/fuse c 10 229; mkdir /dev/m; /d/inside_fuse /dev/fuse /dev/m; wc -c </d/inside_fuse")
    size = os.stat(f"{directory}/inside_fuse").st_size
    t.equal("the kernel refuses to carry it, and the share is as it was", (result.status, result.out), (0, f"EPERM\n{size}\n"), result)
