"""A new configuration while a server runs: what stays the same is not touched, what is wrong changes nothing.

    client ── access ══ hop ── origin          all on loopback
"""
import http.client
import json
import os
import pathlib
import random
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import (WAIT, Process, World, connect, echo, program, receive_all, receive_exactly, received,  # noqa: E402
                     recovery_s, until)

RELOADED = r"reloaded .*took_ms="
FAILED = r"reload failed, nothing changed"

# An origin of its own process: one thread for thousands of connections.
ECHO = """
import resource, selectors, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
server = socket.create_server(("127.0.0.1", 0), backlog=4096)
waiting = selectors.DefaultSelector()
waiting.register(server, selectors.EVENT_READ)
print("port", server.getsockname()[1], file=sys.stderr, flush=True)
while True:
    for key, _ in waiting.select():
        if key.fileobj is server:
            waiting.register(server.accept()[0], selectors.EVENT_READ)
            continue
        try:
            data = key.fileobj.recv(65536)
            key.fileobj.sendall(data)
        except OSError:
            data = b""
        if not data:
            waiting.unregister(key.fileobj)
            key.fileobj.close()
"""


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def lines(process, pattern):
    with process.changed:
        return [line for line in process.lines if line is not None and re.search(pattern, line)]


class Running:
    """A server with a file that can be rewritten."""

    def __init__(self, world, name, config, *args):
        self.path = world.path("%s.json" % name)
        self.write(config)
        self.process = world.add(Process([program(name), "--config", self.path, *args]))
        self.process.wait_log(r"listening ", 20)

    def write(self, config):
        with open(self.path, "w") as f:
            f.write(config if isinstance(config, str) else json.dumps(config))
        os.chmod(self.path, 0o600)

    def reload(self, config=None, pattern=RELOADED):
        """SIGHUP; waits for its line and returns it."""
        if config is not None:
            self.write(config)
        n = len(lines(self.process, pattern))
        self.process.signal(signal.SIGHUP)
        try:
            until(lambda: len(lines(self.process, pattern)) > n, 20, pattern)
        except AssertionError as error:
            raise AssertionError("%s\n%s" % (error, self.process.log()[-4000:])) from None
        return lines(self.process, pattern)[-1]


def exchange(s, data=b"still there?"):
    s.sendall(data)
    return receive_exactly(s, len(data)) == data


def socks(port, to, user=None):
    """A SOCKS5 connection through the proxy at @port; raises AssertionError if it is refused."""
    s = connect(port)
    method = 2 if user else 0
    s.sendall(bytes([5, 1, method]))
    if receive_exactly(s, 2) != bytes([5, method]):
        raise AssertionError("no method")
    if user:
        name, password = (text.encode() for text in user)
        s.sendall(bytes([1, len(name)]) + name + bytes([len(password)]) + password)
        if receive_exactly(s, 2) != b"\x01\x00":
            raise AssertionError("not let in")
    host, port_to = to.rsplit(":", 1)
    s.sendall(b"\x05\x01\x00\x01" + socket.inet_aton(host) + struct.pack("!H", int(port_to)))
    if receive_exactly(s, 10)[1] != 0:
        raise AssertionError("refused")
    return s


class Base(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.origin = self.world.origin(echo)

    def hop_chain(self, hop):
        return {"hops": [{"addr": "127.0.0.1:%d" % hop.port(), "key_file": hop.key}]}

    def forward(self, port, chain="c", **more):
        return {"addr": "127.0.0.1:%d" % port, "type": "tcp", "to": self.origin.addr, "chain": chain, **more}


class AccessTest(Base):
    workers = 1

    def setUp(self):
        super().setUp()
        self.hop_key = self.world.key()
        self.hop = self.world.hop(self.hop_key)
        self.ports = [free_port() for _ in range(3)]

    def config(self, *listen, **more):
        return {"listen": list(listen), "chains": {"c": self.hop_chain(self.hop)}, "workers": self.workers, **more}

    def run_access(self, *listen, **more):
        return Running(self.world, "access", self.config(*listen, **more))

    def refuses(self, port):
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return False
        except ConnectionRefusedError:
            return True

    def test_listeners_come_and_go(self):
        a, b, c = self.ports
        access = self.run_access(self.forward(a), self.forward(b))
        on_a, on_b = connect(a), connect(b)
        self.assertTrue(exchange(on_a) and exchange(on_b))
        line = access.reload(self.config(self.forward(a), self.forward(c)))
        self.assertIn("listeners=+1,-1,=1 chains=+0,-0,=1 rules=0", line)
        self.assertTrue(exchange(on_a) and exchange(on_b))
        self.assertTrue(exchange(connect(a)) and exchange(connect(c)))
        self.assertTrue(self.refuses(b))
        access.process.wait_log(r"listening addr=127.0.0.1:%d " % c)
        access.reload(self.config(self.forward(b)))
        self.assertTrue(exchange(on_a) and exchange(on_b) and exchange(connect(b)))
        self.assertTrue(self.refuses(a) and self.refuses(c))
        access.process.signal(signal.SIGTERM)
        for s in (on_a, on_b):
            s.close()
        self.assertEqual(access.process.wait(), 0)

    def test_a_bad_file_changes_nothing(self):
        a, b, _ = self.ports
        access = self.run_access(self.forward(a))
        kept = connect(a)
        self.assertTrue(exchange(kept))
        for bad, why in (("{ nonsense", "access.json:1:3"), (self.config(self.forward(b), chains={}), 'no chain named \\"c\\"'),
                         (self.config(self.forward(b, chain="none")), "none")):
            access.reload(bad, FAILED)
            access.process.wait_log(re.escape(why))
            self.assertTrue(exchange(kept) and exchange(connect(a)) and self.refuses(b))

    def test_a_pipe_that_nobody_writes_is_not_waited_for(self):
        a = self.ports[0]
        access = self.run_access(self.forward(a))
        os.unlink(access.path)
        os.mkfifo(access.path)
        access.reload(pattern=FAILED)
        access.process.wait_log("named pipe")
        self.assertTrue(exchange(connect(a)))
        access.process.signal(signal.SIGTERM)
        self.assertEqual(access.process.wait(), 0)

    def test_a_port_in_use_changes_nothing(self):
        a, b, c = self.ports
        access = self.run_access(self.forward(a))
        kept = connect(a)
        self.assertTrue(exchange(kept))
        with socket.create_server(("127.0.0.1", c)):
            access.reload(self.config(self.forward(b), self.forward(c)), FAILED)
            access.process.wait_log(r"cannot listen on 127.0.0.1:%d: " % c)
            self.assertTrue(exchange(kept) and exchange(connect(a)) and self.refuses(b))
        access.reload()
        self.assertTrue(exchange(kept) and exchange(connect(b)) and exchange(connect(c)) and self.refuses(a))

    def test_a_chain_changes_for_new_connections(self):
        a = self.ports[0]
        second = self.world.hop(self.world.key())
        access = self.run_access(self.forward(a))
        old = connect(a)
        self.assertTrue(exchange(old))
        line = access.reload(self.config(self.forward(a), chains={"c": self.hop_chain(second)}))
        self.assertIn("listeners=+0,-0,=1 chains=+1,-1,=0", line)
        new = connect(a)
        self.assertTrue(exchange(new) and exchange(old))
        new.close()
        second.wait_log(r"closed conn=.* target=%s" % re.escape(self.origin.addr))
        old.close()
        self.hop.wait_log(r"closed conn=.* target=%s" % re.escape(self.origin.addr))

    def test_a_listener_is_narrowed_at_its_port(self):
        a = self.ports[0]
        wide = dict(self.forward(a), addr="*:%d" % a)
        access = self.run_access(wide)
        kept = connect(a)
        self.assertTrue(exchange(kept))
        access.reload(self.config(self.forward(a)))
        self.assertTrue(exchange(kept) and exchange(connect(a)))
        access.reload(self.config(dict(self.forward(a), type="udp")))
        self.assertTrue(exchange(kept) and self.refuses(a))
        access.reload(self.config({**self.forward(a), "type": "tcp"}))
        access.reload(self.config(wide))
        self.assertTrue(exchange(kept) and exchange(connect(a)))

    def test_users(self):
        a = self.ports[0]
        users = self.world.path("users")

        def passwd(password):
            subprocess.run([program("chain"), "passwd", users, "me"], input=password + "\n", text=True, check=True,
                           stderr=subprocess.DEVNULL)
        passwd("old")
        proxy = {"addr": "127.0.0.1:%d" % a, "type": "socks5", "chain": "c", "users_file": users}
        access = self.run_access(proxy)
        kept = socks(a, self.origin.addr, ("me", "old"))
        passwd("new")
        access.reload()
        self.assertTrue(exchange(kept))
        self.assertTrue(exchange(socks(a, self.origin.addr, ("me", "new"))))
        with self.assertRaises(AssertionError):
            socks(a, self.origin.addr, ("me", "old"))

    def test_a_connection_of_requests_ends_with_its_next_answer(self):
        def answer(connection):
            with connection.makefile("rb") as f:
                while f.readline():
                    while f.readline() != b"\r\n":
                        pass
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        web, a = self.world.origin(answer), self.ports[0]
        proxy = {"addr": "127.0.0.1:%d" % a, "type": "http", "chain": "c"}
        access, seen = self.run_access(proxy), []
        client = http.client.HTTPConnection("127.0.0.1", a, timeout=10)
        self.addCleanup(client.close)
        for i in range(4):
            if i == 2:
                access.reload()
            client.request("GET", "http://%s/" % web.addr)
            response = client.getresponse()
            self.assertEqual(response.read(), b"ok")
            seen.append(response.getheader("connection"))
        self.assertEqual(seen, [None, None, "close", None])

    def test_limits_keep_their_counts(self):
        a = self.ports[0]
        limited = self.forward(a, name="door", limits={"connections": 2})
        access = self.run_access(self.forward(a, name="door"))
        kept = [connect(a), connect(a)]
        self.assertTrue(all(exchange(s) for s in kept))
        access.reload(self.config(limited))
        with self.assertRaises((ConnectionError, AssertionError)):
            exchange(connect(a))
        kept.pop().close()
        until(lambda: lines(access.process, "closed conn="), what="the end")
        self.assertTrue(exchange(connect(a)))

    def test_udp_flows_survive(self):
        echoing = self.world.udp_origin()
        a = free_port(socket.SOCK_DGRAM)
        listener = {"addr": "127.0.0.1:%d" % a, "type": "udp", "to": echoing.addr, "chain": "c"}
        access = self.run_access(listener, self.forward(self.ports[0]))
        client = self.world.udp_client(a)
        client.send(b"one")
        self.assertEqual(received(client, WAIT), b"one")
        for i in range(5):
            access.reload(self.config(listener, self.forward(self.ports[i % 2 + 1])))
            client.send(b"two %d" % i)
            self.assertEqual(received(client, WAIT), b"two %d" % i)
        self.assertEqual(len(echoing.peers), 1)
        access.reload(self.config(self.forward(self.ports[0])))  # removed: the flow goes on
        client.send(b"three")
        self.assertEqual(received(client, WAIT), b"three")
        access.reload(self.config(listener))  # wanted again, although a flow had not ended
        client.send(b"four")
        self.assertEqual(received(client, WAIT), b"four")

    def test_what_needs_a_restart_is_told(self):
        a = self.ports[0]
        access = self.run_access(self.forward(a), log={"level": "info"})
        access.reload(self.config(self.forward(a), workers=7, drain="77s", log={"level": "debug"}))
        access.process.wait_log(r'\\"workers\\" takes effect after a restart')
        access.process.wait_log(r'\\"drain\\" takes effect after a restart')
        self.assertTrue(exchange(connect(a)))
        access.process.wait_log(r"debug .*state conn=")


class AdminTest(Base):
    """What operators ask on the socket, and the commands that do."""

    def setUp(self):
        super().setUp()
        self.hop = self.world.hop(self.world.key(), "--admin-socket", self.world.path("hop.sock"))
        self.port = free_port()
        self.socket = self.world.path("access.sock")
        config = {"listen": [self.forward(self.port, name="door")], "chains": {"c": self.hop_chain(self.hop)},
                  "admin": {"socket": "access.sock"}}
        self.config = config
        self.access = Running(self.world, "access", config)

    def ask(self, path, *args, socket_path=None):
        """Status and body."""
        done = subprocess.run(["curl", "-sS", "-m", "10", "-w", "\n%{http_code}", "--unix-socket",
                               socket_path or self.socket, *args, "http://access" + path],
                              check=True, capture_output=True, text=True)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(body)

    def command(self, name, *args):
        return subprocess.run([program(name), "reload", *args], capture_output=True, text=True, timeout=20)

    def test_status(self):
        with connect(self.port) as s:
            exchange(s)
            status, body = self.ask("/v1/status")
        self.assertEqual(status, 200)
        self.assertEqual(body["program"], "access")
        self.assertEqual(body["listeners"], [{"name": "door", "addr": "127.0.0.1:%d" % self.port, "use": "c",
                                              "connections": 1}])
        self.assertIn("c", [upstream["name"] for upstream in body["upstreams"]])
        self.assertEqual(os.stat(self.socket).st_mode & 0o777, 0o600)
        status, body = self.ask("/v1/status", socket_path=self.world.path("hop.sock"))
        self.assertEqual((status, body["program"], body["users"]), (200, "hop", 1))

    def test_explain(self):
        status, body = self.ask("/v1/explain?target=%s&from=127.0.0.1" % self.origin.addr)
        self.assertEqual(status, 200)
        self.assertIn("c", json.dumps(body))
        for wrong in ("", "?target=nonsense", "?target=a:1&protocol=smoke", "?target=a:1&from=here",
                      "?target=a:1&from=%zz", "?target=a:1&user=" + 300 * "u", "?target=a:1&format=xml"):
            self.assertEqual(self.ask("/v1/explain" + wrong)[0], 400, wrong)
        self.assertEqual(self.ask("/v1/explain?target=a:1&listener=none")[0], 404)

    def test_explain_running(self):
        """A group of a dead hop and a living one: what the command says of each, and why."""
        dead = {"addr": "127.0.0.1:%d" % free_port(), "key_file": self.world.key()}
        alive = dict(self.hop_chain(self.hop)["hops"][0], pool=2, name="alive")
        group = {"any": [dead, alive], "strategy": "first"}
        self.access.reload(dict(self.config, chains={"c": {"hops": [group]}}, routes=[
            {"domains": ["*.example"], "use": "block"}]))

        def explain(*args, code=0, out=True):
            done = subprocess.run([program("access"), "explain", "--running", "--admin-socket", self.socket, *args],
                                  capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, code, done.stderr)
            return done.stdout if out else done.stderr
        for _ in range(5):
            with connect(self.port) as s:
                exchange(s)
        text = explain("--from", "127.0.0.1", self.origin.addr)
        self.assertEqual(text.splitlines()[:3], [
            '%s by tcp, listener "door", from 127.0.0.1' % self.origin.addr,
            "  not rule #1 (line 1): domains: the target is an address", "no rule matches: its listener says: c"])
        self.assertRegex(text, r"(?m)^  not hop 1 of chain c: %s weight 1 last error \S+: aside for \d+ s more after \d+ \S+$"
                         % re.escape(dead["addr"]))
        self.assertRegex(text, r"(?m)^  takes hop 1 of chain c: alive %s weight 1 rtt [\d.]+ ms(: .*)?$"
                         % re.escape(alive["addr"]))
        said = json.loads(explain("--json", self.origin.addr))
        self.assertEqual((said["use"], [(c["address"], c["aside"], c["chosen"]) for c in said["candidates"]]),
                         ("c", [(dead["addr"], True, False), (alive["addr"], False, True)]))
        self.assertTrue(said["candidates"][0]["last_error"])
        self.assertIn('user "müller & söhne"\nrule #1 (line 1) says: block\n',
                      explain("--user", "müller & söhne", "--protocol", "udp", "a.example:1"))
        self.assertIn('no listener named "dor"', explain("--listener", "dor", "a:1", code=2, out=False))
        self.assertIn("expected an IP address", explain("--from", "1.2.3.4/32", "a:1", code=2, out=False))
        self.assertIn("exclude each other", explain("--config", "x", "a:1", code=2, out=False))
        self.assertIn("nobody answers", explain("--admin-socket", "/nowhere", "a:1", code=1, out=False))
        until(lambda: any(pool["idle"] for pool in self.pools()), what="pools")
        self.assertEqual([(pool["member"], pool["hops"], pool["addr"]) for pool in self.pools()], [("c", 1, alive["addr"])])

    def pools(self):
        upstreams = self.ask("/v1/status")[1]["upstreams"]
        return [pool for upstream in upstreams for pool in upstream["pools"] if "127.0.0.1" in pool["addr"] and pool["built"]]

    def test_reload(self):
        json_type = ("-H", "Content-Type: application/json")
        status, body = self.ask("/v1/reload", "-X", "POST", *json_type)
        self.assertEqual((status, body["reloaded"]), (200, True))
        self.access.write("{ nonsense")
        status, body = self.ask("/v1/reload", "-X", "POST", *json_type)
        self.assertEqual((status, body["error"]["slug"]), (422, "configuration"))
        self.assertEqual([(f["line"], f["column"]) for f in body["findings"]], [(1, 3)])

    def test_what_is_refused(self):
        json_type = ("-H", "Content-Type: application/json")
        for status, path, *args in ((404, "/"), (404, "/v1/reloa", "-X", "POST", *json_type), (405, "/v1/reload"),
                                    (415, "/v1/reload", "-X", "POST"),
                                    (403, "/v1/reload", "-X", "POST", *json_type, "-H", "Origin: http://evil")):
            got, body = self.ask(path, *args)
            self.assertEqual(got, status, body)
            self.assertIn("slug", body["error"])
        self.assertFalse(lines(self.access.process, "reload"))

    def test_commands(self):
        done = self.command("access", "--admin-socket", self.socket)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("listeners=+0,-0,=1", done.stdout)
        self.access.write(json.dumps(dict(self.config, chains={})))
        done = self.command("access", "--admin-socket", self.socket)
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertRegex(done.stderr, r"access.json:1:\d+: error: .*no chain named")
        self.assertIn("^~~", done.stderr)
        done = self.command("hop", "--admin-socket", self.world.path("hop.sock"))
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.command("access", "--admin-socket", self.world.path("nobody.sock"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("nobody answers at", done.stderr)

    def test_two_instances(self):
        env = {"XDG_RUNTIME_DIR": self.world.path("")}
        chain = self.world.chain([self.hop])
        first = self.world.access(chain, "--to", self.origin.addr, env=env)
        first.wait_log("operators may ask")
        second = self.world.access(chain, "--to", self.origin.addr, env=env)
        second.wait_log("no admin socket .*EADDRINUSE")
        second.wait_log("listening")
        done = subprocess.run([program("access"), "reload"], env=dict(os.environ, **env), capture_output=True, text=True,
                              timeout=20)
        self.assertEqual(done.returncode, 0, done.stderr)
        first.wait_log("reloaded ")
        third = self.world.access(chain, "--to", self.origin.addr, "--admin-socket", self.socket)
        self.assertNotEqual(third.wait(), 0)
        third.wait_log("cannot open the admin socket")


class AccessWorkersTest(AccessTest):
    """The same with several workers."""

    workers = 3


class LoadTest(Base):
    """Many reloads of access server and hop under many connections, of which none may be lost. The numbers of a full
    run come from the environment: HOPCHAIN_RELOADS, HOPCHAIN_CONNECTIONS."""

    n_reloads = int(os.environ.get("HOPCHAIN_RELOADS", 200))
    n_connections = int(os.environ.get("HOPCHAIN_CONNECTIONS", 2000))

    def setUp(self):
        super().setUp()
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        self.origin = self.world.add(Process([sys.executable, "-c", ECHO]))
        self.target = "127.0.0.1:%s" % self.origin.wait_log(r"port (\d+)").group(1)
        self.hop_port, self.port, self.other = free_port(), free_port(), free_port()
        self.key = self.world.key()
        self.hop = Running(self.world, "hop", self.hop_config(0))
        self.access = Running(self.world, "access", self.access_config(0))

    def hop_config(self, i):
        return {"listen": [{"addr": "127.0.0.1:%d" % self.hop_port}], "users": [{"name": "me", "key_file": self.key}],
                "targets": {"allow": ["loopback"]}, "workers": 2, "limits": {"connections": 100000 + i},
                "log": {"connections": False}}

    def access_config(self, i):
        listen = [{"addr": "127.0.0.1:%d" % port, "type": "tcp", "to": self.target}
                  for port in ([self.port, self.other] if i % 2 else [self.port])]
        hops = [{"addr": "127.0.0.1:%d" % self.hop_port, "key_file": self.key}]
        return {"listen": listen, "chains": {"c": {"hops": hops, "timeouts": {"idle": "%dh" % (1 + i % 3)}}}, "workers": 2,
                "log": {"connections": False}}

    def test_no_connection_is_lost(self):
        kept = []
        per_reload = max(1, self.n_connections // self.n_reloads)
        for i in range(self.n_reloads):
            for _ in range(per_reload):
                s = connect(self.port)
                s.sendall(b"first")
                kept.append(s)
            if i % 7 == 3:
                self.access.reload("{ wrong", FAILED)
            self.access.reload(self.access_config(i))
            self.hop.reload(self.hop_config(i))
            for s in random.sample(kept, min(20, len(kept) - per_reload)) if i else ():
                s.sendall(b"again")
        for s in kept:
            s.sendall(b"last.")
        lost = 0
        for s in kept:
            data = bytearray()
            try:
                while not data.endswith(b"last."):
                    data += s.recv(4096) or b"?last."
            except OSError:
                lost += 1
            else:
                lost += not re.fullmatch(b"first(again)*last.", bytes(data))
            s.close()
        self.assertEqual(lost, 0)
        print("%d connections, %d reloads: none lost; rss of access %d MiB" % (
            len(kept), self.n_reloads, self.access.process.rss() >> 20))
        self.access.process.signal(signal.SIGTERM)
        self.assertEqual(self.access.process.wait(30), 0)
        self.hop.process.signal(signal.SIGTERM)
        self.assertEqual(self.hop.process.wait(30), 0)


class HopTest(Base):
    """A hop's users, listeners and policy change under its clients, who come through access servers."""

    workers = 1

    def setUp(self):
        super().setUp()
        self.port = free_port()
        first = self.world.key()
        self.users = {"ann": first, "bob": self.key_beside(first)}
        self.hop = Running(self.world, "hop", self.config())

    def key_beside(self, other):
        """Users of one hop share a mask key."""
        path = other + "-%d" % len(os.listdir(self.world.dir))
        subprocess.run([program("chain"), "keygen", "--mask-of", other, "-o", path], check=True)
        return path

    def config(self, ports=None, allow=("loopback",), **more):
        return {"listen": [{"addr": "127.0.0.1:%d" % port} for port in ports or [self.port]],
                "users": [{"name": name, "key_file": key} for name, key in self.users.items()],
                "targets": {"allow": list(allow)}, "workers": self.workers, **more}

    def client(self, key, udp=None, port=None):
        """The port of an access server of that key."""
        chain = self.world.chain([("127.0.0.1:%d" % (port or self.port), key)], name="chain%d.json" % id(key))
        listen = ("udp" if udp else "tcp") + "://127.0.0.1:0"
        return self.world.access(chain, "--to", udp or self.origin.addr, listen=listen).port()

    def test_users_come_and_go(self):
        ann, bob = (self.client(self.users[name]) for name in ("ann", "bob"))
        on_ann, on_bob = connect(ann), connect(bob)
        self.assertTrue(exchange(on_ann) and exchange(on_bob))
        del self.users["bob"]
        self.users["cy"] = self.key_beside(self.users["ann"])
        self.assertIn("listeners=+0,-0,=1 users=+1,-1,=1 rekeyed=0", self.hop.reload(self.config()))
        self.assertTrue(exchange(on_ann) and exchange(on_bob))
        self.assertTrue(exchange(connect(ann)) and exchange(connect(self.client(self.users["cy"]))))
        stranger = connect(bob)
        self.hop.process.wait_log("rejected reason=unknown-key")
        for i in range(10):  # the generation of the session that is still there
            self.hop.reload()
            self.assertTrue(exchange(on_bob))
        stranger.close()
        on_bob.close()
        self.hop.process.wait_log(r"closed conn=.* user=bob .*end=client-fin")

    def test_a_key_is_rotated(self):
        old, new = self.users["ann"], self.world.key()
        before, after = self.client(old), self.client(new)
        kept = connect(before)
        self.assertTrue(exchange(kept))
        self.users["ann"] = new
        self.assertIn("users=+0,-0,=1 rekeyed=1", self.hop.reload(self.config()))
        self.assertTrue(exchange(kept) and exchange(connect(after)))
        with connect(before):
            self.hop.process.wait_log("rejected reason=unknown-key")

    def test_listeners_and_policy(self):
        other = free_port()
        ann = self.client(self.users["ann"])
        kept = connect(ann)
        self.assertTrue(exchange(kept))
        self.assertIn("listeners=+1,-0,=1", self.hop.reload(self.config([self.port, other])))
        self.assertTrue(exchange(kept) and exchange(connect(self.client(self.users["ann"], port=other))))
        self.assertIn("listeners=+0,-1,=1", self.hop.reload(self.config([self.port], allow=("10.0.0.0/8",))))
        self.assertTrue(exchange(kept))
        with self.assertRaises((ConnectionError, AssertionError)):
            exchange(connect(ann))
        self.hop.reload(self.config([self.port]))
        self.assertTrue(exchange(kept) and exchange(connect(ann)))

    def test_a_bad_file_changes_nothing(self):
        ann = self.client(self.users["ann"])
        kept = connect(ann)
        self.assertTrue(exchange(kept))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for bad, why in (("{", "hop.json:1:1"), (self.config(users=[]), "/users"),
                             (self.config([port]), "cannot listen on 127.0.0.1:%d" % port)):
                self.hop.reload(bad, FAILED)
                self.hop.process.wait_log(re.escape(why))
                self.assertTrue(exchange(kept) and exchange(connect(ann)))

    def test_udp_flows_survive(self):
        echoing = self.world.udp_origin()
        client = self.world.udp_client(self.client(self.users["ann"], udp=echoing.addr))
        client.send(b"one")
        self.assertEqual(received(client, WAIT), b"one")
        other = free_port()
        for i, ports in enumerate(([self.port], [self.port, other], [other], [other], [other, self.port], [self.port])):
            self.users["u%d" % i] = self.key_beside(self.users["ann"])
            self.hop.reload(self.config(ports))
            if self.workers > 1:  # the kernel may give the client to another worker when a port is opened again
                recovery_s(client, 40)
                continue
            client.send(b"two %d" % i)
            self.assertEqual(received(client, WAIT), b"two %d" % i)
        self.assertEqual(len(echoing.peers) if self.workers == 1 else 1, 1)


class HopWorkersTest(HopTest):
    """The same with several workers."""

    workers = 3


del Base

if __name__ == "__main__":
    unittest.main()
