"""Notifications: what the guest's kernel is told to believe no longer."""
import copy
import os
import shutil
import struct
import subprocess
import tempfile
import time

from bed import BASE, check, equal, test
from driver import Failure, Vm

INVAL_INODE, INVAL_ENTRY, EXPIRE_ONLY = 2, 3, 1


def inval_entry(vm, share, parent, name):
    return vm.notify(share, INVAL_ENTRY, struct.pack("<QII", parent, len(name), EXPIRE_ONLY) + name + b"\0")


def inval_inode(vm, share, node, offset):
    return vm.notify(share, INVAL_INODE, struct.pack("<Qqq", node, offset, 0))


class Looker:
    """A container with a volume that its kernel believes for an hour, and a shell in it that is asked."""

    def __init__(self, bed, vm):
        self.directory = tempfile.mkdtemp(prefix="vxn-notify-")
        config = copy.deepcopy(BASE)
        config["mounts"].append({"destination": "/home", "type": "bind", "source": self.directory, "options": ["bind"]})
        config["process"]["args"] = ["sh", "-c", "while read line; do eval \"$line\" 2>&1 || echo fails; done"]
        for name in ("a", "b", "c", "f"):
            self.write(name)
        os.chmod(self.directory + "/f", 0o644)
        self.vm = vm
        self.process = vm.run("looker", config, bed.root, stdin=True)
        self.share, self.server = next((n, s) for n, s in vm.shares.items() if s.root == os.fsencode(self.directory))

    def write(self, name):
        with open(os.path.join(self.directory, name), "w") as file:
            file.write(name)

    def node(self, name):
        return self.server.ids[os.fsencode(os.path.join(self.directory, name))]

    def ask(self, line):
        before = len(self.process.stdout.data)
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdout.wait(lambda _: self.process.stdout.data[before:].endswith(b"\n"))
        return bytes(self.process.stdout.data[before:]).decode().strip()

    def becomes(self, line, wanted):
        end = time.time() + 10
        while (found := self.ask(line)) != wanted:
            if time.time() > end:
                raise Failure("%s: %r, expected %r" % (line, found, wanted))

    def close(self):
        shutil.rmtree(self.directory)


@test
def notifications(bed):
    with Vm(valid=3600) as vm:
        looker = Looker(bed, vm)
        sent = 0
        for name in ("a", "b", "c"):
            equal(looker.ask("test -f /home/%s && echo there" % name), "there", name)
            os.unlink("%s/%s" % (looker.directory, name))
            equal(looker.ask("test -f /home/%s && echo there" % name), "there", "cached " + name)
        sent += inval_entry(vm, looker.share, 1, b"a")
        looker.becomes("test -f /home/a && echo there", "fails")
        equal(looker.ask("test -f /home/b && echo there"), "there", "another entry")
        equal(looker.ask("stat -c %a /home/f"), "644", "mode")
        os.chmod(looker.directory + "/f", 0o600)
        equal(looker.ask("stat -c %a /home/f"), "644", "cached mode")
        sent += inval_inode(vm, looker.share, looker.node("f"), -1)
        looker.becomes("stat -c %a /home/f", "600")
        # what is not known, or is no directory, is nobody's error
        sent += inval_entry(vm, looker.share, 1, b"none") + inval_entry(vm, looker.share, looker.node("f"), b"x")
        sent += inval_inode(vm, looker.share, 77777, 0)
        sent += inval_entry(vm, looker.share, 0, b"")
        looker.becomes("test -f /home/b && echo there", "fails")
        looker.becomes("test -f /home/c && echo there", "fails")
        end = time.time() + 10
        while vm.notify_credit.get(looker.share) != sent and time.time() < end:
            time.sleep(0.01)
        equal(vm.notify_credit.get(looker.share), sent, "credit given back")
        looker.close()


@test
def notifications_without_credit(bed):
    with Vm() as vm:
        looker = Looker(bed, vm)
        vm.notify(looker.share, INVAL_INODE, bytes(17000))
        try:
            vm.wait_off(20)
        except subprocess.TimeoutExpired:
            raise Failure("the VM is still on")
        check("notification" in vm.console(), vm.console()[-300:])
        looker.close()
