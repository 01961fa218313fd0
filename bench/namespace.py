"""Network namespaces: each stack gets loopback, ports and TIME_WAIT sockets of its own."""
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
SIGKILL = 9
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
MARK = "HOPCHAIN_BENCH_USERNS"
SYSCTLS = {
    "net/ipv4/ip_local_port_range": "10000 65000",
    "net/ipv4/tcp_tw_reuse": "1",
    "net/ipv4/tcp_max_syn_backlog": "65535",
    "net/core/somaxconn": "65535",
}

libc = ctypes.CDLL(None, use_errno=True)


def is_root():
    """Root of the machine, not of a user namespace of our own."""
    return os.geteuid() == 0 and MARK not in os.environ


def become_root():
    """Without root: starts this program again in a user namespace, where it may make network namespaces.

    It starts in one of these, for it may not come back to one that is not its own."""
    if os.geteuid() == 0 or MARK in os.environ or not shutil.which("unshare"):
        return
    command = ["unshare", "--user", "--map-root-user", "--net"]
    probe = subprocess.run([*command, "true"], stderr=subprocess.DEVNULL)
    if probe.returncode == 0:
        os.environ[MARK] = "1"
        os.execvp(command[0], [*command, sys.executable, *sys.argv])


def _check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


class Namespace:
    """A new network namespace; is_own is False where none could be made and the host's is used."""

    def __init__(self):
        self.fd, self.is_own = None, False
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(libc.unshare(CLONE_NEWNET))
        except OSError:
            os.close(home)
            return
        try:
            self.fd, self.is_own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC), True
            _loopback_up()
            for name, value in SYSCTLS.items():
                try:
                    with open("/proc/sys/" + name, "w") as sysctl:
                        sysctl.write(value)
                except OSError:
                    pass  # an older kernel, or not allowed: the default must do
        finally:
            _check(libc.setns(home, CLONE_NEWNET))
            os.close(home)

    def popen(self, argv, cpus=None, **options):
        """A child in this namespace and a session of its own, which dies with this program."""

        def prepare():
            libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
            if self.fd is not None:
                _check(libc.setns(self.fd, CLONE_NEWNET))
            if cpus:
                os.sched_setaffinity(0, cpus)

        return subprocess.Popen(argv, preexec_fn=prepare, start_new_session=True, **options)

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None
