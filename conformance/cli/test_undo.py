"""What is interrupted, killed or raced: nothing is left, or `delete --force` removes it."""
import os, re, shutil, signal, subprocess, time

import fixture
from fixture import (Bundle, check, contains, detached, equal, left, notes, reap, reap_all, runc, status,
                     wait_for)

# What changes something outside of the process.
CALLS = ('mkdir', 'rename', 'write', 'clone', 'fork', 'vfork', 'socketpair', 'pipe2', 'sendmsg', 'connect',
         'unlinkat', 'rmdir', 'flock', 'kill', 'pidfd_send_signal', 'recvmsg', 'wait4')


def command(*arguments):
    return [fixture.RUNC, '--root', fixture.root, *arguments]


def test_failed_create():
    for verb in ('create', 'run'):
        done = detached(verb, '-b', Bundle().monitor('die').path, 'c')
        check(done.returncode == 1 and 'the monitor has ended' in done.stderr,
              verb + ': monitor dies', done.stderr)
        equal(left(), [], 'nothing is left')
    equal(len(notes('cleanup')), 2, 'the hypervisor is asked for what a dead monitor has left')
    bundle = Bundle()
    done = detached('create', '-b', bundle.path, '--pid-file', '/nowhere/pid', 'c')
    check(done.returncode == 1 and '/nowhere/pid' in done.stderr, 'pid file cannot be written', done.stderr)
    equal(left(), [], 'nothing is left')


def test_interrupted_create():
    for verb in ('create', 'run'):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            fixture.forget()
            process = subprocess.Popen(command(verb, '-b', Bundle().monitor('silent').path, 'c'),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)
            wait_for(lambda: notes('run'))
            process.send_signal(number)
            message = process.communicate(timeout=30)[1]
            equal([process.returncode, message], [1, 'interrupted\n'],
                  '%s: %s' % (verb, signal.Signals(number).name))
            equal(left(), [], 'nothing is left')


def test_killed_monitor():
    bundle = Bundle()
    pid_file = bundle.path + '/pid'
    detached('run', '-d', '--pid-file', pid_file, '-b', bundle.path, 'c')
    pid = int(open(pid_file).read())
    kill_monitors()
    equal(reap(pid, 2), 137, 'monitor killed: the stand-in ends with 137 within 2 s')
    equal(status('c'), 'stopped', 'stopped')
    contains(runc('kill', 'c').stderr, 'container not running', 'kill')
    contains(runc('exec', 'c', 'true').stderr, 'cannot exec in a stopped container', 'exec')
    equal(runc('delete', 'c').returncode, 0, 'delete without --force')
    equal(len(notes('cleanup')), 1, 'asks the hypervisor for what is left')
    equal(left(), [], 'nothing is left')
    fixture.forget()
    detached('run', '-d', '--pid-file', pid_file, '-b', bundle.path, 'c')
    pid = int(open(pid_file).read())
    os.kill(pid, signal.SIGKILL)
    equal(reap(pid), 137, 'stand-in killed')
    check(wait_for(lambda: status('c') == 'stopped'), 'stopped')
    equal(runc('delete', 'c').returncode, 0, 'delete without --force')
    check(notes('stand-in gone'), 'the monitor ended the process')
    equal(left(), [], 'nothing is left')


def kill_monitors():
    for pid, line in fixture.processes():
        if 'vxn-monitor' in line:
            os.kill(pid, signal.SIGKILL)


def test_deaf_monitor():
    if not fixture.full:
        return print('ok %d - a monitor that does not answer # SKIP takes 20 s' % count())
    detached('run', '-d', '-b', Bundle().monitor('deaf').path, 'c')
    before = time.monotonic()
    equal(runc('delete', '--force', 'c').returncode, 0, 'delete --force with a deaf monitor')
    check(15 < time.monotonic() - before < 30, 'after its time')
    equal(len(notes('cleanup')), 1, 'it is killed and cleaned up after')
    equal(left(), [], 'nothing is left')


def count():
    fixture.suite.count += 1
    return fixture.suite.count


def test_races():
    bundles = [Bundle() for _ in range(5)]
    creates = [subprocess.Popen(command('create', '-b', bundle.path, 'c'), stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for bundle in bundles]
    equal(sorted(process.wait(60) for process in creates), [0, 1, 1, 1, 1], 'five creates of one id')
    equal(status('c'), 'created', 'one is created')
    deletes = [subprocess.Popen(command('delete', '--force', 'c'), stderr=subprocess.PIPE, text=True)
               for _ in range(5)]
    equal([process.communicate(timeout=60)[1] for process in deletes], [''] * 5, 'five deletes at once')
    equal([process.returncode for process in deletes], [0] * 5, 'succeed')
    equal(left(), [], 'nothing is left')
    for name in 'abcde':
        runs = [subprocess.Popen(command('run', '-b', Bundle('/bin/sh', '-c', 'exit %d' % code).path,
                                         name + str(code)), stdin=subprocess.DEVNULL)
                for code in range(4)]
        equal([process.wait(60) for process in runs], list(range(4)), 'four at once')
    equal(left(), [], 'nothing is left')


def calls_of(arguments):
    """How often a verb makes each of the calls."""
    trace = fixture.directory + '/trace'
    subprocess.run(['strace', '-o', trace, '-e', 'trace=' + ','.join('?' + name for name in CALLS)] +
                   command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    counts = {}
    for line in open(trace):
        found = re.match(r'(\w+)\(', line)
        if found:
            counts[found.group(1)] = counts.get(found.group(1), 0) + 1
    return [(name, when) for name, number in sorted(counts.items()) for when in range(1, number + 1)]


def run_killed(arguments, name, when):
    subprocess.run(['strace', '-o', fixture.directory + '/trace', '-e', 'trace=' + name, '-e',
                    'inject=%s:signal=KILL:when=%d' % (name, when)] + command(*arguments),
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)


def killed_everywhere(what, arguments, prepare, repair):
    points = calls_of(arguments)
    total = len(points)
    repair()
    if not fixture.full:
        points = fixture.random.sample(points, min(total, 20))
    bad = []
    for name, when in points:
        prepare()
        run_killed(arguments, name, when)
        trouble = repair()
        if trouble:
            bad.append((name, when, trouble))
    equal(bad, [], '%s killed at %d of %d system calls: delete --force leaves nothing' %
          (what, len(points), total))


def delete_all():
    done = runc('delete', '--force', 'c')
    return [done.stderr] * (done.returncode != 0) + left()


def test_killed_verbs():
    if not shutil.which('strace'):
        return print('ok %d - killed verbs # SKIP no strace' % count())
    bundle = Bundle()

    def created():
        detached('create', '-b', bundle.path, 'c')

    killed_everywhere('create', ('create', '-b', bundle.path, 'c'), lambda: None, delete_all)
    created()
    killed_everywhere('start', ('start', 'c'), created, delete_all)
    created()
    killed_everywhere('delete', ('delete', 'c'), created, delete_all)
    killed_everywhere('run', ('run', '-b', Bundle('/bin/true').path, 'c'), lambda: None, delete_all)


def test_killed_at_random():
    bundle = Bundle()
    bad = []
    number = 200 if fixture.full else 20
    for _ in range(number):
        process = subprocess.Popen(command('create', '-b', bundle.path, 'c'), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(fixture.random.uniform(0, .15))
        process.kill()
        process.wait()
        trouble = delete_all()
        if trouble:
            bad.append(trouble)
    equal(bad, [], 'create killed at %d moments: delete --force leaves nothing' % number)
