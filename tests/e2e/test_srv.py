"""Hops by SRV records of a real name server, which change and go away.

    clients ── access ══ srv:_hop._tcp.example.org ── origin      hops a, b: one key       all on loopback
                  └┄┄┄┄┄ dnsmasq
"""
import json
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import WAIT, Process, World, connect, echo, program, receive_exactly, until  # noqa: E402

NAME = "_hop._tcp.example.org"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Srv(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.origin = self.world.origin(echo)
        self.key = self.world.key()
        self.dns_ip, self.dns_port = "127.0.0.1", free_port()

    def hop(self):
        hop = self.world.hop(self.key)
        hop.port()
        return hop

    def dns(self, *records):
        """A name server that knows @records: (hop, priority, weight)."""
        args = ["--srv-host=%s,%s.example.org,%d,%d,%d" % (NAME, "abc"[i], hop.port(), priority, weight)
                for i, (hop, priority, weight) in enumerate(records)]
        server = self.world.add(Process(
            ["/usr/sbin/dnsmasq", "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
             "--bind-interfaces", "--listen-address=" + self.dns_ip, "--port=%d" % self.dns_port, "--pid-file=", "--user=",
             "--local-ttl=1", "--log-queries"] + ["--host-record=%s.example.org,127.0.0.1,600" % c for c in "abc"] + args))
        server.wait_log("started")
        return server

    def config(self, listener, **more):
        chain = {"hops": [dict({"addr": "srv:" + NAME, "key_file": self.key}, **more)]}
        path = self.world.path("access%d.json" % len(self.world.things))
        pathlib.Path(path).write_text(json.dumps({
            "dns": {"servers": ["127.0.0.1:%d" % self.dns_port]}, "chains": {"c": chain},
            "listen": [dict({"addr": "127.0.0.1:0"}, **listener)]}))
        access = self.world.add(Process([program("access"), "--config", path]))
        access.port()
        return access

    def once(self, access):
        with connect(access.port()) as s:
            s.sendall(b"x")
            self.assertEqual(receive_exactly(s, 1), b"x")

    def served(self, hop):
        return len(re.findall(r"\bclosed\b.* target=127", hop.log()))

    def test_records_are_candidates_that_change_at_their_time_and_outlive_their_server(self):
        a, b, c = self.hop(), self.hop(), self.hop()
        dns = self.dns((a, 10, 1), (b, 20, 1))
        access = self.config({"to": self.origin.addr})
        for _ in range(5):
            self.once(access)
        until(lambda: self.served(a) == 5, what="the one of higher priority")
        a.end()
        for _ in range(5):
            self.once(access)
        until(lambda: self.served(b) == 5, what="the other record")
        dns.end()
        dns = self.dns((c, 10, 1))

        def is_new():
            self.once(access)
            return self.served(c) > 0

        until(is_new, 15, "the new record")
        before = self.served(b)
        dns.end()  # the records hold for a second, the address of c for longer
        access.wait_log("no SRV records .*used=the-old-ones", timeout=20)
        self.once(access)
        self.assertEqual(self.served(b), before)
        self.assertNotIn("failed conn", access.log())

    def test_connections_and_flows_wait_for_the_first_answer(self):
        a = self.hop()
        origin = self.world.udp_origin()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:  # a name server, silent at first
            silent.bind(("127.0.0.1", self.dns_port))
            tcp = self.config({"to": self.origin.addr})
            udp = self.config({"type": "udp", "to": origin.addr})
            client = self.world.udp_client(udp.port())
            client.send(b"first")
            s = connect(tcp.port())
            s.sendall(b"x")
            for _ in range(2):
                silent.recv(1500)
        self.dns((a, 0, 0))
        with s:
            self.assertEqual(receive_exactly(s, 1), b"x")
        client.settimeout(WAIT)
        self.assertEqual(client.recv(100), b"first")

    def test_no_records_is_said(self):
        self.dns()
        access = self.config({"to": self.origin.addr})
        with connect(access.port()) as s, self.assertRaises(ConnectionError):
            s.recv(1)
        access.wait_log(r"failed conn=\S+ hop=1 stage=resolve")

    @unittest.skipUnless(os.geteuid() == 0, "needs root for a resolv.conf of its own")
    def test_the_tool(self):
        origin = self.world.udp_origin()
        self.dns_ip, self.dns_port = "127.%d.%d.%d" % tuple(random.choices(range(1, 255), k=3)), 53  # resolv.conf has no ports
        self.dns((self.hop(), 0, 0))
        chain, resolv = self.world.path("chain.json"), self.world.path("resolv.conf")
        pathlib.Path(chain).write_text(json.dumps({"hops": [{"addr": "srv:" + NAME, "key_file": self.key}]}))
        pathlib.Path(resolv).write_text("nameserver %s\n" % self.dns_ip)
        for args, target in ((["--udp"], origin.addr), ([], self.origin.addr)):
            done = subprocess.run(
                ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', resolv, program("chain"),
                 "connect", "--chain", chain] + args + [target], input=b"there and back", capture_output=True, timeout=30)
            self.assertEqual((done.returncode, done.stdout), (0, b"there and back"), done.stderr)


if __name__ == "__main__":
    unittest.main()
