"""Every message of interface.md 2.6 that applies, word for word, from the real programs."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import unittest

from harness import World, echo, program

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
KEY = "hc1:" + "A" * 42 + "B" * 43 + "A=="  # well formed, and nobody's


def run(name, *args, cwd=None, env=None, text=None):
    done = subprocess.run([program(name)] + list(args), cwd=cwd, input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, env=dict(os.environ, **(env or {})))
    return done.returncode, done.stdout, done.stderr


class Files(unittest.TestCase):
    """What is wrong in a file: place, sentence, caret, exit code."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="hopchain-messages-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        for name in ("hop1.key", "hop2.key"):
            run("chain", "keygen", "-o", str(self.dir / name))

    def write(self, name, text):
        (self.dir / name).write_text(text)
        (self.dir / name).chmod(0o600)
        return name

    def first(self, program_name, file, text, *args, code=3):
        """The first line of what @program_name says about @file, and all of it."""
        self.write(file, text)
        rc, out, err = run(program_name, "check", *args, file, cwd=self.dir)
        self.assertEqual((rc, out), (code, ""), err)
        return err.split("\n")[0], err

    def chain(self, text):
        return self.first("chain", "chain.json", text)

    def hops(self, *hops):
        return '{\n  "hops": [\n    %s\n  ]\n}\n' % ",\n    ".join(hops)

    def test_01_a_missing_comma(self):
        line, all_of_it = self.chain('{\n  "hops": [\n    { "addr": "a.example:7000" "key_file": "hop1.key" } ] }')
        self.assertEqual(line, "chain.json:3:31: error: missing ',' here")
        self.assertEqual(all_of_it.split("\n")[1:3], [
            '    3 |     { "addr": "a.example:7000" "key_file": "hop1.key" } ] }',
            '      |                               ^'], "the caret stands behind the value before")

    def test_02_a_trailing_comma(self):
        line, _ = self.chain(self.hops('{ "addr": "a.example:7000", "key_file": "hop1.key" },'))
        self.assertEqual(line, "chain.json:3:57: error: trailing comma before ']'")

    def test_03_a_comment(self):
        line, _ = self.chain('{\n  // hops\n  "hops": [] }')
        self.assertEqual(line, 'chain.json:2:3: error: JSON has no comments (use a "$comment" member)')

    def test_04_never_closed(self):
        line, _ = self.chain('{\n  "hops": [\n    { "addr": "a.example:7000", "key_file": "hop1.key" }\n')
        self.assertEqual(line, "chain.json:2:11: error: '[' opened here is never closed")
        line, _ = self.chain('{ "hops": [ { "addr": "a.example:7000, "key_file": 1 } ] }\n')
        self.assertRegex(line, r"^chain\.json:1:\d+: error: ")

    def test_05_an_unknown_member(self):
        _, all_of_it = self.first("access", "access.json", '{\n  "lisen": [], "chains": {} }')
        self.assertIn('access.json:2:3: error: /lisen: unknown member "lisen"; did you mean "listen"?',
                      all_of_it.split("\n"))

    def test_06_a_duplicate_member(self):
        line, _ = self.chain('{\n  "hops": [ { "addr": "a.example:7000", "key_file": "hop1.key" } ],\n  "hops": [] }')
        self.assertEqual(line, 'chain.json:3:3: error: /hops: duplicate member "hops" (first at line 2)')

    def test_07_a_wrong_type(self):
        _, all_of_it = self.first("access", "access.json", '{\n  "listen": [\n    { "addr": 8080, "chain": "c" } ],\n'
                                  '  "chains": { "c": { "file": "chain.json" } } }')
        self.assertIn('access.json:3:15: error: /listen/0/addr: expected a string like ":8080", found the number 8080',
                      all_of_it.split("\n"))

    def test_08_no_port(self):
        line, _ = self.chain(self.hops('{ "addr": "hop1.example.net", "key_file": "hop1.key" }'))
        self.assertEqual(line, 'chain.json:3:15: error: /hops/0/addr: "hop1.example.net" has no port; '
                         'hint: hops usually listen on 7000: "hop1.example.net:7000"')

    def test_09_a_bare_ip6_address(self):
        line, _ = self.chain(self.hops('{ "addr": "2001:db8::1:7000", "key_file": "hop1.key" }'))
        self.assertEqual(line, 'chain.json:3:15: error: /hops/0/addr: "2001:db8::1:7000" is ambiguous; '
                         'write "[2001:db8::1]:7000"')

    def test_10_a_port_out_of_range(self):
        line, all_of_it = self.chain(self.hops('{ "addr": "hop2.example.net:70000", "key_file": "hop1.key" }'))
        self.assertEqual(line, "chain.json:3:15: error: /hops/0/addr: port 70000 is out of range (1 to 65535)")
        self.assertIn("      |               ^~~~~~~~~~~~~~~~~~~~~~~~", all_of_it.split("\n"))

    def test_11_a_duration_without_a_unit(self):
        line, _ = self.first("hop", "hop.json", '{\n  "listen": [ { "addr": ":7000" } ],\n'
                             '  "users": [ { "name": "me", "key_file": "hop1.key" } ],\n  "drain": "30" }')
        self.assertEqual(line, 'hop.json:4:12: error: /drain: "30" has no unit; did you mean "30s"?')

    def test_12_a_password_instead_of_a_key(self):
        line, all_of_it = self.chain(self.hops('{ "addr": "a.example:7000", "key": "hunter2" }'))
        self.assertEqual(line, 'chain.json:3:40: error: /hops/0/key: "hunter2" is not a key; keys are 64 random bytes '
                         'made by \'chain keygen\' ("hc1:" and 88 characters)')
        self.assertIn('"key": "*******"', all_of_it, "the source line does not show it again")

    def test_13_a_key_that_was_cut(self):
        path = self.dir / "hop1.key"
        path.write_text(path.read_text()[:4 + 85])
        rc, _, err = run("hop", "--user", "me,hop1.key", cwd=self.dir)
        self.assertEqual((rc, err), (3, 'hop: hop1.key:1: 85 of 88 characters after "hc1:"; '
                                     'was the end cut off when copying?\n'))
        line, _ = self.chain(self.hops('{ "addr": "a.example:7000", "key_file": "hop1.key" }'))
        self.assertEqual(line, 'chain.json:3:45: error: /hops/0/key_file: hop1.key:1: 85 of 88 characters after "hc1:"; '
                         'was the end cut off when copying?')

    def test_14_a_chain_that_is_not_defined(self):
        self.write("chain.json", self.hops('{ "addr": "a.example:7000", "key_file": "hop1.key" }'))
        line, _ = self.first("access", "access.json", '{\n  "listen": [\n    { "addr": "127.0.0.1:0", "to": "b.example:1", '
                             '"chain": "ofice" } ],\n  "chains": {\n    "office": { "file": "chain.json" } } }')
        self.assertEqual(line, 'access.json:3:60: error: /listen/0/chain: no chain named "ofice"; '
                         'did you mean "office"? (defined at line 5)')

    def test_15_a_file_that_is_missing(self):
        line, _ = self.first("access", "access.json", '{\n  "listen": [ { "addr": "127.0.0.1:0", "to": "b.example:1", '
                             '"chain": "office" } ],\n  "chains": { "office": { "file": "/nowhere/chain.json" } } }')
        self.assertEqual(line, "access.json:3:35: error: /chains/office/file: cannot open /nowhere/chain.json: "
                         "No such file or directory")
        line, _ = self.chain(self.hops('{ "addr": "a.example:7000", "key_file": "hop9.key" }'))
        self.assertEqual(line, "chain.json:3:45: error: /hops/0/key_file: cannot open hop9.key: "
                         "No such file or directory")
        rc, _, err = run("chain", "check", "nowhere.json", cwd=self.dir)
        self.assertEqual((rc, err), (3, "chain: cannot open nowhere.json: No such file or directory\n"))

    def test_16_a_key_that_others_may_read(self):
        (self.dir / "hop1.key").chmod(0o644)
        rc, _, err = run("hop", "--user", "me,hop1.key", cwd=self.dir)
        self.assertEqual((rc, err), (3, "hop: hop1.key: mode 0644 lets others read this secret; "
                                     "run: chmod 600 hop1.key\n"))
        line, _ = self.chain(self.hops('{ "addr": "a.example:7000", "key_file": "hop1.key" }'))
        self.assertEqual(line, "chain.json:3:45: error: /hops/0/key_file: hop1.key: mode 0644 lets others read this "
                         "secret; run: chmod 600 hop1.key")

    def test_16_a_chain_file_with_a_key_that_others_may_read(self):
        key = (self.dir / "hop1.key").read_text().strip()
        self.write("chain.json", self.hops('{ "addr": "a.example:7000", "key": "%s" }' % key))
        (self.dir / "chain.json").chmod(0o640)
        rc, _, err = run("chain", "check", "chain.json", cwd=self.dir)
        self.assertEqual((rc, err), (3, "chain: chain.json: mode 0640 lets others read this secret; "
                                     "run: chmod 600 chain.json\n"))

    def test_17_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
            rc, _, err = run("hop", "--listen", "127.0.0.1:%d" % port, "--user", "me,hop1.key", "-q", cwd=self.dir)
        self.assertEqual(rc, 4)
        name = pathlib.Path("/proc/self/comm").read_text().strip()
        self.assertEqual(err, "hop: cannot listen on 127.0.0.1:%d: address in use by %s (pid %d); "
                         "hint: ss -ltnp 'sport = :%d'\n" % (port, name, os.getpid(), port))

    @unittest.skipIf(os.geteuid() == 0 and not os.path.exists("/usr/bin/setpriv"), "needs setpriv as root")
    def test_18_a_privileged_port(self):
        if int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 443:
            self.skipTest("every port is unprivileged here")
        argv = [program("hop"), "--listen", ":443", "--user", "me,hop1.key", "-q"]
        if os.geteuid() == 0:
            argv = ["setpriv", "--bounding-set=-net_bind_service"] + argv
        done = subprocess.run(argv, cwd=self.dir, stderr=subprocess.PIPE, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stderr), (4, "hop: cannot listen on :443: permission denied; hint: "
                         "ports below 1024 need CAP_NET_BIND_SERVICE (the shipped unit grants it)\n"))

    def test_20_an_open_proxy(self):
        self.write("chain.json", self.hops('{ "addr": "a.example:7000", "key_file": "hop1.key" }'))
        rc, _, err = run("access", "--listen", ":1080", "--to", "b.example:1", "--chain", "chain.json",
                         "--from", "any", cwd=self.dir)
        self.assertEqual((rc, err), (3, "access: --listen :1080 accepts any source without users: anyone who reaches "
                                     "port 1080 could use your chain; set a narrower --from, or pass --open\n"))

    def test_22_a_key_used_twice(self):
        line, _ = self.chain(self.hops('{ "addr": "a.example:7000", "key_file": "hop1.key" }',
                                       '{ "addr": "b.example:7000", "key_file": "hop1.key" }'))
        self.assertEqual(line, "chain.json:4:45: error: /hops/1/key_file: same key as /hops/0; every hop needs its own "
                         "(chain keygen)")

    def test_at_most_20_then_a_count(self):
        _, all_of_it = self.chain(self.hops(*['{ "addr": "a", "key_file": "hop1.key", "x": 1 }'] * 16))
        lines = all_of_it.strip().split("\n")
        self.assertEqual(len([l for l in lines if ": error: " in l]), 20)
        self.assertRegex(lines[-1], r"^chain: \d+ more errors$")

    def test_the_same_as_json(self):
        for name, text, message, hint in (
                ("chain", self.hops('{ "addr": "hop1.example.net", "key_file": "hop1.key" }'),
                 '"hop1.example.net" has no port', 'hops usually listen on 7000: "hop1.example.net:7000"'),
                ("hop", '{\n  "listen": [\n    { "addr": 7000 } ],\n'
                 '  "users": [ { "name": "me", "key_file": "hop1.key" } ] }',
                 'expected a string like ":8080", found the number 7000', None)):
            self.write(name + ".json", text)
            rc, out, err = run(name, "check", "--json", name + ".json", cwd=self.dir)
            self.assertEqual((rc, err), (3, ""))
            (finding,) = json.loads(out)
            self.assertEqual(finding, {"file": name + ".json", "line": 3, "column": 15, "slug": "value",
                                       "pointer": "/hops/0/addr" if name == "chain" else "/listen/0/addr",
                                       "message": message, "hint": hint})
        self.write("chain.json", self.hops('{ "addr": "hop1.example.net:7000", "key_file": "hop1.key" }'))
        self.assertEqual(run("chain", "check", "--json", "chain.json", cwd=self.dir), (0, "[]\n", ""))

    def test_several_files_are_one_array(self):
        self.write("a.json", "{ ")
        self.write("b.json", self.hops('{ "addr": "b.example:7000", "key_file": "hop1.key" }'))
        self.write("c.json", "[]")
        rc, out, _ = run("chain", "check", "--json", "a.json", "b.json", "c.json", "d.json", cwd=self.dir)
        self.assertEqual(rc, 3)
        self.assertEqual([(f["file"], f["slug"], f["line"]) for f in json.loads(out)],
                         [("a.json", "syntax", 1), ("c.json", "value", 1), ("d.json", "file", None)])


class Paths(unittest.TestCase):
    """What a terminal obeys may be in a file's name: none of it comes out, in any message."""
    NAME = b"esc\x1b[31m\nnew\xc2\x9bline\x9bq\xc3\xa9"

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="hopchain-messages-")
        self.addCleanup(folder.cleanup)
        self.dir = folder.name.encode() + b"/" + self.NAME
        os.mkdir(self.dir)
        self.key, self.good, self.bad = (self.dir + b"/" + self.NAME + end for end in (b".key", b".good", b".bad"))
        subprocess.run([program("chain"), "keygen", "-o", self.key], check=True)
        with open(self.key, encoding="ascii") as f:
            hop = {"addr": "127.0.0.1:1", "key": f.read().strip()}
        chain = json.dumps({"hops": [hop]}).encode()
        for path, text in ((self.good, chain), (self.bad, chain[:-1] + b', "' + self.NAME[10:] + b'": 1}')):
            with open(path, "wb") as f:
                f.write(text)
            os.chmod(path, 0o600)

    def test_no_byte_is_obeyed(self):
        for code, *words in ((0, "check", self.good), (3, "check", self.bad), (3, "check", "--json", self.bad),
                             (3, "check", self.dir), (5, "doctor", "--chain", self.good),
                             (5, "doctor", "--json", "--chain", self.good), (3, "doctor", "--chain", self.bad),
                             (1, "keygen", "-o", self.key), (1, "keygen", "-o", self.dir + b"/no/no"),
                             (3, "ping", "--chain", self.bad), (1, "ssh-config", "--chain", self.good, "x"),
                             (1, "passwd", "--delete", self.dir, "ann"), (1, "passwd", "--delete", self.bad, "ann"),
                             (2, "explain", self.NAME), (2, self.NAME), (2, "trace", "--color", self.NAME)):
            with self.subTest(words=words):
                done = subprocess.run([program("chain"), *words], capture_output=True, timeout=60)
                out = done.stdout + done.stderr
                self.assertEqual(done.returncode, code, out)
                self.assertTrue(out)
                shown = out.decode()  # a byte that is no UTF-8 is an error here
                self.assertEqual([c for c in shown if c != "\n" and (c < " " or "\x7f" <= c <= "\x9f")], [])
                self.assertNotIn("\nnew", shown)
                self.assertIn("q\u00e9", shown)


class AtRunTime(unittest.TestCase):
    """What chain connect says when a chain fails, and its exit code."""

    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)

    def connect(self, chain, target, env=None):
        rc, out, err = run("chain", "connect", "--chain", chain, target, env=env, text="x")
        return rc, out, err

    def test_the_first_hop_refuses(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            addr = "127.0.0.1:%d" % s.getsockname()[1]
            chain = self.world.chain([(addr, self.world.key())])
            rc, _, err = self.connect(chain, "192.0.2.1:80")
        self.assertRegex(err, r"^chain: hop 1 \(%s\): refused after \d+ ms: nothing listens there\n$" % re.escape(addr))
        self.assertEqual(rc, 5)

    def test_the_name_of_the_first_hop_does_not_resolve(self):
        chain = self.world.chain([("no-such-name.invalid:7000", self.world.key())], timeouts={"connect": "3s"})
        rc, _, err = self.connect(chain, "192.0.2.1:80")
        self.assertRegex(err, r"^chain: hop 1 \(no-such-name\.invalid:7000\): (resolve-fail after \d+ ms: no such name, "
                         r"or a name without address|resolve-timeout after \d+ ms: no answer from its DNS servers|"
                         r"resolve-temp after \d+ ms: its DNS servers failed for now)\n$")
        self.assertEqual(rc, 5)

    def test_a_later_hop_refuses(self):
        hop = self.world.hop(self.world.key())
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            addr = "127.0.0.1:%d" % s.getsockname()[1]
            chain = self.world.chain([("127.0.0.1:%d" % hop.port(), hop.key), (addr, self.world.key())])
            rc, _, err = self.connect(chain, "192.0.2.1:80")
        self.assertRegex(err, r"^chain: hop 1 could not reach hop 2 \(%s\): refused after \d+ ms: nothing listens "
                         r"there\n$" % re.escape(addr))
        self.assertEqual(rc, 6)

    def test_21_a_wrong_key(self):
        for wrong in range(3):
            with self.subTest(hop=wrong + 1):
                hops = self.world.hops(3)
                pairs = [("127.0.0.1:%d" % h.port(), h.key) for h in hops]
                pairs[wrong] = (pairs[wrong][0], self.world.key())
                chain = self.world.chain(pairs, timeouts={"connect": "1s"})
                rc, _, err = self.connect(chain, "192.0.2.1:80")
                connected = "connected" if wrong == 0 else r"hop %d connected in \d+\.\d ms" % wrong
                self.assertRegex(err, r"^chain: hop %d \(%s\): no-answer: %s, but hop %d did not answer: wrong key, clock "
                                 r"more than 30 s off, or not one of ours \(no byte within \d+ ms\); hint: the log of "
                                 r"hop %d says which\n$" % (wrong + 1, re.escape(pairs[wrong][0]), connected, wrong + 1,
                                                            wrong + 1))
                self.assertEqual(rc, 7)
                hops[wrong].wait_log(r"rejected reason=unknown-key from=127\.0\.0\.1:\d+")

    def banner(self, first):
        def handler(s):
            s.sendall(first)
            while s.recv(1 << 16):
                pass
        return self.world.origin(handler)

    def test_a_hop_that_is_another_server(self):
        for first, shown, kind in (
                (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n" + b"x" * 200, r"SSH-2\.0-OpenSSH_9\.2p1 Debian-2", "an ssh server"),
                (b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n" + b"x" * 200, "HTTP/1", "an HTTP server"),
                (b"220 mail.example.net ESMTP\r\n" + b"x" * 200, "220 mail", "a mail or FTP server")):
            with self.subTest(kind=kind):
                server = self.banner(first)
                chain = self.world.chain([(server.addr, self.world.key())], timeouts={"connect": "2s"})
                rc, _, err = self.connect(chain, "192.0.2.1:80")
                self.assertRegex(err, r'^chain: hop 1 \(%s\): not-a-hop: its first bytes were "%s.*": this looks like %s\n$'
                                 % (re.escape(server.addr), shown, kind))
                self.assertEqual(rc, 7)

    def test_24_a_denied_target(self):
        hops = self.world.hops(1) + [self.world.hop(self.world.key(), allow=())]
        rc, _, err = self.connect(self.world.chain(hops), "127.0.0.1:22")
        self.assertEqual((rc, err), (8, 'chain: hop 2 refused 127.0.0.1:22: denied-loopback; '
                                     'hint: allow "loopback" in that hop\'s "targets"\n'))

    def fake(self, offset):
        return {"LD_PRELOAD": FAKETIME, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def hop_of_long_ago(self, i):
        """Its replay store is older than the window: headers from before its start are not refused for that."""
        key, file = self.world.key(), self.world.path("replay%d" % i)
        old = self.world.hop(key, "--replay-file", file, env=self.fake("-120s"))
        old.port()
        old.signal(signal.SIGTERM)
        old.wait()
        hop = self.world.hop(key, "--replay-file", file)
        hop.wait_log("replay store state=intact")
        return hop

    @unittest.skipUnless(os.path.exists(FAKETIME), "needs libfaketime")
    def test_23_a_clock_that_drifts(self):
        origin = self.world.origin(echo)
        hops = [self.hop_of_long_ago(i) for i in range(2)]
        for offset, words, refused in (("-6s", "6 s behind", "30"), ("+6s", "6 s ahead of", "10")):
            with self.subTest(offset=offset):
                rc, out, err = self.connect(self.world.chain(hops), origin.addr, self.fake(offset))
                self.assertEqual((rc, out), (0, "x"), err)
                self.assertRegex(err, "^%s$" % "".join(
                    r"chain: warning: this machine is %s hop %d \(refused from %s s\); hint: timedatectl set-ntp true\n"
                    % (words, i, refused) for i in (1, 2)))

    @unittest.skipUnless(os.path.exists(FAKETIME), "needs libfaketime")
    def test_a_clock_that_is_wrong(self):
        """Silence, and what it can mean."""
        hop = self.world.hop(self.world.key())
        addr = "127.0.0.1:%d" % hop.port()
        rc, _, err = self.connect(self.world.chain([hop], timeouts={"connect": "1s"}), "192.0.2.1:80", self.fake("-40s"))
        self.assertEqual(rc, 7)
        self.assertRegex(err, r"^chain: hop 1 \(%s\): no-answer: connected, but hop 1 did not answer: wrong key, clock "
                         r"more than 30 s off, or not one of ours \(no byte within \d+ ms\); hint: the log of hop 1 "
                         r"says which\n$" % re.escape(addr))
        hop.wait_log(r"rejected: authentic, but its clock differs reason=clock .*user=me off_s=-(39|40)\.\d")


class Online(unittest.TestCase):
    """chain check --online."""

    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)

    def check(self, chain, *args):
        return run("chain", "check", "--online", *args, chain)

    def test_a_good_chain(self):
        hops = self.world.hops(3)
        chain = self.world.chain(hops, "example.org:443")
        rc, out, err = self.check(chain)
        self.assertEqual((rc, err), (0, ""))
        lines = out.strip().split("\n")
        self.assertEqual(lines[0], chain + ": ok: 3 hops, target example.org:443")
        for i, hop in enumerate(hops):
            self.assertRegex(lines[i + 1], r"^hop %d \(127\.0\.0\.1:%d\): ok in \d+\.\d ms, resolved in \d+\.\d ms, "
                             r"connected in \d+\.\d ms, clock [+-]\d\.\d{3} s, hopchain \d" % (i + 1, hop.port()))
        self.assertEqual(self.check(chain, "--json"), (0, "[]\n", ""))

    def test_a_wrong_key_in_the_middle(self):
        hops = self.world.hops(3)
        pairs = [("127.0.0.1:%d" % h.port(), h.key) for h in hops]
        pairs[1] = (pairs[1][0], self.world.key())
        chain = self.world.chain(pairs, timeouts={"connect": "1s"})
        rc, out, err = self.check(chain)
        self.assertEqual(rc, 7)
        lines = out.strip().split("\n")
        self.assertIn(": ok in ", lines[1])
        self.assertEqual(lines[2:], ["hop 2 (%s): no-answer" % pairs[1][0], "hop 3 (%s): not reached" % pairs[2][0]])
        self.assertRegex(err, r"^chain: hop 2 \(.*\): no-answer: hop 1 connected in ")
        rc, out, err = self.check(chain, "--json")
        (finding,) = json.loads(out)
        self.assertEqual((rc, err, finding["pointer"], finding["slug"], finding["hint"]),
                         (7, "", "/hops/1", "no-answer", "the log of hop 2 says which"))


class Explain(unittest.TestCase):
    def test_every_word_has_a_page(self):
        rc, out, err = run("chain", "explain", "--json")
        self.assertEqual((rc, err), (0, ""))
        table = json.loads(out)
        for row in table:
            for word in (row["slug"], row["slug"].upper()) + ((hex(row["code"]),) if row["code"] is not None else ()):
                rc, page, err = run("chain", "explain", word)
                self.assertEqual((rc, err), (0, ""))
                self.assertTrue(page.startswith("%s: %s\n" % (row["slug"], row["summary"])), page)
                self.assertLessEqual(max(len(line) for line in page.split("\n")), 80)
                self.assertIn(" ".join(row["meaning"].split()), " ".join(page.split()))
        rc, out, _ = run("chain", "explain")
        self.assertEqual([line.split()[0] for line in out.strip().split("\n")[1:]], [row["slug"] for row in table])

    def test_a_word_that_is_none(self):
        rc, out, err = run("chain", "explain", "no-answr")
        self.assertEqual((rc, out), (2, ""))
        self.assertEqual(err.split("\n")[0], 'chain explain: no status "no-answr"; did you mean "no-answer"?')

    def test_the_source_of_the_man_page(self):
        rc, out, _ = run("chain", "explain", "--scdoc")
        self.assertEqual(rc, 0)
        self.assertTrue(out.startswith("hopchain-status(7)\n"))
        table = json.loads(run("chain", "explain", "--json")[1])
        self.assertEqual(re.findall(r"^## (.*)$", out, re.M), [row["slug"] for row in table])


if __name__ == "__main__":
    unittest.main()
