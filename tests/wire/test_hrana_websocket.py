"""Hrana over WebSocket: every message in JSON and in protobuf, in order and out of it."""

import json

import pytest

from api import Connection
from hrana import batch, ok, step, stmt, transaction
from hrana_socket import ALL, HranaSocket, rows_of
from websocket import TEXT, Socket, frame, handshake

THREES = ("hrana3", "hrana3-protobuf")


@pytest.fixture(params=THREES)
def socket(request, database):
    with HranaSocket(database, request.param) as socket:
        yield socket


# -- the way in -------------------------------------------------------------------------------------


@pytest.mark.parametrize("offered, chosen", [
    (None, None), (["hrana1"], "hrana1"), (["hrana2", "hrana1"], "hrana2"),
    (["hrana1", "hrana3", "hrana2"], "hrana3"), (["other", "hrana2"], "hrana2"),
    (["hrana1", "hrana2", "hrana3", "hrana3-protobuf"], "hrana3-protobuf")])
def test_the_best_subprotocol_is_chosen(database, offered, chosen):
    with Socket(database.api.server, f"/{database.tenant}/{database.slug}", offered) as socket:
        assert socket.subprotocol == chosen


def test_only_unknown_subprotocols_are_refused(database):
    with Connection(database.api.server) as connection:
        connection.send(handshake(f"/{database.tenant}/{database.slug}",
                                  {"Sec-WebSocket-Protocol": "hrana9, graphql-ws"}))
        assert connection.receive().status == 400


@pytest.mark.parametrize("subprotocol", [None, *ALL])
def test_every_subprotocol_runs_a_statement(database, subprotocol):
    with HranaSocket(database, subprotocol) as socket:
        socket.open(1)
        assert socket.query(1, "SELECT ?, ?", 7, "x") == [[7, "x"]]


def test_paths_with_and_without_a_slash_and_the_root(database, tenant):
    for path in (f"/{tenant.slug}/main", f"/{tenant.slug}/main/", "/"):
        with HranaSocket(database, path=path) as socket:
            socket.open(0)
            assert socket.query(0, "SELECT 1") == [[1]]


def test_by_the_hosts_name(start_server):
    from api import Admin
    server = start_server("--base-domain", "db.test")
    database = Admin(server).tenant("acme").database("main")
    with HranaSocket(database, path="/", headers={"Host": "main--acme.db.test"}) as socket:
        socket.open(0)
        assert socket.query(0, "SELECT 1") == [[1]]


def test_pages_of_any_origin_may_connect(database):
    with HranaSocket(database, headers={"Origin": "https://app.example"}) as socket:
        socket.open(0)


def test_paths_without_an_upgrade_are_as_before(database):
    with Connection(database.api.server) as connection:
        for path, status in ((f"/{database.tenant}/{database.slug}", 405), ("/v1/nothing", 404)):
            connection.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.receive().status == status


def test_a_token_in_the_upgrades_header_is_taken_too(database):
    token = database.api.token
    for jwt in (None, token):
        with HranaSocket(database, token=jwt,
                         headers={"Authorization": f"Bearer {token}"}) as socket:
            socket.open(0)


# -- requests ---------------------------------------------------------------------------------------


def test_statements_values_and_effects(socket):
    socket.open(5)
    assert socket.execute(5, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)")["cols"] == []
    for value in (None, 0, -2**63, 2**63 - 1, 1.5, "", "h\u00e9\0", b"", bytes(range(256))):
        result = socket.execute(5, "INSERT INTO t(v) VALUES(?)", value)
        assert result["affected_row_count"] == 1
        assert rows_of(socket.execute(5, "SELECT v FROM t WHERE id = ?",
                                      int(result["last_insert_rowid"]))) == [[value]]
    result = socket.execute(5, "SELECT id AS a, v FROM t LIMIT 1", want_rows=False)
    assert result["rows"] == [] and [c["name"] for c in result["cols"]] == ["a", "v"]
    assert socket.query(5, "SELECT :n", n=3) == [[3]]
    assert socket.fails_to_execute(5, "SELECT nope") == "SQL_INPUT_ERROR"
    assert socket.fails_to_execute(5, "INSERT INTO t(id) VALUES(1)") == "SQLITE_CONSTRAINT"
    assert socket.query(5, "SELECT count(*) FROM t") == [[9]]


def test_batches(socket):
    socket.open(1)
    result = socket.one("batch", stream_id=1, batch=batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES(1)",
        step("INSERT INTO t VALUES(1)", ok(1)), step("SELECT 1", ok(2)),
        step("SELECT 2", {"type": "is_autocommit"}))["batch"])["result"]
    assert [r is not None for r in result["step_results"]] == [True, True, False, False, True]
    assert [e and e["code"] for e in result["step_errors"][:3]] == [None, None, "SQLITE_CONSTRAINT"]
    socket.one("batch", stream_id=1, batch=transaction(
        "INSERT INTO t VALUES(2)", "INSERT INTO t VALUES(3)")["batch"])
    assert socket.query(1, "SELECT count(*) FROM t") == [[3]]


def test_sequence_describe_and_autocommit(socket):
    socket.open(1)
    socket.one("sequence", stream_id=1, sql="CREATE TABLE t(id INT, n TEXT); INSERT INTO t VALUES(1,'a');")
    socket.one("sequence", stream_id=1, sql="")
    assert socket.fails("sequence", stream_id=1, sql="SELECT 1; SELECT nope") == "SQL_INPUT_ERROR"
    described = socket.one("describe", stream_id=1, sql="SELECT id, n FROM t WHERE id = :x")["result"]
    assert described["params"] == [{"name": ":x"}] and described["is_readonly"]
    assert described["cols"] == [{"name": "id", "decltype": "INT"}, {"name": "n", "decltype": "TEXT"}]
    assert socket.one("get_autocommit", stream_id=1)["is_autocommit"] is True
    socket.execute(1, "BEGIN")
    assert socket.one("get_autocommit", stream_id=1)["is_autocommit"] is False
    socket.execute(1, "ROLLBACK")
    assert socket.one("get_autocommit", stream_id=1)["is_autocommit"] is True


def test_stored_sql_is_the_connections(socket):
    socket.open(1), socket.open(2)
    socket.one("store_sql", sql_id=-7, sql="SELECT ?")
    for stream in (1, 2):
        result = socket.one("execute", stream_id=stream,
                            stmt={"sql_id": -7, "args": [{"type": "integer", "value": "4"}]})
        assert rows_of(result["result"]) == [[4]]
    assert socket.one("describe", stream_id=1, sql_id=-7)["result"]["params"] == [{"name": None}]
    assert socket.fails("sequence", stream_id=2, sql_id=-7) == "ARGS_INVALID"
    made = socket.one("batch", stream_id=2, batch={"steps": [{"stmt": {"sql_id": -7}}]})
    assert made["result"]["step_errors"][0]["code"] == "ARGS_INVALID"
    socket.one("close_sql", sql_id=-7)
    socket.one("close_sql", sql_id=-7)
    socket.one("store_sql", sql_id=-7, sql="SELECT 5")
    assert rows_of(socket.one("execute", stream_id=1, stmt={"sql_id": -7})["result"]) == [[5]]


def test_a_stored_text_holds_for_requests_sent_before_it_was_closed(socket):
    """Behind a transaction that waits for the lock."""
    socket.open(1), socket.open(2)
    socket.execute(1, "CREATE TABLE t(v)")
    socket.execute(1, "BEGIN IMMEDIATE")
    socket.one("store_sql", sql_id=1, sql="INSERT INTO t VALUES(1)")
    begun = socket.send("execute", stream_id=2, stmt=stmt("BEGIN IMMEDIATE"))
    waiting = socket.send("execute", stream_id=2, stmt={"sql_id": 1})
    socket.one("close_sql", sql_id=1)
    socket.one("store_sql", sql_id=1, sql="INSERT INTO t VALUES(2)")
    socket.execute(1, "COMMIT")
    assert socket.answer(begun)["type"] == "execute" and socket.answer(waiting)["type"] == "execute"
    assert socket.query(2, "SELECT v FROM t") == [[1]]


def test_too_many_stored_texts_are_an_error_and_no_more(socket):
    socket.open(1)
    for i in range(150):
        socket.one("store_sql", sql_id=i, sql="SELECT 1")
    assert socket.fails("store_sql", sql_id=150, sql="SELECT 1") == "SQL_STORE_TOO_MANY"
    assert "code" in socket.ask("execute", stream_id=1, stmt={"sql_id": 150})
    socket.one("close_sql", sql_id=3)
    socket.one("store_sql", sql_id=150, sql="SELECT 150")
    assert rows_of(socket.one("execute", stream_id=1, stmt={"sql_id": 150})["result"]) == [[150]]


# -- ahead of the answers ---------------------------------------------------------------------------


@pytest.mark.parametrize("subprotocol", ALL)
def test_everything_may_be_sent_at_once(database, subprotocol):
    """hello, open_stream, store_sql, execute, close_stream in one write, as @libsql/client does."""
    with HranaSocket(database, subprotocol, hello=False) as socket:
        socket.send_hello()
        sent = [socket.send("open_stream", stream_id=1),
                socket.send("execute", stream_id=1, stmt=stmt("SELECT 1")),
                socket.send("batch", stream_id=1, batch=batch("SELECT 2")["batch"]),
                socket.send("close_stream", stream_id=1)]
        assert socket.receive() == {"type": "hello_ok"}
        assert [socket.answer(i)["type"] for i in sent] == [
            "open_stream", "execute", "batch", "close_stream"]


def test_one_write_with_a_token_nobody_has_looked_up(start_server):
    """What came behind a hello that takes its time is not lost, nor taken too early."""
    from api import Admin
    server = start_server()
    database = Admin(server).tenant().database()
    socket = Socket(server, f"/{database.tenant}/{database.slug}", ["hrana2"])
    messages = [{"type": "hello", "jwt": database.api.token}]
    for i, request in enumerate([
            {"type": "open_stream", "stream_id": 3},
            {"type": "execute", "stream_id": 3, "stmt": stmt("CREATE TABLE t(v)")},
            {"type": "execute", "stream_id": 3, "stmt": stmt("INSERT INTO t VALUES(1)")},
            {"type": "execute", "stream_id": 3, "stmt": stmt("SELECT * FROM t")}]):
        messages.append({"type": "request", "request_id": i, "request": request})
    socket.send(b"".join(frame(TEXT, json.dumps(m)) for m in messages))
    got = [json.loads(socket.receive_text()) for _ in messages]
    assert got[0] == {"type": "hello_ok"}
    assert [m["request_id"] for m in got[1:]] == [0, 1, 2, 3]
    assert rows_of(got[-1]["response"]["result"]) == [[1]]
    socket.connection.close()


def test_requests_of_a_stream_run_in_order(socket):
    socket.open(1)
    socket.execute(1, "CREATE TABLE t(v)")
    sent = []
    for i in range(200):
        sent.append(socket.send("execute", stream_id=1, stmt=stmt("INSERT INTO t VALUES(?)", i)))
        sent.append(socket.send("execute", stream_id=1, stmt=stmt("SELECT max(v), count(*) FROM t")))
    for i in range(200):
        assert socket.answer(sent[2 * i])["type"] == "execute"
        assert rows_of(socket.answer(sent[2 * i + 1])["result"]) == [[i, i + 1]]


def test_streams_do_not_wait_for_each_other(socket):
    """One waits for the lock that another holds; a third reads, and the holder goes on."""
    for stream in (1, 2, 3):
        socket.open(stream)
    socket.execute(1, "CREATE TABLE t(v)")
    socket.execute(1, "BEGIN IMMEDIATE")
    waiting = socket.send("execute", stream_id=2, stmt=stmt("INSERT INTO t VALUES(2)"))
    assert socket.query(3, "SELECT count(*) FROM t") == [[0]]
    socket.execute(1, "INSERT INTO t VALUES(1)")
    assert waiting not in socket.answers
    socket.execute(1, "COMMIT")
    assert socket.answer(waiting)["type"] == "execute"
    assert socket.query(3, "SELECT v FROM t ORDER BY rowid") == [[1], [2]]


def test_interleaved_transactions_see_only_their_own(socket):
    socket.open(1), socket.open(2)
    socket.execute(1, "CREATE TABLE t(v)")
    socket.execute(1, "BEGIN"), socket.execute(2, "BEGIN")
    assert socket.query(2, "SELECT count(*) FROM t") == [[0]]
    socket.execute(1, "INSERT INTO t VALUES(1)")
    socket.execute(1, "COMMIT")
    assert socket.query(2, "SELECT count(*) FROM t") == [[0]]
    assert socket.fails_to_execute(2, "INSERT INTO t VALUES(2)") == "SQLITE_BUSY"
    socket.execute(2, "ROLLBACK")
    assert socket.query(2, "SELECT count(*) FROM t") == [[1]]


def test_ids_are_free_again_once_closed(socket):
    for i in range(50):
        sent = [socket.send("open_stream", request_id=0, stream_id=-1),
                socket.send("execute", request_id=1, stream_id=-1, stmt=stmt("SELECT ?", i)),
                socket.send("close_stream", request_id=2, stream_id=-1)]
        assert socket.answer(sent[0])["type"] == "open_stream"
        assert rows_of(socket.answer(sent[1])["result"]) == [[i]]
        assert socket.answer(sent[2])["type"] == "close_stream"


def test_closing_a_stream_rolls_back(socket):
    socket.open(1)
    socket.execute(1, "CREATE TABLE t(v)")
    socket.execute(1, "BEGIN IMMEDIATE")
    socket.execute(1, "INSERT INTO t VALUES(1)")
    socket.one("close_stream", stream_id=1)
    socket.open(1)
    assert socket.query(1, "SELECT count(*) FROM t") == [[0]]
    socket.execute(1, "INSERT INTO t VALUES(1)")


def test_a_thousand_streams(socket):
    ids = [i * 7919 - 2**31 for i in range(1000)]
    sent = [(socket.send("open_stream", stream_id=i),
             socket.send("execute", stream_id=i, stmt=stmt("SELECT ?", i))) for i in ids]
    for i, (opened, executed) in zip(ids, sent):
        assert socket.answer(opened)["type"] == "open_stream"
        assert rows_of(socket.answer(executed)["result"]) == [[i]]
    for i in ids[::2]:
        socket.one("close_stream", stream_id=i)
    for i in ids[::2]:
        socket.open(i)


def test_over_the_limit_a_stream_fails_and_keeps_its_id(database):
    with HranaSocket(database) as socket:
        opened = [socket.send("open_stream", stream_id=i) for i in range(2000)]
        assert all("type" in socket.answer(i) for i in opened)
        assert socket.fails("open_stream", stream_id=2000) == "OVERLOADED"
        assert socket.fails_to_execute(2000, "SELECT 1") == "OVERLOADED"
        assert socket.query(5, "SELECT 1") == [[1]]
        socket.one("close_stream", stream_id=2000)
        socket.one("close_stream", stream_id=0)
        socket.open(2000)
        assert socket.query(2000, "SELECT 1") == [[1]]


# -- cursors ----------------------------------------------------------------------------------------


def fetch_all(socket, cursor_id, max_count):
    entries = []
    while True:
        got = socket.one("fetch_cursor", cursor_id=cursor_id, max_count=max_count)
        assert len(got["entries"]) <= max_count
        entries += got["entries"]
        if got["done"]:
            return entries


MANY = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<60000) "
        "SELECT i, 'some text that fills the answer up to more than one chunk' FROM n")


def test_cursors_give_a_batch_entry_by_entry(socket):
    socket.open(1)
    socket.execute(1, "CREATE TABLE t(id INTEGER PRIMARY KEY)")
    socket.one("open_cursor", stream_id=1, cursor_id=9, batch=batch(
        "SELECT 1 AS a", step("SELECT 0", {"type": "error", "step": 0}),
        "INSERT INTO t VALUES(4)", "INSERT INTO t VALUES(4)")["batch"])
    entries = fetch_all(socket, 9, 2)
    assert [e["type"] for e in entries] == [
        "step_begin", "row", "step_end", "step_begin", "step_end", "step_error"]
    assert [e.get("step") for e in entries] == [0, None, None, 2, None, 3]
    assert entries[4]["affected_row_count"] == 1 and entries[4]["last_insert_rowid"] == "4"
    assert entries[5]["error"]["code"] == "SQLITE_CONSTRAINT"
    assert socket.one("fetch_cursor", cursor_id=9, max_count=1) == {
        "type": "fetch_cursor", "entries": [], "done": True}
    assert socket.fails_to_execute(1, "SELECT 1") == "PROTOCOL_ERROR"
    socket.one("close_cursor", cursor_id=9)
    assert socket.query(1, "SELECT id FROM t") == [[4]]


@pytest.mark.parametrize("inside", (False, True))
def test_a_long_cursor_streams_every_row_once(socket, inside):
    socket.open(1), socket.open(2)
    if inside:
        socket.execute(1, "BEGIN IMMEDIATE")
    socket.one("open_cursor", stream_id=1, cursor_id=1, batch=batch(MANY)["batch"])
    entries = fetch_all(socket, 1, 1000)
    rows = [int(e["row"][0]["value"]) for e in entries if e["type"] == "row"]
    assert rows == list(range(1, 60001))
    assert [entries[0]["type"], entries[-1]["type"]] == ["step_begin", "step_end"]
    socket.one("close_cursor", cursor_id=1)
    assert socket.one("get_autocommit", stream_id=1)["is_autocommit"] is not inside


def test_a_cursor_nobody_fetches_disturbs_no_other_stream(socket):
    socket.open(1), socket.open(2)
    socket.one("open_cursor", stream_id=1, cursor_id=1, batch=batch(MANY)["batch"])
    (first,) = socket.one("fetch_cursor", cursor_id=1, max_count=1)["entries"]
    assert first["type"] == "step_begin"
    socket.execute(2, "CREATE TABLE t(v)")
    for i in range(20):
        socket.execute(2, "INSERT INTO t VALUES(?)", i)
    socket.one("close_cursor", cursor_id=1)
    assert socket.query(1, "SELECT count(*) FROM t") == [[20]]


def test_a_cursor_opened_fetched_and_closed_without_waiting(socket):
    socket.open(1)
    for i in range(20):
        sent = [socket.send("open_cursor", stream_id=1, cursor_id=3, batch=batch(MANY)["batch"]),
                socket.send("fetch_cursor", cursor_id=3, max_count=5),
                socket.send("close_cursor", cursor_id=3),
                socket.send("execute", stream_id=1, stmt=stmt("SELECT ?", i))]
        assert [socket.answer(s)["type"] for s in sent[:3]] == [
            "open_cursor", "fetch_cursor", "close_cursor"]
        assert rows_of(socket.answer(sent[3])["result"]) == [[i]]


def test_closing_the_stream_closes_its_cursor(socket):
    socket.open(1)
    socket.one("open_cursor", stream_id=1, cursor_id=3, batch=batch(MANY)["batch"])
    socket.one("close_stream", stream_id=1)
    socket.open(1)
    socket.one("open_cursor", stream_id=1, cursor_id=3, batch=batch("SELECT 1")["batch"])
    assert len(fetch_all(socket, 3, 100)) == 3


def test_a_cursor_that_fails_keeps_its_id_and_says_so(socket):
    socket.open(1)
    socket.one("open_cursor", stream_id=1, cursor_id=1, batch=batch("SELECT 1")["batch"])
    assert socket.fails("open_cursor", stream_id=1, cursor_id=2,
                        batch=batch("SELECT 1")["batch"]) == "PROTOCOL_ERROR"
    assert socket.fails("fetch_cursor", cursor_id=2, max_count=1) == "PROTOCOL_ERROR"
    socket.one("close_cursor", cursor_id=2)
    socket.one("close_cursor", cursor_id=1)
    socket.one("open_cursor", stream_id=1, cursor_id=2, batch=batch("SELECT 1; SELECT 2")["batch"])
    (entry,) = fetch_all(socket, 2, 10)
    assert entry["type"] == "error" and entry["error"]["code"] == "SQL_MANY_STATEMENTS"
