"""Routes of the process, and what starting and stopping it says."""

import json
import os
import re
import stat
import subprocess

import pytest
from api import Api, Connection
from server import BUILD, STOP_TIMEOUT_S, Server


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/version", "/openapi.json"])
def test_process_routes_need_no_token(server, path):
    assert Api(server, None).raw("GET", path).status == 200


def test_metrics_are_prometheus_text(server, database):
    database.query("SELECT 1").ok()
    response = Api(server, None).raw("GET", "/metrics")
    assert response.status == 200 and response.header("Content-Type").startswith("text/plain")
    text = response.body.decode()
    line = re.compile(r'[a-zA-Z_:][\w:]*(\{([a-z_]+="[^"]*",?)*\})? [-+0-9.eInfNa]+$')
    seen = set()
    for row in text.splitlines():
        if row.startswith("# TYPE "):
            name = row.split()[2]
            assert name not in seen, f"two families {name}"
            seen.add(name)
        elif row and not row.startswith("#"):
            assert line.match(row), row
    assert any("request" in name for name in seen), seen
    assert text.endswith("\n")


def test_metrics_name_no_tenant_and_no_token(server, database):
    database.query("SELECT 1").ok()
    text = Api(server, None).raw("GET", "/metrics").body.decode()
    assert not any(secret in text for secret in server.secrets)


def test_openapi_names_the_routes(server):
    document = Api(server, None).raw("GET", "/openapi.json").value()
    assert document["openapi"].startswith("3.")
    paths = document["paths"]
    assert any(path.endswith("/query") for path in paths) and any("admin/tenants" in path for path in paths)
    for path, operations in paths.items():
        assert path.startswith("/"), path
        for method, operation in operations.items():
            if method in ("get", "post", "put", "patch", "delete"):
                assert operation.get("summary"), f"{method} {path} has no summary"


def test_the_operator_token_is_for_its_owner_alone(server):
    for name in ("operator.token", "catalogue.db"):
        assert stat.S_IMODE(os.stat(server.data / name).st_mode) & 0o077 == 0, name
    assert stat.S_IMODE(os.stat(server.data).st_mode) == 0o700


def test_no_token_in_the_process_list(server, tenant):
    with open(f"/proc/{server.pid}/cmdline", "rb") as file:
        words = file.read()
    assert not any(secret.encode() in words for secret in server.secrets)


def test_a_bootstrap_token_is_written_once(start_server, tmp_path):
    path = tmp_path / "bootstrap"
    server = start_server("--bootstrap-token-file", str(path))
    token = path.read_text().strip()
    server.secrets.add(token)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Api(server, token).get("/v1/admin/tenants").ok() == []
    path.unlink()
    server.restart()
    assert not path.exists(), "the catalogue is not new any more"
    assert Api(server, token).get("/v1/admin/tenants").ok() == []


def test_two_servers_never_share_a_data_folder(start_server, tmp_path):
    server = start_server()
    second = Server(tmp_path / "second", data=server.data)
    with pytest.raises(AssertionError, match="did not get ready, exit status [1-9]"):
        second.start()
    assert re.search(r"in use|locked|another", second.log()), second.log()
    assert Api(server, server.operator_token).get("/v1/admin/tenants").status == 200


def test_a_port_in_use_is_said_in_one_line(start_server, tmp_path):
    server = start_server()
    second = Server(tmp_path / "second", listen=server.address)
    with pytest.raises(AssertionError, match="did not get ready, exit status [1-9]"):
        second.start()
    said = [line for line in second.log().splitlines() if "in use" in line]
    assert len(said) == 1 and str(server.port) in said[0], second.log()


def test_a_stock_sqlite_is_told_that_a_live_file_is_locked(start_server):
    import sqlite3
    server = start_server()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite3.connect(server.data / "catalogue.db", timeout=0).execute("SELECT * FROM sqlite_master")


@pytest.mark.parametrize("words", [
    ["--nonsense"], ["--loops", "many"], ["--loops", "0x"], ["--listen", "nowhere"],
    ["--listen", "127.0.0.1:99999"], ["--config", "/nonexistent/file"], ["--data"], ["stray"],
    ["--workers", "-1"], ["--max-body", "12q"], ["--commit", "maybe"]], ids=" ".join)
def test_a_bad_setting_stops_the_start_with_one_line(tmp_path, words):
    run = subprocess.run([BUILD / "rookeryd", "--data", tmp_path / "data", *words], capture_output=True,
                         text=True, timeout=STOP_TIMEOUT_S)
    assert run.returncode not in (0, -6, -11), run
    said = [line for line in run.stderr.splitlines() if line.strip()]
    assert len(said) == 1 and run.stdout == "", run
    assert words[0].lstrip("-") in said[0] or words[-1] in said[0], said


def test_help_and_version(tmp_path):
    run = subprocess.run([BUILD / "rookeryd", "--help"], capture_output=True, text=True, timeout=20)
    assert run.returncode == 0
    for name in ("--data", "--listen", "--config", "--loops", "--workers", "--commit"):
        assert name in run.stdout, name
    run = subprocess.run([BUILD / "rookeryd", "--version"], capture_output=True, text=True, timeout=20)
    assert run.returncode == 0 and re.search(r"\d+\.\d+", run.stdout) and "SQLite 3." in run.stdout, run


def test_settings_come_from_file_environment_and_flag(tmp_path):
    """Flag beats environment beats file."""
    config = tmp_path / "rookery.ini"
    config.write_text(f"data = {tmp_path}/file\n")

    def data_of(*words, **env):
        server = Server(tmp_path / "s", options=["--config", str(config), *words], env=env)
        command = [word for word in server.command()]
        at = command.index("--data")
        del command[at:at + 2]
        server.command = lambda *more: [*command, *more]
        server.start()
        found = [name for name in ("file", "environment", "flag") if (tmp_path / name / "catalogue.db").exists()]
        server.stop()
        return found

    assert data_of() == ["file"]
    assert data_of(ROOKERY_DATA=str(tmp_path / "environment")) == ["file", "environment"]
    assert data_of("--data", str(tmp_path / "flag"), ROOKERY_DATA=str(tmp_path / "environment")) == \
        ["file", "environment", "flag"]


@pytest.mark.parametrize("text,line", [
    ("data = x\nnonsense = 1\n", 2), ("loops = many\n", 1), ("data = a\ndata = b\n", 2),
    ("; a comment\n\nloops = 99999999\n", 3)], ids=["unknown", "not a number", "twice", "out of range"])
def test_check_config_names_file_and_line(tmp_path, text, line):
    config = tmp_path / "bad.ini"
    config.write_text(text)
    run = subprocess.run([BUILD / "rookeryd", "--config", config, "--check-config"], capture_output=True,
                         text=True, timeout=20)
    assert run.returncode not in (0, -6, -11), run
    assert "bad.ini" in run.stderr and re.search(rf"\b{line}\b", run.stderr), run.stderr


def test_check_config_passes_a_good_file(tmp_path):
    config = tmp_path / "good.ini"
    config.write_text(f"# our server\ndata = {tmp_path}/data\nlisten = 127.0.0.1:0\nloops = 2\n")
    run = subprocess.run([BUILD / "rookeryd", "--config", config, "--check-config"], capture_output=True,
                         text=True, timeout=20)
    assert run.returncode == 0, run
    assert not (tmp_path / "data").exists(), "checking starts nothing"


def test_every_listening_address_serves(start_server, tmp_path):
    path = tmp_path / "socket"
    server = start_server(listen=["127.0.0.1:0", f"unix:{path}"])
    assert Api(server, None).raw("GET", "/healthz").status == 200
    server.address, tcp = f"unix:{path}", server.address
    with Connection(server) as connection:
        assert connection.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").receive().status == 200
    server.address = tcp


def test_ipv6(start_server):
    import socket
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as problem:
        pytest.skip(f"no IPv6 here: {problem}")
    server = start_server(listen="[::1]:0")
    assert Api(server, None).raw("GET", "/healthz").status == 200


def test_the_log_is_logfmt_with_events(start_server):
    server = start_server()
    Api(server, server.operator_token).post("/v1/admin/tenants", {"slug": "logged"}).ok()
    server.stop()
    assert server.events("server.ready")[0]["listen"] == server.address
    for line in server.log().splitlines():
        assert re.match(r"^[a-z_]+=\S+ .*event=[a-z_.]+|^event=[a-z_.]+", line), line


def test_the_request_id_finds_the_log_line_of_a_failure(start_server):
    """What a user quotes is what the operator greps: a 5xx or slow request has its id in the log."""
    server = start_server("--log-level", "debug")
    answer = Api(server, server.operator_token).get("/v1/admin/tenants", headers={"X-Request-Id": "find-me-7"})
    assert answer.response.header("X-Request-Id") == "find-me-7"
    server.stop()
    assert "find-me-7" in server.log()


def test_json_answers_are_json(server, database):
    response = database.query("SELECT 1").response
    assert response.header("Content-Type").startswith("application/json")
    json.loads(response.body)
