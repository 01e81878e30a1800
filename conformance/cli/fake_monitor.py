#!/usr/bin/env python3
"""A test double of vxn-monitor: the whole of runtime/monitor_protocol.h, with the
container's processes run on this host instead of in a VM. What it is to do wrong
stands in the annotation `test.monitor` of config.json."""
import fcntl, json, os, select, selectors, signal, socket, stat, struct, subprocess, sys, time, traceback

CREATE, START, EXEC, KILL, DESTROY = 1, 2, 3, 4, 5
TERMINAL, ALL = 1, 2
STANDIN_SIGNAL, STANDIN_EXIT = 1, 3
REQUEST, REPLY, STANDIN = 'IIi', 'Ii900s', 'IiHHI'
LOG = os.path.dirname(os.path.abspath(__file__)) + '/fake.log'


def note(what, **more):
    with open(LOG, 'a') as stream:
        stream.write(json.dumps(dict(what=what, **more)) + '\n')


class Process:
    def __init__(self, config, standin, stdio, terminal):
        self.config, self.standin, self.stdio, self.terminal = config, standin, stdio, terminal
        self.child = None

    def start(self):
        note('stdio', nonblocking=[not os.get_blocking(fd) for fd in self.stdio])
        for fd in self.stdio:
            if os.isatty(fd) or stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.set_blocking(fd, True)  # a description of our own: for the io process, not a child
        stdio = self.stdio * 3 if self.terminal else self.stdio
        env = dict(entry.split('=', 1) for entry in self.config.get('env', []))
        try:
            self.child = subprocess.Popen(self.config['args'], stdin=stdio[0], stdout=stdio[1],
                                          stderr=stdio[2], env=env, cwd='/', start_new_session=True)
        finally:
            for fd in self.stdio:
                os.close(fd)

    def exit(self, code):
        try:
            self.standin.send(struct.pack(STANDIN, STANDIN_EXIT, code, 0, 0, 0))
        except OSError:
            pass
        self.standin.close()


class Monitor:
    def __init__(self, root, name):
        self.directory = root + '/' + name
        self.state_path = self.directory + '/state.json'
        self.config = json.load(open(self.directory + '/config.json'))
        self.mode = self.config.get('annotations', {}).get('test.monitor', '')
        self.selector = selectors.DefaultSelector()
        self.process, self.execs, self.running = None, [], False
        self.created, self.ending, self.waiting = False, False, []

    def set_status(self, status):
        state = json.load(open(self.state_path))
        state['status'] = status
        if status == 'stopped':
            state['pid'] = 0
        with open(self.state_path + '.new', 'w') as stream:
            json.dump(state, stream)
        os.rename(self.state_path + '.new', self.state_path)

    def reply(self, client, failure=None):
        try:
            client.send(struct.pack(REPLY, int(failure is not None), 0, (failure or '').encode()))
        except OSError:
            pass

    def create(self, client, request, fds):
        if self.mode == 'die':
            os.kill(os.getpid(), signal.SIGKILL)
        self.process = self.make(self.config['process'], fds, request)
        if self.mode == 'silent':
            return
        if self.mode.startswith('refuse '):
            self.reply(client, self.mode[7:])
            self.finish()
        self.created = True
        self.set_status('created')
        self.reply(client)

    def make(self, config, fds, request):
        standin = socket.socket(fileno=fds[0])
        process = Process(config, standin, fds[1:], request[1] & TERMINAL)
        self.selector.register(standin, selectors.EVENT_READ, (self.standin_says, process))
        return process

    def start(self, client):
        if self.mode.startswith('no-start '):
            return self.reply(client, self.mode[9:])
        self.process.start()
        self.running = True
        self.set_status('running')
        self.reply(client)

    def exec(self, client, request, fds):
        with os.fdopen(fds[0]) as stream:
            config = json.load(stream)
        note('exec', process=config)
        process = self.make(config, fds[1:], request)
        try:
            process.start()
        except OSError as error:
            self.selector.unregister(process.standin)
            process.standin.close()
            return self.reply(client, 'exec failed: exec: "%s": executable file not found in $PATH'
                              % config['args'][0])
        self.execs.append(process)
        self.reply(client)

    def kill(self, client, request):
        note('kill', signal=request[2], all=bool(request[1] & ALL))
        if self.running:
            self.process.child.send_signal(request[2])
            self.reply(client)
        elif request[2] == signal.SIGKILL:
            self.reply(client)
            self.end(137)
        else:
            self.reply(client)

    def hear(self, client):
        try:
            data, fds, _, _ = socket.recv_fds(client, 64, 8)
        except OSError:
            data = b''
        if not data:
            self.selector.unregister(client)
            client.close()
            if client is self.creator and not self.created:
                note('abandoned')
                os.kill(os.getpid(), signal.SIGKILL)  # the worst: it undoes nothing
            return
        request = struct.unpack(REQUEST, data)
        if request[0] == CREATE:
            self.create(client, request, fds)
        elif request[0] == START:
            self.start(client)
        elif request[0] == EXEC:
            self.exec(client, request, fds)
        elif request[0] == KILL:
            self.kill(client, request)
        elif self.mode == 'deaf':
            note('deaf')
        else:
            self.waiting.append(client)
            self.end(137)

    def accept(self, listener):
        client = listener.accept()[0]
        self.selector.register(client, selectors.EVENT_READ, (self.hear, client))

    def standin_says(self, process):
        data = process.standin.recv(64)
        if data:
            kind, value = struct.unpack(STANDIN, data)[:2]
            if process.child:
                process.child.send_signal(value if kind == STANDIN_SIGNAL else signal.SIGWINCH)
            return
        self.selector.unregister(process.standin)
        process.standin.close()
        if process is self.process:
            note('stand-in gone')
            self.end(137)
        elif process.child:
            process.child.kill()

    def reap(self, pipe):
        os.read(pipe, 64)
        for process in self.execs + [self.process]:
            code = process and process.child and process.child.poll()
            if code is None or process.standin.fileno() < 0:
                continue
            code = 128 - code if code < 0 else code
            if process is self.process:
                self.end(code)
            else:
                self.selector.unregister(process.standin)
                process.exit(code)

    def end(self, code):
        """The container's process has ended, or is to: then the VM."""
        for process in self.execs + [self.process]:
            if process and process.child:
                try:
                    os.killpg(process.child.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.child.wait()
            if process and process.standin.fileno() >= 0:
                process.exit(code if process is self.process else 137)
        self.finish()

    def finish(self):
        if self.mode == 'slow':
            time.sleep(1)
        self.set_status('stopped')
        os.unlink(self.directory + '/monitor.sock')
        for client in self.waiting:
            self.reply(client)
        sys.exit(0)

    def serve(self):
        lock = os.open(self.directory + '/lock', os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hangup = select.poll()
        hangup.register(3, 0)
        if hangup.poll(0):
            sys.exit(1)  # create was killed: this may be another container of that id already
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        os.chdir(self.directory)
        listener.bind('monitor.sock')
        os.chdir('/')
        listener.listen(64)
        self.creator = socket.socket(fileno=3)
        note('run', fds=sorted(os.readlink('/proc/self/fd/' + fd).split(':')[0]
                               for fd in os.listdir('/proc/self/fd')
                               if os.path.exists('/proc/self/fd/' + fd)),
             env=dict(os.environ), session=os.getsid(0) != os.getpgid(os.getppid()))
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(self.creator, selectors.EVENT_READ, (self.hear, self.creator))
        self.selector.register(listener, selectors.EVENT_READ, (self.accept, listener))
        self.selector.register(reader, selectors.EVENT_READ, (self.reap, reader))
        while True:
            for key, _ in self.selector.select():
                if key.fileobj == reader or key.fileobj.fileno() >= 0:
                    key.data[0](key.data[1])


def main():
    arguments = sys.argv[1:]
    root = arguments[arguments.index('--root') + 1]
    if arguments[0] == 'cleanup':
        note('cleanup', id=arguments[-1])
        sys.exit(0)
    note('start', arguments=arguments)
    try:
        Monitor(root, arguments[-1]).serve()
    except (FileNotFoundError, BlockingIOError):
        sys.exit(1)  # somebody has removed the container, or does so
    except Exception:
        note('broken', why=traceback.format_exc())
        raise


if __name__ == '__main__':
    main()
