"""db, token, tenant, stats: what is asked of the server, and what the user sees."""

import json

import pytest
from fake_server import OWNER


def last(fake, method):
    return [request for request in fake.seen if request["method"] == method][-1]


def test_create_and_list(rook, fake):
    rook.check("db", "create", "orders", "--name", "All orders", "--set", "durability=relaxed",
               "--set", "maxBytes=1000", "--set", "changes=false", "--set", "note=007")
    assert last(fake, "POST")["body"] == {
        "slug": "orders", "name": "All orders", "durability": "relaxed", "maxBytes": 1000,
        "changes": False, "note": "007"}
    rows = rook.check("db", "list").splitlines()
    assert rows[0].split() == ["DATABASE", "NAME", "STATUS", "CREATED", "EXPIRES"]
    assert rows[1].split()[:3] == ["orders", "orders", "live"]


def test_create_several_in_one_request(rook, fake):
    rook.check("db", "create", "a", "acme/b", "c")
    assert last(fake, "POST")["body"] == {"databases": [{"slug": "a"}, {"slug": "b"}, {"slug": "c"}]}


def test_create_twice(rook):
    rook.check("db", "create", "orders")
    result = rook("db", "create", "orders")
    assert result.status == 1 and "exists" in result.err
    assert "there already" in rook("db", "create", "orders", "--if-missing").err
    assert rook("db", "create", "orders", "--if-missing").status == 0


def test_lists_are_read_page_by_page(rook, fake):
    for i in range(2500):
        fake.databases[f"d{i:04}"] = None
    assert len(rook.check("db", "list", "--jsonl").splitlines()) == 2500
    assert len(json.loads(rook.check("db", "list", "--json", "--limit", "1500"))) == 1500
    assert len(rook.check("db", "list", "--csv", "--no-headers").splitlines()) == 2500


def test_an_empty_list(rook):
    result = rook("db", "list")
    assert (result.status, result.out) == (0, "") and "no databases" in result.err
    assert rook.check("db", "list", "--json") == "[]\n"


def test_show(rook, orders):
    text = rook.check("db", "show", "acme/orders")
    assert "Size:" in text and "1.5 KiB" in text and "durability: full" in text
    assert json.loads(rook.check("db", "show", "orders", "--json"))["usage"]["bytes"] == 1536


def test_a_setting_of_zero_bytes_is_the_servers_default(rook, fake, orders):
    fake.canned["GET /v1/databases/orders"] = (200, {"success": True, "data": {
        "slug": "orders", "settings": {"maxBytes": 0, "memoryBytes": 1048576}}})
    text = rook.check("db", "show", "orders")
    assert "maxBytes: server's default" in text and "memoryBytes: 1.0 MiB" in text, text
    assert json.loads(rook.check("db", "show", "orders", "--json"))["settings"]["maxBytes"] == 0


def test_rename(rook, fake, orders):
    rook.check("db", "rename", "orders", "sales")
    assert last(fake, "PATCH")["path"] == "/v1/databases/orders"
    rook.check("db", "rename", "sales", "acme/orders")
    assert last(fake, "PATCH")["body"] == {"slug": "orders"}
    assert rook("db", "rename", "orders", "other/orders").status == 2


def test_set(rook, fake, orders):
    rook.check("db", "set", "orders", "expiresAt=2027-01-01T00:00:00Z", "maxRows=5")
    assert last(fake, "PATCH")["body"] == {"expiresAt": "2027-01-01T00:00:00Z", "maxRows": 5}
    assert rook("db", "set", "orders", "nothing").status == 2


def test_delete_asks_and_restore_undoes(rook, fake, orders):
    result = rook("db", "delete", "orders")
    assert result.status == 2 and "--yes" in result.err and "orders" in fake.databases
    result = rook("db", "delete", "orders", "--yes")
    assert result.status == 0 and "rook db restore acme/orders" in result.err
    assert "orders" in rook.check("db", "list", "--deleted")
    rook.check("db", "restore", "orders")
    assert "orders" in fake.databases


@pytest.mark.parametrize("words", [
    ("db", "delete", "other/orders", "--yes"), ("db", "show", "other/orders"),
    ("db", "rename", "other/orders", "x"), ("db", "create", "other/x"),
    ("db", "list", "--tenant", "other"), ("token", "list", "--tenant", "other"),
])
def test_another_tenants_name_never_falls_back_to_ones_own(rook, fake, orders, words):
    """These routes have no tenant in their path: the client must not drop it."""
    result = rook(*words)
    assert result.status == 4 and "acme" in result.err
    assert [request["path"] for request in fake.seen] == ["/v1/me"]


def test_the_operator_names_the_tenant(operator, fake, orders):
    assert operator("db", "list").status == 2
    operator.check("db", "list", "--tenant", "acme")
    assert last(fake, "GET")["headers"]["X-Rookery-Tenant"] == "acme"
    operator.check("db", "show", "acme/orders")
    assert operator("db", "show", "acme/orders", "--tenant", "other").status == 2


def test_names_are_not_case_sensitive(rook, orders):
    rook.check("db", "show", "ACME/orders")


@pytest.mark.parametrize("tenant", ["a\r\nX-Evil: 1", "a b", "ü"])
def test_a_tenant_cannot_end_the_header(operator, fake, tenant):
    assert operator("db", "list", "--tenant", tenant).status == 2


def test_the_operators_profile_keeps_a_tenant(bare, fake, orders):
    from fake_server import OPERATOR
    bare.check("login", fake.url, "--tenant", "acme", stdin=OPERATOR)
    assert "orders" in bare.check("db", "list")


# -- tokens ---------------------------------------------------------------------------------------

def test_a_token_is_alone_on_stdout(rook, fake):
    result = rook("token", "create", "ci", "--role", "readonly", "--database", "orders*",
                  "--database", "x", "--branch", "pr-*", "--table", "people", "--claim", "user=7",
                  "--expires-in", "30d", "--rate", "10", "--burst", "20", "--prefix", "psql_test")
    assert (result.status, result.out) == (0, "psql_test_fresh\n") and "once" in result.err
    request = last(fake, "POST")
    assert request["path"] == "/v1/tokens"
    assert request["body"] == {
        "name": "ci", "role": "readonly", "databases": ["orders*", "x"], "branches": ["pr-*"],
        "tableScope": ["people"], "claims": {"user": 7}, "expiresIn": 30 * 86400,
        "rateLimit": {"perSecond": 10, "burst": 20}, "prefix": "psql_test"}


def test_a_token_by_the_operators_file(bare, fake, tmp_path):
    from fake_server import OPERATOR
    path = tmp_path / "operator.token"
    path.write_text(OPERATOR + "\n")
    path.chmod(0o600)
    words = ("token", "create", "first", "--url", fake.url, "--operator-file", str(path))
    assert bare(*words).status == 2
    out = bare.check(*words, "--tenant", "acme", "--role", "owner")
    assert out == "psql_live_fresh\n"
    assert last(fake, "POST")["path"] == "/v1/admin/tenants/acme/tokens"


@pytest.mark.parametrize("words", [
    ("--expires-in", "soon"), ("--expires-in", "0"), ("--expires-in", "5y"), ("--burst", "5"),
    ("--rate", "x"), ("--claim", "user"),
])
def test_wrong_token_options(rook, fake, words):
    assert rook("token", "create", "x", *words).status == 2
    assert not [request for request in fake.seen if request["method"] == "POST"]


def test_list_and_revoke_tokens(rook, fake):
    rook.check("token", "create", "ci")
    assert rook.check("token", "list").splitlines()[1].split() == ["tok_2", "ci", "readwrite"]
    rook.check("token", "revoke", "tok_2", "tok_3")
    assert last(fake, "DELETE")["path"] == "/v1/tokens/tok_3"


def test_the_list_shows_what_a_token_reaches(rook, fake):
    fake.canned["GET /v1/tokens?pageSize=1000"] = (200, {"success": True, "data": [
        {"id": "tok_1", "name": "report", "role": "readonly", "databases": ["orders"],
         "tableScope": ["orders", "items"], "createdAt": "2026-01-02T03:04:05.000Z", "expiresAt": None}]})
    head, line = rook.check("token", "list").splitlines()
    assert head.split() == ["ID", "NAME", "ROLE", "DATABASES", "TABLES", "CREATED", "EXPIRES"]
    assert line.split()[3:6] == ["orders", "orders,", "items"]


# -- tenants, stats -------------------------------------------------------------------------------

def test_a_deleted_tenant_can_be_brought_back(operator, fake):
    operator.check("tenant", "create", "globex")
    fake.canned["DELETE /v1/admin/tenants/globex"] = (200, {"success": True, "data": {
        "slug": "globex", "restorableUntil": "2026-01-02T03:04:05.000Z"}})
    result = operator("tenant", "delete", "globex", "--yes")
    assert result.status == 0 and "rook tenant restore globex" in result.err, result
    fake.canned["POST /v1/admin/tenants/globex/restore"] = (200, {"success": True, "data": {"slug": "globex"}})
    result = operator("tenant", "restore", "globex")
    assert result.status == 0 and "restored tenant globex" in result.err, result
    assert last(fake, "POST")["path"] == "/v1/admin/tenants/globex/restore"


def test_tenants(operator, fake):
    operator.check("tenant", "create", "globex", "--name", "Globex", "--external-id", "X7",
                   "--set", "maxDatabases=5", "--set", "createOnFirstUse=true")
    assert last(fake, "POST")["body"] == {
        "slug": "globex", "name": "Globex", "externalId": "X7", "maxDatabases": 5,
        "createOnFirstUse": True}
    assert operator("tenant", "create", "globex").status == 1
    operator.check("tenant", "create", "globex", "--if-missing")
    assert operator.check("tenant", "list", "--csv").splitlines()[1:] == [
        "acme,acme,,,", "globex,globex,,,"]
    operator.check("tenant", "set", "globex", "maxDatabases=6")
    assert last(fake, "PATCH")["body"] == {"maxDatabases": 6}
    assert "maxDatabases: 1000" in operator.check("tenant", "show", "globex")
    assert operator("tenant", "delete", "globex").status == 2
    operator.check("tenant", "delete", "globex", "--yes")
    assert fake.tenants == ["acme"]


def test_tenants_are_the_operators(rook):
    assert rook("tenant", "list").status == 4


def test_stats(operator, rook, orders):
    text = operator.check("stats")
    assert "uptimeSeconds: 1 d 1 h" in text and "memoryBytes: 1.5 KiB" in text
    assert "  open: 3" in text
    assert "Size:" in rook.check("stats", "orders")
    result = rook("stats")
    assert result.status == 4 and "rook stats DATABASE" in result.err


def test_names_are_encoded(rook, fake):
    rook("db", "show", "a b/../c")
    assert rook("db", "show", "acme/../x").status == 1
    assert last(fake, "GET")["path"] == "/v1/databases/..%2Fx"


def test_owner_token_never_printed(rook, fake, orders):
    for words in (("db", "list"), ("me",), ("db", "show", "orders"), ("stats",)):
        result = rook(*words)
        assert OWNER not in result.out + result.err
