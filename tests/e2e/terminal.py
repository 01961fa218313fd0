"""A program on a terminal of its own: what it writes, the screen that makes of it (python3-pyte), keys, resizes."""
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import threading

import pyte

from harness import WAIT, until

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """@argv as leader of a session on a new terminal. The program's log is its screen."""

    def __init__(self, argv, columns=80, lines=24, env=None):
        self.master, self.slave = os.openpty()
        self.lock = threading.Lock()
        self.raw = b""
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self._set_size(columns, lines)
        self.before = termios.tcgetattr(self.slave)
        full_env = dict({k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LC_ALL")},
                        TERM="xterm-256color", LANG="C.UTF-8")
        full_env.update(env or {})
        self.process = subprocess.Popen(argv, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=full_env,
                                        preexec_fn=self._lead)
        self.is_ended = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _lead(self):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def _set_size(self, columns, lines):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self):
        while True:
            if not select.select([self.master], [], [], 0.05)[0]:
                if self.is_ended:
                    return
                continue
            data = os.read(self.master, 65536)
            with self.lock:
                self.raw += data
                self.stream.feed(data)

    def resize(self, columns, lines):
        """The kernel tells the program (SIGWINCH)."""
        with self.lock:
            self.screen.resize(lines, columns)
        self._set_size(columns, lines)

    def keys(self, text):
        os.write(self.master, text.encode())

    def lines(self):
        with self.lock:
            return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines())

    def cells(self, row):
        """What stands in line @row, with colours."""
        with self.lock:
            return [self.screen.buffer[row][column] for column in range(self.screen.columns)]

    def output(self):
        with self.lock:
            return self.raw

    def wait_for(self, condition, timeout=WAIT):
        """Until @condition(text of the screen)."""
        try:
            until(lambda: condition(self.text()), timeout, "on the screen")
        except AssertionError:
            raise AssertionError("not on the screen:\n" + self.text()) from None

    def wait(self, timeout=WAIT):
        """The exit code, after everything it wrote was read."""
        code = self.process.wait(timeout)
        self.is_ended = True
        self.thread.join(5)  # reads until nothing is left
        return code

    def is_restored(self):
        """Modes as before, cursor shown, lines wrap, normal screen."""
        raw = self.output()
        return (termios.tcgetattr(self.slave) == self.before and raw.count(ENTER) == raw.count(LEAVE)
                and raw.rfind(b"\x1b[?25h") > raw.rfind(b"\x1b[?25l") and raw.rfind(b"\x1b[?7h") > raw.rfind(b"\x1b[?7l"))

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.is_ended = True
        self.thread.join(5)
        os.close(self.master)
        os.close(self.slave)
