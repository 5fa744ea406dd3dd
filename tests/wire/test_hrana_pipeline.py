"""Hrana's pipelines over HTTP: every request, conditions, batons, naming, errors."""

import json

import pytest
from api import Admin
from hrana import CLOSE, Stream, batch, decode, encode, execute, ok, step, stmt, transaction


@pytest.fixture
def stream(database):
    return Stream(database)


def rows(result):
    return [[decode(v) for v in row] for row in result["rows"]]


def test_execute_answers_columns_rows_and_effects(stream):
    assert stream.run(execute("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)"), CLOSE)[1] == {"type": "close"}
    assert stream.baton is None
    result = stream.one(execute("INSERT INTO t(name) VALUES(?)", "rook"))["result"]
    assert (result["affected_row_count"], result["last_insert_rowid"]) == (1, "1")
    assert result["cols"] == [] and result["rows"] == []
    assert result["rows_written"] >= 1 and result["rows_read"] >= 0 and result["query_duration_ms"] >= 0
    result = stream.one(execute("SELECT id, name, 1+1 AS two FROM t"))["result"]
    assert result["cols"] == [{"name": "id", "decltype": "INTEGER"}, {"name": "name", "decltype": "TEXT"},
                              {"name": "two", "decltype": None}]
    assert rows(result) == [[1, "rook", 2]]
    assert (result["affected_row_count"], result["last_insert_rowid"]) == (0, None)


def test_want_rows_false_gives_columns_only(stream):
    result = stream.one(execute("SELECT 1 AS a", want_rows=False))["result"]
    assert result["rows"] == [] and len(result["cols"]) == 1


@pytest.mark.parametrize("value", [None, 0, -1, 2**63 - 1, -2**63, 1.5, -0.0, 1e300, "", "text", "nul\0in", "漢字 😀",
                                   b"", b"\0\1\2\3", bytes(range(256))])
def test_values_come_back_as_they_went_in(stream, value):
    (got,), = stream.query("SELECT ?", value)
    assert got == value and type(got) is type(value)


def test_infinities_are_numbers(stream):
    result = stream.one(execute("SELECT 1e999, -1e999"))["result"]
    assert rows(result) == [[float("inf"), float("-inf")]]


def test_text_that_is_not_utf8_is_the_statements_error(stream):
    assert stream.fails(execute("SELECT CAST(x'ff' AS TEXT)")) == "SQLITE_MISMATCH"
    result = stream.one(batch("SELECT 1", "SELECT 2, CAST(x'ff' AS TEXT)", "SELECT 3"))["result"]
    assert [r is not None for r in result["step_results"]] == [True, False, True]
    assert result["step_errors"][1]["code"] == "SQLITE_MISMATCH"


def test_blobs_are_taken_with_and_without_padding(stream):
    for text in ("AQIDBA", "AQIDBA=="):
        request = {"type": "execute", "stmt": {"sql": "SELECT ?", "args": [{"type": "blob", "base64": text}]}}
        assert rows(stream.one(request)["result"]) == [[b"\1\2\3\4"]]


def test_arguments_by_position_and_name(stream):
    assert stream.query("SELECT ?2, ?1", 1, 2) == [[2, 1]]
    assert stream.query("SELECT :a, @b, $c", a=1, b=2, c=3) == [[1, 2, 3]]
    assert stream.query("SELECT :a, @a, $a", a=1) == [[1, 1, 1]]
    assert stream.query("SELECT :a", **{":a": 5}) == [[5]]


@pytest.mark.parametrize("request_, code", [
    (execute("SELECT ?"), "ARGS_INVALID"),
    (execute("SELECT ?", 1, 2), "ARGS_INVALID"),
    (execute("SELECT :a", b=1), "ARGS_INVALID"),
    ({"type": "execute", "stmt": {"sql": "SELECT ?, :a", "args": [encode(1)],
                                  "named_args": [{"name": "a", "value": encode(1)}]}},
     "ARGS_BOTH_POSITIONAL_AND_NAMED"),
    (execute("SELEC 1"), "SQL_PARSE_ERROR"),
    (execute("SELECT (1"), "SQL_PARSE_ERROR"),
    (execute(""), "SQL_NO_STATEMENT"),
    (execute("-- nothing"), "SQL_NO_STATEMENT"),
    (execute("SELECT 1; SELECT 2"), "SQL_MANY_STATEMENTS"),
    (execute("SELECT x"), "SQL_INPUT_ERROR"),
    (execute("SELECT * FROM nowhere"), "SQLITE_UNKNOWN"),
    (execute("COMMIT"), "SQLITE_UNKNOWN"),
    (execute("ATTACH 'x' AS y"), "SQL_PARSE_ERROR"),
    (execute("VACUUM"), "SQL_PARSE_ERROR"),
])
def test_error_codes(stream, request_, code):
    assert stream.fails(request_) == code


def test_constraints_have_their_primary_name(stream):
    stream.one(execute("CREATE TABLE t(id INTEGER PRIMARY KEY)"))
    stream.one(execute("INSERT INTO t VALUES(1)"))
    (error,) = stream.run(execute("INSERT INTO t VALUES(1)"))
    assert error == {"code": "SQLITE_CONSTRAINT", "message": "SQLite error: UNIQUE constraint failed: t.id"}


def test_comments_and_a_final_semicolon_are_fine(stream):
    assert stream.query("/* a */ SELECT 1; -- b\n") == [[1]]


def test_a_failed_request_does_not_stop_the_next(stream):
    first, second = stream.run(execute("SELECT * FROM nowhere"), execute("SELECT 2"))
    assert first["code"] == "SQLITE_UNKNOWN" and rows(second["result"]) == [[2]]


def test_batch_conditions(stream):
    true, false = {"type": "and", "conds": []}, {"type": "or", "conds": []}
    result = stream.one(batch(
        "SELECT 0", "SELECT * FROM nowhere",
        step("SELECT 2", ok(0)), step("SELECT 3", ok(1)),
        step("SELECT 4", {"type": "error", "step": 1}), step("SELECT 5", {"type": "error", "step": 0}),
        step("SELECT 6", {"type": "not", "cond": ok(1)}), step("SELECT 7", true), step("SELECT 8", false),
        step("SELECT 9", {"type": "and", "conds": [ok(0), ok(2)]}),
        step("SELECT 10", {"type": "and", "conds": [ok(0), ok(1)]}),
        step("SELECT 11", {"type": "or", "conds": [ok(1), ok(0)]}),
        step("SELECT 12", ok(3)), step("SELECT 13", {"type": "error", "step": 3}),
        step("SELECT 14", {"type": "is_autocommit"})))["result"]
    ran = [i for i, r in enumerate(result["step_results"]) if r is not None]
    assert ran == [0, 2, 4, 6, 7, 9, 11, 14]
    assert [i for i, e in enumerate(result["step_errors"]) if e is not None] == [1]
    for i in ran:
        assert rows(result["step_results"][i]) == [[i]]


def test_an_empty_batch(stream):
    assert stream.one(batch())["result"] == {"step_results": [], "step_errors": []}


def test_batch_as_a_transaction_commits_or_rolls_back(stream):
    stream.one(execute("CREATE TABLE t(id INTEGER PRIMARY KEY)"))
    result, _ = stream.run(transaction("INSERT INTO t VALUES(1)", "INSERT INTO t VALUES(2)"), CLOSE)
    assert [r is not None for r in result["result"]["step_results"]] == [True] * 4 + [False]
    result, _ = stream.run(transaction("INSERT INTO t VALUES(3)", "INSERT INTO t VALUES(1)", "INSERT INTO t VALUES(4)"),
                           CLOSE)
    assert [r is not None for r in result["result"]["step_results"]] == [True, True, False, False, False, True]
    assert result["result"]["step_errors"][2]["code"] == "SQLITE_CONSTRAINT"
    assert stream.query("SELECT id FROM t ORDER BY id") == [[1], [2]]


def test_batch_without_transaction_keeps_what_succeeded(stream):
    stream.one(execute("CREATE TABLE t(id INTEGER PRIMARY KEY)"))
    result = stream.one(batch("INSERT INTO t VALUES(1)", "INSERT INTO t VALUES(1)", "INSERT INTO t VALUES(2)"))
    assert result["result"]["step_errors"][1]["code"] == "SQLITE_CONSTRAINT"
    assert stream.query("SELECT count(*) FROM t") == [[2]]


MALFORMED = [("SELECT 1; SELECT 2", "SQL_MANY_STATEMENTS"), ("", "SQL_NO_STATEMENT"), ("SELEC 1", "SQL_PARSE_ERROR"),
             ("SELECT (1", "SQL_PARSE_ERROR"), ("SELECT 'x", "SQL_PARSE_ERROR"), ("VACUUM", "SQL_PARSE_ERROR"),
             ("ATTACH 'x' AS y", "SQL_PARSE_ERROR")]


@pytest.mark.parametrize("sql, code", MALFORMED)
def test_a_malformed_step_fails_the_batch_before_it_begins(stream, sql, code):
    stream.one(execute("CREATE TABLE t(id)"))
    for steps in (["INSERT INTO t VALUES(1)", sql], [sql], ["INSERT INTO t VALUES(1)", step(sql, {"type": "or", "conds": []})],
                  ["BEGIN", "INSERT INTO t VALUES(1)", "COMMIT", sql], ["SELECT 1", sql, "SELECT 2"]):
        assert stream.fails(batch(*steps)) == code, steps
    assert stream.one({"type": "get_autocommit"})["is_autocommit"] is True
    assert stream.query("SELECT count(*) FROM t") == [[0]]
    stream.one(execute("BEGIN"))
    assert stream.fails(batch("INSERT INTO t VALUES(1)", sql)) == code
    stream.one(execute("COMMIT"))
    assert stream.query("SELECT count(*) FROM t") == [[0]]


def test_both_kinds_of_arguments_fail_the_batch_before_it_begins(stream):
    stream.one(execute("CREATE TABLE t(id)"))
    both = {"stmt": {"sql": "SELECT ?, :a", "args": [encode(1)], "named_args": [{"name": "a", "value": encode(1)}]}}
    assert stream.fails(batch("INSERT INTO t VALUES(1)", both)) == "ARGS_BOTH_POSITIONAL_AND_NAMED"
    assert stream.query("SELECT count(*) FROM t") == [[0]]


def test_what_sqlite_finds_is_the_steps_error(stream):
    """A step may name what an earlier one makes; pragmas take effect in their turn."""
    result = stream.one(batch("CREATE TABLE late(a)", "INSERT INTO late VALUES(1)", "SELECT nowhere FROM late",
                              "SELECT ?", "SELECT a FROM late", "PRAGMA foreign_keys", "PRAGMA foreign_keys=off",
                              "PRAGMA foreign_keys"))["result"]
    assert [e and e["code"] for e in result["step_errors"]] == \
        [None, None, "SQL_INPUT_ERROR", "ARGS_INVALID", None, None, None, None]
    assert [rows(result["step_results"][i]) for i in (4, 5, 7)] == [[[1]], [[1]], [[0]]]


def test_sequence_runs_all_and_stops_at_the_first_failure(stream):
    sequence = {"type": "sequence", "sql": """CREATE TABLE t(id INTEGER PRIMARY KEY); -- one
        CREATE TABLE log(id);
        CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES(new.id); SELECT 1; END;
        INSERT INTO t VALUES(1);;; INSERT INTO t VALUES(2); SELECT * FROM t"""}
    assert stream.one(sequence) == {"type": "sequence"}
    assert stream.query("SELECT count(*) FROM log") == [[2]]
    assert stream.fails({"type": "sequence", "sql": "INSERT INTO t VALUES(3); INSERT INTO t VALUES(1); "
                                                    "INSERT INTO t VALUES(4)"}) == "SQLITE_CONSTRAINT"
    assert stream.query("SELECT id FROM t") == [[1], [2], [3]]
    assert stream.one({"type": "sequence", "sql": " ; -- nothing\n"}) == {"type": "sequence"}


def test_a_sequence_may_hold_a_transaction(stream):
    stream.one({"type": "sequence", "sql": "BEGIN; CREATE TABLE t(a); INSERT INTO t VALUES(1); COMMIT"})
    assert stream.query("SELECT count(*) FROM t") == [[1]]
    stream.one({"type": "sequence", "sql": "BEGIN; INSERT INTO t VALUES(1)"})
    assert stream.one({"type": "get_autocommit"})["is_autocommit"] is False
    stream.close()
    assert Stream(stream.database).query("SELECT count(*) FROM t") == [[1]]


def test_describe_compiles_only(stream):
    stream.one(execute("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)"))
    result = stream.one({"type": "describe", "sql": "INSERT INTO t VALUES(:id, ?4) RETURNING id, name AS n"})["result"]
    assert result == {"params": [{"name": ":id"}, {"name": None}, {"name": None}, {"name": "?4"}],
                      "cols": [{"name": "id", "decltype": "INTEGER"}, {"name": "n", "decltype": "TEXT"}],
                      "is_explain": False, "is_readonly": False}
    assert stream.query("SELECT count(*) FROM t") == [[0]]
    result = stream.one({"type": "describe", "sql": "EXPLAIN SELECT 1"})["result"]
    assert result["is_explain"] and result["is_readonly"]
    assert stream.fails({"type": "describe", "sql": "SELECT * FROM nowhere"}) == "SQLITE_UNKNOWN"
    stream.one(execute("ALTER TABLE t ADD COLUMN more"))
    result = stream.one({"type": "describe", "sql": "SELECT * FROM t"})["result"]
    assert [c["name"] for c in result["cols"]] == ["id", "name", "more"]


def test_describing_a_pragma_sets_nothing(stream):
    stream.one({"type": "describe", "sql": "PRAGMA foreign_keys=off"})
    assert stream.query("PRAGMA foreign_keys") == [[1]]


def test_stored_sql(stream):
    store = {"type": "store_sql", "sql_id": 7, "sql": "SELECT ?"}
    assert stream.one(store) == {"type": "store_sql"}
    request = {"type": "execute", "stmt": {"sql_id": 7, "sql": None, "args": [encode(1)]}}
    assert rows(stream.one(request)["result"]) == [[1]]
    result = stream.one({"type": "batch", "batch": {"steps": [{"stmt": request["stmt"], "condition": None}]}})
    assert rows(result["result"]["step_results"][0]) == [[1]]
    assert stream.one({"type": "describe", "sql_id": 7})["result"]["params"] == [{"name": None}]
    assert stream.one({"type": "close_sql", "sql_id": 7}) == {"type": "close_sql"}
    assert stream.one({"type": "close_sql", "sql_id": 7}) == {"type": "close_sql"}
    assert stream.send(request).status == 400


def test_stored_sql_is_bounded(stream):
    stores = [{"type": "store_sql", "sql_id": i, "sql": "SELECT 1"} for i in range(151)]
    assert stream.run(*stores)[150]["code"] == "SQL_STORE_TOO_MANY"


def test_a_transaction_over_several_requests(database):
    one, two = Stream(database), Stream(database)
    one.one(execute("CREATE TABLE t(id)"))
    one.one(execute("BEGIN"))
    one.one(execute("INSERT INTO t VALUES(1)"))
    assert one.one({"type": "get_autocommit"})["is_autocommit"] is False
    assert one.query("SELECT count(*) FROM t") == [[1]] and two.query("SELECT count(*) FROM t") == [[0]]
    one.one(execute("COMMIT"))
    assert one.one({"type": "get_autocommit"})["is_autocommit"] is True
    assert two.query("SELECT count(*) FROM t") == [[1]]


def test_close_rolls_back(database):
    one = Stream(database)
    one.one(execute("CREATE TABLE t(id)"))
    one.one(batch("BEGIN IMMEDIATE", "INSERT INTO t VALUES(1)"))
    assert one.close() == [{"type": "close"}]
    assert one.baton is None
    assert Stream(database).query("SELECT count(*) FROM t") == [[0]]
    Stream(database).one(execute("INSERT INTO t VALUES(1)"))


def test_read_only_transactions_refuse_writes(stream):
    stream.one(execute("CREATE TABLE t(id)"))
    stream.one(execute("BEGIN TRANSACTION READONLY"))
    assert stream.query("SELECT count(*) FROM t") == [[0]]
    assert stream.fails(execute("INSERT INTO t VALUES(1)")) == "SQLITE_READONLY"
    assert stream.fails(execute("CREATE TABLE u(id)")) == "SQLITE_READONLY"
    stream.one(execute("COMMIT"))
    stream.one(execute("INSERT INTO t VALUES(1)"))
    stream.one(execute("BEGIN"))
    stream.one(execute("INSERT INTO t VALUES(1)"))
    stream.one(execute("ROLLBACK"))


def test_last_insert_rowid_belongs_to_the_stream(database):
    one, two = Stream(database), Stream(database)
    one.one(execute("CREATE TABLE t(id INTEGER PRIMARY KEY)"))
    one.one(execute("INSERT INTO t VALUES(10)"))
    two.one(execute("INSERT INTO t VALUES(20)"))
    assert one.query("SELECT last_insert_rowid()") == [[10]]
    assert two.query("SELECT last_insert_rowid()") == [[20]]
    assert Stream(database).query("SELECT last_insert_rowid()") == [[0]]
    result = one.one(execute("INSERT OR IGNORE INTO t VALUES(20)"))["result"]
    assert (result["affected_row_count"], result["last_insert_rowid"]) == (0, "10")
    one.one(execute("BEGIN"))
    assert one.query("SELECT last_insert_rowid()") == [[10]]
    one.one(execute("INSERT INTO t VALUES(30)"))
    one.one(execute("COMMIT"))
    assert one.query("SELECT last_insert_rowid()") == [[30]]


def test_settings_stay_on_their_stream(database):
    one = Stream(database)
    one.one(execute("PRAGMA foreign_keys=off"))
    assert one.query("PRAGMA foreign_keys") == [[0]]
    assert Stream(database).query("PRAGMA foreign_keys") == [[1]]


def test_batons_are_good_once_and_bound(database, tenant):
    one = Stream(database)
    one.one(execute("SELECT 1"))
    first = one.baton
    assert first and len(first) == 48
    one.one(execute("SELECT 2"))
    assert one.baton != first
    answer = one.send(execute("SELECT 3"), baton=first)
    assert answer.status == 400 and "message" in answer.value and answer.value["code"] and answer.value["error"]
    assert answer.response.header("Content-Type") == "application/json"
    for baton in ("", "x", "0" * 48, first[:-1], one.baton[:-1] + ("0" if one.baton[-1] != "0" else "1")):
        assert one.send(execute("SELECT 3"), baton=baton).status == 400
    assert one.send(execute("SELECT 3"), api=tenant.api("owner")).status == 400
    elsewhere = Stream(tenant.database("other"))
    assert elsewhere.send(execute("SELECT 3"), baton=one.baton).status == 400
    assert one.query("SELECT 4") == [[4]]


def test_the_last_baton_gets_the_lost_answer_again(database):
    one = Stream(database)
    one.one(execute("CREATE TABLE t(id INTEGER PRIMARY KEY)"))
    baton = one.baton
    insert = execute("INSERT INTO t VALUES(1)")
    answer = one.send(insert, baton=baton)
    assert one.send(insert, baton=baton).value == answer.value
    assert one.send(execute("SELECT 1"), baton=baton).status == 400
    one.baton = answer.value["baton"]
    closing = one.send(execute("SELECT count(*) FROM t"), CLOSE)
    assert one.send(execute("SELECT count(*) FROM t"), CLOSE).value == closing.value
    assert rows(closing.value["results"][0]["response"]["result"]) == [[1]]
    assert one.send(execute("SELECT 5")).status == 400


def test_requests_after_close_are_refused(stream):
    assert stream.send(CLOSE, execute("SELECT 1")).status == 400


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{", b"{}", b'{"requests":5}', b'{"requests":[5]}', b'{"requests":[{"type":"dance"}]}',
    b'{"requests":[{}]}', b'{"requests":[{"type":"execute"}]}', b'{"requests":[{"type":"execute","stmt":{}}]}',
    b'{"requests":[{"type":"execute","stmt":{"sql":5}}]}',
    b'{"requests":[{"type":"execute","stmt":{"sql":"SELECT 1","sql_id":1}}]}',
    b'{"requests":[{"type":"execute","stmt":{"sql_id":1}}]}',
    b'{"requests":[{"type":"execute","stmt":{"sql":"SELECT ?","args":[{"type":"integer","value":1}]}}]}',
    b'{"requests":[{"type":"execute","stmt":{"sql":"SELECT ?","args":[{"type":"integer","value":"9223372036854775808"}]}}]}',
    b'{"requests":[{"type":"execute","stmt":{"sql":"SELECT ?","args":[{"type":"float","value":"1"}]}}]}',
    b'{"requests":[{"type":"execute","stmt":{"sql":"SELECT ?","args":[{"type":"blob","base64":"*"}]}}]}',
    b'{"requests":[{"type":"execute","stmt":{"sql":"SELECT ?","args":[{"type":"date","value":"1"}]}}]}',
    b'{"requests":[{"type":"execute","stmt":{"sql":"SELECT ?","args":[5]}}]}',
    b'{"requests":[{"type":"batch","batch":{}}]}', b'{"requests":[{"type":"batch","batch":{"steps":[{}]}}]}',
    b'{"requests":[{"type":"batch","batch":{"steps":[{"stmt":{"sql":"SELECT 1"},"condition":{"type":"ok","step":0}}]}}]}',
    b'{"requests":[{"type":"batch","batch":{"steps":[{"stmt":{"sql":"SELECT 1"},"condition":{"type":"maybe"}}]}}]}',
    b'{"requests":[{"type":"store_sql","sql":"x"}]}', b'{"requests":[{"type":"store_sql","sql_id":1.5,"sql":"x"}]}',
    b'{"requests":[{"type":"store_sql","sql_id":2147483648,"sql":"x"}]}', b'{"requests":[],"baton":5}',
    b'{"requests":[]} x', b'{"requests":[{"type":"open_stream"}]}',
])
def test_bodies_that_are_not_hrana_are_400(stream, body):
    answer = stream.database.api.request("POST", stream.path + "/pipeline", body)
    assert answer.status == 400 and set(answer.value) == {"message", "code", "error"}, answer
    assert answer.response.header("Content-Type") == "application/json"


def test_unknown_members_and_nulls_are_ignored(stream):
    body = {"requests": [{"stmt": {"sql_id": None, "named_args": None, "args": [], "sql": "SELECT 1", "replication_index":
                                   None, "new": [{"a": [1]}], "want_rows": None}, "type": "execute"}], "baton": None, "x": {}}
    answer = stream.database.api.request("POST", stream.path + "/pipeline", body)
    assert rows(answer.value["results"][0]["response"]["result"]) == [[1]]


def test_the_content_type_does_not_matter(stream):
    for kind in ("text/plain", None, "application/x-www-form-urlencoded"):
        answer = stream.database.api.request("POST", stream.path + "/pipeline",
                                             b'{"requests":[]}', headers={"Content-Type": kind})
        assert answer.status == 200, answer


def test_version_2_has_no_requests_of_3(database):
    two = Stream(database, version=2)
    assert two.query("SELECT 1") == [[1]]
    assert two.send({"type": "get_autocommit"}).status == 400
    assert two.send(batch(step("SELECT 1", {"type": "is_autocommit"}))).status == 400


def test_version_probes(server, connect):
    for path, status in (("/v1", 200), ("/v2", 200), ("/v3", 200), ("/v3-protobuf", 200), ("/v4", 404),
                         ("/health", 200)):
        response = connect().send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).receive()
        assert response.status == status, path


def test_a_missing_slash_is_explained(database):
    answer = database.api.request("POST", f"/{database.tenant}/v2/pipeline", {"requests": []})
    assert answer.status == 404 and "trailing slash" in answer.value["message"]


def test_root_is_the_only_database(tenant):
    database = tenant.database()
    body = {"requests": [execute("CREATE TABLE t(id)"), CLOSE]}
    assert tenant.owner.request("POST", "/v2/pipeline", body).status == 200
    assert database.rows("SELECT count(*) FROM t") == [[0]]
    tenant.database("other")
    answer = tenant.owner.request("POST", "/v2/pipeline", body)
    assert answer.status == 404 and "exactly one" in answer.value["message"]
    named = tenant.database("default")
    assert tenant.owner.request("POST", "/v2/pipeline", body).status == 200
    assert named.rows("SELECT count(*) FROM t") == [[0]]
    answer = tenant.api("owner", databases=["other"]).request("POST", "/v2/pipeline", body)
    assert answer.status == 200, answer
    assert tenant.api("owner", databases=["o*", "m*"]).request("POST", "/v2/pipeline", body).status == 404


def test_errors_of_the_door(database, server):
    path = Stream(database).path + "/pipeline"
    anonymous = database.api.variant(token=None)
    answer = anonymous.request("POST", path, {"requests": []})
    assert answer.status == 401 and answer.value["message"] and answer.value["code"]
    answer = database.api.variant(token="psql_live_" + "x" * 43).request("POST", path, {"requests": []})
    assert answer.status == 401
    answer = database.api.request("POST", f"/{database.tenant}/nosuch/v2/pipeline", {"requests": []})
    assert answer.status == 404 and answer.response.header("Content-Type") == "application/json"
    assert database.api.raw("GET", path).status == 405


def test_version_1(database):
    path = f"/{database.tenant}/{database.slug}/v1"
    answer = database.api.request("POST", path + "/execute", {"stmt": stmt("SELECT ?", 1)})
    assert answer.status == 200 and rows(answer.value["result"]) == [[1]]
    answer = database.api.request("POST", path + "/batch", {"batch": {"steps": [
        step("CREATE TABLE t(id INTEGER PRIMARY KEY)"), step("INSERT INTO t VALUES(1)"), step("INSERT INTO t VALUES(1)")]}})
    assert answer.status == 200 and answer.value["result"]["step_errors"][2]["code"] == "SQLITE_CONSTRAINT"
    answer = database.api.request("POST", path + "/batch", transaction("INSERT INTO t VALUES(2)"))
    assert answer.status == 200 and answer.value["result"]["step_errors"] == [None] * 4
    for sql, status, code in (("SELEC", 400, "SQL_PARSE_ERROR"), ("SELECT x", 400, "SQL_INPUT_ERROR"),
                              ("INSERT INTO t VALUES(1)", 500, "SQLITE_CONSTRAINT")):
        answer = database.api.request("POST", path + "/execute", {"stmt": stmt(sql)})
        assert (answer.status, answer.value["code"]) == (status, code)


def test_cursor_streams_entries(database):
    path = f"/{database.tenant}/{database.slug}/v3/cursor"

    def run(*steps, baton=None):
        response = database.api.raw("POST", path, {"baton": baton, "batch": batch(*steps)["batch"]})
        assert response.status == 200 and response.header("Content-Type") == "text/plain", response
        head, *entries = [json.loads(line) for line in response.body.splitlines()]
        assert set(head) == {"baton", "base_url"}
        return head["baton"], entries

    baton, entries = run("SELECT 1 AS a UNION SELECT 2", "SELECT * FROM nowhere", step("SELECT 3", ok(1)))
    assert [e["type"] for e in entries] == ["step_begin", "row", "row", "step_end", "step_error"]
    assert entries[0]["step"] == 0 and entries[0]["cols"] == [{"name": "a", "decltype": None}]
    assert entries[1]["row"] == [{"type": "integer", "value": "1"}]
    assert entries[3] == {"type": "step_end", "affected_row_count": 0, "last_insert_rowid": None}
    assert entries[4]["step"] == 1 and entries[4]["error"]["code"] == "SQLITE_UNKNOWN"
    baton, entries = run("CREATE TABLE t(id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES(5)", baton=baton)
    assert entries[-1]["last_insert_rowid"] == "5"
    for sql, code in MALFORMED:
        baton, entries = run("INSERT INTO t VALUES(6)", sql, baton=baton)
        assert [e["type"] for e in entries] == ["error"] and entries[0]["error"]["code"] == code
    assert run("SELECT count(*) FROM t", baton=baton)[1][1]["row"] == [{"type": "integer", "value": "1"}]
    baton, _ = run("SELECT 1")
    baton, entries = run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200000) "
                         "SELECT i, 'some text to fill it' FROM n", baton=baton)
    assert len(entries) == 200002 and entries[-1]["type"] == "step_end"


def test_a_read_only_token_that_writes_is_403(tenant, database):
    Stream(database).one(execute("CREATE TABLE t(id)"))
    reader = tenant.api("readonly")
    one = Stream(database)
    answer = one.send(execute("SELECT 1"), execute("INSERT INTO t VALUES(1)"), CLOSE, api=reader)
    assert answer.status == 403 and answer.value["message"], answer
    assert one.send(execute("BEGIN IMMEDIATE"), CLOSE, api=reader).status == 403
    for request in (batch("SELECT 1", "INSERT INTO t VALUES(1)", "SELECT 2"), transaction("INSERT INTO t VALUES(1)"),
                    {"type": "sequence", "sql": "SELECT 1; INSERT INTO t VALUES(1)"}, execute("CREATE TABLE u(a)"),
                    execute("PRAGMA user_version = 5")):
        answer = one.send(request, execute("SELECT 1"), CLOSE, api=reader)
        assert answer.status == 403 and set(answer.value) == {"message", "code", "error"}, request
    cursor = reader.request("POST", one.path + "/cursor", {"batch": batch("SELECT 1", "INSERT INTO t VALUES(1)")["batch"]})
    assert cursor.status == 403, cursor
    path = f"/{database.tenant}/{database.slug}/v1/execute"
    assert reader.request("POST", path, {"stmt": stmt("INSERT INTO t VALUES(1)")}).status == 403
    path = f"/{database.tenant}/{database.slug}/v1/batch"
    assert reader.request("POST", path, batch("SELECT 1", "INSERT INTO t VALUES(1)")).status == 403
    assert Stream(database).query("SELECT count(*) FROM t") == [[0]]
    assert one.send(transaction("SELECT 1", begin="BEGIN TRANSACTION READONLY"), CLOSE, api=reader).status == 200


def test_the_host_names_the_database(start_server):
    server = start_server("--base-domain", "db.example")
    tenant = Admin(server).tenant("acme")
    one, two = tenant.database("one"), tenant.database("two")
    for database in (one, two):
        Stream(database).run(execute(f"CREATE TABLE {database.slug}(id)"), CLOSE)
    body = {"requests": [execute("SELECT name FROM sqlite_schema"), CLOSE]}
    for host, path, names in (("one--acme.db.example", "/v2/pipeline", [["one"]]),
                              ("two--acme.db.example", "/v3/pipeline", [["two"]]),
                              ("acme.db.example", "/acme/two/v2/pipeline", [["two"]])):
        answer = tenant.owner.request("POST", path, body, headers={"Host": host})
        assert answer.status == 200, answer
        assert rows(answer.value["results"][0]["response"]["result"]) == names
    answer = tenant.owner.request("POST", "/v1/execute", {"stmt": stmt("SELECT 1")},
                                  headers={"Host": "two--acme.db.example"})
    assert answer.status == 200, answer
    answer = tenant.owner.request("POST", "/v2/pipeline", body, headers={"Host": "one--other.db.example"})
    assert answer.status == 403, answer
    answer = tenant.owner.request("POST", "/v2/pipeline", body, headers={"Host": "acme.db.example"})
    assert answer.status == 404, answer  # two databases, and nothing says which


def test_a_branch_that_is_not_there_is_404(database):
    answer = database.api.request("POST", f"/{database.tenant}/{database.slug}@feature/v2/pipeline", {"requests": []})
    assert answer.status == 404 and answer.value["message"], answer


def test_a_result_may_have_10_mb(stream):
    assert len(stream.query("SELECT zeroblob(7800000)")[0][0]) == 7800000  # 10.4 million in base64
    assert stream.fails(execute("SELECT zeroblob(7900000)")) == "RESPONSE_TOO_LARGE"
    stream.one(execute("CREATE TABLE t(a)"))
    assert stream.fails(execute("INSERT INTO t VALUES(1) RETURNING zeroblob(7900000)")) == "RESPONSE_TOO_LARGE"
    assert stream.query("SELECT count(*) FROM t") == [[0]]


def test_results_that_are_too_large(stream):
    assert stream.fails(execute("SELECT randomblob(9000000)")) == "RESPONSE_TOO_LARGE"
    result = stream.one(batch("SELECT 1", "SELECT randomblob(9000000)", "SELECT 3"))["result"]
    assert result["step_errors"][1]["code"] == "RESPONSE_TOO_LARGE"
    assert rows(result["step_results"][2]) == [[3]]


def test_other_tenants_databases_are_closed_and_say_nothing(admin, tenant):
    other = admin.tenant()
    other.database("main")
    for operation in ("v1/execute", "v1/batch", "v2/pipeline", "v3/pipeline", "v3/cursor"):
        answers = [tenant.owner.request("POST", f"/{slug}/{name}/{operation}", {"requests": []})
                   for slug, name in ((other.slug, "main"), (other.slug, "none"), ("no-such", "main"))]
        assert {a.status for a in answers} == {403}
        assert len({json.dumps(a.value) for a in answers}) == 1
