"""Hrana 3 in protobuf over HTTP: the same answers as in JSON, in bytes that a strict reader takes."""

import pytest
from hrana import Stream, execute
from protobuf import decode, decode_entries, encode

KINDS = {int: "integer", float: "float", str: "text", bytes: "blob"}


def value_of(value):
    return {"null": {}} if value is None else {KINDS[type(value)]: value}


def plain(value):
    (kind, got), = value.items()
    return None if kind == "null" else got


def rows(result):
    return [[plain(v) for v in row["values"]] for row in result["rows"]]


def stmt(sql, *args, **more):
    made = {"sql": sql, **more}
    return {**made, "args": [value_of(a) for a in args]} if args else made


def run(sql, *args, **more):
    return {"execute": {"stmt": stmt(sql, *args, **more)}}


class Protobuf:
    """A stream over /v3-protobuf."""

    def __init__(self, database):
        self.api, self.baton = database.api, None
        self.path = f"/{database.tenant}/{database.slug}/v3-protobuf"

    def post(self, operation, body):
        return self.api.raw("POST", f"{self.path}/{operation}", body, {"Content-Type": "application/x-protobuf"})

    def send(self, *requests):
        baton = {} if self.baton is None else {"baton": self.baton}
        response = self.post("pipeline", encode("PipelineReqBody", {**baton, "requests": requests}))
        assert response.status == 200, response
        assert response.header("Content-Type") == "application/x-protobuf"
        answer = decode("PipelineRespBody", response.body)
        assert len(answer["results"]) == len(requests) and "base_url" not in answer
        self.baton = answer.get("baton")
        results = []
        for request, result in zip(requests, answer["results"]):
            (kind, value), = result.items()
            if kind == "ok":
                assert list(value) == list(request), "the response is of another type"
                value, = value.values()
            results.append(value)
        return results

    def one(self, request):
        response, = self.send(request)
        assert "code" not in response, response
        return response

    def cursor(self, *steps):
        baton = {} if self.baton is None else {"baton": self.baton}
        body = {**baton, "batch": {"steps": [s if isinstance(s, dict) else {"stmt": stmt(s)} for s in steps]}}
        response = self.post("cursor", encode("CursorReqBody", body))
        assert response.status == 200, response
        assert response.header("Content-Type") == "application/octet-stream"
        head, *entries = decode_entries("CursorEntry", response.body)
        self.baton = head["baton"]
        return entries


@pytest.fixture
def stream(database):
    return Protobuf(database)


@pytest.mark.parametrize("value", [None, 0, -1, 2**63 - 1, -2**63, 1.5, -0.0, float("inf"), "", "nul\0in",
                                   "漢字 😀", b"", bytes(range(256))])
def test_values_come_back_as_they_went_in(stream, value):
    (got,), = rows(stream.one(run("SELECT ?", value))["result"])
    assert got == value and type(got) is type(value)


def test_every_request_has_its_response(stream):
    results = stream.send(
        run("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)"),
        run("INSERT INTO t(name) VALUES(:name)", named_args=[{"name": "name", "value": {"text": "rook"}}]),
        {"store_sql": {"sql_id": -3, "sql": "SELECT id, name, 1+1 FROM t"}},
        {"execute": {"stmt": {"sql_id": -3}}},
        {"describe": {"sql": "SELECT ?2, :a AS b FROM t"}},
        {"sequence": {"sql": "INSERT INTO t VALUES(5, NULL); SELECT 1"}},
        {"get_autocommit": {}},
        {"close_sql": {"sql_id": -3}},
        {"close": {}})
    inserted, selected, described = results[1]["result"], results[3]["result"], results[4]["result"]
    assert (inserted["affected_row_count"], inserted["last_insert_rowid"]) == (1, 1)
    assert inserted["cols"] == [] and inserted["rows_written"] == 1
    assert selected["cols"] == [{"name": "id", "decltype": "INTEGER"}, {"name": "name", "decltype": "TEXT"},
                                {"name": "1+1"}]
    assert rows(selected) == [[1, "rook", 2]] and "last_insert_rowid" not in selected
    assert described["params"] == [{}, {"name": "?2"}, {"name": ":a"}]
    assert described["cols"] == [{"name": "?2"}, {"name": "b"}] and described["is_readonly"]
    assert results[2] == results[5] == results[7] == results[8] == {}
    assert results[6] == {"is_autocommit": True}
    assert stream.baton is None


def test_errors_stay_where_they_belong(stream):
    failed, fine = stream.send(run("SELECT * FROM nowhere"), run("SELECT 2"))
    assert failed == {"message": "SQLite error: no such table: nowhere", "code": "SQLITE_UNKNOWN"}
    assert rows(fine["result"]) == [[2]]


def test_batches_number_their_steps(stream):
    """Steps that fail after rows, are skipped, or begin anew leave the numbers of the others alone."""
    stream.one(run("CREATE TABLE t(id INTEGER PRIMARY KEY)"))
    result = stream.one({"batch": {"batch": {"steps": [
        {"stmt": stmt("SELECT 0")},
        {"stmt": stmt("SELECT 1, abs(-9223372036854775808) FROM (SELECT 1)")},
        {"condition": {"step_ok": 1}, "stmt": stmt("SELECT 2")},
        {"condition": {"and": {"conds": [{"step_error": 1}, {"not": {"step_ok": 2}}, {"is_autocommit": {}}]}},
         "stmt": stmt("INSERT INTO t VALUES(3)")},
        {"condition": {"or": {}}, "stmt": stmt("SELECT 4")},
        {"stmt": stmt("SELECT CAST(x'ff' AS TEXT)")},
        {"stmt": stmt("SELECT 6", want_rows=False)},
        {"stmt": stmt("INSERT INTO t VALUES(3)")}]}}})["result"]
    assert sorted(result["step_results"]) == [0, 3, 6]
    assert {i: e["code"] for i, e in result["step_errors"].items()} == {
        1: "SQLITE_UNKNOWN", 5: "SQLITE_MISMATCH", 7: "SQLITE_CONSTRAINT"}
    assert rows(result["step_results"][0]) == [[0]] and result["step_results"][6]["rows"] == []
    assert result["step_results"][3]["last_insert_rowid"] == 3


def test_a_transaction_over_several_pipelines(database, stream):
    stream.one(run("CREATE TABLE t(id)"))
    stream.send(run("BEGIN"), run("INSERT INTO t VALUES(1)"))
    assert stream.one({"get_autocommit": {}}) == {"is_autocommit": False}
    assert Stream(database).query("SELECT count(*) FROM t") == [[0]]
    stream.send(run("COMMIT"), {"close": {}})
    assert Stream(database).query("SELECT count(*) FROM t") == [[1]]


def test_a_large_pipeline_is_whole(stream):
    """More than leaves at once elsewhere: its lengths are known at its end only."""
    first, second = stream.send(
        run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50000) SELECT i, 'text' FROM n"),
        run("SELECT randomblob(3000000)"))
    assert [row[0] for row in rows(first["result"])] == list(range(1, 50001))
    assert len(rows(second["result"])[0][0]) == 3000000


def test_cursors(stream):
    stream.one(run("CREATE TABLE t(id INTEGER PRIMARY KEY)"))
    entries = stream.cursor("SELECT 1 AS a UNION SELECT 2", {"condition": {"or": {}}, "stmt": stmt("SELECT 0")},
                            "INSERT INTO t VALUES(-7)", "SELECT * FROM nowhere")
    assert entries == [
        {"step_begin": {"step": 0, "cols": [{"name": "a"}]}},
        {"row": {"values": [{"integer": 1}]}}, {"row": {"values": [{"integer": 2}]}},
        {"step_end": {"affected_row_count": 0}},
        {"step_begin": {"step": 2, "cols": []}}, {"step_end": {"affected_row_count": 1, "last_insert_rowid": -7}},
        {"step_error": {"step": 3, "error": {"message": "SQLite error: no such table: nowhere",
                                             "code": "SQLITE_UNKNOWN"}}}]
    entries = stream.cursor("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100000) "
                            "SELECT i, 'some text to fill it' FROM n")
    assert [e["row"]["values"][0]["integer"] for e in entries[1:-1]] == list(range(1, 100001))
    assert rows(stream.one(run("SELECT count(*) FROM t"))["result"]) == [[1]]


@pytest.mark.parametrize("body", [b"\xff", b"\x12\x05", b"{}", b"\x08\x01", b"\x12\x02\x7a\x00",
                                  encode("PipelineReqBody", {"baton": "x", "requests": []}),
                                  encode("PipelineReqBody", {"requests": [{"execute": {"stmt": {}}}]})])
def test_bodies_that_are_not_hrana_are_400(stream, body):
    response = stream.post("pipeline", body)
    assert response.status == 400 and set(response.value()) == {"message", "code", "error"}


def test_other_namings(tenant):
    database = tenant.database()
    body = encode("PipelineReqBody", {"requests": [run("SELECT 1"), {"close": {}}]})
    for path, status in (("/v3-protobuf/pipeline", 200), (f"/{tenant.slug}/main/v3-protobuf/pipeline", 200),
                         (f"/{tenant.slug}/v3-protobuf/pipeline", 404)):
        assert database.api.raw("POST", path, body).status == status, path
    for path in ("/v3-protobuf", f"/{tenant.slug}/main/v3-protobuf"):
        assert database.api.variant(token=None).raw("GET", path).status == 200, path
    assert database.api.raw("POST", f"/{tenant.slug}/main/v3-protobuf/pipeline", b"").status == 200


def test_streams_are_the_same_in_both_forms(database, stream):
    """A baton is the stream's, whatever it is spoken to in."""
    stream.one(run("CREATE TEMP TABLE mine(a)"))
    other = Stream(database)
    other.baton = stream.baton
    other.one(execute("INSERT INTO mine VALUES(1)"))
    stream.baton = other.baton
    assert rows(stream.one(run("SELECT count(*) FROM mine"))["result"]) == [[1]]
