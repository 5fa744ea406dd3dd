"""One tenant, token or role against what is not its own, by Hrana's and sqld's routes. They come
from the server's own description, so that a new route is covered on the day it is added."""

import json

import pytest
from api import Admin, Api
from hrana import CLOSE, Stream, execute, stmt
from protobuf import encode

WRITE = "INSERT INTO secret VALUES('written')"
# Probes, and the WebSockets, whose token comes with their first message. What is left of a path without its slash says
# only that.
OPEN = {"/health", "/version", "/v1", "/v2", "/v3", "/v3-protobuf", "/", ""}


def operations(server):
    """(method, path pattern) of every route that takes a token."""
    document = Api(server, None).raw("GET", "/openapi.json?dialect=hrana").value()
    found = [(method.upper(), path) for path, item in document["paths"].items() for method, operation in item.items()
             if "security" not in operation]
    open_ = {path for path, item in document["paths"].items() for operation in item.values() if "security" in operation}
    open_ = {path.removeprefix("/{tenant}/{database}") for path in open_ if not path.startswith("/{tenant}/v")}
    assert open_ == OPEN, f"open without a token: {open_}"
    assert len(found) >= 18, found
    return found


def of_databases(server):
    return [row for row in operations(server) if "{database}" in row[1]]


def at_the_root(server):
    return [row for row in operations(server) if "{database}" not in row[1]]


def body_for(pattern, sql):
    if "v3-protobuf/cursor" in pattern:
        return encode("CursorReqBody", {"batch": {"steps": [{"stmt": {"sql": sql}}]}})
    if "v3-protobuf" in pattern:
        return encode("PipelineReqBody", {"requests": [{"execute": {"stmt": {"sql": sql}}}, {"close": {}}]})
    if pattern.endswith("v1/execute"):
        return {"stmt": stmt(sql)}
    if pattern.endswith(("v1/batch", "v3/cursor")):
        return {"batch": {"steps": [{"stmt": stmt(sql)}]}}
    if pattern.endswith("pipeline"):
        return {"requests": [execute(sql), CLOSE]}
    return {"statements": [sql]}


def ask(api, method, pattern, tenant="", database="", sql="SELECT * FROM secret", headers=None):
    path = pattern.replace("{tenant}", tenant).replace("{database}", database)
    response = api.raw(method, path, None if method == "GET" else body_for(pattern, sql), headers)
    assert b"hidden" not in response.body, f"{method} {pattern}"
    return response


def shape(response, *names):
    """What a stranger can tell two answers apart by: all but the request's id and the asked name."""
    text = response.body.decode()
    for name in names:
        text = text.replace(name, "<name>")
    return response.status, text, sorted((k.lower(), v) for k, v in response.headers
                                         if k.lower() not in ("x-request-id", "date", "content-length"))


@pytest.fixture
def two(admin):
    """(mine, other, the other's database with a row)"""
    mine, other = admin.tenant(), admin.tenant()
    mine.database("main").query("CREATE TABLE t (a)").ok()
    database = other.database("main")
    database.query("CREATE TABLE secret (a)").ok()
    database.query("INSERT INTO secret VALUES ('hidden')").ok()
    yield mine, other, database
    assert database.rows("SELECT a FROM secret") == [["hidden"]]


def test_another_tenants_databases_are_closed_and_say_nothing(server, two):
    mine, other, _ = two
    for method, pattern in of_databases(server):
        for sql in ("SELECT * FROM secret", WRITE):
            answers = [ask(mine.owner, method, pattern, tenant, database, sql) for tenant, database in
                       ((other.slug, "main"), (other.slug, "none"), ("no-such", "main"), (other.slug, "main@b"))]
            assert answers[0].status == 403, f"{method} {pattern}: {answers[0]}"
            assert len({str(shape(a)) for a in answers}) == 1, f"{method} {pattern} tells them apart"


def test_naming_another_tenant_in_a_header_is_refused(server, two):
    mine, other, _ = two
    for method, pattern in at_the_root(server):
        answers = [ask(mine.owner, method, pattern, headers={"X-Rookery-Tenant": name}) for name in (other.slug, "no-such")]
        assert answers[0].status == 403 and shape(answers[0]) == shape(answers[1]), f"{method} {pattern}"


@pytest.mark.parametrize("token", [None, "nonsense", "psql_live_" + "A" * 43, "None", ""])
def test_no_token_opens_nothing(server, two, token):
    _, other, _ = two
    headers = None if token is None else {"Authorization": f"Bearer {token}"}
    for method, pattern in operations(server):
        answers = [ask(Api(server, None), method, pattern, tenant, "main", headers=headers)
                   for tenant in (other.slug, "no-such")]
        assert answers[0].status == 401 and shape(answers[0]) == shape(answers[1]), f"{method} {pattern}"
        assert set(answers[0].value()) == {"message", "code", "error"}


def test_a_database_outside_the_limit_is_as_absent_as_nothing(server, two):
    _, other, _ = two
    other.database("shop")
    api = other.api("owner", databases=["shop*"])
    for method, pattern in of_databases(server):
        answers = [ask(api, method, pattern, other.slug, database) for database in ("main", "none")]
        assert answers[0].status == 404, f"{method} {pattern}: {answers[0]}"
        assert shape(answers[0], "main", "none") == shape(answers[1], "main", "none"), f"{method} {pattern}"
    for method, pattern in at_the_root(server):  # where it means the only one it reaches
        assert b"secret" not in ask(api, method, pattern, sql="SELECT name FROM sqlite_schema").body


def test_a_table_scope_holds_everywhere(server, two):
    _, other, database = two
    database.query("CREATE TABLE open (a)").ok()
    limited = other.api("owner", tables=["open"])
    for method, pattern in of_databases(server):
        if method == "GET":
            response = ask(limited, method, pattern, other.slug, "main")
            assert response.status == 403 and b"secret" not in response.body, pattern
            continue
        for sql in ("SELECT * FROM secret", "SELECT name FROM sqlite_schema", WRITE, "DROP TABLE secret",
                    "CREATE TABLE more(a)"):
            response = ask(limited, method, pattern, other.slug, "main", sql)
            assert response.status in (200, 403) and any(
                word in response.body for word in (b"SQLITE_AUTH", b"error")), f"{pattern} {sql}: {response}"
    assert database.rows("SELECT name FROM sqlite_schema ORDER BY name") == [["open"], ["secret"]]


def test_a_reader_writes_by_no_route(server, two):
    _, other, database = two
    api = other.api("readonly")
    for method, pattern in of_databases(server):
        for sql in (WRITE, "DROP TABLE secret", "CREATE TABLE more(a)", "PRAGMA user_version=3") if method == "POST" else ():
            response = ask(api, method, pattern, other.slug, "main", sql)
            assert response.status == 403, f"{pattern} {sql}: {response}"
    assert database.rows("SELECT name FROM sqlite_schema") == [["secret"]]


def test_batons_are_nobody_elses(two):
    """Another token of the tenant, another tenant, another of its databases: as unknown as any."""
    mine, other, database = two
    other.database("second")
    stream = Stream(database)
    stream.one(execute("BEGIN"))
    own = Stream(mine.database("own"))
    elsewhere = Stream(type(database)(database.api, other.slug, "second"))
    for asking, api in ((stream, other.api("owner")), (stream, other.api("readonly")), (own, mine.owner),
                        (elsewhere, database.api)):
        answers = [asking.send(execute("SELECT 1"), baton=baton, api=api) for baton in (stream.baton, "0" * 48)]
        assert {a.status for a in answers} == {400}
        assert json.dumps(answers[0].value) == json.dumps(answers[1].value)
    assert stream.query("SELECT 1") == [[1]]
    stream.close()


def test_a_tenants_host_serves_no_other(start_server):
    server = start_server("--base-domain", "db.example")
    admin = Admin(server)
    mine, other = admin.tenant("mine"), admin.tenant("other")
    mine.database("main"), other.database("main").query("CREATE TABLE secret (a)").ok()
    for method, pattern in at_the_root(server):
        for host in ("other.db.example", "main--other.db.example", "no-such.db.example", "main--no-such.db.example"):
            assert ask(mine.owner, method, pattern, headers={"Host": host}).status == 403, (pattern, host)
        assert ask(mine.owner, method, pattern, sql="SELECT 1", headers={"Host": "mine.db.example"}).status == 200, pattern
    for method, pattern in of_databases(server):
        response = ask(mine.owner, method, pattern, "mine", "main", headers={"Host": "main--other.db.example"})
        assert response.status == 403, pattern
