"""What a process is and has, exec and signals."""
import signal
import time

from bed import check, equal, test


@test
def user_and_groups(bed):
    def edit(config):
        config["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [7, 1234], "umask": 0o27}
    equal(bed.output("id -u; id -g; id -G; umask; echo $HOME; echo x > /dev/stdout", edit),
          "1000\n1001\n1001 7 1234\n0027\n/home\nx\n", "user")
    equal(bed.output("umask; echo $HOME; echo $A; pwd"), "0022\n/root\nb c\n/\n", "root")
    equal(bed.output("pwd; echo $HOME", lambda c: c["process"].update(
        cwd="/made/here", env=["PATH=/bin", "HOME=/x"])), "/made/here\n/x\n", "cwd")


def status_of(bed, edit=None):
    text = bed.output(["cat", "/proc/self/status"], edit)
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@test
def capabilities(bed):
    numbers = {0, 1, 3, 4, 5, 10, 31, 7, 6, 8, 18}
    mask = "%016x" % sum(1 << n for n in numbers)
    status = status_of(bed)
    equal([status[k] for k in ("CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp")],
          [mask, mask, mask, "0" * 16, "0" * 16, "0", "0"], "sets of root")
    equal(status["SigBlk"] + status["SigIgn"], "0" * 32, "signals")

    def edit(config):
        config["process"]["user"] = {"uid": 1000, "gid": 1000}
        for name in ("inheritable", "ambient", "bounding", "permitted", "effective"):
            config["process"]["capabilities"][name] = ["CAP_NET_BIND_SERVICE", "CAP_KILL"]
        config["process"]["noNewPrivileges"] = True
    status = status_of(bed, edit)
    mask = "%016x" % (1 << 10 | 1 << 5)
    equal([status[k] for k in ("CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb", "NoNewPrivs")],
          [mask] * 5 + ["1"], "sets of a user")
    status = status_of(bed, lambda c: c["process"].pop("capabilities"))
    equal(status["CapBnd"] + status["CapEff"], "0" * 32, "sets without capabilities in config.json")


@test
def limits_and_scores(bed):
    def edit(config):
        config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 2000000},
                                        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
        config["process"]["oomScoreAdj"] = 321
    equal(bed.output("ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj", edit),
          "77\n2000000\n0\n321\n", "limits")
    equal(bed.output(["cat", "/proc/self/oom_score_adj"]), "0\n", "default oom_score_adj")


@test
def nothing_leaks_in(bed):
    equal(bed.output("ls /proc/self/fd | tr '\\n' ' '; [ $(ls -d /proc/[0-9]* | wc -l) -lt 6 ] && echo few"),
          "0 1 2 3 few\n", "fds, processes")
    equal(bed.output("cat /proc/self/cgroup; hostname; echo $$; cat /proc/mounts | grep -c initramfs; ls /sys/fs/cgroup | "
                     "grep -c cgroup.kill"), "0::/\nguest\n1\n0\n1\n", "namespaces")
    equal(bed.output("cat /sys/class/net/lo/operstate; ip -o addr show lo | grep -c 127.0.0.1"), "unknown\n1\n", "lo")


@test
def big_config(bed):
    def edit(config):
        config["annotations"] = {"k%d" % i: "v" * 30000 for i in range(100)}
    equal(bed.output(["echo", "big"], edit), "big\n", "output")


@test
def exec_in_container(bed):
    sleeper = bed.sleeper()
    process = bed.vm.exec(sleeper.container, bed.spec(
        "cat; hostname; cat /proc/1/cmdline | tr '\\0' ' '; cat /proc/self/cgroup; exit 12"), stdin=True)
    process.stdin.write(b"in\n")
    process.stdin.close()
    equal(process.code(), 12, "exit code")
    equal(bytes(process.stdout.data), b"in\nguest\nsleep 1000 0::/\n", "output")
    process = bed.vm.exec(sleeper.container, bed.spec("tty; id -u", terminal=True, user={"uid": 1000, "gid": 5}))
    equal(process.code(), 0, "exit code")
    equal(bytes(process.stdout.data), b"/dev/pts/0\r\n1000\r\n", "output with a terminal")
    two = [bed.vm.exec(sleeper.container, bed.spec("sleep 0.5; echo %d; exit %d" % (i, i))) for i in (1, 2)]
    for i, process in enumerate(two, 1):
        equal(process.code(), i, "exit code")
    left = bed.vm.exec(sleeper.container, bed.spec(["sleep", "1000"]))
    bed.end(sleeper)
    equal(left.code(), 137, "exit code of what was left")


@test
def signal_all(bed):
    process = bed.start("trap 'exit 3' USR1; (trap 'echo child; exit' USR1; while :; do sleep 0.1; done) & echo ready; "
                        "while :; do sleep 0.1; done")
    process.stdout.wait_for(b"ready")
    time.sleep(0.3)
    bed.vm.signal_all(process.container, signal.SIGKILL)
    equal(process.code(), 137, "exit code")


@test
def containers_leave_nothing(bed):
    """What the VM has before and after 20 containers, seen by a last one."""
    text = "cat /proc/sys/fs/file-nr | cut -f1; ls /sys/class/bdi | grep -c ^0:; ls -d /proc/[0-9]* | wc -l"

    def edit(config):
        config["linux"]["maskedPaths"] = []
    bed.output(text, edit)
    before = [int(n) for n in bed.output(text, edit).split()]
    for _ in range(20):
        bed.output(["true"])
    after = [int(n) for n in bed.output(text, edit).split()]
    check(after[0] <= before[0] + 64 and after[1:] == before[1:], "before %s, after %s" % (before, after))


@test
def many_at_once(bed):
    processes = [bed.start("sleep 1; echo %d; exit %d" % (i, i)) for i in range(5)]
    for i, process in enumerate(processes):
        equal(process.code(), i, "exit code")
        equal(bytes(process.stdout.data), b"%d\n" % i, "output")
