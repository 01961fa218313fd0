"""Runs in network and mount namespaces of its own (see test_transparent.py): a client, a gateway with access, a server.

    client 10.1.0.2, fd01::2 -- gateway (here) -- server 10.2.0.2, fd02::2 with the hops and an echo on port 7

Applies the rules that "access tproxy-rules" prints, connects, takes them back; prints what it saw as JSON.
"""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import Process, World, program  # noqa: E402

NETWORK = """
set -e
mount -t tmpfs none /run
mkdir /run/netns
ip link set lo up
for n in client server; do ip netns add $n; ip -n $n link set lo up; done
ip link add c0 type veth peer name c1 netns client
ip link add s0 type veth peer name s1 netns server
ip addr add 10.1.0.1/24 dev c0
ip addr add fd01::1/64 dev c0 nodad
ip addr add 10.2.0.1/24 dev s0
ip addr add fd02::1/64 dev s0 nodad
ip link set c0 up
ip link set s0 up
ip -n client addr add 10.1.0.2/24 dev c1
ip -n client addr add fd01::2/64 dev c1 nodad
ip -n client link set c1 up
ip -n client route add default via 10.1.0.1
ip -n client -6 route add default via fd01::1
ip -n server addr add 10.2.0.2/24 dev s1
ip -n server addr add fd02::2/64 dev s1 nodad
ip -n server link set s1 up
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
"""  # the server has no route to the client: what reaches it came through the chain

ECHO = """
import socket, threading
def tcp(family, address):
    s = socket.create_server((address, 7), family=family)
    while True:
        c, peer = s.accept()
        with c:
            c.sendall(("%s %s" % (peer[0], c.recv(100).decode())).encode())
def udp(family, address):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((address, 7))
    while True:
        data, peer = s.recvfrom(2000)
        s.sendto(peer[0].encode() + b" " + data, peer)
for family, address in ((socket.AF_INET, "10.2.0.2"), (socket.AF_INET6, "fd02::2")):
    for serve in tcp, udp:
        threading.Thread(target=serve, args=(family, address)).start()
import sys
print("listening addr=echo:7", file=sys.stderr, flush=True)
"""

CLIENT = """
import concurrent.futures, json, socket
def run(kind, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as s:
        s.settimeout(3)
        try:
            s.connect((address, 7))
            s.send(b"hello")
            return s.recv(100).decode()
        except OSError as e:
            return type(e).__name__
rows = {name + "46"[":" in a]: (kind, a) for a in ("10.2.0.2", "fd02::2")
        for name, kind in (("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM))}
with concurrent.futures.ThreadPoolExecutor() as pool:
    found = {name: pool.submit(run, *row) for name, row in rows.items()}
print(json.dumps({name: future.result() for name, future in found.items()}))
"""


def within(namespace, *argv):
    return ["ip", "netns", "exec", namespace, *argv]


def ask(namespace):
    argv = [sys.executable, "-c", CLIENT]
    return json.loads(subprocess.run(within(namespace, *argv) if namespace else argv, check=True, capture_output=True,
                                     text=True, timeout=30).stdout)


LOOP = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as s:
        print(s.recv(1).decode())
except OSError as e:
    print({"ConnectionResetError": "reset"}.get(type(e).__name__, type(e).__name__))
"""


def loop(address, namespace=None):
    """What somebody gets who connects to the listener itself, or to where its chain begins."""
    argv = [sys.executable, "-c", LOOP, *address.rsplit(":", 1)]
    return subprocess.run(within(namespace, *argv) if namespace else argv, check=True, capture_output=True, text=True,
                          timeout=30).stdout.strip()


def main():
    mode, args = sys.argv[1], sys.argv[2:]
    subprocess.run(["sh", "-c", NETWORK], check=True)
    world = World()
    try:
        echo = world.add(Process(within("server", sys.executable, "-c", ECHO)))
        echo.wait_log("listening")
        hops = []
        for _ in range(2):
            key = world.key()
            hop = world.add(Process(within("server", program("hop"), "--listen", "10.2.0.2:0", "--user", "me," + key,
                                           "--allow", "private", "--allow", "own")))
            hops.append(("10.2.0.2:%d" % hop.port(), key))
        access = world.add(Process([program("access"), "--" + mode, ":12345", "--chain", world.chain(hops)]))
        access.wait_log("listening addr=:12345 transport=%s capture=%s"
                        % (r"tcp\+udp" if mode == "tproxy" else "tcp", mode))
        kind = ["--redirect"] if mode == "redirect" else []
        rules = [subprocess.run([program("access"), "tproxy-rules", "--listen", ":12345", *kind, *args, *undo],
                                check=True, capture_output=True, text=True).stdout for undo in ([], ["--undo"])]
        subprocess.run(["sh", "-e", "-c", rules[0]], check=True)
        result = {"client": ask("client"), "loop": loop("10.1.0.1:12345"),
                  "first_hop": loop(hops[0][0], "client")}
        if "--local" in args:
            result["local"] = ask(None)
        subprocess.run(["sh", "-e", "-c", rules[1]], check=True)
        result["after"] = ask("client")
        result["left"] = subprocess.run("nft list ruleset | grep -ci hopchain; ip rule; ip -6 rule; "
                                        "ip route show table 26724; ip -6 route show table 26724", shell=True,
                                        capture_output=True, text=True).stdout
        result["log"] = access.log()
        print(json.dumps(result))
    finally:
        world.close()


if __name__ == "__main__":
    main()
