"""Rates and caps: what gets through a limited access server or hop in a time, by user, and what clients are told beyond.

Never more than the rate and its burst, on any machine; less only as far as a busy one may be late.
"""
import json
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import Process, World, connect, program, receive_all, receive_exactly, until  # noqa: E402

KIB, MIB = 1024, 1 << 20
BURST = 64 * KIB
SECONDS = 1.5


def burst_of(rate):
    return max(BURST, rate // 20)


def pour(s):
    """Sends without an end."""
    piece = bytes(64 * KIB)
    while True:
        s.sendall(piece)


def swallow(s):
    while s.recv(256 * KIB):
        pass


class Sink:
    """Counts what each of its connections has sent."""

    def __init__(self):
        self.counts = []

    def __call__(self, s):
        i = len(self.counts)
        self.counts.append(0)
        while data := s.recv(256 * KIB):
            self.counts[i] += len(data)


def download(s, seconds=SECONDS):
    """Bytes, and the seconds from now to the last of them."""
    n, start = 0, time.monotonic()
    now = start
    while now - start < seconds:
        s.settimeout(max(0.01, start + seconds - now))
        try:
            data = s.recv(256 * KIB)
        except TimeoutError:
            data = b""
        now = time.monotonic()
        n += len(data)
    return n, now - start


def socks(port, target, user=None):
    """A SOCKS5 client; its connection and the reply's code."""
    s = connect(port)
    s.sendall(b"\x05\x01" + (b"\x02" if user else b"\x00"))
    assert receive_exactly(s, 2)[1] != 255
    if user:
        name, password = (word.encode() for word in user)
        s.sendall(b"\x01%c%b%c%b" % (len(name), name, len(password), password))
        assert receive_exactly(s, 2)[1] == 0
    s.sendall(b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + target.to_bytes(2, "big"))
    return s, receive_exactly(s, 10)[1]


class Shaping(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.source = self.world.origin(pour)
        self.hop = self.world.hop(self.world.key())
        self.clients = []
        self.addCleanup(lambda: [s.close() for s in self.clients])

    def access(self, listener, **more):
        chain = {"hops": [{"addr": "127.0.0.1:%d" % self.hop.port(), "key_file": self.hop.key}]}
        config = {"listen": [{"addr": "127.0.0.1:0", **listener}], "chains": {"c": chain}, **more}
        path = self.world.path("access.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(config, f)
        return self.world.add(Process([program("access"), "-c", path]))

    def users(self, *names):
        path = self.world.path("users")
        for name in names:
            subprocess.run([program("chain"), "passwd", path, name], input="secret\n", text=True, check=True,
                           stderr=subprocess.DEVNULL)
        return path

    def socks(self, access, user=None, target=None):
        s, reply = socks(access.port(), target or self.source.port, user and (user, "secret"))
        self.clients.append(s)
        return s, reply

    def check(self, n, seconds, rate, n_ways=1):
        most = rate * seconds + burst_of(rate)
        # What was let through before and waits in the kernel's buffers was counted by no clock of ours.
        self.assertLessEqual(n, most + 8 * KIB * n_ways, "%d bytes in %.2f s" % (n, seconds))
        self.assertGreater(n, rate * seconds * 0.4, "%d bytes in %.2f s" % (n, seconds))

    def measured(self, sockets):
        """What each reads at the same time."""
        found = [None] * len(sockets)

        def run(i):
            found[i] = download(sockets[i])
        threads = [threading.Thread(target=run, args=(i,)) for i in range(len(sockets))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return found

    def test_a_listener_down(self):
        rate = 2 * MIB
        access = self.access({"type": "socks5", "limits": {"rate": "2MiB/s"}})
        started = time.monotonic()
        s, reply = self.socks(access)
        self.assertEqual(reply, 0)
        n, _ = download(s)
        self.check(n, time.monotonic() - started, rate)

    def test_a_listener_up_and_all_connections_together(self):
        sink = Sink()
        target = self.world.origin(sink)
        access = self.access({"type": "socks5", "limits": {"rate": "2MiB/s"}})
        started = time.monotonic()
        sockets = [self.socks(access, target=target.port)[0] for _ in range(4)]
        for s in sockets:
            threading.Thread(target=self.pour_quietly, args=(s,), daemon=True).start()
        time.sleep(SECONDS)
        counts = list(sink.counts)
        self.check(sum(counts), time.monotonic() - started, 2 * MIB, 4)
        self.assertEqual(len(counts), 4)
        self.assertLessEqual(max(counts), 2 * min(counts), "equal parts: %s" % counts)

    @staticmethod
    def pour_quietly(s):
        try:
            pour(s)
        except OSError:
            pass

    def test_the_server_before_its_listeners(self):
        access = self.access({"type": "socks5", "limits": {"rate": "50MiB/s"}}, limits={"rate": "1MiB/s"})
        started = time.monotonic()
        s, _ = self.socks(access)
        n, _ = download(s)
        self.check(n, time.monotonic() - started, MIB)

    def test_each_source_and_each_user(self):
        """Two users have a rate each; the same user's connections share his."""
        users = self.users("ann", "bob")
        access = self.access({"type": "socks5", "users_file": users,
                              "limits": {"rate_per_user": "1MiB/s", "rate_per_source": "50MiB/s"}})
        started = time.monotonic()
        sockets = [self.socks(access, user)[0] for user in ("ann", "ann", "bob")]
        found = [n for n, _ in self.measured(sockets)]
        seconds = time.monotonic() - started
        self.check(found[0] + found[1], seconds, MIB, 2)
        self.check(found[2], seconds, MIB)

    def test_users_of_a_hop(self):
        """Two users with different rates at one hop, spliced."""
        hop_key, other = self.world.key(), self.world.path("other.key")
        subprocess.run([program("chain"), "keygen", "--mask-of", hop_key, "-o", other], check=True)
        path = self.world.path("hop.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"listen": [{"addr": "127.0.0.1:0"}], "targets": {"allow": ["loopback"]},
                       "limits": {"rate": "50MiB/s"},
                       "users": [{"name": "slow", "key_file": hop_key, "limits": {"rate": "1MiB/s"}},
                                 {"name": "quick", "key_file": other, "limits": {"rate": "4MiB/s"}}]}, f)
        hop = self.world.add(Process([program("hop"), "-c", path]))
        started = time.monotonic()
        sockets = []
        for key in (hop_key, other):
            chain = self.world.chain([("127.0.0.1:%d" % hop.port(), key)], name="%s.json" % pathlib.Path(key).name)
            access = self.world.access(chain, listen="socks5://127.0.0.1:0")
            access.port()
            sockets.append(self.socks(access)[0])
        found = [n for n, _ in self.measured(sockets)]
        seconds = time.monotonic() - started
        for n, rate in zip(found, (MIB, 4 * MIB)):
            self.assertLessEqual(n, rate * seconds + burst_of(rate) + 64 * KIB)
            self.assertGreater(n, rate * SECONDS * 0.4)

    def test_a_cap_of_users(self):
        users = self.users("ann", "bob")
        access = self.access({"type": "auto", "users_file": users, "limits": {"connections_per_user": 2}})
        kept = [self.socks(access, "ann") for _ in range(2)]
        self.assertEqual([reply for _, reply in kept], [0, 0])
        _, reply = self.socks(access, "ann")
        self.assertEqual(reply, 1, "SOCKS5 has no word for it: general failure")
        self.assertEqual(self.socks(access, "bob")[1], 0)
        access.wait_log(r"refused: limit reached limit=listen.limits.connections_per_user .* user=ann")
        http = connect(access.port())
        http.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic YW5uOnNlY3JldA==\r\n\r\n"
                     % self.source.port)
        answer = receive_all(http)
        self.assertTrue(answer.startswith(b"HTTP/1.1 503 "), answer)
        self.assertIn(b"error=connection_limit_reached", answer)
        kept[0][0].close()
        until(lambda: self.socks(access, "ann")[1] == 0, what="a place")

    def test_new_connections_a_second(self):
        access = self.access({"type": "socks5", "limits": {"connects_per_second_per_source": 3}})
        access.port()
        replies = []
        for _ in range(12):
            try:
                replies.append(self.socks(access)[1])
            except (OSError, AssertionError):
                replies.append(None)
        self.assertGreaterEqual(replies.count(0), 3)
        self.assertIn(None, replies)
        access.wait_log(r"refused: limit reached limit=listen.limits.connects_per_second_per_source")

    def test_datagrams_over_the_rate_are_dropped(self):
        origin = self.world.udp_origin()
        access = self.access({"type": "udp", "to": "127.0.0.1:%d" % origin.port, "limits": {"rate": "32KiB/s"}})
        client = self.world.udp_client(access.port())
        started, n = time.monotonic(), 0
        client.settimeout(0.02)
        while time.monotonic() - started < SECONDS:
            client.send(bytes(1000))
            try:
                n += len(client.recv(2000))
            except (TimeoutError, ConnectionRefusedError):
                pass
        seconds = time.monotonic() - started
        self.assertLessEqual(n, 32 * KIB * seconds + BURST + 2000)
        self.assertGreater(n, 0)

    def test_plain_http_down_and_up(self):
        """Requests for http:// URLs, whose bytes no relay carries."""
        rate, size = MIB, MIB + 512 * KIB
        heard = []

        def serve(s):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += receive_exactly(s, 1)
            if head.startswith(b"POST"):
                heard.append(len(receive_exactly(s, size)))
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        origin = self.world.origin(serve)
        access = self.access({"type": "http", "limits": {"rate": "1MiB/s"}})
        # Down, then up and down: what the burst leaves takes its time.
        for head, least in ((b"GET", (size - BURST) / rate), (b"POST", 2 * size / rate - 2 * BURST / rate)):
            with connect(access.port()) as s:
                started = time.monotonic()
                s.sendall(b"%b http://%b/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % (head, origin.addr.encode())
                          + (b"Content-Length: %d\r\n\r\n" % size + bytes(size) if head == b"POST" else b"\r\n"))
                answer = receive_all(s)
                seconds = time.monotonic() - started
            self.assertEqual(len(answer.split(b"\r\n\r\n", 1)[1]), size)
            self.assertGreaterEqual(seconds, least - 0.02)
            self.assertLess(seconds, least * 2.5 + 1)
        self.assertEqual(heard, [size])

    def test_caps_of_users_change_with_a_reload(self):
        """Of a user who has three connections two are allowed, then four, then any number; rates hold at once."""
        users = self.users("ann")
        listener = {"type": "socks5", "name": "door", "users_file": users}
        access = self.access({**listener, "limits": {"connections_per_user": 3, "rate_per_user": "64MiB/s"}})
        kept = [self.socks(access, "ann") for _ in range(4)]
        self.assertEqual([reply for _, reply in kept], [0, 0, 0, 1])
        kept.pop()
        config = json.loads(pathlib.Path(self.world.path("access.json")).read_text())
        config["listen"][0]["addr"] = "127.0.0.1:%d" % access.port()
        n = 0

        def reload(limits):
            nonlocal n
            config["listen"][0]["limits"] = limits
            pathlib.Path(self.world.path("access.json")).write_text(json.dumps(config))
            access.signal(signal.SIGHUP)
            n += 1
            until(lambda: access.log().count("reloaded ") == n, what="reload %d" % n)

        reload({"connections_per_user": 2, "rate_per_user": "1MiB/s"})
        self.assertEqual(self.socks(access, "ann")[1], 1)
        download(kept[0][0], 0.5)  # what was let through before
        received, seconds = download(kept[0][0], 1)
        self.assertLessEqual(received, MIB * seconds + BURST + 8 * KIB)
        kept.pop()[0].close()
        access.wait_log(r"closed conn=")
        self.assertEqual(self.socks(access, "ann")[1], 1, "two are allowed, and two are open")
        reload({"connections_per_user": 4, "rate_per_user": "64MiB/s"})
        received, _ = download(kept[0][0], 1)
        self.assertGreater(received, 2 * MIB)
        self.assertEqual([self.socks(access, "ann")[1] for _ in range(3)], [0, 0, 1])
        reload({})
        self.assertEqual({self.socks(access, "ann")[1] for _ in range(4)}, {0})

    def test_datagrams_of_a_user_of_a_hop(self):
        """Natively and in a stream."""
        origin = self.world.udp_origin()
        key, path = self.world.key(), self.world.path("hop.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"listen": [{"addr": "127.0.0.1:0"}], "targets": {"allow": ["loopback"]},
                       "users": [{"name": "me", "key_file": key, "limits": {"rate": "64KiB/s"}}]}, f)
        for udp in ("datagram", "stream"):
            hop = self.world.add(Process([program("hop"), "-c", path]))
            chain = self.world.chain([("127.0.0.1:%d" % hop.port(), key)], udp=udp, name=udp + ".json")
            access = self.world.udp_access(chain, origin.addr)
            client = self.world.udp_client(access.port())
            client.settimeout(10)
            client.send(b"first")
            client.recv(100)
            started, n, before = time.monotonic(), 0, origin.count()
            client.settimeout(0.002)
            while time.monotonic() - started < SECONDS:
                client.send(bytes(1000))
                try:
                    n += len(client.recv(2000))
                except TimeoutError:
                    pass
            client.settimeout(0.2)
            try:
                while True:
                    n += len(client.recv(2000))
            except TimeoutError:
                pass
            most = 64 * KIB * (time.monotonic() - started) + BURST + 2000
            self.assertLessEqual((origin.count() - before) * 1000, most, udp)
            self.assertLessEqual(n, most, udp)
            self.assertGreater(n, BURST / 2, udp)

    def test_a_limit_per_user_needs_users(self):
        access = self.access({"type": "socks5", "limits": {"rate_per_user": "1MiB/s"}})
        self.assertEqual(access.wait(), 3)
        self.assertIn('"rate_per_user" needs users; this listener has no "users_file"', "".join(access.log()))


if __name__ == "__main__":
    unittest.main()
