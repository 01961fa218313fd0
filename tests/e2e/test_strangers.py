"""Whoever has no key: whatever is sent to a hop's port, nothing comes back and nothing stays behind."""
import os
import pathlib
import random
import select
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import World, connect, echo, receive_exactly, until  # noqa: E402

KIB = 1 << 10
MIB = 1 << 20
HEADER = 128
BATCH = 250
FLOOD_S = 9.0
RESPONSE = 96
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
ORDERLY = "fin"


def reaction(s, wait=0.0):
    """None while nothing has come; else ORDERLY, "reset" or the bytes."""
    poll = select.poll()
    poll.register(s, select.POLLIN)
    if not poll.poll(wait * 1000):
        return None
    try:
        return s.recv(4096) or ORDERLY
    except ConnectionResetError:
        return "reset"


def flip(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class Case(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.origin = self.world.origin(echo)
        self.sockets = []
        self.addCleanup(self.close_all)

    def close_all(self):
        while self.sockets:
            self.sockets.pop().close()

    def open(self, port, data=b""):
        s = connect(port)
        self.sockets.append(s)
        if data:
            s.sendall(data)
        return s

    def start(self):
        """A hop that has come to rest, and a header that it has accepted once."""
        hop = self.world.hop(self.world.key())
        hop.port()  # a header made before it listens would be too old for it
        header = self.capture(hop)
        with connect(hop.port()) as s:
            s.sendall(header)
            receive_exactly(s, RESPONSE)
        self.genuine = self.world.access(self.world.chain([hop], self.origin.addr)).port()
        self.assert_served(self.genuine)
        self.settle(hop)
        return hop, header

    def capture(self, hop):
        headers = []
        holder = self.world.origin(lambda s: headers.append(receive_exactly(s, HEADER)))
        access = self.world.access(self.world.chain([(holder.addr, hop.key)], self.origin.addr, "held.json"))
        try:
            with connect(access.port()):
                until(lambda: headers)
        except ConnectionResetError:  # the chain has failed already: its client is told before connect() returns
            until(lambda: headers)
        access.end()
        return headers[0]

    def settle(self, hop):
        """Waits until connections that are over have gone."""
        seen = []

        def is_still():
            seen.append(hop.n_fds())
            return len(seen) > 20 and len(set(seen[-20:])) == 1

        until(is_still, what="at rest")

    def assert_served(self, port):
        with connect(port) as s:
            s.sendall(b"genuine")
            self.assertEqual(receive_exactly(s, 7), b"genuine")


class Malformed(Case):
    def setUp(self):
        super().setUp()
        self.hop, self.header = self.start()
        self.port = self.hop.port()
        self.n = 0
        self.batch([self.header])
        self.hop.wait_log("rejected reason=replayed")
        self.batch([os.urandom(HEADER)] * BATCH)
        self.settle(self.hop)
        self.base = self.hop.n_fds(), self.hop.rss()
        self.n = 0

    def batch(self, inputs, rest=()):
        """One connection for each input: all sent, all ended, and of each nothing but the end seen."""
        connections = []
        for data in inputs:
            s = socket.create_connection(("127.0.0.1", self.port))
            if data:
                s.send(data)
            connections.append(s)
        for s, data in zip(connections, rest):
            s.send(data)
        for s in connections:
            s.shutdown(socket.SHUT_WR)
        for s in connections:
            s.settimeout(10)
            self.assertEqual(s.recv(1), b"")
            s.close()
        self.n += len(connections)

    def assert_clean(self, what):
        until(lambda: self.hop.n_fds() == self.base[0], what="descriptors back at base")
        grown = self.hop.rss() - self.base[1]
        self.assertLess(grown, 2 * MIB)
        self.assert_served(self.genuine)
        print("%s: %d inputs, 0 bytes answered, memory %+d KiB" % (what, self.n, grown // KIB), file=sys.stderr)

    def test_every_bit_flipped(self):
        for first in range(0, HEADER * 8, 256):
            self.batch([flip(self.header, bit) for bit in range(first, first + 256)])
        self.assertEqual(self.n, HEADER * 8)
        self.assert_clean("flips")

    def test_every_length(self):
        self.batch([self.header[:n] for n in range(HEADER)])
        self.batch([self.header + os.urandom(n) for n in range(1, 129)])
        self.assert_clean("truncations and tails")

    def test_every_split(self):
        cuts = range(1, HEADER)
        self.batch([self.header[:n] for n in cuts], [self.header[n:] for n in cuts])
        self.assert_clean("splits of a replay")

    def test_as_many_as_fit(self):
        dice = random.Random(20261121)
        kinds = (lambda: dice.randbytes(dice.randrange(1, 600)),
                 lambda: flip(self.header, dice.randrange(HEADER * 8)),
                 lambda: self.header[:dice.randrange(HEADER)],
                 lambda: self.header + dice.randbytes(dice.randrange(1, 300)),
                 lambda: self.header[:24] + dice.randbytes(104))
        end = time.monotonic() + FLOOD_S
        while time.monotonic() < end and self.n < 200000:
            self.batch([kinds[i % len(kinds)]() for i in range(BATCH)])
        self.assert_clean("random and damaged headers in %.0f s (200,000 wished for)" % FLOOD_S)
        self.assertGreater(self.n, 5000)


class Drain(Case):
    def ended(self, port, sizes, first=None):
        """Which of the connections, each sent so many bytes in all, were ended."""
        connections = []
        for size in sizes:
            data = (first or b"") + bytes(size)
            connections.append(self.open(port, data[:size]))
        end = time.monotonic() + 0.25
        seen = []
        for s in connections:
            seen.append(reaction(s, max(0, end - time.monotonic())))
        self.assertLessEqual(set(seen), {None, ORDERLY}, "an orderly end or silence")
        self.close_all()
        return [size for size, what in zip(sizes, seen) if what]

    def measure(self, port):
        """N: the least number of bytes that ends a connection."""
        low, high = 0, 16 * KIB
        self.assertEqual(self.ended(port, [high]), [high], "16 KiB are too much everywhere")
        while high - low > 1:
            sizes = sorted({low + (high - low) * i // 16 for i in range(1, 16)} - {low, high})
            over = self.ended(port, sizes)
            high = over[0] if over else high
            low = max([size for size in sizes if size < high], default=low)
        return high

    def test_n_belongs_to_the_installation(self):
        hop = self.world.hop(self.world.key())
        n = self.measure(hop.port())
        self.assertGreaterEqual(n, KIB)
        self.assertLessEqual(n, 16 * KIB)
        again = self.world.hop(hop.key)
        for port in (hop.port(), again.port()):
            for _ in range(3):
                self.assertEqual(self.ended(port, [n - 1, n, n + 1, 16 * KIB]), [n, n + 1, 16 * KIB])
        others = {self.measure(self.world.hop(self.world.key()).port()) for _ in range(2)}
        self.assertNotEqual(others, {n}, "another key, another N")
        print("N = %d, with other keys %s" % (n, sorted(others)), file=sys.stderr)

    def starts(self, header):
        return {"127": os.urandom(127), "128": os.urandom(128), "129": os.urandom(129),
                "replay": header, "wrong tag": flip(header, HEADER * 8 - 1), "wrong salt": flip(header, 0)}

    def test_the_reaction_does_not_tell_how_far_it_came(self):
        hop, header = self.start()
        port = hop.port()
        n = self.measure(port)
        starts = self.starts(header)
        connections = {what: self.open(port, first) for what, first in starts.items()}
        self.assertEqual(self.reactions(connections, 0.1), dict.fromkeys(starts))
        for what, s in connections.items():
            s.sendall(bytes(n - 1 - len(starts[what])))
        self.assertEqual(self.reactions(connections, 0.1), dict.fromkeys(starts), "one byte is missing")
        for s in connections.values():
            s.sendall(b"x")
        self.assertEqual(self.reactions(connections, 0.5), dict.fromkeys(starts, ORDERLY))
        took = self.times_until_closed(connections)
        self.assertLess(max(took.values()) - min(took.values()), 0.3, took)
        self.assertLess(max(took.values()), 1.5)
        print("closed after the FIN: %s" % took, file=sys.stderr)

    def reactions(self, connections, wait):
        end = time.monotonic() + wait
        return {what: reaction(s, max(0, end - time.monotonic())) for what, s in connections.items()}

    def times_until_closed(self, connections):
        """From the hop's FIN until its socket is gone: it resets what comes then."""
        begin, took = time.monotonic(), {}

        def are_gone():
            for what, s in connections.items():
                try:
                    s.send(b"y")
                except OSError:
                    took.setdefault(what, round(time.monotonic() - begin, 2))
            return len(took) == len(connections)

        until(are_gone, 3, "closed")
        return took

    @unittest.skipUnless(os.path.exists(FAKETIME), "needs libfaketime")
    def test_t_is_the_same_for_all(self):
        """A clock that runs twenty times as fast: 20..60 s are 1..3 s, the header's deadline is 0.5 s."""
        env = {"LD_PRELOAD": FAKETIME, "FAKETIME": "+0 x20"}
        hop = self.world.hop(self.world.key(), env=env)
        port = hop.port()
        begin = time.monotonic()
        waiting = {self.open(port, os.urandom(n)): n for n in (0, 1, 127, 128, 129, 500)}
        took = {}
        while waiting and time.monotonic() - begin < 6:
            for s in select.select(list(waiting), [], [], 0.1)[0]:
                self.assertEqual(reaction(s), ORDERLY)
                took[waiting.pop(s)] = (time.monotonic() - begin) * 20
        self.assertFalse(waiting, "ended after %s" % took)
        self.assertGreaterEqual(min(took.values()), 19.5)
        self.assertLessEqual(max(took.values()), 64)
        self.assertLess(max(took.values()) - min(took.values()), 3, took)
        print("T = %.1f s" % min(took.values()), file=sys.stderr)

    def test_a_fin_is_answered_by_close(self):
        hop, header = self.start()
        base = hop.n_fds()
        for what, first in dict(self.starts(header), nothing=b"").items():
            with self.subTest(sent=what):
                s = self.open(hop.port(), first)
                s.shutdown(socket.SHUT_WR)
                self.assertEqual(reaction(s, 1), ORDERLY)
                until(lambda: hop.n_fds() == base, 1, "closed at once")

    def test_at_most_1024(self):
        hop, _ = self.start()
        port = hop.port()
        strangers = []
        for i in range(0, 1100, 50):
            strangers += [self.open(port, os.urandom(200)) for _ in range(50)]
            self.assert_served(self.genuine)
        seen = [reaction(s, 0.5 if i == 75 else 0) for i, s in enumerate(strangers)]
        self.assertEqual(seen[:76], [ORDERLY] * 76, "the oldest give way")
        self.assertEqual(seen[76:], [None] * 1024, "the others stay in silence")
        self.assertIsNone(reaction(self.open(port, os.urandom(200)), 0.1))
        self.assertEqual(reaction(strangers[76], 1), ORDERLY)
        self.assert_served(self.genuine)


class Slowloris(Case):
    N = 2000

    def test_genuine_clients_are_served_meanwhile(self):
        hop, _ = self.start()
        for _ in range(20):
            self.assert_served(self.genuine)
        self.settle(hop)
        base_fds, base_rss = hop.n_fds(), hop.rss()
        for _ in range(self.N):
            self.open(hop.port(), b"\x01")
        until(lambda: hop.n_fds() >= base_fds + self.N)
        each = (hop.rss() - base_rss) / self.N
        self.assertLessEqual(each, 4 * KIB)
        slowest = 0
        for i in range(200):
            for s in self.sockets[i * 10:i * 10 + 10]:
                s.send(b"\x02")
            begin = time.monotonic()
            self.assert_served(self.genuine)
            slowest = max(slowest, time.monotonic() - begin)
        self.assertLess(slowest, 1)
        self.close_all()
        until(lambda: hop.n_fds() <= base_fds, what="descriptors back at base")
        print("%d dribblers: %.0f bytes of memory each; 200 of 200 served, slowest %.1f ms"
              % (self.N, each, slowest * 1000), file=sys.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
