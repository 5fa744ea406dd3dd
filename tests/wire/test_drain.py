"""SIGTERM: no new work, what runs is finished or undone, everything acknowledged is there after."""

import signal
import threading

from api import Admin, Api, Closed, Connection, Database

def count_to(rows):
    return f"WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c WHERE n<{rows}) SELECT count(*) FROM c"


def test_a_running_request_is_answered(start_server):
    server = start_server()
    database = Admin(server).tenant().database()
    rows, thread, answers = 500_000, None, []
    while thread is None or not thread.is_alive():
        rows, answers = rows * 2, []  # until it takes long enough to be seen
        thread = threading.Thread(target=lambda: answers.append(database.query(count_to(rows))))
        thread.start()
        while thread.is_alive() and not is_running_another(server):
            pass
    server.stop()
    thread.join()
    assert answers[0].ok()["rows"] == [[rows]]


def is_running_another(server):
    """Does the server work on another request than the one that asks?"""
    stats = Api(server, server.operator_token).get("/v1/admin/stats").ok()
    return stats["process"]["requestsInFlight"] > 1


def test_acknowledged_writes_are_there_after_a_stop_under_load(start_server):
    server = start_server()
    database = Admin(server).tenant().database()
    database.query("CREATE TABLE t (v INTEGER PRIMARY KEY)").ok()
    acknowledged, lock, begun = set(), threading.Lock(), threading.Event()

    def write(first):
        for n in range(first, first + 1_000_000):
            try:
                answer = database.query("INSERT INTO t VALUES (?)", [n])
            except (Closed, OSError, AssertionError):
                return
            if answer.status != 200:
                assert answer.status in (429, 503), answer
                return
            with lock:
                acknowledged.add(n)
                if len(acknowledged) > 200:
                    begun.set()

    threads = [threading.Thread(target=write, args=(1_000_000 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    server.stop()
    for thread in threads:
        thread.join()
    server.start()
    there = {row[0] for row in Database(database.api, database.tenant, database.slug).rows("SELECT v FROM t")}
    assert acknowledged <= there, f"{len(acknowledged - there)} acknowledged writes are missing"
    assert len(there - acknowledged) <= len(threads), "only what was under way may be there unasked"


def test_an_idle_connection_does_not_hold_up_the_end(start_server):
    server = start_server()
    connections = [Connection(server) for _ in range(5)]
    for connection in connections:
        assert connection.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").receive().status == 200
    assert server.stop() < 5
    for connection in connections:
        assert connection.is_closed()
        connection.close()


def test_sigint_is_a_clean_end_too(start_server):
    server = start_server()
    process = server.process
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    server.process = None
    server.check_log()


def test_a_clean_stop_leaves_no_wal(start_server):
    """Stopped servers are plain SQLite files: nothing to replay."""
    server = start_server()
    database = Admin(server).tenant().database()
    database.query("CREATE TABLE t (a)").ok()
    database.query("INSERT INTO t VALUES (1)").ok()
    server.stop()
    left = [path for path in server.data.rglob("*-wal") if path.stat().st_size > 0]
    assert not left, left


def test_new_work_is_refused_while_old_work_ends(start_server):
    server = start_server("--drain-timeout", "60s", "--statement-time", "2s")
    database, answers = Admin(server).tenant().database(), []
    long = threading.Thread(target=lambda: answers.append(database.query(count_to(2_000_000_000))))
    waiting = Connection(server)
    waiting.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").receive()
    long.start()
    while not is_running_another(server):
        assert long.is_alive()
    server.process.send_signal(signal.SIGTERM)
    while not server.events("server.draining"):
        assert server.running, server.log_tail()
    refused(waiting)
    try:
        refused(Connection(server))
    except ConnectionRefusedError:
        pass
    long.join()
    answers[0].refused(400, "budget_exceeded")
    assert server.process.wait(60) == 0
    server.process = None


def refused(connection):
    """503 with the time to come back, or closed without a word; nothing else."""
    with connection:
        try:
            connection.send(b"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x_y\r\n\r\n")
            response = connection.receive()
        except (Closed, BrokenPipeError, ConnectionResetError):
            return
        assert response.status == 503 and int(response.header("Retry-After")) >= 1, response
