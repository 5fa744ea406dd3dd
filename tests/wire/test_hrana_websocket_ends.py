"""Hrana over WebSocket: what goes wrong, and how connections, streams and tokens end."""

import json
import signal
import threading
import time

import pytest

from api import Admin
from hrana import batch, stmt
from hrana_socket import HranaSocket
from server import PATIENCE
from websocket import BINARY, TEXT, Socket, close_frame, frame


def open_socket(database, subprotocol="hrana3", path=None):
    path = f"/{database.tenant}/{database.slug}" if path is None else path
    return Socket(database.api.server, path, [subprotocol])


def say(socket, message):
    socket.send(frame(TEXT, json.dumps(message)))


def hello_error(socket, token):
    """The code of the error that hello is answered with, after which the connection ends."""
    say(socket, {"type": "hello", "jwt": token})
    message = json.loads(socket.receive_text())
    assert message["type"] == "hello_error" and set(message["error"]) == {"message", "code"}
    socket.expect_close(1000)
    return message["error"]["code"]


def gauge(server, name, **labels):
    text = Admin(server).api.raw("GET", "/metrics").body.decode()
    rows = [row for row in text.splitlines() if row.startswith(name) and
            all(f'{k}="{v}"' in row for k, v in labels.items())]
    return sum(float(row.split()[-1]) for row in rows)


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds * PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def is_empty(server):
    return (gauge(server, "rookery_streams") == 0 and gauge(server, "rookery_websockets") == 0)


LONG = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1000000) "
        "SELECT i, 'much more than one chunk of text' FROM n")


# -- hello ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token, code", [
    (None, "AUTH_HEADER_NOT_FOUND"), ("", "AUTH_HEADER_NOT_FOUND"), ("None", "AUTH_JWT_INVALID"),
    ("a\0b", "AUTH_JWT_INVALID"), ("rk_nothing", "AUTH_JWT_INVALID")])
def test_hello_without_a_good_token(database, token, code):
    assert hello_error(open_socket(database), token) == code


def test_hello_without_the_member_jwt(database):
    socket = open_socket(database)
    say(socket, {"type": "hello"})
    assert json.loads(socket.receive_text())["error"]["code"] == "AUTH_HEADER_NOT_FOUND"
    socket.expect_close(1000)


def test_hello_for_what_is_not_there(database):
    token = database.api.token
    assert hello_error(open_socket(database, path="/nobody/main"), token) == "NAMESPACE_MISMATCH"
    assert hello_error(open_socket(database, path=f"/{database.tenant}/none"),
                       token) == "NAMESPACE_DOESNT_EXIST"


def test_what_comes_behind_a_bad_hello_is_not_run(database):
    socket = open_socket(database)
    say(socket, {"type": "hello", "jwt": "bad"})
    say(socket, {"type": "request", "request_id": 1, "request": {"type": "open_stream", "stream_id": 1}})
    assert json.loads(socket.receive_text())["type"] == "hello_error"
    socket.expect_close(1000)


def test_a_second_hello(database, tenant):
    with HranaSocket(database, "hrana2") as socket:
        socket.open(1)
        socket.execute(1, "CREATE TABLE t(v)")
        socket.send_hello(tenant.token("readonly")["token"])
        assert socket.receive() == {"type": "hello_ok"}
        assert socket.query(1, "SELECT count(*) FROM t") == [[0]]
        assert socket.fails_to_execute(1, "INSERT INTO t VALUES(1)") == "SQLITE_AUTH"
        socket.send_hello()
        assert socket.receive() == {"type": "hello_ok"}
        socket.execute(1, "INSERT INTO t VALUES(1)")
        assert hello_error(socket.socket, "bad") == "AUTH_JWT_INVALID"


def test_a_second_hello_takes_version_2(database):
    with HranaSocket(database, "hrana1") as socket:
        socket.send_hello()
        socket.socket.expect_close(1008)


def test_a_second_hello_with_the_token_of_another_database(server, tenant):
    """At the root the token says which database it is."""
    one, two = tenant.database("one"), tenant.database("two")
    for place, value in ((one, 1), (two, 2)):
        place.query("CREATE TABLE t(v)")
        place.query(f"INSERT INTO t VALUES({value})")
    only = {slug: tenant.token("readwrite", databases=[slug])["token"] for slug in ("one", "two")}
    with HranaSocket(one, path="/", token=only["one"]) as socket:
        socket.open(1)
        assert socket.query(1, "SELECT v FROM t") == [[1]]
        socket.send_hello(only["two"])
        socket.socket.expect_close(1008)


# -- the protocol broken ----------------------------------------------------------------------------

OPEN = {"type": "open_stream", "stream_id": 1}
RUN = {"type": "execute", "stream_id": 1, "stmt": {"sql": "SELECT 1"}}
BATCH = {"steps": [{"stmt": {"sql": "SELECT 1"}}]}


def request(request, request_id=1):
    return {"type": "request", "request_id": request_id, "request": request}


@pytest.mark.parametrize("text, code", [
    ("", 1007), ("{", 1007), ("[]", 1007), ("{}", 1007), ('{"type":"nothing"}', 1007),
    ('{"type":"hello","jwt":1}', 1007), ('{"type":"request","request_id":1}', 1007),
    (json.dumps(request({"type": "nothing"})), 1007),
    (json.dumps(request({"type": "open_stream"})), 1007),
    (json.dumps(request({"type": "open_stream", "stream_id": 2**31})), 1007),
    (json.dumps(request({"type": "execute", "stream_id": 1, "stmt": {"sql": "", "args": [
        {"type": "integer", "value": 1}]}})), 1007),
    (json.dumps(request({"type": "\u00e9" * 70})), 1007),
    ("[" * 100000, 1007)])
def test_messages_that_are_none(database, text, code):
    with HranaSocket(database) as socket:
        socket.socket.text(text)
        socket.socket.expect_close(code)


def test_protobuf_that_is_none(database):
    for payload in (b"", b"\x0a", b"\xff", b"\x12\x02\x08\x01"):
        with HranaSocket(database, "hrana3-protobuf") as socket:
            socket.socket.send(frame(BINARY, payload))
            socket.socket.expect_close(1007)


def test_the_wrong_kind_of_frame(database):
    with HranaSocket(database) as socket:
        socket.socket.send(frame(BINARY, "{}"))
        socket.socket.expect_close(1003)
    with HranaSocket(database, "hrana3-protobuf") as socket:
        socket.socket.text("{}")
        socket.socket.expect_close(1003)


def test_a_request_before_hello(database):
    socket = open_socket(database)
    say(socket, request(OPEN))
    assert "hello" in socket.expect_close(1008)


BROKEN = {
    "a stream nobody opened": ("hrana3", [RUN]),
    "closing a stream nobody opened": ("hrana3", [{"type": "close_stream", "stream_id": 1}]),
    "a stream closed before": ("hrana3", [OPEN, {"type": "close_stream", "stream_id": 1}, RUN]),
    "a stream opened twice": ("hrana3", [OPEN, OPEN]),
    "a text nobody stored": ("hrana3", [OPEN, {**RUN, "stmt": {"sql_id": 5}}]),
    "a text nobody stored, in a batch": ("hrana3", [OPEN, {
        "type": "batch", "stream_id": 1, "batch": {"steps": [{"stmt": {"sql_id": 5}}]}}]),
    "a text stored twice": ("hrana3", [{"type": "store_sql", "sql_id": 1, "sql": "x"}] * 2),
    "a text closed before": ("hrana2", [OPEN, {"type": "store_sql", "sql_id": 1, "sql": "SELECT 1"},
                                        {"type": "close_sql", "sql_id": 1},
                                        {**RUN, "stmt": {"sql_id": 1}}]),
    "neither text nor number": ("hrana3", [OPEN, {**RUN, "stmt": {}}]),
    "text and number": ("hrana3", [OPEN, {**RUN, "stmt": {"sql": "x", "sql_id": 1}}]),
    "a condition on a later step": ("hrana3", [OPEN, {"type": "batch", "stream_id": 1, "batch": {
        "steps": [{"condition": {"type": "ok", "step": 0}, "stmt": {"sql": "SELECT 1"}}]}}]),
    "a cursor nobody opened": ("hrana3", [{"type": "fetch_cursor", "cursor_id": 1, "max_count": 1}]),
    "closing a cursor nobody opened": ("hrana3", [{"type": "close_cursor", "cursor_id": 1}]),
    "a cursor opened twice": ("hrana3", [OPEN, {"type": "open_stream", "stream_id": 2}, *(
        {"type": "open_cursor", "stream_id": i, "cursor_id": 1, "batch": BATCH} for i in (1, 2))]),
    "a cursor of a closed stream": ("hrana3", [
        OPEN, {"type": "open_cursor", "stream_id": 1, "cursor_id": 1, "batch": BATCH},
        {"type": "close_stream", "stream_id": 1},
        {"type": "fetch_cursor", "cursor_id": 1, "max_count": 1}]),
    "sequence in version 1": ("hrana1", [OPEN, {"type": "sequence", "stream_id": 1, "sql": ""}]),
    "stored text in version 1": ("hrana1", [{"type": "store_sql", "sql_id": 1, "sql": ""}]),
    "autocommit in version 2": ("hrana2", [OPEN, {"type": "get_autocommit", "stream_id": 1}]),
    "a cursor in version 2": ("hrana2", [OPEN, {"type": "open_cursor", "stream_id": 1,
                                                "cursor_id": 1, "batch": BATCH}]),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_protocol_ends_the_connection_with_a_reason(database, what):
    subprotocol, requests = BROKEN[what]
    with HranaSocket(database, subprotocol) as socket:
        for one in requests[:-1]:
            socket.send(one["type"], **{k: v for k, v in one.items() if k != "type"})
        last = requests[-1]
        socket.send(last["type"], **{k: v for k, v in last.items() if k != "type"})
        answered = 0
        while True:
            opcode, payload = socket.socket.receive()
            if opcode == 8:
                break
            assert json.loads(payload)["type"] == "response_ok", payload
            answered += 1
        assert int.from_bytes(payload[:2], "big") == 1008 and len(payload) > 8, payload
        assert answered <= len(requests) - 1  # a stream's end may wait for what runs on it


def test_a_read_only_token_writes_in_vain_and_goes_on(database, tenant):
    database.query("CREATE TABLE t(v)")
    with HranaSocket(database, token=tenant.token("readonly")["token"]) as socket:
        socket.open(1)
        assert socket.fails_to_execute(1, "INSERT INTO t VALUES(1)") == "SQLITE_AUTH"
        assert socket.query(1, "SELECT count(*) FROM t") == [[0]]


# -- tokens and databases that end -------------------------------------------------------------------


def test_a_revoked_token_ends_the_connection_and_rolls_back(start_server):
    server = start_server()
    tenant = Admin(server).tenant()
    database = tenant.database()
    database.query("CREATE TABLE t(v)")
    token = tenant.token("readwrite")
    with HranaSocket(database, token=token["token"]) as socket:
        socket.open(1)
        socket.execute(1, "BEGIN IMMEDIATE")
        socket.execute(1, "INSERT INTO t VALUES(1)")
        tenant.owner.delete(f"/v1/tokens/{token['id']}").ok()
        socket.send("execute", stream_id=1, stmt=stmt("COMMIT"))
        message = socket.receive()
        assert message["type"] == "hello_error" and message["error"]["code"] == "AUTH_JWT_INVALID"
        socket.socket.expect_close(1000)
    assert database.rows("SELECT count(*) FROM t") == [[0]]


def test_a_token_that_expires_meanwhile_ends_the_connection(database, tenant):
    with HranaSocket(database, token=tenant.token("readonly", expiresIn=1)["token"]) as socket:
        socket.open(1)
        message, expired = {}, []

        def ask():
            socket.send("execute", stream_id=1, stmt=stmt("SELECT 1"))
            message.update(socket.receive())
            expired.append(message["type"] == "hello_error")
            return expired[-1]

        wait_until(ask)
        assert len(expired) > 1 and message["error"]["code"] == "AUTH_JWT_EXPIRED"
        socket.socket.expect_close(1000)


def test_a_tokens_rate_counts_requests(database, tenant):
    token = tenant.token("readonly", rateLimit={"perSecond": 1, "burst": 5})["token"]
    with HranaSocket(database, token=token) as socket:
        socket.open(1)
        sent = [socket.send("execute", stream_id=1, stmt=stmt("SELECT 1")) for _ in range(40)]
        codes = [socket.answer(i).get("code") for i in sent]
        assert codes[0] is None and codes.count("RATE_LIMITED") >= 30, codes
        assert set(codes) == {None, "RATE_LIMITED"}
        socket.one("close_stream", stream_id=1)


def test_other_changes_of_the_tenant_leave_the_connection_alone(database, tenant):
    with HranaSocket(database) as socket:
        socket.open(1)
        socket.execute(1, "BEGIN")
        for i in range(3):
            tenant.database(f"other{i}")
            tenant.token("readonly")
            assert socket.query(1, "SELECT 1") == [[1]]
        assert socket.one("get_autocommit", stream_id=1)["is_autocommit"] is False


def test_a_deleted_database_ends_the_connection(database, tenant):
    with HranaSocket(database) as socket:
        socket.open(1)
        socket.execute(1, "CREATE TABLE t(v)")
        tenant.owner.delete(f"/v1/databases/{database.slug}").ok()
        socket.send("execute", stream_id=1, stmt=stmt("SELECT * FROM t"))
        assert socket.receive()["error"]["code"] == "NAMESPACE_DOESNT_EXIST"
        socket.socket.expect_close(1000)


# -- time -------------------------------------------------------------------------------------------


def test_an_idle_transaction_ends_and_its_client_is_told(start_server):
    server = start_server("--stream-idle", "300ms")
    database = Admin(server).tenant().database()
    with HranaSocket(database) as socket:
        socket.open(1), socket.open(2)
        socket.execute(1, "CREATE TABLE t(v)")
        socket.execute(1, "BEGIN IMMEDIATE")
        socket.execute(1, "INSERT INTO t VALUES(1)")
        socket.execute(2, "INSERT INTO t VALUES(2)")  # waits for the lock, which the limit gives back
        sent = [socket.send("execute", stream_id=1, stmt=stmt(sql))
                for sql in ("INSERT INTO t VALUES(3)", "COMMIT")]
        assert [socket.answer(i)["code"] for i in sent] == ["STREAM_EXPIRED"] * 2
        assert socket.query(2, "SELECT v FROM t") == [[2]]
        socket.one("close_stream", stream_id=1)
        socket.open(1)
        assert socket.query(1, "SELECT v FROM t") == [[2]]


def test_a_transaction_that_others_wait_for_gives_way_and_its_client_is_told(start_server):
    server = start_server("--transaction-steal", "200ms")
    database = Admin(server).tenant().database()
    with HranaSocket(database) as socket:
        socket.open(1), socket.open(2)
        socket.execute(1, "CREATE TABLE t(v)")
        socket.execute(1, "BEGIN IMMEDIATE")
        socket.execute(1, "INSERT INTO t VALUES(1)")
        socket.execute(2, "INSERT INTO t VALUES(2)")
        sent = [socket.send("execute", stream_id=1, stmt=stmt(sql))  # not half of it
                for sql in ("INSERT INTO t VALUES(3)", "INSERT INTO t VALUES(4)", "COMMIT")]
        assert [socket.answer(i)["code"] for i in sent] == ["TRANSACTION_TIMEOUT"] * 3
        assert socket.query(2, "SELECT v FROM t") == [[2]]
        socket.one("close_stream", stream_id=1)
        socket.open(1)
        socket.execute(1, "INSERT INTO t VALUES(5)")


def test_a_stream_without_a_transaction_sleeps_as_long_as_it_likes(start_server):
    server = start_server("--stream-idle", "200ms")
    database = Admin(server).tenant().database()
    with HranaSocket(database) as socket:
        socket.open(1)
        socket.execute(1, "CREATE TABLE t(id INTEGER PRIMARY KEY)")
        for sql in ("BEGIN", "INSERT INTO t VALUES(7)", "COMMIT"):
            socket.execute(1, sql)
        wait_until(lambda: gauge(server, "rookery_lanes", kind="stream") == 0)
        assert socket.query(1, "SELECT last_insert_rowid()") == [[7]]
        for sql in ("BEGIN", "INSERT INTO t VALUES(8)", "COMMIT"):
            socket.execute(1, sql)


@pytest.mark.parametrize("inside", (False, True))
def test_a_cursor_nobody_fetches_ends(start_server, inside):
    """With what it held: a lane, and in a transaction the lock."""
    server = start_server("--stream-max", "400ms", "--stream-idle", "300ms")
    database = Admin(server).tenant().database()
    with HranaSocket(database) as socket:
        socket.open(1), socket.open(2)
        socket.execute(2, "CREATE TABLE t(v)")
        if inside:
            socket.execute(1, "BEGIN IMMEDIATE")
        socket.one("open_cursor", stream_id=1, cursor_id=1, batch=batch(LONG)["batch"])
        if inside:  # waits for the lock
            socket.execute(2, "INSERT INTO t VALUES(2)")
        entries = []
        wait_until(lambda: entries_until_error(socket, entries))
        assert entries[-1]["type"] in ("error", "step_error"), entries[-1]
        socket.one("close_cursor", cursor_id=1)
        assert socket.query(2, "SELECT count(*) FROM t") == [[int(inside)]]
    wait_until(lambda: is_empty(server))


def entries_until_error(socket, entries):
    """One entry, and after a time in which the cursor stood still the rest of what there is."""
    got = socket.one("fetch_cursor", cursor_id=1, max_count=1)
    entries += got["entries"]
    if entries[-1]["type"].endswith("error"):
        return True
    assert socket.socket.connection.is_quiet(0.5)
    entries += socket.one("fetch_cursor", cursor_id=1, max_count=100000)["entries"]
    return entries[-1]["type"].endswith("error")


def test_a_stopping_server_answers_what_runs_and_says_going_away(start_server):
    server = start_server()
    database = Admin(server).tenant().database()
    database.query("CREATE TABLE t(v)")
    idle, busy, cursor = (HranaSocket(database) for _ in range(3))
    busy.open(1)
    slow = busy.send("execute", stream_id=1, stmt=stmt(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200000) "
        "SELECT max(i) FROM n"))
    idle.open(1)
    idle.execute(1, "BEGIN IMMEDIATE")
    idle.execute(1, "INSERT INTO t VALUES(1)")
    cursor.open(1)
    cursor.one("open_cursor", stream_id=1, cursor_id=1, batch=batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1000000) "
        "SELECT i, 'much more than one chunk of text' FROM n")["batch"])
    cursor.one("fetch_cursor", cursor_id=1, max_count=1)
    server.process.send_signal(signal.SIGTERM)
    assert busy.answer(slow)["type"] == "execute"
    for one in (idle, busy, cursor):
        one.socket.expect_close(1001)
        one.close()
    assert server.process.wait(timeout=30 * PATIENCE) == 0


# -- connections that are lost ------------------------------------------------------------------------


def test_a_lost_connection_rolls_back_at_once(start_server):
    server = start_server("--stream-idle", "1h", "--stream-max", "1h", "--lock-wait", "1h")
    database = Admin(server).tenant().database()
    database.query("CREATE TABLE t(v)")
    for end in ("reset", "close", "frame"):
        lost = HranaSocket(database)
        lost.open(1)
        lost.execute(1, "BEGIN IMMEDIATE")
        lost.execute(1, "INSERT INTO t VALUES(1)")
        if end == "frame":
            lost.socket.send(close_frame(1000))
            lost.socket.expect_close(1000)
        getattr(lost.socket.connection, "reset" if end == "reset" else "close")()
        with HranaSocket(database) as other:
            other.open(1)
            other.execute(1, "BEGIN IMMEDIATE")  # waits for the lock, for no limit would free it
            assert other.query(1, "SELECT count(*) FROM t") == [[0]]
            other.execute(1, "COMMIT")
    wait_until(lambda: is_empty(server))


def conversation(database, subprotocol):
    """What a client might say, as the bytes of each message."""
    socket = HranaSocket(database, subprotocol)
    long = ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100000) "
            "SELECT i, 'more than one chunk of text' FROM n")
    requests = [
        ("open_stream", {"stream_id": 1}), ("open_stream", {"stream_id": 2}),
        ("store_sql", {"sql_id": 1, "sql": "INSERT INTO t VALUES(?)"}),
        ("execute", {"stream_id": 1, "stmt": stmt("BEGIN IMMEDIATE")}),
        ("execute", {"stream_id": 1, "stmt": {"sql_id": 1, "args": [{"type": "null"}]}}),
        ("execute", {"stream_id": 2, "stmt": stmt("BEGIN IMMEDIATE")}),
        ("execute", {"stream_id": 2, "stmt": stmt("INSERT INTO t VALUES(2)")}),
        ("describe", {"stream_id": 1, "sql": "SELECT * FROM t"}),
        ("batch", {"stream_id": 1, "batch": batch("SELECT 1", "SELECT count(*) FROM t")["batch"]}),
        ("sequence", {"stream_id": 1, "sql": "SELECT 1; INSERT INTO t VALUES(3)"}),
        ("get_autocommit", {"stream_id": 1}),
        ("open_cursor", {"stream_id": 1, "cursor_id": 1, "batch": batch(long, "SELECT 2")["batch"]}),
        ("fetch_cursor", {"cursor_id": 1, "max_count": 10}),
        ("fetch_cursor", {"cursor_id": 1, "max_count": 100000}),
        ("close_cursor", {"cursor_id": 1}),
        ("open_cursor", {"stream_id": 1, "cursor_id": 2, "batch": batch(long)["batch"]}),
        ("fetch_cursor", {"cursor_id": 2, "max_count": 1}),
        ("open_stream", {"stream_id": 3}),
        ("open_cursor", {"stream_id": 3, "cursor_id": 3, "batch": batch(long)["batch"]}),
        ("close_sql", {"sql_id": 1}), ("close_stream", {"stream_id": 1}),
        ("close_stream", {"stream_id": 2}), ("close_stream", {"stream_id": 3})]
    socket.close()
    frames = [socket.frame_of({"type": "hello", "jwt": socket.token})]
    for i, (kind, fields) in enumerate(requests):
        frames.append(socket.frame_of({"type": "request", "request_id": i,
                                       "request": {"type": kind, **fields}}))
    return frames


@pytest.mark.parametrize("subprotocol", ("hrana3", "hrana3-protobuf"))
def test_connections_cut_at_every_message(start_server, subprotocol):
    """In one write up to there, with and without half of the next message, gone at once or after
    the first answers came. Others go on, and in the end nothing is left."""
    server = start_server("--stream-idle", "1h", "--stream-max", "1h")
    database = Admin(server).tenant().database()
    database.query("CREATE TABLE t(v)")
    frames = conversation(database, subprotocol)
    stop, counts, problems = threading.Event(), [], []

    def go_on():
        try:
            with HranaSocket(database) as other:
                other.open(1)
                while not stop.is_set():
                    other.query(1, "SELECT count(*) FROM t")
                    counts.append(1)
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=go_on)
    thread.start()
    path = f"/{database.tenant}/{database.slug}"
    for cut in range(len(frames) + 1):
        for rest in (b"", frames[cut][:len(frames[cut]) // 2] if cut < len(frames) else b""):
            for answers in (0, min(cut, 4)):
                socket = Socket(server, path, [subprotocol], rest=b"".join(frames[:cut]) + rest)
                for _ in range(answers):
                    socket.receive()
                socket.connection.reset() if cut % 2 else socket.connection.close()
    seen = len(counts)
    wait_until(lambda: len(counts) > seen + 10 or problems)
    stop.set()
    thread.join()
    assert not problems, problems
    wait_until(lambda: is_empty(server))
    wait_until(lambda: gauge(server, "rookery_lanes", kind="stream") == 0)
    with HranaSocket(database, subprotocol) as socket:
        socket.open(1)
        socket.execute(1, "BEGIN IMMEDIATE")
        socket.execute(1, "COMMIT")


def test_a_client_that_reads_nothing_holds_no_more_than_it_may(start_server):
    """Requests whose answers nobody takes are not begun; the client is cut off in the end."""
    server = start_server("--slow-reader", "1s")
    database = Admin(server).tenant().database()
    socket = HranaSocket(database)
    socket.open(1)
    big = stmt("SELECT printf('%.*c', 1000000, 'x')")
    for _ in range(300):
        socket.send("execute", stream_id=1, stmt=big)
    wait_until(lambda: gauge(server, "rookery_websockets") == 0, 60)
    wait_until(lambda: is_empty(server))
    assert resident_mb(server) < 250
    socket.close()


def resident_mb(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        (row,) = [line for line in status if line.startswith("VmHWM")]
    return int(row.split()[1]) / 1024


def test_many_sockets_against_a_serial_model(database, rng):
    """Transactions that add one to a counter read before: none may be lost."""
    database.query("CREATE TABLE n(v)")
    database.query("INSERT INTO n VALUES(0)")
    committed, problems = [], []

    def add(seed):
        try:
            with HranaSocket(database) as socket:
                for i in range(6):
                    socket.open(i)
                    socket.execute(i, "BEGIN IMMEDIATE")
                    ((value,),) = socket.query(i, "SELECT v FROM n")
                    socket.execute(i, "UPDATE n SET v = ?", value + 1)
                    if (seed + value) % 5 > 0:
                        socket.execute(i, "COMMIT")
                        committed.append(1)
                    socket.one("close_stream", stream_id=i)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=add, args=(rng.randrange(5),)) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems
    assert database.rows("SELECT v FROM n") == [[len(committed)]]
