"""Who asks and for what, as far as the head says: proxies, hosts, Unix sockets."""

import pytest

from api import Admin, Api, Connection


def logged_remote(server, connection, headers):
    connection.send(f"GET /nothing HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\n{headers}\r\n").receive()
    return [event["remote"] for event in server.events("http.request") if event["request"] == "mine"][-1]


@pytest.mark.parametrize("given, believed", [
    ("X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"),
    ("X-Forwarded-For: 6.6.6.6, 203.0.113.9, 127.0.0.1\r\n", "203.0.113.9"),
    ("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"),
    ("X-Forwarded-For: rubbish\r\n", "127.0.0.1"),
    ("", "127.0.0.1")])
def test_a_trusted_proxy_names_the_client(start_server, given, believed):
    server = start_server("--trusted-proxy", "127.0.0.0/8", "--log-level", "debug")
    with Connection(server) as connection:
        assert logged_remote(server, connection, given) == believed


def test_nobody_else_is_believed(start_server):
    server = start_server("--trusted-proxy", "10.0.0.0/8", "--log-level", "debug")
    with Connection(server) as connection:
        assert logged_remote(server, connection, "X-Forwarded-For: 203.0.113.9\r\n") == "127.0.0.1"


def test_metrics_are_not_for_clients_behind_a_proxy(start_server):
    server = start_server("--trusted-proxy", "127.0.0.1")
    proxied = {"X-Forwarded-For": "203.0.113.9"}
    assert Api(server, None).raw("GET", "/metrics").status == 200
    assert Api(server, None).raw("GET", "/metrics", headers=proxied).status == 403
    assert Api(server, "rookery_op_" + "x" * 43).raw("GET", "/metrics", headers=proxied).status == 403
    admin = Admin(server)
    assert admin.tenant().owner.raw("GET", "/metrics", headers=proxied).status == 403
    for _ in range(2):
        assert admin.api.raw("GET", "/metrics", headers=proxied).status == 200


def test_hosts_name_tenant_and_database(start_server):
    server = start_server("--base-domain", "db.example.com")
    tenant = Admin(server).tenant("acme")
    tenant.database("main").query("CREATE TABLE t (a)").ok()
    for host in ("main--acme.db.example.com", "MAIN--Acme.DB.example.com:8080"):
        answer = tenant.owner.post("/v1/query", {"sql": "SELECT name FROM sqlite_master"}, headers={"Host": host})
        assert answer.ok()["rows"] == [["t"]], answer
    for host in ("other--acme.db.example.com", "a.b.db.example.com", "example.com", "db.example.com"):
        assert tenant.owner.post("/v1/query", {"sql": "SELECT 1"}, headers={"Host": host}).status == 404
    stranger = Admin(server).tenant("other1").owner
    assert stranger.post("/v1/query", {"sql": "SELECT 1"},
                         headers={"Host": "main--acme.db.example.com"}).status in (403, 404)


def test_a_unix_socket_serves_and_is_removed(start_server, tmp_path):
    path = tmp_path / "socket"
    server = start_server(listen=f"unix:{path}")
    assert path.stat().st_mode & 0o777 == 0o660
    with Connection(server) as connection:
        connection.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.receive().status == 200
    server.kill()
    assert path.exists()
    server.start()  # what a crash left is not in the way
    server.stop()
    assert not path.exists()
