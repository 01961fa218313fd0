"""What clang-format does not see: length of functions, markers, rand(), tests that are not registered."""
import re

FUNCTION_LINES_MAX = 80
MARKERS = re.compile(r"\b(" + "|".join(["XX" + "X", "TO" + "DO", "FIX" + "ME"]) + r")\b|\bstub\b", re.IGNORECASE)
RANDOM = re.compile(r"(?<![\w.>])(s?rand|random|[dlm]rand48|rand_r)\s*\(")
STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.DOTALL)


def blank(match):
    """Keeps the line count of what it removes."""
    return "".join(c if c == "\n" else " " for c in match.group(0))


def check_length(name, lines):
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line.startswith("}") and start is not None:
            if line == "}" and number - start - 1 > FUNCTION_LINES_MAX:
                yield f"{name}:{start}: function of {number - start - 1} lines; at most {FUNCTION_LINES_MAX}"
            start = None


def check_markers(name, lines):
    for number, line in enumerate(lines, 1):
        if MARKERS.search(line):
            yield f"{name}:{number}: marker of unfinished work: {line.strip()}"


def check_random(name, code):
    for number, line in enumerate(code.splitlines(), 1):
        match = RANDOM.search(line)
        if match:
            yield f"{name}:{number}: {match.group(1)}() is not a source of secrets; use seal_random()"


def check(root, names):
    complaints = []
    for name in names:
        text = (root / name).read_text()
        lines = text.splitlines()
        complaints += check_length(name, lines)
        complaints += check_markers(name, lines)
        if not name.startswith(("tests/", "bench/")):
            complaints += check_random(name, STRING_OR_COMMENT.sub(blank, text))
    return complaints


def unregistered(root):
    """Every tests/**/test_*.c is named in tests/meson.build, every fuzz_*.c in tests/fuzz/meson.build; every
    registered one exists. (End-to-end tests in Python and tsan_*.c are found by their names.)"""
    complaints = []
    tests = root / "tests"
    meson = (tests / "meson.build").read_text()
    for path in sorted(tests.glob("*/test_*.c")):
        name = path.relative_to(tests).with_suffix("").as_posix()
        if f"'{name}'" not in meson:
            complaints.append(f"tests/{name}.c is not in tests/meson.build: it does not run")
    for name in re.findall(r"'(\w+/test_\w+)'", meson):
        if not (tests / f"{name}.c").exists():
            complaints.append(f"tests/meson.build names {name}.c, which does not exist")
    if not (tests / "fuzz").is_dir():
        return complaints
    fuzz = (tests / "fuzz" / "meson.build").read_text()
    for path in sorted((tests / "fuzz").glob("fuzz_*.c")):
        name = path.stem.removeprefix("fuzz_")
        if f"'{name}':" not in fuzz:
            complaints.append(f"tests/fuzz/fuzz_{name}.c is not in tests/fuzz/meson.build")
        if not any((tests / "fuzz" / "corpus" / name).glob("*")):
            complaints.append(f"tests/fuzz/corpus/{name} has no input")
    for name in re.findall(r"^  '(\w+)': \w+_dep", fuzz, re.MULTILINE):
        if not (tests / "fuzz" / f"fuzz_{name}.c").exists():
            complaints.append(f"tests/fuzz/meson.build names fuzz_{name}.c, which does not exist")
    return complaints
