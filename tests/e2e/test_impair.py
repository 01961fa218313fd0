"""The impairment relay itself: what it promises, the other tests build on."""
import pathlib
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(pathlib.Path(__file__).parent), str(ROOT / "tests" / "support")]
from harness import World, connect, echo, receive_all, receive_exactly, reset, until  # noqa: E402
from impair import BothRelay, Faults, Pattern, TcpRelay, UdpRelay  # noqa: E402

N = 2000
WINDOW = 50
SINK_S = 10


class Sink:
    """A UDP socket that keeps the numbers it gets, and from where."""

    def __init__(self, answers=False):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.addr = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.got, self.peers, self.answers = [], [], answers
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            data, peer = self.socket.recvfrom(65536)
            if data == b"end":
                return
            self.got.append(data)
            self.peers.append(peer)
            if self.answers:
                self.socket.sendto(data, peer)

    def numbers(self):
        return [struct.unpack("!I", data[:4])[0] for data in self.got]

    def end(self):
        host, port = self.socket.getsockname()
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"end", (host, port))
        self.thread.join(5)
        self.socket.close()


class Case(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)

    def sink(self, **more):
        return self.world.add(Sink(**more))

    def udp(self, sink, **more):
        relay = self.world.add(UdpRelay(sink.addr, **more))
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.connect(("127.0.0.1", relay.port))
        client.settimeout(SINK_S)
        return relay, client

    def tcp(self, handler=echo, **more):
        return self.world.add(TcpRelay(self.world.origin(handler).addr, **more))

    def pour(self, relay, client, n=N):
        """Sends @n numbers, a window at a time; returns when all that will come out has come out."""
        count = relay.counters["up"]
        for i in range(n):
            client.send(struct.pack("!I", i) + bytes(60))
            if i % WINDOW == WINDOW - 1:
                until(lambda: count["in"] == i + 1, what="the relay got them")
        until(lambda: count["in"] == n)
        until(lambda: count["out"] == n - count["lost"] + count["duplicated"], what="all came out")


class Udp(Case):
    def test_nothing_happens_without_faults(self):
        sink = self.sink()
        relay, client = self.udp(sink)
        self.pour(relay, client)
        until(lambda: len(sink.got) == N)
        self.assertEqual(sink.numbers(), list(range(N)))

    def test_loss_and_duplication_are_what_was_asked_for(self):
        sink = self.sink()
        relay, client = self.udp(sink, loss=0.2, duplicate=0.1, seed=3)
        self.pour(relay, client)
        count = relay.counters["up"]
        until(lambda: len(sink.got) == count["out"])
        self.assertAlmostEqual(count["lost"] / N, 0.2, delta=0.04)  # four standard deviations
        self.assertAlmostEqual(count["duplicated"] / (N * 0.8), 0.1, delta=0.035)
        self.assertEqual(len(set(sink.numbers())), N - count["lost"])

    def outcome(self, seed):
        sink = self.sink()
        relay, client = self.udp(sink, loss=0.1, duplicate=0.1, corrupt=0.1, reorder=0.2, depth=20, seed=seed)
        self.pour(relay, client, 500)
        until(lambda: len(sink.got) == relay.counters["up"]["out"])
        return sink.got

    def test_the_same_seed_does_the_same(self):
        first = self.outcome(7)
        self.assertEqual(first, self.outcome(7))
        self.assertNotEqual(first, self.outcome(8))

    def test_fates_do_not_depend_on_each_other(self):
        both, alone = Pattern(1, "up"), Pattern(1, "up")
        lost = [both.next(Faults(loss=0.3, corrupt=0.5, reorder=0.5)).is_lost for _ in range(500)]
        self.assertEqual(lost, [alone.next(Faults(loss=0.3)).is_lost for _ in range(500)])
        down = Pattern(1, "down")
        self.assertNotEqual(lost, [down.next(Faults(loss=0.3)).is_lost for _ in range(500)])

    def test_reordering_reaches_the_depth_and_no_further(self):
        sink = self.sink()
        relay, client = self.udp(sink, reorder=0.02, depth=1000)
        self.pour(relay, client)
        until(lambda: len(sink.got) == N)
        numbers = sink.numbers()
        self.assertEqual(sorted(numbers), list(range(N)))
        late = [max(numbers[:i + 1]) - number for i, number in enumerate(numbers)]
        self.assertGreater(max(late), 500)
        self.assertLessEqual(max(late), 1000 + 100)  # those that were held meanwhile do not count as passing

    def test_corruption_turns_one_bit(self):
        sink = self.sink()
        relay, client = self.udp(sink, corrupt=1.0)
        client.send(bytes(100))
        until(lambda: sink.got)
        self.assertEqual(sum(bin(byte).count("1") for byte in sink.got[0]), 1)
        self.assertEqual(len(sink.got[0]), 100)

    def test_delay_and_jitter(self):
        relay, client = self.udp(self.sink(answers=True), delay=0.05, jitter=0.02)
        for _ in range(5):
            start = time.monotonic()
            client.send(b"ping")
            client.recv(100)
            elapsed = time.monotonic() - start
            self.assertGreater(elapsed, 0.06)
            self.assertLess(elapsed, 0.5)

    def test_rebind_changes_the_source_and_loses_answers_to_the_old_one(self):
        sink = self.sink(answers=True)
        relay, client = self.udp(sink)
        client.send(b"one")
        client.recv(100)
        relay.rebind()
        sink.socket.sendto(b"late", sink.peers[0])
        client.send(b"two")
        self.assertEqual(client.recv(100), b"two")
        self.assertNotEqual(sink.peers[0], sink.peers[1])
        self.assertEqual([sink.peers[1][1]], relay.upstream_ports())

    def test_black_hole_on_and_off(self):
        sink = self.sink(answers=True)
        relay, client = self.udp(sink, keep=True)
        relay.set(black_hole=True)
        client.send(b"lost")
        until(lambda: relay.counters["up"]["swallowed"] == 1)
        relay.set("up", black_hole=False)
        client.send(b"half way")
        until(lambda: relay.counters["down"]["swallowed"] == 1)
        relay.clear()
        client.send(b"both ways")
        self.assertEqual(client.recv(100), b"both ways")
        self.assertEqual(sink.got, [b"half way", b"both ways"])
        self.assertIn(("up", b"lost"), relay.kept)


class Tcp(Case):
    def test_bytes_pass_unchanged_and_ends_are_passed_on(self):
        relay = self.tcp(lambda s: s.sendall(receive_all(s)))
        s = connect(relay.port)
        data = bytes(range(256)) * 4096
        sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
        sender.start()
        self.assertEqual(receive_all(s), data)
        sender.join()
        until(lambda: relay.n_connections() == 0)

    def test_delay(self):
        relay = self.tcp(delay=0.05)
        s = connect(relay.port)
        start = time.monotonic()
        s.sendall(b"x")
        self.assertEqual(s.recv(1), b"x")
        self.assertGreater(time.monotonic() - start, 0.1)
        self.assertLess(time.monotonic() - start, 0.6)

    def test_rate(self):
        relay = self.tcp()
        relay.set("up", rate=200000)
        s = connect(relay.port, 30)
        start = time.monotonic()
        threading.Thread(target=s.sendall, args=(bytes(200000),), daemon=True).start()
        receive_exactly(s, 200000)
        self.assertAlmostEqual(time.monotonic() - start, 1.0, delta=0.25)

    def test_reset_reaches_both_sides(self):
        ended = []

        def handler(s):
            try:
                s.sendall(s.recv(1))
                s.recv(1)
            except ConnectionResetError:
                ended.append("reset")

        relay = self.tcp(handler)
        s = connect(relay.port)
        s.sendall(b"x")
        s.recv(1)
        relay.reset()
        with self.assertRaises(ConnectionResetError):
            s.recv(1)
        until(lambda: ended == ["reset"])

    def test_half_open_tells_one_side_only(self):
        ended = []

        def handler(s):
            try:
                while s.recv(10):
                    s.sendall(b"y")
            except ConnectionResetError:
                ended.append("reset")

        relay = self.tcp(handler)
        s = connect(relay.port)
        s.sendall(b"x")
        s.recv(1)
        relay.half_open()
        until(lambda: ended == ["reset"])
        s.sendall(b"into nothing")
        self.assertEqual(select.select([s], [], [], 0.2)[0], [])

    def test_black_hole_holds_bytes_until_it_ends(self):
        relay = self.tcp()
        s = connect(relay.port)
        s.sendall(b"1")
        s.recv(1)
        relay.set(black_hole=True)
        s.sendall(b"2")
        late = connect(relay.port)  # accepted, as a kernel does; answered by nobody
        late.sendall(b"3")
        self.assertEqual(select.select([s, late], [], [], 0.2)[0], [])
        relay.set(black_hole=False)
        self.assertEqual(s.recv(1), b"2")
        late.close()

    def test_an_end_by_reset_is_passed_on(self):
        ended = []

        def handler(s):
            try:
                while s.recv(10):
                    pass
            except ConnectionResetError:
                ended.append("reset")

        relay = self.tcp(handler)
        s = connect(relay.port)
        s.sendall(b"x")
        until(lambda: relay.counters["up"]["out"] == 1)
        reset(s)
        until(lambda: ended == ["reset"])


class Together(Case):
    def test_both_on_one_port(self):
        sink = self.sink(answers=True)
        relay = self.world.add(BothRelay(sink.addr))
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(SINK_S)
        client.sendto(b"datagram", ("127.0.0.1", relay.port))
        self.assertEqual(client.recv(100), b"datagram")
        with self.assertRaises(ConnectionError):  # the target has no TCP
            s = connect(relay.port)
            s.sendall(b"x")
            if s.recv(1) == b"":
                raise ConnectionError

    def test_command_line(self):
        sink = self.sink()
        process = subprocess.Popen(["/usr/bin/python3", str(ROOT / "tests/support/impair.py"), "udp", "127.0.0.1:0",
                                    sink.addr, "--loss", "1.0", "--seed", "7"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.connect(("127.0.0.1", int(process.stdout.readline())))
        client.send(b"lost")

        def counters():
            process.stdin.write("counters\n")
            process.stdin.flush()
            return process.stdout.readline()

        until(lambda: "'lost': 1" in counters())
        process.stdin.write("loss=0\nrebind\n")
        counters()
        client.send(b"not lost")
        until(lambda: sink.got == [b"not lost"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
