"""sqld's routes beside Hrana: POST /, /health, /version, /dump."""

import math
import sqlite3
import struct
import subprocess
import threading

import pytest
from api import Admin, Connection
from hrana import Stream, execute


def post(database, *statements, api=None):
    return (api or database.api).request("POST", f"/{database.tenant}/{database.slug}", {"statements": list(statements)})


# -- POST / -----------------------------------------------------------------------------------------


def test_statements_in_one_transaction(database):
    answer = post(database, "CREATE TABLE t(id INTEGER PRIMARY KEY, a)", {"q": "INSERT INTO t(a) VALUES(?)", "params": ["x"]},
                  {"q": "SELECT id, a, :n AS n FROM t", "params": {":n": 2.5}})
    assert answer.status == 200 and answer.response.header("Content-Type") == "application/json"
    results = [entry["results"] for entry in answer.value]
    assert [set(r) for r in results] == [{"columns", "rows", "rows_read", "rows_written", "query_duration_ms"}] * 3
    assert results[2]["columns"] == ["id", "a", "n"] and results[2]["rows"] == [[1, "x", 2.5]]
    assert results[1]["rows_written"] == 1


@pytest.mark.parametrize("value", [None, 0, -2**63, 2**63 - 1, 1.5, "", "nul\0", "漢字"])
def test_values_are_plain_json(database, value):
    assert post(database, {"q": "SELECT ?", "params": [value]}).value[0]["results"]["rows"] == [[value]]


def test_blobs_are_base64(database):
    answer = post(database, {"q": "SELECT ?, typeof(?1)", "params": [{"base64": "AQIDBA=="}]}, "SELECT x''")
    assert [e["results"]["rows"] for e in answer.value] == [[[{"base64": "AQIDBA"}, "blob"]], [[{"base64": ""}]]]


def test_a_failure_undoes_all(database):
    answer = post(database, "CREATE TABLE t(id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES(1)",
                  "INSERT INTO t VALUES(1) RETURNING id", "SELECT 1")
    assert answer.status == 200
    assert ["results" in e for e in answer.value[:2]] == [True, True]
    assert answer.value[2:] == [{"error": "SQLite error: UNIQUE constraint failed: t.id"}, None]
    assert post(database, "SELECT name FROM sqlite_schema").value[0]["results"]["rows"] == []


def test_a_deferred_key_fails_the_last_statement(database):
    post(database, "CREATE TABLE p(id INTEGER PRIMARY KEY)",
         "CREATE TABLE c(p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)")
    answer = post(database, "SELECT 1", "INSERT INTO c VALUES(5)")
    assert len(answer.value) == 2 and "FOREIGN KEY" in answer.value[1]["error"], answer
    assert post(database, "SELECT count(*) FROM c").value[0]["results"]["rows"] == [[0]]


@pytest.mark.parametrize("sql", ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "SELECT 1; SELECT 2", "", "-- nothing",
                                 "SELEC 1", "ATTACH 'x' AS y", "VACUUM"])
def test_what_is_refused_is_refused_whole(database, sql):
    post(database, "CREATE TABLE t(id)")
    answer = post(database, "INSERT INTO t VALUES(1)", sql)
    assert answer.status == 400 and answer.value["error"], answer
    assert post(database, "SELECT count(*) FROM t").value[0]["results"]["rows"] == [[0]]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{}", b'{"statements":5}', b'{"statements":[5]}',
                                  b'{"statements":[{}]}', b'{"statements":[{"q":5}]}', b'{"statements":["SELECT 1"]} x',
                                  b'{"statements":[],"statements":[]}', b'{"statements":[{"q":"SELECT ?","params":5}]}',
                                  b'{"statements":[{"q":"SELECT ?","params":[[1]]}]}',
                                  b'{"statements":[{"q":"SELECT ?","params":[{"base64":5}]}]}',
                                  b'{"statements":[{"q":"SELECT ?","params":[{"base64":"*"}]}]}'])
def test_bodies_that_are_not_statements(database, body):
    answer = database.api.request("POST", f"/{database.tenant}/{database.slug}/", body)
    assert answer.status == 400 and answer.value["error"] and answer.response.header("Content-Type") == "application/json"


def test_no_statements(database):
    assert post(database).value == []


def test_text_that_is_not_utf8_is_the_statements_error(database):
    answer = post(database, "SELECT CAST(x'ff' AS TEXT)", "SELECT 2")
    assert "UTF-8" in answer.value[0]["error"] and answer.value[1]["results"]["rows"] == [[2]]


def test_a_reader_writes_nothing(tenant, database):
    post(database, "CREATE TABLE t(id)")
    reader = tenant.api("readonly")
    assert post(database, "SELECT count(*) FROM t", api=reader).value[0]["results"]["rows"] == [[0]]
    answer = post(database, "SELECT 1", "INSERT INTO t VALUES(1)", api=reader)
    assert answer.status == 403 and answer.value["error"], answer


# -- names ------------------------------------------------------------------------------------------


def test_every_naming(start_server):
    server = start_server("--base-domain", "db.example")
    tenant = Admin(server).tenant("acme")
    tenant.database("one").query("CREATE TABLE one(a)").ok()
    sql = "SELECT name FROM sqlite_schema"
    for host, path in ((None, "/"), (None, ""), (None, "/acme/one"), (None, "/acme/one/"),
                       ("acme.db.example", "/"), ("one--acme.db.example", "/")):
        headers = {} if host is None else {"Host": host}
        if path:
            answer = tenant.owner.request("POST", path, {"statements": [sql]}, headers=headers)
            assert answer.status == 200 and answer.value[0]["results"]["rows"] == [["one"]], (host, path)
        prefix = path.rstrip("/")
        response = tenant.owner.raw("GET", prefix + "/dump", headers=headers)
        assert response.status == 200 and b"CREATE TABLE one(a);" in response.body, (host, path)
        response = tenant.owner.variant(token=None).raw("GET", prefix + "/health", headers=headers)
        assert response.status == 200 and response.body == b""
        response = tenant.owner.variant(token=None).raw("GET", prefix + "/version", headers=headers)
        assert response.status == 200
        assert response.header("Content-Type") == ("application/json" if not prefix and host is None else "text/plain")
    tenant.database("two")
    for path in ("/", "/dump"):
        method = "POST" if path == "/" else "GET"
        headers = {"Host": "acme.db.example"}
        assert tenant.owner.request(method, path, {"statements": [sql]}, headers=headers).status == 404
    tenant.database("default").query("CREATE TABLE d(a)").ok()
    answer = tenant.owner.request("POST", "/", {"statements": [sql]}, headers={"Host": "acme.db.example"})
    assert answer.value[0]["results"]["rows"] == [["d"]]


def test_wrong_methods_are_405_and_empty(database):
    path = f"/{database.tenant}/{database.slug}"
    for method, target, allow in (("GET", "/v2/pipeline", "POST"), ("PUT", "/v3/cursor", "POST"),
                                  ("POST", "/dump", "GET, HEAD"), ("DELETE", "/v3-protobuf/pipeline", "POST"),
                                  ("POST", "/health", "GET, HEAD")):
        response = database.api.raw(method, path + target)
        assert (response.status, response.body) == (405, b""), (method, target)
        assert response.header("Allow") == allow and response.header("Content-Type") is None


def test_dump_asks_for_the_token(tenant, database):
    path = f"/{database.tenant}/{database.slug}/dump"
    assert database.api.variant(token=None).raw("GET", path).status == 401
    assert tenant.api("readonly").raw("GET", path).status == 200
    database.query("CREATE TABLE secret(word)").ok()
    response = tenant.api("owner", tables=["open"]).raw("GET", path)
    assert response.status == 403 and b"secret" not in response.body


# -- /dump --------------------------------------------------------------------------------------------


SCHEMA = """
CREATE TABLE plain(a, b TEXT DEFAULT 'it''s -- not a comment', c REAL -- a comment
) -- another
;
CREATE TABLE "quo""ted 'name'"("co""l" INTEGER PRIMARY KEY, "select" BLOB);
CREATE TABLE keyed(k TEXT, n INT, v, PRIMARY KEY (k, n)) WITHOUT ROWID;
CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT, v);
CREATE TABLE made(a INTEGER, b AS (a * 2) VIRTUAL, c TEXT, d TEXT GENERATED ALWAYS AS (upper(c)) STORED);
CREATE TABLE strict(a ANY, b INT) STRICT;
CREATE TABLE parent(id INT PRIMARY KEY);
CREATE TABLE child(rowid TEXT, p REFERENCES parent(id) ON DELETE CASCADE, CHECK (length(rowid) < 100));
CREATE TABLE log(what);
CREATE INDEX by_b ON plain(b COLLATE NOCASE) WHERE a > 1;
CREATE UNIQUE INDEX by_expr ON keyed(lower(k), n);
CREATE VIEW looks AS SELECT a, count(*) AS n FROM plain GROUP BY a;
CREATE TRIGGER noted AFTER INSERT ON plain BEGIN INSERT INTO log VALUES('it''s ' || typeof(new.a)); SELECT 1; END;
CREATE TRIGGER through INSTEAD OF INSERT ON looks BEGIN INSERT INTO plain(a) VALUES(new.a); END;
CREATE VIRTUAL TABLE words USING fts5(title, body, skipped UNINDEXED, tokenize = 'porter ascii', prefix='2 3');
CREATE VIRTUAL TABLE outside USING fts5(b, content='plain', content_rowid='rowid');
CREATE VIRTUAL TABLE bare USING fts5(x, content='');
CREATE VIRTUAL TABLE places USING rtree(id, x0, x1, y0, y1, +label TEXT);
"""
VALUES = [None, 0, 1, -2**63, 2**63 - 1, 0.0, 1.0, -1.5, 0.1, 1e300, 1e15, 123456789012345680.0,
          5e-324, 2.2250738585072014e-308, 1e-300, 1.7976931348623157e308, "", "it's ''quoted''", "nul\0in\0it", "\0", "a\r\nb\r",
          "line\n.quit\n;\nline", "漢字 😀", "--x", b"", b"\0\1\xff", bytes(range(256)) * 10]


def fill(database, rng):
    stream = Stream(database)
    stream.one({"type": "sequence", "sql": SCHEMA})
    for i, value in enumerate(VALUES):
        stream.one(execute("INSERT INTO plain VALUES(?, ?, ?)", value, value, value))
        stream.one(execute("INSERT INTO keyed VALUES(?, ?, ?)", f"k{i}'", i, value))
        stream.one(execute("INSERT INTO strict VALUES(?, ?)", value, i))
        stream.one(execute('INSERT INTO "quo""ted \'name\'" VALUES(?, ?)', i * 7 - 3, value))
    for _ in range(400):
        number, = struct.unpack("<d", struct.pack("<Q", rng.getrandbits(64)))
        if not math.isnan(number):
            stream.one(execute("INSERT INTO strict VALUES(?, 1)", number))
        stream.one(execute("INSERT INTO strict VALUES(?, 2)", rng.random() * 10 ** rng.randrange(-20, 20)))
        stream.one(execute("INSERT INTO strict VALUES(?, 3)", round(rng.uniform(0, 10000), 2)))
    stream.one({"type": "sequence", "sql": """
        INSERT INTO strict VALUES(1e999, 0), (-1e999, 0);
        INSERT INTO counted(v) VALUES('a'), ('b'), ('c'); DELETE FROM counted WHERE id = 3;
        INSERT INTO made(a, c) VALUES(1, 'x'), (NULL, 'y');
        INSERT INTO parent VALUES(1); INSERT INTO child VALUES('r', 1);
        DELETE FROM plain WHERE rowid = 2;
        INSERT INTO words(rowid, title, body, skipped) VALUES(-5, 'The rooks', 'run running', 'zzz'), (9, 'it''s', NULL, 'q');
        INSERT INTO words(words, rank) VALUES('pgsz', 512);
        INSERT INTO outside(outside) VALUES('rebuild');
        INSERT INTO bare(rowid, x) VALUES(77, 'contentless words');
        INSERT INTO places VALUES(1, 0.1, 0.2, -3.7, 5, 'home'), (2, 1e9, 2e9, 0, 0, NULL);
        PRAGMA user_version = 42; PRAGMA application_id = -7; ANALYZE"""})
    return stream


def load(dump, tmp_path):
    """What Debian's sqlite3 makes of it."""
    path = tmp_path / "loaded.db"
    done = subprocess.run(["/usr/bin/sqlite3", "-batch", "-bail", str(path)], input=dump, capture_output=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()
    db = sqlite3.connect(path)
    db.text_factory = bytes
    return db


def typed(row):
    """A row whose floats are told apart by their bits, and 1 from 1.0."""
    return [("float", struct.pack("<d", v)) if isinstance(v, float) else (type(v).__name__, v) for v in row]


def text(value):
    return value.encode() if isinstance(value, str) else value


def same_rows(stream, db, sql):
    theirs = sorted(repr(typed(map(text, row))) for row in stream.query(sql))
    ours = sorted(repr(typed(row)) for row in db.execute(sql))
    assert ours == theirs, sql


def test_a_dump_is_the_database(database, tmp_path, rng):
    stream = fill(database, rng)
    response = database.api.raw("GET", f"/{database.tenant}/{database.slug}/dump")
    assert response.status == 200 and response.header("Content-Type") == "text/plain"
    db = load(response.body, tmp_path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [(b"ok",)]
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    for table in ("plain", '"quo""ted \'name\'"', "keyed", "counted", "made", "strict", "parent", "child", "log", "looks",
                  "words", "places", "sqlite_sequence", "sqlite_stat1"):
        same_rows(stream, db, f"SELECT * FROM {table}")
    same_rows(stream, db, "SELECT rowid, a FROM plain")
    same_rows(stream, db, "SELECT _rowid_, rowid FROM child")
    same_rows(stream, db, "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT GLOB 'sqlite_*'")
    same_rows(stream, db, "SELECT rowid, title FROM words WHERE words MATCH 'run'")
    same_rows(stream, db, "SELECT rowid FROM outside WHERE outside MATCH 'line OR quoted'")
    same_rows(stream, db, "SELECT rowid FROM bare WHERE bare MATCH 'contentless'")
    assert (b"pgsz", 512) in db.execute("SELECT k, v FROM words_config").fetchall()
    same_rows(stream, db, "SELECT label FROM places WHERE x0 < 1")
    for pragma in ("user_version", "application_id"):
        same_rows(stream, db, f"PRAGMA {pragma}")


def test_an_empty_database(database):
    response = database.api.raw("GET", f"/{database.tenant}/{database.slug}/dump")
    assert response.body == b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCOMMIT;\n"


def test_a_dump_is_of_one_moment(database, tmp_path):
    """Writers that keep a sum constant, while a dump of several tables is read slowly."""
    stream = Stream(database)
    stream.one({"type": "sequence", "sql": """
        CREATE TABLE a(id INTEGER PRIMARY KEY, n, fill); CREATE TABLE b(id INTEGER PRIMARY KEY, n, fill);
        WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM i WHERE x < 3000)
            INSERT INTO a SELECT x, 1, randomblob(1000) FROM i;
        INSERT INTO b SELECT id, 0, fill FROM a"""})
    over = threading.Event()
    written = []

    def write(first):
        mine, i = Stream(database), first
        while not over.is_set():
            mine.one({"type": "sequence", "sql": f"BEGIN IMMEDIATE; UPDATE a SET n = n - 1 WHERE id = {i};"
                                                 f"UPDATE b SET n = n + 1 WHERE id = {3001 - i}; COMMIT"})
            written.append(i)
            i = i % 3000 + 1

    threads = [threading.Thread(target=write, args=(n,)) for n in (1, 1500)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            with Connection(database.api.server) as connection:
                connection.send(f"GET /{database.tenant}/{database.slug}/dump HTTP/1.1\r\nHost: x\r\n"
                                f"Authorization: Bearer {database.api.token}\r\n\r\n")
                connection.buffer = connection.sock.recv(1000)
                before = len(written)
                while len(written) < before + 20:  # they are not kept waiting by a reader that does not read
                    pass
                dump = connection.receive().body
            db = load(dump, tmp_path)
            assert db.execute("SELECT (SELECT sum(n) FROM a) + (SELECT sum(n) FROM b)").fetchone() == (3000,)
            assert db.execute("SELECT count(*) FROM a").fetchone() == (3000,)
            db.close()
            (tmp_path / "loaded.db").unlink()
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_client_that_leaves_a_dump_leaves_nothing_behind(start_server):
    server = start_server()
    database = Admin(server).tenant().database()
    Stream(database).one({"type": "sequence", "sql": """CREATE TABLE a(fill);
        WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM i WHERE x < 20000)
            INSERT INTO a SELECT randomblob(1000) FROM i"""})
    for _ in range(5):
        connection = Connection(server)
        connection.send(f"GET /{database.tenant}/{database.slug}/dump HTTP/1.1\r\nHost: x\r\n"
                        f"Authorization: Bearer {database.api.token}\r\n\r\n")
        connection.sock.recv(65536)
        connection.reset()
    Stream(database).one(execute("INSERT INTO a VALUES('still')"))
    server.stop()
