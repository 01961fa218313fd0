"""chain trace, ping and speed at real hops, some behind a relay that makes the link into them worse.

    chain ── hop 1 ──(relay)── hop 2 ── hop 3 (── target)          all on loopback, ports the kernel picks
"""
import csv
import fcntl
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import World, echo, program, until  # noqa: E402
from terminal import ENTER, LEAVE, Terminal  # noqa: E402

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
DELAY_MS = 40.0
SLACK_MS = 15.0  # two busy cores


class Mtr:
    """Reads what "mtr --json" of 0.95 prints, and nothing else of it."""

    def __init__(self, text):
        report = json.loads(text)["report"]
        head = report["mtr"]
        self.source, self.destination = str(head["src"]), str(head["dst"])
        self.n_tests, self.tos, self.size = int(head["tests"]), int(head["tos"]), int(head["psize"])
        int(head["bitpattern"], 16)
        self.hubs = [{"count": int(hub["count"]), "host": str(hub["host"]), "sent": int(hub["Snt"]),
                      **{name: float(hub[name]) for name in ("Loss%", "Last", "Avg", "Best", "Wrst", "StDev")}}
                     for hub in report["hubs"]]


class Case(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)

    def tool(self, *argv, timeout=60, env=None, code=0):
        """The standard output of a run that ends with @code."""
        done = subprocess.run([program("chain")] + list(argv), stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=timeout, env=dict(os.environ, **(env or {})), text=True)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.errors = done.stderr
        return done.stdout

    def trace(self, chain, *argv, n=3, code=0):
        """The hubs of the JSON document, after @n rounds."""
        text = self.tool("trace", "--chain", chain, "--json", "-c", str(n), "-i", "20ms", *argv, code=code)
        Mtr(text)
        return json.loads(text)["report"]["hubs"]

    def origin(self):
        return self.world.origin(echo)

    def named(self, hops, target=None):
        """A chain called office."""
        path = self.world.chain(hops, target)
        with open(path) as f:
            chain = json.load(f)
        with open(path, "w") as f:
            json.dump(dict(chain, name="office"), f)
        return path

    def three(self, target=None):
        return self.named(self.world.hops(3), target)

    def behind_relay(self, only_tcp=False, **faults):
        """(chain whose link into hop 2 passes a relay, the relay)"""
        hops = self.world.hops(3)
        relay = self.world.before(hops[1], only_tcp=only_tcp, **faults)
        return self.world.chain([hops[0], relay.pair, hops[2]]), relay


class Rows(Case):
    def test_a_good_chain_has_all_rows(self):
        target = self.origin().addr
        hubs = self.trace(self.three(target))
        self.assertEqual([hub["kind"] for hub in hubs], ["hop", "hop", "hop", "target"])
        before = 0
        for hub in hubs:
            self.assertEqual((hub["Loss%"], hub["Snt"], hub["error"]), (0, 3, None))
            self.assertLessEqual(hub["Best"], hub["Avg"])
            self.assertLessEqual(hub["Avg"], hub["Wrst"])
            self.assertEqual(hub["dialled"], hub["address"])
            self.assertEqual(hub["tries"], 1)
            self.assertGreaterEqual(hub["connect_ms"], 0)
            self.assertGreater(hub["Best"], before / 4)  # cumulative; loopback's own noise
            before = hub["Best"]
        for hub in hubs[:3]:
            self.assertTrue(hub["software"].startswith("hopchain "))
            self.assertLess(abs(hub["clock_offset_ms"]), 1000)
        self.assertIn(hubs[3]["cipher"], ("aes-256-gcm", "aes-128-gcm", "chacha20-poly1305"))

    def test_a_name_shows_the_address_that_was_chosen(self):
        hops = self.world.hops(2)
        chain = self.named([("localhost:%d" % hop.port(), hop.key) for hop in hops])
        for hub, hop in zip(self.trace(chain), hops):
            self.assertEqual(hub["address"], "localhost:%d" % hop.port())
            self.assertIn(hub["dialled"], ("127.0.0.1:%d" % hop.port(), "[::1]:%d" % hop.port()))
        text = self.tool("trace", "--chain", chain, "-c", "1")
        for hop in hops:
            self.assertRegex(text, r"(?m)^ [12]  (127\.0\.0\.1|\[::1\]):%d, " % hop.port())

    @unittest.skipUnless(os.path.exists(FAKETIME), "needs libfaketime")
    def test_a_clock_that_is_wrong_is_a_note(self):
        chain = self.world.chain(self.world.hops(2))
        env = {"LD_PRELOAD": FAKETIME, "FAKETIME": "+7s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        text = self.tool("trace", "--chain", chain, "--json", "-c", "1", env=env)
        for hub in json.loads(text)["report"]["hubs"]:
            self.assertLess(abs(hub["clock_offset_ms"] + 7000), 500)
        text = self.tool("trace", "--chain", chain, "-c", "1", env=env)
        self.assertEqual(len(re.findall(r"clock -[67]\.\d s", text)), 2, text)
        self.tool("ping", "--chain", chain, "-c", "1", env=env)
        self.assertIn("warning: this machine is 7 s ahead of hop 2", self.errors)

    def check_delay(self, chain, *argv):
        hubs = self.trace(chain, *argv)
        self.assertLess(hubs[0]["Avg"], SLACK_MS)
        for i in (1, 2):
            self.assertGreaterEqual(hubs[i]["Best"], DELAY_MS - 1)
        self.assertGreaterEqual(hubs[1]["own_avg_ms"], DELAY_MS - SLACK_MS)
        self.assertLess(hubs[1]["own_avg_ms"], DELAY_MS + SLACK_MS)
        self.assertLess(hubs[2]["own_avg_ms"], SLACK_MS)

    def test_a_delay_stands_in_its_own_row(self):
        chain, relay = self.behind_relay(only_tcp=True)
        relay.set(delay=DELAY_MS / 2000)
        self.check_delay(chain)

    def test_a_delay_of_datagrams_stands_in_its_own_row(self):
        chain, relay = self.behind_relay()
        relay.udp.set(delay=DELAY_MS / 2000)
        self.check_delay(chain, "--udp")

    def test_lost_datagrams_are_loss(self):
        chain, _ = self.behind_relay(loss=0.3, seed=5)
        hubs = self.trace(chain, "-u", "--timeout", "200ms", n=20)
        self.assertEqual(hubs[0]["Loss%"], 0)
        for hub in hubs[1:]:
            self.assertGreater(hub["Loss%"], 10)
            self.assertLess(hub["Loss%"], 95)
            self.assertEqual(hub["lost"], round(hub["Loss%"] / 100 * hub["Snt"]))


class Failures(Case):
    def check(self, chain, slug, first, code, *argv):
        """@first: the first row (from 0) that fails."""
        hubs = self.trace(chain, "--strict", "--timeout", "1s", *argv, n=1, code=code)
        for i, hub in enumerate(hubs):
            self.assertEqual(hub["Loss%"], 100 if i >= first else 0)
        self.assertEqual(hubs[first]["error"]["slug"], slug)
        self.assertIn("hop", hubs[first]["error"]["text"])
        text = self.tool("trace", "--chain", chain, "-r", "-c", "1", "--timeout", "1s", *argv)
        told = re.findall(r"^!  ", text, re.MULTILINE)
        self.assertEqual(len(told), 1, text)
        self.assertRegex(text, r"100\.0% +1 +- +- +- +- +-")
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        return text

    def test_a_dead_hop(self):
        hops = self.world.hops(3)
        chain = self.world.chain(hops)
        hops[1].end()
        self.assertIn("refused", self.check(chain, "refused", 1, 6))

    def test_a_dead_first_hop(self):
        hops = self.world.hops(2)
        chain = self.world.chain(hops)
        hops[0].end()
        self.check(chain, "refused", 0, 5)

    def test_a_dead_hop_over_udp(self):
        hops = self.world.hops(3)
        chain = self.world.chain(hops)
        hops[1].end()
        hubs = self.trace(chain, "-u", "--timeout", "300ms", n=1)
        self.assertEqual([hub["Loss%"] for hub in hubs], [0, 100, 100])

    def test_a_wrong_key(self):
        hops = self.world.hops(3)
        chain = self.world.chain([hops[0], ("127.0.0.1:%d" % hops[1].port(), self.world.key()), hops[2]])
        self.check(chain, "no-answer", 1, 7)

    def test_something_that_is_no_hop(self):
        def banner(connection):
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            connection.recv(1)
            connection.recv(1 << 16)
        hops = self.world.hops(3)
        server = self.world.origin(banner)
        chain = self.world.chain([hops[0], (server.addr, self.world.key()), hops[2]])
        self.assertIn("SSH-2.0", self.check(chain, "not-a-hop", 1, 7))

    def test_a_target_that_refuses(self):
        target = self.origin()
        target.end()
        self.check(self.three(), "refused", 3, 8, target.addr)

    def test_without_strict_a_failure_is_a_measurement(self):
        hops = self.world.hops(2)
        chain = self.world.chain(hops)
        hops[1].end()
        self.trace(chain, n=1, code=0)

    def test_descriptors_that_are_closed(self):
        chain = self.three()
        for command in ("trace -c 1", "ping -c 1", "speed -t 100ms", "doctor", "check --online"):
            for how, code in (("<&-", 0), (">&-", 1), ("2>&-", 0), ("<&- >&- 2>&-", 1)):
                with self.subTest(command=command, closed=how):
                    words = command.split() + ([] if command.startswith("check") else ["--chain"]) + [chain]
                    done = subprocess.run(["sh", "-c", '"$@" ' + how, "sh", program("chain"), *words],
                                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60, text=True)
                    lost = "chain: cannot write to stdout: Bad file descriptor\n" if how == ">&-" else ""
                    self.assertEqual((done.returncode, done.stderr, done.stdout == ""), (code, lost, code == 1))

    def test_bad_arguments(self):
        chain = self.three()
        for argv in (["-c", "0"], ["-c", "x"], ["-i", "5"], ["-i", "1ms"], ["--json", "--csv"], ["nowhere"],
                     ["a:1", "b:2"], ["--color", "red"]):
            self.tool("trace", "--chain", chain, *argv, code=2)
            self.assertTrue(self.errors.startswith("chain trace: "), self.errors)
        self.tool("trace", "--chain", self.world.path("none.json"), code=3)


class Forms(Case):
    def test_mtrs_readers_can_read_it(self):
        target = self.origin().addr
        text = self.tool("trace", "--chain", self.three(), "--json", "-c", "2", "-i", "20ms", target)
        mtr = Mtr(text)
        self.assertEqual((mtr.destination, mtr.n_tests), (target, 2))
        self.assertEqual([hub["count"] for hub in mtr.hubs], [1, 2, 3, 4])
        ours = json.loads(text)["report"]["hopchain"]
        self.assertEqual((ours["version"], ours["hops"], ours["protocol"]), (1, 3, "tcp"))

    def test_csv_has_a_line_a_row(self):
        text = self.tool("trace", "--chain", self.three(), "--csv", "-c", "2", "-i", "20ms")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        self.assertEqual([row["Hop"] for row in rows], ["1", "2", "3"])
        for row in rows:
            self.assertEqual((row["Status"], row["Loss%"], row["Snt"]), ("OK", "0.00", "2"))
            self.assertGreater(float(row["Avg"]), 0)
            self.assertIsNone(row.get(None))

    def test_a_report_fits_what_it_is_told(self):
        chain = self.three(self.origin().addr)
        for columns in (40, 80, 100, 200):
            text = self.tool("trace", "--chain", chain, "-c", "1", env={"COLUMNS": str(columns), "LC_ALL": "C"})
            self.assertLessEqual(max(map(len, text.splitlines())), columns)
            self.assertTrue(text.isascii())
            self.assertNotIn("\x1b", text)
        self.assertIn("software", text)
        self.assertRegex(text, r"(?m)^ > .*connect only$")

    def test_an_interrupted_report_shows_what_there_is(self):
        hops = self.world.hops(1, "--verbose")
        for number, code in ((signal.SIGINT, 0), (signal.SIGTERM, 143)):
            process = subprocess.Popen([program("chain"), "trace", "-r", "-c", "1000000", "-i", "10ms", "--chain",
                                        self.world.chain(hops)], stdout=subprocess.PIPE, text=True)
            before = len(hops[0].log())
            until(lambda: len(hops[0].log()) > before + 500, what="some rounds")
            process.send_signal(number)
            try:
                process.send_signal(number)  # as timeout(1) does
            except ProcessLookupError:
                pass
            text, _ = process.communicate(timeout=10)
            self.assertEqual(process.returncode, code)
            self.assertRegex(text, r"(?m)^ 1  127\.0\.0\.1:\d+ +0\.0%")

    def test_interrupted_before_the_first_answer(self):
        silent = self.world.origin(lambda connection: connection.recv(1 << 20) and connection.recv(1 << 20))
        process = subprocess.Popen([program("chain"), "trace", "-r", "--chain",
                                    self.world.chain([(silent.addr, self.world.key())])], stdout=subprocess.PIPE)
        try:
            until(lambda: "00000000" in self.sockets_to(silent.port, process.pid), what="its connection")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=10)
            self.assertEqual(process.returncode, 130)
        finally:
            process.kill()
            process.wait()

    @staticmethod
    def sockets_to(port, pid):
        with open("/proc/%d/net/tcp" % pid) as f:
            return "".join(line for line in f if ":%04X 01 " % port in line)


class Live(Case):
    def live(self, chain, *argv, columns=80, lines=24, env=None):
        terminal = Terminal([program("chain"), "trace", "--chain", chain, "-i", "50ms", *argv], columns, lines, env)
        return self.world.add(terminal)

    def rounds(self, text):
        found = re.search(r"(\d+) rounds?, \d+ ms apart", text)
        return int(found.group(1)) if found else 0

    def running(self, *argv, **more):
        terminal = self.live(self.three(self.origin().addr), *argv, **more)
        terminal.wait_for(lambda text: self.rounds(text) >= 3)
        return terminal

    def check_fits(self, terminal, columns):
        self.assertLessEqual(max(map(len, terminal.lines())), columns)
        lines = terminal.lines()
        self.assertIn("office", lines[0])
        self.assertTrue(lines[1].startswith(" #"), lines[1])
        self.assertEqual([line[:2] for line in lines[2:6]], [" 1", " 2", " 3", " →"])

    def quit(self, terminal, key="q", code=0):
        terminal.keys(key)
        self.assertEqual(terminal.wait(), code)
        self.assertTrue(terminal.is_restored())
        after = terminal.output().rsplit(LEAVE, 1)[1].decode()
        self.assertIn("office", after)
        self.assertRegex(after, r"127\.0\.0\.1:\d+ +")
        return after

    def test_80_columns(self):
        terminal = self.running()
        self.check_fits(terminal, 80)
        self.assertIn("auth", terminal.lines()[1])
        self.assertTrue(terminal.lines()[23].startswith("q quit"))
        self.quit(terminal)

    def test_200_columns_show_more(self):
        terminal = self.running(columns=200, lines=50)
        self.check_fits(terminal, 200)
        for heading in ("own", "rslv", "conn", "clock", "address", "software", "note"):
            self.assertIn(heading, terminal.lines()[1])
        self.quit(terminal)

    def test_a_resize_lays_it_out_again(self):
        terminal = self.running()
        terminal.keys("p")  # nothing else draws
        terminal.wait_for(lambda text: "paused" in text)
        terminal.resize(200, 50)
        terminal.wait_for(lambda text: "software" in text)
        terminal.resize(50, 10)
        terminal.wait_for(lambda text: "software" not in text and "StDev" not in text and "Loss%" in text
                          and terminal.lines()[9].startswith("q quit"))
        terminal.keys("p")
        terminal.wait_for(lambda text: "paused" not in text)
        self.check_fits(terminal, 50)
        self.quit(terminal)

    def test_keys(self):
        terminal = self.running()
        terminal.keys("p")
        terminal.wait_for(lambda text: "paused" in text)
        paused = self.rounds(terminal.text())
        terminal.keys(" ")
        terminal.wait_for(lambda text: "paused" not in text and self.rounds(text) > paused + 5)
        terminal.keys("p")
        terminal.wait_for(lambda text: "paused" in text)
        before = terminal.lines()[2]
        terminal.keys("r")
        terminal.wait_for(lambda text: terminal.lines()[2] != before)
        self.assertRegex(terminal.lines()[2], r" (0|1|2) +(-|\d)")
        self.quit(terminal)

    def test_being_asked_how_far_it_is(self):
        """SIGUSR1: it goes on, and no line is written into the table."""
        terminal = self.running()
        before = self.rounds(terminal.text())
        terminal.process.send_signal(signal.SIGUSR1)
        terminal.wait_for(lambda text: self.rounds(text) > before + 3)
        self.assertNotIn(b"chain: ", terminal.output())
        self.quit(terminal)

    def test_colours_and_none(self):
        hops = self.world.hops(2)
        chain = self.named(hops)
        hops[1].end()
        for env, argv, has_color in (({}, (), True), ({"NO_COLOR": "1"}, (), False), ({}, ("--color", "never"), False),
                                     ({"NO_COLOR": "1"}, ("--color", "always"), True)):
            terminal = self.live(chain, *argv, env=env)
            terminal.wait_for(lambda text: "100.0%" in text and "!  hop 1" in text)
            cells = terminal.cells(3)
            at = "".join(cell.data for cell in cells).index("100.0%")
            self.assertEqual(cells[at].fg, "red" if has_color else "default")
            self.assertEqual(any(cell.bold for cell in terminal.cells(1)), has_color)
            self.quit(terminal)

    def test_letters_of_other_locales_are_ascii(self):
        terminal = self.running(env={"LANG": "C", "LC_ALL": "C"})
        self.assertTrue(terminal.text().isascii())
        self.quit(terminal)

    def test_an_interrupt_restores_the_terminal(self):
        self.quit(self.running(), "\x03")

    def test_being_ended_restores_the_terminal(self):
        terminal = self.running()
        terminal.process.send_signal(signal.SIGTERM)
        self.quit(terminal, "", 143)

    def test_a_shell_stops_it_and_lets_it_go_on(self):
        chain = self.three()
        command = '"$0" trace --chain "$1" -i 50ms; read -r line; echo "got $line"; fg >/dev/null'
        terminal = self.world.add(Terminal(["bash", "-mc", command, program("chain"), chain]))
        terminal.wait_for(lambda text: self.rounds(text) >= 3)
        terminal.keys("\x1a")
        until(lambda: LEAVE in terminal.output(), what="the stop")
        terminal.keys("word\n")
        terminal.wait_for(lambda text: "got word" in text or terminal.output().count(ENTER) == 2)
        until(lambda: terminal.output().count(ENTER) == 2, what="the screen again")
        rounds = self.rounds(terminal.text())
        terminal.wait_for(lambda text: self.rounds(text) > rounds)
        self.quit(terminal)

    def test_a_stop_that_nobody_could_end(self):
        """Without a shell in its session, as ssh -t HOST chain trace: it would stand there for ever."""
        terminal = self.running()
        terminal.keys("\x1a")
        until(lambda: terminal.output().count(ENTER) == 2, what="the screen again")
        rounds = self.rounds(terminal.text())
        terminal.wait_for(lambda text: self.rounds(text) > rounds)
        self.quit(terminal)

    def test_a_stopped_terminal_does_not_stop_the_measurement(self):
        terminal = self.running()
        terminal.keys("\x13")
        before = self.rounds(terminal.text())
        time.sleep(1.5)  # 30 rounds
        terminal.keys("\x11")
        self.assertGreater(self.rounds(self.quit(terminal)), before + 15)

    def test_nobody_else_sees_o_nonblock(self):
        terminal = self.running()
        self.assertEqual(fcntl.fcntl(terminal.slave, fcntl.F_GETFL) & os.O_NONBLOCK, 0)
        self.quit(terminal)

    def test_a_number_of_rounds_ends_it(self):
        terminal = self.live(self.three(), "-c", "2")
        self.assertEqual(terminal.wait(), 0)
        self.assertTrue(terminal.is_restored())

    def test_redraws_are_few(self):
        terminal = self.running("-i", "10ms")
        frames = terminal.output().count(b"\x1b[H")
        until(lambda: terminal.output().count(b"\x1b[H") >= frames + 10, what="ten more frames")
        self.assertGreater(self.rounds(terminal.text()), 3 * terminal.output().count(b"\x1b[H"))
        terminal.keys("q")
        terminal.wait()



class Status(Case):
    """SIGUSR1: one line on standard error, and it goes on."""

    def asked(self, *argv, when, every):
        """Standard output of a run that is asked twice, after @when; @every: each answer."""
        process = subprocess.Popen([program("chain"), *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        patience = threading.Timer(60, process.kill)
        patience.start()
        self.addCleanup(patience.cancel)
        when(process)
        process.send_signal(signal.SIGUSR1)
        line = process.stderr.readline()
        process.send_signal(signal.SIGUSR1)
        self.assertRegex(process.stderr.readline(), every)
        self.assertRegex(line, every)
        process.send_signal(signal.SIGINT)
        text, errors = process.communicate(timeout=20)
        self.assertEqual(errors, "")
        return text

    def test_trace(self):
        for form in ("--report", "--json"):
            hops = self.world.hops(2, "--verbose")
            text = self.asked("trace", form, "-c", "100000", "-i", "10ms", "--chain",
                              self.world.chain(hops, "127.0.0.1:1"),
                              when=lambda process, log=hops[0].log: until(lambda: log().count("\n") > 20, what="some rounds"),
                              every=r"^chain: round [1-9]\d* of 100000, 2 rows of 3 answer\n$")
            self.assertIn("127.0.0.1", text)

    def test_ping(self):
        self.asked("ping", "-i", "10ms", "--chain", self.three(), when=lambda process: process.stdout.readline(),
                   every=r"^chain: ([1-9]\d*) sent, \1 received, 0\.0% loss, avg \d+\.\d ms\n$")

    def test_ping_without_an_answer(self):
        hops = self.world.hops(1)
        chain = self.world.chain(hops)
        hops[0].end()
        self.asked("ping", "-i", "10ms", "--chain", chain, when=lambda process: process.stdout.readline(),
                   every=r"^chain: [1-9]\d* sent, 0 received, 100\.0% loss\n$")

    def test_speed(self):
        for flag, name in (("--up", "up"), ("-R", "down")):
            self.asked("speed", flag, "-t", "1h", "--chain", self.three(),
                       when=lambda process: [process.stdout.readline() for _ in range(3)],
                       every=r"^chain: %s \d+\.\d s, [\d.]+ [KMG]iB, [\d.]+ [KMG]iB/s\n$" % name)


class Ping(Case):
    def test_answers_and_a_summary(self):
        text = self.tool("ping", "--chain", self.three(), "-c", "3", "-i", "20ms")
        lines = re.findall(r"(?m)^hop 3 \(127\.0\.0\.1:\d+\): seq=(\d) time=[\d.]+ ms software=hopchain ", text)
        self.assertEqual(lines, ["1", "2", "3"])
        self.assertRegex(text, r"(?m)^3 sent, 3 received, 0\.0% loss, time \d+ ms$")
        self.assertRegex(text, r"(?m)^rtt min/avg/max/mdev = [\d.]+/[\d.]+/[\d.]+/[\d.]+ ms$")

    def test_quiet_over_udp(self):
        text = self.tool("ping", "--chain", self.three(), "-c", "2", "-i", "20ms", "-q", "-u")
        self.assertNotIn("seq=", text)
        self.assertIn("2 sent, 2 received", text)

    def test_failures_are_lines_and_the_exit_code(self):
        hops = self.world.hops(3)
        chain = self.world.chain(hops)
        hops[2].end()
        text = self.tool("ping", "--chain", chain, "-c", "2", "-i", "20ms", code=6)
        self.assertRegex(text, r"(?m)^seq=2 hop 2 .*refused")
        self.assertIn("2 sent, 0 received, 100.0% loss", text)

    def test_an_interrupt_ends_with_the_summary(self):
        process = subprocess.Popen([program("chain"), "ping", "-i", "10ms", "--chain", self.three()],
                                   stdout=subprocess.PIPE, text=True)
        self.assertIn("seq=1 ", process.stdout.readline())
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 0)
        self.assertRegex(text, r"(?m)^(\d+) sent, \1 received")


class Speed(Case):
    def test_both_directions(self):
        text = self.tool("speed", "--chain", self.three(), "-t", "1500ms", "--json")
        document = json.loads(text)
        self.assertIsNone(document["error"])
        self.assertEqual([part["direction"] for part in document["sums"]], ["up", "down"])
        for part in document["sums"]:
            parts = [span for span in document["intervals"] if span["direction"] == part["direction"]]
            self.assertEqual(parts[0]["start_s"], 0)
            self.assertEqual(sum(span["bytes"] for span in parts), part["bytes"])
            self.assertGreater(part["bytes"], 10 << 20)
            self.assertGreater(part["end_s"], 1.4)
            self.assertAlmostEqual(part["bits_per_second"], part["bytes"] * 8 / part["end_s"], delta=1e6)
        self.assertEqual(document["sums"][0]["counted_bytes"], document["sums"][0]["bytes"])

    def test_lines_and_several_streams(self):
        text = self.tool("speed", "--chain", self.three(), "-t", "1s", "-P", "3", "--up")
        self.assertIn("3 streams, sealed", text)
        self.assertRegex(text, r"(?m)^up +0\.0 - +1\.\d ")
        self.assertNotIn("down", text)
        self.assertRegex(text, r"hop 3 counted every one of \d+ bytes")
        text = self.tool("speed", "--chain", self.three(), "-t", "1s", "-R")
        self.assertRegex(text, r"(?m)^down .* in all$")
        self.assertNotIn("up ", text)

    def test_a_hop_that_does_not_measure(self):
        hops = self.world.hops(1) + [self.world.hop(self.world.key(), "--no-measure")]
        text = self.tool("speed", "--chain", self.world.chain(hops), "-t", "1s", code=8)
        self.assertIn("denied-cmd", self.errors)
        self.assertIn("--no-measure", self.errors)
        self.assertNotIn("up ", text)

    def test_a_hop_that_dies_meanwhile(self):
        hops = self.world.hops(2)
        process = subprocess.Popen([program("chain"), "speed", "-t", "1h", "--chain", self.world.chain(hops)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while "1.0 -" not in process.stdout.readline():
            pass
        hops[1].end()
        _, errors = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 9, errors)
        self.assertTrue(errors.startswith("chain: "))

    def test_a_hop_that_freezes_meanwhile(self):
        """30 s of silence are the limit: both at once."""
        hops = self.world.hops(2)
        chain = self.world.chain(hops)
        way = r"^chain: hop 2 \(127\.0\.0\.1:%d\): lost: " % hops[1].port()
        runs = []
        for flags, told in ((("-R", "-t", "1h"), ""), (("--up", "-t", "4s"), ": its count of the bytes is missing")):
            process = subprocess.Popen([program("chain"), "speed", "--chain", chain, *flags], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
            while " 0.0 -" not in process.stdout.readline():
                pass
            self.addCleanup(process.kill)
            runs.append((process, r"nothing came from it for [34]\d s%s\n$" % told))
        os.kill(hops[1].process.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, hops[1].process.pid, signal.SIGCONT)
        for line in process.stdout:
            if re.search(r"- +4\.", line):
                break
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(process.stderr.readline(),
                         "chain: up: all is sent, waiting for the count of the last hop\n")
        for process, told in runs:
            _, errors = process.communicate(timeout=45)
            self.assertRegex(errors, way + told)
            self.assertEqual(process.returncode, 9)

    def test_an_interrupt_ends_with_the_sum(self):
        process = subprocess.Popen([program("chain"), "speed", "-t", "1h", "--chain", self.three()],
                                   stdout=subprocess.PIPE, text=True)
        while "0.0 -" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertRegex(text, r"hop 3 counted every one of \d+ bytes")
        self.assertNotIn("down", text)


if __name__ == "__main__":
    unittest.main()
