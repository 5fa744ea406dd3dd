"""The client against a fake server; test_cli_server.py uses the real one."""

import pytest
from fake_server import OPERATOR, OWNER, Fake
from rook_runner import Rook


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
