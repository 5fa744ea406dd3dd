"""Hrana's transactions: what they hold, what they lose, and that a batch is what its steps are."""

import random
import sqlite3
import threading

from api import Admin
from hrana import CLOSE, Stream, batch, execute, ok, step, transaction


def database_of(server):
    return Admin(server).tenant().database()


def metric(server, name):
    text = Admin(server).api.raw("GET", "/metrics").body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def in_threads(count, run):
    """run(i) in threads; what one of them raises is raised here."""
    wrong = []

    def safely(i):
        try:
            run(i)
        except BaseException as error:  # noqa: B902
            wrong.append(error)

    threads = [threading.Thread(target=safely, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


# --- a batch that is a transaction, in a group and step by step ---

SCHEMA = """
CREATE TABLE p(id INTEGER PRIMARY KEY);
CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, n INT CHECK(n < 50),
    p INT REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE log(what TEXT);
CREATE TRIGGER ti AFTER INSERT ON t BEGIN INSERT INTO log VALUES('i' || new.id || ' ' || changes()); END;
CREATE TRIGGER tb BEFORE UPDATE OF n ON t WHEN new.n = 13 BEGIN SELECT RAISE(ROLLBACK, 'thirteen'); END;
CREATE TABLE noise(x);
"""

STATEMENTS = [
    "INSERT INTO t(a, n) VALUES('{0}', {1})",
    "INSERT INTO t(a, n) VALUES('{0}', {1}) RETURNING id, a",
    "INSERT INTO t(a, n) VALUES('x{0}', 1), ('{1}', 2), ('y{0}', 70)",
    "INSERT OR IGNORE INTO t(a, n) VALUES('{0}', {1})",
    "INSERT OR REPLACE INTO t(a, n) VALUES('{0}', {1})",
    "INSERT OR FAIL INTO t(a, n) VALUES('z{0}', 1), ('{1}', 2), ('{1}', 2)",
    "INSERT OR ROLLBACK INTO t(a, n) VALUES('{0}', {1})",
    "INSERT INTO t(a, p) VALUES('{0}', {1})",
    "REPLACE INTO p VALUES({0})",
    "DELETE FROM p WHERE id = {1}",
    "UPDATE t SET n = n + 1 WHERE id < {0}",
    "UPDATE t SET n = {0} WHERE id = {1}",
    "UPDATE t SET n = 1 WHERE 0",
    "DELETE FROM t WHERE n > {0}",
    "DELETE FROM log",
    "SELECT count(*), sum(n), max(a) FROM t",
    "SELECT changes(), total_changes(), last_insert_rowid()",
    "SELECT id, a FROM t ORDER BY id LIMIT 3",
    "SELECT nothing FROM t",
    "INSERT INTO nowhere VALUES(1)",
    "CREATE TABLE IF NOT EXISTS made{0}(x)",
    "DROP TABLE made{0}",
    "REINDEX t",
    "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<400000) SELECT max(i) FROM c",
    "INSERT INTO log WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<400000) "
    "SELECT max(i) FROM c",
]
BEGINS = ["BEGIN", "BEGIN", "BEGIN IMMEDIATE", "begin deferred", "BEGIN IMMEDIATE TRANSACTION",
          "BEGIN TRANSACTION READONLY", "BEGIN EXCLUSIVE;"]


def random_batch(rng):
    count = rng.randrange(1, 6)
    weights = [6] * (len(STATEMENTS) - 2) + [1, 1]
    sqls = [s.format(rng.randrange(30), rng.randrange(30)) for s in rng.choices(STATEMENTS, weights, k=count)]
    made = transaction(*sqls, begin=rng.choice(BEGINS))
    if rng.random() < 0.5:  # as clients that know version 3 send it
        for i, one in enumerate(made["batch"]["steps"][1:-2]):
            one["condition"] = {"type": "and", "conds": [
                ok(i), {"type": "not", "cond": {"type": "is_autocommit"}}]}
    return made


def without_estimates(response):
    """Without the time, and the rows read, which are made from SQLite's steps (compiling counts)."""
    for result in response.get("result", {}).get("step_results", []):
        if result is not None:
            del result["query_duration_ms"], result["rows_read"]
    return response


def contents(database):
    stream = Stream(database)
    return [stream.query(f"SELECT * FROM {table} ORDER BY 1, 2" if table == "t" else
                         f"SELECT rowid, * FROM {table} ORDER BY 1") for table in ("p", "t", "log")] + \
        [stream.query("SELECT name FROM sqlite_schema ORDER BY 1")]


def test_a_batch_in_a_group_is_what_its_steps_are(start_server, rng):
    server = start_server()
    tenant = Admin(server).tenant()
    fast, slow = tenant.database("fast"), tenant.database("slow")
    for database in (fast, slow):
        Stream(database).one({"type": "sequence", "sql": SCHEMA})
    stop = threading.Event()

    def neighbour():
        while not stop.is_set():
            Stream(fast).run(execute("INSERT INTO noise VALUES(1)"), CLOSE)

    neighbours = [threading.Thread(target=neighbour) for _ in range(3)]
    for thread in neighbours:
        thread.start()
    lanes = 0
    try:
        for _ in range(40):
            one, two = Stream(fast), Stream(slow)
            two.one(execute("PRAGMA foreign_keys=on"))  # a stream with settings has its own connection
            for _ in range(rng.randrange(1, 5)):
                made = random_batch(rng)
                left = without_estimates(one.run(made)[0])
                right = without_estimates(two.run(made)[0])
                assert left == right, made
                after = execute("SELECT changes(), total_changes(), last_insert_rowid()")
                assert one.one(after)["result"]["rows"] == two.one(after)["result"]["rows"], made
                lanes = max(lanes, metric(server, 'rookery_lanes{kind="stream"}'))
            one.close()
            two.close()
    finally:
        stop.set()
        for thread in neighbours:
            thread.join()
    assert lanes <= 2, "a batch took a connection of its own"  # the slow one's, and the one before it
    assert contents(fast) == contents(slow)


def test_batches_of_many_clients_commit_together(start_server):
    server = start_server()
    database = database_of(server)
    Stream(database).one(execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)"))

    def client(i):
        for k in range(20):
            stream = Stream(database)
            answer = stream.one(transaction(f"INSERT INTO t VALUES({i * 100 + k}, 1)",
                                            f"UPDATE t SET v = v + 1 WHERE id = {i * 100 + k}"))["result"]
            assert answer["step_errors"] == [None] * 5
            assert answer["step_results"][1]["last_insert_rowid"] == str(i * 100 + k)
            stream.close()

    in_threads(16, client)
    assert Stream(database).query("SELECT count(*), sum(v) FROM t") == [[320, 640]]
    assert metric(server, 'rookery_lanes{kind="stream"}') == 0


def test_a_batch_waits_for_the_lock_and_is_told_when_that_takes_too_long(start_server):
    server = start_server("--lock-wait", "300ms")
    database = database_of(server)
    holder = Stream(database)
    holder.one(execute("CREATE TABLE t(id)"))
    holder.one(batch("BEGIN IMMEDIATE"))
    result = Stream(database).one(transaction("INSERT INTO t VALUES(1)"))["result"]
    assert [e and e["code"] for e in result["step_errors"]] == ["SQLITE_BUSY", None, None, "SQLITE_UNKNOWN"]
    assert result["step_results"] == [None] * 4
    read = Stream(database).one(transaction("SELECT count(*) FROM t", begin="BEGIN TRANSACTION READONLY"))
    assert read["result"]["step_errors"] == [None] * 4  # reads do not wait
    holder.run(execute("COMMIT"), CLOSE)
    assert Stream(database).one(transaction("INSERT INTO t VALUES(1)"))["result"]["step_errors"] == [None] * 4


def test_a_read_only_transaction_sees_one_state_and_refuses_writes(database):
    reader, writer = Stream(database), Stream(database)
    writer.one(execute("CREATE TABLE t(id)"))
    reader.one(batch("BEGIN TRANSACTION READONLY", "SELECT count(*) FROM t"))
    writer.one(execute("INSERT INTO t VALUES(1)"))
    assert reader.query("SELECT count(*) FROM t") == [[0]]
    assert reader.fails(execute("INSERT INTO t VALUES(2)")) == "SQLITE_READONLY"
    assert reader.query("SELECT count(*) FROM t") == [[0]]
    reader.one(execute("COMMIT"))
    assert reader.query("SELECT count(*) FROM t") == [[1]]
    reader.one(execute("INSERT INTO t VALUES(2)"))


# --- what one connection would remember ---

def test_counts_go_on_from_request_to_request(database, rng):
    """changes(), total_changes() and last_insert_rowid(), against one connection of SQLite."""
    model = sqlite3.connect(":memory:", isolation_level=None)
    stream = Stream(database)
    statements = [
        "INSERT INTO t(a) VALUES({0})", "INSERT INTO t(a) VALUES({0}), (90), (91)",
        "INSERT OR IGNORE INTO t(a) VALUES({0})", "INSERT OR FAIL INTO t(a) VALUES({0}), (5), (5)",
        "UPDATE t SET b = {0} WHERE a > {0}", "UPDATE t SET b = 1 WHERE 0", "DELETE FROM t WHERE a < {0}",
        "SELECT count(*) FROM t", "BEGIN", "COMMIT", "ROLLBACK", "PRAGMA foreign_keys=on",
        "CREATE TABLE IF NOT EXISTS u(x)", "DELETE FROM t"]
    before = "CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE, b)"
    model.execute(before)
    stream.one(execute(before))
    for _ in range(150):
        sql = rng.choice(statements).format(rng.randrange(20))
        try:
            model.execute(sql).fetchall()
            fails = False
        except sqlite3.Error:
            fails = True
        (result,) = stream.run(execute(sql))
        assert ("code" in result) == fails, sql
        asked = "SELECT changes(), total_changes(), last_insert_rowid()"
        assert [tuple(row) for row in stream.query(asked)] == model.execute(asked).fetchall(), sql


# --- the lock changes hands ---

def test_an_old_transaction_gives_way_to_a_writer(start_server):
    server = start_server("--transaction-steal", "300ms", "--stream-idle", "1h", "--stream-max", "1h",
                          "--lock-wait", "1h")
    database = database_of(server)
    one, two = Stream(database), Stream(database)
    one.one(execute("CREATE TABLE t(id)"))
    one.one(batch("BEGIN IMMEDIATE", "INSERT INTO t VALUES(1)"))
    two.one(execute("INSERT INTO t VALUES(2)"))  # waits, and gets the lock
    assert one.fails(execute("INSERT INTO t VALUES(3)")) == "TRANSACTION_TIMEOUT"
    assert one.one({"type": "get_autocommit"})["is_autocommit"] is True
    assert one.query("SELECT id FROM t") == [[2]]
    one.one(batch("BEGIN IMMEDIATE", "INSERT INTO t VALUES(4)"))
    result = {}
    endless = ("WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c) SELECT max(i) FROM c")

    def run():
        result["batch"] = one.run(batch(endless, "INSERT INTO t VALUES(5)"))[0]

    thread = threading.Thread(target=run)
    thread.start()
    two.one(execute("INSERT INTO t VALUES(6)"))
    thread.join()
    assert result["batch"]["code"] == "TRANSACTION_TIMEOUT"
    assert one.query("SELECT id FROM t") == [[2], [6]]
    assert metric(server, 'rookery_transactions_ended_total{reason="lock_wanted"}') == 2
    assert metric(server, "rookery_lock_wait_seconds_count") >= 2
    assert metric(server, "rookery_lock_waiting") == 0


def test_an_idle_transaction_is_told_whatever_comes_next(start_server):
    server = start_server("--stream-idle", "200ms", "--transaction-steal", "0")
    database = database_of(server)
    one, two = Stream(database), Stream(database)
    one.one(execute("CREATE TABLE t(id)"))
    one.one(batch("BEGIN IMMEDIATE", "INSERT INTO t VALUES(1)"))
    two.one(execute("INSERT INTO t VALUES(2)"))
    answer = one.send(execute("INSERT INTO t VALUES(3)"))  # not by itself, as if nothing had happened
    assert answer.status == 400 and answer.value["code"] == "STREAM_EXPIRED", answer
    assert two.query("SELECT id FROM t") == [[2]]


# --- 32 clients against a serial model ---

ACCOUNTS = 8
CLIENTS = 32
ROUNDS = 12


class Retry(Exception):
    pass


def good(result):
    if "code" in result:
        raise Retry(result["code"])
    return result


def transfer_interactively(stream, rng, begin):
    a, b = rng.sample(range(ACCOUNTS), 2)
    good(stream.run(execute(begin))[0])
    read = {}
    for i in (a, b):
        result = good(stream.run(execute("SELECT balance, version FROM account WHERE id = ?", i))[0])
        read[i] = [int(v["value"]) for v in result["result"]["rows"][0]]
    amount = rng.randrange(1, 10)
    for i, sign in ((a, -1), (b, 1)):
        good(stream.run(execute("UPDATE account SET balance = ?, version = version + 1 WHERE id = ?",
                                read[i][0] + sign * amount, i))[0])
    good(stream.run(execute("INSERT INTO history(a, b, amount, va, vb) VALUES(?, ?, ?, ?, ?)", a, b, amount,
                            read[a][1], read[b][1]))[0])
    if rng.randrange(5) == 0:
        good(stream.run(execute("ROLLBACK"))[0])
        return 0
    good(stream.run(execute("COMMIT"))[0])
    return 1


def transfer_in_a_batch(stream, rng):
    a, b = rng.sample(range(ACCOUNTS), 2)
    amount = rng.randrange(1, 10)
    result = good(stream.run(transaction(
        f"INSERT INTO history(a, b, amount, va, vb) SELECT {a}, {b}, {amount}, x.version, y.version "
        f"FROM account x, account y WHERE x.id = {a} AND y.id = {b}",
        f"UPDATE account SET balance = balance - {amount}, version = version + 1 WHERE id = {a}",
        f"UPDATE account SET balance = balance + {amount}, version = version + 1 WHERE id = {b}",
        begin=rng.choice(["BEGIN", "BEGIN IMMEDIATE"])))[0])["result"]
    assert result["step_errors"] == [None] * 6, result
    return 1


def test_interleaved_transactions_of_32_clients_are_serial(database, rng):
    setup = Stream(database)
    setup.one({"type": "sequence", "sql": f"""
        CREATE TABLE account(id INTEGER PRIMARY KEY, balance INT, version INT);
        CREATE TABLE history(seq INTEGER PRIMARY KEY AUTOINCREMENT, a, b, amount, va, vb);
        CREATE TABLE single(x);
        WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM c WHERE i < {ACCOUNTS - 1})
        INSERT INTO account SELECT i, 1000, 0 FROM c;"""})
    seeds = [rng.randrange(2**32) for _ in range(CLIENTS)]
    committed = [0] * CLIENTS
    singles = [0] * CLIENTS

    def client(i):
        mine = random.Random(seeds[i])
        for _ in range(ROUNDS):
            stream = Stream(database)
            kind = mine.randrange(4)
            try:
                if kind == 0:
                    committed[i] += transfer_in_a_batch(stream, mine)
                elif kind == 1:
                    # Autocommit statements never hear of a lock.
                    stream.one(execute("INSERT INTO single VALUES(1)"))
                    singles[i] += 1
                else:
                    committed[i] += transfer_interactively(
                        stream, mine, "BEGIN IMMEDIATE" if kind == 2 else "BEGIN")
            except Retry as error:
                # A deferred transaction that has read may find that it cannot write any more.
                assert str(error) == "SQLITE_BUSY" and kind == 3, (error, kind)
            stream.close()  # rolls back what is open

    in_threads(CLIENTS, client)
    history = setup.query("SELECT a, b, amount, va, vb FROM history ORDER BY seq")
    assert len(history) == sum(committed) > 0
    balance, version = [1000] * ACCOUNTS, [0] * ACCOUNTS
    for a, b, amount, va, vb in history:
        assert (version[a], version[b]) == (va, vb), "a transaction read what is not before it"
        balance[a] -= amount
        balance[b] += amount
        version[a] += 1
        version[b] += 1
    assert setup.query("SELECT balance, version FROM account ORDER BY id") == \
        [[b, v] for b, v in zip(balance, version)]
    assert setup.query("SELECT count(*) FROM single") == [[sum(singles)]]
