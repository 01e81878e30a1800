"""17: fields of config.json, looked at from inside the container."""
import json
import os

from harness import test

TOOL = {"destination": "/tool", "type": "bind", "options": ["bind", "ro"],
        "source": os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside_process")}


def edited(change, *mounts):
    """An edit of a bundle's config: mounts are added, then change(config, its process, its linux section)."""

    def edit(config):
        config["mounts"] += mounts
        change(config, config["process"], config["linux"])

    return edit


def looks(t, title, words, change, wanted):
    """Runs inside_process with these words."""
    result = t.run(["/tool", *words], edit=edited(change, TOOL), rootfs=t.rootfs_copy(t.new_id()), readonly=False)
    t.equal(title, (result.status, result.out), (0, wanted), result)


def refused(t, title, change, *words):
    """create fails, with a message of ours that has these words in it, and leaves nothing."""
    id = t.new_id()
    result = t.run(["true"], id=id, edit=edited(change))
    t.ok(f"{title} is refused", result.status == 1 and (not t.is_vxn or all(word in result.err for word in words)), result)
    t.ok("... and leaves no container", t.rt("state", id).status != 0)


@test(17)
def domain_name(t):
    """domainname"""
    result = t.run(["cat", "/proc/sys/kernel/domainname"], edit=lambda c: c.update(domainname="a-domain.test"))
    t.equal("it is the container's", (result.status, result.out), (0, "a-domain.test\n"), result)


SCHEDULERS = (
    ("nice alone", {"policy": "SCHED_OTHER", "nice": 7}, "0 0 7 0 "),
    ("a negative nice", {"policy": "SCHED_BATCH", "nice": -5}, "3 0 -5 0 "),
    ("real time", {"policy": "SCHED_RR", "priority": 42}, "2 0 0 42 "),
    ("idle", {"policy": "SCHED_IDLE"}, "5 0 0 0 "),
    ("a deadline", {"policy": "SCHED_DEADLINE", "runtime": 10000000, "deadline": 200000000, "period": 300000000,
                    "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM"]}, "6 3 0 0 10000000 200000000 300000000"),
)


@test(17, vxn=True)
def scheduler(t):
    """process.scheduler"""
    for title, given, wanted in SCHEDULERS:
        def change(_config, process, _linux, given=given):
            process["scheduler"] = given

        result = t.run(["/tool", "scheduler"], edit=edited(change, TOOL), rootfs=t.rootfs_copy(t.new_id()), readonly=False)
        t.ok(title, result.status == 0 and result.out.startswith(wanted), result)
    for title, given, word in (
            ("a policy that the kernel does not have", {"policy": "SCHED_ISO"}, "process.scheduler"),
            ("an unknown policy", {"policy": "SCHED_X"}, "process.scheduler.policy"),
            ("a priority without real time", {"policy": "SCHED_OTHER", "priority": 1}, "process.scheduler.priority"),
            ("a nice beyond 19", {"policy": "SCHED_OTHER", "nice": 20}, "process.scheduler.nice"),
            ("an unknown flag", {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_X"]}, "process.scheduler.flags[0]")):
        refused(t, title, lambda _c, process, _l, given=given: process.update(scheduler=given), word)


@test(17, vxn=True)
def io_priority(t):
    """process.ioPriority"""
    for name, number in (("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)):
        looks(t, name, ["ioprio"],
              lambda _c, process, _l, name=name: process.update(ioPriority={"class": name, "priority": 5}), f"{number} 5\n")
    refused(t, "a priority beyond 7", lambda _c, process, _l: process.update(
        ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 8}), "process.ioPriority.priority")


@test(17, vxn=True)
def exec_inherits(t):
    """processes that join have the container's scheduler and I/O priority, or their own"""

    def change(_config, process, linux):
        process["scheduler"] = {"policy": "SCHED_OTHER", "nice": 3}
        process["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE"}
        linux["personality"] = {"domain": "LINUX32"}

    container = t.start(edit=edited(change, TOOL), rootfs=t.rootfs_copy(), readonly=False)
    words = ["/tool", "scheduler", "ioprio", "personality"]

    def shown(*argv, options=()):
        result = container.exec(*argv, options=options)
        lines = result.out.split("\n")
        return ([" ".join(lines[0].split()[:4]), *lines[1:3]] if result.status == 0 else result)

    t.equal("exec has the container's", shown(*words), ["0 0 3 0", "3 0", "8"])
    process = {"args": words, "cwd": "/", "env": ["PATH=/bin"]}
    path = t.file("process.json")

    def with_process(**members):
        with open(path, "w") as file:
            file.write(json.dumps({**process, **members}))
        return shown(options=("--process", path))

    t.equal("a process.json that says nothing has them too", with_process(), ["0 0 3 0", "3 0", "8"])
    t.equal("a process.json may say other ones", with_process(
        scheduler={"policy": "SCHED_FIFO", "priority": 3}, ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 1}),
            ["1 0 0 3", "2 1", "8"])


@test(17, vxn=True)
def large_files(t):
    """the largest config.json and process.json that are taken pass through to the guest; a byte more is an error"""
    limit = 3 << 20
    environment = [f"V{i}={'x' * 100_000}" for i in range(5)]

    def filled(value, size):
        """As text of that size: what nobody knows is passed on, too."""
        value["x"] = ["f" * 1000] * (limit // 1200)
        return json.dumps({**value, "y": "f" * (size - len(json.dumps({**value, "y": ""})))})

    def run(size):
        bundle = t.bundle(["sh", "-c", "echo ${#V4} $#"], edit=edited(lambda _c, process, _l: process["env"].extend(environment)))
        with open(bundle + "/config.json", "r+") as file:
            config = json.load(file)
            file.seek(0)
            file.write(filled(config, size))
        return bundle, t.rt("run", "--bundle", bundle, t.claim())

    _, result = run(limit)
    t.equal("config.json", (result.status, result.out), (0, "100000 0\n"), result)
    bundle, result = run(limit + 1)
    t.ok("of a byte more: refused, by name and size", result.status == 1 and f"{bundle}/config.json: more than {limit} bytes" in result.err,
         result)
    container = t.start()
    process = {"args": ["sh", "-c", "echo ${#V4}"], "cwd": "/", "env": ["PATH=/bin", *environment]}
    result = container.exec(options=("--process", t.file("process.json", filled(process, limit))))
    t.equal("process.json", (result.status, result.out), (0, "100000\n"), result)
    path = t.file("process.json", filled(process, limit + 1))
    result = container.exec(options=("--process", path))
    t.ok("of a byte more: refused, by name and size", result.status != 0 and f"{path}: more than {limit} bytes" in result.err, result)


@test(17, vxn=True)
def exec_affinity(t):
    """process.execCPUAffinity: where the processes that join a container run"""
    look = ["sh", "-c", "grep Cpus_allowed_list /proc/self/status | cut -f 2"]
    with t.settings(vcpus=3):
        container = t.start(edit=edited(lambda _c, process, _l: process.update(
            execCPUAffinity={"initial": "2", "final": "0, 2"})))
    t.equal("the first process may run anywhere", container.sh(look[2].replace("self", "1")).out, "0-2\n")
    t.equal("exec: final", container.exec(*look).out, "0,2\n")
    process = {"args": look, "cwd": "/", "env": ["PATH=/bin"]}
    path = t.file("process.json")

    def shown(affinity):
        with open(path, "w") as file:
            file.write(json.dumps({**process, "execCPUAffinity": affinity}))
        return container.exec(options=("--process", path))

    t.equal("initial alone: all of the container's from then on", shown({"initial": "1"}).out, "0-2\n")
    t.equal("final alone", shown({"final": "1"}).out, "1\n")
    for name in ("initial", "final"):
        result = shown({name: "7"})
        t.ok(f"{name}: a CPU that is not there is an error that names the field",
             result.status != 0 and f"process.execCPUAffinity.{name}" in result.err, result)
    t.equal("exec works after that", container.exec(*look).out, "0,2\n")


@test(17)
def personality(t):
    """linux.personality"""
    for domain, machine in (("LINUX", "x86_64"), ("LINUX32", "i686")):
        result = t.run(["uname", "-m"], edit=edited(lambda _c, _p, linux, domain=domain: linux.update(
            personality={"domain": domain})))
        t.equal(domain, (result.status, result.out), (0, machine + "\n"), result)
    refused(t, "another domain", lambda _c, _p, linux: linux.update(personality={"domain": "BSD"}), "personality")


@test(17)
def sysctl(t):
    """linux.sysctl: what belongs to a namespace of the container"""
    values = {"net.ipv4.ip_forward": "1", "net/ipv4/ping_group_range": "0\t7", "kernel.shmmni": "77", "kernel.msgmax": "4321",
              "fs.mqueue.msg_max": "23", "kernel.sem": "100\t200\t30\t40"}
    result = t.run(["sh", "-c", "cd /proc/sys && for f in " + " ".join(name.replace(".", "/") for name in values) +
                    "; do cat $f; done; touch kernel/shmmni; echo 1 >kernel/shmmni"],
                   edit=edited(lambda _c, _p, linux: linux.update(sysctl=values)))
    t.equal("they have the values, and cannot be written", (result.status, result.out.split("\n")[:-1]),
            (1, list(values.values())), result)
    result = t.run(["cat", "/proc/sys/kernel/domainname"],
                   edit=edited(lambda _c, _p, linux: linux.update(sysctl={"kernel.domainname": "by-sysctl"})))
    t.equal("kernel.domainname", (result.status, result.out), (0, "by-sysctl\n"), result)


@test(17)
def sysctl_refusals(t):
    """linux.sysctl: what is refused"""
    for name in ("kernel.panic", "vm.swappiness", "kernel.hostname", "net.//.kernel.panic", "net/../kernel/panic"):
        refused(t, name, lambda _c, _p, linux, name=name: linux.update(sysctl={name: "1"}), f"linux.sysctl.{name}")
    refused(t, "one that there is not", lambda _c, _p, linux: linux.update(sysctl={"net.ipv4.moon": "1"}),
            "linux.sysctl.net.ipv4.moon")
    refused(t, "a value that the kernel does not take", lambda _c, _p, linux: linux.update(sysctl={"kernel.shmmni": "many"}),
            "linux.sysctl.kernel.shmmni")

    def without_namespaces(_config, _process, linux):
        linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "ipc"]
        linux["sysctl"] = {"kernel.shmmni": "77"}

    refused(t, "one of a namespace that the container does not have", without_namespaces, "linux.sysctl.kernel.shmmni")


@test(17, limit=60)
def without_a_mount_namespace(t):
    """a container that asks for no mount namespace: its stand-in is in the host's, at its root"""
    def edit(config):
        config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "mount"]
        config["mounts"] = []
        config["linux"].pop("maskedPaths", None)
        config["linux"].pop("readonlyPaths", None)

    container = t.start(edit=edit, rootfs=t.rootfs_copy(), readonly=False)
    t.equal("the host's mounts", os.readlink(f"/proc/{container.pid}/ns/mnt"), os.readlink("/proc/self/ns/mnt"))
    t.ok("its root is the rootfs", os.readlink(f"/proc/{container.pid}/root").endswith("/rootfs"))
    result = container.sh("ls /bin/busybox; exit 3")
    t.equal("exec", (result.status, result.out), (3, "/bin/busybox\n"), result)
