"""Root, volumes, mounts and memory."""
import copy
import hashlib
import os
import tempfile
import time

from bed import BASE, MOUNTS, check, equal, test
from driver import Vm


@test
def mounts_as_podman_has_them(bed):
    text = bed.output(["cat", "/proc/mounts"])
    found = {line.split()[1]: line.split() for line in text.splitlines()}
    for mount in MOUNTS:
        check(mount["destination"] in found, "%s is not mounted: %s" % (mount["destination"], text))
    equal(found["/dev/shm"][2], "tmpfs", "/dev/shm")
    equal(found["/sys/fs/cgroup"][2], "cgroup2", "cgroup")
    check("ro" in found["/sys"][3].split(","), "sysfs is writable")
    check("noexec" in found["/dev/shm"][3].split(","), "/dev/shm has no noexec")
    check("ro" in found["/proc/sys"][3].split(","), "/proc/sys is writable")
    equal(bed.output("stat -c %a /dev/shm /dev/null /dev/tty; for f in ptmx fd stdin core; do readlink /dev/$f; done"),
          "1777\n666\n666\npts/ptmx\n/proc/self/fd\n/proc/self/fd/0\n/proc/kcore\n", "/dev")
    equal(bed.output("cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/hostname || echo no"),
          "0\n0\nno\n", "hidden paths")


@test
def root_is_live(bed):
    process = bed.start("echo inside > /tmp/from-inside; while [ ! -f /tmp/from-host ]; do sleep 0.1; done; "
                        "cat /tmp/from-host; mv /tmp/from-inside /tmp/moved; chmod 600 /tmp/moved; ln /tmp/moved "
                        "/tmp/linked; ln -s moved /tmp/symlinked; cat /tmp/symlinked; mkdir /tmp/d; rmdir /tmp/d; "
                        "rm /tmp/linked; ls /tmp")
    end = time.time() + 10
    while not os.path.exists(bed.root + "/tmp/from-inside") and time.time() < end:
        time.sleep(0.05)
    bed.write("tmp/from-host", "host\n")
    equal(process.code(), 0, "exit code")
    equal(bytes(process.stdout.data), b"host\ninside\nfrom-host\nmoved\nsymlinked\n", "output")
    equal(os.stat(bed.root + "/tmp/moved").st_mode & 0o777, 0o600, "mode on the host")
    for name in os.listdir(bed.root + "/tmp"):
        os.unlink(bed.root + "/tmp/" + name)


@test
def readonly_root(bed):
    def edit(config):
        config["root"]["readonly"] = True
        config["mounts"].append({"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["rw"]})
        config["mounts"].append({"destination": "/rot", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]})
    equal(bed.output("echo x > /x || echo refused; echo y > /run/y && cat /run/y; echo z > /rot/z || echo refused; "
                     "echo q > /dev/q && echo dev", edit), "refused\ny\nrefused\ndev\n", "output")


@test
def volumes(bed):
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        with open(d + "/f", "w") as f:
            f.write("file\n")

        def edit(config):
            config["mounts"] += [
                {"destination": "/deep/d", "type": "bind", "source": d, "options": ["rbind", "nosuid"]},
                {"destination": "/etc/f", "type": "bind", "source": d + "/f", "options": ["bind", "ro"]},
                {"destination": "/link/to", "type": "bind", "source": d, "options": ["bind", "ro", "rprivate"]},
            ]
        if not os.path.islink(bed.root + "/link"):
            os.symlink("/../../etc", bed.root + "/link")
        equal(bed.output("cat /etc/f; echo x > /etc/f || echo refused; echo new > /deep/d/new; cat /deep/d/new; "
                         "ls /etc/to; grep ' /deep/d ' /proc/mounts | grep -c nosuid; echo x > /etc/to/x || echo ro", edit),
              "file\nrefused\nnew\nf\nnew\n1\nro\n", "output")
        with open(d + "/new") as f:
            equal(f.read(), "new\n", "file on the host")


@test
def tmpfs_copy_up(bed):
    def edit(config):
        config["mounts"].append({"destination": "/copy", "type": "tmpfs", "source": "tmpfs",
                                 "options": ["rw", "size=1m", "tmpcopyup"]})
    equal(bed.output("cat /copy/a /copy/below/b /copy/link; stat -c %a /copy/a; echo x > /copy/a; cat /copy/a", edit),
          "copied\ndeep\ncopied\n640\nx\n", "output")
    with open(bed.root + "/copy/a") as f:
        equal(f.read(), "copied\n", "the image's file")


@test
def file_rates(bed):
    path = bed.root + "/big"
    with open(path, "wb") as f:
        f.write(os.urandom(1 << 20) * 64)
    process = bed.start("cat /big > /dev/null; echo cold; cat /big > /dev/null; echo warm; "
                        "dd if=/dev/zero of=/big2 bs=1M count=32 2>/dev/null; echo written; sha256sum /big; "
                        "cat /sys/class/bdi/$(stat -c %d / | awk '{print int($1/256) \":\" $1%256}')/read_ahead_kb")
    times = [time.time()]
    for word in (b"cold", b"warm", b"written"):
        process.stdout.wait_for(word, 60)
        times.append(time.time())
    equal(process.code(60), 0, "exit code")
    with open(path, "rb") as f:
        check(hashlib.sha256(f.read()).hexdigest().encode() in process.stdout.data, "wrong data")
    equal(os.stat(bed.root + "/big2").st_size, 32 << 20, "size of the written file")
    equal(bytes(process.stdout.data).split()[-1], b"1024", "read_ahead_kb")
    os.unlink(path)
    os.unlink(bed.root + "/big2")
    rates = [size / (b - a) for size, a, b in zip((64, 64, 32), times, times[1:])]
    return "cold %.0f, warm %.0f, write %.0f MiB/s" % tuple(rates)


@test
def mmap_under_pressure(bed):
    """Dirty pages of a shared file and a container that uses all its memory: nothing may hang."""
    def edit(config):
        config["linux"]["resources"] = {"memory": {"limit": 24 << 20}}
    text = ("dd if=/dev/zero of=/tmp/p bs=1M count=40 2>/dev/null; dd if=/tmp/p of=/tmp/q bs=1M 2>/dev/null; "
            "ls -l /tmp/q | awk '{print $5}'; rm /tmp/p /tmp/q; tail /dev/zero; echo $?")
    equal(bed.output(text, edit, timeout=120), "41943040\n137\n", "output")


@test
def machine_out_of_memory(bed):
    """Without a limit of its own, a container takes all there is, while files are being written."""
    with Vm(memory=96) as vm:
        config = copy.deepcopy(BASE)
        config["process"]["args"] = ["sh", "-c", "dd if=/dev/zero of=/tmp/p bs=64k count=1000 2>/dev/null & tail /dev/zero; "
                                     "echo $?; wait; ls -l /tmp/p | awk '{print $5}'; rm /tmp/p; tail /dev/zero; echo $?"]
        process = vm.run("c", config, bed.root)
        equal(process.code(120), 0, "exit code")
        equal(bytes(process.stdout.data), b"137\n65536000\n137\n", "output")
