"""The client under test, with a home of its own, against a fake server."""

import os
import pathlib
import subprocess

import pytest
from fake import OPERATOR, OWNER, Fake

TOP = pathlib.Path(__file__).resolve().parents[2]
ROOK = (TOP / os.environ.get("ROOKERY_BUILD", "build")).resolve() / "rook"


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
                              env={**self.env, **(env or {})}, timeout=60)
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


@pytest.fixture
def fake():
    server = Fake()
    yield server
    server.close()


@pytest.fixture
def rook(tmp_path, fake):
    return Rook(tmp_path, fake.url, OWNER)


@pytest.fixture
def operator(tmp_path, fake):
    return Rook(tmp_path, fake.url, OPERATOR)


@pytest.fixture
def bare(tmp_path):
    """No server and no token in the environment."""
    return Rook(tmp_path)


@pytest.fixture
def orders(fake):
    """A database with a few rows."""
    database = fake.add("orders")
    database.executescript("""
        CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, photo BLOB, score REAL);
        INSERT INTO people VALUES (1, 'Ann', x'00ff', 1.5), (2, 'Jürgen', NULL, 0.1),
                                  (3, '日本', NULL, NULL);
    """)
    return database
