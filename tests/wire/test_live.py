"""What changes or ends while a database is busy: its settings, the memory of statements side by side,
the time of an answer that is read slowly, the turns of long statements."""

import threading
import time

import pytest
from api import Admin
from server import PATIENCE
from test_budgets import FOREVER, metric
from test_streaming import Half, no_connection_is_left, request, wide  # noqa: F401

BUSY = 4


class Busy:
    """Connections that write without a pause, until told to stop; what was not answered with 200
    is kept."""

    def __init__(self, database, count=BUSY):
        self.stopping, self.written, self.others = threading.Event(), 0, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(database,)) for _ in range(count)]

    def run(self, database):
        while not self.stopping.is_set():
            answer = database.query("INSERT INTO busy (a) VALUES (1)")
            with self.lock:
                if answer.status == 200:
                    self.written += 1
                else:
                    self.others.append(answer)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def place(start_server):
    """(patch, database): a database with a table for Busy, on a server of its own."""
    server = start_server("--idle-close", "1h")
    admin = Admin(server)
    tenant = admin.tenant()
    database = tenant.database()
    database.query("CREATE TABLE busy (a)").ok()

    def patch(**settings):
        admin.api.request("PATCH", "/v1/databases/main", settings,
                          {"X-Rookery-Tenant": tenant.slug}).ok()

    return patch, database


def soon(condition, what, seconds=3):
    """Asks again and again: the new setting holds within that time, beside the writes."""
    deadline = time.monotonic() + seconds * PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what


def test_a_new_quota_is_obeyed_while_the_database_is_busy(place):
    patch, database = place
    database.query("CREATE TABLE t (a)").ok()
    sql = "INSERT INTO t VALUES (zeroblob(3000000))"
    with Busy(database) as busy:
        database.query(sql).ok()
        patch(maxBytes=1 << 20)
        soon(lambda: database.query(sql).status == 507, "a smaller quota is not obeyed")
        patch(maxBytes=1 << 30)
        soon(lambda: database.query(sql).status == 200, "a larger quota is not obeyed")
        before = busy.written
        soon(lambda: busy.written > before + BUSY, "the writes beside it stand still")
    assert {answer.status for answer in busy.others} <= {507}, busy.others[:3]


def test_foreign_keys_change_while_the_database_is_busy(place):
    patch, database = place
    database.batch(["CREATE TABLE parent (id INTEGER PRIMARY KEY)",
                    "CREATE TABLE child (id REFERENCES parent)"]).ok()
    orphan = "INSERT INTO child VALUES (1)"
    with Busy(database) as busy:
        database.query(orphan).refused(400)
        patch(foreignKeys=False)
        soon(lambda: database.query(orphan).status == 200, "foreign keys are still enforced")
        patch(foreignKeys=True)
        soon(lambda: database.query(orphan).status == 400, "foreign keys are not enforced again")
    assert not busy.others, busy.others[:3]


def test_memory_changes_while_the_database_is_busy(place):
    patch, database = place
    hungry = FOREVER.replace(" FROM c", " FROM c LIMIT 60") + \
        "SELECT length(group_concat(hex(zeroblob(100000)))) FROM c"
    with Busy(database) as busy:
        database.query(hungry).ok()
        patch(memoryBytes=4 << 20)
        soon(lambda: database.query(hungry).status == 400, "less memory is not obeyed")
        database.query(hungry).refused(400, "budget_exceeded")
        before = busy.written
        soon(lambda: busy.written > before + BUSY, "with less memory the writes stand still")
        patch(memoryBytes=64 << 20)
        soon(lambda: database.query(hungry).status == 200, "more memory is not obeyed")
    assert not [answer for answer in busy.others
                if (answer.status, answer.value["code"]) != (400, "budget_exceeded")], busy.others[:3]


def test_less_memory_than_is_in_use_does_not_lock_the_database(place):
    """Its page cache holds more than the new budget: it goes, and small statements run."""
    patch, database = place
    database.query("CREATE TABLE t (a)").ok()
    for _ in range(6):
        database.query("INSERT INTO t SELECT randomblob(900000)").ok()
    for _ in range(3):
        database.rows("SELECT sum(length(hex(a))) FROM t")
    patch(memoryBytes=4 << 20)
    soon(lambda: database.query("INSERT INTO busy VALUES (1)").status == 200, "it is locked")
    soon(lambda: database.query("SELECT count(*) FROM busy").status == 200, "it cannot be read")


# -- memory, side by side ---------------------------------------------------------------------------


def hostile_prepare(levels, columns):
    """A short statement whose prepare doubles its FROM clause with every level."""
    names = [f"c{i}" for i in range(columns)]
    sql = f"WITH t0({','.join(names)}) AS (SELECT DISTINCT {','.join(['a'] * columns)} FROM busy)"
    for level in range(1, levels + 1):
        taken = ",".join("a." + name for name in names)
        sql += f", t{level} AS (SELECT {taken} FROM t{level - 1} a, t{level - 1} b)"
    return sql + f" SELECT count(*) FROM t{levels}"


HUNGRY = [
    hostile_prepare(15, 12),
    FOREVER.replace(" FROM c", " FROM c LIMIT 60")
    + "SELECT length(group_concat(hex(zeroblob(250000)))) FROM c",
    FOREVER + "SELECT json_group_array(n || hex(zeroblob(500))) OVER (ORDER BY n) FROM c",
    "SELECT length(randomblob(1000000000))",
    FOREVER.replace(" FROM c", " FROM c LIMIT 60")
    + "INSERT INTO busy SELECT group_concat(hex(zeroblob(300000))) FROM c",
    hostile_prepare(14, 20) + " WHERE 1",
]


def test_hungry_statements_side_by_side_each_get_their_budgets_error(start_server):
    server = start_server("--memory-per-database", "16m", "--statement-time", "3s", "--readers", "8",
                          "--slow-workers", "8")
    database = Admin(server).tenant().database()
    database.query("CREATE TABLE busy (a)").ok()
    database.query("INSERT INTO busy VALUES (1)").ok()
    answers, lock = [], threading.Lock()
    until = time.monotonic() + 6

    def run(n):
        i = n
        while time.monotonic() < until:
            answer = database.query(HUNGRY[i % len(HUNGRY)])
            with lock:
                answers.append((i % len(HUNGRY), answer))
            i += 1

    threads = [threading.Thread(target=run, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong = [(i, answer) for i, answer in answers
             if (answer.status, answer.value.get("code")) not in
             ((400, "budget_exceeded"), (413, "too_large"))]
    assert not wrong, f"{len(wrong)} of {len(answers)}: {wrong[:5]}"
    assert len(answers) > 12
    soon(lambda: database.query("INSERT INTO busy VALUES (2)").status == 200, "it does not answer")
    assert database.rows("SELECT count(*) FROM busy") == [[2]]


# -- time ---------------------------------------------------------------------------------------------


def test_a_download_may_take_longer_than_its_statement(start_server):
    """The time a client takes to read is not the statement's; --slow-reader is its bound."""
    statement_time = 0.5 * PATIENCE
    server = start_server("--statement-time", f"{statement_time * 1000:.0f}ms", "--slow-reader", "30s")
    database = Admin(server).tenant().database()
    half = Half(server, database, wide(300, 100_000))
    begun = time.monotonic()
    while half.take(1 << 20):  # 30 MB, a MB at a time
        assert half.sock.fileno() >= 0
        threading.Event().wait(0.08 * PATIENCE)  # the slow reader this is about
    took = time.monotonic() - begun
    assert took > 3 * statement_time, f"read in {took:.1f} s: not slower than the statement's time"
    assert half.is_whole(), half.got[-300:]
    assert b'"success":true' in half.got[-400:] and b"budget_exceeded" not in half.got[-400:]


@pytest.mark.parametrize("runaways", [6])
def test_one_tenants_runaways_leave_slow_workers_to_others(start_server, runaways):
    server = start_server("--slow-workers", "4", "--statement-time", "20s", "--readers", "8",
                          "--workers", "2")
    admin = Admin(server)
    hostile, other = admin.tenant(), admin.tenant().database()
    places = [hostile.database(f"h{i}") for i in range(runaways)]
    long = FOREVER.replace(" FROM c", " FROM c LIMIT {}") + "SELECT max(n) FROM c"
    begun = time.monotonic()
    other.rows(long.format(1_000_000))
    alone = time.monotonic() - begun
    count = int(1_000_000 * 0.3 / alone)  # about 0.3 s
    restarts = metric(server, "rookery_slow_restarts_total")
    made = []
    for place in places:
        connection = place.api.variant()
        thread = threading.Thread(target=lambda p=place, a=connection: p.seen_by(a).query(
            FOREVER + "SELECT max(n) FROM c"))
        thread.start()
        made.append(thread)
    soon(lambda: metric(server, "rookery_slow_restarts_total") >= restarts + runaways,
         "the runaways are not with the slow workers")
    begun = time.monotonic()
    assert other.rows(long.format(count)) == [[count]]
    took = time.monotonic() - begun
    server.kill()  # the runaways need not be waited for
    for thread in made:
        thread.join()
    assert took < 6 * PATIENCE, f"another tenant's statement of 0.3 s took {took:.1f} s"
