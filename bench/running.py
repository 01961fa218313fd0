"""A stack that runs, and the measurements made through it."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from datagrams import Datagrams, Failed
from namespace import Namespace
from stacks import Site

START_TIMEOUT_S = 8
STOP_TIMEOUT_S = 2
LISTEN = "0A"  # state of a listening socket in /proc/net/tcp
UNCONNECTED = "07"  # and of a datagram socket that takes from anyone, in /proc/net/udp
PING_BYTES = 64
CONCURRENT = 64


def compile_load(source, folder):
    """Compiles the load generator; returns its path."""
    os.makedirs(folder, exist_ok=True)
    program = os.path.join(folder, "load")
    sources = sorted(os.path.join(source, f) for f in os.listdir(source) if f.endswith((".c", ".h")))
    if os.path.exists(program) and all(os.path.getmtime(f) < os.path.getmtime(program) for f in sources):
        return program
    new = f"{program}.{os.getpid()}"
    subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-o", new,
                    *(f for f in sources if f.endswith(".c"))], check=True)
    os.replace(new, program)
    return program


def busy_s():
    """CPU time the whole machine has spent on anything, time taken by its host (steal) included."""
    with open("/proc/stat") as f:
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(x) for x in f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Running(Datagrams):
    """Starts every process of a stack when made; close() ends them."""

    def __init__(self, stack, index, load, shared):
        self.stack, self.load = stack, load
        self.folder = tempfile.mkdtemp(prefix="hopchain-bench-")
        self.namespace = Namespace()
        self.site = Site(self.folder, index, shared)
        self.processes, self.children = [], []
        self.others = 0.0  # share of the CPUs that others than client, origin and this stack took, last time
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        try:
            self.processes = list(self.stack.build(self.site))
        except (OSError, subprocess.CalledProcessError) as e:
            raise Failed(f"cannot be set up: {e}") from e
        for i, process in enumerate(self.processes):
            with open(self._log(i), "wb") as log:
                self.children.append(self.namespace.popen(
                    process.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder))
        deadline = time.monotonic() + START_TIMEOUT_S
        for i, process in enumerate(self.processes):
            while not self._listens(i, process):
                if self.children[i].poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"{process.role} does not listen on port {process.port}: {self.last_words(i)}")
                time.sleep(0.01)

    def _log(self, i):
        return os.path.join(self.folder, f"process{i}.log")

    def last_words(self, i):
        with open(self._log(i), errors="replace") as log:
            return " / ".join(log.read()[-400:].strip().splitlines()) or "(it said nothing)"

    def _listens(self, i, process):
        transport, state = ("udp", UNCONNECTED) if process.is_udp else ("tcp", LISTEN)
        try:
            with open(f"/proc/{self.children[i].pid}/net/{transport}") as f:
                fields = [line.split() for line in f]
        except OSError:
            return False
        return any(f[1].endswith(f":{process.port:04X}") and f[3] == state for f in fields)

    def close(self):
        for end in (signal.SIGTERM, signal.SIGKILL):
            for child in self.children:
                if child.poll() is None:
                    child.send_signal(end)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while any(child.poll() is None for child in self.children) and time.monotonic() < deadline:
                time.sleep(0.01)
        self.namespace.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- measurements ----

    def _command(self, mode, *options):
        pids = ",".join(str(child.pid) for child in self.children)
        entry = self.processes[0].port if self.processes else self.site.origin
        command = [self.load, mode, "-e", entry, "-o", self.site.origin, *(["-p", pids] if pids else []),
                   *(["-g", self.stack.greeting] if self.stack.greeting else []), *options]
        return [str(part) for part in command]

    def _check_alive(self):
        for i, child in enumerate(self.children):
            if child.poll() is not None:
                raise Failed(f"{self.processes[i].role} ended with {child.returncode}: {self.last_words(i)}")

    def _run(self, secs, mode, *options, cpus=None):
        """The answer of one run of the load generator."""
        self._check_alive()
        warm = max(0.05, min(0.25, secs / 4))
        command = self._command(mode, "-t", secs, "-w", warm, *options)
        busy, begun_at = busy_s(), time.monotonic()
        client = self.namespace.popen(command, cpus=cpus, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
        try:
            out, err = client.communicate(timeout=secs + 40)
        except subprocess.TimeoutExpired as e:
            raise Failed(f"{mode}: no end") from e
        finally:
            if client.poll() is None:
                client.kill()
                client.wait()
        self._check_alive()
        if client.returncode != 0:
            raise Failed(f"{mode}: {err.strip() or f'exit status {client.returncode}'}")
        answer = json.loads(out)
        if answer["done"] == 0:
            raise Failed(f"{mode}: nothing got through")
        own = (sum(answer["cpu_s"]) + answer["client_cpu_s"] + answer["origin_cpu_s"]) * (1 + warm / secs)
        room = (time.monotonic() - begun_at) * os.cpu_count()
        self.others = max(0.0, (busy_s() - busy - own) / room)
        return answer

    def bulk(self, secs):
        for direction in ("down", "up"):
            for streams in (1, 8):
                yield f"{direction}{streams}", lambda d=direction, n=streams: self._bulk(secs, d, n)

    def _bulk(self, secs, direction, streams):
        answer = self._run(secs, "bulk", "-n", streams, *(["-u"] if direction == "up" else []))
        gb = answer["done"] / 1e9
        key = f"{direction}{streams}"
        return {
            f"{key}_gbps": 8 * gb / answer["secs"],
            f"{key}_cpu_s_per_gb": sum(answer["cpu_s"]) / gb if self.children else None,
            f"{key}_cpu_s_per_gb_by_process": [cpu / gb for cpu in answer["cpu_s"]],
            f"{key}_cpu_s_per_gb_ends": (answer["client_cpu_s"] + answer["origin_cpu_s"]) / gb,
        }

    def rate(self, secs):
        yield "rate", lambda: self._rate(secs)

    def _rate(self, secs):
        answer = self._run(secs, "rate", "-n", CONCURRENT)
        n = answer["done"]
        return {
            "rate_per_s": n / answer["secs"],
            "rate_p50_ms": answer["p50_us"] / 1e3,
            "rate_p99_ms": answer["p99_us"] / 1e3,
            "rate_failed": answer["failed"],
            "rate_cpu_us": 1e6 * sum(answer["cpu_s"]) / n if self.children else None,
            "rate_cpu_us_by_process": [1e6 * cpu / n for cpu in answer["cpu_s"]],
        }

    def ping(self, secs):
        yield "ping", lambda: self._ping("ping", self._run, secs / 2)
        yield "ping_pinned", lambda: self._ping("ping_pinned", self._run_pinned, secs / 2)

    def _ping(self, key, run, secs):
        answer = run(secs, "ping", "-z", PING_BYTES)
        return {f"{key}_p50_us": answer["p50_us"], f"{key}_p99_us": answer["p99_us"],
                f"{key}_cpu_us": 1e6 * sum(answer["cpu_s"]) / answer["done"] if self.children else None}

    def _run_pinned(self, secs, mode, *options):
        """With every process on one CPU: the length of the path, without the scheduler's choice of CPUs."""
        every = os.sched_getaffinity(0)
        one = {max(every)}
        self._pin(one)
        try:
            return self._run(secs, mode, *options, cpus=one)
        finally:
            self._pin(every)

    def _pin(self, cpus):
        for child in self.children:
            try:
                for task in os.listdir(f"/proc/{child.pid}/task"):
                    os.sched_setaffinity(int(task), cpus)
            except OSError:
                pass  # it, or a thread of it, has just ended

    # ---- memory ----

    def _rss_bytes(self):
        """Resident bytes of each process; smaps_rollup counts pages, statm only estimates on newer kernels."""
        sizes = []
        for child in self.children:
            with open(f"/proc/{child.pid}/smaps_rollup") as f:
                sizes.append(next(1024 * int(line.split()[1]) for line in f if line.startswith("Rss:")))
        return sizes

    def idle(self, n):
        """Growth of resident bytes per connection, of each process."""
        self._run(0.2, "rate", "-n", 16)  # warm-up: what the first connections allocate once and for all
        time.sleep(0.2)
        before = self._rss_bytes()
        client = self.namespace.popen(self._command("idle", "-n", n), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            if not client.stdout.readline():
                raise Failed(f"idle: {client.stderr.read().strip()}")
            time.sleep(0.5)
            self._check_alive()
            growth = [(a - b) / n for a, b in zip(self._rss_bytes(), before)]
            client.stdin.close()
            client.wait(timeout=20)
        finally:
            if client.poll() is None:
                client.kill()
                client.wait()
        return {"idle_connections": n, "idle_bytes_by_process": growth}
