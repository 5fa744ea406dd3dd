"""Clients of a Server: bytes on a socket (Connection), and the JSON or msgpack API (Api).

Both are strict about what they read: one answer per request, exactly as long as it says, JSON
without repeated keys; so a test that only looks at `data` still notices a broken answer.
"""

import base64
import json
import select
import socket
import threading
from urllib.parse import quote

import msgpack

from server import PATIENCE

TIMEOUT_S = 15 * PATIENCE


class ProtocolError(AssertionError):
    """The server's bytes are not a well-formed HTTP/1.1 answer."""


class Closed(Exception):
    """The server closed the connection where an answer was expected."""


class Response:
    def __init__(self, status, reason, headers, body):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body

    def header(self, name, default=None):
        """A header's value; a test that sees it twice where once was meant fails here."""
        values = self.header_all(name)
        assert len(values) <= 1, f"header {name} came {len(values)} times"
        return values[0] if values else default

    def header_all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def value(self):
        """The body decoded by its Content-Type."""
        kind = (self.header("Content-Type") or "").split(";")[0].strip()
        if kind == "application/json":
            return parse_json(self.body)
        if kind == "application/msgpack":
            return msgpack.unpackb(self.body, raw=False, strict_map_key=False)
        raise ProtocolError(f"Content-Type {kind!r} is neither JSON nor msgpack: {self.body[:200]}")

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.body[:300]!r}>"


class Connection:
    """One TCP (or Unix) connection; bytes in, answers out, in order."""

    def __init__(self, server, timeout_s=TIMEOUT_S, source=None):
        if server.address.startswith("unix:"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout_s)
            self.sock.connect(server.address[len("unix:"):])
        else:
            self.sock = socket.create_connection((server.host, server.port), timeout_s,
                                                 source_address=source)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with RST, as a client that crashed behind a firewall does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def send_slowly(self, data):
        """Every byte in a segment of its own."""
        for i in range(len(data)):
            self.send(data[i:i + 1])
        return self

    def end_sending(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def receive(self, method="GET"):
        """One answer. 1xx answers are answers of their own."""
        head = self._until(b"\r\n\r\n")
        lines = head[:-4].split(b"\r\n")
        if b"\n" in head.replace(b"\r\n", b"") or b"\r" in head.replace(b"\r\n", b""):
            raise ProtocolError(f"a bare CR or LF in the head: {head!r}")
        words = lines[0].decode("latin-1").split(" ", 2)
        if len(words) < 3 or words[0] != "HTTP/1.1" or not words[1].isdigit():
            raise ProtocolError(f"status line {lines[0]!r}")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not name or name != name.strip():
                raise ProtocolError(f"header line {line!r}")
            headers.append((name, value.strip()))
        response = Response(int(words[1]), words[2], headers, b"")
        response.body = self._body(response, method)
        return response

    def is_closed(self, timeout_s=TIMEOUT_S):
        """Waits for the server's end of the connection. False: it sent bytes, or stays open."""
        if self.buffer:
            return False
        if not select.select([self.sock], [], [], timeout_s)[0]:
            return False
        try:
            self.buffer = self.sock.recv(65536)
        except ConnectionResetError:
            return True
        return not self.buffer

    def is_quiet(self, seconds):
        """Nothing comes for that long: the one place where a test has to let time pass."""
        return not self.buffer and not select.select([self.sock], [], [], seconds)[0]

    def _body(self, response, method):
        lengths = response.header_all("Content-Length")
        encodings = response.header_all("Transfer-Encoding")
        if lengths and encodings or len(lengths) > 1 or len(encodings) > 1:
            raise ProtocolError(f"two lengths: {response.headers}")
        if method == "HEAD" or response.status < 200 or response.status in (204, 304):
            return b""
        if encodings:
            if encodings[0] != "chunked":
                raise ProtocolError(f"Transfer-Encoding {encodings[0]!r}")
            return self._chunks()
        if lengths:
            return self._exactly(int(lengths[0]))
        if (response.header("Connection") or "").lower() != "close":
            raise ProtocolError(f"neither a length nor Connection: close: {response.headers}")
        return self._rest()

    def _chunks(self):
        pieces = []
        while True:
            line = self._until(b"\r\n")
            try:
                size = int(line[:-2], 16)
            except ValueError:
                raise ProtocolError(f"chunk size {line!r}") from None
            if size == 0:
                if self._until(b"\r\n") != b"\r\n":
                    raise ProtocolError("trailers after the last chunk")
                return b"".join(pieces)
            pieces.append(self._exactly(size))
            if self._exactly(2) != b"\r\n":
                raise ProtocolError("a chunk is longer than it says")

    def _fill(self):
        try:
            piece = self.sock.recv(1 << 16)
        except socket.timeout:
            raise ProtocolError(f"no answer in {self.sock.gettimeout()} s, had {self.buffer[:300]!r}") from None
        except ConnectionResetError:
            raise Closed("reset") from None
        if not piece:
            raise Closed(f"closed after {self.buffer[:300]!r}")
        self.buffer += piece

    def _until(self, mark):
        while mark not in self.buffer:
            self._fill()
        head, _, self.buffer = self.buffer.partition(mark)
        return head + mark

    def _exactly(self, count):
        pieces, have = [self.buffer], len(self.buffer)
        while have < count:
            self.buffer = b""
            self._fill()
            pieces.append(self.buffer)
            have += len(self.buffer)
        data = b"".join(pieces)
        self.buffer = data[count:]
        return data[:count]

    def _rest(self):
        while True:
            try:
                self._fill()
            except Closed:
                data, self.buffer = self.buffer, b""
                return data


def parse_json(text):
    """JSON as the standard has it: no repeated keys, no NaN."""

    def pairs(rows):
        keys = [key for key, _ in rows]
        assert len(set(keys)) == len(keys), f"repeated keys: {keys}"
        return dict(rows)

    def constant(word):
        raise ProtocolError(f"{word} is not JSON")

    return json.loads(text.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)


class Answer:
    """What one API request came to. ok() and refused() are the assertions most tests need."""

    def __init__(self, request, response, value):
        self.request, self.response, self.value = request, response, value
        self.status = response.status

    def ok(self):
        """Asserts success; returns `data`."""
        assert self.status == 200 and self.value.get("success") is True, f"{self.request}: {self}"
        return self.value["data"]

    def refused(self, status, code=None):
        """Asserts a refusal in the envelope all of them share; returns the whole answer."""
        value = self.value
        assert self.status == status and value.get("success") is False, f"{self.request}: {self}"
        assert isinstance(value.get("error"), str) and value["error"], f"no error text: {self}"
        assert value.get("requestId") == self.response.header("X-Request-Id"), f"request id: {self}"
        if code is not None:
            assert value.get("code") == code, f"{self.request}: code is not {code}: {self}"
        return value

    @property
    def meta(self):
        return self.value.get("meta")

    def __repr__(self):
        return f"<{self.status} {self.value!r}>"


class Api:
    """The API as one token sees it, over one kept connection per thread."""

    def __init__(self, server, token, headers=None, use_msgpack=False):
        self.server, self.token = server, token
        self.headers = dict(headers or {})
        self.use_msgpack = use_msgpack
        self._local = threading.local()
        if token:
            server.secrets.add(token)

    def variant(self, **changes):
        """The same with other headers, token or encoding."""
        keep = {"token": self.token, "headers": self.headers, "use_msgpack": self.use_msgpack}
        return Api(self.server, **{**keep, **changes})

    def request(self, method, path, body=None, headers=None):
        """One request; `body` is a value to encode, or bytes to send as they are."""
        response = self.raw(method, path, body, headers)
        value = response.value() if response.body else None
        return Answer(f"{method} {path}", response, value)

    def raw(self, method, path, body=None, headers=None):
        kind = "application/msgpack" if self.use_msgpack else "application/json"
        lines = {"Host": self.server.address, "Accept": kind}
        if self.token is not None:
            lines["Authorization"] = f"Bearer {self.token}"
        data = b""
        if body is not None:
            lines["Content-Type"] = kind
            data = body if isinstance(body, bytes) else self._encode(body)
        if data or method in ("POST", "PUT", "PATCH"):
            lines["Content-Length"] = str(len(data))
        lines.update(self.headers)
        lines.update(headers or {})
        head = "".join(f"{k}: {v}\r\n" for k, v in lines.items() if v is not None)
        message = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + data

        connection = getattr(self._local, "connection", None)
        if connection is None or self._local.address != self.server.address \
                or not connection.is_quiet(0):
            connection = self.connect()
        try:
            response = connection.send(message).receive(method)
        except BaseException:
            self.close()
            raise
        if (response.header("Connection") or "").lower() == "close":
            self.close()
        return response

    def connect(self):
        self.close()
        self._local.connection = Connection(self.server)
        self._local.address = self.server.address
        return self._local.connection

    def close(self):
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
        self._local.connection = None

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, body=None, **kwargs):
        return self.request("POST", path, {} if body is None else body, **kwargs)

    def put(self, path, body, **kwargs):
        return self.request("PUT", path, body, **kwargs)

    def patch(self, path, body, **kwargs):
        return self.request("PATCH", path, body, **kwargs)

    def delete(self, path, **kwargs):
        return self.request("DELETE", path, **kwargs)

    def _encode(self, value):
        if self.use_msgpack:
            return msgpack.packb(value, use_bin_type=True)
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class Database:
    """One database as one Api sees it."""

    def __init__(self, api, tenant, slug):
        self.api, self.tenant, self.slug = api, tenant, slug
        self.path = f"/v1/db/{quote(tenant)}/{quote(slug, safe='@')}"

    def seen_by(self, api):
        return Database(api, self.tenant, self.slug)

    def query(self, sql, params=None, **kwargs):
        body = {"sql": sql} if params is None else {"sql": sql, "params": params}
        return self.api.post(self.path + "/query", body, **kwargs)

    def batch(self, statements, transaction=None, continue_on_error=None, **kwargs):
        rows = [{"sql": row} if isinstance(row, str) else {"sql": row[0], "params": row[1]}
                for row in statements]
        body = {"statements": rows}
        if transaction is not None:
            body["transaction"] = transaction
        if continue_on_error is not None:
            body["continueOnError"] = continue_on_error
        return self.api.post(self.path + "/batch", body, **kwargs)

    def rows(self, sql, params=None):
        """The rows of a statement that must succeed."""
        return self.query(sql, params).ok()["rows"]

    def get(self, what):
        return self.api.get(f"{self.path}/{what}")


class Tenant:
    """One tenant, made by the operator; `owner` is an Api with an owner token of it."""

    def __init__(self, admin, slug, **settings):
        self.admin, self.slug = admin, slug
        admin.api.post("/v1/admin/tenants", {"slug": slug, **settings}).ok()
        self.owner = self.api("owner")

    def token(self, role, **more):
        """A new token; returns the whole `data`, token included."""
        body = {"name": f"{role} of {self.slug}", "role": role, **more}
        return self.admin.api.post(f"/v1/admin/tenants/{self.slug}/tokens", body).ok()

    def api(self, role, **more):
        return Api(self.admin.server, self.token(role, **more)["token"])

    def database(self, slug="main", api=None, **settings):
        """Makes a database; returns it as its owner (or `api`) sees it."""
        self.owner.post("/v1/databases", {"slug": slug, **settings}).ok()
        return Database(api or self.owner, self.slug, slug)


class Admin:
    """The operator of a server. Tenants get a slug of their own unless a test names one."""

    def __init__(self, server):
        self.server = server
        self.api = Api(server, server.operator_token)
        self._made = 0

    def tenant(self, slug=None, **settings):
        self._made += 1
        return Tenant(self, slug or f"t{self._made}", **settings)


def blob(data):
    """Bytes as a JSON parameter."""
    return {"$blob": base64.b64encode(data).decode()}
