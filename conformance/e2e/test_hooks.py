"""18: hooks: where and when they run, what they are told, and what their failure does."""
import json
import os
import signal
import subprocess
import time

from harness import pid_alive, test, wait_until
from inventory import Inventory, left_since

CREATE_STAGES = ("prestart", "createRuntime", "createContainer")
STAGES = (*CREATE_STAGES, "startContainer", "poststart", "poststop")


def shell(script, **members):
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"], **members}


class Trace:
    """Hooks that note that they ran, in a directory that is a volume of the container too."""

    def __init__(self, t):
        self.directory = t.folder(t.new_id())

    def mount(self, config):
        config["mounts"].append({"destination": "/trace", "type": "bind", "source": self.directory, "options": ["rbind"]})

    def hook(self, stage, number=0, status=0):
        directory = "/trace" if stage == "startContainer" else self.directory
        return shell(f"cat >{directory}/{stage}.{number}; echo {stage}.{number} >>{directory}/order; exit {status}")

    def order(self):
        try:
            with open(f"{self.directory}/order") as file:
                return file.read().split()
        except FileNotFoundError:
            return []

    def state(self, name):
        with open(f"{self.directory}/{name}") as file:
            return json.load(file)

    def note(self, line):
        with open(f"{self.directory}/order", "a") as file:
            file.write(line + "\n")


@test(18)
def stages(t):
    """two hooks of each stage, in their order, with the state on stdin"""
    trace = Trace(t)

    def edit(config):
        trace.mount(config)
        config["annotations"] = {"org.example": "told"}
        config["hooks"] = {stage: [trace.hook(stage, n) for n in (0, 1)] for stage in STAGES}

    bundle = t.bundle(["sh", "-c", "echo process >>/trace/order; sleep 1000"], edit)
    id = t.claim()
    result = t.create(bundle, id)
    t.need("create succeeds", result.status == 0, result)
    pid = json.loads(t.rt("state", id).out)["pid"]
    trace.note("created")
    result = t.rt("start", id)
    t.equal("start succeeds", result.status, 0, result)
    wait_until(lambda: "process" in trace.order(), 5)
    trace.note("started")
    t.rt("kill", id, "KILL")
    wait_until(lambda: json.loads(t.rt("state", id).out)["status"] == "stopped", 5)
    result = t.rt("delete", id)
    t.equal("delete succeeds", result.status, 0, result)
    order = trace.order()
    at = order.index("process") if "process" in order else -1
    t.ok("the process runs after startContainer", at > order.index("startContainer.1"), order)
    t.equal("all of them, in the order of the spec", [word for word in order if word != "process"],
            [f"{stage}.{n}" for stage in CREATE_STAGES for n in (0, 1)] + ["created"]
            + [f"{stage}.{n}" for stage in ("startContainer", "poststart") for n in (0, 1)] + ["started"]
            + ["poststop.0", "poststop.1"])
    told = {stage: trace.state(f"{stage}.1") for stage in STAGES}
    t.equal("status", {stage: state["status"] for stage, state in told.items()},
            {**{stage: "created" for stage in (*CREATE_STAGES, "startContainer")}, "poststart": "running", "poststop": "stopped"})
    t.equal("pid: on the host the stand-in's", {told[stage]["pid"] for stage in (*CREATE_STAGES, "poststart")}, {pid})
    t.equal("pid: inside that of the container", told["startContainer"]["pid"], 1)
    t.equal("id, bundle, annotations, version are the container's",
            {(state["id"], state["bundle"], state["annotations"]["org.example"], state["ociVersion"]) for state in told.values()},
            {(id, os.path.realpath(bundle), "told", "1.0.2")})


@test(18)
def places(t):
    """which files, names and processes each stage sees"""
    directory = t.folder("out")
    rootfs = t.rootfs_copy()

    def edit(config):
        config["hostname"] = "inside"
        config["mounts"].append({"destination": "/out", "type": "bind", "source": directory, "options": ["rbind"]})
        look = "{ hostname; pwd; env | sort | tr '\\n' ' '; echo; grep : /proc/self/net/dev | cut -d : -f 1 | tr '\\n' ' '; echo; "
        host = look + f"readlink /proc/self/ns/mnt; [ -e {rootfs}/out/here ]; echo $?; }} >{directory}/"
        with open(directory + "/here", "w"):
            pass
        config["hooks"] = {
            "createRuntime": [shell(host + "createRuntime", env=["PATH=/bin:/usr/bin", "FOO=bar"])],
            "createContainer": [shell(host + "createContainer"), shell(f"echo made >{rootfs}/made")],
            "startContainer": [shell(look + "cat /made; id -u; ls /proc | grep -c '^[0-9]'; } >/out/startContainer")],
            "poststop": [shell(host + "poststop")],
        }

    bundle = t.bundle(["sh", "-c", "cat /made"], edit, rootfs=rootfs, readonly=False)
    result = t.rt("run", "--bundle", bundle, t.claim())
    t.equal("what a hook writes into the rootfs is inside", (result.status, result.out), (0, "made\n"), result)
    seen = {}
    for stage in ("createRuntime", "createContainer", "startContainer", "poststop"):
        with open(f"{directory}/{stage}") as file:
            seen[stage] = file.read().split("\n")
    own, bundle = os.uname().nodename, os.path.realpath(bundle)
    t.equal("createRuntime: the host's name, in the bundle", seen["createRuntime"][:2], [own, bundle])
    t.ok("createRuntime: its environment is what the hook has", "FOO=bar" in seen["createRuntime"][2]
         and "HOME" not in seen["createRuntime"][2], seen)
    t.equal("createRuntime: the host's mounts", seen["createRuntime"][4:6], [os.readlink("/proc/self/ns/mnt"), "1"])
    t.equal("createContainer: the container's name, in the bundle", seen["createContainer"][:2], ["inside", bundle])
    t.ok("createContainer: the container's network", seen["createContainer"][3].split() == ["lo"], seen)
    t.ok("createContainer: mounts of its own, the container's at its rootfs",
         seen["createContainer"][4] != os.readlink("/proc/self/ns/mnt") and seen["createContainer"][5] == "0", seen)
    t.equal("startContainer: inside", (seen["startContainer"][0], seen["startContainer"][4:6]), ("inside", ["made", "0"]))
    t.ok("startContainer: few processes", int(seen["startContainer"][6]) < 8, seen)
    t.equal("poststop: the host's", (seen["poststop"][:2], seen["poststop"][4:6]),
            ([own, bundle], [os.readlink("/proc/self/ns/mnt"), "1"]))


def failing(t, stage, hook):
    """create and start with a failing hook at a stage. The verb that failed, its result, and whether its poststop ran."""
    trace = Trace(t)

    def edit(config):
        trace.mount(config)
        config["hooks"] = {stage: [hook, trace.hook(stage, 1)], **({} if stage == "poststop" else {
            "poststop": [trace.hook("poststop")]})}

    bundle, id = t.bundle(["sh", "-c", "echo process >>/trace/order; sleep 1000"], edit), t.claim()
    result, verb = t.create(bundle, id), "create"
    if result.status == 0:
        result, verb = t.rt("start", id), "start"
    return verb, result, id, trace


@test(18, limit=240)
def failures(t):
    """a hook that fails at each stage: an error that names it, and what was begun is undone"""
    before = Inventory()
    for stage in CREATE_STAGES:
        verb, result, id, trace = failing(t, stage, shell("echo the reason >&2; exit 7"))
        t.ok(f"{stage}: create fails, and says which hook failed and how", verb == "create" and result.status == 1 and all(
            word in result.err for word in (f"{stage} hook #0", "/bin/sh", "exit status 7", "the reason")), result)
        t.equal(f"{stage}: nothing runs after it but poststop", trace.order(), ["poststop.0"])
        t.equal(f"{stage}: there is no container", t.rt("state", id).status, 1)
    verb, result, id, trace = failing(t, "startContainer", shell("echo the reason >&2; exit 7"))
    t.ok("startContainer: start fails, and says which hook failed and how", verb == "start" and result.status == 1 and all(
        word in result.err for word in ("startContainer hook #0", "exit status 7", "the reason")), result)
    t.ok("startContainer: it is stopped", wait_until(lambda: json.loads(t.rt("state", id).out)["status"] == "stopped", 5))
    t.equal("startContainer: delete succeeds", t.rt("delete", id).status, 0)
    t.equal("startContainer: the process has not run", trace.order(), ["poststop.0"])
    verb, result, id, trace = failing(t, "poststart", shell("exit 7"))
    t.ok("poststart: start fails", verb == "start" and result.status == 1 and "poststart hook #0" in result.err, result)
    t.ok("poststart: it is stopped", wait_until(lambda: json.loads(t.rt("state", id).out)["status"] == "stopped", 5))
    t.equal("poststart: delete succeeds", t.rt("delete", id).status, 0)
    t.ok("poststart: the second one has not run", "poststart.1" not in trace.order(), trace.order())
    verb, result, id, trace = failing(t, "poststop", shell("exit 7"))
    t.equal("poststop: start succeeds", result.status, 0, result)
    result = t.rt("delete", "--force", id)
    t.equal("poststop: delete succeeds", (result.status, result.err), (0, ""), result)
    t.ok("poststop: the second one has run", "poststop.1" in trace.order(), trace.order())
    with open(t.log) as file:
        log = file.read()
    t.ok("poststop: the log says so", "poststop hook #0" in log, log)
    t.equal("nothing is left", left_since(before), [])


@test(18, limit=120)
def at_run(t):
    """run: hooks of all stages, and failing ones"""
    trace = Trace(t)

    def edit(config):
        trace.mount(config)
        config["hooks"] = {stage: [trace.hook(stage)] for stage in STAGES}

    result = t.run(["sh", "-c", "echo process >>/trace/order; exit 3"], edit=edit)
    t.equal("its status is the process's", result.status, 3, result)
    t.equal("all have run", sorted(trace.order()), sorted([f"{stage}.0" for stage in STAGES] + ["process"]))
    for stage in ("createRuntime", "poststart"):
        result = t.run(["sleep", "1000"], edit=lambda config: config.update(hooks={stage: [shell("exit 7")]}))
        t.ok(f"{stage} that fails: run fails", result.status == 1 and f"{stage} hook #0" in result.err, result)


@test(18, limit=120)
def time_and_signals(t):
    """a hook that takes too long, and one during which create is ended"""
    before = Inventory()
    verb, result, id, trace = failing(t, "createRuntime", shell("sleep 1000 & wait", timeout=1))
    t.ok("past its timeout it is killed", result.status == 1 and "ran past its timeout of 1 s" in result.err
         and 1 <= result.seconds < 20, result)
    t.ok("and its children", not any("sleep 1000" in line for line in t.command(["ps", "-eo", "args"]).out.split("\n")))
    for number in (signal.SIGTERM, signal.SIGKILL):
        trace = Trace(t)
        pid_file = f"{trace.directory}/pid"

        def edit(config):
            config["hooks"] = {"createRuntime": [shell(f"echo $$ >{pid_file}; exec sleep 1000")],
                               "poststop": [trace.hook("poststop")]}

        id = t.claim()
        process = t.spawn(t.runtime_argv("create", "--bundle", t.bundle(["true"], edit), id),
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        t.need("the hook runs", wait_until(lambda: os.path.exists(pid_file) and os.path.getsize(pid_file), 20))
        hook = int(open(pid_file).read())
        process.send_signal(number)
        process.wait(20)
        if number == signal.SIGTERM:
            t.ok("SIGTERM to create ends the hook", not pid_alive(hook))
            t.equal("and its poststop hook runs", trace.order(), ["poststop.0"])
        else:
            os.kill(hook, signal.SIGKILL)
            wait_until(lambda: json.loads(t.rt("state", id).out or "{}").get("status") == "stopped", 10)
            result = t.rt("delete", "--force", id)
            t.equal("create killed: delete --force succeeds", result.status, 0, result)
            t.equal("and runs poststop", trace.order(), ["poststop.0"])
    t.equal("nothing is left", wait_until(lambda: not left_since(before), 5) or left_since(before), True)


@test(18)
def slow_hook(t):
    """a hook that takes longer than a boot may"""
    with t.settings(boot_timeout=10):
        began = time.monotonic()
        result = t.run(["echo", "hello"], edit=lambda config: config.update(hooks={"prestart": [shell("sleep 14")]}))
    t.equal("the container runs after it", (result.status, result.out), (0, "hello\n"), result)
    t.ok("it was that slow", time.monotonic() - began >= 14)
