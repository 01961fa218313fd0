"""Hops of a group die, fall silent and come back at random, under load; one of three always lives.

    4 clients ── access ══ any of a, b, c ══ exit ── origin        "first"
    4 clients ── access ══ first ══ any of a, b, c ── origin       "exit"      all on loopback

No client may see a connection fail that has not begun; what a hop carried when it was killed ends
as a reset, never as a short success. HOPCHAIN_CHAOS_S: seconds of each test (15);
HOPCHAIN_CHAOS_SEED: another schedule than usual.
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
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import World, connect, receive_all, receive_exactly  # noqa: E402

SECONDS = float(os.environ.get("HOPCHAIN_CHAOS_S", "15"))
SEED = int(os.environ.get("HOPCHAIN_CHAOS_SEED", "5"))
N_CLIENTS = 4
N_HOPS = 3
PATIENCE = 20  # of a client; more than any attempt takes
HEADER = struct.Struct("!16sIIH")  # name, bytes up, bytes down, ms between pieces of those
PIECE = 4000


def payload(name, direction, n):
    return hashlib.shake_128(name + direction).digest(n)


def pause(ms):
    select.select([], [], [], ms / 1000)


class Peer:
    """An origin that reads all until the end, checks it and answers; and remembers how each ended."""

    def __init__(self):
        self.lock = threading.Lock()
        self.names, self.ends = collections.Counter(), collections.Counter()
        self.truncated = []

    def __call__(self, connection):
        end = "nothing was asked"
        try:
            header = connection.recv(HEADER.size)
            if not header:
                return
            while len(header) < HEADER.size:
                piece = connection.recv(HEADER.size - len(header))
                end = "short header"
                if not piece:
                    return
                header += piece
            name, n_up, n_down, ms = HEADER.unpack(header)
            with self.lock:
                self.names[name] += 1
            end = "carried"
            data = receive_all(connection)
            if data != payload(name, b"up", n_up):
                with self.lock:
                    self.truncated.append((len(data), n_up))
            down = payload(name, b"down", n_down)
            for i in range(0, n_down, PIECE):
                connection.sendall(down[i:i + PIECE])
                pause(ms)
            end = "complete"
        except ConnectionError:
            end += ", reset"
        finally:
            with self.lock:
                self.ends[end] += 1


def open_socks(s, port):
    s.sendall(b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + struct.pack("!H", port))
    answer = receive_exactly(s, 12)
    if answer[3] != 0:
        raise AssertionError("SOCKS reply %d" % answer[3])


def open_http(s, port):
    s.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (port, port))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += receive_exactly(s, 1)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise AssertionError(answer)


class Clients:
    """Threads that make one short connection after the other."""

    def __init__(self, port, origin_port):
        self.port, self.origin_port = port, origin_port
        self.is_done = threading.Event()
        self.lock = threading.Lock()
        self.counts, self.faults, self.slowest = collections.Counter(), [], 0.0
        self.threads = [threading.Thread(target=self.run, args=(random.Random(SEED * 100 + i),)) for i in range(N_CLIENTS)]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.is_done.set()
        for thread in self.threads:
            thread.join()

    def n(self):
        return sum(self.counts.values())

    def run(self, chance):
        while not self.is_done.is_set():
            start = time.monotonic()
            outcome = self.once(chance)
            with self.lock:
                self.slowest = max(self.slowest, time.monotonic() - start)
                self.counts[outcome.split(":")[0]] += 1
                if outcome not in ("complete", "reset"):
                    self.faults.append(outcome)

    def once(self, chance):
        name = chance.randbytes(16)
        n_up, n_down = chance.randrange(30000), chance.randrange(1, 60000)
        ms = chance.choice((0, 0, 0, 30))  # some last long enough to be met by a kill
        do_open = chance.choice((open_socks, open_http))
        with connect(self.port, PATIENCE) as s:
            try:
                do_open(s, self.origin_port)
            except (OSError, AssertionError) as e:
                return "failed: %s %r" % (do_open.__name__, e)
            return self.exchange(s, name, n_up, n_down, ms)

    def exchange(self, s, name, n_up, n_down, ms):
        data, want = bytearray(), payload(name, b"down", n_down)
        try:
            s.sendall(HEADER.pack(name, n_up, n_down, ms) + payload(name, b"up", n_up))
            s.shutdown(socket.SHUT_WR)
            while True:
                piece = s.recv(1 << 16)
                if not piece:
                    break
                data += piece
            end = "complete" if len(data) == n_down else "short: %d of %d bytes" % (len(data), n_down)
        except ConnectionError:
            end = "reset"
        except OSError as e:
            end = "silent: %r after %d of %d bytes" % (e, len(data), n_down)
        return end if want.startswith(bytes(data)) else "wrong bytes: after %d" % len(data)


class Chaos:
    """Kills, stops and starts hops as @seed will have it; at least one is as it should be."""

    def __init__(self, world, hops, seed):
        self.world, self.hops = world, hops
        self.chance = random.Random(seed)
        self.state = ["lives"] * len(hops)
        self.counts = collections.Counter()

    def step(self):
        i = self.chance.randrange(len(self.hops))
        others = [state for k, state in enumerate(self.state) if k != i]
        if self.state[i] == "lives" and "lives" in others:
            if self.chance.random() < 0.7:
                self.kill(i)
            else:
                self.hops[i].signal(signal.SIGSTOP)
                self.state[i] = "stopped"
        elif self.state[i] == "stopped":
            if self.chance.random() < 0.5:
                self.kill(i)
            else:
                self.hops[i].signal(signal.SIGCONT)
                self.state[i] = "lives"
        elif self.state[i] == "dead":
            self.start(i)
        self.counts[self.state[i]] += 1

    def kill(self, i):
        self.hops[i].signal(signal.SIGKILL)
        self.hops[i].wait()
        self.state[i] = "dead"

    def start(self, i):
        old = self.hops[i]
        port = old.port()
        old.end()
        self.hops[i] = self.world.hop(old.key, listen="127.0.0.1:%d" % port)
        self.hops[i].port()  # listens
        self.state[i] = "lives"

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pause(self.chance.randrange(600))
            self.step()


class Groups(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.peer = Peer()
        self.origin = self.world.origin(self.peer)
        self.hops = self.world.hops(N_HOPS)
        self.alone = self.world.hop(self.world.key())

    def step(self, hop):
        return {"addr": "127.0.0.1:%d" % hop.port(), "key_file": hop.key}

    def access(self, is_first, **more):
        group = dict(any=[self.step(hop) for hop in self.hops], strategy="round-robin", retry_after="500ms", **more)
        steps = [group, self.step(self.alone)] if is_first else [self.step(self.alone), group]
        path = self.world.path("chaos.json")
        pathlib.Path(path).write_text(json.dumps({"hops": steps}))
        access = self.world.access(path)
        access.port()
        return access

    def run_chaos(self, is_first):
        access = self.access(is_first)
        clients = Clients(access.port(), self.origin.port)
        chaos = Chaos(self.world, list(self.hops), SEED)
        try:
            chaos.run(SECONDS)
        finally:
            for hop in chaos.hops:
                hop.signal(signal.SIGCONT)  # else clients would wait for who is stopped
            clients.end()
        log = access.log()
        noise = [line for line in log.split("\n") if not re.search(r"\b(closed|lost) conn=", line)]
        print("chaos %s: %s %s, slowest %.1f s, %d lines of the log and %d beside those of connections, cpu %.1f s" % (
            "first" if is_first else "exit", dict(chaos.counts), dict(clients.counts), clients.slowest,
            log.count("\n"), len(noise), access.cpu_s()), dict(self.peer.ends), file=sys.stderr)
        self.assertEqual(clients.faults, [])
        self.assertEqual(re.findall(r".*\bfailed conn=.*", log), [])
        self.assertGreater(clients.counts["complete"], 10 * SECONDS)
        self.assertGreater(chaos.counts["dead"], 0)
        self.assertEqual([n for n in self.peer.names.values() if n > 1], [], "one connection, one way")
        self.assertLess(len(noise), 20 + 20 * SECONDS, "\n".join(noise[:50]))
        return clients

    def test_the_first_hop_dies_at_any_time(self):
        self.run_chaos(True)
        self.assertEqual(self.peer.truncated, [], "a request that was cut looks whole to its origin")

    def test_the_exit_dies_at_any_time(self):
        self.run_chaos(False)


if __name__ == "__main__":
    unittest.main()
