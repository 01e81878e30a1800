"""4: podman's options, seen from inside."""
import os
import shutil
import time

from harness import IMAGE, test, wait_until
from hypervisor import read

# One line for each thing to look at.
LOOK = """
echo foo=$FOO
echo cwd=$(pwd)
echo id=$(id -u):$(id -g)
echo groups=$(id -G | tr ' ' '\\n' | sort -n | tr '\\n' ' ')
echo hostname=$(hostname) $(cat /etc/hostname)
touch /bin/x 2>/dev/null; echo root=$?
touch /t/x; echo tmpfs=$? $(stat -f -c %T /t)
echo d=$(cat /d/from-host)
echo inside >/d/from-inside; echo write=$?
echo f=$(cat /f)
echo x >/f 2>/dev/null; echo write-ro=$?
echo ro=$(cat /r/file)
touch /r/x 2>/dev/null; echo write-ro-dir=$?
rm -f /r/file 2>/dev/null; [ -e /r/file ]; echo kept=$?
echo pid=$$
echo umask=$(umask)
echo cap=$(grep CapEff /proc/self/status | tr -d '\\t')
echo dev=$(ls /dev | tr '\\n' ' ')
echo full >/dev/full 2>/dev/null; echo full=$?
echo null >/dev/null; echo null=$?
echo shm=$(stat -f -c %T /dev/shm)
echo mqueue=$(grep -c ' /dev/mqueue mqueue ' /proc/mounts)
echo cgroup=$(grep -c ' /sys/fs/cgroup cgroup2 ' /proc/mounts)
echo lo=$(ls /sys/class/net | tr '\\n' ' ')
"""


@test(4, limit=180)
def podman_options(t):
    """-e -w -u --group-add --hostname --read-only --tmpfs -v"""
    directory = t.folder("d")
    os.chmod(directory, 0o777)
    with open(directory + "/from-host", "w") as file:
        file.write("the host's\n")
    single = t.file("f", "a file\n", 0o666)
    readonly = t.folder("r")
    os.chmod(readonly, 0o777)
    with open(readonly + "/file", "w") as file:
        file.write("kept\n")
    name = t.new_id()
    result = t.podman_run("-d", "-e", "FOO=a bar", "-w", "/home/user", "-u", "1000:1001", "--group-add", "2002",
                          "--hostname", "named", "--read-only", "--tmpfs", "/t", "-v", f"{directory}:/d",
                          "-v", f"{single}:/f:ro", "-v", f"{readonly}:/r:ro", IMAGE, "sh", "-c",
                          f"{LOOK}\nsleep 1000", name=name)
    t.need("podman run -d succeeds", result.status == 0, result)
    container = result.out.strip()

    def logs():
        return t.podman("logs", name)

    result = wait_until(lambda: (lambda r: r if "\nlo=" in r.out else None)(logs()), 60, 1) or logs()
    seen = dict(line.split("=", 1) for line in result.out.strip().split("\n") if "=" in line)
    for key, wanted, title in (
            ("foo", "a bar", "-e sets a variable"),
            ("cwd", "/home/user", "-w is the working directory"),
            ("id", "1000:1001", "-u is user and group"),
            ("groups", "1001 2002", "--group-add adds a group"),
            ("hostname", "named named", "--hostname, by uname and in /etc/hostname"),
            ("root", "1", "--read-only: the root file system refuses writes"),
            ("tmpfs", "0 tmpfs", "--tmpfs is one, and writable"),
            ("d", "the host's", "-v dir: the host's file is inside"),
            ("write", "0", "-v dir: a write succeeds"),
            ("f", "a file", "-v file: its content"),
            ("write-ro", "1", "-v file:ro refuses writes"),
            ("ro", "kept", "-v dir:ro: its content"),
            ("write-ro-dir", "1", "-v dir:ro refuses a new file"),
            ("kept", "0", "-v dir:ro refuses unlink"),
            ("pid", "1", "it is pid 1"),
            ("umask", "0022", "umask"),
            ("full", "1", "/dev/full is full"),
            ("null", "0", "/dev/null"),
            ("shm", "tmpfs", "/dev/shm"),
            ("mqueue", "1", "/dev/mqueue"),
            ("cap", "CapEff:0000000000000000", "a user has no capabilities"),
    ):
        t.equal(title, seen.get(key), wanted, result)
    t.ok("/dev has its devices and links", {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue",
                                  "fd", "stdin", "stdout", "stderr"} <= set(seen.get("dev", "").split()), seen.get("dev"))
    t.ok("/sys/fs/cgroup is there", seen.get("cgroup") == "1" or not t.is_vxn, result)
    t.ok("lo is there", "lo" in seen.get("lo", ""), result)
    written = directory + "/from-inside"
    t.equal("what was written inside is on the host, at once, by that user",
            (open(written).read(), os.stat(written).st_uid, os.stat(written).st_gid) if os.path.exists(written) else None,
            ("inside\n", 1000, 1001))
    if t.is_vxn:
        volume_is_live(t, container, directory)


def volume_is_live(t, container, directory):
    """The same container, looked into by the runtime's own exec: podman's would take seconds."""
    def inside(script):
        return t.rt("exec", container, "sh", "-c", script)

    result = inside("cat /d/from-host; ls /d")
    t.equal("exec sees the volume", result.status, 0, result)
    with open(directory + "/from-host", "w") as file:
        file.write("changed by the host\n")
    with open(directory + "/new", "w") as file:
        file.write("new\n")
    time.sleep(2)
    result = inside("cat /d/from-host /d/new; ls /d | tr '\\n' ' '")
    t.equal("what the host wrote is seen inside after 2 s", result.out,
            "changed by the host\nnew\nfrom-host from-inside new ", result)
    os.unlink(directory + "/new")
    os.rename(directory + "/from-host", directory + "/renamed")
    time.sleep(2)
    result = inside("ls /d | tr '\\n' ' '")
    t.equal("what the host removed and renamed is so inside after 2 s", result.out, "from-inside renamed ", result)
    result = inside("cd /d && mkdir sub && echo 1 >sub/a && ln sub/a sub/b && ln -s a sub/c && mv sub/b sub/d &&"
                    " chmod 600 sub/a && rm renamed && echo more >>from-inside && stat -c '%h %a' sub/a")
    t.equal("mkdir, link, symlink, rename, chmod, unlink, append", (result.status, result.out), (0, "2 600\n"), result)
    t.equal("... are all on the host", (sorted(os.listdir(directory)), sorted(os.listdir(directory + "/sub")),
                                      os.readlink(directory + "/sub/c"), open(directory + "/from-inside").read(),
                                      os.stat(directory + "/sub/a").st_mode & 0o777,
                                      os.stat(directory + "/sub/a").st_nlink) if result.status == 0 else result,
            (["from-inside", "sub"], ["a", "c", "d"], "a", "inside\nmore\n", 0o600, 2))
    container_write = inside("dd if=/dev/zero of=/d/large bs=65536 count=64 2>/dev/null; sha256sum /d/large")
    on_host = t.command(["sha256sum", directory + "/large"])
    t.equal("4 MiB written inside are on the host", on_host.out.split()[:1], container_write.out.split()[:1],
            container_write)


@test(4, limit=90)
def bundle_options(t):
    """user with additional gids and umask, mounts of a bundle, the environment"""
    directory = t.folder("volume")
    single = t.file("single", "one\n")

    def edit(config):
        config["process"]["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [10, 20], "umask": 0o027}
        config["process"]["env"].append("EMPTY=")
        config["process"]["env"].append("MULTI=a\nb")
        config["process"]["noNewPrivileges"] = True
        config["process"]["cwd"] = "/volume/made"
        config["hostname"] = "from-the-bundle"
        config["mounts"] += [
            {"destination": "/volume", "type": "bind", "source": directory, "options": ["rbind", "rw"]},
            {"destination": "/single", "type": "bind", "source": single, "options": ["bind", "ro"]},
            {"destination": "/small", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "mode=1777", "noexec"]},
        ]

    os.mkdir(directory + "/made")
    os.chmod(directory + "/made", 0o777)
    rootfs = t.rootfs_copy()
    script = ("id -G; umask; pwd; hostname; echo \"$MULTI\"; env | grep ^EMPTY; cat /single; touch new; stat -c %a new;"
              "grep NoNewPrivs /proc/self/status | tr -d '\\t'; cat /proc/mounts | grep -c ' /small tmpfs .*noexec';"
              "dd if=/dev/zero of=/small/x bs=1M count=2 2>&1 | grep -c 'No space'; echo y >/volume/made/y; exit 9")
    result = t.run(["sh", "-c", script], edit=edit, rootfs=rootfs, readonly=False)
    t.equal("all of it is as the bundle says", (result.status, result.out),
            (9, "1000 10 20\n0027\n/volume/made\nfrom-the-bundle\na\nb\nEMPTY=\none\n640\nNoNewPrivs:1\n1\n1\n"), result)
    made = directory + "/made"
    t.equal("the files are on the host, with the user's id", [(name, os.stat(f"{made}/{name}").st_uid)
                                                              for name in sorted(os.listdir(made))],
            [("new", 1000), ("y", 1000)])
    result = t.run(["sh", "-c", "echo kept >/root/made && mkdir /dir && rm /etc/group && chown 5:6 /root/made"],
                   rootfs=rootfs, readonly=False)
    t.equal("a writable root file system takes writes", result.status, 0, result)
    made = rootfs + "/root/made"
    t.equal("... which are in the bundle's directory", (open(made).read(), os.stat(made).st_uid, os.path.isdir(rootfs + "/dir"),
                                                      os.path.exists(rootfs + "/etc/group"))
            if os.path.exists(made) else None, ("kept\n", 5, True, False))


@test(4)
def unnamed(t):
    """without a hostname in config.json the container has the host's"""

    def edit(config):
        del config["hostname"]

    result = t.run(["hostname"], edit=edit)
    t.equal("it is the host's", (result.status, result.out), (0, os.uname().nodename + "\n"), result)


@test(4, vxn=True)
def warnings(t):
    """what cannot be applied is a warning in --log and does not fail the run, or is refused by name"""

    def edit(config):
        config["linux"]["mountLabel"] = "system_u:object_r:container_file_t:s0"
        config["process"]["apparmorProfile"] = "podman-default"
        config["process"]["capabilities"]["ambient"] = ["CAP_KILL"]
        config["annotations"] = {"org.example.anything": "goes"}

    result = t.run(["echo", "hello"], edit=edit)
    t.equal("it runs, and is silent", (result.status, result.out, result.err), (0, "hello\n", ""), result)
    log = read(t.log)
    for words in ("linux.mountLabel is not applied", "process.apparmorProfile is not applied",
                  "process.capabilities.ambient: CAP_KILL cannot be granted"):
        t.equal(f"the log has it once: {words}", log.count(words), 1, log)
    for field, value in (("intelRdt", {"closID": "x"}), ("netDevices", {"eth0": {"name": "eth1"}})):
        result = t.run(["true"], edit=lambda config: config["linux"].update({field: value}))
        t.ok(f"refused: linux.{field}", result.status == 1 and f"linux.{field} is refused: " in result.err, result)


@test(4, vxn=True, limit=180)
def kernel_of_config(t):
    """config.json's vm.kernel, when the administrator allows it"""
    copy = shutil.copy("/usr/lib/vxn/vmlinux", t.directory)

    def run(kernel, allowed, args=("cat", "/proc/cmdline")):
        with t.settings(allow_vm=allowed):
            return t.run(list(args), edit=lambda config: config.update(vm={"kernel": kernel}))

    result = run({"path": copy, "parameters": ["example=1", "second"]}, ["kernel", "parameters"])
    t.ok("its kernel boots, with its parameters", result.status == 0 and " example=1 second" in result.out
         and "vxn.channel" in result.out, result)
    result = run({"path": t.directory + "/absent"}, ["kernel"])
    t.ok("one that is not there is named", result.status == 1 and t.directory + "/absent" in result.err, result)
    for member, value, allowed in (("path", copy, ["parameters", "initrd"]), ("parameters", ["a=1"], []),
                                   ("initrd", copy, ["kernel"])):
        result = run({member: value} if member != "initrd" else {"path": copy, member: value}, allowed)
        t.ok(f"{member}: refused when it is not allowed", result.status == 1 and f"vm.kernel.{member}" in result.err
             and "allow_vm" in result.err, result)
