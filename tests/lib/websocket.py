"""WebSocket by hand: frames as bytes, right and wrong, on a raw Connection.

frame() makes a client's frame and lets every bit be wrong; Socket does the handshake, reads the
server's frames strictly (no mask, no RSV, shortest lengths, UTF-8) and says what came.
"""

import base64
import hashlib
import os
import struct

from api import Closed, Connection, ProtocolError

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"


def apply_mask(payload, mask):
    mask = (mask * (len(payload) // 4 + 1))[:len(payload)]  # as one number: megabytes come by here
    masked = int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")
    return masked.to_bytes(len(payload), "little")


def frame(opcode, payload=b"", fin=True, mask=MASK, rsv=0, announce=None, form=None):
    """A frame's bytes. mask None: unmasked. announce: another length than the payload has. form:
    how many bytes follow the 7-bit length (0, 2, 8) where the shortest would be right."""
    payload = payload.encode() if isinstance(payload, str) else payload
    length = len(payload) if announce is None else announce
    if form is None:
        form = 0 if length < 126 else 2 if length < 65536 else 8
    short = {0: length, 2: 126, 8: 127}[form]
    head = bytes([fin << 7 | rsv << 4 | opcode, (mask is not None) << 7 | short])
    head += {0: b"", 2: struct.pack(">H", length) if form == 2 else b"",
             8: struct.pack(">Q", length) if form == 8 else b""}[form]
    return head + (payload if mask is None else mask + apply_mask(payload, mask))


def fragments(opcode, *parts):
    """One message in as many frames."""
    return b"".join(frame(CONTINUATION if i else opcode, part, fin=i == len(parts) - 1)
                    for i, part in enumerate(parts))


def close_frame(code=None, reason=""):
    return frame(CLOSE, b"" if code is None else struct.pack(">H", code) + reason.encode())


def handshake(path="/", headers=None, drop=(), method="GET", version="HTTP/1.1", key=None):
    """An upgrade request. headers replace or add (None: leave out, a list: several times)."""
    fields = {"Host": "x", "Connection": "Upgrade", "Upgrade": "websocket",
              "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key or new_key()}
    fields.update(headers or {})
    lines = [f"{method} {path} {version}"]
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None and name not in drop:
                lines.append(f"{name}: {one}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def new_key():
    return base64.b64encode(os.urandom(16)).decode()


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


class Socket:
    """A WebSocket client that knows only what a test tells it to."""

    def __init__(self, server, path="/", subprotocols=None, headers=None, rest=b"", **kwargs):
        """Shakes hands; `rest` is sent in the same write, behind the request."""
        key = new_key()
        headers = dict(headers or {})
        if subprotocols:
            headers["Sec-WebSocket-Protocol"] = ", ".join(subprotocols)
        self.connection = Connection(server, **kwargs)
        self.connection.send(handshake(path, headers, key=key) + rest)
        self.response = response = self.connection.receive()
        assert response.status == 101, response
        assert response.header("Upgrade").lower() == "websocket", response.headers
        assert response.header("Connection").lower() == "upgrade", response.headers
        assert response.header("Sec-WebSocket-Accept") == accept_of(key), response.headers
        assert response.header("Sec-WebSocket-Extensions") is None, response.headers
        for name in ("Content-Length", "Transfer-Encoding", "Content-Type"):
            assert response.header(name) is None, response.headers
        self.subprotocol = response.header("Sec-WebSocket-Protocol")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def send(self, data):
        self.connection.send(data)
        return self

    def text(self, text):
        return self.send(frame(TEXT, text))

    def ask(self, text):
        """Sends a text; the text that comes back."""
        return self.text(text).receive_text()

    def receive(self):
        """The server's next frame: (opcode, payload). Servers here never fragment."""
        first, second = self.connection._exactly(2)
        if first & 0x70 or not first & 0x80:
            raise ProtocolError(f"RSV or a fragment from the server: {first:#x}")
        if second & 0x80:
            raise ProtocolError("the server masks")
        length = second
        if length == 126:
            length, = struct.unpack(">H", self.connection._exactly(2))
            assert length > 125, "a length in a longer form than needed"
        elif length == 127:
            length, = struct.unpack(">Q", self.connection._exactly(8))
            assert length > 65535, "a length in a longer form than needed"
        opcode, payload = first & 15, self.connection._exactly(length)
        if opcode not in (TEXT, BINARY, CLOSE, PING, PONG):
            raise ProtocolError(f"opcode {opcode} from the server")
        if opcode >= CLOSE and length > 125:
            raise ProtocolError("a long control frame")
        return opcode, payload

    def receive_text(self):
        opcode, payload = self.receive()
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    def receive_close(self):
        """The server's close frame, which must be next: (code or None, reason)."""
        opcode, payload = self.receive()
        assert opcode == CLOSE, (opcode, payload[:200])
        assert len(payload) != 1
        if not payload:
            return None, ""
        return struct.unpack(">H", payload[:2])[0], payload[2:].decode()

    def expect_close(self, code):
        """Close frame with that code, then the end of the stream. Returns the reason."""
        got, reason = self.receive_close()
        assert got == code, (got, reason)
        assert self.connection.is_closed()
        return reason

    def is_lost(self):
        """The server ends the connection without a word."""
        try:
            self.receive()
        except (Closed, ConnectionResetError, BrokenPipeError):
            return True
        return False
