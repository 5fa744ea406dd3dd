"""PUT …/import: a new database from a file or from SQL, or nothing at all."""

import pathlib
import sqlite3
import time

import pytest

from api import Admin, Api, Closed, Connection, Database, ProtocolError
from imports import FILE, SQL, answer, chunk, head, imported, is_gone, path_of, staged, upload
from server import PATIENCE, SANITIZER
from test_export import LOOKS, SCHEMA, export, fill, looks, shell, wait_until


def build(path, *statements, page_size=4096, auto_vacuum=0, encoding="UTF-8"):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA encoding='{encoding}'")
    db.execute(f"PRAGMA page_size={page_size}")
    db.execute(f"PRAGMA auto_vacuum={auto_vacuum}")
    for sql in statements:
        db.execute(sql)
    db.close()
    return pathlib.Path(path).read_bytes()


def numbers(count):
    return ("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
            f"WITH c(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM c WHERE n < {count})"
            " INSERT INTO t SELECT n, 'row ' || n FROM c", "CREATE INDEX t_v ON t(v)")


@pytest.fixture
def alone(start_server):
    """A server of its own, so that what is on its disk is this test's."""
    def alone(*options):
        return Admin(start_server(*options)).tenant()
    return alone


# -- what comes in --------------------------------------------------------------------------------

@pytest.mark.parametrize("page_size", [512, 1024, 4096, 8192, 65536])
@pytest.mark.parametrize("auto_vacuum", [0, 1, 2])
def test_a_file_keeps_its_pages(tenant, tmp_path, page_size, auto_vacuum):
    data = build(tmp_path / "in", *numbers(3000), page_size=page_size, auto_vacuum=auto_vacuum)
    made = upload(tenant, "in", data)
    assert made.ok()["slug"] == "in"
    assert made.value["imported"] == {"uploadedBytes": len(data), "bytes": len(data),
                                      "pageSize": page_size, "tables": 1}
    database = Database(tenant.owner, tenant.slug, "in")
    assert database.rows("SELECT count(*), sum(id) FROM t") == [[3000, 4501500]]
    assert database.rows("PRAGMA page_size") == [[page_size]]
    assert database.rows("PRAGMA auto_vacuum") == [[auto_vacuum]]
    database.query("INSERT INTO t VALUES(9999, 'new')").ok()
    database.query("DELETE FROM t WHERE id < 2000").ok()
    out = tmp_path / "out"
    out.write_bytes(export(database).body)
    assert shell("-readonly", out, "PRAGMA integrity_check; PRAGMA page_size; PRAGMA auto_vacuum;"
                 "SELECT count(*) FROM t") == f"ok\n{page_size}\n{auto_vacuum}\n1002\n".encode()


@pytest.mark.parametrize("form,kind", [("sqlite", FILE), ("sql", SQL)])
def test_what_was_exported_comes_back(tenant, tmp_path, form, kind):
    source = tenant.database("source")
    fill(source)
    source.api.put(f"{source.path}/describe", {"tables": [{"name": "log", "description": "x"}]}).ok()
    made = imported(tenant, "made", export(source, form).body, kind)
    files = []
    for database in (source, made):
        files.append(tmp_path / database.slug)
        files[-1].write_bytes(export(database).body)
    if form == "sqlite":
        assert looks(files[0]) == looks(files[1])
    else:  # what is the server's own is not in the SQL
        assert looks(files[0])[:-1] == looks(files[1])[:-1]
    assert made.rows("SELECT rowid FROM notes WHERE notes MATCH 'crow'") == [[1]]
    made.query("INSERT INTO keyed(v) VALUES('four')").ok()
    assert made.rows("SELECT id FROM keyed WHERE v = 'four'") == [[4]]


def test_a_dump_of_the_stock_shell_comes_in(tenant, tmp_path):
    source = tenant.database("source")
    fill(source)
    file = tmp_path / "file"
    file.write_bytes(export(source).body)
    made = upload(tenant, "made", shell(file, ".dump"), SQL)
    made.ok()
    assert made.value["imported"]["skippedStatements"] >= 1
    database = Database(tenant.owner, tenant.slug, "made")
    back = tmp_path / "back"
    back.write_bytes(export(database).body)
    # The shell's dump tells neither rowids nor user_version, cuts text at NUL, and changes spaces
    # in the schema.
    mine, theirs = looks(file), looks(back)
    for at in (1, 2, 3, 4, 5, 6, 8, 10, 11):
        assert mine[at] == theirs[at], LOOKS[at]
    assert database.rows("SELECT rowid FROM notes WHERE notes MATCH 'crow'") == [[1]]
    database.query("INSERT INTO notes VALUES('crow', 'black')").ok()
    assert database.rows("SELECT count(*) FROM notes WHERE notes MATCH 'crow'") == [[2]]


def test_a_full_text_table_without_content_comes_back_by_sql(tenant):
    source = tenant.database("source")
    source.query("CREATE VIRTUAL TABLE bare USING fts5(a, content='')").ok()
    source.query("INSERT INTO bare(rowid, a) VALUES(5, 'some words')").ok()
    made = imported(tenant, "made", export(source, "sql").body, SQL)
    assert made.rows("SELECT rowid FROM bare WHERE bare MATCH 'words'") == [[5]]


def test_utf_16_and_wal_files_come_in(tenant, tmp_path):
    data = build(tmp_path / "wide", *numbers(100), encoding="UTF-16le")
    wide = imported(tenant, "wide", data)
    wide.query("INSERT INTO t VALUES(1000, 'ünï ☃')").ok()
    assert wide.rows("SELECT v FROM t WHERE id >= 99") == [["row 99"], ["row 100"], ["ünï ☃"]]
    assert "ünï ☃".encode() in export(wide, "sql").body
    data = build(tmp_path / "wal", *numbers(100), "PRAGMA journal_mode=WAL")
    assert data[18:20] == b"\x02\x02"
    assert imported(tenant, "wal", data).rows("SELECT count(*) FROM t") == [[100]]


def test_large_values_come_in_both_ways(tenant, tmp_path):
    data = build(tmp_path / "in", "CREATE TABLE t (x)", "INSERT INTO t VALUES(randomblob(20000000))",
                 "INSERT INTO t VALUES(replace(hex(zeroblob(4000000)), '0', 'é'))")
    first = imported(tenant, "first", data)
    second = imported(tenant, "second", export(first, "sql").body, SQL)
    look = "SELECT typeof(x), length(x), hex(substr(x, 1000, 20)) FROM t"
    assert first.rows(look) == second.rows(look)
    assert first.rows(look)[0][1] == 20000000


def test_a_body_in_chunks_and_after_100_continue(server, tenant, tmp_path):
    data = build(tmp_path / "in", *numbers(20000))
    assert len(data) > 500000
    with Connection(server) as connection:
        connection.send(head(tenant.owner.token, path_of(tenant, "chunks"), None,
                             headers={"Expect": "100-continue"}))
        assert connection.receive("PUT").status == 100
        for at in range(0, len(data), 70001):
            connection.send(chunk(data[at:at + 70001]))
        connection.send(b"0\r\n\r\n")
        answer(connection).ok()
        # The connection goes on: what is pipelined behind a body is the next request.
        small = build(tmp_path / "small", *numbers(3))
        connection.send(head(tenant.owner.token, path_of(tenant, "small"), len(small)) + small
                        + head(tenant.owner.token, path_of(tenant, "large"), len(data)) + data
                        + f"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                        f"{tenant.owner.token}\r\n\r\n".encode())
        answer(connection).ok()
        answer(connection).ok()
        assert connection.receive().status == 200
    for slug, count in (("chunks", 20000), ("small", 3), ("large", 20000)):
        assert Database(tenant.owner, tenant.slug, slug).rows("SELECT count(*) FROM t") == [[count]]


def test_the_log_of_large_pages_has_the_same_bound(alone, tmp_path):
    tenant = alone("--wal-soft", "256k", "--wal-hard", "1m")
    data = build(tmp_path / "in", *numbers(10), page_size=65536)
    database = imported(tenant, "in", data)
    for _ in range(100):
        database.query("INSERT INTO t(v) VALUES(zeroblob(60000))").ok()
    logs = [path.stat().st_size for path in tenant.admin.server.data.glob("db/*/*/h*-wal")]
    assert len(logs) == 1 and 0 < logs[0] < 4 << 20, logs


# -- what does not --------------------------------------------------------------------------------

def test_a_name_that_is_taken_is_refused_before_the_body(server, tenant, tmp_path):
    tenant.database("taken").query("CREATE TABLE mine (x)").ok()
    data = build(tmp_path / "in", *numbers(20000))
    upload(tenant, "taken", data).refused(409, "conflict")
    with Connection(server) as connection:
        connection.send(head(tenant.owner.token, path_of(tenant, "taken"), 1 << 30,
                             headers={"Expect": "100-continue"}))
        assert connection.receive("PUT").status == 409
        assert connection.is_closed()
    assert Database(tenant.owner, tenant.slug, "taken").rows("SELECT * FROM mine") == []


def test_rights(server, admin, tenant, tmp_path):
    data = build(tmp_path / "in", *numbers(10))
    for role, status in (("readonly", 403), ("readwrite", 403)):
        upload(tenant, "in", data, api=tenant.api(role)).refused(status)
    other = admin.tenant()
    upload(tenant, "in", data, api=other.owner).refused(403, "namespace_mismatch")
    limited = tenant.api("owner", databases=["a*"])
    upload(tenant, "in", data, api=limited).refused(403)
    with Connection(server) as connection:
        connection.send(head("psql_live_" + "0" * 43, path_of(tenant, "in"), len(data)) + data)
        answer(connection).refused(401)
    tenant.owner.get("/v1/databases/in").refused(404)
    upload(tenant, "in", data, api=admin.api).ok()
    upload(tenant, "abc", data, api=limited).ok()


@pytest.mark.parametrize("data,kind,status,says", [
    (b"", FILE, 400, "empty"),
    (b"hello", FILE, 400, "not a SQLite database"),
    (b"x" * 5000, FILE, 400, "not a SQLite database"),
    (b"SQLite format 3\0" + bytes(200), FILE, 400, "header"),
    (b"SQLite format 3\0" + bytes(4080), FILE, 400, "header"),
    (b"{}", "application/json", 415, "Content-Type"),
    (b"", SQL, 400, "empty"),
    (b" -- nothing\n", SQL, 400, "no statement"),
    (b"CREATE TABLE t (x); INSERT INTO t VALUES(1", SQL, 400, "statement 2"),
    (b"CREATE TABLE t (x); SELEKT", SQL, 400, "statement 2"),
    (b"BEGIN; CREATE TABLE t (x);", SQL, 400, "COMMIT"),
    (b"CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES(1), (1);", SQL, 400, "UNIQUE"),
    (b"CREATE TABLE t (x);\0", SQL, 400, "statement"),
    (b"ATTACH '/etc/passwd' AS x;", SQL, 403, "ATTACH"),
    (b"VACUUM INTO '/tmp/x';", SQL, 403, "VACUUM"),
    (b"CREATE TABLE _rookery_x (x);", SQL, 403, "_rookery_"),
    (b"CREATE VIRTUAL TABLE x USING dbstat(main);", SQL, 403, "dbstat"),
    (b"SELECT data FROM sqlite_dbpage;", SQL, 403, "sqlite_dbpage"),
    (b"PRAGMA writable_schema=ON; INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)"
     b"VALUES('table','x','x',0,'CREATE VIRTUAL TABLE x USING dbstat(main)');", SQL, 400, "\"x\""),
    (b"PRAGMA writable_schema=ON; INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)"
     b"VALUES('table','x','x',0,'nonsense');", SQL, 400, ""),
    (b"PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = 'x';", SQL, 400, "statement 2"),
    (b"CREATE TABLE t (x); INSERT INTO t VALUES('" + b"x" * 200_000_000, SQL, 413, "longer"),
], ids=lambda value: value[:60].decode("latin-1") if isinstance(value, bytes) else str(value))
def test_bodies_that_are_refused_leave_nothing(alone, data, kind, status, says):
    tenant = alone()
    refused = upload(tenant, "in", data, kind)
    refused.refused(status)
    assert says in refused.value["error"], refused
    is_gone(tenant, "in")


def hostile(*statements):
    """A file whose schema was written by hand."""
    return ("CREATE TABLE t (x)", *statements)


@pytest.mark.parametrize("statements,says", [
    (["CREATE TABLE _rookery_changes (x)"], "_rookery_"),
    (["CREATE TABLE _PerSQL_meta (x)"], "_persql_"),
    (["CREATE TABLE _rookery_descriptions (x)"], "_rookery_"),
    (["CREATE INDEX _rookery_i ON t(x)"], "_rookery_"),
    (["CREATE VIEW v AS SELECT * FROM _rookery_changes"], "_rookery_"),
    (["CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM _persql_x; END"], "_persql_"),
    (["CREATE VIEW v AS SELECT * FROM dbstat"], "\"v\""),
    (["CREATE VIEW v AS SELECT data FROM sqlite_dbpage"], "\"v\""),
    (["CREATE VIEW v AS SELECT fts5(x) FROM t"], "\"v\""),
    (["CREATE VIRTUAL TABLE v USING fts4(a)"], "\"v\""),
    (["PRAGMA writable_schema=ON", "UPDATE sqlite_schema SET sql = 'CREATE TABLE t (x); DROP'"],
     ""),
    (["PRAGMA writable_schema=ON", "UPDATE sqlite_schema SET rootpage = 77"], ""),
    (["PRAGMA writable_schema=ON", "UPDATE sqlite_schema SET rootpage = 1"], ""),
    (["PRAGMA writable_schema=ON", "UPDATE sqlite_schema SET type = 'thing'"], ""),
    (["PRAGMA writable_schema=ON", "UPDATE sqlite_schema SET sql = x'00'"], ""),
    (["PRAGMA writable_schema=ON", "UPDATE sqlite_schema SET sql = 'CREATE VIEW t AS SELECT 1'"],
     ""),
    (["PRAGMA writable_schema=ON", "INSERT INTO sqlite_schema VALUES('table', 'v', 'v', 0,"
      " 'CREATE VIRTUAL TABLE v USING csv(filename=''/etc/passwd'')')"], "\"v\""),
])
def test_hostile_schemas_are_refused(alone, tmp_path, statements, says):
    tenant = alone()
    refused = upload(tenant, "in", build(tmp_path / "in", *hostile(*statements)))
    refused.refused(400, "bad_request")
    assert says.lower() in refused.value["error"].lower(), refused
    is_gone(tenant, "in")


@pytest.mark.parametrize("statements", [
    ["CREATE VIEW v AS SELECT * FROM gone"],
    ["CREATE TABLE u (a, b AS (a + 1) VIRTUAL, c TEXT DEFAULT 'USING dbstat')"],
    ["CREATE TABLE \"_rook\" (a)", "CREATE UNIQUE INDEX i ON _rook(a)"],
    ["CREATE TRIGGER r BEFORE UPDATE OF x ON t WHEN new.x > 1 BEGIN SELECT raise(ABORT, 'no'); END"],
    ["CREATE TABLE f (x REFERENCES t(x))"],
])
def test_odd_but_honest_schemas_come_in(tenant, tmp_path, statements):
    imported(tenant, "in", build(tmp_path / "in", *hostile(*statements)))


def test_foreign_keys_are_checked_where_asked(tenant, tmp_path):
    data = build(tmp_path / "in", "PRAGMA foreign_keys=OFF", "CREATE TABLE a (id INTEGER PRIMARY KEY)",
                 "CREATE TABLE b (a REFERENCES a(id))", "INSERT INTO b VALUES(7)")
    upload(tenant, "one", data, query="?foreignKeys=1").refused(400)
    imported(tenant, "two", data)
    upload(tenant, "three", data, query="?check=none").refused(400)
    imported(tenant, "four", data, query="?check=quick")


def test_flipped_bits_are_refused_or_harmless(tenant, tmp_path, rng):
    whole = build(tmp_path / "in", *numbers(2000), *SCHEMA[:-4])
    accepted = 0
    for turn in range(60):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 3, 40))):
            at = rng.randrange(100 if rng.random() < 0.3 else len(data))
            data[at] ^= 1 << rng.randrange(8)
        result = upload(tenant, f"d{turn}", bytes(data))
        if result.status == 200:
            accepted += 1
            database = Database(tenant.owner, tenant.slug, f"d{turn}")
            assert database.rows("PRAGMA integrity_check") == [["ok"]]
            tenant.owner.delete(f"/v1/databases/d{turn}").ok()
        else:
            result.refused(400)
    assert accepted < 60


def test_a_file_cut_off_is_refused(alone, tmp_path):
    tenant = alone()
    data = build(tmp_path / "in", *numbers(2000))
    for cut in (1, 99, 100, 511, 4095, 4096, len(data) - 4096, len(data) - 1):
        upload(tenant, "in", data[:cut]).refused(400)
    is_gone(tenant, "in")


def test_limits_of_size(alone, tmp_path):
    tenant = alone("--max-import", "100k", "--max-database-size", "64k")
    data = build(tmp_path / "in", *numbers(10000))
    refused = upload(tenant, "in", data)
    refused.refused(413, "too_large")
    with Connection(tenant.admin.server) as connection:  # of unknown length
        connection.send(head(tenant.owner.token, path_of(tenant, "in"), None, SQL))
        try:
            for _ in range(100):
                connection.send(chunk(b"-- a comment\n" * 1000))
        except OSError:
            pass
        answer(connection).refused(413, "too_large")
        assert connection.is_closed()
    # A small text that makes a large database.
    grow = (b"CREATE TABLE t (x); INSERT INTO t WITH c(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM c"
            b" WHERE n < 1000) SELECT zeroblob(1000) FROM c;")
    upload(tenant, "in", grow, SQL).refused(413, "too_large")
    is_gone(tenant, "in")
    imported(tenant, "in", build(tmp_path / "small", *numbers(100)))


def test_so_many_imports_at_once(alone, tmp_path):
    tenant = alone("--imports", "1")
    data = build(tmp_path / "in", *numbers(100))
    with Connection(tenant.admin.server) as connection:
        connection.send(head(tenant.owner.token, path_of(tenant, "slow"), len(data),
                             headers={"Expect": "100-continue"}))
        assert connection.receive("PUT").status == 100
        busy = upload(tenant, "other", data)
        busy.refused(503)
        assert busy.response.header("Retry-After")
        connection.send(data)
        answer(connection).ok()
    imported(tenant, "other", data)


# -- clients that fail ----------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["reset", "close", "end_sending"])
def test_an_upload_that_ends_early_leaves_nothing(alone, tmp_path, how):
    tenant = alone()
    data = build(tmp_path / "in", *numbers(20000))
    with Connection(tenant.admin.server) as connection:
        connection.send(head(tenant.owner.token, path_of(tenant, "in"), len(data)))
        connection.send(data[:len(data) - 10])
        wait_until(lambda: staged(tenant.admin.server))
        getattr(connection, how)()
        wait_until(lambda: not staged(tenant.admin.server))
    is_gone(tenant, "in")
    imported(tenant, "in", data)


def test_a_slow_upload_is_ended(alone, tmp_path):
    tenant = alone("--body-timeout", "300ms")
    with Connection(tenant.admin.server) as connection:
        connection.send(head(tenant.owner.token, path_of(tenant, "in"), 1 << 20) + b"x" * 100)
        assert connection.receive("PUT").status == 408
    wait_until(lambda: not staged(tenant.admin.server))
    is_gone(tenant, "in")


def test_nonsense_between_chunks_ends_it(alone, tmp_path):
    tenant = alone()
    with Connection(tenant.admin.server) as connection:
        connection.send(head(tenant.owner.token, path_of(tenant, "in"), None))
        connection.send(chunk(b"x" * 300000) + b"zz\r\n")
        assert connection.receive("PUT").status == 400
        assert connection.is_closed()
    wait_until(lambda: not staged(tenant.admin.server))
    is_gone(tenant, "in")


def test_a_stopping_server_ends_uploads(start_server, tmp_path):
    server = start_server("--drain-timeout", "1s")
    tenant = Admin(server).tenant()
    data = build(tmp_path / "in", *numbers(20000))
    with Connection(server) as connection:
        connection.send(head(tenant.owner.token, path_of(tenant, "in"), len(data)))
        connection.send(data[:300000])
        wait_until(lambda: staged(server))
        server.stop()
    server.start()
    assert not staged(server)


# -- crashes --------------------------------------------------------------------------------------

def test_kill_9_leaves_no_database_or_the_whole_one(start_server, tmp_path, rng):
    server = start_server()
    tenant = Admin(server).tenant()
    data = build(tmp_path / "in", *numbers(30000))
    whole = 0
    for turn in range(12):
        slug = f"d{turn}"
        connection = Connection(server)
        connection.send(head(tenant.owner.token, path_of(tenant, slug), len(data)))
        connection.send(data[:-1])
        connection.send(data[-1:])
        acknowledged = False
        end = time.monotonic() + rng.random() * 0.12  # anywhere in what follows: no race is hidden
        connection.sock.settimeout(max(0.001, end - time.monotonic()))
        try:
            acknowledged = answer(connection).status == 200
        except (OSError, ProtocolError, Closed):
            pass
        server.kill()
        connection.close()
        server.start()
        found = tenant.owner.get(f"/v1/databases/{slug}")
        assert not acknowledged or found.status == 200
        if found.status == 200:
            whole += 1
            database = Database(tenant.owner, tenant.slug, slug)
            assert database.rows("SELECT count(*), sum(id) FROM t") == [[30000, 450015000]]
            assert database.rows("PRAGMA integrity_check") == [["ok"]]
        assert not staged(server)
    print(f"{whole} of 12 were whole")


def test_what_a_crash_left_is_removed_and_what_has_a_row_is_not(start_server, tmp_path):
    server = start_server()
    tenant = Admin(server).tenant()
    imported(tenant, "in", build(tmp_path / "in", *numbers(10)))
    server.stop()
    stray = server.data / "import" / ("ab" * 16)
    stray.mkdir(parents=True)
    (stray / "base-x").write_bytes(b"x")
    server.start()
    assert not stray.exists()
    assert [event["family"] for event in server.events("import.removed")] == ["ab" * 16]
    assert Database(tenant.owner, tenant.slug, "in").rows("SELECT count(*) FROM t") == [[10]]


def test_the_description_names_both_routes(server):
    paths = Api(server, None).raw("GET", "/openapi.json").value()["paths"]
    body = paths["/v1/db/{tenant}/{database}/import"]["put"]["requestBody"]
    assert sorted(body["content"]) == [SQL, FILE]
    assert "get" in paths["/v1/db/{tenant}/{database}/export"]


# -- large ones -----------------------------------------------------------------------------------

def memory_mb(server, word):
    with open(f"/proc/{server.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(word)) / 1024


@pytest.mark.slow
def test_200_mb_there_and_back_in_a_server_that_stays_small(alone, tmp_path):
    tenant = alone()
    server = tenant.admin.server
    tenant.database("warm").query("CREATE TABLE t (x)").ok()
    path = tmp_path / "in"
    build(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)",
          "WITH c(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM c WHERE n < 2000)"
          " INSERT INTO t SELECT n, randomblob(100000) FROM c")
    size = path.stat().st_size
    assert size > 200_000_000
    before = memory_mb(server, "VmHWM")
    with Connection(server, timeout_s=120 * PATIENCE) as connection, open(path, "rb") as file:
        connection.send(head(tenant.owner.token, path_of(tenant, "in"), size))
        connection.sock.sendfile(file)
        assert answer(connection).value["imported"]["bytes"] == size
        connection.send(f"GET /v1/db/{tenant.slug}/in/export HTTP/1.1\r\nHost: x\r\n"
                        f"Authorization: Bearer {tenant.owner.token}\r\n\r\n".encode())
        got = connection.sock.recv(1 << 20)
        start = got.index(b"\r\n\r\n") + 4
        assert f"Content-Length: {size}\r\n".encode() in got[:start]
        with open(tmp_path / "out", "wb") as out:
            out.write(got[start:])
            while out.tell() < size:
                piece = connection.sock.recv(1 << 20)
                assert piece
                out.write(piece)
    if SANITIZER == "none":
        grown = memory_mb(server, "VmHWM") - before
        assert grown < 40, f"the server grew by {grown:.0f} MB"
    look = "PRAGMA integrity_check; SELECT count(*), sum(length(x)), hex(substr(x, 1, 9)) FROM t"
    assert shell("-readonly", tmp_path / "out", look) == shell("-readonly", path, look)
