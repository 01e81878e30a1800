"""13: unix sockets of the host, bound into a container."""
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time

from harness import IMAGE, test, wait_until
from hypervisor import read
from inventory import Inventory
from test_faults import hostile_initramfs
from test_volumes import bind, left, with_mounts

HERE = os.path.dirname(os.path.abspath(__file__))


class Server:
    """A server of the host: answers a stream or a seqpacket client with what it says, in capitals, when it has said all
    (greedy: at once, whatever it is); keeps datagrams."""

    def __init__(self, t, path, kind=socket.SOCK_STREAM, greedy=False, silent=False):
        self.path = path
        self.kind = kind
        self.greedy = greedy
        self.silent = silent
        self.received = []
        self.open = []
        self.ended = 0
        self.socket = socket.socket(socket.AF_UNIX, kind)
        self.socket.bind(path)
        if kind != socket.SOCK_DGRAM:
            self.socket.listen(1024)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        t.stack.callback(self.close)

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                if self.kind == socket.SOCK_DGRAM:
                    self.received.append(self.socket.recv(1 << 17))
                else:
                    client, _ = self.socket.accept()
                    self.open.append(client)
                    threading.Thread(target=self.converse, args=(client,), daemon=True).start()

    def converse(self, client):
        with contextlib.suppress(OSError):
            said = []
            while not self.silent:
                data = client.recv(1 << 17)
                if not data:
                    break
                self.received.append(data)
                said.append(data)
                if self.greedy:
                    client.sendall(data)
            while self.silent and client.recv(1 << 17):
                pass
            if not self.silent and not self.greedy:
                for data in said:
                    client.send(data.upper())
        self.ended += 1
        client.close()

    def close(self):
        for client in self.open:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
                client.close()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)


TOOL = bind(HERE + "/inside_socket", "/tool", "bind", "ro")


@test(13, limit=150)
def stream_socket(t):
    """a bound unix socket: a connection inside reaches the host's server"""
    path = t.folder("run") + "/server.sock"
    server = Server(t, path)
    os.chown(path, 12, 34)
    os.chmod(path, 0o751)
    before = Inventory()
    container = t.start(edit=with_mounts(bind(path, "/run/server.sock", "bind"), TOOL))
    result = container.sh("stat -c '%F %u:%g %a' /run/server.sock; test -S /run/server.sock && echo S")
    t.equal("the file is the host's", result.out, "socket 12:34 751\nS\n", result)
    result = container.exec("/tool", "echo", "stream", "/run/server.sock", "hello ", "world\n")
    t.equal("request, end, answer, end", (result.status, result.out), (0, "HELLO WORLD\n"), result)
    t.equal("the server had all of it", b"".join(server.received), b"hello world\n")
    result = container.exec("/tool", "send", "stream", "/run/server.sock", "bye")
    t.ok("a client that just goes is an end for the server", result.status == 0 and wait_until(lambda: server.ended == 2),
         (result, server.ended))
    started = time.monotonic()
    result = container.sh("for i in $(seq 50); do /tool echo stream /run/server.sock $i; echo; done | tr '\\n' ' '", timeout=60)
    t.equal("50 one after another", result.out.split(), [str(i) for i in range(1, 51)], result)
    t.report.note(f"50 connections: {time.monotonic() - started:.2f} s")
    result = container.exec("/tool", "echo", "dgram", "/run/server.sock", "x")
    t.equal("of the wrong type: as on the host", (result.status, result.out),
            (1, "connect: Protocol wrong type for socket\n"), result)
    t.rt("delete", "--force", container.id)
    t.equal("nothing is left", left(t, before), [])
    result = t.podman_run("--rm", "-v", f"{path}:/s", "-v", f"{HERE}/inside_socket:/tool", IMAGE, "/tool", "echo", "stream", "/s",
                          "by podman", timeout=60)
    t.equal("podman -v", (result.status, result.out), (0, "BY PODMAN"), result)
    result = t.run(["/tool", "echo", "stream", "/sock", "ro"], edit=with_mounts(bind(path, "/sock", "bind", "ro"), TOOL))
    t.equal("a read-only one takes connections, as on the host", (result.status, result.out), (0, "RO"), result)


@test(13, limit=150)
def socket_traffic(t):
    """much data both ways, messages, many connections, a server that does not read"""
    run = t.folder("run")
    Server(t, run + "/stream", greedy=True)
    Server(t, run + "/seqpacket", socket.SOCK_SEQPACKET)
    datagrams = Server(t, run + "/dgram", socket.SOCK_DGRAM)
    silent = Server(t, run + "/silent", silent=True)
    container = t.start(edit=with_mounts(TOOL, *(bind(f"{run}/{name}", f"/{name}", "bind")
                                                 for name in ("stream", "seqpacket", "dgram", "silent"))))
    started = time.monotonic()
    result = container.exec("/tool", "bulk", "stream", "/stream", str(20 << 20))
    seconds = time.monotonic() - started
    t.equal("20 MiB there and back", (result.status, result.out), (0, f"{20 << 20}\n"), result)
    t.report.note(f"{20 / seconds:.0f} MiB/s there and back")
    result = container.sh("for i in 1 2 3 4 5 6 7 8; do /tool bulk stream /stream 1000000 & done; wait")
    t.equal("eight at once", result.out, "1000000\n" * 8, result)
    result = container.exec("/tool", "echo", "seqpacket", "/seqpacket", "one", "two", "three" * 5000)
    t.equal("messages stay messages", (result.status, result.out), (0, "ONE\nTWO\n" + "THREE" * 5000 + "\n"), result)
    result = container.exec("/tool", "send", "dgram", "/dgram", "one", "two", "x" * 30000)
    t.ok("datagrams arrive, whole and in order", result.status == 0 and
         wait_until(lambda: datagrams.received == [b"one", b"two", b"x" * 30000]), (result, datagrams.received))
    result = container.sh("for i in $(seq 100); do /tool send dgram /dgram d$i; done")
    t.ok("... from many senders", wait_until(lambda: datagrams.received[3:] == [f"d{i}".encode() for i in range(1, 101)]),
         (result, datagrams.received[3:]))
    held = t.spawn(container.exec_argv("/tool", "hold", "stream", "/silent", "200", "/tmp/held"), stdout=subprocess.PIPE,
                   text=True)
    t.ok("200 connections are open at once", wait_until(lambda: len(silent.open) == 200, 20), len(silent.open))
    result = container.exec("/tool", "echo", "stream", "/stream", "beside them")
    t.equal("... and one more beside them works", result.out, "beside them", result)
    result = t.spawn(container.exec_argv("/tool", "bulk", "stream", "/silent", "100"), stdout=subprocess.PIPE)
    time.sleep(1)
    result = container.exec("/tool", "echo", "stream", "/stream", "again")
    t.equal("one that waits for its answer stops no other", result.out, "again", result)
    held.kill()
    held.wait()


@test(13, limit=90)
def socket_backlog(t):
    """more connections than the server has taken yet wait, and none is lost"""
    path = t.folder("run") + "/slow"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    container = t.start(edit=with_mounts(bind(path, "/slow", "bind"), TOOL))
    client = t.spawn(container.exec_argv("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do /tool echo stream /slow $i & done; wait; echo"),
                     stdout=subprocess.PIPE, text=True)
    time.sleep(2)
    listener.settimeout(10)
    for _ in range(8):
        connection, _ = listener.accept()
        connection.sendall(connection.recv(10) * 2)
        connection.close()
    out = client.communicate(timeout=20)[0]
    t.equal("eight clients, a backlog of one", sorted(out.strip()), sorted("1122334455667788"), out)
    listener.close()


@test(13, limit=240, vxn=True)
def socket_hostile(t):
    """a guest that asks for connections it may not have ends its VM, with the reason"""
    run = t.folder("run")
    server = Server(t, run + "/s", silent=True)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(run + "/stale")
    stale.close()
    before = Inventory()
    for behaviour, source, words in (("connect-share", "s", "which is no socket"),
                                     ("connect-often", "s", "more than 256 connections"),
                                     ("connect-nothing", "s", "connect without stream"),
                                     ("connect-flood", "stale", "takes no answers")):
        id = t.claim()
        bundle = t.bundle(["sleep", "1000"], with_mounts(bind(f"{run}/{source}", "/sock", "bind")))
        with t.settings(initramfs=hostile_initramfs(t, behaviour), boot_timeout=60):
            result = t.create(bundle, id, timeout=90)
        t.ok(f"{behaviour}: status 1, and the error names it", result.status == 1 and words in result.err, result)
        t.rt("delete", "--force", id)
    t.ok("the server sees all of its connections end", wait_until(lambda: server.ended == len(server.open)),
         (server.ended, len(server.open)))
    t.ok("... which were 256 at most", len(server.open) <= 256, len(server.open))
    t.equal("nothing is left", left(t, before), [])


@test(13, limit=150)
def socket_server_gone(t):
    """the host's server ends with connections open; a stale socket; a new one in its place"""
    run = t.folder("run")
    script = ("import socket,sys,time\ns=socket.socket(socket.AF_UNIX, int(sys.argv[2]))\ns.bind(sys.argv[1])\n"
              "if int(sys.argv[2])!=2: s.listen(8)\nprint('up',flush=True)\nk=[]\n"
              "while int(sys.argv[2])!=2: k.append(s.accept())\nwhile 1: s.recv(100)")

    def server(name, kind):
        process = t.spawn(["python3", "-c", script, f"{run}/{name}", str(int(kind))], stdout=subprocess.PIPE)
        process.stdout.readline()
        return process

    stale = socket.socket(socket.AF_UNIX)
    stale.bind(run + "/stale")
    stale.close()
    servers = {"stream": server("stream", socket.SOCK_STREAM), "dgram": server("dgram", socket.SOCK_DGRAM)}
    container = t.start(edit=with_mounts(TOOL, *(bind(f"{run}/{name}", f"/{name}", "bind")
                                                 for name in ("stale", "stream", "dgram"))))
    result = container.exec("/tool", "echo", "stream", "/stale", "x")
    refused = (1, "connect: Connection refused\n")
    t.equal("a stale one refuses", (result.status, result.out), refused, result)
    t.equal("... and is a socket", container.sh("test -S /stale").status, 0)
    t.equal("a datagram is taken", container.exec("/tool", "send", "dgram", "/dgram", "x").status, 0)
    held = t.spawn(container.exec_argv("/tool", "hold", "stream", "/stream", "3", "/tmp/held"), stdout=subprocess.PIPE, text=True)
    t.ok("connections are open", wait_until(lambda: container.sh("test -e /tmp/held").status == 0))
    for process in servers.values():
        process.kill()
        process.wait()
    t.equal("the server is killed: their end is seen inside", held.communicate(timeout=10)[0], "ended\n")
    time.sleep(2.5)
    for kind in ("stream", "dgram"):
        result = container.exec("/tool", "echo", kind, "/" + kind, "x")
        t.equal(f"then the {kind} socket refuses", (result.status, result.out), refused, result)
    os.unlink(run + "/stream")
    server("stream", socket.SOCK_STREAM)
    time.sleep(1.5)
    result = container.exec("/tool", "echo", "stream", "/stream", "x")
    t.equal("a new server has a new socket, which is not the one that was bound", (result.status, result.out), refused, result)
    t.equal("the container lives", container.sh("echo alive").out, "alive\n")


@test(13, limit=150)
def socket_container_gone(t):
    """the container ends, by itself and by a kill, with connections open"""
    run = t.folder("run")
    server = Server(t, run + "/s", silent=True)
    for how in ("kill", "io", "delete"):
        if how == "io" and not t.is_vxn:
            continue
        before, ended, opened = Inventory(), server.ended, len(server.open)
        id = t.claim()
        container = t.start(["/tool", "hold", "stream", "/sock", "20", "/tmp/held"], with_mounts(TOOL, bind(run + "/s", "/sock", "bind")),
                            id=id)
        t.ok(f"{how}: connections are open", wait_until(lambda: len(server.open) == opened + 20), len(server.open))
        if how == "kill":
            os.kill(container.pid, signal.SIGKILL)
        elif how == "io":
            pids = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and read(f"/proc/{pid}/comm").strip() == "vxn-io"
                    and container.bundle in read(f"/proc/{pid}/cmdline")]
            t.need("io: there is one io process", len(pids) == 1, pids)
            os.kill(pids[0], signal.SIGKILL)
        else:
            t.rt("delete", "--force", id)
        t.ok(f"{how}: the server sees all of them end", wait_until(lambda: server.ended == ended + 20, 10), server.ended - ended)
        t.rt("delete", "--force", id)
        t.equal(f"{how}: nothing is left", left(t, before), [])
