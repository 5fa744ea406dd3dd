"""Answers larger than memory should hold: streamed, in order, bounded, stopped when nobody reads."""

import json
import socket
import threading
import time

import pytest
from api import Admin, Api, Closed, Connection, parse_json
from server import PATIENCE, SANITIZER

ROWS = "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT {count}) "
WIDE = ROWS + "SELECT n, hex(zeroblob({half})) AS x FROM c"
ENDLESS = ROWS.replace(" LIMIT {count}", "") + "SELECT n, hex(zeroblob(500)) AS x FROM c"


def wide(count, bytes_of_text):
    return WIDE.format(count=count, half=bytes_of_text // 2)


def request(database, sql, version="1.1", more=""):
    body = json.dumps({"sql": sql}).encode()
    return (f"POST {database.path}/query HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {database.api.token}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
            ).encode() + body


def memory_mb(server, key):
    with open(f"/proc/{server.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key)) / 1024


def in_flight(server):
    """Requests the server works on, besides the one that asks."""
    stats = Api(server, server.operator_token).get("/v1/admin/stats").ok()
    return stats["process"]["requestsInFlight"] - 1


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds * PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def no_connection_is_left():
    """A stop waits for clients that do not read; none is left when a test fails."""
    yield
    while Half.made:
        Half.made.pop().close()


class Half:
    """A client that has asked, has seen the answer begin, and reads on only when told."""

    made = []

    def __init__(self, server, database, sql, buffer_bytes=65536):
        self.sock = socket.socket()
        Half.made.append(self)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self.sock.settimeout(15 * PATIENCE)
        self.sock.connect((server.host, server.port))
        self.sock.sendall(request(database, sql))
        self.got = self.sock.recv(4096)
        assert self.got.startswith(b"HTTP/1.1 200 "), self.got

    def take(self, count):
        """Reads about that much; False at the end: of the answer, or of the connection."""
        while count > 0:
            if self.is_whole():
                return False
            try:
                piece = self.sock.recv(min(count, 1 << 16))
            except ConnectionResetError:
                return False
            if not piece:
                return False
            self.got += piece
            count -= len(piece)
        return True

    def is_whole(self):
        return self.got.endswith(b"\r\n0\r\n\r\n")

    def rest(self):
        while self.take(1 << 20):
            pass
        return self.got

    def close(self, reset=False):
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()


# -- what arrives -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count, size", [(2000, 100_000), (300_000, 10), (1, 4_000_000), (40, 262_144)])
def test_a_large_result_arrives_whole_with_success_last(server, database, count, size):
    with Connection(server) as connection:
        response = connection.send(request(database, wide(count, size))).receive("POST")
    assert response.status == 200 and response.header("Transfer-Encoding") == "chunked"
    value = parse_json(response.body)
    assert list(value)[0] == "data" and list(value)[-2:] == ["success", "meta"], list(value)
    assert value["success"] is True
    assert list(value["data"])[:2] == ["columns", "rows"]
    rows = value["data"]["rows"]
    assert len(rows) == count and rows[0] == [1, "0" * size] and rows[-1] == [count, "0" * size]
    assert [row[0] for row in rows] == list(range(1, count + 1))
    assert value["meta"]["rowsRead"] >= count


def test_a_large_result_does_not_take_the_servers_memory(start_server):
    """200 MB of JSON through a server that stays small."""
    server = start_server()
    database = Admin(server).tenant().database()
    database.query(wide(100, 1000)).ok()
    before = memory_mb(server, "VmHWM")
    half = Half(server, database, wide(2000, 100_000))
    total = 0
    while half.take(1 << 20):
        total += len(half.got) - 100
        half.got = half.got[-100:]
    assert half.is_whole()
    half.close()
    assert total > 195_000_000, total
    if SANITIZER == "none":
        grown = memory_mb(server, "VmHWM") - before
        assert grown < 40, f"the server grew by {grown:.0f} MB"


def test_many_clients_that_pause_do_not_take_it_either(start_server):
    server = start_server("--readers", "8")
    admin = Admin(server)
    databases = [admin.tenant().database() for _ in range(4)]
    before = memory_mb(server, "VmRSS")
    halves = [Half(server, databases[i % 4], wide(2000, 100_000)) for i in range(16)]
    time.sleep(0.3)  # all of them stand still: nothing to wait for
    if SANITIZER == "none":
        assert memory_mb(server, "VmRSS") - before < 100
    for half in halves:
        half.close()
    wait_until(lambda: in_flight(server) == 0, 5, server.log_tail)


def test_a_small_result_is_not_chunked(server, database):
    with Connection(server) as connection:
        response = connection.send(request(database, wide(10, 100))).receive("POST")
    assert response.header("Content-Length") is not None


def test_requests_behind_a_streamed_answer_are_answered_in_order(server, database):
    with Connection(server) as connection:
        connection.send(request(database, wide(200, 10_000)) + request(database, "SELECT 'second'")
                        + request(database, wide(100, 10_000)) + request(database, "SELECT 'fourth'"))
        answers = [parse_json(connection.receive("POST").body)["data"]["rows"] for _ in range(4)]
    assert [len(rows) for rows in answers] == [200, 1, 100, 1]
    assert answers[1] == [["second"]] and answers[3] == [["fourth"]]


def test_a_client_of_http_1_0_gets_it_unchunked(server, database):
    with Connection(server) as connection:
        response = connection.send(request(database, wide(500, 10_000), "1.0")).receive("POST")
    assert response.header("Transfer-Encoding") is None
    assert len(parse_json(response.body)["data"]["rows"]) == 500


def test_what_cannot_stream_has_a_largest_size_and_says_so(server, database):
    """msgpack announces its counts first, and a batch its outcome."""
    large = wide(1200, 10_000)
    packed = database.seen_by(database.api.variant(use_msgpack=True))
    assert len(packed.query(wide(500, 10_000)).ok()["rows"]) == 500
    for answer in (packed.query(large), database.batch([large]), database.batch(["SELECT 1", large])):
        answer.refused(413, "result_too_large")
    assert len(database.batch([wide(500, 10_000)]).ok()[0]["rows"]) == 500


# -- errors on the way ---------------------------------------------------------------------------------


def test_an_error_in_mid_stream_closes_with_success_false(server, database):
    sql = ROWS.format(count=20_000) + \
        "SELECT n, iif(n = 15000, json('not json'), hex(zeroblob(200))) AS x FROM c"
    with Connection(server) as connection:
        for _ in range(3):  # the connection goes on
            response = connection.send(request(database, sql)).receive("POST")
            assert response.status == 200
            value = parse_json(response.body)
            assert value["success"] is False and value["error"] == "malformed JSON"
            assert value["code"] == "sql_error" and value["requestId"] == response.header("X-Request-Id")
            assert len(value["data"]["rows"]) == 14_999
        response = connection.send(request(database, "SELECT 1")).receive("POST")
        assert parse_json(response.body)["success"] is True


def test_an_error_before_the_first_chunk_is_a_plain_error(database):
    sql = ROWS.format(count=1000) + "SELECT n, iif(n = 900, json('not json'), 'x') FROM c"
    database.query(sql).refused(400, "sql_error")


def test_a_statement_that_streams_for_ever_ends_at_its_budget(start_server):
    server = start_server("--statement-time", "500ms")
    database = Admin(server).tenant().database()
    with Connection(server) as connection:
        value = parse_json(connection.send(request(database, ENDLESS)).receive("POST").body)
    assert value["success"] is False and value["code"] == "budget_exceeded" and value["budget"] == "time"
    rows = value["data"]["rows"]
    assert len(rows) > 100 and rows[-1][0] == len(rows)
    database.query("SELECT 1").ok()


def test_a_stream_under_way_when_the_server_stops_ends_in_order(start_server):
    """A drain finishes it when its reader does; past the deadline it is cut, not left hanging."""
    server = start_server("--drain-timeout", "1s")
    database = Admin(server).tenant().database()
    half = Half(server, database, ENDLESS)
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    text = half.rest()
    half.close()
    stopper.join()
    assert b'"success":false' in text[-2000:] or not text.endswith(b"0\r\n\r\n"), text[-300:]
    assert not server.running


# -- clients that leave, clients that are slow -----------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
def test_a_client_that_leaves_in_mid_stream_stops_its_query(server, database, reset):
    halves = [Half(server, database, ENDLESS) for _ in range(2)]
    assert in_flight(server) >= 2
    for half in halves:
        half.close(reset)
    wait_until(lambda: in_flight(server) == 0, 5, server.log_tail)
    assert len(database.rows(wide(2000, 1000))) == 2000, "its lanes are free again"


@pytest.mark.parametrize("sql", [
    ENDLESS.replace("SELECT n, hex(zeroblob(500)) AS x", "SELECT count(*)"),
    ENDLESS.replace("SELECT n, hex(zeroblob(500)) AS x FROM c", "INSERT INTO t SELECT count(*) FROM c"),
], ids=["read", "write"])
def test_a_client_that_leaves_before_its_answer_stops_its_query(server, database, sql):
    """30 s are its budget; it ends at once, and a write leaves nothing."""
    database.query("CREATE TABLE t (a)").ok()
    connection = Connection(server)
    connection.send(request(database, sql))
    wait_until(lambda: in_flight(server) == 1, 5, "it does not run")
    connection.reset()
    wait_until(lambda: in_flight(server) == 0, 5, server.log_tail)
    assert database.rows("SELECT count(*) FROM t") == [[0]]
    database.query("INSERT INTO t VALUES (1)").ok()


def test_readers_that_stand_still_do_not_stop_reads_and_writes(server, database):
    database.query("CREATE TABLE t (a)").ok()
    halves = [Half(server, database, ENDLESS) for _ in range(4)]
    begun = time.monotonic()
    for n in range(30):
        database.query("INSERT INTO t VALUES (?)", [n]).ok()
        assert database.rows("SELECT count(*) FROM t") == [[n + 1]]
    assert time.monotonic() - begun < 5 * PATIENCE
    for half in halves:
        half.close()


def test_a_reader_that_trickles_is_cut_and_a_steady_one_is_not(start_server):
    server = start_server("--slow-reader", "1s")
    database = Admin(server).tenant().database()
    trickle = Half(server, database, wide(3000, 10_000), 8192)
    steady = Half(server, database, wide(1500, 10_000))
    begun = time.monotonic()
    while not server.events("http.slow_reader") or time.monotonic() - begun < 2.5:
        assert time.monotonic() - begun < 10 * PATIENCE, server.log_tail()
        trickle.take(500)
        assert steady.take(100_000)
        time.sleep(0.05)
    assert b'"success":true' in steady.rest()[-500:] and steady.is_whole()
    trickle.rest()
    assert not trickle.is_whole(), "cut off, and it can be seen"
    assert len(server.events("http.slow_reader")) == 1, server.log_tail()


def test_the_log_does_not_grow_without_bound_behind_a_slow_reader(start_server):
    """A read that stands still pins the WAL; at the hard bound it is ended, and writes go on."""
    server = start_server("--wal-soft", "256k", "--wal-hard", "2m", "--slow-reader", "60s")
    database = Admin(server).tenant().database()
    database.query("CREATE TABLE t (id INTEGER PRIMARY KEY, a)").ok()
    for _ in range(10):
        database.query(ROWS.format(count=300) + "INSERT INTO t (a) SELECT hex(zeroblob(1000)) FROM c").ok()
    half = Half(server, database, "SELECT * FROM t")
    largest, refused = 0, 0
    for n in range(600):
        answer = database.query("UPDATE t SET a = hex(zeroblob(1000)) || ? WHERE id % 300 = ?", [n, n % 300])
        if answer.status == 503:
            assert answer.response.header("Retry-After")
            refused += 1
        else:
            answer.ok()
        largest = max([largest, *(path.stat().st_size for path in server.data.glob("db/*/*/h*-wal"))])
    assert largest < 4 << 20, f"the WAL grew to {largest >> 20} MB; its bound is 2"
    assert refused < 300, "most writes went through"
    text = half.rest()
    half.close()
    assert b'"success":false' in text[-2000:] and b'"unavailable"' in text[-2000:], text[-500:]
    database.query("UPDATE t SET a = 1").ok()


def test_a_snapshot_does_not_change_while_it_streams(start_server):
    server = start_server()
    database = Admin(server).tenant().database()
    database.batch(["CREATE TABLE t (id INTEGER PRIMARY KEY, a, fill)",
                    ROWS.format(count=5000) + "INSERT INTO t SELECT n, 0, hex(zeroblob(500)) FROM c"]).ok()
    half = Half(server, database, "SELECT a, fill FROM t")
    database.query("UPDATE t SET a = 1").ok()
    database.query("DELETE FROM t WHERE id > 100").ok()
    with Connection(server) as connection:  # parses chunks
        connection.sock.close()
        connection.sock, connection.buffer = half.sock, half.got
        value = parse_json(connection.receive("POST").body)
    assert value["success"] is True
    assert len(value["data"]["rows"]) == 5000 and {row[0] for row in value["data"]["rows"]} == {0}
    assert database.rows("SELECT count(*), sum(a) FROM t") == [[100, 100]]


def test_a_closed_answer_is_seen_as_closed(server, database):
    """Control for the tests above: a whole answer ends with the last chunk."""
    half = Half(server, database, wide(1000, 1000))
    half.rest()
    assert half.is_whole()
    half.close()
    with pytest.raises(Closed):
        with Connection(server) as connection:
            connection.send(request(database, "SELECT 1").replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n"))
            connection.receive("POST")
            connection.receive("POST")
