#!/usr/bin/env python3
"""The schemas, the examples and the programs agree, and the messages are what interface.md promises.

$HOPCHAIN_BUILD is the folder with access, hop and chain, or a meson build folder. $HOPCHAIN_SOURCE: this repository.
"""
import concurrent.futures
import copy
import functools
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

import jsonschema

ROOT = pathlib.Path(os.environ.get("HOPCHAIN_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("HOPCHAIN_BUILD", ROOT / "build/bin")).resolve()
EXAMPLES = ROOT / "config/examples"
KEYS = ("hop1.key", "hop2.key", "hop3.key", "hop4.key", "laptop.key", "nas-old.key", "nas-new.key", "users/dora.key")
SCHEMAS = {name: json.loads((ROOT / f"config/{name}.schema.json").read_text()) for name in ("chain", "access", "hop")}


def program(name):
    return str(next(p for p in (BUILD / name, BUILD / "config" / name) if p.is_file()))


class Case(unittest.TestCase):
    """A folder with keys that all hops of the examples may share, and ways to run the programs in it."""

    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="hopchain-config-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        (cls.folder / "users").mkdir()
        for i, key in enumerate(KEYS):
            mask = ["--mask-of", KEYS[0]] if i else []
            subprocess.run([program("chain"), "keygen", "-o", key, *mask], cwd=cls.folder, check=True, timeout=20)
        (cls.folder / "proxy.password").write_text("correct horse\n")
        (cls.folder / "proxy.password").chmod(0o600)
        for example in EXAMPLES.glob("*.json"):
            shutil.copy(example, cls.folder)

    def run_program(self, *command, stdin="", env=None):
        environment = {key: value for key, value in os.environ.items()
                       if key not in ("HOPCHAIN_CONFIG", "XDG_CONFIG_HOME", "CREDENTIALS_DIRECTORY")}
        return subprocess.run([program(command[0]), *command[1:]], cwd=self.folder, input=stdin, text=True,
                              capture_output=True, timeout=60, env={**environment, **(env or {})})

    def write(self, name, content, mode=0o600):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        path.chmod(mode)
        return name

    def check(self, kind, content, name=None):
        return self.run_program(kind, "check", self.write(name or f"{kind}.json", content))

    def key(self, name="hop1.key"):
        return (self.folder / name).read_text().strip()


@functools.lru_cache(maxsize=None)
def validator(kind):
    return jsonschema.Draft7Validator(SCHEMAS[kind])


def example(name):
    return json.loads((EXAMPLES / name).read_text())


def places(node, path=()):
    """Every value of a document, the root first."""
    yield path
    if isinstance(node, (dict, list)):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(value, path + (key,))


def at(node, path):
    return functools.reduce(lambda n, key: n[key], path, node)


VALUES = [None, True, 0, 1, -1, 1.5, 2 ** 31, 1e300, "", "x", "30", "30s", "0s", "1s1h", ":0", "a:1", "a", "[::1]:1",
          "A B", "hc1:AAAA", "2027-01-01", [], [1], ["x"], [""], {}, {"x": 1}, {"addr": 1}, ["any"], "auto", "tcp", "udp"]


def mutations(document):
    """The document with each value replaced, removed, given a sibling nobody knows, or doubled."""
    for path in places(document):
        for value in VALUES:
            if not path:
                yield f"/ = {value!r}", value
                continue
            changed = copy.deepcopy(document)
            at(changed, path[:-1])[path[-1]] = value
            yield f"{path} = {value!r}", changed
        if path:
            changed = copy.deepcopy(document)
            del at(changed, path[:-1])[path[-1]]
            yield f"{path} removed", changed
        if isinstance(at(document, path), dict):
            for name, value in (("unknown", 1), ("$comment", 1), ("key", "hc1:"), ("pool", 4), ("udp", True)):
                changed = copy.deepcopy(document)
                at(changed, path)[name] = value
                yield f"{path} with {name}", changed
        if isinstance(at(document, path), list):
            changed = copy.deepcopy(document)
            at(changed, path).extend(copy.deepcopy(at(document, path)) * 20)
            yield f"{path} repeated", changed


AT_ONCE = 100  # files that one run of a program checks


class Schemas(Case):
    def test_schemas_are_schemas_and_up_to_date(self):
        for schema in SCHEMAS.values():
            jsonschema.Draft7Validator.check_schema(schema)
        done = subprocess.run([sys.executable, ROOT / "config/bundle.py", "--check"], check=False, timeout=20)
        self.assertEqual(done.returncode, 0, "run config/bundle.py")

    def test_examples_pass_schema_and_program(self):
        names = sorted(p.name for p in EXAMPLES.glob("*.json"))
        self.assertEqual(len(names), 6)
        for name in names:
            kind = name.split(".")[0]
            with self.subTest(name):
                self.assertEqual([e.message for e in validator(kind).iter_errors(example(name))], [])
                done = self.run_program(kind, "check", name)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn(f"{name}: ok: ", done.stdout)

    def test_check_tells_what_stands_at_each_step(self):
        self.assertEqual(self.run_program("chain", "check", "chain.full.json").stdout.splitlines(), [
            "chain.full.json: ok: 4 hops, target 10.0.0.5:22",
            "  1: http proxy guest-net (proxy.example.org:3128)",
            "  2: fra (fra.example.net:7000)",
            "  3: one of 3, lowest-rtt: ams ([2001:db8::7]:7000) weight 3, cloud (srv:_hop._tcp.example.net), "
            "socks5 proxy 192.0.2.9:1080",
            "  4: exit (198.51.100.4:7000)"])
        self.assertEqual(len(self.run_program("chain", "check", "chain.min.json").stdout.splitlines()), 1)

    def check_mutations(self, kind):
        wrong = [(f"{kind}.{size}.json {what}", document) for size in ("min", "full")
                 for what, document in mutations(example(f"{kind}.{size}.json")) if not validator(kind).is_valid(document)]
        self.assertGreater(len(wrong), 200)
        names = [self.write(f"mutation.{kind}.{i}.json", document) for i, (_, document) in enumerate(wrong)]
        batches = [names[i:i + AT_ONCE] for i in range(0, len(names), AT_ONCE)]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            done = list(pool.map(lambda batch: self.run_program(kind, "check", *batch), batches))
        self.assertEqual({result.returncode for result in done}, {3})
        told = "\n".join(result.stderr for result in done)
        named = set(re.findall(r"^(mutation\.\w+\.\d+\.json):", told, re.MULTILINE))
        missed = [what for (what, _), name in zip(wrong, names) if name not in named]
        self.assertEqual(missed, [], "the schema refuses it, the program does not")
        self.assertEqual("".join(result.stdout for result in done), "")

    def test_what_the_chain_schema_refuses_the_program_refuses(self):
        self.check_mutations("chain")

    def test_what_the_access_schema_refuses_the_program_refuses(self):
        self.check_mutations("access")

    def test_what_the_hop_schema_refuses_the_program_refuses(self):
        self.check_mutations("hop")

    def test_members_of_later_versions_are_unknown(self):
        hop = {"addr": "a:1", "key_file": "hop1.key"}
        documents = [
            ("chain", {"hops": [{**hop, "payload": "header-only"}]}),
            ("chain", {"hops": [{"reverse": "nas", "key_file": "hop1.key"}]}), ("chain", {"hops": [hop], "resume": {}}),
            ("access", {**example("access.min.json"), "dashboard": {}}), ("hop", {**example("hop.min.json"), "register": []}),
            ("hop", {**example("hop.min.json"), "directory": {}}), ("hop", {**example("hop.min.json"), "resume": {}}),
        ]
        for kind, document in documents:
            with self.subTest(document):
                self.assertFalse(validator(kind).is_valid(document))
                done = self.check(kind, document)
                self.assertEqual(done.returncode, 3)
                self.assertIn("unknown member", done.stderr)


HOPS = '"hops": [\n    { "addr": "a:1", "key_file": "hop1.key" }'


class Messages(Case):
    """The table of interface.md 2.6, in its order."""

    def says(self, kind, content, line, excerpt=None, name=None):
        done = self.check(kind, content, name)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.splitlines()[0], line, done.stderr)
        if excerpt is not None:
            self.assertEqual(done.stderr.splitlines()[1:3], excerpt)
        return done.stderr

    def test_01_missing_comma_is_after_the_value_before(self):
        self.says("chain", '{\n  "hops": [\n    { "addr": "a:1", "key_file": "hop1.key" }\n    { "addr": "b:1" }\n  ]\n}',
                  "chain.json:3:46: error: missing ',' here",
                  ['    3 |     { "addr": "a:1", "key_file": "hop1.key" }', "      | " + " " * 45 + "^"])

    def test_02_trailing_comma(self):
        self.says("chain", f'{{\n  {HOPS},\n  ]\n}}', "chain.json:3:46: error: trailing comma before ']'")

    def test_03_comment(self):
        self.says("chain", '{\n  // our hops\n  "hops": []\n}',
                  'chain.json:2:3: error: JSON has no comments (use a "$comment" member)')

    def test_04_never_closed(self):
        self.says("chain", f'{{\n  {HOPS}\n}}', "chain.json:2:11: error: '[' opened here is never closed")
        self.says("chain", '{\n  "name": "office\n}', "chain.json:2:11: error: '\"' opened here is never closed")

    def test_05_unknown_member(self):
        self.says("access", '{\n  "lisen": [], "listen": [{"addr": ":0", "to": "a:1"}], "chains": {"a": {"file": '
                  '"chain.min.json"}}\n}', 'access.json:2:3: error: /lisen: unknown member "lisen"; did you mean "listen"?')

    def test_06_duplicate_member(self):
        self.says("chain", f'{{\n  {HOPS} ],\n  "hops": []\n}}',
                  'chain.json:4:3: error: /hops: duplicate member "hops" (first at line 2)')

    def test_07_wrong_type(self):
        self.says("access", '{ "listen": [\n  { "addr": 8080, "to": "a:1" } ],\n "chains": {"a": {"file": "chain.min.json"}} }',
                  'access.json:2:13: error: /listen/0/addr: expected a string like ":8080", found the number 8080',
                  ['    2 |   { "addr": 8080, "to": "a:1" } ],', "      |             ^~~~"])

    def address(self, text):
        document = {"hops": [{"addr": text, "key_file": "hop1.key"}]}
        done = self.check("chain", document)
        self.assertEqual(done.returncode, 3)
        prefix = "chain.json:1:20: error: /hops/0/addr: "
        self.assertTrue(done.stderr.startswith(prefix), done.stderr)
        return done.stderr.splitlines()[0].removeprefix(prefix)

    def test_08_no_port(self):
        self.assertEqual(self.address("hop1.example.net"), '"hop1.example.net" has no port; hint: hops usually listen '
                         'on 7000: "hop1.example.net:7000"')

    def test_09_bare_ipv6(self):
        self.assertEqual(self.address("2001:db8::1:7000"),
                         '"2001:db8::1:7000" is ambiguous; write "[2001:db8::1]:7000"')

    def test_10_port_range(self):
        self.assertEqual(self.address("hop2.example.net:70000"), "port 70000 is out of range (1 to 65535)")

    def test_10_excerpt_is_that_of_the_prototype(self):
        self.says("chain", '{ "hops": [\n      { "addr": "hop2.example.net:70000", "key_file": "hop1.key" } ] }',
                  "chain.json:2:17: error: /hops/0/addr: port 70000 is out of range (1 to 65535)",
                  ['    2 |       { "addr": "hop2.example.net:70000", "key_file": "hop1.key" } ] }',
                   "      |                 ^~~~~~~~~~~~~~~~~~~~~~~~"])

    def test_11_duration_without_unit(self):
        self.says("hop", {"drain": "30", **example("hop.min.json")},
                  'hop.json:1:11: error: /drain: "30" has no unit; did you mean "30s"?')

    def test_12_password_instead_of_a_key(self):
        self.says("chain", {"hops": [{"key": "hunter2", "addr": "a:1"}]},
                  "chain.json:1:19: error: /hops/0/key: \"hunter2\" is not a key; keys are 64 random bytes made by "
                  "'chain keygen' (\"hc1:\" and 88 characters)",
                  ['    1 | {"hops": [{"key": "*******", "addr": "a:1"}]}', "      |                   ^~~~~~~~~"])

    def test_13_key_that_was_cut(self):
        cut = self.key()[:-3]
        self.write("cut.key", cut + "\n")
        said = self.says("chain", {"hops": [{"key_file": "cut.key", "addr": "a:1"}]},
                         'chain.json:1:24: error: /hops/0/key_file: cut.key:1: 85 of 88 characters after "hc1:"; was '
                         'the end cut off when copying?')
        said += self.says("chain", {"hops": [{"key": cut, "addr": "a:1"}]},
                          'chain.json:1:19: error: /hops/0/key: 85 of 88 characters after "hc1:"; was the end cut off '
                          'when copying?')
        self.assertNotIn(cut[4:20], said)

    def test_14_chain_that_is_not_defined(self):
        self.says("access", '{ "listen": [\n { "addr": ":0", "chain": "ofice" } ],\n "chains": {\n  "office": '
                  '{ "file": "chain.full.json" } } }', 'access.json:2:27: error: /listen/0/chain: no chain named "ofice"; '
                  'did you mean "office"? (defined at line 4)')

    def test_15_file_that_is_missing(self):
        self.says("access", {"chains": {"office": {"file": "/etc/nowhere/chain.json"}}, "listen": [{"addr": ":0"}]},
                  "access.json:1:32: error: /chains/office/file: cannot open /etc/nowhere/chain.json: No such file or "
                  "directory")
        self.says("chain", {"hops": [{"key_file": "none.key", "addr": "a:1"}]},
                  "chain.json:1:24: error: /hops/0/key_file: cannot open none.key: No such file or directory")

    def test_16_key_that_others_can_read(self):
        self.write("open.key", self.key(), 0o644)
        wanted = "open.key: mode 0644 lets others read this secret; run: chmod 600 open.key"
        done = self.run_program("hop", "--user", "me,open.key", "--listen", "127.0.0.1:0")
        self.assertEqual((done.returncode, done.stderr), (3, f"hop: {wanted}\n"))
        self.says("hop", {"listen": [{"addr": ":0"}], "users": [{"name": "me", "key_file": "open.key"}]},
                  f"hop.json:1:67: error: /users/0/key_file: {wanted}")
        inline = self.write("inline.json", {"hops": [{"addr": "a:1", "key": self.key()}]}, 0o640)
        done = self.run_program("chain", "check", inline)
        self.assertEqual((done.returncode, done.stderr), (3, "chain: inline.json: mode 0640 lets others read this "
                                                             "secret; run: chmod 600 inline.json\n"))
        (self.folder / inline).chmod(0o600)
        self.assertEqual(self.run_program("chain", "check", inline).returncode, 0)

    def test_17_port_in_use(self):
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            hop = self.run_program("hop", "--user", "me,hop1.key", "--listen", f"127.0.0.1:{port}", "--quiet")
            access = self.run_program("access", "--listen", f"127.0.0.1:{port}", "--chain", "chain.full.json", "-q")
        for done, name in ((hop, "hop"), (access, "access")):
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertRegex(done.stderr.splitlines()[-1],
                             rf"^{name}: cannot listen on 127\.0\.0\.1:{port}: address in use by .+ \(pid {os.getpid()}\); "
                             rf"hint: ss -ltnp 'sport = :{port}'$")

    def test_18_privileged_port(self):
        if int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 443:
            self.skipTest("ports below 1024 are free here")
        command = [program("hop"), "--user", "me,hop1.key", "--listen", "127.0.0.1:443", "--quiet"]
        if os.geteuid() == 0:
            if not shutil.which("setpriv"):
                self.skipTest("no setpriv")
            command = ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service", *command]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertEqual(done.stderr.splitlines()[-1],
                         "hop: cannot listen on 127.0.0.1:443: permission denied; hint: ports below 1024 need "
                         "CAP_NET_BIND_SERVICE (the shipped unit grants it)")

    def test_20_open_proxy(self):
        document = example("access.min.json")
        document["listen"].append({"addr": ":1080", "to": "a:1", "from": ["any"]})
        done = self.check("access", document)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr.splitlines()[0],
                         r'^access\.json:1:\d+: error: /listen/1 accepts any source without users: anyone who reaches '
                         r'port 1080 could use your chain; set a narrower "from", or "open": true, or pass --open$')
        del document["listen"][1]["to"]
        self.assertIn('; set "users_file" or a narrower "from", or "open": true, or pass --open\n',
                      self.check("access", document).stderr)
        done = self.run_program("access", "--listen", "127.0.0.1:1080", "--chain", "chain.full.json", "--from", "any")
        self.assertEqual(done.returncode, 3)
        self.assertIn("accepts any source without users: anyone who reaches port 1080 could use your chain; set a "
                      "narrower --from, or pass --open", done.stderr)

    def test_what_a_proxy_and_a_forward_do_not_share(self):
        cases = [
            ({"addr": ":1", "type": "auto", "to": "a:1"}, 'the clients of a proxy say where to; "to" is for plain forwards'),
            ({"addr": ":1", "to": "a:1", "users_file": "proxy.users"}, "users are for proxies; a plain forward asks nobody"),
            ({"addr": ":1", "type": "tcp"}, 'missing "to", and its chain has no "target"'),
            ({"addr": ":1", "users_file": "none"}, "cannot open none: No such file or directory"),
        ]
        for listener, message in cases:
            with self.subTest(listener):
                document = {**example("access.min.json"), "listen": [listener]}
                self.assertEqual([e.message for e in validator("access").iter_errors(document)], [])
                done = self.check("access", document)
                self.assertEqual(done.returncode, 3)
                self.assertIn(message, done.stderr)
        for listener in ({"addr": ":1"}, {"addr": ":1", "type": "socks5"}, {"addr": ":1", "type": "http"}):
            self.assertEqual(self.check("access", {**example("access.min.json"), "listen": [listener]}).returncode, 0)

    def test_22_same_key_twice(self):
        self.says("chain", '{"hops": [ { "addr": "a:1", "key_file": "hop1.key" },\n{ "addr": "b:1", "key_file": '
                  '"hop1.key" } ] }', "chain.json:2:30: error: /hops/1/key_file: same key as /hops/0; every hop needs its "
                  "own (chain keygen)")

    def test_all_errors_of_one_run_in_the_order_of_the_text(self):
        said = self.check("hop", '{\n "lisen": [],\n "listen": [ { "addr": 1 } ],\n "users": [ { "name": "A B", '
                          '"key_file": "hop1.key" } ],\n "drain": "5" }').stderr
        self.assertEqual(re.findall(r"^hop\.json:(\d+):", said, re.MULTILINE), ["2", "3", "4", "5"])

    def test_control_characters_do_not_reach_the_terminal(self):
        for text in ('{"\\u001b[31m": 1}', '{"a": "\x1b[31m"}', '{"\u009b31m": 1}', '{"a\\u0007": 1, "hops": 1}'):
            said = self.check("chain", text).stderr
            self.assertNotRegex(said, "[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f]")

    def test_long_lines_are_cut_around_the_caret(self):
        said = self.check("chain", '{ "$comment": "' + "é" * 5000 + '", "hops": 1, "name": "' + "x" * 5000 + '" }').stderr
        self.assertIn('expected an array of hops, found the number 1', said)
        self.assertLess(max(map(len, said.splitlines())), 200)
        line, caret = said.splitlines()[1:3]
        self.assertEqual(line[caret.index("^")], "1")


class Programs(Case):
    def test_help_fits_a_screen(self):
        for command in (["hop"], ["access"], ["chain"], ["chain", "keygen"], ["chain", "check"]):
            done = self.run_program(*command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            lines = done.stdout.splitlines()
            self.assertLessEqual(len(lines), 24, command)
            self.assertLessEqual(max(map(len, lines)), 80, command)
            self.assertTrue(lines[0].startswith("Usage: "))

    def test_version_is_one_line(self):
        for name in ("hop", "access", "chain"):
            for argument in ("version", "--version"):
                self.assertRegex(self.run_program(name, argument).stdout, rf"^{name} \d+\.\d+\.\d+\n$")

    def test_wrong_usage_is_2(self):
        chain = ("--chain", "chain.full.json")
        commands = [
            ("hop", "--lisen", ":1"), ("hop", "chek"), ("hop", "extra", "words"), ("hop", "--user", "me"), ("hop", "--listen"),
            ("hop", "-u", "me,hop1.key", "--listen", "8080"), ("hop", "-u", "me,hop1.key", "--drain", "30"),
            ("hop", "-u", "me,hop1.key", "--workers", "0"), ("hop", "-u", "me,hop1.key", "--allow", "loopbak"),
            ("hop", "-u", "me,hop1.key", "--log-level", "loud"), ("hop", "--listen", ":0"), ("hop", "check", "--loud"),
            ("access", "--listen", "tcp://:0", "--chain", "chain.min.json"), ("access", "--listen", ":0", "--to", "a:1"),
            ("access", "-l", "socks5://:0", "--to", "a:1", *chain), ("access", "-l", ":0", *chain, "--users-file", "none"),
            ("access", *chain), ("access", "-l", ":0", *chain, "--hop", "a:1,hop1.key"), ("access", "-l", "socks4://:0", *chain),
            ("access", "-l", ":0", *chain, "--from", "nowhere"), ("access", "-l", ":0", *chain, "--to", "a"),
            ("access", "--config", "access.min.json", "--to", "a:1"), ("chain",), ("chain", "connect"), ("chain", "check"),
            ("chain", "keygen", "file"),
        ]
        for command in commands:
            with self.subTest(command):
                done = self.run_program(*command)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertRegex(done.stderr, r"^\w+( \w+)?: .+\nTry '")
        self.assertIn('--listen: tcp://, udp://, socks5://, http://, redirect:// and tproxy:// are known, not "socks4://"',
                      self.run_program("access", "-l", "socks4://:0", *chain).stderr)
        self.assertIn("needs --listen ADDR", self.run_program("access", *chain).stderr)
        self.assertIn('--listen: "8080" has no host part', self.run_program("access", "-l", "udp://8080", *chain).stderr)
        self.assertIn('needs --to HOST:PORT, or a "target" in the chain file',
                      self.run_program("access", "--listen", "udp://:0", "--chain", "chain.min.json").stderr)

    def test_a_named_configuration_is_never_replaced_by_another(self):
        home = self.folder / "home/hopchain"
        home.mkdir(parents=True, exist_ok=True)
        self.write("home/hopchain/hop.json", "{}")
        env = {"XDG_CONFIG_HOME": str(self.folder / "home")}
        self.assertIn("home/hopchain/hop.json:1:1: error: missing", self.run_program("hop", env=env).stderr)
        for command, more in ((("hop", "--config", "none.json"), {}), (("hop",), {"HOPCHAIN_CONFIG": "none.json"}),
                              (("hop", "check"), {"HOPCHAIN_CONFIG": "none.json"})):
            done = self.run_program(*command, env={**env, **more})
            self.assertEqual((done.returncode, done.stderr),
                             (3, "hop: cannot open none.json: No such file or directory\n"))

    def test_stdin_is_a_file_too(self):
        text = (self.folder / "chain.full.json").read_text()
        self.assertEqual(self.run_program("chain", "check", "-", stdin=text).returncode, 0)
        self.assertIn("stdin:1:1: error: '[' opened here", self.run_program("chain", "check", "-", stdin="[").stderr)

    def test_large_and_odd_files_are_refused(self):
        self.write("large.json", " " * (1 << 20) + "{}")
        self.assertEqual(self.run_program("chain", "check", "large.json").stderr, "chain: large.json: larger than 1 MiB\n")
        self.assertEqual(self.run_program("chain", "check", "users").stderr, "chain: cannot read users: Is a directory\n")
        self.assertIn("the file is empty", self.run_program("chain", "check", "/dev/null").stderr)

    def test_keygen_writes_private_files_and_keeps_what_is_there(self):
        os.umask(os.umask(0))  # whatever it is
        done = self.run_program("chain", "keygen", "-o", "new.key")
        path = self.folder / "new.key"
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual(path.stat().st_mode & 0o7777, 0o600)
        self.assertRegex(path.read_text(), r"^hc1:[A-Za-z0-9+/]{86}==\n$")
        before = path.read_text()
        done = self.run_program("chain", "keygen", "-o", "new.key")
        self.assertEqual(done.returncode, 1)
        self.assertIn("new.key exists", done.stderr)
        self.assertEqual(path.read_text(), before)
        self.assertEqual(self.run_program("chain", "keygen", "-o", "new.key", "--force").returncode, 0)
        self.assertNotEqual(path.read_text(), before)
        self.assertEqual(path.stat().st_mode & 0o7777, 0o600)
        self.assertEqual(sorted(p.name for p in self.folder.glob("new.key*")), ["new.key"])

    def test_keygen_to_stdout_and_with_a_shared_mask_key(self):
        first = self.run_program("chain", "keygen", "-o", "-").stdout
        self.assertRegex(first, r"^hc1:[A-Za-z0-9+/]{86}==\n$")
        self.write("first.key", first)
        second = self.run_program("chain", "keygen", "--mask-of", "first.key").stdout
        third = self.run_program("chain", "keygen").stdout
        half = len("hc1:") + 42  # characters that depend on the mask key only
        self.assertEqual(first[:half], second[:half])
        self.assertNotEqual(first[half:], second[half:])
        self.assertNotEqual(first[:half], third[:half])
        for bad in ("none.key", "chain.min.json"):
            done = self.run_program("chain", "keygen", "--mask-of", bad)
            self.assertEqual((done.returncode, done.stdout), (3, ""))

    def test_daemons_give_up_rights_and_say_where_they_listen(self):
        process = subprocess.Popen([program("hop"), "-u", "me,hop1.key", "-l", "127.0.0.1:0"], cwd=self.folder,
                                   stderr=subprocess.PIPE, text=True)
        try:
            lines = iter(process.stderr.readline, "")
            line = next(line for line in lines if "listening addr=" in line)
            self.assertRegex(line, r"listening addr=127\.0\.0\.1:[1-9]\d* users=1 workers=1$")
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            self.assertIn("NoNewPrivs:\t1", status)
            limits = resource.prlimit(process.pid, resource.RLIMIT_CORE)
            self.assertEqual(limits, (0, 0))
            soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            self.assertEqual(soft, hard)
        finally:
            process.terminate()
            process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)

    def test_keys_are_in_no_output(self):
        secret = self.key()[4:24]
        inline = self.write("secret.json", {"hops": [{"addr": "a", "key": self.key(), "kee": 1}], "x": self.key()})
        done = self.run_program("chain", "check", inline)
        self.assertEqual(done.returncode, 3)
        self.assertNotIn(secret, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
