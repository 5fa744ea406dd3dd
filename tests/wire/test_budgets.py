"""What a statement, a database, a tenant and a token may use: each ends at its budget, with the
error that says so, and the server and its other tenants go on."""

import json
import re
import threading
import time

import pytest
from api import Admin, Api, Connection, Database
from server import PATIENCE, SANITIZER

FOREVER = "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c) "
LIMITS = {"--statement-time": "500ms", "--max-database-size": "1m", "--memory-per-database": "32m",
          "--temp-per-database": "16m", "--max-rows": "2000", "--max-write-result": "64k",
          "--max-body": "2m", "--max-value": "4m", "--max-parameters": "500"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """(server with small budgets, its admin)"""
    from server import Server
    words = [word for row in LIMITS.items() for word in row]
    server = Server(tmp_path_factory.mktemp("budgets"), options=words).start()
    yield server, Admin(server)
    server.stop()


@pytest.fixture
def database(place):
    server, admin = place
    database = admin.tenant().database()
    database.query("CREATE TABLE t (a)").ok()
    yield database
    assert server.running, server.log_tail()
    server.check_log()
    # The same database, and another tenant's, are as they were.
    database.query("INSERT INTO t VALUES ('after')").ok()
    assert database.rows("SELECT a FROM t WHERE a = 'after'") == [["after"]]


def metric(server, name):
    text = Api(server, None).raw("GET", "/metrics").body.decode()
    return sum(float(row.split()[-1]) for row in text.splitlines()
               if re.match(re.escape(name) + r"(\{|\s)", row))


def resident_mb(server, key="VmRSS"):
    with open(f"/proc/{server.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key)) / 1024


# -- time, steps, memory, size ------------------------------------------------------------------------


@pytest.mark.parametrize("sql", [
    FOREVER + "SELECT count(*) FROM c",
    FOREVER + "SELECT n FROM c WHERE n < 0",
    FOREVER + "INSERT INTO t SELECT count(*) FROM c",
    FOREVER + "UPDATE t SET a = (SELECT count(*) FROM c)",
    FOREVER + "DELETE FROM t WHERE a = (SELECT max(n) FROM c)",
    FOREVER + "SELECT sum(length(randomblob(3000000))) FROM c",
    "WITH c(n) AS (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) SELECT count(*) "
    "FROM c a, c b, c d, c e, c f, c g, c h, c i, c j, c k, c l, c m",
])
def test_a_statement_that_never_ends_is_ended(database, sql):
    database.query("INSERT INTO t VALUES (1)").ok()
    begun = time.monotonic()
    answer = database.query(sql)
    took = time.monotonic() - begun
    assert took < 5 * PATIENCE, f"{took:.1f} s for a budget of 0.5 s"
    value = answer.refused(400, "budget_exceeded")
    assert value["budget"] == "time" and value["errorDetail"]["kind"] == "unknown"
    assert took > 0.4, "before its time"
    assert database.rows("SELECT a FROM t") == [[1]], "what it wrote is undone"


def test_a_runaway_is_ended_in_a_batch_and_the_batch_undone(database):
    answer = database.batch(["INSERT INTO t VALUES (1)", FOREVER + "SELECT count(*) FROM c",
                             "INSERT INTO t VALUES (2)"], transaction=True)
    assert answer.refused(400, "budget_exceeded")["failedIndex"] == 1
    assert database.rows("SELECT count(*) FROM t") == [[0]]
    answer = database.batch(["INSERT INTO t VALUES (1)", FOREVER + "SELECT count(*) FROM c"])
    assert answer.refused(400, "budget_exceeded")["failedIndex"] == 1
    assert database.rows("SELECT count(*) FROM t") == [[1]], "without a transaction the first stays"


def test_steps_have_a_budget_of_their_own(start_server):
    server = start_server("--statement-steps", "100000")
    database = Admin(server).tenant().database()
    value = database.query(FOREVER + "SELECT count(*) FROM c").refused(400, "budget_exceeded")
    assert value["budget"] == "steps"
    database.query("SELECT 1").ok()


@pytest.mark.parametrize("sql", [
    "SELECT length(randomblob(1000000000))",
    "SELECT length(zeroblob(2147483647))",
    "SELECT length(printf('%500000000d', 1))",
    "SELECT length(printf('%.*c', 2000000000, 'x'))",
    "SELECT length(hex(zeroblob(3000000)))",
    "SELECT length(replace(hex(zeroblob(400000)), '0', 'abcdef'))",
    "INSERT INTO t VALUES (zeroblob(100000000))",
    "INSERT INTO t VALUES (randomblob(1000000000))",
])
def test_a_value_has_a_largest_size(database, sql):
    database.query(sql).refused(413, "too_large")
    assert database.rows("SELECT count(*) FROM t") == [[0]]


def nested(count, template):
    """`count` common table expressions, each naming the one before several times."""
    parts = ["a0 AS (SELECT 1 AS x)"]
    parts += [f"a{i} AS (" + template.format(p=i - 1) + ")" for i in range(1, count)]
    return "WITH " + ", ".join(parts) + f" SELECT count(*) FROM a{count - 1}"


HOSTILE = {
    "ctes joined": nested(18, "SELECT 1 AS x FROM a{p} p, a{p} q"),
    "ctes joined, few": nested(15, "SELECT 1 AS x FROM a{p} p, a{p} q"),
    "ctes in subselects": nested(24, "SELECT (SELECT max(x) FROM a{p}) + (SELECT min(x) FROM a{p}) AS x"),
    "ctes in IN": nested(24, "SELECT x FROM a{p} WHERE x IN a{p}"),
    "ctes in UNION": nested(24, "SELECT p.x FROM a{p} p UNION SELECT q.x FROM a{p} q"),
    "stars": nested(24, "SELECT p.*, q.* FROM a{p} p, a{p} q"),
    "parentheses": "SELECT " + "(" * 20000 + "1" + ")" * 20000,
    "subselects": "SELECT " + "(SELECT " * 5000 + "1" + ")" * 5000,
    "from subselects": "SELECT * FROM " + "(SELECT * FROM " * 5000 + "t" + ")" * 5000,
    "sum": "SELECT " + "+".join(["1"] * 49000),
    "minus signs": "SELECT " + "- " * 40000 + "1",
    "not": "SELECT " + "NOT " * 20000 + "1",
    "case": "SELECT " + "CASE WHEN 1 THEN " * 4000 + "1" + " END" * 4000,
    "columns": "SELECT " + ",".join(["1"] * 49000),
    "union": " UNION ".join(["SELECT 1"] * 6000),
    "exists": "SELECT " + "EXISTS (SELECT 1 FROM t WHERE " * 2000 + "1" + ")" * 2000,
    "joins": "SELECT 1 FROM " + ",".join(["t"] * 40000),
    "concatenation": "SELECT " + "||".join(["'a'"] * 19000),
    "like": "SELECT 'a' LIKE '" + "%a" * 40000 + "'",
    "json functions": "SELECT " + "json_array(" * 8000 + "1" + ")" * 8000,
    "garbage": "SELECT " + "\x01\x02(" * 30000,
    "open quote": "SELECT '" + "x" * 90000,
    "open comment": "SELECT 1 /*" + "*" * 90000,
    "with": "WITH " * 19000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_sql_is_refused_in_its_time(place, database, name):
    server, _ = place
    assert len(HOSTILE[name]) < 100 * 1024
    before = resident_mb(server)
    begun = time.monotonic()
    answer = database.query(HOSTILE[name])
    took = time.monotonic() - begun
    assert took < 4 * PATIENCE, f"{took:.1f} s"
    if answer.status == 200:
        assert name in ("open comment", "concatenation", "sum"), "it was to be hostile"
        return
    answer.refused(400)
    assert answer.value["code"] in ("sql_error", "budget_exceeded"), answer
    if SANITIZER == "none":
        assert resident_mb(server) < before + 100, "memory that does not come back"


def test_views_that_explode_are_refused_and_can_be_dropped(database):
    views = ["CREATE VIEW v0 AS SELECT 1 AS x"] + [
        f"CREATE VIEW v{i} AS SELECT p.x FROM v{i - 1} p, v{i - 1} q" for i in range(1, 25)]
    database.batch(views, transaction=True).ok()
    database.query("SELECT * FROM v24").refused(400)
    for what in ("describe", "tables", "schema", "doctor"):
        begun = time.monotonic()
        assert database.get(what).status in (200, 400)
        assert time.monotonic() - begun < 4 * PATIENCE
    database.batch([f"DROP VIEW v{i}" for i in reversed(range(25))], transaction=True).ok()
    assert database.get("describe").status == 200


def test_memory_has_a_budget(database):
    value = database.query(FOREVER + "SELECT json_group_array(n || hex(zeroblob(500))) "
                                     "OVER (ORDER BY n) FROM c").value
    assert value["code"] in ("budget_exceeded", "too_large"), value
    sql = FOREVER.replace(" FROM c", " FROM c LIMIT 30") + \
        ", b AS MATERIALIZED (SELECT randomblob(2000000) AS x FROM c) SELECT count(*) FROM b, b AS d"
    answer = database.query(sql)
    assert answer.status in (400, 507), answer


def test_a_sort_larger_than_its_temporary_files_is_ended(database):
    answer = database.query(
        FOREVER.replace(" FROM c", " FROM c LIMIT 60000") + "SELECT count(*) FROM "
        "(SELECT n, hex(randomblob(2000)) AS x FROM c ORDER BY x)")
    assert answer.status in (400, 507), answer
    assert answer.value["code"] in ("quota_exceeded", "budget_exceeded"), answer


# -- results -----------------------------------------------------------------------------------------


def test_a_result_has_a_largest_number_of_rows(place, database):
    rows = FOREVER.replace(" FROM c", " FROM c LIMIT {}") + "SELECT n FROM c"
    assert len(database.rows(rows.format(2000))) == 2000
    value = database.query(rows.format(2001)).refused(400, "budget_exceeded")
    assert value["budget"] == "rows"


def test_a_write_that_answers_too_much_is_undone(database):
    rows = FOREVER.replace(" FROM c", " FROM c LIMIT 100") + "INSERT INTO t SELECT hex(zeroblob(500)) FROM c "
    for _ in range(3):
        database.query(rows + "RETURNING a").refused(413, "result_too_large")
    assert database.rows("SELECT count(*) FROM t") == [[0]]
    answer = database.batch(["INSERT INTO t VALUES (1)", rows + "RETURNING a"], transaction=True)
    answer.refused(413, "result_too_large")
    assert database.rows("SELECT count(*) FROM t") == [[0]]
    database.query(rows).ok()
    database.query("UPDATE t SET a = a || 'x' RETURNING a").refused(413, "result_too_large")
    database.query("DELETE FROM t RETURNING a").refused(413, "result_too_large")
    assert database.rows("SELECT count(*), max(length(a)) FROM t") == [[100, 1000]]


def test_a_result_has_a_largest_size_where_one_is_set(start_server):
    server = start_server("--max-result", "1m")
    database = Admin(server).tenant().database()
    sql = FOREVER.replace(" FROM c", " FROM c LIMIT {}") + "SELECT hex(zeroblob(500)) FROM c"
    database.query(sql.format(500)).ok()
    value = database.query(sql.format(5000)).value
    assert len(value["data"]["rows"]) < 1100, "1 MB of rows of 1 KB, then the error"
    assert value["success"] is False and value["code"] == "result_too_large", str(value)[-300:]


# -- what comes in ------------------------------------------------------------------------------------


def test_sql_has_a_largest_length(database):
    for size, status in ((90_000, 200), (102_000, 200), (102_500, 413), (1_000_000, 413)):
        sql = "SELECT '" + "x" * (size - 9) + "'"
        assert len(sql) == size
        answer = database.query(sql)
        assert answer.status == status, f"{size}: {answer.status} {str(answer.value)[:200]}"
    assert answer.refused(413, "too_large")["errorDetail"]["kind"] in ("unknown", "syntax_error")
    assert database.batch(["SELECT 1", sql]).refused(413)["failedIndex"] == 1


def test_parameters_have_a_largest_number(database):
    names = ",".join("?" * 500)
    assert len(database.rows(f"SELECT {names}", list(range(500)))[0]) == 500
    for sql, params in ((f"SELECT {names},?", list(range(501))), ("SELECT ?501", [1]),
                        ("SELECT 1", [1]), ("SELECT ?", []), ("SELECT ?", [1, 2]),
                        ("SELECT ?", list(range(40000)))):
        value = database.query(sql, params).refused(400)
        assert value["errorDetail"]["kind"] == "too_many_params", value


def test_a_parameter_has_a_largest_size(start_server):
    server = start_server("--max-value", "1m")
    database = Admin(server).tenant().database()
    assert database.rows("SELECT length(?)", ["x" * 1_000_000]) == [[1_000_000]]
    database.query("SELECT length(?)", ["x" * 1_100_000]).refused(413, "too_large")
    database.query("SELECT 1").ok()


@pytest.mark.parametrize("size", [900_000, 1_100_000, 1_500_000])
def test_large_values_are_stored_and_read_whole(database, size):
    """Over 1 MB a statement moves to a slow worker: nothing of that shows."""
    text = "é" * (size // 2)
    database.query("INSERT INTO t VALUES (?)", [text]).refused(507) if size > 1_048_576 else \
        database.query("INSERT INTO t VALUES (?)", [text]).ok()
    assert database.rows("SELECT length(?1), substr(?1, -1)", [text]) == [[size // 2, "é"]]
    database.query("DELETE FROM t").ok()


def test_a_body_has_a_largest_size(database):
    path = database.path + "/query"
    database.query("SELECT length(?)", ["x" * 2_000_000]).ok()
    database.query("SELECT length(?)", ["x" * 2_100_000]).refused(413, "too_large")
    # Refused by what it says, before it is sent.
    with Connection(database.api.server) as connection:
        connection.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {database.api.token}\r\n"
                        "Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n")
        assert connection.receive("POST").status == 413


@pytest.mark.parametrize("body", [
    b'{"sql":' + b"[" * 100_000, b'{"sql":"SELECT 1","params":' + b"[" * 50 + b"1" + b"]" * 50 + b"}",
    b'{"sql":"SELECT 1","x":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
    b'{"statements":[' + b'{"sql":"SELECT 1"},' * 100 + b'{"sql":"SELECT 1"}]}'])
def test_a_body_that_is_deep_or_long_is_refused(database, body):
    begun = time.monotonic()
    route = "batch" if b"statements" in body else "query"
    assert database.api.post(f"{database.path}/{route}", body).status == 400
    assert time.monotonic() - begun < 2 * PATIENCE


def test_many_small_parameters_do_not_take_the_memory(place, database):
    """A body of 2 MB of `null,`: refused or counted, never a multiple of its size."""
    server, _ = place
    before = resident_mb(server)
    body = b'{"sql":"SELECT ?","params":[' + b",".join([b"0"] * 900_000) + b"]}"
    for _ in range(3):
        answer = database.api.post(database.path + "/query", body)
        assert answer.status in (400, 413), answer
    if SANITIZER == "none":
        assert resident_mb(server) < before + 100


# -- databases and tenants ----------------------------------------------------------------------------


def test_a_database_has_a_quota(database):
    for _ in range(100):
        answer = database.query("INSERT INTO t VALUES (randomblob(30000))")
        if answer.status != 200:
            break
    answer.refused(507, "quota_exceeded")
    kept = database.rows("SELECT count(*) FROM t")[0][0]
    assert 20 < kept < 40, f"{kept} rows of 30 KB in 1 MB"
    assert database.rows("PRAGMA integrity_check") == [["ok"]]
    # Reads go on, and so do writes that need no more room; deleting makes some.
    assert len(database.rows("SELECT a FROM t LIMIT 3")) == 3
    database.query("UPDATE t SET a = 1 WHERE rowid = 1").ok()
    database.batch(["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (randomblob(900000))"],
                   transaction=True).refused(507, "quota_exceeded")
    database.query("DELETE FROM t").ok()
    database.query("INSERT INTO t VALUES (randomblob(30000))").ok()
    database.query("DELETE FROM t").ok()


def test_neighbours_in_a_group_are_not_hurt_by_one_that_is_full(database):
    """FULL takes a whole group back: the others run again."""
    statuses = []
    lock = threading.Lock()

    def write(n):
        for i in range(15):
            sql = "INSERT INTO t VALUES (randomblob(2000000))" if n == 0 else f"INSERT INTO t VALUES ({n * 100 + i})"
            status = database.query(sql).status
            with lock:
                statuses.append((n, status))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for n, status in statuses if n == 0} == {507}
    assert {status for n, status in statuses if n != 0} == {200}
    assert database.rows("SELECT count(*), count(DISTINCT a) FROM t") == [[75, 75]]


def test_a_setting_gives_one_database_more_or_less(place):
    server, admin = place
    tenant = admin.tenant()
    large = tenant.database("large")
    answer = tenant.owner.patch("/v1/databases/large", {"maxBytes": 3_000_000})
    if answer.status == 403:  # an operator's to give
        answer = admin.api.request("PATCH", "/v1/databases/large", {"maxBytes": 3_000_000},
                                   {"X-Rookery-Tenant": tenant.slug})
    answer.ok()
    large.query("CREATE TABLE t (a)").ok()
    large.query("INSERT INTO t VALUES (zeroblob(2000000))").ok()
    large.query("INSERT INTO t VALUES (zeroblob(2000000))").refused(507, "quota_exceeded")


def test_a_tenant_has_a_largest_number_of_databases(place):
    _, admin = place
    tenant = admin.tenant(maxDatabases=3)
    for slug in ("a", "b"):
        tenant.database(slug)
    many = {"databases": [{"slug": "c"}, {"slug": "d"}]}
    tenant.owner.post("/v1/databases", many).refused(507, "quota_exceeded")
    assert len(tenant.owner.get("/v1/databases").ok()) == 2, "all or nothing"
    tenant.database("c")
    tenant.owner.post("/v1/databases", {"slug": "d"}).refused(507, "quota_exceeded")
    admin.api.patch(f"/v1/admin/tenants/{tenant.slug}", {"maxDatabases": 4}).ok()
    tenant.database("d")
    tenant.owner.post("/v1/databases", {"slug": "e"}).refused(507)
    tenant.owner.delete("/v1/databases/d").ok()
    tenant.database("e")
    tenant.owner.post("/v1/databases/d/restore").refused(507)


# -- rates and overload -------------------------------------------------------------------------------


def test_a_tokens_rate_is_kept_and_says_when_to_come_back(place):
    _, admin = place
    tenant = admin.tenant()
    tenant.database()
    api = tenant.api("readonly", rateLimit={"perSecond": 2, "burst": 5})
    database = Database(api, tenant.slug, "main")
    answers = [database.query("SELECT 1") for _ in range(12)]
    assert [answer.status for answer in answers[:5]] == [200] * 5
    refused = [answer for answer in answers if answer.status != 200]
    assert len(refused) >= 5
    for answer in refused:
        answer.refused(429, "rate_limited")
        assert 1 <= int(answer.response.header("Retry-After")) <= 5
    tenant.owner.get("/v1/me").ok()  # another token of the tenant is not slowed
    time.sleep(int(refused[-1].response.header("Retry-After")))
    database.query("SELECT 1").ok()


def test_a_full_mailbox_is_answered_at_once(start_server):
    """Many requests for one database that is busy: some wait, the rest are told to come back."""
    server = start_server("--mailbox-messages", "8", "--workers", "2", "--statement-time", "30s")
    admin = Admin(server)
    database, other = admin.tenant().database(), admin.tenant().database()
    database.query("CREATE TABLE t (a)").ok(), other.query("CREATE TABLE t (a)").ok()
    slow = FOREVER.replace(" FROM c", " FROM c LIMIT 400000") + "INSERT INTO t SELECT max(n) FROM c"
    answers, lock = [], threading.Lock()

    def write():
        begun = time.monotonic()
        answer = database.query(slow)
        with lock:
            answers.append((answer, time.monotonic() - begun))

    threads = [threading.Thread(target=write) for _ in range(30)]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    other.query("INSERT INTO t VALUES (1)").ok()
    assert time.monotonic() - begun < 2 * PATIENCE, "another database is not held up"
    for thread in threads:
        thread.join()
    full = [(answer, took) for answer, took in answers if answer.status in (429, 503)]
    done = [answer for answer, _ in answers if answer.status == 200]
    assert len(full) + len(done) == 30, [answer for answer, _ in answers]
    assert len(full) >= 10 and len(done) >= 8
    for answer, took in full:
        assert answer.value["code"] in ("overloaded", "unavailable") and took < 2 * PATIENCE, answer
        assert int(answer.response.header("Retry-After")) >= 1
    assert database.rows("SELECT count(*) FROM t") == [[len(done)]], "429 means: not done"
    assert metric(server, "rookery_overloaded_total") >= len(full)


# -- neighbours ---------------------------------------------------------------------------------------


NEIGHBOURS = [
    ("runaway", FOREVER + "SELECT count(*) FROM c"),
    ("large values", FOREVER + "SELECT sum(length(randomblob(30000000))) FROM c"),
    ("writes of large values", FOREVER + "INSERT INTO t (b) SELECT sum(length(randomblob(30000000))) FROM c"),
    ("hostile SQL", nested(16, "SELECT 1 AS x FROM a{p} p, a{p} q")),
    ("large sorts", FOREVER.replace(" FROM c", " FROM c LIMIT 100")
     + "SELECT n FROM (SELECT n, randomblob(1000000) AS s FROM c) ORDER BY s"),
]


@pytest.mark.parametrize("name, sql", NEIGHBOURS, ids=[name for name, _ in NEIGHBOURS])
def test_one_tenants_hostile_statements_do_not_stop_another(start_server, name, sql):
    """Not a benchmark (that is bench/neighbour): nobody stands still."""
    server = start_server("--statement-time", "3s", "--workers", "2", "--loops", "2")
    admin = Admin(server)
    hostile = admin.tenant()
    places = [hostile.database(f"h{i}") for i in range(5)]
    other = admin.tenant().database()
    for database in (*places, other):
        database.query("CREATE TABLE t (a INTEGER PRIMARY KEY, b)").ok()
    stopping = threading.Event()

    def attack(database):
        while not stopping.is_set():
            assert database.query(sql).status in (200, 400, 429, 503, 507)

    threads = [threading.Thread(target=attack, args=(database,)) for database in places]
    for thread in threads:
        thread.start()
    worst, count, begun = 0, 0, time.monotonic()
    while time.monotonic() - begun < 1.2:
        for statement in ("INSERT INTO t (b) VALUES (1)", "SELECT max(b) FROM t",
                          f"SELECT b + {count} FROM t LIMIT 1"):
            since = time.monotonic()
            other.query(statement).ok()
            worst = max(worst, time.monotonic() - since)
            count += 1
    stopping.set()
    for thread in threads:
        thread.join()
    assert worst < 4 * PATIENCE, f"a neighbour's request took {worst:.1f} s"
    assert count > 10 / PATIENCE
