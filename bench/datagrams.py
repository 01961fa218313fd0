"""The UDP measurements made through a stack that runs.

Round trips per second come from a closed loop: FLOWS sockets keep a number of datagrams outstanding, every answer
makes room for the next. That number (the depth) goes through DEPTHS until more than LOSS_MAX is lost; where the first
depth loses more, it is lowered. The best rate within the loss allowed counts.
Loss is what a steady OFFERED per second, in small batches, does not get answered.
"""
import signal
import subprocess
import time

SIZES = (64, 1200)
FLOWS = 4
DEPTHS = (64, 256, 1024)
SHALLOW = (16, 4)  # tried when the first depth loses too much
LOSS_MAX = 0.001
OFFERED = 40_000
PENDING_S = 35  # until what a flow holds for its set-up is gone


class Failed(Exception):
    """This stack, or this measurement of it, failed; the run goes on without it."""


def lost_share(answer):
    return answer["lost"] / answer["sent"] if answer["sent"] else 1.0


def per_s(answer):
    return answer["done"] / answer["secs"]


class Datagrams:
    """The UDP part of Running."""

    def udp(self, secs):
        for size in SIZES:
            yield f"udp{size}", lambda z=size: self._udp_rate(0.4 * secs, z)
            yield f"udp{size}_offered", lambda z=size: self._udp_offered(0.6 * secs, z)
            yield f"udp{size}_ping", lambda z=size: self._udp_ping(0.15 * secs, z)

    def _udp_rate(self, secs, size):
        tried, others = {}, []

        def attempt(depth):
            tried[depth] = self._run(secs, "udp-echo", "-n", FLOWS, "-z", size, "-d", depth)
            others.append(self.others)
            return lost_share(tried[depth]) <= LOSS_MAX

        best = None
        for depth in DEPTHS:
            if not attempt(depth):
                break
            best = max(best or depth, depth, key=lambda d: per_s(tried[d]))
        for depth in () if best else SHALLOW:
            if attempt(depth):
                best = depth
                break
        self.others = max(others)
        return self._udp_rate_figures(f"udp{size}", best, tried)

    def _udp_rate_figures(self, key, best, tried):
        every = {f"{key}_tried": {depth: [per_s(a), lost_share(a)] for depth, a in tried.items()}}
        if best is None:  # even one datagram per flow loses: no rate
            return every
        answer = tried[best]
        return {
            **every,
            f"{key}_per_s": per_s(answer),
            f"{key}_depth": best,
            f"{key}_cpu_s_per_million": 1e6 * sum(answer["cpu_s"]) / answer["done"] if self.children else None,
            f"{key}_cpu_s_per_million_by_process": [1e6 * cpu / answer["done"] for cpu in answer["cpu_s"]],
        }

    def _udp_offered(self, secs, size):
        answer = self._run(secs, "udp-offer", "-n", FLOWS, "-z", size, "-r", OFFERED)
        key = f"udp{size}_offered"
        return {f"{key}_per_s": answer["sent"] / answer["secs"], f"{key}_lost_percent": 100 * lost_share(answer),
                f"{key}_p50_us": answer.get("p50_us"), f"{key}_p99_us": answer.get("p99_us"),
                f"{key}_cpu_s_per_million": 1e6 * sum(answer["cpu_s"]) / answer["done"] if self.children else None}

    def _udp_ping(self, secs, size):
        figures, others = {}, []
        for key, pinned in ((f"udp{size}_ping", False), (f"udp{size}_ping_pinned", True)):
            options = ("udp-echo", "-n", 1, "-z", size, "-d", 1)
            answer = self._run_pinned(secs, *options) if pinned else self._run(secs, *options)
            others.append(self.others)
            figures |= {f"{key}_p50_us": answer.get("p50_us"), f"{key}_p99_us": answer.get("p99_us")}
        self.others = max(others)
        return figures

    # ---- memory; in three parts, so that all stacks can wait at the same time ----

    def udp_idle_open(self, n):
        """Opens n flows that carry two datagrams each way; returns what udp_idle_growth() and udp_idle_end() want."""
        for size in SIZES:  # warm-up: what the first flows and the first full batches allocate once and for all
            self._run(0.2, "udp-echo", "-n", FLOWS, "-z", size, "-d", DEPTHS[1])
        time.sleep(0.2)
        before = self._rss_bytes()
        client = self.namespace.popen(self._command("udp-idle", "-n", n), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return n, before, client

    def udp_idle_await(self, opened):
        """Waits until every flow has had its answer."""
        client = opened[2]
        if not client.stdout.readline():
            raise Failed(f"udp-idle: {client.stderr.read().strip()}")

    def udp_idle_growth(self, opened):
        """Growth of resident bytes per flow, of each process."""
        n, before, _ = opened
        self._check_alive()
        growth = [(a - b) / n for a, b in zip(self._rss_bytes(), before)]
        return {"flows": n, "bytes_by_process": growth}

    @staticmethod
    def udp_idle_end(opened):
        """None: nothing was opened."""
        if opened is None:
            return
        client = opened[2]
        if client.poll() is None:
            client.send_signal(signal.SIGKILL)
        client.communicate()
