"""2: standard input, output and error."""
import contextlib
import fcntl
import os
import random
import select
import socket
import subprocess
import threading
import time

from harness import sha256, test

MIB = 1 << 20


def read_all(fd):
    parts = []
    while True:
        part = os.read(fd, MIB)
        if not part:
            return b"".join(parts)
        parts.append(part)


def read_some(fd, seconds):
    """What comes within that time, at most one read."""
    return os.read(fd, 65536) if select.select([fd], [], [], seconds)[0] else None


@contextlib.contextmanager
def pipe():
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        for fd in (reader, writer):
            with contextlib.suppress(OSError):
                os.close(fd)


@test(2)
def apart(t):
    """stdout and stderr stay apart, in order, and whole"""
    script = "i=0; while [ $i -lt 200 ]; do echo out $i; echo err $i >&2; i=$((i + 1)); done"
    result = t.run(["sh", "-c", script])
    t.equal("stdout has its lines in order", result.out, "".join(f"out {i}\n" for i in range(200)))
    t.equal("stderr has its lines in order", result.err, "".join(f"err {i}\n" for i in range(200)))
    result = t.run(["cat"], input="")
    t.equal("end of file on an empty stdin arrives", (result.status, result.out), (0, ""), result)


@test(2, limit=180)
def through_and_back(t):
    """64 MiB through stdin and back"""
    size = 64 * MIB
    source = t.file("source", random.Random(1).randbytes(MIB) * (size // MIB))
    with open(source, "r+b") as file:  # no two MiB alike
        for i in range(size // MIB):
            file.seek(i * MIB)
            file.write(b"%8d" % i)
        file.seek(0)
        wanted = sha256(file.read())
    started = time.monotonic()
    container = t.start()
    feeder = t.spawn(["cat", source], stdout=subprocess.PIPE)
    process = t.spawn(container.exec_argv("cat"), stdin=feeder.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    feeder.stdout.close()
    started = time.monotonic()
    out, err = process.communicate(timeout=150)
    seconds = time.monotonic() - started
    t.note(f"64 MiB through a pipe and back: {seconds:.1f} s, {2 * 64 / seconds:.0f} MiB/s both ways together")
    t.equal("64 MiB through a pipe on stdin and back have the same sha256", (len(out), sha256(out), err, process.returncode),
            (size, wanted, b"", 0))
    with open(source, "rb") as file:
        result = container.exec("sha256sum", stdin=file)
    t.equal("64 MiB from a file on stdin arrive", result.out.split()[:1], [wanted], result)


@test(2, limit=120)
def stalled_reader(t):
    """a reader who stops does not stall another stream"""
    container = t.start()
    size = 8 * MIB
    stalled = t.spawn(container.exec_argv("sh", "-c", f"head -c {size} /dev/zero & sleep 1; echo done >&2; wait"),
                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    t.equal("stderr of the process whose stdout is not read", stalled.stderr.readline(), b"done\n")
    result = container.exec("echo", "another", timeout=20)
    t.equal("another process prints meanwhile", result.out, "another\n", result)
    result = container.exec("head", "-c", str(2 * MIB), "/dev/zero", text=False, timeout=30)
    t.equal("another process prints 2 MiB meanwhile", len(result.out), 2 * MIB)
    slow_in = t.spawn(container.exec_argv("sleep", "1000"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL)
    os.set_blocking(slow_in.stdin.fileno(), False)
    written = 0
    for _ in range(40):
        with contextlib.suppress(BlockingIOError):
            while True:
                written += os.write(slow_in.stdin.fileno(), b"x" * 65536)
        time.sleep(0.05)
    t.ok("a process that does not read its stdin takes a bounded number of bytes", 65536 <= written <= 8 * MIB, written)
    result = container.exec("cat", input="hello", timeout=20)
    t.equal("another process's stdin goes on", result.out, "hello", result)
    rest = stalled.stdout.read()
    t.equal("read again, the stalled one loses nothing", len(rest), size)
    t.equal("and ends well", stalled.wait(20), 0)


@test(2)
def end_of_file(t):
    """end of file on stdin, and what comes before it"""
    container = t.start()
    for text in ("", "x", "line\n" * 1000):
        result = container.exec("cat", input=text)
        t.equal(f"cat of {len(text)} bytes and an end of file", (result.status, result.out), (0, text), result)
    process = t.spawn(container.exec_argv("cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"first\n")
    process.stdin.flush()
    t.equal("bytes arrive before the end of file", read_some(process.stdout.fileno(), 10), b"first\n")
    time.sleep(0.5)
    t.equal("without an end of file it goes on", process.poll(), None)
    process.stdin.close()
    t.equal("the end of file ends it", process.wait(10), 0)
    # The reader goes away: a writer inside gets SIGPIPE or EPIPE.
    process = t.spawn(container.exec_argv("sh", "-c", "yes; echo $? >/tmp/yes"), stdin=subprocess.DEVNULL,
                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.read(100)
    process.stdout.close()
    t.ok("a writer ends when its reader has gone", ends_within(process, 15), process)


def ends_within(process, seconds):
    try:
        process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        return False


@test(2, limit=600)
def print_and_exit(t):
    """60 KiB printed in one write and an exit at once, again and again"""
    count = 300 if t.full else 30
    container = t.start()
    size = 60 * 1024
    # One write, then the end: dd has nothing to do after it.
    argv = container.exec_argv("dd", "if=/dev/zero", f"bs={size}", "count=1", "status=none")
    lost = []
    started = time.monotonic()
    for i in range(count):
        result = t.command(argv, text=False, timeout=30)
        if len(result.out) != size or result.status:
            lost.append((i, len(result.out), result.status, result.err))
    t.note(f"{count} execs: {(time.monotonic() - started) / count:.2f} s each")
    t.equal(f"60 KiB printed and an exit at once, {count} times by exec, lose nothing", lost, [])
    lost = []
    runs = 30 if t.full else 3
    for i in range(runs):
        result = t.run(["dd", "if=/dev/zero", f"bs={size}", "count=1", "status=none"], text=False)
        if len(result.out) != size or result.status:
            lost.append((i, len(result.out), result.status, result.err))
    t.equal(f"60 KiB printed and an exit at once, {runs} times by run, lose nothing", lost, [])


@test(2, limit=90)
def kinds(t):
    """stdio that is a file, a socket, /dev/null, a pipe shared by two"""
    container = t.start()
    path = t.file("out", "before\n")
    with open(path, "ab") as out:
        result = container.sh("echo out; echo err >&2", stdout=out, stderr=out)
        t.equal("stdout and stderr are one file, appended to", open(path).read(), "before\nout\nerr\n", result)
    with open(t.file("in", "from a file\n")) as source, open(path, "wb") as out:
        result = container.exec("cat", stdin=source, stdout=out)
        t.equal("stdin is a file, stdout is a file", open(path).read(), "from a file\n", result)
    with open(t.file("large", b"z" * (3 * MIB)), "rb") as source, open(path, "wb") as out:
        result = container.exec("cat", stdin=source, stdout=out)
        t.equal("3 MiB from a file to a file", os.path.getsize(path), 3 * MIB, result)
    ours, theirs = socket.socketpair()
    process = t.spawn(container.exec_argv("cat"), stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
    theirs.close()
    ours.sendall(b"through a socket\n")
    t.equal("stdin and stdout are one socket", read_some(ours.fileno(), 10), b"through a socket\n")
    ours.shutdown(socket.SHUT_WR)
    t.equal("end of file through a socket", (process.wait(10), ours.recv(10)), (0, b""))
    ours.close()
    with open(os.devnull, "r+b") as null:
        result = container.sh("cat; echo lost; echo lost >&2; exit 3", stdin=null, stdout=null, stderr=null)
        t.equal("stdio is /dev/null", result.status, 3, result)
    with pipe() as (reader, writer):
        # Not blocking reads: two processes hold the writing end.
        one = t.spawn(container.exec_argv("sh", "-c", "echo one; echo two >&2; sleep 2; echo five"),
                      stdin=subprocess.DEVNULL, stdout=writer, stderr=writer)
        two = t.spawn(["sh", "-c", "echo three; echo four"], stdout=writer)
        two.wait()
        one.wait(30)
        os.close(writer)
        lines = sorted(read_all(reader).split())
        t.equal("a pipe shared by two loses nothing", lines, [b"five", b"four", b"one", b"three", b"two"])
    with pipe() as (reader, writer):
        result = t.run(["sh", "-c", "echo a; echo b >&2"], stdout=writer, stderr=writer)
        os.close(writer)
        t.equal("run: stdout and stderr are one pipe", read_all(reader), b"a\nb\n", result)


@test(2, limit=90)
def flags(t):
    """the flags of inherited descriptors are the caller's"""
    container = t.start()
    path = t.file("file")

    def flags_of(files):
        return [fcntl.fcntl(file, fcntl.F_GETFL) for file in files]

    cases = []
    r0, w0 = os.pipe()
    r1, w1 = os.pipe()
    r2, w2 = os.pipe()
    cases.append(("pipes", r0, w1, w2))
    a, b = socket.socketpair()
    cases.append(("sockets", b.fileno(), b.fileno(), b.fileno()))
    append = os.open(path, os.O_RDWR | os.O_APPEND)
    cases.append(("a file opened for appending", append, append, append))
    null = os.open(os.devnull, os.O_RDWR)
    cases.append(("/dev/null", null, null, null))
    n0, m0 = os.pipe2(os.O_NONBLOCK)
    n1, m1 = os.pipe2(os.O_NONBLOCK)
    cases.append(("pipes that are not blocking already", n0, m1, m1))
    for name, *stdio in cases:
        before = flags_of(stdio)
        process = t.spawn(container.exec_argv("sh", "-c", "echo out; echo err >&2; sleep 1"), stdin=stdio[0],
                          stdout=stdio[1], stderr=stdio[2])
        during = before
        while process.poll() is None and during == before:
            during = flags_of(stdio)
            time.sleep(0.01)
        t.equal(f"flags of {name}: the same meanwhile", during, before)
        process.wait(20)
        t.equal(f"flags of {name}: the same afterwards", flags_of(stdio), before)
    t.equal("pipes that are not blocking already carry the output", sorted(os.read(n1, 100).split()), [b"err", b"out"])
    for fd in (r0, w0, r1, w1, r2, w2, append, null, n0, m0, n1, m1):
        os.close(fd)
    a.close()
    b.close()
    shared = os.open(path, os.O_RDWR | os.O_TRUNC)
    os.write(shared, b"12345")
    result = container.exec("echo", "67", stdout=shared)
    os.write(shared, b"89")
    t.equal("a file's position is shared with the caller", open(path).read(), "1234567\n89", result)
    os.close(shared)


@test(2, full=True, limit=120)
def many_streams(t):
    """ten processes with three streams each at once"""
    container = t.start()
    size = MIB
    outputs = {}

    def one(i):
        process = t.spawn(container.exec_argv("sh", "-c", "tee /dev/stderr"), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        outputs[i] = process.communicate(bytes([65 + i]) * size, timeout=100)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(110)
    wrong = [i for i in range(10) if outputs.get(i) != (bytes([65 + i]) * size,) * 2]
    t.equal("ten processes, 1 MiB through each of their streams", wrong, [])
