"""The harness of the end-to-end tests. They run in the box's Dom0 (Xen) and on the plain machine (QEMU), the same
tests in both.

A test is a function with the decorator `test`; it gets a Context, with which it makes bundles, runs the
runtime and the engines, and makes checks: each check is one line of TAP, so that many checks can share one
running container. A test that raises is one failed check more. After each test everything it started is
ended, whatever it did, and its time limit holds for all of it.

The runtime under test is vxn-runc, or another one (--runtime crun) to prove the tests themselves."""
import contextlib
import copy
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from hypervisor import CURRENT

IMAGE = "localhost/busybox"
ROOTFS = "/srv/busybox/rootfs"
SETTINGS = "/etc/vxn/config.json"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

TESTS = []
CYCLES = 20  # how many containers one after another have to leave nothing


class Test:
    def __init__(self, function, point, limit, full, vxn, only):
        self.function = function
        self.name = function.__name__
        self.title = (function.__doc__ or self.name).strip().split("\n")[0]
        self.point = point
        self.limit = limit
        self.full = full
        self.vxn = vxn
        self.only = only


def test(point, limit=120, full=False, vxn=False, only=None):
    """point: number in the issue. limit: seconds. full: only with --full. vxn: tests what only vxn-runc has. only: the
    one hypervisor that it is about."""

    def register(function):
        TESTS.append(Test(function, point, limit, full, vxn, only))
        return function

    return register


class Failed(Exception):
    """A check failed without which the rest of the test makes no sense."""


class TimeLimit(BaseException):
    """Not an Exception, so that no `except Exception` of a test swallows it."""


class Report:
    """Numbers and prints the checks as TAP, at once."""

    def __init__(self):
        self.count = self.failed = self.skipped = 0
        self.started = time.monotonic()

    def line(self, verdict, name, comment=""):
        self.count += 1
        name = name.replace("#", "number ")
        print(f"{verdict} {self.count} - {name}{comment}", flush=True)

    def ok(self, name):
        self.line("ok", name)

    def fail(self, name, detail):
        self.failed += 1
        self.line("not ok", name)
        for text in str(detail).rstrip("\n").split("\n")[:60]:
            print(f"#   {text[:500]}", flush=True)

    def skip(self, name, reason):
        self.skipped += 1
        self.line("ok", name, f" # SKIP {reason}")

    def note(self, text):
        print(f"# {text}", flush=True)


class Result:
    """How a command ended: status (128+n when signal n ended it), out and err as text or bytes."""

    def __init__(self, command, status, out, err, seconds):
        self.command = command
        self.status = status
        self.out = out
        self.err = err
        self.seconds = seconds

    def __str__(self):
        return (f"{' '.join(map(str, self.command))}\n -> status {self.status} after {self.seconds:.1f} s\n"
                f"stdout: {self.out!r:.1500}\nstderr: {self.err!r:.1500}")


def exit_status(returncode):
    return 128 - returncode if returncode < 0 else returncode


class Context:
    def __init__(self, report, runtime, test_, full, seed):
        self.report = report
        self.runtime = runtime
        self.test = test_
        self.full = full
        # The same draw for a test whatever else runs.
        self.random = random.Random(f"{seed} {test_.name}")
        self.directory = tempfile.mkdtemp(prefix="e2e-", dir="/tmp")
        self.log = os.path.join(self.directory, "log")
        self.stack = contextlib.ExitStack()
        self.containers = []
        self.pods = []
        self.tasks = []
        self.processes = []
        self.number = 0

    @property
    def is_vxn(self):
        return self.runtime == "vxn-runc"

    # --- checks

    def ok(self, name, condition, detail=""):
        name = f"{self.test.point} {self.test.name}: {name}"
        if condition:
            self.report.ok(name)
        else:
            self.report.fail(name, str(detail) + self.log_tail())
        return bool(condition)

    def equal(self, name, got, wanted, detail=""):
        return self.ok(name, got == wanted, f"got    {got!r:.2000}\nwanted {wanted!r:.2000}\n{detail}")

    def need(self, name, condition, detail=""):
        if not self.ok(name, condition, detail):
            raise Failed

    def skip(self, name, reason):
        self.report.skip(f"{self.test.point} {self.test.name}: {name}", reason)

    def note(self, text):
        self.report.note(text)

    def log_tail(self):
        try:
            with open(self.log, errors="replace") as file:
                lines = file.read().split("\n")[-12:]
        except OSError:
            return ""
        return "\n--log:\n" + "\n".join(lines) if any(lines) else ""

    def some(self, items, count):
        """All of them with --full, else `count` drawn by the seed, in their order."""
        items = list(items)
        if self.full or count >= len(items):
            return items
        chosen = sorted(self.random.sample(range(len(items)), count))
        return [items[i] for i in chosen]

    # --- commands

    def command(self, argv, input=None, text=True, timeout=60, **options):
        """Runs argv to its end with its output captured; input goes to its stdin, which is empty without."""
        started = time.monotonic()
        if input is None:
            options.setdefault("stdin", subprocess.DEVNULL)
        else:
            options["stdin"] = subprocess.PIPE
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen([str(word) for word in argv], text=text, **options)
        self.processes.append(process)
        try:
            out, err = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired as expired:
            process.kill()
            try:
                out, err = process.communicate(timeout=2)
            except subprocess.TimeoutExpired:
                out, err = expired.output, expired.stderr
            result = Result(argv, "none: killed by the harness", out, err, time.monotonic() - started)
            raise Failed(f"no end within {timeout} s: {result}") from None
        finally:
            self.processes.remove(process)
        return Result(argv, exit_status(process.returncode), out, err, time.monotonic() - started)

    def spawn(self, argv, **options):
        """Starts argv; it is ended after the test at the latest."""
        process = subprocess.Popen([str(word) for word in argv], **options)
        self.processes.append(process)
        return process

    def runtime_argv(self, *words):
        return [self.runtime, "--log", self.log, *words]

    def rt(self, *words, **options):
        """The runtime under test."""
        return self.command(self.runtime_argv(*words), **options)

    def podman(self, *words, **options):
        return self.command(["podman", "--runtime", self.runtime, *words], **options)

    def podman_run(self, *words, name=None, **options):
        """podman run; the container is removed after the test."""
        name = name or self.new_id()
        self.pods.append(name)
        return self.command(["podman", "--runtime", self.runtime, "run", "--name", name, *words], **options)

    def ctr_run(self, *words, id=None, options=()):
        id = id or self.new_id()
        self.tasks.append(id)
        return ["ctr", "run", "--runtime", "io.containerd.runc.v2", "--runc-binary", self.runtime, *options,
                IMAGE + ":latest", id, *words]

    # --- bundles and containers

    def new_id(self):
        self.number += 1
        return f"e2e-{self.test.name.replace('_', '-')}-{self.number}"

    def file(self, name, content="", mode=0o644):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, mode)
        return path

    def folder(self, name):
        path = os.path.join(self.directory, name)
        os.makedirs(path, exist_ok=True)
        return path

    def rootfs_copy(self, name="rootfs"):
        path = os.path.join(self.directory, name)
        shutil.copytree(ROOTFS, path, symlinks=True)
        return path

    def bundle(self, args, edit=None, rootfs=ROOTFS, readonly=True, terminal=False):
        """A bundle directory; edit(config) may change the config.json before it is written."""
        self.number += 1
        path = self.folder(f"bundle-{self.number}")
        config = default_config(args, rootfs, readonly, terminal)
        if edit:
            edit(config)
        with open(os.path.join(path, "config.json"), "w") as file:
            json.dump(config, file, indent=1)
        return path

    def claim(self, id=None):
        """An id that is deleted after the test."""
        id = id or self.new_id()
        self.containers.append(id)
        return id

    def run(self, args, id=None, edit=None, rootfs=ROOTFS, readonly=True, **options):
        """`run` of a bundle to its end."""
        bundle = self.bundle(args, edit, rootfs, readonly)
        return self.rt("run", "--bundle", bundle, self.claim(id), **options)

    def create(self, bundle, id, *options, stdout=None, **rest):
        """`create`, whose stdio the container keeps: so a file takes its stderr, and the container's. stdout: /dev/null
        if there is none."""
        path = os.path.join(bundle, "stderr")
        with open(os.devnull, "r+b") as null, open(path, "w") as errors:
            result = self.rt("create", "--bundle", bundle, *options, id, stdin=null, stdout=stdout or null, stderr=errors,
                             **rest)
        with open(path, errors="replace") as file:
            result.err = file.read()
        return result

    def start(self, args=("sleep", "1000"), edit=None, rootfs=ROOTFS, readonly=True, id=None):
        """A container in the background, created and started, with /dev/null as its stdio."""
        container = Container(self, self.claim(id), self.bundle(list(args), edit, rootfs, readonly))
        result = self.create(container.bundle, container.id, "--pid-file", container.pid_file)
        if result.status:
            raise Failed(f"create failed: {result}")
        result = self.rt("start", container.id)
        if result.status:
            raise Failed(f"start failed: {result}")
        return container

    @contextlib.contextmanager
    def settings(self, **members):
        """Other settings in /etc/vxn/config.json for a while."""
        try:
            with open(SETTINGS) as file:
                before = file.read()
        except FileNotFoundError:
            before = None
        now = json.loads(re.sub(r"(?m)^\s*//.*$", "", before)) if before else {}
        now.update(members)
        now = {key: value for key, value in now.items() if value is not None}
        try:
            os.makedirs(os.path.dirname(SETTINGS), exist_ok=True)
            with open(SETTINGS, "w") as file:
                json.dump(now, file)
            yield
        finally:
            if before is None:
                os.unlink(SETTINGS)
            else:
                with open(SETTINGS, "w") as file:
                    file.write(before)

    # --- the end

    def quietly(self, argv, timeout=30):
        try:
            subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            self.note(f"cleanup: {' '.join(argv)} did not end within {timeout} s")

    def cleanup(self):
        self.stack.close()
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    with contextlib.suppress(OSError):
                        stream.close()
        for id in self.containers:
            if os.path.isdir(os.path.join(state_root(self.runtime), id)):
                self.quietly([self.runtime, "delete", "--force", id])
        left = set(names_of_podman()) if self.pods else set()
        for name in self.pods:
            if name in left:
                self.quietly(["podman", "--runtime", self.runtime, "rm", "-f", "-t", "0", name])
        for id in self.tasks:
            if os.path.isdir(f"/run/containerd/io.containerd.runtime.v2.task/default/{id}"):
                self.quietly(["ctr", "task", "rm", "-f", id])
            self.quietly(["ctr", "container", "rm", id])
        shutil.rmtree(self.directory, ignore_errors=True)


def state_root(runtime):
    return "/run/" + runtime


def names_of_podman():
    result = subprocess.run(["podman", "ps", "-a", "--format", "{{.Names}}"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60, check=False)
    return result.stdout.split()


class Container:
    """One that the runtime runs in the background."""

    def __init__(self, context, id, bundle):
        self.context = context
        self.id = id
        self.bundle = bundle
        self.pid_file = os.path.join(bundle, "pid")

    @property
    def pid(self):
        with open(self.pid_file) as file:
            return int(file.read())

    def exec_argv(self, *args, options=()):
        return self.context.runtime_argv("exec", *options, self.id, *args)

    def exec(self, *args, options=(), **rest):
        return self.context.command(self.exec_argv(*args, options=options), **rest)

    def sh(self, script, **rest):
        return self.exec("sh", "-c", script, **rest)

    def state(self):
        """The parsed state, or None when there is none."""
        result = self.context.rt("state", self.id)
        return json.loads(result.out) if result.status == 0 else None

    def status(self):
        state = self.state()
        return state["status"] if state else None

    def wait_stopped(self, seconds=10):
        return wait_until(lambda: self.status() in ("stopped", None), seconds)


def wait_until(condition, seconds=10, interval=0.1):
    """The condition's first true value, or its last one."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(interval)


def pid_alive(pid):
    """Runs: neither gone nor a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sha256(data):
    return hashlib.sha256(data).hexdigest()


CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_NET_RAW", "CAP_SETGID",
                "CAP_SETUID", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL"]


def default_config(args, rootfs, readonly, terminal):
    """What engines write, with the mounts of podman's default and a root file system that all tests share."""
    return copy.deepcopy({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": terminal,
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": ["PATH=" + PATH, "HOME=/root"],
            "cwd": "/",
            "capabilities": {name: CAPABILITIES for name in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": False,
        },
        "root": {"path": rootfs, "readonly": readonly},
        "hostname": "e2e",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]},
        ],
        "linux": {
            "namespaces": [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })


def raise_time_limit(_signal, _frame):
    raise TimeLimit


def run_test(test_, report, runtime, full, seed):
    context = Context(report, runtime, test_, full, seed)
    name = f"{test_.point} {test_.name}"
    before, started = report.count, time.monotonic()
    signal.signal(signal.SIGALRM, raise_time_limit)
    try:
        signal.alarm(test_.limit)
        try:
            test_.function(context)
            if report.count == before:
                report.fail(name, "made no check")
        finally:
            signal.alarm(0)
    except TimeLimit:
        at = traceback.extract_tb(sys.exc_info()[2])
        line = next((frame for frame in reversed(at) if "test_" in frame.filename), at[-1])
        report.fail(f"{name}: ends in time", f"no end after {test_.limit} s, in line {line.lineno}: {line.line}"
                    + context.log_tail())
    except Failed as error:
        if error.args:
            report.fail(f"{name}: goes on", str(error) + context.log_tail())
    except Exception:  # pylint: disable=broad-except
        report.fail(f"{name}: goes on", traceback.format_exc() + context.log_tail())
    finally:
        signal.alarm(0)
    with contextlib.suppress(TimeLimit):
        signal.alarm(120)
        context.cleanup()
    signal.alarm(0)
    report.note(f"{name}: {time.monotonic() - started:.1f} s")


# Of points whose tests need little of a hypervisor, so many are drawn where each container takes seconds.
DRAWN_ON_XEN = {17: 10, 18: 3, 19: 2}


def left_out(seed):
    """The tests that a sampled run on Xen does without."""
    names = set()
    for point, count in DRAWN_ON_XEN.items():
        of_point = [test_.name for test_ in TESTS if test_.point == point]
        drawn = random.Random(f"{seed} {point}").sample(of_point, min(count, len(of_point)))
        names.update(set(of_point) - set(drawn))
    return names


def run_all(runtime, full, seed, only, points):
    report = Report()
    without = left_out(seed) if CURRENT.name == "xen" and not (full or only or points) else ()
    report.note(f"runtime {runtime}, hypervisor {CURRENT.name}, seed {seed}, {'all' if full else 'sampled'}")
    for test_ in TESTS:
        if points and test_.point not in points:
            continue
        if only and not any(word in test_.name for word in only):
            continue
        if test_.full and not full and not only or test_.name in without:
            continue
        if test_.only and test_.only != CURRENT.name:
            continue
        if test_.vxn and runtime != "vxn-runc":
            report.skip(f"{test_.point} {test_.name}", f"only vxn-runc has this: {test_.title}")
            continue
        run_test(test_, report, runtime, full, seed)
    print(f"1..{report.count}")
    report.note(f"{report.count - report.failed - report.skipped} passed, {report.failed} failed,"
                f" {report.skipped} skipped, {time.monotonic() - report.started:.0f} s")
    return 1 if report.failed else 0
