"""Many clients at once: what was acknowledged is seen by everybody, neighbours in a commit do not
feel each other's failures, and databases that open, close and change under load stay right."""

import json
import re
import threading
import time

import pytest
from api import Admin, Api, Connection, Database
from server import PATIENCE

ROUNDS = 1 if PATIENCE == 1 else 0.3  # sanitized servers do less


def together(*jobs):
    """Runs each in a thread of its own; the first failure is the test's."""
    problems = []

    def run(job):
        try:
            job()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def metric(server, name):
    text = Api(server, None).raw("GET", "/metrics").body.decode()
    return sum(float(row.split()[-1]) for row in text.splitlines()
               if re.match(re.escape(name) + r"(\{|\s)", row))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    from server import Server
    server = Server(tmp_path_factory.mktemp("concurrency"), options=["--loops", "4", "--workers", "4"]).start()
    yield server, Admin(server)
    server.stop()


# -- what was acknowledged is seen (promise 3) -----------------------------------------------------------


@pytest.mark.parametrize("commit", ["pipelined", "inline"])
def test_a_read_sees_what_was_acknowledged_before_it_began(start_server, commit):
    """On any connection and loop, by cached statements and new ones, while others write."""
    server = start_server("--loops", "4", "--commit", commit)
    database = Admin(server).tenant().database()
    database.batch(["CREATE TABLE t (id INTEGER PRIMARY KEY, n)", "INSERT INTO t VALUES (1, 0), (2, 0)"]).ok()
    acknowledged, stopping = {1: 0, 2: 0}, threading.Event()
    reads = []

    def write(key):
        for n in range(1, int(400 * ROUNDS)):
            database.query("UPDATE t SET n = ? WHERE id = ?", [n, key]).ok()
            acknowledged[key] = n
        stopping.set()

    def read(k):
        last = {1: 0, 2: 0}
        count = 0
        while not stopping.is_set():
            count += 1
            key = 1 + count % 2
            before = acknowledged[key]
            sql = "SELECT n FROM t WHERE id = ?" if count % 4 else f"SELECT n, {k}{count} FROM t WHERE id = ?"
            seen = database.rows(sql, [key])[0][0]
            assert seen >= before, f"{before} was acknowledged, {seen} was read"
            assert seen >= last[key], f"{last[key]} was read, then {seen}"
            last[key] = seen
        reads.append(count)

    together(*(lambda key=key: write(key) for key in (1, 2)), *(lambda k=k: read(k) for k in range(6)))
    assert sum(reads) > 50 * ROUNDS


def test_a_write_is_seen_at_once_on_every_connection(place):
    server, admin = place
    tenant = admin.tenant()
    database = tenant.database()
    database.query("CREATE TABLE t (n)").ok()
    seen = [Database(Api(server, tenant.owner.token), tenant.slug, "main") for _ in range(16)]
    for n in range(1, int(40 * ROUNDS)):
        seen[n % 16].query("INSERT INTO t VALUES (?)", [n]).ok()
        for k in range(3):
            assert seen[(n * 7 + k * 5) % 16].rows("SELECT count(*) FROM t") == [[n]]


def test_a_new_table_a_new_database_and_a_new_token_are_seen_at_once(place):
    server, admin = place
    tenant = admin.tenant()
    for n in range(int(15 * ROUNDS)):
        slug = f"d{n}"
        tenant.owner.post("/v1/databases", {"slug": slug}).ok()
        token = tenant.token("owner")["token"]
        apis = [Api(server, token) for _ in range(4)]
        assert [Database(api, tenant.slug, slug).query("SELECT 1").status for api in apis] == [200] * 4
        Database(apis[0], tenant.slug, slug).query("CREATE TABLE t (a)").ok()
        for api in apis:
            Database(api, tenant.slug, slug).query("SELECT a FROM t").ok()


def test_readers_see_whole_transactions(place):
    _, admin = place
    database = admin.tenant().database()
    database.batch(["CREATE TABLE a (n)", "CREATE TABLE b (n)", "INSERT INTO a VALUES (100)",
                    "INSERT INTO b VALUES (0)"], transaction=True).ok()
    stopping = threading.Event()

    def move():
        for n in range(int(150 * ROUNDS)):
            database.batch([("UPDATE a SET n = n - ?", [n]), ("UPDATE b SET n = n + ?", [n])], transaction=True).ok()
        stopping.set()

    def look():
        while not stopping.is_set():
            assert database.rows("SELECT (SELECT n FROM a) + (SELECT n FROM b)") == [[100]]
            first, second = database.batch(["SELECT n FROM a", "SELECT n FROM b"], transaction=True).ok()
            assert first["rows"][0][0] + second["rows"][0][0] == 100, "one transaction, one snapshot"

    together(move, *[look] * 5)


# -- neighbours in a commit ------------------------------------------------------------------------------


FAILING = {
    "unique": ("INSERT INTO t VALUES (-1, 'x', 1)", 400),
    "unique, several rows": ("INSERT INTO t VALUES ({n}, 'gone', 1), (-1, 'x', 1)", 400),
    "not null": ("INSERT INTO t VALUES ({n}, NULL, 1)", 400),
    "check": ("INSERT INTO t VALUES ({n}, 'x', -5)", 400),
    "foreign key": ("INSERT INTO child VALUES ({n}, 12345)", 400),
    "deferred foreign key": ("INSERT INTO later VALUES ({n}, 12345)", 400),
    "OR ROLLBACK": ("INSERT OR ROLLBACK INTO t VALUES ({n}, 'gone', 1), (-1, 'x', 1)", 400),
    "RAISE(ROLLBACK)": ("INSERT INTO t VALUES ({n}, 'rollback', 1)", 400),
    "RAISE(ABORT)": ("INSERT INTO t VALUES ({n}, 'abort', 1)", 400),
    "RAISE(IGNORE)": ("INSERT INTO t VALUES ({n}, 'ignore', 1)", 200),
    "OR IGNORE": ("INSERT OR IGNORE INTO t VALUES (-1, 'x', 1)", 200),
    "syntax": ("INSERT INTO INTO t", 400),
    "no such table": ("INSERT INTO nowhere VALUES (1)", 400),
    "guard": ("ATTACH 'x' AS y", 403),
    "too large": ("INSERT INTO t VALUES ({n}, zeroblob(100000000), 1)", 413),
    "full": ("INSERT INTO t VALUES ({n}, zeroblob(3000000), 1)", 507),
    "answers too much": ("INSERT INTO t SELECT {n}, hex(zeroblob(90000)), 1 RETURNING *", 413),
    "too long": ("WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c) "
                 "INSERT INTO t SELECT {n}, max(x), 1 FROM c", 400),
}
NEIGHBOUR_SCHEMA = [
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a NOT NULL, b CHECK (b > 0))",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, t REFERENCES t(id))",
    "CREATE TABLE later (id INTEGER PRIMARY KEY, t REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED)",
    "CREATE TABLE good (writer, n)",
    "CREATE TRIGGER r1 BEFORE INSERT ON t WHEN new.a = 'rollback' BEGIN SELECT raise(ROLLBACK, 'no'); END",
    "CREATE TRIGGER r2 BEFORE INSERT ON t WHEN new.a = 'abort' BEGIN SELECT raise(ABORT, 'no'); END",
    "CREATE TRIGGER r3 BEFORE INSERT ON t WHEN new.a = 'ignore' BEGIN SELECT raise(IGNORE); END",
    "INSERT INTO t VALUES (-1, 'first', 1)",
]


def post(database, route, body):
    data = json.dumps(body).encode()
    return (f"POST {database.path}/{route} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {database.api.token}\r\nContent-Length: {len(data)}\r\n\r\n").encode() + data


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A server where requests of one connection are many in a commit, with small budgets."""
    from server import Server
    server = Server(tmp_path_factory.mktemp("crowded"), options=[
        "--statement-time", "300ms", "--max-database-size", "2m", "--max-write-result", "64k", "--workers", "2"])
    server.start()
    yield server, Admin(server)
    server.stop()


@pytest.mark.parametrize("cause", FAILING)
def test_a_failure_does_not_touch_its_neighbours(crowded, cause):
    """Pipelined writers, of which each fourth request fails for this cause."""
    server, admin = crowded
    database = admin.tenant().database()
    database.batch(NEIGHBOUR_SCHEMA, transaction=True).ok()
    sql, status = FAILING[cause]
    count = 12 if cause == "too long" else 40

    def write(writer):
        with Connection(server) as connection:
            bodies, wanted = [], []
            for n in range(count):
                fails = n % 4 == 3 and (cause != "too long" or n == 3)
                text = sql.replace("{n}", str(1000 * writer + n)) if fails else "INSERT INTO good VALUES (?, ?)"
                bodies.append({"sql": text} if fails else {"sql": text, "params": [writer, n]})
                wanted.append(status if fails else 200)
            connection.send(b"".join(post(database, "query", body) for body in bodies))
            got = [connection.receive("POST") for _ in bodies]
            assert [response.status for response in got] == wanted, [response.body[:200] for response in got]

    together(*(lambda k=k: write(k) for k in range(1, 5)))
    good = count - (1 if cause == "too long" else count // 4)
    assert database.rows("SELECT writer, count(*), count(DISTINCT n) FROM good GROUP BY writer") == \
        [[k, good, good] for k in range(1, 5)]
    assert database.rows("SELECT * FROM t") == [[-1, "first", 1]], "what failed left something"
    assert database.rows("SELECT (SELECT count(*) FROM child) + (SELECT count(*) FROM later)") == [[0]]
    assert database.rows("PRAGMA integrity_check") == [["ok"]]
    assert database.rows("PRAGMA foreign_key_check") == []


def test_or_fail_keeps_the_same_rows_alone_and_among_neighbours(crowded):
    """SQLite's OR FAIL keeps the rows before the bad one; only a transaction takes them back."""
    server, admin = crowded
    database = admin.tenant().database()
    database.batch(NEIGHBOUR_SCHEMA, transaction=True).ok()
    sql = "INSERT OR FAIL INTO t VALUES ({n}, 'kept', 1), (-1, 'x', 1), ({n} + 1, 'never', 1)"
    for n in (10, 20):  # alone
        database.query(sql.replace("{n}", str(n))).refused(400)
    database.batch([sql.replace("{n}", "30"), "SELECT 1"]).refused(400)
    database.batch([sql.replace("{n}", "40")], transaction=True).refused(400)
    database.batch([sql.replace("{n}", "50"), "SELECT 1"], transaction=True).refused(400)
    with Connection(server) as connection:
        bodies = [{"sql": sql.replace("{n}", str(n))} if n % 20 else {"sql": "INSERT INTO good VALUES (1, 1)"}
                  for n in range(100, 500, 10)]
        connection.send(b"".join(post(database, "query", body) for body in bodies))
        assert [connection.receive("POST").status for _ in bodies] == [200, 400] * 20
    kept = [row[0] for row in database.rows("SELECT id FROM t WHERE id > 0 ORDER BY id")]
    assert kept == [10, 20, 30, *range(110, 500, 20)]


def test_those_failures_happened_in_groups(crowded):
    """Control for the test above: there were groups, and some were taken back whole."""
    server, _ = crowded
    requests, groups = metric(server, "rookery_group_requests_sum"), metric(server, "rookery_group_requests_count")
    assert requests > groups * 1.3, f"{requests:.0f} requests in {groups:.0f} commits: hardly any groups"
    assert metric(server, "rookery_groups_lost_total") > 0


@pytest.mark.parametrize("cause", ["unique", "OR ROLLBACK", "RAISE(ROLLBACK)", "deferred foreign key", "full"])
def test_a_failing_batch_keeps_what_it_should(crowded, cause):
    """Batches of each kind beside each other: all, nothing, up to the failure, all but the failure."""
    server, admin = crowded
    database = admin.tenant().database()
    database.batch(NEIGHBOUR_SCHEMA, transaction=True).ok()
    sql, status = FAILING[cause]

    def write(writer, mode):
        for n in range(6):
            statements = [("INSERT INTO good VALUES (?, ?)", [writer, 3 * n]),
                          (sql.replace("{n}", str(1000 * writer + n)), []),
                          ("INSERT INTO good VALUES (?, ?)", [writer, 3 * n + 2])]
            answer = database.batch(statements, transaction=mode == "transaction" or None,
                                    continue_on_error=mode == "continue" or None)
            if mode == "continue":
                entries = answer.ok()
                assert [entry.get("success", True) for entry in entries] == [True, False, True]
            else:
                at_the_end = cause == "deferred foreign key" and mode == "transaction"
                assert answer.refused(status)["failedIndex"] == (2 if at_the_end else 1)
                assert len(answer.value["results"]) == (0 if mode == "transaction" else 1)

    modes = ["transaction", "stop", "continue", "transaction", "stop", "continue"]
    together(*(lambda k=k, mode=mode: write(k, mode) for k, mode in enumerate(modes)))
    kept = dict(database.rows("SELECT writer, group_concat(n) FROM (SELECT * FROM good ORDER BY n) GROUP BY writer"))
    stop = ",".join(str(3 * n) for n in range(6))
    both = ",".join(f"{3 * n},{3 * n + 2}" for n in range(6))
    assert kept == {1: stop, 2: both, 4: stop, 5: both}
    assert database.rows("SELECT * FROM t") == [[-1, "first", 1]]


def test_clients_that_leave_do_not_touch_their_neighbours(place):
    server, admin = place
    database = admin.tenant().database()
    database.query("CREATE TABLE good (writer, n)").ok()

    def leave():
        for n in range(int(30 * ROUNDS)):
            connection = Connection(server)
            connection.send(b"".join(post(database, "query", {"sql": "INSERT INTO good VALUES (0, ?)", "params": [n]})
                                     for _ in range(5)))
            connection.reset()

    def write(writer):
        for n in range(int(60 * ROUNDS)):
            database.query("INSERT INTO good VALUES (?, ?)", [writer, n]).ok()

    together(*[leave] * 3, *(lambda k=k: write(k) for k in range(1, 4)))
    counts = dict(database.rows("SELECT writer, count(*) FROM good WHERE writer > 0 GROUP BY writer"))
    assert counts == {k: int(60 * ROUNDS) for k in range(1, 4)}
    assert database.rows("SELECT max(c) FROM (SELECT count(*) AS c FROM good WHERE writer = 0 GROUP BY n)")[0][0] \
        in (None, *range(16)), "a request was run twice"


# -- many of everything ----------------------------------------------------------------------------------


def test_many_connections_on_one_database(place):
    server, admin = place
    database = admin.tenant().database()
    database.query("CREATE TABLE t (n)").ok()
    connections = [Connection(server) for _ in range(150)]
    try:
        for round_ in range(3):
            for k, connection in enumerate(connections):
                connection.send(post(database, "query", {"sql": "INSERT INTO t VALUES (?)", "params": [k]}))
            assert {connection.receive("POST").status for connection in connections} == {200}
            for connection in connections:
                connection.send(post(database, "query", {"sql": "SELECT count(*), count(DISTINCT n) FROM t"}))
            rows = [connection.receive("POST").value()["data"]["rows"] for connection in connections]
            assert rows == [[[150 * (round_ + 1), 150]]] * 150
    finally:
        for connection in connections:
            connection.close()


def test_many_tenants_keep_to_themselves(place):
    _, admin = place
    tenants = [admin.tenant() for _ in range(int(30 * ROUNDS))]

    def use(part):
        for tenant in part:
            database = tenant.database()
            database.batch(["CREATE TABLE t (a)", ("INSERT INTO t VALUES (?)", [tenant.slug])], transaction=True).ok()
        for _ in range(5):
            for tenant in part:
                assert Database(tenant.owner, tenant.slug, "main").rows("SELECT a FROM t") == [[tenant.slug]]
                Database(tenant.owner, tenant.slug, "main").query("UPDATE t SET a = a").ok()

    together(*(lambda k=k: use(tenants[k::6]) for k in range(6)))


def test_databases_that_open_and_close_all_the_time_stay_right(start_server, rng):
    """60 databases, 8 of them open at once: each remembers its own counter."""
    server = start_server("--max-open", "8", "--idle-close", "50ms", "--workers", "4")
    admin = Admin(server)
    tenant = admin.tenant()
    slugs = [f"d{n}" for n in range(60)]
    tenant.owner.post("/v1/databases", {"databases": [{"slug": slug} for slug in slugs]}).ok()
    seeds = [rng.getrandbits(32) for _ in range(5)]
    counts = {slug: 0 for slug in slugs}
    lock = threading.Lock()

    def use(seed):
        own = type(rng)(seed)
        for _ in range(int(120 * ROUNDS)):
            slug = own.choice(slugs)
            database = Database(tenant.owner, tenant.slug, slug)
            database.batch(["CREATE TABLE IF NOT EXISTS t (n)", ("INSERT INTO t VALUES (?)", [slug])],
                           transaction=True).ok()
            with lock:
                counts[slug] += 1
                known = counts[slug]
            rows = database.rows("SELECT count(*), min(n), max(n) FROM t")[0]
            assert rows[0] >= known and rows[1] == rows[2] == slug, (slug, rows, known)

    together(*(lambda seed=seed: use(seed) for seed in seeds))
    for slug, count in counts.items():
        if count:
            assert Database(tenant.owner, tenant.slug, slug).rows("SELECT count(*) FROM t") == [[count]]
    assert metric(server, "rookery_database_closes_total") > 10


def test_the_first_requests_of_a_new_database_come_all_at_once(place):
    server, admin = place
    tenant = admin.tenant(createOnFirstUse=True)
    for n in range(int(10 * ROUNDS)):
        def first(n=n):
            database = Database(Api(server, tenant.owner.token), tenant.slug, f"n{n}")
            database.query("CREATE TABLE IF NOT EXISTS t (a)").ok()
            database.query("INSERT INTO t VALUES (1)").ok()

        together(*[first] * 8)
        assert Database(tenant.owner, tenant.slug, f"n{n}").rows("SELECT count(*) FROM t") == [[8]]


def test_a_schema_that_changes_under_cached_statements(place):
    """Each answer is of one schema or the next, never of a mixture, and never an accident."""
    _, admin = place
    database = admin.tenant().database()
    database.batch(["CREATE TABLE t (c0)", "INSERT INTO t VALUES ('v0')", "CREATE VIEW v AS SELECT * FROM t"]).ok()
    stopping = threading.Event()

    def change():
        for n in range(1, int(25 * ROUNDS)):
            database.batch([f"ALTER TABLE t ADD COLUMN c{n} DEFAULT 'v{n}'", "DROP VIEW v",
                            "CREATE VIEW v AS SELECT * FROM t"], transaction=True).ok()
        stopping.set()

    def read():
        while not stopping.is_set():
            for name in ("t", "v"):
                data = database.query(f"SELECT * FROM {name}").ok()
                assert data["columns"] == [f"c{n}" for n in range(len(data["columns"]))], data
                assert data["rows"] == [[f"v{n}" for n in range(len(data["columns"]))]], data
            database.query("INSERT INTO t (c0) SELECT 1 WHERE 0").ok()

    together(change, *[read] * 4)


def test_reads_go_on_while_one_write_takes_long(place):
    _, admin = place
    database = admin.tenant().database()
    database.query("CREATE TABLE t (n)").ok()
    database.query("INSERT INTO t VALUES (1)").ok()
    done = threading.Event()
    rows = 3_000_000 // PATIENCE**2  # a low-priority write beside readers that never pause

    def write():
        database.query(f"WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT {rows}) "
                       "INSERT INTO t SELECT max(n) FROM c").ok()
        done.set()

    def read():
        count, begun = 0, time.monotonic()
        while not done.is_set():
            assert database.rows("SELECT count(*) FROM t")[0][0] in (1, 2)
            count += 1
        took = time.monotonic() - begun
        assert count > 20 * took / PATIENCE, f"{count} reads in {took:.1f} s beside a long write"

    together(write, read)
    assert database.rows("SELECT max(n) FROM t") == [[rows]]
