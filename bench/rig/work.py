"""The work that all targets do, and the files of raw requests that say it on the wire."""

import os

TENANTS = 1000
ROWS = 100
FIRST_ID = 1000
ANSWER_BYTES = 600  # body of a point SELECT's answer, the same for every target
INSERT_BYTES = 100
POOL = 8000  # different requests per cell, in an order that jumps between tenants

CREATE_KV = "CREATE TABLE IF NOT EXISTS kv(id INTEGER PRIMARY KEY, name TEXT, v TEXT)"
CREATE_LOG = "CREATE TABLE IF NOT EXISTS log(id INTEGER PRIMARY KEY, name TEXT, v TEXT)"
# One row without text: its answer's size tells how long v must be to reach ANSWER_BYTES.
PROBE_ROW = "INSERT OR REPLACE INTO kv VALUES (1000, 'name-1000', '')"
SEED = ("INSERT OR REPLACE INTO kv WITH RECURSIVE c(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM c "
        f"WHERE i < {FIRST_ID + ROWS - 1}) SELECT i, 'name-' || i, "
        "substr(hex(zeroblob(1000)), 1, ?) FROM c")
SELECT = "SELECT id, name, v FROM kv WHERE id = ?"
INSERT = "INSERT INTO log(name, v) VALUES (?, ?)"
LAST = "SELECT coalesce(max(id), 0) FROM log"

INSERT_VALUE = ("0123456789abcdefghijklmnopqrstuvwxyz" * 3)[:INSERT_BYTES]


def spread(turn):
    """The tenant of request `turn`: all of them once in TENANTS turns, neighbours far apart."""
    return turn * 617 % TENANTS  # 617 and 1000 have no common divisor


def params(kind, turn):
    """SQL and parameters of request `turn` of a cell's kind."""
    row = FIRST_ID + turn * 37 % ROWS
    if kind == "select":
        return SELECT, [row]
    return INSERT, [f"name-{row}", INSERT_VALUE]


def raw_request(path, host, headers, body):
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    data = body.encode()
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def write_requests(path, requests):
    """The format that wrk.lua and openloop read: length, newline, bytes. Private: it has tokens."""
    with open(path, "wb", opener=private) as file:
        for request in requests:
            file.write(b"%d\n%s" % (len(request), request))


def private(path, flags):
    return os.open(path, flags, 0o600)
