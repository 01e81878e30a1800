"""9: file operations inside a container answer as on the host's own directory, line by line."""
import os
import re

from harness import Failed, test
from volumes import ALL_CAPABILITIES, Ext4, Tmpfs, volume

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "filesem")


class Difference:
    """Lines that differ, for a reason. host, guest: regular expressions for the whole line, without the subject.
    filesystem: the one where it is so."""

    def __init__(self, subject, host, guest, reason, filesystem=None):
        self.subject = subject
        self.host = re.compile(host)
        self.guest = re.compile(guest)
        self.reason = reason
        self.filesystem = filesystem

    def explains(self, subject, host, guest, filesystem):
        return (self.subject == subject and self.filesystem in (None, filesystem) and self.host.fullmatch(host)
                and self.guest.fullmatch(guest))


DIFFERENCES = [
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
        limit = 600 if t.full else 120
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


def run_subjects(t, filesystem, subjects):
    """Both halves on the same file system, and one container for all subjects."""
    with filesystem:
        container = t.start(edit=volume((filesystem.directory("guest"), "/volume"), (PROGRAM, "/filesem"),
                                        capabilities=ALL_CAPABILITIES))
        compare(t, container, filesystem, subjects, ("--seed", str(t.random.randrange(1 << 31)), *(["--full"] if t.full else [])))


@test(9, limit=1800)
def files_on_ext4(t):
    """each subject of filesem, on ext4"""
    run_subjects(t, Ext4(t), t.some(subjects_of(t), 8))


@test(9, limit=1800)
def files_on_tmpfs(t):
    """each subject of filesem, on tmpfs"""
    run_subjects(t, Tmpfs(t), t.some(subjects_of(t), 4))
