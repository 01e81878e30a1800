"""9: file operations inside a container answer as on the host's own directory, line by line."""
import os
import re

from harness import Failed, test
from hypervisor import CURRENT
from volumes import ALL_CAPABILITIES, Ext4, Tmpfs, volume

# The box's: an operation takes several times as long as with QEMU alone.
EMULATED_XEN = CURRENT.name == "xen"
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "filesem")


class Difference:
    """Lines that differ, for a reason. host, guest: regular expressions for the whole line, without the subject.
    filesystem: the one where it is so. What the expressions have in groups has to be the same in both."""

    def __init__(self, subject, host, guest, reason, filesystem=None):
        self.subject = subject
        self.host = re.compile(host)
        self.guest = re.compile(guest)
        self.reason = reason
        self.filesystem = filesystem
        self.seen = False

    def explains(self, subject, host, guest, filesystem):
        if self.subject != subject or self.filesystem not in (None, filesystem):
            return False
        ours, theirs = self.host.fullmatch(host), self.guest.fullmatch(guest)
        found = bool(ours and theirs and (not theirs.groups() or ours.groups() == theirs.groups()))
        self.seen |= found
        return found


CAPABILITIES_UNTOLD = "a request does not say which capabilities its caller lacks; uid 0 is taken for one with all"
SYMLINK_TRUSTED = "trusted attributes are kept as user attributes, which symlinks and FIFOs cannot have"
HOST_LABELS = "the labels of the host's security modules are not the guest's to write or to see"
TMPFS_TAIL = "tmpfs keeps what was stored through a mapping behind a file's end; a share writes no further than to the end"
FUSE_OWN = "the guest's FUSE (Linux 6.1) has no such request"

DIFFERENCES = [
    Difference("direct", r"(p.*\(.*\)) EINVAL", r"(p.*\(.*\)) = \d+",
               "O_DIRECT asks for no alignment: data goes through the host's page cache"),
    Difference("io", r"lseek\(fd, INT64_MAX, SEEK_SET\) EINVAL", r"lseek.* = 9223372036854775807",
               "FUSE knows no smaller limit of a file's size than its own; reads and writes there are refused as on the host"),
    Difference("allocate", r"fallocate\(fd, FALLOC_FL_(COLLAPSE|INSERT)_RANGE.*", r"fallocate.* EOPNOTSUPP", FUSE_OWN),
    Difference("big", r"ioctl\(fd, FS_IOC_GETFLAGS, &flags\) = 0", r"ioctl.* ENOTTY",
               "ioctl is not served; programs that ask for flags take ENOTTY for a file system without"),
    Difference("nodes", r"mknod\(.*makedev\((1, 3|7, 0)\)\) = 0", r"mknod.* EPERM", "a device in a shared tree would be the host's"),
    Difference("setid", r"chown-nothing: file 0777 (.*)", r"chown-nothing: file 6777 (.*)",
               "FUSE sends a chown to nobody and no group as a change of nothing"),
    Difference("setid", r'chown\("chown-nothing", -1, -1\) EPERM', r"chown.* = 0",
               "FUSE sends a chown to nobody and no group as a change of nothing"),
    Difference("setid", r"no-execute: file 2666 (.*)", r"no-execute: file 0666 (.*)",
               "a request does not say which groups its caller is in: set-group-id goes, also where it means nothing"),
    Difference("setid", r"(allocate|copy-to): file 0777 (.*)", r"(allocate|copy-to): file 6777 (.*)", CAPABILITIES_UNTOLD),
    Difference("stat", r"(statx .*): mask fff(.*)", r"(statx .*): mask 7ff(.*)", FUSE_OWN + " (birth time)"),
    Difference("xattr", r'setxattr\("f", "security.any", "x", 1, 0\) = 0', r"setxattr.* EOPNOTSUPP", HOST_LABELS),
    Difference("xattr", r"f security.any: 78, 1 bytes", r"f security.any: ENODATA", HOST_LABELS),
    Difference("xattr", r"f: (.*, attributes) security.any (.*)", r"f: (.*, attributes) (.*)", HOST_LABELS),
    Difference("xattr", r"flistxattr\(fd, NULL, 0\) = 37", r"flistxattr\(fd, NULL, 0\) = 24", HOST_LABELS),
    Difference("xattr", r'l?setxattr\("[sp]", "trusted.a", "x", 1, 0\) = 0', r"l?setxattr.* EPERM", SYMLINK_TRUSTED),
    Difference("xattr", r"s: symlink (.*), attributes trusted.a", r"s: symlink (.*)", SYMLINK_TRUSTED),
    Difference("mmap", r"what was stored behind the end is zero now: byte 122", r"what .*: byte 0", TMPFS_TAIL, "tmpfs"),
    Difference("mmap", r"m: file (.*), content .*", r"m: file (.*), content .*", TMPFS_TAIL, "tmpfs"),
]


def lines_of(result):
    return [line for line in result.out.split("\n") if line]


def unexplained(subject, host, guest, filesystem):
    """What differs between the lists of lines beyond the table, as text."""
    found = []
    for number in range(max(len(host), len(guest))):
        ours = host[number] if number < len(host) else "nothing"
        theirs = guest[number] if number < len(guest) else "nothing"
        if ours != theirs and not any(row.explains(subject, ours, theirs, filesystem) for row in DIFFERENCES):
            found.append(f"line {number + 1} host:  {ours}\nline {number + 1} guest: {theirs}")
    return "\n".join(found)


def compare(t, container, filesystem, subjects, options=()):
    for subject in subjects:
        limit = 900 if t.full else 180
        host = t.command([PROGRAM, *options, filesystem.directory("host"), subject], timeout=limit)
        guest = container.exec("/filesem", *options, "/volume", subject, timeout=limit)
        host_lines, guest_lines = ([line.removeprefix(subject + ": ") for line in lines_of(result)]
                                   for result in (host, guest))
        t.ok(f"{filesystem.name}: {subject} on the host runs to its end", host.status == 0 and host_lines, host)
        t.equal(f"{filesystem.name}: {subject} runs to its end inside", guest.status, 0, guest)
        difference = unexplained(subject, host_lines, guest_lines, filesystem.name)
        t.ok(f"{filesystem.name}: {subject} inside is as on the host ({len(host_lines)} lines)", not difference, difference)


def subjects_of(t):
    result = t.command([PROGRAM, "--list"])
    if result.status:
        raise Failed(f"no list of subjects: {result}")
    return lines_of(result)


# Where there are none, trusted.* have no place either.
NEED_USER_ATTRIBUTES = {"xattr", "overlay"}


def has_user_attributes(directory):
    try:
        os.setxattr(directory, "user.any", b"x")
        os.removexattr(directory, "user.any")
        return True
    except OSError:
        return False


def run_subjects(t, filesystem, subjects):
    """Both halves on the same file system, and one container for all subjects."""
    options = ["--seed", str(t.random.randrange(1 << 31)), "--crowd", str(100000 if t.full else 2000 if EMULATED_XEN else 10000)]
    if t.full:
        options.append("--full")
    with filesystem:
        if not has_user_attributes(filesystem.directory("host")):
            for subject in NEED_USER_ATTRIBUTES & set(subjects):
                t.skip(f"{filesystem.name}: {subject}", "this kernel's file system has no attributes user.*")
            subjects = [subject for subject in subjects if subject not in NEED_USER_ATTRIBUTES]
        container = t.start(edit=volume((filesystem.directory("guest"), "/volume"), (PROGRAM, "/filesem"),
                                        capabilities=ALL_CAPABILITIES))
        compare(t, container, filesystem, subjects, options)
        # Which ones there are depends on the kernels of both sides.
        for row in DIFFERENCES:
            if not row.seen and row.subject in subjects and row.filesystem in (None, filesystem.name):
                t.note(f"{filesystem.name}: not met: {row.subject}: {row.host.pattern}")


@test(9, limit=3600)
def files_on_ext4(t):
    """each subject of filesem, on ext4"""
    run_subjects(t, Ext4(t, features=["-N", "300000"]), t.some(subjects_of(t), 4 if EMULATED_XEN else 8))


@test(9, limit=3600)
def files_on_tmpfs(t):
    """each subject of filesem, on tmpfs"""
    run_subjects(t, Tmpfs(t), t.some(subjects_of(t), 2 if EMULATED_XEN else 4))
