"""The VM's own start and end; each in a VM of its own."""
import copy
import random
import subprocess
import time

from bed import BASE, check, equal, test
from driver import CONTROL, DATA, HEADER, MORE, PORT_SHIFT, Failure, Vm, frame


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
