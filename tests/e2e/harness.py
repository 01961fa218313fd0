"""Real processes on loopback for the end-to-end tests: hops, access servers, origins.

Everything started here is ended here; ports are the kernel's; nothing sleeps to wait for something
that can be seen.
"""
import collections
import errno
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
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from impair import BothRelay, TcpRelay  # noqa: E402

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

    def udp_access(self, chain, target=None, *args, **more):
        """An access server for UDP alone."""
        return self.access(chain, *(("--to", target) if target else ()), *args, listen="udp://127.0.0.1:0", **more)

    def udp_origin(self, answer=True):
        return self.add(UdpOrigin(answer))

    def udp_client(self, port):
        """A socket connected to @port of 127.0.0.1."""
        client = self.add(UdpClient(port))
        return client.socket

    def before(self, hop, only_tcp=False, **faults):
        """A relay in front of @hop (a Process, or an (address, key) pair), TCP and UDP on one port; faults are those
        of UDP. relay.pair stands in a chain where the hop stood."""
        addr, key = hop if isinstance(hop, tuple) else ("127.0.0.1:%d" % hop.port(), hop.key)
        relay = self.add(TcpRelay(addr) if only_tcp else BothRelay(addr, **faults))
        relay.pair = (relay.addr, key)
        return relay


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


class UdpOrigin:
    """Echoes datagrams and counts them: received (by content), peers (by address)."""

    def __init__(self, answer=True, port=0):
        self.answer = answer
        self.lock = threading.Lock()
        self.received, self.peers = collections.Counter(), collections.Counter()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.addr = "127.0.0.1:%d" % self.port
        self.is_ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.is_ended:
            try:
                data, peer = self.socket.recvfrom(65536)
            except ConnectionError:  # an ICMP error about an answer
                continue
            with self.lock:
                self.received[data] += 1
                self.peers[peer] += 1
            if self.answer and not self.is_ended:
                try:
                    self.socket.sendto(data, peer)
                except OSError:
                    pass

    def count(self):
        with self.lock:
            return sum(self.received.values())

    def end(self):
        self.is_ended = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join(5)
        self.socket.close()


class UdpClient:
    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.socket.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(WAIT)

    def end(self):
        self.socket.close()


def received(s, timeout):
    """The next datagram, or None after @timeout seconds. An ICMP error is raised."""
    if not select.select([s], [], [], max(0.0, timeout))[0]:
        return None
    return s.recv(65536)


def recovery_s(s, timeout=WAIT, pause=0.05):
    """Sends numbered datagrams until one of them comes back; how many seconds that took. What comes back of earlier
    calls does not count; ICMP errors are what a broken path may say."""
    start, name = time.monotonic(), os.urandom(8)
    for i in range(1 << 20):
        if time.monotonic() - start > timeout:
            raise AssertionError("no echo within %.1f s" % timeout)
        try:
            s.send(name + struct.pack("!I", i))
            end = time.monotonic() + pause
            while time.monotonic() < end:
                data = received(s, end - time.monotonic())
                if data and data.startswith(name):
                    return time.monotonic() - start
        except ConnectionRefusedError:
            select.select([], [], [], pause)


class ResetConnection:
    """A connection that was reset before connect() returned: its user is told at the first use, as with any other."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        pass

    settimeout = setsockopt = lambda self, *_: None

    def recv(self, *_):
        raise ConnectionResetError(errno.ECONNRESET, "reset in connect()")

    recv_into = send = sendall = shutdown = recv


def connect(port, timeout=WAIT):
    try:
        s = socket.create_connection(("127.0.0.1", port), timeout)
    except ConnectionResetError:
        return ResetConnection()
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
