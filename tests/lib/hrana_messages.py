"""Messages of Hrana over WebSocket: protobuf to and from the dicts that JSON has."""

import base64

import hrana_schema

M = hrana_schema.load()


# -- to the server

def value_to(value):
    kind = value["type"]
    if kind == "null":
        return {"null": {}}
    if kind == "integer":
        return {"integer": int(value["value"])}
    if kind == "blob":
        return {"blob": base64.b64decode(value["base64"] + "==")}
    return {kind: value["value"]}


def stmt_to(stmt):
    made = {key: stmt[key] for key in ("sql", "sql_id", "want_rows") if key in stmt}
    made["args"] = [value_to(v) for v in stmt.get("args", [])]
    made["named_args"] = [{"name": a["name"], "value": value_to(a["value"])}
                          for a in stmt.get("named_args", [])]
    return made


def condition_to(condition):
    kind = condition["type"]
    if kind in ("ok", "error"):
        return {"step_" + kind: condition["step"]}
    if kind == "not":
        return {"not": condition_to(condition["cond"])}
    if kind in ("and", "or"):
        return {kind: {"conds": [condition_to(c) for c in condition["conds"]]}}
    return {kind: {}}


def batch_to(batch):
    steps = []
    for step in batch["steps"]:
        made = {"stmt": stmt_to(step["stmt"])}
        if step.get("condition") is not None:
            made["condition"] = condition_to(step["condition"])
        steps.append(made)
    return {"steps": steps}


def to_client(message):
    """A client's message as bytes."""
    if message["type"] == "hello":
        jwt = {} if message.get("jwt") is None else {"jwt": message["jwt"]}
        return M["ClientMsg"](hello=jwt).SerializeToString()
    request = dict(message["request"])
    kind = request.pop("type")
    if "stmt" in request:
        request["stmt"] = stmt_to(request["stmt"])
    if "batch" in request:
        request["batch"] = batch_to(request["batch"])
    return M["ClientMsg"](request={"request_id": message["request_id"],
                                   kind: request}).SerializeToString()


# -- from the server

def value_from(value):
    kind = value.WhichOneof("which")
    if kind == "null":
        return {"type": "null"}
    if kind == "integer":
        return {"type": kind, "value": str(value.integer)}
    if kind == "blob":
        return {"type": kind, "base64": base64.b64encode(value.blob).decode().rstrip("=")}
    return {"type": kind, "value": getattr(value, kind)}


def optional(message, name):
    return getattr(message, name) if message.HasField(name) else None


def error_from(error):
    return {"message": error.message, "code": error.code}


def col_from(col):
    return {"name": optional(col, "name"), "decltype": optional(col, "decltype")}


def effects_from(message):
    rowid = optional(message, "last_insert_rowid")
    return {"affected_row_count": message.affected_row_count,
            "last_insert_rowid": None if rowid is None else str(rowid)}


def result_from(result):
    return {"cols": [col_from(c) for c in result.cols],
            "rows": [[value_from(v) for v in row.values] for row in result.rows],
            **effects_from(result), "rows_read": result.rows_read,
            "rows_written": result.rows_written, "query_duration_ms": result.query_duration_ms}


def batch_from(result):
    count = 1 + max([*result.step_results, *result.step_errors], default=-1)
    return {"step_results": [result_from(result.step_results[i]) if i in result.step_results
                             else None for i in range(count)],
            "step_errors": [error_from(result.step_errors[i]) if i in result.step_errors
                            else None for i in range(count)]}


def describe_from(result):
    return {"params": [{"name": optional(p, "name")} for p in result.params],
            "cols": [{"name": c.name, "decltype": optional(c, "decltype")} for c in result.cols],
            "is_explain": result.is_explain, "is_readonly": result.is_readonly}


def entry_from(entry):
    kind = entry.WhichOneof("which")
    body = getattr(entry, kind)
    if kind == "step_begin":
        return {"type": kind, "step": body.step, "cols": [col_from(c) for c in body.cols]}
    if kind == "row":
        return {"type": kind, "row": [value_from(v) for v in body.values]}
    if kind == "step_end":
        return {"type": kind, **effects_from(body)}
    if kind == "step_error":
        return {"type": kind, "step": body.step, "error": error_from(body.error)}
    return {"type": kind, "error": error_from(body)}


RESULTS = {"execute": result_from, "batch": batch_from, "describe": describe_from}


def from_server(payload):
    """A server's message as JSON has it."""
    message = M["ServerMsg"].FromString(payload)
    kind = message.WhichOneof("which")
    body = getattr(message, kind)
    if kind == "hello_ok":
        return {"type": kind}
    if kind == "hello_error":
        return {"type": kind, "error": error_from(body.error)}
    made = {"type": kind, "request_id": body.request_id}
    if kind == "response_error":
        return {**made, "error": error_from(body.error)}
    name = body.WhichOneof("which")
    response, got = {"type": name}, getattr(body, name)
    if name in RESULTS:
        response["result"] = RESULTS[name](got.result)
    elif name == "get_autocommit":
        response["is_autocommit"] = got.is_autocommit
    elif name == "fetch_cursor":
        response.update(entries=[entry_from(e) for e in got.entries], done=got.done)
    return {**made, "response": response}
