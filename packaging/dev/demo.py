#!/usr/bin/env python3
"""./dev demo: three hops and an access server on this machine, real bytes both ways, every step checked.

  --bin DIR   where access, hop and chain are
  --keep      leave the chain running afterwards, and say what to try
"""
import argparse
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

N_HOPS = 3
FILE_BYTES = 64 << 20
SLOW_CHUNKS = 20
SLOW_CHUNK_BYTES = 256 << 10
SLOW_PAUSE_S = 0.1
PATIENCE_S = 20
DNS_NAME, DNS_ADDRESS = "hopchain.example", "192.0.2.7"


class Failure(Exception):
    pass


class Origin(http.server.ThreadingHTTPServer):
    """The target: serves /file and /slow, and keeps the digest of what is uploaded."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), OriginRequest)
        block = os.urandom(1 << 20)
        self.content = block * (FILE_BYTES // len(block))
        self.uploaded = None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.server_port}"


class OriginRequest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, n_bytes):
        self.send_response(200)
        self.send_header("Content-Length", str(n_bytes))
        self.send_header("Connection", "close")
        self.end_headers()

    def do_GET(self):
        content = memoryview(self.server.content)
        if self.path == "/slow":
            self.answer(SLOW_CHUNKS * SLOW_CHUNK_BYTES)
            for i in range(SLOW_CHUNKS):
                self.wfile.write(content[i * SLOW_CHUNK_BYTES:(i + 1) * SLOW_CHUNK_BYTES])
                time.sleep(SLOW_PAUSE_S)
        else:
            self.answer(len(content))
            self.wfile.write(content)

    def do_PUT(self):
        digest, left = hashlib.sha256(), int(self.headers["Content-Length"])
        while left > 0:
            part = self.rfile.read(min(left, 1 << 20))
            if not part:
                break
            digest.update(part)
            left -= len(part)
        self.server.uploaded = digest.hexdigest()
        self.answer(0)


def port_for_both():
    """A port that nobody has, neither for TCP nor for UDP."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                udp.bind(tcp.getsockname())
                return tcp.getsockname()[1]
            except OSError:
                continue


def ask(address, name, patience_s=PATIENCE_S):
    """What the name server at @address says is the IPv4 address of @name, and after how many seconds; asks again each
    second, as resolvers do."""
    host, port = address.rsplit(":", 1)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    start = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((host, int(port)))
        s.settimeout(1)
        while time.monotonic() - start < patience_s:
            number = os.urandom(2)
            try:
                s.send(number + struct.pack("!5H", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1))
                answer = s.recv(4096)
            except OSError:  # lost, or nobody there yet
                time.sleep(0.05)
                continue
            n_answers, = struct.unpack("!H", answer[6:8])
            if answer[:2] == number and n_answers == 1:
                return socket.inet_ntoa(answer[-4:]), time.monotonic() - start
    return None, time.monotonic() - start


class Program:
    """One of ours: started, its address read from the log, its log kept."""

    def __init__(self, name, command, folder):
        self.name, self.log = name, folder / f"{name}.log"
        with open(self.log, "wb") as sink:
            self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        self.address = self.wait_for(r"listening .*?addr=(\S+)", "to listen")

    def text(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern, what, patience_s=PATIENCE_S):
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            match = re.search(pattern, self.text())
            if match:
                return match.group(match.lastindex or 0)
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise Failure(f"waited for {self.name} {what}; its log:\n{self.text()}")

    def stop(self, patience_s=PATIENCE_S):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end {patience_s} s after SIGTERM; its log:\n{self.text()}") from None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Demo:
    def __init__(self, bin_folder, folder):
        self.bin, self.folder, self.programs, self.n_steps = bin_folder, folder, [], 0
        self.name_server = None

    def step(self, text):
        self.n_steps += 1
        print(f"{self.n_steps}. {text}", flush=True)

    def expect(self, condition, text):
        if not condition:
            raise Failure(text)
        print(f"   ok: {text}", flush=True)

    def start(self, name, *command):
        program = Program(name, [str(self.bin / command[0]), *command[1:]], self.folder)
        self.programs.append(program)
        return program

    def curl(self, *options, patience_s=60):
        return subprocess.run(["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(patience_s),
                               *options], cwd=self.folder, capture_output=True, check=False)

    def keygen(self, name):
        done = subprocess.run([str(self.bin / "chain"), "keygen", "-o", name], cwd=self.folder, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise Failure(f"chain keygen: exit status {done.returncode}: {done.stderr}")

    def write_chain(self, name, keys, **more):
        hops = [{"addr": hop.address, "key_file": key} for hop, key in zip(self.hops, keys)]
        (self.folder / name).write_text(json.dumps({"hops": hops, **more}, indent=2) + "\n")

    def build_chain(self):
        self.keys = [f"hop{i}.key" for i in range(1, N_HOPS + 1)]
        self.step(f"keys: chain keygen -o hop1.key … hop{N_HOPS}.key")
        for key in self.keys:
            self.keygen(key)
        modes = {oct((self.folder / key).stat().st_mode & 0o777) for key in self.keys}
        self.expect(modes == {"0o600"}, f"{N_HOPS} key files, mode 0600")

        self.step("hops: hop --listen 127.0.0.1:0 --user demo,hopN.key --allow loopback")
        self.hops = [self.start(f"hop{i}", "hop", "--listen", "127.0.0.1:0", "--user", f"demo,{key}", "--allow",
                                "loopback") for i, key in enumerate(self.keys, 1)]
        self.expect(True, "listening on " + ", ".join(hop.address for hop in self.hops))

        self.step("access: access --listen 127.0.0.1:0 --to ORIGIN --chain chain.json")
        self.origin = Origin()
        self.write_chain("chain.json", self.keys)
        self.access = self.start("access", "access", "--listen", "127.0.0.1:0", "--to", self.origin.address,
                                 "--chain", "chain.json")
        self.expect(True, f"{self.access.address} → {' → '.join(hop.address for hop in self.hops)} → "
                          f"{self.origin.address}")

    def move_bytes(self):
        url = f"http://{self.access.address}/file"
        wanted = hashlib.sha256(self.origin.content).hexdigest()
        self.step(f"down: curl -o got {url}")
        start = time.monotonic()
        done = self.curl("-o", "got", url)
        elapsed = time.monotonic() - start
        if done.returncode != 0:
            raise Failure(f"curl: {done.stderr.decode()}\naccess' log:\n{self.access.text()}")
        digest = hashlib.sha256((self.folder / "got").read_bytes()).hexdigest()
        self.expect(digest == wanted, f"{FILE_BYTES >> 20} MiB in {elapsed:.2f} s, SHA-256 equal ({digest[:16]}…)")

        self.step(f"up: curl -T got {url}")
        start = time.monotonic()
        done = self.curl("-T", "got", "-H", "Expect:", url)
        elapsed = time.monotonic() - start
        if done.returncode != 0:
            raise Failure(f"curl: {done.stderr.decode()}\naccess' log:\n{self.access.text()}")
        self.expect(self.origin.uploaded == wanted, f"{FILE_BYTES >> 20} MiB in {elapsed:.2f} s, SHA-256 equal")

    def ask_name_server(self):
        server = f"127.0.0.1:{port_for_both()}"
        self.step(f"a name server, dnsmasq, at {server}; access --listen udp://127.0.0.1:0 --to {server}")
        command = [shutil.which("dnsmasq") or "/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
                   "--no-resolv", "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.1", "--pid-file=",
                   "--user=", f"--port={server.rsplit(':', 1)[1]}", f"--address=/{DNS_NAME}/{DNS_ADDRESS}"]
        with open(self.folder / "dnsmasq.log", "wb") as sink:
            self.name_server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        if ask(server, DNS_NAME)[0] != DNS_ADDRESS:
            raise Failure(f"dnsmasq does not answer: {(self.folder / 'dnsmasq.log').read_text()}")
        self.access_udp = self.start("access-udp", "access", "--listen", "udp://127.0.0.1:0", "--to", server, "--chain",
                                     "chain.json")
        answer, elapsed = ask(self.access_udp.address, DNS_NAME)
        if answer is None:
            raise Failure(f"no answer through the chain; access' log:\n{self.access_udp.text()}")
        self.expect(answer == DNS_ADDRESS, f"asked at {self.access_udp.address}, {N_HOPS} hops away, it says in "
                                           f"{1000 * elapsed:.1f} ms: {DNS_NAME} is {answer}")

    def use_the_proxy(self):
        self.step("no target: access --listen 127.0.0.1:0 --chain chain.json is a proxy, SOCKS and HTTP on one port")
        self.proxy = self.start("access-proxy", "access", "--listen", "127.0.0.1:0", "--chain", "chain.json")
        wanted = hashlib.sha256(self.origin.content).hexdigest()
        url = f"http://{self.origin.address}/file"
        for name, protocol, options in (("SOCKS5", "socks5", ["-x", f"socks5h://{self.proxy.address}"]),
                                        ("CONNECT", "http-connect", ["-x", f"http://{self.proxy.address}", "--proxytunnel"]),
                                        ("plain HTTP", "http", ["-x", f"http://{self.proxy.address}"])):
            self.step(f"{name}: curl {' '.join(options)} {url}")
            start = time.monotonic()
            done = self.curl("--noproxy", "", "-o", "got-proxy", *options, url)
            elapsed = time.monotonic() - start
            if done.returncode != 0:
                raise Failure(f"curl: {done.stderr.decode()}\naccess' log:\n{self.proxy.text()}")
            digest = hashlib.sha256((self.folder / "got-proxy").read_bytes()).hexdigest()
            self.expect(digest == wanted, f"{FILE_BYTES >> 20} MiB in {elapsed:.2f} s, SHA-256 equal")
            line = self.proxy.wait_for(rf"[^\n]*closed [^\n]*protocol={protocol} [^\n]*", "to tell of it")
            self.expect(f"target={self.origin.address}" in line, f"access says: {line.strip()}")

    def tool(self, *arguments, **more):
        return subprocess.run([str(self.bin / "chain"), *arguments], cwd=self.folder, capture_output=True,
                              timeout=PATIENCE_S, **more)

    def see_into_the_chain(self):
        self.step(f"without a server: printf 'GET /file …' | chain connect --chain chain.json {self.origin.address}")
        request = f"GET /file HTTP/1.0\r\nHost: {self.origin.address}\r\n\r\n".encode()
        done = self.tool("connect", "--chain", "chain.json", self.origin.address, input=request)
        body = done.stdout.partition(b"\r\n\r\n")[2]
        self.expect(done.returncode == 0 and body == self.origin.content,
                    f"{len(body) >> 20} MiB on stdout, equal; status {done.returncode} {done.stderr.decode()}")
        self.step(f"chain trace --report -c 3 -i 200ms --chain chain.json {self.origin.address}")
        done = self.tool("trace", "--report", "-c", "3", "-i", "200ms", "--chain", "chain.json", self.origin.address,
                         stdin=subprocess.DEVNULL)
        rows = done.stdout.decode().splitlines()
        for row in rows[:2 + N_HOPS + 1]:
            print(f"     {row}", flush=True)
        answered = [row for row in rows if " 0.0%" in row]
        self.expect(done.returncode == 0 and len(answered) == N_HOPS + 1, "every hop and the target answered")
        done = self.tool("trace", "--report", "-c", "1", "--udp", "--chain", "chain.json", stdin=subprocess.DEVNULL)
        self.expect(done.stdout.decode().count(" 0.0%") == N_HOPS, "over datagrams, too (--udp)")

    def show_failures(self):
        self.step("a wrong key for hop 2 (and answers awaited for 1 s per hop instead of 10 s)")
        self.keygen("other.key")
        self.write_chain("wrong.json", [self.keys[0], "other.key", *self.keys[2:]],
                         timeouts={"connect": "1s", "handshake": "1s"})
        wrong = self.start("access-wrong", "access", "--listen", "127.0.0.1:0", "--to", self.origin.address, "--chain",
                           "wrong.json")
        done = self.curl(f"http://{wrong.address}/file")
        self.expect(done.returncode != 0, "curl gets no byte")
        line = wrong.wait_for(r"[^\n]*hop 2 [^\n]*did not answer[^\n]*", "to say that hop 2 did not answer")
        self.expect(True, f"access says: {line.strip()}")
        line = self.hops[1].wait_for(r"[^\n]*unknown[^\n]*", "to tell of an unknown key")
        self.expect(True, f"hop 2 says: {line.strip()}")
        self.expect(wrong.stop() == 0, "it ends with status 0 on SIGTERM")

        self.step("a target where nobody listens")
        refused = self.start("access-refused", "access", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--chain",
                             "chain.json")
        done = self.curl(f"http://{refused.address}/")
        self.expect(done.returncode != 0, "curl gets no byte")
        line = refused.wait_for(r"[^\n]*hop 3[^\n]*", "to name hop 3")
        self.expect(True, f"access says: {line.strip()}")
        self.expect(refused.stop() == 0, "it ends with status 0 on SIGTERM")

    def drain(self):
        self.step("SIGTERM to all of them while a download runs")
        wanted = hashlib.sha256(self.origin.content[:SLOW_CHUNKS * SLOW_CHUNK_BYTES]).hexdigest()
        results = []
        url = f"http://{self.access.address}/slow"
        download = threading.Thread(target=lambda: results.append(self.curl("-o", "slow", url)))
        download.start()
        time.sleep(SLOW_PAUSE_S * 5)
        running = [self.access, self.access_udp, self.proxy, *self.hops]
        for program in running:
            program.process.send_signal(signal.SIGTERM)
        time.sleep(SLOW_PAUSE_S * 2)
        late = self.curl(f"http://{self.access.address}/file", patience_s=5)
        self.expect(late.returncode != 0, "no new connection is accepted")
        download.join(PATIENCE_S)
        self.expect(results and results[0].returncode == 0, "the download goes on to its end")
        digest = hashlib.sha256((self.folder / "slow").read_bytes()).hexdigest()
        self.expect(digest == wanted, "SHA-256 equal")
        statuses = []
        for program in running:
            try:
                statuses.append(program.process.wait(PATIENCE_S))
            except subprocess.TimeoutExpired:
                raise Failure(f"{program.name} did not end; its log:\n{program.text()}") from None
        self.expect(statuses == [0] * len(running), "then all of them end with status 0")

    def keep(self):
        print(f"""
Running in {self.folder} until Ctrl-C. Try:
  curl http://{self.access.address}/file | sha256sum
  curl -x socks5h://{self.proxy.address} http://{self.origin.address}/file | sha256sum
  dig @127.0.0.1 -p {self.access_udp.address.rsplit(':', 1)[1]} {DNS_NAME}
  chain trace --chain {self.folder}/chain.json
  tail -f {self.folder}/*.log
  kill {self.hops[1].process.pid}      # hop 2; then the first command again, and see access.log""", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass

    def end(self):
        for program in self.programs:
            program.kill()
        if self.name_server is not None:
            self.name_server.kill()
            self.name_server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    start = time.monotonic()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hopchain-demo-"))
    demo = Demo(options.bin.resolve(), folder)
    try:
        demo.build_chain()
        demo.move_bytes()
        demo.ask_name_server()
        demo.use_the_proxy()
        demo.see_into_the_chain()
        demo.show_failures()
        if options.keep:
            demo.keep()
        else:
            demo.drain()
    except Failure as failure:
        print(f"   FAILED: {failure}", flush=True)
        return 1
    finally:
        demo.end()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"demo: all steps passed in {time.monotonic() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
