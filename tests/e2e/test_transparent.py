"""Connections and datagrams of others, which rules of the kernel give to access: REDIRECT and TPROXY, IPv4 and IPv6."""
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from harness import program

NAMESPACE = str(pathlib.Path(__file__).parent / "transparent_namespace.py")
UNSHARE = ["unshare", "--net", "--mount"] if os.geteuid() == 0 else None


def run(*args):
    if UNSHARE is None or subprocess.run([*UNSHARE, "nft", "list", "ruleset"], capture_output=True).returncode != 0:
        pytest.skip("network namespaces and nft need root here")
    done = subprocess.run([*UNSHARE, sys.executable, NAMESPACE, *args], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


EXIT = {"tcp4": "10.2.0.2 hello", "tcp6": "fd02::2 hello", "udp4": "10.2.0.2 hello", "udp6": "fd02::2 hello"}


@pytest.mark.parametrize("args", [(), ("--local",), ("--iptables",), ("--iptables", "--local")])
def test_tproxy_takes_connections_and_datagrams(args):
    result = run("tproxy", *args)
    assert result["client"] == EXIT, result["log"]
    assert result["loop"] == result["first_hop"] == "reset"
    assert "target=10.1.0.1:12345" in result["log"] and "would be a loop" in result["log"]
    if "--local" in args:
        assert result["local"] == EXIT, result["log"]
    check_after(result)


@pytest.mark.parametrize("args", [(), ("--local",), ("--iptables",)])
def test_redirect_takes_connections(args):
    result = run("redirect", *args)
    for name in ("tcp4", "tcp6"):
        assert result["client"][name] == EXIT[name], result["log"]
    assert result["client"]["udp4"] == "TimeoutError"
    assert result["loop"] == result["first_hop"] == "reset"
    assert "to the first hop of its own way would be a loop" in result["log"]
    if "--local" in args:
        assert result["local"]["tcp4"] == EXIT["tcp4"] and result["local"]["tcp6"] == EXIT["tcp6"]
    assert re.search(r"closed conn=\S+ from=10.1.0.2:\d+ target=10.2.0.2:7 ", result["log"])
    assert re.search(r"closed conn=\S+ from=\[fd01::2\]:\d+ target=\[fd02::2\]:7 ", result["log"])
    check_after(result)


def check_after(result):
    """The rules are gone: nothing is taken any more, and nobody answers a client that the server has no way to."""
    assert set(result["after"].values()) == {"TimeoutError"}
    assert result["left"].startswith("0\n") and "26724" not in result["left"]


def test_without_the_right_it_says_what_is_missing(world):
    if UNSHARE is None or subprocess.run(["setpriv", "--version"], capture_output=True).returncode != 0:
        pytest.skip("setpriv needs root")
    chain = world.chain(world.hops(1))
    done = subprocess.run(["setpriv", "--bounding-set=-net_admin,-net_raw", "--inh-caps=-net_admin,-net_raw",
                           program("access"), "--listen", "127.0.0.1:0", "--tproxy", "127.0.0.1:0", "--chain", chain],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 4
    assert ("access: /listen/1: tproxy needs CAP_NET_ADMIN; hint: use access-tproxy.service, and 'access tproxy-rules' "
            "prints the firewall rules\n") in done.stderr


@pytest.mark.parametrize("args, message", [
    ([], "needs --listen ADDR"),
    (["--listen", ":0"], "--listen needs a port that is known"),
    (["--listen", "unix:/x"], "--listen needs a port that is known"),
    (["--listen", ":1", "--mark", "0"], "--mark needs a number from 1 to 4294967295"),
    (["--listen", ":1", "--mark", "4294967296"], "--mark needs a number from 1 to 4294967295"),
    (["--listen", ":1", "--mark", "0xg"], "--mark needs a number from 1 to 4294967295"),
    (["--listen", ":1", "more"], 'unexpected argument "more"'),
])
def test_what_is_wrong_with_the_command(args, message):
    done = subprocess.run([program("access"), "tproxy-rules", *args], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_target_makes_no_sense_where_each_has_its_own(world):
    chain = world.chain(world.hops(1))
    done = subprocess.run([program("access"), "--redirect", ":0", "--to", "127.0.0.1:1", "--chain", chain],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert "sends each connection where it was going; --to is for plain forwards" in done.stderr
