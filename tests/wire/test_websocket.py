"""WebSocket on the real server: the handshake, frames right and wrong, ends of every kind.

The server here is build/tests/rookeryd-echo, which is rookeryd with one more dialect
(tests/lib/echo_dialect.c says what its messages do). What the product itself speaks is at the end.
"""

import json
import signal
import threading
import time

import pytest

from api import Admin, Closed, Connection
from server import PATIENCE, Server
from websocket import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Socket, close_frame, fragments,
                       frame, handshake)


@pytest.fixture(scope="module")
def echo_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("echo"), options=("--log-level", "debug"),
                    program="tests/rookeryd-echo")
    yield server.start()
    server.stop()


@pytest.fixture
def echo(echo_server):
    """The shared echo server; afterwards every session must have ended and been freed."""
    yield echo_server
    assert echo_server.running, echo_server.log_tail()
    wait_for(echo_server, lambda n: n["opened"] == n["closed"] and n["held"] == 0)
    echo_server.check_log()


@pytest.fixture
def start_echo(start_server):
    return lambda *options: start_server(*options, program="tests/rookeryd-echo")


def fetch(server, path, method="GET"):
    with Connection(server) as connection:
        connection.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        return json.loads(connection.receive().body)


def sessions(server):
    return fetch(server, "/test/sessions")


def wait_for(server, condition):
    """Until the counts are so; each look is a round trip through the server."""
    deadline = time.monotonic() + 15 * PATIENCE
    while time.monotonic() < deadline:
        counts = sessions(server)
        if condition(counts):
            return counts
    raise AssertionError(f"it never came so: {counts}")


def answer_to(server, request):
    """The answer to a request that is not to become a WebSocket; the connection must end."""
    with Connection(server) as connection:
        connection.send(request + b"GET /test/sessions HTTP/1.1\r\nHost: x\r\n\r\n")
        response = connection.receive("HEAD" if request.startswith(b"HEAD") else "GET")
        assert response.status != 101, response
        assert response.header("Connection").lower() == "close", response.headers
        assert connection.is_closed(), "what follows a refused upgrade was read as a request"
        return response


# -- the handshake ----------------------------------------------------------------------------------


@pytest.mark.parametrize("offered, chosen", [
    (None, None), (["echo1"], "echo1"), (["echo2"], "echo2"), (["echo1", "echo2"], "echo2"),
    (["other", "echo1"], "echo1")])
def test_the_best_known_subprotocol_is_chosen(echo, offered, chosen):
    with Socket(echo, "/test/echo", offered) as socket:
        assert socket.subprotocol == chosen
        assert socket.ask("hello") == "hello"


@pytest.mark.parametrize("headers", [
    {"Connection": "keep-alive, Upgrade"}, {"Connection": "upgrade"}, {"Upgrade": "WebSocket"},
    {"Upgrade": "h2c, websocket"}, {"Content-Length": "0"}, {"Connection": ["keep-alive", "Upgrade"]},
    {"Sec-WebSocket-Protocol": ["nothing", "echo1"]}, {"Authorization": "Bearer None"},
    {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"},
    {"Expect": "100-continue"}])
def test_what_clients_may_write_differently(echo, headers):
    with Socket(echo, "/test/echo", headers=headers) as socket:
        assert socket.ask("hello") == "hello"


def test_the_root_takes_an_upgrade_and_else_says_where_to_look(echo):
    with Socket(echo, "/") as socket:
        assert socket.ask("hello") == "hello"
    with Connection(echo) as connection:
        assert connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").receive().status == 404


REFUSED = {
    "no key": (400, handshake("/test/echo", {"Sec-WebSocket-Key": None})),
    "a short key": (400, handshake("/test/echo", {"Sec-WebSocket-Key": "short"})),
    "a key that is not base64": (400, handshake("/test/echo", {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25j!Q=="})),
    "two keys": (400, handshake("/test/echo", {"Sec-WebSocket-Key": ["dGhlIHNhbXBsZSBub25jZQ=="] * 2})),
    "an unknown subprotocol": (400, handshake("/test/echo", {"Sec-WebSocket-Protocol": "unknown"})),
    "a subprotocol in capitals": (400, handshake("/test/echo", {"Sec-WebSocket-Protocol": "ECHO1"})),
    "an empty subprotocol": (400, handshake("/test/echo", {"Sec-WebSocket-Protocol": "echo1,,echo2"})),
    "many subprotocols": (400, handshake("/test/echo", {"Sec-WebSocket-Protocol": "echo1" + ", p" * 40})),
    "HTTP/1.0": (400, handshake("/test/echo", version="HTTP/1.0")),
    "HEAD": (400, handshake("/test/echo", method="HEAD")),
    "POST": (400, handshake("/test/echo", method="POST")),
    "OPTIONS": (400, handshake("/test/echo", method="OPTIONS")),
    "a body": (400, handshake("/test/echo", {"Content-Length": "5"}) + b"hello"),
    "a chunked body": (400, handshake("/test/echo", {"Transfer-Encoding": "chunked"}) + b"0\r\n\r\n"),
    "no such route": (404, handshake("/test/nothing")),
    "a route of the process": (404, handshake("/healthz")),
    "a route that answers plainly": (200, handshake("/test/sessions")),
    "no token where one is needed": (401, handshake("/test/private")),
    "a bad token": (401, handshake("/test/private", {"Authorization": "Bearer x_y"})),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_upgrades_are_refused_and_the_connection_ends(echo, name):
    status, request_bytes = REFUSED[name]
    assert answer_to(echo, request_bytes).status == status


@pytest.mark.parametrize("version", [None, "8", "13, 8", "14", ""])
def test_other_versions_get_426_with_the_right_one(echo, version):
    response = answer_to(echo, handshake("/test/echo", {"Sec-WebSocket-Version": version}))
    assert response.status == 426 and response.header("Sec-WebSocket-Version") == "13"
    assert response.header("Upgrade") == "websocket"


def test_a_plain_get_of_a_websocket_route_gets_426(echo):
    for words in ("", "Connection: Upgrade\r\n", "Upgrade: websocket\r\n",
                  "Upgrade: h2c\r\nConnection: Upgrade\r\n"):
        with Connection(echo) as connection:
            connection.send(f"GET /test/echo HTTP/1.1\r\nHost: x\r\n{words}\r\n")
            response = connection.receive()
            assert response.status == 426 and response.header("Sec-WebSocket-Version") == "13"


def test_a_route_can_answer_both_ways(echo):
    assert fetch(echo, "/test/mixed") == {"plain": True}
    with Socket(echo, "/test/mixed") as socket:
        assert socket.ask("hello") == "hello"


def test_a_route_may_ask_for_a_token(echo):
    token = Admin(echo).tenant().database().api.token
    for _ in range(2):  # looked up, then known
        with Socket(echo, "/test/private", headers={"Authorization": f"Bearer {token}"}) as socket:
            assert socket.ask("hello") == "hello"


def test_origins_are_those_of_cors(start_echo):
    closed, listed, every = start_echo(), start_echo("--cors-origin", "https://app.example"), \
        start_echo("--cors-origin", "*")
    for server, origin, status in [
            (closed, "https://evil.example", 403), (closed, "null", 403), (closed, "http://x", 101),
            (closed, "https://X", 101), (closed, "http://x:81", 403), (closed, "", 403),
            (listed, "https://app.example", 101), (listed, "https://app.example.evil", 403),
            (listed, "http://app.example", 403), (every, "https://evil.example", 101)]:
        with Connection(server) as connection:
            connection.send(handshake("/test/echo", {"Origin": origin}))
            assert connection.receive().status == status, (origin, server.options)


def test_bytes_behind_the_request_are_frames(echo):
    with Socket(echo, "/test/echo", rest=frame(TEXT, "one") + frame(PING, "two") + frame(TEXT, "three")) as socket:
        assert [socket.receive() for _ in range(3)] == [(TEXT, b"one"), (PONG, b"two"), (TEXT, b"three")]


def test_an_upgrade_may_come_behind_other_requests(echo):
    plain = b"GET /test/mixed HTTP/1.1\r\nHost: x\r\n\r\n"
    with Connection(echo) as connection:
        connection.send(plain + plain + handshake("/test/echo") + frame(TEXT, "hello"))
        assert [connection.receive().status for _ in range(3)] == [200, 200, 101]
        assert connection._exactly(7) == b"\x81\x05hello"


def test_byte_by_byte(echo):
    with Connection(echo) as connection:
        connection.send_slowly(handshake("/test/echo"))
        assert connection.receive().status == 101
        connection.send_slowly(fragments(TEXT, "h\u00e4", "l\u20ac".encode()[:2], "l\u20ac".encode()[2:])
                               + frame(BINARY, bytes(range(130))) + close_frame(1000))
        assert connection._rest() == b"\x81\x07h\xc3\xa4l\xe2\x82\xac" + b"\x82\x7e\x00\x82" \
            + bytes(range(130)) + b"\x88\x02\x03\xe8"


# -- frames -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 1_000_000])
def test_lengths(echo, length):
    payload = bytes(i * 7 & 255 for i in range(length))
    with Socket(echo, "/test/echo") as socket:
        for mask in (b"\0\0\0\0", b"\xff\x00\x55\xaa"):
            socket.send(frame(BINARY, payload, mask=mask))
            assert socket.receive() == (BINARY, payload)


def test_control_frames_between_fragments(echo):
    with Socket(echo, "/test/echo") as socket:
        socket.send(frame(TEXT, "a", fin=False) + frame(PING, "p") + frame(PONG, "q")
                    + frame(CONTINUATION, "b", fin=False) + frame(PING) + frame(CONTINUATION, "c"))
        assert [socket.receive() for _ in range(3)] == [(PONG, b"p"), (PONG, b""), (TEXT, b"abc")]


BAD = {
    "no mask": (1002, frame(TEXT, "hello", mask=None)),
    "no mask on a close": (1002, frame(CLOSE, mask=None)),
    "RSV1, as if deflate had been agreed": (1002, frame(TEXT, "hello", rsv=4)),
    "RSV2": (1002, frame(TEXT, "hello", rsv=2)),
    "RSV3": (1002, frame(PING, rsv=1)),
    "opcode 3": (1002, frame(3, "hello")),
    "opcode 11": (1002, frame(11)),
    "a continuation of nothing": (1002, frame(CONTINUATION, "hello")),
    "a text inside a text": (1002, frame(TEXT, "a", fin=False) + frame(TEXT, "b")),
    "a ping in fragments": (1002, frame(PING, fin=False)),
    "a long ping": (1002, frame(PING, "x" * 126)),
    "a length in a longer form": (1002, frame(TEXT, "hello", form=2)),
    "a length in the longest form": (1002, frame(TEXT, "x" * 200, form=8)),
    "a negative length": (1002, frame(TEXT, announce=1 << 63)),
    "a close of one byte": (1002, frame(CLOSE, b"\x03")),
    "a close code that is never sent": (1002, close_frame(1005)),
    "a close code out of range": (1002, close_frame(5000)),
    "a reason that is not UTF-8": (1007, frame(CLOSE, b"\x03\xe8\xff")),
    "text that is not UTF-8": (1007, frame(TEXT, b"hell\xff")),
    "a surrogate": (1007, frame(TEXT, b"\xed\xa0\x80")),
    "text that ends inside a character": (1007, frame(TEXT, b"\xe2\x82")),
    "bad text before the message is whole": (1007, frame(TEXT, b"\xc0", fin=False)),
    "too big by its head alone": (1009, frame(BINARY, announce=(8 << 20) + 1)),
    "far too big": (1009, frame(BINARY, announce=(1 << 63) - 1)),
    "too many fragments": (1009, frame(BINARY, fin=False) +
                           131072 * frame(CONTINUATION, fin=False)),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_frames_end_it_with_their_code(echo, name):
    code, data = BAD[name]
    with Socket(echo, "/test/echo") as socket:
        assert socket.ask("hello") == "hello"
        socket.send(data)
        assert socket.expect_close(code), "a reason is given"


def test_what_came_before_the_bad_frame_is_answered(echo):
    with Socket(echo, "/test/echo") as socket:
        socket.send(frame(TEXT, "one") + frame(TEXT, "two") + frame(TEXT, "x", mask=None) + frame(TEXT, "three"))
        assert (socket.receive_text(), socket.receive_text()) == ("one", "two")
        socket.expect_close(1002)


def test_the_size_of_a_message_is_a_setting(start_echo):
    server = start_echo("--websocket-message", "64k")
    for parts, code in [(["x" * 65536], None), (["x" * 65537], 1009), (["x" * 40000, "x" * 25536], None),
                        (["x" * 40000, "x" * 25537], 1009)]:
        with Socket(server, "/test/echo") as socket:
            socket.send(fragments(TEXT, *parts))
            if code is None:
                assert socket.receive_text() == "".join(parts)
            else:
                socket.expect_close(code)


def test_cut_off_at_every_byte(echo):
    """Nothing may be left of a client that goes away, wherever it does."""
    data = frame(TEXT, "late 1") + fragments(TEXT, "h\u00e4", "llo") + frame(PING, "p") \
        + frame(BINARY, b"x" * 130) + frame(TEXT, "hold 2") + close_frame(1000, "bye")
    for end in range(len(data) + 1):
        with Socket(echo, "/test/echo", rest=data[:end]) as socket:
            if end % 2:
                socket.connection.reset()
    wait_for(echo, lambda n: n["made"] == n["freed"])


def test_random_bytes_never_hang_it(echo, rng):
    for _ in range(200):
        with Socket(echo, "/test/echo", rest=rng.randbytes(rng.randrange(1, 200))) as socket:
            socket.connection.end_sending()
            socket.connection._rest()


# -- the end ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code, reason", [(1000, ""), (1000, "bye"), (1001, ""), (3000, "app"), (4999, ""), (None, "")])
def test_a_close_is_answered_with_its_code(echo, code, reason):
    with Socket(echo, "/test/echo") as socket:
        socket.send(frame(TEXT, "last") + close_frame(code, reason) + frame(TEXT, "too late"))
        assert socket.receive_text() == "last"
        assert socket.receive_close() == (code, "")
        assert socket.connection.is_closed()
    assert wait_for(echo, lambda n: n["made"] == n["freed"])["code"] == (code or 1005)


def test_a_handler_closes_after_what_it_sent(echo):
    with Socket(echo, "/test/echo") as socket:
        socket.send(frame(TEXT, "one") + frame(TEXT, "close 1008 so it is") + frame(TEXT, "two"))
        assert socket.receive_text() == "one"
        assert socket.expect_close(1008) == "so it is"


def test_a_lost_connection_is_told_as_1006(echo):
    with Socket(echo, "/test/echo") as socket:
        assert socket.ask("hello") == "hello"
        before = sessions(echo)["closed"]
    assert wait_for(echo, lambda n: n["closed"] > before)["code"] == 1006


def test_answers_from_other_threads(echo):
    with Socket(echo, "/test/echo") as socket:
        for i in range(300):
            socket.text(f"{('late', 'task')[i % 2]} {i}")
        got = {socket.receive_text() for _ in range(300)}
        assert got == {f"{('late', 'task')[i % 2]} {i}" for i in range(300)}


def test_a_client_that_goes_while_work_runs(echo):
    for _ in range(50):
        with Socket(echo, "/test/echo") as socket:
            socket.send(b"".join(frame(TEXT, f"late {i}") for i in range(8)))
    wait_for(echo, lambda n: n["made"] == n["freed"])


def test_at_its_holds_a_session_takes_no_more(echo):
    """Four may be under way; the fifth message waits in its socket."""
    with Socket(echo, "/test/echo") as socket:
        socket.send(b"".join(frame(TEXT, f"hold {i}") for i in range(4)) + frame(TEXT, "fifth"))
        wait_for(echo, lambda n: n["held"] == 4)
        assert socket.connection.is_quiet(0.2)
        assert fetch(echo, "/test/release", "POST") == {"released": 4}
        assert [socket.receive_text() for _ in range(5)] == [f"held {i}" for i in range(4)] + ["fifth"]


def test_a_close_of_the_client_ends_held_work(echo):
    with Socket(echo, "/test/echo") as socket:
        socket.text("hold 1")
        wait_for(echo, lambda n: n["held"] == 1)
        socket.send(close_frame(1000))
        assert socket.receive_close() == (1000, "")
    wait_for(echo, lambda n: n["held"] == 0 and n["made"] == n["freed"])


# -- backpressure and time --------------------------------------------------------------------------


def test_a_flood_waits_for_its_reader(echo):
    """64 MB through a bound of 1 MB: the sender pauses and goes on, and nothing is lost."""
    with Socket(echo, "/test/echo") as socket:
        socket.text("flood 640 100000")
        socket.text("after")
        texts = [socket.receive_text() for _ in range(642)]
        assert [len(text) for text in texts].count(100000) == 640
        assert "after" in texts and texts.index("done") > max(i for i, t in enumerate(texts) if len(t) > 5)


def test_a_slow_reader_is_cut_off(start_echo):
    server = start_echo("--slow-reader", "300ms")
    with Socket(server, "/test/echo") as socket:
        socket.text("flood 1000 100000")
        counts = wait_for(server, lambda n: n["freed"] == 1)
        assert counts["code"] == 1006 and server.events("http.slow_reader")


def test_echoes_nobody_reads_do_not_pile_up(start_echo):
    """A client that only writes is stopped by the kernel long before its gigabyte is here."""
    server = start_echo("--slow-reader", "500ms")
    with Socket(server, "/test/echo", timeout_s=10 * PATIENCE) as socket:
        sent = 0
        try:
            for _ in range(1000):
                socket.send(frame(BINARY, b"x" * 1_000_000, mask=b"\0\0\0\0"))
                sent += 1
        except OSError:
            pass
        assert sent < 100, "the server took it all"
    wait_for(server, lambda n: n["freed"] == 1)


def test_a_silent_client_is_pinged_and_an_answer_keeps_it(start_echo):
    server = start_echo("--websocket-idle", "800ms")
    with Socket(server, "/test/echo") as socket:
        for _ in range(3):
            opcode, payload = socket.receive()
            assert opcode == PING
            socket.send(frame(PONG, payload))
        assert socket.ask("still here") == "still here"
        assert socket.receive()[0] == PING
        assert socket.is_lost(), "it did not answer the ping"
    assert wait_for(server, lambda n: n["freed"] == 1)["code"] == 1006


def test_a_message_that_never_ends_is_not_waited_for(start_echo):
    server = start_echo("--body-timeout", "300ms")
    for start in (frame(TEXT, "hello")[:4], frame(TEXT, "hello", fin=False), frame(BINARY, b"", announce=100)):
        with Socket(server, "/test/echo", rest=start) as socket:
            assert "time" in socket.expect_close(1008)
    with Socket(server, "/test/echo") as socket:
        assert socket.connection.is_quiet(1), "between messages there is no such limit"
        assert socket.ask("hello") == "hello"


# -- the server's end -------------------------------------------------------------------------------


def test_a_stop_says_1001(start_echo):
    server = start_echo()
    sockets = [Socket(server, "/test/echo") for _ in range(5)]
    assert [socket.ask("hello") for socket in sockets] == ["hello"] * 5
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    for socket in sockets:
        socket.expect_close(1001)
        socket.connection.close()
    stopping.join()


def test_a_stop_waits_for_what_runs_then_says_1001(start_echo):
    server = start_echo()
    with Socket(server, "/test/echo") as socket:
        assert socket.ask("hello") == "hello"
        socket.text("slow 1").text("late 2")
        assert socket.receive_text() == "late 2"
        server.process.send_signal(signal.SIGTERM)
        assert socket.receive_text() == "slow 1"
        socket.expect_close(1001)
    assert server.process.wait(20 * PATIENCE) == 0
    server.process = None


def test_a_stop_does_not_wait_for_ever(start_echo):
    server = start_echo("--drain-timeout", "500ms")
    with Socket(server, "/test/echo") as socket:
        socket.text("hold 1")
        wait_for(server, lambda n: n["held"] == 1)
        server.stop()
        assert socket.is_lost()


def test_a_client_that_answers_no_close_does_not_hold_up_the_end(start_echo):
    server = start_echo()
    with Socket(server, "/test/echo") as socket:
        assert socket.ask("hello") == "hello"
        assert server.stop() < 8 * PATIENCE


def test_metrics_and_log(start_echo):
    server = start_echo("--log-level", "debug")

    def metric(name):
        with Connection(server) as connection:
            body = connection.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").receive().body.decode()
        return next((float(line.split()[-1]) for line in body.splitlines() if line.startswith(name + " ")), None)

    with Socket(server, "/test/echo", ["echo1"]) as socket:
        assert [socket.ask(text) for text in ("a", "b", "c")] == ["a", "b", "c"]
        assert metric("rookery_websockets") == 1
        assert metric('rookery_websocket_messages_total{direction="in"}') == 3
        assert metric('rookery_websocket_messages_total{direction="out"}') == 3
        socket.send(close_frame(1000)).receive_close()
    wait_for(server, lambda n: n["freed"] == 1)
    assert metric("rookery_websockets") == 0
    assert metric('rookery_http_requests_total{dialect="echo",route="echo",status="101"}') == 1
    opened, = server.events("websocket.opened")
    closed, = server.events("websocket.closed")
    assert opened["handler"] == "echo" and opened["subprotocol"] == "echo1"
    assert opened["request"] == closed["request"] == socket.response.header("X-Request-Id")
    assert (closed["code"], closed["messages_in"], closed["messages_out"]) == ("1000", "3", "3")


# -- the product itself: Hrana ---------------------------------------------------------------------


@pytest.mark.parametrize("subprotocol", ["hrana1", "hrana2", "hrana3"])
def test_hrana_hello(server, database, subprotocol):
    with Socket(server, "/", [subprotocol]) as socket:
        assert socket.subprotocol == subprotocol
        answer = json.loads(socket.ask(json.dumps({"type": "hello", "jwt": database.api.token})))
        assert answer == {"type": "hello_ok"}


def test_hrana_without_a_token(server):
    with Socket(server, "/", ["hrana2"]) as socket:
        answer = json.loads(socket.ask('{"type":"hello","jwt":null}'))
        assert answer["type"] == "hello_error" and answer["error"]["code"] == "AUTH_HEADER_NOT_FOUND"
        socket.expect_close(1000)


HRANA_CLOSES = {
    "bad JSON": (1007, frame(TEXT, "not JSON")),
    "a binary frame": (1003, frame(BINARY, b"{}")),
    "a request before hello": (1008, frame(TEXT, json.dumps({
        "type": "request", "request_id": 1, "request": {"type": "open_stream", "stream_id": 1}}))),
}


@pytest.mark.parametrize("name", HRANA_CLOSES)
def test_hrana_closes(server, name):
    code, data = HRANA_CLOSES[name]
    with Socket(server, "/", ["hrana2"]) as socket:
        socket.send(data)
        socket.expect_close(code)
