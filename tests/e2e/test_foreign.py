"""Other people's proxies as steps of a chain: microsocks, dante, tinyproxy; before, between, behind and without hops."""
import json
import shutil
import socket
import subprocess
import threading

import pytest

from tests.e2e.harness import Process, program, until

GREETING = b"220 hello\r\n"
LOGIN = {"user": "me", "password": "s3cret"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def is_up(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def start(world, name, *args):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        pytest.skip("%s is not installed" % name)
    return world.add(Process([path, *args]))


def write(world, name, text):
    path = world.path(name)
    with open(path, "w") as f:
        f.write(text)
    return path


def microsocks(world, login=None):
    port = free_port()
    start(world, "microsocks", "-i", "127.0.0.1", "-p", str(port), *(("-u", login["user"], "-P", login["password"]) if login else ()))
    return "socks5", port


def dante(world, login=None, rules=""):
    port = free_port()
    config = write(world, "danted%d.conf" % port, """
logoutput: stderr
internal: 127.0.0.1 port = %d
external: lo
clientmethod: none
socksmethod: none
client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
%s
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 protocol: tcp }
""" % (port, rules))
    start(world, "danted", "-f", config, "-p", world.path("danted%d.pid" % port))
    return "socks5", port


def tinyproxy(world, login=None, filters=""):
    port = free_port()
    config = write(world, "tinyproxy%d.conf" % port, """
Port %d
Listen 127.0.0.1
Timeout 60
MaxClients 20
%s
%s
""" % (port, "BasicAuth %(user)s %(password)s" % login if login else "", filters))
    start(world, "tinyproxy", "-d", "-c", config)
    return "http", port


PEERS = {"microsocks": microsocks, "dante": dante, "tinyproxy": tinyproxy}


def step(world, peer, login=None):
    kind, port = peer
    until(lambda: is_up(port), what="port %d" % port)
    entry = {"type": kind, "addr": "127.0.0.1:%d" % port}
    if login:
        entry["user"] = login["user"]
        entry["password_file"] = write(world, "password%d" % port, login["password"] + "\n")
        subprocess.run(["chmod", "600", entry["password_file"]], check=True)
    return entry


def hop_step(hop):
    return {"addr": "127.0.0.1:%d" % hop.port(), "key_file": hop.key}


def chain_of(world, steps, **more):
    if not any("key_file" in s for s in steps):
        more["payload"] = "header-only"  # nothing can be sealed: that has to be said
    return write(world, "chain.json", json.dumps({"hops": steps, **more}))


def greet(connection):
    """Speaks first, then sends back what comes."""
    connection.sendall(GREETING)
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.close()


def connect(chain, target, data=b"ping"):
    return subprocess.run([program("chain"), "connect", "--chain", chain, target], input=data, capture_output=True, timeout=30)


def expect_through(world, steps, **more):
    """Standard input stays open until all is back: microsocks and tinyproxy know no half-closed connections."""
    origin = world.origin(greet)
    data = bytes(range(256)) * 2000
    argv = [program("chain"), "connect", "--chain", chain_of(world, steps, **more), "127.0.0.1:%d" % origin.port]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        feeder = threading.Thread(target=lambda: (client.stdin.write(data), client.stdin.flush()))
        feeder.start()
        back = client.stdout.read(len(GREETING) + len(data))
        feeder.join()
        client.kill()
        assert back == GREETING + data, client.stderr.read()


WAYS = ["P", "PH", "PHH", "HP", "HHP", "HPH", "PP", "HPPH", "PHP"]
CASES = [(way, peer, {}) for way in WAYS for peer in PEERS] + \
    [(way, "microsocks", {"payload": "header-only"}) for way in WAYS if "H" in way]


@pytest.mark.parametrize("way,peer,more", CASES)
def test_every_place_in_a_chain(world, way, peer, more):
    hops = iter(world.hops(way.count("H")))
    steps = [hop_step(next(hops)) if c == "H" else step(world, PEERS[peer](world)) for c in way]
    expect_through(world, steps, **more)


def test_half_closed_connections_where_the_proxy_knows_them(world):
    hop, = world.hops(1)
    origin = world.origin(greet)
    for steps in ([step(world, dante(world)), hop_step(hop)], [hop_step(hop), step(world, dante(world))]):
        done = connect(chain_of(world, steps), "127.0.0.1:%d" % origin.port)
        assert done.returncode == 0 and done.stdout == GREETING + b"ping", done.stderr


def test_different_ones_in_a_row(world):
    first, last = world.hops(2)
    expect_through(world, [step(world, tinyproxy(world)), hop_step(first), step(world, dante(world)),
                           step(world, microsocks(world)), hop_step(last)])


@pytest.mark.parametrize("peer", ["microsocks", "tinyproxy"])
@pytest.mark.parametrize("way", ["P", "PH", "HP"])
def test_login(world, way, peer):
    hops = iter(world.hops(way.count("H")))
    steps = [hop_step(next(hops)) if c == "H" else step(world, PEERS[peer](world, LOGIN), LOGIN) for c in way]
    expect_through(world, steps)


@pytest.mark.parametrize("peer", ["microsocks", "tinyproxy"])
@pytest.mark.parametrize("login", [None, {"user": "me", "password": "wrong"}], ids=["none", "wrong"])
def test_login_refused(world, peer, login):
    hop, = world.hops(1)
    proxy = step(world, PEERS[peer](world, LOGIN), login)
    done = connect(chain_of(world, [hop_step(hop), proxy]), "127.0.0.1:1")
    assert done.returncode == 7
    kind = proxy["type"]
    assert ("hop 2 (%s, %s): login-refused: it %s" % (proxy["addr"], kind, "wants a login" if login is None else
                                                      "refused our login")).encode() in done.stderr
    assert b"s3cret" not in done.stderr and b"wrong" not in done.stderr


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("way", ["P", "HP"])
def test_target_refused(world, way, peer):
    hops = iter(world.hops(way.count("H")))
    steps = [hop_step(next(hops)) if c == "H" else step(world, PEERS[peer](world)) for c in way]
    target = "127.0.0.1:%d" % free_port()
    done = connect(chain_of(world, steps), target)
    assert done.returncode == 8, done.stderr
    assert ("asked for %s it said: " % target).encode() in done.stderr
    if steps[-1]["type"] == "socks5":
        assert b"refused: asked for" in done.stderr and b"connection refused (5)" in done.stderr


def test_denied_by_its_rules(world):
    port = free_port()
    proxy = step(world, dante(world, rules="socks block { from: 0.0.0.0/0 to: 127.0.0.1/32 port = %d }" % port))
    done = connect(chain_of(world, [proxy]), "127.0.0.1:%d" % port)
    assert done.returncode == 8
    assert b"denied-policy" in done.stderr and b"not allowed by its rules (2)" in done.stderr


def test_a_later_hop_cannot_be_reached(world):
    hop, = world.hops(1)
    gone = {"addr": "127.0.0.1:%d" % free_port(), "key_file": hop.key}
    done = connect(chain_of(world, [step(world, microsocks(world)), gone]), "127.0.0.1:1")
    assert done.returncode == 6, done.stderr
    assert b"hop 1 (" in done.stderr and b"connection refused (5)" in done.stderr


@pytest.mark.parametrize("place", [0, 1])
def test_dead_proxy(world, place):
    hop, = world.hops(1)
    steps = [hop_step(hop)]
    steps.insert(place, {"type": "socks5", "addr": "127.0.0.1:%d" % free_port()})
    done = connect(chain_of(world, steps), "127.0.0.1:1")
    assert done.returncode == (5 if place == 0 else 6), done.stderr


# ---- peers that are none ----


def script(world, handler):
    return world.origin(handler).port


def read_then(answer):
    def handler(connection):
        connection.recv(65536)
        connection.sendall(answer)
        connection.recv(65536)
        connection.close()
    return handler


@pytest.mark.parametrize("kind,answer,words", [
    ("http", b"SSH-2.0-OpenSSH_9.2p1\r\n", 'its first bytes were "SSH-2.0-OpenSSH_'),
    ("socks5", b"HTTP/1.1 400 Bad Request\r\n\r\n", "what it answered is not socks5"),
    ("socks5", b"\x05\x01", "what it answered is not socks5"),
    ("http", b"HTTP/1.1 200 OK\nA: b\n\n", "its first bytes were"),
])
def test_not_a_proxy(world, kind, answer, words):
    port = script(world, read_then(answer))
    done = connect(chain_of(world, [{"type": kind, "addr": "127.0.0.1:%d" % port}]), "127.0.0.1:1")
    assert done.returncode == 7
    assert b"not-a-proxy" in done.stderr and words.encode() in done.stderr


@pytest.mark.parametrize("kind", ["socks5", "http"])
def test_silence_has_an_end(world, kind):
    event = threading.Event()
    port = script(world, lambda connection: event.wait(20))
    done = connect(chain_of(world, [{"type": kind, "addr": "127.0.0.1:%d" % port}], timeouts={"connect": "1s"}), "127.0.0.1:1")
    event.set()
    assert done.returncode == 7
    assert b"no-answer: connected, but it did not answer within 1" in done.stderr


@pytest.mark.parametrize("kind", ["socks5", "http"])
def test_closed_at_once(world, kind):
    port = script(world, lambda connection: connection.close())
    done = connect(chain_of(world, [{"type": kind, "addr": "127.0.0.1:%d" % port}]), "127.0.0.1:1")
    assert done.returncode == 7
    assert b"no-answer: connected, but it closed before its answer" in done.stderr


def test_payload_in_the_segment_of_the_answer(world):
    """What a target says first may come together with the proxy's word: it belongs to the stream."""
    def handler(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n" + GREETING)
        while connection.recv(65536):
            pass
        connection.close()
    port = script(world, handler)
    done = connect(chain_of(world, [{"type": "http", "addr": "127.0.0.1:%d" % port}]), "127.0.0.1:1", b"")
    assert done.returncode == 0 and done.stdout == GREETING


# ---- flows, probes ----


def test_datagrams_go_in_a_stream_to_the_last_hop(world):
    last, = world.hops(1)
    chain = chain_of(world, [step(world, microsocks(world)), hop_step(last)])
    target = world.udp_origin()
    access = world.udp_access(chain, "127.0.0.1:%d" % target.port)
    client = world.udp_client(access.port())
    client.settimeout(10)
    client.send(b"hello")
    assert client.recv(2048) == b"hello"


def test_no_datagrams_where_a_foreign_proxy_is_last(world):
    chain = chain_of(world, [step(world, microsocks(world))])
    done = subprocess.run([program("chain"), "connect", "--udp", "--chain", chain, "127.0.0.1:1"], input=b"x", capture_output=True, timeout=30)
    assert done.returncode != 0
    assert b"unsupported" in done.stderr and b"carries TCP connections only" in done.stderr


def test_trace(world):
    hop, = world.hops(1)
    origin = world.origin(greet)
    chain = chain_of(world, [step(world, microsocks(world)), step(world, tinyproxy(world)), hop_step(hop)])
    done = subprocess.run([program("chain"), "trace", "--chain", chain, "--json", "-c", "2", "127.0.0.1:%d" % origin.port],
                          capture_output=True, timeout=30, check=True)
    assert b"socks5: foreign, not encrypted" in done.stdout and b"http: foreign, not encrypted" in done.stdout
    assert b'"lost": 2' not in done.stdout, done.stdout


def test_warm_connections_behind_a_foreign_step(world):
    hop, = world.hops(1)
    origin = world.origin(greet)
    hop.wait_log("listening addr=")
    before = hop.n_fds()
    chain = chain_of(world, [step(world, microsocks(world)), {**hop_step(hop), "pool": 3}])
    access = world.access(chain, "--to", "127.0.0.1:%d" % origin.port)
    until(lambda: hop.n_fds() == before + 3, what="warm connections")
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", access.port()), 10) as s:
            assert s.recv(64) == GREETING
