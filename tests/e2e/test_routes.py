"""Rules: which chain a target gets, straight to it, or nowhere; and what access explain says about it.

    client ── access ══ hop "a" ── origin        all on loopback; who of "a", "b" and access itself came to the
                     ══ hop "b" ── origin        origin says the "closed" line, and the log of the hop
                     ───────────── origin
"""
import json
import pathlib
import re
import socket
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import WAIT, Process, World, connect, echo, program, receive_all, receive_exactly, received, until  # noqa: E402

PASSWORD = "correct horse"


def target5(host, port):
    try:
        return b"\x01" + socket.inet_aton(host) + struct.pack("!H", port)
    except OSError:
        return b"\x03" + bytes([len(host)]) + host.encode() + struct.pack("!H", port)


class Routes(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)

    def serve(self, routes, listen=None, groups=None, **files):
        """access with chains "a" and "b"; names of files: contents. Listeners are called l0, l1 …"""
        self.hops = dict(zip("ab", self.world.hops(2)))
        for name, text in files.items():
            pathlib.Path(self.world.path(name + ".txt")).write_text(text)
        listen = [{"addr": "127.0.0.1:0", "chain": "a", **more} for more in listen or [{}]]
        for i, listener in enumerate(listen):
            listener.setdefault("name", f"l{i}")
        self.config = {"listen": listen, "routes": routes, "chains": {
            name: {"hops": [{"addr": f"127.0.0.1:{hop.port()}", "key_file": hop.key}]} for name, hop in self.hops.items()}}
        if groups:
            self.config["groups"] = groups
        self.path = self.world.path("access.json")
        pathlib.Path(self.path).write_text(json.dumps(self.config, indent=1))
        self.access = self.world.add(Process([program("access"), "--config", self.path]))
        self.access.wait_log(r"listening .*")
        until(lambda: len(re.findall("listening addr", self.access.log())) == len(listen))
        self.ports = [int(p) for p in re.findall(r"listening addr=\S*:(\d+)", self.access.log())]

    def passwd(self, name):
        path = self.world.path("users")
        subprocess.run([program("chain"), "passwd", path, name], input=PASSWORD + "\n", text=True, check=True, timeout=WAIT,
                       capture_output=True)
        return path

    def client(self, i=0):
        s = connect(self.ports[i], WAIT)
        self.addCleanup(s.close)
        return s

    def socks5(self, host, port, i=0, user=None):
        """The reply's code, and the connection."""
        s = self.client(i)
        s.sendall(b"\x05\x01" + (b"\x02" if user else b"\x00"))
        self.assertEqual(receive_exactly(s, 2), b"\x05\x02" if user else b"\x05\x00")
        if user:
            s.sendall(b"\x01" + bytes([len(user)]) + user.encode() + bytes([len(PASSWORD)]) + PASSWORD.encode())
            self.assertEqual(receive_exactly(s, 2), b"\x01\x00")
        s.sendall(b"\x05\x01\x00" + target5(host, port))
        return receive_exactly(s, 10)[1], s

    def connect_http(self, host, port, i=0):
        """The answer's head, and the connection."""
        s = self.client(i)
        s.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += s.recv(1)
        return head.decode(), s

    def use_of(self, n_before):
        """use= and rule= of the closed line after the first @n_before."""
        def lines():
            return re.findall(r"closed (?:conn|flow)=.*? use=(\S+)(?: rule=(\S+))? up=", self.access.log())
        until(lambda: len(lines()) > n_before, what="closed line")
        return tuple(filter(None, lines()[n_before]))

    def goes(self, host, port, *use, i=0, user=None):
        """By SOCKS5 to an echo, where @use is what the closed line says."""
        before = self.access.log().count(" use=")
        reply, s = self.socks5(host, port, i, user)
        if use[0] == "block":
            self.assertEqual((reply, receive_all(s)), (2, b""))
        else:
            self.assertEqual(reply, 0, self.access.log())
            s.sendall(b"hello")
            self.assertEqual(receive_exactly(s, 5), b"hello")
        s.close()
        self.assertEqual(self.use_of(before), use)

    def explain(self, *args, code=0):
        done = subprocess.run([program("access"), "explain", "--config", self.path, *args], text=True, capture_output=True,
                              timeout=WAIT)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr if code else done.stdout.replace(self.path, "access.json")

    def test_targets(self):
        origin, other = self.world.origin(echo), self.world.origin(echo)
        self.serve([
            {"domains": ["localhost"], "ports": [origin.port], "use": "b"},
            {"name": "suffix", "domains": [".localhost"], "use": "direct"},
            {"cidrs": ["127.0.0.2/32"], "use": "direct"},
            {"name": "ports", "ports": [f"{other.port}-{other.port}"], "cidrs": ["loopback"], "use": "b"},
            {"cidrs": ["127.9.0.0/16"], "use": "block"},
        ])
        self.goes("127.0.0.1", origin.port, "a")
        self.goes("localhost", origin.port, "b", "#1")
        self.goes("LocalHost", origin.port, "b", "#1")
        self.goes("localhost", other.port, "direct", "suffix")
        self.goes("127.0.0.1", other.port, "b", "ports")
        self.goes("127.9.1.1", origin.port, "block", "#5")
        self.assertIn("rule=#5 target=127.9.1.1:%d" % origin.port, self.access.wait_log("blocked conn=.*").group(0))
        self.assertNotIn("failed conn", self.access.log())

    def test_who_and_where(self):
        origin = self.world.origin(echo)
        users = self.passwd("ann")
        self.passwd("bob")
        self.serve([
            {"users": ["bob"], "use": "block"},
            {"name": "named", "listeners": ["second"], "use": "b"},
            {"from": ["10.0.0.0/8"], "use": "block"},
            {"name": "local", "from": ["loopback"], "protocols": ["socks"], "use": "direct"},
            {"use": "block"},
        ], [{}, {"name": "second"}, {"users_file": users}])
        self.goes("127.0.0.1", origin.port, "direct", "local")
        self.goes("127.0.0.1", origin.port, "b", "named", i=1)
        self.goes("127.0.0.1", origin.port, "direct", "local", i=2, user="ann")
        self.goes("127.0.0.1", origin.port, "block", "#1", i=2, user="bob")

    def test_blocked_in_each_protocol(self):
        origin = self.world.origin(echo)
        self.serve([{"name": "no", "protocols": ["tcp", "http", "socks"], "use": "block"}],
                   [{}, {"to": origin.addr, "type": "tcp"}])
        self.assertEqual(self.socks5("127.0.0.1", origin.port)[0], 2)
        s = self.client()
        s.sendall(b"\x04\x01" + struct.pack("!H", origin.port) + socket.inet_aton("127.0.0.1") + b"\0")
        self.assertEqual(receive_exactly(s, 8)[:2], b"\0\x5b")
        head, s = self.connect_http("localhost", origin.port)
        self.assertEqual(head.splitlines()[0], "HTTP/1.1 403 Forbidden")
        self.assertIn(f'\r\nProxy-Status: hopchain; error=http_request_denied; details="rule no blocks '
                      f'localhost:{origin.port}"\r\n', head)
        self.assertEqual(receive_all(s), f"rule no blocks localhost:{origin.port}\n".encode())
        s = self.client()
        s.sendall(f"GET http://localhost:{origin.port}/ HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.assertIn(b"HTTP/1.1 403 Forbidden\r\n", s.recv(4096))
        with self.assertRaises(ConnectionResetError):
            self.client(1).recv(1)
        until(lambda: self.access.log().count("blocked conn=") == 5)
        self.assertEqual(len(re.findall("closed conn=.* use=block rule=no .*end=denied-policy", self.access.log())), 5)

    def associate(self):
        tcp = self.client()
        tcp.sendall(b"\x05\x01\x00" + b"\x05\x03\x00" + target5("0.0.0.0", 0))
        self.assertEqual(receive_exactly(tcp, 2), b"\x05\x00")
        return tcp, self.world.udp_client(struct.unpack("!H", receive_exactly(tcp, 10)[8:])[0])

    def test_datagrams(self):
        origins = [self.world.udp_origin() for _ in range(3)]
        self.serve([
            {"name": "no", "ports": [origins[0].port], "use": "block"},
            {"name": "udp", "protocols": ["udp"], "ports": [origins[1].port], "use": "b"},
            {"name": "connections", "protocols": ["tcp", "socks", "http"], "use": "block"},
        ], [{}, {"to": origins[0].addr, "type": "udp"}])
        tcp, udp = self.associate()
        heads = [b"\0\0\0" + target5("127.0.0.1", o.port) for o in origins]
        udp.send(heads[0] + b"blocked")
        for head in heads[1:]:
            udp.send(head + b"hello")
            self.assertEqual(received(udp, WAIT), head + b"hello")
        self.access.wait_log(r"blocked flow from=\S+ rule=no target=127\.0\.0\.1:%d" % origins[0].port)
        forward = self.world.udp_client(self.ports[1])
        forward.send(b"blocked")
        until(lambda: self.access.log().count("blocked flow") == 2)
        tcp.close()
        self.access.wait_log(r"closed flow=.* target=127\.0\.0\.1:%d use=b rule=udp up=5 " % origins[1].port)
        self.access.wait_log(r"closed flow=.* target=127\.0\.0\.1:%d use=a up=5 " % origins[2].port)
        self.assertEqual([o.count() for o in origins], [0, 1, 1])

    def test_listeners_without_rules(self):
        origin = self.world.origin(echo)
        self.serve([], [{"chain": "direct"}, {"chain": "both"}], groups={"both": {"any": ["b", "direct"], "strategy": "first"}})
        self.access.wait_log(r"listening addr=\S+ proxy=\S+ users=no hops=0 chain=direct$")
        self.access.wait_log(r"listening addr=\S+ proxy=\S+ users=no group=both chains=2$")
        self.goes("127.0.0.1", origin.port, "direct")
        self.goes("127.0.0.1", origin.port, "both", i=1)

    def test_list_files(self):
        self.serve([
            {"name": "ads", "domains_file": ["plain.txt", "hosts.txt"], "use": "block"},
            {"name": "nets", "cidrs_file": "nets.txt", "use": "block"},
        ], plain="# ads\r\n\r\nads.example # of those\r\n.tracker.example\r\n*.below.example",
            hosts="127.0.0.1 localhost\n::1 ip6-localhost\n0.0.0.0 0.0.0.0\n0.0.0.0\tone.example  two.example\n",
            nets="192.0.2.0/24 ; SBL1\n# IPv6\n2001:db8::/32\n198.51.100.7\n")
        blocked = ["ads.example:1", "x.tracker.example:1", "tracker.example:1", "a.b.below.example:1", "one.example:1",
                   "TWO.example:1", "192.0.2.255:1", "[2001:db8::9]:1", "198.51.100.7:1", "[::ffff:192.0.2.1]:1"]
        through = ["x.ads.example:1", "below.example:1", "localhost:1", "192.0.3.0:1", "198.51.100.8:1", "[2001:db9::]:1"]
        for target in blocked + through:
            said = json.loads(self.explain("--json", target))
            self.assertEqual(said["use"], "block" if target in blocked else "a", target)
        self.assertEqual(self.socks5("ads.example", 1)[0], 2)

    def test_list_files_that_are_wrong(self):
        cases = [
            ("domains_file", "a.example\nb c\n", "list.txt:2:3: error: expected one domain on a line, or ADDRESS NAME…"),
            ("domains_file", "a.example\n\n9.9.9.9", 'list.txt:3:1: error: "9.9.9.9" is an address; addresses belong into "cidrs"'),
            ("domains_file", "http://a.example/",
             'list.txt:1:1: error: "http://a.example/" is not a domain; expected "example.org", "*.example.org" (all below it) '
             'or ".example.org" (both)'),
            ("cidrs_file", "10.0.0.0/8\n10.0.0.0/33", 'list.txt:2:1: error: "10.0.0.0/33" is not a network; expected an IP '
             'address, a CIDR or one of any, local, loopback, private, link-local'),
            ("cidrs_file", "10.0.0.0/8:22", 'list.txt:1:1: error: "10.0.0.0/8:22": ports belong into "ports"'),
            ("cidrs_file", "10.0.0.1 10.0.0.2", "list.txt:1:10: error: expected one network on a line"),
            ("domains_file", "a\0.example", 'list.txt:1:1: error: "a?.example" is not a domain; expected "example.org", '
             '"*.example.org" (all below it) or ".example.org" (both)'),
            ("domains_file", "0.0.0.0" + " bad!" * 1000000, 'list.txt:1:9: error: "bad!" is not a domain; expected "example.org", '
             '"*.example.org" (all below it) or ".example.org" (both)'),
        ]
        self.serve([])
        for member, text, message in cases:
            pathlib.Path(self.world.path("list.txt")).write_text(text)
            wrong = {**self.config, "routes": [{member: "list.txt", "use": "block"}]}
            pathlib.Path(self.world.path("wrong.json")).write_text(json.dumps(wrong))
            done = subprocess.run([program("access"), "check", self.world.path("wrong.json")], text=True, capture_output=True,
                                  timeout=WAIT)
            self.assertLessEqual(done.stderr.count(": error: "), 20)
            self.assertEqual((done.returncode, done.stderr.splitlines()[0].removeprefix(str(self.world.dir) + "/")), (3, message))

    def test_explain(self):
        self.serve([
            {"domains": ["*.lan"], "use": "direct"},
            {"name": "ads", "domains": ["ads.example"], "use": "block"},
            {"cidrs": ["private"], "ports": [22], "from": ["10.0.0.0/8"], "use": "both"},
            {"protocols": ["udp"], "users": ["nobody"], "use": "b"},
        ][:3], groups={"both": {"any": ["a", {"use": "b", "weight": 2}, "direct"]}})
        a, b = (f"127.0.0.1:{hop.port()}" for hop in self.hops.values())
        lines = [i for i, line in enumerate(json.dumps(self.config, indent=1).splitlines(), 1) if line == "  {"][1:]
        self.assertEqual(self.explain("wiki.lan:80"),
                         f'wiki.lan:80 by socks, listener "l0"\nrule #1 (access.json:{lines[0]}) says: direct\n'
                         "  chain direct: no hops, straight to the target\n")
        self.assertEqual(self.explain("ads.example:80", "--protocol", "http", "--user", "ann"),
                         f'ads.example:80 by http, listener "l0", user "ann"\n  not rule #1 (access.json:{lines[0]}): domains\n'
                         f'rule #2 "ads" (access.json:{lines[1]}) says: block\n')
        self.assertEqual(self.explain("10.0.0.5:22", "--from", "10.1.1.1"),
                         f'10.0.0.5:22 by socks, listener "l0", from 10.1.1.1\n'
                         f"  not rule #1 (access.json:{lines[0]}): domains: the target is an address\n"
                         f'  not rule #2 "ads" (access.json:{lines[1]}): domains: the target is an address\n'
                         f"rule #3 (access.json:{lines[2]}) says: both\ngroup both: 3 chains by lowest-rtt\n"
                         f"  chain a weight 1: {a}\n  chain b weight 2: {b}\n"
                         "  chain direct weight 1: no hops, straight to the target\n")
        self.assertEqual(self.explain("10.0.0.5:22").splitlines()[3:],
                         [f"  not rule #3 (access.json:{lines[2]}): from: the source is not known",
                          "no rule matches: its listener says: a", f"  chain a: {a}"])
        self.assertEqual(json.loads(self.explain("x.org:22", "--from", "::1", "--json").replace(self.path, "access.json")), {
            "target": "x.org:22", "from": "::1", "user": None, "listener": "l0", "protocol": "socks", "file": "access.json",
            "rule": None, "use": "a", "strategy": None, "n_skipped": 3,
            "skipped": [{"number": 1, "name": None, "line": lines[0], "why": "domains"},
                        {"number": 2, "name": "ads", "line": lines[1], "why": "domains"},
                        {"number": 3, "name": None, "line": lines[2], "why": "from"}],
            "chains": [{"name": "a", "weight": 1, "hops": [[a]]}]})
        self.assertIn('no listener named "l1"; did you mean "l0"?', self.explain("a:1", "--listener", "l1", code=2))
        self.assertIn('"x" is not an IP address', self.explain("a:1", "--from", "x", code=2))
        self.assertIn("needs HOST:PORT", self.explain(code=2))

    def test_explain_shows_names_of_records(self):
        self.path = self.world.path("access.json")
        key = self.world.path("records.key")
        subprocess.run([program("chain"), "keygen", "-o", key], check=True, timeout=WAIT, capture_output=True)
        hops = [{"addr": "srv:_hop._tcp.example.net", "key_file": key}]
        pathlib.Path(self.path).write_text(json.dumps({"listen": [{"addr": "127.0.0.1:0"}], "chains": {"a": {"hops": hops}}}))
        self.assertIn("  chain a: srv:_hop._tcp.example.net\n", self.explain("x.org:22"))
        self.assertEqual(json.loads(self.explain("--json", "x.org:22"))["chains"],
                         [{"name": "a", "weight": 1, "hops": [["srv:_hop._tcp.example.net"]]}])

    def test_explain_counts_what_it_does_not_show(self):
        self.serve([{"domains": ["x%d.example" % i], "use": "block"} for i in range(30)])
        lines = self.explain("a.example:1").splitlines()
        self.assertEqual(len(lines), 1 + 20 + 1 + 2)
        self.assertEqual(lines[21:23], ["  nor 10 rules more", "no rule matches: its listener says: a"])
        said = json.loads(self.explain("a.example:1", "--json"))
        self.assertEqual((len(said["skipped"]), said["n_skipped"]), (20, 30))


if __name__ == "__main__":
    unittest.main()
