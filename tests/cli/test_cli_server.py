"""The client against the real server: that both mean the same by their words."""

import json
import threading

import pytest
from rook_runner import Rook
from terminal import Terminal


@pytest.fixture
def url(server):
    return f"http://{server.address}"


@pytest.fixture
def owner(tmp_path, url, tenant):
    return Rook(tmp_path, url, tenant.owner.token)


@pytest.fixture
def main(tenant, owner):
    """tenant/main, made by the client."""
    owner.check("db", "create", "main")
    return f"{tenant.slug}/main"


@pytest.fixture
def operator(tmp_path, server, url):
    rook = Rook(tmp_path, url)

    class Operator:
        def __call__(self, *words, **kwargs):
            return rook(*words, "--operator-file", str(server.data / "operator.token"), **kwargs)

        def check(self, *words, **kwargs):
            return rook.check(*words, "--operator-file", str(server.data / "operator.token"), **kwargs)

    return Operator()


def rows(rook, database, sql, *params):
    return json.loads(rook.check("query", database, sql, *params, "--json"))["rows"]


def test_login_and_me(tmp_path, url, tenant):
    rook = Rook(tmp_path / "home")
    assert tenant.slug in rook.check("login", url, stdin=tenant.owner.token)
    me = json.loads(rook.check("me", "--json"))
    assert me["namespaceSlug"] == tenant.slug
    assert rook("login", url, stdin="psql_live_" + "x" * 43).status == 4


def test_values_come_back_as_they_were(owner, main):
    owner.check("query", main, "create table t (i, r, t, b, n)")
    owner.check("query", main, "insert into t values (?, ?, ?, ?, ?)", "9007199254740993", "0.1",
                "grüße\n日本", "blob:00ff", "null")
    assert rows(owner, main, "select * from t") == [
        [9007199254740993, 0.1, "grüße\n日本", {"$blob": "AP8="}, None]]
    assert rows(owner, main, "select typeof(i), typeof(r), typeof(t), typeof(b), typeof(n) from t") == [
        ["integer", "real", "text", "blob", "null"]]
    assert rows(owner, main, "select -9223372036854775808, 9223372036854775807") == [
        [-9223372036854775808, 9223372036854775807]]
    assert owner.check("query", main, "select 1e999 as a, -1e999 as b", "--csv") == "a,b\nInf,-Inf\n"


@pytest.mark.parametrize("sql, params, want", [
    ("select :a, :b", (":a=1", ":b=x"), [[1, "x"]]),
    ("select @a, $b", ("@a=1", "$b=x"), [[1, "x"]]),
    ("select ?2, ?1", ("1", "2"), [[2, 1]]),
    ("select ?", ("text:1",), [["1"]]),
    ("select typeof(?)", ("real:1",), [["real"]]),
])
def test_parameters(owner, main, sql, params, want):
    assert rows(owner, main, sql, *params) == want


def test_a_write_says_what_it_did(owner, main):
    owner.check("query", main, "create table t (x)")
    assert owner("query", main, "insert into t values (1), (2)").err == "2 rows changed\n"
    assert rows(owner, main, "insert into t values (3) returning x") == [[3]]


@pytest.mark.parametrize("sql, line, place", [
    ("select a,\n  nmae, b from t", "  2 |   nmae, b from t", "    |   ^~~~"),
    ("selct 1", "  1 | selct 1", "    | ^~~~~"),
    ("select '日本', nmae from t", "  1 | select '日本', nmae from t", "    |                ^~~~"),
])
def test_an_sql_error_shows_its_place(owner, main, sql, line, place):
    owner.check("query", main, "create table t (a, b)")
    result = owner("query", main, sql)
    assert result.status == 1 and result.err.splitlines()[1:3] == [line, place], result


def test_a_constraint_names_itself(owner, main):
    owner.check("query", main, "create table t (x unique)")
    owner.check("query", main, "insert into t values (1)")
    result = owner("query", main, "insert into t values (1)")
    assert result.status == 1 and "t.x" in result.err and "hint:" in result.err


def test_several_statements_are_pointed_to_the_shell(owner, main):
    result = owner("query", main, "select 1; select 2")
    assert result.status == 1 and "rook db shell" in result.err
    result = owner("query", main, "begin")
    assert result.status == 1 and "rook db shell" in result.err


def test_databases_from_birth_to_restoring(owner, tenant):
    owner.check("db", "create", "a", "b", "c")
    assert owner("db", "create", "d", "a").status == 1
    listed = [row["slug"] for row in json.loads(owner.check("db", "list", "--json"))]
    assert sorted(listed) == ["a", "b", "c"]
    owner.check("db", "create", "a", "--if-missing")
    owner.check("query", "a", "create table t (x)")
    owner.check("db", "rename", "a", "z")
    assert owner("query", "a", "select * from t").status == 1
    assert rows(owner, "z", "select count(*) from t") == [[0]]
    owner.check("db", "delete", "z", "--yes")
    assert "z" not in owner.check("db", "list")
    assert "z" in owner.check("db", "list", "--deleted")
    owner.check("db", "restore", "z")
    assert rows(owner, "z", "select count(*) from t") == [[0]]
    shown = json.loads(owner.check("db", "show", "z", "--json"))
    assert shown["slug"] == "z" and "usage" in shown and "settings" in shown
    assert "Size:" in owner.check("db", "show", "z")
    assert "Size:" in owner.check("stats", f"{tenant.slug}/z")


def test_a_setting_is_kept(owner, main):
    owner.check("db", "set", main, "durability=relaxed")
    assert json.loads(owner.check("db", "show", main, "--json"))["settings"]["durability"] == "relaxed"
    assert owner("db", "set", main, "durability=nonsense").status == 1


def test_many_databases_are_listed_page_by_page(owner):
    names = [f"d{i}" for i in range(1001)]
    owner.check("db", "create", *names)
    listed = owner.check("db", "list", "--csv", "--no-headers").splitlines()
    assert sorted(line.split(",")[0] for line in listed) == sorted(names)


def test_tokens(owner, main, tmp_path, url):
    token = owner.check("token", "create", "reader", "--role", "readonly", "--expires-in", "1h").strip()
    reader = Rook(tmp_path, url, token)
    assert rows(reader, main, "select 1") == [[1]]
    assert reader("query", main, "create table t (x)").status in (1, 4)
    assert reader("token", "list").status == 4
    found = [row for row in json.loads(owner.check("token", "list", "--json")) if row["name"] == "reader"]
    assert len(found) == 1 and found[0]["role"] == "readonly" and token not in json.dumps(found)
    owner.check("token", "revoke", found[0]["id"])
    assert reader("query", main, "select 1").status == 4


def test_a_token_for_some_databases(owner, tmp_path, url):
    owner.check("db", "create", "open", "shut")
    token = owner.check("token", "create", "some", "--database", "open").strip()
    some = Rook(tmp_path, url, token)
    assert rows(some, "open", "select 1") == [[1]]
    assert some("query", "shut", "select 1").status in (1, 4)


def test_another_tenant_stays_shut(owner, admin):
    other = admin.tenant()
    other.database("secret")
    for words in (("query", f"{other.slug}/secret", "select 1"), ("db", "show", f"{other.slug}/secret"),
                  ("db", "delete", f"{other.slug}/secret", "--yes"), ("tenant", "list"), ("stats",)):
        assert owner(*words).status == 4, words


def test_the_operator(operator, url, tmp_path):
    operator.check("tenant", "create", "globex", "--name", "Globex Corporation")
    assert operator("tenant", "create", "globex").status == 1
    operator.check("tenant", "create", "globex", "--if-missing")
    assert "globex" in operator.check("tenant", "list")
    assert "Globex Corporation" in operator.check("tenant", "show", "globex")
    operator.check("tenant", "set", "globex", "maxDatabases=7")
    shown = json.loads(operator.check("tenant", "show", "globex", "--json"))
    assert shown["settings"]["maxDatabases"] == 7
    operator.check("db", "create", "globex/orders")
    assert "orders" in operator.check("db", "list", "--tenant", "globex")
    assert rows(operator, "globex/orders", "select 1") == [[1]]
    token = operator.check("token", "create", "--tenant", "globex", "--role", "owner").strip()
    assert Rook(tmp_path, url, token).check("db", "list", "--csv").splitlines()[1].startswith("orders")
    assert len(json.loads(operator.check("token", "list", "--tenant", "globex", "--json"))) == 1
    assert json.loads(operator.check("stats", "--json"))
    assert operator.check("stats")
    operator.check("tenant", "delete", "globex", "--yes")
    assert "globex" not in operator.check("tenant", "list", "--csv")


def test_a_script(owner, main):
    result = owner("db", "shell", main, "--csv", stdin="""
        create table people (id integer primary key, name text);
        create table log (what);
        create trigger t after insert on people begin
            insert into log values ('new: ' || new.name);
        end;
        begin;
        insert into people (name) values ('Ann');
        insert into people (name) values ('Bo');
        commit;
        select count(*) as n from log;
        begin; delete from people; rollback;
        select count(*) as n from people;
    """)
    assert (result.status, result.out) == (0, "n\n2\nn\n2\n"), result
    assert owner("db", "shell", main, stdin=".tables").out == "log\npeople\n"
    assert "CREATE TRIGGER t" in owner("db", "shell", main, stdin=".schema people").out


def test_a_failed_transaction_leaves_nothing(owner, main):
    result = owner("db", "shell", main, stdin="create table t (x);\nbegin;\n"
                   "insert into t values (1);\ninsert into nowhere values (1);\ncommit;\n")
    assert result.status == 1 and "  4 | insert into nowhere" in result.err
    assert rows(owner, main, "select count(*) from t") == [[0]]


def test_virtual_tables_hide_what_is_behind_them(owner, main):
    result = owner("db", "shell", main, stdin="create virtual table docs using fts5(body);\n"
                   "create table docs_mine (x);\n.tables\n.schema docs%\n")
    assert result.out.splitlines()[:2] == ["docs", "docs_mine"] and "docs_data" not in result.out


def test_import(owner, main, tmp_path):
    path = tmp_path / "n.csv"
    path.write_text("a,b\n" + "".join(f"{i},\"v {i}\"\n" for i in range(5000)))
    result = owner("db", "shell", main, "--csv", stdin=f".import {path} n\nselect count(*), max(b) from n;")
    assert (result.status, result.out.splitlines()[1]) == (0, "5000,v 999"), result


def test_a_large_result(owner, main):
    out = owner.check("query", main, "with recursive n(x) as (select 1 union all select x + 1 from n "
                      "limit 20000) select x, hex(zeroblob(20)) as z from n", "--csv")
    assert len(out.splitlines()) == 20001


def test_ctrl_c_stops_a_runaway_statement(owner, main, server):
    t = Terminal(owner, "db", "shell", main)
    t.expect("> ")
    t.type("with recursive n(x) as (select 1 union all select x + 1 from n) select max(x) from n;\n")
    t.expect("max\\(x\\) from n;\n")
    t.key("c").expect("interrupted")
    t.expect("> ")
    t.type("select 7 * 6;\n").expect("42")
    t.expect("> ")
    t.key("d")
    assert t.wait() == 0
    t.close()


def test_tab_completes_from_the_real_schema(owner, main):
    owner.check("query", main, "create table customers (surname)")
    t = Terminal(owner, "db", "shell", main)
    t.expect("> ")
    t.type("select surn\t").expect("surname ")
    t.type("from cust\t").expect("customers ")
    t.type(";\n").expect(r"0 rows")
    t.expect("> ")
    t.key("d")
    assert t.wait() == 0
    t.close()


def test_a_unix_socket(start_server, tmp_path):
    path = tmp_path / "sock"
    server = start_server(listen=[f"unix:{path}"])
    token = (server.data / "operator.token").read_text().strip()
    rook = Rook(tmp_path, f"unix:{path}", token)
    rook.check("tenant", "create", "acme")
    rook.check("db", "create", "acme/x")
    assert rows(rook, "acme/x", "select 1") == [[1]]


def test_many_clients_at_once(owner, main):
    owner.check("query", main, "create table t (x)")
    results = []
    threads = [threading.Thread(target=lambda i=i: results.append(
        owner("query", main, "insert into t values (?)", str(i)).status)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0] * 8 and rows(owner, main, "select count(*) from t") == [[8]]
