"""Signals: reload, the end with a deadline, the end at once; and the locks that outlive nothing."""

import os
import signal
import subprocess

import pytest

from api import Admin, Closed, Connection
from server import BUILD, STOP_TIMEOUT_S

ENDLESS = "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c) SELECT n FROM c WHERE n % 2 = 3"


def wait_for(server, event, count=1):
    for _ in range(3000):
        if len(server.events(event)) >= count:
            return server.events(event)
        with Connection(server) as connection:
            connection.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").receive()
    raise AssertionError(f"no {event}\n{server.log_tail()}")


def test_sighup_applies_what_can_be_applied(start_server, tmp_path):
    config = tmp_path / "conf"
    config.write_text("log-level = info\nmax-connections = 500\nworkers = 2\n")
    server = start_server("--config", str(config))
    config.write_text("log-level = debug\nmax-connections = 501\nworkers = 3\n")
    os.kill(server.pid, signal.SIGHUP)
    wait_for(server, "config.reloaded")
    assert [event["level"] for event in server.events("config.reloaded")] == ["info"], "one level each line"
    assert {event["option"] for event in server.events("config.changed")} == {"log-level", "max-connections"}
    assert [event["option"] for event in server.events("config.needs_restart")] == ["workers"]
    wait_for(server, "http.request")
    config.write_text("log-level = nonsense\n")
    os.kill(server.pid, signal.SIGHUP)
    assert "log-level" in wait_for(server, "config.refused")[0]["error"]


def test_sighup_opens_the_log_anew(start_server, tmp_path):
    log = tmp_path / "rookery.log"
    server = start_server("--log-file", str(log))
    os.rename(log, tmp_path / "old.log")
    os.kill(server.pid, signal.SIGHUP)
    while not (log.exists() and "config.reloaded" in log.read_text()):
        assert server.running
    server.stop()
    assert "server.stopped" in log.read_text()
    assert "server.stopped" not in (tmp_path / "old.log").read_text()


def start_endless(server):
    database = Admin(server).tenant().database()
    connection = Connection(server)
    body = '{"sql":"%s"}' % ENDLESS
    connection.send(f"POST {database.path}/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    f"Authorization: Bearer {database.api.token}\r\nContent-Length: {len(body)}\r\n\r\n{body}")
    while Admin(server).api.get("/v1/admin/stats").ok()["process"]["requestsInFlight"] < 2:
        assert server.running
    return connection


def test_what_runs_past_the_deadline_is_cancelled(start_server):
    server = start_server("--drain-timeout", "300ms", "--statement-time", "1h")
    with start_endless(server) as connection:
        server.stop()
        with pytest.raises(Closed):
            connection.receive()
    assert server.events("server.drain_timeout")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(start_server, second):
    server = start_server("--drain-timeout", "1h", "--statement-time", "1h")
    with start_endless(server):
        server.process.send_signal(signal.SIGTERM)
        while not server.events("server.draining"):
            assert server.running
        server.process.send_signal(second)
        assert server.process.wait(STOP_TIMEOUT_S) == 130
        server.process = None
    server.start()
    server.stop()


def test_a_draining_server_refuses_new_requests(start_server):
    """A connection that was in the middle of a request's head is answered, with 503."""
    server = start_server("--drain-timeout", "1h", "--statement-time", "5s")
    with Connection(server) as late, start_endless(server):
        late.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").receive()  # it is accepted
        late.send("GET /v1/me HTTP/1.1\r\nHost: x\r\n")
        server.process.send_signal(signal.SIGTERM)
        while not server.events("server.draining"):
            assert server.running
        late.send("\r\n")
        response = late.receive()
        assert response.status == 503 and response.header("Connection") == "close"
        assert response.value()["code"] == "draining" and response.header("Retry-After")
        assert server.process.wait(STOP_TIMEOUT_S) == 0
        server.process = None


def test_a_folder_of_other_things_is_not_taken(tmp_path):
    (tmp_path / "letter").write_text("dear")
    tmp_path.chmod(0o755)
    run = subprocess.run([BUILD / "rookeryd", "--data", tmp_path, "--listen", "127.0.0.1:0"],
                         capture_output=True, text=True, timeout=STOP_TIMEOUT_S)
    assert run.returncode == 3 and "not empty" in run.stderr and len(run.stderr.splitlines()) == 1
    assert tmp_path.stat().st_mode & 0o777 == 0o755 and [p.name for p in tmp_path.iterdir()] == ["letter"]
