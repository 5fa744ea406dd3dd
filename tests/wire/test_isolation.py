"""One tenant, token or role against what is not its own. Routes come from the server's own
/openapi.json, so that a new route is covered on the day it is added."""

import json
import re
import threading
import time

import pytest
from api import Api, Connection, Database
from server import PATIENCE

METHODS = ("get", "post", "put", "patch", "delete")
# Something that every route can make sense of; what a route does not know it ignores.
BODY = {"sql": "SELECT 1", "statements": ["SELECT 1"], "name": "x", "role": "owner", "tables": []}
PATCH_BODY = {"name": "x"}  # a PATCH refuses members it does not know before it looks for the name


def operations(server, wanted):
    """(method, path pattern) of every route whose pattern holds `wanted`."""
    document = Api(server, None).raw("GET", "/openapi.json").value()
    found = [(method.upper(), path) for path, item in document["paths"].items()
             for method in METHODS if method in item and wanted in path]
    assert found, f"no route with {wanted} in /openapi.json: this test covers nothing"
    return found


def all_operations(server):
    return [row for row in operations(server, "/") if not re.search(
        r"^/(healthz|readyz|version|metrics|openapi\.json|api/openapi\.json|)$", row[1])]


def fill(pattern, **values):
    values = {"tenant": "nobody", "database": "nothing", "slug": "nothing", "id": "nothing", "ref": "nothing",
              **values}
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], pattern)


def body_for(method):
    return {"GET": None, "PATCH": PATCH_BODY}.get(method, BODY)


def ask(api, method, path, headers=None):
    return api.request(method, path, body_for(method), headers)


def shape(answer, *names):
    """What a stranger can tell two answers apart by: all but the request's id and the asked name."""
    text = json.dumps({k: v for k, v in answer.value.items() if k != "requestId"}, sort_keys=True)
    for name in names:
        text = text.replace(name, "<name>")
    kept = [(k.lower(), v) for k, v in answer.response.headers
            if k.lower() not in ("x-request-id", "date", "content-length")]
    return answer.status, text, sorted(kept)


def state(tenant):
    """All that an owner can see of a tenant."""
    owner = tenant.owner
    return [owner.get("/v1/databases?pageSize=1000").value["data"],
            owner.get("/v1/databases?deleted=1").value["data"],
            sorted(token["id"] for token in owner.get("/v1/tokens").ok())]


# -- tenants ----------------------------------------------------------------------------------------


@pytest.fixture
def two(admin):
    """(mine, other, the other's database with a row)"""
    mine, other = admin.tenant(), admin.tenant()
    mine.database("main").query("CREATE TABLE t (a)").ok()
    database = other.database("main")
    database.query("CREATE TABLE secret (a)").ok()
    database.query("INSERT INTO secret VALUES ('hidden')").ok()
    return mine, other, database


def test_another_tenants_routes_are_closed_and_say_nothing(server, two):
    """403 on each, the same for a tenant and database that exist and for those that do not."""
    mine, other, database = two
    before = state(other)
    for method, pattern in operations(server, "{tenant}"):
        answers = [
            ask(mine.owner, method, fill(pattern, tenant=tenant, database=name, id=name))
            for tenant, name in ((other.slug, "main"), (other.slug, "none"), ("no-such", "main"))]
        for answer in answers:
            answer.refused(403, "namespace_mismatch")
            assert shape(answer) == shape(answers[0]), f"{method} {pattern} tells them apart"
    assert state(other) == before
    assert database.rows("SELECT a FROM secret") == [["hidden"]]


def test_naming_another_tenant_in_a_header_is_refused(server, two):
    mine, other, _ = two
    before = state(other)
    for method, pattern in all_operations(server):
        if "{tenant}" in pattern or "/admin/" in pattern:
            continue
        path = fill(pattern, slug="main", id="none")
        answers = [ask(mine.owner, method, path, {"X-Rookery-Tenant": name})
                   for name in (other.slug, "no-such")]
        for answer in answers:
            answer.refused(403, "namespace_mismatch")
        assert shape(answers[0]) == shape(answers[1]), f"{method} {pattern}"
    assert state(other) == before


def test_another_tenants_names_and_ids_are_unknown(server, admin):
    """Routes without a tenant act on the token's own: what others have is as absent as nothing."""
    mine, other = admin.tenant(), admin.tenant()
    other.database("theirs")
    theirs = {"slug": "theirs", "id": other.token("readonly")["id"]}
    before = state(other)
    for method, pattern in all_operations(server):
        if "{tenant}" in pattern or "/admin/" in pattern or "{" not in pattern:
            continue
        answers = [ask(mine.owner, method, fill(pattern, **names))
                   for names in (theirs, {"slug": "absent", "id": theirs["id"][:-4] + "zzzz"})]
        assert answers[0].status == 404, f"{method} {pattern}: {answers[0]}"
        names = ("theirs", "absent", theirs["id"], theirs["id"][:-4] + "zzzz")
        assert shape(answers[0], *names) == shape(answers[1], *names), f"{method} {pattern}"
    assert state(other) == before
    # Taken by another tenant is free for this one.
    mine.database("theirs").query("CREATE TABLE t (a)").ok()
    assert Database(other.owner, other.slug, "theirs").query("SELECT * FROM t").status == 400


@pytest.mark.parametrize("role", ["owner", "readwrite", "readonly"])
def test_the_operators_routes_are_closed_to_tenants(server, two, role):
    mine, other, _ = two
    api = mine.api(role)
    before = state(other)
    for method, pattern in operations(server, "/admin/"):
        answers = [ask(api, method, fill(pattern, slug=slug, tenant=slug, id="x"))
                   for slug in (other.slug, mine.slug, "no-such")]
        for answer in answers:
            answer.refused(403, "role_forbids")
            assert shape(answer) == shape(answers[0]), f"{method} {pattern} tells them apart"
    assert state(other) == before


@pytest.mark.parametrize("token", [
    None, "nonsense", "psql_live_", "psql_live_" + "A" * 43, "psql_live_" + "A" * 42,
    "psql_live_" + "A" * 5000, "' OR 1=1 --"])
def test_no_token_opens_nothing(server, two, token):
    mine, other, _ = two
    for method, pattern in all_operations(server):
        answers = [Api(server, None).request(
            method, fill(pattern, tenant=slug, database="main", slug=slug),
            body_for(method),
            None if token is None else {"Authorization": f"Bearer {token}"})
            for slug in (other.slug, "no-such")]
        for answer in answers:
            answer.refused(401)
        assert shape(answers[0]) == shape(answers[1]), f"{method} {pattern}"


def test_a_token_whose_tail_is_changed_is_none(server, two):
    token = two[0].owner.token
    for changed in (token[:-1] + ("A" if token[-1] != "A" else "B"), token + "A", token[:-1],
                    token.upper(), token + "\0"):
        with Connection(server) as connection:
            connection.send(f"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {changed}\r\n\r\n")
            assert connection.receive().status in (400, 401), changed


def test_a_tenants_host_serves_no_other(start_server):
    from api import Admin
    server = start_server("--base-domain", "db.example")
    admin = Admin(server)
    mine, other = admin.tenant("mine"), admin.tenant("other")
    mine.database("main"), other.database("main")
    for host, path in (("other.db.example", "/v1/databases"), ("main--other.db.example", "/v1/databases"),
                       ("other.db.example", "/v1/db/mine/main/tables"),
                       ("main--other.db.example", "/v1/db/mine/main/tables"),
                       ("mine.db.example", "/v1/db/other/main/tables"),
                       ("no-such.db.example", "/v1/databases")):
        answer = mine.owner.get(path, headers={"Host": host})
        answer.refused(403, "namespace_mismatch")
    assert mine.owner.get("/v1/databases", headers={"Host": "mine.db.example"}).status == 200


def test_a_database_gives_no_way_to_another(two):
    """Same SQL, same names, same cached statements: each tenant sees its own."""
    mine, _, database = two
    own = Database(mine.owner, mine.slug, "main")
    own.query("CREATE TABLE secret (a)").ok()
    own.query("INSERT INTO secret VALUES ('mine')").ok()
    for _ in range(20):
        assert own.rows("SELECT a FROM secret") == [["mine"]]
        assert database.rows("SELECT a FROM secret") == [["hidden"]]


# -- tokens for some databases ------------------------------------------------------------------------


@pytest.fixture
def shops(admin):
    tenant = admin.tenant()
    for slug in ("shop-a", "shop-b", "hr"):
        tenant.database(slug).query("CREATE TABLE t (a)").ok()
    return tenant


@pytest.mark.parametrize("role", ["owner", "readwrite", "readonly"])
def test_a_database_outside_the_limit_is_as_absent_as_nothing(server, shops, role):
    api = shops.api(role, databases=["shop-*"])
    before = state(shops)
    for method, pattern in all_operations(server):
        if "{database}" not in pattern and "/databases/{slug}" not in pattern:
            continue
        answers = [ask(api, method, fill(pattern, tenant=shops.slug, database=slug, slug=slug))
                   for slug in ("hr", "nothing")]
        assert answers[0].status in (403, 404), f"{method} {pattern}: {answers[0]}"
        assert shape(answers[0], "hr", "nothing") == shape(answers[1], "hr", "nothing"), \
            f"{method} {pattern}"
    assert state(shops) == before
    assert Database(api, shops.slug, "shop-a").query("SELECT * FROM t").status == 200


def test_a_limited_token_lists_and_names_only_its_own(shops):
    api = shops.api("owner", databases=["shop-*"])
    assert sorted(row["slug"] for row in api.get("/v1/databases").ok()) == ["shop-a", "shop-b"]
    first = api.get("/v1/databases?pageSize=1").value
    second = api.get(f"/v1/databases?pageSize=1&cursor={first['nextCursor']}").value
    assert [row["slug"] for row in first["data"] + second["data"]] == ["shop-a", "shop-b"]
    assert second["nextCursor"] is None, "a cursor to what cannot be seen"
    shops.owner.delete("/v1/databases/hr").ok()
    assert api.get("/v1/databases?deleted=1").ok() == []
    assert "hr" not in api.get("/v1/me").response.body.decode()


def test_a_limited_owner_stays_inside_its_limit(shops):
    api = shops.api("owner", databases=["shop-*"])
    other = shops.token("readonly")
    before = state(shops)
    assert api.post("/v1/databases", {"slug": "hr2"}).status == 403
    assert api.post("/v1/databases", {"databases": [{"slug": "shop-z"}, {"slug": "hr3"}]}).status == 403
    assert api.patch("/v1/databases/shop-a", {"slug": "hr4"}).status == 403
    for more in ({}, {"databases": ["*"]}, {"databases": ["hr"]}, {"databases": ["shop-*"]}):
        assert api.post("/v1/tokens", {"name": "n", "role": "owner", **more}).status == 403, more
    assert api.delete(f"/v1/tokens/{other['id']}").status == 403
    assert api.get("/v1/tokens").status == 403
    assert state(shops) == before
    api.post("/v1/databases", {"slug": "shop-c"}).ok()


def test_a_renamed_database_leaves_and_enters_limits(shops):
    api = shops.api("readonly", databases=["shop-*"])
    shops.owner.patch("/v1/databases/shop-a", {"slug": "gone-a"}).ok()
    assert Database(api, shops.slug, "shop-a").query("SELECT 1").status == 404
    assert Database(api, shops.slug, "gone-a").query("SELECT 1").status == 404
    shops.owner.patch("/v1/databases/hr", {"slug": "shop-hr"}).ok()
    Database(api, shops.slug, "shop-hr").query("SELECT 1").ok()


# -- tokens for some tables ---------------------------------------------------------------------------


SCOPE_SCHEMA = """
    CREATE TABLE open (id INTEGER PRIMARY KEY, a);
    CREATE TABLE secret (id INTEGER PRIMARY KEY, a, tag);
    CREATE TABLE child (id INTEGER PRIMARY KEY, parent REFERENCES open(id));
    CREATE TABLE audit (a);
    CREATE INDEX secret_by_a ON secret (a);
    CREATE VIEW window AS SELECT a FROM secret WHERE tag = 'shared';
    CREATE VIEW constant AS SELECT 1 AS one;
    CREATE VIEW closed AS SELECT a FROM secret;
    CREATE TRIGGER noted AFTER INSERT ON open BEGIN INSERT INTO audit VALUES (new.a); END;
    CREATE VIRTUAL TABLE words USING fts5(body);
    CREATE VIRTUAL TABLE hidden_words USING fts5(body);
    INSERT INTO open VALUES (1, 'o');
    INSERT INTO secret VALUES (1, 'TOPSECRET', 'no'), (2, 'for all', 'shared');
    INSERT INTO words VALUES ('in the open');
    INSERT INTO hidden_words VALUES ('TOPSECRET');
"""


@pytest.fixture(scope="module")
def scoped(shared):
    """(database as its owner, as a readwrite token of open, window, child and words sees it)"""
    shared.get()
    tenant = shared.admin.tenant()
    database = tenant.database()
    lines = [line.strip() for line in SCOPE_SCHEMA.split("\n") if line.strip()]
    database.batch(lines, transaction=True).ok()
    api = tenant.api("readwrite", tables=["open", "window", "child", "words"])
    return database, database.seen_by(api)


@pytest.mark.parametrize("sql, rows", [
    ("SELECT a FROM open", [["o"]]),
    ("SELECT a FROM window", [["for all"]]),
    ("SELECT o.a, w.a FROM open o, window w", [["o", "for all"]]),
    ("WITH secret AS (SELECT 'mine' AS a) SELECT a FROM secret", [["mine"]]),
    ("WITH c(a) AS (SELECT a FROM open) SELECT a FROM c", [["o"]]),
    ("SELECT value FROM json_each('[1]')", [[1]]),
    ("SELECT body FROM words WHERE words MATCH 'open'", [["in the open"]]),
    ("SELECT 'secret' AS secret", [["secret"]]),
    ("SELECT name FROM pragma_table_info('open') ORDER BY cid", [["id"], ["a"]]),
])
def test_a_table_scope_allows(scoped, sql, rows):
    assert scoped[1].rows(sql) == rows


@pytest.mark.parametrize("sql", [
    "SELECT * FROM secret",
    "SELECT count(*) FROM secret",
    "SELECT 1 FROM secret",
    "SELECT rowid FROM main.secret",
    'SELECT a FROM "secret"',
    "SELECT a FROM [SECRET]",
    "SELECT a FROM `Secret`",
    "SELECT a FROM/**/secret--",
    "SELECT s.a FROM open o JOIN secret s ON s.id = o.id",
    "SELECT s.a FROM open o LEFT JOIN secret s USING (id)",
    "SELECT * FROM open NATURAL JOIN secret",
    "SELECT id FROM open JOIN secret USING (id)",
    "SELECT (SELECT a FROM secret LIMIT 1) FROM open",
    "SELECT a FROM open WHERE EXISTS (SELECT 1 FROM secret WHERE a LIKE 'TOP%')",
    "SELECT a FROM open WHERE a IN secret",
    "SELECT a FROM open WHERE id IN (SELECT id FROM secret)",
    "SELECT a FROM open UNION ALL SELECT a FROM secret",
    "SELECT a FROM (SELECT a FROM secret) AS open",
    "SELECT a FROM (SELECT a FROM secret) AS window",
    "WITH open AS (SELECT a FROM secret) SELECT a FROM open",
    "WITH window AS (SELECT a FROM secret) SELECT a FROM window",
    'WITH "window" AS MATERIALIZED (SELECT a FROM secret) SELECT a FROM "window"',
    "WITH window(a) AS NOT MATERIALIZED (SELECT a FROM secret) SELECT a FROM window",
    "WITH x AS (SELECT 1), window/**/AS/**/(SELECT a FROM secret) SELECT a FROM window",
    "WITH secret AS (SELECT a FROM main.secret) SELECT a FROM secret",
    "WITH RECURSIVE window(a) AS (SELECT a FROM secret UNION SELECT a FROM window) SELECT a FROM window",
    "WITH a AS (WITH window AS (SELECT * FROM secret) SELECT * FROM window) SELECT * FROM a",
    "SELECT a FROM closed",
    "SELECT window.a FROM window, closed",
    "SELECT 1 FROM open, closed",
    "SELECT 1 FROM open JOIN main.\"CLOSED\"",
    "WITH closed AS (SELECT 1) SELECT 1 FROM open, main.closed",
    "SELECT (SELECT count(*) FROM open, closed)",
    "SELECT 1 FROM open, constant",
    "SELECT a FROM open ORDER BY (SELECT a FROM secret LIMIT 1)",
    "SELECT a FROM open GROUP BY a HAVING (SELECT count(*) FROM secret) > 0",
    "SELECT sum(id) FILTER (WHERE (SELECT 1 FROM secret)) FROM open",
    "SELECT row_number() OVER (ORDER BY (SELECT a FROM secret)) FROM open",
    "VALUES ((SELECT a FROM secret LIMIT 1))",
    "SELECT value FROM json_each((SELECT json_group_array(a) FROM secret))",
    "SELECT * FROM secret INDEXED BY secret_by_a",
    "INSERT INTO secret (a) VALUES ('x')",
    "INSERT INTO open (a) SELECT a FROM secret",
    "INSERT INTO open (a) VALUES ((SELECT a FROM secret LIMIT 1)) RETURNING a",
    "INSERT INTO open VALUES (1, 'x') ON CONFLICT DO UPDATE SET a = (SELECT a FROM secret) RETURNING a",
    "INSERT INTO open (a) VALUES ('x') RETURNING (SELECT a FROM secret)",
    "REPLACE INTO secret VALUES (1, 'x', 'y')",
    "UPDATE secret SET a = 'x'",
    "UPDATE open SET a = (SELECT a FROM secret LIMIT 1)",
    "UPDATE open SET a = s.a FROM secret s RETURNING open.a",
    "DELETE FROM secret",
    "DELETE FROM open WHERE id IN (SELECT id FROM secret)",
    "INSERT INTO audit VALUES ('x')",
    "SELECT * FROM audit",
    "SELECT name, sql FROM sqlite_schema",
    "SELECT name, sql FROM sqlite_master",
    "SELECT name FROM main.sqlite_schema",
    "SELECT body FROM hidden_words",
    "SELECT * FROM hidden_words('TOPSECRET')",
    "SELECT block FROM words_data",
    "SELECT c0 FROM hidden_words_content",
    "SELECT * FROM pragma_table_info('secret')",
    "SELECT * FROM pragma_table_info WHERE arg = 'secret'",
    "SELECT p.name FROM (SELECT 'secret' AS t) x, pragma_table_info(x.t) p",
    "SELECT * FROM pragma_table_list",
    "SELECT * FROM pragma_index_info('secret_by_a')",
    "PRAGMA table_info(secret)",
    "PRAGMA table_xinfo('secret')",
    "PRAGMA table_list",
    "PRAGMA index_list(secret)",
    "PRAGMA foreign_key_list(secret)",
    "PRAGMA foreign_key_check",
    "PRAGMA integrity_check",
    "EXPLAIN SELECT a FROM secret",
    "EXPLAIN QUERY PLAN SELECT a FROM secret",
    "CREATE TABLE mine (a)",
    "CREATE VIEW v AS SELECT * FROM secret",
    "CREATE TRIGGER t AFTER INSERT ON open BEGIN DELETE FROM secret; END",
    "CREATE TEMP VIEW open AS SELECT * FROM secret",
    "ALTER TABLE secret RENAME TO open2",
    "DROP TABLE secret",
    "DROP VIEW window",
    "ANALYZE",
    "REINDEX secret",
])
def test_a_table_scope_refuses(scoped, sql):
    owner, limited = scoped
    before = [owner.rows(f"SELECT * FROM {table}") for table in ("open", "secret", "audit")]
    answer = limited.query(sql)
    assert answer.status == 403, answer
    answer.refused(403)
    assert "TOPSECRET" not in answer.response.body.decode()
    batch = limited.batch(["SELECT 1", sql], transaction=True)
    assert batch.status == 403 and "TOPSECRET" not in batch.response.body.decode(), batch
    assert [owner.rows(f"SELECT * FROM {table}") for table in ("open", "secret", "audit")] == before


def test_a_table_scope_holds_for_statements_the_owner_has_cached(scoped):
    owner, limited = scoped
    sql = "SELECT a FROM secret ORDER BY id"
    for _ in range(10):
        owner.query(sql).ok()
        limited.query(sql).refused(403, "table_scope")


def test_a_trigger_writes_what_its_tables_token_may_not(scoped):
    owner, limited = scoped
    limited.query("INSERT INTO open VALUES (99, 'from the token')").ok()
    assert owner.rows("SELECT a FROM audit ORDER BY rowid") == [["o"], ["from the token"]]
    owner.batch(["DELETE FROM audit WHERE a = 'from the token'", "DELETE FROM open WHERE id = 99"]).ok()


def test_a_view_that_changes_under_a_cached_statement(scoped):
    """Views are windows their owner opens; closing one works at once, for cached statements too."""
    owner, limited = scoped
    assert limited.rows("SELECT a FROM window") == [["for all"]]
    owner.batch(["DROP VIEW window", "CREATE TABLE window (a)"], transaction=True).ok()
    assert limited.rows("SELECT a FROM window") == []
    owner.batch(["DROP TABLE window", "CREATE VIEW window AS SELECT a FROM secret WHERE tag = 'shared'"],
                transaction=True).ok()
    assert limited.rows("SELECT a FROM window") == [["for all"]]


def test_introspection_stays_inside_a_table_scope(server, scoped):
    """No route tells of a table outside the scope: not its name, columns, rows or SQL."""
    _, limited = scoped
    for method, pattern in operations(server, "{database}"):
        if method not in ("GET", "POST"):
            continue
        for query in ("", "?q=secret", "?compact=1"):
            path = fill(pattern, tenant=limited.tenant, database=limited.slug) + query
            answer = ask(limited.api, method, path)
            text = answer.response.body.decode()
            if "q=" in query:
                text = text.replace('"secret"', "", 1) if '"query":"secret"' in text else text
            assert not re.search(r"secret|closed|constant|audit|tag|hidden_words", text), f"{method} {path}: {text}"
    for what in ("explain", "validate"):
        answer = limited.api.post(f"{limited.path}/{what}", {"sql": "SELECT tag FROM secret"})
        assert "tag" not in json.dumps(answer.value.get("data", "")) or answer.status == 403, answer


def test_a_table_scope_is_not_widened_by_minting(admin):
    tenant = admin.tenant()
    database = tenant.database()
    database.query("CREATE TABLE secret (a)").ok()
    api = tenant.api("owner", tables=["open"])
    for more in ({}, {"tables": ["open"]}, {"tables": ["secret"]}):
        assert api.post("/v1/tokens", {"name": "n", "role": "owner", **more}).status == 403, more
    seen = database.seen_by(api)
    for sql in ("CREATE TABLE open (a)", "DROP TABLE secret", "SELECT * FROM secret"):
        assert seen.query(sql).status == 403, sql


# -- roles ------------------------------------------------------------------------------------------


WRITES = [
    "INSERT INTO t VALUES (1)", "UPDATE t SET a = 2", "DELETE FROM t", "REPLACE INTO t VALUES (1)",
    "INSERT INTO t VALUES (1) RETURNING a", "WITH c AS (SELECT 1) INSERT INTO t SELECT * FROM c",
    "INSERT INTO v VALUES (1)", "INSERT INTO f VALUES ('x')", "DELETE FROM f",
    "INSERT INTO f(f) VALUES ('rebuild')", "PRAGMA user_version = 7", "PRAGMA application_id = 7",
]
DDL = [
    "CREATE TABLE u (a)", "CREATE INDEX i ON t (a)", "CREATE VIEW w AS SELECT 1", "DROP TABLE t",
    "ALTER TABLE t ADD COLUMN b", "ALTER TABLE t RENAME TO u", "ALTER TABLE t RENAME COLUMN a TO b",
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END", "DROP VIEW v", "ANALYZE", "REINDEX",
    "CREATE VIRTUAL TABLE x USING fts5(a)", "PRAGMA optimize", "CREATE TABLE u AS SELECT 1",
]


@pytest.fixture(scope="module")
def roles(shared):
    shared.get()
    tenant = shared.admin.tenant()
    database = tenant.database()
    database.batch(["CREATE TABLE t (a)", "INSERT INTO t VALUES ('kept')", "CREATE VIEW v AS SELECT a FROM t",
                    "CREATE TRIGGER tv INSTEAD OF INSERT ON v BEGIN INSERT INTO t VALUES (new.a); END",
                    "CREATE VIRTUAL TABLE f USING fts5(body)"], transaction=True).ok()
    return database, {role: database.seen_by(tenant.api(role)) for role in ("readonly", "readwrite")}


@pytest.mark.parametrize("role, sql", [("readonly", sql) for sql in WRITES + DDL] +
                         [("readwrite", sql) for sql in DDL])
def test_a_role_forbids(roles, role, sql):
    owner, seen = roles
    schema = owner.rows("SELECT sql FROM sqlite_schema")
    seen[role].query(sql).refused(403, "role_forbids")
    seen[role].batch([sql]).refused(403, "role_forbids")
    assert seen[role].batch(["SELECT 1", sql], transaction=True).status == 403
    assert seen[role].batch([sql, "SELECT 1"], continue_on_error=True).value["data"][0]["code"] == \
        "role_forbids"
    assert owner.rows("SELECT sql FROM sqlite_schema") == schema
    assert owner.rows("SELECT a FROM t") == [["kept"]]
    assert owner.rows("PRAGMA user_version") == [[0]]


def test_what_the_owner_has_cached_a_reader_may_still_not_run(roles):
    owner, seen = roles
    sql = "UPDATE t SET a = a"
    for _ in range(5):
        owner.query(sql).ok()
        seen["readonly"].query(sql).refused(403, "role_forbids")


def test_a_reader_reads(roles):
    _, seen = roles
    for sql in ("SELECT a FROM t", "SELECT a FROM v", "SELECT * FROM f WHERE f MATCH 'x'",
                "PRAGMA table_info(t)", "SELECT sql FROM sqlite_schema", "EXPLAIN DELETE FROM t"):
        seen["readonly"].query(sql).ok()


@pytest.mark.parametrize("role", ["readonly", "readwrite"])
def test_administration_needs_an_owner(server, roles, role):
    owner, seen = roles
    api, tenant = seen[role].api, seen[role].tenant
    for method, path in (("POST", "/v1/databases"), ("PATCH", "/v1/databases/main"),
                         ("DELETE", "/v1/databases/main"), ("DELETE", f"/v1/db/{tenant}/main"),
                         ("POST", "/v1/databases/main/restore"), ("POST", "/v1/tokens"),
                         ("GET", "/v1/tokens"), ("DELETE", "/v1/tokens/x"),
                         ("POST", f"/api/namespaces/{tenant}/tokens"),
                         ("PUT", f"/v1/db/{tenant}/main/describe")):
        ask(api, method, path).refused(403, "role_forbids")
    owner.query("SELECT 1").ok()


def test_nobody_mints_more_than_they_have(admin):
    tenant = admin.tenant()
    for role in ("operator",):
        assert tenant.owner.post("/v1/tokens", {"name": "n", "role": role}).status in (400, 403)
    short = tenant.api("owner", expiresIn=1000)
    assert short.post("/v1/tokens", {"name": "n", "role": "owner", "expiresIn": 2000}).status == 403
    minted = short.post("/v1/tokens", {"name": "n", "role": "owner"}).ok()
    assert minted["expiresAt"] is not None, "a token that outlives the one that made it"


# -- the end of a token ----------------------------------------------------------------------------


def test_an_expired_token_is_refused_on_open_connections(server, admin):
    tenant = admin.tenant()
    database = tenant.database()
    token = tenant.token("owner", expiresIn=1)["token"]
    server.secrets.add(token)
    apis = [Api(server, token) for _ in range(4)]
    assert {api.get("/v1/me").status for api in apis} <= {200, 401}
    deadline = time.monotonic() + 10 * PATIENCE
    while apis[0].get("/v1/me").status != 401:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for api in apis:
        answer = api.get("/v1/me")
        answer.refused(401, "token_expired")
        assert "Bearer" in answer.response.header("WWW-Authenticate")
        database.seen_by(api).query("SELECT 1").refused(401)


@pytest.fixture
def many_loops(start_server):
    from api import Admin
    server = start_server("--loops", "4", "--workers", "2")
    return server, Admin(server)


def spread(server, token, count=24):
    """Connections over all loops, each of which has this token in its cache."""
    apis = [Api(server, token) for _ in range(count)]
    for api in apis:
        assert api.get("/v1/me").status == 200
    return apis


def test_a_revoked_token_is_refused_at_once_on_all_loops(many_loops):
    server, admin = many_loops
    tenant = admin.tenant()
    database = tenant.database()
    for _ in range(5):
        minted = tenant.token("owner")
        apis = spread(server, minted["token"])
        tenant.owner.delete(f"/v1/tokens/{minted['id']}").ok()
        for api in apis:
            api.get("/v1/me").refused(401, "invalid_token")
            database.seen_by(api).query("SELECT 1").refused(401)


def test_a_token_revoked_under_load_is_never_taken_afterwards(many_loops):
    """No request that began after the 200 of the revocation succeeds."""
    server, admin = many_loops
    tenant = admin.tenant()
    database = tenant.database()
    minted = tenant.token("readonly")
    apis = spread(server, minted["token"], 8)
    revoked, late = threading.Event(), []

    def use(api):
        while True:
            was_revoked = revoked.is_set()
            status = database.seen_by(api).query("SELECT 1").status
            if was_revoked:
                late.append(status)
                return
            assert status in (200, 401)

    threads = [threading.Thread(target=use, args=(api,)) for api in apis]
    for thread in threads:
        thread.start()
    tenant.owner.delete(f"/v1/tokens/{minted['id']}").ok()
    revoked.set()
    for thread in threads:
        thread.join()
    assert late == [401] * len(apis)


def test_a_deleted_tenant_is_closed_at_once_on_all_loops(many_loops):
    server, admin = many_loops
    tenant = admin.tenant()
    tenant.database()
    apis = spread(server, tenant.owner.token)
    admin.api.delete(f"/v1/admin/tenants/{tenant.slug}").ok()
    for api in apis:
        assert api.get("/v1/databases").status in (401, 404)
        assert Database(api, tenant.slug, "main").query("SELECT 1").status in (401, 404)


def test_a_deleted_or_renamed_database_is_gone_at_once_on_all_loops(many_loops):
    server, admin = many_loops
    tenant = admin.tenant()
    for slug in ("gone", "old"):
        tenant.database(slug).query("CREATE TABLE t (a)").ok()
    seen = [[Database(api, tenant.slug, slug) for slug in ("gone", "old", "new")]
            for api in spread(server, tenant.owner.token, 12)]
    for gone, old, _ in seen:
        gone.query("SELECT * FROM t").ok(), old.query("SELECT * FROM t").ok()
    tenant.owner.delete("/v1/databases/gone").ok()
    tenant.owner.patch("/v1/databases/old", {"slug": "new"}).ok()
    for gone, old, new in seen:
        gone.query("SELECT * FROM t").refused(404, "unknown_database")
        old.query("SELECT * FROM t").refused(404, "unknown_database")
        new.query("SELECT * FROM t").ok()
    tenant.owner.post("/v1/databases/gone/restore").ok()
    for gone, _, _ in seen:
        gone.query("SELECT * FROM t").ok()
