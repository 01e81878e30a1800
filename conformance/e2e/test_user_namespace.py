"""19: user namespaces: whose ids a container has, inside, on its disk and on the host."""
import os

from harness import IMAGE, test

FIRST, COUNT = 100000, 65536


def with_user_namespace(config, first=FIRST, count=COUNT):
    mapping = [{"containerID": 0, "hostID": first, "size": count}]
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"].update(uidMappings=mapping, gidMappings=mapping)


def owned_rootfs(t, first=FIRST):
    """A rootfs of the container's root, as engines make it."""
    path = t.rootfs_copy()
    for folder, _, names in os.walk(path):
        for name in ("", *names):
            os.lchown(os.path.join(folder, name), first, first)
    for name in ("busybox",):  # chown has cleared it
        os.chmod(f"{path}/bin/{name}", 0o755)
    return path


@test(19)
def mapped(t):
    """root inside is nobody in the VM and on the host's disk"""
    directory = t.folder("d")
    os.chmod(directory, 0o777)
    with open(directory + "/foreign", "w"):
        pass

    def edit(config):
        with_user_namespace(config)
        config["mounts"].append({"destination": "/d", "type": "bind", "source": directory, "options": ["rbind"]})
        config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 5000, "soft": 4000}]
        config["process"]["oomScoreAdj"] = -500
        for names in config["process"]["capabilities"].values():
            names += [name for name in ("CAP_SYS_ADMIN", "CAP_NET_ADMIN") if name not in names]

    container = t.start(edit=edit, rootfs=owned_rootfs(t), readonly=False)
    result = container.sh("""
        id -u; tr -s ' ' </proc/self/uid_map; tr -s ' ' </proc/1/gid_map
        touch /d/made /made && ls -ln /d/made | tr -s ' ' | cut -d ' ' -f 3,4; stat -c %u /d/foreign
        chown 1000:1000 /d/made && echo chowned; chown 0:0 /d/foreign 2>/dev/null || echo refused
        ulimit -n; cat /proc/1/oom_score_adj
        hostname renamed && hostname; mount -t tmpfs none /tmp && echo mounted
        ip link set lo down && ip link set lo up && echo network; echo x >/dev/null && echo null
        echo 1 >/proc/sys/vm/drop_caches 2>/dev/null || echo kept""")
    t.equal("ids, files, limits, and what its root may do", result.out.split("\n")[:-1],
            ["0", f" 0 {FIRST} {COUNT}", f" 0 {FIRST} {COUNT}", "0 0", "65534", "chowned", "refused", "4000", "-500",
             "renamed", "mounted", "network", "null", "kept"], result)
    made = os.stat(directory + "/made")
    t.equal("its files are, on the host, those of the mapped ids", (made.st_uid, made.st_gid), (FIRST + 1000, FIRST + 1000))
    with open(f"/proc/{container.pid}/uid_map") as file:
        t.equal("the stand-in has a user namespace with the same ids", file.read().split(), ["0", str(FIRST), str(COUNT)])
    t.ok("it is not the host's", os.readlink(f"/proc/{container.pid}/ns/user") != os.readlink("/proc/self/ns/user"))
    t.equal("and it is the mapped root on the host", os.stat(f"/proc/{container.pid}").st_uid, FIRST)


@test(19)
def as_user(t):
    """a process that is not root, its output, and exec"""
    def edit(config):
        with_user_namespace(config)
        config["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [7]}

    rootfs = owned_rootfs(t)
    result = t.run(["sh", "-c", "id -u; id -g; id -G; echo again >/dev/stdout; exit 4"], edit=edit, rootfs=rootfs)
    t.equal("its ids, and it may reopen its stdout", (result.status, result.out), (4, "1000\n1001\n1001 7\nagain\n"), result)
    container = t.start(edit=edit, rootfs=rootfs)
    result = container.exec("sh", "-c", "id -u; echo out >/dev/stdout; cat /proc/self/uid_map | wc -l; exit 5",
                            options=("--user", "1002:1002"))
    t.equal("exec as another user", (result.status, result.out), (5, "1002\nout\n1\n"), result)


@test(19)
def refused_mappings(t):
    """what is no mapping is refused, by name"""
    def case(change):
        def edit(config):
            with_user_namespace(config)
            change(config["linux"])
        return t.run(["true"], edit=edit)

    for change, words in (
            (lambda linux: linux.pop("gidMappings"), ("linux.gidMappings",)),
            (lambda linux: linux["namespaces"].pop(), ("linux.uidMappings", "user namespace")),
            (lambda linux: linux["uidMappings"][0].update(size=0), ("linux.uidMappings[0]",)),
            (lambda linux: linux["namespaces"][-1].update(path="/proc/1/ns/user"), ("/proc/1/ns/user",))):
        result = case(change)
        t.ok(f"refused: {words[0]}", result.status == 1 and all(word in result.err for word in words), result)


@test(19, limit=180)
def podman_userns(t):
    """podman --uidmap"""
    result = t.podman_run("--rm", "--uidmap", "0:200000:5000", "--gidmap", "0:200000:5000", IMAGE, "sh", "-c",
                          "tr -s ' ' </proc/self/uid_map; id -u; touch /made && stat -c %u /made /bin/busybox; echo x >/dev/stderr; exit 6")
    t.equal("its ids", (result.status, result.out, result.err), (6, " 0 200000 5000\n0\n0\n0\n", "x\n"), result)
