#!/usr/bin/python3
"""Writes hrana_vectors.h beside it: messages of Hrana 3 as Python's protobuf runtime (Debian's
python3-protobuf) writes them, in hex. Not part of the build: run it after a change, then
clang-format-14 -i the file. What the C tests do with each stands there under the same name."""

import pathlib

import hrana_schema

M = hrana_schema.load()
INT64 = (-2**63, -1, 0, 1, 2**63 - 1)

VALUES = [{"null": {}}, *({"integer": n} for n in INT64), {"float": 1.5}, {"float": -0.0},
          {"float": float("inf")}, {"text": ""}, {"text": "h\u00e9\0"}, {"blob": b""},
          {"blob": bytes(range(200))}]
CONDITION = {"and": {"conds": [{"step_ok": 0}, {"not": {"step_error": 1}}, {"or": {}},
                               {"is_autocommit": {}}]}}
STMT = {"sql": "SELECT ?", "args": VALUES, "want_rows": False}
NAMED = {"sql_id": 7, "named_args": [{"name": "a", "value": {"integer": 1}},
                                     {"name": "", "value": {"text": "x"}}], "want_rows": True}
BATCH = {"steps": [{"stmt": {"sql": "BEGIN"}}, {"condition": {"step_ok": 0}, "stmt": NAMED},
                   {"condition": CONDITION, "stmt": {"sql": ""}}]}

REQUESTS = {
    "PIPELINE_EMPTY": ("PipelineReqBody", {}),
    "PIPELINE": ("PipelineReqBody", {"baton": "b1", "requests": [
        {"execute": {"stmt": STMT}}, {"batch": {"batch": BATCH}}, {"batch": {"batch": {}}},
        {"sequence": {"sql": "SELECT 1;"}}, {"sequence": {"sql_id": 0}},
        {"describe": {"sql": ""}}, {"describe": {"sql_id": -5}}, {"describe": {}},
        {"store_sql": {"sql_id": 3, "sql": "SELECT 3"}}, {"store_sql": {}},
        {"close_sql": {"sql_id": 2147483647}}, {"close_sql": {}}, {"get_autocommit": {}},
        {"close": {}}]}),
    "CURSOR": ("CursorReqBody", {"baton": "", "batch": BATCH}),
    "HELLO": ("ClientMsg", {"hello": {}}),
    "HELLO_JWT": ("ClientMsg", {"hello": {"jwt": "token"}}),
    "WS_OPEN": ("ClientMsg", {"request": {"request_id": -1, "open_stream": {"stream_id": -2}}}),
    "WS_CLOSE": ("ClientMsg", {"request": {"request_id": 0, "close_stream": {"stream_id": 1}}}),
    "WS_EXECUTE": ("ClientMsg", {"request": {"request_id": 5, "execute": {
        "stream_id": 2, "stmt": {"sql": "x", "want_rows": True}}}}),
    "WS_BATCH": ("ClientMsg", {"request": {"request_id": 6, "batch": {
        "stream_id": 2, "batch": BATCH}}}),
    "WS_OPEN_CURSOR": ("ClientMsg", {"request": {"request_id": 7, "open_cursor": {
        "stream_id": 2, "cursor_id": -9, "batch": {}}}}),
    "WS_FETCH_CURSOR": ("ClientMsg", {"request": {"request_id": 8, "fetch_cursor": {
        "cursor_id": 9, "max_count": 4294967295}}}),
    "WS_CLOSE_CURSOR": ("ClientMsg", {"request": {"request_id": 9, "close_cursor": {
        "cursor_id": 9}}}),
    "WS_SEQUENCE": ("ClientMsg", {"request": {"request_id": 10, "sequence": {
        "stream_id": 2, "sql": "a"}}}),
    "WS_DESCRIBE": ("ClientMsg", {"request": {"request_id": 11, "describe": {
        "stream_id": 2, "sql_id": 4}}}),
    "WS_STORE_SQL": ("ClientMsg", {"request": {"request_id": 12, "store_sql": {
        "sql_id": 4, "sql": "b"}}}),
    "WS_CLOSE_SQL": ("ClientMsg", {"request": {"request_id": 13, "close_sql": {"sql_id": 4}}}),
    "WS_GET_AUTOCOMMIT": ("ClientMsg", {"request": {"request_id": 14, "get_autocommit": {
        "stream_id": 2}}}),
}

COLS = [{"name": "a", "decltype": "INTEGER"}, {"name": "a"}, {"name": ""}]
ERROR = {"message": "no such table: t", "code": "SQLITE_UNKNOWN"}
RESULT = {"cols": COLS, "rows": [{"values": VALUES}, {"values": []}, {"values": [{"null": {}}]}],
          "affected_row_count": 300, "last_insert_rowid": -2**63, "rows_read": 4, "rows_written": 301,
          "query_duration_ms": 1.234}
PLAIN = {"cols": COLS[1:2], "rows": [{"values": [{"integer": 1}]}], "rows_read": 1}
BATCH_RESULT = {"step_results": {0: PLAIN, 3: RESULT, 4: {}},
                "step_errors": {1: ERROR, 130: {"message": "", "code": "X"}}}
DESCRIBED = {"params": [{"name": ":x"}, {}, {"name": "?3"}],
             "cols": [{"name": "a", "decltype": "INTEGER"}, {"name": ""}],
             "is_explain": True, "is_readonly": True}
ENTRIES = [{"step_begin": {"step": 0, "cols": COLS}}, {"row": {"values": VALUES}},
           {"row": {"values": []}}, {"step_end": {"affected_row_count": 1, "last_insert_rowid": 0}},
           {"step_begin": {"step": 200, "cols": []}}, {"step_end": {}},
           {"step_error": {"step": 201, "error": ERROR}}, {"step_error": {"step": 0, "error": ERROR}},
           {"error": ERROR}]


def ok(request_id, **response):
    return {"response_ok": {"request_id": request_id, **response}}


ANSWERS = {
    "RESULTS": ("PipelineRespBody", {"results": [
        {"ok": {"execute": {"result": RESULT}}}, {"ok": {"execute": {"result": {}}}},
        {"error": ERROR}, {"ok": {"batch": {"result": BATCH_RESULT}}},
        {"ok": {"batch": {"result": {}}}}, {"ok": {"sequence": {}}},
        {"ok": {"describe": {"result": DESCRIBED}}}, {"ok": {"describe": {"result": {}}}},
        {"ok": {"store_sql": {}}}, {"ok": {"close_sql": {}}},
        {"ok": {"get_autocommit": {"is_autocommit": True}}},
        {"ok": {"get_autocommit": {}}}, {"ok": {"close": {}}}]}),
    "BATON": ("PipelineRespBody", {"baton": "b2"}),
    "CURSOR_HEAD": ("CursorRespBody", {"baton": "b3"}),
    "HELLO_OK": ("ServerMsg", {"hello_ok": {}}),
    "HELLO_ERROR": ("ServerMsg", {"hello_error": {"error": ERROR}}),
    "WS_ERROR": ("ServerMsg", {"response_error": {"request_id": -3, "error": ERROR}}),
    "WS_EXECUTED": ("ServerMsg", ok(5, execute={"result": RESULT})),
    "WS_BATCHED": ("ServerMsg", ok(0, batch={"result": BATCH_RESULT})),
    "WS_DESCRIBED": ("ServerMsg", ok(2147483647, describe={"result": DESCRIBED})),
    "WS_AUTOCOMMIT": ("ServerMsg", ok(-1, get_autocommit={"is_autocommit": True})),
    "WS_OPENED": ("ServerMsg", ok(1, open_stream={})),
    "WS_CLOSED": ("ServerMsg", ok(1, close_stream={})),
    "WS_CURSOR_OPENED": ("ServerMsg", ok(1, open_cursor={})),
    "WS_CURSOR_CLOSED": ("ServerMsg", ok(1, close_cursor={})),
    "WS_SEQUENCED": ("ServerMsg", ok(1, sequence={})),
    "WS_STORED": ("ServerMsg", ok(1, store_sql={})),
    "WS_UNSTORED": ("ServerMsg", ok(1, close_sql={})),
    "WS_FETCHED": ("ServerMsg", ok(1, fetch_cursor={"entries": ENTRIES, "done": True})),
    "WS_FETCHED_NONE": ("ServerMsg", ok(1, fetch_cursor={})),
}


def filled(name, fields):
    """A message from nested dicts; an empty one is set, too."""
    message = M[name]()
    fill(message, fields)
    return message


def fill(message, fields):
    message.SetInParent()
    for key, value in fields.items():
        field = message.DESCRIPTOR.fields_by_name[key]
        if field.message_type and field.message_type.GetOptions().map_entry:
            for number, item in value.items():
                fill(getattr(message, key)[number], item)
        elif isinstance(value, dict):
            fill(getattr(message, key), value)
        elif isinstance(value, list):
            for item in value:
                fill(getattr(message, key).add(), item)
        else:
            setattr(message, key, value)


def varint(number):
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def with_lengths(name, items):
    messages = [filled(name, fields).SerializeToString(deterministic=True) for fields in items]
    return b"".join(varint(len(message)) + message for message in messages)


def c_string(text, width=88):
    return " \\\n".join(f'    "{text[i:i + width]}"' for i in range(0, max(len(text), 1), width))


def main():
    lines = ["/* Made by tests/lib/hrana_vectors.py: do not edit. */",
             "#ifndef TESTS_LIB_HRANA_VECTORS_H", "#define TESTS_LIB_HRANA_VECTORS_H", ""]
    for name, (message, fields) in {**REQUESTS, **ANSWERS}.items():
        written = filled(message, fields).SerializeToString(deterministic=True)
        lines += [f"#define {name} \\", c_string(written.hex()), ""]
    lines += ["#define ENTRIES \\", c_string(with_lengths("CursorEntry", ENTRIES).hex()), "", "#endif\n"]
    pathlib.Path(__file__).with_suffix(".h").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
