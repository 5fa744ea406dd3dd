"""Every value SQL knows, in JSON and MessagePack, in and out, on query and batch, streamed or not:
what comes back is what went in, type and all."""

import base64
import json
import math
import struct

import msgpack
import pytest
from api import blob, parse_json

INT64_MAX, INT64_MIN = 2**63 - 1, -2**63


class BadText(bytes):
    """TEXT whose bytes are not UTF-8."""


REALS = [0.0, -0.0, 1.0, -1.0, 0.1, 1 / 3, 1e15, 1e16, 123456789012345680.0, 5e-324, 2.2250738585072014e-308,
         1.7976931348623157e308, 9007199254740993.0, 3.141592653589793, 1e-7, 1e21, math.inf, -math.inf]
INTEGERS = [0, 1, -1, 127, 128, -128, -129, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -2**31, 2**32, 2**53 - 1,
            2**53, 2**53 + 1, -2**53 - 1, INT64_MAX - 1, INT64_MAX, INT64_MIN, INT64_MIN + 1]
TEXTS = ["", "a", "it's", '"quoted"', "back\\slash", "/", "line\nfeed\r\ttab\b\f", "\x7f\x80\x9f",
         "".join(map(chr, range(1, 32))), "nul\0inside", "\0", "é", "漢字", "😀", "\ud7ff\ue000", "\uffff\ufffe",
         "\U0010ffff", "\u2028\u2029", "<script>&amp;", "x" * 31, "x" * 32, "x" * 255, "x" * 256, "x" * 65536,
         '{"$blob":"AA=="}', "null", "123", "1e999", "ﬁ\u0301\u200d"]
BLOBS = [b"", b"\0", b"abc", bytes(range(256)), b"\xff" * 31, b"x" * 255, b"x" * 256, b"x" * 65536, b"y" * 65537]
BAD_TEXTS = [BadText(b) for b in (b"\xff", b"abc\x80", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
                                  b"\xe2\x82", b"ok\0\xfe", b"\xf8\x88\x80\x80\x80")]
VALUES = [None, *INTEGERS, *REALS, *TEXTS, *BLOBS, *BAD_TEXTS]
KINDS = {type(None): "null", int: "integer", float: "real", str: "text", bytes: "blob", BadText: "text"}


def to_json(value):
    """As JSON text: Python has no 1e999."""
    if isinstance(value, float) and math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    if isinstance(value, BadText):
        return json.dumps({"$text": base64.b64encode(value).decode()})
    if isinstance(value, bytes):
        return json.dumps(blob(value))
    return json.dumps(value, ensure_ascii=False)


def from_json(value):
    if isinstance(value, dict):
        (key, text), = value.items()
        return {"$blob": bytes, "$text": BadText}[key](base64.b64decode(text, validate=True))
    return value


def to_msgpack(value):
    return msgpack.ExtType(1, bytes(value)) if isinstance(value, BadText) else value


def from_msgpack(value):
    if isinstance(value, msgpack.ExtType):
        assert value.code == 1
        return BadText(value.data)
    return value


def same(got, wanted):
    """Equal in type and, for reals, in every bit."""
    if type(got) is not type(wanted):
        return False
    if isinstance(wanted, float):
        return struct.pack("<d", got) == struct.pack("<d", wanted)
    return got == wanted


class Json:
    def __init__(self, database):
        self.database = database

    def send(self, route, sql, values):
        params = "[" + ",".join(map(to_json, values)) + "]"
        one = f'{{"sql":{json.dumps(sql)},"params":{params}}}'
        body = one if route == "query" else f'{{"statements":[{one}]}}'
        answer = self.database.api.post(f"{self.database.path}/{route}", body.encode("utf-8", "surrogatepass"))
        data = answer.ok()
        rows = (data if route == "query" else data[0])["rows"]
        return [[from_json(value) for value in row] for row in rows]


class Msgpack:
    def __init__(self, database):
        self.database = database.seen_by(database.api.variant(use_msgpack=True))

    def send(self, route, sql, values):
        statement = {"sql": sql, "params": list(map(to_msgpack, values))}
        body = statement if route == "query" else {"statements": [statement]}
        data = self.database.api.post(f"{self.database.path}/{route}", body).ok()
        rows = (data if route == "query" else data[0])["rows"]
        return [[from_msgpack(value) for value in row] for row in rows]


FORMATS = {"json": Json, "msgpack": Msgpack}


@pytest.fixture
def client(request, database):
    return FORMATS[request.param](database)


@pytest.mark.parametrize("route", ["query", "batch"])
@pytest.mark.parametrize("client", FORMATS, indirect=True)
def test_every_value_comes_back_as_it_went(client, route):
    for value in VALUES:
        (row,) = client.send(route, "SELECT ?1, typeof(?1)", [value])
        assert same(row[0], value), f"{value!r:.80} came back as {row[0]!r:.80}"
        assert row[1] == KINDS[type(value)], f"{value!r:.80} is {row[1]}"


@pytest.mark.parametrize("writer", FORMATS)
@pytest.mark.parametrize("reader", FORMATS)
def test_every_value_is_stored_as_it_went(database, writer, reader):
    """Written in one format and read in the other."""
    write, read = FORMATS[writer](database), FORMATS[reader](database)
    database.query("CREATE TABLE v (id INTEGER PRIMARY KEY, value)").ok()
    for i in range(0, len(VALUES), 20):
        part = VALUES[i:i + 20]
        write.send("query", "INSERT INTO v VALUES " + ",".join(f"({i + k}, ?)" for k in range(len(part))), part)
    rows = read.send("query", "SELECT value, typeof(value) FROM v ORDER BY id", [])
    assert len(rows) == len(VALUES)
    for (got, kind), value in zip(rows, VALUES):
        assert same(got, value) and kind == KINDS[type(value)], f"{value!r:.80}: {got!r:.80} {kind}"


@pytest.mark.parametrize("client", FORMATS, indirect=True)
def test_values_made_by_sql(client):
    sql = ("SELECT 9223372036854775807, -9223372036854775808, 9223372036854775808, 1e999, -1e999, 1e999 - 1e999, "
           "CAST(x'ff' AS TEXT), CAST(x'610062' AS TEXT), x'00ff', '', x'', NULL, 1.0, 1e300 * 1e10, 10 / 4, 10 / 4.0")
    wanted = [INT64_MAX, INT64_MIN, 9223372036854775808.0, math.inf, -math.inf, None, BadText(b"\xff"), "a\0b",
              b"\0\xff", "", b"", None, 1.0, math.inf, 2, 2.5]
    (row,) = client.send("query", sql, [])
    for got, value in zip(row, wanted):
        assert same(got, value), f"{value!r}: {got!r}"


def test_random_reals_keep_every_bit(database, rng):
    reals = []
    while len(reals) < 400:
        value = struct.unpack("<d", rng.randbytes(8))[0]
        if not math.isnan(value) and not math.isinf(value):
            reals.append(value)
    for name, kind in FORMATS.items():
        (row,) = kind(database).send("query", "SELECT " + ",".join("?" * len(reals)), reals)
        for got, value in zip(row, reals):
            assert same(got, value), f"{name}: {value!r} came back as {got!r}"


def test_random_bytes_as_text_and_blob(database, rng):
    for _ in range(60):
        data = rng.randbytes(rng.randrange(1, 60))
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = BadText(data)
        for name, kind in FORMATS.items():
            (row,) = kind(database).send("query", "SELECT ?1, ?2, CAST(?2 AS TEXT), hex(?1)", [text, data])
            assert same(row[0], text) and same(row[1], data) and same(row[2], text), f"{name}: {data!r}: {row}"
            assert row[3] == data.hex().upper()


# -- the forms as they are written ---------------------------------------------------------------------


def raw(database, sql, headers=None):
    answer = database.api.post(f"{database.path}/query", {"sql": sql}, headers=headers)
    answer.ok()
    return answer.response.body.decode()


def test_json_forms(database):
    text = raw(database, "SELECT 9223372036854775807, 1.0, 1e999, -1e999, x'00ff', CAST(x'ff' AS TEXT), 'a' || char(0), "
                         "1e100, NULL")
    assert ('"rows":[[9223372036854775807,1.0,1e999,-1e999,{"$blob":"AP8="},{"$text":"/w=="},"a\\u0000",'
            '1e100,null]]') in text


def test_integers_as_text_on_request(database):
    headers = {"X-Rookery-Integers": "string"}
    sql = "SELECT 9007199254740993 AS a, -1 AS b, 1.5 AS c, 'x' AS d, NULL AS e"
    assert '"rows":[["9007199254740993","-1",1.5,"x",null]]' in raw(database, sql, headers)
    assert '"rows":[[9007199254740993,-1,1.5,"x",null]]' in raw(database, sql)
    answer = database.batch([sql], headers=headers)
    assert answer.ok()[0]["rows"] == [["9007199254740993", "-1", 1.5, "x", None]]
    assert isinstance(answer.ok()[0]["rowsRead"], int), "figures stay numbers"


def test_integers_as_text_in_a_streamed_answer(database):
    sql = "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT 100000) SELECT n FROM c"
    rows = parse_json(raw(database, sql, {"X-Rookery-Integers": "string"}).encode())["data"]["rows"]
    assert len(rows) == 100_000 and rows[0] == ["1"] and rows[-1] == ["100000"]


def test_every_value_in_a_streamed_answer(database):
    """The same values again and again, past the size where an answer streams."""
    client = Json(database)
    small = [value for value in VALUES if not isinstance(value, (str, bytes)) or len(value) < 300]
    database.query("CREATE TABLE v (id INTEGER PRIMARY KEY, value)").ok()
    for i in range(0, len(small), 20):
        part = small[i:i + 20]
        client.send("query", "INSERT INTO v VALUES " + ",".join(f"({i + k}, ?)" for k in range(len(part))), part)
    sql = ("WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT 300) "
           "SELECT value FROM c CROSS JOIN v ORDER BY n, id")
    rows = client.send("query", sql, [])
    assert len(rows) == 300 * len(small)
    for k, (got,) in enumerate(rows):
        value = small[k % len(small)]
        assert same(got, value), f"row {k}"


@pytest.mark.parametrize("text, wanted", [
    ("true", 1), ("false", 0), ("-0", 0), ("1E2", 100.0), ("1.0", 1.0), ("9223372036854775808", 9223372036854775808.0),
    ("-9223372036854775809", -9223372036854775808.0), ("123456789012345678901234567890", 1.2345678901234568e29),
    ("1e400", math.inf), ("-1e400", -math.inf), ("1e-400", 0.0), ('"\\ud83d\\ude00"', "😀"), ('"\\u0000"', "\0"),
    ('{"$blob":"AP8="}', b"\0\xff"), ('{"$blob":""}', b""), ('{"$text":"/w=="}', BadText(b"\xff")),
    ('{"$text":"YQ=="}', "a")])
def test_json_parameters_of_other_spellings(database, text, wanted):
    body = f'{{"sql":"SELECT ?","params":[{text}]}}'.encode()
    got = from_json(database.api.post(database.path + "/query", body).ok()["rows"][0][0])
    assert same(got, wanted), got


@pytest.mark.parametrize("text, code", [
    ("[1]", "bad_request"), ("{}", "bad_request"), ('{"a":1}', "bad_request"), ('{"$blob":1}', "bad_request"),
    ('{"$blob":"A A="}', "bad_request"), ('{"$blob":"AA==","x":1}', "bad_request"), ('{"$text":"=="}', "bad_request"),
    ('{"$blob":"A"}', "bad_request"), ("NaN", "invalid_json"), ("Infinity", "invalid_json"), ("01", "invalid_json"),
    ("+1", "invalid_json"), (".5", "invalid_json"), ("1.", "invalid_json"), ("'a'", "invalid_json"), ("0x10", "invalid_json"),
    ('"\\ud800"', "invalid_json"), ('"\\x41"', "invalid_json"), ('"a\nb"', "invalid_json"), ("1 2", "invalid_json"),
    ("1,", "invalid_json"), ("undefined", "invalid_json")])
def test_json_parameters_that_are_none(database, text, code):
    body = f'{{"sql":"SELECT ?","params":[{text}]}}'.encode()
    database.api.post(database.path + "/query", body).refused(400, code)


def test_bytes_that_are_no_text_are_refused_in_json(database):
    for body in (b'{"sql":"SELECT \xff"}', b'{"sql":"SELECT ?","params":["\xed\xa0\x80"]}',
                 b'{"sql":"SELECT ?","params":["\xc0\x80"]}'):
        database.api.post(database.path + "/query", body).refused(400, "invalid_json")


def test_named_parameters(database):
    for params in ({"a": 1, "b": 2.5, "c": "x"}, {":a": 1, "@b": 2.5, "$c": "x"}):
        assert database.rows("SELECT :a, @b, $c, :a", params) == [[1, 2.5, "x", 1]]
    packed = database.seen_by(database.api.variant(use_msgpack=True))
    assert packed.rows("SELECT :a, @b", {"a": b"\0", "b": None}) == [[b"\0", None]]
    assert database.rows("SELECT ?2, ?1", ["a", "b"]) == [["b", "a"]]


def test_column_names_are_text_as_any_other(database):
    data = database.query('SELECT 1 AS "a""b", 2 AS "", 3 AS "ü\n", 4 AS "a""b"').ok()
    assert data["columns"] == ['a"b', "", "ü\n", 'a"b']


# -- which format answers -----------------------------------------------------------------------------


def test_the_answer_has_the_format_that_is_asked_for(database):
    path = database.path + "/query"
    packed = msgpack.packb({"sql": "SELECT 1"})
    for sends, accepts, answers in (
            ("application/json", None, "application/json"),
            ("application/json", "*/*", "application/json"),
            ("application/json", "application/msgpack", "application/msgpack"),
            ("application/json", "application/x-msgpack", "application/msgpack"),
            ("application/msgpack", None, "application/msgpack"),
            ("application/msgpack", "application/msgpack", "application/msgpack"),
            ("application/msgpack", "application/json", "application/json")):
        body = packed if "msgpack" in sends else b'{"sql":"SELECT 1"}'
        answer = database.api.request("POST", path, body, {"Content-Type": sends, "Accept": accepts})
        assert answer.ok()["rows"] == [[1]], (sends, accepts)
        assert answer.response.header("Content-Type").startswith(answers), (sends, accepts)


def test_errors_come_in_the_format_that_is_asked_for(database):
    packed = database.seen_by(database.api.variant(use_msgpack=True))
    value = packed.query("SELECT nope").refused(400, "sql_error")
    assert value["errorDetail"]["kind"] == "unknown_column"
    packed.api.post(packed.path + "/query", b"\xc1").refused(400, "invalid_msgpack")
    packed.api.get("/v1/databases/none").refused(404)
    packed.api.variant(token="psql_live_" + "A" * 43).get("/v1/me").refused(401)
    value = packed.batch(["SELECT 1", "SELECT nope"]).refused(400)
    assert value["failedIndex"] == 1 and value["results"][0]["rows"] == [[1]]


def test_every_other_route_speaks_both(admin):
    """The same data from each GET route, whatever the format."""
    tenant = admin.tenant()
    database = tenant.database()
    database.batch(["CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT DEFAULT 'ü')", "INSERT INTO t VALUES (1, 'x')"]).ok()
    packed = tenant.owner.variant(use_msgpack=True)
    for path in ("/v1/me", "/v1/databases", "/v1/databases/main", "/v1/tokens", database.path + "/tables",
                 database.path + "/describe", database.path + "/schema", database.path + "/doctor"):
        one, other = tenant.owner.get(path).ok(), packed.get(path).ok()
        if isinstance(one, dict):
            one.pop("usage", None), other.pop("usage", None)
        assert one == other, path
    for what in ("explain", "validate"):
        body = {"sql": "SELECT b FROM t WHERE a = 1"}
        one, other = (api.post(f"{database.path}/{what}", body).ok() for api in (tenant.owner, packed))
        for data in (one, other):
            data.pop("meta", None)
        assert one == other, what


@pytest.mark.parametrize("body", [
    b"", b"\xc1", b"\x81", b"\x81\xa3sql", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xffa",
    b"\xc6\xff\xff\xff\xff", b"\x91" * 100_000, b"\x81\xa3sql\xa8SELECT 1\x00", b"\x81\x01\x02", b"\x81\xa3sql\xa2\xff\xfe",
    b"\x82\xa3sql\xa8SELECT ?\xa6params\x91\xd4\x02\x00", b"\x81\xa3sql\x2a", b"\x90", b"\xa3abc"])
def test_msgpack_that_is_none_is_refused(server, database, body):
    api = database.api.variant(use_msgpack=True)
    answer = api.post(database.path + "/query", body, headers={"Content-Length": str(len(body))})
    answer.refused(400)
