"""Plain HTTP requests through access: one a connection, whatever the web server says about it.

    client ── access ══ hop ── origin          all on loopback
"""
import pathlib
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import World, connect, receive_all, receive_exactly, until  # noqa: E402

SECRET = b"Proxy-Authorization: Basic YW5uOnNlY3JldA=="
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"  # does not say "Connection: close"


class Keeper:
    """A web server that answers each connection once and then waits for more on it."""

    def __init__(self):
        self.heard, self.n_ended = [], 0

    def __call__(self, s):
        i = len(self.heard)
        self.heard.append(b"")
        while data := s.recv(65536):
            is_first = b"\r\n\r\n" not in self.heard[i]
            self.heard[i] += data
            if is_first and b"\r\n\r\n" in self.heard[i]:
                s.sendall(ANSWER)
        self.n_ended += 1


class OneRequest(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)
        self.keeper = Keeper()
        self.origin = self.world.origin(self.keeper)
        self.access = self.world.access(self.world.chain(self.world.hops(1)), listen="127.0.0.1:0")
        self.client = connect(self.access.port(), 30)
        self.addCleanup(self.client.close)

    def ask(self, method, fields=b"", body=b""):
        url = b"http://127.0.0.1:%d/" % self.origin.port
        self.client.sendall(b"%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n%s" % (method, url, SECRET + fields, body))

    def origin_heard(self, end):
        until(lambda: self.keeper.heard and self.keeper.heard[0].endswith(end))
        return self.keeper.heard[0]

    def test_the_next_request_does_not_reach_this_server(self):
        self.ask(b"GET")
        self.assertEqual(receive_exactly(self.client, len(ANSWER)), ANSWER)
        self.client.sendall(b"GET http://bank.example/ HTTP/1.1\r\nHost: bank.example\r\nCookie: c\r\n%s\r\n\r\n" % SECRET)
        self.assertEqual(receive_all(self.client), b"", "the client is told to ask anew")
        until(lambda: self.keeper.n_ended == 1)
        self.assertEqual(self.keeper.heard, [b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n"
                                             % self.origin.port])

    def test_nor_does_one_that_is_pipelined(self):
        self.ask(b"POST", b"\r\nContent-Length: 4", b"bodyGET http://bank.example/ HTTP/1.1\r\n" + SECRET + b"\r\n\r\n")
        self.assertEqual(receive_exactly(self.client, len(ANSWER)), ANSWER)
        self.assertNotIn(b"bank", self.origin_heard(b"body"))
        self.client.sendall(b"GET http://bank.example/ HTTP/1.1\r\n")
        self.assertEqual(receive_all(self.client), b"")
        self.assertNotIn(b"bank", self.keeper.heard[0])

    def test_one_that_came_in_the_same_piece_is_not_waited_for(self):
        """This server keeps its connections: only an end makes it, and so us, close."""
        self.ask(b"GET", body=b"\r\nGET http://bank.example/ HTTP/1.1\r\n\r\n")
        self.assertEqual(receive_all(self.client), ANSWER)
        self.assertNotIn(b"bank", self.keeper.heard[0])

    def test_a_line_end_is_no_request(self):
        self.ask(b"POST", b"\r\nContent-Length: 1", b"x\r\n")
        self.assertEqual(receive_exactly(self.client, len(ANSWER)), ANSWER)
        self.client.settimeout(0.3)
        self.assertRaises(TimeoutError, self.client.recv, 1)

    def test_a_body_in_pieces_goes_on_whole(self):
        chunks = b"".join(b"%x;e=1\r\n%s\r\n" % (n, b"x" * n) for n in (1, 70000, 300)) + b"0\r\nT: u\r\n\r\n"
        self.ask(b"PUT", b"\r\nTransfer-Encoding: chunked\r\nTrailer: T", chunks[:7])
        for i in range(7, len(chunks), 1013):
            self.client.sendall(chunks[i:i + 1013])
        self.client.sendall(b"\r\nGET http://bank.example/ HTTP/1.1\r\n\r\n")
        until(lambda: self.keeper.n_ended == 1)
        self.assertEqual(self.keeper.heard[0].partition(b"\r\n\r\n")[2], chunks)

    def test_chunks_that_are_none_end_the_connection(self):
        self.ask(b"PUT", b"\r\nTransfer-Encoding: chunked", b"1\r\n")
        self.assertEqual(receive_exactly(self.client, len(ANSWER)), ANSWER)
        self.client.sendall(b"ab")
        with self.assertRaises(ConnectionResetError):
            receive_all(self.client)
        self.assertTrue(self.keeper.heard[0].endswith(b"1\r\na") or self.keeper.heard[0].endswith(b"1\r\n"))
        self.access.wait_log("end=client-failed")

    def test_curl_asks_anew(self):
        url = "http://127.0.0.1:%d/" % self.origin.port
        done = subprocess.run(["curl", "-sSv", "--max-time", "30", "-x", "http://127.0.0.1:%d" % self.access.port(),
                               url + "1", url + "2"], capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, b"okok"), done.stderr)
        self.assertIn(b"Re-using existing connection", done.stderr)
        self.assertEqual([heard.partition(b" HTTP")[0] for heard in self.keeper.heard], [b"GET /1", b"GET /2"])

    def test_the_client_may_end_after_its_request(self):
        self.ask(b"GET")
        self.client.shutdown(socket.SHUT_WR)
        self.assertEqual(receive_all(self.client), ANSWER)


if __name__ == "__main__":
    unittest.main()
