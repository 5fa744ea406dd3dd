"""sqld's admin API on a listener of its own: namespaces, their configuration and figures."""

import types

import pytest
from api import Admin, Api, Connection, Database
from hrana import CLOSE, Stream, batch, execute
from signing import Key


class AdminApi:
    """The admin listener; answers are (status, value or None)."""

    def __init__(self, server, token=None):
        (ready,) = server.events("server.admin")
        self.address = ready["listen"]
        at = types.SimpleNamespace(address=self.address, secrets=server.secrets)
        if not self.address.startswith("unix:"):
            host, _, port = self.address.rpartition(":")
            at.host, at.port = host.strip("[]"), int(port)
        self.at, self.api = at, Api(at, token, headers={"Host": "localhost"})

    def ask(self, method, path, body=None, **headers):
        response = self.api.raw(method, path, body, headers={k.replace("_", "-"): v for k, v in headers.items()})
        is_json = response.header("Content-Type") == "application/json"
        return response.status, response.value() if is_json else response.body.decode()

    def create(self, name, **body):
        return self.ask("POST", f"/v1/namespaces/{name}/create", body)

    def config(self, name, **body):
        return self.ask("POST", f"/v1/namespaces/{name}/config", {"block_reads": False, "block_writes": False, **body})


@pytest.fixture
def place(start_server):
    server = start_server("--listen-admin", "127.0.0.1:0", "--base-domain", "db.example")
    return types.SimpleNamespace(server=server, admin=Admin(server), api=AdminApi(server, server.operator_token))


def database(place, tenant="acme", slug="default"):
    """A namespace's database as an owner's token of its tenant sees it."""
    token = place.admin.api.post(f"/v1/admin/tenants/{tenant}/tokens", {"name": "x", "role": "owner"}).ok()["token"]
    return Database(Api(place.server, token), tenant, slug)


def test_a_namespace_is_a_tenants_default_database(place):
    assert place.api.create("acme") == (200, "")
    assert place.api.create("acme") == (400, {"error": "Namespace `acme` already exists"})
    assert place.api.create("logs--acme") == (200, "")
    assert place.api.create("first--fresh") == (200, "")
    made = database(place)
    made.query("CREATE TABLE t(a)").ok()
    assert made.seen_by(made.api).rows("SELECT count(*) FROM t") == [[0]]
    slugs = {row["slug"] for row in made.api.get("/v1/databases").ok()}
    assert slugs == {"default", "logs"}
    # By the host's first label, as sqld's clients name it.
    for host, status in (("acme.db.example", 200), ("logs--acme.db.example", 200), ("fresh.db.example", 403)):
        answer = made.api.post("/v2/pipeline", {"requests": [execute("SELECT 1"), CLOSE]}, headers={"Host": host})
        assert answer.status == status, (host, answer)
    assert place.api.ask("DELETE", "/v1/namespaces/acme") == (200, "")
    assert place.api.ask("DELETE", "/v1/namespaces/acme") == (404, {"error": "Namespace `acme` doesn't exist"})
    assert made.query("SELECT 1").status == 404
    assert place.api.create("acme") == (200, "")
    assert made.query("SELECT * FROM t").status == 400  # a new, empty one


def test_creation_with_settings(place):
    key = Key()
    assert place.api.create("acme", max_db_size="10mb", jwt_key=key.pem, txn_timeout_s=30)[0] == 200
    status, config = place.api.ask("GET", "/v1/namespaces/acme/config")
    assert status == 200 and config == {
        "block_reads": False, "block_writes": False, "block_reason": None, "max_db_size": "10000000 B",
        "heartbeat_url": None, "jwt_key": key.pem, "allow_attach": False, "txn_timeout_s": 30}, config
    # What was read may be sent back.
    assert place.api.ask("POST", "/v1/namespaces/acme/config", config) == (200, "")
    assert place.api.ask("GET", "/v1/namespaces/acme/config") == (200, config)
    made = Database(Api(place.server, key.token()), "acme", "default")
    made.query("CREATE TABLE t(a)").ok()
    for _ in range(9):
        answer = made.query("INSERT INTO t VALUES (zeroblob(1500000))")
    assert answer.status == 507 and answer.value["code"] == "quota_exceeded", answer


def test_a_namespaces_key_opens_it_by_host_and_by_path(place):
    key = Key()
    for name in ("acme", "logs--acme"):
        assert place.api.create(name, jwt_key=key.raw if name == "acme" else Key().raw) == (200, "")

    def status(host=None, path="", token=None):
        api = Api(place.server, token or key.token(id="acme"), headers={"Host": host} if host else None)
        return api.post(path + "/v2/pipeline", {"requests": [execute("CREATE TABLE IF NOT EXISTS t(a)"), CLOSE]}).status

    assert status("acme.db.example") == 200 and status("default--acme.db.example") == 200
    assert status("acme.db.example", token=key.token()) == 200
    assert status(path="/acme/default") == 200
    assert status("logs--acme.db.example") == 401 and status(path="/acme/logs") == 401
    assert status("acme.db.example", token=key.token(id="logs--acme")) == 403
    assert status() == 401  # nothing says whose key counts
    assert place.api.config("acme", jwt_key=Key().raw) == (200, "")
    assert status("acme.db.example") == 401 and status(path="/acme/default") == 401


@pytest.mark.parametrize("size, stored", [("1.5 GiB", 1610612736), ("10MB", 10**7), (5000000, 5000000), ("2097152", 2097152),
                                          ("2 mi", 2097152), ("3000k", 3000000), ("2097152 B", 2097152)])
def test_sizes(place, size, stored):
    assert place.api.create("acme", max_db_size=size) == (200, "")
    assert place.api.ask("GET", "/v1/namespaces/acme/config")[1]["max_db_size"] == f"{stored} B"


def test_what_is_refused(place):
    api = place.api
    for body in ({"max_db_size": "ten"}, {"max_db_size": "1kb"}, {"max_db_size": -1}, {"max_db_size": "1.2.3mb"},
                 {"max_db_size": "9" * 30}, {"max_db_size": []}, {"jwt_key": "nonsense"}, {"jwt_key": 5},
                 {"txn_timeout_s": "soon"}, {"txn_timeout_s": 10**9}, {"heartbeat_url": "http://x/"},
                 {"allow_attach": True}, {"shared_schema": True}, {"shared_schema_name": "x"}, {"bottomless_db_id": "x"},
                 {"block_reason": "a\nb", "block_writes": True}, {"block_reason": "x" * 201}):
        status, answer = api.create("acme", **body)
        assert status == 400 and set(answer) == {"error"}, (body, answer)
    assert api.create("acme", shared_schema=False, allow_attach=False, heartbeat_url=None) == (200, "")
    for name in ("a b", "-x", "a--b--c", "x" * 31, "v1", "admin", "a%2Fb", "%27"):
        status, answer = api.create(name.replace(" ", "%20"))
        assert status in (400, 404) and set(answer) == {"error"}, (name, answer)
    assert api.create("other", dump_url="file:///etc/passwd")[0] == 501
    assert api.ask("GET", "/v1/namespaces/other/config")[0] == 404
    assert api.ask("POST", "/v1/namespaces/acme/fork/other")[0] == 501
    for body in (None, b"", b"null", b"[]", b"{", b'{"block_reads":"x","block_writes":false}', b'{"block_reads":true}'):
        status, answer = api.ask("POST", "/v1/namespaces/acme/config", body)
        assert status == 400 and set(answer) == {"error"}, (body, answer)
    for path in ("config", "stats"):
        assert api.ask("GET", f"/v1/namespaces/none/{path}") == (404, {"error": "Namespace `none` doesn't exist"})
    assert api.config("none")[0] == 404


def test_blocks_hold_at_once_for_every_dialect(place):
    place.api.create("acme")
    made = database(place)
    made.query("CREATE TABLE t(a)").ok()

    def hrana(*requests):
        return made.api.post("/acme/default/v2/pipeline", {"requests": [*requests, CLOSE]}).value["results"]

    assert place.api.config("acme", block_writes=True, block_reason="the plan's limit is reached") == (200, "")
    answer = made.query("INSERT INTO t VALUES (1)")
    assert answer.status == 403 and answer.value["code"] == "blocked", answer
    assert answer.value["error"] == "Operation was blocked: the plan's limit is reached"
    assert made.batch(["SELECT 1", "CREATE TABLE u(a)"], transaction=True).status == 403
    assert made.rows("SELECT count(*) FROM t") == [[0]]
    error = hrana(execute("INSERT INTO t VALUES (1)"))[0]["error"]
    assert error == {"code": "BLOCKED", "message": "Operation was blocked: the plan's limit is reached"}
    step = hrana(batch("SELECT 1", "DELETE FROM t"))[0]["response"]["result"]["step_errors"]
    assert step[0] is None and step[1]["code"] == "BLOCKED"
    assert made.api.post("/acme/default/v1/execute", {"stmt": {"sql": "DELETE FROM t"}}).status == 403
    assert place.api.config("acme")[0] == 200
    begun = made.api.post("/acme/default/v2/pipeline", {"requests": [execute("BEGIN"), execute("INSERT INTO t VALUES (0)")]})
    assert place.api.config("acme", block_writes=True)[0] == 200
    # The transaction that is open may end, and write nothing more.
    answer = made.api.post("/acme/default/v2/pipeline", {"baton": begun.value["baton"], "requests": [
        execute("INSERT INTO t VALUES (2)"), execute("SELECT 1"), execute("COMMIT"), CLOSE]})
    assert [r["type"] for r in answer.value["results"]] == ["error", "ok", "ok", "ok"], answer

    assert place.api.config("acme", block_reads=True)[0] == 200
    for answer in (made.query("SELECT 1"), made.query("SELECT count(*) FROM t"), made.query("DELETE FROM t"),
                   made.get("tables"), made.get("schema"), made.get("describe")):
        assert answer.status == 403 and answer.value["code"] == "blocked", answer
        assert "limit" not in answer.value["error"]  # the reason was replaced by none
    assert hrana({"type": "describe", "sql": "SELECT * FROM t"})[0]["error"]["code"] == "BLOCKED"
    assert hrana(execute("BEGIN"))[0]["error"]["code"] == "BLOCKED"

    assert place.api.config("acme")[0] == 200
    assert made.rows("SELECT count(*) FROM t") == [[1]]
    made.query("INSERT INTO t VALUES (3)").ok()


def test_blocks_by_the_patch_route_are_an_operators(place):
    place.api.create("acme")
    made = database(place)
    made.api.patch("/v1/databases/default", {"blockWrites": True}).refused(403, "role_forbids")
    headers = {"X-Rookery-Tenant": "acme"}
    shown = place.admin.api.patch("/v1/databases/default", {"blockWrites": True, "blockReason": "moving"},
                                  headers=headers).ok()
    assert shown["settings"]["blockWrites"] is True and shown["settings"]["blockReason"] == "moving"
    assert made.query("CREATE TABLE t(a)").value["error"] == "Operation was blocked: moving"
    made.api.patch("/v1/databases/default", {"blockWrites": False}).refused(403, "role_forbids")
    place.admin.api.patch("/v1/databases/default", {"blockWrites": None, "blockReason": None}, headers=headers).ok()
    made.query("CREATE TABLE t(a)").ok()


def test_blocks_outlive_a_restart(place):
    place.api.create("acme", block_writes=True, block_reason="still")
    place.server.restart()
    answer = database(place).query("CREATE TABLE t(a)")
    assert answer.status == 403 and answer.value["error"].endswith("still"), answer


def test_a_transaction_gives_way_when_its_database_says(start_server):
    server = start_server("--listen-admin", "127.0.0.1:0", "--stream-idle", "60s", "--transaction-steal", "100ms",
                          "--lock-wait", "2s")
    place = types.SimpleNamespace(server=server, admin=Admin(server), api=AdminApi(server, server.operator_token))
    for name, own in (("brief", {}), ("long", {"txn_timeout_s": 60})):
        place.api.create(name, **own)
        made = database(place, name)
        made.query("CREATE TABLE t(a)").ok()
        begun = Stream(made)
        begun.run(execute("BEGIN"), execute("INSERT INTO t VALUES (1)"))
        waits = made.query("INSERT INTO t VALUES (2)")
        answer = begun.send(execute("COMMIT"), CLOSE)
        if own:
            assert waits.status == 503 and answer.value["results"][0]["type"] == "ok", (waits, answer)
        else:
            error = answer.value["results"][0]["error"] if answer.status == 200 else answer.value
            assert waits.status == 200 and error["code"] == "TRANSACTION_TIMEOUT", (waits, answer)
        assert made.rows("SELECT a FROM t") == [[1 if own else 2]]


def test_stats(place):
    place.api.create("acme")
    made = database(place)
    made.query("CREATE TABLE t(a)").ok()
    made.query("INSERT INTO t VALUES (1), (2), (3)").ok()
    made.rows("SELECT * FROM t")
    status, stats = place.api.ask("GET", "/v1/namespaces/acme/stats")
    assert status == 200
    assert stats["rows_written_count"] >= 3 and stats["rows_read_count"] >= 3 and stats["query_count"] == 3, stats
    assert stats["storage_bytes_used"] >= 8192 and stats["top_queries"] == [] and stats["slowest_queries"] == []


def test_an_operators_token_is_asked_for(place):
    api = place.api
    place.admin.tenant("acme").database("default")
    owner = place.admin.api.post("/v1/admin/tenants/acme/tokens", {"name": "x", "role": "owner"}).ok()["token"]
    asked = [("POST", "/v1/namespaces/x/create", {}), ("DELETE", "/v1/namespaces/acme", None),
             ("POST", "/v1/namespaces/acme/fork/b", {}), ("GET", "/v1/namespaces/acme/config", None),
             ("POST", "/v1/namespaces/acme/config", {"block_reads": True, "block_writes": True}),
             ("GET", "/v1/namespaces/acme/stats", None), ("GET", "/metrics", None)]
    for method, path, body in asked:
        assert AdminApi(place.server).ask(method, path, body)[0] == 401, path
        assert AdminApi(place.server, "psql_live_" + "x" * 43).ask(method, path, body)[0] == 401, path
        assert AdminApi(place.server, Key().token()).ask(method, path, body)[0] == 401, path
        status, answer = AdminApi(place.server, owner).ask(method, path, body)
        assert status == 403 and set(answer) == {"error"}, path
    assert AdminApi(place.server).ask("GET", "/health") == (200, "")
    # sqld's admin key travels as Basic.
    basic = AdminApi(place.server)
    assert basic.ask("GET", "/v1/namespaces/acme/config", Authorization=f"Basic {place.server.operator_token}")[0] == 200
    assert "rookery_connections" in api.ask("GET", "/metrics")[1]


def test_routes_are_on_their_listener_only(place):
    place.admin.tenant("acme").database("default")
    for method, path in (("POST", "/v1/namespaces/b/create"), ("DELETE", "/v1/namespaces/acme"),
                         ("GET", "/v1/namespaces/acme/config"), ("GET", "/v1/namespaces/acme/stats")):
        assert place.admin.api.request(method, path, {} if method == "POST" else None).status == 404, path
    for method, path in (("GET", "/healthz"), ("GET", "/version"), ("GET", "/"), ("GET", "/openapi.json"),
                         ("GET", "/v1/admin/tenants"), ("GET", "/v1/databases"), ("GET", "/v2"), ("OPTIONS", "/metrics"),
                         ("POST", "/v1/db/acme/default/query"), ("POST", "/acme/default/v2/pipeline"),
                         ("POST", "/v1/namespaces/acme/nothing"), ("POST", "/v1/namespaces")):
        status, answer = place.api.ask(method, path, {} if method == "POST" else None)
        assert status in (404, 405) and set(answer) == {"error"}, (path, answer)
    status, answer = place.api.ask("PUT", "/v1/namespaces/acme/config", {})
    assert status == 405 and set(answer) == {"error"}
    connection = Connection(place.api.at)
    assert connection.send("GET /health HTTP/1.1\r\nHost: x\r\nbad\r\n\r\n").receive().status == 400
    connection.close()


def test_open_listeners_take_no_token_and_no_pages(start_server, tmp_path):
    server = start_server("--listen-admin", f"unix:{tmp_path}/admin", "--admin-open")
    api = AdminApi(server)
    assert api.create("acme") == (200, "")
    assert api.ask("GET", "/v1/namespaces/acme/stats")[0] == 200
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "same-origin"},
                    {"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example:8081"}, {"Host": "abc.de"}):
        for method, path in (("GET", "/v1/namespaces/acme/config"), ("DELETE", "/v1/namespaces/acme")):
            status, answer = api.ask(method, path, **headers)
            assert status == 403 and set(answer) == {"error"}, headers
    for host in ("localhost:8081", "127.0.0.1:8081", "[::1]:8081"):
        assert api.ask("GET", "/v1/namespaces/acme/config", Host=host)[0] == 200, host
    # The others still ask.
    assert Api(server, None).get("/v1/admin/tenants").status == 401


@pytest.mark.parametrize("address", ["0.0.0.0:0", "*:0", "[::]:0", "192.0.2.1:80"])
def test_an_open_listener_is_this_machines_own(start_server, address):
    server = start_server("--listen-admin", address, "--admin-open", start=False)
    with pytest.raises(AssertionError, match="exit status 2"):
        server.start()


def test_the_socket_file_goes_with_the_server(start_server, tmp_path):
    server = start_server("--listen-admin", f"unix:{tmp_path}/admin")
    assert (tmp_path / "admin").exists()
    server.stop()
    assert not (tmp_path / "admin").exists()
