"""Uploads to …/import, whole or in the ways that clients fail."""

import json

from api import Answer, Connection, Database

FILE = "application/vnd.sqlite3"
SQL = "application/sql"


def path_of(tenant, slug, query=""):
    return f"/v1/db/{tenant.slug}/{slug}/import{query}"


def upload(tenant, slug, data, kind=FILE, query="", api=None, headers=None):
    """PUTs `data` over a connection of its own; the Answer. What does not fit in the socket may be
    refused before it is sent whole."""
    api = api or tenant.owner
    with Connection(api.server, timeout_s=60) as connection:
        connection.send(head(api.token, path_of(tenant, slug, query), len(data), kind, headers))
        try:
            connection.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return answer(connection)


def answer(connection):
    response = connection.receive("PUT")
    while response.status == 100:
        response = connection.receive("PUT")
    return Answer("import", response, json.loads(response.body))


def head(token, path, length, kind=FILE, headers=None):
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    more = "".join(f"{k}: {v}\r\n" for k, v in (headers or {}).items())
    return (f"PUT {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: {kind}\r\n{framing}\r\n{more}\r\n").encode()


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def imported(tenant, slug, data, kind=FILE, query="", **more):
    """An import that must succeed; the database."""
    upload(tenant, slug, data, kind, query, **more).ok()
    return Database(tenant.owner, tenant.slug, slug)


def is_gone(tenant, slug):
    """No database, and nothing of it on the disk."""
    tenant.owner.get(f"/v1/databases/{slug}").refused(404)
    assert not staged(tenant.admin.server)


def staged(server):
    """What is on the disk of imports that are under way, or were."""
    folder = server.data / "import"
    return [path.name for path in folder.iterdir()] if folder.exists() else []
