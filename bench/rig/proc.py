"""Processes under test: start, wait until they answer, measure from /proc, stop."""

import os
import signal
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
SYNCS = "fdatasync,fsync,sync_file_range,syncfs,msync"


class Failed(Exception):
    """A step of the benchmark could not be done; the text says which and why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _stat_fields(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def tree(pid):
    """`pid` and all its descendants that are alive now."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                children.setdefault(int(_stat_fields(entry)[1]), []).append(int(entry))
            except OSError:
                continue
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


class Process:
    """One server process (with its children), its output in `log_path`.

    With `trace_path` it runs under strace, which notes each sync it asks the kernel for.
    """

    def __init__(self, name, command, log_path, cwd=None, trace_path=None, pass_fds=()):
        self.name = name
        self.log_path = log_path
        self.trace_path = trace_path
        if trace_path:
            command = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=" + SYNCS, "-o",
                       trace_path, "--"] + command
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=log, cwd=cwd, pass_fds=pass_fds)

    def pids(self):
        pids = tree(self.popen.pid)
        return pids[1:] if self.trace_path else pids

    def check_alive(self):
        if self.popen.poll() is not None:
            status = self.popen.returncode
            raise Failed(f"{self.name} ended with status {status}: {self.log_tail()}")

    def log_tail(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file if line.strip()]
        return lines[-1] if lines else "(it said nothing)"

    def wait_for_port(self, port, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            self.check_alive()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Failed(f"{self.name} does not listen on {port}: {error}") from error
                time.sleep(0.01)

    def cpu_seconds(self):
        total = 0
        for pid in self.pids():
            try:
                fields = _stat_fields(pid)
            except OSError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def resident_bytes(self):
        total = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
                    total += sum(int(line.split()[1]) * 1024 for line in file
                                 if line.startswith("VmRSS:"))
            except OSError:
                continue
        return total

    def syncs(self):
        """How many syncs have returned so far (only under strace)."""
        with open(self.trace_path, encoding="utf-8", errors="replace") as file:
            return sum(1 for line in file if line.rstrip().endswith("= 0"))

    def stop(self, seconds=60):
        """SIGTERM, to the process itself where strace stands in front of it; then wait."""
        if self.popen.poll() is None:
            for pid in (self.pids()[:1] or [self.popen.pid]):
                try:
                    os.kill(pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        for pid in reversed(tree(self.popen.pid)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.popen.wait()
