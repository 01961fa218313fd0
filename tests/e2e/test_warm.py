"""Warm connections of an access server: kept ahead of use, and nobody notices when they die."""
import json
import socket

import pytest

from tests.e2e.harness import connect, echo, receive_exactly, until

N = 3


def warm_access(world, hops, target, place):
    steps = [{"addr": "127.0.0.1:%d" % hop.port(), "key_file": hop.key} for hop in hops]
    steps[place - 1]["pool"] = N
    path = world.path("chain.json")
    with open(path, "w") as f:
        json.dump({"hops": steps}, f)
    return world.access(path, "--to", "127.0.0.1:%d" % target)


def expect_echo(access, data=b"ping"):
    with connect(access.port()) as s:
        s.sendall(data)
        assert receive_exactly(s, len(data)) == data
        s.shutdown(socket.SHUT_WR)
        assert s.recv(1) == b""


@pytest.mark.parametrize("place", [1, 2, 3])
def test_kept_ahead_of_use(world, place):
    hops = world.hops(3)
    origin = world.origin(echo)
    for hop in hops:
        hop.wait_log("listening addr=")
    before = hops[place - 1].n_fds()
    access = warm_access(world, hops, origin.port, place)
    until(lambda: hops[place - 1].n_fds() == before + N, what="warm connections at hop %d" % place)
    for _ in range(20):
        expect_echo(access)
    until(lambda: hops[place - 1].n_fds() <= before + 2 * N, what="no more than are wanted")


@pytest.mark.parametrize("which", [0, 1])
def test_a_hop_is_started_again(world, which):
    hops = world.hops(2)
    origin = world.origin(echo)
    port, before = hops[which].port(), hops[which].n_fds()
    access = warm_access(world, hops, origin.port, 2)
    expect_echo(access)
    for _ in range(2):
        hops[which].signal(9)
        hops[which].wait()
        again = world.hop(hops[which].key, listen="127.0.0.1:%d" % port)
        again.wait_log("listening addr=")
        hops[which] = again
        for _ in range(5):
            expect_echo(access)
        until(lambda: again.n_fds() >= before + N, what="warm connections again")
    assert " failed conn=" not in access.log()  # a connection that was being kept ready may say so
