#!/usr/bin/env python3
"""./dev test [NAME...]: every check there is, or those whose names contain NAME.

Order: unit (address and undefined behaviour sanitizers), fuzz corpora, thread sanitizer, then end to end and docs
(release build) with the lint beside them. Goes on after a failure. The last line is 'N passed, N failed', counted from
what the test programs said of each test case; the exit status is 0 only if all passed and something ran.
"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PYTHON = "/usr/bin/python3"
LIBRARIES = ("config/libclient.a", "config/libconfig.a", "access/libaccess.a", "access/libgreeting.a", "access/libhttp.a",
             "hop/libhop.a", "chain/libchain.a", "libllhttp.a", "chain/libwire.a", "common/libcommon.a", "common/libadmin.a")
PACKAGES = ("libuv", "libcjson", "libsodium", "libcrypto", "libcares")
TSAN_SECONDS = 120
PARALLEL = 4  # classes of end-to-end tests at once: they mostly wait
UNIT_SUITES_APART = {"fuzz"}


class Tally:
    def __init__(self):
        self.n_passed = self.n_failed = self.n_skipped = 0
        self.failures = []

    def add(self, n_passed, n_failed=0, n_skipped=0, name=""):
        self.n_passed += n_passed
        self.n_failed += n_failed
        self.n_skipped += n_skipped
        if n_failed:
            self.failures.append(name)

    def result(self, name, has_passed):
        self.add(int(has_passed), int(not has_passed), name=name)


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def run(command, **options):
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, text=True, **options)


def build(tally, what):
    """Asks ./dev for one of its build directories. Return: whether it is there."""
    has_passed = run(["./dev", "test-build", what]).returncode == 0
    if not has_passed:
        tally.result(f"build {what}", False)
    return has_passed


def is_wanted(name, wanted):
    return not wanted or any(word in name for word in wanted)


class Lint:
    """The lint, which works while the end-to-end tests wait; it gives way to them (nice)."""

    def __init__(self, wanted):
        self.process, self.output = None, tempfile.TemporaryFile("w+")
        if is_wanted("lint", wanted):
            say("lint begins in the background")
            self.process = subprocess.Popen(["nice", "-n", "19", PYTHON, "tests/lint/lint.py", "--full"], cwd=ROOT,
                                            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output)

    def end(self, tally):
        if self.process is None:
            return
        say("lint")
        self.process.wait()
        self.output.seek(0)
        text = self.output.read()
        sys.stdout.write(text)
        match = re.search(r"^lint: (\d+) passed, (\d+) failed$", text, re.MULTILINE)
        if match:
            tally.add(int(match[1]), int(match[2]), name="lint")
        else:
            tally.result("lint", False)


def criterion_counts(entry):
    """Test cases of one program as (passed, failed, skipped), or None if it is no Criterion program."""
    text = (entry.get("stdout") or "") + (entry.get("stderr") or "")
    match = re.search(r"Tested: \D*(\d+)\D*Passing: \D*(\d+)\D*Failing: \D*(\d+)\D*Crashing: \D*(\d+)",
                      re.sub(r"\x1b\[[0-9;]*m", "", text))
    if not match:
        return None
    n_tested, n_passed = int(match[1]), int(match[2])
    return n_passed, int(match[3]) + int(match[4]), max(0, n_tested - n_passed - int(match[3]) - int(match[4]))


def meson_tests(tally, names):
    """Runs the named programs of build/test and counts their cases."""
    log = ROOT / "build/test/meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    run(["meson", "test", "-C", "build/test", "--no-rebuild", "--print-errorlogs", *names])
    entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for entry in entries:
        has_passed = entry["result"] in ("OK", "SKIP", "EXPECTEDFAIL")
        n_passed, n_failed, n_skipped = criterion_counts(entry) or (int(has_passed), 0, 0)
        if not has_passed and n_failed == 0:
            n_failed = 1
        tally.add(n_passed, n_failed, n_skipped, entry["name"])
    if len(entries) < len(names):
        tally.result("meson test", False)


def unit_and_corpora(tally, wanted):
    if not build(tally, "test"):
        return
    listed = json.loads(run(["meson", "introspect", "--tests", "build/test"], stdout=subprocess.PIPE).stdout)
    units, corpora = [], []
    for test in listed:
        suites = {suite.split(":")[-1] for suite in test["suite"]}
        kind = "fuzz" if suites & UNIT_SUITES_APART else "unit"
        if is_wanted(f"{kind} {test['name']}", wanted):
            (corpora if kind == "fuzz" else units).append(test["name"])
    for kind, names in (("unit", units), ("fuzz corpora", corpora)):
        if names:
            say(f"{kind}: {len(names)} programs")
            meson_tests(tally, names)


def pytest(tally, title, paths):
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        environment = dict(os.environ, HOPCHAIN_BUILD=str(ROOT / "build/bin"), HOPCHAIN_SOURCE=str(ROOT),
                           PYTHONDONTWRITEBYTECODE="1")
        say(f"{title}: {' '.join(paths)}")
        status = run([PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "--durations=5",
                      "-n", str(PARALLEL), "--dist", "loadscope",
                      f"--junitxml={report.name}", *paths], env=environment).returncode
        try:
            suite = xml.parse(report.name).getroot().find("testsuite")
            n, n_failed, n_skipped = int(suite.get("tests")), int(suite.get("failures")) + int(suite.get("errors")), \
                int(suite.get("skipped"))
        except (xml.ParseError, AttributeError, TypeError):
            n = n_failed = n_skipped = 0
    if status != 0 and n_failed == 0:
        n, n_failed = n + 1, 1
    tally.add(n - n_failed - n_skipped, n_failed, n_skipped, title)


def end_to_end_and_docs(tally, wanted):
    found = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests/e2e").glob("test_*.py"))
    docs = [path for path in found if path.endswith("test_readme.py") and is_wanted(f"docs {path}", wanted)]
    others = [path for path in found if not path.endswith("test_readme.py") and is_wanted(f"e2e {path}", wanted)]
    has_demo = is_wanted("demo", wanted)
    if not (docs or others or has_demo) or not build(tally, "release"):
        return
    if has_demo:
        say("demo")
        tally.result("demo", run([PYTHON, "packaging/dev/demo.py", "--bin", "build/bin"]).returncode == 0)
    if others:
        pytest(tally, "end to end", others)
    if docs:
        pytest(tally, "docs", docs)


def thread_sanitizer(tally, wanted):
    programs = [path for path in sorted((ROOT / "tests").rglob("tsan_*.c")) if is_wanted(f"tsan {path.stem}", wanted)]
    if not programs or not build(tally, "tsan"):
        return
    flags = shlex.split(run(["pkg-config", "--cflags", "--libs", *PACKAGES], stdout=subprocess.PIPE).stdout)
    libraries = [f"build/tsan/{library}" for library in LIBRARIES]
    for path in programs:
        say(path.stem)
        program = f"build/tsan/{path.stem}"
        done = run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-g", "-O1", "-fsanitize=thread", "-I.", "-o", program,
                    str(path), "-Wl,--start-group", *libraries, "-Wl,--end-group", *flags, "-lpthread", "-lm"])
        if done.returncode == 0:
            environment = dict(os.environ, TSAN_OPTIONS="halt_on_error=0:exitcode=66:second_deadlock_stack=1")
            try:
                done = run([program], env=environment, timeout=TSAN_SECONDS)
            except subprocess.TimeoutExpired:
                print(f"{path.stem}: no end after {TSAN_SECONDS} s")
                done.returncode = 1
        print(f"{path.stem}: {'ok' if done.returncode == 0 else 'FAILED'}", flush=True)
        tally.result(path.stem, done.returncode == 0)


def main():
    wanted, tally, start = sys.argv[1:], Tally(), time.monotonic()
    lint = None
    for step in (unit_and_corpora, thread_sanitizer, end_to_end_and_docs):
        step_start = time.monotonic()
        if step is end_to_end_and_docs:
            lint = Lint(wanted)
        step(tally, wanted)
        say(f"{step.__name__.replace('_', ' ')}: {time.monotonic() - step_start:.0f} s")
    lint.end(tally)
    for name in tally.failures:
        print(f"failed: {name}")
    if tally.n_passed + tally.n_failed == 0:
        print(f"no test matches {' '.join(wanted)}" if wanted else "no test ran")
    print(f"after {time.monotonic() - start:.0f} s:")
    skipped = f", {tally.n_skipped} skipped" if tally.n_skipped else ""
    print(f"{tally.n_passed} passed, {tally.n_failed} failed{skipped}", flush=True)
    return 1 if tally.n_failed or not tally.n_passed else 0


if __name__ == "__main__":
    sys.exit(main())
