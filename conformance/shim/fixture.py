"""What the stand-in's tests share: a bundle, launch_standin() called in this
process (so that the stand-in is its child, as it is conmon's later), and the
monitor's side of its socket."""
import ctypes, json, os, select, shutil, signal, socket, struct, subprocess, sys, tempfile, time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get('BUILD', os.path.join(TREE, 'build')))
CLONE_NEWNS, MS_SHARED, MS_PRIVATE, MS_REC, MS_BIND = 0x20000, 1 << 20, 1 << 18, 1 << 14, 1 << 12
MNT_DETACH = 2
STANDIN_SIGNAL, STANDIN_RESIZE, STANDIN_EXIT = 1, 2, 3
libc = ctypes.CDLL(None, use_errno=True)


def call(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), '%s: %s' % (what, os.strerror(ctypes.get_errno())))
    return result


def mount(source, target, kind=None, flags=0, data=None):
    encode = lambda text: None if text is None else text.encode()
    call(libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags),
                    encode(data)), 'mount ' + target)


def umount(target, flags=0):
    call(libc.umount2(target.encode(), flags), 'umount ' + target)


class Error(ctypes.Structure):
    _fields_ = [('errnum', ctypes.c_int), ('message', ctypes.c_char * 1024)]


class Request(ctypes.Structure):
    _fields_ = [('bundle', ctypes.c_char_p), ('config_path', ctypes.c_char_p),
                ('process_path', ctypes.c_char_p), ('container_pid', ctypes.c_int),
                ('cgroup', ctypes.c_char_p), ('terminal_fd', ctypes.c_int)]


class Launched(ctypes.Structure):
    _fields_ = [('pid', ctypes.c_int), ('socket', ctypes.c_int)]


class LaunchError(Exception):
    pass


def build_runtime(library, programs):
    """runtime/launch.c and the cgroups as a shared object, with the programs of a directory."""
    sources = ['runtime/launch.c', 'runtime/launch_directory.c', 'runtime/cgroup.c',
               'runtime/cgroup_hierarchies.c', 'runtime/cgroup_systemd.c', 'spec/error.c']
    subprocess.run(['cc', '-std=gnu17', '-D_GNU_SOURCE', '-g', '-shared', '-fPIC', '-iquote', '.',
                    '-iquote', 'spec', '-DVXN_LIBEXECDIR="%s"' % programs, '-o', library] + sources +
                   ['-lmount', '-lsystemd'], cwd=TREE, check=True)


def load_runtime(directory, programs=BUILD, name='launch.so'):
    """Where there is no compiler, $LAUNCH_LIBRARY is one made elsewhere for that BUILD."""
    library = os.path.join(directory, name)
    if 'LAUNCH_LIBRARY' in os.environ:
        shutil.copy(os.environ['LAUNCH_LIBRARY'], library)
    else:
        build_runtime(library, programs)
    return ctypes.CDLL(library)


runtime = directory = None


class Standin:
    def __init__(self, bundle, config=None, process=None, container=None, cgroup=None, terminal=-1):
        request = Request(bundle.encode(), (config or bundle + '/config.json').encode(),
                          process and process.encode(), container or 0,
                          cgroup and cgroup.encode(), terminal)
        launched, error = Launched(), Error()
        if runtime.launch_standin(ctypes.byref(request), ctypes.byref(launched),
                                  ctypes.byref(error)) < 0:
            raise LaunchError(error.message.decode())
        self.pid, self.status = launched.pid, None
        self.socket = socket.socket(fileno=launched.socket)

    def proc(self, name):
        return '/proc/%d/%s' % (self.pid, name)

    def read(self, name):
        with open(self.proc(name), errors='surrogateescape') as stream:
            return stream.read()

    def status_lines(self):
        return dict(line.split(':\t', 1) for line in self.read('status').splitlines()
                    if ':\t' in line)

    def namespace(self, name):
        return os.readlink(self.proc('ns/' + name))

    def receive(self, timeout=2):
        """Next message as (type, value, width, height); None when none comes."""
        if not select.select([self.socket], [], [], timeout)[0]:
            return None
        data = self.socket.recv(64)
        return struct.unpack('IiHHI', data)[:4] if data else ()

    def send_exit(self, code):
        self.socket.send(struct.pack('IiHHI', STANDIN_EXIT, code, 0, 0, 0))

    def wait(self, timeout=2):
        """Exit code, or minus the signal; None when it lives on."""
        end = time.monotonic() + timeout
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                return None
            else:
                time.sleep(.002)
        return self.status

    def kill(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def run(self, *command):
        """A command of the host, inside the stand-in's mount namespace (as podman cp does)."""
        return subprocess.run(['nsenter', '-t', str(self.pid), '-m', *command],
                              capture_output=True, text=True)


CAPS = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_KILL',
        'CAP_NET_BIND_SERVICE', 'CAP_SETFCAP', 'CAP_SETGID', 'CAP_SETPCAP', 'CAP_SETUID',
        'CAP_SYS_CHROOT']


def podman_config(volumes):
    """As podman 4.3 writes it for its defaults."""
    bind = lambda source, destination, *options: dict(
        destination=destination, type='bind', source=source,
        options=['bind', 'rprivate', *options])
    return dict(
        ociVersion='1.0.2-dev', hostname='box',
        process=dict(
            user=dict(uid=0, gid=0, umask=18, additionalGids=[10]), args=['/bin/sleep', '1000'],
            env=['PATH=/bin', 'TERM=xterm', 'container=podman'], cwd='/',
            capabilities={kind: CAPS for kind in ('bounding', 'effective', 'permitted')},
            rlimits=[dict(type='RLIMIT_NOFILE', hard=1048576, soft=1048576),
                     dict(type='RLIMIT_NPROC', hard=4194304, soft=4194304)]),
        root=dict(path='rootfs'),
        mounts=[
            dict(destination='/proc', type='proc', source='proc',
                 options=['nosuid', 'noexec', 'nodev']),
            dict(destination='/dev', type='tmpfs', source='tmpfs',
                 options=['nosuid', 'noexec', 'strictatime', 'mode=755', 'size=65536k']),
            dict(destination='/sys', type='sysfs', source='sysfs',
                 options=['nosuid', 'noexec', 'nodev', 'ro']),
            dict(destination='/dev/pts', type='devpts', source='devpts',
                 options=['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620',
                          'gid=5']),
            dict(destination='/dev/mqueue', type='mqueue', source='mqueue',
                 options=['nosuid', 'noexec', 'nodev']),
            bind(volumes + '/resolv.conf', '/etc/resolv.conf', 'rw'),
            bind(volumes + '/shm', '/dev/shm', 'rw', 'nosuid', 'noexec', 'nodev'),
            dict(destination='/sys/fs/cgroup', type='cgroup', source='cgroup',
                 options=['rprivate', 'nosuid', 'noexec', 'nodev', 'relatime', 'ro']),
        ],
        annotations={'io.container.manager': 'libpod'},
        linux=dict(
            namespaces=[dict(type=kind) for kind in
                        ('pid', 'network', 'ipc', 'uts', 'mount', 'cgroup')],
            maskedPaths=['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/latency_stats',
                         '/proc/timer_list', '/proc/scsi', '/sys/firmware', '/sys/fs/selinux'],
            readonlyPaths=['/proc/asound', '/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys',
                           '/proc/sysrq-trigger']))


class Bundle:
    """A bundle whose rootfs is a mount of its own, as an engine's overlay is."""

    def __init__(self, directory):
        self.path = tempfile.mkdtemp(dir=directory)
        self.rootfs, self.volumes = self.path + '/rootfs', self.path + '/volumes'
        os.mkdir(self.rootfs)
        mount('rootfs', self.rootfs, 'tmpfs')
        for name in ('bin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'image'):
            os.mkdir(self.rootfs + '/' + name)
        shutil.copy('/bin/busybox', self.rootfs + '/bin/busybox')
        os.symlink('busybox', self.rootfs + '/bin/sleep')
        os.makedirs(self.volumes + '/shm')
        for name in ('resolv.conf', 'data'):
            self.write('volumes/' + name, name + '\n')
        os.mkdir(self.volumes + '/directory')
        self.write('volumes/directory/file', 'of the volume\n')
        self.write('rootfs/image/file', 'of the image\n')
        self.config = podman_config(self.volumes)
        self.process = self.config['process']
        self.mounts = self.config['mounts']

    def write(self, name, text):
        with open(os.path.join(self.path, name), 'w') as stream:
            stream.write(text)

    def start(self, **arguments):
        self.write('config.json', json.dumps(self.config))
        return Standin(self.path, **arguments)

    def exec(self, container, process, **arguments):
        self.write('process.json', json.dumps(process))
        return Standin(self.path, process=self.path + '/process.json', container=container.pid,
                       **arguments)

    def bind(self, source, destination, *options):
        self.mounts.append(dict(destination=destination, type='bind', source=source,
                                options=['rbind', *options]))

    def tmpfs(self, destination, *options):
        self.mounts.append(dict(destination=destination, type='tmpfs', source='tmpfs',
                                options=list(options)))


class Suite:
    def __init__(self):
        self.count = self.failures = 0

    def check(self, good, name, detail=''):
        self.count += 1
        print('%s %d - %s' % ('ok' if good else 'not ok', self.count, name), flush=True)
        if not good:
            self.failures += 1
            print('#   %s' % (detail,), flush=True)

    def skip(self, name, reason):
        self.count += 1
        print('ok %d - %s # SKIP %s' % (self.count, name, reason), flush=True)

    def equal(self, got, wanted, name):
        self.check(got == wanted, name, 'got %r instead of %r' % (got, wanted))

    def contains(self, text, part, name):
        self.check(part in text, name, '%r is not in %r' % (part, text))


suite = Suite()


def expect_error(bundle, part, name, **arguments):
    before = processes()
    try:
        bundle.start(**arguments).kill()
        suite.check(False, name, 'no error')
    except LaunchError as error:
        suite.contains(str(error), part, name)
    suite.equal(processes() - before, set(), name + ': nothing is left')


def processes():
    return {name for name in os.listdir('/proc') if name.isdigit() and is_ours(name)}


def is_ours(pid):
    """Stand-ins and launchers, zombies too; by program, since others run here as well."""
    try:
        with open('/proc/%s/stat' % pid) as stream:
            parent = stream.read().rsplit(')', 1)[1].split()[1]
        return int(parent) == os.getpid() or BUILD in os.readlink('/proc/%s/exe' % pid)
    except OSError:
        return False


def setup():
    """A mount namespace of the test's own, shared as systemd's is: nothing stays behind."""
    global runtime
    call(libc.unshare(CLONE_NEWNS), 'unshare')
    mount('none', '/', None, MS_REC | MS_PRIVATE)
    mount('none', '/', None, MS_REC | MS_SHARED)
    directory = tempfile.mkdtemp(prefix='vxn-shim.')
    os.chmod(directory, 0o755)
    runtime = load_runtime(directory)
    return directory


def cleanup(directory):
    with open('/proc/self/mounts') as mounts:
        below = [line.split()[1] for line in mounts if line.split()[1].startswith(directory + '/')]
    for path in reversed(below):
        umount(path, MNT_DETACH)
    shutil.rmtree(directory)
