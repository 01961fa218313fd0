"""Names that are looked up at a time: of one source at an access server, of one user at a hop.

    client ── access (direct) ┄┄ a name server that answers when the test wants it to
    client ── access ══ hop ┄┄┄┄┘
"""
import json
import pathlib
import select
import socket
import struct
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import Process, World, echo, program, receive_exactly, until  # noqa: E402

OF_SOURCE, OF_USER = 128, 256  # ACCESS_LOOKUPS_MAX, HOP_USER_LOOKUPS_MAX
FLOWS = 32  # of one association; it may have 64
SERVED, REFUSED = 0, 1  # of SOCKS5


class Names:
    """A name server: every name is 127.0.0.1, once released."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # as far as the kernel lets it
        self.socket.bind(("127.0.0.1", 0))
        self.addr = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.held, self.names, self.is_released = [], set(), False
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(1500)
            except OSError:
                return
            with self.lock:
                end = query.index(b"\0", 12)
                self.names.add(query[12:end].lower())
                if self.is_released:
                    self._answer(query, peer)
                else:
                    self.held.append((query, peer))

    def _answer(self, query, peer):
        end = query.index(b"\0", 12) + 5
        is_ip4 = struct.unpack("!H", query[end - 4:end - 2])[0] == 1
        answer = query[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_ip4 else b"\0\0") + b"\0\0\0\0" + query[12:end]
        if is_ip4:
            answer += b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"
        self.socket.sendto(answer, peer)

    def release(self):
        """Answers what was asked: not all at once, for the asker's buffer holds some 250 datagrams."""
        with self.lock:
            self.is_released = True
            for i, (query, peer) in enumerate(self.held):
                if i % 16 == 15:
                    select.select([], [], [], 0.01)
                self._answer(query, peer)

    def hold(self):
        with self.lock:
            self.is_released, self.held = False, []

    def end(self):
        self.socket.close()


class Lookups(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.origin = self.world.origin(echo)
        self.names = self.world.add(Names())
        self.n, self.kept = 0, []
        self.addCleanup(lambda: [s.close() for s in self.kept])

    def run_server(self, name, config):
        path = self.world.path("%s.json" % name)
        pathlib.Path(path).write_text(json.dumps(dict(config, dns={"servers": [self.names.addr]})))
        process = self.world.add(Process([program(name), "-c", path]))
        process.port()
        return process

    def access(self, *hops, **more):
        chains = {"c": dict(more, hops=list(hops))} if hops else {}
        return self.run_server("access", {"listen": [{"addr": "127.0.0.1:0", "type": "socks5", "open": True,
                                                      "chain": "c" if hops else "direct"}], "chains": chains})

    def hop(self, *users):
        return self.run_server("hop", {"listen": [{"addr": "127.0.0.1:0"}], "targets": {"allow": ["loopback"]},
                                       "users": [{"name": "user%d" % i, "key_file": key} for i, key in enumerate(users)]})

    def ask(self, access, source="127.0.0.1", name=None):
        """A client that asks for a new name, and has not been answered."""
        self.n += 1
        name = name or b"n%d.example.org" % self.n
        s = socket.create_connection(("127.0.0.1", access.port()), 10, (source, 0))
        self.kept.append(s)
        port = int(self.origin.addr.rsplit(":", 1)[1])
        s.sendall(b"\x05\x01\x00" b"\x05\x01\x00\x03%c%b" % (len(name), name) + struct.pack("!H", port))
        return s

    def reply(self, s):
        return receive_exactly(s, 12)[3]

    def fill(self, access, most):
        asked = [self.ask(access) for _ in range(most)]
        until(lambda: len(self.names.names) == most, what="%d lookups" % most)
        return asked

    def check_answered(self, asked):
        self.names.release()
        self.assertEqual({self.reply(s) for s in asked}, {SERVED})

    def test_of_a_source(self):
        access = self.access()
        asked = self.fill(access, OF_SOURCE)
        for _ in range(3):
            self.assertEqual(self.reply(self.ask(access)), REFUSED)
        access.wait_log(r"refused: limit reached limit=lookups-per-source from=127\.0\.0\.1:")
        other = self.ask(access, "127.0.0.2")
        until(lambda: len(self.names.names) == OF_SOURCE + 1, what="another source's")
        asked.pop().close()  # gave up: its place is free
        access.wait_log(r"end=(client-fin|ECONNRESET)")
        asked.append(self.ask(access))
        until(lambda: len(self.names.names) == OF_SOURCE + 2, what="a place")
        self.check_answered(asked + [other])
        self.assertEqual(self.reply(self.ask(access)), SERVED)

    def test_of_a_user_of_a_hop(self):
        keys = [self.world.key()]
        keys.append(self.world.path("other.key"))
        subprocess.run([program("chain"), "keygen", "--mask-of", keys[0], "-o", keys[1]], check=True)
        hop = self.hop(*keys)
        accesses = [self.access({"addr": "127.0.0.1:%d" % hop.port(), "key_file": key}) for key in keys]
        asked = self.fill(accesses[0], OF_USER)
        for _ in range(3):
            self.assertEqual(self.reply(self.ask(accesses[0])), REFUSED)
        accesses[0].wait_log(r"failed conn=\S+ hop=1 stage=status status=limit ")
        other = self.ask(accesses[1])
        until(lambda: len(self.names.names) == OF_USER + 1, what="another user's")
        asked.pop().close()
        hop.wait_log(r"end=(client-gone|ECONNRESET)")
        asked.append(self.ask(accesses[0]))
        until(lambda: len(self.names.names) == OF_USER + 2, what="a place")
        self.check_answered(asked + [other])
        self.assertEqual(self.reply(self.ask(accesses[0])), SERVED)

    def datagrams(self, access, n):
        """Sends to @n new names through an association."""
        s = socket.create_connection(("127.0.0.1", access.port()), 10)
        self.kept.append(s)
        s.sendall(b"\x05\x01\x00")
        receive_exactly(s, 2)
        s.sendall(b"\x05\x03\x00\x01" + bytes(6))
        port = struct.unpack("!H", receive_exactly(s, 10)[8:])[0]
        client = self.world.udp_client(port)
        for _ in range(n):
            self.n += 1
            name = b"n%d.example.org" % self.n
            client.send(b"\0\0\0\x03%c%b" % (len(name), name) + struct.pack("!H", self.port_udp) + b"%d" % self.n)
        return client

    def test_of_flows_of_a_user_of_a_hop(self):
        """Native datagrams, and the same in streams; what comes of his connections counts with them."""
        origin = self.world.udp_origin()
        self.port_udp = int(origin.addr.rsplit(":", 1)[1])
        key = self.world.key()
        hop = self.hop(key)
        for udp in ("datagram", "stream"):
            self.names.hold()
            before = len(self.names.names)
            step = {"addr": "127.0.0.1:%d" % hop.port(), "key_file": key}
            access = self.access(step, udp=udp)
            clients = [self.datagrams(access, FLOWS) for _ in range(2)]
            asked = [self.ask(access) for _ in range(OF_USER - 2 * FLOWS)]
            until(lambda: len(self.names.names) == before + OF_USER, what="%d lookups" % OF_USER)
            self.assertEqual(self.reply(self.ask(access)), REFUSED)
            self.datagrams(access, 8)
            access.wait_log(r"status=limit")
            self.assertEqual(len(self.names.names), before + OF_USER)
            self.check_answered(asked)
            for client in clients:
                client.settimeout(10)
                for _ in range(FLOWS):
                    client.recv(100)
            self.assertEqual(self.reply(self.ask(access)), SERVED)


if __name__ == "__main__":
    unittest.main()
