"""3: terminals."""
import array
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time

from harness import IMAGE, Failed, test

PROMPT = b"e2e> "


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Terminal:
    """The user's side of a terminal: types, and waits for what appears."""

    def __init__(self, master):
        self.master = master
        self.seen = b""

    def type(self, data):
        os.write(self.master, data)

    def expect(self, pattern, seconds=15):
        """Waits for a regular expression, returns its match, forgets what was before its end."""
        deadline = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failed(f"the terminal did not show {pattern!r} within {seconds} s but {self.seen!r}")
            if select.select([self.master], [], [], left)[0]:
                try:
                    part = os.read(self.master, 65536)
                except OSError:
                    part = b""
                if not part:
                    raise Failed(f"the terminal closed; waiting for {pattern!r}, it had shown {self.seen!r}")
                self.seen += part

    def ask(self, line, seconds=15):
        """Types a command to the shell, returns what it prints up to the next prompt."""
        self.type(line + b"\n")
        self.expect(re.escape(line) + rb"\r\n", seconds)
        return self.answer(seconds)

    def ask_unseen(self, line, seconds=15):
        """The same on a terminal that does not echo."""
        self.type(line + b"\n")
        return self.answer(seconds)

    def answer(self, seconds):
        return self.expect(rb"(?s)(.*?)" + PROMPT, seconds).group(1).replace(b"\r\n", b"\n")

    def drain(self, seconds):
        """Everything up to the end, or for that long."""
        deadline = time.monotonic() + seconds
        while select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
            try:
                part = os.read(self.master, 65536)
            except OSError:
                break
            if not part:
                break
            self.seen += part
        return self.seen


@contextlib.contextmanager
def on_terminal(t, argv, rows=33, columns=101, environment=None):
    """argv in a session of its own whose terminal is the harness's."""
    master, slave = pty.openpty()
    set_size(master, rows, columns)

    def become_session():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = t.spawn(argv, stdin=slave, stdout=slave, stderr=slave, preexec_fn=become_session,
                      env=dict(os.environ, TERM="xterm", **(environment or {})))
    os.close(slave)
    try:
        yield Terminal(master), process
    finally:
        os.close(master)


def shell_checks(t, name, terminal, resize, job_control=True):
    """What a shell on a terminal has to do. resize(rows, columns) changes the window."""
    # A shell that edits its line draws it anew at a SIGWINCH, in the midst of what is typed as well. Without an echo
    # it does not edit, and prints nothing but its prompt: so until the window has its last size.
    terminal.type(b"PS1='e2e''> '; stty -echo\n")
    terminal.expect(rb"\n" + PROMPT)
    t.ok(f"{name}: tty names a terminal", terminal.ask_unseen(b"tty") in (b"/dev/pts/0\n", b"/dev/console\n"))
    t.equal(f"{name}: stty size is the window's", terminal.ask_unseen(b"stty size"), b"33 101\n")
    resize(44, 122)
    got = b""
    for _ in range(20):
        got = terminal.ask_unseen(b"stty size")
        if got == b"44 122\n":
            break
        time.sleep(0.2)
    t.equal(f"{name}: stty size follows the window", got, b"44 122\n")
    terminal.ask_unseen(b"stty echo")
    terminal.type(b"sleep 1000\n")
    terminal.expect(rb"sleep 1000\r\n")
    time.sleep(1)
    terminal.type(b"\x03")
    terminal.expect(PROMPT)
    t.equal(f"{name}: Ctrl-C interrupts", terminal.ask(b"echo $?"), b"130\n")
    terminal.type(b"cat\n")
    terminal.expect(rb"cat\r\n")
    time.sleep(1)  # the shell has to give cat the terminal in canonical mode
    terminal.type(b"abc\n")
    terminal.expect(rb"abc\r\nabc\r\n")
    terminal.type(b"\x04")
    terminal.expect(PROMPT)
    t.equal(f"{name}: Ctrl-D is an end of file", terminal.ask(b"echo $?"), b"0\n")
    if job_control:
        terminal.type(b"sleep 1001\n")
        terminal.expect(rb"sleep 1001\r\n")
        time.sleep(1)
        terminal.type(b"\x1a")
        terminal.expect(rb"Stopped[^\n]*\n")
        terminal.expect(PROMPT)
        t.ok(f"{name}: Ctrl-Z stops, jobs shows it", b"Stopped" in terminal.ask(b"jobs"))
        terminal.type(b"fg\n")
        terminal.expect(rb"fg\r\n.*sleep 1001\r\n")
        time.sleep(0.5)
        terminal.type(b"\x03")
        terminal.expect(PROMPT)
        t.equal(f"{name}: fg brings it back, to be interrupted", terminal.ask(b"jobs"), b"")


def ends(process, seconds=30):
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


@test(3, limit=150)
def podman_terminal(t):
    """podman run -it on a real terminal"""
    name = t.new_id()
    t.pods.append(name)
    with on_terminal(t, ["podman", "--runtime", t.runtime, "run", "-it", "--rm", "--name", name, IMAGE, "sh"]) as \
            (terminal, process):
        terminal.expect(rb"# ", 60)

        def resize(rows, columns):
            set_size(terminal.master, rows, columns)

        shell_checks(t, "podman run -it", terminal, resize)
        terminal.type(b"exit 7\n")
        terminal.drain(20)
        t.equal("podman run -it: the shell's exit code", ends(process), 7, terminal.seen)


def receive_master(listener, seconds=60):
    """The terminal's master, sent through --console-socket."""
    listener.settimeout(seconds)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(10)
        _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(16))
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
    return fds[0]


@test(3, limit=120)
def console_socket(t):
    """create and exec with --console-socket"""
    path = os.path.join(t.directory, "console")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    id = t.claim()

    def edit(config):
        config["process"]["consoleSize"] = {"height": 33, "width": 101}

    bundle = t.bundle(["sh"], edit, terminal=True)
    with open(os.devnull, "r+b") as null, open(t.file("errors"), "wb") as errors:
        creator = t.spawn(t.runtime_argv("create", "--bundle", bundle, "--console-socket", path, "--pid-file",
                                         bundle + "/pid", id), stdin=null, stdout=null, stderr=errors)
        master = receive_master(listener)
        status = ends(creator, 60)
        t.need("create with --console-socket succeeds", status == 0,
               (status, open(os.path.join(t.directory, "errors")).read()))
    result = t.rt("start", id)
    t.equal("start succeeds", result.status, 0, result)
    terminal = Terminal(master)
    terminal.expect(rb"# ", 20)
    set_size(master, 33, 101)  # a runtime may leave consoleSize to the engine
    pid = int(open(bundle + "/pid").read())

    def resize(rows, columns):
        set_size(master, rows, columns)
        os.kill(pid, signal.SIGWINCH)

    shell_checks(t, "console socket", terminal, resize, job_control=False)
    os.close(master)

    process_json = t.file("process.json", """{"terminal": true, "cwd": "/", "user": {"uid": 0, "gid": 0},
        "args": ["sh", "-c", "tty; read line; echo got $line; exit 5"], "env": ["PATH=/bin"]}""")
    # Closing its terminal has ended the first shell, and its container with it.
    container = t.start()
    with open(os.devnull, "r+b") as null:
        exec_pid = os.path.join(t.directory, "exec-pid")
        process = t.spawn(t.runtime_argv("exec", "--process", process_json, "--detach", "--tty", "--console-socket", path,
                                         "--pid-file", exec_pid, container.id), stdin=null, stdout=null, stderr=null)
        master = receive_master(listener)
        t.equal("exec --tty --detach succeeds", ends(process), 0)
    terminal = Terminal(master)
    found = terminal.expect(rb"(/dev/\S+)\r\n")
    t.ok("exec --tty: tty names a terminal", found.group(1).startswith(b"/dev/pts/"), found)
    terminal.type(b"a line\n")
    terminal.expect(rb"got a line\r\n")
    t.ok("exec --tty: its input and output are the terminal's", True)
    os.close(master)
    listener.close()


@test(3, limit=60)
def hang_up(t):
    """the end of the terminal ends the shell on it"""
    path = os.path.join(t.directory, "console")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    id = t.claim()
    bundle = t.bundle(["sh"], terminal=True)
    with open(os.devnull, "r+b") as null:
        creator = t.spawn(t.runtime_argv("create", "--bundle", bundle, "--console-socket", path, id),
                          stdin=null, stdout=null, stderr=null)
        master = receive_master(listener)
        t.equal("create succeeds", ends(creator, 60), 0)
    t.equal("start succeeds", t.rt("start", id).status, 0)
    terminal = Terminal(master)
    terminal.expect(rb"# ", 20)
    os.close(master)
    listener.close()
    deadline = time.monotonic() + 15
    result = None
    while time.monotonic() < deadline:
        result = t.rt("state", id)
        if '"stopped"' in result.out:
            break
        time.sleep(0.3)
    t.ok("the shell ends when its terminal is closed", '"stopped"' in result.out, result)
