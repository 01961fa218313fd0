"""The report: tables, and the goals with what became of them. Works from result.json alone."""
import os
import statistics

import datagrams
import goals
from figures import median, number, table

BY_HAND = "<!-- What follows is written by hand and kept when this file is made again. -->"

NOTES = """\
* Client, origin and every proxy share the CPUs of one machine: compare figures within one run only.
* "Hops" of ours: access, then so many hops, so one process more than hops. haproxy and nginx stand here with as many
  processes as ours has hops (@1, @3) and with as many as ours has processes (@2, @4). stunnel and shadowsocks-libev:
  every link is a pair (client and server), so @3 is 6 processes. "@n" is the number of hops (of pairs, for those two).
* haproxy: `option splice-request`, `option splice-response`, `tune.pipesize 1048576`, one thread. nginx: stream module,
  one process, default buffers. stunnel: TLS 1.3 with AES-256-GCM and a P-256 certificate, sessions resumed as by
  default. shadowsocks-libev: ss-tunnel to ss-server, aes-256-gcm, --no-delay. Access logs are off everywhere; ours runs
  with `--log-level notice`, which leaves out the line per connection.
* CPU-s/GB: CPU seconds of all proxy processes for 10^9 bytes of payload, from their CPU clocks, over the same interval
  as the bytes. Loopback charges the sender with the receiver's share of TCP.
* Receivers drop the bytes in the kernel (MSG_TRUNC), so the ends cost little.
* Connections: connect, one byte there, one byte back, close; 64 at once. The time counts from connect() to the byte.
* Ping-pong "1 CPU": every process on one CPU, which shows the length of the path; otherwise the figure depends on which
  CPUs the scheduler picks. The goal is judged by the "1 CPU" figure.
* Idle: growth of resident memory per connection after a warm-up, {idle} connections (stunnel, which has a thread for
  each: at most 500), each of which carried one byte each way.
* UDP: "packets" are round trips through an echoing origin, from {flows} plain sockets (recvmmsg, sendmmsg, no GSO),
  which keep a number of datagrams outstanding: of {depths} the best counts that loses no more than 0.1 %.
  "40,000/s" is what goes in at a steady rate; lost is what has no answer half a second later. Payload of ours is
  encrypted end to end. nginx: one worker, `reuseport`, 4 MiB buffers on the listening socket. shadowsocks-libev keeps
  no more than 512 flows. Each idle flow carried two datagrams each way, one after the other, {pending} s earlier.
* SOCKS5 and HTTP CONNECT: the client says where to, without a login; the time of a connection counts its greeting.
  "ours-socks5" and "ours-http" without a number are access alone ("chain": "direct"): one process, as microsocks,
  dante, tinyproxy and squid are; with 1 hop ours is two. dante and squid run with their defaults but for logs, caches
  and access rules; microsocks has a thread for each client.
* Ratios are taken within a round (a round measures one thing through every stack in turn): median, and range."""


def render(result):
    parts = [head(result), goals.render(result), bulk(result), exchanges(result), idle(result), hop_cost(result),
             udp(result), udp_idle(result),
             "## How to read this\n\n" + NOTES.format(
                 idle=f"{result['settings']['idle']:,}", flows=datagrams.FLOWS,
                 depths=", ".join(f"{d:,}" for d in datagrams.DEPTHS),
                 pending=datagrams.PENDING_S), troubles(result)]
    return "\n\n".join(part for part in parts if part) + "\n"


def head(result):
    host, settings = result["host"], result["settings"]
    others = result.get("others_share") or [0]
    lines = [
        "# Benchmark results", "",
        f"`{result['command']}`", "",
        f"{result['date']}, {settings['rounds']} rounds, {settings['secs']:g} s per measurement, {result['seconds']} s "
        "in all.",
        f"{host['cpu']}, {host['cpus']} CPUs, {host['memory_gib']} GiB, Linux {host['kernel']}.",
        "; ".join(f"{name}: {version}" for name, version in result["versions"].items()) + ".",
        f"Other programs (and the host) took {statistics.median(others):.0%} of the CPUs in the median measurement, "
        f"{max(others):.0%} in the worst."]
    if settings["quick"]:
        lines += ["", "**A quick run: it shows that everything works; the figures mean nothing.**"]
    if result.get("is_stopped"):
        lines += ["", "**Stopped early: rounds are missing.**"]
    if not result["is_privileged"]:
        lines += ["", "Run without root: the kernel bounds the pipe memory of all stacks together "
                  "(fs.pipe-user-pages-soft), so spliced figures may be too low."]
    if not result["is_isolated"]:
        lines += ["", "Without a network namespace: all stacks share the host's loopback and its limits."]
    return "\n".join(lines)


def rows(result, keys):
    for name, stack in result["stacks"].items():
        values = [median(stack, key) for key in keys]
        if any(v is not None for v in values):
            yield [name, len(stack["roles"]), *map(number, values)]


def bulk(result):
    keys = [f"{b}_{unit}" for unit in ("gbps", "cpu_s_per_gb") for b in goals.BULK]
    names = [f"{goals.BULK[b]}, {unit}" for unit in ("Gbit/s", "CPU-s/GB") for b in goals.BULK]
    return section("Bulk", ["stack", "processes", *names], rows(result, keys))


def exchanges(result):
    keys = ["rate_per_s", "rate_p50_ms", "rate_p99_ms", "rate_cpu_us", "rate_failed", "ping_p50_us", "ping_p99_us",
            "ping_pinned_p50_us", "ping_pinned_p99_us"]
    names = ["connections/s", "p50 ms", "p99 ms", "CPU µs per connection", "failed", "ping-pong p50 µs", "p99 µs",
             "1 CPU: p50 µs", "p99 µs"]
    return section("Connections and round trips", ["stack", "processes", *names], rows(result, keys))


def idle(result):
    lines = []
    for name, stack in result["stacks"].items():
        if not stack["idle"]:
            continue
        sizes = stack["idle"]["idle_bytes_by_process"]
        lines.append([name, stack["idle"]["idle_connections"], number(sum(sizes) / stack["hops"]),
                      by_role(stack["roles"], sizes)])
    return section("Idle connections: resident bytes per connection",
                   ["stack", "connections", "all processes / hops", "each process, by role"], lines)


def by_role(roles, sizes):
    found = {}
    for role, size in zip(roles, sizes):
        found.setdefault(role, []).append(size)
    return ", ".join(f"{role} {number(statistics.mean(s))}" for role, s in found.items())


def hop_cost(result):
    lines = []
    for what in goals.BULK:
        for kind in (goals.PLAIN, goals.SEALED):
            costs = [goals.hop_cost(result, kind, n, what) for n in (1, 3, 5)]
            if None in costs:
                continue
            lines.append([kind, goals.BULK[what], *map(number, costs), number((costs[1] - costs[0]) / 2),
                          number((costs[2] - costs[1]) / 2), number(goals.middle_cost(result, kind, 3, what)),
                          number(goals.middle_cost(result, kind, 5, what))])
    return section("The cost of one more middle hop, CPU-s/GB",
                   ["stack", "bulk", "1 hop", "3 hops", "5 hops", "each more, 1 to 3", "each more, 3 to 5",
                    "a middle hop's process, at 3", "at 5"], lines)


def udp(result):
    parts = []
    for size in goals.UDP_SIZES:
        key = f"udp{size}_"
        keys = [key + end for end in (
            "per_s", "depth", "cpu_s_per_million", "offered_lost_percent", "offered_p50_us", "offered_p99_us",
            "ping_p50_us", "ping_p99_us", "ping_pinned_p50_us", "ping_pinned_p99_us")]
        names = ["packets/s", "outstanding", "CPU-s/million", "40,000/s: lost %", "p50 µs", "p99 µs",
                 "one at a time: p50 µs", "p99 µs", "1 CPU: p50 µs", "p99 µs"]
        parts.append(section(f"UDP, {size:,} bytes of payload", ["stack", "processes", *names], rows(result, keys)))
    return "\n\n".join(part for part in parts if part)


def udp_idle(result):
    found = [(name, stack["udp_idle"], stack) for name, stack in result["stacks"].items() if stack.get("udp_idle")]
    lines = [[name, idle["flows"], number(sum(idle["bytes_by_process"]) / stack["hops"]), by_role(
        stack["roles"], idle["bytes_by_process"])] for name, idle, stack in found]
    return section("Idle UDP flows: resident bytes per flow",
                   ["stack", "flows", "all processes / hops", "each process, by role"], lines)


def section(title, header, lines):
    lines = list(lines)
    return f"## {title}\n\n{table(header, lines)}" if lines else ""


def troubles(result):
    lines = [f"* {name}: skipped, {why}" for name, why in result["skipped"].items()]
    for name, stack in result["stacks"].items():
        lines += [f"* {name}: {error}" for error in dict.fromkeys(stack["errors"])]
    return "## Skipped and failed\n\n" + "\n".join(lines) if lines else ""


def write_results(path, text):
    """Writes the report to path; what was written there by hand, behind the marker, stays."""
    by_hand = "\n"
    if os.path.exists(path):
        with open(path) as f:
            by_hand = f.read().partition(BY_HAND)[2] or by_hand
    with open(path, "w") as f:
        f.write(f"{text}\n{BY_HAND}{by_hand}")
