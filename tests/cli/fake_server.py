"""A small Rookery server in Python, for what the client does on its own: profiles, exit statuses,
formats, errors. Databases are Python's sqlite3 in memory. What the real server does is tested
against the real one (test_cli_server.py).

A test may put an answer in `canned` ("POST /v1/db/acme/orders/query" -> (status, body)); `seen` has
every request, headers included.
"""

import base64
import json
import re
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

OWNER = "psql_live_owner0000000000000000000000000000000000000000"
READER = "psql_live_reader000000000000000000000000000000000000000"
OPERATOR = "rookery_op_000000000000000000000000000000000000000000"


class Refusal(Exception):
    def __init__(self, status, code, error, **more):
        super().__init__(error)
        self.status, self.body = status, {"success": False, "error": error, "code": code,
                                          "requestId": "r-1", **more}


class Fake:
    def __init__(self):
        self.seen = []
        self.canned = {}
        self.databases = {}  # slug -> connection
        self.deleted = {}
        self.tokens = []
        self.tenants = ["acme"]
        self.lock = threading.Lock()
        self.hold = None  # an Event: requests to .../query wait for it
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                fake.handle(self)

            do_POST = do_PATCH = do_DELETE = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        if self.hold:
            self.hold.set()
        self.server.shutdown()
        self.server.server_close()

    # -- requests ---------------------------------------------------------------------------------

    def handle(self, handler):
        text = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = {"method": handler.command, "path": handler.path,
                   "headers": dict(handler.headers),
                   "body": json.loads(text) if text else None}
        self.seen.append(request)
        extra = {}
        try:
            canned = self.canned.get(f"{handler.command} {handler.path}")
            if canned:
                status, body = canned[:2]
                extra = canned[2] if len(canned) > 2 else {}
            else:
                status, body = 200, self.route(request)
        except Refusal as refusal:
            status, body = refusal.status, refusal.body
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            handler.send_response(status)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data)))
            handler.send_header("X-Request-Id", "r-1")
            for name, value in extra.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def who(self, request):
        token = (request["headers"].get("Authorization") or "").removeprefix("Bearer ")
        roles = {OWNER: "owner", READER: "readonly", OPERATOR: "operator"}
        if token not in roles:
            raise Refusal(401, "invalid_token", "Invalid token")
        return roles[token]

    def route(self, request):
        role = self.who(request)
        url = urlsplit(request["path"])
        path = [unquote(part) for part in url.path.strip("/").split("/")]
        query = parse_qs(url.query)
        method, body = request["method"], request["body"] or {}
        if path == ["v1", "me"]:
            tenant = None if role == "operator" else "acme"
            return ok({"namespaceSlug": tenant, "role": role, "tokenId": "tok_1",
                       "tokenName": "test", "expiresAt": None})
        if path[:2] == ["v1", "db"]:
            return self.database_route(role, path[2:], body)
        if path[:2] == ["v1", "databases"]:
            if role == "operator" and request["headers"].get("X-Rookery-Tenant") != "acme":
                raise Refusal(400, "bad_request", "which tenant? X-Rookery-Tenant is missing")
            return self.databases_route(method, path[2:], query, body)
        if path == ["v1", "tokens"] or path[2:3] == ["tenants"] and path[4:5] == ["tokens"]:
            return self.tokens_route(method, path, body)
        if path[:2] == ["v1", "tokens"]:
            return ok({"revoked": True})
        if path[:3] == ["v1", "admin", "tenants"] and role == "operator":
            return self.tenants_route(method, path[3:], body)
        if path == ["v1", "admin", "stats"] and role == "operator":
            return ok({"uptimeSeconds": 90061, "databases": {"open": 3}, "memoryBytes": 1536})
        if path[:2] == ["v1", "admin"]:
            raise Refusal(403, "role_forbids", "This takes an operator's token")
        raise Refusal(404, "not_found", f"no route {request['path']}")

    # -- databases --------------------------------------------------------------------------------

    def databases_route(self, method, rest, query, body):
        if not rest and method == "GET":
            slugs = sorted(self.deleted if "deleted" in query else self.databases)
            size = int(query["pageSize"][0])
            start = int(query.get("cursor", ["0"])[0])
            more = start + size < len(slugs)
            return {**ok([row(slug) for slug in slugs[start:start + size]]),
                    "nextCursor": str(start + size) if more else None}
        if not rest:
            wanted = [one["slug"] for one in body.get("databases", [body])]
            for slug in wanted:
                if slug in self.databases:
                    raise Refusal(409, "conflict", f"a database named '{slug}' exists")
            for slug in wanted:
                self.add(slug)
            rows = [row(slug) for slug in wanted]
            return ok(rows if "databases" in body else rows[0])
        slug = rest[0]
        if rest[1:] == ["restore"]:
            if slug not in self.deleted:
                raise Refusal(404, "unknown_database", f"no deleted database '{slug}'")
            self.databases[slug] = self.deleted.pop(slug)
            return ok(row(slug))
        self.connection(slug)
        usage = {"bytes": 1536, "walBytes": 0, "requests": 2, "rowsRead": 5, "rowsWritten": 1,
                 "lastUsedAt": None}
        if rest[1:] == ["usage"]:
            return ok(usage)
        if method == "DELETE":
            self.deleted[slug] = self.databases.pop(slug)
            return ok({"deleted": True, "slug": slug,
                       "restorableUntil": "2026-05-06T12:30:00.000Z"})
        if method == "PATCH":
            if "slug" in body:
                self.databases[body["slug"]] = self.databases.pop(slug)
            return ok(row(body.get("slug", slug)))
        return ok({**row(slug), "settings": {"durability": "full"}, "usage": usage})

    def add(self, slug):
        self.databases[slug] = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False)
        return self.databases[slug]

    def connection(self, slug):
        if slug not in self.databases:
            raise Refusal(404, "unknown_database", f"no database '{slug}'")
        return self.databases[slug]

    def database_route(self, role, rest, body):
        tenant, slug, leaf = rest
        if tenant != "acme":
            raise Refusal(403, "namespace_mismatch", "Token namespace mismatch")
        connection = self.connection(slug)
        if self.hold:
            self.hold.wait(20)
        with self.lock:
            if leaf == "query":
                return {**ok(self.run(connection, body)), "meta": {"durationMs": 0.1}}
            connection.execute("BEGIN")
            results = []
            try:
                for i, statement in enumerate(body["statements"]):
                    results.append(self.run(connection, statement))
            except Refusal as refusal:
                connection.execute("ROLLBACK")
                refusal.body.update(failedIndex=i, results=results)
                raise
            connection.execute("COMMIT")
            return ok(results)

    def run(self, connection, statement):
        params = [decode(value) for value in statement.get("params") or []] \
            if not isinstance(statement.get("params"), dict) else \
            {key.lstrip(":@$"): decode(value) for key, value in statement["params"].items()}
        before = connection.total_changes
        try:
            cursor = connection.execute(statement["sql"], params)
            rows = [[encode(value) for value in values] for values in cursor.fetchall()]
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise Refusal(400, "sql_error", str(error),
                          errorDetail=detail(str(error), statement["sql"])) from None
        columns = [column[0] for column in cursor.description or []]
        return {"columns": columns, "rows": rows, "rowsRead": len(rows), "rowsWritten": 0,
                "changes": connection.total_changes - before, "lastInsertRowid": cursor.lastrowid}

    # -- tokens and tenants -----------------------------------------------------------------------

    def tokens_route(self, method, path, body):
        if method == "DELETE":
            return ok({"revoked": True})
        if method == "GET":
            return ok(self.tokens)
        token = {"id": f"tok_{len(self.tokens) + 2}", "name": body["name"], "role": body["role"]}
        self.tokens.append(token)
        return ok({**token, "token": f"{body.get('prefix', 'psql_live')}_fresh"})

    def tenants_route(self, method, rest, body):
        if method == "GET" and not rest:
            return ok([{"slug": slug, "name": slug, "status": "live"} for slug in self.tenants])
        if method == "POST":
            if body["slug"] in self.tenants:
                raise Refusal(409, "conflict", f"a tenant named '{body['slug']}' exists")
            self.tenants.append(body["slug"])
            return ok(body)
        if rest[0] not in self.tenants:
            raise Refusal(404, "unknown_tenant", f"no tenant '{rest[0]}'")
        if method == "DELETE":
            self.tenants.remove(rest[0])
        return ok({"slug": rest[0], "maxDatabases": 1000, **body})


def ok(data):
    return {"success": True, "data": data}


def row(slug):
    return {"id": "db_" + slug, "slug": slug, "name": slug, "status": "live",
            "createdAt": "2026-05-05T12:30:00.000Z", "expiresAt": None}


def encode(value):
    return {"$blob": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def decode(value):
    return base64.b64decode(value["$blob"]) if isinstance(value, dict) else value


def detail(message, sql):
    found = re.search(r"no such (table|column): (\w+)", message)
    if found:
        return {"kind": f"unknown_{found[1]}", "message": message,
                "offset": sql.encode().find(found[2].encode()),
                "hint": f"did you mean {found[2][::-1]}?"}
    found = re.search(r'near "(.*?)": syntax error', message)
    if found:
        return {"kind": "syntax_error", "message": message, "near": found[1]}
    return {"kind": "unknown", "message": message}
