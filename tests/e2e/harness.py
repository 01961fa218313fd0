"""Real processes on loopback for the end-to-end tests: hops, access servers, origins.

Everything started here is ended here; ports are the kernel's; nothing sleeps to wait for something
that can be seen.
"""
import hashlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

BUILD = pathlib.Path(os.environ.get("HOPCHAIN_BUILD") or pathlib.Path(__file__).parents[2] / "build" / "bin")
WAIT = 10.0


def program(name):
    return str(BUILD / name)


class Process:
    """A daemon whose log is collected line by line."""

    def __init__(self, argv, env=None, preexec=None):
        self.lines = []
        self.changed = threading.Condition()
        full_env = dict(os.environ, **(env or {}))
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, env=full_env, preexec_fn=preexec)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for raw in self.process.stderr:
            with self.changed:
                self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)
            self.changed.notify_all()

    def log(self):
        with self.changed:
            return "\n".join(line for line in self.lines if line is not None)

    def wait_log(self, pattern, timeout=WAIT):
        """The first log line that matches, as a match object."""
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                for line in self.lines:
                    found = line is not None and re.search(pattern, line)
                    if found:
                        return found
                left = end - time.monotonic()
                if left <= 0 or (self.lines and self.lines[-1] is None):
                    raise AssertionError("no line %r in the log:\n%s" % (
                        pattern, "\n".join(l for l in self.lines if l is not None)))
                self.changed.wait(left)

    @property
    def pid(self):
        return self.process.pid

    def port(self):
        return int(self.wait_log(r'listening\b.*?addr"?[=:]"?[^ "]*:(\d+)').group(1))

    def n_fds(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def rss(self):
        with open("/proc/%d/statm" % self.pid) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_s(self):
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=WAIT):
        return self.process.wait(timeout)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.process.stderr.close()


class World:
    """A temporary folder, and everything that runs for one test."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hopchain-e2e-"))
        self.things = []
        self.n_keys = 0

    def close(self):
        for thing in reversed(self.things):
            thing.end()
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return str(self.dir / name)

    def add(self, thing):
        self.things.append(thing)
        return thing

    def key(self):
        self.n_keys += 1
        path = self.path("key%d" % self.n_keys)
        subprocess.run([program("chain"), "keygen", "-o", path], check=True)
        return path

    def hop(self, key, *args, listen="127.0.0.1:0", env=None, preexec=None, allow=("loopback",), user="me"):
        argv = [program("hop"), "--listen", listen, "--user", "%s,%s" % (user, key)]
        for name in allow:
            argv += ["--allow", name]
        hop = self.add(Process(argv + list(args), env, preexec))
        hop.key = key
        return hop

    def hops(self, n, *args, **more):
        return [self.hop(self.key(), *args, **more) for _ in range(n)]

    def chain(self, hops, target=None, name="chain.json", **more):
        """@hops: Process objects or (address, key) pairs."""
        pairs = [h if isinstance(h, tuple) else ("127.0.0.1:%d" % h.port(), h.key) for h in hops]
        chain = {"hops": [{"addr": a, "key_file": k} for a, k in pairs]}
        if target:
            chain["target"] = target
        chain.update(more)
        path = self.path(name)
        with open(path, "w") as f:
            json.dump(chain, f)
        return path

    def access(self, chain, *args, listen="127.0.0.1:0", env=None, preexec=None):
        return self.add(Process([program("access"), "--listen", listen, "--chain", chain] + list(args), env, preexec))

    def origin(self, handler):
        return self.add(Origin(handler))


class Origin:
    """A TCP server whose connections are handled by @handler(socket) in threads."""

    def __init__(self, handler):
        self.handler = handler
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.socket.getsockname()[1]
        self.addr = "127.0.0.1:%d" % self.port
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection):
        with connection:
            try:
                self.handler(connection)
            except OSError:
                pass

    def end(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


def connect(port, timeout=WAIT):
    s = socket.create_connection(("127.0.0.1", port), timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def receive_exactly(s, n):
    data = bytearray()
    while len(data) < n:
        piece = s.recv(n - len(data))
        if not piece:
            raise AssertionError("ended after %d of %d bytes" % (len(data), n))
        data += piece
    return bytes(data)


def receive_all(s):
    """Everything until the end; an error is raised by recv()."""
    data = bytearray()
    while True:
        piece = s.recv(1 << 16)
        if not piece:
            return bytes(data)
        data += piece


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def echo(connection):
    while True:
        data = connection.recv(1 << 16)
        if not data:
            return
        connection.sendall(data)


def until(condition, timeout=WAIT, what="condition"):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("not within %.1f s: %s" % (timeout, what))
        select.select([], [], [], 0.01)
