"""Answers too large to be held: chunked, paused while the client does not read, cancelled when it
goes away."""

import json
import time

import pytest

from api import Admin, Connection, Database

ROWS = "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c WHERE n<{}) SELECT n, hex(zeroblob(100)) FROM c"
ENDLESS = "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c) SELECT n FROM c WHERE n % 2 = 3"


def request(database, sql, version="1.1", method="POST", more=""):
    body = json.dumps({"sql": sql}).encode()
    return (f"{method} {database.path}/query HTTP/{version}\r\nHost: test\r\n{more}"
            f"Content-Type: application/json\r\nAuthorization: Bearer {database.api.token}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def test_a_large_answer_comes_in_chunks_and_whole(connect, database):
    connection = connect()
    for _ in range(2):
        response = connection.send(request(database, ROWS.format(20000))).receive()
        assert response.status == 200 and response.header("Transfer-Encoding") == "chunked"
        value = response.value()
        assert value["success"] is True, {k: v for k, v in value.items() if k != "data"}
        assert [row[0] for row in value["data"]["rows"]] == list(range(1, 20001))


def test_a_large_answer_to_http_1_0_ends_with_the_connection(connect, database):
    response = connect().send(request(database, ROWS.format(20000), version="1.0")).receive()
    assert response.header("Transfer-Encoding") is None
    assert len(response.value()["data"]["rows"]) == 20000


def test_what_is_pipelined_behind_a_large_answer_comes_after_it(connect, database):
    both = request(database, ROWS.format(20000)) + request(database, "SELECT 42")
    connection = connect().send(both)
    assert len(connection.receive().value()["data"]["rows"]) == 20000
    assert connection.receive().value()["data"]["rows"] == [[42]]


def test_a_client_that_pauses_gets_everything_in_the_end(server, database):
    """The lane stands still while a megabyte waits, and goes on when it is read."""
    with Connection(server) as connection:
        connection.sock.setsockopt(__import__("socket").SOL_SOCKET, __import__("socket").SO_RCVBUF, 65536)
        connection.send(request(database, ROWS.format(60000)))
        assert not connection.is_quiet(15)
        before = memory(server)
        assert database.query("SELECT 1").ok()["rows"] == [[1]]
        assert memory(server) - before < 32 << 20
        rows = connection.receive().value()["data"]["rows"]
    assert len(rows) == 60000 and rows[-1][0] == 60000


def memory(server):
    with open(f"/proc/{server.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def in_flight(server):
    api = Admin(server).api
    return api.get("/v1/admin/stats").ok()["process"]["requestsInFlight"] - 1


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize("sql", [ENDLESS, ROWS.format(100_000_000)], ids=["computing", "streaming"])
def test_a_query_ends_when_its_client_goes_away(start_server, ending, sql):
    server = start_server("--statement-time", "1h", "--slow-reader", "1h", "--log-level", "debug")
    database = Admin(server).tenant().database()
    connection = Connection(server)
    connection.send(request(database, sql))
    wait_until(lambda: in_flight(server) == 1)
    getattr(connection, ending)()
    wait_until(lambda: in_flight(server) == 0)
    database.query("CREATE TABLE t (a)").ok()


def test_half_closed_clients_get_the_answers_they_asked_for(connect, database):
    """`printf … | nc` closes its side with the last request; short work is answered all the same."""
    connection = connect().send(request(database, "SELECT 1") + request(database, "SELECT 2")).end_sending()
    assert connection.receive().value()["data"]["rows"] == [[1]]
    assert connection.receive().value()["data"]["rows"] == [[2]]
    assert connection.is_closed()


def test_bodies_together_have_a_limit(start_server):
    server = start_server("--max-body", "1m", "--max-body-total", "1m")
    database = Admin(server).tenant().database()
    with Connection(server) as first, Connection(server) as second:
        head = (f"POST {database.path}/query HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                f"Authorization: Bearer {database.api.token}\r\nContent-Length: 900000\r\n\r\n").encode()
        first.send(head + b" " * 800000)
        wait_until(lambda: received(server) > 800000)
        second.send(head + b" " * 800000)
        response = second.receive()
        assert response.status == 503 and response.header("Retry-After")
        sql = b'{"sql":"SELECT 7"}'
        first.send(b" " * (100000 - len(sql)) + sql)
        assert first.receive().value()["data"]["rows"] == [[7]]
    assert Database(database.api, database.tenant, database.slug).rows("SELECT 8") == [[8]]


def received(server):
    text = Admin(server).api.raw("GET", "/metrics").body.decode()
    return next(int(line.split()[1]) for line in text.splitlines()
                if line.startswith("rookery_http_received_bytes_total "))
