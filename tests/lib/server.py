"""Starts the real rookeryd, and says what became of it.

A Server has a data folder, a log file and at most one process. start() waits for the line on
--ready-fd, never for time. stop() sends SIGTERM and checks what a clean end means: exit status 0,
no sanitizer report, no failed CHECK in the log, no token in the log. kill() is kill -9; start()
after it opens the same data again.

ROOKERY_BUILD names the build folder (default: build); relative to the top of the tree.
"""

import json
import os
import pathlib
import select
import signal
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = (TOP / os.environ.get("ROOKERY_BUILD", "build")).resolve()


def build_option(name, default=None):
    """The value of a meson option of the build folder under test."""
    try:
        rows = json.loads((BUILD / "meson-info" / "intro-buildoptions.json").read_text())
    except OSError:
        return default
    return next((row["value"] for row in rows if row["name"] == name), default)


SANITIZER = build_option("b_sanitize", "none")
# How much longer everything may take before a test calls it stuck.
PATIENCE = 1 if SANITIZER == "none" else 5
START_TIMEOUT_S = 20 * PATIENCE
STOP_TIMEOUT_S = 20 * PATIENCE


class ServerError(AssertionError):
    """The server did not do what this step needs; the message carries the end of its log."""


class Server:
    def __init__(self, folder, options=(), env=None, listen="127.0.0.1:0", data=None,
                 program="rookeryd"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = pathlib.Path(data) if data else self.folder / "data"
        self.log_path = self.folder / "log"
        self.options = list(options)
        self.env = dict(env or {})
        self.listen = listen
        self.program = BUILD / program
        self.process = None
        self.address = None  # "127.0.0.1:41234", from the ready line
        self.secrets = set()  # tokens that must never be seen in the log

    # -- its life ---------------------------------------------------------------------------------

    def command(self, *more):
        listen = [word for address in self._listens() for word in ("--listen", address)]
        return [str(self.program), "--data", str(self.data), *listen, *self.options, *more]

    def start(self):
        """Starts the process and waits until it serves. Returns self."""
        assert self.process is None, "the server runs already"
        if not self.program.exists():
            raise ServerError(f"{self.program} is not built; tests/run builds it")
        read_fd, write_fd = os.pipe()
        try:
            with open(self.log_path, "ab") as log:
                self.process = subprocess.Popen(
                    self.command("--ready-fd", str(write_fd)), stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log, env=self._environment(), pass_fds=(write_fd,))
        finally:
            os.close(write_fd)
        try:
            line = self._read_ready(read_fd)
        finally:
            os.close(read_fd)
        if not line.startswith("ready "):
            code = self._reap(STOP_TIMEOUT_S)
            raise ServerError(f"the server did not get ready, exit status {code}\n{self.log_tail()}")
        self.address = line.split()[1]
        return self

    def stop(self):
        """SIGTERM, then the checks of a clean end. Returns how long it took, in seconds."""
        assert self.process is not None, "the server does not run"
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self._reap(STOP_TIMEOUT_S)
        took = time.monotonic() - begun
        if code is None:
            self.kill()
            raise ServerError(f"SIGTERM did not stop it in {STOP_TIMEOUT_S} s\n{self.log_tail()}")
        self.check_log()
        if code != 0:
            raise ServerError(f"exit status {code} after SIGTERM\n{self.log_tail()}")
        return took

    def kill(self):
        """kill -9; what a power cut leaves of the process, but not of the disk."""
        if self.process is not None:
            self.process.kill()
            self._reap(STOP_TIMEOUT_S)

    def restart(self):
        if self.running:
            self.stop()
        return self.start()

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    # -- what it left -----------------------------------------------------------------------------

    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except OSError:
            return ""

    def log_tail(self, lines=40):
        return "\n".join(["-- end of the server's log --", *self.log().splitlines()[-lines:]])

    def events(self, name):
        """The log's lines of one event, each as a dict of its logfmt fields."""
        return [fields for fields in map(parse_logfmt, self.log().splitlines())
                if fields.get("event") == name]

    def check_log(self):
        """Sanitizer reports, failed CHECKs, secrets: any of them is a failure of the test."""
        reports = sorted(self.folder.glob("sanitizer.*"))
        if reports:
            text = reports[0].read_text(errors="replace")
            for report in reports:
                report.rename(report.with_name("seen-" + report.name))
            raise ServerError(f"sanitizer report\n{text[:8000]}")
        log = self.log()
        if "CHECK failed" in log or "event=check.failed" in log:
            raise ServerError(f"a CHECK failed\n{self.log_tail()}")
        leaked = [line for line in log.splitlines() if any(s in line for s in self.secrets)]
        if leaked:
            raise ServerError(f"a token is in the log: {leaked[0]}")

    # -- tokens -----------------------------------------------------------------------------------

    @property
    def operator_token(self):
        token = (self.data / "operator.token").read_text().strip()
        self.secrets.add(token)
        return token

    @property
    def host(self):
        return self.address.rsplit(":", 1)[0].strip("[]")

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    # -- inside -----------------------------------------------------------------------------------

    def _listens(self):
        return [self.listen] if isinstance(self.listen, str) else list(self.listen)

    def _environment(self):
        reports = self.folder / "sanitizer"
        env = {k: v for k, v in os.environ.items() if not k.startswith("ROOKERY_")}
        env["ASAN_OPTIONS"] = (f"log_path={reports}:detect_leaks=1:detect_stack_use_after_return=1:"
                               "strict_string_checks=1:allocator_may_return_null=1:exitcode=99")
        env["UBSAN_OPTIONS"] = f"log_path={reports}:print_stacktrace=1:halt_on_error=1"
        env["TSAN_OPTIONS"] = (f"log_path={reports}:halt_on_error=0:exitcode=99:"
                               f"suppressions={TOP / 'tests' / 'lib' / 'tsan.supp'}")
        env.update(self.env)
        return env

    def _read_ready(self, read_fd):
        """The ready line; what came before the end of file when the server gave up."""
        deadline = time.monotonic() + START_TIMEOUT_S
        got = b""
        while not got.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([read_fd], [], [], left)[0]:
                self.kill()
                raise ServerError(f"not ready in {START_TIMEOUT_S} s\n{self.log_tail()}")
            piece = os.read(read_fd, 256)
            if not piece:
                break
            got += piece
        return got.decode()

    def _reap(self, timeout_s):
        """Waits for the end; the exit status (negative: the signal), or None when it still runs."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self.process = None
        return code


def parse_logfmt(line):
    """One line of logfmt as a dict; quoted values with \\" and \\n inside."""
    fields, i = {}, 0
    while i < len(line):
        equals = line.find("=", i)
        if equals < 0:
            break
        key, i = line[i:equals].strip(), equals + 1
        if line[i:i + 1] == '"':
            end = i + 1
            while end < len(line) and line[end] != '"':
                end += 2 if line[end] == "\\" else 1
            try:
                value = json.loads(line[i:end + 1])
            except ValueError:
                value = line[i + 1:end]
            i = end + 2
        else:
            end = line.find(" ", i)
            end = len(line) if end < 0 else end
            value, i = line[i:end], end + 1
        fields[key] = value
    return fields
