"""17: linux.resources, linux.timeOffsets and linux.rootfsPropagation, from inside the container."""
import contextlib
import os
import time

from harness import test
from hypervisor import CURRENT, read
from test_config import TOOL, edited, refused

CGROUP = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]}


def limited(resources):
    return edited(lambda _c, _p, linux: linux.update(resources=resources), CGROUP)


@test(17, vxn=True)
def limits(t):
    """linux.resources, as the container's cgroup shows them"""
    resources = {
        "memory": {"limit": 256 << 20, "swap": 300 << 20, "reservation": 64 << 20},
        "cpu": {"shares": 2048, "quota": 50000, "period": 200000, "burst": 20000},
        "pids": {"limit": 77},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}, {"pageSize": "3MB", "limit": 0}],
        "unified": {"memory.high": "200000000", "cgroup.max.depth": "3"},
    }
    wanted = {"memory.max": 256 << 20, "memory.swap.max": 44 << 20, "memory.low": 64 << 20, "memory.high": 200000000 // 4096 * 4096,
              "cpu.weight": 79, "cpu.max": "50000 200000", "cpu.max.burst": 20000, "pids.max": 77, "hugetlb.2MB.max": 4 << 20,
              "cgroup.max.depth": 3}
    result = t.run(["sh", "-c", "cd /sys/fs/cgroup; for f in " + " ".join(wanted) + "; do [ ! -e $f ] || echo $f=$(cat $f); done"],
                   edit=limited(resources))
    got = dict(line.split("=", 1) for line in result.out.split("\n") if line)
    if CURRENT.name == "xen" and "hugetlb.2MB.max" not in got:
        t.note("a paravirtual machine has no huge pages")
        del wanted["hugetlb.2MB.max"]
    t.equal("each is in its file", got, {name: str(value) for name, value in wanted.items()}, result)
    result = t.run(["sh", "-c", "cd /sys/fs/cgroup; cat cpu.idle cpu.max pids.max memory.max"],
                   edit=limited({"cpu": {"shares": 2, "idle": 1, "quota": -1}, "pids": {"limit": -1}, "memory": {"limit": -1}}))
    t.equal("idle, and no limits", result.out, "1\nmax 100000\nmax\nmax\n", result)


@test(17, vxn=True)
def limit_of_processes(t):
    """linux.resources.pids holds"""
    container = t.start(edit=limited({"pids": {"limit": 5}}))
    result = container.sh("for i in 1 2 3 4 5 6; do sleep 5 & done; echo all")
    t.ok("a fork too many fails", "all" not in result.out and "can't fork" in result.err, result)


@test(17, vxn=True)
def limit_of_processor(t):
    """linux.resources.cpu holds"""

    def turns(cpu):
        result = t.run(["sh", "-c", "end=$(($(cut -d. -f1 /proc/uptime) + 3)); i=0;"
                        "while [ $(cut -d. -f1 /proc/uptime) -lt $end ]; do i=$((i + 1)); done; echo $i"],
                       edit=limited({"cpu": cpu}))
        return int(result.out or 0)

    free, tenth = turns({}), turns({"quota": 10000, "period": 100000})
    t.note(f"{free} turns without a limit, {tenth} with a tenth of a processor")
    t.ok("a quota of a tenth slows it down", 0 < tenth < free / 3, (free, tenth))


@test(17, vxn=True)
def limit_of_cpus(t):
    """linux.resources.cpu.cpus: as many as it names"""
    all_of_them = os.cpu_count()
    with t.settings(vcpus=3):
        for given, wanted in (("0", "1"), (f"0-{all_of_them - 1}", str(min(3, all_of_them)))):
            result = t.run(["sh", "-c", "nproc; cat /sys/fs/cgroup/cpuset.cpus.effective"], edit=limited({"cpu": {"cpus": given}}))
            last = int(wanted) - 1
            t.equal(f"{given} of the host's are {wanted} inside", result.out, f"{wanted}\n0{f'-{last}' if last else ''}\n", result)


@test(17, vxn=True)
def limits_refused(t):
    """linux.resources: what is refused, by name"""
    for title, resources, field in (
            ("swap without limit", {"memory": {"swap": 5}}, "linux.resources.memory.swap"),
            ("a quota that the kernel does not take", {"cpu": {"quota": 5}}, "linux.resources.cpu.quota"),
            ("a page size that is none", {"hugepageLimits": [{"pageSize": "3", "limit": 0}]},
             "linux.resources.hugepageLimits[0].pageSize"),
            ("a file that there is not", {"unified": {"moon.max": "1"}}, "linux.resources.unified.moon.max"),
            ("a value that the kernel does not take", {"unified": {"pids.max": "many"}}, "linux.resources.unified.pids.max"),
            ("a path", {"unified": {"../pids.max": "1"}}, "linux.resources.unified.../pids.max")):
        refused(t, title, lambda _c, _p, linux, resources=resources: linux.update(resources=resources), field)


@test(17, vxn=True)
def limits_not_there(t):
    """linux.resources: what there is no way to apply is a warning"""
    resources = {"memory": {"swappiness": 5, "kernel": 1 << 20}, "network": {"classID": 5},
                 "blockIO": {"leafWeight": 10}, "rdma": {"mlx5_1": {"hcaHandles": 3}}}
    result = t.run(["echo", "runs"], edit=limited(resources))
    t.equal("it runs", (result.status, result.out), (0, "runs\n"), result)
    with open(t.log) as file:
        log = file.read()
    for field in ("memory.swappiness", "memory.kernel", "network.classID", "blockIO.leafWeight", "rdma"):
        t.equal(f"the log has it once: {field}", log.count(f"linux.resources.{field} is not applied:"), 1, log)


@test(17, vxn=True)
def time_offsets(t):
    """linux.timeOffsets"""
    offsets = {"monotonic": {"secs": 5000, "nanosecs": 5}, "boottime": {"secs": 700000}}

    def change(_config, _process, linux):
        linux["namespaces"].append({"type": "time"})
        linux["timeOffsets"] = offsets

    def seconds(result):
        words = result.out.split()
        return [int(word) for word in words] if len(words) == 2 else [0, 0]

    container = t.start(edit=edited(change, TOOL), rootfs=t.rootfs_copy(), readonly=False)
    result = container.exec("/tool", "clocks")
    monotonic, boottime = seconds(result)
    t.ok("a process that joins has them", 5000 <= monotonic < 5100 and 700000 <= boottime < 700100, result)
    result = t.run(["/tool", "clocks"], edit=edited(change, TOOL), rootfs=t.rootfs_copy("b"), readonly=False)
    monotonic, boottime = seconds(result)
    t.ok("the first process has them", 5000 <= monotonic < 5100 and 700000 <= boottime < 700100, result)
    result = t.run(["date", "+%s"], edit=edited(change))
    t.ok("the time of day is not moved", abs(int(result.out or 0) - time.time()) < 20, result)
    for title, given, field in (("a clock that there is not", {"realtime": {"secs": 1}}, "linux.timeOffsets.realtime"),
                                ("a time before the machine's start", {"boottime": {"secs": -100000}}, "linux.timeOffsets.boottime")):
        def wrong(_config, _process, linux, given=given):
            linux["namespaces"].append({"type": "time"})
            linux["timeOffsets"] = given

        refused(t, title, wrong, field)
    refused(t, "without a time namespace", lambda _c, _p, linux: linux.update(timeOffsets=offsets), "linux.timeOffsets")


@test(17)
def rootfs_propagation(t):
    """linux.rootfsPropagation"""
    look = "awk '$5 == \"/\" || $5 == \"/proc\" { $1 = $1; sub(/ - .*/, \"\"); print $5, $7 }' /proc/self/mountinfo | sed 's/:.*//'"
    for given, wanted in (("private", "/ \n/proc \n"), ("rprivate", "/ \n/proc \n"), ("shared", "/ shared\n/proc \n"),
                          ("rshared", "/ shared\n/proc shared\n"), ("unbindable", "/ unbindable\n/proc \n"),
                          ("runbindable", "/ unbindable\n/proc unbindable\n")):
        result = t.run(["sh", "-c", look], edit=edited(lambda _c, _p, linux, given=given: linux.update(rootfsPropagation=given)))
        t.equal(given, (result.status, result.out), (0, wanted), result)
    for given in ("slave", "rslave"):
        result = t.run(["true"], edit=edited(lambda _c, _p, linux, given=given: linux.update(rootfsPropagation=given)))
        t.equal(f"{given} runs", (result.status, result.err), (0, ""), result)
    refused(t, "another word", lambda _c, _p, linux: linux.update(rootfsPropagation="moon"), "linux.rootfsPropagation")


def cgroups_of(pid):
    """The directories of the host's cgroups that a stand-in is in."""
    with open(f"/proc/{pid}/cgroup") as file:
        places = [line.strip().split(":", 2) for line in file]
    return [top + path for _, controllers, path in places
            for top in ("/sys/fs/cgroup", *(f"/sys/fs/cgroup/{name}" for name in controllers.split(",") if name))]


def host_files(pid):
    """What they say, by name."""
    found = {}
    for place in cgroups_of(pid):
        for name in ("cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.weight", "cpu.max", "cpuset.cpus", "cpuset.mems"):
            with contextlib.suppress(OSError):
                with open(f"{place}/{name}") as file:
                    found[name] = file.read().strip()
    return found


@test(17, vxn=True)
def limits_on_the_host(t):
    """the time and the processors of linux.resources.cpu are the virtual machine's on the host, too"""
    container = t.start(edit=limited({"cpu": {"shares": 2048, "quota": 50000, "period": 200000, "cpus": "0", "mems": "0"}}))
    found = host_files(container.pid)
    wanted = {"cpu.shares": "2048", "cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "200000"} if "cpu.shares" in found else {
        "cpu.weight": "79", "cpu.max": "50000 200000"}
    wanted.update({"cpuset.cpus": "0", "cpuset.mems": "0"})
    t.equal("the cgroup of its stand-in has them", found, wanted)
    result = t.run(["true"], edit=limited({"cpu": {"cpus": "0,500"}}))
    t.ok("processors that the host lacks are refused, by field", result.status == 1 and "linux.resources.cpu.cpus" in result.err, result)


def first_disk():
    """MAJOR, MINOR of one of the host's, None if it has none."""
    for name in sorted(os.listdir("/sys/block")):
        if os.path.exists(f"/sys/block/{name}/device"):
            return tuple(int(word) for word in read(f"/sys/block/{name}/dev").split(":"))
    return None


@test(17, vxn=True)
def disk_traffic_on_the_host(t):
    """linux.resources.blockIO holds on the host, for who serves the container's files"""
    disk = first_disk()
    if disk is None:
        t.skip("limits", "the host has no disk")
        return
    major, minor = disk
    rates = {"throttleReadBpsDevice": 1 << 20, "throttleWriteBpsDevice": 2 << 20, "throttleReadIOPSDevice": 100,
             "throttleWriteIOPSDevice": 200}
    limits = {name: [{"major": major, "minor": minor, "rate": rate}] for name, rate in rates.items()}
    container = t.start(edit=limited({"blockIO": limits}))
    places = cgroups_of(container.pid)
    files = {f"blkio.throttle.{name}_device": f"{major}:{minor} {rate}\n" for name, rate in
             zip(("read_bps", "write_bps", "read_iops", "write_iops"), rates.values())}
    old = next((place for place in places if os.path.exists(f"{place}/blkio.throttle.read_bps_device")), None)
    new = next((place for place in places if os.path.exists(f"{place}/io.max")), None)
    if old:
        for where in ("", "/vm"):
            t.equal(f"the files of version 1 have them: {where or '/'}", {name: read(f"{old}{where}/{name}") for name in files}, files)
    elif new:
        t.equal("io.max has them", read(f"{new}/io.max"), f"{major}:{minor} rbps=1048576 wbps=2097152 riops=100 wiops=200\n")
    else:
        log = read(t.log)
        t.ok("a warning for each says that there is no way", all(
            f"linux.resources.blockIO.{name}[0] is not applied: the host's cgroups have no file for it" in log for name in rates), log)
    container = t.start(edit=limited({"blockIO": {"weight": 500}}))
    found = {f"{place}/{name}" for place in cgroups_of(container.pid) for name in ("blkio.bfq.weight", "blkio.weight")
             if os.path.exists(f"{place}/{name}")}
    for path in found:
        t.equal("weight", read(path).split()[-1], "500")
    result = t.run(["true"], edit=limited({"blockIO": {"throttleReadBpsDevice": [{"major": 4000, "minor": 1, "rate": 1}]}}))
    t.ok("a disk that the host lacks is refused, by field", not (old or new) or
         result.status == 1 and "linux.resources.blockIO.throttleReadBpsDevice[0]" in result.err, result)
