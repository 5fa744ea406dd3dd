"""Connections that stay, and requests that arrive together."""

import json

import pytest
from api import Connection

GET = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"


def query(database, sql, *lines):
    body = json.dumps({"sql": sql})
    return "\r\n".join([
        f"POST {database.path}/query HTTP/1.1", "Host: test",
        f"Authorization: Bearer {database.api.token}", "Content-Type: application/json",
        f"Content-Length: {len(body)}", *lines, "", body]).encode()


def test_a_connection_serves_many_requests(connect):
    connection = connect()
    for _ in range(20):
        response = connection.send(GET).receive()
        assert response.status == 200
        assert (response.header("Connection") or "keep-alive").lower() == "keep-alive"


def test_connection_close_is_obeyed_and_said(connect):
    connection = connect().send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    response = connection.receive()
    assert response.status == 200 and response.header("Connection").lower() == "close"
    assert connection.is_closed()


def test_requests_after_connection_close_are_not_answered(connect):
    connection = connect().send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + GET)
    assert connection.receive().status == 200
    assert connection.is_closed()


def test_http_1_0_closes(connect):
    connection = connect().send(b"GET /healthz HTTP/1.0\r\nHost: test\r\n\r\n")
    assert connection.receive().status == 200
    assert connection.is_closed()


def test_pipelined_answers_come_in_order(connect, database):
    """Slow and quick ones mixed: a read through the engine, refusals, process routes."""
    requests, wanted = b"", []
    for n in range(30):
        if n % 3 == 0:
            requests += query(database, f"SELECT {n}")
            wanted.append((200, n))
        elif n % 3 == 1:
            requests += GET
            wanted.append((200, None))
        else:
            requests += b"GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n"
            wanted.append((404, None))
    connection = connect().send(requests)
    for status, number in wanted:
        response = connection.receive()
        assert response.status == status, response
        if number is not None:
            assert response.value()["data"]["rows"] == [[number]]


def test_pipelined_writes_are_made_in_order(connect, database):
    database.query("CREATE TABLE t (n INTEGER PRIMARY KEY AUTOINCREMENT, v INTEGER)").ok()
    connection = connect().send(b"".join(
        query(database, f"INSERT INTO t (v) VALUES ({n})") for n in range(50)))
    for _ in range(50):
        assert connection.receive().status == 200
    assert database.rows("SELECT group_concat(v) FROM (SELECT v FROM t ORDER BY n)") == \
        [[",".join(map(str, range(50)))]]


def test_a_thousand_pipelined_requests_are_answered(connect):
    """More than any one buffer holds, written before anything is read."""
    import threading
    connection = connect()
    sender = threading.Thread(target=connection.send, args=(GET * 1000,))
    sender.start()
    assert [connection.receive().status for _ in range(1000)] == [200] * 1000
    sender.join()


def test_a_refusal_does_not_end_the_connection(connect, database):
    connection = connect()
    assert connection.send(query(database, "nonsense")).receive().status == 400
    assert connection.send(query(database, "SELECT 7")).receive().status == 200


def test_every_split_of_a_request_is_understood(connect, database):
    request = query(database, "SELECT 1", "X-Request-Id: split")
    connection = connect()
    for at in range(1, len(request)):
        connection.send(request[:at])
        response = connection.send(request[at:]).receive()
        assert response.status == 200 and response.header("X-Request-Id") == "split", f"split at {at}"


def test_a_request_may_come_byte_by_byte(connect, database):
    response = connect().send_slowly(query(database, "SELECT 'slow'")).receive()
    assert response.value()["data"]["rows"] == [["slow"]]


def test_a_client_that_only_reads_on_gets_its_answers(connect, database):
    """Half-closed: the requests that came before the end are still answered."""
    connection = connect().send(query(database, "SELECT 1") + query(database, "SELECT 2")).end_sending()
    assert connection.receive().value()["data"]["rows"] == [[1]]
    assert connection.receive().value()["data"]["rows"] == [[2]]
    assert connection.is_closed()


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_client_that_leaves_in_the_middle_harms_nobody(server, database, ending):
    request = query(database, "SELECT 1")
    for at in (1, 10, len(request) // 2, len(request) - 1, len(request)):
        connection = Connection(server).send(request[:at])
        getattr(connection, ending)()
    assert database.rows("SELECT 1") == [[1]]


def test_an_empty_line_before_a_request_is_skipped_or_refused(connect):
    """RFC 9112, 2.2, lets a server do either; never is it half a request."""
    connection = connect().send(b"\r\n" + GET)
    response = connection.receive()
    assert response.status in (200, 400)
    if response.status == 400:
        assert connection.is_closed()


@pytest.mark.parametrize("lines", [b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk",
                                   b"Connection: upgrade\r\nUpgrade: TLS/1.2"], ids=["h2c", "tls"])
def test_an_offer_to_upgrade_may_be_ignored(connect, lines):
    """RFC 9110, 7.8. Java's own HTTP client offers h2c with its first request, curl --http2 too."""
    connection = connect()
    for _ in range(2):
        assert connection.send(GET.replace(b"\r\n\r\n", b"\r\n" + lines + b"\r\n\r\n")).receive().status == 200
