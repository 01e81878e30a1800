"""14: real programs at work on a volume. They are this machine's own: a container's root has its /usr and /etc,
read-only, so that what it needs is what these tests run on."""
import os

from harness import test
from hypervisor import CURRENT
from volumes import ALL_CAPABILITIES, Ext4

POSTGRES = "/usr/lib/postgresql/15/bin"


def rootfs_of_this_machine(t):
    """A root for the binds of its /usr and /etc."""
    root = t.folder("root")
    for name in ("usr", "etc", "proc", "sys", "dev", "tmp", "run", "work", "var/tmp", "var/lib/dpkg", "root"):
        os.makedirs(os.path.join(root, name), exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib64", "lib32"):
        if os.path.isdir("/usr/" + name):
            os.symlink("usr/" + name, os.path.join(root, name))
    os.chmod(os.path.join(root, "tmp"), 0o1777)
    return root


class Workshop:
    """A container with this machine's programs, its working directory on an ext4 of its own."""

    def __init__(self, t, *programs, memory=512):
        self.t = t
        self.missing = [program for program in programs if not os.path.exists(program)]
        self.memory = memory
        self.filesystem = Ext4(t, size="2G")

    def __enter__(self):
        self.filesystem.__enter__()
        self.work = self.filesystem.directory("work")
        os.chmod(self.work, 0o777)

        def edit(config):
            for source, destination, options in (("/usr", "/usr", ["rbind", "ro"]), ("/etc", "/etc", ["rbind", "ro"]),
                                                 (self.work, "/work", ["rbind", "rw"])):
                config["mounts"].append({"destination": destination, "type": "bind", "source": source, "options": options})
            config["process"]["capabilities"] = {name: ALL_CAPABILITIES for name in ("bounding", "effective", "permitted")}
            config["process"]["cwd"] = "/work"
            config["process"]["env"] += ["HOME=/work", "LC_ALL=C.UTF-8", "TMPDIR=/work"]
            config["linux"].setdefault("resources", {})["memory"] = {"limit": self.memory << 20}

        self.container = self.t.start(["/usr/bin/sleep", "3600"], edit=edit, rootfs=rootfs_of_this_machine(self.t))
        return self

    def __exit__(self, *exception):
        self.filesystem.__exit__(*exception)

    def run(self, title, script, timeout=300):
        result = self.container.exec("/bin/sh", "-ec", script, timeout=timeout)
        self.t.ok(title, result.status == 0, result)
        return result


def workshop(t, *programs, **options):
    """None, and a skipped test, where a program is missing."""
    made = Workshop(t, *programs, **options)
    if made.missing:
        t.skip("the work", f"not installed: {', '.join(made.missing)}")
        return None
    return made


@test(14, limit=600)
def git(t):
    """git clones, repacks and checks a repository"""
    made = workshop(t, "/usr/bin/git")
    if not made:
        return
    # In the box each of git's many short programs takes a second to start.
    slow = CURRENT.name == "xen" and not t.full
    files, commits, repositories = (8, "1", "copied") if slow else (400 if t.full else 60, "1 2 3", "here links copied")
    with made as w:
        w.run("a repository of some files and commits", f"""
            git init -q -b main here && cd here
            git config user.name t && git config user.email t@example.org
            mkdir d0 d1 d2 d3 d4 d5 d6
            i=0; while [ $((i += 1)) -le {files} ]; do echo "file $i" >d$((i % 7))/f$i; done
            git add . && git commit -q -m one
            for i in {commits}; do echo $i >>d1/f1; git commit -q -a -m "more $i"; done
            git mv d2 moved && git commit -q -m moved""")
        if "links" in repositories:
            w.run("a clone with hard links", "git clone -q --local here links && [ $(git -C links rev-parse HEAD) = $(git -C here rev-parse HEAD) ]")
        w.run("a clone without", "git clone -q --no-local here copied")
        w.run("gc, fsck of all", f"for i in {repositories}; do git -C $i gc -q && git -C $i fsck --full --strict; done")
        result = w.run("status is clean in all", f"for i in {repositories}; do git -C $i status --porcelain; done")
        t.equal("... so it says", result.out, "")
        outside = t.command(["git", "-c", "safe.directory=*", "-C", w.work + "/copied", "fsck", "--full"], timeout=60)
        t.equal("the host's git finds the same sound", outside.status, 0, outside)


@test(14, limit=600)
def sqlite(t):
    """sqlite with a write-ahead log and two writers at once"""
    made = workshop(t, "/usr/bin/sqlite3")
    if not made:
        return
    rows = 300 if t.full else 60
    with made as w:
        w.run("a database with a write-ahead log", "sqlite3 db 'pragma journal_mode=wal; create table t (who, n)' | grep -qx wal")
        w.run("two writers, each row a transaction", f"""
            writer() {{
                for n in $(seq {rows}); do echo "insert into t values ('$1', $n);"; done |
                    sqlite3 -bail -cmd '.timeout 60000' db
            }}
            writer a & first=$!
            writer b & second=$!
            wait $first && wait $second""", timeout=500)
        result = w.run("a reader", "sqlite3 db 'select who, count(*), sum(n) from t group by who; pragma integrity_check'")
        total = rows * (rows + 1) // 2
        t.equal("no row is lost, and the database is sound", result.out, f"a|{rows}|{total}\nb|{rows}|{total}\nok\n")
        w.run("with a rollback journal too", "sqlite3 db 'pragma journal_mode=truncate; insert into t values (1, 2); pragma wal_checkpoint'")
        outside = t.command(["sqlite3", w.work + "/db", "pragma integrity_check; select count(*) from t"])
        t.equal("the host's sqlite sees the same", outside.out, f"ok\n{2 * rows + 1}\n", outside)


def attributes_of(root):
    """What tar has to bring back: {path: (mode, owner, size, links, target, attributes)}."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            st = os.lstat(path)
            regular = os.path.isfile(path) and not os.path.islink(path)
            found[os.path.relpath(path, root)] = (
                st.st_mode, st.st_uid, st.st_gid, st.st_size if regular else 0, st.st_nlink if regular else 0,
                int(st.st_mtime), os.readlink(path) if os.path.islink(path) else "",
                {key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)},
                open(path, "rb").read() if regular else b"")
    return found


@test(14, limit=300)
def tar(t):
    """tar takes a tree with all attributes there and back"""
    made = workshop(t, "/usr/bin/tar")
    if not made:
        return
    with made as w:
        tree = w.work + "/tree"
        os.makedirs(tree + "/d")
        for number in range(40):
            path = f"{tree}/d/f{number}"
            with open(path, "wb") as file:
                file.write(os.urandom(number * 37))
            os.chown(path, number, number * 2)
            os.chmod(path, (0o644, 0o4755, 0o2755, 0o600)[number % 4])
            os.setxattr(path, "user.number", str(number).encode())
        os.setxattr(tree + "/d/f1", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
        acl = bytes.fromhex("02000000" "01000700ffffffff" "02000600e8030000" "04000500ffffffff" "10000700ffffffff" "20000500ffffffff")
        os.setxattr(tree + "/d", "system.posix_acl_default", acl)
        os.setxattr(tree + "/d/f2", "system.posix_acl_access", acl)
        os.link(tree + "/d/f3", tree + "/linked")
        os.symlink("d/f3", tree + "/symlink")
        os.mkfifo(tree + "/fifo")
        with open(tree + "/sparse", "wb") as file:
            file.seek(10 << 20)
            file.write(b"end")
        os.utime(tree + "/d/f4", (1, 1000000000))
        w.run("pack and unpack", "mkdir back && tar --xattrs --xattrs-include='*' --acls --sparse -C tree -cf tree.tar . &&"
                                 " tar --xattrs --xattrs-include='*' --acls --numeric-owner -C back -xpf tree.tar")
        before, after = attributes_of(tree), attributes_of(w.work + "/back")
        different = [path for path in sorted(before | after) if before.get(path) != after.get(path)]
        t.equal("every file is back as it was", [(path, str(before.get(path))[:100], str(after.get(path))[:100]) for path in different], [])
        t.ok("a sparse file is sparse", os.stat(w.work + "/back/sparse").st_blocks < 1000, os.stat(w.work + "/back/sparse"))
        w.run("it can be removed", "rm -rf tree back")
        t.ok("... and is gone", not os.path.exists(tree) and not os.path.exists(w.work + "/back"))


@test(14, limit=600, full=True)
def dpkg(t):
    """dpkg builds, unpacks, configures, upgrades and removes a package"""
    made = workshop(t, "/usr/bin/dpkg", "/usr/bin/dpkg-deb")
    if not made:
        return
    with made as w:
        w.run("packages of two versions", """
            for version in 1 2; do
                p=p$version; mkdir -p $p/DEBIAN $p/usr/share/thing
                printf 'Package: thing\\nVersion: %s\\nArchitecture: all\\nMaintainer: t <t@example.org>\\nDescription: thing\\n' $version >$p/DEBIAN/control
                for i in $(seq 300); do echo "$version $i" >$p/usr/share/thing/f$i; done
                ln $p/usr/share/thing/f1 $p/usr/share/thing/hard; ln -s f2 $p/usr/share/thing/soft
                chmod 4755 $p/usr/share/thing/f3
                dpkg-deb --root-owner-group -b $p thing-$version.deb >/dev/null
            done""")
        w.run("install", "mkdir -p root/var/lib/dpkg/info root/var/lib/dpkg/updates && : >root/var/lib/dpkg/status &&"
                         " dpkg --root=/work/root --force-script-chrootless --log=/work/log -i thing-1.deb", timeout=300)
        w.run("upgrade", "dpkg --root=/work/root --force-script-chrootless --log=/work/log -i thing-2.deb", timeout=300)
        w.run("its files are right", "cd root/usr/share/thing && [ \"$(cat f300)\" = '2 300' ] && [ \"$(stat -c '%h %a' hard)\" = '2 644' ]"
                                     " && [ $(stat -c %a f3) = 4755 ] && [ $(ls | wc -l) = 302 ]")
        w.run("verify", "dpkg --root=/work/root --verify thing && dpkg --root=/work/root --audit")
        w.run("remove", "dpkg --root=/work/root --force-script-chrootless --log=/work/log -P thing && [ ! -e root/usr/share/thing ]")


@test(14, limit=900, full=True)
def project(t):
    """make -j2 of a small C project, again after a change, and what it built runs"""
    made = workshop(t, "/usr/bin/make", "/usr/bin/gcc", memory=1024)
    if not made:
        return
    with made as w:
        with open(w.work + "/Makefile", "w") as file:
            file.write("CFLAGS = -O1 -MMD\nobjects = $(patsubst %.c,%.o,$(wildcard *.c))\nprogram: libparts.a main.o\n"
                       "\t$(CC) -o $@ main.o libparts.a\nlibparts.a: $(filter-out main.o,$(objects))\n\t$(AR) rcs $@ $^\n"
                       "-include *.d\n")
        with open(w.work + "/part.h", "w") as file:
            file.write("#define STEP 1\n" + "".join(f"int part{i}(int);\n" for i in range(12)))
        for i in range(12):
            with open(f"{w.work}/part{i}.c", "w") as file:
                file.write(f'#include <stdio.h>\n#include "part.h"\nint part{i}(int n) {{ return n + STEP; }}\n')
        calls = "n"
        for i in range(12):
            calls = f"part{i}({calls})"
        with open(w.work + "/main.c", "w") as file:
            file.write(f'#include <stdio.h>\n#include "part.h"\nint main(void) {{ int n = 0; printf("%d\\n", {calls}); return 0; }}\n')
        result = w.run("it builds and runs", "make -s -j2 && ./program", timeout=600)
        t.equal("... right", result.out, "12\n")
        result = w.run("nothing is left to do", "make -j2")
        t.ok("... so make says", "up to date" in result.out, result)
        result = w.run("a changed header", "sleep 1; sed -i s/STEP.1/STEP\\ 2/ part.h && make -s -j2 && ./program", timeout=600)
        t.equal("... is noticed", result.out, "24\n")


@test(14, limit=1200, full=True)
def postgres(t):
    """initdb, a server, pgbench, a crash and its recovery"""
    made = workshop(t, POSTGRES + "/initdb", POSTGRES + "/pgbench", memory=1024)
    if not made:
        return
    with made as w:
        as_user = f"setpriv --reuid 1000 --regid 1000 --clear-groups env PATH={POSTGRES}:$PATH HOME=/work"
        start = f"{as_user} pg_ctl -s -w -t 120 -D data -o '-k /work -c listen_addresses=' -l log start"
        w.run("initdb", f"mkdir data && chown 1000 data && {as_user} initdb -D data -U t --auth=trust --data-checksums >/dev/null", timeout=600)
        w.run("the server starts", f"touch log && chown 1000 log && {start}", timeout=200)
        w.run("pgbench fills its tables", f"{as_user} pgbench -q -h /work -U t -i -s 1 postgres", timeout=300)
        w.run("... and works", f"{as_user} pgbench -h /work -U t -c 4 -j 2 -T 15 postgres", timeout=200)
        balances = w.run("the sums agree", f"{as_user} psql -At -h /work -U t postgres -c 'select (select sum(abalance) from pgbench_accounts) ="
                         " (select sum(delta) from pgbench_history), (select count(*) from pgbench_history) > 0'")
        t.equal("... all of them", balances.out, "t|t\n")
        w.run("stopped at once, it recovers", f"{as_user} pg_ctl -s -D data -m immediate stop; {start}", timeout=200)
        again = w.run("the sums still agree", f"{as_user} psql -At -h /work -U t postgres -c 'select (select sum(abalance) from"
                      " pgbench_accounts) = (select sum(delta) from pgbench_history), (select count(*) from pgbench_history) > 0'")
        t.equal("... all of them, after the recovery", again.out, "t|t\n")
        w.run("no page is damaged", f"{as_user} pg_ctl -s -D data -m fast stop && {as_user} pg_checksums -D data --check >/dev/null", timeout=300)


STRESSORS = ["access", "chdir", "chmod", "chown", "copy-file", "dentry", "dir", "dirdeep", "fallocate", "file-ioctl", "filename",
             "fiemap", "flock", "fpunch", "fstat", "getdent", "hdd", "inotify", "io", "iomix", "link", "locka", "lockf", "lockofd",
             "mknod", "mmap", "msync", "open", "readahead", "rename", "revio", "seek", "sendfile", "symlink", "sync-file", "touch",
             "utime", "xattr"]


SIZES = ["hdd-bytes", "iomix-bytes", "fallocate-bytes", "seek-size", "mmap-bytes", "sync-file-bytes", "readahead-bytes"]


@test(14, limit=1800, full=True)
def stress(t):
    """stress-ng's stressors of file systems, which verify what they do"""
    made = workshop(t, "/usr/bin/stress-ng")
    if not made:
        return
    with made as w:
        for name in STRESSORS:
            result = w.container.exec("stress-ng", f"--{name}", "2", "--timeout", "4s", "--verify", "--temp-path", "/work", "--mmap-file",
                                      *(word for option in SIZES for word in (f"--{option}", "8M")),
                                      "--copy-file-bytes", "128M", timeout=180)
            # 4: it does not exist here, as on a host without the call.
            if result.status == 4:
                t.skip(name, result.err.strip().split("\n")[-1])
            else:
                t.equal(f"{name} verifies", result.status, 0, result)


@test(14, limit=900, full=True)
def fio(t):
    """fio writes at random and finds each block again by its checksum"""
    made = workshop(t, "/usr/bin/fio")
    if not made:
        return
    with made as w:
        for engine, options in (("psync", ""), ("mmap", ""), ("libaio", "--direct=1 --iodepth=8"), ("io_uring", "--iodepth=8")):
            result = w.container.exec("fio", "--name=x", "--rw=randwrite", "--bs=1k-64k", "--bs_unaligned" if engine == "psync" else "--bs=4k",
                                      "--size=16M", "--verify=crc32c", "--verify_fatal=1", f"--ioengine={engine}", f"--filename=/work/{engine}",
                                      "--numjobs=1", "--fallocate=none", *options.split(), timeout=300)
            t.ok(f"{engine}: every block is as written", result.status == 0 and "err= 0" in result.out, result)
