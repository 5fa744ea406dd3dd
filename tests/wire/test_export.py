"""GET …/export: a whole database as a file or as SQL, while writes go on."""

import sqlite3
import subprocess
import threading
import time

import pytest

from api import Admin, Connection, blob

SCHEMA = [
    "CREATE TABLE plain (a, b TEXT, c REAL)",
    "CREATE TABLE keyed (id INTEGER PRIMARY KEY AUTOINCREMENT, v UNIQUE)",
    "CREATE TABLE no_rowid (k TEXT PRIMARY KEY, v) WITHOUT ROWID",
    "CREATE TABLE made (a INTEGER, b AS (a * 2) STORED, c AS (a + 1))",
    "CREATE TABLE \"odd \"\"name\"\"\" (\"a b\" TEXT, [c d], `e``f`)",
    "CREATE VIRTUAL TABLE notes USING fts5(title, body)",
    "CREATE VIRTUAL TABLE linked USING fts5(b, content='plain')",
    "CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1, y0, y1, +label)",
    "CREATE INDEX plain_b ON plain(b) WHERE b IS NOT NULL",
    "CREATE VIEW seen AS SELECT b, c FROM plain -- the end",
    "CREATE TABLE log (what)",
    "CREATE TRIGGER on_keyed AFTER INSERT ON keyed BEGIN INSERT INTO log VALUES(new.v); END",
]
ROWS = [
    ("INSERT INTO plain(rowid, a, b, c) VALUES(7, ?, ?, ?)", [1, "it's\na \"text\" é", 1.5]),
    ("INSERT INTO plain VALUES(?, ?, ?)", [blob(bytes(range(256))), "", 0.1]),
    ("INSERT INTO plain VALUES(9223372036854775807, char(0) || 'x', 1e999)", []),
    ("INSERT INTO plain VALUES(-9223372036854775807, NULL, 1e-300)", []),
    ("INSERT INTO plain VALUES('text', x'', 2.0)", []),
    ("INSERT INTO keyed(v) VALUES('one'), ('two'), ('three')", []),
    ("DELETE FROM keyed WHERE v = 'three'", []),
    ("INSERT INTO no_rowid VALUES('b', 1), ('a', 2)", []),
    ("INSERT INTO made(a) VALUES(1), (20)", []),
    ("INSERT INTO \"odd \"\"name\"\"\" VALUES('x', 'y', 'z')", []),
    ("INSERT INTO notes VALUES('rook', 'a bird of the crow family'), ('king', 'a piece')", []),
    ("INSERT INTO linked(linked) VALUES('rebuild')", []),
    ("INSERT INTO boxes VALUES(1, 0.1, 1.1, 2.2, 3.3, 'first')", []),
    ("PRAGMA user_version = 42", []),
]
LOOKS = [
    "SELECT rowid, a, b, c, typeof(a), typeof(b), typeof(c), hex(b) FROM plain ORDER BY rowid",
    "SELECT * FROM keyed ORDER BY id", "SELECT * FROM no_rowid", "SELECT * FROM made",
    "SELECT * FROM \"odd \"\"name\"\"\"", "SELECT rowid, * FROM notes",
    "SELECT rowid FROM notes WHERE notes MATCH 'crow'",
    "SELECT rowid FROM linked WHERE linked MATCH 'text'", "SELECT * FROM boxes WHERE x0 < 1",
    "SELECT * FROM seen", "SELECT * FROM log", "SELECT seq FROM sqlite_sequence",
    "PRAGMA user_version",
    "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'"
    " ORDER BY type, name",
]


def fill(database):
    for sql in SCHEMA:
        database.query(sql).ok()
    for sql, params in ROWS:
        database.query(sql, params).ok()


def export(database, form="sqlite"):
    response = database.api.raw("GET", f"{database.path}/export?format={form}")
    assert response.status == 200, response
    return response


def shell(*arguments, stdin=None):
    return subprocess.run(["sqlite3", "-batch", "-bail", *map(str, arguments)], input=stdin,
                          capture_output=True, check=True).stdout


def looks(path):
    # Text that is not UTF-8, or holds NUL, must come through too.
    db = sqlite3.connect(path)
    db.text_factory = bytes
    assert db.execute("PRAGMA integrity_check").fetchall() == [(b"ok",)]
    rows = [db.execute(sql).fetchall() for sql in LOOKS]
    db.close()
    return rows


def test_a_file_holds_the_database_and_opens_in_the_stock_shell(database, tmp_path):
    fill(database)
    response = export(database)
    path = tmp_path / "out.sqlite3"
    path.write_bytes(response.body)
    path.chmod(0o444)
    assert response.header("Content-Type") == "application/vnd.sqlite3"
    assert response.header("Content-Disposition") == 'attachment; filename="main.sqlite3"'
    assert int(response.header("Content-Length")) == len(response.body)
    assert response.body[18:20] == b"\x01\x01"  # rollback mode: nothing else is needed to read it
    assert shell("-readonly", path, "PRAGMA integrity_check") == b"ok\n"
    assert shell("-readonly", path, "SELECT count(*) FROM plain; PRAGMA journal_mode") \
        == b"5\ndelete\n"
    assert looks(path)[1] == [(1, b"one"), (2, b"two")]


def test_sql_makes_the_same_database_in_the_stock_shell(database, tmp_path):
    fill(database)
    file, made = tmp_path / "file.sqlite3", tmp_path / "made.sqlite3"
    file.write_bytes(export(database).body)
    response = export(database, "sql")
    assert response.header("Content-Type") == "application/sql"
    assert response.header("Content-Disposition") == 'attachment; filename="main.sql"'
    shell(made, stdin=response.body)
    assert looks(made) == looks(file)


def test_an_empty_database_exports(database, tmp_path):
    path = tmp_path / "empty.sqlite3"
    path.write_bytes(export(database).body)
    assert shell("-readonly", path, "PRAGMA integrity_check; SELECT * FROM sqlite_schema") == b"ok\n"
    assert export(database, "sql").body == b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCOMMIT;\n"


def test_head_tells_the_size(database):
    database.query("CREATE TABLE t (x)").ok()
    database.query("INSERT INTO t VALUES(zeroblob(3000000))").ok()
    size = len(export(database).body)
    response = database.api.raw("HEAD", f"{database.path}/export")
    assert response.status == 200 and int(response.header("Content-Length")) == size
    assert size > 3000000


def test_what_the_server_keeps_for_itself_is_not_in_the_sql(database):
    database.query("CREATE TABLE t (x)").ok()
    database.api.put(f"{database.path}/describe", {"tables": [{"name": "t", "description": "a table"}]}).ok()
    assert b"_rookery_" not in export(database, "sql").body


def test_a_table_without_content_comes_through_sql(database, tmp_path):
    database.query("CREATE VIRTUAL TABLE bare USING fts5(a, content='')").ok()
    database.query("INSERT INTO bare(rowid, a) VALUES(5, 'some words')").ok()
    shell(tmp_path / "made", stdin=export(database, "sql").body)
    assert shell(tmp_path / "made", "SELECT rowid FROM bare WHERE bare MATCH 'words'") == b"5\n"


def test_bad_requests(database, tenant):
    database.get("export?format=csv").refused(400)
    limited = tenant.api("readonly", tables=["t"])
    database.seen_by(limited).get("export").refused(403, "table_scope")
    reader = tenant.api("readonly")
    assert reader.raw("GET", f"{database.path}/export").status == 200


@pytest.mark.parametrize("sql", [
    "SELECT data FROM sqlite_dbpage", "SELECT data FROM sqlite_dbpage ORDER BY pgno",
    "SELECT count(*) FROM sqlite_dbpage('main')",
    "SELECT * FROM main.\"SQLite_dbpage\"", "UPDATE sqlite_dbpage SET data = x''",
    "CREATE VIRTUAL TABLE p USING sqlite_dbpage(main)",
    "CREATE VIEW v AS SELECT * FROM sqlite_dbpage"])
def test_pages_stay_out_of_tenants_reach(database, sql):
    export(database)  # the engine's own statement is cached nowhere that a tenant could meet it
    answer = database.query(sql)
    if answer.status == 200 and "VIEW" in sql:
        answer = database.query("SELECT * FROM v")
    answer.refused(answer.status)
    assert answer.status in (400, 403) and "sqlite_dbpage" in answer.value["error"].lower(), answer


@pytest.mark.parametrize("form", ["sqlite", "sql"])
def test_an_export_beside_writers_is_of_one_moment(database, tmp_path, form):
    """Sums are kept by every transaction; an export that mixed two moments would not keep them."""
    accounts = 400
    database.query("CREATE TABLE t (id INTEGER PRIMARY KEY, amount INTEGER, filler TEXT)").ok()
    database.query(f"WITH c(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM c WHERE n < {accounts})"
                   " INSERT INTO t SELECT n, 100, hex(zeroblob(3000)) FROM c").ok()
    stop, moved, problems = threading.Event(), [], []

    def write(number):
        api = database.api.variant()
        mine = database.seen_by(api)
        count = 0
        try:
            while not stop.is_set():
                one, two = 1 + (count * 7 + number) % accounts, 1 + (count * 13 + 5) % accounts
                if one != two:
                    mine.batch([f"UPDATE t SET amount = amount - 1 WHERE id = {one}",
                                f"UPDATE t SET amount = amount + 1 WHERE id = {two}"],
                               transaction=True).ok()
                count += 1
                moved.append(1)
        except Exception as problem:
            problems.append(problem)
        finally:
            api.close()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(4):
            before = len(moved)
            data = export(database, form).body
            path = tmp_path / f"{turn}.sqlite3"
            if form == "sqlite":
                path.write_bytes(data)
            else:
                shell(path, stdin=data)
            assert shell(path, "PRAGMA integrity_check") == b"ok\n"
            assert shell(path, "SELECT count(*), sum(amount) FROM t") \
                == f"{accounts}|{accounts * 100}\n".encode()
            assert len(moved) > before or problems
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not problems


def large(database, megabytes):
    database.query("CREATE TABLE big (x)").ok()
    for _ in range(megabytes // 8):
        database.query("WITH c(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM c WHERE n < 8)"
                       " INSERT INTO big SELECT randomblob(1000000) FROM c").ok()


def head_of(database, more=""):
    return (f"GET {database.path}/export{more} HTTP/1.1\r\nHost: test\r\n"
            f"Authorization: Bearer {database.api.token}\r\n\r\n").encode()


def wait_until(look, seconds=20):
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def connections(admin):
    """Open ones, without the one that asks."""
    text = admin.api.raw("GET", "/metrics").body.decode()
    admin.api.close()
    line = next(line for line in text.splitlines() if line.startswith("rookery_connections "))
    return int(float(line.split()[1])) - 1


def test_a_client_that_goes_away_frees_its_reader_at_once(start_server):
    """Or it would pin the log, which is small here, and writes would be told to wait."""
    server = start_server("--wal-soft", "256k", "--wal-hard", "1m", "--slow-reader", "120s")
    admin = Admin(server)
    database = admin.tenant().database()
    admin.api.close()
    large(database, 16)
    database.query("CREATE TABLE t (x)").ok()
    for form in ("sqlite", "sql"):
        connection = Connection(server)
        connection.send(head_of(database, f"?format={form}"))
        assert connection.sock.recv(1000).startswith(b"HTTP/1.1 200")
        connection.reset()
        wait_until(lambda: connections(admin) == 1)  # from here on it is not the log's bound
        for _ in range(40):
            answer = database.query("INSERT INTO t VALUES(zeroblob(100000))")
            assert answer.status in (200, 503)  # the lane stops at its next look
        wait_until(lambda: database.query("INSERT INTO t VALUES(1)").status == 200)
    assert not server.events("export.aborted")
    assert len(export(database).body) > 20000000


def test_a_reader_that_stands_still_is_cut_off_when_the_log_must_be_emptied(start_server):
    server = start_server("--wal-soft", "256k", "--wal-hard", "1m", "--slow-reader", "120s")
    database = Admin(server).tenant().database()
    large(database, 16)
    connection = Connection(server)
    connection.send(head_of(database))
    assert connection.sock.recv(1000).startswith(b"HTTP/1.1 200")
    database.query("CREATE TABLE t (x)").ok()
    for _ in range(40):
        answer = database.query("INSERT INTO t VALUES(zeroblob(100000))")
        assert answer.status in (200, 503)
    with pytest.raises(Exception):
        connection.receive()
    connection.close()
    wait_until(lambda: server.events("export.aborted"))
    event = server.events("export.aborted")[0]
    assert event["code"] == "unavailable", event
    assert database.query("INSERT INTO t VALUES(1)").status == 200
