"""Many plain HTTP requests on one connection to access, each to its own server.

    client ── access ══ hop ── origins          all on loopback
"""
import http.client
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import World, connect, program, receive_all, receive_exactly, reset, until  # noqa: E402

BIG = bytes(range(256)) * 40960  # 10 MiB


class Web:
    """A web server for one connection after another: what it heard, by connection. Paths say what it does."""

    def __init__(self, world):
        self.heard, self.lock = [], threading.Lock()
        self.gate = threading.Event()
        self.origin = world.origin(self.serve)
        self.addr = self.origin.addr

    def url(self, path):
        return "http://%s%s" % (self.addr, path)

    def n_requests(self):
        with self.lock:
            return sum(len(c) for c in self.heard)

    def head(self, f):
        lines = []
        while (line := f.readline()) not in (b"\r\n", b""):
            lines.append(line)
        return lines

    def serve(self, s):
        with self.lock:
            mine = []
            self.heard.append(mine)
        f = s.makefile("rb")
        while lines := self.head(f):
            method, path, _ = lines[0].decode().split(" ")
            fields = {k.strip().lower(): v.strip() for k, _, v in (line.decode().partition(":") for line in lines[1:])}
            with self.lock:
                mine.append((method, path, fields))
            if not self.answer(s, f, method, path, fields):
                return

    def body(self, s, f, fields):
        if fields.get("expect") == "100-continue":
            s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while n := int(f.readline().split(b";")[0], 16):
                body += f.read(n)
                f.readline()
            self.head(f)
            return body
        return f.read(int(fields.get("content-length", 0)))

    def answer(self, s, f, method, path, fields):
        """Return: whether the connection stays."""
        say = s.sendall
        if path == "/early":
            say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
            s.recv(1)
            return False
        body = self.body(s, f, fields)
        if path == "/big":
            say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG) + BIG)
        elif path == "/chunked":
            say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n")
            for i in range(0, len(BIG), 70001):
                piece = BIG[i:i + 70001]
                say(b"%x\r\n%s\r\n" % (len(piece), piece))
            say(b"0\r\nT: u\r\n\r\n")
        elif path == "/204":
            say(b"HTTP/1.1 204 No\r\n\r\n")
        elif path == "/hints":
            say(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        elif path == "/close":
            say(b"HTTP/1.1 200 OK\r\n\r\nto the end")
            return False
        elif path == "/half":
            say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000))
            self.gate.wait(30)
            return False
        elif path == "/half-to-end":
            say(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1000))
            self.gate.wait(30)
            return False
        elif path == "/reset":
            reset(s)
            return False
        elif path.startswith("/bad"):
            say({"/bad-lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
                 "/bad-both": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                 "/bad-nul": b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
                 "/bad-short": b"HTTP/1.1 200 OK\r\nA: b"}[path])
            return False
        elif path == "/surplus":
            say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        elif path == "/ws":
            say(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
            while data := s.recv(1 << 16):
                say(data)
            return False
        elif path == "/slow":
            self.gate.wait(30)
            say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")
        else:
            text = b"" if method == "HEAD" else b"%s %s %d" % (method.encode(), path.encode(), len(body))
            n = 1234 if method == "HEAD" else len(text)
            say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (n, text))
        if path == "/last":  # goes, without a word about it
            self.gate.wait(30)
            if self.gate.is_set():
                return False
        return True


class Case(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.web = Web(self.world)
        self.addCleanup(self.web.gate.set)
        self.hop = self.world.hops(1)[0]
        self.access = self.proxy()

    def proxy(self, *args):
        return self.world.access(self.world.chain([self.hop]), *args, listen="127.0.0.1:0")

    def client(self):
        s = connect(self.access.port(), 30)
        self.addCleanup(s.close)
        return s

    def python(self):
        c = http.client.HTTPConnection("127.0.0.1", self.access.port(), timeout=30)
        self.addCleanup(c.close)
        return c

    def ask(self, c, path, method="GET", web=None, **more):
        c.request(method, (web or self.web).url(path), **more)
        r = c.getresponse()
        return r.status, r.read()

    def curl(self, *args):
        return subprocess.run(["curl", "-sS", "--max-time", "60", "-x", "http://127.0.0.1:%d" % self.access.port(), *args],
                              capture_output=True, check=False)

    def say(self, s, method, path, fields=b"", body=b""):
        s.sendall(b"%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n%s" % (method, self.web.url(path).encode(), fields, body))

    def n_connections(self, n_requests):
        """By how many connections of clients so many requests came."""
        until(lambda: self.access.log().count(" request conn=") >= n_requests, what="lines of requests")
        return len(set(re.findall(r"request conn=(\S+)", self.access.log())))


class OneConnection(Case):
    def test_curl_gets_many(self):
        done = self.curl(*[self.web.url("/%d" % i) for i in range(5)])
        self.assertEqual((done.returncode, done.stdout), (0, b"".join(b"GET /%d 0" % i for i in range(5))), done.stderr)
        self.access.wait_log(r"request conn=\S+ n=5 target=%s status=200 up=[1-9]\d* down=[1-9]\d*" % self.web.addr)
        self.access.wait_log(r"closed conn=\S+ from=\S+ protocol=http user=- target=%s up=\d+ down=\d+ age_ms=\d+ "
                             r"end=client-fin" % self.web.addr)
        self.assertEqual(self.n_connections(5), 1)
        self.assertEqual([len(c) for c in self.web.heard], [5], "one chain, one connection to the server")

    def test_servers_alternate(self):
        other, c = Web(self.world), self.python()
        for i in range(3):
            for web in (self.web, other):
                self.assertEqual(self.ask(c, "/%d" % i, web=web), (200, b"GET /%d 0" % i))
        for web in (self.web, other):
            self.assertEqual([[path for _, path, _ in one] for one in web.heard], [["/0"], ["/1"], ["/2"]])
            self.assertEqual({fields["host"] for one in web.heard for _, _, fields in one}, {web.addr})
        self.assertEqual(self.n_connections(6), 1)

    def test_all_kinds_of_answers(self):
        c = self.python()
        for method, path, answer in (("GET", "/204", (204, b"")), ("HEAD", "/x", (200, b"")), ("GET", "/y", (200, b"GET /y 0")),
                                     ("GET", "/chunked", (200, BIG)), ("GET", "/big", (200, BIG)),
                                     ("GET", "/z", (200, b"GET /z 0"))):
            self.assertEqual(self.ask(c, path, method), answer, path)
        self.assertEqual((self.n_connections(6), len(self.web.heard)), (1, 1))

    def test_hints_come_before_the_answer(self):
        s = self.client()
        for _ in range(2):
            self.say(s, b"GET", "/hints")
            answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            self.assertEqual(receive_exactly(s, len(answer)), answer)
        s.sendall(b"GET %s HTTP/1.0\r\n\r\n" % self.web.url("/hints").encode())
        self.assertEqual(receive_all(s), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    def test_uploads(self):
        c = self.python()
        self.assertEqual(self.ask(c, "/a", "PUT", body=BIG), (200, b"PUT /a %d" % len(BIG)))
        chunks = (BIG[i:i + 99991] for i in range(0, len(BIG), 99991))
        self.assertEqual(self.ask(c, "/b", "POST", body=chunks, encode_chunked=True,
                                  headers={"Transfer-Encoding": "chunked"}), (200, b"POST /b %d" % len(BIG)))
        self.assertEqual(self.ask(c, "/c"), (200, b"GET /c 0"))
        self.assertEqual((self.n_connections(3), len(self.web.heard)), (1, 1))

    def test_an_upload_that_expects(self):
        path = self.world.path("big")
        pathlib.Path(path).write_bytes(BIG)
        done = self.curl("-v", "-H", "Expect: 100-continue", "-T", path, self.web.url("/up"))
        self.assertIn(b"HTTP/1.1 100 Continue", done.stderr)
        self.assertIn(b"PUT /up %d" % len(BIG), done.stdout)

    def test_requests_that_come_at_once(self):
        s = self.client()
        for i in range(50):
            self.say(s, b"POST", "/%d" % i, b"Content-Length: 3\r\n", b"abc\r\n")
        s.shutdown(socket.SHUT_WR)
        data = receive_all(s)
        self.assertEqual(re.findall(rb"POST /(\d+) 3", data), [b"%d" % i for i in range(50)])
        self.assertEqual((self.n_connections(50), len(self.web.heard)), (1, 1))

    def test_chunks_and_the_next_request_in_any_pieces(self):
        s = self.client()
        text = b"PUT %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;e\r\nabc\r\n0\r\nT: u\r\n\r\n" \
               b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % (self.web.url("/p").encode(), self.web.url("/g").encode())
        for n in (1, 2, 3, 7, 50, 100, 1000):
            for i in range(0, len(text), n):
                s.sendall(text[i:i + n])
            data = b""
            while not data.endswith(b"GET /g 0"):
                data += receive_exactly(s, 1)
            self.assertIn(b"PUT /p 3", data)
        self.assertEqual((self.n_connections(14), len(self.web.heard)), (1, 1))

    def test_connect_may_follow(self):
        s = self.client()
        self.say(s, b"GET", "/a")
        receive_exactly(s, len(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nGET /a 0"))
        s.sendall(b"CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n" % self.web.addr.encode())
        self.assertTrue(receive_exactly(s, len(b"HTTP/1.1 200 Connection established\r\n\r\n")).startswith(b"HTTP/1.1 200 "))
        s.sendall(b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        s.shutdown(socket.SHUT_WR)
        self.assertTrue(receive_all(s).endswith(b"GET /b 0"))
        self.access.wait_log(r"closed conn=\S+ .*protocol=http-connect ")

    def test_a_password_is_asked_for_on_the_same_connection(self):
        users = self.world.path("users")
        for name in ("ann", "bob"):
            subprocess.run([program("chain"), "passwd", users, name], input=b"secret\n", capture_output=True, check=True)
        self.access = self.proxy("--users-file", users)
        c, logins = self.python(), ["YW5uOnNlY3JldA==", "Ym9iOnNlY3JldA=="]
        c.connect()
        mine = c.sock
        self.assertEqual(self.ask(c, "/a")[0], 407)
        self.assertEqual(self.ask(c, "/b", headers={"Proxy-Authorization": "Basic YW5uOm5v"})[0], 407)
        for login in logins:
            self.assertEqual(self.ask(c, "/c", headers={"Proxy-Authorization": "Basic " + login}), (200, b"GET /c 0"))
        self.assertEqual(self.ask(c, "/d")[0], 407, "each request says who asks")
        self.assertEqual(self.ask(c, "/e", headers={"Proxy-Authorization": "Basic " + logins[1]}), (200, b"GET /e 0"))
        self.assertIs(c.sock, mine)
        self.assertEqual([[path for _, path, _ in one] for one in self.web.heard], [["/c"], ["/c", "/e"]],
                         "a server's connection is its user's")
        self.assertNotIn("proxy-authorization", str(self.web.heard))

    def test_a_websocket(self):
        s = self.client()
        self.say(s, b"GET", "/a")
        receive_exactly(s, len(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nGET /a 0"))
        self.say(s, b"GET", "/ws", b"Upgrade: websocket\r\nConnection: Upgrade\r\n")
        head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello"
        self.assertEqual(receive_exactly(s, len(head)), head)
        s.sendall(b"GET http://bank.example/ HTTP/1.1\r\n\r\n")
        self.assertEqual(receive_exactly(s, 37), b"GET http://bank.example/ HTTP/1.1\r\n\r\n")
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(receive_all(s), b"")
        self.assertEqual(self.web.heard[0][1][2]["upgrade"], "websocket")


class Ends(Case):
    def test_who_closes_is_closed(self):
        for text in (b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET %s HTTP/1.0\r\n\r\n"):
            s = self.client()
            s.sendall(text % self.web.url("/a").encode())
            self.assertRegex(receive_all(s), rb"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nGET /a 0$")
        self.assertEqual(self.web.heard[0][0][2]["connection"], "close")

    def test_an_answer_to_the_end_is_the_last(self):
        s = self.client()
        self.say(s, b"GET", "/close")
        self.assertEqual(receive_all(s), b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end")

    def test_an_early_answer(self):
        s = self.client()
        self.say(s, b"PUT", "/early", b"Content-Length: 1000000\r\n", b"x")
        self.assertEqual(receive_all(s), b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")

    def test_a_cut_answer_never_looks_whole(self):
        for path in ("/half", "/half-to-end"):
            s = self.client()
            self.say(s, b"GET", path)
            receive_exactly(s, 1000)
            self.hop.signal(signal.SIGKILL)
            self.hop.wait()
            with self.assertRaises(ConnectionResetError):
                receive_all(s)
            self.access.wait_log(r"request conn=\S+ n=1 target=%s status=200 " % self.web.addr)
            self.hop = self.world.hops(1)[0]
            self.access = self.proxy()

    def test_curl_sees_a_cut_answer(self):
        get = subprocess.Popen(["curl", "-sSN", "--max-time", "60", "-x", "http://127.0.0.1:%d" % self.access.port(),
                                self.web.url("/half-to-end")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.assertEqual(get.stdout.read(1000), bytes(1000))
        self.hop.signal(signal.SIGKILL)
        get.stdout.close()
        self.assertIn(get.wait(30), (18, 56))

    def test_bad_answers(self):
        for path, word in (("/bad-lf", "http_protocol_error"), ("/bad-both", "http_protocol_error"),
                           ("/bad-nul", "http_protocol_error"), ("/bad-short", "http_response_incomplete"),
                           ("/reset", "connection_terminated")):
            c = self.python()
            c.request("GET", self.web.url(path))
            r = c.getresponse()
            self.assertEqual((r.status, r.getheader("connection")), (502, "close"), path)
            self.assertIn("error=%s;" % word, r.getheader("proxy-status"))
            self.assertEqual(len(r.read()), int(r.getheader("content-length")))

    def test_an_answer_to_nobody_goes_to_nobody(self):
        c = self.python()
        self.assertEqual(self.ask(c, "/surplus"), (200, b"ok"))
        self.assertEqual(self.ask(c, "/next"), (200, b"GET /next 0"))
        self.assertEqual(len(self.web.heard), 2)

    def test_a_server_that_is_gone(self):
        """It closed the kept connection: we notice, whatever comes next."""
        c = self.python()
        for method, body in (("GET", None), ("POST", b"x")):
            self.web.gate.clear()
            self.assertEqual(self.ask(c, "/last"), (200, b"GET /last 0"))
            self.web.gate.set()
            n = len(self.web.heard)
            until(lambda: self.hop.log().count("closed ") >= n)
            self.assertEqual(self.ask(c, "/again", method, body=body)[0], 200)
        self.assertEqual(self.n_connections(4), 1)

    def test_a_server_that_goes_as_it_is_asked(self):
        """Only what may be asked twice is; who asks for more is told."""
        for method, status, n_asked in (("GET", 502, 2), ("POST", 502, 1)):
            with self.subTest(method):
                c, before = self.python(), self.web.n_requests()
                self.assertEqual(self.ask(c, "/a")[0], 200)
                self.assertEqual(self.ask(c, "/reset", method)[0], status)
                self.assertEqual(self.web.n_requests() - before, 1 + n_asked)

    def test_the_next_request_reaches_its_own_server_alone(self):
        s = self.client()
        self.say(s, b"GET", "/slow")
        until(lambda: self.web.n_requests() == 1)
        s.sendall(b"GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: bank\r\nCookie: c\r\n\r\n")
        self.web.gate.set()
        data = receive_all(s)
        self.assertTrue(data.startswith(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslowHTTP/1.1 502 "), data)
        self.assertNotIn("cookie", str(self.web.heard))

    def test_chunks_that_are_none_end_the_connection(self):
        s = self.client()
        self.say(s, b"PUT", "/slow", b"Transfer-Encoding: chunked\r\n", b"1\r\n")
        until(lambda: self.web.n_requests() == 1)
        s.sendall(b"ab")
        with self.assertRaises(ConnectionResetError):
            receive_all(s)
        self.access.wait_log("end=client-failed")

    def test_half_a_request_is_none(self):
        s = self.client()
        self.say(s, b"PUT", "/x", b"Content-Length: 10\r\n", b"12345")
        until(lambda: self.web.n_requests() == 1)
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(receive_all(s), b"")
        self.access.wait_log(r"closed conn=\S+ .*protocol=http .*end=client-fin")

    def test_the_client_may_end_after_its_request(self):
        s = self.client()
        self.say(s, b"GET", "/slow")
        s.shutdown(socket.SHUT_WR)
        until(lambda: self.web.n_requests() == 1)
        self.web.gate.set()
        self.assertIn(b"slow", receive_all(s))

    def test_a_client_that_leaves(self):
        s = self.client()
        self.say(s, b"GET", "/half")
        receive_exactly(s, 1000)
        s.close()
        self.web.gate.set()
        self.access.wait_log(r"closed conn=\S+ .*protocol=http ")

    def test_sigterm(self):
        idle, busy = self.client(), self.client()
        self.say(idle, b"GET", "/a")
        receive_exactly(idle, len(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nGET /a 0"))
        self.say(busy, b"GET", "/slow")
        until(lambda: self.web.n_requests() == 2)
        self.access.signal(signal.SIGTERM)
        self.assertEqual(receive_all(idle), b"")
        self.web.gate.set()
        self.assertEqual(receive_all(busy), b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nslow")
        busy.close()
        self.assertEqual(self.access.wait(), 0)


if __name__ == "__main__":
    unittest.main()
