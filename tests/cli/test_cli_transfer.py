"""rook db import and db export against a real server."""

import os
import sqlite3
import subprocess

import pytest

from rook_runner import ROOK, Rook
from terminal import Terminal


@pytest.fixture
def url(server):
    return f"http://{server.address}"


@pytest.fixture
def owner(tmp_path, url, tenant):
    return Rook(tmp_path, url, tenant.owner.token)


def make(path, rows=5000):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    db.executemany("INSERT INTO t VALUES(?, ?)", [(n, f"row {n}") for n in range(rows)])
    db.commit()
    db.close()


def rows_of(path):
    db = sqlite3.connect(path)
    rows = db.execute("SELECT * FROM t").fetchall()
    db.close()
    return rows


def test_there_and_back(owner, tmp_path):
    make(tmp_path / "in.db", 50000)
    said = owner("db", "import", str(tmp_path / "in.db"), "made")
    assert said.status == 0 and "1 table, " in said.err and said.out == ""
    said = owner("db", "export", "made", "-o", str(tmp_path / "out.db"))
    assert said.status == 0 and f"{os.path.getsize(tmp_path / 'out.db')} bytes" in said.err
    assert rows_of(tmp_path / "in.db") == rows_of(tmp_path / "out.db")
    owner.check("db", "export", "made", "--format", "sql", "--output", str(tmp_path / "out.sql"))
    owner.check("db", "import", str(tmp_path / "out.sql"), "again")
    done = subprocess.run([str(ROOK), "db", "export", "again"], capture_output=True, env=owner.env)
    assert done.returncode == 0
    (tmp_path / "again.db").write_bytes(done.stdout)
    assert rows_of(tmp_path / "in.db") == rows_of(tmp_path / "again.db")
    assert sorted(os.listdir(tmp_path)) == ["again.db", "in.db", "out.db", "out.sql"]


def test_a_dump_through_a_pipe(owner, tmp_path):
    make(tmp_path / "in.db")
    dump = subprocess.run(["sqlite3", str(tmp_path / "in.db"), ".dump"], capture_output=True)
    owner.check("db", "import", "-", "made", stdin=dump.stdout.decode())
    assert owner.check("query", "made", "select count(*) from t", "--csv", "--no-headers") == "5000\n"


def test_refusals_and_exit_statuses(owner, tmp_path, url):
    make(tmp_path / "in.db")
    (tmp_path / "bad").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    (tmp_path / "bad.sql").write_text("create table t (x); nonsense;")
    owner.check("db", "create", "taken")
    for words, status, says in (
            (["db", "import", str(tmp_path / "in.db"), "taken"], 1, "exists"),
            (["db", "import", str(tmp_path / "bad"), "new"], 1, "header"),
            (["db", "import", str(tmp_path / "bad.sql"), "new"], 1, "statement 2"),
            (["db", "import", str(tmp_path / "gone"), "new"], 5, "cannot open"),
            (["db", "import", str(tmp_path / "in.db"), "new", "--format", "csv"], 2, "--format"),
            (["db", "export", "gone", "-o", str(tmp_path / "x")], 1, "no database"),
            (["db", "export", "taken", "-o", str(tmp_path / "no" / "x")], 5, "cannot write"),
            (["db", "export", "taken", "-o"], 2, "-o"),
            (["db", "export", "taken", "--format", "table"], 2, "--format")):
        said = owner(*words)
        assert said.status == status and says in said.err, said
    assert sorted(os.listdir(tmp_path)) == ["bad", "bad.sql", "in.db"]
    owner.check("db", "import", str(tmp_path / "in.db"), "new")


def test_an_export_that_fails_leaves_the_file_that_was_there(owner, tmp_path):
    (tmp_path / "out").write_text("mine")
    assert owner("db", "export", "gone", "-o", str(tmp_path / "out")).status == 1
    assert (tmp_path / "out").read_text() == "mine"
    full = subprocess.run([str(ROOK), "db", "export", "gone"], stdout=open("/dev/full", "wb"),
                          stderr=subprocess.PIPE, env=owner.env)
    assert full.returncode == 1
    owner.check("db", "create", "empty")
    full = subprocess.run([str(ROOK), "db", "export", "empty"], stdout=open("/dev/full", "wb"),
                          stderr=subprocess.PIPE, env=owner.env)
    assert full.returncode == 5 and b"cannot write" in full.stderr


def test_a_terminal_sees_how_far_it_is(owner, tmp_path):
    make(tmp_path / "in.db", 200000)
    terminal = Terminal(owner, "db", "import", str(tmp_path / "in.db"), "made")
    seen = terminal.expect("imported made")
    assert terminal.wait() == 0
    assert "importing" in seen and "%" in seen and "B of " in seen, seen
    terminal = Terminal(owner, "db", "export", "made")  # a file is nothing for a terminal
    terminal.expect("-o FILE")
    assert terminal.wait() == 2
