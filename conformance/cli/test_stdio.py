"""Inherited stdio, whose flags are the caller's, and terminals."""
import array, fcntl, os, select, signal, socket, struct, subprocess, termios, time

import fixture
from fixture import Bundle, check, contains, detached, equal, left, notes, reap, runc, status, wait_for

COPY = ('/bin/sh', '-c', 'cat; echo end >&2')


def read_all(fd):
    data = b''
    while True:
        try:
            part = os.read(fd, 65536)
        except OSError:
            return data
        if not part:
            return data
        data += part


def read_until(fd, end, timeout=10):
    data, limit = b'', time.monotonic() + timeout
    while end not in data and time.monotonic() < limit:
        if select.select([fd], [], [], .1)[0]:
            try:
                data += os.read(fd, 65536)
            except OSError:
                break
    return data


def flags(*fds):
    return [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in fds]


def run_with(stdin, stdout, stderr):
    """Runs a copy of stdin to stdout; returns when it runs, with the flags before and then."""
    before = flags(stdin, stdout, stderr)
    bundle = Bundle(*COPY)
    process = subprocess.Popen([fixture.RUNC, '--root', fixture.root, 'run', '-b', bundle.path, 'c'],
                               stdin=stdin, stdout=stdout, stderr=stderr)
    wait_for(lambda: status('c') == 'running', 5)
    return process, before, flags(stdin, stdout, stderr)


def test_pipes():
    (in_r, in_w), (out_r, out_w), (err_r, err_w) = os.pipe(), os.pipe(), os.pipe()
    fixture.forget()
    process, before, during = run_with(in_r, out_w, err_w)
    equal(notes('stdio')[0]['nonblocking'], [True] * 3, 'pipes are opened anew, non-blocking')
    equal(during, before, 'the caller\'s flags stay as they are')
    os.write(in_w, b'through\n')
    equal(read_until(out_r, b'\n'), b'through\n', 'what goes in comes out')
    os.close(in_w)
    equal(process.wait(20), 0, 'end of file ends it')
    equal(flags(in_r, out_w, err_w), before, 'flags afterwards')
    for fd in (in_r, out_w, err_w):
        os.close(fd)
    equal([read_all(out_r), read_all(err_r)], [b'', b'end\n'], 'nobody holds the pipes')
    os.close(out_r)
    os.close(err_r)
    equal(left(), [], 'nothing is left')


def test_create_lets_go():
    """conmon reads to the end of the pipes: nobody but the container may have them."""
    out_r, out_w = os.pipe()
    bundle = Bundle('/bin/sh', '-c', 'echo one; exec >&- 2>&-; sleep 1000')
    done = subprocess.run([fixture.RUNC, '--root', fixture.root, 'create', '-b', bundle.path, 'c'],
                          stdin=subprocess.DEVNULL, stdout=out_w, stderr=out_w)
    os.close(out_w)
    equal(done.returncode, 0, 'create')
    runc('start', 'c')
    equal(read_all(out_r), b'one\n', 'end of the pipe when the process has closed it')
    equal(status('c'), 'running', 'while the container runs')
    os.close(out_r)
    runc('delete', '-f', 'c')
    equal(left(), [], 'nothing is left')


def test_other_kinds():
    path = fixture.directory + '/file'
    with open(path, 'w+') as stream:
        stream.write('of a file\n')
        stream.flush()
        stream.seek(0)
        out = open(path + '.out', 'a+')
        before = flags(stream.fileno(), out.fileno())
        done = subprocess.run([fixture.RUNC, '--root', fixture.root, 'run', '-b', Bundle(*COPY).path,
                               'c'], stdin=stream, stdout=out, stderr=out)
        equal([done.returncode, open(path + '.out').read()], [0, 'of a file\nend\n'], 'files')
        equal(flags(stream.fileno(), out.fileno()), before, 'their flags')
    ours, theirs = socket.socketpair()
    ours.send(b'by a socket\n')
    ours.shutdown(socket.SHUT_WR)
    before = flags(theirs.fileno())
    done = subprocess.run([fixture.RUNC, '--root', fixture.root, 'run', '-b', Bundle(*COPY).path, 'c'],
                          stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
    equal([done.returncode, ours.recv(100)], [0, b'by a socket\n'], 'a socket')
    equal(flags(theirs.fileno()), before, 'its flags')
    done = subprocess.run([fixture.RUNC, '--root', fixture.root, 'run', '-b', Bundle(*COPY).path, 'c'],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    equal(done.returncode, 0, '/dev/null')
    for closed in ('<&-', '>&-', '2>&-', '<&- >&- 2>&-'):
        done = subprocess.run(['/bin/sh', '-c', 'exec "$0" --root %s run -b %s c %s' % (
            fixture.root, Bundle(*COPY).path, closed), fixture.RUNC], stdin=subprocess.DEVNULL,
            capture_output=True)
        equal(done.returncode, 0, 'closed: ' + closed)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([fixture.RUNC, '--root', fixture.root, 'run', '-b',
                           Bundle('/bin/sh', '-c', 'trap "" PIPE; echo x; exit 4').path, 'c'],
                          stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    equal(done.returncode, 4, 'a pipe that nobody reads')
    equal(left(), [], 'nothing is left')


def terminal_bundle(*args):
    bundle = Bundle(*args)
    bundle.config['process'].update(terminal=True, consoleSize=dict(width=91, height=33))
    return bundle.write()


def size_of(fd):
    rows, columns = struct.unpack('HHHH', fcntl.ioctl(fd, termios.TIOCGWINSZ, b'\0' * 8))[:2]
    return columns, rows


def receive_console(listener):
    connection = listener.accept()[0]
    name, control, _, _ = connection.recvmsg(4096, socket.CMSG_LEN(4))
    fds = array.array('i')
    fds.frombytes(control[0][2])
    return name.decode(), fds[0]


def is_raw(fd):
    return not termios.tcgetattr(fd)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)


def test_console_socket():
    bundle = terminal_bundle('/bin/sh', '-c', 'stty size; cat')
    path = fixture.directory + '/' + 'deep/' * 25
    os.makedirs(path)
    os.chdir(path)
    listener = fixture.console_listener('console')
    os.chdir('/')
    done = detached('create', '-b', bundle.path, '--console-socket', path + 'console', '--pid-file',
                    bundle.path + '/pid', 'c')
    equal([done.returncode, done.stderr], [0, ''], 'create with a console socket of a long path')
    pid = int(open(bundle.path + '/pid').read())
    name, master = receive_console(listener)
    check(name.startswith('/dev/pts/'), 'the message is the name of the pty', name)
    check(is_raw(master), 'in raw mode')
    equal(size_of(master), (91, 33), 'of the size in config.json')
    check(not fcntl.fcntl(master, fcntl.F_GETFL) & os.O_NONBLOCK, 'blocking')
    stat = open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()
    equal(int(stat[4]), os.stat(name).st_rdev, 'the stand-in\'s controlling terminal')
    runc('start', 'c')
    contains(read_until(master, b'33 91\n').decode(), '33 91\n', 'output')
    os.write(master, b'typed\n')
    equal(read_until(master, b'typed\n'), b'typed\n', 'input, without an echo of the host\'s')
    pid_file = bundle.path + '/exec.pid'
    done = detached('exec', '-d', '-t', '--console-socket', path + 'console', '--pid-file', pid_file,
                    'c', '/bin/echo', 'exec')
    equal([done.returncode, done.stderr], [0, ''], 'exec with a console socket')
    second = receive_console(listener)[1]
    equal(read_until(second, b'exec\n'), b'exec\n', 'its output')
    equal(reap(int(open(pid_file).read())), 0, 'its exit status')
    done = detached('exec', '-d', '-t', 'c', '/bin/true')
    contains(done.stderr, 'without setting console socket', 'exec -d -t without one')
    runc('delete', '-f', 'c')
    equal([reap(pid), read_all(master)], [137, b''], 'the end hangs up')
    os.close(master)
    os.close(second)
    listener.close()
    done = detached('create', '-b', bundle.path, '--console-socket', path + 'console', 'c')
    contains(done.stderr, 'connect to the console socket', 'nobody listens')
    check(done.returncode == 1, 'is an error', done.returncode)
    equal(left(), [], 'and nothing is left')


class Terminal:
    """A terminal in front of a verb in the foreground."""

    def __init__(self, *arguments):
        self.master, slave = os.openpty()
        self.resize(100, 40)
        self.mode = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen([fixture.RUNC, '--root', fixture.root, *arguments],
                                        stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(
                                            0, termios.TIOCSCTTY, 0))

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def close(self):
        os.close(self.master)
        os.close(self.slave)


def test_foreground_terminal():
    script = 'stty size; trap "stty size" WINCH; echo ready; while :; do sleep .05; done'
    terminal = Terminal('run', '-b', terminal_bundle('/bin/sh', '-c', script).path, 'c')
    first = read_until(terminal.master, b'ready\n')
    equal(first, b'40 100\nready\n', 'size of our terminal, bytes as they are')
    check(is_raw(terminal.slave), 'our terminal is raw')
    check(not fcntl.fcntl(terminal.slave, fcntl.F_GETFL) & os.O_NONBLOCK, 'and blocking')
    terminal.resize(120, 50)
    equal(read_until(terminal.master, b'\n'), b'50 120\n', 'a change of its size')
    terminal.process.send_signal(signal.SIGTERM)
    equal(terminal.process.wait(20), 143, 'a signal is passed on')
    equal(termios.tcgetattr(terminal.slave), terminal.mode, 'our terminal is as before')
    terminal.close()
    terminal = Terminal('run', '-b', terminal_bundle('/bin/cat').path, 'c')
    wait_for(lambda: is_raw(terminal.slave))
    os.write(terminal.master, b'a\x03b\n')
    equal(read_until(terminal.master, b'\n'), b'a\x03b\n', 'Ctrl-C is a byte like others')
    runc('kill', 'c', 'KILL')
    equal(terminal.process.wait(20), 137, 'killed')
    equal(termios.tcgetattr(terminal.slave), terminal.mode, 'our terminal is as before')
    terminal.close()
    terminal = Terminal('run', '-b', terminal_bundle('/bin/sh', '-c',
                                                     'yes 0123456789 | head -n 50000; exit 3').path, 'c')
    time.sleep(1)
    output = b''
    while output.count(b'\n') < 50000 and select.select([terminal.master], [], [], 10)[0]:
        output += os.read(terminal.master, 65536)
    equal(output, b'0123456789\n' * 50000, 'all output, for a reader that comes late')
    equal(terminal.process.wait(20), 3, 'and then the exit status')
    terminal.close()
    equal(left(), [], 'nothing is left')


def test_foreground_exec():
    runc('run', '-d', '-b', Bundle().path, 'c', stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
         capture_output=False)
    terminal = Terminal('exec', '-t', 'c', '/bin/sh', '-c', 'stty size; exec cat')
    equal(read_until(terminal.master, b'\n'), b'40 100\n', 'exec -t: size')
    os.write(terminal.master, b'typed\n')
    equal(read_until(terminal.master, b'\n'), b'typed\n', 'bytes')
    terminal.process.send_signal(signal.SIGTERM)
    equal(terminal.process.wait(20), 143, 'signal')
    equal(termios.tcgetattr(terminal.slave), terminal.mode, 'our terminal is as before')
    terminal.close()
    done = runc('exec', '-t', 'c', '/bin/echo', 'x')
    equal([done.returncode, done.stdout], [0, 'x\n'], 'exec -t without a terminal of ours')
    equal(status('c'), 'running', 'the container runs on')
    runc('delete', '-f', 'c')
    equal(left(), [], 'nothing is left')


def test_foreground_signals():
    script = 'trap "echo int; exit 6" INT; trap "echo hup" HUP; echo ready; while :; do sleep .05; done'
    process = subprocess.Popen([fixture.RUNC, '--root', fixture.root, 'run', '-b',
                                Bundle('/bin/sh', '-c', script).path, 'c'],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    read_until(process.stdout.fileno(), b'ready\n')
    process.send_signal(signal.SIGHUP)
    equal(read_until(process.stdout.fileno(), b'\n'), b'hup\n', 'SIGHUP reaches the handler inside')
    process.send_signal(signal.SIGINT)
    equal([process.wait(20), process.stdout.read()], [6, b'int\n'], 'SIGINT')
    process.stdout.close()
    equal(left(), [], 'nothing is left')
