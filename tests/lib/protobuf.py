"""Protobuf for tests, without its runtime: messages as dicts, to bytes and back, by a schema.

A line of the schema is a message: name, then its fields. `x=1:int32` is as proto3 has it, `?`
optional, `*` repeated, `|` a member of the message's oneof, `map` a map with uint32 keys.

Decoding is strict: no unknown field, no field twice unless it is repeated, nothing left over."""

import re
import struct

SCHEMA = """
Empty
Error message=1:string code=2?string
Value null=1|Empty integer=2|sint64 float=3|double text=4|string blob=5|bytes
NamedArg name=1:string value=2:Value
Stmt sql=1?string sql_id=2?int32 args=3*Value named_args=4*NamedArg want_rows=5?bool
Col name=1?string decltype=2?string
Row values=1*Value
StmtResult cols=1*Col rows=2*Row affected_row_count=3:uint64 last_insert_rowid=4?sint64 replication_index=5?uint64 rows_read=6:uint64 rows_written=7:uint64 query_duration_ms=8:double
CondList conds=1*BatchCond
BatchCond step_ok=1|uint32 step_error=2|uint32 not=3|BatchCond and=4|CondList or=5|CondList is_autocommit=6|Empty
BatchStep condition=1?BatchCond stmt=2:Stmt
Batch steps=1*BatchStep
BatchResult step_results=1map:StmtResult step_errors=2map:Error
DescribeParam name=1?string
DescribeCol name=1:string decltype=2?string
DescribeResult params=1*DescribeParam cols=2*DescribeCol is_explain=3:bool is_readonly=4:bool
StepBegin step=1:uint32 cols=2*Col
StepEnd affected_row_count=1:uint64 last_insert_rowid=2?sint64
StepErrorEntry step=1:uint32 error=2:Error
CursorEntry step_begin=1|StepBegin step_end=2|StepEnd step_error=3|StepErrorEntry row=4|Row error=5|Error

ExecuteStreamReq stmt=1:Stmt
BatchStreamReq batch=1:Batch
SqlStreamReq sql=1?string sql_id=2?int32
StoreSqlReq sql_id=1:int32 sql=2:string
CloseSqlReq sql_id=1:int32
StreamRequest close=1|Empty execute=2|ExecuteStreamReq batch=3|BatchStreamReq sequence=4|SqlStreamReq describe=5|SqlStreamReq store_sql=6|StoreSqlReq close_sql=7|CloseSqlReq get_autocommit=8|Empty
PipelineReqBody baton=1?string requests=2*StreamRequest
CursorReqBody baton=1?string batch=2:Batch

ExecuteResp result=1:StmtResult
BatchResp result=1:BatchResult
DescribeResp result=1:DescribeResult
GetAutocommitResp is_autocommit=1:bool
FetchCursorResp entries=1*CursorEntry done=2:bool
StreamResponse close=1|Empty execute=2|ExecuteResp batch=3|BatchResp sequence=4|Empty describe=5|DescribeResp store_sql=6|Empty close_sql=7|Empty get_autocommit=8|GetAutocommitResp
StreamResult ok=1|StreamResponse error=2|Error
PipelineRespBody baton=1?string base_url=2?string results=3*StreamResult
CursorRespBody baton=1?string base_url=2?string

StreamReq stream_id=1:int32
ExecuteReq stream_id=1:int32 stmt=2:Stmt
BatchReq stream_id=1:int32 batch=2:Batch
OpenCursorReq stream_id=1:int32 cursor_id=2:int32 batch=3:Batch
CloseCursorReq cursor_id=1:int32
FetchCursorReq cursor_id=1:int32 max_count=2:uint32
SqlReq stream_id=1:int32 sql=2?string sql_id=3?int32
RequestMsg request_id=1:int32 open_stream=2|StreamReq close_stream=3|StreamReq execute=4|ExecuteReq batch=5|BatchReq open_cursor=6|OpenCursorReq close_cursor=7|CloseCursorReq fetch_cursor=8|FetchCursorReq sequence=9|SqlReq describe=10|SqlReq store_sql=11|StoreSqlReq close_sql=12|CloseSqlReq get_autocommit=13|StreamReq
HelloMsg jwt=1?string
ClientMsg hello=1|HelloMsg request=2|RequestMsg
HelloErrorMsg error=1:Error
ResponseOkMsg request_id=1:int32 open_stream=2|Empty close_stream=3|Empty execute=4|ExecuteResp batch=5|BatchResp open_cursor=6|Empty close_cursor=7|Empty fetch_cursor=8|FetchCursorResp sequence=9|Empty describe=10|DescribeResp store_sql=11|Empty close_sql=12|Empty get_autocommit=13|GetAutocommitResp
ResponseErrorMsg request_id=1:int32 error=2:Error
ServerMsg hello_ok=1|Empty hello_error=2|HelloErrorMsg response_ok=3|ResponseOkMsg response_error=4|ResponseErrorMsg
"""


def fields_of(line):
    name, *fields = line.split()
    found = {}
    for field in fields:
        key, number, mark, kind = re.fullmatch(r"(\w+)=(\d+)(map:|[:?*|])(\w+)", field).groups()
        found[key] = (int(number), mark.rstrip(":"), kind)
    return name, found


MESSAGES = dict(fields_of(line) for line in filter(None, SCHEMA.splitlines()))
VARINTS = ("int32", "uint32", "uint64", "sint64", "bool")
DEFAULTS = {"string": "", "bytes": b"", "double": 0.0, "bool": False}


def varint(number):
    out = bytearray()
    number &= 2**64 - 1
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def take_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        assert shift <= 70, "a varint without an end"
        if byte < 128:
            return number & 2**64 - 1, at


def delimited(data):
    return varint(len(data)) + data


def encode_field(number, kind, value):
    if kind in VARINTS:
        value = (value << 1) ^ (value >> 63) if kind == "sint64" else int(value)
        return varint(number << 3) + varint(value)
    if kind == "double":
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if kind not in ("string", "bytes"):
        value = encode(kind, value)
    return varint(number << 3 | 2) + delimited(value.encode() if kind == "string" else value)


def encode(name, value):
    """A dict as that message; fields in the dict's order."""
    out = b""
    for key, field in value.items():
        number, mark, kind = MESSAGES[name][key]
        for item in field if mark == "*" else [field]:
            out += encode_field(number, kind, item)
    return out


def decode_value(kind, wire, raw):
    if kind in VARINTS:
        assert wire == 0
        if kind == "sint64":
            return (raw >> 1) ^ -(raw & 1)
        return bool(raw) if kind == "bool" else raw - 2**64 if kind == "int32" and raw >> 63 else raw
    if kind == "double":
        assert wire == 1
        return struct.unpack("<d", raw)[0]
    assert wire == 2
    return raw.decode() if kind == "string" else raw if kind == "bytes" else decode(kind, raw)


def decode_entry(kind, raw):
    """An entry of a map with uint32 keys."""
    MESSAGES["<entry>"] = {"key": (1, "", "uint32"), "value": (2, "?", kind)}
    entry = decode("<entry>", raw)
    return entry["key"], entry["value"]


def decode(name, data):
    """The message as a dict: defaults are filled in, what is optional and absent is left out."""
    fields = MESSAGES[name]
    by_number = {number: (key, mark, kind) for key, (number, mark, kind) in fields.items()}
    value, at, members = {}, 0, 0
    for key, (_, mark, kind) in fields.items():
        if mark in ("*", "map"):
            value[key] = [] if mark == "*" else {}
        elif mark == "" and kind in (*VARINTS, *DEFAULTS):
            value[key] = DEFAULTS.get(kind, 0)
    seen = set()
    while at < len(data):
        tag, at = take_varint(data, at)
        key, mark, kind = by_number[tag >> 3]
        wire = tag & 7
        if wire == 0:
            raw, at = take_varint(data, at)
        else:
            size, at = (8, at) if wire == 1 else take_varint(data, at)
            assert wire in (1, 2) and at + size <= len(data), f"{name}.{key} is cut off"
            raw, at = data[at:at + size], at + size
        if mark == "*":
            value[key].append(decode_value(kind, wire, raw))
        elif mark == "map":
            number, item = decode_entry(kind, raw)
            assert number not in value[key], f"{name}.{key}[{number}] twice"
            value[key][number] = item
        else:
            assert key not in seen, f"{name}.{key} twice"
            seen.add(key)
            members += mark == "|"
            value[key] = decode_value(kind, wire, raw)
    assert members <= 1, f"{name} holds two members of its oneof"
    return value


def decode_entries(name, data):
    """Messages, each with its length before it: [(bytes)] after the first one."""
    out, at = [], 0
    while at < len(data):
        size, at = take_varint(data, at)
        assert at + size <= len(data), "a message is cut off"
        out.append(data[at:at + size])
        at += size
    return [decode(name if i else "CursorRespBody", raw) for i, raw in enumerate(out)]
