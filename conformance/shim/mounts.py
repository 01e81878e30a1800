"""The stand-in's mount tree."""
import os

import fixture
from fixture import Bundle, mount, suite, umount

check, equal, contains = suite.check, suite.equal, suite.contains


def test_mounts():
    bundle = Bundle(fixture.directory)
    mount('nested', bundle.volumes + '/directory', 'tmpfs')
    bundle.write('volumes/directory/below', 'nested\n')
    bundle.bind(bundle.volumes, '/volume', 'ro')
    bundle.bind(bundle.volumes, '/all/readonly', 'rro')
    bundle.bind('volumes/data', '/new/dir/data')
    bundle.bind('/dev/null', '/device')
    bundle.tmpfs('/tmp', 'nosuid', 'size=1m')
    bundle.tmpfs('/readonly-tmpfs', 'ro')
    os.chmod(bundle.rootfs + '/tmp', 0o1777)
    with bundle.start() as standin:
        root = standin.proc('root')
        read = lambda path: open(root + path).read()
        equal(read('/volume/data'), 'data\n', 'bind mount of a directory')
        equal(read('/volume/directory/below'), 'nested\n', 'with what is mounted below')
        equal(read('/new/dir/data'), 'data\n', 'bind mount of a file, relative to the bundle')
        equal(read('/etc/resolv.conf'), 'resolv.conf\n', 'mount point made in the rootfs')
        check(os.path.isfile(bundle.rootfs + '/etc/resolv.conf'), 'as a file on the host')
        equal(os.stat(root + '/device').st_rdev, os.makedev(1, 3), 'bind mount of a device')
        run = lambda *command: standin.run('/bin/busybox', *command)
        contains(run('touch', '/volume/x').stderr, 'Read-only', 'ro')
        equal(run('touch', '/volume/directory/x').returncode, 0, 'not of what is mounted below')
        contains(run('touch', '/all/readonly/directory/x').stderr, 'Read-only', 'rro: of that too')
        contains(run('touch', '/readonly-tmpfs/x').stderr, 'Read-only', 'read-only tmpfs')
        equal(os.stat(root + '/tmp').st_mode & 0o7777, 0o1777, 'tmpfs has the mode of what it covers')
        table = {line.split()[4]: line for line in standin.read('mountinfo').splitlines()}
        contains(table['/tmp'], 'nosuid', 'tmpfs option')
        contains(table['/tmp'], 'size=1024k', 'tmpfs data')
        contains(table['/dev/pts'], 'gid=5,mode=620', 'devpts')
        contains(table['/sys'], 'ro,nosuid,nodev,noexec', 'sysfs')
        check('/dev/mqueue' in table and '/sys/fs/cgroup' in table, 'mqueue and cgroup')
        equal([line for line in table.values() if 'shared:' in line or 'master:' in line], [],
              'every mount is private')
        check(not any(bundle.path in path for path in table), 'no mount of the host')
        run('touch', '/written-at-the-root')
        check(os.path.exists(bundle.rootfs + '/written-at-the-root'), 'a write at / is in the rootfs')
        check(not os.path.exists('/written-at-the-root'), 'and not in the host\'s root')
        equal(os.readlink(root + '/dev/stdin'), '/proc/self/fd/0', '/dev/stdin')
        equal([os.stat(root + '/dev/' + name).st_mode & 0o777
               for name in ('null', 'zero', 'full', 'tty', 'random', 'urandom')], [0o666] * 6,
              'device nodes')
        equal(os.stat(root + '/dev/urandom').st_rdev, os.makedev(1, 9), 'with their numbers')
        equal(os.listdir(root + '/sys/firmware'), [], 'masked directory')
        equal(os.stat(root + '/proc/timer_list').st_rdev, os.makedev(1, 3), 'masked file')
        contains(run('sh', '-c', 'echo 1 >/proc/sys/vm/swappiness').stderr, 'Read-only',
                 'read-only path')
    umount(bundle.volumes + '/directory')


def test_readonly_root():
    bundle = Bundle(fixture.directory)
    bundle.config['root']['readonly'] = True
    bundle.mounts[1]['options'].append('ro')
    bundle.tmpfs('/run')
    with bundle.start() as standin:
        run = lambda *command: standin.run('/bin/busybox', *command)
        contains(run('touch', '/x').stderr, 'Read-only', 'read-only rootfs')
        equal(run('touch', '/run/x').returncode, 0, 'but not the tmpfs on it')
        contains(run('touch', '/dev/x').stderr, 'Read-only', 'read-only /dev')
        check(os.path.exists(standin.proc('root/dev/null')), 'that has its nodes')
        os.mkdir(bundle.rootfs + '/host')
        check(True, 'the host\'s own mount stays writable')


def test_copyup():
    bundle = Bundle(fixture.directory)
    image = bundle.rootfs + '/image'
    os.chmod(image, 0o750)
    os.chown(image, 7, 8)
    os.makedirs(image + '/a/b')
    bundle.write('rootfs/image/a/b/program', 'x' * 100000)
    os.chmod(image + '/a/b/program', 0o4755)
    os.chown(image + '/a/b', 3, 4)
    os.symlink('/etc/passwd', image + '/link')
    os.mkfifo(image + '/fifo')
    os.utime(image + '/file', (1, 2))
    bundle.tmpfs('/image', 'tmpcopyup', 'nosuid')
    with bundle.start() as standin:
        copy = standin.proc('root/image')
        equal(open(copy + '/file').read(), 'of the image\n', 'content')
        equal(len(open(copy + '/a/b/program').read()), 100000, 'below, too')
        equal(os.stat(copy + '/a/b/program').st_mode & 0o7777, 0o4755, 'mode')
        equal(os.stat(copy + '/a/b').st_gid, 4, 'owner')
        equal(os.stat(copy + '/file').st_mtime, 2, 'time')
        equal(os.readlink(copy + '/link'), '/etc/passwd', 'link')
        equal([os.stat(copy).st_mode & 0o777, os.stat(copy).st_uid], [0o750, 7],
              'mode and owner of the directory itself')
        standin.run('/bin/busybox', 'touch', '/image/new')
        check(not os.path.exists(image + '/new'), 'the image stays as it is')


def test_escapes():
    bundle = Bundle(fixture.directory)
    outside = bundle.path + '/outside'
    os.mkdir(outside)
    up = '../' * 20
    os.symlink(outside, bundle.rootfs + '/absolute')
    os.symlink(up + outside[1:], bundle.rootfs + '/relative')
    os.symlink(outside + '/new', bundle.rootfs + '/dangling')
    for number, path in enumerate(('/absolute/a', '/relative/b', '/dangling', up + outside[1:] + '/d')):
        bundle.bind('volumes/directory', path)
    bundle.bind('volumes/data', '/absolute/file')
    bundle.config['linux']['maskedPaths'] += ['/absolute', '/' + up + 'etc']
    before = open('/proc/self/mountinfo').read()
    with bundle.start() as standin:
        root = standin.proc('root')
        for name in ('a', 'b', 'd', 'new'):
            check(os.path.isdir(bundle.rootfs + outside + '/' + name),
                  'mount point %s is made below the rootfs' % name)
        equal(os.listdir(outside), [], 'and nothing outside')
        equal(open('/proc/self/mountinfo').read(), before, 'no mount appears on the host')
    bundle = Bundle(fixture.directory)
    os.symlink('/proc/1/root', bundle.rootfs + '/magic')
    bundle.bind('volumes/data', '/magic/x-by-magic')
    with bundle.start():
        check(os.path.exists(bundle.rootfs + '/x-by-magic') and not os.path.exists('/x-by-magic'),
              'a link through /proc leads no further than another')
