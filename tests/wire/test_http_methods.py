"""HEAD, OPTIONS and what browsers ask before they send (CORS)."""

import pytest
from api import Api, Connection

ORIGIN = "https://app.example.com"


def ask(connection, method, target, *lines):
    return connection.send("\r\n".join([f"{method} {target} HTTP/1.1", "Host: test", *lines, "", ""])
                           ).receive(method)


@pytest.mark.parametrize("target", ["/healthz", "/version", "/metrics", "/openapi.json", "/nothing", "/v1/me"])
def test_head_is_get_without_the_body(connect, target):
    """Same status, same type, the same length said; and the next answer follows at once."""
    connection = connect()
    get, head = ask(connection, "GET", target), ask(connection, "HEAD", target)
    assert head.status == get.status and head.body == b""
    assert head.header("Content-Type") == get.header("Content-Type")
    if target not in ("/metrics", "/healthz"):  # their length changes with what they say
        assert head.header("Content-Length") == str(len(get.body))
    assert ask(connection, "GET", "/version").status == 200


def test_head_with_a_token(database):
    path = "/v1/databases/" + database.slug
    response = database.api.raw("HEAD", path)
    assert response.status == 200 and response.body == b""
    assert database.api.get(path).ok()["slug"] == database.slug


def test_options_names_the_methods(connect):
    response = ask(connect(), "OPTIONS", "/v1/databases")
    assert response.status in (200, 204)
    assert {"GET", "POST"} <= set(response.header("Allow").replace(" ", "").split(","))


def test_options_for_the_whole_server(connect):
    """OPTIONS * is a legal question (RFC 9110, 9.3.7)."""
    assert ask(connect(), "OPTIONS", "*").status in (200, 204)


def preflight(connection, origin=ORIGIN, target="/v1/db/a/b/query"):
    return ask(connection, "OPTIONS", target, f"Origin: {origin}", "Access-Control-Request-Method: POST",
               "Access-Control-Request-Headers: authorization, content-type")


def test_without_an_origin_configured_no_browser_gets_in(connect):
    connection = connect()
    assert preflight(connection).header("Access-Control-Allow-Origin") is None
    response = ask(connection, "GET", "/version", f"Origin: {ORIGIN}")
    assert response.header("Access-Control-Allow-Origin") is None


def test_a_configured_origin_may_ask(start_server):
    server = start_server("--cors-origin", ORIGIN, "--cors-origin", "http://localhost:3000")
    with Connection(server) as connection:
        for origin in (ORIGIN, "http://localhost:3000"):
            response = preflight(connection, origin)
            assert response.status in (200, 204)
            assert response.header("Access-Control-Allow-Origin") == origin
            assert "POST" in response.header("Access-Control-Allow-Methods")
            allowed = response.header("Access-Control-Allow-Headers").lower()
            assert "authorization" in allowed and "content-type" in allowed
            assert "Origin" in (response.header("Vary") or "")
        for stranger in ("https://evil.example.com", ORIGIN + ".evil.com", "https://app.example.com:444",
                         "http://app.example.com", "null"):
            assert preflight(connection, stranger).header("Access-Control-Allow-Origin") is None, stranger


def test_a_configured_origin_reads_answers_and_errors(start_server):
    server = start_server("--cors-origin", ORIGIN)
    for token, status in ((server.operator_token, 200), (None, 401)):
        response = Api(server, token).raw("GET", "/v1/admin/tenants", headers={"Origin": ORIGIN})
        assert response.status == status
        assert response.header("Access-Control-Allow-Origin") == ORIGIN


def test_any_origin_may_be_allowed(start_server):
    server = start_server("--cors-origin", "*")
    with Connection(server) as connection:
        response = ask(connection, "GET", "/version", f"Origin: {ORIGIN}")
        assert response.header("Access-Control-Allow-Origin") in ("*", ORIGIN)
        assert response.header("Access-Control-Allow-Credentials") is None, "never with any origin"
