"""Which status answers what, and that every refusal has the one shape of errors."""

import pytest


def head(method="GET", target="/healthz", *lines, version="HTTP/1.1"):
    return "\r\n".join([f"{method} {target} {version}", "Host: test", *lines, "", ""])


def refusal(response):
    """The envelope of a refusal, whatever the status."""
    value = response.value()
    assert value["success"] is False and value["error"] and value["code"], value
    assert value["requestId"] == response.header("X-Request-Id")
    return value


def test_every_answer_has_a_request_id_of_its_own(connect):
    connection = connect()
    ids = {connection.send(head()).receive().header("X-Request-Id") for _ in range(3)}
    assert len(ids) == 3 and all(ids)


@pytest.mark.parametrize("given", ["abc-123", "A" * 64, "3f2504e0-4f89-11d3-9a0c-0305e82c3301"])
def test_a_sane_request_id_is_taken(connect, given):
    response = connect().send(head("GET", "/healthz", f"X-Request-Id: {given}")).receive()
    assert response.header("X-Request-Id") == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 1000, 'quote"', "semi;colon=1"])
def test_an_odd_request_id_is_replaced(connect, given):
    response = connect().send(head("GET", "/healthz", f"X-Request-Id: {given}")).receive()
    assert response.status == 200
    assert response.header("X-Request-Id") not in ("", given)


@pytest.mark.parametrize("target", [
    "/nothing", "/v1/nothing", "/v1/me/more",
    "/v1/db", "/v1/db/a", "/v1/db/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", "/../etc/passwd",
    "/v1/../healthz", "/healthz/../me", "/%2e%2e/healthz/x"])
def test_404_for_what_is_not_there(connect, target):
    response = connect().send(head("GET", target)).receive()
    assert response.status == 404, response
    assert refusal(response)["code"] == "not_found"


@pytest.mark.parametrize("target", ["/v1/db/%zz/b/query", "/v1/db/a%0/b/query", "/v1/db/a%00b/b/query",
                                    "/v1/db/a%2fb/c/query"])
def test_an_odd_path_segment_is_refused(admin, target):
    """Broken percent-encoding, NUL and slash in a slug: never a server error, never found."""
    answer = admin.api.post(target, {"sql": "SELECT 1"})
    assert answer.status in (400, 404), answer
    refusal(answer.response)


@pytest.mark.parametrize("method,target,allowed", [
    ("POST", "/healthz", {"GET", "HEAD", "OPTIONS"}),
    ("DELETE", "/v1/me", {"GET", "HEAD", "OPTIONS"}),
    ("GET", "/v1/db/a/b/query", {"POST", "OPTIONS"}),
    ("PUT", "/v1/databases", {"GET", "HEAD", "POST", "OPTIONS"}),
])
def test_405_names_the_methods_there_are(connect, method, target, allowed):
    response = connect().send(head(method, target, "Content-Length: 0")).receive()
    assert response.status == 405, response
    refusal(response)
    assert set(response.header("Allow").replace(" ", "").split(",")) >= allowed - {"OPTIONS", "HEAD"}


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "SOURCE", "MKCOL", "BREW", "QUERY"])
def test_a_method_nobody_has_is_not_implemented(connect, method):
    target = "example.org:443" if method == "CONNECT" else "/healthz"
    response = connect().send(head(method, target)).receive()
    assert response.status in (400, 405, 501), response
    refusal(response)


def test_411_for_a_body_without_a_length(admin, connect):
    response = connect().send(head(
        "POST", "/v1/databases", f"Authorization: Bearer {admin.api.token}", "X-Rookery-Tenant: a",
        "Content-Type: application/json")).receive()
    assert response.status == 411, response
    refusal(response)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml",
                                  "multipart/form-data; boundary=x", "json", "application/jsonp"])
def test_415_for_another_media_type(database, kind):
    answer = database.query("SELECT 1", headers={"Content-Type": kind})
    answer.refused(415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8",
                                  "APPLICATION/JSON", "application/json;charset=UTF-8 "])
def test_json_is_known_by_any_of_its_spellings(database, kind):
    assert database.query("SELECT 1", headers={"Content-Type": kind}).ok()["rows"] == [[1]]


def test_413_for_a_body_over_the_limit(start_server, connect):
    from api import Connection
    server = start_server("--max-body", "64k")
    with Connection(server) as connection:
        connection.send(head("POST", "/v1/db/a/b/query", "Content-Type: application/json",
                             f"Content-Length: {64 * 1024 + 1}"))
        response = connection.receive()
        assert response.status == 413, response
        assert refusal(response)["code"] == "too_large"
        assert connection.is_closed(), "what follows cannot be told from the refused body"
    with Connection(server) as connection:
        connection.send(head("POST", "/v1/db/a/b/query", "Content-Type: application/json",
                             "Transfer-Encoding: chunked"))
        for _ in range(9):
            connection.send(b"2000\r\n" + b" " * 8192 + b"\r\n")
        assert connection.receive().status == 413


def test_414_for_a_long_target(connect):
    connection = connect().send(head("GET", "/" + "a" * 70000))
    response = connection.receive()
    assert response.status == 414, response
    refusal(response)
    assert connection.is_closed()


@pytest.mark.parametrize("lines", [["X-Long: " + "a" * 200000],
                                   [f"X-{n}: {'b' * 100}" for n in range(1500)],
                                   [f"X-{n}: b" for n in range(1000)]],
                         ids=["one long header", "many bytes", "many headers"])
def test_431_for_a_large_head(connect, lines):
    connection = connect().send(head("GET", "/healthz", *lines))
    response = connection.receive()
    assert response.status == 431, response
    refusal(response)
    assert connection.is_closed()


def test_501_for_another_transfer_encoding(connect):
    connection = connect().send(head("POST", "/v1/databases", "Transfer-Encoding: gzip, chunked"))
    response = connection.receive()
    assert response.status in (400, 501), response
    refusal(response)
    assert connection.is_closed()


@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/3", "http/1.1", "HTTX/1.1", ""])
def test_other_versions_are_refused(connect, version):
    connection = connect().send(head(version=version))
    response = connection.receive()
    assert response.status in (400, 505), response
    assert connection.is_closed()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"{]", b'{"sql":}', b"\xff\xfe",
                                  b'{"sql":"SELECT 1"} x', b'{"sql":"SELECT 1",}', b"{'sql':1}",
                                  b"[" * 100000, b'{"a":' * 5000, b'{"sql":"\\ud800"}', b'{"sql":"\x01"}',
                                  b'{"sql":"SELECT 1","params":[01]}', b'{"sql":"SELECT 1","params":[NaN]}'],
                         ids=lambda body: repr(body[:20]))
def test_400_for_what_is_not_the_json_it_should_be(database, body):
    answer = database.api.post(database.path + "/query", body, headers={"Content-Type": "application/json"})
    value = answer.refused(400)
    assert value["code"] in ("invalid_json", "bad_request"), value
