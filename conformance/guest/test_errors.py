"""What cannot be done, in words."""
import copy
import signal

from bed import BASE, check, equal, test
from driver import Failure


def fails(bed, words, edit=None, args=None, where="create"):
    try:
        bed.start(args or ["true"], edit=edit)
    except Failure as e:
        for word in words:
            check(word in str(e), "error %r, expected %r in it" % (str(e), word))
        return
    raise Failure("%s did not fail: %s" % (where, words))


@test
def errors_of_create(bed):
    fails(bed, ['exec: "nothing": executable file not found in $PATH'], args=["nothing"])
    fails(bed, ['exec: "/bin/nothing": stat /bin/nothing: no such file or directory'], args=["/bin/nothing"])
    fails(bed, ['exec: "/etc/notexec": permission denied'], args=["/etc/notexec"])
    fails(bed, ['chdir to cwd ("/etc/passwd") set in config.json failed'],
          lambda c: c["process"].update(cwd="/etc/passwd"))
    fails(bed, ["/etc/nothing-like-this", "nofs"], lambda c: c["mounts"].append(
        {"destination": "/etc/nothing-like-this", "type": "nofs", "source": "x"}))
    fails(bed, ["/etc/passwd/x"], lambda c: c["mounts"].append(
        {"destination": "/etc/passwd/x", "type": "tmpfs", "source": "x"}))
    bed.output(["true"])


@test
def errors_of_start(bed):
    config = copy.deepcopy(BASE)
    config["process"]["args"] = ["badformat"]
    container = bed.id()
    process = bed.machine().create(container, config, bed.root)
    try:
        bed.vm.start(container)
        check(False, "start of a bad format succeeded")
    except Failure as e:
        check("Exec format error" in str(e), "error %r" % str(e))
    equal(process.code(), 1, "exit code")


@test
def errors_of_exec(bed):
    sleeper = bed.sleeper()
    for spec, words in ((bed.spec(["nothing"]), "executable file not found in $PATH"),
                        (bed.spec(["true"], cwd="/nowhere"), "chdir to cwd"),
                        (bed.spec(["badformat"]), "Exec format error")):
        try:
            bed.vm.exec(sleeper.container, spec)
            check(False, "exec succeeded: %s" % words)
        except Failure as e:
            check(words in str(e), "error %r, expected %r" % (str(e), words))
    bed.end(sleeper)
    try:
        bed.vm.exec(sleeper.container, bed.spec(["true"]))
        check(False, "exec in an ended container succeeded")
    except Failure as e:
        check(sleeper.container in str(e), "error %r" % str(e))


@test
def kill_before_start(bed):
    config = copy.deepcopy(BASE)
    container = bed.id()
    process = bed.machine().create(container, config, bed.root)
    bed.vm.signal(process, signal.SIGKILL)
    equal(process.code(), 137, "exit code")
    try:
        bed.vm.start(container)
        check(False, "start of a dead container succeeded")
    except Failure:
        pass
