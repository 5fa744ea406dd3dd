"""What applications do with PyPI's libsql, which is the Rust client's core, against a remote database."""

import threading

import libsql
from checks import READ_TOKEN, TOKEN, URL, WRONG_URL, check, rejects, run


def connect(url=URL, token=TOKEN, **more):
    return libsql.connect(url, auth_token=token, **more)


def one(db, sql, *args):
    return db.execute(sql, args).fetchone()


@check("every kind of value comes back exactly")
def values(_):
    wanted = (None, 0, -1, 2**31 - 1, -(2**31), 1.5, 5e-324, 1e21,
              "", "a\0b", "'\"\\/\n\r\t\x1f\x7f", "üñï \U0001F600 \u2028\ufeff", b"", b"\0", b"\0\1\2\xfe\xff")
    db = connect()
    got = db.execute("SELECT " + ", ".join("?" * len(wanted)), wanted).fetchone()
    assert got == wanted, got
    assert [type(value) for value in got] == [type(value) for value in wanted]


@check("integers of 64 bits that SQL makes come back")
def large_integers(_):
    # As arguments the client itself makes floats of them.
    assert one(connect(), "SELECT 9223372036854775807, -9223372036854775808, 9007199254740993") == (2**63 - 1, -(2**63), 2**53 + 1)


@check("statements outside transactions")
def autocommit(t):
    db = connect(isolation_level=None)
    db.execute(f"CREATE TABLE {t}(id INTEGER PRIMARY KEY, a)")
    inserted = db.execute(f"INSERT INTO {t}(a) VALUES(?)", ("x",))
    assert inserted.lastrowid == 1
    assert one(connect(), f"SELECT count(*) FROM {t}") == (1,)
    cursor = db.execute(f"SELECT id, a FROM {t}")
    assert [column[0] for column in cursor.description] == ["id", "a"]
    assert cursor.fetchall() == [(1, "x")]


@check("a write opens a transaction that commits or rolls back")
def transactions(t):
    db, other = connect(), connect()
    db.execute(f"CREATE TABLE {t}(id INTEGER PRIMARY KEY)")
    db.commit()
    db.execute(f"INSERT INTO {t} VALUES(1)")
    assert db.in_transaction
    assert one(other, f"SELECT count(*) FROM {t}") == (0,)
    db.commit()
    assert not db.in_transaction
    assert one(other, f"SELECT count(*) FROM {t}") == (1,)
    db.execute(f"INSERT INTO {t} VALUES(2)")
    db.rollback()
    assert one(other, f"SELECT count(*) FROM {t}") == (1,)


@check("RETURNING")
def returning(t):
    db = connect(isolation_level=None)
    db.execute(f"CREATE TABLE {t}(id INTEGER PRIMARY KEY, a)")
    assert db.execute(f"INSERT INTO {t}(a) VALUES(1), (2) RETURNING id, a * 10").fetchall() == [(1, 10), (2, 20)]


@check("executemany and executescript")
def scripts(t):
    db = connect()
    db.executescript(f"CREATE TABLE {t}(id INTEGER PRIMARY KEY, s); INSERT INTO {t} VALUES(1, ';'); INSERT INTO {t} VALUES(2, '''');")
    db.executemany(f"INSERT INTO {t} VALUES(?, ?)", [(3, "a"), (4, "b")])
    db.commit()
    assert one(connect(), f"SELECT count(*) FROM {t}") == (4,)


@check("20,000 rows in one answer")
def many_rows(_):
    rows = connect().execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
                             "SELECT i, 'row ' || i FROM n").fetchall()
    assert len(rows) == 20000 and rows[-1] == (20000, "row 20000")


@check("an answer of 12 MB")
def large(_):
    rows = connect().execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12) "
                             "SELECT hex(zeroblob(500000)) FROM n").fetchall()
    assert [len(row[0]) for row in rows] == [1_000_000] * 12


@check("errors say what SQLite says")
def errors(t):
    db = connect(isolation_level=None)
    db.execute(f"CREATE TABLE {t}(id INTEGER PRIMARY KEY)")
    db.execute(f"INSERT INTO {t} VALUES(1)")
    rejects(lambda: db.execute(f"INSERT INTO {t} VALUES(1)"), Exception, "UNIQUE constraint failed")
    rejects(lambda: db.execute("SELECT * FROM missing"), Exception, "no such table: missing")
    rejects(lambda: db.execute("SELEC"), Exception, "syntax error")
    assert one(db, "SELECT 1") == (1,)


@check("8 connections at once")
def concurrent(t):
    connect(isolation_level=None).execute(f"CREATE TABLE {t}(id INTEGER PRIMARY KEY)")
    problems = []

    def work(first):
        try:
            # No transactions: the client keeps Python's lock while it waits for the database's.
            db = connect(isolation_level=None)
            for i in range(10):
                db.execute(f"INSERT INTO {t} VALUES(?)", (first + i,))
        except BaseException as problem:
            problems.append(repr(problem))

    threads = [threading.Thread(target=work, args=(i * 100,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems
    assert one(connect(), f"SELECT count(*) FROM {t}") == (80,)


@check("a read-only token reads, and is refused a write")
def read_only(t):
    db = connect(isolation_level=None)
    db.execute(f"CREATE TABLE {t}(id)")
    reader = connect(token=READ_TOKEN, isolation_level=None)
    assert one(reader, f"SELECT count(*) FROM {t}") == (0,)
    rejects(lambda: reader.execute(f"INSERT INTO {t} VALUES(1)"), BaseException)
    assert one(db, f"SELECT count(*) FROM {t}") == (0,)


@check("no token, or a wrong one, is refused")
def wrong_tokens(_):
    for token in ("", "wrong", "a.b.c"):
        rejects(lambda: one(connect(token=token), "SELECT 1"), BaseException)


@check("a database that does not exist is refused")
def wrong_database(_):
    rejects(lambda: one(connect(url=WRONG_URL), "SELECT 1"), BaseException)


@check("the URL without its last slash")
def url_forms(_):
    assert one(connect(url=URL.rstrip("/")), "SELECT 1") == (1,)


run()
