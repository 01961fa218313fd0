#!/usr/bin/env python3
"""The first byte through three hops over three links of 20 ms, with and without warm connections, beside HAProxy.

    sudo bench/warm.py [--build DIR] [--rounds N] [--rtt MS]

A link is a tun device whose packets come back to this host after half of the round trip, with source and destination
exchanged: so connections are set up over it, too, and whoever dials 10.9.1.1 reaches a listener on 10.9.0.1.
"""
import argparse
import collections
import fcntl
import json
import os
import pathlib
import select
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
INSIDE = "HOPCHAIN_BENCH_WARM"
HERE, THERE = "10.9.0.1", "10.9.1.1"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
GREETING = b"220 hello\r\n"
HAPROXY = """
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen l
  bind %s:%d
  server s %s:%d
"""


def link(delay_s):
    """Packets out of the device come back into it @delay_s later, turned round."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", b"link0", IFF_TUN | IFF_NO_PI))
    subprocess.run("ip link set lo up; ip addr add %s/16 dev link0; ip link set link0 up" % HERE, shell=True, check=True)
    queue = collections.deque()

    def run():
        while True:
            wait = max(0, queue[0][0] - time.monotonic()) if queue else None
            if select.select([fd], [], [], wait)[0]:
                packet = os.read(fd, 65536)
                if packet[0] >> 4 == 4:
                    turned = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
                    queue.append((time.monotonic() + delay_s, turned))
            while queue and queue[0][0] <= time.monotonic():
                os.write(fd, queue.popleft()[1])
    threading.Thread(target=run, daemon=True).start()


def greet(connection):
    """Speaks first; answers each line."""
    connection.sendall(GREETING)
    while connection.recv(4096):
        connection.sendall(b"answer\r\n")
    connection.close()


def measure(address, pause_s, rounds):
    """Return: medians in ms until connect() returns here, the target's first byte, and its answer to a first line."""
    times = []
    for _ in range(rounds):
        start = time.monotonic()
        with socket.create_connection(address, 10) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.settimeout(10)
            connected = time.monotonic()
            s.sendall(b"line\r\n")
            assert s.recv(1)
            first, data = time.monotonic(), b""
            while b"answer" not in data:
                data += s.recv(4096)
            times.append((connected - start, first - start, time.monotonic() - start))
        time.sleep(pause_s)
    return [1000 * statistics.median(t) for t in zip(*times)]


def ours(world, hops, target, pools):
    steps = [{"addr": "%s:%d" % (THERE, hop.port()), "key_file": hop.key} for hop in hops]
    for i, n in pools.items():
        steps[i - 1]["pool"] = n
    path = world.path("chain%s.json" % "".join(map(str, pools)))
    with open(path, "w") as f:
        json.dump({"hops": steps}, f)
    access = world.access(path, "--to", "127.0.0.1:%d" % target.port)
    return ("127.0.0.1", access.port())


def haproxy(world, target):
    from tests.e2e.harness import Process
    address = ("127.0.0.1", target.port)
    for i in range(3):
        with socket.socket() as s:
            s.bind((HERE, 0))
            port = s.getsockname()[1]
        path = world.path("haproxy%d.cfg" % i)
        with open(path, "w") as f:
            f.write(HAPROXY % (HERE, port, *address))
        world.add(Process(["haproxy", "-db", "-f", path]))
        address = (THERE, port)
    return address


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=str(ROOT / "build" / "config"))
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--rtt", type=float, default=20, help="of a link, in ms")
    options = parser.parse_args()
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    os.environ["HOPCHAIN_BUILD"] = options.build
    from tests.e2e.harness import World
    link(options.rtt / 2000)
    world = World()
    try:
        target = world.origin(greet)
        hops = world.hops(3, listen=HERE + ":0", allow=("loopback", "private"))
        for hop in hops:
            hop.wait_log("listening addr=", 10)
        rows = [("haproxy, 3 in a row", haproxy(world, target))]
        rows += [("hopchain, %s" % words, ours(world, hops, target, pools)) for words, pools in (
            ("no pool", {}), ("pool 4 at hop 1", {1: 4}), ("pool 4 at hop 2", {2: 4}), ("pool 4 at hop 3", {3: 4}))]
        time.sleep(1)
        print("3 links, round trip %g ms each; medians of %d, in ms" % (options.rtt, options.rounds))
        print("%-26s %10s %10s %10s" % ("", "connected", "1st byte", "answer"))
        for name, address in rows:
            measure(address, 0, 1)
            time.sleep(0.3)
            print("%-26s %10.1f %10.1f %10.1f" % (name, *measure(address, 0.05, options.rounds)))
    finally:
        world.close()


if __name__ == "__main__":
    main()
