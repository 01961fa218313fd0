"""Every limit of hop and access: what the one too many meets, and that the next is served again."""
import json
import os
import pathlib
import resource
import select
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import (World, Process, connect, echo, program, receive_exactly, until)  # noqa: E402

PAST, FUTURE = "2001-01-01T00:00:00Z", "2101-01-01T00:00:00Z"


def connect_from(source, port):
    return socket.create_connection(("127.0.0.1", port), 10, (source, 0))


def is_open(s, wait=0.15):
    """Whether nothing has come from the other side: no byte, no end, no reset."""
    return not select.select([s], [], [], wait)[0]


def is_turned_away(port, source="127.0.0.1", wait=2.0):
    """Whether a new connection is reset."""
    try:
        with connect_from(source, port) as s:
            s.settimeout(wait)
            s.recv(1)
    except ConnectionResetError:
        return True
    except TimeoutError:
        pass
    return False


def is_served(port, wait=2.0):
    """Whether a client of @port reaches the echo origin."""
    try:
        with connect(port) as s:
            s.settimeout(wait)
            s.sendall(b"served?")
            return receive_exactly(s, 7) == b"served?"
    except (OSError, AssertionError):
        return False


class Case(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.origin = self.world.origin(echo)
        self.kept = []
        self.addCleanup(lambda: [s.close() for s in self.kept])

    def write(self, name, content):
        path = self.world.path(name)
        with open(path, "w") as f:
            json.dump(content, f)
        return path

    def user(self, key, **more):
        return dict({"name": "me", "key_file": key}, **more)

    def hop(self, users, **more):
        config = dict({"listen": [{"addr": "127.0.0.1:0"}], "users": users,
                       "targets": {"allow": ["loopback"]}}, **more)
        return self.world.add(Process([program("hop"), "--config", self.write("hop.json", config)]))

    def hop_with(self, user=None, **more):
        """A hop with one user, who has one key."""
        key = self.world.key()
        hop = self.hop([self.user(key, **(user or {}))], **more)
        hop.key = key
        return hop

    def access_to(self, hop, key=None, name="chain.json", preexec=None, **more):
        pair = ("127.0.0.1:%d" % hop.port(), key or hop.key)
        chain = self.world.chain([pair], self.origin.addr, name=name, **more)
        return self.world.access(chain, preexec=preexec)

    def access_with(self, hop, listener=None, **more):
        chain = self.world.chain([hop], self.origin.addr)
        config = dict({"listen": [dict({"addr": "127.0.0.1:0", "chain": "c"}, **(listener or {}))],
                       "chains": {"c": {"file": chain}}}, **more)
        return self.world.add(Process([program("access"), "--config", self.write("access.json", config)]))

    def keep(self, s):
        self.kept.append(s)
        return s

    def keep_served(self, port):
        s = self.keep(connect(port))
        s.sendall(b"x")
        self.assertEqual(receive_exactly(s, 1), b"x")


class Hop(Case):
    def test_connections_per_source(self):
        hop = self.hop_with(limits={"connections_per_source": 3})
        port = hop.port()
        for _ in range(3):
            self.assertTrue(is_open(self.keep(connect(port))))
        self.assertTrue(is_turned_away(port))
        hop.wait_log(r"refused: connection limit reached from=127\.0\.0\.1:\d+")
        self.assertTrue(is_open(self.keep(connect_from("127.0.0.9", port))), "another source has its own share")
        self.kept.pop(0).close()
        until(lambda: is_open(self.keep(connect(port))), what="a place that was given back")

    def test_connections_in_all(self):
        hop = self.hop_with(limits={"connections": 3})
        port = hop.port()
        for i in range(3):
            self.assertTrue(is_open(self.keep(connect_from("127.0.0.%d" % (i + 1), port))))
        self.assertTrue(is_turned_away(port, "127.0.0.9"))
        hop.wait_log(r"refused: connection limit reached")
        self.kept.pop(0).close()
        until(lambda: is_open(self.keep(connect(port))), what="a place that was given back")

    def test_handshakes_per_second(self):
        hop = self.hop_with(limits={"handshakes_per_second": 5})
        access = self.access_to(hop)
        port = hop.port()
        n_open = sum(not is_turned_away(port, wait=0.02) for _ in range(30))
        self.assertGreaterEqual(n_open, 5)
        self.assertLess(n_open, 15)
        until(lambda: is_served(access.port()), 3, "served again a second later")

    def test_connects_per_second_are_told(self):
        hop = self.hop_with(user={"limits": {"connects_per_second": 2}})
        access = self.access_to(hop)
        n_served = sum(is_served(access.port()) for _ in range(10))
        self.assertGreaterEqual(n_served, 2)
        self.assertLess(n_served, 10)
        access.wait_log(r"failed .*hop=1 .*status=rate why=")
        hop.wait_log(r"closed .*user=me .*end=rate")
        until(lambda: is_served(access.port()), 3, "served again a second later")


class Access(Case):
    def test_connections_in_all(self):
        access = self.access_with(self.hop_with(), limits={"connections": 2})
        self.one_too_many(access)

    def test_connections_of_a_listener(self):
        access = self.access_with(self.hop_with(), listener={"limits": {"connections": 2}})
        self.one_too_many(access)

    def one_too_many(self, access):
        port = access.port()
        for _ in range(2):
            self.keep_served(port)
        self.assertTrue(is_turned_away(port, "127.0.0.9"))
        access.wait_log(r"refused: limit reached limit=\S*limits\.connections from=127\.0\.0\.9:\d+")
        self.kept.pop(0).close()
        until(lambda: is_served(port), what="a place that was given back")

    def test_connections_per_source(self):
        for where in ("listener", "everywhere"):
            with self.subTest(where=where):
                limits = {"limits": {"connections_per_source": 2}}
                hop = self.hop_with()
                access = self.access_with(hop, listener=limits) if where == "listener" \
                    else self.access_with(hop, **limits)
                port = access.port()
                for _ in range(2):
                    self.keep_served(port)
                self.assertTrue(is_turned_away(port))
                with connect_from("127.0.0.9", port) as other:
                    other.sendall(b"x")
                    self.assertEqual(receive_exactly(other, 1), b"x")
                while self.kept:
                    self.kept.pop().close()
                until(lambda: is_served(port), what="a place that was given back")

    def test_descriptors_run_out_and_come_back(self):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

        access = self.access_to(self.hop_with(), preexec=few)
        port = access.port()
        for _ in range(100):
            self.keep(connect(port)).sendall(b"x")
        until(lambda: access.n_fds() >= 60, what="out of descriptors")
        begin, cpu = time.monotonic(), access.cpu_s()
        is_open(self.kept[-1], 0.5)
        self.assertLess((access.cpu_s() - cpu) / (time.monotonic() - begin), 0.5, "no spinning")
        for s in self.kept:
            s.close()
        until(lambda: is_served(port), 5, "served again")


class Users(Case):
    def test_two_keys_while_one_is_changed(self):
        old, new = self.world.key(), self.world.key()
        hop = self.hop([{"name": "me", "keys": [{"key_file": old, "not_after": FUTURE}, {"key_file": new}]}])
        for name, key in (("old", old), ("new", new)):
            with self.subTest(key=name):
                self.assertTrue(is_served(self.access_to(hop, key, name).port()))

    def test_a_key_out_of_its_dates(self):
        for dates in ({"not_after": PAST}, {"not_before": FUTURE}):
            with self.subTest(**dates):
                old, new = self.world.key(), self.world.key()
                hop = self.hop([{"name": "me", "keys": [dict({"key_file": old}, **dates), {"key_file": new}]}])
                timeouts = {"connect": "300ms", "handshake": "300ms"}
                access = self.access_to(hop, old, "old", timeouts=timeouts)
                self.assertFalse(is_served(access.port()))
                access.wait_log(r"status=no-answer")
                hop.wait_log(r"rejected reason=expired-key from=127\.0\.0\.1:\d+ user=me")
                self.assertTrue(is_served(self.access_to(hop, new, "new").port()))

    def test_a_folder_of_users(self):
        folder = pathlib.Path(self.world.path("users"))
        folder.mkdir()
        for name in ("ann", "bob"):
            subprocess.run([program("chain"), "keygen", "-o", str(folder / (name + ".key"))], check=True)
        (folder / "README").write_text("not a key\n")
        hop = self.world.add(Process([program("hop"), "--config", self.write("hop.json", {
            "listen": [{"addr": "127.0.0.1:0"}], "users_dir": "users", "targets": {"allow": ["loopback"]}})]))
        hop.wait_log(r"listening .*users=2")
        for name in ("ann", "bob"):
            self.assertTrue(is_served(self.access_to(hop, str(folder / (name + ".key")), name).port()))
            hop.wait_log(r"closed .*user=%s " % name)


class Replay(Case):
    def captured(self, hop):
        """A header that @hop has accepted."""
        headers = []
        holder = self.world.origin(lambda s: headers.append(receive_exactly(s, 128)))
        access = self.world.access(self.world.chain([(holder.addr, hop.key)], self.origin.addr, "held.json"))
        with connect(access.port()):
            until(lambda: headers)
        with connect(hop.port()) as s:
            s.sendall(headers[0])
            receive_exactly(s, 96)
        return headers[0]

    def start(self, key, file, strict):
        hop = self.hop([self.user(key)], replay={"file": file, "strict": strict})
        hop.key = key
        return hop

    def refuses(self, hop, header, reason):
        s = self.keep(connect(hop.port()))
        s.sendall(header)
        hop.wait_log(r"rejected.* reason=%s" % reason)
        self.assertTrue(is_open(s), "silence")

    def test_a_kill_forgets_nothing(self):
        for strict in (False, True):
            with self.subTest(strict=strict):
                key, file = self.world.key(), self.world.path("replay%d" % strict)
                self.start(key, file, False).port()
                self.world.things[-1].end()
                hop = self.start(key, file, strict)
                header = self.captured(hop)
                for _ in range(3):
                    hop.signal(signal.SIGKILL)
                    hop.wait()
                    begin = time.monotonic()
                    hop = self.start(key, file, strict)
                    hop.wait_log("replay store state=intact")
                    hop.port()
                    self.assertLess(time.monotonic() - begin, 3, "an intact file needs no pause")
                    self.refuses(hop, header, "replayed")
                self.assertTrue(is_served(self.access_to(hop).port()))

    def test_strict_without_the_file(self):
        key, file = self.world.key(), self.world.path("replay")
        hop = self.start(key, file, False)
        header = self.captured(hop)
        hop.end()
        os.unlink(file)
        hop = self.start(key, file, True)
        hop.wait_log("replay store state=new")
        hop.wait_log("listening", 15)
        self.refuses(hop, header, "clock")
        self.assertTrue(is_served(self.access_to(hop).port()), "nobody whose clock is right meets silence")

    def test_two_hops_with_one_file(self):
        key, file = self.world.key(), self.world.path("replay")
        hop = self.start(key, file, False)
        hop.port()
        second = subprocess.run([program("hop"), "--listen", "127.0.0.1:0", "--user", "me,%s" % key,
                                 "--replay-file", file], capture_output=True, text=True, timeout=10)
        self.assertNotEqual(second.returncode, 0)
        self.assertIn(file, second.stderr)
        self.assertRegex(second.stderr, r"in use|another (process|hop)|locked")
        self.captured(hop)

    @unittest.skipUnless(os.geteuid() == 0, "mounts a small file system")
    def test_a_full_disk(self):
        key, disk = self.world.key(), self.world.path("disk")
        os.mkdir(disk)
        script = 'mount -t tmpfs -o size=8k none "$1" || exit 9; disk=$1; shift; exec "$@"'
        hop = self.world.add(Process(["unshare", "-m", "sh", "-c", script, "sh", disk, program("hop"), "--listen",
                                      "127.0.0.1:0", "--user", "me,%s" % key, "--allow", "loopback",
                                      "--replay-file", disk + "/replay"]))
        hop.key = key
        try:
            hop.port()
        except AssertionError:
            if hop.process.poll() in (1, 9):
                self.skipTest("no mount here: " + hop.log())
            raise
        access = self.access_to(hop, timeouts={"connect": "300ms", "handshake": "300ms"})
        self.assertFalse(is_served(access.port()), "a header that cannot be remembered is refused")
        hop.wait_log(r"error replay store cannot grow, refusing error=ENOSPC")
        self.assertIsNone(hop.process.poll())
        subprocess.run(["nsenter", "-t", str(hop.pid), "-m", "mount", "-o", "remount,size=1m", disk], check=True)
        until(lambda: is_served(access.port()), 5, "served once there is room")


class Signals(Case):
    def survives(self, number):
        hop = self.hop_with()
        access = self.access_to(hop)
        self.keep_served(access.port())
        for process in (hop, access):
            process.signal(number)
        self.assertTrue(is_served(access.port()), "hop %s, access %s" % (hop.process.poll(), access.process.poll()))
        self.kept[0].sendall(b"y")
        self.assertEqual(receive_exactly(self.kept[0], 1), b"y")

    def test_a_broken_pipe_does_not_kill(self):
        self.survives(signal.SIGPIPE)

    def test_a_hangup_does_not_kill(self):
        self.survives(signal.SIGHUP)


if __name__ == "__main__":
    unittest.main(verbosity=2)
