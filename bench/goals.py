"""The goals, and whether they are met: each compares our figure with a peer's, or with a fixed limit."""
import statistics
from dataclasses import dataclass

from figures import median, number, ratios, table, values

PLAIN, SEALED, UDP = "ours-header-only", "ours-encrypted", "ours-udp"
HOPS = 3
BULK = {"down1": "1 stream down", "up1": "1 stream up", "down8": "8 streams down", "up8": "8 streams up"}
UDP_SIZES = (64, 1200)  # as datagrams.SIZES
UDP_FLOW_BYTES = 512
SAME_COST = 1.15  # "the same" cost: as near as these measurements can tell


@dataclass
class Goal:
    what: str
    kind: str  # ours: PLAIN or SEALED
    key: str
    peers: tuple  # kinds; the better one counts
    limit: float
    stretch: float = None
    is_least: bool = False  # the smaller the better


def all_goals():
    for key, name in BULK.items():
        yield Goal(f"header-only, {name}, Gbit/s", PLAIN, f"{key}_gbps", ("haproxy",), 0.95, 1.1)
        yield Goal(f"header-only, {name}, Gbit/s", PLAIN, f"{key}_gbps", ("nginx",), 2.2)
        yield Goal(f"header-only, {name}, CPU-s/GB", PLAIN, f"{key}_cpu_s_per_gb", ("haproxy",), 1.0, is_least=True)
    for key, name in BULK.items():
        both = ("stunnel", "shadowsocks")
        yield Goal(f"encrypted, {name}, Gbit/s", SEALED, f"{key}_gbps", both, 2.0)
        yield Goal(f"encrypted, {name}, CPU-s/GB", SEALED, f"{key}_cpu_s_per_gb", both, 0.4, is_least=True)
    yield Goal("header-only, connections/s", PLAIN, "rate_per_s", ("haproxy", "nginx"), 0.9, 1.05)
    yield Goal("encrypted, connections/s", SEALED, "rate_per_s", ("stunnel",), 10)
    yield Goal("encrypted, connections/s", SEALED, "rate_per_s", ("shadowsocks",), 1.5)
    yield Goal("header-only, ping-pong p50, 1 CPU", PLAIN, "ping_pinned_p50_us", ("nginx",), 1.1, is_least=True)


def udp_goals(hops):
    """UDP has goals at 1 hop too."""
    for size in UDP_SIZES:
        key, peers = f"udp{size}_per_s", {3: (("nginx-udp", 2.2), ("shadowsocks-udp", 5)), 1: (("nginx-udp", 1.1),)}
        for peer, limit in peers[hops]:
            yield Goal(f"UDP, {hops} hop{'s' if hops > 1 else ''}, {size} B, packets/s", UDP, key, (peer,), limit)


INGRESS = {  # what clients speak: peers in plain text, encrypted ones
    "socks5": ("SOCKS5", ("microsocks", "dante"), ("shadowsocks-socks5",)),
    "http": ("HTTP CONNECT", ("tinyproxy", "squid"), ()),
}


def ingress_goals():
    """Proxies that are told where to, at 1 hop; and without one, as many processes as the peers have: with hops."""
    for name, (title, plain, sealed) in INGRESS.items():
        for kind, what, limit in ((f"ours-{name}-header-only", "1 hop, header-only", 1.0), (f"ours-{name}", "direct", 1.0)):
            for key, unit in (("rate_per_s", "connections/s"), ("down1_gbps", "1 stream down, Gbit/s"),
                              ("up8_gbps", "8 streams up, Gbit/s")):
                yield Goal(f"{title}, {what}, {unit}", kind, key, plain, limit), 0 if what == "direct" else 1
        for key, unit in (("rate_per_s", "connections/s"), ("down1_gbps", "1 stream down, Gbit/s")):
            if sealed:
                yield Goal(f"{title}, 1 hop, encrypted, {unit}", f"ours-{name}-encrypted", key, sealed, 2.0), 1


MEMORY = (  # kind, roles, most bytes per connection, stretch
    ("header-only, a hop", PLAIN, ("middle", "exit"), 1024, 600),
    ("encrypted, a middle hop", SEALED, ("middle",), 1024, 600),
    ("encrypted, the exit", SEALED, ("exit",), 4096, None),
    ("encrypted, access", SEALED, ("access",), 4096, None),
)


def verdict(value, limit, stretch, is_least):
    missed_by = value / limit - 1 if is_least else 1 - value / limit
    if missed_by > 0:
        return f"**missed by {missed_by:.0%}**"
    if stretch is not None and (value <= stretch if is_least else value >= stretch):
        return "met, stretch too"
    return "met"


def limit_text(limit, stretch, is_least, unit=""):
    sign = "≤" if is_least else "≥"
    text = f"{sign} {limit:,}{unit}"
    return text + (f" (stretch {stretch:,}{unit})" if stretch is not None else "")


def our_name(kind, hops):
    """As Stack.name."""
    return f"{kind}@{hops}" if hops else kind


def best_peer(stacks, names, key, is_least):
    found = [(median(stacks[n], key), n) for n in names if n in stacks and median(stacks[n], key) is not None]
    return (min(found) if is_least else max(found))[1] if found else None


def compared(result, goal, hops=HOPS, our_hops=None):
    """One line of the table."""
    stacks = result["stacks"]
    ours = stacks.get(our_name(goal.kind, hops if our_hops is None else our_hops))
    peer = best_peer(stacks, [f"{p}@{hops}" for p in goal.peers], goal.key, goal.is_least)
    limit = limit_text(goal.limit, goal.stretch, goal.is_least, "×")
    figure = median(ours, goal.key)
    if figure is None or peer is None:
        lacking = "ours" if figure is None else " and ".join(goal.peers)
        return [goal.what, limit, number(figure), "/".join(goal.peers), "-", f"not measured ({lacking})", "-"]
    measured = ratios(ours, stacks[peer], goal.key)
    if not measured:
        return [goal.what, limit, number(figure), peer, "-", "not measured (no round has both)", "-"]
    ratio = statistics.median(measured)
    return [goal.what, limit, number(figure), f"{peer}: {number(median(stacks[peer], goal.key))}", spread(measured),
            verdict(ratio, goal.limit, goal.stretch, goal.is_least), same_processes(stacks, goal, ours, hops)]


def same_processes(stacks, goal, ours, hops):
    """The ratio to a peer with as many processes as ours, where there is one."""
    peer = best_peer(stacks, [f"{p}@{hops + 1}" for p in goal.peers], goal.key, goal.is_least)
    measured = ratios(ours, stacks[peer], goal.key) if peer else []
    return f"{number(statistics.median(measured))}× {peer}" if measured else "-"


def spread(measured):
    middle = f"{number(statistics.median(measured))}×"
    return f"{middle} ({number(min(measured))} to {number(max(measured))})" if len(measured) > 1 else middle


def remembered(result, what, kind, roles, limit, stretch):
    """The line of a memory goal; of several processes the largest counts."""
    stack = result["stacks"].get(f"{kind}@{HOPS}")
    text = limit_text(limit, stretch, True, " B")
    if not stack or not stack["idle"]:
        return [f"idle connection, {what}", text, "-", "-", "-", "not measured (ours)", "-"]
    size = max(b for b, role in zip(stack["idle"]["idle_bytes_by_process"], stack["roles"]) if role in roles)
    return [f"idle connection, {what}", text, f"{number(size)} B", "-", "-", verdict(size, limit, stretch, True), "-"]


def not_lost(result, size):
    """The line of the loss goal."""
    key = f"udp{size}_offered_lost_percent"
    stacks, title = result["stacks"], f"UDP, {HOPS} hops, {size} B, lost of 40,000/s offered, %"
    lost, peer = median(stacks.get(f"{UDP}@{HOPS}"), key), median(stacks.get(f"nginx-udp@{HOPS}"), key)
    if lost is None:
        return [title, "0 %", "-", "-", "-", "not measured (ours)", "-"]
    outcome = "**missed**" if lost > 0 else "met"
    return [title, "0 %", number(lost), f"nginx-udp@{HOPS}: {number(peer)}", "-", outcome, "-"]


def flow_remembered(result):
    """The line of the memory goal of flows; of several hops the largest counts."""
    title, text = "idle UDP flow, a hop", limit_text(UDP_FLOW_BYTES, None, True, " B")
    stack = result["stacks"].get(f"{UDP}@{HOPS}")
    idle = stack.get("udp_idle") if stack else None
    if not idle:
        return [title, text, "-", "-", "-", "not measured (ours)", "-"]
    size = max(b for b, role in zip(idle["bytes_by_process"], stack["roles"]) if role in ("middle", "exit"))
    return [title, text, f"{number(size)} B", "-", "-", verdict(size, UDP_FLOW_BYTES, None, True), "-"]


# ---- the cost of one more hop ----

def hop_cost(result, kind, hops, what):
    return median(result["stacks"].get(f"{kind}@{hops}"), f"{what}_cpu_s_per_gb")


def middle_costs(stack, what):
    """CPU-s/GB of one middle hop's process, in each round."""
    found = []
    if not stack:
        return found
    for by_process in values(stack, f"{what}_cpu_s_per_gb_by_process"):
        middle = [cost for cost, role in zip(by_process or [], stack["roles"]) if role == "middle"]
        found.append(statistics.mean(middle) if middle else None)
    return found


def middle_cost(result, kind, hops, what):
    found = [c for c in middle_costs(result["stacks"].get(f"{kind}@{hops}"), what) if c is not None]
    return statistics.median(found) if found else None


def same_cost(result, what, name):
    """One more middle hop, with against without payload encryption."""
    sealed, plain = (middle_costs(result["stacks"].get(f"{kind}@5"), what) for kind in (SEALED, PLAIN))
    measured = [a / b for a, b in zip(sealed, plain) if a is not None and b]
    title = f"one more middle hop, encrypted ÷ header-only, {name}, CPU-s/GB"
    limit = f"1× (judged: ≤ {SAME_COST}×)"
    if not measured:
        return [title, limit, "-", "-", "-", "not measured (ours)", "-"]
    return [title, limit, number(middle_cost(result, SEALED, 5, what)),
            f"header-only: {number(middle_cost(result, PLAIN, 5, what))}", spread(measured),
            verdict(statistics.median(measured), SAME_COST, None, True), "-"]


HEADER = ("figure", "goal", "ours", "against", "ratio (range)", "verdict", "same number of processes")


def judge(result):
    """Every goal as a dict with the members of HEADER."""
    lines = [compared(result, goal) for goal in all_goals()]
    lines += [remembered(result, *memory) for memory in MEMORY]
    lines += [same_cost(result, what, name) for what, name in BULK.items()]
    for hops in (HOPS, 1):
        lines += [compared(result, goal, hops) for goal in udp_goals(hops)]
    lines += [compared(result, goal, 1, our_hops) for goal, our_hops in ingress_goals()]
    lines += [not_lost(result, size) for size in UDP_SIZES] + [flow_remembered(result)]
    return [dict(zip(HEADER, line)) for line in lines]


def lacks(unseen):
    """What could not be measured, one line for each thing that was missing."""
    by_lack = {}
    for goal in unseen:
        by_lack.setdefault(goal["verdict"].removeprefix("not measured").strip(" ()"), []).append(goal["figure"])
    return "\n".join(f"* not measured, for want of {lack}: {len(figures)} figures ({figures[0]}"
                     f"{' and others' if len(figures) > 1 else ''})" for lack, figures in by_lack.items())


def render(result):
    judged = judge(result)
    seen = [g for g in judged if not g["verdict"].startswith("not measured")]
    unseen = [g for g in judged if g not in seen]
    missed = sum("missed" in g["verdict"] for g in seen)
    parts = [f"## Goals, at {HOPS} hops where nothing else is said",
             f"{len(seen) - missed} met, {missed} missed, {len(unseen)} not measured.",
             table(HEADER, [g.values() for g in seen]) if seen else "", lacks(unseen), render_one_hop(result)]
    return "\n\n".join(part for part in parts if part)


def render_one_hop(result):
    """The same ratios at 1 hop, where no goal is set."""
    lines = [dict(zip(HEADER, compared(result, goal, hops=1))) for goal in all_goals()]
    columns = [name for name in HEADER if name not in ("goal", "verdict")]
    seen = [[line[c] for c in columns] for line in lines if not line["verdict"].startswith("not measured")]
    return f"## The same ratios at 1 hop\n\n{table(columns, seen)}" if seen else ""
