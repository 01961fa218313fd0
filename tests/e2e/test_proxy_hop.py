"""The PROXY protocol at hops: from load balancers in front of them, and to targets behind the last one."""
import json
import os
import shutil
import socket

import pytest

from harness import WAIT, Process, echo, program, receive_exactly, until

V1 = b"PROXY TCP4 10.9.8.7 10.0.0.1 4660 80\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def start_hop(world, name="hop.json", listen=None, user=None, addr="127.0.0.1:0", **more):
    key = world.key()
    config = dict({"listen": [dict({"addr": addr}, **(listen or {}))], "targets": {"allow": ["loopback"]},
                   "users": [dict({"name": "me", "key_file": key}, **(user or {}))]}, **more)
    world.dir.joinpath(name).write_text(json.dumps(config))
    hop = world.add(Process([program("hop"), "--config", world.path(name)]))
    hop.key = key
    hop.wait_log("listening addr=")
    return hop


def start_access(world, hops, to, listen=None, **chain):
    world.chain(hops, **chain)
    config = {"listen": [dict({"addr": "127.0.0.1:0", "to": to, "type": "tcp"}, **(listen or {}))],
              "chains": {"c": {"file": world.path("chain.json")}}}
    world.dir.joinpath("access.json").write_text(json.dumps(config))
    return world.add(Process([program("access"), "--config", world.path("access.json")]))


def start_haproxy(world, name, server, frontend=""):
    """A haproxy of one server. It is given the socket on which it listens: the port cannot be another's."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    path = world.dir / name
    path.write_text("defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n"
                    f"listen l\n bind fd@0 {frontend}\n server s {server}\n")
    proxy = world.add(Process(["haproxy", "-db", "-f", str(path)], preexec=lambda: os.dup2(listener.fileno(), 0)))
    listener.close()
    return proxy, port


class Recorder:
    """A target that keeps what comes first, and echoes."""
    def __init__(self, world):
        self.first = []
        self.origin = world.origin(self.serve)
        self.addr = self.origin.addr

    def serve(self, connection):
        data = connection.recv(65536)
        self.first.append(data)
        while data:
            connection.sendall(data)
            data = connection.recv(65536)


def header_of(client, target):
    ip, port = client
    to_ip, to_port = target.rsplit(":", 1)
    return (SIGNATURE + b"\x21\x11\x00\x0c" + socket.inet_aton(ip) + socket.inet_aton(to_ip)
            + port.to_bytes(2, "big") + int(to_port).to_bytes(2, "big"))


def ask(port, data=b"hello"):
    s = socket.create_connection(("127.0.0.1", port), WAIT)
    s.settimeout(WAIT)
    s.sendall(data)
    return s


# ---- in ----

def relay_with(header, hop):
    """One connection to @hop that begins with @header."""
    from threading import Thread
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(a, b):
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)

    def run():
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", hop.port()), WAIT)
        for byte in header:
            server.sendall(bytes([byte]))
        Thread(target=pump, args=(client, server), daemon=True).start()
        pump(server, client)
    Thread(target=run, daemon=True).start()
    return "127.0.0.1:%d" % listener.getsockname()[1]


@pytest.mark.parametrize("header", [V1, SIGNATURE + b"\x21\x11\x00\x0c" + socket.inet_aton("10.9.8.7") +
                                    socket.inet_aton("10.0.0.1") + b"\x12\x34\x00\x50"])
def test_the_hop_takes_the_client_that_is_named(world, header):
    hop = start_hop(world, listen={"proxy_protocol": ["loopback"]})
    origin = world.origin(echo)
    access = start_access(world, [(relay_with(header, hop), hop.key)], origin.addr)
    with ask(access.port()) as s:
        assert receive_exactly(s, 5) == b"hello"
    hop.wait_log("closed .*user=me from=10.9.8.7:4660 ")


def test_what_has_no_header_is_a_stranger(world):
    """Silence for what is no header, as for what is no request; with on_bad: reset, a reset."""
    hop = start_hop(world, listen={"proxy_protocol": ["loopback"]})
    rude = start_hop(world, "rude.json", listen={"proxy_protocol": ["loopback"]}, on_bad="reset")
    origin = world.origin(echo)
    with ask(hop.port(), b"GET / HTTP/1.1\r\n\r\n" * 20) as s:
        hop.wait_log("refused: no PROXY header from=127.0.0.1:.* why=malformed")
        s.settimeout(0.5)
        with pytest.raises(TimeoutError):
            s.recv(1)
        s.sendall(b"x")
    with ask(rude.port(), b"GET / HTTP/1.1\r\n\r\n") as s:
        with pytest.raises(ConnectionResetError):
            s.recv(1)
    # A client whose balancer says nothing is one, too.
    access = start_access(world, [hop], origin.addr)
    with ask(access.port()) as s:
        until(lambda: len([line for line in hop.log().splitlines() if "why=malformed" in line or "no PROXY" in line]) >= 1)


def test_limits_count_for_the_client_that_is_named(world):
    hop = start_hop(world, listen={"proxy_protocol": ["loopback"]}, limits={"connections_per_source": 1})
    with ask(hop.port(), V1), ask(hop.port(), V1.replace(b"10.9.8.7", b"10.9.8.8")):
        with ask(hop.port(), V1) as third:
            assert until_closed(third)
            hop.wait_log("connection limit reached from=10.9.8.7:4660")


def until_closed(s):
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_reload_changes_who_is_believed(world):
    hop = start_hop(world)
    origin = world.origin(echo)
    with ask(hop.port(), V1 + bytes(128)):
        hop.wait_log("rejected reason=unknown-key from=127.0.0.1:")
    path = world.dir / "hop.json"
    config = json.loads(path.read_text())
    config["listen"][0]["proxy_protocol"] = ["loopback"]
    path.write_text(json.dumps(config))
    hop.signal(1)
    hop.wait_log("reload.*listeners=")
    access = start_access(world, [(relay_with(V1, hop), hop.key)], origin.addr)
    with ask(access.port()) as s:
        assert receive_exactly(s, 5) == b"hello"
    hop.wait_log("closed .*user=me from=10.9.8.7:4660 ")


# ---- out ----

@pytest.mark.parametrize("chain", [{}, {"payload": "header-only"}])
@pytest.mark.parametrize("n_hops", [1, 3])
def test_the_target_hears_first_who_the_client_is(world, chain, n_hops):
    hops = [start_hop(world, f"hop{i}.json", user={"proxy_protocol": True}) for i in range(n_hops)]
    target = Recorder(world)
    access = start_access(world, hops, target.addr, {"send_proxy": True}, **chain)
    big = os.urandom(1 << 20)
    for _ in range(3):
        with ask(access.port(), b"") as s:
            wanted = header_of(s.getsockname(), target.addr)
            got = receive_exactly(s, len(wanted))
            assert got == wanted
            s.sendall(big[:1000])
            assert receive_exactly(s, 1000) == big[:1000]


def test_bulk_behind_the_header(world):
    """Spliced: not a byte is lost or overtakes the header."""
    hop = start_hop(world, user={"proxy_protocol": True})
    target = Recorder(world)
    access = start_access(world, [hop], target.addr, {"send_proxy": True}, payload="header-only")
    data = os.urandom(4 << 20)
    with ask(access.port(), b"") as s:
        from threading import Thread
        Thread(target=s.sendall, args=(data,), daemon=True).start()
        wanted = header_of(s.getsockname(), target.addr)
        assert receive_exactly(s, len(wanted) + len(data)) == wanted + data


@pytest.mark.parametrize("told, listed", [(True, False), (False, True)])
def test_no_header_unless_both_want_it(world, told, listed):
    hop = start_hop(world, user={"proxy_protocol": listed})
    target = Recorder(world)
    access = start_access(world, [hop], target.addr, {"send_proxy": told})
    with ask(access.port()) as s:
        assert receive_exactly(s, 5) == b"hello"
    assert target.first == [b"hello"]


def test_a_foreign_proxy_gets_no_header(world):
    """A hop before a foreign step connects to that proxy, not to the target."""
    hop = start_hop(world, user={"proxy_protocol": True})
    target = Recorder(world)
    world.chain(world.hops(1), name="foreign.json")
    proxy = world.access(world.path("foreign.json"), listen="socks5://127.0.0.1:0")
    world.dir.joinpath("chain.json").write_text(json.dumps({"hops": [
        {"addr": "127.0.0.1:%d" % hop.port(), "key_file": hop.key},
        {"type": "socks5", "addr": "127.0.0.1:%d" % proxy.port()}]}))
    config = {"listen": [{"addr": "127.0.0.1:0", "to": target.addr, "type": "tcp", "send_proxy": True}],
              "chains": {"c": {"file": world.path("chain.json")}}}
    world.dir.joinpath("access.json").write_text(json.dumps(config))
    access = world.add(Process([program("access"), "--config", world.path("access.json")]))
    with ask(access.port()) as s:
        assert receive_exactly(s, 5) == b"hello"
    assert target.first == [b"hello"]


# ---- haproxy ----

needs_haproxy = pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy")


@needs_haproxy
def test_haproxy_before_access_before_a_hop_and_as_the_target(world):
    """The client's own address goes all the way: balancer, access, hop behind a balancer, target that checks it."""
    target = Recorder(world)
    _, target_port = start_haproxy(world, "target.cfg", f"{target.addr} send-proxy", "accept-proxy")
    hop = start_hop(world, listen={"proxy_protocol": ["loopback"]}, user={"proxy_protocol": True})
    _, hop_port = start_haproxy(world, "hop.cfg", f"127.0.0.1:{hop.port()} send-proxy-v2")
    access = start_access(world, [(f"127.0.0.1:{hop_port}", hop.key)], f"127.0.0.1:{target_port}",
                          {"send_proxy": True, "proxy_protocol": ["loopback"]})
    _, port = start_haproxy(world, "access.cfg", f"127.0.0.1:{access.port()} send-proxy-v2")
    with ask(port) as s:
        own = s.getsockname()
        line = b"PROXY TCP4 %s 127.0.0.1 %d %d\r\n" % (own[0].encode(), own[1], target_port)
        assert receive_exactly(s, len(line) + 5) == line + b"hello"
    access.wait_log("closed .*from=127.0.0.1:%d " % own[1])
    hop.wait_log("closed .*user=me from=127.0.0.1:")
