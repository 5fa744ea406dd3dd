"""rook query: parameters, formats, errors."""

import csv
import io
import json

import pytest
from fake_server import ok


def test_a_table_is_aligned_by_what_the_screen_shows(rook, orders):
    assert rook.check("query", "acme/orders", "select id, name, photo, score from people") == (
        " id | name   | photo   | score\n"
        "----+--------+---------+-------\n"
        "  1 | Ann    | x'00ff' |   1.5\n"
        "  2 | Jürgen | NULL    |   0.1\n"
        "  3 | 日本   | NULL    |  NULL\n")


def test_lines_are_drawn_where_the_locale_is_utf8(rook, orders):
    out = rook.check("query", "orders", "select 1 as a, 2 as b", env={"LC_ALL": "C.UTF-8"})
    assert out == " a │ b\n───┼───\n 1 │ 2\n"


def test_csv_reads_back(rook, orders):
    sql = """select 'a,b' as x, 'say "hi"' as y, 'two
lines' as z, null as n, '' as e, x'0aff' as b"""
    out = rook.check("query", "acme/orders", sql, "--csv")
    assert list(csv.reader(io.StringIO(out))) == [
        ["x", "y", "z", "n", "e", "b"], ["a,b", 'say "hi"', "two\nlines", "", "", "0aff"]]
    assert ',,"",' in out, "NULL and an empty text must differ"
    assert rook.check("query", "orders", "select 1", "--csv", "--no-headers") == "1\n"


def test_json_is_the_servers_data_with_all_digits(rook, orders):
    data = json.loads(rook.check(
        "query", "acme/orders",
        "select 9223372036854775807 as big, -9223372036854775808 as small, 0.1 as r, x'00' as b",
        "--json"))
    assert data["rows"] == [[9223372036854775807, -9223372036854775808, 0.1, {"$blob": "AA=="}]]
    assert data["columns"] == ["big", "small", "r", "b"]


def test_jsonl_has_one_object_per_row(rook, orders):
    out = rook.check("query", "acme/orders", "select id, name from people", "--jsonl")
    assert [json.loads(line) for line in out.splitlines()] == [
        {"id": 1, "name": "Ann"}, {"id": 2, "name": "Jürgen"}, {"id": 3, "name": "日本"}]


@pytest.mark.parametrize("fmt, want", [
    ("--json", '{"columns":["x","y"],"rows":[[1e999,-1e999]]}\n'),
    ("--csv", "x,y\nInf,-Inf\n"),
])
def test_infinities_pass_through(rook, fake, fmt, want):
    fake.canned["POST /v1/db/acme/orders/query"] = (
        200, b'{"success":true,"data":{"columns":["x","y"],"rows":[[1e999,-1e999]]}}')
    assert rook.check("query", "acme/orders", "select 1e999", fmt) == want


def test_text_cannot_drive_the_terminal(rook, orders):
    out = rook.check("query", "acme/orders",
                     "select 'a' || char(27) || '[2J' || char(10) || char(0x202e) as x")
    assert out == " x\n------------------\n a\\x1b[2J\\n\\u202e\n"


@pytest.mark.parametrize("typed, value", [
    ("null", None),
    ("42", 42),
    ("-7", -7),
    ("0", 0),
    ("9223372036854775807", 9223372036854775807),
    ("1.5", 1.5),
    ("-2e10", -2e10),
    ("007", "007"),
    ("+49", "+49"),
    ("1.", "1."),
    ("NULL", "NULL"),
    ("", ""),
    ("it's", "it's"),
    ("a=b", "a=b"),
    ("text:42", "42"),
    ("text:null", "null"),
    ("int:42", 42),
    ("real:1", 1.0),
    ("blob:0AfF", {"$blob": "Cv8="}),
    ("blob:", {"$blob": ""}),
    ('json:{"$blob":"AA=="}', {"$blob": "AA=="}),
])
def test_a_parameter_is_typed_by_how_it_looks(rook, fake, orders, typed, value):
    rook("query", "acme/orders", "select ?", typed)
    got = fake.seen[-1]["body"]["params"]
    assert got == [value] and type(got[0]) is type(value)


def test_files_are_parameters(rook, fake, orders, tmp_path):
    (tmp_path / "f").write_bytes(b"\x00\xff")
    (tmp_path / "t").write_text("grüße")
    rook.check("query", "acme/orders", "select ?, ?", f"file:{tmp_path}/f", f"textfile:{tmp_path}/t")
    assert fake.seen[-1]["body"]["params"] == [{"$blob": "AP8="}, "grüße"]


def test_named_parameters(rook, orders):
    out = rook.check("query", "acme/orders", "select :a as a, :b as b", ":a=1", ":b=text:2", "--jsonl")
    assert json.loads(out) == {"a": 1, "b": "2"}


def test_params_json(rook, orders, tmp_path):
    (tmp_path / "p.json").write_text('[9007199254740993]')
    for value in ("[9007199254740993]", f"@{tmp_path}/p.json"):
        out = rook.check("query", "acme/orders", "select ? as x", "--params-json", value, "--csv")
        assert out == "x\n9007199254740993\n"


@pytest.mark.parametrize("words, says", [
    (("select ?", "int:1x"), "not a 64-bit integer"),
    (("select ?", "int:9223372036854775808"), "not a 64-bit integer"),
    (("select ?", "real:x"), "not a real number"),
    (("select ?", "blob:abc"), "hexadecimal"),
    (("select ?", "file:/nowhere/x"), "/nowhere/x"),
    (("select ?", "json:{"), "json:"),
    (("select ?", ":a=1", "2"), "all named"),
    (("select ?", "--params-json", "1"), "array or an object"),
    (("select ?", "1", "--params-json", "[1]"), "twice"),
])
def test_a_bad_parameter_is_the_users_error(rook, fake, words, says):
    result = rook("query", "acme/orders", *words)
    assert result.status in (2, 5) and says in result.err and not fake.seen, result


def test_sql_comes_from_stdin_or_a_file(rook, orders, tmp_path):
    (tmp_path / "q.sql").write_text("select ? as x")
    assert rook.check("query", "orders", "--csv", stdin="select 5 as x") == "x\n5\n"
    assert rook.check("query", "orders", "-", "6", "--csv", stdin="select ? as x") == "x\n6\n"
    assert rook.check("query", "orders", "--file", f"{tmp_path}/q.sql", "7", "--csv") == "x\n7\n"


def test_a_write_says_what_it_did_on_stderr(rook, orders):
    result = rook("query", "acme/orders", "update people set score = 2")
    assert (result.status, result.out, result.err) == (0, "", "3 rows changed\n")
    result = rook("query", "acme/orders", "delete from people where id = 1", "--quiet")
    assert (result.out, result.err) == ("", "")


def test_an_sql_error_shows_its_place(rook, orders):
    result = rook("query", "acme/orders", "select id,\n\tnmae from people")
    assert (result.status, result.out) == (1, "")
    assert result.err == ("error: no such column: nmae\n"
                          "  2 |  nmae from people\n"
                          "    |  ^~~~\n"
                          "hint: did you mean eamn?\n")


def test_the_caret_counts_columns_not_bytes(rook, orders):
    result = rook("query", "acme/orders", "select '日本', 'ü', nmae from people")
    assert result.err.splitlines()[1:3] == ["  1 | select '日本', 'ü', nmae from people",
                                            "    | " + " " * 20 + "^~~~"]


def test_a_long_line_is_cut_around_the_place(rook, orders):
    sql = "select " + "1, " * 200 + "nmae" + ", 1" * 200 + " from people"
    line, caret = rook("query", "acme/orders", sql).err.splitlines()[1:3]
    assert len(line) <= 120 and line[caret.index("^"):].startswith("nmae")


def test_without_an_offset_what_is_quoted_is_found(rook, orders):
    result = rook("query", "acme/orders", "select * fro people")
    assert result.err.splitlines()[1:3] == ["  1 | select * fro people", "    |          ^~~"]


def test_errors_are_json_where_data_is(rook, orders):
    result = rook("query", "acme/orders", "select nmae", "--json")
    error = json.loads(result.err)
    assert (result.status, result.out, error["code"], error["status"]) == (1, "", "sql_error", 400)
    assert error["errorDetail"]["kind"] == "unknown_column"


def test_a_result_that_breaks_off_is_an_error(rook, fake):
    """Status 200 was sent before the statement failed; `success` at the end tells."""
    fake.canned["POST /v1/db/acme/orders/query"] = (200, {
        "data": {"columns": ["x"], "rows": [[1]]}, "success": False, "error": "out of time"})
    result = rook("query", "acme/orders", "select 1")
    assert (result.status, result.out) == (1, "") and "out of time" in result.err


def test_the_branch_is_part_of_the_path(rook, fake, orders):
    rook("query", "acme/orders@feat/x y", "select 1")
    assert fake.seen[-1]["path"] == "/v1/db/acme/orders@feat%2Fx%20y/query"


def test_wide_rows_stay_a_table_for_programs(rook, fake):
    fake.canned["POST /v1/db/acme/orders/query"] = (
        200, ok({"columns": ["x"], "rows": [["a" * 500]]}))
    assert len(rook.check("query", "acme/orders", "select 1").splitlines()) == 3
    assert rook.check("query", "acme/orders", "select 1", "--format", "line") == f"x = {'a' * 500}\n"


@pytest.mark.parametrize("words, stdin", [(("",), ""), ((), ""), (("-",), "")])
def test_no_sql_is_the_servers_to_refuse(rook, fake, orders, words, stdin):
    """An empty text is UTF-8, and the server says best that there is no statement in it."""
    result = rook("query", "orders", *words, stdin=stdin)
    assert fake.seen[-1]["body"]["sql"] == "" and "UTF-8" not in result.err, result
