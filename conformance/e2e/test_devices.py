"""17: linux.devices and linux.resources.devices, from inside the container."""
import os

from harness import IMAGE, test
from hypervisor import read
from test_config import edited, refused
from volumes import ALL_CAPABILITIES

DENY_ALL = {"allow": False, "access": "rwm"}


def device(path, type, major=0, minor=0, **members):
    return {"path": path, "type": type, "major": major, "minor": minor, **members}


def allow(type, access, major=None, minor=None, yes=True):
    rule = {"allow": yes, "type": type, "access": access}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule


def powerful(process):
    process["capabilities"] = {name: ALL_CAPABILITIES for name in ("bounding", "effective", "permitted")}


@test(17)
def device_nodes(t):
    """linux.devices"""
    made = [device("/dev/fuse", "c", 10, 229, fileMode=0o620, uid=7, gid=8), device("/dev/deep/er/zero", "u", 1, 5),
            device("/dev/disk", "b", 4000, 1000000, fileMode=0o060600), device("/dev/pipe", "p", fileMode=0o640),
            device("/dev/null", "c", 1, 3, fileMode=0o600), device("/dev/ptmx", "c", 5, 2)]
    result = t.run(["sh", "-c", "umask 0; cd /dev; stat -c '%n %F %t:%T %a %u:%g' fuse deep/er/zero disk pipe null full; stat -c %a deep;"
                    "head -c 3 deep/er/zero | od -An -tx1; readlink ptmx; head -c 1 disk"],
                   edit=edited(lambda _c, _p, linux: linux.update(devices=made)))
    wanted = ("fuse character special file a:e5 620 7:8\ndeep/er/zero character special file 1:5 666 0:0\n"
              "disk block special file fa0:f4240 600 0:0\npipe fifo 0:0 640 0:0\nnull character special file 1:3 600 0:0\n"
              "full character special file 1:7 666 0:0\n755\n 00 00 00\npts/ptmx\n")
    t.equal("they are as the config says, and default ones beside them", result.out, wanted, result)
    t.ok("one without a driver can't be opened", result.status == 1 and "/dev" not in result.out and "disk" in result.err, result)


@test(17, vxn=True)
def device_nodes_without_driver(t):
    """linux.devices that the guest's kernel can't serve: the setting host_devices"""
    made = [device("/dev/null", "c", 1, 3), device("/dev/tty7", "c", 136, 7), device("/dev/loop3", "b", 7, 3), device("/dev/p", "p"),
            device("/dev/strange", "c", 4000, 1), *(device(f"/dev/disk{i}", "b", 4000, i) for i in range(12))]
    change = edited(lambda _c, _p, linux: linux.update(devices=made))
    result = t.run(["ls", "/dev/strange", "/dev/disk11"], edit=change)
    t.equal("skip: the nodes are there", (result.status, result.err), (0, ""), result)
    found = [line for line in read(t.log).splitlines() if "no driver" in line]
    t.ok("... and one warning names some of them", len(found) == 1 and "for 13: /dev/strange, /dev/disk0," in found[0] and
         found[0].rstrip('"').endswith(", ...") and "disk9" not in found[0] and "loop" not in found[0], found)
    with t.settings(host_devices="refuse"):
        result = t.run(["true"], edit=change)
        t.ok("refuse: an error names the first", result.status == 1 and
             "linux.devices[4]: the virtual machine has no driver for /dev/strange (c 4000:1)" in result.err, result)
        result = t.run(["true"], edit=edited(lambda _c, _p, linux: linux.update(devices=made[:4])))
        t.equal("refuse: others are taken", (result.status, result.err), (0, ""), result)


@test(17)
def device_nodes_on_share(t):
    """linux.devices, where nodes can't be made: on the root file system"""
    rootfs = t.rootfs_copy()
    made = [device("/made/null", "c", 1, 3, fileMode=0o604, uid=5), device("/made/zero", "c", 1, 5)]

    def change(config, _process, linux):
        linux["devices"] = made
        config["mounts"] = [m for m in config["mounts"] if not m["destination"].startswith("/dev")]

    result = t.run(["sh", "-c", "stat -c '%F %t:%T %a %u' /made/null /dev/full; echo x >/made/null; echo $?; head -c 2 /made/zero | od -An -tx1;"
                    "echo x >/dev/full; echo y >/dev/null"], edit=edited(change), rootfs=rootfs, readonly=False)
    t.equal("they are there and work", (result.status, result.out),
            (0, "character special file 1:3 604 5\ncharacter special file 1:7 666 0\n0\n 00 00\n"), result)


@test(17, vxn=True)
def device_nodes_in_the_way(t):
    """linux.devices: what is there already"""
    rootfs = t.rootfs_copy()
    file = t.file("file", "a file")
    bind = {"destination": "/dev/x", "type": "bind", "source": file, "options": ["bind"]}

    def change(config, _process, linux):
        config["mounts"].append(bind)
        linux["devices"] = [device("/dev/x", "c", 1, 3)]

    id = t.new_id()
    result = t.run(["true"], id=id, edit=edited(change), rootfs=rootfs, readonly=False)
    t.ok("another file is an error", result.status == 1 and "linux.devices[0]" in result.err and "/dev/x" in result.err, result)

    def twice(_config, _process, linux):
        linux["devices"] = [device("/dev/x", "c", 1, 3), device("/dev/x", "c", 1, 3), device("/dev/p", "p"), device("/dev/p", "p")]

    result = t.run(["stat", "-c", "%t:%T", "/dev/x"], edit=edited(twice))
    t.equal("the same device stays", (result.status, result.out), (0, "1:3\n"), result)
    refused(t, "an unknown type", lambda _c, _p, linux: linux.update(devices=[device("/dev/x", "z")]), "linux.devices[0].type")


def accesses(t, title, rules, wanted):
    """What of kmsg (1:11) and of a loop device (7:0) is not refused: mknod, read, write, both at once. The kernel need not
    have the loop device."""
    script = """
    cd /dev
    may() { ( eval "exec $1" ) 2>&1 | grep -q 'not permitted' || can=$can$2; }
    for d in kmsg:c:1:11 loop:b:7:0; do
        set -- $(echo $d | tr : ' ')
        can=
        mknod new $2 $3 $4 2>/dev/null && can=m; rm -f new
        may "3<$1" r
        may "3>$1" w
        may "3<>$1" +
        echo $1 $can
    done"""

    def change(_config, process, linux):
        powerful(process)
        linux["devices"] = [device("/dev/kmsg", "c", 1, 11), device("/dev/loop", "b", 7, 0)]
        linux["resources"] = {"devices": rules}

    result = t.run(["sh", "-c", script], edit=edited(change))
    got = dict(line.partition(" ")[::2] for line in result.out.split("\n") if line)
    t.equal(title, got, wanted, result)


@test(17)
def device_access(t):
    """linux.resources.devices"""
    accesses(t, "all refused: mknod alone is left", [DENY_ALL], {"kmsg": "m", "loop": "m"})
    accesses(t, "no rule at all is the same", [], {"kmsg": "m", "loop": "m"})
    accesses(t, "all allowed", [allow("a", "rwm")], {"kmsg": "mrw+", "loop": "mrw+"})
    accesses(t, "one, to read", [DENY_ALL, allow("c", "r", 1, 11)], {"kmsg": "mr", "loop": "m"})
    accesses(t, "read and write in two rules", [DENY_ALL, allow("c", "r", 1, 11), allow("c", "w", 1, -1)],
             {"kmsg": "mrw+", "loop": "m"})
    accesses(t, "the type counts", [DENY_ALL, allow("b", "rw", 1, 11), allow("c", "rw", 7, 0)], {"kmsg": "m", "loop": "m"})
    accesses(t, "all of a major number", [DENY_ALL, allow("b", "rwm", 7)], {"kmsg": "m", "loop": "mrw+"})
    accesses(t, "all but one", [allow("a", "rwm"), allow("c", "w", 1, 11, yes=False)], {"kmsg": "mr", "loop": "mrw+"})


@test(17)
def device_access_defaults(t):
    """linux.resources.devices: what every container may open"""

    def change(_config, _process, linux):
        linux["resources"] = {"devices": [DENY_ALL]}

    result = t.run(["sh", "-c", "echo x >/dev/null && head -c 1 /dev/zero /dev/random /dev/urandom /dev/full >/dev/null && "
                    "exec 3<>/dev/ptmx && ls /dev/pts | tr '\\n' ' '"], edit=edited(change))
    t.equal("null zero random urandom full ptmx pts", (result.status, result.out), (0, "0 ptmx "), result)
    container = t.start(edit=edited(change))
    result = container.exec("sh", "-c", "mknod /tmp/kmsg c 1 11; cat /tmp/kmsg")
    t.ok("a process that joins is held by it, too", result.status == 1 and result.out == "", result)


def devices_on_the_host(t, rules):
    """What devices.list of the host's cgroup of a container with these rules says, None if there is none; and the container."""

    def change(_config, _process, linux):
        linux["resources"] = {"devices": rules}

    container = t.start(edit=edited(change))
    with open(f"/proc/{container.pid}/cgroup") as file:
        path = next((path for _, names, path in (line.strip().split(":", 2) for line in file) if names == "devices"), None)
    if path is None or not os.path.exists("/sys/fs/cgroup/devices/devices.list"):
        return None, container
    with open(f"/sys/fs/cgroup/devices{path}/devices.list") as file:
        return file.read().splitlines(), container


@test(17, vxn=True)
def device_access_on_the_host(t):
    """linux.resources.devices: the host's cgroup has the rules as well, where it is of version 1"""
    found, container = devices_on_the_host(t, [DENY_ALL, allow("c", "rwm", 10, 229), allow("b", "rw", 8, 20), allow("b", "r", 8),
                                               allow("b", "w", 8, 20, yes=False)])
    if found is None:
        t.skip("the rules", "no hierarchy of devices here")
        return
    t.equal("those of the config come first, in order", found[:3], ["c 10:229 rwm", "b 8:20 r", "b 8:* r"])
    always = {"c *:* m", "b *:* m", "c 1:3 rwm", "c 5:2 rwm", "c 136:* rwm"}
    t.ok("then those of every container", always <= set(found[3:]), found)
    result = container.exec("true")
    t.equal("a process can be started there", (result.status, result.err), (0, ""), result)
    found, _ = devices_on_the_host(t, [allow("a", "r", 1, 11)])
    t.equal("a rule for any type allows no more than it says", found[:2], ["b 1:11 r", "c 1:11 r"])
    found, _ = devices_on_the_host(t, [allow("a", "rwm")])
    t.equal("all", found, ["a *:* rwm"])


@test(17, limit=180)
def device_podman(t):
    """podman run --device"""
    result = t.podman_run("--rm", "--device", "/dev/fuse:/dev/other:r", IMAGE, "sh", "-c",
                          "stat -c '%t:%T' /dev/other; exec 3</dev/other && echo read; exec 4>/dev/other && echo written")
    t.equal("it is there, and may be read only", result.out, "a:e5\nread\n", result)
