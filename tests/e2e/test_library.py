"""libhopchain as a stranger uses it: installed, found by pkg-config, linked, run.

    example ── libhopchain ══ hop 1 ══ hop 2 ══ hop 3 ── origin          all on loopback
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import World, program, reset, until  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD_DIR = pathlib.Path(os.path.realpath(program("chain"))).parents[1]
HEADER = ROOT / "chain" / "hopchain.h"
EXAMPLES = ROOT / "docs" / "examples"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
MIB = 1 << 20


def sanitizers():
    options = json.loads((BUILD_DIR / "meson-info" / "intro-buildoptions.json").read_text())
    value = next(o["value"] for o in options if o["name"] == "b_sanitize")
    return [] if value == "none" else ["-fsanitize=" + value]


class Installed:
    """What "ninja install" puts on a system, in a folder of its own."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hopchain-install-"))
        done = subprocess.run(["meson", "install", "-C", str(BUILD_DIR), "--no-rebuild", "--destdir", str(self.dir)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stdout)
        self.pc = next(self.dir.rglob("hopchain.pc"))
        self.prefix = next(self.dir.rglob("hopchain.h")).parents[1]
        self.library = next(self.dir.rglob("libhopchain.so"))

    def flags(self):
        return subprocess.run(["pkg-config", "--define-variable=prefix=" + str(self.prefix), "--cflags", "--libs",
                               "hopchain"], env=dict(os.environ, PKG_CONFIG_PATH=str(self.pc.parent)), check=True,
                              stdout=subprocess.PIPE, text=True).stdout.split()

    def compile(self, source, *flags):
        to = self.dir / source.stem
        subprocess.run(["cc", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", str(source), "-o", str(to)] +
                       sanitizers() + list(flags) + self.flags() + ["-Wl,-rpath," + str(self.library.parent)], check=True)
        return str(to)

    def end(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Interface(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.installed = Installed()
        cls.addClassCleanup(cls.installed.end)

    def declared(self):
        """Each function of the header; none may be without HOPCHAIN_API."""
        text = re.sub(r"/\*.*?\*/|^[ \t]*#.*?(?<!\\)$", "", HEADER.read_text(), flags=re.DOTALL | re.MULTILINE)
        public = re.findall(r"HOPCHAIN_API\b[^;{]*?\b(hopchain_\w+)\s*\(", text)
        all_of_them = re.findall(r"^[A-Za-z][^;{}()]*?\b(hopchain_\w+)\s*\(", text, re.MULTILINE)
        types = re.findall(r"typedef[^;]*?\b(hopchain_\w+_fn)\s*\(", text)
        self.assertEqual(sorted(set(all_of_them) - set(types)), sorted(public))
        return sorted(public)

    def test_what_is_exported_is_what_the_header_declares(self):
        lines = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", str(self.installed.library)],
                               check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        exported = {line.split()[2] for line in lines} - {"HOPCHAIN_0"}
        self.assertGreater(len(exported), 40)
        self.assertEqual(sorted(exported), [name + "@@HOPCHAIN_0" for name in self.declared()])

    def test_the_package_knows_each_symbol(self):
        """debian/libhopchain0.symbols: a new function gets a line with the version it comes with."""
        text = (ROOT / "debian" / "libhopchain0.symbols").read_text()
        self.assertEqual(re.findall(r"^ (hopchain_\w+)@HOPCHAIN_0 \d", text, re.MULTILINE), self.declared())

    def test_the_library_ends_no_process_and_takes_no_signal(self):
        lines = subprocess.run(["nm", "-D", "--undefined-only", str(self.installed.library)], check=True,
                               stdout=subprocess.PIPE, text=True).stdout.splitlines()
        used = {line.split()[1].split("@")[0] for line in lines}
        self.assertIn("uv_poll_start", used)
        self.assertEqual(used & {"exit", "_exit", "_Exit", "quick_exit", "signal", "sigaction", "uv_signal_start_oneshot",
                                 "printf", "puts", "perror", "err", "errx", "syslog", "fork", "system"}, set())

    def test_the_header_compiles_alone(self):
        for compiler, standard, language in (("cc", "c11", "c"), ("cc", "c17", "c"), ("c++", "c++17", "c++")):
            with self.subTest(standard):
                subprocess.run([compiler, "-std=" + standard, "-x", language, "-Wall", "-Wextra", "-pedantic", "-Werror",
                                "-fsyntax-only", "-include", str(HEADER), "/dev/null"], check=True)

    def test_the_soname_is_0(self):
        text = subprocess.run(["readelf", "-d", str(self.installed.library)], check=True, stdout=subprocess.PIPE,
                              text=True).stdout
        self.assertIn("[libhopchain.so.0]", text)
        self.assertNotIn("TEXTREL", text)
        self.assertNotIn("RUNPATH", text)


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.installed = Installed()
        cls.addClassCleanup(cls.installed.end)
        cls.fetch = cls.installed.compile(EXAMPLES / "fetch.c")
        cls.udp_ping = cls.installed.compile(EXAMPLES / "udp_ping.c")
        cls.upload = cls.installed.compile(ROOT / "tests" / "lib" / "upload.c")

    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)

    def run_it(self, *argv, **more):
        return subprocess.run(list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60, **more)

    def http(self, body):
        def handler(connection):
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(4096)
                if not piece:
                    return
                request += piece
            self.request = request
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: x\r\n\r\n")
            for at in range(0, len(body), MIB):
                connection.sendall(body[at:at + MIB])
                self.n_sent = at + MIB
        self.n_sent = 0
        return self.world.origin(handler)

    def test_the_examples_are_short(self):
        for path in EXAMPLES.glob("*.c"):
            self.assertLess(len(path.read_text().splitlines()), 150, path.name)

    def test_fetch(self):
        body = hashlib.shake_128(b"body").digest(3 * MIB + 17)
        origin = self.http(body)
        for more in ({}, {"payload": "header-only"}):
            done = self.run_it(self.fetch, self.world.chain(self.world.hops(3), **more), origin.addr, "/a/path")
            self.assertEqual(done.stderr, b"")
            self.assertEqual(done.returncode, 0)
            self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(body).digest())
            self.assertTrue(self.request.startswith(b"GET /a/path HTTP/1.0\r\nHost: " + origin.addr.encode()))

    def test_fetch_does_not_hoard_what_nobody_reads(self):
        body = hashlib.shake_128(b"large").digest(MIB) * 128
        origin = self.http(body)
        chain = self.world.chain(self.world.hops(3))
        process = subprocess.Popen([self.fetch, chain, origin.addr], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        seen = []

        def stands_still():
            seen.append(self.n_sent)
            return len(seen) > 60 and 0 < seen[-1] == seen[-60]
        until(stands_still, 30)
        self.assertLess(self.n_sent, 100 * MIB, "the sender was held back")
        pages = int(pathlib.Path("/proc/%d/statm" % process.pid).read_text().split()[1])
        if not sanitizers():
            self.assertLess(pages * os.sysconf("SC_PAGE_SIZE"), 24 * MIB)
        got = hashlib.sha256(receive_all_of(process.stdout)).digest()
        self.assertEqual(got, hashlib.sha256(body).digest())
        self.assertEqual(process.wait(30), 0)

    def test_a_dead_hop_is_named(self):
        hops = self.world.hops(3)
        chain = self.world.chain(hops)
        port = hops[1].port()
        hops[1].end()
        done = self.run_it(self.fetch, chain, "127.0.0.1:1")
        self.assertEqual(done.returncode, 6)
        self.assertEqual(done.stdout, b"")
        self.assertRegex(done.stderr.decode(), r"^fetch: .*hop 1 .*hop 2 \(127.0.0.1:%d\).*refused.*\n$" % port)
        hops[0].end()
        done = self.run_it(self.fetch, chain, "127.0.0.1:1")
        self.assertEqual(done.returncode, 5)
        self.assertRegex(done.stderr.decode(), r"^fetch: .*hop 1 .*refused.*\n$")

    def test_a_closed_target_is_named(self):
        done = self.run_it(self.fetch, self.world.chain(self.world.hops(2)), "127.0.0.1:1")
        self.assertEqual(done.returncode, 8)
        self.assertRegex(done.stderr.decode(), r"^fetch: hop 2 .*127.0.0.1:1.*refused.*\n$")

    @unittest.skipUnless(os.path.exists(FAKETIME), "needs libfaketime")
    def test_the_library_writes_nothing(self):
        """A hop whose clock differs is a warning in the log of a server: a library has none. Programs read it from the
        answers."""
        fake = {"LD_PRELOAD": FAKETIME, "FAKETIME": "-8s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        hop = self.world.hop(self.world.key(), env=fake)
        done = self.run_it(self.fetch, self.world.chain([hop]), self.http(b"body").addr)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"body", b""))

    def test_a_bad_chain_is_reported(self):
        path = self.world.path("bad.json")
        pathlib.Path(path).write_text('{\n "hops": [ { "addr": "127.0.0.1" } ]\n}\n')
        done = self.run_it(self.fetch, path, "127.0.0.1:1")
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr.decode(), r"bad\.json:2:\d+: error: .*has no port")

    def uploaded(self, connection):
        digest, n = hashlib.sha256(), 0
        while True:
            piece = connection.recv(1 << 18)
            if not piece:
                break
            digest.update(piece)
            n += len(piece)
        connection.sendall(b"%d %s" % (n, digest.hexdigest().encode()))

    def test_one_direction_ends_and_the_other_goes_on(self):
        origin = self.world.origin(self.uploaded)
        for more in ({}, {"payload": "header-only"}):
            for n in (0, 100):
                done = self.run_it(self.upload, self.world.chain(self.world.hops(3), **more), origin.addr, str(n))
                self.assertEqual(done.returncode, 0, done.stderr)
                want = b"%d %s" % (n * MIB, hashlib.sha256(b"x" * n * MIB).hexdigest().encode())
                self.assertEqual(done.stdout, want)
                if n:
                    self.assertGreater(int(done.stderr.split(b"=")[1]), 0, "it was held back at times")

    def test_a_reset_is_no_signal(self):
        """SIGPIPE has its default disposition in the example: it would end it."""
        def handler(connection):
            connection.recv(1000)
            reset(connection)
        origin = self.world.origin(handler)
        for more in ({}, {"payload": "header-only"}):
            done = self.run_it(self.upload, self.world.chain(self.world.hops(3), **more), origin.addr, "50")
            self.assertEqual(done.returncode, 9, done.stderr)
            self.assertRegex(done.stderr.decode(), r"after \d+(\.\d+)? m?s")

    def test_a_lost_hop_is_no_signal(self):
        held, reached = threading.Event(), threading.Event()
        self.addCleanup(held.set)

        def handler(connection):
            connection.recv(1000)
            reached.set()
            held.wait(30)
        origin = self.world.origin(handler)
        hops = self.world.hops(2)
        process = subprocess.Popen([self.upload, self.world.chain(hops), origin.addr, "500"], stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        self.assertTrue(reached.wait(30))
        self.assertEqual(len(os.listdir("/proc/%d/task" % process.pid)), 1, "the library starts no thread")
        hops[0].end()
        self.assertEqual(process.wait(30), 9)
        self.assertRegex(process.stderr.read().decode(), r"lost.* ms.*(orderly end|reset)")

    def test_udp_ping(self):
        origin = self.world.udp_origin()
        for udp in ("datagram", "stream", "auto"):
            done = self.run_it(self.udp_ping, self.world.chain(self.world.hops(3), udp=udp), origin.addr, "3")
            self.assertEqual(done.stderr, b"")
            self.assertEqual(done.returncode, 0)
            lines = done.stdout.decode().splitlines()
            self.assertEqual(len(lines), 3)
            for i, line in enumerate(lines, 1):
                self.assertRegex(line, r"^%d: \d+\.\d{3} ms%s$" % (i, r" \(in a stream\)" if udp == "stream" else ""))

    def test_udp_ping_to_a_closed_port(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            target = "127.0.0.1:%d" % s.getsockname()[1]
        done = self.run_it(self.udp_ping, self.world.chain(self.world.hops(2), udp="datagram"), target, "2")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"udp_ping: port-unreach\n", done.stderr)


def receive_all_of(pipe):
    data = bytearray()
    while True:
        piece = pipe.read(1 << 20)
        if not piece:
            return bytes(data)
        data += piece


if __name__ == "__main__":
    unittest.main()
