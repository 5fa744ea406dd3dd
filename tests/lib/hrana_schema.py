"""Hrana 3's protobuf schemas for Python's protobuf runtime, as messages by name.

A line is a message: name, then its fields. `x=1:int32` is as proto3 has it, `?` optional, `*`
repeated, `|` a member of the message's oneof, `map` a map with uint32 keys."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

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
PACKAGE = "hrana"


def set_type(field, name):
    kind = f"TYPE_{name.upper()}"
    if hasattr(field, kind):
        field.type = getattr(field, kind)
    else:
        field.type = field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{name}"


def add_field(message, text):
    name, rest = text.split("=")
    number = int(rest[:2] if rest[1].isdigit() else rest[:1])
    rest = rest[len(str(number)):]
    field = message.field.add(name=name, number=number, label=1)
    if rest.startswith("map:"):
        entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        set_type(entry.field.add(name="key", number=1, label=1), "uint32")
        set_type(entry.field.add(name="value", number=2, label=1), rest[4:])
        field.label = field.LABEL_REPEATED
        field.type = field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{message.name}.{entry.name}"
        return
    mark, kind = rest[0], rest[1:]
    if mark == "*":
        field.label = field.LABEL_REPEATED
    elif mark == "|":
        if not message.oneof_decl:
            message.oneof_decl.add(name="which")
        field.oneof_index = 0
    set_type(field, kind)
    # An optional message is a message: presence is its nature.
    if mark == "?" and field.type != field.TYPE_MESSAGE:
        field.proto3_optional = True


def add_optionals(message):
    """proto3's `optional` is a oneof of its own; these come after the real one."""
    for field in message.field:
        if field.proto3_optional:
            message.oneof_decl.add(name="_" + field.name)
            field.oneof_index = len(message.oneof_decl) - 1


def load():
    file = descriptor_pb2.FileDescriptorProto(name="hrana.proto", package=PACKAGE, syntax="proto3")
    for line in filter(None, SCHEMA.splitlines()):
        name, *fields = line.split()
        message = file.message_type.add(name=name)
        for field in fields:
            add_field(message, field)
        add_optionals(message)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return {message.name: factory.GetPrototype(
        pool.FindMessageTypeByName(f"{PACKAGE}.{message.name}")) for message in file.message_type}
