"""Who may include whom (docs/architecture.md), own header first, include guards, no include cycles."""
import re

FOLDERS = ("common", "chain", "hop", "access", "config")

# A file may include what begins with one of these. "x/" is a whole folder, "x/y" a name or its beginning.
OURS = {
    "common": ("common/",),
    "chain": ("chain/", "common/"),
    "hop": ("hop/", "common/", "chain/wire_"),
    "access": ("access/", "chain/", "common/"),
    "config": ("config/", "common/", "chain/spec.h", "chain/wire_key.h", "hop/options.h", "access/options.h", "access/logins.h",
               "access/cidr_set.h", "access/domain_set.h", "access/route.h"),
}
# The programs of the servers and the library also fill options from flags and files.
PROGRAMS = re.compile(r"(hop/main\.c|access/main\.c|access/(cli_explain|explain_format)\.[ch]|chain/lib_\w+\.[ch])$")
# The tool knows chains by the public header only: what it can do, every user of the library can. How texts are written
# is nothing of chains.
TOOL = re.compile(r"chain/cli(_\w+)?\.[ch]$")
OF_TOOL = ("chain/hopchain.h", "chain/cli", "config/", "common/json_text.h", "common/utf8.h")

# A library belongs to the files that wrap it: header, pattern of the files.
LIBRARIES = (
    (r"uv\.h|uv/", r"common/|chain/cli"),
    (r"cjson/|cJSON\.h", r"config/json\.c$"),
    (r"sodium\.h|sodium/", r"common/seal[\w]*\.c$"),
    (r"openssl/", r"common/record[\w]*\.c$"),
    (r"llhttp", r"access/http_head\.c$|common/admin_request\.c$|chain/foreign_http\.c$"),
    (r"ares\.h|ares_", r"common/resolve[\w]*\.[ch]$"),
    (r"sys/epoll\.h", r"common/|chain/cli_pump\.c$"),  # the pump: what libuv would set O_NONBLOCK on
)
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')


def includes_of(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def check_ours(name, number, included):
    folder = name.split("/")[0]
    allowed = OF_TOOL if TOOL.search(name) else OURS[folder] + (("config/",) if PROGRAMS.search(name) else ())
    if not included.startswith(allowed):
        yield f"{name}:{number}: {folder}/ must not include {included}"


def check_library(name, number, included):
    for header, wrappers in LIBRARIES:
        if re.match(header, included) and not re.match(wrappers, name):
            yield f"{name}:{number}: <{included}> belongs to the files that match {wrappers}"


def check_own_header_first(path, name):
    own = name[:-2] + ".h"
    if not path.with_suffix(".h").exists():
        return
    first = next(includes_of(path), None)
    if first is None or first[1] != own:
        yield f"{name}:{first[0] if first else 1}: the first include must be its own header, \"{own}\""


def check_guard(path, name):
    guard = "HOPCHAIN_H" if name == "chain/hopchain.h" else re.sub(r"\W", "_", name).upper()  # installed: no folder
    lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    if lines[:2] != [f"#ifndef {guard}", f"#define {guard}"] or lines[-1] != "#endif":
        yield f"{name}:1: the include guard must be {guard}, in the first two lines and the last"


def check_cycles(graph):
    done, path = set(), []

    def walk(name):
        if name in path:
            yield "include cycle: " + " → ".join(path[path.index(name):] + [name])
            return
        if name in done:
            return
        path.append(name)
        for included in sorted(graph.get(name, ())):
            yield from walk(included)
        path.pop()
        done.add(name)

    for name in sorted(graph):
        yield from walk(name)


def check(root):
    complaints, graph = [], {}
    for folder in FOLDERS:
        for path in sorted((root / folder).glob("*.[ch]")):
            name = path.relative_to(root).as_posix()
            graph[name] = set()
            for number, ours, system in includes_of(path):
                if ours:
                    complaints += check_ours(name, number, ours)
                    graph[name].add(ours)
                    if not (root / ours).exists():
                        complaints.append(f"{name}:{number}: there is no {ours}")
                else:
                    complaints += check_library(name, number, system)
            complaints += check_guard(path, name) if path.suffix == ".h" else check_own_header_first(path, name)
    return complaints + list(check_cycles(graph))
