"""A small FUSE server for tests: one directory tree or file of the host, served by path.

It plays the host's part of a share. No permission checks, no caching, no locks, no safety against a
hostile guest: the product's own server is another program.
"""
import ctypes
import errno
import os
import stat
import struct

HEADER = struct.Struct("<IIQQIIII")  # len opcode unique nodeid uid gid pid padding
OUT = struct.Struct("<IiQ")
ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
NO_REPLY = object()

OPS = {
    1: "lookup", 2: "forget", 3: "getattr", 4: "setattr", 5: "readlink", 6: "symlink", 8: "mknod",
    9: "mkdir", 10: "unlink", 11: "rmdir", 12: "rename", 13: "link", 14: "open", 15: "read",
    16: "write", 17: "statfs", 18: "release", 20: "fsync", 25: "flush", 26: "init", 27: "opendir",
    28: "readdir", 29: "releasedir", 30: "fsync", 34: "access", 35: "create", 36: "forget",
    42: "forget", 44: "readdirplus", 45: "rename2",
}


def cstring(data, offset=0):
    end = data.index(b"\0", offset)
    return data[offset:end], end + 1


class FuseServer:
    def __init__(self, path, readonly=False, valid=1):
        self.root = os.fsencode(path)
        self.readonly = readonly
        self.valid = valid
        self.nodes = {1: self.root}
        self.ids = {self.root: 1}
        self.handles = {}
        self.next_handle = 1
        self.requests = 0
        self.max_readahead = 1 << 20

    # -- nodes

    def path(self, node):
        if node not in self.nodes:
            raise OSError(errno.ESTALE, "node")
        return self.nodes[node]

    def child(self, node, name):
        if b"/" in name or name in (b".", b".."):
            raise OSError(errno.EINVAL, "name")
        return os.path.join(self.path(node), name)

    def node_of(self, path):
        if path not in self.ids:
            node = len(self.nodes) + 1
            self.ids[path] = node
            self.nodes[node] = path
        return self.ids[path]

    def attr(self, path):
        st = os.lstat(path)
        return ATTR.pack(st.st_ino, st.st_size, st.st_blocks, int(st.st_atime), int(st.st_mtime),
                         int(st.st_ctime), st.st_atime_ns % 10**9, st.st_mtime_ns % 10**9,
                         st.st_ctime_ns % 10**9, st.st_mode, st.st_nlink, st.st_uid, st.st_gid,
                         st.st_rdev & 0xffffffff, 4096, 0)

    def entry(self, path):
        attr = self.attr(path)
        return struct.pack("<QQQQII", self.node_of(path), 0, self.valid, self.valid, 0, 0) + attr

    def handle(self, value):
        number = self.next_handle
        self.next_handle += 1
        self.handles[number] = value
        return number

    # -- requests

    def request(self, message):
        """Returns the reply's bytes, or None where FUSE has none."""
        length, opcode, unique, node, uid, gid, _, _ = HEADER.unpack_from(message)
        assert length == len(message), (length, len(message))
        self.requests += 1
        body = message[HEADER.size:]
        method = getattr(self, "op_" + OPS.get(opcode, "none"), None)
        try:
            if not method:
                raise OSError(errno.ENOSYS, "op")
            data = method(node, body)
            if data is NO_REPLY:
                return None
            return OUT.pack(OUT.size + len(data), 0, unique) + data
        except OSError as e:
            return OUT.pack(OUT.size, -e.errno, unique)

    def op_init(self, node, body):
        major, minor, readahead, flags = struct.unpack_from("<IIII", body)
        big_writes, parallel, atomic_trunc, readdirplus, auto = 1 << 5, 1 << 18, 1 << 3, 1 << 13, 1 << 14
        max_pages = 1 << 22
        mine = flags & (big_writes | parallel | atomic_trunc | readdirplus | auto | max_pages)
        return struct.pack("<IIIIHHIIHHIIIIII", 7, 31, self.max_readahead, mine, 16, 12, 1 << 20, 1,
                           256, 0, 0, 0, 0, 0, 0, 0).ljust(64, b"\0")

    def op_forget(self, node, body):
        return NO_REPLY

    def op_lookup(self, node, body):
        return self.entry(self.child(node, cstring(body)[0]))

    def op_getattr(self, node, body):
        return struct.pack("<QII", self.valid, 0, 0) + self.attr(self.path(node))

    def op_setattr(self, node, body):
        (valid, _, fh, size, _, atime, mtime, _, ansec, mnsec, _, mode, _, uid, gid, _
         ) = struct.unpack("<IIQQQQQQIIIIIIII", body)
        path = self.path(node)
        if valid & 1:
            os.chmod(path, stat.S_IMODE(mode))
        if valid & 6:
            os.lchown(path, uid if valid & 2 else -1, gid if valid & 4 else -1)
        if valid & 8:
            os.truncate(path, size)
        if valid & 0x1b0:
            st = os.lstat(path)
            times = [st.st_atime_ns, st.st_mtime_ns]
            if valid & 16 and not valid & 128:
                times[0] = atime * 10**9 + ansec
            if valid & 32 and not valid & 256:
                times[1] = mtime * 10**9 + mnsec
            os.utime(path, ns=times, follow_symlinks=False)
        return struct.pack("<QII", self.valid, 0, 0) + self.attr(path)

    def op_readlink(self, node, body):
        return os.readlink(self.path(node))

    def op_symlink(self, node, body):
        name, end = cstring(body)
        path = self.child(node, name)
        os.symlink(cstring(body, end)[0], path)
        return self.entry(path)

    def op_mknod(self, node, body):
        mode, rdev, umask, _ = struct.unpack_from("<IIII", body)
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise OSError(errno.EPERM, "device")
        path = self.child(node, cstring(body, 16)[0])
        os.mknod(path, mode & ~umask, 0)
        return self.entry(path)

    def op_mkdir(self, node, body):
        mode, umask = struct.unpack_from("<II", body)
        path = self.child(node, cstring(body, 8)[0])
        os.mkdir(path)
        os.chmod(path, mode & ~umask & 0o7777)
        return self.entry(path)

    def op_unlink(self, node, body):
        path = self.child(node, cstring(body)[0])
        os.unlink(path)
        self.ids.pop(path, None)
        return b""

    def op_rmdir(self, node, body):
        path = self.child(node, cstring(body)[0])
        os.rmdir(path)
        self.ids.pop(path, None)
        return b""

    def rename(self, node, target, body, offset):
        old, end = cstring(body, offset)
        new = cstring(body, end)[0]
        a, b = self.child(node, old), self.child(target, new)
        os.rename(a, b)
        for number, path in list(self.nodes.items()):
            if path == a or path.startswith(a + b"/"):
                self.ids.pop(path, None)
                self.nodes[number] = b + path[len(a):]
                self.ids[self.nodes[number]] = number
        return b""

    def op_rename(self, node, body):
        return self.rename(node, struct.unpack_from("<Q", body)[0], body, 8)

    def op_rename2(self, node, body):
        target, flags = struct.unpack_from("<QI", body)
        if flags:
            raise OSError(errno.EINVAL, "flags")
        return self.rename(node, target, body, 16)

    def op_link(self, node, body):
        path = self.child(node, cstring(body, 8)[0])
        os.link(self.path(struct.unpack_from("<Q", body)[0]), path)
        return self.entry(path)

    def op_open(self, node, body):
        flags = struct.unpack_from("<I", body)[0] & ~os.O_NOFOLLOW
        if self.readonly and flags & os.O_ACCMODE:
            raise OSError(errno.EROFS, "share")
        fd = os.open(self.path(node), flags & ~(os.O_CREAT | os.O_EXCL | os.O_APPEND) | os.O_CLOEXEC)
        return struct.pack("<QII", self.handle(fd), 2, 0)  # FOPEN_KEEP_CACHE

    def op_create(self, node, body):
        flags, mode, umask, _ = struct.unpack_from("<IIII", body)
        path = self.child(node, cstring(body, 16)[0])
        fd = os.open(path, flags & ~os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(fd, mode & ~umask & 0o7777)
        return self.entry(path) + struct.pack("<QII", self.handle(fd), 0, 0)

    def op_read(self, node, body):
        fh, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(self.handles[fh], size, offset)

    def op_write(self, node, body):
        fh, offset, size = struct.unpack_from("<QQI", body)
        data = body[40:]
        assert len(data) == size
        return struct.pack("<II", os.pwrite(self.handles[fh], data, offset), 0)

    def op_statfs(self, node, body):
        st = os.statvfs(self.root)
        return struct.pack("<QQQQQIII6I", st.f_blocks, st.f_bfree, st.f_bavail, st.f_files, st.f_ffree,
                           st.f_bsize, st.f_namemax, st.f_frsize, 0, 0, 0, 0, 0, 0, 0)[:80]

    def op_release(self, node, body):
        os.close(self.handles.pop(struct.unpack_from("<Q", body)[0]))
        return b""

    def op_flush(self, node, body):
        return b""

    op_fsync = op_access = op_flush

    def op_opendir(self, node, body):
        path = self.path(node)
        names = [b".", b".."] + sorted(os.listdir(path))
        return struct.pack("<QII", self.handle(names), 0, 0)

    def op_releasedir(self, node, body):
        self.handles.pop(struct.unpack_from("<Q", body)[0])
        return b""

    def directory(self, node, body, plus):
        fh, offset, size = struct.unpack_from("<QQI", body)
        path, out = self.path(node), b""
        for index, name in list(enumerate(self.handles[fh]))[offset:]:
            try:
                st = os.lstat(os.path.join(path, name))
                entry = b"\0" * 128 if name in (b".", b"..") or not plus else self.entry(os.path.join(path, name))
            except OSError:
                continue
            dirent = struct.pack("<QQII", st.st_ino, index + 1, len(name), stat.S_IFMT(st.st_mode) >> 12) + name
            dirent += b"\0" * (-len(dirent) % 8)
            item = (entry if plus else b"") + dirent
            if len(out) + len(item) > size:
                break
            out += item
        return out

    def op_readdir(self, node, body):
        return self.directory(node, body, False)

    def op_readdirplus(self, node, body):
        return self.directory(node, body, True)
