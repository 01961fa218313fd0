"""Clients behind a load balancer: the PROXY protocol says who they are."""
import json
import socket

import pytest

from harness import Process, echo, program

V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + socket.inet_aton("10.9.8.7") + socket.inet_aton("10.0.0.1") + b"\x12\x34\x00\x50"


def start(world, proxies, **more):
    origin = world.origin(echo)
    world.chain(world.hops(1))
    config = {"listen": [dict({"addr": "127.0.0.1:0", "to": origin.addr, "type": "tcp", "proxy_protocol": proxies}, **more)],
              "chains": {"c": {"file": world.path("chain.json")}}}
    world.dir.joinpath("access.json").write_text(json.dumps(config))
    return world.add(Process([program("access"), "--config", world.path("access.json")]))


def talk(port, data):
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.settimeout(10)
        s.sendall(data + b"hello")
        try:
            return s.recv(100)
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("header", [V2, b"PROXY TCP4 10.9.8.7 10.0.0.1 4660 80\r\n"])
def test_the_client_that_is_named_takes_the_place_of_the_peer(world, header):
    access = start(world, ["loopback"])
    assert talk(access.port(), header) == b"hello"
    access.wait_log("closed .*from=10.9.8.7:4660 ")


def test_whom_it_names_is_not_served(world):
    access = start(world, ["loopback"], **{"from": ["127.0.0.0/8"]})
    assert talk(access.port(), V2) == b""
    access.wait_log("refused.*from=10.9.8.7:4660")


def test_without_a_header_there_is_no_connection(world):
    access = start(world, ["loopback"])
    assert talk(access.port(), b"") == b""
    access.wait_log("refused: no PROXY header from=127.0.0.1:.* why=malformed")
    assert talk(access.port(), b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00") == b"hello"  # LOCAL: the peer itself
    access.wait_log("closed .*from=127.0.0.1:")


def test_from_others_no_header_is_read(world):
    access = start(world, ["10.0.0.0/8"])
    assert talk(access.port(), V2).startswith(V2)  # it is payload
