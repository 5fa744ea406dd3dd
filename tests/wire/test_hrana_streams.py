"""Hrana's streams in time: transactions that idle, streams that sleep, writers that wait."""

import json
import threading
import time

import pytest
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


# -- batons: each good once, the last one again for a lost answer -------------------------------------


def test_batons_come_in_order(database):
    """Of all a stream ever had, only the newest goes on, and the one before gets its answer again."""
    one = Stream(database)
    one.one(execute("CREATE TABLE t(id)"))
    batons, answers = [], []
    for i in range(5):
        batons.append(one.baton)
        answers.append(one.send(execute("INSERT INTO t VALUES(?)", i)))
        one.baton = answers[-1].value["baton"]
    assert len({*batons, one.baton}) == 6
    for i in range(4):
        assert one.send(execute("INSERT INTO t VALUES(?)", i), baton=batons[i]).status == 400
    for _ in range(3):  # as often as it takes
        assert one.send(execute("INSERT INTO t VALUES(?)", 4), baton=batons[4]).value == answers[4].value
    assert one.send(execute("INSERT INTO t VALUES(5)"), baton=batons[4]).status == 400  # it is not for another question
    assert one.query("SELECT id FROM t") == [[0], [1], [2], [3], [4]]
    assert one.send(execute("INSERT INTO t VALUES(?)", 4), baton=batons[4]).status == 400  # the stream went on


def test_a_baton_while_its_request_runs_is_invalid(database):
    """Two requests of one baton: one wins, and nothing is done twice."""
    holder, one = Stream(database), Stream(database)
    one.one(execute("CREATE TABLE t(id)"))
    one.one(execute("PRAGMA foreign_keys=off"))
    holder.one(batch("BEGIN IMMEDIATE", "INSERT INTO t VALUES(0)"))
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(one.send(execute("INSERT INTO t VALUES(1)")).status))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(statuses) == 3)  # the fourth waits for the lock
    assert statuses == [400] * 3
    holder.one(execute("COMMIT"))
    for thread in threads:
        thread.join()
    assert statuses == [400] * 3 + [200]
    assert Stream(database).query("SELECT count(*) FROM t WHERE id = 1") == [[1]]


def test_an_answer_that_is_not_kept_is_not_given_again(database):
    """Larger than what is kept for that: 64 KB."""
    one = Stream(database)
    one.one(execute("SELECT 1"))
    baton = one.baton
    small, large = execute("SELECT zeroblob(40000)"), execute("SELECT zeroblob(60000)")
    answer = one.send(small)
    assert one.send(small, baton=baton).value == answer.value
    one.baton = baton = answer.value["baton"]
    answer = one.send(large)
    assert answer.status == 200
    again = one.send(large, baton=baton)
    assert again.status == 400 and again.value["code"] == "PROTOCOL_ERROR"
    one.baton = answer.value["baton"]
    assert one.query("SELECT 2") == [[2]]


def test_a_cursors_baton_goes_on_and_is_not_good_twice(database):
    one = Stream(database)
    one.one(execute("CREATE TABLE t(id)"))
    body = {"baton": one.baton, "batch": batch("INSERT INTO t VALUES(1)")["batch"]}
    response = database.api.raw("POST", one.path + "/cursor", body)
    assert response.status == 200
    assert database.api.request("POST", one.path + "/cursor", body).status == 400
    one.baton = json.loads(response.body.splitlines()[0])["baton"]
    assert one.query("SELECT count(*) FROM t") == [[1]]


@pytest.mark.parametrize("request_", [execute("SELECT 1"), execute("INSERT INTO t VALUES(1)"), {"type": "get_autocommit"},
                                      batch("INSERT INTO t VALUES(1)"), {"type": "describe", "sql": "SELECT 1"},
                                      {"type": "sequence", "sql": "INSERT INTO t VALUES(1)"}])
def test_a_stream_that_expired_is_told_once(start_server, request_):
    """Whatever it asks for: nothing runs as if the transaction were still open."""
    server = start_server("--stream-idle", "200ms")
    database = database_of(server)
    one = Stream(database)
    one.one(execute("CREATE TABLE t(id)"))
    one.one(batch("BEGIN IMMEDIATE", "INSERT INTO t VALUES(1)"))
    Stream(database).one(execute("INSERT INTO t VALUES(2)"))  # gets the lock that the limit gives back
    answer = one.send(request_, CLOSE)
    assert (answer.status, answer.value["code"]) == (400, "STREAM_EXPIRED")
    assert answer.value["message"] and answer.response.header("Content-Type") == "application/json"
    answer = one.send(execute("SELECT 1"))
    assert answer.status == 400 and "baton is invalid" in answer.value["message"]
    assert Stream(database).query("SELECT id FROM t") == [[2]]


def test_the_streams_of_a_token_are_bounded(start_server):
    """2,000, and others are not hurt by who has them open."""
    server = start_server()
    tenant = Admin(server).tenant()
    database = tenant.database()
    streams = [Stream(database) for _ in range(2000)]
    for stream in streams:
        stream.one({"type": "get_autocommit"})
    answer = Stream(database).send({"type": "get_autocommit"})
    assert answer.status == 429 and answer.value["code"] == "OVERLOADED", answer
    assert Stream(database).run({"type": "get_autocommit"}, CLOSE)  # needs no place
    other = Stream(database)
    assert other.send({"type": "get_autocommit"}, api=tenant.api("readonly")).status == 200
    streams[7].close()
    assert Stream(database).send({"type": "get_autocommit"}).status == 200


def test_stored_texts_are_bounded(database):
    one = Stream(database)
    large = "SELECT 1 -- " + "x" * 90000
    results = one.run(*({"type": "store_sql", "sql_id": i, "sql": large} for i in range(12)))
    assert results[10] == {"type": "store_sql"} and results[11]["code"] == "SQL_STORE_TOO_LARGE"
    one.run({"type": "close_sql", "sql_id": 3})
    assert one.one({"type": "store_sql", "sql_id": 11, "sql": large}) == {"type": "store_sql"}


def test_pragmas_see_a_table_made_elsewhere(database):
    """SQLite looks up a pragma's table in the schema as the connection last saw it."""
    one = Stream(database)
    one.one(execute("CREATE TEMP TABLE mine(a)"))  # the stream keeps its connection
    Stream(database).run(execute("CREATE TABLE t(a)"), execute("CREATE INDEX i ON t(a)"), CLOSE)
    assert [row[1] for row in one.query("PRAGMA table_info(t)")] == ["a"]
    Stream(database).run(execute("CREATE TABLE u(a)"), execute("CREATE INDEX j ON u(a)"), CLOSE)
    assert [row[1] for row in one.query("PRAGMA index_list(u)")] == ["j"]
    Stream(database).run(execute("CREATE TABLE v(a)"), CLOSE)
    assert one.query("SELECT name FROM pragma_table_info('v')") == [["a"]]
    assert one.query("PRAGMA table_info(w)") == []
    Stream(database).run(execute("CREATE TABLE w(a)"), CLOSE)
    assert [row[1] for row in one.query("PRAGMA table_info(w)")] == ["a"]
    one.run(CLOSE)
