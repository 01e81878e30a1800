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


def xen_memory():
    """MiB: what is free, and what Dom0 has."""
    dom0 = next(line.split()[2] for line in output(["xl", "list"]).splitlines() if line.startswith("Domain-0 "))
    return CURRENT.free_memory(), int(dom0)


def size_of(id):
    """MiB that the VM of that container has; 0: there is none."""
    return sum(int(line.split()[2]) for line in output(["xl", "list"]).splitlines() if f"vxn-{id}-" in line)


def take_the_rest(t, kernel):
    """A domain that never runs gets all that is free."""
    path = os.path.join(t.folder("filler"), "config")
    with open(path, "w") as file:
        file.write(f'name = "filler"\ntype = "pv"\nkernel = "{kernel}"\nmemory = {xen_memory()[0] - 16}\n')
    result = t.command(["xl", "create", "-p", path])
    t.need("a domain takes what is free", result.status == 0, result)
    t.stack.callback(t.quietly, ["xl", "destroy", "filler"])


@test(9, limit=300, vxn=True, only="xen")
def memory_of_dom0(t):
    """where all memory is Dom0's and other domains', Dom0 gives what it may, and a VM grows when another ends"""
    def limited(limit_mib):
        def edit(config):
            config["linux"]["resources"] = {"memory": {"limit": limit_mib << 20}}
        return edit

    dom0 = xen_memory()[1]
    t.stack.callback(t.quietly, ["xl", "mem-set", "0", str(dom0)])
    take_the_rest(t, "/usr/lib/vxn/vmlinux")
    with t.settings(memory=128):
        id = t.claim()
        result = t.create(t.bundle(["true"], limited(200)), id)
        t.ok("Dom0 gives nothing unasked: refused, with what is needed and what there is",
             result.status == 1 and all(word in result.err for word in ("MiB free", "dom0_min_memory")), result)
    with t.settings(memory=128, dom0_min_memory=dom0):
        result = t.create(t.bundle(["true"], limited(200)), t.claim())
        t.ok("nor what it is to keep", result.status == 1 and f"dom0_min_memory is {dom0}" in result.err, result)
    t.equal("it has all that it had", xen_memory()[1], dom0)
    with t.settings(memory=128, dom0_min_memory=dom0 - 600):
        small = t.start(["sleep", "1000"], edit=limited(100))
        t.ok("it gives what is missing", dom0 - 600 < xen_memory()[1] < dom0, xen_memory())
        large = t.start(["sleep", "1000"], edit=limited(1024))
    t.ok("and no more than it may", dom0 - 600 <= xen_memory()[1] < dom0 - 300, xen_memory())
    begun = size_of(large.id)
    t.ok("a VM begins with less than its limit", 128 <= begun < 600, begun)
    t.equal("it works", large.sh("echo works").out, "works\n")
    t.command(["xl", "destroy", "filler"])
    t.ok("and grows when there is more", wait_until(lambda: size_of(large.id) > 1024, 60), size_of(large.id))
    seen = large.sh("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")
    t.ok("which it sees inside", wait_until(lambda: int(large.sh(
        "sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo").out) > 900 << 10, 30), seen)
