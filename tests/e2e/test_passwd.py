"""chain passwd: the users file of proxies, changed from a terminal and from scripts."""
import ctypes
import ctypes.util
import fcntl
import os
import pathlib
import re
import signal
import subprocess
import sys
import termios
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import World, program, until  # noqa: E402
from terminal import Terminal  # noqa: E402

LINE = re.compile(r"([\w.@+-]+):(\$argon2id\$v=19\$m=65536,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43})")
SODIUM = ctypes.CDLL(ctypes.util.find_library("sodium"))
SODIUM.sodium_init()


def is_hash_of(text, password):
    data = password.encode()
    return SODIUM.crypto_pwhash_str_verify(text.encode() + bytes(128 - len(text)), data, ctypes.c_ulonglong(len(data))) == 0


class Case(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.folder = pathlib.Path(self.world.path("users"))
        self.folder.mkdir()
        self.path = self.folder / "proxy.users"

    def passwd(self, *arguments, password="", **more):
        text = password if isinstance(password, bytes) else password.encode()
        done = subprocess.run([program("chain"), "passwd", *map(str, arguments)], input=text, capture_output=True, timeout=30,
                              **more)
        self.assertEqual(done.stdout, b"")
        return done.returncode, done.stderr.decode()

    def users(self):
        """{name: hash}; nothing else is in the folder, and nobody else can read."""
        self.assertEqual([entry.name for entry in self.folder.iterdir()], [self.path.name])
        self.assertEqual(self.path.stat().st_mode & 0o7777, 0o600)
        return dict(LINE.fullmatch(line).groups() for line in self.path.read_text().splitlines())

    def check(self, **wanted):
        users = self.users()
        self.assertEqual(set(users), set(wanted))
        for name, password in wanted.items():
            self.assertTrue(is_hash_of(users[name], password), name)
            self.assertFalse(is_hash_of(users[name], password + "x"), name)


class Scripts(Case):
    def test_add_change_delete(self):
        self.assertEqual(self.passwd(self.path, "ann", password="correct horse\n", umask=0),
                         (0, f"chain: {self.path}: added ann\n"))
        self.check(ann="correct horse")
        self.assertEqual(self.passwd(self.path, "bob@example.org", password="no newline", umask=0o777)[0], 0)
        self.check(**{"ann": "correct horse", "bob@example.org": "no newline"})
        self.assertEqual(self.passwd(self.path, "ann", password="größer\nmore\n"), (0, f"chain: {self.path}: changed ann\n"))
        self.check(**{"ann": "größer", "bob@example.org": "no newline"})
        self.assertEqual(self.passwd("--delete", self.path, "ann"), (0, f"chain: {self.path}: deleted ann\n"))
        self.check(**{"bob@example.org": "no newline"})
        self.assertEqual(self.passwd("-d", self.path, "ann"), (1, f'chain: there is no user "ann" in {self.path}\n'))
        self.check(**{"bob@example.org": "no newline"})

    def test_a_name_of_the_folder_it_runs_in(self):
        self.assertEqual(self.passwd("proxy.users", "ann", password="x", cwd=self.folder)[0], 0)
        self.assertEqual(self.passwd("proxy.users", "ann", password="y", cwd=self.folder)[0], 0)
        self.check(ann="y")

    def test_a_file_called_as_stdin_is(self):
        for user in ("ann", "bob"):
            self.assertEqual(self.passwd("-", user, password="x", cwd=self.folder), (0, f"chain: -: added {user}\n"))

    def test_other_lines_stay(self):
        self.assertEqual(self.passwd(self.path, "ann", password="one")[0], 0)
        ann = self.path.read_bytes()
        bob = ann.replace(b"ann", b"ann2")
        self.path.write_bytes(b"# ann:of these\xff\x00!\r\n\n" + ann + b"#  end\n" + bob[:-1])
        self.assertEqual(self.passwd(self.path, "ann", password="two")[0], 0)
        after = self.path.read_bytes()
        self.assertRegex(after, rb"\A# ann:of these\xff\x00!\r\n\nann:\$argon2id\$[^\n]+\n#  end\n" + re.escape(bob) + rb"\Z")
        self.assertNotIn(ann, after)
        self.assertEqual(self.passwd("-d", self.path, "ann")[0], 0)
        self.assertEqual(self.path.read_bytes(), b"# ann:of these\xff\x00!\r\n\n#  end\n" + bob)

    def test_passwords_that_are_none(self):
        self.assertEqual(self.passwd(self.path, "ann", password="p" * 255)[0], 0)
        self.check(ann="p" * 255)
        for password, said in (("", "no password was given"), ("\n", "the password is empty"), ("\nx\n", "the password is empty"),
                               ("p" * 256, "a password has at most 255 bytes"), ("a\tb", "has a control character in it"),
                               ("windows\r\n", "has a control character in it"), (b"nul\0nul\n", "has a control character in it")):
            code, told = self.passwd(self.path, "ann", password=password)
            self.assertEqual((code, said in told), (1, True), (password, told))
        self.check(ann="p" * 255)

    def test_wrong_arguments(self):
        for arguments in ((), ("x",), ("x", "ann", "y"), (self.path, ""), (self.path, "a b"), (self.path, "a:b"),
                          (self.path, "-x"), (self.path, "u" * 64), (self.path, "hc1"), ("--nope", self.path, "ann")):
            code, told = self.passwd(*arguments, password="secret")
            self.assertEqual((code, "--help" in told), (2, True), (arguments, told))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_files_that_are_wrong_stay_as_they_are(self):
        subprocess.run([program("chain"), "keygen", "-o", str(self.path)], check=True)
        key = self.path.read_text()
        cases = ((key, 3), ("secret words\n", 3), ("eve:secret\n", 3), ('{"listen": []}\n', 3))
        for text, wanted in cases:
            self.path.write_text(text)
            code, told = self.passwd(self.path, "ann", password="password")
            self.assertEqual(code, wanted, told)
            self.assertRegex(told, rf"^{re.escape(str(self.path))}:1:\d+: error: ")
            self.assertNotIn(text[4:-1], told)
            self.assertEqual(self.path.read_text(), text)
        self.path.write_text("")
        self.path.chmod(0o644)
        code, told = self.passwd(self.path, "ann", password="password")
        self.assertEqual((code, told), (3, f"chain: {self.path}: mode 0644 lets others read this secret; "
                                           f"run: chmod 600 {self.path}\n"))
        self.assertEqual(self.path.read_text(), "")

    def test_what_is_wrong_with_his_own_line_is_mended(self):
        self.path.write_text("ann:plain text\nann:again\n")
        self.path.chmod(0o600)
        self.assertEqual(self.passwd(self.path, "ann", password="new")[0], 0)
        self.check(ann="new")

    def test_places_where_no_file_can_be(self):
        for path, said in (("/proc/nowhere/file", "cannot create"), (self.folder, "is not a regular file"),
                           ("/dev/null", "is not a regular file"), (f"{self.world.path('x')}/y", "cannot create")):
            code, told = self.passwd(path, "ann", password="x")
            self.assertEqual((code, said in told), (1, True), told)
        code, told = self.passwd("-d", self.path, "ann")
        self.assertEqual((code, list(self.folder.iterdir())), (1, []), told)

    def test_symbolic_links_stay(self):
        link = pathlib.Path(self.world.path("link"))
        link.symlink_to("users/proxy.users")
        self.assertEqual(self.passwd(self.path, "ann", password="one")[0], 0)
        self.assertEqual(self.passwd(link, "ann", password="two")[0], 0)
        self.assertTrue(link.is_symlink())
        self.check(ann="two")

    @unittest.skipIf(os.geteuid() != 0, "needs root")
    def test_who_comes_by_a_link_waits_for_others_too(self):
        self.assertEqual(self.passwd(self.path, "ann", password="one")[0], 0)
        link = pathlib.Path(self.world.path("link"))
        link.symlink_to("users/proxy.users")
        folder = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        fcntl.flock(folder, fcntl.LOCK_EX)
        running = subprocess.Popen([program("chain"), "passwd", "--delete", str(link), "ann"], stderr=subprocess.PIPE)
        self.addCleanup(running.stderr.close)
        waits = re.compile(r"-> FLOCK +ADVISORY +WRITE +%d " % running.pid)
        until(lambda: waits.search(pathlib.Path("/proc/locks").read_text()) or running.poll() is not None)
        self.assertIsNone(running.poll())
        fcntl.flock(folder, fcntl.LOCK_UN)
        self.assertEqual(running.wait(30), 0)

    def test_the_owner_stays(self):
        self.assertEqual(self.passwd(self.path, "ann", password="one")[0], 0)
        os.chown(self.path, 65534, 65533)
        self.assertEqual(self.passwd(self.path, "ann", password="two")[0], 0)
        self.check(ann="two")
        self.assertEqual((self.path.stat().st_uid, self.path.stat().st_gid), (65534, 65533))

    def test_several_at_once(self):
        self.assertEqual(self.passwd(self.path, "first", password="first")[0], 0)
        names = ["user%d" % i for i in range(8)]
        running = [subprocess.Popen([program("chain"), "passwd", str(self.path), name], stdin=subprocess.PIPE,
                                    stderr=subprocess.PIPE) for name in names]
        for process, name in zip(running, names):
            process.stdin.write(name.encode())
            process.stdin.close()
        for process in running:
            told = process.stderr.read()
            process.stderr.close()
            self.assertEqual(process.wait(30), 0, told)
        self.check(first="first", **{name: name for name in names})


class Asked(Case):
    def ask(self, *arguments):
        terminal = Terminal([program("chain"), "passwd", *map(str, arguments)])
        self.addCleanup(terminal.end)
        return terminal

    def quiet(self, terminal):
        """Until the terminal shows nothing of what is typed."""
        until(lambda: not termios.tcgetattr(terminal.slave)[3] & termios.ECHO, what="no echo")

    def is_as_before(self, terminal):
        return termios.tcgetattr(terminal.slave) == terminal.before

    def test_twice_and_not_shown(self):
        terminal = self.ask(self.path, "ann")
        terminal.wait_for(lambda text: text.startswith("Password of ann:"))
        self.quiet(terminal)
        terminal.keys("top secreX\x7ft\n")  # a slip is mended
        terminal.wait_for(lambda text: "\nThe same again:" in text)
        terminal.keys("top secret\n")
        self.assertEqual(terminal.wait(), 0)
        self.assertIn("added ann", terminal.text())
        self.assertNotIn(b"secre", terminal.output())
        self.assertTrue(self.is_as_before(terminal))
        self.check(ann="top secret")

    def test_a_slip_changes_nothing(self):
        terminal = self.ask(self.path, "ann")
        terminal.wait_for(lambda text: text.startswith("Password of ann:"))
        self.quiet(terminal)
        terminal.keys("secret\nother\n")
        self.assertEqual(terminal.wait(), 1)
        self.assertIn("the two passwords differ; nothing was changed", terminal.text())
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_ended_by_keys(self):
        for keys, wanted in (("\x03", -signal.SIGINT), ("\x1c", -signal.SIGQUIT), ("secret\n\x03", -signal.SIGINT),
                             ("sec\x03", -signal.SIGINT), ("\x04", 1), ("secret\n\x04", 1), ("\n", 1)):
            with self.subTest(keys):
                terminal = self.ask(self.path, "ann")
                terminal.wait_for(lambda text: text.startswith("Password of ann:"))
                self.quiet(terminal)
                terminal.keys(keys)
                self.assertEqual(terminal.wait(), wanted)
                self.assertTrue(self.is_as_before(terminal))
                self.assertNotIn(b"sec", terminal.output())
                self.assertEqual(list(self.folder.iterdir()), [])

    def test_ended_by_signals(self):
        for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            terminal = self.ask(self.path, "ann")
            terminal.wait_for(lambda text: text.startswith("Password of ann:"))
            self.quiet(terminal)
            terminal.process.send_signal(signum)
            self.assertEqual(terminal.wait(), -signum)
            self.assertTrue(self.is_as_before(terminal))

    def test_nothing_is_asked_that_is_not_needed(self):
        self.path.write_text("eve:secret\n")
        self.path.chmod(0o600)
        for arguments, wanted in (((self.path, "ann"), 3), (("--delete", self.path, "eve"), 0), (("--delete", self.path, "eve"), 1)):
            terminal = self.ask(*arguments)
            self.assertEqual(terminal.wait(), wanted)
            self.assertNotIn("Password", terminal.text())
        self.assertEqual(self.path.read_text(), "")


if __name__ == "__main__":
    unittest.main()
