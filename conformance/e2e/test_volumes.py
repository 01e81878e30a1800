"""13: what a volume can be: nested mounts, volumes in volumes, propagation, devices, mapped ids."""
import os
import stat
import subprocess

from harness import IMAGE, ROOTFS, test, wait_until
from hypervisor import read
from inventory import Inventory, left_since


def bind(source, destination, *options):
    return {"destination": destination, "type": "bind", "source": source, "options": list(options) or ["rbind"]}


def with_mounts(*mounts):
    def edit(config):
        config["mounts"] += mounts
    return edit


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


def mount(t, *words):
    """A mount of the host, gone after the test."""
    result = t.command(["mount", *words])
    t.need(f"mount {' '.join(words[:-1])}", result.status == 0, result)
    t.stack.callback(t.quietly, ["umount", "-l", words[-1]])
    return words[-1]


def left(t, before):
    """What is left of this test's; others may run beside it."""
    return [item for item in left_since(before) if "e2e-" not in item or t.test.name.replace("_", "-") in item]


def tmpfs(t, path, options="mode=755"):
    os.makedirs(path, exist_ok=True)
    return mount(t, "-t", "tmpfs", "-o", options, "volume", path)


def private(t, path):
    """A mount point whose events are its own, whatever those of the host's root are."""
    tmpfs(t, path)
    t.command(["mount", "--make-rprivate", path])
    return path


# --- nested mounts


@test(13, limit=180)
def nested(t):
    """bind is the one mount, rbind all below it, in their places and with their own options"""
    top = private(t, t.folder("top"))
    write(top + "/of-top", "top")
    inner = tmpfs(t, top + "/a/inner")
    os.makedirs(inner + "/deep")
    deep = tmpfs(t, inner + "/deep")
    readonly = tmpfs(t, top + "/ro dir")
    write(readonly + "/kept", "kept")
    mount(t, "-o", "remount,ro,noexec,bind", readonly)
    write(top + "/single", "covered")
    mount(t, "--bind", write(t.directory + "/over", "over"), top + "/single")
    hidden = tmpfs(t, top + "/hidden")
    write(hidden + "/lower", "lower")
    os.makedirs(hidden + "/below")
    tmpfs(t, hidden + "/below")
    tmpfs(t, hidden)
    write(hidden + "/upper", "upper")
    write(inner + "/of-inner", "inner")
    write(deep + "/of-deep", "deep")
    for path in (top, inner, deep):
        os.chmod(path, 0o777)
    unbindable = tmpfs(t, top + "/unbindable")
    os.makedirs(unbindable + "/x")
    tmpfs(t, unbindable + "/x")
    mount(t, "--make-unbindable", unbindable)
    look = """cd /r; cat of-top a/inner/of-inner a/inner/deep/of-deep single hidden/upper 'ro dir/kept'; echo
ls /r/hidden /r/unbindable | tr '\\n' ' '; echo
cp /bin/busybox 'ro dir/x' 2>&1 | grep -c Read-only
grep -c '/r/ro.040dir .*ro.*noexec' /proc/mounts
echo made >a/inner/deep/made && echo made >single && echo made >new && echo wrote
stat -c %d . a/inner a/inner/deep hidden single | sort -u | wc -l
cd /b; ls a/inner | wc -l; cat single; ls 'ro dir' | wc -l; touch 'ro dir/y' && echo bare; grep -c ' /r/\\| /b/' /proc/mounts
"""
    result = t.run(["sh", "-c", look], edit=with_mounts(bind(top, "/r", "rbind", "rw"), bind(top, "/b", "bind")))
    t.equal("rbind has all that is to be seen, bind the one mount", result.out,
            "topinnerdeepoverupperkept\n/r/hidden:\nupper\n\n/r/unbindable:\n \n1\n1\nwrote\n5\n0\ncovered0\nbare\n5\n".replace(
                "/r/hidden:\nupper\n\n/r/unbindable:\n \n", "/r/hidden: upper  /r/unbindable: \n"), result)
    t.equal("what was written inside is in its place on the host",
            [read(deep + "/made"), read(top + "/single"), read(top + "/new"), read(t.directory + "/over")],
            ["made\n", "made\n", "made\n", "made\n"])
    if t.is_vxn:
        t.ok("nothing was said", not result.err and "not in the container" not in read(t.log), (result, read(t.log)))
    result = t.run(["sh", "-c", "touch /r/x; touch /r/a/inner/x && echo inner"],
                   edit=with_mounts(bind(top, "/r", "rbind", "ro")))
    t.equal("ro is of the top mount alone", (result.out, result.err.count("Read-only")), ("inner\n", 1), result)
    result = t.run(["sh", "-c", "touch /r/x; touch /r/a/inner/x; touch /r/a/inner/deep/x; cat /r/of-top"],
                   edit=with_mounts(bind(top, "/r", "rbind", "rro")))
    t.equal("rro is of all of them", (result.out, result.err.count("Read-only")), ("top", 3), result)


@test(13, limit=120)
def nested_by_podman(t):
    """podman -v, whose binds are recursive; the root of the host; what a virtual machine cannot be served"""
    top = private(t, t.folder("top"))
    tmpfs(t, top + "/in")
    write(top + "/in/file", "inside\n")
    result = t.podman_run("--rm", "-v", f"{top}:/v", "-v", "/:/host:ro", "-v", "/run:/run", IMAGE, "sh", "-c",
                          f"cat /v/in/file /host{top}/in/file; ls -d /run/vxn-runc /host/etc/passwd; ls /host/proc | wc -l;"
                          f"ls /host/sys /host/dev/pts 2>/dev/null | wc -l; echo end", timeout=100)
    t.equal("-v /:/host has what is below", result.out.split("\n")[:2], ["inside", "inside"], result)
    t.ok("... and -v /run:/run", "/host/etc/passwd" in result.out and result.out.endswith("end\n"), result)


@test(13, vxn=True, limit=120)
def kernel_filesystems(t):
    """mounts that show the host's kernel: left out below others, with a warning, and refused alone"""
    top = private(t, t.folder("top"))
    os.makedirs(top + "/proc")
    os.mkfifo(top + "/fifo")
    os.mknod(top + "/disk", 0o600 | stat.S_IFBLK, os.makedev(7, 99))
    mount(t, "-t", "proc", "proc", top + "/proc")
    result = t.run(["sh", "-c", "ls /v/proc | wc -l; ls /v"], edit=with_mounts(bind(top, "/v")))
    t.equal("proc below a volume is an empty directory", (result.status, result.out), (0, "0\ndisk\nfifo\nproc\n"), result)
    t.ok("... and the log says so", f"{top}/proc" in read(t.log) and "is not in the container" in read(t.log), read(t.log))
    for source, words in (("/proc", "it is on proc"), ("/sys", "it is on sysfs"), (top + "/fifo", "it is a FIFO"),
                          (top + "/disk", "it is a device")):
        result = t.run(["true"], edit=with_mounts(bind(source, "/v" if os.path.isdir(source) else "/f")))
        t.ok(f"{source} is refused", result.status == 1 and words in result.err and "mounts[7].source" in result.err
             and result.err.count("\n") == 1, result)
    result = t.run(["true"], edit=with_mounts(bind(top, "/v", "rbind", "rshared")))
    t.ok("rshared is refused", result.status == 1 and "mounts[7]" in result.err and "shared propagation" in result.err, result)


@test(13, vxn=True, limit=120)
def too_many(t):
    """a bound on how many mounts there are below"""
    top = private(t, t.folder("top"))
    for i in range(257):
        os.mkdir(f"{top}/{i}")
        subprocess.run(["mount", "-t", "tmpfs", "volume", f"{top}/{i}"], check=True)
    before = Inventory()
    id = t.claim()
    result = t.rt("run", "--bundle", t.bundle(["true"], with_mounts(bind(top, "/v"))), id)
    t.ok("257 are refused", result.status == 1 and "more than 256" in result.err, result)
    t.rt("delete", "--force", id)
    t.equal("... and nothing is left", left(t, before), [])
    subprocess.run(["umount", f"{top}/0"], check=True)
    write(f"{top}/256/last", "last")
    result = t.run(["sh", "-c", "grep -c ' /v/' /proc/mounts; cat /v/256/last"], edit=with_mounts(bind(top, "/v")))
    t.equal("256 are mounted", (result.status, result.out), (0, "256\nlast"), result)


@test(13, limit=120)
def nested_root(t):
    """mounts below the root file system"""
    base = private(t, t.folder("base"))
    rootfs = base + "/rootfs"
    subprocess.run(["cp", "-a", ROOTFS, rootfs], check=True)
    inner = tmpfs(t, rootfs + "/srv/inner")
    write(inner + "/file", "inner\n")
    over = mount(t, "--bind", write(base + "/passwd", "root:x:0:0:bound:/:/bin/sh\n"), rootfs + "/etc/passwd")
    script = "cat /srv/inner/file /etc/passwd; echo new >/srv/inner/new; touch /x"
    result = t.run(["sh", "-c", script], rootfs=rootfs)
    t.equal("they are there", result.out, "inner\nroot:x:0:0:bound:/:/bin/sh\n", result)
    t.equal("... and written to, while the read-only root is not",
            (read(inner + "/new"), os.path.exists(rootfs + "/x")), ("new\n", False))
    result = t.podman_run("--rm", "--rootfs", rootfs, "cat", "/srv/inner/file", timeout=60)
    t.equal("podman run --rootfs", (result.status, result.out), (0, "inner\n"), result)
    t.ok("the host's mounts are as they were", f" {over} " in read("/proc/mounts") and os.path.ismount(inner))


@test(13, limit=120)
def host_dev(t):
    """-v /dev:/dev"""
    marker = "/dev/vxn-volumes-test"
    t.stack.callback(lambda: os.path.exists(marker) and os.unlink(marker))
    write(marker, "marker\n")
    result = t.podman_run("--rm", "-t", "-v", "/dev:/dev", IMAGE, "sh", "-c",
                          f"cat {marker}; echo x >/dev/null && head -c3 /dev/zero | wc -c; ls /dev/pts | grep -c ptmx; tty;"
                          "grep -c ' /dev/pts devpts\\| /dev/shm tmpfs' /proc/mounts; touch /dev/shm/mine && echo shm", timeout=60)
    t.equal("its files, and devices, terminals and shared memory that work",
            (result.status, result.out.replace("\r", "")), (0, "marker\n3\n1\n/dev/pts/0\n2\nshm\n"), result)
    t.ok("the shared memory is the guest's own", not os.path.exists("/dev/shm/mine") or not t.is_vxn)


# --- volumes in volumes


@test(13, limit=120)
def volumes_in_volumes(t):
    """one in another, read-only in writable and the other way round, the same twice, files over files, links"""
    outer, inner, third = t.folder("outer"), t.folder("inner"), t.folder("third")
    for path in (outer, inner, third):
        os.mkdir(path + "/sub")
        write(path + "/name", os.path.basename(path) + "\n")
    one, other = t.file("one", "one\n"), t.file("other", "other\n")
    rootfs = t.rootfs_copy()
    os.makedirs(rootfs + "/var/real")
    os.symlink("/var/real", rootfs + "/link")
    os.symlink("../../../../../../var/up", rootfs + "/up")
    edit = with_mounts(
        bind(outer, "/rw", "bind", "rw"), bind(inner, "/rw/sub", "bind", "ro"), bind(third, "/rw/made", "bind", "rw"),
        bind(outer, "/ro", "bind", "ro"), bind(inner, "/ro/sub", "bind", "rw"),
        bind(one, "/rw/name", "bind", "ro"), bind(other, "/ro/sub/name", "bind", "rw"),
        bind(third, "/link/through", "bind"), bind(third, "/up", "bind"),
        bind(inner, "/covered", "bind"), bind(third, "/covered", "bind"))
    script = """cat /rw/name /rw/sub/name /rw/made/name /ro/name /ro/sub/name /var/real/through/name /var/up/name /covered/name
for d in /rw /rw/sub /rw/made /ro /ro/sub; do touch $d/by$(echo $d | tr / -) 2>/dev/null && echo $d; done
echo x >/rw/name 2>/dev/null || echo kept; echo changed >/ro/sub/name
echo seen >/rw/twice; cat /ro/twice; mkdir /ro/sub/d; ls -d /rw/sub/d"""
    result = t.run(["sh", "-c", script], edit=edit, rootfs=rootfs, readonly=False)
    t.equal("each in its place, in the order of config.json", result.out,
            "one\ninner\nthird\nouter\nother\nthird\nthird\nthird\n/rw\n/rw/made\n/ro/sub\nkept\nseen\n/rw/sub/d\n", result)
    t.equal("... and so it is on the host", [sorted(os.listdir(path)) for path in (outer, inner, third)],
            [["by-rw", "made", "name", "sub", "twice"], ["by-ro-sub", "d", "name", "sub"], ["by-rw-made", "name", "sub"]])
    t.equal("a file over a file", [read(outer + "/name"), read(one), read(other)], ["outer\n", "one\n", "changed\n"])


@test(13, limit=120)
def two_containers(t):
    """the same directory in two containers at once"""
    shared = t.folder("shared")
    first, second = (t.start(edit=with_mounts(bind(shared, "/v"))) for _ in range(2))
    result = first.sh("echo first >/v/a; mkdir /v/d; echo $$ >/v/pid")
    t.equal("one writes", result.status, 0, result)
    result = second.sh("cat /v/a; rmdir /v/d; mv /v/a /v/b; echo second >>/v/b")
    t.equal("the other sees it, and changes it", (result.status, result.out), (0, "first\n"), result)
    result = wait_until(lambda: (lambda r: r if r.out.startswith("b\n") else None)(first.sh("ls /v; cat /v/b")), 5, 0.5)
    t.ok("the first sees that", result and result.out == "b\npid\nfirst\nsecond\n", result)
    first.sh("echo end")
    t.rt("delete", "--force", first.id)
    t.equal("one ends, the other goes on", second.sh("cat /v/b").out, "first\nsecond\n")


# --- propagation


@test(13, limit=150)
def propagation(t):
    """what the host mounts below a slave volume later is seen inside, and goes with the host's unmount"""
    top = t.folder("top")
    tmpfs(t, top)
    t.command(["mount", "--make-shared", top])
    os.mkdir(top + "/later")
    container = t.start(edit=with_mounts(bind(top, "/s", "rbind", "rslave"), bind(top, "/p", "rbind", "rprivate")))
    t.equal("before, it is empty", container.sh("ls -A /s/later; ls -A /p/later").out, "")
    later = tmpfs(t, top + "/later")
    write(later + "/file", "later\n")
    result = wait_until(lambda: (lambda r: r if r.status == 0 else None)(container.sh("cat /s/later/file")), 5, 0.5)
    t.ok("what the host mounts later is inside", result and result.out == "later\n", result or container.sh("cat /s/later/file"))
    t.equal("... not in the private one", container.sh("ls /p/later").out, "")
    t.equal("... and can be written to", (container.sh("echo x >/s/later/new").status, read(later + "/new")), (0, "x\n"))
    busy = t.spawn(container.exec_argv("sh", "-c", "exec </s/later/file && touch /tmp/in && sleep 1000"))
    wait_until(lambda: container.sh("test -e /tmp/in").status == 0)
    result = t.command(["umount", later])
    t.ok("what a process inside has open is busy, as with a process of the host", result.status and "busy" in result.err, result)
    container.sh("kill $(pidof sleep)")
    busy.wait(10)
    result = wait_until(lambda: (lambda r: r if r.status == 0 else None)(t.command(["umount", later])), 5, 0.5)
    t.ok("the host can unmount it", result and result.status == 0, result or t.command(["umount", later]))
    result = wait_until(lambda: (lambda r: r if r.out == "" else None)(container.sh("ls /s/later")), 5, 0.5)
    t.ok("... and it is gone inside", result and result.out == "", result or container.sh("ls /s/later"))
    for option in ("slave", "private", "unbindable"):
        result = t.run(["cat", "/v/x"], edit=with_mounts(bind(os.path.dirname(write(top + "/x", "x\n")), "/v", "bind", option)))
        t.equal(f"{option} is taken", (result.status, result.out), (0, "x\n"), result)


# --- devices


@test(13, limit=120)
def devices(t):
    """binds of the devices that every container has"""
    names = ("null", "zero", "full", "random", "urandom", "tty")
    mounts = [bind(f"/dev/{name}", f"/d/{name}", "bind") for name in names]
    script = """cd /d; stat -c %t:%T null zero full random urandom tty | tr '\\n' ' '
head -c 5 zero | wc -c; head -c 5 urandom | wc -c; head -c 5 random | wc -c; cat null | wc -c; echo x >null && echo null
echo x 2>/dev/null >full || echo full"""
    rootfs = t.rootfs_copy()
    result = t.run(["sh", "-c", script], edit=with_mounts(*mounts), rootfs=rootfs, readonly=False)
    t.equal("they are devices, and work", result.out, "1:3 1:5 1:7 1:8 1:9 5:0 5\n5\n5\n0\nnull\nfull\n", result)
    over = t.file("over", "host\n")
    result = t.run(["sh", "-c", "cat /v/f; echo lost >/v/f"],
                   edit=with_mounts(bind(t.directory, "/v", "bind"), bind("/dev/null", "/v/f", "bind")))
    t.equal("/dev/null over a file of a volume", (result.status, result.out), (0, ""), result)
    t.ok("... whose own is as it was", read(over) == "host\n")
    result = t.podman_run("--rm", "-v", "/dev/null:/n", "-v", "/dev/zero:/z:ro", IMAGE, "sh", "-c",
                          "echo x >/n; cat /n; head -c 3 /z | wc -c", timeout=60)
    t.equal("podman -v", (result.status, result.out), (0, "3\n"), result)


# --- mapped ids


def ext4(t):
    """A loop-mounted one, or None where there are no loop devices."""
    image, place = t.directory + "/ext4", t.folder("disk")
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    if t.command(["mkfs.ext4", "-q", image]).status or t.command(["mount", "-o", "loop", image, place]).status:
        return None
    t.stack.callback(t.quietly, ["umount", "-l", place])
    return place


@test(13, limit=150)
def mapped_ids(t):
    """idmapped mounts: by the spec's mappings and by crun's option; a file system that cannot"""
    place = ext4(t)
    if not place:
        t.skip("idmap", "no ext4 on a loop device here")
        return
    for number, owner in enumerate((0, 5, 77)):
        os.chown(write(f"{place}/{number}", "x"), owner, owner)
    os.chmod(place, 0o777)
    maps = [{"containerID": 0, "hostID": 1000, "size": 10}]
    volume = bind(place, "/v", "bind")
    volume.update(uidMappings=maps, gidMappings=maps)
    script = "stat -c %u:%g /v/0 /v/1 | tr '\\n' ' '; touch /v/made; stat -c %u:%g /v/made; chown 1004:1005 /v/0; stat -c %u:%g /v/0"

    def edit(config):
        config["mounts"] += [volume]
        config["process"]["user"] = {"uid": 1003, "gid": 1002}
        config["process"]["capabilities"] = {}

    if not t.is_vxn:
        t.skip("the spec's mappings", "this runtime needs a user namespace for them")
    else:
        result = t.run(["sh", "-c", script], edit=edit)
        t.equal("ids are seen mapped, and made mapped", result.out, "1000:1000 1005:1005 1003:1002\n1000:1000\n", result)
        made = os.stat(place + "/made")
        t.equal("... on the disk they are its own", (made.st_uid, made.st_gid), (3, 2))
        volume.pop("uidMappings")
        volume.pop("gidMappings")
        result = t.run(["sh", "-c", "stat -c %u /v/0 /v/1 /v/2; chown 21:31 /v/0 && stat -c %u:%g /v/0"],
                       edit=with_mounts(bind(place, "/v", "bind", "idmap=uids=0-20-1#5-21-1;gids=0-30-2")))
        t.equal("crun's option: in two ranges, one id in none", result.out, "20\n21\n65534\n21:31\n", result)
        t.equal("... chown goes the way back", (os.stat(place + "/0").st_uid, os.stat(place + "/0").st_gid), (5, 1))
        result = t.run(["true"], edit=with_mounts(bind(place, "/v", "bind", "idmap")))
        t.ok("idmap alone is refused", result.status == 1 and "mounts[7] is refused: idmap needs" in result.err, result)
        inside = tmpfs(t, place + "/nested") if os.makedirs(place + "/nested") is None else None
        os.chown(write(inside + "/file", "x"), 5, 5)
        for option, owner in (("idmap", 5), ("ridmap", 25)):
            result = t.run(["stat", "-c", "%u", "/v/nested/file", "/v/1"],
                           edit=with_mounts(bind(place, "/v", "rbind", option + "=uids=0-20-10;gids=0-20-10")))
            t.equal(f"{option} and a mount below", result.out, f"{owner}\n25\n" if result.status == 0 else "", result)
        t.command(["umount", inside])
    if t.is_vxn:
        result = t.run(["true"], edit=with_mounts(bind(mount(t, "-t", "proc", "proc", t.folder("proc")), "/v", "bind",
                                                       "idmap=uids=0-1-1;gids=0-1-1")))
        t.ok("a file system that cannot is named", result.status == 1 and "mount /v: idmap of " in result.err
             and "its file system, proc, can't map ids" in result.err, result)
    result = t.podman_run("--rm", "-u", "1234:1235", "-v", f"{place}:/v:U", IMAGE, "sh", "-c", "stat -c %u:%g /v; touch /v/u", timeout=60)
    t.equal("podman's :U is its own", (result.status, result.out, os.stat(place).st_uid), (0, "1234:1235\n", 1234), result)
    if t.is_vxn:
        result = t.podman_run("--rm", "-v", f"{place}:/v:idmap=uids=1234-7-1;gids=0-0-2000", IMAGE, "stat", "-c", "%u", "/v",
                              timeout=60)
        t.equal("podman's :idmap=", (result.status, result.out), (0, "7\n"), result)
