"""rook db shell: scripts on standard input, and a person at a terminal."""

import json
import pathlib
import stat
import threading

import pytest
from terminal import Terminal


def shell(rook, script, *words, **kwargs):
    return rook("db", "shell", "acme/orders", *words, stdin=script, **kwargs)


def sent(fake, leaf="query"):
    return [request["body"] for request in fake.seen if request["path"].endswith("/" + leaf)]


# -- scripts --------------------------------------------------------------------------------------

def test_a_script_prints_its_results(rook, orders):
    result = shell(rook, "select 1 as x;\nselect 2\n as y\n;", "--csv")
    assert (result.status, result.out, result.err) == (0, "x\n1\ny\n2\n", "")


def test_each_statement_is_a_request(rook, fake, orders):
    shell(rook, "create table t (x); -- one; two\n/* three; */ insert into t values (';'); select 1")
    assert [body["sql"] for body in sent(fake)] == [
        "create table t (x);", "insert into t values (';');", "select 1"]


def test_a_trigger_is_one_statement(rook, orders):
    result = shell(rook, """
        create trigger tr after insert on people begin
            update people set score = case when new.score is null then 0 end where id = new.id;
            select 1;
        end;
        insert into people (id) values (9); select score from people where id = 9;""", "--csv")
    assert (result.status, result.out) == (0, "score\n0.0\n"), result


def test_the_first_error_ends_a_script(rook, fake, orders):
    result = shell(rook, "select 1 as x;\n\nselect\n  nmae\nfrom people;\nselect 2;", "--csv")
    assert (result.status, result.out) == (1, "x\n1\n")
    assert result.err.splitlines()[1:3] == ["  4 |   nmae", "    |   ^~~~"]
    assert len(sent(fake)) == 2


def test_keep_going(rook, orders):
    result = shell(rook, "select nmae;\nselect 2 as x;", "--csv", "--keep-going")
    assert (result.status, result.out) == (1, "x\n2\n")


def test_no_server_ends_a_script_even_with_keep_going(rook, orders):
    result = shell(rook, "select 1;\nselect 2;", "--keep-going", "--url", "http://127.0.0.1:1")
    assert result.status == 3 and result.err.count("cannot reach") == 1


def test_a_transaction_is_one_batch(rook, fake, orders):
    result = shell(rook, """begin;
        insert into people (id, name) values (4, 'Bo');
        select count(*) as n from people;
        commit;""", "--csv")
    assert (result.status, result.out) == (0, "n\n4\n")
    assert sent(fake, "batch")[0]["transaction"] is True
    assert [s["sql"] for s in sent(fake, "batch")[0]["statements"]] == [
        "insert into people (id, name) values (4, 'Bo');", "select count(*) as n from people;"]
    assert not sent(fake)


def test_a_failed_transaction_shows_the_guilty_statement(rook, orders):
    result = shell(rook, "begin;\ninsert into people (id) values (4);\nselect nmae;\ncommit;\nselect 1;")
    assert (result.status, result.out) == (1, "")
    assert "  3 | select nmae;" in result.err and "undone as a whole" in result.err
    assert orders.execute("select count(*) from people").fetchone() == (3,)


def test_rollback_sends_nothing(rook, fake, orders):
    assert shell(rook, "begin immediate; delete from people; rollback;").status == 0
    assert not fake.seen


@pytest.mark.parametrize("script, says", [
    ("commit;", "no transaction is open"),
    ("rollback;", "no transaction is open"),
    ("begin; begin;", "open already"),
    ("begin; delete from people;", "ends inside a transaction"),
    ("begin;" + "select 1;" * 101 + "commit;", "at most 100"),
    ("select 'abc;\n", "inside a string; the statement begins at line 1"),
    ("\n\nselect \"abc;\n", "inside a quoted name; the statement begins at line 3"),
    ("select 1; /* abc", "inside a comment"),
    ("create trigger t after insert on people begin select 1;", "inside a trigger"),
])
def test_what_cannot_be_sent_is_said(rook, fake, orders, script, says):
    result = shell(rook, script)
    assert result.status == 1 and says in result.err, result
    assert not sent(fake, "batch")


def test_an_empty_transaction_is_nothing(rook, fake, orders):
    assert shell(rook, "begin; commit;").status == 0 and not fake.seen


def test_windows_line_ends_and_a_byte_order_mark(rook, orders):
    result = shell(rook, "\ufeffselect 1 as x;\r\n.mode csv\r\nselect 2 as y;\r\n", "--csv")
    assert (result.status, result.out) == (0, "x\n1\ny\n2\n"), result


def test_dot_commands(rook, orders, tmp_path):
    orders.execute("create view v as select 1")
    assert shell(rook, ".tables").out == "people\nv\n"
    assert shell(rook, ".tables peo%").out == "people\n"
    assert "CREATE TABLE people" in shell(rook, ".schema people").out
    assert shell(rook, ".schema nothing").status == 1
    assert "orders" in shell(rook, ".databases").out
    assert shell(rook, ".mode jsonl\nselect 1 as x;").out == '{"x":1}\n'
    assert shell(rook, ".headers off\n.mode csv\nselect 1;").out == "1\n"
    assert "(nil)" in shell(rook, ".nullvalue (nil)\nselect null;").out
    assert " ms)" in shell(rook, ".timer on\nselect 1;").err
    assert "select 5" not in shell(rook, ".quit\nselect 5;").out
    assert ".tables" in shell(rook, ".help").out


def test_connect_shows_the_url_of_the_database(rook, fake, orders):
    result = shell(rook, ".connect\n.connect js")
    assert result.status == 0 and result.out.count(f"{fake.url}/acme/orders/") == 2, result
    assert f"ws{fake.url.removeprefix('http')}/acme/orders/" in result.out
    refused = shell(rook, ".connect cobol")
    assert refused.status != 0 and "no client 'cobol'" in refused.err


@pytest.mark.parametrize("line, says", [
    (".nothing", "unknown command"), (".open", "usage: .open DATABASE"), (".mode x", ".mode takes"),
    (".timer maybe", "on or off"), (".read /nowhere", "/nowhere"), (".open nowhere", "nowhere"),
    (".tables 'x", "quote"), (".output /nowhere/x", "/nowhere/x"), (".t", "unknown command"),
])
def test_wrong_dot_commands_end_a_script(rook, orders, line, says):
    result = shell(rook, line + "\nselect 5 as x;")
    assert result.status != 0 and says in result.err and "5" not in result.out


def test_output_and_read(rook, orders, tmp_path):
    (tmp_path / "in.sql").write_text("select 1 as x;\nselect 2 as x")
    result = shell(rook, f".mode csv\n.output {tmp_path}/out\n.read '{tmp_path}/in.sql'\n"
                         ".output\nselect 3 as y;")
    assert (result.status, result.out) == (0, "y\n3\n"), result
    assert (tmp_path / "out").read_text() == "x\n1\nx\n2\n"


def test_an_error_in_a_read_file_ends_the_script(rook, orders, tmp_path):
    (tmp_path / "in.sql").write_text("select nmae;")
    result = shell(rook, f".read {tmp_path}/in.sql\nselect 3 as y;")
    assert result.status == 1 and result.out == ""


def test_read_of_itself_ends(rook, orders, tmp_path):
    (tmp_path / "in.sql").write_text(f".read {tmp_path}/in.sql\n")
    result = shell(rook, f".read {tmp_path}/in.sql\n")
    assert result.status == 2 and "nested" in result.err


def test_open_goes_to_another_database(rook, fake, orders):
    fake.add("other")
    assert shell(rook, ".open other\nselect count(*) as n from people;").status == 1
    assert shell(rook, ".open acme/other\n.open orders\nselect count(*) as n from people;",
                 "--csv").out == "n\n3\n"


def test_import(rook, orders, tmp_path):
    path = tmp_path / "people.csv"
    path.write_text('id,name,photo,score\n10,"Zo, the\n2nd",,7.5\n11,"",,\n')
    result = shell(rook, f".import --skip 1 {path} people\n.mode jsonl\n"
                         "select id, name, photo, score from people where id > 9;")
    assert result.status == 0 and "2 rows imported" in result.err, result
    assert [json.loads(line) for line in result.out.splitlines()] == [
        {"id": 10, "name": "Zo, the\n2nd", "photo": None, "score": 7.5},
        {"id": 11, "name": "", "photo": None, "score": None}]


def test_import_makes_the_table_and_sends_parts(rook, fake, orders, tmp_path):
    path = tmp_path / "n.csv"
    path.write_text("a,b \"x\"\n" + "".join(f"{i},v{i}\n" for i in range(5000)))
    result = shell(rook, f".import {path} numbers\n.mode csv\nselect count(*), max(a+0) from numbers;")
    assert result.out.splitlines()[1] == "5000,4999", result
    assert len([b for b in sent(fake) if b["sql"].startswith("INSERT")]) == 3


@pytest.mark.parametrize("text, says", [
    ("1,2,3,4\n1,2\n", "line 2 has 2 fields, the table takes 4"),
    ('5,"x,3,4\n', "line 1: a quote is never closed"),
])
def test_a_csv_file_that_is_wrong_says_where(rook, orders, tmp_path, text, says):
    (tmp_path / "x.csv").write_text(text)
    result = shell(rook, f".import {tmp_path}/x.csv people")
    assert result.status == 5 and says in result.err
    assert orders.execute("select count(*) from people").fetchone() == (3,)


def test_a_long_statement_over_many_lines(rook, orders):
    rows = ",\n".join(f"({i}, 'name {i}')" for i in range(100, 3100))
    result = shell(rook, f"insert into people (id, name) values\n{rows};\nselect count(*) as n from people;",
                   "--csv")
    assert result.out == "n\n3003\n"


# -- at a terminal --------------------------------------------------------------------------------

@pytest.fixture
def terminal(rook, orders):
    opened = []

    def start(*words, **kwargs):
        opened.append(Terminal(rook, "db", "shell", "acme/orders", *words, **kwargs))
        opened[-1].expect("acme/orders> ")
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_a_session(terminal, rook):
    t = terminal()
    t.type("select id,\n").expect(r"\.\.\.> ")
    t.type("name from people;\n").expect(" id │ name")
    assert "日本" in t.expect(r"\(3 rows, [0-9.]+ ms\)")
    t.type("update people set score = 1;\n").expect(r"\(3 rows changed, ")
    t.type("select nmae from people;\n").expect("error: no such column: nmae")
    t.expect(r" \^~~~")
    t.type("begin;\n").expect("Collecting statements")
    t.expect(r"orders\*> ")
    t.type("delete from people where id = 1;\n").expect(r"orders\*> ")
    t.type("commit;\n").expect(r"\(committed 1 statement, ")
    t.type("select count(*) from people;\n").expect(r"        2\n")
    t.expect("acme/orders> ")
    t.key("d")
    assert t.wait() == 0
    history = pathlib.Path(rook.home) / ".local/state/rookery/history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "select\\040id,\\040name\\040from\\040people;" in history.read_text()


def test_history_comes_back(terminal):
    t = terminal()
    t.type("select 41 + 1 as answer;\n").expect("42")
    t.expect("acme/orders> ")
    t.key("d")
    t.wait()
    t = terminal()
    t.key("p").expect("select 41 [+] 1 as answer;")
    t.type("\n").expect("42")


def test_ctrl_c_drops_the_line_and_not_the_shell(terminal):
    t = terminal()
    t.type("select 1,\n").expect(r"\.\.\.> ")
    t.type("2 ").expect("2 ")
    t.key("c").expect(r"\^C")
    t.expect("acme/orders> ")
    t.type("select 7 * 6;\n").expect("42")
    t.key("c").expect("acme/orders> ")
    t.type(".quit\n")
    assert t.wait() == 0


def test_ctrl_c_stops_the_statement_and_not_the_shell(terminal, fake):
    t = terminal()
    fake.hold = threading.Event()
    before = len(fake.seen)
    t.type("select 1;\n")
    while len(fake.seen) == before:  # until the server has it
        assert t.process.poll() is None
    t.key("c").expect("interrupted")
    t.expect("acme/orders> ")
    fake.hold.set()
    t.type("select 7 * 6;\n").expect("42")


def test_tab_completes_names_and_keywords(terminal):
    t = terminal()
    t.type("sel\t").expect("select ")
    t.type("* from peo\t").expect("people ")
    t.type("where sco\t").expect("score ")
    t.type("= 1.5;\n").expect("Ann")
    t.type(".sch\t").expect(r"\.schema ")
    t.type("people\n").expect("CREATE TABLE people")


def test_a_row_too_wide_for_the_screen_is_shown_by_lines(terminal):
    t = terminal(columns=60)
    t.type("select 1 as a, hex(zeroblob(40)) as b;\n").expect(f"a = 1\nb = {'0' * 80}"[:20])
    t.type(".mode table\n").expect("orders> ")
    t.type("select 1 as a, 2 as b;\n").expect(" a │ b")


def test_an_error_in_a_read_file_does_not_end_the_session(terminal, tmp_path):
    (tmp_path / "in.sql").write_text("select 5 as five;\nselect nmae;\nselect 6 as six;")
    t = terminal()
    t.type(f".read {tmp_path}/in.sql\n").expect("five")
    t.expect("no such column: nmae")
    assert "six" not in t.expect("acme/orders> ")
    t.type("select 7 * 6;\n").expect("42")


def test_an_open_transaction_is_not_lost_in_silence(terminal):
    t = terminal()
    t.type("begin;\n").expect(r"\*> ")
    t.type("delete from people;\n").expect(r"\*> ")
    t.key("d").expect("dropped; nothing of it was sent")
    assert t.wait() == 0


def test_a_shell_on_an_unknown_database_ends_at_once(rook, orders):
    t = Terminal(rook, "db", "shell", "acme/nowhere")
    t.expect("no database 'nowhere'")
    assert t.wait() == 1
    t.close()


def test_the_token_is_asked_for_without_echo(bare, fake):
    from fake_server import OWNER
    t = Terminal(bare, "login", fake.url)
    t.expect(f"Token for {fake.url}: ")
    t.type(OWNER + "\n").expect("saved as profile")
    assert t.wait() == 0 and OWNER not in t.seen
    t.close()


def test_delete_wants_the_name_typed(rook, fake, orders):
    t = Terminal(rook, "db", "delete", "acme/orders")
    t.expect("Type orders to go on: ")
    t.type("yes\n").expect("nothing was done")
    assert t.wait() == 2 and "orders" in fake.databases
    t.close()
    t = Terminal(rook, "db", "delete", "acme/orders")
    t.expect("Type orders to go on: ")
    t.type("orders\n").expect("deleted acme/orders")
    assert t.wait() == 0 and "orders" not in fake.databases
    t.close()


def test_query_without_sql_at_a_terminal_names_the_shell(rook, orders):
    t = Terminal(rook, "query", "acme/orders")
    t.expect("rook db shell acme/orders")
    assert t.wait() == 2
    t.close()


def test_ctrl_c_ends_a_command(rook, fake, orders):
    fake.hold = threading.Event()
    t = Terminal(rook, "query", "acme/orders", "select 1")
    while not fake.seen:
        assert t.process.poll() is None
    t.key("c").expect("interrupted")
    assert t.wait() == 130
    t.close()
