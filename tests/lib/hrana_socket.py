"""Hrana over WebSocket as its clients speak it, in JSON and in protobuf.

Requests and responses are dicts in JSON's shape whatever the subprotocol is: with hrana3-protobuf
they are translated here, by Python's protobuf runtime and the schemas of hrana_schema.py."""

import json

from hrana import decode, stmt
from hrana_messages import from_server, to_client
from websocket import BINARY, PING, PONG, TEXT, Socket, frame

ALL = ("hrana3-protobuf", "hrana3", "hrana2", "hrana1")


class HranaSocket:
    """A connection; requests may be sent ahead, answers are found by their request_id."""

    def __init__(self, database, subprotocol="hrana3", path=None, token="own", headers=None,
                 hello=True, **kwargs):
        path = f"/{database.tenant}/{database.slug}" if path is None else path
        self.token = database.api.token if token == "own" else token
        self.socket = Socket(database.api.server, path, [subprotocol] if subprotocol else None,
                             headers, **kwargs)
        self.is_text = subprotocol != "hrana3-protobuf"
        self.next_id, self.answers = 0, {}
        if hello:
            self.send_hello()
            assert self.receive() == {"type": "hello_ok"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.connection.close()

    # -- messages

    def send_message(self, message):
        self.socket.send(self.frame_of(message))

    def frame_of(self, message):
        if self.is_text:
            return frame(TEXT, json.dumps(message))
        return frame(BINARY, to_client(message))

    def send_hello(self, token="own"):
        self.send_message({"type": "hello", "jwt": self.token if token == "own" else token})

    def send(self, kind, request_id=None, **fields):
        """Sends a request; its id."""
        if request_id is None:
            request_id = self.next_id
            self.next_id += 1
        self.send_message({"type": "request", "request_id": request_id,
                           "request": {"type": kind, **fields}})
        return request_id

    def receive(self):
        opcode, payload = self.socket.receive()
        while opcode == PING:  # the answer takes its time
            self.socket.send(frame(PONG, payload))
            opcode, payload = self.socket.receive()
        assert opcode == (TEXT if self.is_text else BINARY), (opcode, payload)
        return json.loads(payload) if self.is_text else from_server(payload)

    def answer(self, request_id):
        """The response, or the error, of a request that was sent."""
        while request_id not in self.answers:
            message = self.receive()
            assert message["type"] in ("response_ok", "response_error"), message
            assert message["request_id"] not in self.answers, message
            self.answers[message["request_id"]] = message
        message = self.answers.pop(request_id)
        return message["response"] if message["type"] == "response_ok" else message["error"]

    # -- requests

    def ask(self, kind, **fields):
        return self.answer(self.send(kind, **fields))

    def one(self, kind, **fields):
        response = self.ask(kind, **fields)
        assert response.get("type") == kind, response
        return response

    def fails(self, kind, **fields):
        error = self.ask(kind, **fields)
        assert set(error) == {"message", "code"}, error
        return error["code"]

    def open(self, stream_id):
        self.one("open_stream", stream_id=stream_id)
        return stream_id

    def execute(self, stream_id, sql, *args, **named):
        return self.one("execute", stream_id=stream_id, stmt=stmt(sql, *args, **named))["result"]

    def query(self, stream_id, sql, *args, **named):
        return rows_of(self.execute(stream_id, sql, *args, **named))

    def fails_to_execute(self, stream_id, sql, *args):
        return self.fails("execute", stream_id=stream_id, stmt=stmt(sql, *args))


def rows_of(result):
    return [[decode(v) for v in row] for row in result["rows"]]
