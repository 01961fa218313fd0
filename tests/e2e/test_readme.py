#!/usr/bin/env python3
"""The README works as printed: its marked blocks are run, its configuration files are checked, its links exist.

A block is marked by a line '<!-- test: NAME -->' before it. $HOPCHAIN_BUILD is the folder with access, hop, chain.
"""
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()
BUILD = pathlib.Path(os.environ.get("HOPCHAIN_BUILD", ROOT / "build/bin")).resolve()
PORTS = ("7001", "7002", "7003", "8080", "9000", "9053", "5353", "1080", "1081")
SHELL_SECONDS = 60


def block(name):
    match = re.search(rf"<!-- test: {re.escape(name)} -->\n```\w*\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    if not match:
        raise AssertionError(f"README.md has no block marked '{name}'")
    return match.group(1)


def free_ports(n):
    """Ports nobody uses now; held together, so that they differ."""
    sockets = [socket.socket() for _ in range(n)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [str(s.getsockname()[1]) for s in sockets]
    finally:
        for s in sockets:
            s.close()


def with_free_ports(*scripts):
    """The same scripts on ports that are free here; nothing else is changed."""
    ports = dict(zip(PORTS, free_ports(len(PORTS))))
    pattern = re.compile(r"(?<![\w.])(127\.0\.0\.1:)?(" + "|".join(PORTS) + r")\b")
    return [pattern.sub(lambda m: (m.group(1) or "") + ports[m.group(2)], script) for script in scripts]


def run_shell(script, folder):
    """Runs script with bash -i's job control (kill %2); ends everything it started. Return: its output."""
    process = subprocess.Popen(["bash", "-c", script], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=SHELL_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise AssertionError(f"no end after {SHELL_SECONDS} s:\n{output}") from None
    return process.returncode, output


class Commands(unittest.TestCase):
    def test_chain_on_one_machine_works_as_printed_and_names_the_hop_that_fails(self):
        names = ("one-machine", "proxy", "rules", "udp", "connect", "trace", "failure")
        one_machine, proxy, rules, udp, connect, trace, failure = with_free_ports(*(block(name) for name in names))
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(f"{folder}/build")
            os.symlink(BUILD, f"{folder}/build/bin")
            script = "\n".join([
                "set -e",
                "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT",
                one_machine,
                "echo '--- proxy ---'",
                proxy,
                "echo '--- rules ---'",
                rules,
                "echo '--- udp ---'",
                udp,
                "echo '--- connect ---'",
                connect,
                "echo '--- trace ---'",
                trace,
                "echo '--- failure ---'",
                failure,
                "test -s hop1.log",
            ])
            status, output = run_shell(script, folder)
            logs = "".join(f"{log.name}:\n{log.read_text()}" for log in pathlib.Path(folder).glob("try/*.log"))
        worked, _, output = output.partition("--- proxy ---")
        proxied, _, output = output.partition("--- rules ---")
        ruled, _, output = output.partition("--- udp ---")
        datagrams, _, output = output.partition("--- connect ---")
        connected, _, output = output.partition("--- trace ---")
        traced, _, failed = output.partition("--- failure ---")
        self.assertEqual(status, 0, output + logs)
        self.assertIn("through three hops", worked, logs)
        self.assertEqual(proxied.count("through three hops"), 2, logs)
        self.assertRegex(ruled, r"(?m)^access.json: ok", logs)
        self.assertRegex(ruled, r"(?m)block", logs)
        self.assertEqual(ruled.count("through three hops"), 2, logs)
        self.assertRegex(ruled, r"reloaded|nothing", logs)
        self.assertRegex(datagrams, r"(?m)^192\.0\.2\.7$", logs)
        self.assertRegex(datagrams, r"chain_mtu.*1408", logs)
        self.assertRegex(connected, r"(?s)200 OK.*through three hops", logs)
        self.assertRegex(traced, r"(?m)^ 3  127\.0\.0\.1:\d+ +0\.0%", logs)
        self.assertRegex(traced, r"(?m)^ \S+ +127\.0\.0\.1:\d+ +0\.0%.*-$", logs)
        self.assertRegex(traced, r"(?m)^3 sent, 3 received, 0\.0% loss", logs)
        self.assertRegex(traced, r"(?m)^down .* in all$", logs)
        self.assertNotIn("through three hops", failed, logs)
        self.assertRegex(failed, r"hop 2\b.*refused", logs)


class Files(unittest.TestCase):
    def check_file(self, program, name):
        with tempfile.TemporaryDirectory() as folder:
            for key in ("hop1.key", "hop2.key"):
                subprocess.run([BUILD / "chain", "keygen", "-o", key], cwd=folder, check=True, capture_output=True,
                               timeout=10)
            pathlib.Path(folder, "chain.json").write_text(block("config chain"))
            pathlib.Path(folder, f"{name}.json").write_text(block(f"config {name}"))
            done = subprocess.run([BUILD / program, "check", f"{name}.json"], cwd=folder, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=10)
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_hop_file_is_valid(self):
        self.check_file("hop", "hop")

    def test_access_file_is_valid(self):
        self.check_file("access", "access")

    def test_chain_file_is_valid(self):
        self.check_file("chain", "chain")


class Text(unittest.TestCase):
    def test_first_block_is_the_two_commands(self):
        first = re.search(r"^```\w*\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
        commands = [line.split("#")[0].strip() for line in first.group(1).splitlines()]
        self.assertEqual(commands, ["./dev demo", "./dev test"])
        self.assertLess(README[:first.end()].count("\n"), 24, "the first screen")

    def test_links_lead_somewhere(self):
        for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]:
            for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
                self.assertTrue((page.parent / link).exists(), f"{page.name}: {link}")

    def test_architecture_names_every_module(self):
        text = (ROOT / "docs/architecture.md").read_text()
        for folder in ("common", "chain", "hop", "access", "config"):
            part = text[text.index(f"**{folder}/**"):]
            for path in sorted((ROOT / folder).glob("*.c")):
                self.assertRegex(part, rf"(?m)^\| ([\w, ]+, )?{path.stem}(,[\w, ]+)? \|", path)

    def test_sections_that_code_cites_exist(self):
        protocol = (ROOT / "docs/protocol.md").read_text()
        sections = set(re.findall(r"^## (2\.\d+)", protocol, re.MULTILINE))
        for folder in ("common", "chain", "hop", "access", "config"):
            for path in sorted((ROOT / folder).glob("*.[ch]")):
                for section in re.findall(r"protocol\.md,? (?:section |§ ?)?(2\.\d+)", path.read_text()):
                    self.assertIn(section, sections, path)

    def test_decisions_that_code_cites_exist(self):
        numbers = {path.name[:4] for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}
        for folder in ("common", "chain", "hop", "access", "config", "docs", "packaging"):
            for path in sorted(p for p in (ROOT / folder).rglob("*") if p.suffix in (".c", ".h", ".md", ".py")):
                for number in re.findall(r"decisions/(\d{4})", path.read_text()):
                    self.assertIn(number, numbers, path)


if __name__ == "__main__":
    unittest.main()
