"""Runs inside a network namespace of its own (see test_udp.py), whose loopback has an MTU of 1,500:

    mtu        5 hops; counts the fragments that the kernel makes of datagrams of 1,200 and 1,376 bytes
    dns-idle   2 hops to a target on port 53; how long after the answer the descriptors are given back
"""
import json
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import UdpOrigin, World, received, until  # noqa: E402

IDLE_S = 20


def n_fragments():
    """IP packets this namespace has cut in pieces."""
    names, values = [line.split() for line in pathlib.Path("/proc/net/snmp").read_text().splitlines()
                     if line.startswith("Ip:")]
    return int(values[names.index("FragOKs")])


def exchange(s, size, n=50):
    """Returns how many datagrams were cut on the way."""
    before = n_fragments()
    for i in range(n):
        data = bytes([i]) * size
        s.send(data)
        if received(s, 10) != data:
            raise AssertionError("datagram %d of %d bytes" % (i, size))
    return n_fragments() - before


def mtu(world):
    origin = world.udp_origin()
    access = world.udp_access(world.chain(world.hops(5)), origin.addr)
    first = world.udp_client(access.port())
    result = {"fragments_1200": exchange(first, 1200)}
    result["fragments_1376"] = exchange(first, 1376)
    first.send(bytes(1377))  # one too many: in fragments, or not at all
    data = received(first, 0.5)
    if data not in (None, bytes(1377)):
        raise AssertionError("1377 bytes came back as %d" % len(data))
    result["lives_on"] = exchange(first, 1376) == 0
    before = n_fragments()
    world.udp_client(origin.port).send(bytes(2000))
    result["fragments_seen"] = n_fragments() - before
    return result


def dns_idle(world):
    world.add(UdpOrigin(port=53))
    hops = world.hops(2)
    access = world.udp_access(world.chain(hops), "127.0.0.1:53")
    port = access.port()
    base = {"exit": hops[1].n_fds(), "access": access.n_fds()}
    clients = [world.udp_client(port) for _ in range(20)]
    for s in clients:
        s.send(b"question")
    for s in clients:
        if received(s, 10) != b"question":
            raise AssertionError("no answer")
    start, result = time.monotonic(), {}
    for name, process in (("exit", hops[1]), ("access", access)):
        if process.n_fds() < base[name] + len(clients) and time.monotonic() - start < 5:
            raise AssertionError("%s has fewer descriptors than flows" % name)
        until(lambda: process.n_fds() <= base[name], IDLE_S, "%s gives its descriptors back" % name)
        result["%s_s" % name] = time.monotonic() - start
    return result


def main():
    subprocess.run(["ip", "link", "set", "lo", "mtu", "1500", "up"], check=True)
    world = World()
    try:
        print(json.dumps({"mtu": mtu, "dns-idle": dns_idle}[sys.argv[1]](world)))
    finally:
        world.close()


if __name__ == "__main__":
    main()
