"""Clients that write to a server all at once, and a ledger of what it answered.

A Workload owns databases on one Server. load() runs its clients until stop() or until the server is
gone; check() then compares every database, through the server, with the ledger:

  acknowledged   is there, once, whole
  refused        is not there at all
  outcome unknown (sent, no answer): is there whole or not at all; what it is then, it stays
  nothing else   is there

What a reader was shown counts as acknowledged too: a crash must not take back what it saw.
check_files() asks the same of the files of a stopped server, through the stock sqlite3.
"""

import collections
import itertools
import json
import sqlite3
import subprocess
import threading

from api import Admin, Api, Closed, Connection, Database, ProtocolError

SENT, ACKNOWLEDGED, REFUSED = "sent", "acknowledged", "refused"
GONE = (Closed, OSError, ProtocolError)
SCHEMA = (
    "CREATE TABLE log (op INTEGER, part INTEGER, fill BLOB, CHECK (part >= 0))",
    "CREATE INDEX log_by_op ON log (op, part)",
    "CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)",
    "CREATE TABLE account (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)",
    "INSERT INTO account VALUES (1, 0), (2, 0), (3, 0)",
    "CREATE TABLE about (slug TEXT)",
)
INSERT = "INSERT INTO log VALUES (?1, ?2, randomblob(?3))"
INSERT_MANY = ("WITH RECURSIVE c(n) AS (VALUES(0) UNION ALL SELECT n+1 FROM c WHERE n+1 < ?2) "
               "INSERT INTO log SELECT ?1, n, randomblob(?3) FROM c")


class Op:
    """Rows (op, 0) … (op, size-1) that were asked for together."""

    __slots__ = ("size", "whole", "state")

    def __init__(self, size, whole=True):
        self.size, self.whole, self.state = size, whole, SENT


class Book:
    """The ledger's page of one database. Each writer notes its own ops; checked when none runs."""

    def __init__(self, database):
        self.database = database
        self.ops = {}  # op number -> Op
        self.seen = set()  # (op, part) that a reader was shown
        self.counters = collections.defaultdict(lambda: [0, 0])  # id -> [acknowledged, sent]

    def problems(self, rows, counters, accounts):
        """What is wrong with these rows; settles what was unknown."""
        there = collections.defaultdict(list)
        for op, part in rows:
            there[op].append(part)
        wrong = []
        for number, op in self.ops.items():
            parts = sorted(there.pop(number, []))
            full = parts == list(range(op.size))
            prefix = parts == list(range(len(parts))) and len(parts) <= op.size
            if op.state == ACKNOWLEDGED and not full:
                wrong.append(f"op {number}: acknowledged, {len(parts)} of {op.size} rows are there")
            elif op.state == REFUSED and parts:
                wrong.append(f"op {number}: refused, yet rows {parts} are there")
            elif op.state == SENT and parts and not (full or prefix and not op.whole):
                wrong.append(f"op {number}: torn, of {op.size} rows {parts} are there")
            if op.state == SENT:
                op.state, op.size = (ACKNOWLEDGED, len(parts)) if parts else (REFUSED, op.size)
        wrong += [f"op {number}: was never sent, yet is there" for number in there]
        have = set(rows)
        wrong += [f"op {row}: a reader saw it, and it is gone" for row in self.seen - have]
        self.seen.clear()
        for key, count in self.counters.items():
            value = counters.pop(key, 0)
            if not count[0] <= value <= count[1]:
                wrong.append(f"counter {key}: {value}, acknowledged {count[0]}, sent {count[1]}")
            count[:] = [value, value]
        wrong += [f"counter {key}: was never sent" for key in counters]
        if sum(accounts) != 0:
            wrong.append(f"accounts {accounts}: a transfer is half done")
        return wrong


class Workload:
    def __init__(self, server, rng, databases=4, writers=3):
        self.server, self.rng, self.writers = server, rng, writers
        self.numbers = itertools.count(1)
        self.stopping = threading.Event()
        self.killed = False  # has there been a kill -9?
        self.failures = []  # of the clients: answers that should not be
        self.acknowledged = 0
        admin = Admin(server)
        self.tenants = [admin.tenant(f"crash{i}") for i in range(2)]
        self.books = []
        for i in range(databases):
            database = self.tenants[i % 2].database(f"d{i}")
            database.batch([*SCHEMA, f"INSERT INTO about VALUES ('d{i}')"], transaction=True).ok()
            self.books.append(Book(database))
        self.fresh = {}  # slug -> state of a database made by the clerk
        self.deleted = {}  # slug -> state of its deletion
        self.firsts = {}  # slug -> state of its first write
        self.tokens = {}  # token -> [state of its making, state of its revocation or None]
        self.threads = []

    # -- the clients ------------------------------------------------------------------------------

    def load(self):
        """Starts the clients, each with a random source of its own."""
        self.stopping.clear()
        jobs = [self._write] * self.writers + [self._pipeline, self._clerk, self._read]
        self.threads = [threading.Thread(target=self._client, args=(job, i, self.rng.getrandbits(64)))
                        for i, job in enumerate(jobs)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        """Waits for the clients' last answers."""
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures[:5]

    def _client(self, job, index, seed):
        rng = type(self.rng)(seed)
        try:
            while not self.stopping.is_set():
                job(rng, index)
        except GONE:
            pass
        except Exception as problem:  # an answer that should not be; the test must see it
            self.failures.append(f"{job.__name__}: {problem!r}")

    def _new_op(self, book, size, whole=True):
        number = next(self.numbers)
        book.ops[number] = op = Op(size, whole)
        return number, op

    def _settle(self, op, answer, wanted=200):
        op.state = self._state(answer, wanted)

    def _state(self, answer, wanted=200):
        """What an answer says of the outcome."""
        if answer.status == 200 and wanted == 200:
            answer.ok()
            self.acknowledged += 1
            return ACKNOWLEDGED
        if answer.status == 500:
            return SENT
        assert answer.status in (wanted, 429, 503), answer
        assert answer.value["success"] is False, answer
        return REFUSED

    def _write(self, rng, index):
        book = rng.choice(self.books)
        database, kind, fill = book.database, rng.randrange(10), rng.choice((0, 10, 200, 3000))
        if kind < 4:
            number, op = self._new_op(book, 1)
            self._settle(op, database.query(INSERT, [number, 0, fill]))
        elif kind == 4:
            number, op = self._new_op(book, rng.randrange(2, 12))
            self._settle(op, database.batch([(INSERT, [number, part, fill]) for part in range(op.size)],
                                            transaction=True))
        elif kind == 5:
            number, op = self._new_op(book, rng.randrange(2, 6), whole=False)
            self._settle(op, database.batch([(INSERT, [number, part, fill]) for part in range(op.size)]))
        elif kind == 6:  # its last statement fails: nothing of it may stay
            number, op = self._new_op(book, 3)
            rows = [(INSERT, [number, part, fill]) for part in (0, 1, -1)]
            self._settle(op, database.batch(rows, transaction=True), wanted=400)
        elif kind == 7:
            number, op = self._new_op(book, rng.randrange(20, 200))
            self._settle(op, database.query(INSERT_MANY, [number, op.size, fill // 10]))
        elif kind == 8:
            count = book.counters[index]
            count[1] += 1
            answer = database.query("INSERT INTO counter VALUES (?, 1) ON CONFLICT DO UPDATE "
                                    "SET n = n + 1 RETURNING n", [index])
            state = self._state(answer)
            if state == ACKNOWLEDGED:
                count[0] += 1
                assert count[0] <= answer.ok()["rows"][0][0] <= count[1], (answer, count)
            elif state == REFUSED:
                count[1] -= 1
        else:
            giver, taker = rng.sample((1, 2, 3), 2)
            self._state(database.batch([("UPDATE account SET n = n - 7 WHERE id = ?", [giver]),
                                        ("UPDATE account SET n = n + 7 WHERE id = ?", [taker])],
                                       transaction=True))

    def _pipeline(self, rng, _):
        """Many requests at once on one connection: large groups, much under way when it ends."""
        with Connection(self.server) as connection:
            while not self.stopping.is_set():
                book = rng.choice(self.books)
                sent = [self._new_op(book, 1) for _ in range(rng.randrange(1, 40))]
                connection.send(b"".join(request_bytes(book.database, INSERT, [number, 0, 20])
                                         for number, _ in sent))
                for _, op in sent:
                    response = connection.receive()
                    self._settle(op, Answerish(response))

    def _clerk(self, rng, _):
        """Makes and deletes databases and tokens; the first write makes a database's files."""
        tenant = rng.choice(self.tenants)
        slug = f"f{next(self.numbers)}"
        key = (tenant.slug, slug)
        self.fresh[key] = SENT
        self.fresh[key] = self._state(tenant.owner.post("/v1/databases", {"slug": slug}))
        database = Database(tenant.owner, tenant.slug, slug)
        self.firsts[key] = SENT
        self.firsts[key] = self._state(database.batch(
            ["CREATE TABLE first (a)", ("INSERT INTO first VALUES (?)", [slug])], transaction=True))
        if rng.random() < 0.4:
            self.deleted[key] = SENT
            self.deleted[key] = self._state(tenant.owner.delete(f"/v1/databases/{slug}"))
        if rng.random() < 0.3:
            answer = tenant.owner.post("/v1/tokens", {"name": slug, "role": "readonly"})
            if self._state(answer) != ACKNOWLEDGED:
                return
            token = answer.ok()
            self.server.secrets.add(token["token"])
            self.tokens[token["token"]] = state = [tenant.slug, None]
            if rng.random() < 0.5:
                state[1] = SENT
                state[1] = self._state(tenant.owner.delete(f"/v1/tokens/{token['id']}"))

    def _read(self, rng, _):
        book = rng.choice(self.books)
        answer = book.database.query("SELECT op, part FROM log ORDER BY rowid DESC LIMIT 5")
        if self._state(answer) == ACKNOWLEDGED:
            book.seen.update(map(tuple, answer.ok()["rows"]))
        answer = book.database.query("SELECT sum(n) FROM account")
        if self._state(answer) == ACKNOWLEDGED:
            assert answer.ok()["rows"] == [[0]], f"a transfer seen half done: {answer}"

    # -- the reckoning ----------------------------------------------------------------------------

    def check(self):
        """Every database against the ledger, through the running server."""
        wrong = []
        for book in self.books:
            database = book.database
            answers = database.batch(["SELECT op, part FROM log", "SELECT id, n FROM counter",
                                      "SELECT n FROM account", "PRAGMA integrity_check"]).ok()
            log, counters, accounts, integrity = (answer["rows"] for answer in answers)
            found = book.problems(list(map(tuple, log)), dict(counters), [row[0] for row in accounts])
            if integrity != [["ok"]]:
                found.append(f"integrity_check: {integrity[:5]}")
            wrong += [f"{database.tenant}/{database.slug}: {problem}" for problem in found]
        wrong += self._check_fresh() + self._check_tokens()
        assert not wrong, "\n".join([f"{len(wrong)} problems:", *wrong[:20], self.server.log_tail()])

    def _check_fresh(self):
        wrong = []
        owners = {tenant.slug: tenant.owner for tenant in self.tenants}
        for (tenant, slug), state in self.fresh.items():
            answer = Database(owners[tenant], tenant, slug).query("SELECT a FROM first")
            deletion = self.deleted.get((tenant, slug), REFUSED)
            first = self.firsts.get((tenant, slug), REFUSED)
            allowed = set()
            if state != ACKNOWLEDGED or deletion != REFUSED:
                allowed.add("no database")
            if deletion != ACKNOWLEDGED:
                if first != REFUSED:
                    allowed.add("row")
                if first != ACKNOWLEDGED:
                    allowed.add("no table")
            if answer.status == 404:
                is_now = "no database"
            elif answer.status == 200:
                is_now = "row" if answer.ok()["rows"] == [[slug]] else str(answer.ok()["rows"])
            elif answer.status == 400 and answer.value["errorDetail"]["kind"] == "unknown_table":
                is_now = "no table"
            else:
                is_now = str(answer)
            if is_now not in allowed:
                wrong.append(f"{tenant}/{slug}: making {state}, first write {first}, deletion "
                             f"{deletion}, and now: {is_now}")
        for book in (self.fresh, self.firsts, self.deleted):
            book.clear()
        return wrong

    def _check_tokens(self):
        wrong = []
        for token, (tenant, revoked) in self.tokens.items():
            status = Api(self.server, token).get("/v1/me").status
            allowed = {None: [200], REFUSED: [200], SENT: [200, 401], ACKNOWLEDGED: [401]}[revoked]
            if status not in allowed:
                wrong.append(f"a token of {tenant}, revocation {revoked}: {status}")
        self.tokens.clear()
        return wrong

    def forget_old_rows(self):
        """Deletes all rows, so that many cycles do not take ever longer; they must stay away."""
        for book in self.books:
            book.database.query("DELETE FROM log").ok()
            book.ops.clear()
            book.seen.clear()

    def check_files(self):
        """The files of the stopped server: no WAL, plain SQLite, the ledger's rows. A database that
        was not opened since a crash keeps its WAL; the ledger's own have all been opened."""
        wals = {path.parent for path in self.server.data.rglob("*-wal") if path.stat().st_size > 0}
        books = {book.database.slug: book for book in self.books}
        wrong, found = [], set()
        assert self.killed or not wals, f"WAL files with content after a clean end: {wals}"
        for path in sorted(self.server.data.glob("db/*/*/base-*")):
            if path.parent in wals:
                continue
            tables = cli(path, "SELECT name FROM sqlite_schema WHERE name IN ('about', 'first')")
            if ["about"] not in tables:
                assert cli(path, "PRAGMA integrity_check") == [["ok"]], path
                continue
            slug = cli(path, "SELECT slug FROM about")[0][0]
            found.add(slug)
            rows = [tuple(map(int, row)) for row in cli(path, "SELECT op, part FROM log")]
            counters = {int(key): int(n) for key, n in cli(path, "SELECT id, n FROM counter")}
            accounts = [int(row[0]) for row in cli(path, "SELECT n FROM account")]
            wrong += books[slug].problems(rows, counters, accounts)
            assert cli(path, "PRAGMA integrity_check") == [["ok"]], path
        assert found == set(books), f"no settled base file for {set(books) - found}"
        assert not wrong, "\n".join([f"{len(wrong)} problems:", *wrong[:20]])


class Answerish:
    """A raw response in the form _state() takes."""

    def __init__(self, response):
        self.status, self.value = response.status, response.value()

    def ok(self):
        assert self.status == 200 and self.value["success"] is True, self.value
        return self.value["data"]

    def __repr__(self):
        return f"<{self.status} {self.value!r}>"


def request_bytes(database, sql, params):
    """A query as bytes, for pipelining."""
    body = json.dumps({"sql": sql, "params": params}).encode()
    return (f"POST {database.path}/query HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {database.api.token}\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode() + body


def cli(path, sql):
    """The rows a stock sqlite3 prints."""
    try:
        done = subprocess.run(["sqlite3", "-batch", str(path), sql], timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 0, f"sqlite3 {path}: {done.stderr.decode()}"
        return [line.split("|") for line in done.stdout.decode().splitlines()]
    except FileNotFoundError:  # no command-line tool here: the same library through Python
        with sqlite3.connect(path) as db:
            return [[str(value) for value in row] for row in db.execute(sql)]
