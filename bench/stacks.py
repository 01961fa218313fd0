"""The stacks that are compared: which processes stand between client and origin, and how each is configured.

A hop of ours is one process, and access is one more before the first hop: "ours at 3 hops" is 4 processes.
haproxy and nginx therefore stand here with 3 and with 4 processes. A link of stunnel or shadowsocks needs two
processes (its client and its server), so 3 hops of them are 3 pairs, 6 processes.
"""
import json
import os
import resource
import shutil
import subprocess
from dataclasses import dataclass, field

PORTS_PER_STACK = 32
FIRST_PORT = 7000
OURS = "ours-"
FDS = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
CONNECTIONS = max(200, min(6000, (FDS - 500) // 3))  # what a peer is configured for: 2 sockets each, and pipes
IDLE_CONNECTIONS = min(5000, CONNECTIONS - 100)
SS_FLOWS = 400  # it keeps no more than 512
NGINX_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


@dataclass
class Process:
    role: str  # as the report names it: access, middle, exit, proxy, client, server
    port: int
    argv: list
    is_udp: bool = False  # it is up when its UDP port is there


@dataclass
class Stack:
    """One thing that is measured; build(site) returns its processes, the one nearest to the client first."""
    kind: str
    hops: int
    build: object = None
    programs: list = field(default_factory=list)  # without them it is skipped
    is_encrypted: bool = False
    idle_connections: int = IDLE_CONNECTIONS
    idle_flows: int = 2000
    measures: tuple = ("bulk", "rate", "ping", "idle")
    greeting: str = None  # "socks5", "http": the client tells the first process where to

    @property
    def name(self):
        return f"{self.kind}@{self.hops}" if self.hops else self.kind

    def missing(self):
        return [p for p in self.programs if not (os.path.exists(p) or shutil.which(p))]


class Site:
    """Where one stack is put up: a folder, ports, the folder with our programs and the run's certificate."""

    def __init__(self, folder, index, shared):
        self.folder, self.shared = folder, shared
        self.base = FIRST_PORT + index * PORTS_PER_STACK
        self.origin = self.base + PORTS_PER_STACK - 1

    def ports(self, n):
        """The n listening ports along the chain, and the origin's."""
        return [self.base + i for i in range(n)] + [self.origin]

    def inner(self, i):
        """The port between the two processes of pair i."""
        return self.base + PORTS_PER_STACK // 2 + i

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        return path


# ---- ours ----

def ours(programs, hops, payload, is_udp=False, scheme=None):
    """@scheme: its clients say where to; with no hops, access goes there itself."""
    access, hop, chain = (os.path.join(programs, p) for p in ("access", "hop", "chain"))

    def build(site):
        ports = site.ports(hops + 1)
        processes, steps = [], []
        for i, port in enumerate(ports[1:-1], 1):
            key = os.path.join(site.folder, f"hop{i}.key")
            subprocess.run([chain, "keygen", "-o", key], check=True, stdout=subprocess.DEVNULL)
            steps.append({"addr": f"127.0.0.1:{port}", "key_file": key})
            processes.append(Process("exit" if i == hops else "middle", port, [
                hop, "--listen", f"127.0.0.1:{port}", "--user", f"bench,{key}", "--allow", "loopback",
                "--log-level", "notice"], is_udp))
        if not hops:
            listen = {"addr": f"127.0.0.1:{ports[0]}", "type": scheme, "chain": "direct"}
            file = site.write("access.json", json.dumps({
                "listen": [listen], "chains": {}, "log": {"level": "notice"}}))
            return [Process("access", ports[0], [access, "--config", file])]
        spec = {"hops": steps}
        if not scheme:
            spec["target"] = f"127.0.0.1:{site.origin}"
        if payload == "header-only":
            spec["payload"] = payload
        if is_udp:
            spec["udp"] = "datagram"
        file = site.write("chain.json", json.dumps(spec))
        prefix = "udp://" if is_udp else f"{scheme}://" if scheme else ""
        return [Process("access", ports[0], [
            access, "--listen", f"{prefix}127.0.0.1:{ports[0]}", "--chain", file, "--log-level", "notice"], is_udp),
            *processes]

    return build


def ours_stacks(programs, prefix, hops):
    needs = [os.path.join(programs, p) for p in ("access", "hop", "chain")]
    for payload in ("header-only", "encrypted"):
        for n in hops:
            measures = ("bulk",) if n > 3 else Stack.measures
            yield Stack(prefix + payload, n, ours(programs, n, payload), needs, payload == "encrypted",
                        measures=measures)


def ours_udp_stack(programs, prefix, n):
    needs = [os.path.join(programs, p) for p in ("access", "hop", "chain")]
    return Stack(prefix + "udp", n, ours(programs, n, "encrypted", is_udp=True), needs, True, measures=("udp",))


# ---- one process per hop ----

HAPROXY = """global
 maxconn {connections}
 nbthread 1
 tune.pipesize 1048576
defaults
 mode tcp
 option splice-request
 option splice-response
 timeout connect 5s
 timeout client 120s
 timeout server 120s
listen hop
 bind 127.0.0.1:{port}
 server next 127.0.0.1:{next_port}
"""

NGINX = """load_module {module};
daemon off;
master_process off;
pid {folder}/nginx{i}.pid;
error_log {folder}/nginx{i}.log crit;
events {{ worker_connections {connections}; }}
stream {{
 server {{ listen 127.0.0.1:{port} {listen}; proxy_pass 127.0.0.1:{next_port}; proxy_timeout 120s; }}
}}
"""


def haproxy(hops):
    def build(site):
        ports = site.ports(hops)
        for i, port in enumerate(ports[:-1]):
            conf = HAPROXY.format(connections=CONNECTIONS, port=port, next_port=ports[i + 1])
            yield Process("proxy", port, ["haproxy", "-db", "-f", site.write(f"haproxy{i}.cfg", conf)])
    return build


def nginx(hops, is_udp=False):
    listen = "udp reuseport rcvbuf=4m sndbuf=4m" if is_udp else "backlog=4096"

    def build(site):
        ports = site.ports(hops)
        for i, port in enumerate(ports[:-1]):
            conf = NGINX.format(module=NGINX_MODULE, folder=site.folder, i=i, connections=3 * CONNECTIONS, port=port,
                                listen=listen, next_port=ports[i + 1])
            yield Process("proxy", port, ["nginx", "-p", site.folder, "-c", site.write(f"nginx{i}.conf", conf)], is_udp)
    return build


# ---- a pair of processes per hop ----

STUNNEL = """foreground = yes
pid =
debug = err
syslog = no
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
ciphersuites = TLS_AES_256_GCM_SHA384
[hop]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{next_port}
{more}
"""


def stunnel(hops):
    def build(site):
        ports = site.ports(hops)
        for i, port in enumerate(ports[:-1]):
            inner = site.inner(i)
            client = STUNNEL.format(port=port, next_port=inner, more="client = yes")
            server = STUNNEL.format(port=inner, next_port=ports[i + 1], more=f"cert = {certificate(site.shared)}")
            yield Process("client", port, ["stunnel4", site.write(f"client{i}.conf", client)])
            yield Process("server", inner, ["stunnel4", site.write(f"server{i}.conf", server)])
    return build


def certificate(folder):
    """A self-signed P-256 certificate with its key, made once per run."""
    both = os.path.join(folder, "stunnel.pem")
    if not os.path.exists(both):
        done = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", "/CN=bench", "-keyout", "-"],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        with open(os.open(both, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
            f.write(done.stdout)
    return both


def shadowsocks(hops, is_udp=False):
    common = ["-k", "bench", "-m", "aes-256-gcm", "--no-delay", "-t", "120", "-n", str(min(FDS, 3 * CONNECTIONS)),
              *(["-U"] if is_udp else [])]

    def build(site):
        ports = site.ports(hops)
        for i, port in enumerate(ports[:-1]):
            inner = site.inner(i)
            yield Process("client", port, [
                "ss-tunnel", "-s", "127.0.0.1", "-p", str(inner), "-b", "127.0.0.1", "-l", str(port),
                "-L", f"127.0.0.1:{ports[i + 1]}", *common], is_udp)
            yield Process("server", inner, ["ss-server", "-s", "127.0.0.1", "-p", str(inner), *common], is_udp)
    return build


# ---- all of them ----

def all_stacks(programs, compare=None):
    """In the order in which they run: what is compared with each other stands close together in time."""
    stacks = [Stack("direct", 0, lambda site: [], measures=(*Stack.measures, "udp"))]
    stacks += ours_stacks(programs, OURS, (1, 3, 5))
    if compare:
        stacks += ours_stacks(compare, "base-", (1, 3))
    for n in (1, 2, 3, 4):
        measures = Stack.measures if n in (1, 3) else ("bulk", "rate", "ping")
        stacks.append(Stack("haproxy", n, haproxy(n), ["haproxy"], measures=measures))
        stacks.append(Stack("nginx", n, nginx(n), ["nginx", NGINX_MODULE], measures=measures))
    for n in (1, 3):
        stacks.append(Stack("stunnel", n, stunnel(n), ["stunnel4", "openssl"], True, idle_connections=500))
        stacks.append(Stack("shadowsocks", n, shadowsocks(n), ["ss-tunnel", "ss-server"], True))
    return sorted(stacks, key=lambda s: s.hops) + sorted(udp_stacks(programs, compare), key=lambda s: s.hops)


def udp_stacks(programs, compare):
    """Of those above, what can carry datagrams."""
    for n in (1, 3):
        yield ours_udp_stack(programs, OURS, n)
        if compare:
            yield ours_udp_stack(compare, "base-", n)
        yield Stack("shadowsocks-udp", n, shadowsocks(n, is_udp=True), ["ss-tunnel", "ss-server"], True,
                    idle_flows=SS_FLOWS, measures=("udp",))
    for n in (1, 2, 3, 4):
        yield Stack("nginx-udp", n, nginx(n, is_udp=True), ["nginx", NGINX_MODULE], measures=("udp",))
