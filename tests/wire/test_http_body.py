"""Bodies: by length, in chunks, asked for with 100-continue."""

import json

import pytest

BODY = json.dumps({"sql": "SELECT 'böd\u00fd', 42"}, ensure_ascii=False).encode()


@pytest.fixture
def request_head(database):
    def request_head(*lines):
        return "\r\n".join([
            f"POST {database.path}/query HTTP/1.1", "Host: test",
            f"Authorization: Bearer {database.api.token}", "Content-Type: application/json",
            *lines, "", ""]).encode()
    return request_head


def chunks(body, *sizes, extension=b"", trailers=b""):
    out, at = b"", 0
    for size in sizes:
        piece = body[at:at + size]
        out += b"%x%s\r\n%s\r\n" % (len(piece), extension, piece)
        at += size
    if body[at:]:
        out += b"%x\r\n%s\r\n" % (len(body) - at, body[at:])
    return out + b"0\r\n" + trailers + b"\r\n"


def answered(connection):
    response = connection.receive()
    assert response.status == 200, response
    assert response.value()["data"]["rows"] == [["böd\u00fd", 42]]


@pytest.mark.parametrize("sizes", [(), (1,), (1, 1, 1), (10, 5), tuple([1] * 20)])
def test_a_chunked_body_is_put_together(connect, request_head, sizes):
    connection = connect()
    for _ in range(2):
        connection.send(request_head("Transfer-Encoding: chunked") + chunks(BODY, *sizes))
        answered(connection)


def test_a_chunked_body_may_be_split_anywhere(connect, request_head):
    connection, whole = connect(), request_head("Transfer-Encoding: chunked") + chunks(BODY, 7, 3)
    begin = whole.index(b"\r\n\r\n")
    for at in range(begin, len(whole)):
        connection.send(whole[:at])
        connection.send(whole[at:])
        answered(connection)


def test_chunks_and_the_next_request_may_come_together(connect, request_head):
    one = request_head("Transfer-Encoding: chunked") + chunks(BODY, 5)
    two = request_head(f"Content-Length: {len(BODY)}") + BODY
    connection = connect().send(one + two + one)
    for _ in range(3):
        answered(connection)


def test_trailers_are_not_headers(connect, database):
    """An Authorization in a trailer gives no right."""
    head = "\r\n".join([f"POST {database.path}/query HTTP/1.1", "Host: test",
                        "Content-Type: application/json", "Transfer-Encoding: chunked", "", ""]).encode()
    trailers = f"Authorization: Bearer {database.api.token}\r\n".encode()
    response = connect().send(head + chunks(BODY, trailers=trailers)).receive()
    assert response.status in (400, 401), response


@pytest.mark.parametrize("bad", [b"g\r\nx\r\n0\r\n\r\n", b"-1\r\nx\r\n0\r\n\r\n", b"\r\nx\r\n0\r\n\r\n",
                                 b"1 \r\nx\r\n0\r\n\r\n", b"0x1\r\nx\r\n0\r\n\r\n", b"1\nx\r\n0\r\n\r\n",
                                 b"1\r\nxx\r\n0\r\n\r\n", b"1\r\nx0\r\n\r\n",
                                 b"ffffffffffffffff\r\nx\r\n0\r\n\r\n", b"10000000000000000\r\nx\r\n0\r\n\r\n"])
def test_a_broken_chunk_ends_the_connection(connect, request_head, bad):
    connection = connect().send(request_head("Transfer-Encoding: chunked") + bad)
    response = connection.receive()
    assert response.status in (400, 413), response
    assert connection.is_closed()


def test_100_continue_comes_before_the_body_is_sent(connect, request_head):
    connection = connect().send(request_head(f"Content-Length: {len(BODY)}", "Expect: 100-continue"))
    assert connection.receive().status == 100
    connection.send(BODY)
    answered(connection)
    connection.send(request_head("Transfer-Encoding: chunked", "Expect: 100-Continue"))
    assert connection.receive().status == 100
    connection.send(chunks(BODY, 3))
    answered(connection)


def test_a_client_that_does_not_wait_for_100_continue_is_served(connect, request_head):
    connection = connect().send(request_head(f"Content-Length: {len(BODY)}", "Expect: 100-continue") + BODY)
    response = connection.receive()
    if response.status == 100:
        response = connection.receive()
    assert response.status == 200, response


def test_a_refused_request_gets_no_100_continue(connect, request_head):
    """A body that would be too large is refused before it is sent."""
    connection = connect().send(request_head("Content-Length: 99999999999", "Expect: 100-continue"))
    assert connection.receive().status == 413
    assert connection.is_closed()


def test_another_expectation_is_refused(connect, request_head):
    response = connect().send(request_head(f"Content-Length: {len(BODY)}", "Expect: a miracle") + BODY).receive()
    assert response.status in (400, 417), response


def test_a_body_where_none_is_wanted_does_not_become_a_request(connect):
    smuggled = b"GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n"
    connection = connect().send(b"GET /healthz HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(smuggled)
                                + smuggled + b"GET /version HTTP/1.1\r\nHost: test\r\n\r\n")
    first = connection.receive()
    if first.status == 200:
        assert connection.receive().status == 200
    else:
        assert first.status == 400 and connection.is_closed()


def test_a_body_cut_short_is_not_run(server, database, request_head):
    from api import Connection
    database.query("CREATE TABLE t (a)").ok()
    body = json.dumps({"sql": "INSERT INTO t VALUES (1)"}).encode() + b"  "
    with Connection(server) as connection:
        connection.send(request_head(f"Content-Length: {len(body)}") + body[:-1]).end_sending()
        assert connection.is_closed() or connection.receive().status == 400
    assert database.rows("SELECT count(*) FROM t") == [[0]]


def test_a_large_body_is_taken(database):
    text = "x" * 500_000
    assert database.rows("SELECT length(?)", [text]) == [[len(text)]]
