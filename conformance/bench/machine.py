"""What the benchmarks share: bundles, and QEMU as vxn-runc starts it."""
import contextlib
import json
import os
import subprocess

ROOTFS = "/srv/busybox/rootfs"
SETTINGS = "/etc/vxn/config.json"


def call(*argv, **options):
    return subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options).stdout


def bundle(path, args, mounts=()):
    os.makedirs(path)
    config = {
        "ociVersion": "1.0.2",
        "process": {"args": args, "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
        "root": {"path": ROOTFS},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
                   *mounts],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]},
    }
    with open(path + "/config.json", "w") as stream:
        json.dump(config, stream)
    return path


def on_xen():
    return os.path.exists("/proc/xen/privcmd")


@contextlib.contextmanager
def settings(**values):
    """The host's settings are these, meanwhile."""
    os.makedirs(os.path.dirname(SETTINGS), exist_ok=True)
    kept = SETTINGS + ".kept"
    if os.path.exists(SETTINGS):
        os.rename(SETTINGS, kept)
    with open(SETTINGS, "w") as stream:
        json.dump(values, stream)
    try:
        yield
    finally:
        os.unlink(SETTINGS)
        if os.path.exists(kept):
            os.rename(kept, SETTINGS)


def pids():
    return [name for name in os.listdir("/proc") if name.isdigit()]


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return stream.read().decode(errors="replace").split("\0")
    except OSError:
        return []


def run_detached(path, id):
    with open(os.devnull, "r+b") as null:
        subprocess.run(["vxn-runc", "run", "--detach", "--bundle", path, id], check=True, stdin=null, stdout=null, stderr=null)


def qemu_words(directory):
    """The options that vxn-runc gives QEMU, without its sockets and what is one VM's, not paused; and the kernel's."""
    path = bundle(directory + "/options", ["/bin/sleep", "1000"])
    with settings(hypervisor="qemu", qemu_template="off"):
        run_detached(path, "bench-options")
    try:
        words = next(words for words in map(command_line, pids()) if any(word.startswith("vxn-bench-options-") for word in words))
    finally:
        call("vxn-runc", "delete", "--force", "bench-options")
    kept, skip = [], False
    for option, value in zip(words, words[1:] + [""]):
        if skip:
            skip = False
        elif option in ("-chardev", "-mon", "-serial", "-kernel", "-initrd", "-append", "-sandbox", "-name", "-uuid", "-object") or \
                option == "-device" and value.startswith("virtserialport"):
            skip = True
        elif option and option != "-S":
            kept.append(option)
    return kept, words[words.index("-append") + 1]
