"""Runs the client under test, with a home of its own."""

import os
import subprocess

from server import BUILD, PATIENCE

ROOK = BUILD / "rook"


class Rook:
    """Runs rook. The result has .status, .out and .err; check() wants status 0 and returns .out."""

    def __init__(self, home, url=None, token=None):
        self.home = home
        # No locale and no terminal, as in a bare container, unless a test says otherwise.
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home)}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        if url:
            self.env["ROOKERY_URL"] = url
        if token:
            self.env["ROOKERY_TOKEN"] = token

    def __call__(self, *words, stdin="", env=None):
        done = subprocess.run([str(ROOK), *words], input=stdin.encode(), capture_output=True,
                              env={**self.env, **(env or {})}, timeout=60 * PATIENCE)
        return Result(done, words)

    def check(self, *words, **kwargs):
        result = self(*words, **kwargs)
        assert result.status == 0, result
        return result.out


class Result:
    def __init__(self, done, words):
        self.words, self.status = words, done.returncode
        self.out, self.err = done.stdout.decode(), done.stderr.decode()

    def __repr__(self):
        return f"rook {self.words}: {self.status}\n-- out\n{self.out}\n-- err\n{self.err}"
