"""Datagrams through real hops.

    client ── access ══ hop 1 ══ hop 2 ══ hop 3 ── origin          all on loopback, ports the kernel picks

An impairment relay (tests/support/impair.py) stands in front of a hop where a test wants a bad path.
"""
import collections
import hashlib
import json
import os
import pathlib
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import (Process, World, UdpOrigin, connect, received, receive_exactly, recovery_s, until)  # noqa: E402

HERE = pathlib.Path(__file__).parent
MIB = 1 << 20
SIZES = (0, 1, 64, 1200, 1376, 1472, 9000, 60000)
SETTLE_S = 5.0
RECOVERY_S = 15.0  # the worst there may be; the model of the rules measures the median
ANSWER = b"\xc0\x00\x02\x07"  # 192.0.2.7
QUESTION = "example.org"
MAY_SEND_ICMP = os.geteuid() == 0


def payload(n, seed=0):
    return hashlib.shake_128(b"%d %d" % (n, seed)).digest(n)


def numbered(i, n=200):
    """A datagram that shows whether it is whole: number, filler, digest."""
    body = struct.pack("!I", i) + payload(n - 36, i)
    return body + hashlib.sha256(body).digest()


def is_whole(data):
    return len(data) > 32 and hashlib.sha256(data[:-32]).digest() == data[-32:]


def dns_query(name, number):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


def free_port():
    """A port that is free for TCP and UDP just now."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as tcp, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]


class Command:
    """A server of somebody else's for World.add()."""

    def __init__(self, *argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def end(self):
        self.process.kill()
        self.process.wait()


class Case(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.addCleanup(self.assert_nothing_died)

    def assert_nothing_died(self):
        """Whatever else a test looks at, no process of ours may have ended by itself."""
        for thing in self.world.things:
            if isinstance(thing, Process):
                self.assertIn(thing.process.poll(), (None, 0, -signal.SIGKILL, -signal.SIGTERM), thing.log())

    def chain(self, n_hops, hop_args=(), access_args=(), **more):
        """(client socket, hops, access, origin)"""
        origin = self.world.udp_origin()
        hops = self.world.hops(n_hops, *hop_args)
        access = self.world.udp_access(self.world.chain(hops, **more), origin.addr, *access_args)
        return self.world.udp_client(access.port()), hops, access, origin

    def through(self, hops, i_relay, target, chain=None, access_args=(), **faults):
        """(client socket, relay, access), with a relay in front of hop @i_relay (0-based)."""
        relay = self.world.before(hops[i_relay], **faults)
        pairs = [relay.pair if i == i_relay else hop for i, hop in enumerate(hops)]
        access = self.world.udp_access(self.world.chain(pairs, **(chain or {})), target, *access_args)
        return self.world.udp_client(access.port()), relay, access

    def assert_echo(self, s, data=b"hello", timeout=10.0):
        s.send(data)
        got = received(s, timeout)
        self.assertIsNotNone(got, "no answer")
        self.assertEqual(len(got), len(data))
        self.assertEqual(got, data)


class Echo(Case):
    def sizes(self, n_hops):
        s, _, _, origin = self.chain(n_hops)
        for seed, size in enumerate(SIZES + SIZES[::-1]):
            with self.subTest(size=size):
                self.assert_echo(s, payload(size, seed))
        self.assertEqual(set(origin.received.values()) - {2}, {1})  # the empty one came twice, the others differ
        self.assertEqual(len(origin.peers), 1)

    def test_sizes_through_1_hop(self):
        self.sizes(1)

    def test_sizes_through_3_hops(self):
        self.sizes(3)

    def test_sizes_through_5_hops(self):
        self.sizes(5)

    def test_first_datagram_of_any_size(self):
        """What sets the flow up goes along with it, or ahead of it. (What is too long to be held at a hop while that is
        looked at, 8 KiB, is lost.)"""
        origin = self.world.udp_origin()
        access = self.world.udp_access(self.world.chain(self.world.hops(3)), origin.addr)
        for size in (0, 1, 64, 1056, 1057, 1200, 1376, 1472, 4000):
            with self.subTest(size=size):
                self.assert_echo(self.world.udp_client(access.port()), payload(size))

    def test_a_burst_before_the_chain_stands(self):
        s, _, _, origin = self.chain(3)
        for i in range(4):
            s.send(numbered(i))
        got = {received(s, 10) for _ in range(4)}
        self.assertEqual(got, {numbered(i) for i in range(4)})
        self.assertEqual(set(origin.received.values()), {1})

    def test_many_in_flight(self):
        s, _, _, origin = self.chain(3)
        self.assert_echo(s)
        n, window, got = 3000, 32, collections.Counter()
        for start in range(0, n, window):
            wanted = [numbered(i, 1200) for i in range(start, min(start + window, n))]
            for data in wanted:
                s.send(data)
            for _ in wanted:
                got[received(s, 10)] += 1
        self.assertEqual(got, collections.Counter(numbered(i, 1200) for i in range(n)))
        self.assertEqual(set(origin.received.values()), {1})

    def test_every_client_has_a_flow_of_its_own(self):
        for workers in ("1", "2"):
            with self.subTest(workers=workers):
                origin = self.world.udp_origin()
                hops = self.world.hops(2, "--workers", workers)
                access = self.world.udp_access(self.world.chain(hops), origin.addr, "--workers", workers)
                clients = [self.world.udp_client(access.port()) for _ in range(200)]
                for _ in range(2):
                    for i, s in enumerate(clients):
                        s.send(b"client %d" % i)
                    for i, s in enumerate(clients):
                        self.assertEqual(received(s, 10), b"client %d" % i)
                self.assertEqual(sorted(origin.peers.values()), [2] * 200)

    def test_tcp_and_udp_on_one_port(self):
        port = free_port()
        target = self.world.add(UdpOrigin(port=port))
        hops = self.world.hops(2)
        access = self.world.access(self.world.chain(hops), "--to", target.addr)
        self.assert_echo(self.world.udp_client(access.port()))
        with socket.create_server(("127.0.0.1", port)) as server, connect(access.port()) as s:
            s.sendall(b"stream")
            connection, _ = server.accept()
            with connection:
                self.assertEqual(receive_exactly(connection, 6), b"stream")

    def test_a_name_is_resolved_by_the_exit(self):
        origin = self.world.udp_origin()
        access = self.world.udp_access(self.world.chain(self.world.hops(2)), "localhost:%d" % origin.port)
        self.assert_echo(self.world.udp_client(access.port()))


@unittest.skipUnless(os.geteuid() == 0, "needs root for a network namespace")
class Namespace(Case):
    def run_case(self, name, timeout):
        done = subprocess.run(["unshare", "-n", "/usr/bin/python3", str(HERE / "udp_namespace.py"), name],
                              capture_output=True, text=True, timeout=timeout)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_5_hops_at_mtu_1500_without_fragments(self):
        result = self.run_case("mtu", 60)
        self.assertEqual(result["fragments_1200"], 0)
        self.assertEqual(result["fragments_1376"], 0)
        self.assertGreater(result["fragments_seen"], 0)  # they would have been counted
        self.assertTrue(result["lives_on"])

    def test_a_dns_flow_gives_its_descriptors_back(self):
        result = self.run_case("dns-idle", 60)
        self.assertLess(result["exit_s"], 15)
        self.assertLess(result["access_s"], 15)


class Applications(Case):
    def dnsmasq(self):
        port = free_port()
        self.world.add(Command("/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
                               "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.1", "--port=%d" % port,
                               "--pid-file=", "--user=", "--address=/%s/192.0.2.7" % QUESTION))

        def answers():
            try:
                with connect(port) as s:
                    return s is not None
            except ConnectionRefusedError:
                return False

        until(answers, what="dnsmasq")
        return "127.0.0.1:%d" % port

    def assert_answer(self, answer, number):
        self.assertIsNotNone(answer)
        self.assertEqual(answer[:2], struct.pack("!H", number))
        self.assertEqual(answer[3] & 15, 0)  # no error
        self.assertEqual(answer[-4:], ANSWER)

    def test_dns_through_3_hops(self):
        target = self.dnsmasq()
        access = self.world.access(self.world.chain(self.world.hops(3)), "--to", target)
        s = self.world.udp_client(access.port())
        for number in range(1, 20):
            s.send(dns_query(QUESTION, number))
            self.assert_answer(received(s, 10), number)
        for number in range(20, 40):  # as resolvers do: a port per question
            s = self.world.udp_client(access.port())
            s.send(dns_query(QUESTION, number))
            self.assert_answer(received(s, 10), number)
        query = dns_query(QUESTION, 99)
        with connect(access.port()) as s:  # and over TCP on the same port
            s.sendall(struct.pack("!H", len(query)) + query)
            n, = struct.unpack("!H", receive_exactly(s, 2))
            self.assert_answer(receive_exactly(s, n), 99)

    def test_iperf3_through_3_hops(self):
        port = free_port()
        self.world.add(Command("iperf3", "--server", "--bind", "127.0.0.1", "--port", str(port)))
        access = self.world.access(self.world.chain(self.world.hops(3)), "--to", "127.0.0.1:%d" % port)

        def is_there():
            try:
                connect(port).close()
                return True
            except ConnectionRefusedError:
                return False

        until(is_there, what="iperf3")
        for way in ([], ["--reverse"]):
            with self.subTest(way=way):
                result = self.iperf3(access.port(), *way)
                total = result["end"]["sum"]
                self.assertGreater(total["bytes"], 2 * MIB)
                self.assertLess(total["lost_percent"], 1.0)

    def iperf3(self, port, *more):
        result = {}

        def works():  # the server needs a moment between two tests
            done = subprocess.run(["iperf3", "--client", "127.0.0.1", "--port", str(port), "--udp", "--length", "1200",
                                   "--bitrate", "20M", "--time", "2", "--json", *more], capture_output=True, text=True,
                                  timeout=30)
            result.clear()
            result.update(json.loads(done.stdout))
            return "error" not in result or "busy" not in result["error"]

        until(works, 20, "iperf3 is not busy")
        self.assertNotIn("error", result)
        return result


class Trouble(Case):
    def refusal(self, s, pause=0.1, timeout=10):
        """Sends until the kernel says ECONNREFUSED."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                s.send(b"anybody there?")
                if received(s, pause) is not None:
                    self.fail("an answer from nowhere")
            except ConnectionRefusedError:
                return
        self.fail("no ECONNREFUSED within %d s" % timeout)

    def test_a_closed_port_is_told_to_the_client(self):
        port = free_port()
        hops = self.world.hops(3)
        access = self.world.udp_access(self.world.chain(hops), "127.0.0.1:%d" % port)
        s = self.world.udp_client(access.port())
        s.send(b"anybody there?")
        access.wait_log(r"unreachable .*status=port-unreach")
        if MAY_SEND_ICMP:
            self.refusal(s)
        origin = self.world.add(UdpOrigin(port=port))  # it comes up after all
        recovery_s(s, RECOVERY_S)
        self.assertGreater(origin.count(), 0)

    def test_a_policy_that_denies_the_target(self):
        origin = self.world.udp_origin()
        hops = self.world.hops(2) + [self.world.hop(self.world.key(), allow=())]
        access = self.world.udp_access(self.world.chain(hops), origin.addr)
        s = self.world.udp_client(access.port())
        s.send(b"let me in")
        access.wait_log(r"hop=3.*denied-loopback")
        if MAY_SEND_ICMP:
            self.refusal(s)
        self.assertEqual(origin.count(), 0)

    def test_a_policy_that_denies_the_next_hop(self):
        origin = self.world.udp_origin()
        hops = [self.world.hop(self.world.key(), allow=())] + self.world.hops(2)
        access = self.world.udp_access(self.world.chain(hops), origin.addr)
        self.world.udp_client(access.port()).send(b"let me in")
        access.wait_log(r"hop=1.*denied-loopback")

    def test_a_hop_that_does_not_know_the_key(self):
        origin = self.world.udp_origin()
        hops = self.world.hops(3)
        pairs = [("127.0.0.1:%d" % hop.port(), hop.key) for hop in hops]
        pairs[1] = (pairs[1][0], self.world.key())
        access = self.world.udp_access(self.world.chain(pairs, udp="datagram"), origin.addr)
        self.world.udp_client(access.port()).send(b"who am I?")
        access.wait_log(r"hop=2", 40)
        self.assertEqual(origin.count(), 0)

    def test_a_hop_killed_and_started_again(self):
        for i_hop in range(3):
            with self.subTest(hop=i_hop + 1):
                s, hops, _, _ = self.chain(3)
                self.assert_echo(s)
                hop = hops[i_hop]
                listen = "127.0.0.1:%d" % hop.port()
                hop.signal(signal.SIGKILL)
                hop.wait()
                self.world.hop(hop.key, listen=listen).port()
                print("hop %d restarted: %.2f s" % (i_hop + 1, recovery_s(s, RECOVERY_S)))

    def test_a_hop_that_was_away_for_a_while(self):
        s, hops, _, _ = self.chain(3)
        self.assert_echo(s)
        listen = "127.0.0.1:%d" % hops[1].port()
        hops[1].signal(signal.SIGKILL)
        hops[1].wait()
        with self.assertRaises(AssertionError):
            recovery_s(s, 4)
        self.world.hop(hops[1].key, listen=listen).port()
        recovery_s(s, RECOVERY_S)


class BadPath(Case):
    def rebind(self, s, relay, n_times, quiet_s):
        """Rebinds @n_times, each after traffic of @quiet_s; how long each recovery took."""
        times = []
        for _ in range(n_times):
            end = time.monotonic() + quiet_s
            while time.monotonic() < end:
                self.assert_echo(s, os.urandom(16))
                received(s, 0.02)  # a pace, and what a recovery left over
            relay.udp.rebind()
            times.append(recovery_s(s, RECOVERY_S))
            while received(s, 0.2) is not None:
                pass
        return times

    def test_nat_rebinding(self):
        for i_hop in range(3):
            with self.subTest(hop=i_hop + 1):
                origin = self.world.udp_origin()
                s, relay, _ = self.through(self.world.hops(3), i_hop, origin.addr)
                times = self.rebind(s, relay, 3, 1.2)
                print("rebound before hop %d: %s s" % (i_hop + 1, " ".join("%.2f" % t for t in times)))
                self.assertLess(sorted(times)[1], 1.0)
                self.assertEqual(len(origin.peers), 1)  # the flow stayed the same one

    def test_nat_rebinding_again_and_again(self):
        origin = self.world.udp_origin()
        s, relay, _ = self.through(self.world.hops(2), 0, origin.addr)
        times = self.rebind(s, relay, 5, 0.0)
        print("rebound again and again: %s s" % " ".join("%.2f" % t for t in times))

    def test_nat_rebinding_with_two_workers(self):
        """Behind its new port the flow may come to the other worker, which does not know it."""
        origin = self.world.udp_origin()
        s, relay, _ = self.through(self.world.hops(2, "--workers", "2"), 0, origin.addr)
        times = self.rebind(s, relay, 6, 0.1)
        print("rebound with two workers: %s s" % " ".join("%.2f" % t for t in times))

    def pour(self, s, n, size=200, pause=0.001):
        """Sends @n datagrams; what came back."""
        got = collections.Counter()
        for i in range(n):
            s.send(numbered(i, size))
            end = time.monotonic() + pause
            while (data := received(s, end - time.monotonic())) is not None:
                got[data] += 1
        while (data := received(s, 1.0)) is not None:
            got[data] += 1
        return got

    def impaired(self, n, least, **faults):
        origin = self.world.udp_origin()
        s, relay, _ = self.through(self.world.hops(3), 1, origin.addr, **faults)
        recovery_s(s, RECOVERY_S)
        with origin.lock:
            origin.received.clear()
        got = self.pour(s, n)
        wanted = {numbered(i) for i in range(n)}
        at_origin = {data: count for data, count in origin.received.items() if len(data) > 12}
        print("impaired %s: %d of %d at the origin, %d back" % (faults, len(at_origin), n, len(got)))
        for seen in (at_origin, {data: count for data, count in got.items() if len(data) > 12}):
            self.assertEqual(set(seen) - wanted, set(), "corrupt")
            self.assertEqual({data for data, count in seen.items() if count > 1}, set(), "twice")
        self.assertGreater(len(at_origin), n * least)
        for direction in ("up", "down"):
            self.assertGreater(relay.udp.counters[direction]["in"], n // 3)

    def test_loss_duplication_reordering(self):
        self.impaired(2000, 0.7, loss=0.2, duplicate=0.2, reorder=0.3, depth=50, seed=3)

    def test_half_of_it_lost(self):
        self.impaired(1000, 0.3, loss=0.5, seed=4)

    def test_corruption(self):
        self.impaired(1500, 0.6, corrupt=0.3, duplicate=0.1, seed=5)

    def test_jitter_that_reorders(self):
        self.impaired(1500, 0.95, delay=0.05, jitter=0.045, seed=6)

    def test_reordering_a_thousand_deep(self):
        self.impaired(3000, 0.95, reorder=0.05, depth=1000, seed=8)

    def test_a_black_hole_that_ends(self):
        origin = self.world.udp_origin()
        s, relay, _ = self.through(self.world.hops(3), 1, origin.addr)
        self.assert_echo(s)
        relay.udp.set(black_hole=True)
        with self.assertRaises(AssertionError):
            recovery_s(s, 3)
        relay.udp.clear()
        print("after a black hole of 3 s: %.2f s" % recovery_s(s, RECOVERY_S))


class Strangers(Case):
    def open(self, port):
        return self.world.udp_client(port)

    def test_random_datagrams_of_every_length(self):
        s, hops, access, origin = self.chain(1)
        self.assert_echo(s)
        port = hops[0].port()
        strangers = [self.open(port) for _ in range(4)]
        generator = random.Random(7)

        def flood():
            for length in range(1501):
                strangers[length % 4].send(generator.randbytes(length))
                if length % 50 == 0:
                    self.assert_echo(s)  # and so they have been read

        flood()
        base, n_fds = hops[0].rss(), hops[0].n_fds()
        for _ in range(5):
            flood()
        self.assertEqual(select.select(strangers, [], [], 0.5)[0], [])
        self.assertLess(hops[0].rss() - base, MIB)
        self.assertLessEqual(hops[0].n_fds(), n_fds)
        self.assertEqual(set(origin.received), {b"hello"})

    def test_random_datagrams_to_access_from_its_hop_are_dropped(self):
        """Whoever can write to the flow's socket, in the hop's name, delivers nothing."""
        origin = self.world.udp_origin()
        s, relay, _ = self.through(self.world.hops(2), 0, origin.addr)
        self.assert_echo(s)
        generator = random.Random(8)

        def inject():
            for lane in [client["down"] for client in relay.udp.clients.values()]:
                for length in range(0, 1501, 3):
                    lane.send(generator.randbytes(length))

        relay.udp.call(inject)
        self.assert_echo(s, b"still here")

    def test_replays_from_another_source(self):
        origin = self.world.udp_origin()
        hops = self.world.hops(2)
        s, relay, _ = self.through(hops, 0, origin.addr, keep=True)
        for i in range(50):
            self.assert_echo(s, numbered(i))
        captured = [data for direction, data in relay.udp.kept if direction == "up"]
        requests = [data for data in captured if len(data) >= 256 and data[128:144] not in
                    {other[:16] for other in captured}][:1]
        before = origin.count()
        stranger = self.open(hops[0].port())
        start = time.monotonic()
        for data in requests * 20 + captured:
            stranger.send(data)
        answers = []
        while (data := received(stranger, 1.0)) is not None:
            answers.append(data)
        # A short form from a wrong address may be told to set up again, once a second: 16 bytes, never more.
        self.assertLessEqual(len(answers), 1 + int(time.monotonic() - start))
        self.assertEqual({len(data) for data in answers} - {16}, set())
        self.assertEqual(origin.count(), before)  # nothing reached the target twice
        self.assert_echo(s, b"undisturbed")

    def test_replayed_requests_are_not_answered(self):
        origin = self.world.udp_origin()
        hops = self.world.hops(2)
        s, relay, _ = self.through(hops, 0, origin.addr, keep=True)
        self.assert_echo(s)
        self.assert_echo(s, b"in the short form")
        first = next(data for direction, data in relay.udp.kept if direction == "up")
        self.assertGreater(len(first), 256)
        stranger = self.open(hops[0].port())
        for cut in list(range(0, len(first), 7)) + [len(first)] * 20:
            stranger.send(first[:cut])
        self.assertIsNone(received(stranger, 1.0))
        self.assertEqual(set(origin.received.values()), {1})
        self.assert_echo(s, b"undisturbed")

    def test_turned_bits_are_not_answered(self):
        origin = self.world.udp_origin()
        hops = self.world.hops(2)
        s, relay, _ = self.through(hops, 0, origin.addr, keep=True)
        self.assert_echo(s)
        first = next(data for direction, data in relay.udp.kept if direction == "up")
        other = self.world.hop(hops[0].key)  # the same key, and nothing seen yet
        stranger = self.open(other.port())
        for bit in range(0, 128 * 8, 5):
            data = bytearray(first)
            data[bit // 8] ^= 1 << bit % 8
            stranger.send(data)
        self.assertIsNone(received(stranger, 1.0))
        self.assertEqual(origin.count(), 1)


class Stream(Case):
    def test_frames_through_3_hops(self):
        origin = self.world.udp_origin()
        s, relay, access = self.through(self.world.hops(3), 0, origin.addr, {"udp": "stream"})
        relay.udp.set(black_hole=True)
        for seed, size in enumerate(SIZES):
            with self.subTest(size=size):
                self.assert_echo(s, payload(size, seed))
        self.assertEqual(relay.udp.counters["up"]["in"], 0)
        self.assertEqual(set(origin.received.values()), {1})

    def test_a_closed_port(self):
        port = free_port()
        access = self.world.udp_access(self.world.chain(self.world.hops(2), udp="stream"), "127.0.0.1:%d" % port)
        s = self.world.udp_client(access.port())
        s.send(b"anybody there?")
        origin = self.world.add(UdpOrigin(port=port))
        recovery_s(s, RECOVERY_S)
        self.assertGreater(origin.count(), 0)

    def fallback(self, make_hole):
        origin = self.world.udp_origin()
        hops = self.world.hops(3)
        relay = make_hole(hops[1])
        access = self.world.udp_access(self.world.chain([hops[0], relay.pair, hops[2]]), origin.addr)
        s = self.world.udp_client(access.port())
        print("fell back after %.2f s" % recovery_s(s, RECOVERY_S))
        for i in range(20):
            self.assert_echo(s, numbered(i))
        late = self.world.udp_client(access.port())
        self.assertLess(recovery_s(late, RECOVERY_S), 2.0)  # what was found is kept
        return relay

    def test_auto_falls_back_where_udp_is_swallowed(self):
        relay = self.fallback(lambda hop: self.world.before(hop, black_hole=True))
        self.assertGreater(relay.udp.counters["up"]["swallowed"], 0)

    def test_auto_falls_back_where_nobody_takes_udp(self):
        self.fallback(lambda hop: self.world.before(hop, only_tcp=True))

    def test_auto_stays_with_datagrams_where_they_pass(self):
        origin = self.world.udp_origin()
        s, relay, _ = self.through(self.world.hops(2), 0, origin.addr, {"udp": "auto"})
        for i in range(100):
            self.assert_echo(s, numbered(i))
        self.assertGreaterEqual(relay.udp.counters["up"]["in"], 100)
        self.assertEqual(relay.tcp.counters["up"]["in"], 0)


class Shutdown(Case):
    def test_term_drains_and_a_second_one_stops(self):
        s, hops, access, origin = self.chain(2)
        self.assert_echo(s)
        for process in hops + [access]:
            process.signal(signal.SIGTERM)
        late = self.world.udp_client(access.port())
        until(lambda: self.is_refused(late))
        self.assert_echo(s, b"still served")
        for process in [access] + hops:
            process.signal(signal.SIGTERM)
            self.assertIn(process.wait(5), (0, -signal.SIGTERM))

    def is_refused(self, s):
        """A client that comes after SIGTERM gets no flow."""
        try:
            s.send(b"too late?")
            return received(s, 0.3) is None
        except ConnectionRefusedError:
            return True

    def test_drain_ends_after_its_time(self):
        s, hops, access, _ = self.chain(2, hop_args=("--drain", "1s"), access_args=("--drain", "1s"))
        self.assert_echo(s)
        start = time.monotonic()
        for process in hops + [access]:
            process.signal(signal.SIGTERM)
        for process in hops + [access]:
            process.wait(10)
        self.assertLess(time.monotonic() - start, 5)

    def test_a_closed_flow_is_logged_with_its_bytes(self):
        s, hops, access, _ = self.chain(2, access_args=("--drain", "1s"), hop_args=("--drain", "1s"))
        for i in range(10):
            self.assert_echo(s, bytes(100))
        access.signal(signal.SIGTERM)
        access.wait_log(r"closed .*up=1000 down=1000")
        hops[1].signal(signal.SIGTERM)
        found = hops[1].wait_log(r"closed .*up=(\d+) down=(\d+)")
        self.assertGreaterEqual(int(found.group(1)), 1000, found.group(0))
        self.assertIsNone(re.search(r"hc1:", access.log() + hops[1].log()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
