"""Hrana's streams in time: transactions that idle, streams that sleep, writers that wait."""

import json
import threading
import time

from api import Admin, Connection
from hrana import CLOSE, Stream, batch, execute


def database_of(server):
    return Admin(server).tenant().database()


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_an_idle_transaction_ends_and_its_client_is_told(start_server):
    server = start_server("--stream-idle", "300ms")
    database = database_of(server)
    one, two = Stream(database), Stream(database)
    one.one(execute("CREATE TABLE t(id)"))
    one.run(batch("BEGIN IMMEDIATE", "INSERT INTO t VALUES(1)"))
    two.one(execute("INSERT INTO t VALUES(2)"))  # waits for the lock, which the limit gives back
    answer = one.send(execute("COMMIT"))
    assert answer.status == 400 and answer.value["code"] == "STREAM_EXPIRED", answer
    assert one.send(execute("SELECT 1")).status == 400
    assert two.query("SELECT id FROM t") == [[2]]


def test_the_client_is_told_however_late_it_comes(start_server):
    """Not only while the connection still stands: a statement after it would commit on its own."""
    server = start_server("--stream-idle", "300ms")
    database = database_of(server)
    one, two = Stream(database), Stream(database)
    one.one(execute("CREATE TABLE t(id)"))
    one.run(batch("BEGIN IMMEDIATE", "INSERT INTO t VALUES(1)"))
    two.one(execute("INSERT INTO t VALUES(2)"))  # waits for the lock, which the limit gives back
    time.sleep(1)  # the limit again, and some ticks
    answer = one.send(execute("INSERT INTO t VALUES(3)"))
    assert answer.status == 400 and answer.value["code"] == "STREAM_EXPIRED", answer
    assert two.query("SELECT id FROM t") == [[2]]


def test_a_stream_without_a_transaction_sleeps_as_long_as_it_likes(start_server):
    server = start_server("--stream-idle", "200ms")
    database = database_of(server)
    one = Stream(database)
    one.one(execute("CREATE TABLE t(id INTEGER PRIMARY KEY)"))
    one.run(batch("BEGIN", "INSERT INTO t VALUES(7)", "COMMIT"))
    one.one({"type": "store_sql", "sql_id": 1, "sql": "SELECT last_insert_rowid()"})

    def lanes():
        text = Admin(server).api.raw("GET", "/metrics").body.decode()
        (line,) = [row for row in text.splitlines() if "lanes" in row and 'kind="stream"' in row]
        return float(line.split()[-1])

    wait_until(lambda: lanes() == 0)
    result = one.one({"type": "execute", "stmt": {"sql_id": 1}})["result"]
    assert result["rows"] == [[{"type": "integer", "value": "7"}]]
    one.run(execute("BEGIN"), execute("INSERT INTO t VALUES(8)"), execute("COMMIT"))
    assert one.query("SELECT count(*) FROM t") == [[2]]


def test_writers_wait_for_a_transaction_and_go_on_in_order(database):
    holder = Stream(database)
    holder.one(execute("CREATE TABLE t(id INTEGER PRIMARY KEY)"))
    holder.one(batch("BEGIN IMMEDIATE", "INSERT INTO t VALUES(0)"))
    done = []

    def write(i):
        Stream(database).run(execute("INSERT INTO t VALUES(?)", i), CLOSE)
        done.append(i)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(1, 9)]
    for thread in threads:
        thread.start()
    assert Stream(database).query("SELECT count(*) FROM t") == [[0]]  # readers do not wait
    assert not done
    holder.one(execute("COMMIT"))
    for thread in threads:
        thread.join()
    assert Stream(database).query("SELECT count(*) FROM t") == [[9]]


def test_many_streams_against_a_serial_model(database, rng):
    """Transactions that add one to a counter read before: none may be lost."""
    Stream(database).run(execute("CREATE TABLE n(v)"), execute("INSERT INTO n VALUES(0)"), CLOSE)
    committed = []

    def add(seed):
        for _ in range(6):
            one = Stream(database)
            one.run(batch("BEGIN IMMEDIATE"))
            (value,), = one.query("SELECT v FROM n")
            one.one(execute("UPDATE n SET v = ?", value + 1))
            if (seed + value) % 5 == 0:
                one.run(execute("ROLLBACK"), CLOSE)
            else:
                one.run(execute("COMMIT"), CLOSE)
                committed.append(1)

    threads = [threading.Thread(target=add, args=(rng.randrange(5),)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Stream(database).query("SELECT v FROM n") == [[len(committed)]]


def test_a_deleted_client_frees_everything(start_server):
    """Streams that nobody closes do not keep the server from a clean end."""
    server = start_server()
    database = database_of(server)
    Stream(database).one(execute("CREATE TABLE t(id)"))
    for _ in range(20):
        Stream(database).one(batch("BEGIN", "SELECT count(*) FROM t"))
    server.stop()


MANY = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300000) "
        "SELECT i, 'some text that fills the answer' FROM n")


def start_cursor(stream, connection, *steps):
    """Sends a cursor's request; returns nothing, for the answer comes slowly."""
    body = json.dumps({"baton": stream.baton, "batch": batch(*steps)["batch"]}).encode()
    connection.send(f"POST {stream.path}/cursor HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                    f"{stream.database.api.token}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def test_a_cursor_in_a_transaction_streams(database, connect):
    one = Stream(database)
    one.one(execute("CREATE TABLE t(id)"))
    one.one(batch("BEGIN", "INSERT INTO t VALUES(1)"))
    connection = connect()
    start_cursor(one, connection, MANY, "INSERT INTO t VALUES(2)", "SELECT count(*) FROM t")
    response = connection.receive()
    lines = response.body.splitlines()
    assert len(response.body) > 20_000_000
    assert [json.loads(line)["type"] for line in lines[-6:]] == \
        ["step_end", "step_begin", "step_end", "step_begin", "row", "step_end"]
    one.baton = json.loads(lines[0])["baton"]
    assert one.one({"type": "get_autocommit"})["is_autocommit"] is False
    one.run(execute("COMMIT"), CLOSE)
    assert Stream(database).query("SELECT count(*) FROM t") == [[2]]


def test_a_client_that_goes_away_in_a_cursor_frees_its_transaction(start_server, rng):
    server = start_server("--stream-idle", "500ms")
    database = database_of(server)
    Stream(database).run(execute("CREATE TABLE t(id INTEGER PRIMARY KEY)"), CLOSE)
    for i in range(6):
        one = Stream(database)
        one.one(batch("BEGIN IMMEDIATE", f"INSERT INTO t VALUES({i})"))
        connection = Connection(server)
        start_cursor(one, connection, MANY)
        for _ in range(rng.randrange(4)):
            connection.sock.recv(65536)
        connection.reset()
    Stream(database).run(execute("INSERT INTO t VALUES(100)"), CLOSE)
    assert Stream(database).query("SELECT id FROM t") == [[100]]
