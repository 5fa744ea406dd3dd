"""What SQL may not do, asked over HTTP: each escape through every route that takes SQL. The rules
themselves have 200 cases in tests/unit/test-guard.c; here they must hold whichever way in is
taken, answer clearly, leave no file, and leave nothing on a connection that others share."""

import threading

import pytest
from api import Admin, Database, blob

ROUTES = ["query", "batch", "transaction", "continue", "explain", "validate", "second"]

SCHEMA = [
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a)", "INSERT INTO t VALUES (1, 'kept')",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, t REFERENCES t(id))",
    "CREATE VIRTUAL TABLE f USING fts5(body)", "INSERT INTO f VALUES ('kept')",
]

# {victim}: a SQLite file outside the data folder; {fresh}: a path where nothing is;
# {own}: the database's own file.
ESCAPES = [
    "ATTACH '{victim}' AS x",
    "ATTACH DATABASE '{fresh}' AS x",
    "aTTach/**/'{victim}'--\nAS x",
    ";;ATTACH '{victim}' AS x",
    "\ufeffATTACH '{victim}' AS x",
    "ATTACH 'file:{victim}?mode=rw&vfs=unix' AS x",
    "ATTACH 'file:{own}?mode=ro' AS x",
    "ATTACH '{catalogue}' AS x",
    "ATTACH (SELECT '{victim}') AS x",
    "ATTACH ? AS x",
    "ATTACH ':memory:' AS x",
    "ATTACH '' AS x",
    "EXPLAIN ATTACH '{victim}' AS x",
    "EXPLAIN QUERY PLAN ATTACH '{victim}' AS x",
    "SELECT 1; ATTACH '{victim}' AS x",
    "DETACH main",
    "DETACH DATABASE temp",
    "VACUUM",
    "VACUUM main INTO '{fresh}'",
    "VACUUM INTO '{victim}'",
    "/* */ vacuum INTO '{fresh}' || '2'",
    "EXPLAIN VACUUM INTO '{fresh}'",
    "SELECT load_extension('{victim}')",
    "SELECT load_extension('{victim}', 'sqlite3_init')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('{fresh}', 'x')",
    "SELECT edit('x')",
    "SELECT * FROM fsdir('/')",
    "SELECT * FROM zipfile('{victim}')",
    "SELECT fts3_tokenizer('simple', x'4141414141414141')",
    "SELECT fts5(NULL)",
    "SELECT * FROM sqlite_dbpage",
    "UPDATE sqlite_dbpage SET data = zeroblob(4096) WHERE pgno = 1",
    "SELECT * FROM dbstat",
    "SELECT * FROM sqlite_stmt",
    "SELECT * FROM bytecode('SELECT 1')",
    "SELECT * FROM tables_used('SELECT 1')",
    "CREATE VIRTUAL TABLE x USING csv(filename='/etc/passwd')",
    "CREATE VIRTUAL TABLE x USING dbstat(main)",
    "CREATE VIRTUAL TABLE x USING fts5(a, content='_rookery_changes')",
    "CREATE VIRTUAL TABLE temp.x USING fts5(a)",
    "PRAGMA writable_schema = ON",
    "PRAGMA main.writable_schema(RESET)",
    "EXPLAIN PRAGMA writable_schema = ON",
    "UPDATE sqlite_schema SET sql = 'CREATE TABLE t (b)'",
    "INSERT INTO sqlite_master VALUES ('table', 'x', 'x', 2, 'CREATE TABLE x (a)')",
    "DELETE FROM sqlite_master",
    "UPDATE sqlite_sequence SET seq = 0 WHERE 1 = (SELECT 1 FROM _rookery_x)",
    "PRAGMA trusted_schema = ON",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA query_only = OFF",
    "PRAGMA mmap_size = 1000000000",
    "PRAGMA cache_size = -10000000",
    "PRAGMA cache_spill = 0",
    "PRAGMA max_page_count = 4294967294",
    "PRAGMA hard_heap_limit = 1",
    "PRAGMA soft_heap_limit = 1",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA data_store_directory = '/tmp'",
    "PRAGMA page_size = 512",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA wal_autocheckpoint = 1",
    "PRAGMA busy_timeout = 100000",
    "PRAGMA schema_version = 1",
    "PRAGMA threads = 8",
    "PRAGMA shrink_memory",
    "PRAGMA secure_delete = OFF",
    "PRAGMA recursive_triggers = ON",
    "PRAGMA key = 'x'",
    "PRAGMA nobody_knows_this = 1",
    "SELECT * FROM pragma_wal_checkpoint",
    "SELECT * FROM pragma_cache_spill",
    "CREATE TEMP TABLE x (a)",
    "CREATE TABLE temp.x (a)",
    "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
    "CREATE TRIGGER temp.x AFTER INSERT ON main.t BEGIN DELETE FROM t; END",
    "CREATE TEMP VIEW t AS SELECT 1",
    "CREATE TABLE _rookery_x (a)",
    "ALTER TABLE t RENAME TO _persql_t",
    "CREATE TRIGGER x AFTER INSERT ON t BEGIN INSERT INTO _rookery_changes VALUES (1); END",
    "CREATE VIEW x AS SELECT * FROM _rookery_changes",
    "SELECT * FROM _rookery_changes",
    "CREATE TABLE x (a REFERENCES _persql_meta(id))",
    "CREATE TABLE sqlite_x (a)",
    "SELECT block FROM f_data",
    "DELETE FROM f_data",
    "DROP TABLE f_content",
    "BEGIN",
    "BEGIN EXCLUSIVE",
    "/* x */ commit",
    "END TRANSACTION",
    "ROLLBACK",
    "SAVEPOINT s",
    "RELEASE s",
    "ROLLBACK TO s",
]
# Explaining these tells what they would do, and does nothing.
REFUSED_WHEN_RUN = "SELECT * FROM pragma_cache_spill"
HARMLESS_EXPLAINED = ("BEGIN", "/* x */ commit", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", REFUSED_WHEN_RUN)


class Place:
    """A server of this file's own, with something outside its folder to be after."""

    def __init__(self, server, folder):
        import sqlite3
        self.server, self.folder = server, folder
        self.victim, self.fresh = folder / "victim.db", folder / "fresh.db"
        with sqlite3.connect(self.victim) as db:
            db.execute("CREATE TABLE v (a)")
            db.execute("INSERT INTO v VALUES ('VICTIM')")
        self.content = self.victim.read_bytes()
        self.database = Admin(server).tenant().database()
        self.database.batch(SCHEMA, transaction=True).ok()
        self.own = next(server.data.glob("db/*/*/base-*"))
        self.schema = self.database.rows("SELECT sql FROM sqlite_schema ORDER BY name")
        self.files = self.find()

    def find(self):
        """Every file there is but what the server makes for itself as it runs."""
        return {path for path in self.folder.rglob("*") if path.is_file() and path.name != "log"
                and self.server.data / "tmp" not in path.parents}

    def fill(self, sql):
        for name in ("victim", "fresh", "own"):
            sql = sql.replace("{" + name + "}", str(getattr(self, name)))
        return sql.replace("{catalogue}", str(self.server.data / "catalogue.db"))

    def check(self):
        assert self.find() == self.files, "an escape made or removed files"
        assert self.victim.read_bytes() == self.content
        assert self.database.rows("SELECT sql FROM sqlite_schema ORDER BY name") == self.schema
        assert self.database.rows("SELECT a FROM t") == [["kept"]]
        assert self.database.rows("SELECT body FROM f WHERE f MATCH 'kept'") == [["kept"]]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    from server import Server
    folder = tmp_path_factory.mktemp("guard")
    server = Server(folder / "server").start()
    yield Place(server, folder)
    server.stop()


def ask(database, route, sql):
    params = [str(database.slug)] if "?" in sql and "file:" not in sql else []
    if route == "query":
        return database.query(sql, params)
    if route == "second":  # behind an innocent first statement
        return database.query("SELECT 1 WHERE 0; " + sql, params)
    if route in ("explain", "validate"):
        return database.api.post(f"{database.path}/{route}", {"sql": sql, "params": params})
    return database.batch([("SELECT 1", []), (sql, params), ("SELECT 2", [])],
                          transaction=route == "transaction" or None,
                          continue_on_error=route == "continue" or None)


@pytest.mark.parametrize("sql", ESCAPES)
def test_an_escape_is_refused_on_every_route(place, sql):
    text = place.fill(sql)
    for route in ROUTES:
        answer = ask(place.database, route, text)
        body = answer.response.body.decode()
        where = f"{route}: {answer}"
        assert "VICTIM" not in body and "root:" not in body, where
        if route == "continue" and answer.status == 200:
            entry = answer.value["data"][1]
            assert entry["success"] is False and entry["code"] in ("guard", "sql_error",
                                                                  "many_statements", "transaction_words"), where
        elif route == "validate" and answer.status == 200:
            assert answer.value["data"]["ok"] is False or sql == REFUSED_WHEN_RUN, where
        elif route == "explain" and answer.status == 200:
            assert sql.startswith(HARMLESS_EXPLAINED), where
        else:
            assert answer.status in (400, 403), where
            answer.refused(answer.status)
            assert answer.value["code"] in ("guard", "sql_error", "many_statements", "transaction_words"), where
        assert "/" + str(place.server.data).strip("/") not in answer.value.get("error", "") \
            or "{" in sql, f"a path of the server's: {where}"
    place.check()


@pytest.mark.parametrize("sql, code", [
    ("ATTACH 'x' AS x", "guard"), ("VACUUM", "guard"), ("PRAGMA writable_schema=1", "guard"),
    ("SELECT * FROM dbstat", "guard"), ("CREATE TEMP TABLE x (a)", "guard"),
    ("BEGIN", "transaction_words"), ("SELECT 1; SELECT 2", "many_statements"),
])
def test_a_refusal_says_what_to_do_instead(place, sql, code):
    answer = place.database.query(sql)
    answer.refused(400 if code != "guard" else 403, code)
    assert len(answer.value["error"]) > 30, "a reason, not a word"
    assert answer.value["errorDetail"]["message"] == answer.value["error"]


def test_a_view_or_trigger_does_not_get_around_the_guard(place):
    """What is only checked when it is used: bodies written now, run later."""
    database = place.database
    made = []
    for sql in ("CREATE VIEW v1 AS SELECT * FROM pragma_wal_checkpoint",
                "CREATE VIEW v2 AS SELECT * FROM pragma_cache_spill",
                "CREATE VIEW v3 AS SELECT load_extension('x')",
                "CREATE VIEW v4 AS SELECT * FROM sqlite_dbpage",
                "CREATE VIEW v5 AS SELECT * FROM dbstat",
                "CREATE VIEW v6 AS SELECT fts3_tokenizer('simple')"):
        if database.query(sql).status == 200:
            name = sql.split()[2]
            made.append(name)
            assert database.query(f"SELECT * FROM {name}").status in (400, 403), sql
            assert database.query(f"SELECT 1 FROM t, {name}").status in (400, 403), sql
    for name in made:
        database.query(f"DROP VIEW {name}").ok()
    answer = database.query("CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE sqlite_schema SET sql = ''; END")
    if answer.status == 200:
        assert database.query("INSERT INTO t VALUES (9, 'x')").status in (400, 403)
        database.query("DROP TRIGGER g").ok()
    place.check()


# -- what must not stay on a connection that others share ------------------------------------------


def test_foreign_keys_off_ends_with_its_request(place):
    database = place.database
    bad = "INSERT INTO child VALUES (5, 12345)"
    for _ in range(10):
        assert database.query("PRAGMA foreign_keys = OFF").status in (200, 403)
        assert database.rows("PRAGMA foreign_keys") == [[1]]
        assert database.query(bad).refused(400)["errorDetail"]["kind"] == "fk_violation"
        answer = database.batch(["PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys"])
        assert answer.status in (200, 403)
        assert database.query(bad).refused(400)["errorDetail"]["kind"] == "fk_violation"
    assert database.rows("PRAGMA foreign_key_check") == []


def test_deferred_keys_end_with_their_request(place):
    database = place.database
    for transaction in (True, None):
        answer = database.batch(["PRAGMA defer_foreign_keys = ON", "INSERT INTO child VALUES (6, 12345)"],
                                transaction=transaction)
        assert answer.refused(400)["errorDetail"]["kind"] == "fk_violation"
        assert database.query("INSERT INTO child VALUES (7, 12345)").refused(400)["errorDetail"]["kind"] \
            == "fk_violation"
        assert database.rows("SELECT * FROM child") == []


def test_counters_of_a_connection_are_the_requests_own(place):
    database = place.database
    for _ in range(5):
        answers = database.batch(["INSERT INTO t VALUES (777, 'x')",
                                  "SELECT last_insert_rowid(), changes()", "DELETE FROM t WHERE id = 777"],
                                 transaction=True).ok()
        assert answers[1]["rows"] == [[777, 1]]
        assert database.rows("SELECT last_insert_rowid()") == [[0]]
        assert database.batch(["SELECT last_insert_rowid()", "DELETE FROM t WHERE id = 1000000"],
                              transaction=True).ok()[0]["rows"] == [[0]]


def test_a_refused_request_leaves_neighbours_alone(place):
    """Escapes and honest writes side by side on one database, in the same groups."""
    database, wrong = place.database, []
    database.query("CREATE TABLE IF NOT EXISTS side (a)").ok()

    def attack():
        for sql in ESCAPES[::3]:
            answer = database.query(place.fill(sql), [])
            if answer.status not in (400, 403):
                wrong.append(answer)

    def write(first):
        for n in range(first, first + 60):
            answer = database.query("INSERT INTO side VALUES (?)", [n])
            if answer.status != 200:
                wrong.append(answer)

    threads = [threading.Thread(target=attack) for _ in range(3)] + \
              [threading.Thread(target=write, args=(1000 * k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:5]
    assert database.rows("SELECT count(*), count(DISTINCT a) FROM side") == [[180, 180]]
    database.query("DROP TABLE side").ok()
    place.check()


def test_parameters_are_values_and_never_sql(place):
    database = place.database
    for value in ("'; DROP TABLE t; --", "ATTACH 'x' AS y", "\0", blob(b"'; DROP TABLE t"), "{victim}"):
        assert database.rows("SELECT ?1 = ?1", [value]) == [[1]]
    assert database.query("SELECT * FROM ?", ["t"]).status == 400
    assert database.rows("SELECT count(*) FROM t WHERE a = ?", ["' OR 1=1 --"]) == [[0]]
    place.check()


@pytest.mark.parametrize("slug", ["..", "../other", "..%2f..%2fcatalogue.db", "%2e%2e", "main/../../x",
                                  "main%00", "/etc/passwd", "catalogue.db", "main.db", "MAIN;"])
def test_a_path_names_databases_and_never_files(place, slug):
    database = place.database
    answer = database.api.request("POST", f"/v1/db/{database.tenant}/{slug}/query", {"sql": "SELECT 1"})
    assert answer.status in (400, 403, 404, 405), answer
    answer = database.api.post("/v1/databases", {"slug": slug})
    assert answer.status == 400, answer
    place.check()


def test_virtual_tables_that_are_allowed_work(place):
    """The guard is not so strict that what it names as allowed fails."""
    database = Database(place.database.api, place.database.tenant, place.database.slug)
    database.batch(["CREATE VIRTUAL TABLE ok1 USING fts5(a, tokenize='porter unicode61')",
                    "CREATE VIRTUAL TABLE ok2 USING fts5vocab('ok1', 'row')",
                    "CREATE VIRTUAL TABLE ok3 USING rtree(id, x0, x1)",
                    "INSERT INTO ok1 VALUES ('running birds')", "INSERT INTO ok3 VALUES (1, 0, 1)"]).ok()
    assert database.rows("SELECT a FROM ok1 WHERE ok1 MATCH 'run' ORDER BY bm25(ok1)") == [["running birds"]]
    assert database.rows("SELECT term FROM ok2 ORDER BY term") == [["bird"], ["run"]]
    assert database.rows("SELECT id FROM ok3 WHERE x1 > 0.5") == [[1]]
    assert database.rows("SELECT json_extract('{\"a\":2}', '$.a') + sqrt(4)") == [[4.0]]
    database.batch(["DROP TABLE ok2", "DROP TABLE ok1", "DROP TABLE ok3"]).ok()
