"""Runs inside a network namespace of its own (see test_black_hole.py):

    client ─ access ─ hop 1   10.99.0.1 ══ veth ══ 10.99.0.2   hop 2 ─ origin

Two connections, one that downloads and one that uploads; then everything on the veth is dropped. Prints how long
each end took to hear of it.
"""
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import World, connect, receive_exactly, until  # noqa: E402

FAR = "hopchain-far-%d" % os.getpid()
PATIENCE_S = 40


def run(*argv):
    subprocess.run(argv, check=True)


def make_link():
    run("ip", "link", "set", "lo", "up")
    run("ip", "netns", "add", FAR)
    run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", FAR)
    run("ip", "addr", "add", "10.99.0.1/24", "dev", "near")
    run("ip", "link", "set", "near", "up")
    for argv in (["ip", "addr", "add", "10.99.0.2/24", "dev", "far"], ["ip", "link", "set", "far", "up"],
                 ["ip", "link", "set", "lo", "up"]):
        run("ip", "netns", "exec", FAR, *argv)


def cut_link(how):
    if how == "firewall":  # this host refuses to send
        run("nft", "add table inet hole; "
                   "add chain inet hole in { type filter hook input priority 0; }; "
                   "add chain inet hole out { type filter hook output priority 0; }; "
                   "add rule inet hole in iifname near drop; add rule inet hole out oifname near drop")
        return
    for device, prefix in (("near", []), ("far", ["ip", "netns", "exec", FAR])):  # packets leave and never arrive
        run(*prefix, "nft", "add table netdev hole; add chain netdev hole in { type filter hook ingress device %s "
                            "priority 0; policy drop; }" % device)


# The origin, in the far namespace: 'd' = it sends for ever, 'u' = it reads for ever. It reports how each ended.
ORIGIN = r"""
import socket, sys, threading, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
def serve(c):
    mode = c.recv(1)
    try:
        if mode == b"d":
            while True:
                c.sendall(bytes(65536))
        while c.recv(65536):
            pass
        how = "end"
    except OSError as error:
        how = type(error).__name__
    print(mode.decode(), time.monotonic(), how, flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""


def watch(s, is_download, out):
    """Moves bytes until the connection fails."""
    try:
        while True:
            if is_download:
                if not s.recv(65536):
                    raise AssertionError("a clean end")
            else:
                s.sendall(bytes(65536))
    except (OSError, AssertionError) as error:
        out.append((time.monotonic(), type(error).__name__))


def main():
    world = World()
    origin = None
    try:
        make_link()
        origin = subprocess.Popen(["ip", "netns", "exec", FAR, "/usr/bin/python3", "-c", ORIGIN],
                                  stdout=subprocess.PIPE, text=True)
        port = int(origin.stdout.readline())
        key1, key2 = world.key(), world.key()
        hop1 = world.hop(key1, "--allow", "private")
        from harness import Process, program
        hop2 = world.add(Process(["ip", "netns", "exec", FAR, program("hop"), "--listen", "10.99.0.2:0", "--user",
                                  "me," + key2, "--allow", "loopback"]))
        chain = world.chain([("127.0.0.1:%d" % hop1.port(), key1), ("10.99.0.2:%d" % hop2.port(), key2)],
                            "127.0.0.1:%d" % port, payload=sys.argv[1])
        access = world.access(chain)
        results = {"d": [], "u": []}
        for mode in "du":
            s = connect(access.port(), PATIENCE_S)
            s.sendall(mode.encode())
            if mode == "d":
                receive_exactly(s, 1 << 20)
            threading.Thread(target=watch, args=(s, mode == "d", results[mode]), daemon=True).start()
        time.sleep(1.5)
        cut_link(sys.argv[2])
        cut_at = time.monotonic()
        far = dict()

        def read_far():
            for line in origin.stdout:
                mode, at, how = line.split()
                far[mode] = (float(at) - cut_at, how)

        threading.Thread(target=read_far, daemon=True).start()
        try:
            until(lambda: results["d"] and results["u"] and len(far) == 2, PATIENCE_S, "both ends of both connections")
        except AssertionError:
            print(results, far, cut_at, hop1.log(), hop2.log(), access.log(), sep="\n", file=sys.stderr)
            raise
        print(json.dumps({"near": {m: [r[0][0] - cut_at, r[0][1]] for m, r in results.items()}, "far": far}))
    finally:
        world.close()
        if origin is not None:
            origin.kill()
            origin.wait()
        subprocess.run(["ip", "netns", "del", FAR])


if __name__ == "__main__":
    main()
