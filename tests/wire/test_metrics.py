"""What /metrics tells: every family of the issue's list is there and moves with what it counts."""
import re
import time

import pytest
from api import Api
from server import PATIENCE


def scrape(server):
    text = Api(server, None).raw("GET", "/metrics").body.decode()
    return {m[1]: float(m[2]) for m in re.finditer(r"^(\S+) (\S+)$", text, re.M) if not m[1].startswith("#")}


FAMILIES = ["rookery_http_request_duration_seconds_count", "rookery_mailbox_messages", "rookery_group_requests_count",
            "rookery_sync_duration_seconds_count", "rookery_wal_bytes", "rookery_sqlite_memory_bytes",
            "rookery_sqlite_memory_largest_bytes", "rookery_databases_open", 'rookery_lanes{kind="write"}']


@pytest.mark.parametrize("name", FAMILIES)
def test_family_is_there(server, name):
    assert name in scrape(server)


def test_figures_of_a_write(server, database):
    before = scrape(server)
    database.query("CREATE TABLE t (a)").ok()
    for _ in range(5):
        database.query("INSERT INTO t VALUES (1)").ok()
    after = scrape(server)
    assert after["rookery_commits_total"] - before["rookery_commits_total"] >= 6
    assert after['rookery_statements_total{class="write"}'] - before['rookery_statements_total{class="write"}'] >= 5
    until = time.monotonic() + PATIENCE
    while scrape(server)["rookery_wal_bytes"] < 4096:  # told by the tick
        assert time.monotonic() < until
    assert scrape(server)["rookery_sqlite_memory_largest_bytes"] > 10000
