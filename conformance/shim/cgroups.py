"""The host's cgroups: as this machine has them, and as cgroup2 alone."""
import ctypes, os, subprocess, time

import fixture
from fixture import Bundle, Error, LaunchError, mount, suite, umount

check, equal, contains = suite.check, suite.equal, suite.contains
ROOT = '/sys/fs/cgroup'


class CgroupError(Exception):
    pass


def call(function, *arguments):
    error = Error()
    if getattr(fixture.runtime, function)(*arguments, ctypes.byref(error)) < 0:
        raise CgroupError(error.message.decode())


def create(path, name, systemd=False, pid=0):
    directory = ctypes.c_char_p()
    call('cgroup_create', path and path.encode(), name.encode(), systemd, pid,
         ctypes.byref(directory))
    return directory.value.decode()


def remove(directory):
    call('cgroup_remove', directory.encode())


def expect_error(function, part, name):
    try:
        function()
        check(False, name, 'no error')
    except CgroupError as error:
        contains(str(error), part, name)


def hierarchies():
    """Those that can be reached: a mount over them hides them."""
    found = []
    with open('/proc/self/mountinfo') as mounts:
        for line in mounts:
            fields = line.split()
            if fields[fields.index('-') + 1] in ('cgroup', 'cgroup2') and os.path.isdir(fields[4]):
                device = os.stat(fields[4]).st_dev
                if '%d:%d' % (os.major(device), os.minor(device)) == fields[2]:
                    found.append(fields[4])
    return found


def membership(pid):
    with open('/proc/%s/cgroup' % pid) as stream:
        return [line.rstrip('\n').split(':', 2)[2] for line in stream]


def life(kind):
    """From creation to removal, whatever is mounted."""
    path = '/vxn-test/%d' % os.getpid()
    directory = create(path, 'x')
    mounted = hierarchies()
    check(directory.endswith(path) and all(os.path.isdir(root + path) for root in mounted),
          'made in the %d hierarchies of %s' % (len(mounted), kind), directory)
    bundle = Bundle(fixture.directory)
    with bundle.start(cgroup=directory) as standin:
        equal([place for place in membership(standin.pid) if path in place],
              [path] * len(mounted), 'the stand-in is in each')
        equal(subprocess.run(['nsenter', '-t', str(standin.pid), '-C', 'cat', '/proc/%d/cgroup' %
                              standin.pid], capture_output=True, text=True).stdout.count(':/\n'),
              len(membership(standin.pid)), 'and it is the root of its cgroup namespace')
        expect_error(lambda: create(path, 'x'), 'in use by process %d' % standin.pid,
                     'in use: refused')
        with bundle.exec(standin, bundle.process, cgroup=directory) as second:
            check(path in membership(second.pid), 'an exec joins it')
        other = subprocess.Popen(['sleep', '100'])
        call('cgroup_enter', directory.encode(), other.pid)
        equal([place for place in membership(other.pid) if path in place],
              [path] * len(mounted), 'a process can be moved there')
        for root in mounted:
            os.makedirs(root + path + '/below/deeper', exist_ok=True)
        # Nobody reaps them before remove returns: a zombie does not hold its cgroup.
        remove(directory)
        equal(standin.wait(), -9, 'removal kills what is in it')
        equal(other.wait(), -9, 'all of it')
    check(not any(os.path.exists(root + path) for root in mounted), 'and nothing is left')
    remove(directory)
    check(True, 'removing what is not there is success')
    for root in mounted:
        if os.path.isdir(root + '/vxn-test'):
            os.rmdir(root + '/vxn-test')


def test_cgroups_of_this_host():
    life('this host')
    directory = create(None, 'name-of-it')
    contains(directory, '/vxn-name-of-it', 'without a path: /vxn-ID')
    remove(directory)
    for root in hierarchies():
        if os.path.isdir(root + '/vxn'):
            os.rmdir(root + '/vxn')
    for path in ('/a/../b', '..', '/', '//', '/.'):
        expect_error(lambda: create(path, 'x'), 'linux.cgroupsPath', 'path %s is refused' % path)
    for directory in (ROOT, hierarchies()[0], '/etc', ROOT + '/unified/../x'):
        expect_error(lambda: remove(directory), 'no cgroup', '%s is never removed' % directory)
    expect_error(lambda: call('cgroup_enter', b'/sys/fs/cgroup/unified/none', os.getpid()), 'open',
                 'a cgroup that is not there can\'t be entered')
    memory = next((root for root in hierarchies() if root.endswith('/memory')), None)
    if memory:
        directory = create('/vxn-test-memory', 'x')
        with open(memory + '/vxn-test-memory/memory.limit_in_bytes', 'w') as stream:
            stream.write('2m')
        bundle = Bundle(fixture.directory)
        with bundle.start(cgroup=directory) as standin:
            with open(memory + '/vxn-test-memory/memory.max_usage_in_bytes') as stream:
                used = int(stream.read()) >> 10
            check(used < 2048, 'two MiB are enough memory (%d kiB)' % used)
        remove(directory)
    pids = next((root for root in hierarchies() if root.endswith('/pids')), None)
    if pids:
        directory = create('/vxn-test-pids', 'x')
        with open(pids + '/vxn-test-pids/pids.max', 'w') as stream:
            stream.write('1')
        bundle = Bundle(fixture.directory)
        with bundle.start(cgroup=directory) as standin:
            check('/vxn-test-pids' in membership(standin.pid), 'a limit of one process holds it')
            with bundle.exec(standin, bundle.process, cgroup=directory) as second:
                check('/vxn-test-pids' in membership(second.pid), 'and does not keep an exec out')
        remove(directory)


def test_cgroup2():
    over = hierarchies() != [ROOT]
    if over:
        mount('cgroup2', ROOT, 'cgroup2')
    try:
        life('cgroup2')
        bundle = Bundle(fixture.directory)
        directory = create('/vxn-test-2/inner', 'x')
        with bundle.start(cgroup=directory) as standin:
            check(os.path.exists(standin.proc('root/sys/fs/cgroup/cgroup.procs')),
                  'the cgroup file system is mounted')
            with open(standin.proc('root/sys/fs/cgroup/cgroup.procs')) as procs:
                check(str(standin.pid) in procs.read().split(), 'with its own cgroup as the root')
        remove(directory)
        os.rmdir(ROOT + '/vxn-test-2')
    finally:
        if over:
            umount(ROOT)


def test_systemd_scope():
    if not os.path.isdir('/run/systemd/system'):
        return suite.skip('systemd scopes', 'no systemd here')
    other = subprocess.Popen(['sleep', '100'])
    directory = create('system.slice:vxntest:%d' % os.getpid(), 'x', True, other.pid)
    contains(directory, '/system.slice/vxntest-%d.scope' % os.getpid(), 'scope in its slice')
    check(any('vxntest-%d.scope' % os.getpid() in place for place in membership(other.pid)),
          'the process is in it')
    with Bundle(fixture.directory).start(cgroup=directory) as standin:
        check(membership(standin.pid) == membership(other.pid), 'the stand-in too')
        show = subprocess.run(['systemctl', 'show', '-p', 'Delegate', '-p', 'MemoryAccounting',
                               os.path.basename(directory)], capture_output=True, text=True).stdout
        check('Delegate=yes' in show and 'MemoryAccounting=yes' in show, 'delegated', show)
        check(os.path.exists(directory + '/memory.events'), 'with what conmon reads')
        start = time.monotonic()
        remove(directory)
        check(time.monotonic() - start < 5, 'removed without waiting for SIGTERM')
        equal([standin.wait(), other.wait()], [-9, -9], 'and all in it are killed')
    check(not os.path.exists(directory), 'the cgroup is gone')
    show = subprocess.run(['systemctl', 'is-active', os.path.basename(directory)],
                          capture_output=True, text=True).stdout
    equal(show, 'inactive\n', 'and the scope')
    remove(directory)
    expect_error(lambda: create('/not/of/the/form', 'x', True, os.getpid()), 'slice:prefix:name',
                 'cgroupsPath of the other form')
