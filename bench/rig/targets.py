"""The peers under test. Each says how it is started, filled, asked, and what a good answer has in
it.

A tenant is named by its number, or SOLO for the one tenant of the one-tenant rows. All are filled by
the same SQL with the same rows; only the text column's length differs, so that every point SELECT's
answer has work.ANSWER_BYTES.
"""

import http.client
import json
import os
import shutil
import time

from . import install, work
from .proc import Failed, Process, free_port

SOLO = -1
LABELS = {"nginx": "nginx, static answer", "redis": "Redis, appendfsync always",
          "workerd": "workerd, Durable Objects", "sqld": "sqld, Hrana over HTTP",
          "rookery": "Rookery",
          "rookery-inline": "Rookery, --commit=inline",
          "rookery-hrana": "Rookery, Hrana over HTTP", "rookery-ws": "Rookery, Hrana over WebSocket",
          "sqld-ws": "sqld, Hrana over WebSocket"}


def tenant_name(tenant):
    return "solo" if tenant == SOLO else f"t{tenant:04d}"


class Target:
    """A server over HTTP. Subclasses give name, command(), address(), body(), rows()."""

    name = ""
    kinds = ("select", "insert")
    many = True  # has the rows of 1,000 tenants
    expect = None
    websocket = False
    base = None  # the target whose data it runs on

    def __init__(self, folder):
        self.folder = os.path.join(folder, self.name)
        self.port = 0
        self.process = None
        self.connection = None
        self.value_bytes = 0
        os.makedirs(self.folder, exist_ok=True)

    # -- the process

    def command(self):
        raise NotImplementedError

    def start(self, trace=False):
        self.port = free_port()
        trace_path = os.path.join(self.folder, "strace") if trace else None
        self.process = Process(self.name, self.command(), os.path.join(self.folder, "log"),
                               trace_path=trace_path)
        self.process.wait_for_port(self.port)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def stop(self):
        if self.connection:
            self.connection.close()
        if self.process:
            self.process.stop()
        self.process = None

    # -- requests

    def address(self, tenant):
        """Path, Host and further headers of a tenant's requests."""
        raise NotImplementedError

    def body(self, sql, params):
        return json.dumps({"sql": sql, "params": params}, separators=(",", ":"))

    def rows(self, answer):
        return answer["data"]["rows"]

    def request(self, tenant, sql, params):
        path, host, headers = self.address(tenant)
        return work.raw_request(path, host, headers, self.body(sql, params))

    def send(self, method, path, host, headers, body, port=0):
        """One request outside the measured runs. Returns the answer's bytes; Failed unless 2xx."""
        connection = self.connection
        if port:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, path, body.encode(),
                           {"Host": host, "Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        data = answer.read()
        if not 200 <= answer.status <= 299:
            text = data.decode(errors="replace")[:300]
            raise Failed(f"{self.name}: {method} {path} answered {answer.status}: {text}")
        return data

    def query(self, tenant, sql, params=()):
        path, host, headers = self.address(tenant)
        data = self.send("POST", path, host, headers, self.body(sql, list(params)))
        if self.expect and self.expect.encode() not in data:
            raise Failed(f"{self.name}: {sql[:60]}: {data.decode(errors='replace')[:300]}")
        return data

    def value(self, tenant, sql):
        return int(self.rows(json.loads(self.query(tenant, sql)))[0][0])

    # -- filling

    def create(self):
        """Makes the databases of tenants 0 .. TENANTS-1 and SOLO, empty. Returns seconds for the
        TENANTS, and how they were made."""
        raise NotImplementedError

    def fill(self):
        """Tables and rows in every database. Returns seconds for the TENANTS."""
        self.query(SOLO, work.CREATE_KV)
        self.query(SOLO, work.PROBE_ROW)
        empty = len(self.query(SOLO, work.SELECT, [work.FIRST_ID]))
        self.value_bytes = work.ANSWER_BYTES - empty
        self.fill_one(SOLO)
        begin = time.monotonic()
        if self.many:
            for tenant in range(work.TENANTS):
                self.fill_one(tenant)
        return time.monotonic() - begin

    def fill_one(self, tenant):
        self.query(tenant, work.CREATE_KV)
        self.query(tenant, work.CREATE_LOG)
        self.query(tenant, work.SEED, [work.FIRST_ID, self.value_bytes])

    def last_ids(self, many):
        """The sum of the highest ids in `log`: what INSERTs have really left behind."""
        tenants = range(work.TENANTS) if many else [SOLO]
        return sum(self.value(tenant, work.LAST) for tenant in tenants)


class Nginx(Target):
    name = "nginx"
    kinds = ("select",)
    many = False

    def command(self):
        answer = {"success": True, "data": {"columns": ["id", "name", "v"],
                                            "rows": [[1000, "name-1000", ""]]}}
        empty = len(json.dumps(answer))
        answer["data"]["rows"][0][2] = "0" * (work.ANSWER_BYTES - empty)
        with open(os.path.join(install.CONFIG, "nginx.conf"), encoding="ascii") as file:
            config = file.read()
        for name, value in (("DIR", self.folder), ("PORT", str(self.port)),
                            ("ANSWER", json.dumps(answer))):
            config = config.replace(f"@{name}@", value)
        path = os.path.join(self.folder, "nginx.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(config)
        return [install.which("nginx"), "-p", self.folder, "-c", path]

    def address(self, tenant):
        return f"/v1/db/{tenant_name(tenant)}/main/query", "127.0.0.1", {}

    def create(self):
        return None, ""

    def fill(self):
        return None


class Workerd(Target):
    name = "workerd"
    expect = '"success":true'

    def command(self):
        data = os.path.join(self.folder, "data")
        os.makedirs(data, exist_ok=True)
        return [install.WORKERD, "serve", os.path.join(install.CONFIG, "workerd.capnp"),
                f"--socket-addr=http=127.0.0.1:{self.port}", f"--directory-path=storage={data}"]

    def address(self, tenant):
        return f"/v1/db/{tenant_name(tenant)}/main/query", "127.0.0.1", {}

    def create(self):
        begin = time.monotonic()
        for tenant in range(work.TENANTS):
            self.query(tenant, work.CREATE_LOG)
        return time.monotonic() - begin, "first touch with a CREATE TABLE each"


class Hrana:
    """What a target says and hears in Hrana over HTTP."""

    expect = '"response":{"type":"execute"'

    @staticmethod
    def args(params):
        return [{"type": "integer", "value": str(param)} if isinstance(param, int)
                else {"type": "text", "value": param} for param in params]

    def body(self, sql, params):
        requests = [{"type": "execute", "stmt": {"sql": sql, "args": self.args(params)}},
                    {"type": "close"}]
        return json.dumps({"requests": requests}, separators=(",", ":"))

    def rows(self, answer):
        result = answer["results"][0]["response"]["result"]
        return [[cell.get("value") for cell in row] for row in result["rows"]]


class HranaSocket(Hrana):
    """The same over WebSocket: a stream per socket, and its statements stored once. Filled, looked
    at and counted over HTTP."""

    websocket = True
    expect_message = '"type":"execute"'
    stored = (work.SELECT, work.INSERT)

    def socket_address(self, tenant):
        """Path, Host and token (None: none) of a tenant's sockets."""
        raise NotImplementedError

    def upgrade(self, tenant):
        path, host, _ = self.socket_address(tenant)
        return (f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                "Sec-WebSocket-Protocol: hrana2\r\n\r\n").encode()

    def opening(self, tenant):
        """What each socket says first, a line per message; each is answered."""
        messages = [{"type": "hello", "jwt": self.socket_address(tenant)[2]}]
        requests = [{"type": "open_stream", "stream_id": 0}]
        requests += [{"type": "store_sql", "sql_id": number, "sql": sql}
                     for number, sql in enumerate(self.stored)]
        messages += [{"type": "request", "request_id": number, "request": request}
                     for number, request in enumerate(requests)]
        return "\n".join(json.dumps(message, separators=(",", ":")) for message in messages).encode()

    def message(self, sql, params):
        stmt = {"sql_id": self.stored.index(sql), "args": self.args(params)}
        return json.dumps({"type": "request", "request_id": 9, "request": {
            "type": "execute", "stream_id": 0, "stmt": stmt}}, separators=(",", ":")).encode()

    def create(self):
        return None, ""

    def fill(self):
        return None


class Sqld(Hrana, Target):
    name = "sqld"

    def __init__(self, folder):
        super().__init__(folder)
        self.data = os.path.join(self.folder, "data")
        self.admin_port = 0
        self.options = []

    def command(self):
        self.admin_port = free_port()
        return [install.SQLD, "--db-path", self.data, "--http-listen-addr",
                f"127.0.0.1:{self.port}", "--admin-listen-addr", f"127.0.0.1:{self.admin_port}",
                "--enable-namespaces", "--no-welcome",
                # Its default of 100 answers 404 for the others, though they exist.
                "--max-active-namespaces", str(work.TENANTS + 100)] + self.options

    def address(self, tenant):
        return "/v2/pipeline", f"{tenant_name(tenant)}.localhost", {}

    def create(self):
        self.create_one(SOLO)
        begin = time.monotonic()
        for tenant in range(work.TENANTS):
            self.create_one(tenant)
        return time.monotonic() - begin, "one admin request each"

    def create_one(self, tenant):
        self.send("POST", f"/v1/namespaces/{tenant_name(tenant)}/create", "localhost", {}, "{}",
                  self.admin_port)


class SqldWs(HranaSocket, Sqld):
    name = "sqld-ws"

    def __init__(self, folder, base):
        super().__init__(folder)
        self.base = base
        self.data = base.data
        # Its default of 128 lets go of the other sockets.
        self.options = ["--max-concurrent-connections", str(work.TENANTS + 100)]

    def socket_address(self, tenant):
        return "/", f"{tenant_name(tenant)}.localhost", None


class Redis(Target):
    """Context only: another protocol, no SQL. GET and SET by redis-benchmark."""

    name = "redis"
    many = False

    def command(self):
        # Each round from nothing: it answers LOADING while it reads an old file.
        clean(os.path.join(self.folder, "appendonlydir"))
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir",
                self.folder, "--appendonly", "yes", "--appendfsync", "always", "--save", "",
                "--auto-aof-rewrite-percentage", "0"]

    def create(self):
        return None, ""

    def fill(self):
        return None


def clean(folder):
    shutil.rmtree(folder, ignore_errors=True)
