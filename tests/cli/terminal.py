"""rook at a terminal: a pty, keys typed into it, waiting for what it shows."""

import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import fcntl

from rook_runner import ROOK
from server import PATIENCE

PATIENCE_S = 20 * PATIENCE


class Terminal:
    def __init__(self, rook, *words, columns=100, env=None):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.master = master
        self.seen = ""
        self.at = 0  # what expect() has gone past
        self.process = subprocess.Popen(
            [str(ROOK), *words], stdin=slave, stdout=slave, stderr=slave, close_fds=True,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**rook.env, "TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})})
        os.close(slave)

    def expect(self, pattern):
        """Waits until `pattern` (a regular expression) is shown; returns what came before it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            found = re.compile(pattern).search(self.seen, self.at)
            if found:
                before = self.seen[self.at:found.start()]
                self.at = found.end()
                return before
            left = deadline - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"no {pattern!r} in:\n{self.seen[self.at:]!r}")

    def type(self, text):
        os.write(self.master, text.encode())
        return self

    def key(self, letter):
        """Ctrl-<letter>."""
        return self.type(chr(ord(letter.upper()) - 64))

    def wait(self):
        """The exit status, once it has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(max(0, deadline - time.monotonic())):
            pass
        return self.process.wait(PATIENCE_S)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.master)

    def _read(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other side is closed
            return False
        # Without what moves the cursor and sets colours.
        text = re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>])", "", data.decode(errors="replace"))
        self.seen += text.replace("\r", "")
        return bool(data)
