"""Processes, their stdio and their ends."""
import copy
import hashlib
import os
import signal
import sys
import time

from bed import BASE, check, equal, test
from driver import STDIO_WINDOW, Failure


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
