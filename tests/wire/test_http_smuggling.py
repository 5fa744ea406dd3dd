"""Requests that two parsers could cut differently are refused, and the connection ends there: what
follows must never be taken for a request of its own."""

import pytest

NEXT = b"GET /version HTTP/1.1\r\nHost: test\r\n\r\n"


def post(*lines, body=b"", line=b"POST /v1/databases HTTP/1.1", host=b"Host: test"):
    return b"\r\n".join([line, *([host] if host else []), *lines, b"", b""]) + body


REFUSED = {
    "two lengths that differ": post(b"Content-Length: 3", b"Content-Length: 4", body=b"abcd"),
    "two lengths that agree": post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"),
    "a list of lengths": post(b"Content-Length: 3, 3", body=b"abc"),
    "length and chunked": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunked and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunked, chunked": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunked is not last": post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity", b"Content-Length: 3", body=b"abc"),
    "almost chunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunked in quotes": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "chunked after a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "chunked on HTTP/1.0": post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n",
                                line=b"POST /v1/databases HTTP/1.0"),
    "a length with a sign": post(b"Content-Length: +3", body=b"abc"),
    "a negative length": post(b"Content-Length: -3", body=b"abc"),
    "a length in hexadecimal": post(b"Content-Length: 0x3", body=b"abc"),
    "a length with a blank inside": post(b"Content-Length: 1 3", body=b"abc"),
    "a length beyond 64 bits": post(b"Content-Length: 18446744073709551619", body=b"abc"),
    "an empty length": post(b"Content-Length: ", body=b"abc"),
    "a blank before the colon": post(b"Content-Length : 3", body=b"abc"),
    "a blank before the colon of the encoding": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "a tab before the colon": post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n"),
    "a folded header": post(b"X-One: a", b" b", b"Content-Length: 0"),
    "a folded encoding": post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"),
    "a first header that begins with a blank": post(b" X: a", b"Content-Length: 0", host=b""),
    "a header without a colon": post(b"nonsense", b"Content-Length: 0"),
    "a header without a name": post(b": value", b"Content-Length: 0"),
    "a bare LF at the end of the head":
        b"POST /v1/databases HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\n",
    "bare LFs": b"POST /v1/databases HTTP/1.1\nHost: test\nContent-Length: 0\n\n",
    "a bare LF inside": b"POST /v1/databases HTTP/1.1\r\nHost: test\nX: y\r\nContent-Length: 0\r\n\r\n",
    "a bare CR in a value": post(b"X: a\rTransfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
    "a bare CR for a value": post(b"Empty:\rTransfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "a bare CR in the request line": b"POST /v1/databases\rX HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n",
    "a NUL in a value": post(b"X: a\0b", b"Content-Length: 0"),
    "a NUL in a name": post(b"X\0Y: a", b"Content-Length: 0"),
    "a control character in a value": post(b"X: a\x01b", b"Content-Length: 0"),
    "no Host": post(b"Content-Length: 0", host=b""),
    "two Hosts": post(b"Host: other", b"Content-Length: 0"),
    "two Hosts that agree": post(b"Host: test", b"Content-Length: 0"),
    "a Host with a path": post(b"Content-Length: 0", host=b"Host: test/v1"),
    "a Host with a user": post(b"Content-Length: 0", host=b"Host: a@test"),
    "a blank in the target": post(b"Content-Length: 0", line=b"POST /v1/data bases HTTP/1.1"),
    "a fragment in the target": post(b"Content-Length: 0", line=b"POST /v1/databases#x HTTP/1.1"),
    "two blanks in the request line": post(b"Content-Length: 0", line=b"POST  /v1/databases HTTP/1.1"),
    "a tab in the request line": post(b"Content-Length: 0", line=b"POST\t/v1/databases HTTP/1.1"),
    "a chunk extension with a bare LF":
        post(b"Transfer-Encoding: chunked", body=b"3;x\nabc\r\n0\r\n\r\n"),
    "obs-text in a name": post(b"X-\xe9: a", b"Content-Length: 0"),
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an answer for a request": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_and_closed(connect, name):
    connection = connect().send(REFUSED[name] + NEXT)
    response = connection.receive()
    assert response.status in (400, 501, 505), response
    assert response.value()["success"] is False
    assert response.header("Connection").lower() == "close"
    assert connection.is_closed(), f"an answer to what followed: {connection.buffer[:200]}"


@pytest.mark.parametrize("name", ["two lengths that differ", "length and chunked", "a folded header",
                                  "a bare CR for a value", "no Host"])
def test_refused_when_it_comes_byte_by_byte(connect, name):
    connection = connect()
    try:
        connection.send_slowly(REFUSED[name])
    except (BrokenPipeError, ConnectionResetError):
        pass  # it was refused before its end, as it may be
    assert connection.receive().status in (400, 501)


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED", b" chunked ", b"\tchunked"])
def test_the_one_encoding_may_be_spelled_freely(connect, value):
    connection = connect().send(post(b"Transfer-Encoding:" + value, b"Content-Type: application/json",
                                     body=b"2\r\n{}\r\n0\r\n\r\n") + NEXT)
    assert connection.receive().status == 401
    assert connection.receive().status == 200


def test_an_answer_never_carries_what_a_header_smuggled_in(connect):
    """No response splitting: CR and LF in the path, encoded, come back nowhere as such."""
    response = connect().send(b"GET /x%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\nHost: test\r\n"
                              b"Origin: http://a%0d%0aX: y\r\n\r\n").receive()
    assert response.header("Set-Cookie") is None and response.header("X") is None
