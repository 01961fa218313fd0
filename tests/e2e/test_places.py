"""Listeners that are no ports: socket files, and what systemd passes."""
import json
import os
import signal
import socket
import stat
import subprocess

import pytest

from harness import Process, program, until


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.sendall(b"end")


def exchange(path, data=b"hello"):
    """What comes back from the echo behind the socket file at @path, until the end."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        parts = []
        while part := s.recv(65536):
            parts.append(part)
        return b"".join(parts)


@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_socket_file_is_served_and_goes_with_the_server(world, workers):
    origin = world.origin(echo)
    path = world.path("socks")
    access = world.access(world.chain(world.hops(2), origin.addr), "--workers", workers, listen="unix:" + path)
    access.wait_log("listening addr=unix:%s transport=tcp " % path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    data = os.urandom(1 << 20)
    for _ in range(10):
        assert exchange(path, data) == data + b"end"
    access.wait_log("closed .*from=unix target=")
    access.signal(signal.SIGTERM)
    assert access.wait() == 0
    assert not os.path.exists(path)


def test_a_proxy_at_a_socket_file(world):
    origin = world.origin(echo)
    path = world.path("proxy")
    world.access(world.chain(world.hops(1)), listen="unix:" + path).wait_log("listening")
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall(b"CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n" % origin.addr.encode())
        assert s.recv(1024).startswith(b"HTTP/1.1 200 ")
        s.sendall(b"through")
        assert s.recv(1024) == b"through"


def test_who_is_there_already(world):
    chain = world.chain(world.hops(1), "127.0.0.1:9")
    path = world.path("s")
    first = world.access(chain, listen="unix:" + path)
    first.wait_log("listening")
    command = [program("access"), "--listen", "unix:" + path, "--chain", chain]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert second.returncode == 4
    assert "access: cannot listen on unix:%s: address in use by access (pid %d)\n" % (path, first.pid) in second.stderr
    first.signal(signal.SIGKILL)
    first.wait()
    assert os.path.exists(path)
    third = world.access(chain, listen="unix:" + path)
    third.wait_log("listening")
    third.signal(signal.SIGTERM)
    third.wait()
    world.dir.joinpath("s").write_text("precious")
    last = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert last.returncode == 4
    assert "unix:%s: something that is no socket is there already\n" % path in last.stderr
    assert world.dir.joinpath("s").read_text() == "precious"


def test_a_hop_at_a_socket_file_accepts_and_leaves(world):
    path = world.path("hop")
    hop = world.hop(world.key(), listen="unix:" + path)
    hop.wait_log("listening addr=unix:" + path)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(200))
        hop.wait_log("unknown|stranger|rejected|bad")
    hop.signal(signal.SIGTERM)
    hop.wait()
    assert not os.path.exists(path)


class Passed(Process):
    """access with @sockets passed as systemd passes them; @names: one for each."""

    def __init__(self, sockets, names, *args):
        self.kept = [socket.socket(fileno=os.dup(s.fileno())) for s in sockets]
        high = [os.dup(s.fileno()) for s in sockets]

        def pass_sockets():
            moved = [os.dup2(fd, 100 + i) for i, fd in enumerate(high)]
            for i, fd in enumerate(moved):
                os.dup2(fd, 3 + i, inheritable=True)
                os.close(fd)

        n = len(sockets)
        shell = 'LISTEN_PID=$$ LISTEN_FDS=%d LISTEN_FDNAMES=%s exec "$@"' % (n, ":".join(names))
        # the descriptors beyond 2 are closed by Popen unless it is told not to; those not passed are close-on-exec
        original = subprocess.Popen

        def popen(*a, **k):
            return original(*a, close_fds=False, **k)

        subprocess.Popen = popen
        try:
            super().__init__(["sh", "-c", shell, "sh", program("access"), *args], preexec=pass_sockets)
        finally:
            subprocess.Popen = original
        for fd in high:
            os.close(fd)

    def end(self):
        super().end()
        for s in self.kept:
            s.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_systemd_passes_several_sockets_under_one_name(world, workers):
    origin, udp = world.origin(echo), world.udp_origin()
    path = world.path("activated")
    file = socket.socket(socket.AF_UNIX)
    file.bind(path)
    file.listen()
    tcp = socket.create_server(("127.0.0.1", 0))
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    config = world.path("access.json")
    hops = world.hops(2)
    world.chain(hops)
    chain = world.path("chain.json")
    with open(config, "w") as f:
        f.write('{"listen": [{"addr": "systemd:web", "to": "%s", "type": "tcp"},'
                '{"addr": "systemd:dns", "to": "%s"}], "chains": {"c": {"file": "%s"}}}'
                % (origin.addr, udp.addr, chain))
    access = world.add(Passed([tcp, file, datagrams], ["web", "web", "dns"], "--config", config, "--workers", workers))
    access.wait_log("listening addr=systemd:dns")
    for _ in range(20):
        assert exchange(path) == b"helloend"
        with socket.create_connection(tcp.getsockname(), 10) as s:
            s.sendall(b"x")
            assert s.recv(10) == b"x"
    client = world.udp_client(datagrams.getsockname()[1])
    for i in range(20):
        client.send(b"datagram %d" % i)
        assert client.recv(100) == b"datagram %d" % i
    access.signal(signal.SIGTERM)
    assert access.wait() == 0
    assert os.path.exists(path), "it is systemd's"
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)  # waits for who comes next
    for s in (file, tcp, datagrams):
        s.close()


def test_a_name_that_systemd_did_not_pass(world):
    chain = world.chain(world.hops(1), "127.0.0.1:9")
    s = socket.create_server(("127.0.0.1", 0))
    access = world.add(Passed([s, s], ["web", "mail"], "--listen", "systemd:ftp", "--chain", chain))
    assert access.wait() == 4
    access.wait_log('access: cannot listen on systemd:ftp: systemd passed no socket named "ftp"; it passed: web, mail$')
    plain = subprocess.run([program("access"), "--listen", "systemd:ftp", "--chain", chain], capture_output=True,
                           text=True, timeout=20)
    assert plain.returncode == 4
    assert 'systemd passed no socket named "ftp"; it passed: nothing\n' in plain.stderr
    s.close()


@pytest.mark.parametrize("kind", ["access", "hop"])
def test_a_reload_changes_the_mode_of_a_socket_file(world, kind):
    path, file = world.path("place"), world.path("reloaded.json")

    def write(mode, **more):
        listen = dict({"addr": "unix:" + path, "mode": mode}, **more)
        with open(file, "w") as f:
            json.dump({"listen": [listen], "users": [{"name": "me", "key_file": key}]} if kind == "hop" else
                      {"listen": [listen], "chains": {"c": {"file": chain}}}, f)

    key, chain = world.key(), world.chain(world.hops(1))
    write("0660")
    server = world.add(Process([program(kind), "--config", file]))
    server.wait_log("listening addr=unix:")
    inode = os.stat(path).st_ino
    write("0600", **({"udp": False} if kind == "hop" else {}))  # "udp" is nothing to a socket file
    server.signal(signal.SIGHUP)
    server.wait_log("reloaded listeners=.*=1")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600 and os.stat(path).st_ino == inode


def test_whom_nobody_should_let_in(world):
    """Message 20 names what is reached; who believes any source's PROXY header lets anybody in."""
    chain = world.chain(world.hops(1))
    done = subprocess.run([program("access"), "--listen", "systemd:socks", "--from", "any", "--chain", chain],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 3 and "anyone who reaches systemd:socks could use your chain" in done.stderr
    for more, rc in ({}, 3), ({"open": True}, 0), ({"proxy_protocol": ["loopback"]}, 0):
        listen = dict({"addr": "127.0.0.1:1080", "proxy_protocol": ["any"]}, **more)
        with open(world.path("a.json"), "w") as f:
            json.dump({"listen": [listen], "chains": {"c": {"file": chain}}}, f)
        done = subprocess.run([program("access"), "check", world.path("a.json")], capture_output=True, text=True, timeout=20)
        assert done.returncode == rc, done.stderr
        assert rc == 0 or ("/listen/0 lets any source say who it is, without users: anyone who reaches port 1080 could "
                           "use your chain") in done.stderr


@pytest.mark.parametrize("listen, message", [
    ("unix:relative", '"unix:relative" needs an absolute path of at most 107 bytes: "unix:/PATH"'),
    ("unix:/" + "x" * 107, "needs an absolute path of at most 107 bytes"),
    ("systemd:", '"systemd:" needs the name of a socket unit'),
    ("udp://unix:/tmp/x", "it takes connections, not datagrams"),
    ("redirect://unix:/tmp/x", "--listen redirect://unix:/tmp/x: what rules of the kernel redirect comes to a port"),
    ("tproxy://stdio", "what rules of the kernel redirect comes to a port"),
    ("tproxy://systemd:x", "what rules of the kernel redirect comes to a port"),
])
def test_what_is_wrong_with_a_place(world, listen, message):
    chain = world.chain(world.hops(1), "127.0.0.1:9")
    result = subprocess.run([program("access"), "--listen", listen, "--chain", chain], capture_output=True, text=True,
                            timeout=20)
    assert result.returncode == 2
    assert message in result.stderr


def test_a_client_of_a_failed_chain_hears_an_end(world):
    """There are no resets on unix sockets."""
    path = world.path("s")
    access = world.access(world.chain(world.hops(1), "127.0.0.1:1"), listen="unix:" + path)
    access.wait_log("listening")
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        assert s.recv(10) == b""
    until(lambda: "failed conn=" in access.log(), 10, "the failure is logged")


@pytest.mark.parametrize("kind", ["pipes", "file", "socket"])
def test_stdio_is_one_connection(world, kind):
    origin = world.origin(echo)
    argv = [program("access"), "--listen", "stdio", "--to", origin.addr, "--chain", world.chain(world.hops(2))]
    data = os.urandom(3 << 20)
    if kind == "pipes":
        done = subprocess.run(argv, input=data, capture_output=True, timeout=30)
        assert (done.returncode, done.stdout) == (0, data + b"end"), done.stderr[-500:]
        assert b"end=" in done.stderr
        return
    if kind == "file":
        world.dir.joinpath("in").write_bytes(data)
        with open(world.path("in"), "rb") as i, open(world.path("out"), "wb") as o:
            done = subprocess.run(argv, stdin=i, stdout=o, stderr=subprocess.PIPE, timeout=30)
        assert (done.returncode, world.dir.joinpath("out").read_bytes()) == (0, data + b"end"), done.stderr[-500:]
        return
    ours, theirs = socket.socketpair()  # as inetd does it
    with ours, subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        theirs.close()
        ours.settimeout(10)
        ours.sendall(b"hello")
        assert ours.recv(100) == b"hello"
        ours.shutdown(socket.SHUT_WR)
        assert ours.recv(100) == b"end"
        assert process.wait(10) == 0


def test_a_proxy_on_stdio_and_a_chain_that_fails(world):
    origin = world.origin(echo)
    chain = world.chain(world.hops(1))
    argv = [program("access"), "--listen", "stdio", "--chain", chain]
    request = b"CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n"
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as good:
        good.stdin.write(request % origin.addr.encode())
        good.stdin.flush()
        assert good.stdout.readline().startswith(b"HTTP/1.1 200 ")
        good.stdin.write(b"through")
        good.stdin.close()
        assert good.stdout.read().endswith(b"throughend")
        assert good.wait(10) == 0
    bad = subprocess.run(argv, input=request % b"127.0.0.1:1", capture_output=True, timeout=30)
    assert bad.returncode == 1 and bad.stdout.startswith(b"HTTP/1.1 502 "), bad.stderr
    two = subprocess.run([*argv, "--listen", ":0"], capture_output=True, text=True, timeout=30)
    assert two.returncode == 4
    assert "cannot listen on stdio: it is one connection of access, with no other listener" in two.stderr
