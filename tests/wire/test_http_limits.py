"""Timeouts and caps: who is cut off, with what, and who is not. Times are set small by options; a
test waits for the server's end of the connection, not for a clock."""

import json
import time

import pytest
from api import Admin, Connection
from server import PATIENCE

GET = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture
def impatient(start_server):
    return start_server("--header-timeout", "500ms", "--body-timeout", "500ms", "--idle-timeout", "1s")


def test_408_for_a_head_that_does_not_end(impatient):
    with Connection(impatient) as connection:
        response = connection.send(GET[:-3]).receive()
        assert response.status == 408 and response.value()["code"] == "timeout"
        assert connection.is_closed()


def test_408_for_a_head_that_trickles(impatient):
    """Each byte in time, the whole not: the slow-loris client."""
    begun = time.monotonic()
    with Connection(impatient) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: test\r\nX: ")
        while connection.is_quiet(0.05):
            connection.send(b"a")
            assert time.monotonic() - begun < 30, "it is never cut off"
        assert connection.receive().status == 408


def test_408_for_a_body_that_does_not_come(impatient):
    with Connection(impatient) as connection:
        connection.send(b"POST /v1/databases HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                        b"Content-Length: 100\r\n\r\n{")
        response = connection.receive()
        assert response.status in (401, 408), response
        assert connection.is_closed()


def test_an_idle_connection_is_closed_without_a_word(impatient):
    with Connection(impatient) as connection:
        assert connection.send(GET).receive().status == 200
        assert connection.is_closed(), connection.buffer


def test_a_connection_that_never_speaks_is_closed(impatient):
    with Connection(impatient) as connection:
        if not connection.is_closed():
            assert connection.receive().status == 408


def test_a_running_statement_is_not_idle(impatient):
    """A query may take longer than the idle timeout."""
    admin = Admin(impatient)
    database = admin.tenant().database()
    rows = 6_000_000 // PATIENCE ** 2
    sql = f"WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c WHERE n<{rows}) SELECT count(*) FROM c"
    answers = [database.query(sql) for _ in range(2)]
    assert [answer.ok()["rows"] for answer in answers] == [[[rows]]] * 2


def test_connections_per_address_are_capped(start_server):
    server = start_server("--max-connections-per-address", "5")
    kept = [Connection(server).send(GET) for _ in range(5)]
    assert [connection.receive().status for connection in kept] == [200] * 5
    with Connection(server) as one_more:
        one_more.send(GET)
        refused_or_closed(one_more)
    kept.pop().close()
    wait_until_served(server)
    for connection in kept:
        connection.close()


def test_connections_in_total_are_capped(start_server):
    server = start_server("--max-connections", "8", "--max-connections-per-address", "0")
    kept = [Connection(server).send(GET) for _ in range(8)]
    assert [connection.receive().status for connection in kept] == [200] * 8
    with Connection(server) as one_more:
        one_more.send(GET)
        refused_or_closed(one_more)
    for connection in kept:
        assert connection.send(GET).receive().status == 200, "those who were there stay"
        connection.close()
    wait_until_served(server)


def refused_or_closed(connection):
    from api import Closed
    try:
        response = connection.receive()
    except (Closed, BrokenPipeError, ConnectionResetError):
        return
    assert response.status in (429, 503), response
    assert int(response.header("Retry-After")) >= 1
    assert connection.is_closed()


def wait_until_served(server):
    """The server learns of a closed connection a moment after the client: try until it has."""
    from api import Closed
    deadline = time.monotonic() + 20
    while True:
        with Connection(server) as connection:
            try:
                if connection.send(GET).receive().status == 200:
                    return
            except (Closed, BrokenPipeError, ConnectionResetError):
                pass
        assert time.monotonic() < deadline, "no room though connections were closed"
        time.sleep(0.02)


def test_429_says_when_to_come_back(admin):
    tenant = admin.tenant()
    database = tenant.database()
    limited = database.seen_by(tenant.api("readonly", rateLimit={"perSecond": 1, "burst": 3}))
    answers = [limited.query("SELECT 1") for _ in range(8)]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused and answers[0].status == 200
    for answer in refused:
        answer.refused(429, "rate_limited")
        assert int(answer.response.header("Retry-After")) >= 1
    database.query("SELECT 1").ok()  # another token of the same tenant is not limited by it


def test_a_tenants_rate_limits_all_its_tokens(admin):
    tenant = admin.tenant(requestsPerSecond=2)
    database = tenant.database()
    one, two = (database.seen_by(tenant.api("readonly")) for _ in range(2))
    statuses = [api.query("SELECT 1").status for _ in range(10) for api in (one, two)]
    assert 429 in statuses and set(statuses) <= {200, 429}
    other = admin.tenant().database()
    assert {other.query("SELECT 1").status for _ in range(20)} == {200}


def test_a_slow_reader_is_cut_off_and_others_are_not_held(start_server):
    """A client that asks for much and reads nothing is closed; the database is free for the next."""
    server = start_server("--slow-reader", "1s")
    admin = Admin(server)
    database = admin.tenant().database()
    sql = "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c WHERE n<200000) SELECT n, hex(zeroblob(200)) FROM c"
    body = json.dumps({"sql": sql}).encode()
    request = (f"POST {database.path}/query HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
               f"Authorization: Bearer {database.api.token}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body
    with Connection(server) as connection:
        connection.send(request)
        assert not connection.is_quiet(15), "it begins to answer"
        database.query("CREATE TABLE t (a)").ok()
        database.query("INSERT INTO t VALUES (1)").ok()
        deadline = time.monotonic() + 30
        while not server.events("http.slow_reader") and server.running:
            # Draining slower than the limit: never reading is what this client does.
            assert time.monotonic() < deadline, server.log_tail()
            time.sleep(0.05)
    assert database.rows("SELECT * FROM t") == [[1]]
