"""Proxies that clients tell where to: SOCKS5 and HTTP CONNECT, ours and others."""
import getpass
import os
import shutil

from stacks import CONNECTIONS, FDS, Process, Stack, ours

MEASURES = ("bulk", "rate")
SCHEMES = ("socks5", "http")

DANTE = """logoutput: {folder}/dante.log
internal: 127.0.0.1 port = {port}
external: lo
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: root
client pass {{ from: 0/0 to: 0/0 }}
socks pass {{ from: 0/0 to: 0/0 }}
"""

TINYPROXY = """Port {port}
Listen 127.0.0.1
Timeout 120
MaxClients {connections}
LogLevel Critical
LogFile "{folder}/tinyproxy.log"
"""

SQUID = """http_port 127.0.0.1:{port}
http_access allow all
cache deny all
access_log none
cache_log {folder}/squid.log
pid_filename {folder}/squid.pid
coredump_dir {folder}
cache_effective_user {user}
max_filedescriptors {files}
shutdown_lifetime 0 seconds
pinger_enable off
memory_cache_shared off
"""


def microsocks(site):
    return [Process("proxy", site.base, ["microsocks", "-i", "127.0.0.1", "-p", str(site.base)])]


def dante(site):
    conf = site.write("danted.conf", DANTE.format(folder=site.folder, port=site.base))
    return [Process("proxy", site.base, ["danted", "-f", conf, "-p", os.path.join(site.folder, "danted.pid")])]


def tinyproxy(site):
    conf = site.write("tinyproxy.conf", TINYPROXY.format(
        folder=site.folder, port=site.base, connections=CONNECTIONS))
    return [Process("proxy", site.base, ["tinyproxy", "-d", "-c", conf])]


def squid(site):
    """It does not run as root: its own user needs a folder to write to."""
    user = "proxy" if os.geteuid() == 0 else getpass.getuser()
    folder = os.path.join(site.folder, "squid")
    os.mkdir(folder)
    if os.geteuid() == 0:
        os.chmod(site.folder, 0o711)
        shutil.chown(folder, user)
    conf = site.write("squid.conf", SQUID.format(
        folder=folder, port=site.base, files=min(FDS, 3 * CONNECTIONS), user=user))
    return [Process("proxy", site.base, ["squid", "-N", "-n", f"bench{os.getpid()}", "-f", conf])]


def shadowsocks(site):
    common = ["-k", "bench", "-m", "aes-256-gcm", "--no-delay", "-t", "120", "-n", str(min(FDS, 3 * CONNECTIONS))]
    inner = site.inner(0)
    return [
        Process("client", site.base, ["ss-local", "-s", "127.0.0.1", "-p", str(inner), "-b", "127.0.0.1",
                                      "-l", str(site.base), *common]),
        Process("server", inner, ["ss-server", "-s", "127.0.0.1", "-p", str(inner), *common])]


def stack(kind, hops, build, programs, greeting, is_encrypted=False):
    return Stack(kind, hops, build, programs, is_encrypted, measures=MEASURES, greeting=greeting)


def ours_stacks(programs, prefix):
    """With one hop, as users have it; and with none ("direct"), one process as the peers are."""
    needs = [os.path.join(programs, p) for p in ("access", "hop", "chain")]
    for name in SCHEMES:
        yield stack(f"{prefix}{name}", 0, ours(programs, 0, None, scheme=name), needs, name)
        for payload in ("header-only", "encrypted"):
            yield stack(f"{prefix}{name}-{payload}", 1, ours(programs, 1, payload, scheme=name), needs, name,
                        payload == "encrypted")


def peers():
    yield stack("microsocks", 1, microsocks, ["microsocks"], "socks5")
    yield stack("dante", 1, dante, ["danted"], "socks5")
    yield stack("shadowsocks-socks5", 1, shadowsocks, ["ss-local", "ss-server"], "socks5", True)
    yield stack("tinyproxy", 1, tinyproxy, ["tinyproxy"], "http")
    yield stack("squid", 1, squid, ["squid"], "http")


def ingress_stacks(programs, prefix, compare=None):
    found = [*ours_stacks(programs, prefix), *peers()]
    return found + (list(ours_stacks(compare, "base-")) if compare else [])
