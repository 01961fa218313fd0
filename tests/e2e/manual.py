"""What the programs, their manual pages and their completions say of themselves, as sets that can be compared."""
import functools
import json
import os
import pathlib
import re
import subprocess

from harness import BUILD, program

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "man"
PROGRAMS = ("access", "chain", "hop")
EVERYWHERE = ("schema", "completion", "help", "version")  # commands that every program has
ENV = dict(os.environ, PATH=str(BUILD.resolve()) + ":" + os.environ["PATH"])


def run(*argv, folder=None, text=None):
    return subprocess.run(argv, cwd=folder, input=text or "", capture_output=True, text=True, timeout=60, env=ENV)


def output(*argv, **more):
    done = run(*argv, **more)
    assert (done.returncode, done.stderr) == (0, ""), (argv, done)
    return done.stdout


# ---- what --help says

@functools.cache
def help_text(name, command=None):
    return output(program(name), *([command] if command else []), "--help")


@functools.cache
def commands(name):
    text = help_text(name)
    one_line = re.search(r"^Commands: (.+)$", text, re.MULTILINE)
    if one_line:
        return tuple(one_line.group(1).split())
    return tuple(re.findall(r"^  (\S+) +\S", text.split("\nCommands:\n")[1], re.MULTILINE))


def all_commands():
    return [(name, command) for name in PROGRAMS for command in commands(name)]


def options_of_help(text):
    """{long name: (letter, argument)} of a --help text."""
    row = re.compile(r"^(?:[A-Z]\w* +| +)(?:-(\w), +)?--([\w-]+)(?: ([A-Z][\w:|,.]*|[a-z-]+\|\S+))?(?=  |\s[^-]|$)",
                     re.MULTILINE)
    return {long: (letter or "", argument or "") for letter, long, argument in row.findall(text)}


def options(name, command):
    return options_of_help(help_text(name, command))


# ---- what a manual page says

@functools.cache
def source(page):
    """The scdoc text of a page; that of hopchain-status(7) is made by the program."""
    if page == "hopchain-status.7":
        return output(program("chain"), "explain", "--scdoc")
    return (PAGES / f"{page}.scd").read_text()


def sections(page):
    parts = re.split(r"^# (.+)$", source(page), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def plain(text):
    """Without *bold* and _underlined_."""
    return re.sub(r"(?<![\w\\])_(.+?)_(?!\w)", r"\1", text.replace("*", "")).replace("\\", "")


def options_of_section(text):
    """{long name: (letter, argument)} of the entries of a section, as options_of_help()."""
    found = {}
    for line in re.findall(r"^\*-.+$", text, re.MULTILINE):
        match = re.fullmatch(r"(?:-(\w), )?--([\w-]+)(?: (\S+))?", plain(line))
        assert match, f"an entry of options is written otherwise: {line}"
        found[match[2]] = (match[1] or "", match[3] or "")
    return found


def options_of_page(name, command):
    page = sections(f"{name}.1")
    if name != "chain" and command == "run":
        found = options_of_section(page["OPTIONS"])
        assert {"help", "version"} <= set(found)
        return {long: rest for long, rest in found.items() if long not in ("help", "version")}
    if command.upper() in page:
        text = page[command.upper()]
        shared = page["THE CHAIN"] if "Takes the options of *THE CHAIN*" in text else ""
        return options_of_section(shared) | options_of_section(text)
    entry = re.search(rf"^\*{command}\*.*$", page["OTHER COMMANDS" if name == "chain" else "COMMANDS"], re.MULTILINE)
    assert entry, f"{name}(1) does not say what {command} is"
    return {long: ("", argument) for long, argument in re.findall(r"\*--([\w-]+)\*(?: _(\w+)_)?", entry.group())}


def exit_codes_of_page(name):
    return {int(code) for code in re.findall(r"^\|  (\d+)$", sections(f"{name}.1")["EXIT STATUS"], re.MULTILINE)}


def exit_codes():
    """{name: number} of enum cli_exit."""
    return {name: int(number)
            for name, number in re.findall(r"CLI_(\w+) = (\d+)", (ROOT / "config" / "cli.h").read_text())}


# ---- what a page says of a file, and what its schema says

def members_of_page(page):
    """{path: what stands in brackets}."""
    return dict(re.findall(r"^\*([\w$.\[\]]+)\* \((.+)\)$", sections(page)["MEMBERS"], re.MULTILINE))


class Schema:
    def __init__(self, name):
        self.root = json.loads((ROOT / "config" / f"{name}.schema.json").read_text())
        self.members = {}
        self.walk(self.root, "")

    def whole(self, node):
        while "$ref" in node:
            rest = {key: value for key, value in node.items() if key != "$ref"}
            node = {**self.root["definitions"][node["$ref"].rsplit("/", 1)[1]], **rest}
        return node

    def walk(self, node, path, required=False, is_choice=False):
        if path == "chains.NAME" and "hops" in self.whole(node).get("properties", {}):
            return  # the page refers to chain-file(5)
        if path == "hops[].any[]":
            return  # the page refers to the steps outside of groups
        node = self.whole(node)
        self.members.setdefault(path, {}).update(node, is_required=required)
        for key, value in node.get("properties", {}).items():
            if key != "$comment" or path == "":
                self.walk(value, f"{path}.{key}" if path else key,
                          not is_choice and key in node.get("required", ()))
        if isinstance(node.get("items"), dict):
            self.leaf_or_object(node["items"], path + "[]")
        if isinstance(node.get("additionalProperties"), dict):
            self.walk(node["additionalProperties"], path + ".NAME")
        parts = [part for part in node.get("oneOf", []) + node.get("allOf", []) if "$ref" in part or "properties" in part]
        kinds = [part for part in parts if "properties" in self.whole(part)]
        for part in parts:
            self.walk(part, path, is_choice=len(kinds) > 1)

    def leaf_or_object(self, node, path):
        """Elements that are objects have no entry of their own: their members do."""
        self.walk(node, path)
        whole = self.whole(node)
        kinds = [node] if "properties" in whole else whole.get("oneOf", [node])
        if all("properties" in self.whole(kind) for kind in kinds):
            self.members.pop(path, None)


def default_text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(value) if isinstance(value, list) else str(value)


# ---- what completions say

ASK_BASH = """
source <("$1" completion bash) || exit 1
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
"_hopchain_$1"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def ask_bash(*words, folder=None):
    """What bash offers for the last word. Bash cuts words at ':' and '='."""
    return set(output("bash", "-c", ASK_BASH, "bash", *words, folder=folder).split())


def ask_fish(lines, folder=None):
    """What fish offers for the ends of these lines: one set a line."""
    script = "".join(f"{name} completion fish | source\n" for name in PROGRAMS)
    for line in lines:
        script += "complete -C '%s'; echo ====\n" % line.replace("\\", "\\\\").replace("'", "\\'")
    parts = output("fish", "--no-config", "-c", script, folder=folder).split("====\n")[:-1]
    return [{row.split("\t")[0] for row in part.splitlines()} for part in parts]


def options_of_zsh(name, command):
    """The long options that the zsh function offers after a command; command None: without one."""
    text = output(program(name), "completion", "zsh")
    begin = f"\n\t({command})\n" if command else "\tif [[ $words[2] == -* ]]; then\n"
    body = text.split(begin, 1)[1].split("\t\t;;" if command else "\t\treturn\n", 1)[0]
    return set(re.findall(r"^\t\t\t(?:'\*'|'\([^']*\)')?(?:\{-\w\+?,)?--([\w-]+)", body, re.MULTILINE)) | (
        {"help"} if "{-h,--help}" in body else set())


# ---- examples

def blocks(page):
    return re.findall(r"^```\n(.*?)^```$", source(page), re.MULTILINE | re.DOTALL)


def shown_commands(page):
    """(prompt, command line, what is shown below it) of the examples: '$ ' runs here, 'host$ ' on other machines."""
    for block in blocks(page):
        if not re.match(r"(\w+)?\$ ", block):
            continue
        for prompt, line, below in re.findall(r"^(\w*)\$ (.+)\n((?:(?!\w*\$ ).+\n)*)", block, re.MULTILINE):
            yield prompt, line, below
