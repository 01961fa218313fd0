"""ssh through chain connect, with the lines that chain ssh-config prints.

    ssh ── chain connect ══ hop 1 ══ hop 2 ══ hop 3 ── ssh server      all on loopback, ports the kernel picks
"""
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import Process, World, program, until  # noqa: E402

MIB = 1 << 20
SERVER = pathlib.Path(__file__).resolve().parent.parent / "support/ssh_server.py"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ssh_config(*args):
    done = subprocess.run([program("chain"), "ssh-config"] + list(args), capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


class Lines(unittest.TestCase):
    """What is printed, and that ssh reads it as it is meant."""

    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.chain = self.world.chain([("hop1.example.net:7000", self.world.key()), ("[2001:db8::7]:7000", self.world.key())])

    def understood(self, text, host):
        """ssh's own view of the options for @host."""
        path = self.world.path("config")
        pathlib.Path(path).write_text(text)
        done = subprocess.run(["ssh", "-T", "-G", "-F", path, host], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)

    def test_the_block(self):
        rc, out, err = ssh_config("--chain", self.chain, "*.corp.example", "10.9.*")
        exe = os.path.realpath(program("chain"))
        self.assertEqual((rc, err), (0, ""))
        self.assertEqual(out, "# Through 2 hops, the last is [2001:db8::7]:7000 (chain ssh-config).\n"
                         "Host *.corp.example 10.9.*\n"
                         "    ProxyCommand %s connect --chain %s %%h %%p\n" % (exe, self.chain))
        for host, is_meant in (("a.corp.example", True), ("10.9.1.1", True), ("example.org", False)):
            self.assertEqual("proxycommand" in self.understood(out, host), is_meant, host)

    def test_a_relative_path_becomes_absolute(self):
        done = subprocess.run([program("chain"), "ssh-config", "--chain", "chain.json", "x"], cwd=self.world.dir,
                              capture_output=True, text=True)
        self.assertIn(" --chain %s %%h %%p\n" % self.chain, done.stdout)

    def test_paths_that_need_quotes(self):
        """What ssh hands to the shell names the same file again."""
        for name in ("a b", "50%h", "it's", 'say "hi"', "back\\slash\\", "$HOME `id` $(id)", "#x", "ümlaut", "a;b&c|d",
                     "tab\there", "~*?[]{}!^"):
            with self.subTest(name=name):
                folder = self.world.dir / name
                folder.mkdir()
                path = str(folder / "chain.json")
                shutil.copy(self.chain, path)
                rc, out, err = ssh_config("--chain", path, "host")
                self.assertEqual((rc, err), (0, ""))
                # ssh -G shows the line as it is in the file: expand it as ssh does (%% and %h %p), then by a shell.
                command = self.understood(out, "host")["proxycommand"]
                expanded = re.sub(r"%(.)", lambda m: {"%": "%", "h": "host", "p": "22"}[m.group(1)], command)
                words = subprocess.run(["sh", "-c", "printf '%s\\0' " + expanded], capture_output=True).stdout
                self.assertEqual(words.decode().split("\0")[:-1],
                                 [os.path.realpath(program("chain")), "connect", "--chain", path, "host", "22"])

    def test_what_cannot_be(self):
        for args, code, sentence in (
            (["x"], 2, "chain ssh-config: needs --chain FILE"),
            (["--chain", "-", "x"], 2, "chain ssh-config: --chain needs a file that ssh can read again, not -"),
            (["--chain", self.chain], 2,
             "chain ssh-config: needs a HOST-PATTERN, as ssh_config(5) has them: '*.corp.example'"),
            (["--chain", self.chain, "a b"], 2, 'chain ssh-config: "a b" is no host pattern: expected a name with * and ? '
             "in it, without blanks, quotes, # and \\"),
            (["--chain", "/none", "x"], 3, "chain: cannot open /none: No such file or directory"),
        ):
            with self.subTest(args=args):
                rc, out, err = ssh_config(*args)
                self.assertEqual((rc, out, err.split("\n")[0]), (code, "", sentence))
        for letter, name in (("\n", "line feed"), ("\r", "carriage return")):
            folder = self.world.dir / ("line%sbreak" % letter)
            folder.mkdir()
            shutil.copy(self.chain, folder / "chain.json")
            rc, out, err = ssh_config("--chain", str(folder / "chain.json"), "x")
            self.assertEqual((rc, out), (1, ""))
            self.assertRegex(err, r"has a %s in it: no line of ssh_config can name it\n$" % name)

    def test_the_chain_file_is_checked(self):
        path = self.world.path("wrong.json")
        pathlib.Path(path).write_text('{ "hops": [ { "addr": "x:1" } ] }')
        rc, out, err = ssh_config("--chain", path, "x")
        self.assertEqual((rc, out), (3, ""))
        self.assertIn("wrong.json:1:", err)


class Login(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World()
        cls.addClassCleanup(cls.world.close)
        cls.hops = cls.world.hops(3)
        cls.start_server()
        cls.chain = cls.world.chain(cls.hops)

    @classmethod
    def start_server(cls):
        path = cls.world.path
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path(name)], check=True)
        server = cls.world.add(Process([sys.executable, str(SERVER), path("host_key"), path("user_key.pub")]))
        cls.port = int(server.wait_log(r"^listening (\d+)$")[1])
        pathlib.Path(path("known_hosts")).write_text(
            "[127.0.0.1]:%d %s" % (cls.port, pathlib.Path(path("host_key.pub")).read_text()))

    def config(self, chain):
        """The printed block, and what makes this ssh the test's own."""
        rc, block, err = ssh_config("--chain", chain, "target")
        self.assertEqual((rc, err), (0, ""))
        path = self.world.path("ssh_config")
        pathlib.Path(path).write_text(
            block + "    HostName 127.0.0.1\n    Port %d\n    User %s\n    IdentityFile %s\n    UserKnownHostsFile %s\n"
            "    IdentitiesOnly yes\n    BatchMode yes\n    GlobalKnownHostsFile none\n"
            % (self.port, pwd.getpwuid(os.getuid()).pw_name, self.world.path("user_key"),
               self.world.path("known_hosts")))
        return path

    def ssh(self, *command, chain=None, data=b"", timeout=60):
        argv = ["ssh", "-F", self.config(chain or self.chain), "target"] + list(command)
        done = subprocess.run(argv, input=data, capture_output=True, timeout=timeout)
        return done.returncode, done.stdout, done.stderr.decode()

    def test_a_command_and_its_exit_status(self):
        self.assertEqual(self.ssh("echo through the chain; exit 42"), (42, b"through the chain\n", ""))

    def test_a_chain_file_whose_path_needs_quotes(self):
        folder = self.world.dir / "it's 50% \"odd\" $(id) #1"
        folder.mkdir()
        shutil.copy(self.chain, folder / "chain.json")
        self.assertEqual(self.ssh("echo there", chain=str(folder / "chain.json")), (0, b"there\n", ""))

    def test_20_mb_there_and_back(self):
        data = os.urandom(20 * MIB)
        rc, out, err = self.ssh("cat", data=data)
        self.assertEqual((rc, out == data, err), (0, True, ""))

    def test_a_file_by_scp(self):
        scp = shutil.which("scp")
        source, target = self.world.path("source"), self.world.path("target")
        pathlib.Path(source).write_bytes(os.urandom(3 * MIB))
        done = subprocess.run([scp, "-q", "-O", "-F", self.config(self.chain), source, "target:" + target],
                              capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(pathlib.Path(target).read_bytes(), pathlib.Path(source).read_bytes())

    def test_the_command_ends_with_ssh(self):
        self.assertEqual(self.ssh("true"), (0, b"", ""))

        def left():
            """Processes of chain connect that this test has started."""
            found = []
            for entry in os.listdir("/proc"):
                try:
                    words = pathlib.Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if b"connect" in words and self.chain.encode() in words:
                    found.append(entry)
            return found

        until(lambda: not left(), what="no chain connect is left")

    def fails(self, pairs, sentence, **more):
        chain = self.world.chain(pairs, name="other.json", **more)
        rc, out, err = self.ssh("true", chain=chain)
        self.assertEqual((rc, out), (255, b""), err)
        ours = [line for line in err.splitlines() if line.startswith("chain")]
        self.assertEqual(len(ours), 1, err)
        self.assertRegex(ours[0], "^chain: " + sentence)

    def pairs(self, i, addr=None, key=None):
        pairs = [("127.0.0.1:%d" % h.port(), h.key) for h in self.hops]
        pairs[i] = (addr or pairs[i][0], key or pairs[i][1])
        return pairs

    def test_a_dead_hop(self):
        self.fails(self.pairs(1, "127.0.0.1:%d" % free_port()), r"hop 1 could not reach hop 2 .*: refused after ")

    def test_a_wrong_key(self):
        self.fails(self.pairs(2, key=self.world.key()), r"hop 3 .*: no-answer: hop 2 connected in .*wrong key",
                   timeouts={"connect": "500ms"})

    def test_denied(self):
        strict = self.world.hop(self.world.key(), allow=())
        self.fails(self.pairs(2, "127.0.0.1:%d" % strict.port(), strict.key),
                   r"hop 3 refused 127\.0\.0\.1:%d: denied-loopback" % self.port)


if __name__ == "__main__":
    unittest.main(verbosity=2)
