"""Connections survive a dead hop.

    curl … ── access ══ hop a
                    ╠══ hop b        "any": one of them, as long as it lives
                    ╚══ hop c ── origin                                       all on loopback
"""
import json
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import WAIT, World, connect, echo, program, receive_exactly, recovery_s, until  # noqa: E402

N_CLIENTS = 4


class Groups(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.origin = self.world.origin(echo)

    def group(self, hops, name="group.json", weights=None, before=(), **more):
        members = []
        for i, hop in enumerate(hops):
            member = {"name": "abc"[i], "addr": "127.0.0.1:%d" % hop.port(), "key_file": hop.key}
            if weights:
                member["weight"] = weights[i]
            members.append(member)
        steps = [{"addr": "127.0.0.1:%d" % hop.port(), "key_file": hop.key} for hop in before]
        path = self.world.path(name)
        pathlib.Path(path).write_text(json.dumps({"hops": steps + [dict(any=members, **more)]}))
        return path

    def access(self, chain, *args):
        access = self.world.access(chain, "--to", self.origin.addr, *args)
        access.port()
        return access

    def once(self, port, timeout=WAIT):
        """One connection, there and back. Return: seconds until the echo."""
        start = time.monotonic()
        with connect(port, timeout) as s:
            s.sendall(b"x")
            assert receive_exactly(s, 1) == b"x"
        return time.monotonic() - start

    def served(self, hop):
        return len(re.findall(r"\bclosed\b.* target=127", hop.log()))

    def again(self, hop):
        """The hop that was @hop, at its port."""
        port = hop.port()
        hop.end()
        return self.world.hop(hop.key, listen="127.0.0.1:%d" % port)

    def clients(self, port, until_done):
        """Short connections, one after the other, from several threads. Return: times, errors."""
        times, errors = [], []

        def run():
            while not until_done.is_set():
                try:
                    times.append(self.once(port))
                except (OSError, AssertionError) as e:
                    errors.append(repr(e))

        threads = [threading.Thread(target=run) for _ in range(N_CLIENTS)]
        for thread in threads:
            thread.start()
        return times, errors, threads

    def test_no_client_sees_a_hop_die(self):
        for strategy in ("round-robin", "lowest-rtt"):
            with self.subTest(strategy):
                hops = self.world.hops(3)
                access = self.access(self.group(hops, strategy=strategy, retry_after="1s"))
                done = threading.Event()
                times, errors, threads = self.clients(access.port(), done)
                try:
                    for i in range(3):
                        n = len(times)
                        until(lambda n=n: len(times) > n + 100, what="connections")
                        hops[i].signal(signal.SIGKILL)
                        hops[i].wait()
                        n = len(times)
                        until(lambda n=n: len(times) > n + 100, what="connections while one is dead")
                        hops[i] = self.again(hops[i])
                        port = hops[i].port()
                        if strategy == "round-robin":  # else it may be one that nothing goes over
                            access.wait_log(r"put aside .*:%d\b" % port)
                            access.wait_log(r"back again .*:%d\b" % port)
                finally:
                    done.set()
                    for thread in threads:
                        thread.join()
                # What a hop carried when it was killed cannot be saved: that alone.
                lost = len(re.findall(r"\blost conn=", access.log()))
                failed = re.findall(r".*\bfailed conn=.*", access.log())
                self.assertEqual(failed, [])
                self.assertLessEqual(len(errors), lost + 3 * N_CLIENTS, errors)
                self.assertGreater(len(times), 500)

    def test_a_silent_hop_costs_its_time_and_no_client(self):
        hops = self.world.hops(3)
        access = self.access(self.group(hops, strategy="first", max_fails=2))
        self.once(access.port())
        hops[0].signal(signal.SIGSTOP)
        try:
            times = [self.once(access.port()) for _ in range(20)]
        finally:
            hops[0].signal(signal.SIGCONT)
        self.assertLess(max(times), 2.5)
        self.assertEqual(sum(t > 0.9 for t in times), 2, times)
        self.assertRegex(access.log(), r"put aside hop=1 addr=127\.0\.0\.1:%d status=no-answer" % hops[0].port())

    def test_who_is_silent_is_asked_again_and_comes_back(self):
        hops = self.world.hops(2)
        access = self.access(self.group(hops, strategy="first", max_fails=1, retry_after="500ms"))
        hops[0].signal(signal.SIGSTOP)
        self.once(access.port())
        hops[0].signal(signal.SIGCONT)
        access.wait_log("back again")
        before = self.served(hops[1])
        for _ in range(5):
            self.assertLess(self.once(access.port()), 0.9)
        until(lambda: self.served(hops[0]) >= 5)
        self.assertEqual(self.served(hops[1]), before)

    def test_all_dead_names_a_hop(self):
        hops = self.world.hops(3)
        access = self.world.access(self.group(hops))
        access.port()
        for hop in hops:
            hop.end()
        done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-x", "socks5h://127.0.0.1:%d" % access.port(),
                               "http://" + self.origin.addr], timeout=30)
        self.assertEqual(done.returncode, 97)
        found = access.wait_log(r'failed conn=\S+ hop=1 stage=dial status=refused why="hop 1 \(127\.0\.0\.1:(\d+)\)')
        self.assertIn(int(found.group(1)), [hop.port() for hop in hops])

    def test_turns_follow_the_weights(self):
        hops = self.world.hops(3)
        access = self.access(self.group(hops, weights=[3, 1, 1], strategy="round-robin"))
        for _ in range(50):
            self.once(access.port())
        until(lambda: sum(map(self.served, hops)) == 50)
        self.assertEqual([self.served(hop) for hop in hops], [30, 10, 10])

    def test_chance_follows_the_weights(self):
        hops = self.world.hops(2)
        access = self.access(self.group(hops, weights=[3, 1], strategy="random"))
        for _ in range(200):
            self.once(access.port())
        until(lambda: sum(map(self.served, hops)) == 200)
        self.assertTrue(120 < self.served(hops[0]) < 178, self.served(hops[0]))

    def test_a_source_keeps_its_hop(self):
        hops = self.world.hops(3)
        access = self.access(self.group(hops, strategy="hash-source"))
        for _ in range(30):
            self.once(access.port())
        until(lambda: sum(map(self.served, hops)) == 30)
        self.assertEqual(sorted(self.served(hop) for hop in hops), [0, 0, 30])

    def test_an_exit_behind_one_hop(self):
        first = self.world.hop(self.world.key())
        hops = self.world.hops(2)
        access = self.access(self.group(hops, before=[first], strategy="first"))
        self.once(access.port())
        hops[0].end()
        for _ in range(10):
            self.once(access.port())
        self.assertRegex(access.log(), r"put aside hop=2 addr=127\.0\.0\.1:%d status=refused" % hops[0].port())
        self.assertNotRegex(access.log(), r"put aside hop=1")

    def test_what_the_target_says_is_final(self):
        hops = self.world.hops(2)
        access = self.access(self.group(hops, strategy="first"))
        self.origin.end()
        for _ in range(5):
            with self.assertRaises((OSError, AssertionError)):
                self.once(access.port())
        access.wait_log("status=refused")
        self.assertEqual(self.served(hops[1]), 0)
        self.assertNotIn("put aside", access.log())

    def test_datagrams_go_around_a_dead_hop(self):
        origin = self.world.udp_origin()
        hops = self.world.hops(2)
        access = self.world.udp_access(self.group(hops, strategy="first"), origin.addr)
        self.assertLess(recovery_s(self.world.udp_client(access.port())), 2)
        hops[0].end()
        for _ in range(3):
            self.assertLess(recovery_s(self.world.udp_client(access.port()), timeout=20), 6)
        self.assertLess(recovery_s(self.world.udp_client(access.port())), 1, "it is aside by now")

    def test_the_tool_goes_around_a_dead_hop(self):
        hops = self.world.hops(2)
        chain = self.group(hops, strategy="first")
        hops[0].end()
        for _ in range(3):
            done = subprocess.run([program("chain"), "connect", "--chain", chain, self.origin.addr], input=b"there and back",
                                  capture_output=True, timeout=30)
            self.assertEqual((done.returncode, done.stdout), (0, b"there and back"), done.stderr)


if __name__ == "__main__":
    unittest.main()
