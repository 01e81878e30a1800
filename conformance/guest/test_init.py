#!/usr/bin/env python3
"""Tests of vxn-init in QEMU, without the host's programs. TAP on stdout; exit status 1 on a failure.

test_init.py [--full] [NAME...]: all tests, or those whose name contains one of the words. One VM serves
all tests that do not end it. --full repeats what loses data only now and then 300 times instead of 30.
"""
import copy
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from driver import CONTROL, DATA, HEADER, MORE, PORT_SHIFT, STDIO_WINDOW, Failure, Vm, frame  # noqa: E402

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


# -- processes and their ends

@test
def hello(bed):
    process = bed.start(["echo", "hello"])
    equal(process.code(), 0, "exit code")
    equal(process.stdout.wait_end(), b"hello\n", "stdout")
    equal(process.stderr.wait_end(), b"", "stderr")


@test
def exit_codes(bed):
    for code in (0, 1, 7, 255):
        bed.output("exit %d" % code, code=code)
    sleeper = bed.sleeper()
    bed.end(sleeper)
    process = bed.start("trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done")
    process.stdout.wait_for(b"ready")
    bed.vm.signal(process, signal.SIGTERM)
    equal(process.code(), 9, "exit code of a handler")
    try:
        bed.vm.signal(process, signal.SIGTERM)
        check(False, "signal to an ended process succeeded")
    except Failure as e:
        equal(str(e), "process not running", "error")


@test
def streams_stay_apart(bed):
    process = bed.start("echo out; echo err >&2; echo out2")
    equal(process.code(), 0, "exit code")
    equal(bytes(process.stdout.data), b"out\nout2\n", "stdout")
    equal(bytes(process.stderr.data), b"err\n", "stderr")


@test
def big_data_through_stdin(bed):
    data = os.urandom(1 << 20) * 64
    process = bed.start(["cat"], stdin=True)
    began = time.time()
    check(process.stdin.write(data), "stdin was refused")
    process.stdin.close()
    equal(process.code(120), 0, "exit code")
    took = time.time() - began
    equal(hashlib.sha256(bytes(process.stdout.data)).digest(), hashlib.sha256(data).digest(), "sha256")
    return "%.0f MB/s" % (len(data) / took / 1e6)


@test
def output_rate(bed):
    process = bed.start("dd if=/dev/zero bs=64k count=2048 2>/dev/null")
    began = time.time()
    equal(process.code(120), 0, "exit code")
    equal(len(process.stdout.data), 128 << 20, "bytes")
    return "%.0f MB/s" % (len(process.stdout.data) / (time.time() - began) / 1e6)


@test
def stalled_stream_stops_alone(bed):
    one = bed.start("yes stalled | head -c 4000000; echo done >&2")
    one.stdout.hold = True
    two = bed.start("echo alive")
    equal(two.code(), 0, "exit code of the other")
    time.sleep(0.5)
    check(len(one.stdout.data) <= STDIO_WINDOW, "%d bytes without credit" % len(one.stdout.data))
    check(not one.stderr.data, "the writer was not stopped")
    check(one.status is None, "exit before the output")
    one.stdout.release()
    equal(one.code(), 0, "exit code")
    equal(len(one.stdout.data), 4000000, "bytes")


@test
def exit_waits_for_output_in_the_pipe(bed):
    process = bed.start("head -c 320000 /dev/zero")
    process.stdout.hold = True
    time.sleep(1)
    check(process.status is None, "exit came before the output")
    equal(len(process.stdout.data), STDIO_WINDOW, "bytes under way")
    process.stdout.release()
    equal(process.code(), 0, "exit code")
    equal(process.output_at_exit[0], 320000, "bytes before the exit")


@test
def print_and_exit_loses_nothing(bed):
    sleeper = bed.sleeper()
    text = "i=0; while [ $i -lt 60 ]; do printf %01023d 7; echo; i=$((i+1)); done; exit 3"
    rounds = 300 if "--full" in sys.argv else 30
    for _ in range(rounds):
        process = bed.vm.exec(sleeper.container, bed.spec(text))
        equal(process.code(), 3, "exit code")
        equal(process.output_at_exit[0], 60 * 1024, "bytes before the exit")
    bed.end(sleeper)
    return "%d times" % rounds


@test
def surviving_child_does_not_delay_exit(bed):
    sleeper = bed.sleeper()
    process = bed.vm.exec(sleeper.container, bed.spec("(sleep 2; echo late) & echo now"))
    equal(process.code(1.5), 0, "exit code")
    equal(bytes(process.stdout.data), b"now\n", "stdout at the exit")
    check(not process.stdout.ended, "END although a child has stdout open")
    equal(process.stdout.wait_end(), b"now\nlate\n", "stdout in the end")
    bed.end(sleeper)


@test
def end_of_stdin(bed):
    process = bed.start("wc -c; echo end", stdin=True)
    process.stdin.write(b"12345")
    time.sleep(0.3)
    check(process.status is None, "ended before its stdin")
    process.stdin.close()
    equal(process.code(), 0, "exit code")
    equal(bytes(process.stdout.data), b"5\nend\n", "stdout")


@test
def no_stdin_is_dev_null(bed):
    equal(bed.output("readlink /proc/self/fd/0; cat"), "/dev/null\n", "stdin")


@test
def reader_of_stdin_gone(bed):
    process = bed.start("exec <&-; echo closed; sleep 1", stdin=True)
    process.stdout.wait_for(b"closed")
    process.stdin.wait(lambda s: s.reset, 5, "RESET of stdin")
    equal(process.code(), 0, "exit code")


@test
def reset_of_stdout_is_sigpipe(bed):
    process = bed.start("yes; echo $? >&2")
    process.stdout.wait_for(b"y\n")
    process.stdout.send_reset()
    equal(process.code(), 0, "exit code")
    equal(bytes(process.stderr.data), b"141\n", "status of the writer")
    check(process.stdout.ended, "no END after the RESET")


@test
def early_stdin(bed):
    """Data and its end when the container is created, before its process is started."""
    vm = bed.machine()
    config = copy.deepcopy(BASE)
    config["process"]["args"] = ["cat"]
    container = bed.id()
    process = vm.create(container, config, bed.root, stdin=True)
    process.stdin.write(b"early")
    process.stdin.close()
    vm.start(container)
    equal(process.code(), 0, "exit code")
    equal(bytes(process.stdout.data), b"early", "stdout")


@test
def shared_pipe(bed):
    """stdout and stderr as one stream, without a terminal."""
    vm = bed.machine()
    config = copy.deepcopy(BASE)
    config["process"]["args"] = ["sh", "-c", "echo a; echo b >&2; echo c"]
    make = vm.new_process

    def new_process(terminal, stdin):
        process = make(terminal, stdin)
        process.stderr = process.stdout
        return process
    vm.new_process = new_process
    try:
        process = vm.run(bed.id(), config, bed.root)
    finally:
        del vm.new_process
    equal(process.code(), 0, "exit code")
    equal(bytes(process.stdout.data), b"a\nb\nc\n", "output")


# -- errors

def fails(bed, words, edit=None, args=None, where="create"):
    try:
        bed.start(args or ["true"], edit=edit)
    except Failure as e:
        for word in words:
            check(word in str(e), "error %r, expected %r in it" % (str(e), word))
        return
    raise Failure("%s did not fail: %s" % (where, words))


@test
def errors_of_create(bed):
    fails(bed, ['exec: "nothing": executable file not found in $PATH'], args=["nothing"])
    fails(bed, ['exec: "/bin/nothing": stat /bin/nothing: no such file or directory'], args=["/bin/nothing"])
    fails(bed, ['exec: "/etc/notexec": permission denied'], args=["/etc/notexec"])
    fails(bed, ['chdir to cwd ("/etc/passwd") set in config.json failed'],
          lambda c: c["process"].update(cwd="/etc/passwd"))
    fails(bed, ["/etc/nothing-like-this", "nofs"], lambda c: c["mounts"].append(
        {"destination": "/etc/nothing-like-this", "type": "nofs", "source": "x"}))
    fails(bed, ["/etc/passwd/x"], lambda c: c["mounts"].append(
        {"destination": "/etc/passwd/x", "type": "tmpfs", "source": "x"}))
    bed.output(["true"])


@test
def errors_of_start(bed):
    config = copy.deepcopy(BASE)
    config["process"]["args"] = ["badformat"]
    container = bed.id()
    process = bed.machine().create(container, config, bed.root)
    try:
        bed.vm.start(container)
        check(False, "start of a bad format succeeded")
    except Failure as e:
        check("Exec format error" in str(e), "error %r" % str(e))
    equal(process.code(), 1, "exit code")


@test
def errors_of_exec(bed):
    sleeper = bed.sleeper()
    for spec, words in ((bed.spec(["nothing"]), "executable file not found in $PATH"),
                        (bed.spec(["true"], cwd="/nowhere"), "chdir to cwd"),
                        (bed.spec(["badformat"]), "Exec format error")):
        try:
            bed.vm.exec(sleeper.container, spec)
            check(False, "exec succeeded: %s" % words)
        except Failure as e:
            check(words in str(e), "error %r, expected %r" % (str(e), words))
    bed.end(sleeper)
    try:
        bed.vm.exec(sleeper.container, bed.spec(["true"]))
        check(False, "exec in an ended container succeeded")
    except Failure as e:
        check(sleeper.container in str(e), "error %r" % str(e))


@test
def kill_before_start(bed):
    config = copy.deepcopy(BASE)
    container = bed.id()
    process = bed.machine().create(container, config, bed.root)
    bed.vm.signal(process, signal.SIGKILL)
    equal(process.code(), 137, "exit code")
    try:
        bed.vm.start(container)
        check(False, "start of a dead container succeeded")
    except Failure:
        pass


# -- what a process is

@test
def user_and_groups(bed):
    def edit(config):
        config["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [7, 1234], "umask": 0o27}
    equal(bed.output("id -u; id -g; id -G; umask; echo $HOME; echo x > /dev/stdout", edit),
          "1000\n1001\n1001 7 1234\n0027\n/home\nx\n", "user")
    equal(bed.output("umask; echo $HOME; echo $A; pwd"), "0022\n/root\nb c\n/\n", "root")
    equal(bed.output("pwd; echo $HOME", lambda c: c["process"].update(
        cwd="/made/here", env=["PATH=/bin", "HOME=/x"])), "/made/here\n/x\n", "cwd")


def status_of(bed, edit=None):
    text = bed.output(["cat", "/proc/self/status"], edit)
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@test
def capabilities(bed):
    numbers = {0, 1, 3, 4, 5, 10, 31, 7, 6, 8, 18}
    mask = "%016x" % sum(1 << n for n in numbers)
    status = status_of(bed)
    equal([status[k] for k in ("CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp")],
          [mask, mask, mask, "0" * 16, "0" * 16, "0", "0"], "sets of root")
    equal(status["SigBlk"] + status["SigIgn"], "0" * 32, "signals")

    def edit(config):
        config["process"]["user"] = {"uid": 1000, "gid": 1000}
        for name in ("inheritable", "ambient", "bounding", "permitted", "effective"):
            config["process"]["capabilities"][name] = ["CAP_NET_BIND_SERVICE", "CAP_KILL"]
        config["process"]["noNewPrivileges"] = True
    status = status_of(bed, edit)
    mask = "%016x" % (1 << 10 | 1 << 5)
    equal([status[k] for k in ("CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb", "NoNewPrivs")],
          [mask] * 5 + ["1"], "sets of a user")
    status = status_of(bed, lambda c: c["process"].pop("capabilities"))
    equal(status["CapBnd"] + status["CapEff"], "0" * 32, "sets without capabilities in config.json")


@test
def limits_and_scores(bed):
    def edit(config):
        config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 2000000},
                                        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
        config["process"]["oomScoreAdj"] = 321
    equal(bed.output("ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj", edit),
          "77\n2000000\n0\n321\n", "limits")
    equal(bed.output(["cat", "/proc/self/oom_score_adj"]), "0\n", "default oom_score_adj")


@test
def nothing_leaks_in(bed):
    equal(bed.output("ls /proc/self/fd | tr '\\n' ' '; [ $(ls -d /proc/[0-9]* | wc -l) -lt 6 ] && echo few"),
          "0 1 2 3 few\n", "fds, processes")
    equal(bed.output("cat /proc/self/cgroup; hostname; echo $$; cat /proc/mounts | grep -c initramfs; ls /sys/fs/cgroup | "
                     "grep -c cgroup.kill"), "0::/\nguest\n1\n0\n1\n", "namespaces")
    equal(bed.output("cat /sys/class/net/lo/operstate; ip -o addr show lo | grep -c 127.0.0.1"), "unknown\n1\n", "lo")


@test
def big_config(bed):
    def edit(config):
        config["annotations"] = {"k%d" % i: "v" * 30000 for i in range(100)}
    equal(bed.output(["echo", "big"], edit), "big\n", "output")


# -- files

@test
def mounts_as_podman_has_them(bed):
    text = bed.output(["cat", "/proc/mounts"])
    found = {line.split()[1]: line.split() for line in text.splitlines()}
    for mount in MOUNTS:
        check(mount["destination"] in found, "%s is not mounted: %s" % (mount["destination"], text))
    equal(found["/dev/shm"][2], "tmpfs", "/dev/shm")
    equal(found["/sys/fs/cgroup"][2], "cgroup2", "cgroup")
    check("ro" in found["/sys"][3].split(","), "sysfs is writable")
    check("noexec" in found["/dev/shm"][3].split(","), "/dev/shm has no noexec")
    check("ro" in found["/proc/sys"][3].split(","), "/proc/sys is writable")
    equal(bed.output("stat -c %a /dev/shm /dev/null /dev/tty; for f in ptmx fd stdin core; do readlink /dev/$f; done"),
          "1777\n666\n666\npts/ptmx\n/proc/self/fd\n/proc/self/fd/0\n/proc/kcore\n", "/dev")
    equal(bed.output("cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/hostname || echo no"),
          "0\n0\nno\n", "hidden paths")


@test
def root_is_live(bed):
    process = bed.start("echo inside > /tmp/from-inside; while [ ! -f /tmp/from-host ]; do sleep 0.1; done; "
                        "cat /tmp/from-host; mv /tmp/from-inside /tmp/moved; chmod 600 /tmp/moved; ln /tmp/moved "
                        "/tmp/linked; ln -s moved /tmp/symlinked; cat /tmp/symlinked; mkdir /tmp/d; rmdir /tmp/d; "
                        "rm /tmp/linked; ls /tmp")
    end = time.time() + 10
    while not os.path.exists(bed.root + "/tmp/from-inside") and time.time() < end:
        time.sleep(0.05)
    bed.write("tmp/from-host", "host\n")
    equal(process.code(), 0, "exit code")
    equal(bytes(process.stdout.data), b"host\ninside\nfrom-host\nmoved\nsymlinked\n", "output")
    equal(os.stat(bed.root + "/tmp/moved").st_mode & 0o777, 0o600, "mode on the host")
    for name in os.listdir(bed.root + "/tmp"):
        os.unlink(bed.root + "/tmp/" + name)


@test
def readonly_root(bed):
    def edit(config):
        config["root"]["readonly"] = True
        config["mounts"].append({"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["rw"]})
        config["mounts"].append({"destination": "/rot", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]})
    equal(bed.output("echo x > /x || echo refused; echo y > /run/y && cat /run/y; echo z > /rot/z || echo refused; "
                     "echo q > /dev/q && echo dev", edit), "refused\ny\nrefused\ndev\n", "output")


@test
def volumes(bed):
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        with open(d + "/f", "w") as f:
            f.write("file\n")

        def edit(config):
            config["mounts"] += [
                {"destination": "/deep/d", "type": "bind", "source": d, "options": ["rbind", "nosuid"]},
                {"destination": "/etc/f", "type": "bind", "source": d + "/f", "options": ["bind", "ro"]},
                {"destination": "/link/to", "type": "bind", "source": d, "options": ["bind", "ro", "rprivate"]},
            ]
        if not os.path.islink(bed.root + "/link"):
            os.symlink("/../../etc", bed.root + "/link")
        equal(bed.output("cat /etc/f; echo x > /etc/f || echo refused; echo new > /deep/d/new; cat /deep/d/new; "
                         "ls /etc/to; grep ' /deep/d ' /proc/mounts | grep -c nosuid; echo x > /etc/to/x || echo ro", edit),
              "file\nrefused\nnew\nf\nnew\n1\nro\n", "output")
        with open(d + "/new") as f:
            equal(f.read(), "new\n", "file on the host")


@test
def tmpfs_copy_up(bed):
    def edit(config):
        config["mounts"].append({"destination": "/copy", "type": "tmpfs", "source": "tmpfs",
                                 "options": ["rw", "size=1m", "tmpcopyup"]})
    equal(bed.output("cat /copy/a /copy/below/b /copy/link; stat -c %a /copy/a; echo x > /copy/a; cat /copy/a", edit),
          "copied\ndeep\ncopied\n640\nx\n", "output")
    with open(bed.root + "/copy/a") as f:
        equal(f.read(), "copied\n", "the image's file")


@test
def file_rates(bed):
    path = bed.root + "/big"
    with open(path, "wb") as f:
        f.write(os.urandom(1 << 20) * 64)
    process = bed.start("cat /big > /dev/null; echo cold; cat /big > /dev/null; echo warm; "
                        "dd if=/dev/zero of=/big2 bs=1M count=32 2>/dev/null; echo written; sha256sum /big; "
                        "cat /sys/class/bdi/$(stat -c %d / | awk '{print int($1/256) \":\" $1%256}')/read_ahead_kb")
    times = [time.time()]
    for word in (b"cold", b"warm", b"written"):
        process.stdout.wait_for(word, 60)
        times.append(time.time())
    equal(process.code(60), 0, "exit code")
    with open(path, "rb") as f:
        check(hashlib.sha256(f.read()).hexdigest().encode() in process.stdout.data, "wrong data")
    equal(os.stat(bed.root + "/big2").st_size, 32 << 20, "size of the written file")
    equal(bytes(process.stdout.data).split()[-1], b"1024", "read_ahead_kb")
    os.unlink(path)
    os.unlink(bed.root + "/big2")
    rates = [size / (b - a) for size, a, b in zip((64, 64, 32), times, times[1:])]
    return "cold %.0f, warm %.0f, write %.0f MiB/s" % tuple(rates)


@test
def mmap_under_pressure(bed):
    """Dirty pages of a shared file and a container that uses all its memory: nothing may hang."""
    def edit(config):
        config["linux"]["resources"] = {"memory": {"limit": 24 << 20}}
    text = ("dd if=/dev/zero of=/tmp/p bs=1M count=40 2>/dev/null; dd if=/tmp/p of=/tmp/q bs=1M 2>/dev/null; "
            "ls -l /tmp/q | awk '{print $5}'; rm /tmp/p /tmp/q; tail /dev/zero; echo $?")
    equal(bed.output(text, edit, timeout=120), "41943040\n137\n", "output")


@test
def machine_out_of_memory(bed):
    """Without a limit of its own, a container takes all there is, while files are being written."""
    with Vm(memory=96) as vm:
        config = copy.deepcopy(BASE)
        config["process"]["args"] = ["sh", "-c", "dd if=/dev/zero of=/tmp/p bs=64k count=1000 2>/dev/null & tail /dev/zero; "
                                     "echo $?; wait; ls -l /tmp/p | awk '{print $5}'; rm /tmp/p; tail /dev/zero; echo $?"]
        process = vm.run("c", config, bed.root)
        equal(process.code(120), 0, "exit code")
        equal(bytes(process.stdout.data), b"137\n65536000\n137\n", "output")


# -- terminal

def with_terminal(config):
    config["process"].update(terminal=True, consoleSize={"width": 80, "height": 25})


@test
def terminal(bed):
    process = bed.start("tty; stty size; readlink /proc/self/fd/0; ls -l /dev/console | cut -c1; "
                        "echo $TERM; echo on-console > /dev/console; read x; stty size; read y; echo got $y; exit 4",
                        edit=with_terminal)
    process.stdout.wait_for(b"on-console")
    bed.vm.resize(process, 132, 43)
    time.sleep(0.2)
    process.stdin.write(b"\n")
    process.stdout.wait_for(b"43 132")
    process.stdin.write(b"line\n")
    equal(process.code(), 4, "exit code")
    text = bytes(process.stdout.data).replace(b"\r\n", b"\n").decode()
    equal(text, "/dev/pts/0\n25 80\n/dev/pts/0\nc\nxterm\non-console\n\n43 132\nline\ngot line\n", "output")
    process.stdout.wait_end()


@test
def terminal_keys(bed):
    process = bed.start("trap 'echo interrupted' INT; echo ready; cat; echo eof; sleep 100; echo $?", edit=with_terminal)
    process.stdout.wait_for(b"ready")
    process.stdin.write(b"\x04")
    process.stdout.wait_for(b"eof")
    time.sleep(0.3)
    process.stdin.write(b"\x03")
    process.stdout.wait_for(b"interrupted")
    equal(process.code(), 0, "exit code")


@test
def terminal_output_complete(bed):
    sleeper = bed.sleeper()
    for _ in range(10):
        process = bed.vm.exec(sleeper.container, bed.spec(
            "i=0; while [ $i -lt 60 ]; do printf %01022d 7; echo; i=$((i+1)); done", terminal=True))
        equal(process.code(), 0, "exit code")
        equal(process.output_at_exit[0], 60 * 1024, "bytes before the exit")
    bed.end(sleeper)


@test
def terminal_hangup(bed):
    process = bed.start("trap 'exit 5' HUP; echo ready; while :; do sleep 0.1; done", edit=with_terminal)
    process.stdout.wait_for(b"ready")
    process.stdout.send_reset()
    equal(process.code(), 5, "exit code")


@test
def job_control(bed):
    process = bed.start(["sh", "-i"], edit=with_terminal)
    process.stdin.write(b"sleep 100\n")
    time.sleep(0.7)
    process.stdin.write(b"\x1a")
    process.stdout.wait_for(b"Stopped")
    process.stdin.write(b"fg\n")
    time.sleep(0.5)
    process.stdin.write(b"\x03")
    time.sleep(0.3)
    process.stdin.write(b"exit 6\n")
    equal(process.code(), 6, "exit code")


# -- exec

@test
def exec_in_container(bed):
    sleeper = bed.sleeper()
    process = bed.vm.exec(sleeper.container, bed.spec(
        "cat; hostname; cat /proc/1/cmdline | tr '\\0' ' '; cat /proc/self/cgroup; exit 12"), stdin=True)
    process.stdin.write(b"in\n")
    process.stdin.close()
    equal(process.code(), 12, "exit code")
    equal(bytes(process.stdout.data), b"in\nguest\nsleep 1000 0::/\n", "output")
    process = bed.vm.exec(sleeper.container, bed.spec("tty; id -u", terminal=True, user={"uid": 1000, "gid": 5}))
    equal(process.code(), 0, "exit code")
    equal(bytes(process.stdout.data), b"/dev/pts/0\r\n1000\r\n", "output with a terminal")
    two = [bed.vm.exec(sleeper.container, bed.spec("sleep 0.5; echo %d; exit %d" % (i, i))) for i in (1, 2)]
    for i, process in enumerate(two, 1):
        equal(process.code(), i, "exit code")
    left = bed.vm.exec(sleeper.container, bed.spec(["sleep", "1000"]))
    bed.end(sleeper)
    equal(left.code(), 137, "exit code of what was left")


@test
def signal_all(bed):
    process = bed.start("trap 'exit 3' USR1; (trap 'echo child; exit' USR1; while :; do sleep 0.1; done) & echo ready; "
                        "while :; do sleep 0.1; done")
    process.stdout.wait_for(b"ready")
    time.sleep(0.3)
    bed.vm.signal_all(process.container, signal.SIGKILL)
    equal(process.code(), 137, "exit code")


@test
def containers_leave_nothing(bed):
    """What the VM has before and after 20 containers, seen by a last one."""
    text = "cat /proc/sys/fs/file-nr | cut -f1; ls /sys/class/bdi | grep -c ^0:; ls -d /proc/[0-9]* | wc -l"

    def edit(config):
        config["linux"]["maskedPaths"] = []
    bed.output(text, edit)
    before = [int(n) for n in bed.output(text, edit).split()]
    for _ in range(20):
        bed.output(["true"])
    after = [int(n) for n in bed.output(text, edit).split()]
    check(after[0] <= before[0] + 64 and after[1:] == before[1:], "before %s, after %s" % (before, after))


@test
def many_at_once(bed):
    processes = [bed.start("sleep 1; echo %d; exit %d" % (i, i)) for i in range(5)]
    for i, process in enumerate(processes):
        equal(process.code(), i, "exit code")
        equal(bytes(process.stdout.data), b"%d\n" % i, "output")


# -- the VM's own end; each in a VM of its own

@test
def closing_the_channel_powers_off(bed):
    with Vm() as vm:
        process = vm.run("c", BASE, bed.root)
        process.code()
        began = time.time()
        check(vm.close(), "the VM is still on")
        return "%.0f ms" % ((time.time() - began) * 1000)


@test
def garbage_ends_the_vm(bed):
    for port, garbage in ((0, b"\xff" * 64), (0, HEADER.pack(1 << 20, DATA, 0, 0, 5)), (0, frame(CONTROL, 0, b"{")),
                          (0, frame(CONTROL, 0, b"x" * 65536, MORE) * 65), (3, b"\xff" * 64),
                          (2, frame(DATA, 1 << PORT_SHIFT | 1, b"x"))):
        with Vm() as vm:
            try:
                vm.raw(garbage, port)
            except OSError:
                pass
            try:
                vm.wait_off(20)
            except subprocess.TimeoutExpired:
                raise Failure("the VM is still on after %r" % garbage[:20])
            check("vxn-init: relay:" in vm.console(), "no word about it: %r" % vm.console()[-300:])


@test
def one_port(bed):
    """A channel of one port carries everything."""
    with Vm(ports=1) as vm:
        config = copy.deepcopy(BASE)
        config["process"]["args"] = ["sh", "-c", "cat; echo error >&2; exit 3"]
        data = random.Random(1).randbytes(1 << 20)
        process = vm.run("c", config, bed.root, stdin=True)
        process.stdin.write(data)
        process.stdin.close()
        equal(process.code(), 3, "exit code")
        check(bytes(process.stdout.data) == data, "stdout is not what went in")
        equal(bytes(process.stderr.data), b"error\n", "stderr")
        equal(process.output_at_exit, [len(data), 6], "output before the exit")


@test
def other_version(bed):
    with Vm(greet=False) as vm:
        vm.greet(version=99)
        equal(vm.hello[:4], b"\1\0\0\0", "the guest's version")
        vm.wait_off()


@test
def boots_in_40_mib(bed):
    with Vm(memory=40, ports=2) as vm:
        process = vm.run("c", BASE, bed.root)
        equal(process.code(), 0, "exit code")
        return "boot to HELLO %.2f s" % (vm.greeted - vm.booted)


def main():
    wanted = [word for word in sys.argv[1:] if not word.startswith("--")]
    tests = [t for t in TESTS if not wanted or any(w in t.__name__ for w in wanted)]
    bed, failed = Bed(), 0
    print("1..%d" % len(tests))
    for number, function in enumerate(tests, 1):
        began = time.time()
        try:
            note = function(bed)
            if bed.vm and bed.vm.violation:
                raise Failure("the guest broke the protocol: %s" % bed.vm.violation)
            print("ok %d - %s # %.1f s%s" % (number, function.__name__, time.time() - began, ", " + note if note else ""))
        except Exception as e:  # a broken test is a failed test
            failed += 1
            print("not ok %d - %s: %s" % (number, function.__name__, e))
            if not isinstance(e, Failure):
                print("# " + traceback.format_exc().replace("\n", "\n# "))
            if bed.vm:
                print("# console: " + bed.vm.console()[-2000:].replace("\n", "\n# console: "))
                bed.vm.kill()
                bed.vm = None
        sys.stdout.flush()
    bed.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
