"""UDP ASSOCIATE of SOCKS5, through real hops.

    client ─ TCP: as long as it lives ─┐
           └ UDP ── access ══ hop 1 ══ hop 2 ── origins          all on loopback
"""
import pathlib
import signal
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import WAIT, World, connect, receive_all, receive_exactly, received, until  # noqa: E402

try:
    import socks  # PySocks: python3-socks
except ImportError:
    socks = None

ANY = b"\x01\0\0\0\0\0\0"
NAME_0 = b"\x03\x01" + b"0"  # what PySocks calls an address it does not tell


def header(port, host="127.0.0.1"):
    try:
        return b"\0\0\0\x01" + socket.inet_aton(host) + struct.pack("!H", port)
    except OSError:
        return b"\0\0\0\x03" + bytes([len(host)]) + host.encode() + struct.pack("!H", port)


KEEPALIVE = "02"  # in /proc/net/tcp


def timer_of(port, peer):
    """Which timer runs of the connection between these ports of 127.0.0.1."""
    ends = ["0100007F:%04X" % port, "0100007F:%04X" % peer]
    lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()]
    return next((words[5].split(":")[0] for words in lines if words[1:3] == ends), None)


def listens(port):
    lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()]
    return any(words[1] == "0100007F:%04X" % port and words[3] == "0A" for words in lines)


class Associate(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.access = self.world.access(self.world.chain(self.world.hops(2)))

    def associate(self, named=ANY):
        """(TCP connection, a socket connected to where the datagrams go)"""
        tcp = connect(self.access.port(), WAIT)
        self.addCleanup(tcp.close)
        tcp.sendall(b"\x05\x01\x00" + b"\x05\x03\x00" + named)
        self.assertEqual(receive_exactly(tcp, 2), b"\x05\x00")
        reply = receive_exactly(tcp, 10)
        self.assertEqual(reply[:8], b"\x05\0\0\x01\x7f\0\0\x01")
        return tcp, self.world.udp_client(struct.unpack("!H", reply[8:])[0])

    def test_two_targets_and_a_name(self):
        _, udp = self.associate()
        origins = [self.world.udp_origin(), self.world.udp_origin()]
        heads = [header(o.port) for o in origins] + [header(origins[0].port, "localhost")]
        for data in (b"one", b"", b"x" * 9000):
            for head in heads:
                udp.send(head + data)
                self.assertEqual(received(udp, WAIT), head + data)
        self.assertEqual([o.count() for o in origins], [6, 3])

    def test_the_connection_is_the_association(self):
        tcp, udp = self.associate()
        origin = self.world.udp_origin()
        udp.send(header(origin.port) + b"one")
        self.assertEqual(received(udp, WAIT), header(origin.port) + b"one")
        tcp.close()
        self.access.wait_log(r"closed flow=\S+ from=127\.0\.0\.1:%d target=127\.0\.0\.1:%d up=3 down=3 age_ms=\d+ via=\S+ "
                             r"end=closed" % (udp.getsockname()[1], origin.port))
        self.access.wait_log(r"closed conn=\S+ .*up=3 down=3 ")
        with self.assertRaises(ConnectionRefusedError):
            until(lambda: udp.send(b"anybody?") == 0)

    def test_clients_that_name_something_else_than_their_address(self):
        origin = self.world.udp_origin()
        for named in (NAME_0 + b"\0\0", NAME_0 + b"\x12\x34", b"\x01\xc0\0\x02\x01\0\x35", b"\x01\x0a\0\0\x01\x12\x34",
                      b"\x04" + bytes(18)):
            with self.subTest(named):
                _, udp = self.associate(named)
                udp.send(header(origin.port) + b"one")
                self.assertEqual(received(udp, WAIT), header(origin.port) + b"one")

    def test_a_drain_waits_for_answers_only(self):
        tcp, udp = self.associate()
        origin = self.world.udp_origin()
        udp.send(header(origin.port) + b"one")
        self.assertEqual(received(udp, WAIT), header(origin.port) + b"one")
        begin = time.monotonic()
        self.access.signal(signal.SIGTERM)
        self.assertEqual(self.access.wait(), 0)
        self.assertLess(time.monotonic() - begin, 5, "an open association holds nobody up")
        self.assertEqual(receive_all(tcp), b"")

    def test_a_drain_ends_associations_that_begin_after_it(self):
        tcp = connect(self.access.port(), WAIT)
        self.addCleanup(tcp.close)
        tcp.sendall(b"\x05\x01\x00")
        self.assertEqual(receive_exactly(tcp, 2), b"\x05\x00")
        begin = time.monotonic()
        self.access.signal(signal.SIGTERM)
        until(lambda: not listens(self.access.port()))
        tcp.sendall(b"\x05\x03\x00" + ANY)
        self.assertEqual(self.access.wait(), 0)
        self.assertLess(time.monotonic() - begin, 5)

    def test_the_kernel_asks_whether_a_quiet_client_is_still_there(self):
        tcp, _ = self.associate()
        until(lambda: timer_of(self.access.port(), tcp.getsockname()[1]) == KEEPALIVE)

    @unittest.skipIf(socks is None, "python3-socks is not here")
    def test_pysocks(self):
        origin = self.world.udp_origin()
        for host in ("127.0.0.1", "localhost"):
            with self.subTest(host), socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.set_proxy(socks.SOCKS5, "127.0.0.1", self.access.port())
                s.settimeout(WAIT)
                s.sendto(b"one", (host, origin.port))
                data, (peer, port) = s.recvfrom(100)
                self.assertEqual((data, peer, port), (b"one", host if host[0] == "1" else host.encode(), origin.port))


if __name__ == "__main__":
    unittest.main()
