"""The host's part of the channel, for tests of vxn-init: boots it in QEMU (microvm, TCG) and talks to it.

Vm() boots and greets; create, start, exec, signal, resize are the control messages; a Process has its
stdio. A thread for each port reads the channel, serves the shares and gives credit back. raw() sends any bytes.
"""
import json
import os
import queue
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from fuse_server import FuseServer

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(TREE, "build"))
HELLO, CONTROL, DATA, END, RESET, CREDIT = 1, 2, 3, 4, 5, 6
MORE = 1
HEADER = struct.Struct("<IBBHI")
BODY_MAX = 65536
STDIO_WINDOW = 256 << 10
SHARE_WINDOW = 4 << 20
PORT_SHIFT = 24
VERSION = 1


class Failure(Exception):
    pass


def frame(kind, stream, body=b"", flags=0):
    return HEADER.pack(len(body), kind, flags, 0, stream) + body


def tsc_khz():
    with open("/proc/cpuinfo") as f:
        return int(float(re.search(r"cpu MHz\s*: ([\d.]+)", f.read()).group(1)) * 1000)


class Stream:
    def __init__(self, vm, number):
        self.vm, self.number = vm, number
        self.data = bytearray()
        self.ended = self.reset = False
        self.hold = False  # keep the credit
        self.held = 0
        self.credit = STDIO_WINDOW  # of data to the guest
        self.changed = vm.changed

    def release(self):
        """Gives back the credit that was held."""
        with self.changed:
            self.hold = False
            held, self.held = self.held, 0
        if held:
            self.vm.send(frame(CREDIT, self.number, struct.pack("<I", held)))

    def write(self, data, timeout=60):
        """Sends as credit allows. Returns False when the guest does not want more."""
        offset, end = 0, time.time() + timeout
        while offset < len(data):
            with self.changed:
                while not self.credit and not self.reset:
                    if not self.changed.wait(max(0, end - time.time())) and time.time() >= end:
                        raise Failure("no credit for stdin")
                if self.reset:
                    return False
                size = min(self.credit, BODY_MAX, len(data) - offset)
                self.credit -= size
            self.vm.send(frame(DATA, self.number, data[offset:offset + size]))
            offset += size
        return True

    def close(self):
        self.vm.send(frame(END, self.number))

    def send_reset(self):
        self.vm.send(frame(RESET, self.number))

    def wait(self, condition, timeout=30, what="output"):
        end = time.time() + timeout
        with self.changed:
            while not condition(self):
                left = end - time.time()
                if left <= 0 or self.vm.gone:
                    raise Failure("%s did not come; there is %r" % (what, bytes(self.data[-300:])))
                self.changed.wait(left)
            return bytes(self.data)

    def wait_end(self, timeout=30):
        return self.wait(lambda s: s.ended, timeout, "the end")

    def wait_for(self, text, timeout=30):
        return self.wait(lambda s: text in s.data, timeout, repr(text))


class Process:
    def __init__(self, vm, number, streams):
        self.vm, self.number = vm, number
        self.stdin, self.stdout, self.stderr = streams
        self.status = None
        self.output_at_exit = None  # bytes of stdout and stderr that came before the exit

    def wait(self, timeout=30):
        end = time.time() + timeout
        with self.vm.changed:
            while self.status is None:
                left = end - time.time()
                if left <= 0 or self.vm.gone:
                    raise Failure("no exit of process %d" % self.number)
                self.vm.changed.wait(left)
        return self.status

    def code(self, timeout=30):
        """As a shell has it."""
        status = self.wait(timeout)
        return 128 + (status & 127) if status & 127 else status >> 8


class Vm:
    def __init__(self, memory=128, cpus=1, debug=False, greet=True, version=VERSION, ports=4, valid=1):
        self.changed = threading.Condition()
        self.lock = threading.Lock()
        self.streams, self.shares, self.processes, self.replies = {}, {}, {}, {}
        self.notify_credit = {}  # bytes given back, of each share
        self.partial = {}
        self.valid = valid  # seconds that the guest may believe what a share says
        self.gone = False
        self.violation = None
        self.next = {"seq": 0, "stream": 0, "process": 0}
        self.hello = None
        self.log = tempfile.NamedTemporaryFile(prefix="vxn-guest-", suffix=".log")
        self.ports = ports
        self.boot(memory, cpus, debug)
        for port in range(ports):
            threading.Thread(target=self.read, args=(port,), daemon=True).start()
        if greet:
            self.greet(version)

    # -- the machine

    def boot(self, memory, cpus, debug):
        pairs = [socket.socketpair() for _ in range(self.ports)]
        for ours, _ in pairs:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.sockets = [ours for ours, _ in pairs]
        append = ("console=ttyS0 loglevel=%d reboot=t panic=-1 tsc_early_khz=%d vxn.channel=port vxn.ports=%d%s" %
                  (5 if debug else 4, tsc_khz(), self.ports, " vxn.log=debug" if debug else ""))
        port_options = []
        for i, (_, theirs) in enumerate(pairs):
            port_options += ["-chardev", "socket,id=c%d,fd=%d" % (i, theirs.fileno()),
                             "-device", "virtserialport,chardev=c%d,nr=%d,name=vxn.%d" % (i, i + 1, i)]
        self.booted = time.time()
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "microvm,acpi=off", "-accel", "tcg", "-cpu", "max",
             "-smp", str(cpus), "-m", str(memory), "-nodefaults", "-no-user-config",
             "-global", "virtio-mmio.force-legacy=false", "-display", "none", "-no-reboot",
             "-kernel", os.environ.get("VMLINUX", BUILD + "/vmlinux"),
             "-initrd", BUILD + "/initramfs.cpio", "-append", append,
             "-serial", "file:" + self.log.name,
             "-device", "virtio-serial-device,id=vs,max_ports=%d" % (self.ports + 1)] + port_options,
            pass_fds=[theirs.fileno() for _, theirs in pairs], stdin=subprocess.DEVNULL)
        for _, theirs in pairs:
            theirs.close()

    def console(self):
        with open(self.log.name, errors="replace") as f:
            return f.read()

    def wait_off(self, timeout=10):
        """Waits for the machine's own end."""
        return self.qemu.wait(timeout)

    def close(self):
        """Closes the channel; the guest has to switch itself off."""
        for one in self.sockets:
            one.shutdown(socket.SHUT_RDWR)
        try:
            self.wait_off()
            return True
        except subprocess.TimeoutExpired:
            return False
        finally:
            self.kill()

    def kill(self):
        self.qemu.kill()
        self.qemu.wait()
        for one in self.sockets:
            one.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            sys.stderr.write(self.console()[-3000:])
        self.kill()

    # -- the channel

    def send(self, data):
        """Frames, all for the port that the first of them names."""
        self.raw(data, HEADER.unpack_from(data)[4] >> PORT_SHIFT)

    def raw(self, data, port=0):
        with self.lock:
            self.sockets[port].sendall(data)

    def greet(self, version=VERSION):
        self.send(frame(HELLO, 0, struct.pack("<IQ", version, time.time_ns()) + os.urandom(64)))
        end = time.time() + 30
        with self.changed:
            while not self.hello:
                if self.gone or not self.changed.wait(end - time.time()):
                    raise Failure("no HELLO from the guest")
        self.greeted = time.time()

    def control(self, message):
        text = json.dumps(message).encode()
        pieces = [text[i:i + BODY_MAX] for i in range(0, len(text), BODY_MAX)]
        self.send(b"".join(frame(CONTROL, 0, p, MORE if i + 1 < len(pieces) else 0)
                           for i, p in enumerate(pieces)))

    def number(self, kind):
        with self.changed:
            self.next[kind] += 1
            return self.next[kind]

    def request(self, message, timeout=30):
        """Sends, waits for the reply. Raises Failure with the guest's words."""
        message["seq"] = self.number("seq")
        self.control(message)
        end = time.time() + timeout
        with self.changed:
            while message["seq"] not in self.replies:
                left = end - time.time()
                if left <= 0 or self.gone:
                    raise Failure("no reply to %s" % message["op"])
                self.changed.wait(left)
            error = self.replies.pop(message["seq"]).get("error")
        if error:
            raise Failure(error)

    def read(self, port):
        buffer = bytearray()
        try:
            while True:
                data = self.sockets[port].recv(1 << 20)
                if not data:
                    break
                buffer += data
                while len(buffer) >= HEADER.size:
                    length, kind, flags, reserved, stream = HEADER.unpack_from(buffer)
                    if length > BODY_MAX or reserved:
                        raise Failure("bad frame header %r" % buffer[:HEADER.size])
                    if len(buffer) < HEADER.size + length:
                        break
                    body = bytes(buffer[HEADER.size:HEADER.size + length])
                    del buffer[:HEADER.size + length]
                    self.check_port(kind, stream, body, port)
                    self.receive(kind, flags, stream, body)
        except OSError:
            pass
        except Exception as e:  # whatever it is: nobody waits for ever
            self.violation = "%s: %s" % (type(e).__name__, e)
        with self.changed:
            self.gone = True
            self.changed.notify_all()

    def check_port(self, kind, stream, body, port):
        expected = stream >> PORT_SHIFT
        if kind == CONTROL and b'"exit"' in body:
            expected = self.stdio_port()
        if port != expected:
            raise Failure("frame %d for stream %d on port %d" % (kind, stream, port))

    def stdio_port(self):
        return 1 if self.ports > 1 else 0

    def share_port(self, index):
        return 2 + index % (self.ports - 2) if self.ports > 2 else self.stdio_port()

    def receive(self, kind, flags, number, body):
        if kind == DATA and number in self.shares:
            self.serve(number, flags, body)
            return
        with self.changed:
            if kind == HELLO:
                self.hello = body
            elif not self.hello:
                raise Failure("frame %d before HELLO" % kind)
            elif kind == CONTROL:
                self.receive_control(flags, body)
            elif kind == CREDIT and number in self.shares:
                self.notify_credit[number] = self.notify_credit.get(number, 0) + struct.unpack("<I", body)[0]
            elif number not in self.streams:
                raise Failure("frame %d for unknown stream %d" % (kind, number))
            else:
                self.receive_stream(kind, self.streams[number], body)
            self.changed.notify_all()
        if kind == DATA:
            stream = self.streams[number]
            with self.changed:
                if stream.hold:
                    stream.held += len(body)
                    return
            self.send(frame(CREDIT, number, struct.pack("<I", len(body))))

    def receive_control(self, flags, body):
        text = self.partial.pop(0, b"") + body
        if flags & MORE:
            self.partial[0] = text
            return
        message = json.loads(text)
        if message["op"] == "reply":
            self.replies[message["seq"]] = message
        elif message["op"] == "exit":
            process = self.processes[message["process"]]
            process.output_at_exit = [len(s.data) if s else 0 for s in (process.stdout, process.stderr)]
            process.status = message.get("status", 0)  # 0 is left out
        else:
            raise Failure("control message %r" % message)

    def receive_stream(self, kind, stream, body):
        if kind == DATA:
            if stream.ended:
                raise Failure("data after END on stream %d" % stream.number)
            stream.data += body
        elif kind == END:
            stream.ended = True
        elif kind == RESET:
            stream.reset = True
        elif kind == CREDIT:
            stream.credit += struct.unpack("<I", body)[0]
            if stream.credit > STDIO_WINDOW:
                raise Failure("too much credit for stream %d" % stream.number)

    def serve(self, number, flags, body):
        message = self.partial.pop(number, b"") + body
        if flags & MORE:
            self.partial[number] = message
            return
        server = self.shares[number]
        reply = server.request(message)
        out = []
        for i in range(0, len(reply or b""), BODY_MAX):
            more = MORE if i + BODY_MAX < len(reply) else 0
            out.append(frame(DATA, number, reply[i:i + BODY_MAX], more))
        out.append(frame(CREDIT, number, struct.pack("<I", len(message))))
        self.send(b"".join(out))

    def notify(self, share, code, body):
        """A FUSE notification; returns its size."""
        message = struct.pack("<IiQ", 16 + len(body), code, 0) + body
        self.send(frame(DATA, share, message))
        return len(message)

    # -- requests

    def new_stream(self):
        number = self.stdio_port() << PORT_SHIFT | self.number("stream")
        self.streams[number] = Stream(self, number)
        return self.streams[number]

    def new_process(self, terminal, stdin):
        if terminal:
            one = self.new_stream()
            streams = (one, one, one)
        else:
            streams = (self.new_stream() if stdin else None, self.new_stream(), self.new_stream())
        process = Process(self, self.number("process"), streams)
        self.processes[process.number] = process
        return process

    @staticmethod
    def stdio_members(process):
        numbers = [s.number if s else 0 for s in (process.stdin, process.stdout, process.stderr)]
        return dict(zip(("stdin_stream", "stdout_stream", "stderr_stream"), numbers))

    def create(self, container, config, rootfs, stdin=False, timeout=60):
        """Shares rootfs and the sources of binds. Returns the Process."""
        process = self.new_process(config["process"].get("terminal", False), stdin)
        shares = []
        for index, source, readonly in [(-1, rootfs, False)] + [
                (i, m["source"], "ro" in m.get("options", [])) for i, m in enumerate(config["mounts"])
                if m.get("type") == "bind" and m["destination"] != "/dev/shm"]:
            number = self.share_port(len(shares)) << PORT_SHIFT | self.number("stream")
            self.shares[number] = FuseServer(source, readonly, self.valid)
            shares.append({"mount": index, "stream": number, "directory": os.path.isdir(source),
                           "readonly": readonly})
        message = {"op": "create", "container": container, "process": process.number, "config": config,
                   "shares": shares}
        message.update(self.stdio_members(process))
        self.request(message, timeout)
        return process

    def start(self, container, timeout=30):
        self.request({"op": "start", "container": container}, timeout)

    def run(self, container, config, rootfs, stdin=False):
        process = self.create(container, config, rootfs, stdin)
        self.start(container)
        return process

    def exec(self, container, spec, stdin=False):
        process = self.new_process(spec.get("terminal", False), stdin)
        message = {"op": "exec", "container": container, "process": process.number, "config": spec}
        message.update(self.stdio_members(process))
        self.request(message)
        return process

    def signal(self, process, signal):
        self.request({"op": "signal", "process": process.number, "signal": signal})

    def signal_all(self, container, signal):
        self.request({"op": "signal", "process": 0, "container": container, "signal": signal, "all": True})

    def resize(self, process, width, height):
        self.control({"op": "resize", "process": process.number, "width": width, "height": height})
