"""What a refusal tells the person who reads it: the limit, the way out, the names that are known."""

import pytest
from api import Admin, Connection
from test_metrics import scrape
from test_streaming import ENDLESS, in_flight, request, wait_until


# -- settings that do not exist -----------------------------------------------------------------------


@pytest.mark.parametrize("body", [{"maxBites": 5_000_000}, {"settings": {"maxBites": 5_000_000}},
                                  {"durability": "relaxed", "maxBites": 5_000_000}])
def test_a_setting_that_is_unknown_changes_nothing(database, body):
    path = "/v1/databases/" + database.slug
    before = database.api.get(path).ok()
    answer = database.api.patch(path, body).refused(400, "bad_request")
    assert "'maxBites'" in answer["error"] and "maxBytes" in answer["error"]
    after = database.api.get(path).ok()
    assert (after["settings"], after["updatedAt"]) == (before["settings"], before["updatedAt"])


@pytest.mark.parametrize("body", [{"maxDatabase": 5}, {"settings": {"maxDatabase": 5}}])
def test_a_tenants_setting_that_is_unknown_changes_nothing(admin, tenant, body):
    answer = admin.api.patch("/v1/admin/tenants/" + tenant.slug, body).refused(400, "bad_request")
    assert "'maxDatabase'" in answer["error"] and "maxDatabases" in answer["error"]


def test_creating_takes_members_it_does_not_know(tenant):
    """Clients of other versions send more than we read; only in `settings` is a mistake plain."""
    tenant.owner.post("/v1/databases", {"slug": "more", "region": "eu", "hue": 3}).ok()
    tenant.owner.post("/v1/databases", {"slug": "none", "settings": {"hue": 3}}).refused(400, "bad_request")
    tenant.owner.get("/v1/databases/none").refused(404)


def test_all_that_an_answer_shows_can_be_sent_back(database):
    """Read, change a member, send: what cannot be changed is left as it is."""
    path = "/v1/databases/" + database.slug
    shown = database.api.get(path).ok()
    database.api.patch(path, {**shown, "name": "Another"}).ok()
    assert database.api.get(path).ok()["name"] == "Another"


def test_all_that_a_tenants_answer_shows_can_be_sent_back(admin, tenant):
    path = "/v1/admin/tenants/" + tenant.slug
    shown = admin.api.get(path).ok()
    admin.api.patch(path, {**shown, "name": "Another"}).ok()
    assert admin.api.get(path).ok()["name"] == "Another"


# -- renaming -----------------------------------------------------------------------------------------


def test_a_name_that_was_the_slug_follows_it(tenant):
    tenant.owner.post("/v1/databases", {"slug": "old"}).ok()
    renamed = tenant.owner.patch("/v1/databases/old", {"slug": "new"}).ok()
    assert (renamed["slug"], renamed["name"]) == ("new", "new")
    tenant.owner.patch("/v1/databases/new", {"name": "The New One"}).ok()
    renamed = tenant.owner.patch("/v1/databases/new", {"slug": "newer"}).ok()
    assert (renamed["slug"], renamed["name"]) == ("newer", "The New One")


# -- limits are named ---------------------------------------------------------------------------------


def test_413_names_the_limit_of_a_body(start_server):
    tenant = Admin(start_server("--max-body", "64k")).tenant()
    answer = tenant.owner.post("/v1/databases", {"slug": "x" * 70_000}).refused(413, "too_large")
    assert "65536 bytes" in answer["error"] and "--max-body" in answer["error"]


def test_413_names_the_limit_of_a_statement_and_of_a_value(start_server):
    database = Admin(start_server("--max-sql", "10k", "--max-value", "1m")).tenant().database()
    answer = database.query("SELECT 1 /*" + "x" * 11_000 + "*/").refused(413, "too_large")
    assert "10240 bytes" in answer["error"], answer
    for sql in ("SELECT randomblob(2000000)", "SELECT printf('%2000000d', 1)"):
        answer = database.query(sql).refused(413, "too_large")
        assert "1048576 bytes" in answer["error"], answer
    database.query("CREATE TABLE t (a)").ok()
    answer = database.query("INSERT INTO t VALUES (randomblob(2000000))").refused(413, "too_large")
    assert "1048576 bytes" in answer["error"], answer


# -- the way out --------------------------------------------------------------------------------------


def test_405_names_the_methods(database):
    path = f"/v1/db/{database.tenant}/{database.slug}/query"
    answer = database.api.get(path)
    assert "POST" in answer.refused(405, "method_not_allowed")["error"]
    assert answer.response.header("Allow") == "POST"


def test_411_says_what_to_send(database):
    with Connection(database.api.server) as connection:
        connection.send(f"POST /v1/db/{database.tenant}/{database.slug}/query HTTP/1.1\r\nHost: x\r\n"
                        f"Authorization: Bearer {database.api.token}\r\n\r\n")
        response = connection.receive("POST")
    assert response.status == 411 and "Content-Length" in response.value()["error"]


@pytest.mark.parametrize("sql", ["CREATE TABLE more (a)", "DROP TABLE t", "ALTER TABLE t ADD COLUMN b"])
def test_a_token_that_may_write_is_not_told_to_take_one_that_may(tenant, sql):
    database = tenant.database()
    database.query("CREATE TABLE t (a)").ok()
    detail = database.seen_by(tenant.api("readwrite")).query(sql).refused(403, "role_forbids")["errorDetail"]
    assert "owner" in detail["hint"] and "may write" not in detail["hint"]
    detail = database.seen_by(tenant.api("readonly")).query("DELETE FROM t").refused(403)["errorDetail"]
    assert "may write" in detail["hint"]


# -- counting -----------------------------------------------------------------------------------------


def test_a_client_that_left_is_not_the_servers_failure(start_server):
    server = start_server("--slow-request", "1ms")
    database = Admin(server).tenant().database()
    connection = Connection(server)
    connection.send(request(database, ENDLESS.replace("SELECT n, hex(zeroblob(500)) AS x", "SELECT count(*)")))
    wait_until(lambda: in_flight(server) == 1, 5, "it does not run")
    connection.reset()
    wait_until(lambda: in_flight(server) == 0, 5, server.log_tail)
    figures = scrape(server)
    label = 'rookery_http_requests_total{dialect="persql",route="query",status="%d"}'
    assert figures.get(label % 499) == 1 and label % 503 not in figures, figures
    assert [event["status"] for event in server.events("http.slow") if event["path"].endswith("/query")] == ["499"]
