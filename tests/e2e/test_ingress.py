"""Programs that speak to proxies, through real hops.

    curl, git, apt-get … ── access ══ hop 1 ══ hop 2 ══ hop 3 ── origin          all on loopback
"""
import functools
import hashlib
import http.server
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import (WAIT, Process, World, connect, echo, program, receive_all, receive_exactly, reset, until)  # noqa: E402

FILE = os.urandom(1 << 16) * 48
OK, FAILURE, DENIED, REFUSED = 0, 1, 2, 5  # REP of SOCKS5
CURL_WRONG_PASSWORD = 97
SCHEMES = {"socks5h": "socks5", "socks5": "socks5", "socks4a": "socks4a", "http": "http"}  # of curl: ours in the log


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body):
        self.server.seen.append((self.command, self.path, dict(self.headers.items())))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(FILE)

    def do_PUT(self):
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left > 0:
            part = self.rfile.read(min(left, 1 << 16))
            digest.update(part)
            left -= len(part)
        self.answer(digest.hexdigest().encode())


class Folder(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Web(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, handler=Request, certificate=None):
        super().__init__(("127.0.0.1", 0), handler)
        self.seen = []
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = "%s://localhost:%d" % ("https" if certificate else "http", self.server_port)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self):
        self.shutdown()
        self.server_close()


def run(*argv, env=None, folder=None, timeout=60):
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, cwd=folder,
                          env={**clean, **(env or {})}, check=False)


def curl(proxy, url, *more):
    return run("curl", "-sS", "--max-time", "30", "-x", proxy, *more, url)


def socks5(target_port, host=b"\x7f\0\0\1", kind=1):
    return b"\x05\x01\x00" + b"\x05\x01\x00" + bytes([kind]) + host + struct.pack("!H", target_port)


def ask_socks5(port, target_port, host=b"\x7f\0\0\1", kind=1):
    """The socket, behind the reply, and its code."""
    s = connect(port, 30)
    s.sendall(socks5(target_port, host, kind))
    assert receive_exactly(s, 2) == b"\x05\x00"
    reply = receive_exactly(s, 10)
    assert (reply[0], reply[2]) == (5, 0), reply
    return s, reply[1]


def ask_http(port, request):
    """(status, fields, body): everything until the end."""
    s = connect(port, 30)
    s.sendall(request)
    head, _, body = receive_all(s).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    s.close()
    return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in fields.items()}, body


class Case(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)

    def proxy(self, *access_args, n_hops=3, listen="127.0.0.1:0", hops=None, **chain):
        self.hops = self.world.hops(n_hops) if hops is None else hops
        self.access = self.world.access(self.world.chain(self.hops, **chain), *access_args, listen=listen)
        self.port = self.access.port()
        return self.port

    def web(self, *args):
        return self.world.add(Web(*args))

    def certificate(self):
        path = self.world.path("origin.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", path, "-out", path + ".crt"],
                       check=True, capture_output=True)
        with open(path, "ab") as both, open(path + ".crt", "rb") as crt:
            both.write(crt.read())
        return path

    def n_closed(self):
        return len(re.findall(r"\bclosed conn=", self.access.log()))


class Curl(Case):
    def check(self, done):
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_every_scheme_on_one_port(self):
        port, web = self.proxy(), self.web()
        for scheme, protocol in SCHEMES.items():
            with self.subTest(scheme):
                done = curl("%s://127.0.0.1:%d" % (scheme, port), web.url.replace("localhost", "127.0.0.1") + "/file")
                self.check(done)
                self.assertEqual(done.stdout, FILE)
                self.access.wait_log(r"closed conn=\S+ from=127\.0\.0\.1:\d+ protocol=%s user=- target=127\.0\.0\.1:%d up=[1-9]\d* "
                                     r"down=\d+ age_ms=\d+ end=(client|target)-fin" % (protocol, web.server_port))
        self.assertEqual({path for _, path, _ in web.seen}, {"/file"}, "the origin sees requests as without a proxy")
        self.assertFalse([name for _, _, fields in web.seen for name in fields if name.lower().startswith("proxy")])

    def test_names_are_resolved_by_the_exit(self):
        port, web = self.proxy(), self.web()
        for scheme in ("socks5h", "socks4a", "http"):
            self.check(curl("%s://127.0.0.1:%d" % (scheme, port), web.url))
        until(lambda: self.n_closed() == 3)
        self.assertEqual(len(re.findall(r"closed .*target=localhost:%d " % web.server_port, self.access.log())), 3)

    def test_https_through_connect_and_socks(self):
        port, web = self.proxy(), self.web(Request, self.certificate())
        for scheme in ("http", "socks5h", "socks4a"):
            done = curl("%s://127.0.0.1:%d" % (scheme, port), web.url, "-k")
            self.check(done)
            self.assertEqual(done.stdout, FILE)
        self.access.wait_log(r"protocol=http-connect user=- target=localhost:%d " % web.server_port)

    def test_plain_http_through_connect(self):
        port, web = self.proxy(), self.web()
        done = curl("http://127.0.0.1:%d" % port, web.url, "--proxytunnel", "-w", "%{http_connect} %{http_code}", "-o", "/dev/null")
        self.assertEqual(done.stdout, b"200 200")

    def test_uploads(self):
        port, web = self.proxy(), self.web()
        path = pathlib.Path(self.world.path("upload"))
        path.write_bytes(FILE * 2)
        for scheme in SCHEMES:
            for more in ((), ("-H", "Expect:")):
                done = curl("%s://127.0.0.1:%d" % (scheme, port), web.url, "-T", str(path), *more)
                self.check(done)
                self.assertEqual(done.stdout.decode(), hashlib.sha256(FILE * 2).hexdigest(), scheme)

    def test_100_at_once(self):
        port, web = self.proxy("--workers", "2"), self.web()
        for scheme in ("socks5h", "http"):
            done = curl("%s://127.0.0.1:%d" % (scheme, port), web.url + "/[1-100]", "-Z", "--parallel-max", "100",
                        "--parallel-immediate", "-o", self.world.path("got-#1"))
            self.assertEqual(done.returncode, 0, done.stderr)  # it also shows progress there
            for i in range(1, 101):
                self.assertEqual(pathlib.Path(self.world.path("got-%d" % i)).read_bytes(), FILE)

    def test_a_listener_of_one_protocol(self):
        web = self.web()
        for scheme, wrong in (("socks5", "http"), ("http", "socks5h")):
            port = self.proxy(listen=scheme + "://127.0.0.1:0")
            self.check(curl("%s://127.0.0.1:%d" % (scheme, port), web.url.replace("localhost", "127.0.0.1")))
            done = curl("%s://127.0.0.1:%d" % (wrong, port), web.url, "-w", "%{http_code}")
            self.assertTrue(done.returncode != 0 or done.stdout.endswith(b"403"), done)
            self.access.wait_log("end=bad-greeting")
            self.access.wait_log(r"listening addr=\S+ proxy=%s users=no hops=3" % scheme)
        self.assertEqual(len(web.seen), 2)

    def test_from_a_file(self):
        web = self.web()
        chain = self.world.chain(self.world.hops(1), "127.0.0.1:1")
        path = pathlib.Path(self.world.path("access.json"))
        for kind in ("auto", "http"):
            path.write_text('{"listen": [{"addr": "127.0.0.1:0", "type": "%s"}], "chains": {"c": {"file": "%s"}}}'
                            % (kind, chain))
            access = self.world.add(Process([program("access"), "--config", str(path)]))
            self.check(curl("http://127.0.0.1:%d" % access.port(), web.url))


class Programs(Case):
    def test_proxychains(self):
        port, web = self.proxy(), self.web()
        for kind in ("socks5", "http"):
            conf = pathlib.Path(self.world.path("proxychains.conf"))
            conf.write_text("strict_chain\nproxy_dns\n[ProxyList]\n%s 127.0.0.1 %d\n" % (kind, port))
            done = run("proxychains4", "-q", "-f", str(conf), "curl", "-sS", "--max-time", "30",
                       "http://127.0.0.1:%d" % web.server_port)
            self.assertEqual((done.returncode, done.stdout == FILE), (0, True), done.stderr)

    def test_git_clones(self):
        port = self.proxy()
        work, bare = self.world.path("work"), self.world.path("served/repo.git")
        git = functools.partial(run, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c",
                                "init.defaultBranch=main")
        self.assertEqual(git("init", "-q", work).returncode, 0)
        pathlib.Path(work, "file").write_bytes(FILE)
        for command in (("add", "."), ("commit", "-q", "-m", "one")):
            self.assertEqual(git(*command, folder=work).returncode, 0)
        self.assertEqual(git("clone", "-q", "--bare", work, bare).returncode, 0)
        self.assertEqual(git("update-server-info", folder=bare).returncode, 0)
        web = self.web(functools.partial(Folder, directory=self.world.path("served")))
        for scheme in ("http", "socks5h"):
            copy = self.world.path("copy-" + scheme)
            done = run("git", "clone", "-q", web.url + "/repo.git", copy,
                       env={"http_proxy": "%s://127.0.0.1:%d" % (scheme, port)})
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(pathlib.Path(copy, "file").read_bytes(), FILE)
        self.assertGreaterEqual(self.n_closed(), 2)

    def test_apt_downloads(self):
        port = self.proxy()
        repository, state = pathlib.Path(self.world.path("served")), pathlib.Path(self.world.path("apt"))
        package = pathlib.Path(self.world.path("package/DEBIAN"))
        for folder in (repository, state / "lists/partial", state / "cache/archives/partial", package):
            folder.mkdir(parents=True)
        control = "Package: hopchain-probe\nVersion: 1\nArchitecture: all\nMaintainer: t <t@example.org>\nDescription: t\n"
        (package / "control").write_text(control)
        deb = repository / "hopchain-probe_1_all.deb"
        self.assertEqual(run("dpkg-deb", "-b", str(package.parent), str(deb)).returncode, 0)
        content = deb.read_bytes()
        (repository / "Packages").write_text("%sFilename: ./%s\nSize: %d\nSHA256: %s\n\n" % (
            control, deb.name, len(content), hashlib.sha256(content).hexdigest()))
        web = self.web(functools.partial(Folder, directory=str(repository)))
        (state / "sources.list").write_text("deb [trusted=yes] %s/ ./\n" % web.url)
        (state / "status").touch()
        options = []
        for name, value in (("Acquire::http::Proxy", "http://127.0.0.1:%d" % port), ("APT::Sandbox::User", ""),
                            ("Dir::Etc::sourcelist", state / "sources.list"), ("Dir::Etc::sourceparts", "-"),
                            ("Dir::State::lists", state / "lists"), ("Dir::State::status", state / "status"),
                            ("Dir::Cache", state / "cache"), ("Acquire::Languages", "none")):
            options += ["-o", "%s=%s" % (name, value)]
        for command in (["update"], ["download", "hopchain-probe"]):
            done = run("apt-get", "-q", *options, *command, folder=state)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual((state / deb.name).read_bytes(), content)
        self.access.wait_log(r"protocol=http user=- target=localhost:%d " % web.server_port)

    def test_pysocks(self):
        port, origin = self.proxy(), self.world.origin(echo)
        import socks
        for kind in (socks.SOCKS5, socks.SOCKS4, socks.HTTP):
            s = socks.socksocket()
            s.settimeout(WAIT)
            s.set_proxy(kind, "127.0.0.1", port, rdns=True)
            s.connect(("localhost", origin.port))
            s.sendall(b"by PySocks")
            self.assertEqual(receive_exactly(s, 10), b"by PySocks")
            s.close()


class Users(Case):
    def setUp(self):
        super().setUp()
        self.users = self.world.path("users")
        for name, password in (("ann", "right one"), ("b:o b", "p:w\u00e4")):
            if ":" in name:
                continue
            done = subprocess.run([program("chain"), "passwd", self.users, name], input=password + "\n", text=True,
                                  capture_output=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_only_users_come_in(self):
        port, web = self.proxy("--users-file", self.users), self.web()
        url = web.url.replace("localhost", "127.0.0.1")
        self.access.wait_log(r"proxy=auto users=yes")
        for scheme in ("socks5h", "http"):
            done = curl("%s://127.0.0.1:%d" % (scheme, port), url, "-U", "ann:right one")
            self.assertEqual((done.returncode, done.stdout == FILE), (0, True), done.stderr)
            self.access.wait_log(r"protocol=%s user=ann target=" % SCHEMES[scheme])
        done = curl("http://127.0.0.1:%d" % port, url, "-U", "ann:right one", "--proxytunnel")
        self.assertEqual(done.returncode, 0, done.stderr)
        for user in ("ann:wrong", "nobody:right one", None):
            more = ("-U", user) if user else ()
            self.assertEqual(curl("socks5h://127.0.0.1:%d" % port, url, *more).returncode, CURL_WRONG_PASSWORD)
            done = curl("http://127.0.0.1:%d" % port, url, *more, "-o", "/dev/null", "-w", "%{http_code}")
            self.assertEqual(done.stdout, b"407")
        self.assertNotEqual(curl("socks4a://127.0.0.1:%d" % port, url).returncode, 0)
        self.access.wait_log("rejected: wrong name or password from=127")
        self.access.wait_log("end=wrong-login")
        self.assertNotIn("right one", self.access.log())
        self.assertNotIn("wrong\n", self.access.log())
        self.assertFalse([name for _, _, fields in web.seen for name in fields if name.lower().startswith("proxy")])
        self.assertEqual(len(web.seen), 3)

    def test_a_file_that_is_wrong(self):
        pathlib.Path(self.users).write_text("ann:secret\n")
        chain = self.world.chain(self.world.hops(1))
        done = run(program("access"), "--listen", "127.0.0.1:0", "--chain", chain, "--users-file", self.users)
        self.assertEqual(done.returncode, 3)
        self.assertIn(self.users.encode() + b":1", done.stderr)
        self.assertNotIn(b"secret", done.stderr)

    def test_users_make_any_source_right(self):
        chain = self.world.chain(self.world.hops(1))
        done = run(program("access"), "--listen", "127.0.0.1:0", "--chain", chain, "--from", "any")
        self.assertEqual((done.returncode, done.stderr), (
            3, b"access: --listen 127.0.0.1:0 accepts any source without users: anyone who reaches port 0 could use your "
               b"chain; set --users-file or a narrower --from, or pass --open\n"))
        self.proxy("--from", "any", "--users-file", self.users)
        self.proxy("--from", "any", "--open")


class Failures(Case):
    def both(self, target_port):
        """What SOCKS5 and CONNECT are told."""
        s, code = ask_socks5(self.port, target_port)
        self.assertEqual(receive_all(s), b"")
        request = b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (target_port, target_port)
        status, fields, body = ask_http(self.port, request)
        self.assertEqual(len(body), int(fields["content-length"]))
        self.assertEqual(fields["connection"], "close")
        return code, status, fields["proxy-status"], body.decode()

    def closed_port(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            return s.getsockname()[1]

    def test_the_target_refuses(self):
        self.proxy()
        code, status, said, body = self.both(self.closed_port())
        self.assertEqual((code, status), (REFUSED, 502))
        self.assertIn("error=connection_refused", said)
        self.assertIn("hop 3", said)
        self.assertIn("hop 3", body)
        self.access.wait_log(r"failed conn=\S+ hop=3 stage=status status=refused why=")
        self.access.wait_log(r"closed .*protocol=http-connect user=- target=\S+ up=0 down=0 age_ms=\d+ end=refused")

    def test_plain_http_says_why_too(self):
        self.proxy()
        done = curl("http://127.0.0.1:%d" % self.port, "http://127.0.0.1:%d/" % self.closed_port(), "-i")
        self.assertIn(b" 502 ", done.stdout.splitlines()[0])
        self.assertIn(b"hop 3", done.stdout)

    def test_the_exit_denies(self):
        self.proxy(hops=self.world.hops(2) + [self.world.hop(self.world.key(), allow=())])
        code, status, said, _ = self.both(self.closed_port())
        self.assertEqual((code, status), (DENIED, 403))
        self.assertIn("hop 3", said)

    def test_a_dead_hop(self):
        self.proxy()
        self.hops[1].end()
        code, status, said, _ = self.both(self.closed_port())
        self.assertIn(code, (FAILURE, REFUSED))
        self.assertEqual(status, 502)
        self.assertIn("hop 2", said)

    def test_the_first_hop_is_dead(self):
        self.proxy()
        self.hops[0].end()
        code, status, said, _ = self.both(self.closed_port())
        self.assertIn(code, (FAILURE, REFUSED))
        self.assertEqual(status, 502)
        self.assertIn("hop 1", said)

    def test_no_reset_eats_the_answer(self):
        """The client has sent more: what is unread would turn close() into a reset."""
        self.proxy()
        for _ in range(10):
            s = connect(self.port)
            s.sendall(socks5(self.closed_port()) + b"x" * 30000)
            time.sleep(0.02)  # the reset, if there is one, comes before it is looked for
            said = receive_all(s)
            self.assertEqual(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
            self.assertEqual(said[:4], b"\x05\x00\x05\x05")
            self.assertEqual(len(said), 12)
            s.close()

    def test_strangers_are_closed_without_a_word(self):
        self.proxy()
        for said in (b"ssh-rsa\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 100, b"\xff"):
            s = connect(self.port)
            s.sendall(said)
            try:
                self.assertEqual(receive_all(s), b"", said)
            except ConnectionResetError:
                pass
            s.close()
        until(lambda: self.n_closed() == 4)
        self.assertEqual(len(re.findall(r"protocol=- user=- target=- .*end=unknown-protocol", self.access.log())), 4)

    def test_a_head_of_64_kib(self):
        self.proxy()
        status, _, _ = ask_http(self.port, b"GET http://a/ HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 65536 + b"\r\n\r\n")
        self.assertEqual(status, 431)

    def test_what_is_no_proxy_request(self):
        self.proxy()
        for request in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
                        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"):
            self.assertEqual(ask_http(self.port, request)[0], 400, request)
        until(lambda: len(re.findall("end=bad-greeting", self.access.log())) == 3)

    def test_socks_commands_that_are_none(self):
        self.proxy()
        for command in (2, 9):
            s = connect(self.port)
            s.sendall(b"\x05\x01\x00\x05" + bytes([command]) + b"\0\x01\x7f\0\0\x01\0\x50")
            self.assertEqual(receive_all(s)[2:4], b"\x05\x07")
            s.close()


class Streams(Case):
    def test_early_data_is_forwarded(self):
        port, got = self.proxy(), []

        def keep(connection):
            got.append(receive_all(connection))
            connection.sendall(b"%d bytes" % len(got[-1]))

        origin = self.world.origin(keep)
        for n in (1, 5000, 300000):
            data = os.urandom(n)
            s = connect(port, 30)
            s.sendall(socks5(origin.port) + data)
            s.shutdown(socket.SHUT_WR)
            said = receive_all(s)
            self.assertEqual(said[2:4], b"\x05\x00")
            self.assertEqual(said[12:], b"%d bytes" % n)
            self.assertEqual(got.pop(), data)
            s.close()

    def test_a_whole_plain_request_and_the_end(self):
        """As "printf … | nc -N" sends it."""
        port, web = self.proxy(), self.web()
        head = b"PUT http://localhost:%d/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello" % web.server_port
        s = connect(port)
        s.sendall(head)
        s.shutdown(socket.SHUT_WR)
        self.assertTrue(receive_all(s).endswith(hashlib.sha256(b"hello").hexdigest().encode()))

    def test_half_close_by_the_client(self):
        port, got = self.proxy(), []

        def handler(connection):
            got.append(receive_all(connection))
            connection.sendall(b"after your end")

        origin = self.world.origin(handler)
        s, code = ask_socks5(port, origin.port)
        self.assertEqual(code, OK)
        s.sendall(b"up")
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(receive_all(s), b"after your end")
        self.assertEqual(got, [b"up"])

    def test_half_close_by_the_target(self):
        port, got = self.proxy(), []

        def handler(connection):
            connection.sendall(b"bye")
            connection.shutdown(socket.SHUT_WR)
            got.append(receive_all(connection))

        origin = self.world.origin(handler)
        s, _ = ask_socks5(port, origin.port)
        self.assertEqual(receive_all(s), b"bye")
        s.sendall(b"after your end")
        s.close()
        until(lambda: got == [b"after your end"])

    def test_a_byte_at_a_time(self):
        port, origin, web = self.proxy(), self.world.origin(echo), self.web()
        s = connect(port)
        for byte in socks5(origin.port, b"\x09localhost", 3) + b"echo":
            s.sendall(bytes([byte]))
            time.sleep(0.005)
        self.assertEqual(receive_exactly(s, 16)[-4:], b"echo")
        s = connect(port)
        for byte in b"GET http://localhost:%d/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % web.server_port:
            s.sendall(bytes([byte]))
            time.sleep(0.002)
        self.assertTrue(receive_all(s).endswith(FILE))


class Endings(Case):
    def black_hole(self):
        """A first hop that accepts and says nothing."""
        held = []
        return self.world.origin(lambda connection: (held.append(connection.recv(1)), threading.Event().wait()))

    def test_clients_that_leave_while_the_chain_is_built(self):
        hole = self.black_hole()
        self.proxy(hops=[(hole.addr, self.world.key())])
        before = self.access.n_fds()
        for how in (socket.socket.close, reset):
            for request in (socks5(1), b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"):
                s = connect(self.port)
                s.sendall(request)
                until(lambda: self.access.n_fds() >= before + 2, what="a connection to hop 1")
                how(s)
                until(lambda: self.access.n_fds() == before, 3, "nothing is left of it")
        until(lambda: self.n_closed() == 4)

    def test_clients_that_leave_while_they_greet(self):
        self.proxy()
        before = self.access.n_fds()
        for said in (b"", b"\x05", b"\x05\x01\x00", b"\x04\x01", b"GET http://"):
            for how in (socket.socket.close, reset):
                s = connect(self.port)
                s.sendall(said)
                until(lambda: self.access.n_fds() == before + 1)
                how(s)
                until(lambda: self.access.n_fds() == before)
        until(lambda: self.n_closed() == 10)

    def test_sigterm_while_greeting(self):
        port, origin = self.proxy(), self.world.origin(echo)
        idle, halfway, running = connect(port), connect(port), ask_socks5(port, origin.port)[0]
        whole = socks5(origin.port)
        halfway.sendall(whole[:5])
        self.assertEqual(receive_exactly(halfway, 2), b"\x05\x00")
        self.access.signal(signal.SIGTERM)
        self.assertEqual(receive_all(idle), b"", "who has said nothing is not waited for")
        with self.assertRaises(OSError):
            connect(port)
        halfway.sendall(whole[5:] + b"late")
        self.assertEqual(receive_exactly(halfway, 14)[-4:], b"late")
        running.sendall(b"on")
        self.assertEqual(receive_exactly(running, 2), b"on")
        self.assertIsNone(self.access.process.poll())
        for s in (halfway, running):
            s.close()
        self.assertEqual(self.access.wait(), 0)

    def test_who_greets_counts_as_a_connection(self):
        path = pathlib.Path(self.world.path("access.json"))
        path.write_text('{"listen": [{"addr": "127.0.0.1:0", "limits": {"connections": 2}}], "chains": {"c": {"file": "%s"}}}'
                        % self.world.chain(self.world.hops(1)))
        access, origin = self.world.add(Process([program("access"), "--config", str(path)])), self.world.origin(echo)
        idle = [connect(access.port()) for _ in range(2)]
        with self.assertRaises((ConnectionError, AssertionError)):
            ask_socks5(access.port(), origin.port)
        access.wait_log("refused: limit reached limit=listen.limits.connections ")
        idle[0].close()
        until(lambda: "end=client-fin" in access.log())
        self.assertEqual(ask_socks5(access.port(), origin.port)[1], OK)

    def test_a_second_sigterm_ends_greetings(self):
        port = self.proxy()
        s = connect(port)
        s.sendall(b"\x05\x01\x00")
        receive_exactly(s, 2)
        self.access.signal(signal.SIGTERM)
        with self.assertRaises(OSError):
            until(lambda: connect(port).close(), 1)
        self.access.signal(signal.SIGTERM)
        self.assertEqual(self.access.wait(), 0)



@unittest.skipUnless(shutil.which("proxychains4"), "needs its programs")
class Needs(unittest.TestCase):
    def test_programs_are_here(self):
        for name in ("curl", "git", "openssl", "proxychains4", "apt-get", "dpkg-deb"):
            self.assertTrue(shutil.which(name), name)


if __name__ == "__main__":
    unittest.main()
