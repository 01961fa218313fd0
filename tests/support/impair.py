#!/usr/bin/env python3
"""A relay that makes a path worse, by a seed: for UDP, for TCP, or for both on one port.

    impair.py udp  LISTEN TARGET [--loss 0.1 --duplicate 0.05 --reorder 0.2 --depth 16 --corrupt 0.01 --seed 7 …]
    impair.py tcp  LISTEN TARGET [--delay 0.05 --rate 100000 …]
    impair.py both LISTEN TARGET

Prints the port it listens on, then obeys lines on stdin: rebind, reset, half-open, counters, or NAME=VALUE of
faults (loss=0.5 black_hole=1); ends at the end of stdin. In a test: UdpRelay, TcpRelay, BothRelay, whose thread
runs until end(); their methods return when what they ask for is done.

What happens to the n-th datagram of a direction is a function of the seed, the direction and n alone.
"""
import argparse
import collections
import dataclasses
import errno
import heapq
import itertools
import random
import selectors
import socket
import struct
import sys
import threading
import time

DATAGRAM_MAX = 65536
HOLD_S = 0.2  # a datagram held back for later ones goes out after this, if there are none
KEEP_MAX = 100000
TCP_PIECE = 16384
TCP_QUEUED_MAX = 256 << 10
SOCKET_BUFFER = 4 << 20
DIRECTIONS = ("up", "down")


@dataclasses.dataclass
class Faults:
    """Probabilities are 0..1; @delay and @jitter are seconds; @rate is bytes per second, 0 = as fast as it goes."""
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    depth: int = 8  # a reordered datagram lets 1..depth later ones pass
    corrupt: float = 0.0  # one bit of the datagram is turned
    delay: float = 0.0
    jitter: float = 0.0
    rate: float = 0.0  # TCP
    black_hole: bool = False


@dataclasses.dataclass
class Fate:
    is_lost: bool
    is_duplicated: bool
    n_to_pass: int
    flip: float  # which bit, as a part of the whole; < 0: none
    delay_s: float


class Pattern:
    """The fates of one direction, in order; every fate takes the same number of draws."""

    def __init__(self, seed, direction):
        self.random = random.Random("%s %s" % (seed, direction))

    def next(self, faults):
        loss, duplicate, reorder, depth, corrupt, bit, jitter = (self.random.random() for _ in range(7))
        return Fate(is_lost=loss < faults.loss, is_duplicated=duplicate < faults.duplicate,
                    n_to_pass=1 + int(depth * faults.depth) if reorder < faults.reorder else 0,
                    flip=bit if corrupt < faults.corrupt else -1.0,
                    delay_s=max(0.0, faults.delay + faults.jitter * (2 * jitter - 1)))


class Relay:
    """A thread with a selector and timers. Subclasses open sockets in start()."""

    def __init__(self, target, listen="127.0.0.1:0", seed=1, **faults):
        self.target, self.listen = parse(target), parse(listen)
        self.faults = {direction: Faults(**faults) for direction in DIRECTIONS}
        self.patterns = {direction: Pattern(seed, direction) for direction in DIRECTIONS}
        self.counters = {direction: collections.Counter() for direction in DIRECTIONS}
        self.selector = selectors.DefaultSelector()
        self.timers, self.order, self.asked = [], itertools.count(), collections.deque()
        self.wake_read, self.wake_write = socket.socketpair()
        self.wake_read.setblocking(False)
        self.selector.register(self.wake_read, selectors.EVENT_READ, self._woken)
        self.is_ended = False
        self.start()
        self.addr = "%s:%d" % (self.listen[0], self.port)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    # What a test calls.

    def set(self, direction=None, **faults):
        """Changes faults of one @direction, or of both."""
        def change():
            for name in [direction] if direction else DIRECTIONS:
                self.faults[name] = dataclasses.replace(self.faults[name], **faults)
            self.on_change()
        self.call(change)

    def clear(self):
        self.set(**dataclasses.asdict(Faults()))

    def end(self):
        if self.thread.is_alive():
            self.call(lambda: setattr(self, "is_ended", True))
            self.thread.join(5)

    def call(self, function):
        """Runs @function on the thread; returns its result."""
        done, result = threading.Event(), []

        def run():
            try:
                result.append(function())
            finally:
                done.set()

        self.asked.append(run)
        try:
            self.wake_write.send(b"x")
        except OSError:  # it was awake, did what ends it, and has gone
            if not done.is_set():
                raise
        if not done.wait(10) or not result:
            raise RuntimeError("the relay did not do it")
        return result[0]

    # What a subclass has.

    def start(self):
        raise NotImplementedError

    def on_change(self):
        pass

    def close(self):
        pass

    def after(self, delay_s, function):
        heapq.heappush(self.timers, (time.monotonic() + delay_s, next(self.order), function))

    def _woken(self, _):
        try:
            self.wake_read.recv(4096)
        except BlockingIOError:
            pass

    def _run(self):
        while not self.is_ended:
            wait = max(0.0, self.timers[0][0] - time.monotonic()) if self.timers else None
            for key, events in self.selector.select(wait):
                key.data(events)
            while self.asked:
                self.asked.popleft()()
            while self.timers and self.timers[0][0] <= time.monotonic():
                heapq.heappop(self.timers)[2]()
        self.close()
        self.selector.close()
        self.wake_read.close()
        self.wake_write.close()


class Lane:
    """One direction of one UDP client: applies the fates, in the order of arrival."""

    def __init__(self, relay, direction, send):
        self.relay, self.direction, self.send = relay, direction, send
        self.held = []

    def receive(self, data):
        relay, count = self.relay, self.relay.counters[self.direction]
        faults = relay.faults[self.direction]
        count["in"] += 1
        if relay.kept is not None and len(relay.kept) < KEEP_MAX:
            relay.kept.append((self.direction, data))
        if faults.black_hole:
            count["swallowed"] += 1
            return
        fate = relay.patterns[self.direction].next(faults)
        if fate.is_lost:
            count["lost"] += 1
            self.pass_held()
            return
        if fate.flip >= 0 and data:
            bit = int(fate.flip * len(data) * 8)
            data = data[:bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1:]
            count["corrupted"] += 1
        count["duplicated"] += fate.is_duplicated
        copies = [data] * (1 + fate.is_duplicated)
        if fate.n_to_pass:
            count["reordered"] += 1
            entry = [fate.n_to_pass, copies, fate.delay_s]
            self.pass_held()
            self.held.append(entry)
            relay.after(HOLD_S, lambda: self.give_up(entry))
            return
        self.out(copies, fate.delay_s)
        self.pass_held()

    def pass_held(self):
        """One more datagram has gone by those that are held."""
        free = []
        for entry in self.held:
            entry[0] -= 1
            if entry[0] <= 0:
                free.append(entry)
        for entry in free:
            self.give_up(entry)

    def give_up(self, entry):
        if entry in self.held:
            self.held.remove(entry)
            self.out(*entry[1:])

    def out(self, copies, delay_s):
        for data in copies:
            if delay_s > 0:
                self.relay.after(delay_s, lambda data=data: self.out_now(data))
            else:
                self.out_now(data)

    def out_now(self, data):
        try:
            self.send(data)
            self.relay.counters[self.direction]["out"] += 1
        except OSError:
            self.relay.counters[self.direction]["failed"] += 1


class UdpRelay(Relay):
    """Each client address has a socket of its own towards the target. kept: what came in, as (direction, bytes)."""

    def __init__(self, target, keep=False, **more):
        self.kept = [] if keep else None
        self.clients, self.abandoned = {}, []
        super().__init__(target, **more)

    def rebind(self):
        """Every client is seen by the target at another port from now on; answers to the old one are lost."""
        def change():
            for client in self.clients.values():
                self.selector.unregister(client["socket"])
                self.abandoned.append(client["socket"])  # open, so that no ICMP tells of it
                self.open_upstream(client)
        self.call(change)

    def upstream_ports(self):
        return self.call(lambda: [client["socket"].getsockname()[1] for client in self.clients.values()])

    def start(self):
        self.socket = udp_socket()
        self.socket.bind(self.listen)
        self.port = self.socket.getsockname()[1]
        self.selector.register(self.socket, selectors.EVENT_READ, self.on_listener)

    def close(self):
        for s in [self.socket, *self.abandoned, *(client["socket"] for client in self.clients.values())]:
            s.close()

    def on_listener(self, _):
        for data, peer in drained(self.socket):
            if peer not in self.clients:
                client = self.clients[peer] = {"peer": peer}
                self.open_upstream(client)
                client["up"] = Lane(self, "up", lambda data, client=client: client["socket"].send(data))
                client["down"] = Lane(self, "down", lambda data, peer=peer: self.socket.sendto(data, peer))
            self.clients[peer]["up"].receive(data)

    def open_upstream(self, client):
        s = client["socket"] = udp_socket()
        s.connect(self.target)

        def on_answer(_):
            for data, _peer in drained(s):
                client["down"].receive(data)

        self.selector.register(s, selectors.EVENT_READ, on_answer)


class Pipe:
    """One direction of a TCP connection: what was read waits until it is due, then leaves at the rate."""

    def __init__(self, relay, direction, source, sink):
        self.relay, self.direction, self.source, self.sink = relay, direction, source, sink
        self.queue, self.n_queued, self.free_at = collections.deque(), 0, 0.0
        self.has_eof = self.is_done = self.wants_write = self.is_timed = False

    def reads(self):
        return not self.has_eof and self.n_queued < TCP_QUEUED_MAX and not self.relay.faults[self.direction].black_hole

    def read(self):
        try:
            data = self.source.recv(TCP_PIECE)
        except BlockingIOError:
            return
        fate = self.relay.patterns[self.direction].next(self.relay.faults[self.direction])
        due = time.monotonic() + fate.delay_s
        if self.queue:
            due = max(due, self.queue[-1][0])  # a stream keeps its order
        self.has_eof = not data
        self.queue.append([due, data])
        self.n_queued += len(data)
        self.relay.counters[self.direction]["in"] += len(data)

    def write(self):
        """Sends what may leave; asks for a timer or for room if something is left."""
        faults, self.wants_write = self.relay.faults[self.direction], False
        while self.queue and not faults.black_hole and not self.is_done:
            now, (due, data) = time.monotonic(), self.queue[0]
            wait = max(due, self.free_at if faults.rate else 0) - now
            if wait > 0:
                self.wait(wait)
                return
            if not data:
                self.sink.shutdown(socket.SHUT_WR)
                self.is_done = True
                return
            piece = data[:max(1, int(faults.rate / 100))] if faults.rate else data
            try:
                n = self.sink.send(piece)
            except BlockingIOError:
                self.wants_write = True
                return
            self.n_queued -= n
            self.relay.counters[self.direction]["out"] += n
            if faults.rate:
                self.free_at = max(self.free_at, now - 0.05) + n / faults.rate
            self.queue[0][1] = data[n:]
            if n == len(data):
                self.queue.popleft()

    def wait(self, wait_s):
        if not self.is_timed:
            self.is_timed = True
            self.relay.after(wait_s, self.on_timer)

    def on_timer(self):
        self.is_timed = False
        self.relay.attend()


class TcpRelay(Relay):
    """A connection of its own to the target per client connection."""

    def __init__(self, target, **more):
        self.connections, self.sockets = [], {}
        super().__init__(target, **more)

    def reset(self):
        """Every connection is cut with RST on both sides."""
        self.call(lambda: [self.cut(pair, "both") for pair in list(self.connections)])

    def half_open(self, dead="up"):
        """The @dead side ("up": towards the target) ends with RST; the other is told nothing, and gets nothing."""
        self.call(lambda: [self.cut(pair, dead) for pair in list(self.connections)])

    def n_connections(self):
        return self.call(lambda: len(self.connections))

    def start(self):
        self.server = socket.create_server(self.listen, backlog=512)
        self.server.setblocking(False)
        self.port = self.server.getsockname()[1]
        self.selector.register(self.server, selectors.EVENT_READ, self.on_accept)

    def close(self):
        for pair in list(self.connections):
            self.cut(pair, "both")
        for s in list(self.sockets):
            self.forget(s)
        self.server.close()

    def on_change(self):
        self.attend()

    def on_accept(self, _):
        client, _peer = self.server.accept()
        upstream = socket.socket()
        for s in (client, upstream):
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets[s] = 0
        error = 0
        if not self.faults["up"].black_hole:
            error = upstream.connect_ex(self.target)
        if error not in (0, errno.EINPROGRESS):
            self.cut((Pipe(self, "up", client, upstream), None), "both")
            return
        self.connections.append((Pipe(self, "up", client, upstream), Pipe(self, "down", upstream, client)))
        self.attend()

    def forget(self, s, is_reset=True):
        if self.sockets.pop(s, 0):
            self.selector.unregister(s)
        if is_reset:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()

    def cut(self, pair, which):
        """@which: "up", "down" or "both" sides end; of the one left over nothing is read."""
        if pair in self.connections:
            self.connections.remove(pair)
        client, upstream = pair[0].source, pair[0].sink
        for side, s in (("down", client), ("up", upstream)):
            if which in (side, "both"):
                self.forget(s)
            elif self.sockets[s]:
                self.selector.unregister(s)
                self.sockets[s] = 0

    def attend(self):
        """Moves what can be moved, ends what is over, and says what is waited for."""
        for pair in list(self.connections):
            try:
                for pipe in pair:
                    pipe.write()
                if all(pipe.is_done for pipe in pair):
                    self.connections.remove(pair)
                    for s in (pair[0].source, pair[0].sink):
                        self.forget(s, is_reset=False)
                    continue
            except OSError:
                self.cut(pair, "both")
                continue
            for pipe, back in (pair, pair[::-1]):
                self.watch(pair, pipe.source, pipe.reads() * selectors.EVENT_READ
                           | back.wants_write * selectors.EVENT_WRITE)

    def watch(self, pair, s, events):
        before, self.sockets[s] = self.sockets[s], events
        if before == events:
            return
        data = lambda events: self.on_event(pair, s, events)  # noqa: E731
        if before and events:
            self.selector.modify(s, events, data)
        elif events:
            self.selector.register(s, events, data)
        else:
            self.selector.unregister(s)

    def on_event(self, pair, s, events):
        if pair not in self.connections:
            return
        try:
            if events & selectors.EVENT_READ:
                pair[0 if pair[0].source is s else 1].read()
        except OSError:
            self.cut(pair, "both")
        self.attend()


class BothRelay:
    """TCP and UDP on one port, each with its own faults; those given at the start are those of UDP."""

    def __init__(self, target, listen="127.0.0.1:0", keep=False, seed=1, **faults):
        for _ in range(100):
            self.tcp = TcpRelay(target, listen=listen, seed=seed)
            self.addr, self.port = self.tcp.addr, self.tcp.port
            try:
                self.udp = UdpRelay(target, listen=self.addr, keep=keep, seed=seed, **faults)
                return
            except OSError:  # somebody has the UDP port of that number
                self.tcp.end()
        raise OSError(errno.EADDRINUSE, "no port that is free for both")

    def end(self):
        self.tcp.end()
        self.udp.end()


def parse(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def udp_socket():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        s.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
    s.setblocking(False)
    return s


def drained(s):
    """What waits in @s, at most 64 datagrams of it."""
    for _ in range(64):
        try:
            yield s.recvfrom(DATAGRAM_MAX)
        except BlockingIOError:
            return
        except OSError:  # an ICMP error of what was sent before
            continue


def obey(relays, line):
    for word in line.split():
        for relay in relays:
            if word == "counters":
                print({direction: dict(relay.counters[direction]) for direction in DIRECTIONS}, flush=True)
            elif "=" in word:
                name, value = word.split("=", 1)
                relay.set(**{name: typed(name, value)})
            elif hasattr(relay, word.replace("-", "_")):
                getattr(relay, word.replace("-", "_"))()


def typed(name, value):
    kind = type(getattr(Faults(), name))
    return bool(int(value)) if kind is bool else kind(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocol", choices=("udp", "tcp", "both"))
    parser.add_argument("listen")
    parser.add_argument("target")
    parser.add_argument("--seed", type=int, default=1)
    for field in dataclasses.fields(Faults):
        parser.add_argument("--" + field.name.replace("_", "-"), type=lambda value, name=field.name: typed(name, value),
                            default=field.default)
    options = vars(parser.parse_args())
    protocol = options.pop("protocol")
    relay = {"udp": UdpRelay, "tcp": TcpRelay, "both": BothRelay}[protocol](options.pop("target"), **options)
    print(relay.port, flush=True)
    try:
        for line in sys.stdin:
            obey([relay.tcp, relay.udp] if protocol == "both" else [relay], line)
    except KeyboardInterrupt:
        pass
    relay.end()


if __name__ == "__main__":
    main()
