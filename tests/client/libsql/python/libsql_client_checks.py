"""What applications do with libsql-client, over http: or ws:."""

import libsql_client
from checks import IS_WEBSOCKET, READ_TOKEN, TOKEN, URL, WRONG_URL, Skip, check, rejects, run
from libsql_client import LibsqlError


def client(url=URL, token=TOKEN):
    return libsql_client.create_client_sync(url, auth_token=token)


def count(db, table):
    return db.execute(f"SELECT count(*) FROM {table}")[0][0]


@check("every kind of value comes back exactly")
def values(_):
    wanted = (None, 0, -1, 2**63 - 1, -(2**63), 2**53 + 1, 1.5, 5e-324, -1.7976931348623157e308, 1e21,
              "", "\0", "a\0b", "'\"\\/\n\r\t\x1f\x7f", "üñï \U0001F600 \u2028\ufeff", b"", b"\0", b"\0\1\2\xfe\xff")
    with client() as db:
        result = db.execute("SELECT " + ", ".join("?" * len(wanted)), wanted)
        assert result[0].astuple() == wanted, result[0]
        assert [type(value) for value in result[0]] == [type(value) for value in wanted]


@check("infinities that SQL makes come back")
def infinities(_):
    with client() as db:
        assert db.execute("SELECT 9e999, -9e999")[0].astuple() == (float("inf"), float("-inf"))


@check("a megabyte of text and of blob")
def large(t):
    with client() as db:
        db.execute(f"CREATE TABLE {t}(a, b)")
        text, blob = "ä\x01" * 350_000, bytes(range(256)) * 4000
        db.execute(f"INSERT INTO {t} VALUES(?, ?)", [text, blob])
        assert db.execute(f"SELECT a, b FROM {t}")[0].astuple() == (text, blob)


@check("arguments by position and by name")
def arguments(_):
    with client() as db:
        assert db.execute("SELECT ?2, ?1", ["x", "y"])[0].astuple() == ("y", "x")
        assert db.execute("SELECT :a, @b, $c", {"a": 1, "b": "x", "$c": None})[0].astuple() == (1, "x", None)
        rejects(lambda: db.execute("SELECT ?, ?", [1]), LibsqlError, "ARGS_INVALID")
        rejects(lambda: db.execute("SELECT :a", {"b": 1}), LibsqlError, "ARGS_INVALID")


@check("columns, changes, row ids, RETURNING")
def results(t):
    with client() as db:
        db.execute(f"CREATE TABLE {t}(id INTEGER PRIMARY KEY, a)")
        inserted = db.execute(f"INSERT INTO {t}(a) VALUES(1), (2)")
        assert (inserted.rows_affected, inserted.last_insert_rowid, len(inserted)) == (2, 2, 0)
        returned = db.execute(f"INSERT INTO {t}(a) VALUES(3) RETURNING id, a + 1 AS b")
        assert returned.columns == ("id", "b") and returned[0].asdict() == {"id": 3, "b": 4}
        assert db.execute(f"DELETE FROM {t}").rows_affected == 3
        assert db.execute(f"SELECT id FROM {t}").columns == ("id",)


@check("20,000 rows in one answer")
def many_rows(_):
    with client() as db:
        rows = db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
                          "SELECT i, 'row ' || i FROM n").rows
        assert len(rows) == 20000 and rows[-1].astuple() == (20000, "row 20000")


@check("errors have code and message")
def errors(t):
    with client() as db:
        db.execute(f"CREATE TABLE {t}(id INTEGER PRIMARY KEY)")
        db.execute(f"INSERT INTO {t} VALUES(1)")
        error = rejects(lambda: db.execute(f"INSERT INTO {t} VALUES(1)"), LibsqlError)
        assert error.code == "SQLITE_CONSTRAINT", error
        assert error.explanation == f"SQLite error: UNIQUE constraint failed: {t}.id", error
        rejects(lambda: db.execute("SELECT * FROM missing"), LibsqlError, "^SQLITE_UNKNOWN: .*no such table: missing")
        rejects(lambda: db.execute(f"SELECT missing FROM {t}"), LibsqlError, "^SQL_INPUT_ERROR: .*no such column")
        rejects(lambda: db.execute("SELEC"), LibsqlError, "^SQL_PARSE_ERROR: ")
        rejects(lambda: db.execute("SELECT 1; SELECT 2"), LibsqlError, "^SQL_MANY_STATEMENTS: ")


@check("a batch is all or nothing")
def batches(t):
    with client() as db:
        db.execute(f"CREATE TABLE {t}(id INTEGER PRIMARY KEY)")
        results = db.batch([f"INSERT INTO {t} VALUES(1)", (f"INSERT INTO {t} VALUES(?)", [2]),
                            (f"SELECT count(*) FROM {t} WHERE id > :a", {"a": 0})])
        assert [result.rows_affected for result in results] == [1, 1, 0] and results[2][0][0] == 2
        rejects(lambda: db.batch([f"INSERT INTO {t} VALUES(3)", f"INSERT INTO {t} VALUES(1)"]), LibsqlError, "SQLITE_CONSTRAINT")
        rejects(lambda: db.batch([f"INSERT INTO {t} VALUES(3)", "SELECT * FROM missing"]), LibsqlError, "SQLITE_UNKNOWN")
        rejects(lambda: db.batch([f"INSERT INTO {t} VALUES(3)", "SELEC"]), LibsqlError, "SQL_PARSE_ERROR")
        assert count(db, t) == 2


@check("transactions commit, roll back, and roll back when closed")
def transactions(t):
    if not IS_WEBSOCKET:
        raise Skip("the client has transactions over a WebSocket only")
    with client() as db:
        db.execute(f"CREATE TABLE {t}(id INTEGER PRIMARY KEY)")
        with db.transaction() as one:
            one.execute(f"INSERT INTO {t} VALUES(?)", [1])
            assert count(one, t) == 1 and count(db, t) == 0
            rejects(lambda: one.execute(f"INSERT INTO {t} VALUES(1)"), LibsqlError, "SQLITE_CONSTRAINT")
            one.commit()
        assert count(db, t) == 1
        with db.transaction() as two:
            two.execute(f"DELETE FROM {t}")
            two.rollback()
        with db.transaction() as three:
            three.execute(f"DELETE FROM {t}")
        assert count(db, t) == 1
        db.execute(f"INSERT INTO {t} VALUES(2)")


@check("foreign keys are kept")
def foreign_keys(t):
    with client() as db:
        db.batch([f"CREATE TABLE {t}p(id INTEGER PRIMARY KEY)", f"CREATE TABLE {t}c(p REFERENCES {t}p(id))"])
        rejects(lambda: db.execute(f"INSERT INTO {t}c VALUES(1)"), LibsqlError, "FOREIGN KEY constraint failed")


@check("a read-only token reads, and is refused a write")
def read_only(t):
    with client() as db, client(token=READ_TOKEN) as reader:
        db.execute(f"CREATE TABLE {t}(id)")
        assert count(reader, t) == 0
        rejects(lambda: reader.execute(f"INSERT INTO {t} VALUES(1)"), Exception)
        assert count(db, t) == 0


@check("no token, or a wrong one, is refused")
def wrong_tokens(_):
    for token in (None, "wrong", "a.b.c"):
        with client(token=token) as db:
            rejects(lambda: db.execute("SELECT 1"), Exception)


@check("a database that does not exist is refused")
def wrong_database(_):
    with client(url=WRONG_URL) as db:
        rejects(lambda: db.execute("SELECT 1"), Exception)


@check("the token in the URL, and the scheme libsql without TLS")
def url_forms(_):
    with client(url=f"{URL}?authToken={TOKEN}", token=None) as db:
        assert db.execute("SELECT 1")[0][0] == 1
    if IS_WEBSOCKET:
        with client(url="libsql:" + URL.removeprefix("ws:") + "?tls=0") as db:
            assert db.execute("SELECT 1")[0][0] == 1
        with client(url=URL.rstrip("/")) as db:
            assert db.execute("SELECT 1")[0][0] == 1


run()
