"""The cases of the Autobahn test suite for servers, by their numbers, on the echo server.

Written from the suite's own list of cases (its program is for Python 2): groups 1 to 7, 9 and 10;
12 and 13 are about compression, which is not offered here. What the suite calls "strict" is asked
for everywhere: messages before a bad frame are echoed, text that is not UTF-8 fails at its first
bad byte (6.4.x), not at its end. Where it says "informational" (7.1.6, 7.13.x) our answer is
pinned. Its waits are left out: a case ends when the server has answered what it must.
"""

import struct

import pytest

from server import Server
from websocket import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Socket, close_frame, fragments,
                       frame)

OPTIONS = ("--websocket-message", "16m")  # 9.1.6 sends that much
HELLO = b"Hello, world!"
KILO, MEGA = 1 << 10, 1 << 20
NO_CODE = 0


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("autobahn"), options=OPTIONS,
                    program="tests/rookeryd-echo")
    yield server.start()
    server.stop()


class Case:
    """sent: what goes out, a write each. events: the frames that must come back, in order. code: of
    the close frame that ends it; NO_CODE: it is empty; None: the server goes on, and we close it
    with 1000."""

    def __init__(self, *sent, events=(), code=None):
        self.sent, self.events, self.code = sent, list(events), code

    def run(self, echo):
        with Socket(echo, "/test/echo") as socket:
            for data in self.sent:
                socket.send(data)
            for event in self.events:
                assert shortened(socket.receive()) == shortened(event)
            if self.code is None:
                socket.send(close_frame(1000))
            if self.code == NO_CODE:
                assert socket.receive_close() == (None, "") and socket.connection.is_closed()
            else:
                socket.expect_close(1000 if self.code is None else self.code)


def shortened(event):
    """A failing test need not print megabytes; equality stays exact."""
    opcode, payload = event
    return (opcode, payload) if len(payload) < 200 else (opcode, len(payload), hash(payload))


def chopped(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]


def text(payload, fin=True):
    return frame(TEXT, payload, fin=fin)


def more(payload, fin=False):
    return frame(CONTINUATION, payload, fin=fin)


def said(payload):
    return [(TEXT, payload)]


def split(opcode, payload, size):
    return fragments(opcode, *chopped(payload, size))


def repeated(pattern, length):
    return (pattern * (length // len(pattern) + 1))[:length]


# -- 1 to 5 -----------------------------------------------------------------------------------------


def framing():
    for group, opcode, byte in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
        for number, length in enumerate((0, 125, 126, 127, 128, 65535, 65536), 1):
            payload = byte * length
            yield f"1.{group}.{number}", Case(frame(opcode, payload), events=[(opcode, payload)])
        payload = byte * 65536
        yield f"1.{group}.8", Case(*chopped(frame(opcode, payload), 997),
                                   events=[(opcode, payload)])


def pings():
    ping = lambda payload: frame(PING, payload)  # noqa: E731
    for number, payload in ((1, b""), (2, HELLO), (3, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
                            (4, b"\xfe" * 125)):
        yield f"2.{number}", Case(ping(payload), events=[(PONG, payload)])
    yield "2.5", Case(ping(b"\xfe" * 126), code=1002)
    yield "2.6", Case(*chopped(ping(b"\xfe" * 125), 1), events=[(PONG, b"\xfe" * 125)])
    yield "2.7", Case(frame(PONG))
    yield "2.8", Case(frame(PONG, "unsolicited pong payload"))
    yield "2.9", Case(frame(PONG, "unsolicited pong payload"), ping(b"ping payload"),
                      events=[(PONG, b"ping payload")])
    ten = [b"payload-%d" % i for i in range(10)]
    pongs = [(PONG, payload) for payload in ten]
    yield "2.10", Case(*[ping(payload) for payload in ten], events=pongs)
    yield "2.11", Case(*chopped(b"".join(ping(payload) for payload in ten), 1), events=pongs)


def reserved_bits():
    bad = lambda rsv: frame(TEXT, HELLO, rsv=rsv)  # noqa: E731
    yield "3.1", Case(bad(1), code=1002)
    yield "3.2", Case(text(HELLO) + bad(2) + frame(PING), events=said(HELLO), code=1002)
    yield "3.3", Case(text(HELLO), bad(3), events=said(HELLO), code=1002)
    yield "3.4", Case(*chopped(text(HELLO) + bad(4)[:2], 1), events=said(HELLO), code=1002)
    yield "3.5", Case(frame(BINARY, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", rsv=5), code=1002)
    yield "3.6", Case(frame(BINARY, HELLO, rsv=6), code=1002)
    yield "3.7", Case(frame(CLOSE, rsv=7), code=1002)


def opcodes():
    for group, first in ((1, 3), (2, 11)):
        yield f"4.{group}.1", Case(frame(first), code=1002)
        yield f"4.{group}.2", Case(frame(first + 1, "reserved opcode payload"), code=1002)
        for number, payload in ((3, b""), (4, HELLO)):
            yield f"4.{group}.{number}", Case(
                text(HELLO) + frame(first + number - 1, payload) + frame(PING), events=said(HELLO),
                code=1002)
        yield f"4.{group}.5", Case(*chopped(text(HELLO) + frame(first + 4, HELLO)[:2], 1),
                                   events=said(HELLO), code=1002)


def in_three_ways(numbers, frames, **kwargs):
    """Frames in one write, in a write each, and in a write per byte; with `code` a byte of the
    first frame that is refused is the last that is sent, or the writes would meet a closed door."""
    whole, each, bytewise = numbers
    yield whole, Case(b"".join(frames), **kwargs)
    if "code" in kwargs:
        yield each, Case(frames[0], **kwargs)
        yield bytewise, Case(*chopped(frames[0][:2], 1), **kwargs)
    else:
        yield each, Case(*frames, **kwargs)
        yield bytewise, Case(*chopped(b"".join(frames), 1), **kwargs)


def fragmentation():
    one, two = text("fragment1", fin=False), more("fragment2", fin=True)
    yield "5.1", Case(frame(PING, "fragment1", fin=False) + two, code=1002)
    yield "5.2", Case(frame(PONG, "fragment1", fin=False) + two, code=1002)
    yield from in_three_ways(("5.3", "5.4", "5.5"), [one, two], events=said(b"fragment1fragment2"))
    yield from in_three_ways(("5.6", "5.7", "5.8"), [one, frame(PING, "ping payload"), two],
                             events=[(PONG, b"ping payload"), (TEXT, b"fragment1fragment2")])
    for numbers, fin in ((("5.9", "5.10", "5.11"), True), (("5.12", "5.13", "5.14"), False)):
        yield from in_three_ways(numbers, [more("non-continuation payload", fin=fin), text(HELLO)],
                                 code=1002)
    yield "5.15", Case(one + two + more("fragment3") + text("fragment4"),
                       events=said(b"fragment1fragment2"), code=1002)
    for number, fin in (("5.16", False), ("5.17", True)):
        yield number, Case(2 * (more("fragment1", fin=fin) + text("fragment2", fin=False) +
                                more("fragment3", fin=True)), code=1002)
    yield "5.18", Case(one + text("fragment2"), code=1002)
    frames = [one, more("fragment2"), frame(PING, "pongme 1!"), more("fragment3"), more("fragment4"),
              frame(PING, "pongme 2!"), more("fragment5", fin=True)]
    events = [(PONG, b"pongme 1!"), (PONG, b"pongme 2!"),
              (TEXT, b"fragment1fragment2fragment3fragment4fragment5")]
    yield "5.19", Case(b"".join(frames[:3]), b"".join(frames[3:]), events=events)
    yield "5.20", Case(*frames, events=events)


# -- 6: UTF-8 ---------------------------------------------------------------------------------------

GREEK = bytes.fromhex("cebae1bdb9cf83cebcceb5")  # 11 bytes
UMLAUTS = "Hello-\xb5@\xdf\xf6\xe4", "\xfc\xe0\xe1-UTF-8!!"
SURROGATE = GREEK + b"\xed\xa0\x80" + b"edited"
TOO_HIGH = GREEK + b"\xf4\x90\x80\x80" + b"edited"  # byte 12, \x90, is the first bad one


def noncharacters():
    yield from ("efbfbe", "efbfbf")
    for first in ("f0", "f1", "f2", "f3", "f4"):
        for second in ("8f", "9f", "af", "bf"):
            if (first, second) != ("f0", "8f") and (first != "f4" or second == "8f"):
                yield from (f"{first}{second}bfbe", f"{first}{second}bfbf")


def lonely_starts():
    for low, high in ((0xc0, 0xdf), (0xe0, 0xef), (0xf0, 0xf7), (0xf8, 0xfb), (0xfc, 0xfd)):
        yield b"".join(bytes([byte]) + b" " for byte in range(low, high)).hex()


CUT_SHORT = ("c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf",
             "fdbfbfbfbf")
# Payloads of 6.5 to 6.23, from Markus Kuhn's UTF-8 decoder test; valid is what Python decodes.
UTF8 = {
    5: ["hello$world".encode().hex(), "hello\xa2world".encode().hex(),
        "hello\u20acworld".encode().hex(), "hello\U00024b62world".encode().hex(), GREEK.hex()],
    6: [GREEK[:length].hex() for length in range(1, len(GREEK) + 1)],
    7: ["00", "c280", "e0a080", "f0908080"],
    8: ["f888808080", "fc8480808080"],
    9: ["7f", "dfbf", "efbfbf", "f48fbfbf"],
    10: ["f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf"],
    11: ["ed9fbf", "ee8080", "efbfbd", "f48fbfbf", "f4908080"],
    12: ["80", "bf", "80bf", "80bf80", "80bf80bf", "80bf80bf80", "80bf80bf80bf",
         bytes(range(0x80, 0xbf)).hex()],
    13: list(lonely_starts()),
    14: list(CUT_SHORT),
    15: ["".join(CUT_SHORT)],
    16: ["fe", "ff", "fefeffff"],
    17: ["c0af", "e080af", "f08080af", "f8808080af", "fc80808080af"],
    18: ["c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"],
    19: ["c080", "e08080", "f0808080", "f880808080", "fc8080808080"],
    20: ["eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf"],
    21: [high + low for high in ("eda080", "edadbf", "edae80", "edafbf")
         for low in ("edb080", "edbfbf")],
    22: list(noncharacters()),
    23: ["efbfb9", "efbfba", "efbfbb", "efbfbc", "efbfbd", "efbfbe", "efbfbf"],
}


def is_utf8(payload):
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def utf8():
    yield "6.1.1", Case(text(b""), events=said(b""))
    yield "6.1.2", Case(fragments(TEXT, b"", b"", b""), events=said(b""))
    yield "6.1.3", Case(fragments(TEXT, b"", b"middle frame payload", b""),
                        events=said(b"middle frame payload"))
    whole = "".join(UMLAUTS).encode()
    yield "6.2.1", Case(text(whole), events=said(whole))
    yield "6.2.2", Case(fragments(TEXT, UMLAUTS[0].encode(), UMLAUTS[1].encode()),
                        events=said(whole))
    yield "6.2.3", Case(split(TEXT, whole, 1), events=said(whole))
    yield "6.2.4", Case(split(TEXT, GREEK, 1), events=said(GREEK))
    yield "6.3.1", Case(text(SURROGATE), code=1007)
    yield "6.3.2", Case(split(TEXT, SURROGATE, 1), code=1007)
    for group, payloads in UTF8.items():
        for number, digits in enumerate(payloads, 1):
            payload = bytes.fromhex(digits)
            yield f"6.{group}.{number}", (Case(text(payload), events=said(payload))
                                          if is_utf8(payload) else Case(text(payload), code=1007))


@pytest.mark.parametrize("number, valid, bad", [
    ("6.4.1", GREEK, b"\xf4\x90\x80\x80"), ("6.4.2", TOO_HIGH[:12], TOO_HIGH[12:13])])
def test_bad_text_fails_at_its_first_bad_frame(echo, number, valid, bad):
    with Socket(echo, "/test/echo") as socket:
        socket.send(text(valid, fin=False) + frame(PING, "still there?"))
        assert socket.receive() == (PONG, b"still there?")
        socket.send(more(bad))  # the rest of the message is never sent
        socket.expect_close(1007)


@pytest.mark.parametrize("number, valid", [("6.4.3", len(GREEK)), ("6.4.4", 12)])
def test_bad_text_fails_at_its_first_bad_byte_inside_a_frame(echo, number, valid):
    whole = text(TOO_HIGH)
    head = len(whole) - len(TOO_HIGH)
    with Socket(echo, "/test/echo") as socket:
        socket.send(whole[:head + valid])
        assert socket.connection.is_quiet(0.05)  # may be early; the next byte is what counts
        socket.send(whole[head + valid:head + 13])
        socket.expect_close(1007)


# -- 7: the end -------------------------------------------------------------------------------------


def closing():
    bye = close_frame(1000)
    yield "7.1.1", Case(text("Hello World!") + bye, events=said(b"Hello World!"), code=1000)
    yield "7.1.2", Case(bye + frame(CLOSE), code=1000)
    yield "7.1.3", Case(bye + frame(PING), code=1000)
    yield "7.1.4", Case(bye + text("Hello World!"), code=1000)
    yield "7.1.5", Case(text("fragment1", fin=False) + bye + more("fragment2", fin=True), code=1000)
    large = repeated(b"BAsd7&jh23", 256 * KILO)
    yield "7.1.6", Case(text(large) + text("Hello World!") + bye + frame(PING),
                        events=said(large) + said(b"Hello World!"), code=1000)
    yield "7.3.1", Case(frame(CLOSE), code=NO_CODE)
    yield "7.3.2", Case(frame(CLOSE, b"a"), code=1002)
    yield "7.3.3", Case(bye, code=1000)
    yield "7.3.4", Case(close_frame(1000, "Hello World!"), code=1000)
    yield "7.3.5", Case(close_frame(1000, "*" * 123), code=1000)
    yield "7.3.6", Case(close_frame(1000, "*" * 124), code=1002)
    yield "7.5.1", Case(frame(CLOSE, struct.pack(">H", 1000) + SURROGATE), code=1007)
    valid = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    for number, code in enumerate(valid, 1):
        yield f"7.7.{number}", Case(close_frame(code), code=code)
    for number, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
        yield f"7.9.{number}", Case(close_frame(code), code=1002)
    yield "7.13.1", Case(close_frame(5000), code=1002)
    yield "7.13.2", Case(close_frame(65535), code=1002)


# -- 9, 10: sizes -----------------------------------------------------------------------------------

PATTERN = {TEXT: b"BAsd7&jh23", BINARY: b"\x00\xfe\x23\xfa\xf0"}
LARGE = {}  # number -> what makes the case: they are megabytes, made when they are run
SIZES = (64 * KILO, 256 * KILO, MEGA, 4 * MEGA, 8 * MEGA, 16 * MEGA)
FRAGMENTS = (64, 256, KILO, 4 * KILO, 16 * KILO, 64 * KILO, 256 * KILO, MEGA, 4 * MEGA)


def large(opcode, length, send):
    payload = repeated(PATTERN[opcode], length)
    return Case(*send(payload), events=[(opcode, payload)])


for kind, whole_group, split_group, chop_group in ((TEXT, 1, 3, 5), (BINARY, 2, 4, 6)):
    for i, size in enumerate(SIZES, 1):
        LARGE[f"9.{whole_group}.{i}"] = (kind, size, lambda payload, kind=kind: [
            frame(kind, payload)])
    for i, size in enumerate(FRAGMENTS, 1):
        LARGE[f"9.{split_group}.{i}"] = (kind, 4 * MEGA, lambda payload, kind=kind, size=size: [
            split(kind, payload, size)])
    for i, size in enumerate((64, 128, 256, 512, KILO, 2 * KILO), 1):
        LARGE[f"9.{chop_group}.{i}"] = (kind, MEGA, lambda payload, kind=kind, size=size: chopped(
            frame(kind, payload), size))
LARGE["10.1.1"] = (TEXT, 65536, lambda payload: [split(TEXT, payload, 1300)])


@pytest.mark.parametrize("number", LARGE)
def test_sizes(echo, number):
    large(*LARGE[number]).run(echo)


@pytest.mark.parametrize("group, opcode, byte", [(7, TEXT, b"*"), (8, BINARY, b"\xfe")])
@pytest.mark.parametrize("number, length", enumerate((0, 16, 64, 256, KILO, 4 * KILO), 1))
def test_a_thousand_messages_one_after_the_other(echo, group, opcode, byte, number, length):
    """9.7.x and 9.8.x; the suite measures their time, which is bench/'s work here."""
    payload = byte * length
    sent = frame(opcode, payload)
    with Socket(echo, "/test/echo") as socket:
        for _ in range(1000):
            assert socket.send(sent).receive() == (opcode, payload)
        socket.send(close_frame(1000))
        socket.expect_close(1000)


def test_a_message_without_an_end_is_refused_at_the_limit(echo):
    """9.9.1 sends for some seconds and hopes; here --websocket-message ends it."""
    with Socket(echo, "/test/echo") as socket:
        socket.send(text(b"*" * 4 * KILO, fin=False) + 4095 * more(b"*" * 4 * KILO))
        socket.send(frame(PING, "all 16 MB are taken"))
        assert socket.receive() == (PONG, b"all 16 MB are taken")
        socket.send(more(b"*")[:6])  # the head of one byte more
        socket.expect_close(1009)


CASES = dict(entry for group in (framing, pings, reserved_bits, opcodes, fragmentation, utf8, closing)
             for entry in group())


@pytest.mark.parametrize("number", CASES)
def test_case(echo, number):
    CASES[number].run(echo)


def test_no_case_is_missing():
    wanted = {"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 141, "7": 37, "9": 42, "10": 1}
    have = {}
    for number in list(CASES) + list(LARGE):
        group = number.partition(".")[0]
        have[group] = have.get(group, 0) + 1
    assert have == wanted
