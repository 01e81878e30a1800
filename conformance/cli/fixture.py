"""What the tests of the command line share: a bundle, vxn-runc as an engine calls
it (this process is a subreaper, as conmon is), and the look for what is left."""
import ctypes, json, os, shutil, signal, socket, subprocess, sys, tempfile, time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('BUILD', os.path.join(TREE, 'build')))
LIBEXEC = '/usr/libexec/vxn'
RUNC = LIBEXEC + '/vxn-runc'
PROGRAMS = ('vxn-runc', 'vxn-launch', 'vxn-standin')
CLONE_NEWNS, MS_PRIVATE, MS_REC, PR_SET_CHILD_SUBREAPER = 0x20000, 1 << 18, 1 << 14, 36
# podman makes 126 and 127 of these.
ENGINE_WORDS = ('permission denied', 'operation not permitted', 'executable file not found in',
                'no such file or directory', 'open executable')
libc = ctypes.CDLL(None, use_errno=True)
directory = root = None
foreign = set()  # cgroups that were there before


class Suite:
    count = failures = 0

    def check(self, good, name, *details):
        self.count += 1
        self.failures += not good
        print('%s %d - %s' % ('ok' if good else 'not ok', self.count, name))
        for detail in () if good else details:
            print(('#   %s' % (detail,))[:1000])
        sys.stdout.flush()

    def equal(self, found, expected, name):
        self.check(found == expected, name, 'found    %r' % (found,), 'expected %r' % (expected,))

    def contains(self, text, part, name):
        self.check(part in text, name, 'found %r' % text, 'without %r' % part)


suite = Suite()
check, equal, contains = suite.check, suite.equal, suite.contains


def call(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), '%s: %s' % (what, os.strerror(ctypes.get_errno())))


def setup():
    """The programs where vxn-runc looks for them, in a mount namespace of the tests' own:
    the stand-in's are the real ones, the monitor is the double."""
    global directory, root
    call(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 'prctl')
    call(libc.unshare(CLONE_NEWNS), 'unshare')
    call(libc.mount(None, b'/', None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None), 'mount /')
    os.makedirs('/usr/libexec', exist_ok=True)
    call(libc.mount(b'test', b'/usr/libexec', b'tmpfs', ctypes.c_ulong(0), None), 'mount')
    os.mkdir(LIBEXEC)
    # Copies: a build at the same time does not disturb, and no process of anybody else's is ours.
    for name in PROGRAMS:
        shutil.copy(BUILD + '/' + name, LIBEXEC)
    shutil.copy(os.path.dirname(os.path.abspath(__file__)) + '/fake_monitor.py',
                LIBEXEC + '/vxn-monitor')
    foreign.update(cgroups())
    directory = tempfile.mkdtemp(prefix='vxn-cli-')
    root = directory + '/root'


def cleanup():
    shutil.rmtree(directory, ignore_errors=True)


def notes(what=None):
    """What the double has noted, since the last forget()."""
    try:
        lines = [json.loads(line) for line in open(LIBEXEC + '/fake.log')]
    except FileNotFoundError:
        return []
    return [line for line in lines if what in (None, line['what'])]


def forget():
    if os.path.exists(LIBEXEC + '/fake.log'):
        os.unlink(LIBEXEC + '/fake.log')


class Bundle:
    number = 0

    def __init__(self, *args, **annotations):
        Bundle.number += 1
        self.path = '%s/bundle%d' % (directory, Bundle.number)
        os.makedirs(self.path + '/rootfs')
        self.config = dict(
            ociVersion='1.0.2', hostname='box', root=dict(path='rootfs'),
            process=dict(args=list(args) or ['/bin/sleep', '1000'], cwd='/', env=['A=b'],
                         user=dict(uid=0, gid=0)),
            mounts=[dict(destination='/proc', type='proc', source='proc')],
            linux=dict(namespaces=[dict(type=kind) for kind in ('pid', 'mount', 'ipc', 'uts')]))
        self.write()

    def monitor(self, mode):
        self.config['annotations'] = {'test.monitor': mode}
        return self.write()

    def write(self, text=None):
        with open(self.path + '/config.json', 'w') as stream:
            stream.write(json.dumps(self.config) if text is None else text)
        return self


def runc(*arguments, globals=(), root_option=True, **options):
    """Runs vxn-runc to its end, with /dev/null as stdin and what it prints captured."""
    command = [RUNC] + (['--root', root] if root_option else []) + list(globals) + list(arguments)
    options = dict(dict(stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60),
                   **options)
    return subprocess.run(command, **options)


def detached(*arguments, **options):
    """The same for verbs that leave somebody behind who has the stdio."""
    options = dict(dict(stdout=subprocess.DEVNULL, capture_output=False), **options)
    with tempfile.TemporaryFile('w+') as errors:
        done = runc(*arguments, stderr=errors, **options)
        errors.seek(0)
        done.stderr = errors.read()
    return done


def state(name):
    done = runc('state', name)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip()


def status(name):
    found = state(name)
    return found['status'] if isinstance(found, dict) else found


def wait_for(condition, timeout=10):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(.01)
    return True


def reap(pid, timeout=10):
    """Exit status as an engine computes it; None when it lives on."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found, result = os.waitpid(pid, os.WNOHANG)
        if found:
            code = os.waitstatus_to_exitcode(result)
            return 128 - code if code < 0 else code
        time.sleep(.005)
    return None


def reap_all():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def processes():
    """The monitors, stand-ins and launchers that came from these tests."""
    found = []
    ours = [(info.st_dev, info.st_ino) for info in (os.stat(LIBEXEC + '/' + name) for name in PROGRAMS)]
    for name in os.listdir('/proc'):
        try:
            if name.isdigit() and name != str(os.getpid()):
                line = open('/proc/%s/cmdline' % name).read()
                program = os.stat('/proc/%s/exe' % name)
                if (program.st_dev, program.st_ino) in ours or directory in line:
                    found.append((int(name), line))
        except OSError:
            pass
    return found


def cgroups():
    return {os.path.join(path, name) for path, names, _ in os.walk('/sys/fs/cgroup')
            for name in names if name.startswith('vxn-')}


def left():
    """What of any container is still there, after a moment for the dying."""
    def look():
        reap_all()
        records = os.listdir(root) if os.path.exists(root) else []
        return records + processes() + sorted(cgroups() - foreign)

    wait_for(lambda: not look(), 5)
    return look()


def console_listener(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(1)
    listener.settimeout(20)
    return listener
