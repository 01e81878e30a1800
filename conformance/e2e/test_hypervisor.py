"""9: the hypervisor interface of both back ends, and what an operator does with a VM behind our back."""
import os
import subprocess

from harness import exit_status, test, wait_until
from hypervisor import CURRENT, output
from inventory import Inventory, left_since
from test_faults import HERE, Running, hostile_initramfs


@test(9, limit=240, vxn=True)
def host_vm(t):
    """each function of the back end: pause, memory, shutdown"""
    before = Inventory()
    with t.settings(initramfs=hostile_initramfs(t, "tick")):
        result = t.command([os.path.join(HERE, "host_vm")], timeout=200)
    lines = [line for line in result.out.split("\n") if line]
    for line in lines:
        verdict, name = line.split(" - ", 1)
        t.ok(name, verdict == "ok", result)
    t.ok("all of them were called", any("nothing is found of it" in line for line in lines), result)
    t.equal("nothing is left", left_since(before), [])


@test(9, limit=120, vxn=True, only="xen")
def shutdown_by_operator(t):
    """xl shutdown: the guest powers off, and the container has been killed"""
    before = Inventory()
    running = Running(t)
    vms = running.vms()
    t.need("its VM is listed", len(vms) == 1, vms)
    output(["xl", "shutdown", vms[0]])
    try:
        status = exit_status(running.process.wait(30))
    except subprocess.TimeoutExpired:
        status = None
    t.equal("run ends with 137", status, 137)
    t.ok("the VM is gone", wait_until(lambda: not CURRENT.vms(running.id), 10), running.vms())
    t.equal("delete works without --force", t.rt("delete", running.id).status, 0)
    t.equal("nothing is left", left_since(before), [])
    running.process.stdout.close()
    running.process.stderr.close()
