"""Terminals."""
import time

from bed import equal, test


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
