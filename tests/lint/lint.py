#!/usr/bin/env python3
"""Runs the lint checks; ends with 'lint: N passed, N failed'. Usage: lint.py [--full | --fix] [NAME...]

Each check is one function below or in a module beside this file; it returns a list of complaints.
"""
import argparse
import concurrent.futures
import os
import pathlib
import py_compile
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lint"))
sys.dont_write_bytecode = True

import includes  # noqa: E402
import style  # noqa: E402

PRODUCT = ("common", "chain", "hop", "access", "config")
CFLAGS = ["-std=gnu17", "-D_GNU_SOURCE", '-DHOPCHAIN_VERSION="lint"', "-I.", "-isystem", "/usr/share/include/llhttp"]


def files(*patterns):
    found = {f for pattern in patterns for f in ROOT.glob(pattern) if f.is_file()}
    return sorted(str(f.relative_to(ROOT)) for f in found if f.relative_to(ROOT).parts[0] != "build")


def c_files():
    folders = PRODUCT + ("bench", "tests")
    return files(*(f"{folder}/**/*.[ch]" for folder in folders))


def shell_files():
    named = [f for f in ("dev", ".ci/run") if (ROOT / f).exists()]
    return named + files("packaging/**/*.sh", "tests/**/*.sh", "bench/**/*.sh")


def run(command, quiet_when_ok=True):
    """Runs command; its output as complaints when it fails."""
    if not shutil.which(command[0]):
        return [f"{command[0]} is not installed (./dev setup)"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0 and quiet_when_ok:
        return []
    return done.stdout.strip().splitlines() or [f"{command[0]}: exit status {done.returncode}"]


def run_each(commands):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [line for lines in pool.map(run, commands) for line in lines]


def check_format():
    def complaint(name):
        differs = run(["clang-format-14", "--dry-run", "--Werror", name])
        return [f"{name}: not formatted (./dev lint --fix)" if len(differs) > 1 else line for line in differs[:1]]

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [line for lines in pool.map(complaint, c_files()) for line in lines]


def check_headers_alone():
    """Every header compiles without anything before it."""
    headers = files(*(f"{folder}/*.h" for folder in PRODUCT), "tests/**/*.h")
    return run_each(["gcc", *CFLAGS, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c", h] for h in headers)


def check_shell():
    return run(["shellcheck", *shell_files()])


def check_python():
    complaints = []
    with tempfile.TemporaryDirectory() as scratch:
        for f in files("packaging/**/*.py", "tests/**/*.py", "bench/**/*.py"):
            try:
                py_compile.compile(str(ROOT / f), cfile=f"{scratch}/out.pyc", doraise=True)
            except py_compile.PyCompileError as error:
                complaints.append(str(error).strip())
    return complaints


def check_spelling():
    text = files("*.md", "docs/**/*.md", "dev", "tests/lint/*.py", "packaging/**/*", "debian/control", "bench/*.py")
    return run(["codespell", "--ignore-words", "tests/lint/codespell.ignore", *c_files(), *text])


def check_registered():
    """Each test and fuzz target is registered; see style.py."""
    return style.unregistered(ROOT)


def check_includes():
    return includes.check(ROOT)


def check_style():
    return style.check(ROOT, c_files())


def check_units():
    """The systemd units are well-formed (the programs they start need not be installed)."""
    if not shutil.which("systemd-analyze"):
        return []
    found = run(["systemd-analyze", "verify", *files("packaging/systemd/*.service")], quiet_when_ok=False)
    return [line for line in found if ".service:" in line and "is not executable" not in line]


def check_cppcheck():
    suppress = ["missingIncludeSystem", "unusedStructMember", "unmatchedSuppression", "checkersReport"]
    with tempfile.TemporaryDirectory() as macros:  # of all system headers it needs these two, for their loops
        for header in ("utlist.h", "uthash.h"):
            os.symlink(f"/usr/include/{header}", f"{macros}/{header}")
        return run(["cppcheck", "--quiet", "--std=c11", "--language=c", "--error-exitcode=1", "--inline-suppr",
                    "--enable=warning,portability", "--library=posix", "-D_GNU_SOURCE", "-D__GNUC__", "-I.",
                    f"-I{macros}", f"--suppress=*:{macros}/*", f"-j{os.cpu_count()}",
                    *(f"--suppress={s}" for s in suppress), *PRODUCT])


def check_clang_tidy():
    sources = files(*(f"{folder}/*.c" for folder in PRODUCT))
    return run_each(["clang-tidy-14", "--quiet", "--warnings-as-errors=*", source, "--", *CFLAGS]
                    for source in sources)


FAST = {
    "includes": check_includes,
    "style": check_style,
    "registered": check_registered,
    "headers-alone": check_headers_alone,
    "format": check_format,
    "shell": check_shell,
    "python": check_python,
    "spelling": check_spelling,
    "units": check_units,
}
SLOW = {"cppcheck": check_cppcheck, "clang-tidy": check_clang_tidy}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="also clang-tidy and cppcheck")
    parser.add_argument("--fix", action="store_true", help="format the C files, then check")
    parser.add_argument("name", nargs="*", help="only these checks")
    options = parser.parse_args()
    if options.fix:
        subprocess.run(["clang-format-14", "-i", *c_files()], cwd=ROOT, check=True)
    checks = {**FAST, **SLOW}
    unknown = set(options.name) - set(checks)
    if unknown:
        parser.error(f"no check {', '.join(sorted(unknown))}; there are {', '.join(checks)}")
    wanted = options.name or (list(checks) if options.full else list(FAST))
    n_failed = 0
    for name in wanted:
        start = time.monotonic()
        complaints = checks[name]()
        print(f"lint {name}: {'failed' if complaints else 'ok'} ({time.monotonic() - start:.1f} s)")
        for line in complaints[:60]:
            print(f"    {line}")
        if len(complaints) > 60:
            print(f"    … and {len(complaints) - 60} more")
        n_failed += bool(complaints)
    print(f"lint: {len(wanted) - n_failed} passed, {n_failed} failed")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
