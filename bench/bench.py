#!/usr/bin/env python3
"""Measures hopchain side by side with its peers, through chains of proxies on loopback.

Every stack of a round runs at the same time, idle but for the one that is being measured, each in a network
namespace of its own (root, or user namespaces). A measurement is made through each stack in turn before the next
measurement begins, so that what is compared lies seconds apart; the order turns by one stack each round. Ratios
are taken within a round; the report shows their median and their range.

The report (report.md) and every number (result.json) go to --out.
"""
import argparse
import datetime
import fnmatch
import json
import os
import platform
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import datagrams
import goals
import report
from namespace import Namespace, become_root, is_root
from running import Failed, Running, compile_load
from ingress import ingress_stacks
from stacks import OURS, all_stacks

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
RESULTS = os.path.join(HERE, "RESULTS.md")
MEASURES = ("bulk", "rate", "ping", "idle", "udp")
QUICK = ("direct", "*@3", "ours-socks5*", "ours-http*")
CALM = 0.15  # a measurement is made again, up to ATTEMPTS times, when others took more than this share of the CPUs
ATTEMPTS = 3
PATIENCE_S = 600  # from then on nothing is made again
VERSIONS = {
    "haproxy": ["haproxy", "-v"],
    "nginx": ["nginx", "-v"],
    "stunnel": ["stunnel4", "-version"],
    "shadowsocks-libev": ["ss-server", "-h"],
    "openssl": ["openssl", "version"],
    "dante": ["danted", "-v"],
    "tinyproxy": ["tinyproxy", "-v"],
    "squid": ["squid", "-v"],
}


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- what was measured on what ----

def first_line(command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=5,
                              stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next((line.strip() for line in done.stdout.splitlines() if any(c.isdigit() for c in line)), None)


def cpu_model():
    with open("/proc/cpuinfo") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.machine())


def host():
    with open("/proc/meminfo") as f:
        memory_kib = int(f.readline().split()[1])
    return {"cpu": cpu_model(), "cpus": len(os.sched_getaffinity(0)), "memory_gib": round(memory_kib / 2**20, 1),
            "kernel": platform.release(), "files_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[1]}


def versions(programs):
    found = {name: first_line(command) for name, command in VERSIONS.items()}
    found["hopchain"] = first_line([os.path.join(programs, "hop"), "--version"])
    found["source"] = first_line(["git", "-C", ROOT, "describe", "--always", "--dirty"])
    return {name: version for name, version in found.items() if version}


# ---- a run ----

class Run:
    def __init__(self, args, stacks, load, shared):
        self.args, self.load, self.shared = args, load, shared
        self.stacks = stacks
        self.results = {s.name: {"kind": s.kind, "hops": s.hops, "is_encrypted": s.is_encrypted, "roles": [],
                                 "rounds": [], "errors": [], "idle": None, "udp_idle": None} for s in stacks}
        self.others = []  # as Running.others, of every measurement
        self.begun_at = time.monotonic()

    def fail(self, stack, error):
        self.results[stack.name]["errors"].append(str(error))
        say(f"    {stack.name}: {error}")

    def start(self, index, stack):
        try:
            running = Running(stack, index, self.load, self.shared)
        except Failed as e:
            self.fail(stack, e)
            return None
        self.results[stack.name]["roles"] = [p.role for p in running.processes]
        return running

    def idle(self):
        """Memory first, in processes that have done nothing else; once, for it does not vary."""
        for index, stack in enumerate(self.stacks):
            if "idle" not in stack.measures or not stack.hops:
                continue
            say(f"{self.clock()} idle connections: {stack.name}")
            running = self.start(index, stack)
            if not running:
                continue
            try:
                n = min(stack.idle_connections, self.args.idle)
                self.results[stack.name]["idle"] = running.idle(n)
            except (Failed, OSError) as e:
                self.fail(stack, e)
            finally:
                running.close()

    def udp_idle(self):
        """Memory of idle flows, once, of all stacks at the same time: what takes long is the waiting."""
        running, opened = {}, {}
        try:
            for index, stack in enumerate(self.stacks):
                if "udp" in stack.measures and stack.hops in (1, 3):
                    running[stack.name] = self.start(index, stack)
            say(f"{self.clock()} idle UDP flows: {len(running)} stacks")
            for stack in self.stacks:
                if running.get(stack.name):
                    self.udp_idle_open(stack, running[stack.name], opened)
            time.sleep(1 if self.args.quick else datagrams.PENDING_S)
            for stack in self.stacks:
                if stack.name in opened:
                    self.udp_idle_judge(stack, running[stack.name], opened[stack.name])
        finally:
            for one in opened.values():
                Running.udp_idle_end(one)
            for one in running.values():
                if one:
                    one.close()

    def udp_idle_open(self, stack, running, opened):
        try:
            opened[stack.name] = running.udp_idle_open(min(stack.idle_flows, self.args.idle))
            running.udp_idle_await(opened[stack.name])
        except (Failed, OSError) as e:
            self.fail(stack, e)
            Running.udp_idle_end(opened.pop(stack.name, None))

    def udp_idle_judge(self, stack, running, opened):
        try:
            self.results[stack.name]["udp_idle"] = running.udp_idle_growth(opened)
        except (Failed, OSError) as e:
            self.fail(stack, e)

    def round(self, number):
        running = {}
        try:
            wanted = set(self.args.measures) - {"idle"}
            stacks = [s for s in self.stacks if wanted & set(s.measures)]
            say(f"{self.clock()} round {number + 1} of {self.args.rounds}: starting {len(stacks)} stacks")
            for index, stack in enumerate(stacks):
                self.results[stack.name]["rounds"].append({})
                one = self.start(index, stack)
                if one:
                    running[stack.name] = one
            turned = [s for s in stacks if s.name in running]
            turned = turned[number % max(1, len(turned)):] + turned[:number % max(1, len(turned))]
            for measure in self.args.measures:
                if measure != "idle":
                    self.measure(measure, turned, running)
        finally:
            for one in running.values():
                one.close()

    def measure(self, measure, stacks, running):
        steps = {s.name: list(getattr(running[s.name], measure)(self.args.secs))
                 for s in stacks if measure in s.measures}
        for i_step, (name, _) in enumerate(next(iter(steps.values()), [])):
            say(f"{self.clock()}   {name}")
            for stack in stacks:
                if stack.name in steps:
                    self.step(stack, running[stack.name], steps[stack.name][i_step][1])

    def step(self, stack, running, measure):
        """Of several attempts the one counts during which other programs were the calmest."""
        attempts = []
        while len(attempts) < ATTEMPTS:
            try:
                values = measure()
            except (Failed, OSError, ValueError) as e:
                self.fail(stack, e)
                break
            attempts.append((running.others, values))
            if running.others <= CALM or self.args.quick or time.monotonic() - self.begun_at > PATIENCE_S:
                break
        if attempts:
            others, values = min(attempts, key=lambda attempt: attempt[0])
            self.others.append(others)
            self.results[stack.name]["rounds"][-1].update(values)

    def clock(self):
        return f"{time.monotonic() - self.begun_at:5.0f} s"


def known_stacks(args):
    return all_stacks(args.build, args.compare) + ingress_stacks(args.build, OURS, args.compare)


def select(args):
    """The stacks asked for, and why others are skipped."""
    chosen, skipped = [], {}
    for stack in known_stacks(args):
        if not any(fnmatch.fnmatch(stack.name, pattern) for pattern in args.stacks):
            continue
        missing = stack.missing()
        if missing:
            skipped[stack.name] = "missing: " + ", ".join(missing)
            say(f"skipped {stack.name}: {skipped[stack.name]}")
        else:
            chosen.append(stack)
    return chosen, skipped


def run(args):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    stacks, skipped = select(args)
    if not stacks:
        sys.exit("bench: no stack to measure")
    load = compile_load(HERE, os.path.join(ROOT, "build", "bench"))
    is_isolated = is_own_namespace()
    result = {"format": 1, "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
              "command": args.command,
              "settings": {"rounds": args.rounds, "secs": args.secs, "idle": args.idle, "quick": args.quick},
              "host": host(), "versions": versions(args.build), "is_isolated": is_isolated, "is_privileged": is_root(),
              "skipped": skipped}
    shared = tempfile.mkdtemp(prefix="hopchain-bench-shared-")
    one = Run(args, stacks, load, shared)
    result["stacks"] = one.results
    try:
        if "idle" in args.measures:
            one.idle()
        if "udp" in args.measures:
            one.udp_idle()
        for number in range(args.rounds):
            one.round(number)
    except KeyboardInterrupt:
        say("stopped: what was measured so far follows")
        result["is_stopped"] = True
    finally:
        shutil.rmtree(shared, ignore_errors=True)
    result["others_share"] = one.others
    result["seconds"] = round(time.monotonic() - one.begun_at)
    return result


def is_own_namespace():
    probe = Namespace()
    probe.close()
    if not probe.is_own:
        say("no network namespace can be made here (neither root nor user namespaces): using the host's loopback")
    return probe.is_own


# ---- command line ----

def arguments():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "bin"), metavar="DIR",
                        help="where access, hop and chain are")
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "bench"), metavar="DIR",
                        help="where report.md and result.json go (build/bench)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--secs", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--stacks", default="*", metavar="PATTERN,...", help="for example 'direct,ours-*,haproxy@3'")
    parser.add_argument("--measures", default=",".join(MEASURES), metavar="NAME,...")
    parser.add_argument("--idle", type=int, default=5000, metavar="N", help="idle connections")
    parser.add_argument("--compare", metavar="DIR", help="an older build of ours, measured beside this one as 'base-*'")
    parser.add_argument("--quick", action="store_true", help="a few seconds: does everything work? No figure counts")
    parser.add_argument("--list", action="store_true", help="the stacks there are")
    parser.add_argument("--write-results", action="store_true", help="write bench/RESULTS.md as well")
    parser.add_argument("--from", dest="source", metavar="FILE", help="measure nothing, report on this result.json")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.secs, args.idle = 1, 0.1, min(args.idle, 200)
        args.stacks = ",".join(QUICK) if args.stacks == "*" else args.stacks
    args.stacks, args.measures = args.stacks.split(","), args.measures.split(",")
    if set(args.measures) - set(MEASURES):
        parser.error(f"measures are {', '.join(MEASURES)}")
    args.build = os.path.abspath(args.build)
    given = sys.argv[1:]
    args.command = shlex.join(["./dev", "bench", *(given[2:] if given[:1] == ["--build"] else given)])
    return args


def main():
    args = arguments()
    if args.list:
        for stack in known_stacks(args):
            print(f"{stack.name:20} {'missing: ' + ', '.join(stack.missing()) if stack.missing() else ''}")
        return
    if args.source:
        with open(args.source) as f:
            result = json.load(f)
    else:
        become_root()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        result = run(args)
    result["goals"] = goals.judge(result)
    text = report.render(result)
    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, "result.json"), "w") as f:
        json.dump(result, f, indent=1)
    with open(os.path.join(args.out, "report.md"), "w") as f:
        f.write(text)
    print(text)
    if args.write_results:
        report.write_results(RESULTS, text)


if __name__ == "__main__":
    main()
