"""Help, manual pages, completions and schemas say the same, and the examples of the pages are true."""
import json
import os
import pathlib
import pty
import re
import select
import shlex
import subprocess
import time
import unittest

import manual
from harness import Origin, World, program
from manual import PROGRAMS, all_commands, ask_bash, ask_fish, commands, options, output, run

ALL_PAGES = ("access.1", "chain.1", "hop.1", "access.json.5", "chain-file.5", "hop.json.5", "hopchain-status.7")
# scdoc begins each indented text with .PP; mandoc calls that needless. Nothing else is let pass.
NEEDLESS = re.compile(r"skipping paragraph macro: PP (after SH|after SS|empty)$")
FILE_PAGES = {"chain-file.5": "chain", "access.json.5": "access", "hop.json.5": "hop"}


class Help(unittest.TestCase):
    def test_fits_a_screen(self):
        for name, command in [(name, None) for name in PROGRAMS] + all_commands():
            lines = manual.help_text(name, command).splitlines()
            self.assertLessEqual(len(lines), 24, (name, command))
            self.assertLessEqual(max(map(len, lines)), 80, (name, command))
            self.assertTrue(lines[0].startswith(f"Usage: {name}"), lines[0])

    def test_is_the_same_everywhere(self):
        for name, command in all_commands():
            if (name, command) == ("hop", "run") or (name, command) == ("access", "run"):
                self.assertLess(set(options(name, command)), set(options(name, None)) | {"version"})
            self.assertEqual(manual.help_text(name, command), output(program(name), "help", command))
        for name in PROGRAMS:
            self.assertEqual(manual.help_text(name), output(program(name), "help"))

    def test_commands_that_every_program_has(self):
        for name in PROGRAMS:
            self.assertEqual(commands(name)[-4:], manual.EVERYWHERE)
            found = json.loads(output(program(name), "version", "--json"))
            self.assertEqual(found["name"], name)
            self.assertEqual(set(found["libraries"]), {"libuv", "openssl", "libsodium", "c-ares", "cjson"})
            self.assertIsInstance(found["cpu_aes"], bool)
            self.assertEqual(output(program(name), "version"), f"{name} {found['version']}\n")
            self.assertEqual(output(program(name), "schema"),
                             (manual.ROOT / "config" / f"{name}.schema.json").read_text())


class Pages(unittest.TestCase):
    maxDiff = None

    def test_options_are_those_of_the_help(self):
        for name, command in all_commands():
            with self.subTest(f"{name} {command}"):
                self.assertEqual(manual.options_of_page(name, command), options(name, command))

    def test_synopsis_has_every_command(self):
        for name, command in all_commands():
            self.assertRegex(manual.sections(f"{name}.1")["SYNOPSIS"], rf"\*{command}\*")

    def test_sections_of_chain_are_commands(self):
        known = {"NAME", "SYNOPSIS", "DESCRIPTION", "THE CHAIN", "OTHER COMMANDS", "NO ANSWER", "EXIT STATUS", "SIGNALS",
                 "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"}
        self.assertLessEqual(set(manual.sections("chain.1")) - known, {c.upper() for c in commands("chain")})

    def test_exit_codes(self):
        codes = manual.exit_codes()
        self.assertEqual(manual.exit_codes_of_page("chain"), set(codes.values()) - {codes["LISTEN"]})
        servers = {codes[name] for name in ("OK", "FAILED", "USAGE", "CONFIG", "LISTEN")}
        for name in ("access", "hop"):
            self.assertEqual(manual.exit_codes_of_page(name), servers)

    def test_environment(self):
        told = "".join(manual.sections(f"{name}.1")["ENVIRONMENT"] for name in PROGRAMS)
        used = set()
        for folder in ("access", "chain", "common", "config", "hop"):
            for path in (manual.ROOT / folder).glob("*.c"):
                used |= set(re.findall(r'getenv\("(\w+)"\)', path.read_text()))
        self.assertGreaterEqual(len(used), 8)
        self.assertEqual(set(re.findall(r"\*([A-Z_]+)\*", told)), used)

    def test_members_are_those_of_the_schemas(self):
        for page, name in FILE_PAGES.items():
            schema, told = manual.Schema(name).members, manual.members_of_page(page)
            del schema[""]
            with self.subTest(page):
                self.assertEqual(set(told), set(schema))
            for path, node in schema.items():
                with self.subTest(page, path=path):
                    self.check_member(node, told.get(path, ""))

    def check_member(self, node, told):
        default = re.search(r"default (.+)$", told)
        wanted = manual.default_text(node["default"]) if "default" in node else None
        self.assertEqual(default and default[1], wanted)
        self.assertEqual(re.findall(r"one of ([^;]+)", told), [", ".join(node["enum"])] if "enum" in node else [])
        self.assertEqual("must be there" in told, node["is_required"])
        if node.get("type") in ("array", "object"):
            self.assertTrue(told.startswith(node["type"]), told)
        if node.get("type") == "boolean":
            self.assertTrue(told.startswith("true or false"), told)

    def test_every_status_has_its_entry(self):
        table = json.loads(output(program("chain"), "explain", "--json"))
        slugs = [row["slug"] for row in table]
        self.assertGreater(len(slugs), 20)
        self.assertEqual(re.findall(r"^## (\S+)$", manual.sections("hopchain-status.7")["STATUSES"], re.MULTILINE), slugs)

    def test_mandoc_finds_nothing(self):
        for page in ALL_PAGES:
            text = output("scdoc", text=manual.source(page))
            done = run("mandoc", "-Tlint", "-Wwarning", text=text)
            rest = [line for line in done.stdout.splitlines() if not NEEDLESS.search(line)]
            self.assertEqual(rest, [], page)
            shown = re.sub(".\x08", "", output("mandoc", "-Tutf8", text=text))
            self.assertTrue(shown.split("\n\n")[1].startswith("NAME\n"), shown[:200])
            self.assertNotIn("**", shown)

    def test_references_lead_somewhere(self):
        ours = {page.rsplit(".", 1)[0] + f"({page[-1]})" for page in ALL_PAGES}
        foreign = {"mtr(8)", "dd(1)", "ssh(1)", "ssh_config(5)"}
        for page in ALL_PAGES:
            found = {name + number for name, number in re.findall(r"\*([\w.-]+)\*(\(\d\))", manual.source(page))}
            self.assertLessEqual(found, ours | foreign, page)


class Completions(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        for name in ("one.key", "two.json"):
            pathlib.Path(self.world.path(name)).touch()
        os.mkdir(self.world.path("keys"))

    def test_scripts_are_right(self):
        for name in PROGRAMS:
            for shell, check in (("bash", ["shellcheck", "-"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])):
                script = output(program(name), "completion", shell)
                path = pathlib.Path(self.world.path(f"{name}.{shell}"))
                path.write_text(script)
                output(*check[:-1], check[-1] if check[-1] == "-" else check[-1],
                       *([] if check[-1] == "-" else [str(path)]), text=script)

    def test_commands_are_offered(self):
        for name, offered in zip(PROGRAMS, ask_fish([f"{name} " for name in PROGRAMS])):
            self.assertEqual(ask_bash(name, ""), set(commands(name)))
            self.assertLessEqual(set(commands(name)), offered)
            zsh = output(program(name), "completion", "zsh").split("commands=(\n")[1].split("\t\t)\n")[0]
            self.assertEqual(re.findall(r"^\t\t\t'([\w-]+):", zsh, re.MULTILINE), list(commands(name)))

    def test_options_are_those_of_the_help(self):
        asked = all_commands() + [(name, None) for name in PROGRAMS]
        fish = ask_fish([f"{name} {command} --" if command else f"{name} --" for name, command in asked])
        for (name, command), offered in zip(asked, fish):
            wanted = {"help"} | set(options(name, command)) | (set() if command else {"version"})
            words = [name, command, "--"] if command else [name, "--"]
            with self.subTest(words):
                self.assertEqual({"--" + option for option in wanted}, ask_bash(*words))
                self.assertEqual({"--" + option for option in wanted}, {word.rstrip("=") for word in offered})
                if command or name != "chain":
                    self.assertEqual(wanted - {"version"}, manual.options_of_zsh(name, command))

    def test_arguments_are_offered_as_what_they_are(self):
        slugs = {row["slug"] for row in json.loads(output(program("chain"), "explain", "--json"))}
        cases = [
            (["chain", "tr"], {"trace"}),
            (["hop", "--log-format", ""], {"auto", "text", "json", "journal"}),
            (["hop", "--log-format", "=", "j"], {"json", "journal"}),
            (["hop", "run", "--workers", ""], {"auto"}),
            (["chain", "trace", "--chain", "t"], {"two.json"}),
            (["chain", "check", "t"], {"two.json"}),
            (["hop", "--users-dir", "k"], {"keys"}),
            (["hop", "-u", "me,o"], {"me,one.key"}),
            (["chain", "trace", "--hop", "h", ":", "7000,o"], {"7000,one.key"}),
            (["chain", "help", "conn"], {"connect"}),
            (["chain", "completion", ""], {"bash", "zsh", "fish"}),
            (["chain", "explain", ""], slugs),
            (["chain", "keygen", "--output", "o"], {"one.key"}),
        ]
        for words, wanted in cases:
            with self.subTest(words):
                self.assertEqual(ask_bash(*words, folder=self.world.dir), wanted)
        lines = [re.sub(" ([:=]) ", r"\1", " ".join(words)) for words, _ in cases]
        for line, (_, wanted), offered in zip(lines, cases, ask_fish(lines, folder=self.world.dir)):
            prefix = re.match(r"\S*[:=]", line.split(" ")[-1])
            with self.subTest(fish=line):
                self.assertEqual({(prefix.group() if prefix else "") + word for word in wanted},
                                 {word.rstrip("/") for word in offered})

    def test_zsh_completes(self):
        script = self.world.path("all.zsh")
        pathlib.Path(script).write_text("".join(output(program(name), "completion", "zsh") + "\n" for name in PROGRAMS))
        main, side = pty.openpty()
        process = subprocess.Popen(["zsh", "-f", "-i"], stdin=side, stdout=side, stderr=side, cwd=self.world.dir,
                                   env=dict(manual.ENV, TERM="dumb", PS1="% "), start_new_session=True)
        os.close(side)
        try:
            os.write(main, b"unsetopt zle_bracketed_paste; autoload -U compinit && compinit -u -D && source %s; "
                           b"echo rea''dy\n" % script.encode())
            self.wait_for(main, "\nready")
            for typed, wanted in (("chain tr\t", "chain trace"), ("chain trace --chai\t two\t", "--chain two.json"),
                                  ("chain explain no-a\t", "no-answer"), ("hop --log-format jo\t", "journal"),
                                  ("hop --users\t ke\t", "--users-dir keys")):
                os.write(main, typed.encode())
                self.wait_for(main, wanted)
                os.write(main, b"\x15")
        finally:
            process.kill()
            process.wait()
            os.close(main)

    def wait_for(self, terminal, wanted, seconds=10):
        seen, end = "", time.monotonic() + seconds
        while wanted not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\x07|.\x08", "", seen):
            ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
            self.assertTrue(ready, f"no {wanted!r} in {seen!r}")
            seen += os.read(terminal, 4096).decode("utf-8", "replace")


class Examples(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)

    def write(self, name, text):
        path = pathlib.Path(self.world.path(name))
        path.write_text(text)
        path.chmod(0o600)

    def make_keys(self):
        output(program("chain"), "keygen", "-o", "me.key", folder=self.world.dir)
        output(program("chain"), "keygen", "-o", "ann.key", "--mask-of", "me.key", folder=self.world.dir)
        for name in ("hop1.key", "hop2.key", "fra.key", "org.key", "exit.key"):
            output(program("chain"), "keygen", "-o", name, folder=self.world.dir)
        self.write("proxy.password", "correct horse\n")

    def test_files_are_right(self):
        self.make_keys()
        self.write("chain.json", manual.blocks("chain-file.5")[0].replace('"hops"', '"target": "10.0.0.5:22", "hops"'))
        n = 0
        for page, name in FILE_PAGES.items():
            for i, text in enumerate(manual.blocks(page)):
                self.write(f"{name}-{i}.json", text)
                self.assertIn(": ok: ", output(program(name), "check", f"{name}-{i}.json", folder=self.world.dir))
                n += 1
        self.assertEqual(n, 9)

    def test_commands_run_as_printed(self):
        self.make_keys()
        hops = self.world.hops(3)
        self.world.origin(lambda connection: connection.close())
        self.world.chain(hops)
        self.write("hop.json", manual.blocks("hop.json.5")[0])
        self.write("access.json", manual.blocks("access.json.5")[0])
        origin = self.world.add(Origin(lambda connection: connection.close()))
        n = 0
        for page in ALL_PAGES[:3]:
            for prompt, line, below in manual.shown_commands(page):
                if prompt:
                    continue
                line = line.replace("127.0.0.1:9000", f"127.0.0.1:{origin.port}")
                with self.subTest(page, line=line):
                    done = run("bash", "-c", line, folder=self.world.dir)
                    self.assertEqual(done.returncode, 0, done)
                    self.assertEqual(done.stdout, below or done.stdout)
                    self.assertNotEqual(line, "")
                n += 1
        self.assertGreaterEqual(n, 12)

    def test_keys_of_json_are_told(self):
        chain = self.world.chain(self.world.hops(2))
        self.write("wrong.json", '{ "hops": [ { "addr": "127.0.0.1", "key_file": "none" } ] }')
        documents = {
            "TRACE": ["trace", "-c", "1", "--json", "--chain", chain],
            "SPEED": ["speed", "-t", "200ms", "--json", "--chain", chain],
            "DOCTOR": ["doctor", "--json", "--chain", chain],
            "CHECK": ["check", "--json", self.world.path("wrong.json")],
        }
        for section, command in documents.items():
            told = set(re.findall(r"[\w%]+", manual.plain(manual.sections("chain.1")[section])))
            found = self.keys(json.loads(run(program("chain"), *command).stdout))
            with self.subTest(section):
                self.assertGreater(len(found), 5)
                self.assertLessEqual(found, told)

    def test_a_full_output_is_a_failure(self):
        for name, *words in (("chain", "explain"), ("chain", "version"), ("chain", "help"), ("chain", "completion", "zsh"),
                             ("chain", "schema"), ("hop", "--help"), ("access", "schema")):
            with self.subTest(program=name, words=words), open("/dev/full", "w") as full:
                done = subprocess.run([program(name), *words], stdout=full, stderr=subprocess.PIPE, text=True)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr, r"^%s: cannot write to stdout: .+\n$" % name)

    def test_servers_check_with_json(self):
        for name in ("access", "hop"):
            self.write("wrong.json", '{ "lisen": [] }')
            done = run(program(name), "check", "--json", self.world.path("wrong.json"))
            self.assertEqual((done.returncode, done.stderr), (3, ""))
            first = next(error for error in json.loads(done.stdout) if "lisen" in error["message"])
            self.assertEqual((first["line"], first["column"], first["pointer"]), (1, 3, "/lisen"))
            self.assertLessEqual(set(first), set(manual.plain(manual.sections(f"{name}.1")["COMMANDS"]).replace(
                ",", " ").replace(".", " ").split()))
        self.make_keys()
        self.write("hop.json", manual.blocks("hop.json.5")[0])
        self.assertEqual(json.loads(output(program("hop"), "check", "--json", self.world.path("hop.json"))), [])

    def keys(self, node):
        """Names of members at any depth; of what mtr has, mtr's manual tells."""
        if isinstance(node, list):
            return set().union(*map(self.keys, node))
        if not isinstance(node, dict):
            return set()
        return set(node).union(*(self.keys(value) for name, value in node.items() if name != "mtr"))

    def test_commands_of_other_machines_have_options_that_exist(self):
        n = 0
        for page in ALL_PAGES[:3]:
            for prompt, line, _ in manual.shown_commands(page):
                n += bool(prompt)
                for inner in re.findall(r"ProxyCommand='([^']*)'", line) or [line]:
                    self.check_options(inner)
        self.assertGreaterEqual(n, 10)

    def check_options(self, line):
        words = shlex.split(re.split(r"[<>|]", line)[0])
        self.assertIn(words[0], PROGRAMS, line)
        command = words[1] if len(words) > 1 and words[1] in commands(words[0]) else None
        known = options(words[0], command)
        letters = {letter for letter, _ in known.values() if letter}
        for word in words[1:]:
            if word.startswith("--"):
                self.assertIn(word[2:].split("=")[0], known, line)
            elif word.startswith("-") and word != "-":
                self.assertIn(word[1], letters, line)


if __name__ == "__main__":
    unittest.main()
