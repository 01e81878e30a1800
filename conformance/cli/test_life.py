"""The life of a container through the verbs, as an engine leads it."""
import json, os, signal

import fixture
from fixture import Bundle, check, contains, detached, equal, left, notes, reap, runc, state, status, wait_for


class Container:
    """Created with a pid file; its stand-in is our child, since we are a subreaper."""

    def __init__(self, bundle, name='c', *flags):
        self.name, self.bundle = name, bundle
        self.pid_file = bundle.path + '/pid'
        done = detached('create', '--bundle', bundle.path, '--pid-file=' + self.pid_file, *flags, name)
        check(done.returncode == 0 and not done.stderr, 'create', done.returncode, done.stderr)
        self.pid = int(open(self.pid_file).read())

    def start(self):
        done = runc('start', self.name)
        check(done.returncode == 0 and not done.stderr and not done.stdout, 'start', done)
        return self

    def gone(self, code, *flags):
        equal(reap(self.pid), code, 'exit status %d' % code)
        done = runc('delete', *flags, self.name)
        check(done.returncode == 0 and not done.stderr, 'delete', done)
        equal(left(), [], 'nothing is left')


def fails(done, message, name, code=1):
    equal([done.returncode, done.stderr], [code, message + '\n'], name)


def test_life():
    bundle = Bundle()
    container = Container(bundle)
    equal(open(container.pid_file).read(), str(container.pid), 'pid file without a newline')
    equal(os.listdir(bundle.path).count('pid'), 1, 'and no other file')
    with open('/proc/%d/stat' % container.pid) as stream:
        equal(int(stream.read().rsplit(')', 1)[1].split()[1]), os.getpid(), 'child of the subreaper')
    found = state('c')
    created = found.pop('created')
    equal(found, dict(ociVersion='1.0.2', id='c', pid=container.pid, status='created',
                      bundle=bundle.path, rootfs=bundle.path + '/rootfs', owner=''), 'state')
    check(created.endswith('Z') and len(created) > 20, 'time of creation', created)
    fails(detached('create', '-b', bundle.path, 'c'), 'container with given ID already exists',
          'id in use')
    equal(status('c'), 'created', 'which is left alone')
    fails(runc('exec', 'c', 'true'), 'cannot exec in a container that is not running: created',
          'exec in a created one', 255)
    container.start()
    equal(status('c'), 'running', 'running')
    fails(runc('start', 'c'), 'cannot start an already running container', 'start again')
    fails(runc('delete', 'c'), 'cannot delete container c that is not stopped: running',
          'delete of a running one')
    fails(runc('kill', 'c', 'NOSUCH'), 'unknown signal "NOSUCH"', 'unknown signal')
    equal(runc('kill', 'c', '0').returncode, 0, 'signal 0')
    equal(runc('kill', 'c').returncode, 0, 'kill')
    equal(reap(container.pid), 143, 'exit status 143')
    check(wait_for(lambda: status('c') == 'stopped'), 'stopped')
    equal(state('c')['pid'], 0, 'pid of a stopped one')
    fails(runc('kill', 'c', '9'), 'container not running', 'kill of a stopped one')
    equal(runc('kill', '--all', 'c', '9').returncode, 0, 'kill --all of a stopped one')
    fails(runc('start', 'c'), 'cannot start a container that has stopped', 'start of a stopped one')
    fails(runc('exec', 'c', 'true'), 'cannot exec in a stopped container', 'exec in a stopped one',
          255)
    equal(runc('delete', 'c').returncode, 0, 'delete')
    fails(runc('delete', 'c'), 'container does not exist', 'delete again')
    equal(runc('delete', '--force', 'c').returncode, 0, 'delete --force')
    equal(left(), [], 'nothing is left')
    equal(notes('cleanup'), [], 'nothing had to be cleaned up')


def test_exit_codes():
    for code in (0, 1, 7, 255):
        Container(Bundle('/bin/sh', '-c', 'exit %d' % code)).start().gone(code)
    Container(Bundle('/bin/sh', '-c', 'kill -9 $$')).start().gone(137)


def test_signals():
    script = 'trap "exit 42" USR1; trap "exit 43" USR2; touch ready; while :; do sleep .05; done'
    for name in ('USR1', 'SIGUSR1', 'usr1', '10'):
        bundle = Bundle()
        bundle.config['process']['args'] = ['/bin/sh', '-c', script.replace('ready', bundle.path + '/ready')]
        container = Container(bundle.write()).start()
        wait_for(lambda: os.path.exists(bundle.path + '/ready'))
        equal(runc('kill', 'c', name).returncode, 0, 'kill ' + name)
        container.gone(42)
    bundle.write()
    os.unlink(bundle.path + '/ready')
    container = Container(bundle).start()
    wait_for(lambda: os.path.exists(bundle.path + '/ready'))
    os.kill(container.pid, signal.SIGUSR2)
    container.gone(43)
    fixture.forget()
    container = Container(Bundle()).start()
    runc('kill', '--all', 'c', 'KILL')
    equal([(note['signal'], note['all']) for note in notes('kill')], [(9, True)], 'kill --all')
    container.gone(137)


def test_delete():
    container = Container(Bundle())
    equal(runc('delete', 'c').returncode, 0, 'delete of a created one')
    equal(reap(container.pid), 137, 'ends its stand-in')
    equal(left(), [], 'nothing is left')
    container = Container(Bundle()).start()
    equal(runc('delete', '--force', 'c').returncode, 0, 'delete --force of a running one')
    equal(reap(container.pid), 137, 'ends its stand-in')
    equal(left(), [], 'nothing is left')
    container = Container(Bundle('/bin/true').monitor('slow')).start()
    equal(reap(container.pid), 0, 'a VM that takes a second to end')
    equal(status('c'), 'stopped', 'is stopped when the stand-in has ended')
    fails(runc('kill', 'c'), 'container not running', 'cannot be killed')
    equal(runc('delete', 'c').returncode, 0, 'and delete waits for it')
    equal(left(), [], 'nothing is left')
    equal(notes('cleanup'), [], 'nothing had to be cleaned up')


def test_refusal_of_the_guest():
    message = 'exec: "nothing": executable file not found in $PATH: unknown'
    done = detached('create', '-b', Bundle().monitor('refuse ' + message).path, 'c')
    fails(done, message, 'its words arrive as they are')
    equal(left(), [], 'nothing is left')
    container = Container(Bundle().monitor('no-start permission denied'))
    fails(runc('start', 'c'), 'permission denied', 'of a start, too')
    equal(status('c'), 'created', 'which may be tried again')
    equal(runc('delete', '-f', 'c').returncode, 0, 'delete')
    reap(container.pid)
    done = detached('run', '-b', Bundle().monitor('no-start permission denied').path, 'c')
    fails(done, 'permission denied', 'run')
    equal(left(), [], 'nothing is left')


def test_annotations_and_paths():
    bundle = Bundle()
    bundle.config['annotations'] = {'a.b/c': 'value'}
    bundle.write()
    os.symlink(bundle.path, fixture.directory + '/link')
    done = detached('create', '--pid-file', 'relative.pid', 'c', cwd=fixture.directory + '/link')
    equal(done.returncode, 0, 'bundle from the working directory, relative pid file')
    found = state('c')
    equal(found['bundle'], bundle.path, 'bundle without links')
    equal(found['annotations'], {'a.b/c': 'value'}, 'annotations')
    equal(int(open(bundle.path + '/relative.pid').read()), found['pid'], 'pid')
    equal(runc('delete', 'c').returncode, 0, 'delete')
    long = fixture.directory + '/' + 'x' * 150
    done = detached('create', '-b', bundle.path, 'c' * 200, root_option=False,
                    globals=['--root', long])
    equal([done.returncode, done.stderr], [0, ''], 'a path that is too long for a socket')
    done = runc('delete', 'c' * 200, root_option=False, globals=['--root', long])
    equal([done.returncode, done.stderr], [0, ''], 'and its delete')
    equal(os.listdir(long), [], 'removes it')
    equal(left(), [], 'nothing is left')


def test_the_monitors_surroundings():
    leak = os.open('/', os.O_RDONLY)
    os.set_inheritable(leak, True)
    done = detached('create', '-b', Bundle().path, 'c', close_fds=False)
    os.close(leak)
    equal(done.returncode, 0, 'create with a foreign descriptor')
    found = notes('run')[0]
    check('/' not in found['fds'], 'the monitor does not inherit it', found['fds'])
    equal([fd for fd in found['fds'] if fd == '/dev/null'], ['/dev/null'] * 3, '/dev/null as stdio')
    equal(found['env'].get('PATH'), '/usr/sbin:/usr/bin:/sbin:/bin', 'an environment of its own')
    check(found['session'], 'a session of its own')
    pid = state('c')['pid']
    check(not any(os.path.isdir('/proc/%d/fd/%s' % (pid, fd)) for fd in
                  os.listdir('/proc/%d/fd' % pid)), 'nor does the stand-in')
    runc('delete', 'c')
    runc('state', 'x', globals=['--debug'])
    log = fixture.directory + '/monitor-log'
    detached('create', '-b', Bundle().path, 'c', globals=['--debug', '--log', log, '--log-format',
                                                          'json'])
    arguments = notes('start')[-1]['arguments']
    check(all(part in arguments for part in ('--debug', log, 'json')), 'log of the monitor', arguments)
    runc('delete', 'c')
    equal(left(), [], 'nothing is left')


def test_exec():
    bundle = Bundle()
    bundle.config['process'].update(capabilities=dict(bounding=['CAP_KILL'], effective=['CAP_KILL'],
                                                      permitted=['CAP_KILL']))
    container = Container(bundle.write()).start()
    done = runc('exec', 'c', '/bin/sh', '-c', 'echo out; echo err >&2; exit 3', '-x')
    equal([done.returncode, done.stdout, done.stderr], [3, 'out\n', 'err\n'],
          'what follows the id is the command\'s')
    equal(runc('exec', 'c', '/bin/cat', stdin=None, input='input\n').stdout, 'input\n', 'stdin')
    equal(runc('exec', 'c', '/bin/sh', '-c', 'kill -9 $$').returncode, 137, 'killed')
    fixture.forget()
    done = runc('exec', '-u', '12:34', '-g', '5', '--additional-gids=6', '--cwd', '/tmp', '-e', 'X=1',
                '--env', 'Y=two words', '-c', 'CAP_CHOWN', '--no-new-privs', '--apparmor', 'profile',
                'c', '/bin/true')
    equal(done.returncode, 0, 'with all flags')
    found = notes('exec')[0]['process']
    equal(found['user'], dict(uid=12, gid=34, additionalGids=[5, 6]), 'user')
    equal([found['cwd'], found['env'], found['noNewPrivileges']],
          ['/tmp', ['A=b', 'X=1', 'Y=two words'], True], 'cwd, env, no_new_privs')
    equal(sorted(found['capabilities']['bounding']), ['CAP_CHOWN', 'CAP_KILL'], 'capabilities')
    fails(runc('exec', '-u', 'root', 'c', 'true'), 'parsing root as int for uid failed',
          'user by name', 255)
    fails(runc('exec', '-u', '1:', 'c', 'true'), 'parsing  as int for gid failed', 'no gid', 255)
    fails(runc('exec', '-c', 'CAP_NO', 'c', 'true'), 'unknown capability "CAP_NO"', 'capability', 255)
    fails(runc('exec', 'c'), 'process args cannot be empty', 'no command', 255)
    fails(runc('exec', '--cgroup', '/x', 'c', 'true'), '--cgroup /x: not supported', 'cgroup', 255)
    fails(runc('exec', 'c', '/bin/nothing'),
          'exec failed: exec: "/bin/nothing": executable file not found in $PATH',
          'the guest\'s words', 255)
    process = bundle.path + '/process.json'
    pid_file = bundle.path + '/exec.pid'
    with open(process, 'w') as stream:
        json.dump(dict(args=['/bin/sh', '-c', 'exit 9'], cwd='/', user=dict(uid=0, gid=0)), stream)
    done = detached('exec', '--process', process, '--detach', '--pid-file', pid_file, 'c')
    equal([done.returncode, done.stderr], [0, ''], 'exec --process --detach')
    equal(reap(int(open(pid_file).read())), 9, 'exit status of its stand-in')
    with open(process, 'w') as stream:
        stream.write('{"args": []}')
    contains(runc('exec', '-p', process, 'c').stderr, process + ': ', 'broken process.json')
    done = detached('exec', '-d', '--pid-file', pid_file, 'c', '/bin/sleep', '1000')
    pid = int(open(pid_file).read())
    os.kill(pid, signal.SIGTERM)
    equal(reap(pid), 143, 'signal to the stand-in of an exec')
    detached('exec', '-d', '--pid-file', pid_file, 'c', '/bin/sleep', '1000')
    runc('kill', 'c')
    equal(reap(int(open(pid_file).read())), 137, 'ends with the container')
    container.gone(143)


def test_run():
    done = runc('run', '-b', Bundle('/bin/sh', '-c', 'echo out; echo err >&2; exit 5').path, 'c')
    equal([done.returncode, done.stdout, done.stderr], [5, 'out\n', 'err\n'], 'run')
    equal(left(), [], 'nothing is left')
    bundle = Bundle('/bin/true')
    done = runc('run', '--keep', '--pid-file', bundle.path + '/pid', '--bundle=' + bundle.path, 'c')
    equal([done.returncode, status('c')], [0, 'stopped'], 'run --keep')
    equal(runc('delete', 'c').returncode, 0, 'delete')
    bundle = Bundle()
    done = detached('run', '--detach', '--pid-file', bundle.path + '/pid', '-b', bundle.path, 'c')
    equal([done.returncode, status('c')], [0, 'running'], 'run --detach')
    runc('kill', 'c', 'KILL')
    equal(reap(int(open(bundle.path + '/pid').read())), 137, 'exit status')
    equal(runc('delete', 'c').returncode, 0, 'delete')
    equal(left(), [], 'nothing is left')
