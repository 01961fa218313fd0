"""chain connect: netcat through three real hops, with standard input and output of every kind.

    stdin, stdout ── chain connect ══ hop 1 ══ hop 2 ══ hop 3 ── origin      all on loopback, ports the kernel picks
"""
import fcntl
import hashlib
import os
import pathlib
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
import tty
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import World, echo, program, receive_all, receive_exactly, reset, until  # noqa: E402

MIB = 1 << 20


def pattern(n, seed):
    block = hashlib.shake_128(b"connect %d" % seed).digest(MIB)
    return (block * (n // MIB + 1))[:n]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def free_address():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % s.getsockname()[1]


def read_fd(fd):
    """Everything until the end."""
    data = bytearray()
    while True:
        piece = os.read(fd, 1 << 16)
        if not piece:
            return bytes(data)
        data += piece


def rss(pid):
    with open("/proc/%d/statm" % pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Case(unittest.TestCase):
    """Three hops for the whole class, origins for each test."""
    n_hops = 3

    @classmethod
    def setUpClass(cls):
        cls.hops_world = World()
        cls.addClassCleanup(cls.hops_world.close)
        cls.hops = cls.hops_world.hops(cls.n_hops)
        cls.chain = cls.hops_world.chain(cls.hops)

    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)

    def argv(self, *args, chain=None):
        return [program("chain"), "connect", "--chain", chain or self.chain] + list(args)

    def run_connect(self, *args, data=b"", chain=None, **more):
        """(exit code, stdout, stderr as text)"""
        done = subprocess.run(self.argv(*args, chain=chain), input=data, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, **more)
        return done.returncode, done.stdout, done.stderr.decode()

    def start(self, *args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, chain=None, **more):
        process = subprocess.Popen(self.argv(*args, chain=chain), stdin=stdin, stdout=stdout, stderr=stderr, bufsize=0,
                                   **more)

        def end():
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        self.addCleanup(end)
        return process

    def ended(self, process, code, err=""):
        """@process ends by itself with @code, having said @err and nothing else."""
        self.assertEqual(process.wait(20), code)
        self.assertEqual(process.stderr.read().decode(), err)

    def pipe(self):
        ends = os.pipe()
        for fd in ends:
            self.addCleanup(self.close_fd, fd)
        return ends

    @staticmethod
    def close_fd(fd):
        try:
            os.close(fd)
        except OSError:
            pass


class Streams(Case):
    def test_both_directions(self):
        origin = self.world.origin(echo)
        host, port = origin.addr.split(":")
        self.assertEqual(self.run_connect(origin.addr, data=b"hello\n"), (0, b"hello\n", ""))
        self.assertEqual(self.run_connect(host, port, data=b"hello\n"), (0, b"hello\n", ""))

    def test_the_target_of_the_chain_file(self):
        origin = self.world.origin(echo)
        chain = self.world.chain(self.hops, origin.addr)
        self.assertEqual(self.run_connect(chain=chain, data=b"x"), (0, b"x", ""))

    def test_an_ip6_target(self):
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        self.addCleanup(listener.close)
        process = self.start("::1", str(listener.getsockname()[1]))
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"six")
        self.assertEqual(process.stdout.read(), b"six")
        process.stdin.close()
        self.ended(process, 0)

    def test_an_answer_that_needs_the_end_of_what_was_asked(self):
        origin = self.world.origin(lambda c: c.sendall(digest(receive_all(c)).encode()))
        data = pattern(3 * MIB + 17, 1)
        self.assertEqual(self.run_connect(origin.addr, data=data), (0, digest(data).encode(), ""))

    def test_the_other_end_ends_first(self):
        """The reader of stdout sees it at once; what is sent still arrives."""
        seen = []

        def handler(connection):
            connection.sendall(b"bye")
            connection.shutdown(socket.SHUT_WR)
            seen.append(receive_all(connection))

        process = self.start(self.world.origin(handler).addr)
        self.assertEqual(process.stdout.read(), b"bye", "the end reaches our reader while stdin is open")
        self.assertIsNone(process.poll())
        process.stdin.write(b"late ")
        process.stdin.write(b"words")
        process.stdin.close()
        self.ended(process, 0)
        until(lambda: seen)
        self.assertEqual(seen, [b"late words"])

    def test_100_mib_each_way_at_once(self):
        up, down, seen = pattern(100 * MIB, 1), pattern(100 * MIB, 2), []

        def handler(connection):
            sender = threading.Thread(target=connection.sendall, args=(down,))
            sender.start()
            seen.append(digest(receive_all(connection)))
            sender.join()
            connection.shutdown(socket.SHUT_WR)

        rc, out, err = self.run_connect(self.world.origin(handler).addr, data=up)
        self.assertEqual((rc, digest(out), err), (0, digest(down), ""))
        self.assertEqual(seen, [digest(up)])

    def test_a_slow_reader_costs_bounded_memory(self):
        size, sent = 96 * MIB, [0]
        data = pattern(size, 3)

        def handler(connection):
            view = memoryview(data)
            while view:
                n = connection.send(view[:65536])
                sent[0] += n
                view = view[n:]
            connection.shutdown(socket.SHUT_WR)
            receive_all(connection)

        process = self.start(self.world.origin(handler).addr)
        self.assertEqual(process.stdout.read(1), data[:1])
        self.settle(lambda: sent[0])
        self.assertLess(sent[0], size, "the origin was slowed down")
        self.assertLess(rss(process.pid), 24 * MIB)
        self.assertEqual(digest(data[:1] + read_fd(process.stdout.fileno())), digest(data))
        process.stdin.close()
        self.ended(process, 0)

    def test_a_slow_target_costs_bounded_memory(self):
        size, written, is_reading = 96 * MIB, [0], threading.Event()
        data, seen = pattern(size, 4), []

        def handler(connection):
            is_reading.wait(60)
            seen.append(digest(receive_all(connection)))

        process = self.start(self.world.origin(handler).addr)

        def feed():
            view = memoryview(data)
            while view:
                n = process.stdin.write(view[:65536])
                written[0] += n
                view = view[n:]
            process.stdin.close()

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        until(lambda: written[0] > MIB)
        self.settle(lambda: written[0])
        self.assertLess(written[0], size, "the writer was slowed down")
        self.assertLess(rss(process.pid), 24 * MIB)
        is_reading.set()
        feeder.join(60)
        self.assertEqual(process.stdout.read(), b"")
        self.ended(process, 0)
        self.assertEqual(seen, [digest(data)])

    @staticmethod
    def settle(value, still_s=0.5):
        """Until @value() has not changed for a while."""
        last, since = value(), time.monotonic()
        while time.monotonic() - since < still_s:
            select.select([], [], [], 0.02)
            if value() != last:
                last, since = value(), time.monotonic()

    def test_hops_as_flags(self):
        origin = self.world.origin(echo)
        flags = []
        for hop in self.hops:
            flags += ["--hop", "127.0.0.1:%d,%s" % (hop.port(), hop.key)]
        done = subprocess.run([program("chain"), "connect"] + flags + [origin.addr], input=b"x", capture_output=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"x", b""))

    def test_where_the_chain_file_is_looked_for(self):
        origin = self.world.origin(echo)
        home, xdg = self.world.dir / "home", self.world.dir / "xdg"
        for folder in (home / ".config/hopchain", xdg / "hopchain"):
            folder.mkdir(parents=True)
        good = pathlib.Path(self.world.chain(self.hops, origin.addr)).read_bytes()
        run = [program("chain"), "connect"]

        def outcome(**env):
            done = subprocess.run(run, input=b"x", capture_output=True, env=env)
            return done.returncode, done.stdout, done.stderr.decode()

        self.assertEqual(outcome(HOME=str(home))[0], 2)
        (home / ".config/hopchain/chain.json").write_bytes(good)
        self.assertEqual(outcome(HOME=str(home)), (0, b"x", ""))
        (xdg / "hopchain/chain.json").write_bytes(b"{}")
        rc, _, err = outcome(HOME=str(home), XDG_CONFIG_HOME=str(xdg))
        self.assertEqual((rc, "xdg/hopchain/chain.json" in err), (3, True), err)
        named = self.world.path("none.json")
        rc, _, err = outcome(HOME=str(home), HOPCHAIN_CHAIN=named)
        self.assertEqual((rc, err), (3, "chain: cannot open %s: No such file or directory\n" % named),
                         "what was named is not replaced by something else")


class Idle(Case):
    """What waits costs nothing, whatever is closed meanwhile."""

    def rests(self, process, what):
        def cpu_s():
            with open("/proc/%d/stat" % process.pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        begin = cpu_s()
        time.sleep(0.5)
        self.assertLess(cpu_s() - begin, 0.1, what)

    def test_connected(self):
        process = self.start(self.world.origin(echo).addr)
        process.stdin.write(b"x")
        self.assertEqual(process.stdout.read(1), b"x")
        self.rests(process, "nothing to do")

    def test_the_writer_has_gone_while_the_target_does_not_read(self):
        release = threading.Event()
        self.addCleanup(release.set)
        process = self.start(self.world.origin(lambda c: release.wait(30)).addr)
        os.set_blocking(process.stdin.fileno(), False)
        full_since = None
        while full_since is None or time.monotonic() - full_since < 0.3:
            if process.stdin.write(b"x" * 65536) is None:
                full_since = full_since or time.monotonic()
                select.select([], [process.stdin], [], 0.05)
            else:
                full_since = None
        process.stdin.close()
        self.rests(process, "input is paused, and at its end")

    def test_the_reader_has_gone_while_nothing_comes(self):
        release = threading.Event()
        self.addCleanup(release.set)
        process = self.start(self.world.origin(lambda c: release.wait(30)).addr)
        process.stdout.close()
        self.rests(process, "nothing to write")

    def test_the_reader_has_gone_while_output_is_paused(self):
        """A paused write is one that waits: then it does notice."""
        process = self.start(self.world.origin(lambda c: c.sendall(b"x" * 32 * MIB)).addr)
        process.stdout.read(1)
        self.rests(process, "the reader does not read")
        process.stdout.close()
        self.ended(process, 141)

    def test_the_output_was_paused_once(self):
        size = 8 * MIB
        process = self.start(self.world.origin(lambda c: (c.sendall(b"x" * size), receive_all(c))).addr)
        got = len(process.stdout.read(1))
        self.rests(process, "the reader does not read")
        while got < size:
            got += len(process.stdout.read(65536))
        self.rests(process, "all is read")

    def test_the_other_end_has_ended(self):
        process = self.start(self.world.origin(lambda c: (c.shutdown(socket.SHUT_WR), receive_all(c))).addr)
        self.assertEqual(process.stdout.read(), b"")
        self.rests(process, "stdin is open and empty")
        process.stdin.close()
        self.ended(process, 0)

    def test_while_it_connects(self):
        silent = self.world.origin(receive_all)
        chain = self.world.chain([("127.0.0.1:%d" % self.hops[0].port(), self.hops[0].key),
                                  (silent.addr, self.world.key())])
        process = self.start("127.0.0.1:1", chain=chain)
        process.stdin.write(b"x")
        process.stdin.close()
        process.stdout.close()
        self.rests(process, "a hop is silent, everything else is over")


class Kinds(Case):
    """Every kind of standard input and output; and none is changed for those who share it."""

    def test_inputs(self):
        origin = self.world.origin(echo)
        data = pattern(300000, 5)
        path = self.world.path("input")
        pathlib.Path(path).write_bytes(data)
        fifo = self.world.path("fifo")
        os.mkfifo(fifo)
        kinds = {
            "file": ("< %s" % path, data),
            "pipe": ("cat %s |" % path, data),
            "fifo": ("(cat %s > %s &) ; < %s" % (path, fifo, fifo), data),
            "empty fifo": ("(: > %s &) ; < %s" % (fifo, fifo), b""),
            "null": ("< /dev/null", b""),
            "closed": ("<&-", b""),
        }
        for name, (how, expected) in kinds.items():
            with self.subTest(stdin=name):
                before, _, redirection = how.rpartition(";") if ";" in how else ("", "", how)
                command = " ".join("'%s'" % word for word in self.argv(origin.addr))
                if redirection.endswith("|"):
                    line = redirection + command
                else:
                    line = before + (";" if before else "") + command + " " + redirection
                done = subprocess.run(["sh", "-c", line], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                self.assertEqual(digest(done.stdout), digest(expected))

    def test_a_folder_as_input(self):
        origin = self.world.origin(echo)
        fd = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        process = self.start(origin.addr, stdin=fd)
        self.ended(process, 1, "chain: cannot read standard input: Is a directory\n")

    def test_a_socket_both_ways(self):
        """As under inetd: one socket is stdin and stdout; its ends are those of the stream."""
        origin = self.world.origin(lambda c: c.sendall(digest(receive_all(c)).encode()))
        ours, theirs = socket.socketpair()
        with ours:
            process = self.start(origin.addr, stdin=theirs, stdout=theirs)
            data = pattern(2 * MIB, 6)
            ours.sendall(data)
            ours.shutdown(socket.SHUT_WR)
            self.assertEqual(receive_all(ours), digest(data).encode())
            theirs.close()
            self.ended(process, 0)

    def test_an_output_file_is_appended_to(self):
        origin = self.world.origin(echo)
        path = self.world.path("output")
        pathlib.Path(path).write_bytes(b"before ")
        with open(path, "ab") as f:
            done = subprocess.run(self.argv(origin.addr), input=b"after", stdout=f, stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(pathlib.Path(path).read_bytes(), b"before after")

    def test_a_terminal(self):
        """Lines go out as they are typed; Ctrl-D is the end."""
        origin = self.world.origin(echo)
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        process = self.start(origin.addr, stdin=slave, stdout=slave)
        os.close(slave)
        os.write(master, b"one\n")
        self.assertEqual(os.read(master, 100), b"one\n")
        os.write(master, b"two\n\x04")
        self.assertEqual(os.read(master, 100), b"two\n")
        self.ended(process, 0)

    def test_a_terminal_in_the_background(self):
        """Not stopped by reading what nobody has typed."""
        release = threading.Event()

        def handler(connection):
            time.sleep(0.3)
            connection.sendall(b"ready")
            release.wait(20)

        command = " ".join("'%s'" % word for word in self.argv(self.world.origin(handler).addr))
        shell, master = pty.fork()
        if shell == 0:
            os.execvp("sh", ["sh", "-c", "set -m; %s & echo job=$!; wait" % command])
        self.addCleanup(os.close, master)
        seen = b""
        while b"ready" not in seen and select.select([master], [], [], 5)[0]:
            seen += os.read(master, 1000)
        os.kill(int(re.search(rb"job=(\d+)", seen).group(1)), signal.SIGKILL)
        os.waitpid(shell, 0)
        release.set()
        self.assertIn(b"ready", seen)

    def test_nobody_else_sees_o_nonblock(self):
        origin = self.world.origin(echo)
        pipe_in, pipe_out = self.pipe(), self.pipe()
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        master, slave = pty.openpty()
        for fd in (master, slave):
            self.addCleanup(os.close, fd)
        tty.setraw(slave)
        for name, (stdin, stdout, write_to, read_from) in {
            "pipe": (pipe_in[0], pipe_out[1], pipe_in[1], pipe_out[0]),
            "socket": (theirs, theirs, ours.fileno(), ours.fileno()),
            "terminal": (slave, slave, master, master),
        }.items():
            with self.subTest(kind=name):
                process = self.start(origin.addr, stdin=stdin, stdout=stdout, stderr=stdout)
                os.write(write_to, b"x")
                self.assertEqual(os.read(read_from, 1), b"x")
                for fd in (stdin, stdout):
                    self.assertEqual(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK, 0)
                process.kill()
                process.wait()

    def of_another_user(self):
        """What makes run_connect() and start() one that cannot open our pipes: only what is ready is read and written."""
        uid = 65534
        if os.getuid() != 0:
            self.skipTest("needs root")

        def other_user():
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)

        try:
            subprocess.run([program("chain"), "version"], preexec_fn=other_user, capture_output=True, check=True)
        except PermissionError:
            self.skipTest("the build folder is closed to others")
        os.chmod(pathlib.Path(self.chain).parent, 0o755)
        for hop in self.hops:
            os.chown(hop.key, uid, uid)
        self.addCleanup(lambda: [os.chown(hop.key, 0, 0) for hop in self.hops])
        return other_user

    def test_without_a_description_of_its_own(self):
        other_user = self.of_another_user()
        origin = self.world.origin(echo)
        data = pattern(2 * MIB, 7)
        rc, out, err = self.run_connect(origin.addr, data=data, preexec_fn=other_user)
        self.assertEqual((rc, err, digest(out)), (0, "", digest(data)))

    def test_a_slow_reader_without_a_description_of_its_own(self):
        """No write waits: the other direction goes on."""
        other_user = self.of_another_user()
        seen = []

        def handler(connection):
            while not seen:
                readable, writable, _ = select.select([connection], [connection], [], 20)
                if readable:
                    seen.append(connection.recv(100))
                elif writable:
                    connection.send(b"x" * 65536, socket.MSG_DONTWAIT)
                else:
                    return

        process = self.start(self.world.origin(handler).addr, preexec_fn=other_user)
        for n in (1, 8192):  # room for some, not for all
            process.stdout.read(n)
            time.sleep(0.3)
        process.stdin.write(b"still here")
        until(lambda: seen, what="the input goes on while the output is full")
        self.assertEqual(seen, [b"still here"])

    def test_outputs_that_fail(self):
        origin = self.world.origin(echo)
        for how, words in ((">&-", "Bad file descriptor"), ("> /dev/full", "No space left on device")):
            with self.subTest(stdout=how):
                command = " ".join("'%s'" % word for word in self.argv(origin.addr))
                done = subprocess.run(["sh", "-c", "echo x | %s %s" % (command, how)], capture_output=True, timeout=20)
                self.assertEqual((done.returncode, done.stdout, done.stderr.decode()),
                                 (1, b"", "chain: cannot write standard output: %s\n" % words))

    def test_nobody_reads_the_output(self):
        """As if SIGPIPE had ended it: silent, 141; the target sees a broken stream."""
        outcome = []

        def handler(connection):
            try:
                while True:
                    connection.sendall(b"y\n" * 1000)
            except OSError as error:
                outcome.append(error.errno)

        process = self.start(self.world.origin(handler).addr)
        self.assertEqual(process.stdout.read(2), b"y\n")
        process.stdout.close()
        self.ended(process, 141)
        until(lambda: outcome)

    def test_an_upload_whose_output_nobody_reads(self):
        """Nothing is wrong as long as there is nothing to write."""
        seen = []
        process = self.start(self.world.origin(lambda c: seen.append(receive_all(c))).addr)
        process.stdout.close()
        process.stdin.write(b"one ")
        process.stdin.write(b"two")
        process.stdin.close()
        self.ended(process, 0)
        self.assertEqual(seen, [b"one two"])


class Failures(Case):
    """One line, and a code that says whose fault it is."""

    def pairs(self, i=None, addr=None, key=None):
        pairs = [("127.0.0.1:%d" % h.port(), h.key) for h in self.hops]
        if i is not None:
            pairs[i] = (addr or pairs[i][0], key or pairs[i][1])
        return pairs

    def fails(self, code, sentence, pairs=None, target=None, **more):
        target = target or self.world.origin(echo).addr
        chain = self.world.chain(pairs or self.pairs(), **more)
        rc, out, err = self.run_connect(target, data=b"x", chain=chain)
        self.assertEqual((rc, out), (code, b""), err)
        self.assertRegex(err, "^chain: %s\n$" % sentence)
        self.assertEqual(err.count("\n"), 1)

    def test_5_first_hop(self):
        addr = free_address()
        self.fails(5, r"hop 1 \(%s\): refused after \d+ ms: nothing listens there" % re.escape(addr),
                   self.pairs(0, addr))
        self.fails(5, r"hop 1 \(no-such\.invalid:7000\): resolve-\w+ after \d+ ms: .*",
                   self.pairs(0, "no-such.invalid:7000"))

    def test_6_later_hop(self):
        addr = free_address()
        for i in (1, 2):
            self.fails(6, r"hop %d could not reach hop %d \(%s\): refused after \d+ ms: nothing listens there"
                       % (i, i + 1, re.escape(addr)), self.pairs(i, addr))

    def test_7_no_answer(self):
        self.fails(7, r"hop 2 \(127\.0\.0\.1:\d+\): no-answer: hop 1 connected in [\d.]+ ms, but hop 2 did not answer: "
                   r"wrong key, clock more than 30 s off, or not one of ours \(no byte within \d+ ms\); hint: .*",
                   self.pairs(1, key=self.world.key()), timeouts={"connect": "500ms"})
        # Half of a header that could be one: nothing in it is printable.
        for end, told in ((receive_all, r"only 40 of 96 bytes within \d+ ms"),
                          (lambda c: c.recv(1 << 16), r"it closed after 40 of 96 bytes and \d+ ms")):
            half = self.world.origin(lambda c, end=end: (c.sendall(b"\x01" * 40), end(c)))
            self.fails(7, r"hop 1 \(%s\): no-answer: connected, but hop 1 did not answer: wrong key, clock more than "
                       r"30 s off, or not one of ours \(%s\); hint: .*" % (re.escape(half.addr), told),
                       self.pairs(0, half.addr), timeouts={"connect": "500ms"})
        server = self.world.origin(lambda c: (c.sendall(b"SSH-2.0-x\r\n"), receive_all(c)))
        self.fails(7, r"hop 1 \(%s\): not-a-hop: its first bytes were \"SSH-2\.0-x\": this looks like an ssh server"
                   % re.escape(server.addr), self.pairs(0, server.addr))

    def test_8_target(self):
        addr = free_address()
        self.fails(8, r"hop 3 could not reach %s: refused after \d+ ms: nothing listens there" % re.escape(addr),
                   target=addr)
        strict = self.world.hop(self.world.key(), allow=())
        origin = self.world.origin(echo)
        self.fails(8, r"hop 3 refused %s: denied-loopback; hint: allow \"loopback\" in that hop's \"targets\""
                   % re.escape(origin.addr), self.pairs(2, "127.0.0.1:%d" % strict.port(), strict.key), origin.addr)

    def test_9_a_target_that_resets(self):
        def handler(connection):
            connection.recv(1)
            reset(connection)
        self.fails(9, r"lost after \d+ ms: .*", target=self.world.origin(handler).addr)

    def test_9_a_middle_hop_dies_in_mid_transfer(self):
        """What came until then is delivered, then one line."""
        world = World()
        self.addCleanup(world.close)
        hops, data = world.hops(3), pattern(64 * MIB, 8)

        def handler(connection):
            connection.sendall(data)

        process = self.start(self.world.origin(handler).addr, chain=world.chain(hops))
        got = process.stdout.read(100)
        hops[1].signal(signal.SIGKILL)
        got += read_fd(process.stdout.fileno())
        self.assertEqual(process.wait(20), 9)
        self.assertRegex(process.stderr.read().decode(), r"^chain: lost after \d+ ms: .*\n$")
        self.assertLess(len(got), len(data))
        self.assertEqual(digest(got), digest(data[:len(got)]))

    def test_9_what_waits_for_a_slow_reader_is_not_lost(self):
        world = World()
        self.addCleanup(world.close)
        hops = world.hops(3)
        process = self.start("-v", self.world.origin(lambda c: c.sendall(b"x" * 64 * MIB)).addr, chain=world.chain(hops))
        self.assertIn(b"connected", process.stderr.readline())
        got = len(process.stdout.read(1))
        time.sleep(0.3)
        hops[1].signal(signal.SIGKILL)
        self.assertRegex(process.stderr.readline().decode(), r"^chain: lost after ")
        self.assertIsNone(process.poll(), "there is something to write")
        got += len(read_fd(process.stdout.fileno()))
        self.assertEqual(process.wait(20), 9)
        self.assertIn("received %d bytes" % got, process.stderr.read().decode())

    def test_a_failure_reads_nothing(self):
        """What waits in stdin is still there for whoever tries next."""
        origin = self.world.origin(echo)
        reading, writing = self.pipe()
        os.write(writing, b"precious")
        os.close(writing)
        first = self.start(free_address(), stdin=reading)
        self.assertEqual(first.wait(20), 8)
        second = self.start(origin.addr, stdin=reading)
        self.assertEqual(second.stdout.read(), b"precious")
        self.ended(second, 0)


class Usage(Case):
    def wrong(self, sentence, *args, code=2, chain=True, env=None):
        argv = [program("chain"), "connect"] + (["--chain", self.chain] if chain else []) + list(args)
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=dict(os.environ, **(env or {})))
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        tail = "\nTry 'chain connect --help'.\n" if code == 2 else "\n"
        self.assertEqual(done.stderr, sentence + tail)

    def test_targets(self):
        for words, sentence in (
            (["example.org"], '"example.org" has no port; expected something like "example.org:22"'),
            (["2001:db8::1:22"], '"2001:db8::1:22" is ambiguous; write "[2001:db8::1]:22"'),
            (["example.org", "ssh"], '"ssh" is not a port number'),
            (["example.org:22", "22"],
             '"example.org:22" has a port already: write HOST PORT or HOST:PORT, not both'),
            (["unix:/run/x"],
             "a chain ends at HOST:PORT; sockets of the file system (unix:) are no targets"),
            (["a", "1", "b"], 'unexpected argument "b" after HOST PORT'),
            ([], 'needs HOST:PORT, or a "target" in the chain file'),
        ):
            with self.subTest(words=words):
                self.wrong("chain connect: " + sentence, *words)

    def test_flags(self):
        for args, sentence in (
            (["-w", "1s"], "--wait is for --udp: a stream ends by itself"),
            (["-u", "-w", "1"], '--wait: "1" has no unit; did you mean "1s"?'),
            (["--hop", "a:1,k"], "--chain and --hop exclude each other"),
        ):
            with self.subTest(args=args):
                self.wrong("chain connect: " + sentence, *args, "x:1")

    def test_hops(self):
        for hop, sentence in (
            ("x", "--hop needs ADDR,KEYFILE, with a comma between them"),
            (",x", "--hop needs ADDR,KEYFILE, but before the comma there is nothing"),
            ("h:1,", "--hop needs ADDR,KEYFILE, but after the comma there is nothing"),
            ("x,k", '--hop: "x" has no port; hint: hops usually listen on 7000: "x:7000"'),
        ):
            with self.subTest(hop=hop):
                self.wrong("chain connect: " + sentence, "--hop", hop, "x:1", chain=False)
        self.wrong("chain connect: --chain needs the name of a file, but got an empty word", "--chain=", "x:1",
                   chain=False)
        self.wrong("chain: hop 1: cannot open /none: No such file or directory", "--hop", "x:1,/none", "x:1", code=3,
                   chain=False)

    def test_a_chain_file_from_standard_input(self):
        for env, sentence in (
            ({}, "standard input goes to the target: --chain needs a file, like /dev/fd/3 with 3< in the shell"),
            ({"HOPCHAIN_CHAIN": "-"}, "$HOPCHAIN_CHAIN must name a file, not standard input"),
        ):
            self.wrong("chain connect: " + sentence, *([] if env else ["--chain", "-"]), "x:1", chain=False, env=env)
        self.assertEqual(self.through_descriptor_3(), (0, b"x", b""))

    def through_descriptor_3(self):
        origin = self.world.origin(echo)
        done = subprocess.run(["sh", "-c", "exec '%s' connect --chain /dev/fd/3 %s 3< '%s'"
                               % (program("chain"), origin.addr, self.world.chain(self.hops))],
                              input=b"x", capture_output=True)
        return done.returncode, done.stdout, done.stderr


class Told(Case):
    """What -v, --progress and SIGUSR1 say; and that nothing else is said."""
    NUMBERS = (r"sent %d bytes?, received %d bytes? in ([\d.]+ m?s|\d+:\d\d:\d\d), ([\d.]+ [KMG]iB|\d+ bytes?)/s")

    def test_verbose(self):
        origin = self.world.origin(echo)
        rc, out, err = self.run_connect("-v", origin.addr, data=b"hello")
        self.assertEqual((rc, out), (0, b"hello"))
        way = r"%s through 3 hops" % re.escape(origin.addr)
        self.assertRegex(err, r"^chain: connected to %s in [\d.]+ m?s \(hop 1 [\d.]+ ms, hop 2 [\d.]+ ms, hop 3 [\d.]+ ms; "
                         r"(aes-\d+-gcm|chacha20-poly1305)\)\nchain: %s: %s\n$" % (way, way, self.NUMBERS % (5, 5)))

    def test_status_by_signal(self):
        release = threading.Event()

        def handler(connection):
            echo_once = connection.recv(100)
            connection.sendall(echo_once)
            release.wait(20)

        self.addCleanup(release.set)
        origin = self.world.origin(handler)
        process = self.start(origin.addr)
        process.stdin.write(b"hello")
        self.assertEqual(os.read(process.stdout.fileno(), 100), b"hello")
        process.send_signal(signal.SIGUSR2)
        process.send_signal(signal.SIGUSR1)
        line = process.stderr.readline().decode()
        self.assertRegex(line, r"^chain: %s through 3 hops: %s\n$" % (re.escape(origin.addr), self.NUMBERS % (5, 5)))
        release.set()
        process.stdin.close()
        self.ended(process, 0)

    def silent_hop(self):
        """A chain whose second hop accepts and says nothing; and what happens there."""
        accepted = threading.Event()

        def handler(connection):
            accepted.set()
            receive_all(connection)

        silent = self.world.origin(handler)
        first = self.hops[0]
        return self.world.chain([("127.0.0.1:%d" % first.port(), first.key), (silent.addr, self.world.key())]), accepted

    def test_status_before_it_is_connected(self):
        chain, accepted = self.silent_hop()
        process = self.start("127.0.0.1:1", chain=chain)
        self.assertTrue(accepted.wait(10))
        process.send_signal(signal.SIGUSR1)
        self.assertRegex(process.stderr.readline().decode(),
                         r"^chain: 127\.0\.0\.1:1 through 2 hops: connecting for [\d.]+ m?s, [01] answered\n$")
        process.send_signal(signal.SIGTERM)
        self.ended(process, 143)

    def test_signals_that_end(self):
        """The target sees a broken stream: what was sent is not all there was."""
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, -1), (signal.SIGQUIT, -3)):
            with self.subTest(signal=number):
                outcome = []

                def handler(connection):
                    connection.sendall(b"x")
                    try:
                        outcome.append(receive_all(connection))
                    except ConnectionResetError:
                        outcome.append("reset")

                process = self.start(self.world.origin(handler).addr)
                self.assertEqual(process.stdout.read(1), b"x")
                process.send_signal(number)
                self.ended(process, code)
                until(lambda: outcome)
                self.assertEqual(outcome, ["reset"])

    def test_an_ignored_interrupt_stays_ignored(self):
        """As for a command that a shell runs in its background."""
        origin = self.world.origin(echo)
        process = self.start(origin.addr, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        process.stdin.write(b"x")
        self.assertEqual(process.stdout.read(1), b"x")
        process.send_signal(signal.SIGINT)
        process.stdin.write(b"y")
        self.assertEqual(process.stdout.read(1), b"y")
        process.stdin.close()
        self.ended(process, 0)

    def terminal(self, width):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        tty.setraw(slave)
        self.addCleanup(os.close, master)
        return master, slave

    def read_terminal(self, master):
        data = bytearray()
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:  # its other side is closed
                return data.decode()
            if not piece:
                return data.decode()
            data += piece

    @staticmethod
    def draw(text, width):
        """What stands on the line of a terminal that @text was written to."""
        line, at = [" "] * width, 0
        for c in text:
            if c == "\r":
                at = 0
            else:
                assert at < width, "wrapped: %r" % text
                line[at] = c
                at += 1
        return "".join(line).rstrip(), at

    def test_progress(self):
        def handler(connection):
            for _ in range(13):
                connection.sendall(b"x" * 65536)
                time.sleep(0.1)

        for width in (80, 20):
            with self.subTest(width=width):
                master, slave = self.terminal(width)
                process = self.start("--progress", self.world.origin(handler).addr, stdin=subprocess.DEVNULL,
                                     stderr=slave)
                os.close(slave)
                reader = threading.Thread(target=lambda: read_fd(process.stdout.fileno()))
                reader.start()
                begin = time.monotonic()
                text = self.read_terminal(master)
                elapsed = time.monotonic() - begin
                reader.join()
                self.assertEqual(process.wait(20), 0)
                lines = [line for line in text.split("\r") if line.strip()]
                full = r"^0:00:0\d  \d+ bytes up  [\d.]+ [KM]iB down  [\d.]+ [KM]iB/s *$"
                if width == 80:
                    self.assertRegex(lines[0], full)
                self.assertGreaterEqual(len(lines), 4)
                self.assertLessEqual(len(lines), 2 * (4 * elapsed + 1), "drawn too often")
                self.assertTrue(all(len(line) < width for line in lines), lines)
                self.assertNotIn("\n", text)
                self.assertEqual(self.draw(text, width), ("", 0), "the line is erased at the end")

    def test_progress_where_nobody_sees_it(self):
        origin = self.world.origin(echo)
        self.assertEqual(self.run_connect("--progress", origin.addr, data=b"x"), (0, b"x", ""))


class Datagrams(Case):
    def test_an_answer(self):
        origin = self.world.udp_origin()
        begin = time.monotonic()
        self.assertEqual(self.run_connect("-u", origin.addr, data=b"hello"), (0, b"hello", ""))
        self.assertGreaterEqual(time.monotonic() - begin, 0.9, "it waits a second for more")

    def test_each_read_is_one_datagram(self):
        origin = self.world.udp_origin()
        process = self.start("-u", "-w", "100ms", *origin.addr.split(":"))
        for data in (b"one", b"two\n", b"x" * 1200):
            process.stdin.write(data)
            self.assertEqual(os.read(process.stdout.fileno(), 4096), data)
        process.stdin.close()
        self.assertEqual(process.stdout.read(), b"")
        self.ended(process, 0)
        self.assertEqual(sorted(origin.received), sorted([b"one", b"two\n", b"x" * 1200]))

    def test_wait(self):
        origin = self.world.udp_origin(answer=False)
        begin = time.monotonic()
        self.assertEqual(self.run_connect("-u", "-w", "300ms", origin.addr, data=b"x"), (0, b"", ""))
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)
        self.assertLess(time.monotonic() - begin, 2)
        self.assertEqual(origin.count(), 1)

    def test_wait_begins_anew_with_each_answer(self):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.bind(("127.0.0.1", 0))

        def answer():
            _, peer = server.recvfrom(100)
            for i in range(4):
                server.sendto(b"%d" % i, peer)
                time.sleep(0.3)

        threading.Thread(target=answer, daemon=True).start()
        addr = "127.0.0.1:%d" % server.getsockname()[1]
        self.assertEqual(self.run_connect("-u", "-w", "600ms", addr, data=b"x"), (0, b"0123", ""))

    def test_verbose(self):
        origin = self.world.udp_origin()
        rc, out, err = self.run_connect("-uv", "-w", "100ms", origin.addr, data=b"hello")
        self.assertEqual((rc, out), (0, b"hello"))
        way = re.escape(origin.addr) + " through 3 hops"
        self.assertRegex(err, r"^chain: %s: first answer after [\d.]+ ms, in datagrams\nchain: %s: %s; datagrams: 1 sent, "
                         r"1 received, 0 dropped\n$" % (way, way, Told.NUMBERS % (5, 5)))

    def test_a_hint_of_the_exit(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            addr = "127.0.0.1:%d" % s.getsockname()[1]
        rc, out, err = self.run_connect("-uv", "-w", "300ms", addr, data=b"x")
        self.assertEqual((rc, out), (0, b""))
        self.assertRegex(err.split("\n")[0], r"^chain: %s: port-unreach: \S.*$" % re.escape(addr))
        self.assertEqual(err.count("port-unreach"), 1)
        self.assertEqual(self.run_connect("-u", "-w", "300ms", addr, data=b"x"), (0, b"", ""))

    def test_longer_than_a_datagram(self):
        origin = self.world.udp_origin()
        rc, out, err = self.run_connect("-u", "-w", "100ms", origin.addr, data=b"x" * 65507)
        self.assertEqual((rc, out), (1, b""))
        self.assertEqual(err, "chain: a datagram of 65507 bytes is longer than this chain carries: it and its like "
                         "are dropped\n")

    def test_a_failure(self):
        hop = self.hops[0]
        chain = self.world.chain([("127.0.0.1:%d" % hop.port(), hop.key), ("127.0.0.1:1", self.world.key())],
                                 udp="stream")
        rc, out, err = self.run_connect("-u", "127.0.0.1:9", data=b"x", chain=chain)
        self.assertEqual((rc, out), (6, b""), err)
        self.assertRegex(err, r"^chain: hop 1 could not reach hop 2 \(127\.0\.0\.1:1\): refused after .*\n$")

    def test_an_interrupt(self):
        origin = self.world.udp_origin()
        process = self.start("-u", origin.addr)
        process.stdin.write(b"x")
        self.assertEqual(process.stdout.read(1), b"x")
        process.send_signal(signal.SIGINT)
        self.ended(process, 130)


if __name__ == "__main__":
    unittest.main(verbosity=2)
